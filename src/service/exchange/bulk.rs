//! Publishing many records on one stream: one answer for each request, in any order.
//!
//! INVARIANT (bounded): no more than [`IN_FLIGHT_MAX`] requests are under way; the next one is not even read. When the
//! stream is dropped, what is under way may or may not take effect, and repeating it tells.

use std::{
    fmt,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use futures::{Stream, StreamExt, stream::BoxStream};
use tonic::{Status, Streaming};

use crate::{
    model::id::RequestId,
    node::{Asked, Node},
    pb::v1::{PublishRecordsRequest, PublishRecordsResponse, publish_records_response::Outcome},
    service::{
        caller::Caller,
        context::{self, Context},
        exchange::{Exchange, publish::Published},
        status,
    },
};

/// How many records of one stream are under way at once.
const IN_FLIGHT_MAX: usize = 64;

/// The answers of one stream.
pub struct Answers(BoxStream<'static, Result<PublishRecordsResponse, Status>>);

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers")
    }
}

impl Stream for Answers {
    type Item = Result<PublishRecordsResponse, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

impl Exchange {
    /// Publishes what comes. The stream ends once every request is answered.
    pub(super) fn publish_all(
        &self,
        caller: Caller,
        requests: Streaming<PublishRecordsRequest>,
    ) -> Answers {
        let exchange = self.clone();
        let mut latest = None;
        let answers = requests.map(move |request| {
            let item = request
                .map_err(status::unread)
                .and_then(|request| Item::read(exchange.node(), &mut latest, request));
            let (exchange, caller) = (exchange.clone(), caller.clone());
            async move { Ok(item?.answer(&exchange, &caller).await) }
        });
        Answers(answers.buffer_unordered(IN_FLIGHT_MAX).boxed())
    }
}

/// One request of the stream.
struct Item {
    request: PublishRecordsRequest,
    id: RequestId,
    /// The context that holds for it.
    context: Result<Context, Status>,
}

impl Item {
    /// Reads one request; `latest` is the context that came last.
    ///
    /// # Errors
    /// A malformed request id, for then nobody could tell which request an answer is for.
    fn read(
        node: &Node,
        latest: &mut Option<Context>,
        mut request: PublishRecordsRequest,
    ) -> Result<Self, Status> {
        let id = context::request_id_of(&request.request_id, "request_id")?;
        let context = match (request.context.take(), &*latest) {
            (None, Some(latest)) => Ok(latest.clone()),
            (given, _) => context::parse(node, given),
        };
        if let Ok(context) = &context {
            *latest = Some(context.clone());
        }
        Ok(Self { request, id, context })
    }

    async fn answer(self, exchange: &Exchange, caller: &Caller) -> PublishRecordsResponse {
        let Self { request, id, context } = self;
        let PublishRecordsRequest { context: _, request_id, record, validate_only } = request;
        let published = match asked(caller, id, context) {
            Ok(asked) => exchange.publish(caller, &asked, (record, validate_only)).await,
            Err(status) => Err(status),
        };
        let (outcome, decision_id) = match published.map(Published::into_parts) {
            Ok((receipt, decision_id)) => {
                (Outcome::Receipt(receipt.unwrap_or_default()), decision_id)
            }
            Err(status) => (Outcome::Error(status::item_error(&status)), String::new()),
        };
        PublishRecordsResponse { request_id, outcome: Some(outcome), decision_id }
    }
}

fn asked(
    caller: &Caller,
    request_id: RequestId,
    context: Result<Context, Status>,
) -> Result<Asked, Status> {
    let Context { purpose, staff } = context?;
    Ok(Asked { actor: caller.authority()?, purpose, staff, request_id, signature: None })
}
