//! Recalls, disclosures and disputes over the network: whoever got a record is told, whoever did not observes nothing.

use std::time::Duration;

use concordat::{
    ledger::checkpoint::is_signed,
    model::id::ConsentId,
    pb::{
        ledger::v1::{
            self as ledger, AgencyKind, DisputeAnswer, DisputeReason, KeepReason, NackReason,
            RecallAct, RecallReason, RetentionGround, VersionChange,
        },
        v1::{
            self as pb, Recall, SubscribeAcknowledge, SubscribeRequest, SubscribeResponse,
            SubscribeStart, consent_service_client::ConsentServiceClient,
            disclosure_service_client::DisclosureServiceClient,
            dispute_service_client::DisputeServiceClient,
            recall_service_client::RecallServiceClient, subscribe_request::Kind as Said,
            subscribe_response::Kind as Heard,
        },
    },
    service::exchange::Pace,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, transport::Channel};

use crate::harness::{
    Agency, Exchange, Setup, alias, by_consent, by_duty, context, draft, form, reason,
};

/// A deadline that a test reaches only if it fails.
const SOON: Duration = Duration::from_secs(30);

/// A subscriber's stream.
struct Stream {
    say: mpsc::Sender<SubscribeRequest>,
    hear: Streaming<SubscribeResponse>,
}

impl Stream {
    async fn of(agency: &Agency) -> Self {
        let (say, said) = mpsc::channel(64);
        let start = SubscribeStart {
            request_id: agency.request(),
            subscription: agency.subscription("leavers"),
            resume_cursor: String::new(),
            window: 0,
        };
        let first = SubscribeRequest { context: context(), kind: Some(Said::Start(start)) };
        say.send(first).await.unwrap();
        let hear = agency.exchange().subscribe(ReceiverStream::new(said)).await.unwrap();
        let mut stream = Self { say, hear: hear.into_inner() };
        assert!(matches!(stream.next().await, Heard::Started(_)));
        stream
    }

    /// What comes next, signs of life included.
    async fn next(&mut self) -> Heard {
        let message = timeout(SOON, self.hear.message()).await.unwrap();
        message.unwrap().unwrap().kind.unwrap()
    }

    /// What comes next but signs of life.
    async fn told(&mut self) -> Heard {
        loop {
            let heard = self.next().await;
            if !matches!(heard, Heard::Heartbeat(_)) {
                return heard;
            }
        }
    }

    async fn delivery(&mut self) -> pb::Delivery {
        let heard = self.told().await;
        let Heard::Delivery(delivery) = heard else { unreachable!("no delivery: {heard:?}") };
        delivery
    }

    async fn recall(&mut self) -> Recall {
        let heard = self.told().await;
        let Heard::Recall(recall) = heard else { unreachable!("no recall: {heard:?}") };
        recall
    }

    async fn acknowledge(&self, delivery: &pb::Delivery) {
        let through_cursor = delivery.cursor.clone();
        let kind = Some(Said::Acknowledge(SubscribeAcknowledge { through_cursor }));
        self.say.send(SubscribeRequest { context: None, kind }).await.unwrap();
    }
}

fn recalls(agency: &Agency) -> RecallServiceClient<Channel> {
    RecallServiceClient::new(agency.channel.clone())
}

fn disputes(agency: &Agency) -> DisputeServiceClient<Channel> {
    DisputeServiceClient::new(agency.channel.clone())
}

fn disclosures(agency: &Agency) -> DisclosureServiceClient<Channel> {
    DisclosureServiceClient::new(agency.channel.clone())
}

fn bytes(name: &str) -> bytes::Bytes {
    let digits = name.rsplit('/').next().unwrap();
    u128::from_str_radix(digits, 16).unwrap().to_be_bytes().to_vec().into()
}

async fn publish(
    agency: &Agency,
    supersedes: &str,
    change: VersionChange,
) -> Result<pb::PublishReceipt, Status> {
    let record = pb::RecordDraft {
        supersedes: supersedes.to_owned(),
        change: i32::from(change),
        ..draft(&form(1))
    };
    let request = pb::PublishRecordRequest {
        context: context(),
        request_id: agency.request(),
        record: Some(record),
        validate_only: false,
    };
    Ok(agency.exchange().publish_record(request).await?.into_inner().receipt.unwrap())
}

async fn pull(agency: &Agency) -> pb::PullRecordsResponse {
    let request = pb::PullRecordsRequest {
        context: context(),
        request_id: agency.request(),
        subscription: agency.subscription("leavers"),
        max_records: 0,
    };
    agency.exchange().pull_records(request).await.unwrap().into_inner()
}

/// Withdraws a consent over the network and asks for everything back.
async fn withdraw_and_recall(agency: &Agency, consent: ConsentId) {
    let consent = consent.as_bytes().to_vec().into();
    let withdraw = ledger::WithdrawConsent {
        consent,
        recipients: Vec::new(),
        recall: true,
        groups: Vec::new(),
    };
    let request = pb::WithdrawConsentRequest {
        context: context(),
        request_id: agency.request(),
        withdraw: Some(withdraw),
        evidence: None,
        validate_only: false,
    };
    let mut consents = ConsentServiceClient::new(agency.channel.clone());
    consents.withdraw_consent(request).await.unwrap();
}

async fn retract(agency: &Agency, record: &str, reason: RecallReason) -> Result<String, Status> {
    let request = pb::RetractRecordRequest {
        context: context(),
        request_id: agency.request(),
        retract: Some(ledger::RetractRecord { record: bytes(record), reason: i32::from(reason) }),
        validate_only: false,
    };
    Ok(recalls(agency).retract_record(request).await?.into_inner().record)
}

async fn inbox(agency: &Agency) -> Vec<Recall> {
    let request = pb::ListRecallsRequest {
        context: context(),
        acknowledged_too: false,
        page_size: 0,
        page_token: String::new(),
    };
    recalls(agency).list_recalls(request).await.unwrap().into_inner().recalls
}

async fn issued(agency: &Agency) -> Vec<Recall> {
    let request = pb::ListIssuedRecallsRequest {
        context: context(),
        record: String::new(),
        acknowledged_too: false,
        page_size: 0,
        page_token: String::new(),
    };
    recalls(agency).list_issued_recalls(request).await.unwrap().into_inner().recalls
}

async fn acknowledge(
    agency: &Agency,
    recall: &str,
    (act, ground): (RecallAct, RetentionGround),
) -> Result<Recall, Status> {
    let request = pb::AcknowledgeRecallRequest {
        context: context(),
        request_id: agency.request(),
        acknowledge: Some(ledger::AcknowledgeRecall {
            recall: bytes(recall),
            act: i32::from(act),
            ground: i32::from(ground),
        }),
        validate_only: false,
    };
    Ok(recalls(agency).acknowledge_recall(request).await?.into_inner().recall.unwrap())
}

const DELETED: (RecallAct, RetentionGround) = (RecallAct::Deleted, RetentionGround::Unspecified);

async fn certificate(agency: &Agency, record: &str) -> Result<(String, u32), Status> {
    let record = record.to_owned();
    let request = pb::GetDisposalCertificateRequest { context: context(), record };
    let answer = recalls(agency).get_disposal_certificate(request).await?.into_inner();
    Ok((answer.certificate, answer.outstanding_count))
}

/// Everything that an agency can observe of recalls and records.
async fn observed(agency: &Agency) -> (Vec<Recall>, usize, usize, u64) {
    let pulled = pull(agency).await;
    let released = agency.node.read(|state| {
        let number = state.agency_number(&agency.id).unwrap();
        state.subscriptions_of(number).map(|(_, row)| row.next_delivery).sum()
    });
    (inbox(agency).await, pulled.recalls.len(), pulled.deliveries.len(), released)
}

/// A council and six colleges under one agreement, of which five are named by a consent to the council's one record.
struct Six {
    exchange: Exchange,
    council: Agency,
    members: Vec<Agency>,
}

impl Six {
    async fn meet() -> Self {
        let pace = Pace { heartbeat: Duration::from_millis(200), ..Pace::default() };
        let exchange = Exchange::start_with(Setup { pace, ..Setup::default() }).await;
        let council = exchange.agency("inverclyde-council", AgencyKind::Council).await;
        let mut members = Vec::new();
        for id in ["college-a", "college-b", "college-c", "college-d", "away", "sixth"] {
            members.push(exchange.agency(id, AgencyKind::College).await);
        }
        let everybody: Vec<&Agency> = members.iter().collect();
        let parties: Vec<&Agency> = std::iter::once(&council).chain(members.iter()).collect();
        let flow = by_consent("consented", &council, &everybody);
        exchange.agree("leavers", &parties, vec![flow]).await;
        for member in &members {
            member.subscribe_to("leavers").await;
        }
        Self { exchange, council, members }
    }

    /// Publishes version 1, which five may have, and version 2, for which four are there. Gives both, the streams of the
    /// four, and the consent.
    async fn share(&self) -> (pb::PublishReceipt, pb::PublishReceipt, Vec<Stream>, ConsentId) {
        let council = &self.council;
        let [a, b, c, d, away, _sixth] = self.members.as_slice() else { unreachable!() };
        let first = publish(council, "", VersionChange::Unspecified).await.unwrap();
        let client = alias(&first.client);
        let five = [a, b, c, d, away];
        let consent = council.record_consent(client, &["core", "identity"], &five).await.unwrap();
        self.exchange.at_rest().await;
        let mut streams = Vec::new();
        for member in [a, b, c, d] {
            let mut stream = Stream::of(member).await;
            let delivery = stream.delivery().await;
            stream.acknowledge(&delivery).await;
            streams.push(stream);
        }
        assert_eq!(pull(away).await.deliveries.len(), 1);
        let second = publish(council, &first.record, VersionChange::Update).await.unwrap();
        for stream in &mut streams {
            let delivery = stream.delivery().await;
            assert_eq!(delivery.record.as_ref().unwrap().name, second.record);
            stream.acknowledge(&delivery).await;
        }
        (first, second, streams, consent)
    }

    /// Holds that the certificate is signed, and says what it must.
    async fn certified(&self, record: &str) {
        let (note, owed) = certificate(&self.council, record).await.unwrap();
        let (key, origin) = self.exchange.node.read(|state| {
            let origin = format!("concordat-disposal/{}", state.ledger());
            (state.chain().checkpoint_key, origin)
        });
        assert_eq!(owed, 0);
        assert!(is_signed(&note, &origin, &key) && !note.contains("sixth"), "{note}");
        assert!(!is_signed(&note.replace("DELETED", "KEPT"), &origin, &key));
    }
}

#[tokio::test]
async fn of_six_subscribers_four_answer_one_is_away_and_one_never_got_anything() {
    let six = Six::meet().await;
    let (council, members) = (&six.council, &six.members);
    let [.., away, sixth] = members.as_slice() else { unreachable!() };
    let before = observed(sixth).await;
    let mut silent = Stream::of(sixth).await;
    let (first, second, mut streams, consent) = six.share().await;

    withdraw_and_recall(council, consent).await;
    for (stream, member) in streams.iter_mut().zip(members) {
        let recall = stream.recall().await;
        assert_eq!(recall.reason(), RecallReason::ConsentWithdrawn);
        assert_eq!((&recall.record, recall.field_groups.len()), (&second.record, 2));
        assert_eq!(recall.recipient, format!("agencies/{}", member.id));
        let answered = acknowledge(member, &recall.name, DELETED).await.unwrap();
        assert!(answered.handed_over_time.is_some() && answered.acknowledged_time.is_some());
    }

    // Exactly one is outstanding, and is named.
    let outstanding = issued(council).await;
    let [open] = outstanding.as_slice() else { unreachable!("{outstanding:?}") };
    assert_eq!(open.recipient, "agencies/away");
    assert!(open.handed_over_time.is_none());
    assert_eq!(certificate(council, &first.record).await.unwrap().1, 1);

    // It returns: it gets the recall and nothing else.
    let pulled = pull(away).await;
    assert!(pulled.deliveries.is_empty(), "{:?}", pulled.deliveries);
    let [recall] = pulled.recalls.as_slice() else { unreachable!("{:?}", pulled.recalls) };
    assert_eq!(recall.record, first.record, "version 2 never reached it");
    assert!(pull(away).await.recalls.is_empty(), "it was put before it");
    assert_eq!(inbox(away).await.len(), 1, "and stays until it is answered");
    let mut stream = Stream::of(away).await;
    assert_eq!(stream.recall().await.name, recall.name, "a new stream begins with it");
    acknowledge(away, &recall.name, DELETED).await.unwrap();
    assert!(issued(council).await.is_empty());
    six.certified(&first.record).await;

    // The sixth heard nothing but signs of life, and observes what it observed before.
    for _ in 0..2 {
        assert!(matches!(silent.next().await, Heard::Heartbeat(_)));
    }
    drop(silent);
    assert_eq!(observed(sixth).await, before);
    let stranger = acknowledge(sixth, &recall.name, DELETED).await.unwrap_err();
    let nothing = format!("recalls/{}", "0".repeat(32));
    let unknown = acknowledge(sixth, &nothing, DELETED).await.unwrap_err();
    assert_eq!((stranger.code(), reason(&stranger)), (Code::NotFound, reason(&unknown)));
    assert_eq!(stranger.message(), unknown.message());
}

#[tokio::test]
async fn a_correction_comes_before_the_version_that_puts_it_right() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let first = publish(&council, "", VersionChange::Unspecified).await.unwrap();
    let mut stream = Stream::of(&sds).await;
    let delivery = stream.delivery().await;
    stream.acknowledge(&delivery).await;
    let second = publish(&council, &first.record, VersionChange::Correction).await.unwrap();
    let recall = stream.recall().await;
    assert_eq!((recall.reason(), &recall.record), (RecallReason::Corrected, &first.record));
    assert_eq!(
        recall.client,
        delivery.record.unwrap().client,
        "by the name that it was sent under"
    );
    assert_eq!(stream.delivery().await.record.unwrap().name, second.record);
    let corrected = (RecallAct::Corrected, RetentionGround::Unspecified);
    assert_eq!(
        acknowledge(&sds, &recall.name, corrected).await.unwrap().act(),
        RecallAct::Corrected
    );
    let again = acknowledge(&sds, &recall.name, corrected).await.unwrap_err();
    assert_eq!(reason(&again), "RECALL_WRONG_STATE");
    let new = publish(&council, "", VersionChange::Correction).await.unwrap_err();
    assert_eq!((new.code(), reason(&new).as_str()), (Code::InvalidArgument, "INVALID_REQUEST"));
}

#[tokio::test]
async fn a_retracted_record_is_gone_for_its_recipients_and_ends_for_its_publisher() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let first = publish(&council, "", VersionChange::Unspecified).await.unwrap();
    assert_eq!(pull(&sds).await.deliveries.len(), 1);
    let foreign = retract(&sds, &first.record, RecallReason::Unlawful).await.unwrap_err();
    assert_eq!(reason(&foreign), "NOT_AVAILABLE");
    let gone = retract(&council, &first.record, RecallReason::WrongPerson).await.unwrap();
    assert_eq!(gone, first.record);
    let again = retract(&council, &first.record, RecallReason::WrongPerson).await.unwrap_err();
    assert_eq!(reason(&again), "RECORD_WRONG_STATE");
    let over = publish(&council, &first.record, VersionChange::Update).await.unwrap_err();
    assert_eq!(reason(&over), "RECORD_WRONG_STATE");
    let [recall] = inbox(&sds).await.try_into().unwrap();
    assert_eq!(recall.reason(), RecallReason::WrongPerson);
    let get = |agency: &Agency| pb::GetRecordRequest {
        context: context(),
        request_id: agency.request(),
        name: first.record.clone(),
        reason: 1,
    };
    let refused = sds.exchange().get_record(get(&sds)).await.unwrap_err();
    assert_eq!(reason(&refused), "NOT_AVAILABLE");
    assert!(council.exchange().get_record(get(&council)).await.is_ok(), "its publisher keeps it");
    let corrected = (RecallAct::Corrected, RetentionGround::Unspecified);
    let unfit = acknowledge(&sds, &recall.name, corrected).await.unwrap_err();
    assert_eq!(reason(&unfit), "RECALL_ACT_NOT_ALLOWED");
    let kept = (RecallAct::Kept, RetentionGround::Safeguarding);
    acknowledge(&sds, &recall.name, kept).await.unwrap();
    let (note, owed) = certificate(&council, &first.record).await.unwrap();
    assert!(owed == 0 && note.contains("KEPT SAFEGUARDING"), "{note}");
    assert_eq!(reason(&certificate(&sds, &first.record).await.unwrap_err()), "NOT_AVAILABLE");
}

#[tokio::test]
async fn the_end_of_an_agreement_asks_back_what_was_received_on_it_and_names_the_agreement() {
    let exchange = Exchange::start().await;
    let council = exchange.agency("inverclyde-council", AgencyKind::Council).await;
    let sds = exchange.agency("skills", AgencyKind::NationalBody).await;
    let health = exchange.agency("health", AgencyKind::HealthBoard).await;
    let charity = exchange.agency("charity", AgencyKind::Voluntary).await;
    let flows = vec![by_duty("duty", &council, &[&sds, &health, &charity])];
    exchange.agree("leavers", &[&council, &sds, &health, &charity], flows).await;
    let flows = vec![by_duty("duty", &council, &[&health])];
    exchange.agree("other", &[&council, &health], flows).await;
    for agency in [&sds, &health, &charity] {
        agency.subscribe_to("leavers").await;
    }
    let receipt = publish(&council, "", VersionChange::Unspecified).await.unwrap();
    assert_eq!(pull(&sds).await.deliveries.len(), 1);
    assert_eq!(pull(&health).await.deliveries.len(), 1);
    let end = ledger::EndAgreement { agreement: "leavers".to_owned() };
    sds.submit(ledger::command::Kind::EndAgreement(end)).await.unwrap();
    let [recall] = inbox(&sds).await.try_into().unwrap();
    assert_eq!(recall.reason(), RecallReason::AgreementEnded);
    assert_eq!(
        (recall.agreement.as_str(), &recall.record),
        ("agreements/leavers", &receipt.record)
    );
    assert_eq!(recall.disposal(), ledger::Disposal::Delete);
    assert!(inbox(&health).await.is_empty(), "the other agreement gives as much");
    assert!(inbox(&charity).await.is_empty(), "it never pulled anything");
    assert!(pull(&charity).await.deliveries.is_empty());
    let [owed] = issued(&council).await.try_into().unwrap();
    assert_eq!(
        (owed.recipient.as_str(), owed.agreement.as_str()),
        ("agencies/skills", "agreements/leavers")
    );
    assert!(issued(&sds).await.is_empty() && issued(&health).await.is_empty());
    let (note, outstanding) = certificate(&council, &receipt.record).await.unwrap();
    assert!(outstanding == 1 && note.contains("AGREEMENT_ENDED"), "{note}");
    let returned = (RecallAct::Returned, RetentionGround::Unspecified);
    let unfit = acknowledge(&sds, &recall.name, returned).await.unwrap_err();
    assert_eq!(reason(&unfit), "RECALL_ACT_NOT_ALLOWED", "the terms ask for deletion alone");
    acknowledge(&sds, &recall.name, DELETED).await.unwrap();
    let (note, outstanding) = certificate(&council, &receipt.record).await.unwrap();
    assert!(outstanding == 0 && note.contains(" DELETED"), "{note}");
}

#[tokio::test]
async fn a_publisher_sees_where_its_record_stands_and_who_was_sent_it() {
    let exchange = Exchange::start().await;
    let council = exchange.agency("inverclyde-council", AgencyKind::Council).await;
    let sds = exchange.agency("skills", AgencyKind::NationalBody).await;
    let college = exchange.agency("glen-college", AgencyKind::College).await;
    let flows =
        vec![by_duty("duty", &council, &[&sds]), by_consent("consented", &council, &[&college])];
    exchange.agree("leavers", &[&council, &sds, &college], flows).await;
    sds.subscribe_to("leavers").await;
    college.subscribe_to("leavers").await;
    let receipt = publish(&council, "", VersionChange::Unspecified).await.unwrap();
    let status = |agency: &Agency| {
        let mut stub = disclosures(agency);
        let record = receipt.record.clone();
        let request = pb::GetRecordStatusRequest { context: context(), record, reason: 1 };
        async move { stub.get_record_status(request).await.map(|a| a.into_inner().status.unwrap()) }
    };
    assert!(status(&council).await.unwrap().disclosures.is_empty());
    let delivery = pull(&sds).await.deliveries.remove(0);
    assert!(pull(&college).await.deliveries.is_empty());
    let [sent] = status(&council).await.unwrap().disclosures.try_into().unwrap();
    assert_eq!((sent.recipient.as_str(), sent.acknowledged), ("agencies/skills", false));
    assert_eq!(sent.grounds[0].agreement, "agreements/leavers");
    assert!(sent.last_time.is_some() && sent.field_groups.contains(&"core".to_owned()));
    let acknowledge = pb::AcknowledgeRecordsRequest {
        context: context(),
        request_id: sds.request(),
        subscription: sds.subscription("leavers"),
        through_cursor: delivery.cursor,
        nacks: Vec::new(),
    };
    sds.exchange().acknowledge_records(acknowledge).await.unwrap();
    retract(&council, &receipt.record, RecallReason::Unlawful).await.unwrap();
    let stands = status(&council).await.unwrap();
    assert_eq!(stands.retracted(), RecallReason::Unlawful);
    let [sent] = stands.disclosures.try_into().unwrap();
    assert!(sent.acknowledged && sent.parked() == NackReason::Unspecified);
    assert_eq!(sent.recalled(), RecallReason::Unlawful);
    assert_eq!(reason(&status(&sds).await.unwrap_err()), "NOT_AVAILABLE");
    let who_saw = |agency: &Agency| {
        let mut stub = disclosures(agency);
        let request = pb::ListDisclosuresRequest {
            context: context(),
            client: receipt.client.clone(),
            reason: 1,
            page_size: 0,
            page_token: String::new(),
        };
        async move { stub.list_disclosures(request).await.map(|a| a.into_inner().disclosures) }
    };
    let mut listed = who_saw(&council).await.unwrap();
    assert_eq!(listed.len(), 1);
    for id in listed.iter_mut().map(|one| &mut one.decision_id) {
        assert!(*id != sent.decision_id && id.len() == sent.decision_id.len());
        id.clone_from(&sent.decision_id);
    }
    assert_eq!(listed, [sent]);
    assert_eq!(reason(&who_saw(&college).await.unwrap_err()), "NOT_AVAILABLE");
}

#[tokio::test]
async fn a_dispute_is_opened_answered_and_seen_by_both_sides_alone() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let other = exchange.agency("other", AgencyKind::Council).await;
    let receipt = publish(&council, "", VersionChange::Unspecified).await.unwrap();
    let open = |agency: &Agency, group: &str, field: &str| {
        let mut stub = disputes(agency);
        let request = pb::OpenDisputeRequest {
            context: context(),
            request_id: agency.request(),
            open: Some(ledger::OpenDispute {
                record: bytes(&receipt.record),
                group: group.to_owned(),
                field: field.to_owned(),
                reason: i32::from(DisputeReason::OutOfDate),
            }),
            evidence: Some(ledger::Evidence { reference: "file 17".to_owned(), consent: None }),
            validate_only: false,
        };
        async move { stub.open_dispute(request).await.map(|a| a.into_inner().dispute.unwrap()) }
    };
    assert_eq!(reason(&open(&sds, "core", "core.status").await.unwrap_err()), "NOT_AVAILABLE");
    assert_eq!(pull(&sds).await.deliveries.len(), 1);
    let wrong = open(&sds, "core", "identity.surname").await.unwrap_err();
    assert_eq!(reason(&wrong), "INVALID_REQUEST", "the field is of another group");
    assert_eq!(reason(&open(&other, "core", "").await.unwrap_err()), "NOT_AVAILABLE");
    let dispute = open(&sds, "core", "core.status").await.unwrap();
    assert!(!dispute.overdue && dispute.due_time.is_some());
    let list = |agency: &Agency, published| {
        let mut stub = disputes(agency);
        let request = pb::ListDisputesRequest {
            context: context(),
            published,
            answered_too: false,
            page_size: 0,
            page_token: String::new(),
        };
        async move { stub.list_disputes(request).await.unwrap().into_inner().disputes }
    };
    assert_eq!(list(&sds, false).await.len(), 1);
    assert_eq!(list(&council, true).await[0].name, dispute.name);
    assert_ne!(list(&council, true).await[0].client, dispute.client, "each by its own name");
    assert!(list(&other, true).await.is_empty() && list(&council, false).await.is_empty());
    let answer = |agency: &Agency, answer, keep_reason| {
        let mut stub = disputes(agency);
        let request = pb::AnswerDisputeRequest {
            context: context(),
            request_id: agency.request(),
            answer: Some(ledger::AnswerDispute {
                dispute: bytes(&dispute.name),
                answer: i32::from(answer),
                keep_reason: i32::from(keep_reason),
            }),
            evidence: None,
            validate_only: false,
        };
        async move { stub.answer_dispute(request).await.map(|a| a.into_inner().dispute.unwrap()) }
    };
    let kept = (DisputeAnswer::Kept, KeepReason::AsRecorded);
    assert_eq!(reason(&answer(&sds, kept.0, kept.1).await.unwrap_err()), "NOT_AVAILABLE");
    let unproven = (DisputeAnswer::Corrected, KeepReason::Unspecified);
    let refused = answer(&council, unproven.0, unproven.1).await.unwrap_err();
    assert_eq!(reason(&refused), "DISPUTE_WRONG_STATE");
    let answered = answer(&council, kept.0, kept.1).await.unwrap();
    assert_eq!(answered.keep_reason(), KeepReason::AsRecorded);
    assert!(list(&sds, false).await.is_empty(), "it is answered");
}
