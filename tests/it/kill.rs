//! `kill -9` of the real process under load: what was acknowledged is there after the restart, and nothing is lost for a
//! subscriber (G1, G13).
//!
//! One exchange lives through all the kills. Its publisher keeps four requests in flight, its subscriber acknowledges as
//! it reads; the moment of each kill is a number of acknowledgements drawn from a seed. `CONCORDAT_KILLS` says how many
//! kills there are; 3 unless said.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use concordat::pb::v1::{
    AcknowledgeRecordsRequest, GetRecordRequest, PublishReceipt, PublishRecordRequest,
    SubscribeRequest, SubscribeStart, exchange_service_client::ExchangeServiceClient,
    subscribe_request, subscribe_response,
};
use futures::future::join_all;
use tokio::{sync::Notify, time::timeout};
use tonic::transport::Channel;

use crate::{
    harness::{context, draft},
    ledger_samples::Dice,
    place::{Place, Process},
};

const SUBSCRIPTION: &str = "agencies/skills/subscriptions/leavers";
/// No step takes as long on any machine.
const PATIENCE: Duration = Duration::from_mins(2);
/// How many requests the publisher has in flight.
const IN_FLIGHT: usize = 4;

fn kills() -> u64 {
    std::env::var("CONCORDAT_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// What its callers know of the exchange, whatever becomes of it.
#[derive(Default)]
struct Known {
    next: AtomicU32,
    /// Publications by number: the request, and the receipt once there is one.
    published: Mutex<BTreeMap<u32, (String, Option<PublishReceipt>)>>,
    acknowledged: AtomicUsize,
    received: Mutex<BTreeSet<String>>,
    /// Records whose delivery was acknowledged, and the exchange said so.
    settled: Mutex<BTreeSet<String>>,
    came: Notify,
}

impl Known {
    fn receipts(&self) -> Vec<(u32, String, PublishReceipt)> {
        let published = self.published.lock().unwrap();
        let receipt = |(number, (request, receipt)): (&u32, &(String, Option<PublishReceipt>))| {
            receipt.clone().map(|receipt| (*number, request.clone(), receipt))
        };
        published.iter().filter_map(receipt).collect()
    }
}

fn publication(place: &Place, number: u32, request_id: &str) -> PublishRecordRequest {
    PublishRecordRequest {
        context: context(),
        request_id: request_id.to_owned(),
        record: Some(draft(&place.form(number))),
        validate_only: false,
    }
}

/// Publishes until the exchange is gone.
async fn publish(place: &Place, known: &Known, mut exchange: ExchangeServiceClient<Channel>) {
    loop {
        let number = known.next.fetch_add(1, Ordering::Relaxed);
        let request = place.request();
        known.published.lock().unwrap().insert(number, (request.clone(), None));
        let Ok(answer) = exchange.publish_record(publication(place, number, &request)).await else {
            return;
        };
        let receipt = answer.into_inner().receipt.unwrap();
        known.published.lock().unwrap().insert(number, (request, Some(receipt)));
        known.acknowledged.fetch_add(1, Ordering::Relaxed);
        known.came.notify_waiters();
    }
}

/// Reads and acknowledges until the exchange is gone. What was settled before must not come again.
async fn subscribe(place: &Place, known: &Known, mut exchange: ExchangeServiceClient<Channel>) {
    let start = SubscribeStart {
        request_id: place.request(),
        subscription: SUBSCRIPTION.to_owned(),
        resume_cursor: String::new(),
        window: 32,
    };
    let kind = Some(subscribe_request::Kind::Start(start));
    let start = SubscribeRequest { context: context(), kind };
    let (_open, receive) = tokio::sync::mpsc::channel(1);
    let requests = futures::StreamExt::chain(
        futures::stream::iter([start]),
        tokio_stream::wrappers::ReceiverStream::new(receive),
    );
    let Ok(stream) = exchange.subscribe(requests).await else { return };
    let mut stream = stream.into_inner();
    let mut unsettled = Vec::new();
    while let Ok(Some(response)) = stream.message().await {
        let Some(subscribe_response::Kind::Delivery(delivery)) = response.kind else { continue };
        let record = delivery.record.unwrap().name;
        assert!(!known.settled.lock().unwrap().contains(&record), "{record} came again");
        known.received.lock().unwrap().insert(record.clone());
        unsettled.push(record);
        known.came.notify_waiters();
        if 8 <= unsettled.len() {
            let request = AcknowledgeRecordsRequest {
                context: context(),
                request_id: place.request(),
                subscription: SUBSCRIPTION.to_owned(),
                through_cursor: delivery.cursor,
                nacks: Vec::new(),
            };
            if exchange.acknowledge_records(request).await.is_err() {
                return;
            }
            known.settled.lock().unwrap().extend(unsettled.drain(..));
        }
    }
}

/// One life of the process: load, until so many publications have been acknowledged, and the kill.
async fn live(place: &Arc<Place>, known: &Arc<Known>, process: Process, until: usize) {
    let mut tasks = Vec::new();
    for _ in 0..IN_FLIGHT {
        let (place, known) = (Arc::clone(place), Arc::clone(known));
        let exchange = place.exchange("council", &process).await;
        tasks.push(tokio::spawn(async move { publish(&place, &known, exchange).await }));
    }
    {
        let (place, known) = (Arc::clone(place), Arc::clone(known));
        let exchange = place.exchange("skills", &process).await;
        tasks.push(tokio::spawn(async move { subscribe(&place, &known, exchange).await }));
    }
    let enough = known.acknowledged.load(Ordering::Relaxed) + until;
    reach(known, |known| enough <= known.acknowledged.load(Ordering::Relaxed)).await;
    process.kill().await;
    for ended in timeout(PATIENCE, join_all(tasks)).await.unwrap() {
        ended.unwrap();
    }
}

/// Waits until something holds of what is known.
async fn reach(known: &Known, holds: impl Fn(&Known) -> bool) {
    let reached = async {
        loop {
            let news = known.came.notified();
            if holds(known) {
                return;
            }
            news.await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap();
}

/// Holds that what was acknowledged is there: the same request gets the same receipt, and the record opens.
async fn check(place: &Place, process: &Process, receipts: &[(u32, String, PublishReceipt)]) {
    let mut exchange = place.exchange("council", process).await;
    for (number, request, receipt) in receipts {
        let again = exchange.publish_record(publication(place, *number, request)).await.unwrap();
        assert_eq!(again.into_inner().receipt.as_ref(), Some(receipt), "number {number}");
    }
    for (_, _, receipt) in receipts.iter().rev().take(IN_FLIGHT) {
        let request = GetRecordRequest {
            context: context(),
            request_id: place.request(),
            name: receipt.record.clone(),
            reason: 1,
        };
        let opened = exchange.get_record(request).await.unwrap().into_inner();
        assert_eq!(opened.record.unwrap().client, receipt.client);
    }
}

/// Repeats what was never answered.
async fn settle_the_rest(place: &Place, known: &Known, process: &Process) {
    let mut exchange = place.exchange("council", process).await;
    let published = known.published.lock().unwrap().clone();
    for (number, (request, receipt)) in published {
        if receipt.is_none() {
            let answer = exchange.publish_record(publication(place, number, &request)).await;
            let receipt = answer.unwrap().into_inner().receipt;
            known.published.lock().unwrap().insert(number, (request, receipt));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_exchange_keeps_what_it_acknowledged_and_loses_nothing_for_a_subscriber() {
    let place = Arc::new(Place::of_partners(&["skills"]).await);
    let known = Arc::new(Known::default());
    let mut dice = Dice(2_026);
    let mut checked = 0;
    for _ in 0..kills() {
        let process = place.serve().await;
        let receipts = known.receipts();
        check(&place, &process, &receipts[checked..]).await;
        checked = receipts.len();
        let until = usize::try_from(1 + dice.below(60)).unwrap();
        live(&place, &known, process, until).await;
    }
    // In peace at last: everything is there, also what was asked for and never answered, once it is repeated.
    let process = place.serve().await;
    settle_the_rest(&place, &known, &process).await;
    let receipts = known.receipts();
    check(&place, &process, &receipts).await;
    let wanted: BTreeSet<_> = receipts.into_iter().map(|(_, _, receipt)| receipt.record).collect();
    assert!(usize::try_from(kills()).unwrap() <= wanted.len());
    let reading = {
        let (place, known) = (Arc::clone(&place), Arc::clone(&known));
        let exchange = place.exchange("skills", &process).await;
        tokio::spawn(async move { subscribe(&place, &known, exchange).await })
    };
    reach(&known, |known| {
        let received = known.received.lock().unwrap();
        // The last few fill no group that is acknowledged; they have come all the same.
        wanted.difference(&received).count() == 0
    })
    .await;
    process.kill().await;
    timeout(PATIENCE, reading).await.unwrap().unwrap();
}
