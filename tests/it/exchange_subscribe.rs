//! Subscribing over the network: deliveries, acknowledgements, windows, takeovers, stops and goodbyes.

use std::time::Duration;

use concordat::{
    machine::{
        Receipt, State,
        outcome::Remembered,
        state::subscription::{Subscription, SubscriptionNumber},
    },
    model::id::SubscriptionId,
    pb::{
        ledger::v1::{self as ledger, AgencyKind, NackReason, command::Kind as Command},
        record::v1::LeaverForm,
        v1::{
            AcknowledgeRecordsRequest, Delivery, DeliveryNack, GetRecordRequest, GoAwayReason,
            PublishReceipt, PublishRecordRequest, PublishRecordsRequest, PullRecordsRequest,
            PullRecordsResponse, SubscribeAcknowledge, SubscribeGoAway, SubscribeRequest,
            SubscribeResponse, SubscribeStart, SubscribeStarted, SubscribeWindow,
            subscribe_request::Kind as Said, subscribe_response::Kind as Heard,
        },
    },
    service::exchange::Pace,
};
use prost::Message;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::harness::{
    Agency, Exchange, Setup, alias, by_consent, by_duty, context, draft, form, reason,
};

/// A deadline that a test reaches only if it fails.
const SOON: Duration = Duration::from_secs(20);

/// A rhythm that lets a test see silence.
const QUICK: Pace = Pace {
    heartbeat: Duration::from_millis(150),
    recheck: Duration::from_millis(50),
    farewell: Duration::from_secs(5),
};

/// A subscriber.
struct Subscriber {
    say: Option<mpsc::Sender<SubscribeRequest>>,
    hear: Streaming<SubscribeResponse>,
}

impl Subscriber {
    async fn open(agency: &Agency, start: SubscribeStart) -> Result<Self, Status> {
        let (say, said) = mpsc::channel(64);
        let first = SubscribeRequest { context: context(), kind: Some(Said::Start(start)) };
        say.send(first).await.unwrap();
        let hear = agency.exchange().subscribe(ReceiverStream::new(said)).await?.into_inner();
        Ok(Self { say: Some(say), hear })
    }

    /// Opens a stream on `leavers` with a window, and hears that it is open.
    async fn of(agency: &Agency, window: u32) -> Self {
        let mut subscriber = Self::open(agency, start(agency, window)).await.unwrap();
        let started = subscriber.next().await;
        let Some(Heard::Started(SubscribeStarted { subscription, .. })) = started else {
            unreachable!("{started:?}")
        };
        assert_eq!(subscription, agency.subscription("leavers"));
        subscriber
    }

    async fn message(&mut self) -> Result<Option<Heard>, Status> {
        let message = timeout(SOON, self.hear.message()).await.unwrap();
        Ok(message?.map(|message| message.kind.unwrap()))
    }

    async fn next(&mut self) -> Option<Heard> {
        self.message().await.unwrap()
    }

    /// The next delivery; signs of life are passed over.
    async fn delivery(&mut self) -> Delivery {
        loop {
            match self.next().await {
                Some(Heard::Delivery(delivery)) => return delivery,
                Some(Heard::Heartbeat(_)) => {}
                other => unreachable!("no delivery: {other:?}"),
            }
        }
    }

    async fn deliveries(&mut self, count: usize) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        while deliveries.len() < count {
            deliveries.push(self.delivery().await);
        }
        deliveries
    }

    async fn heartbeats(&mut self, count: usize) {
        for _ in 0..count {
            let heard = self.next().await;
            assert!(matches!(heard, Some(Heard::Heartbeat(_))), "{heard:?}");
        }
    }

    async fn go_away(&mut self) -> SubscribeGoAway {
        loop {
            match self.next().await {
                Some(Heard::GoAway(go_away)) => return go_away,
                Some(Heard::Heartbeat(_) | Heard::Delivery(_)) => {}
                other => unreachable!("no go-away: {other:?}"),
            }
        }
    }

    async fn say(&self, kind: Said) {
        let request = SubscribeRequest { context: None, kind: Some(kind) };
        self.say.as_ref().unwrap().send(request).await.unwrap();
    }

    async fn acknowledge(&self, delivery: &Delivery) {
        let through_cursor = delivery.cursor.clone();
        self.say(Said::Acknowledge(SubscribeAcknowledge { through_cursor })).await;
    }

    async fn nack(&self, delivery: &Delivery) {
        let cursor = delivery.cursor.clone();
        let reason = i32::from(NackReason::NotAccepted);
        self.say(Said::Nack(DeliveryNack { cursor, reason })).await;
    }

    async fn window(&self, window: u32) {
        self.say(Said::Window(SubscribeWindow { window })).await;
    }

    /// Says no more, and hears the rest.
    async fn half_close(&mut self) {
        self.say = None;
        while let Some(heard) = self.next().await {
            assert!(!matches!(heard, Heard::GoAway(_)), "{heard:?}");
        }
    }
}

fn start(agency: &Agency, window: u32) -> SubscribeStart {
    SubscribeStart {
        request_id: agency.request(),
        subscription: agency.subscription("leavers"),
        resume_cursor: String::new(),
        window,
    }
}

async fn publish_form(agency: &Agency, form: &LeaverForm, supersedes: &str) -> PublishReceipt {
    let mut record = draft(form);
    record.supersedes = supersedes.to_owned();
    let request = PublishRecordRequest {
        context: context(),
        request_id: agency.request(),
        record: Some(record),
        validate_only: false,
    };
    let answer = agency.exchange().publish_record(request).await.unwrap();
    answer.into_inner().receipt.unwrap()
}

async fn publish(agency: &Agency, number: u32) -> PublishReceipt {
    publish_form(agency, &form(number), "").await
}

async fn publish_all(agency: &Agency, numbers: std::ops::Range<u32>) {
    let requests: Vec<_> = numbers
        .map(|number| PublishRecordsRequest {
            context: context(),
            request_id: agency.request(),
            record: Some(draft(&form(number))),
            validate_only: false,
        })
        .collect();
    let requests = futures::stream::iter(requests);
    let mut answers = agency.exchange().publish_records(requests).await.unwrap().into_inner();
    while let Some(answer) = answers.message().await.unwrap() {
        let receipt = answer.outcome.unwrap();
        assert!(format!("{receipt:?}").starts_with("Receipt"), "{receipt:?}");
    }
}

async fn pull(agency: &Agency, max_records: i32) -> Result<PullRecordsResponse, Status> {
    let request = PullRecordsRequest {
        context: context(),
        request_id: agency.request(),
        subscription: agency.subscription("leavers"),
        max_records,
    };
    agency.exchange().pull_records(request).await.map(tonic::Response::into_inner)
}

async fn acknowledge(agency: &Agency, cursor: &str) -> Result<(), Status> {
    let request = AcknowledgeRecordsRequest {
        context: context(),
        request_id: agency.request(),
        subscription: agency.subscription("leavers"),
        through_cursor: cursor.to_owned(),
        nacks: Vec::new(),
    };
    agency.exchange().acknowledge_records(request).await.map(drop)
}

fn local_id(delivery: &Delivery) -> String {
    let body = &delivery.record.as_ref().unwrap().body;
    LeaverForm::decode(body.as_ref()).unwrap().identity.unwrap().source_local_id
}

fn local_ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(local_id).collect()
}

/// The row of an agency's subscription `leavers`.
fn row(exchange: &Exchange, agency: &Agency) -> (SubscriptionNumber, Subscription) {
    let id: SubscriptionId = "leavers".parse().unwrap();
    exchange.node.read(|state: &State| {
        let agency = state.agency_number(&agency.id).unwrap();
        let number = state.subscription_number(agency, &id).unwrap();
        (number, state.subscription(number).unwrap().clone())
    })
}

/// Waits until the state is as a test needs it.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let look = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, look).await.unwrap_or_else(|_| unreachable!("never: {what}"));
}

#[tokio::test]
async fn a_record_reaches_its_subscriber_cut_to_its_groups_and_is_acknowledged() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let first = publish(&council, 1).await;
    let mut subscriber = Subscriber::of(&sds, 0).await;
    publish(&council, 2).await;
    let deliveries = subscriber.deliveries(2).await;
    assert_eq!(local_ids(&deliveries), ["IC-1", "IC-2"]);
    let record = deliveries[0].record.as_ref().unwrap();
    assert_eq!((&record.name, record.version), (&first.record, 1));
    assert_ne!(record.client, first.client, "each agency has a name of its own for a client");
    assert_eq!(record.publisher, "agencies/inverclyde-council");
    let [ground] = record.grounds.as_slice() else { unreachable!("{:?}", record.grounds) };
    assert_eq!((ground.agreement.as_str(), ground.flow.as_str()), ("agreements/leavers", "duty"));
    assert_eq!(ground.basis(), ledger::LawfulBasis::LegalObligation);
    assert_eq!(ground.gate(), ledger::Gate::None);
    assert_eq!(ground.field_groups, record.field_groups);

    assert_eq!(row(&exchange, &sds).1.outstanding(), 2);
    subscriber.acknowledge(&deliveries[1]).await;
    subscriber.half_close().await;
    let (_, subscription) = row(&exchange, &sds);
    assert_eq!((subscription.outstanding(), subscription.settled), (0, 2));

    // What was delivered can be opened again by its name.
    let request = GetRecordRequest {
        context: context(),
        request_id: sds.request(),
        name: first.record.clone(),
        reason: 1,
    };
    let opened = sds.exchange().get_record(request).await.unwrap().into_inner().record.unwrap();
    assert_eq!(opened.body, record.body);
    assert_eq!(opened.grounds, record.grounds);
}

#[tokio::test]
async fn a_new_version_names_the_one_that_the_recipient_got_before() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let mut subscriber = Subscriber::of(&sds, 0).await;
    let first = publish(&council, 1).await;
    assert_eq!(subscriber.delivery().await.record.unwrap().name, first.record);
    let second = publish_form(&council, &form(1), &first.record).await;
    let record = subscriber.delivery().await.record.unwrap();
    assert_eq!((record.name, record.supersedes, record.version), (second.record, first.record, 2));
}

#[tokio::test]
async fn a_stream_resumes_after_a_cursor_and_old_cursors_then_do_nothing() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    publish_all(&council, 1..6).await;
    let mut subscriber = Subscriber::of(&sds, 0).await;
    let before = subscriber.deliveries(5).await;
    drop(subscriber);

    let resume_cursor = before[2].cursor.clone();
    let start = SubscribeStart { resume_cursor, ..start(&sds, 0) };
    let mut subscriber = Subscriber::open(&sds, start).await.unwrap();
    assert!(matches!(subscriber.next().await, Some(Heard::Started(_))));
    let after = subscriber.deliveries(2).await;
    assert_eq!(local_ids(&after), local_ids(&before[3..]));
    assert_ne!(after[0].cursor, before[3].cursor);

    acknowledge(&sds, &before[4].cursor).await.unwrap();
    assert_eq!(row(&exchange, &sds).1.outstanding(), 2);
    subscriber.nack(&before[4]).await;
    publish(&council, 9).await;
    assert_eq!(local_id(&subscriber.delivery().await), "IC-9", "the old cursor refused nothing");
    subscriber.acknowledge(&after[1]).await;
    subscriber.half_close().await;
    assert_eq!(row(&exchange, &sds).1.outstanding(), 1);
}

#[tokio::test]
async fn without_a_cursor_a_stream_resumes_after_what_is_acknowledged() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    publish_all(&council, 1..6).await;
    let mut subscriber = Subscriber::of(&sds, 0).await;
    let before = subscriber.deliveries(5).await;
    subscriber.acknowledge(&before[1]).await;
    subscriber.half_close().await;
    let mut subscriber = Subscriber::of(&sds, 0).await;
    assert_eq!(local_ids(&subscriber.deliveries(3).await), local_ids(&before[2..]));
    assert_eq!(row(&exchange, &sds).1.outstanding(), 3);
}

#[tokio::test]
async fn a_record_that_is_refused_five_times_is_parked_and_blocks_nothing() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let mut subscriber = Subscriber::of(&sds, 1).await;
    let first = publish(&council, 1).await;
    for nack_count in 0..5 {
        let delivery = subscriber.delivery().await;
        assert_eq!((local_id(&delivery).as_str(), delivery.nack_count), ("IC-1", nack_count));
        subscriber.nack(&delivery).await;
    }
    publish(&council, 2).await;
    let other = subscriber.delivery().await;
    assert_eq!(local_id(&other), "IC-2");
    let parked = || exchange.node.read(|state: &State| state.tables().parked.iter().count());
    assert_eq!(parked(), 1);
    subscriber.acknowledge(&other).await;
    // A newer version is another try.
    publish_form(&council, &form(1), &first.record).await;
    let delivery = subscriber.delivery().await;
    assert_eq!((local_id(&delivery).as_str(), delivery.nack_count), ("IC-1", 0));
}

#[tokio::test]
async fn a_parked_record_comes_again_after_a_seek_and_is_no_longer_parked() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let mut subscriber = Subscriber::of(&sds, 4).await;
    publish(&council, 1).await;
    for _ in 0..5 {
        let delivery = subscriber.delivery().await;
        subscriber.nack(&delivery).await;
    }
    subscriber.half_close().await;
    let subscription = "leavers".to_owned();
    let seek = ledger::SeekSubscription { subscription, after_delivery: 0 };
    sds.submit(Command::SeekSubscription(seek)).await.unwrap();
    let mut subscriber = Subscriber::of(&sds, 4).await;
    let delivery = subscriber.delivery().await;
    assert_eq!((local_id(&delivery).as_str(), delivery.nack_count), ("IC-1", 5));
    assert_eq!(exchange.node.read(|state: &State| state.tables().parked.iter().count()), 0);
    subscriber.acknowledge(&delivery).await;
    publish(&council, 2).await;
    assert_eq!(local_id(&subscriber.delivery().await), "IC-2", "it came once");
}

#[tokio::test]
async fn a_newer_stream_takes_over_and_the_older_one_is_told() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    publish(&council, 1).await;
    let mut older = Subscriber::of(&sds, 0).await;
    let delivery = older.delivery().await;
    let mut newer = Subscriber::of(&sds, 0).await;
    let go_away = older.go_away().await;
    assert_eq!(go_away.reason(), GoAwayReason::TakenOver);
    assert_eq!(go_away.resume_cursor, delivery.cursor);
    assert_eq!(local_id(&newer.delivery().await), "IC-1");
    older.half_close().await;

    // A pull takes over as well.
    let pulled = pull(&sds, 0).await.unwrap();
    assert_eq!(local_ids(&pulled.deliveries), ["IC-1"]);
    assert_eq!(newer.go_away().await.reason(), GoAwayReason::TakenOver);
}

#[tokio::test]
async fn a_withdrawal_stops_what_is_queued_and_what_waits_to_leave() {
    let exchange = Exchange::start().await;
    let council = exchange.agency("inverclyde-council", AgencyKind::Council).await;
    let college = exchange.agency("glen-college", AgencyKind::College).await;
    let flows = vec![by_consent("consented", &council, &[&college])];
    exchange.agree("support", &[&council, &college], flows).await;
    college.subscribe_to("leavers").await;
    let groups = ["core", "identity"];
    let consented = async |number| {
        let client = alias(&publish(&council, number).await.client);
        council.record_consent(client, &groups, &[&college]).await.unwrap()
    };
    let settled = || row(&exchange, &college).1.settled;
    let mut subscriber = Subscriber::of(&college, 3).await;
    consented(11).await;
    consented(12).await;
    let before = subscriber.deliveries(2).await;
    // Once this is durable the exchange waits for records with the credit that it was given; then the subscriber pauses,
    // and what is released by that credit waits in memory.
    subscriber.acknowledge(&before[0]).await;
    until("the first is settled", || settled() == 1).await;
    subscriber.window(0).await;
    subscriber.acknowledge(&before[1]).await;
    until("the pause is heard", || settled() == 2).await;
    let mut consents = Vec::new();
    for number in 1..4 {
        consents.push(consented(number).await);
        until("the first is released", || row(&exchange, &college).1.outstanding() == 1).await;
    }
    let [first, second, _] = consents.as_slice() else { unreachable!() };
    council.withdraw(*first).await;
    council.withdraw(*second).await;
    subscriber.window(3).await;
    let delivery = subscriber.delivery().await;
    assert_eq!(local_id(&delivery), "IC-3");
    let record = delivery.record.as_ref().unwrap();
    assert_eq!(record.grounds[0].consents.len(), 1);
    assert_eq!(record.field_groups, groups);
    let number = row(&exchange, &college).0;
    let fate = |delivery: u64| {
        let rows = |state: &State| {
            state.tables().deliveries.get(&(number, delivery)).map(|row| format!("{:?}", row.fate))
        };
        exchange.node.read(rows)
    };
    until("the ledger says that it did not leave", || fate(3).as_deref() == Some("NotSent")).await;
    subscriber.acknowledge(&delivery).await;
    consented(4).await;
    assert_eq!(local_id(&subscriber.delivery().await), "IC-4");
}

#[tokio::test]
async fn a_restriction_stops_what_is_queued_and_what_waits_to_leave() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let settled = || row(&exchange, &sds).1.settled;
    let mut subscriber = Subscriber::of(&sds, 3).await;
    publish(&council, 11).await;
    publish(&council, 12).await;
    let before = subscriber.deliveries(2).await;
    // As with a withdrawal: what is released by the credit that is left waits in memory.
    subscriber.acknowledge(&before[0]).await;
    until("the first is settled", || settled() == 1).await;
    subscriber.window(0).await;
    subscriber.acknowledge(&before[1]).await;
    until("the pause is heard", || settled() == 2).await;
    let mut clients = Vec::new();
    for number in 1..4 {
        clients.push(alias(&publish(&council, number).await.client));
        until("the first is released", || row(&exchange, &sds).1.outstanding() == 1).await;
    }
    let restrict = async |client: &concordat::model::id::AliasId| {
        let open = ledger::OpenCase {
            kind: i32::from(ledger::CaseKind::Restriction),
            client: client.as_bytes().to_vec().into(),
            requester: Some(ledger::Requester {
                relation: i32::from(ledger::Relation::Self_),
                identity: i32::from(ledger::IdentityCheck::Confirmed),
                ..ledger::Requester::default()
            }),
            received_at_ms: crate::harness::NOW.millis(),
            ..ledger::OpenCase::default()
        };
        let opened = council.submit(Command::OpenCase(open)).await.unwrap();
        let Receipt::Answer(Remembered::Case(case)) = opened else { unreachable!("{opened:?}") };
        let all = ledger::Measure {
            kind: i32::from(ledger::MeasureKind::Restrict),
            ..ledger::Measure::default()
        };
        let case = case.as_bytes().to_vec().into();
        let decide =
            ledger::DecideCase { case, measures: vec![all], ..ledger::DecideCase::default() };
        council.submit(Command::DecideCase(decide)).await.unwrap();
    };
    let [first, second, _] = clients.as_slice() else { unreachable!() };
    restrict(first).await;
    restrict(second).await;
    subscriber.window(3).await;
    assert_eq!(local_id(&subscriber.delivery().await), "IC-3");
    let number = row(&exchange, &sds).0;
    let fate = |delivery: u64| {
        let rows = |state: &State| {
            state.tables().deliveries.get(&(number, delivery)).map(|row| format!("{:?}", row.fate))
        };
        exchange.node.read(rows)
    };
    until("the ledger says that it did not leave", || fate(3).as_deref() == Some("NotSent")).await;
}

#[tokio::test]
async fn a_subscriber_that_never_acknowledges_gets_its_window_and_no_more() {
    let exchange = Exchange::start_with(Setup { pace: QUICK, ..Setup::default() }).await;
    let (council, sds) = exchange.partners().await;
    publish_all(&council, 0..20).await;
    let mut subscriber = Subscriber::of(&sds, 3).await;
    let deliveries = subscriber.deliveries(3).await;
    subscriber.heartbeats(3).await;
    assert_eq!(row(&exchange, &sds).1.outstanding(), 3, "nothing is released beyond the window");
    // A larger window lets more through at once, a smaller one takes nothing back.
    subscriber.window(5).await;
    subscriber.deliveries(2).await;
    subscriber.window(1).await;
    subscriber.acknowledge(&deliveries[2]).await;
    subscriber.heartbeats(2).await;
    assert_eq!(row(&exchange, &sds).1.outstanding(), 2);
}

#[tokio::test]
async fn acknowledgements_made_elsewhere_count_for_the_window() {
    let exchange = Exchange::start_with(Setup { pace: QUICK, ..Setup::default() }).await;
    let (council, sds) = exchange.partners().await;
    publish_all(&council, 0..4).await;
    let mut subscriber = Subscriber::of(&sds, 2).await;
    let deliveries = subscriber.deliveries(2).await;
    acknowledge(&sds, &deliveries[1].cursor).await.unwrap();
    subscriber.deliveries(2).await;
}

#[tokio::test]
async fn a_subscriber_that_never_reads_keeps_one_batch_and_what_the_connection_holds() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let mut subscriber = Subscriber::of(&sds, 1_000).await;
    publish_all(&council, 0..300).await;
    // Everything was released that fits the connection's windows, and one batch beside; the rest waits in the state.
    let released = || row(&exchange, &sds).1.next_delivery - 1;
    let (mut before, mut still) = (0, 0);
    for number in 1_000.. {
        publish(&council, number).await;
        still = if before == released() { still + 1 } else { 0 };
        before = released();
        if still == 20 {
            break;
        }
    }
    assert!(before < 250, "{before} were released to a subscriber that does not read");
    let mut heard = std::collections::BTreeSet::new();
    for _ in 0..300 {
        assert!(heard.insert(local_id(&subscriber.delivery().await)), "each comes once");
    }
}

#[tokio::test]
async fn a_cursor_of_another_agency_or_subscription_is_worth_nothing() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let college = exchange.agency("glen-college", AgencyKind::College).await;
    exchange
        .agree("college", &[&council, &college], vec![by_duty("duty", &council, &[&college])])
        .await;
    college.subscribe_to("leavers").await;
    sds.subscribe_to("second").await;
    publish(&council, 1).await;
    let mut subscriber = Subscriber::of(&sds, 0).await;
    let cursor = subscriber.delivery().await.cursor;
    let flipped: String = cursor.chars().rev().collect();
    for foreign in [cursor.as_str(), &flipped, "x", &"A".repeat(300)] {
        let resumed = SubscribeStart { resume_cursor: foreign.to_owned(), ..start(&college, 0) };
        let status = Subscriber::open(&college, resumed).await.err().unwrap();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "CURSOR_INVALID")
        );
        assert_eq!(reason(&acknowledge(&college, foreign).await.unwrap_err()), "CURSOR_INVALID");
    }
    let elsewhere = SubscribeStart {
        subscription: sds.subscription("second"),
        resume_cursor: cursor.clone(),
        ..start(&sds, 0)
    };
    let status = Subscriber::open(&sds, elsewhere).await.err().unwrap();
    assert_eq!(reason(&status), "CURSOR_INVALID");
    subscriber.say(Said::Acknowledge(SubscribeAcknowledge { through_cursor: flipped })).await;
    let status = loop {
        match subscriber.message().await {
            Ok(Some(_)) => {}
            Ok(None) => unreachable!("the stream ended well"),
            Err(status) => break status,
        }
    };
    assert_eq!(reason(&status), "CURSOR_INVALID");
}

#[tokio::test]
async fn a_stream_that_begins_badly_is_refused() {
    let exchange = Exchange::start().await;
    let (_council, sds) = exchange.partners().await;
    let stranger = exchange.agency("glen-college", AgencyKind::College).await;
    let foreign = SubscribeStart { request_id: stranger.request(), ..start(&sds, 0) };
    let status = Subscriber::open(&stranger, foreign).await.err().unwrap();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "NOT_AVAILABLE"));
    let unknown = SubscribeStart { subscription: sds.subscription("other"), ..start(&sds, 0) };
    assert_eq!(reason(&Subscriber::open(&sds, unknown).await.err().unwrap()), "NOT_AVAILABLE");
    for bad in [
        start(&sds, 1_001),
        SubscribeStart { request_id: "1".to_owned(), ..start(&sds, 0) },
        SubscribeStart { subscription: "leavers".to_owned(), ..start(&sds, 0) },
    ] {
        assert_eq!(reason(&Subscriber::open(&sds, bad).await.err().unwrap()), "INVALID_REQUEST");
    }
    let window = SubscribeRequest {
        context: context(),
        kind: Some(Said::Window(SubscribeWindow { window: 1 })),
    };
    let answer = sds.exchange().subscribe(futures::stream::iter([window])).await;
    assert_eq!(reason(&answer.err().unwrap()), "INVALID_REQUEST");

    // A second start ends the stream.
    let mut subscriber = Subscriber::of(&sds, 0).await;
    subscriber.say(Said::Start(start(&sds, 0))).await;
    assert_eq!(reason(&subscriber.message().await.unwrap_err()), "INVALID_REQUEST");
}

#[tokio::test]
async fn a_pull_gives_what_is_there_and_repeats_what_was_not_acknowledged() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    assert!(pull(&sds, 0).await.unwrap().deliveries.is_empty());
    publish_all(&council, 0..70).await;
    let first = pull(&sds, 3).await.unwrap().deliveries;
    let again = pull(&sds, 3).await.unwrap().deliveries;
    assert_eq!((first.len(), local_ids(&first)), (3, local_ids(&again)));
    assert_ne!(first[0].cursor, again[0].cursor);
    acknowledge(&sds, &again[2].cursor).await.unwrap();
    let mut heard: Vec<_> = local_ids(&again);
    loop {
        let deliveries = pull(&sds, 0).await.unwrap().deliveries;
        let Some(last) = deliveries.last() else { break };
        acknowledge(&sds, &last.cursor).await.unwrap();
        heard.extend(local_ids(&deliveries));
    }
    heard.sort();
    heard.dedup();
    assert_eq!(heard.len(), 70);
    assert_eq!(reason(&pull(&sds, 65).await.unwrap_err()), "INVALID_REQUEST");
    assert_eq!(reason(&pull(&sds, -1).await.unwrap_err()), "INVALID_REQUEST");
}

#[tokio::test]
async fn a_stream_is_told_why_it_ends() {
    let mut exchange = Exchange::start_with(Setup { pace: QUICK, ..Setup::default() }).await;
    let (council, sds) = exchange.partners().await;
    publish(&council, 1).await;

    let mut subscriber = Subscriber::of(&sds, 0).await;
    let delivery = subscriber.delivery().await;
    let seek = |after_delivery| {
        Command::SeekSubscription(ledger::SeekSubscription {
            subscription: "leavers".to_owned(),
            after_delivery,
        })
    };
    sds.submit(seek(0)).await.unwrap();
    let go_away = subscriber.go_away().await;
    assert_eq!((go_away.reason(), go_away.resume_cursor), (GoAwayReason::Sought, delivery.cursor));
    subscriber.half_close().await;

    let mut subscriber = Subscriber::of(&sds, 0).await;
    let delivery = subscriber.delivery().await;
    let (_, before) = row(&exchange, &sds);
    assert_eq!(before.outstanding(), 1);
    exchange.stop_gently();
    assert_eq!(subscriber.go_away().await.reason(), GoAwayReason::Shutdown);
    // Acknowledgements are still taken.
    subscriber.acknowledge(&delivery).await;
    subscriber.half_close().await;
    assert_eq!(row(&exchange, &sds).1.outstanding(), 0);
    drop(subscriber);
    exchange.stop().await;
}

#[tokio::test]
async fn a_removed_subscription_ends_its_stream() {
    let exchange = Exchange::start().await;
    let (_council, sds) = exchange.partners().await;
    let mut subscriber = Subscriber::of(&sds, 0).await;
    let remove = ledger::RemoveSubscription { subscription: "leavers".to_owned() };
    sds.submit(Command::RemoveSubscription(remove)).await.unwrap();
    assert_eq!(subscriber.go_away().await.reason(), GoAwayReason::Removed);
    subscriber.half_close().await;
}

#[tokio::test]
async fn a_suspended_agency_hears_why_and_nothing_more() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let mut subscriber = Subscriber::of(&sds, 0).await;
    exchange.suspend(&sds).await;
    publish(&council, 1).await;
    let heard = subscriber.next().await;
    let Some(Heard::GoAway(go_away)) = heard else { unreachable!("{heard:?}") };
    assert_eq!(go_away.reason(), GoAwayReason::AgencySuspended);
    assert_eq!(subscriber.next().await, None);
}

#[tokio::test]
async fn a_revoked_certificate_ends_a_live_stream() {
    let exchange = Exchange::start().await;
    let (_council, sds) = exchange.partners().await;
    let mut subscriber = Subscriber::of(&sds, 0).await;
    let serial = &sds.profile.certificate.serial;
    exchange.authority.revoke(serial, crate::harness::NOW).unwrap();
    exchange.trust.reload().unwrap();
    let ended = timeout(Duration::from_secs(5), subscriber.go_away()).await.unwrap();
    assert_eq!(ended.reason(), GoAwayReason::Certificate);
    assert_eq!(subscriber.next().await, None);
}
