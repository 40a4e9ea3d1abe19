//! The exchange itself: records in, records out.
//!
//! This file is the list of RPCs; each does its work in a file of its own: `publish` (one record), `bulk` (many), `read`
//! (opening, pulling, acknowledging), `subscribe` (a stream's beginning), `reader` (its life), `outbox` (what waits to
//! leave on it), `acks` (what came back), `shown` (records as their readers see them). Nothing is decided here: bodies are
//! validated once, at this edge, and everything else by the machine. Source: `proto/concordat/v1/exchange_service.proto`.

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    ledger::Fault,
    model::order::UnixMillis,
    node::Node,
    pb::v1::{
        AcknowledgeRecordsRequest, AcknowledgeRecordsResponse, GetRecordRequest, GetRecordResponse,
        PublishRecordRequest, PublishRecordResponse, PublishRecordsRequest, PullRecordsRequest,
        PullRecordsResponse, SubscribeRequest, exchange_service_server::ExchangeService,
    },
    service::{caller, context, gate::SaysGoodbye},
};

mod acks;
mod bulk;
mod outbox;
mod publish;
mod read;
mod reader;
pub(super) mod shown;
mod subscribe;

pub use bulk::Answers;
pub use outbox::Sending;

/// Where a day begins and ends: the records are about people in Scotland.
const ZONE: &str = "Europe/London";

/// The rhythm of a subscriber's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How far apart heartbeats are.
    pub heartbeat: Duration,
    /// How often it is asked whether the subscriber may still call (G11).
    pub recheck: Duration,
    /// How long acknowledgements are taken after a go-away.
    pub farewell: Duration,
}

impl Default for Pace {
    /// Heartbeats every 20 s, checks every half second, a farewell of 5 s: what the protocol says.
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(20),
            recheck: Duration::from_millis(500),
            farewell: Duration::from_secs(5),
        }
    }
}

/// The exchange service. Clones are the same service.
#[derive(Clone, Debug)]
pub struct Exchange(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    node: Node,
    zone: TimeZone,
    stopping: watch::Receiver<bool>,
    pace: Pace,
}

impl Exchange {
    /// Serves `node`. Streams end as planned once `stopping` says `true`.
    ///
    /// # Errors
    /// [`Fault::Unusable`] if the program's own time zones do not hold the exchange's.
    pub fn new(node: Node, stopping: watch::Receiver<bool>, pace: Pace) -> Result<Self, Fault> {
        let zone = TimeZone::get(ZONE).map_err(|cause| Fault::Unusable(cause.to_string()))?;
        Ok(Self(Arc::new(Parts { node, zone, stopping, pace })))
    }

    fn node(&self) -> &Node {
        &self.0.node
    }

    /// The day on which it is `at`, where the exchange is.
    fn day(&self, at: UnixMillis) -> Result<Date, Fault> {
        let instant = i64::try_from(at.millis()).ok().map(Timestamp::from_millisecond);
        match instant {
            Some(Ok(instant)) => Ok(self.0.zone.to_datetime(instant).date()),
            Some(Err(_)) | None => Err(Fault::ClockDoubtful),
        }
    }
}

#[tonic::async_trait]
impl ExchangeService for Exchange {
    type PublishRecordsStream = Answers;
    type SubscribeStream = Sending;

    async fn publish_record(
        &self,
        request: Request<PublishRecordRequest>,
    ) -> Result<Response<PublishRecordResponse>, Status> {
        let (caller, request) = caller::open(request)?;
        let PublishRecordRequest { context, request_id, record, validate_only } = request;
        let asked = context::asked(self.node(), &caller, (context, &request_id), None)?;
        let (receipt, decision_id) =
            self.publish(&caller, &asked, (record, validate_only)).await?.into_parts();
        Ok(Response::new(PublishRecordResponse { receipt, decision_id }))
    }

    async fn publish_records(
        &self,
        request: Request<Streaming<PublishRecordsRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let (caller, requests) = caller::open(request)?;
        Ok(Response::new(self.publish_all(caller, requests)))
    }

    async fn get_record(
        &self,
        request: Request<GetRecordRequest>,
    ) -> Result<Response<GetRecordResponse>, Status> {
        let (caller, request) = caller::open(request)?;
        self.open_one(&caller, request).await
    }

    async fn pull_records(
        &self,
        request: Request<PullRecordsRequest>,
    ) -> Result<Response<PullRecordsResponse>, Status> {
        let (caller, request) = caller::open(request)?;
        self.pull(&caller, request).await
    }

    async fn acknowledge_records(
        &self,
        request: Request<AcknowledgeRecordsRequest>,
    ) -> Result<Response<AcknowledgeRecordsResponse>, Status> {
        let (caller, request) = caller::open(request)?;
        self.acknowledge(&caller, request).await
    }

    async fn subscribe(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Sending>, Status> {
        let session = caller::session(&request)?.clone();
        let mut response = Response::new(self.begin(session, request.into_inner()).await?);
        response.extensions_mut().insert(SaysGoodbye);
        Ok(response)
    }
}
