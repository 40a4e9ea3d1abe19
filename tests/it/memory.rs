//! Memory is bounded under a subscriber that never acknowledges and one that never reads (G13).
//!
//! Two bounds, each for what it can show. By structure: no more is released to a subscriber than its window, so what waits
//! for it waits on disk and in the queue's rows. By measure, coarsely: the process's resident memory grows by less than
//! [`GROWTH_KIB_MAX`] over the load, which holds the rows of every record published and the ledger's bounded tail (8 MiB),
//! but not their bodies once per subscriber. `CONCORDAT_LOAD` says how many records are published; 1,500 unless said.

use concordat::pb::v1::{
    GetSubscriptionRequest, PublishRecordsRequest, SubscribeRequest, SubscribeStart, Subscription,
    publish_records_response::Outcome, subscribe_request, subscribe_response,
    subscription_service_client::SubscriptionServiceClient,
};
use futures::StreamExt;
use tonic::{Streaming, transport::Channel};

use crate::{
    harness::{context, draft},
    place::{Place, Process},
};

/// 64 MiB.
const GROWTH_KIB_MAX: u64 = 64 << 10;
/// The window of the one that never acknowledges.
const WINDOW: u32 = 100;
/// The window of the one that never reads: the greatest there is.
const WINDOW_MAX: u32 = 1_000;

fn load() -> u32 {
    std::env::var("CONCORDAT_LOAD").ok().and_then(|text| text.parse().ok()).unwrap_or(1_500)
}

/// Opens a stream that stays open as long as what is returned is kept.
async fn subscribe(
    place: &Place,
    process: &Process,
    (id, window): (&str, u32),
) -> (Streaming<concordat::pb::v1::SubscribeResponse>, tokio::sync::mpsc::Sender<SubscribeRequest>)
{
    let start = SubscribeStart {
        request_id: place.request(),
        subscription: format!("agencies/{id}/subscriptions/leavers"),
        resume_cursor: String::new(),
        window,
    };
    let kind = Some(subscribe_request::Kind::Start(start));
    let (send, receive) = tokio::sync::mpsc::channel(1);
    send.send(SubscribeRequest { context: context(), kind }).await.unwrap();
    let requests = tokio_stream::wrappers::ReceiverStream::new(receive);
    let mut exchange = place.exchange(id, process).await;
    (exchange.subscribe(requests).await.unwrap().into_inner(), send)
}

async fn publish_all(place: &Place, process: &Process, numbers: std::ops::Range<u32>) {
    let requests: Vec<_> = numbers
        .clone()
        .map(|number| PublishRecordsRequest {
            context: context(),
            request_id: place.request(),
            record: Some(draft(&place.form(number))),
            validate_only: false,
        })
        .collect();
    let mut exchange = place.exchange("council", process).await;
    let answers = exchange.publish_records(futures::stream::iter(requests)).await.unwrap();
    let mut published = 0;
    let mut answers = answers.into_inner();
    while let Some(answer) = answers.next().await {
        let outcome = answer.unwrap().outcome;
        assert!(matches!(outcome, Some(Outcome::Receipt(_))), "{outcome:?}");
        published += 1;
    }
    assert_eq!(published, numbers.end - numbers.start);
}

async fn shown(place: &Place, process: &Process, id: &str) -> Subscription {
    let channel: Channel = place.channel(id, &process.address).await;
    let request = GetSubscriptionRequest {
        context: context(),
        name: format!("agencies/{id}/subscriptions/leavers"),
    };
    let answer = SubscriptionServiceClient::new(channel).get_subscription(request).await.unwrap();
    answer.into_inner().subscription.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_whatever_subscribers_leave_undone() {
    let place = Place::of_partners(&["never-acknowledges", "never-reads"]).await;
    let process = place.serve().await;
    // Everything that is made once is made before the measure is taken.
    publish_all(&place, &process, 0..100).await;
    let (mut read, _open) = subscribe(&place, &process, ("never-acknowledges", WINDOW)).await;
    let (_unread, _open_too) = subscribe(&place, &process, ("never-reads", WINDOW_MAX)).await;
    let mut received = 0;
    while received < 100 {
        let response = read.message().await.unwrap().unwrap();
        received += u32::from(matches!(response.kind, Some(subscribe_response::Kind::Delivery(_))));
    }
    let before = process.resident_kib();
    publish_all(&place, &process, 100..load()).await;
    let growth = process.resident_kib().saturating_sub(before);
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB for {} records", load());

    let unacknowledged = shown(&place, &process, "never-acknowledges").await;
    assert_eq!(unacknowledged.outstanding_count, WINDOW);
    assert_eq!(u32::try_from(unacknowledged.released_count), Ok(WINDOW));
    let unread = shown(&place, &process, "never-reads").await;
    assert!(unread.outstanding_count <= WINDOW_MAX, "{unread:?}");
    assert_eq!((unacknowledged.acknowledged_count, unread.acknowledged_count), (0, 0));
    process.kill().await;
}
