//! The send gate at the response body: the last check before bytes leave.
//!
//! Every response body is polled under the node's gate, and only for the length of one synchronous poll: a stop that was
//! applied is acknowledged once no such poll is still running, and never waits for a reader (G3). A unary answer that
//! holds records carries a [`GateTicket`]; right before its first bytes every line is asked once more. Streams ask line by
//! line inside their own poll. A stream whose caller may no longer call is cut within [`RECHECK`] (G11).

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use crate::{
    machine::Released,
    node::Node,
    service::{caller::Session, status},
};

/// How often the caller of a stream is checked anew.
pub const RECHECK: Duration = Duration::from_secs(1);

/// What a unary answer would disclose. A handler puts it into the extensions of its response.
#[derive(Clone, Debug)]
pub struct GateTicket(pub Vec<Released>);

/// A stream that checks its caller by itself and says why it ends. A handler puts it into the extensions of its response;
/// the gate then cuts the stream at the second check that fails, should it still be there.
#[derive(Clone, Copy, Debug)]
pub struct SaysGoodbye;

/// Puts the gate around a service's response bodies. It stands inside the callers' layer.
#[derive(Clone, Debug)]
pub struct GateLayer(Node);

impl GateLayer {
    /// The gate of this node.
    pub const fn new(node: Node) -> Self {
        Self(node)
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, node: self.0.clone() }
    }
}

/// A service whose response bodies pass the gate.
#[derive(Clone, Debug)]
pub struct Gated<S> {
    inner: S,
    node: Node,
}

/// The error of an answer that no handler gave: the library could not read the request, and its words are not ours. Ours
/// always carry details.
fn unspoken(headers: &HeaderMap) -> Option<Status> {
    let status = Status::from_header_map(headers)?;
    (status.code() != Code::Ok && status.details().is_empty()).then_some(status)
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let node = self.node.clone();
        let session = request.extensions().get::<Session>().cloned();
        let gated = move |mut response: Response<Body>| {
            if let Some(status) = unspoken(response.headers()) {
                return status::unread(status).into_http();
            }
            let ticket = response.extensions_mut().remove::<GateTicket>();
            let patient = response.extensions_mut().remove::<SaysGoodbye>().is_some();
            response.map(|inner| {
                let (recheck, begun, ended) = (None, false, false);
                Body::new(GateBody { inner, node, session, ticket, recheck, patient, begun, ended })
            })
        };
        self.inner.call(request).map_ok(gated).boxed()
    }
}

/// A response body behind the gate.
#[derive(Debug)]
struct GateBody {
    inner: Body,
    node: Node,
    session: Option<Session>,
    ticket: Option<GateTicket>,
    recheck: Option<Pin<Box<Sleep>>>,
    /// Whether one failed check is let pass.
    patient: bool,
    begun: bool,
    ended: bool,
}

impl GateBody {
    /// Ends the body with an error in its trailers.
    fn end(&mut self, status: &Status) -> Frame<Bytes> {
        self.ended = true;
        let mut trailers = HeaderMap::new();
        if status.add_header(&mut trailers).is_err() {
            tracing::error!("an error could not be written into trailers");
        }
        Frame::trailers(trailers)
    }

    /// Whether the caller of a stream may no longer call. Registers for the next check.
    fn poll_cut(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let Some(session) = &self.session else { return Poll::Pending };
        let recheck = self.recheck.get_or_insert_with(|| Box::pin(sleep(RECHECK)));
        loop {
            ready!(recheck.as_mut().poll(context));
            if let Err(denied) = session.recheck()
                && !mem::take(&mut self.patient)
            {
                return Poll::Ready(status::denied(denied));
            }
            recheck.as_mut().reset(Instant::now() + RECHECK);
        }
    }

    /// Polls the body while nothing can be acknowledged as stopped.
    fn poll_gated(&mut self, context: &mut Context<'_>) -> Polled {
        let node = self.node.clone();
        // INVARIANT (gate): held from the decision that a line may leave until its bytes are handed over, and never
        // across a wait.
        let _passing = node.gate_guard();
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if is_data(&polled)
            && let Some(ticket) = self.ticket.take()
            && !ticket.0.iter().all(|line| node.may_leave(line))
        {
            node.not_sent(&ticket.0);
            return Poll::Ready(Some(Ok(self.end(&stopped(&ticket)))));
        }
        polled
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, Status>>>;

fn is_data(polled: &Polled) -> bool {
    matches!(polled, Poll::Ready(Some(Ok(frame))) if frame.is_data())
}

/// What a caller is told whose answer was stopped at the gate. A pull may be repeated at once; a record that was asked
/// for by name is as if it were not there.
fn stopped(ticket: &GateTicket) -> Status {
    if ticket.0.iter().any(|line| line.subscription().is_some()) {
        status::faulty(&crate::ledger::Fault::Busy)
    } else {
        status::not_available("")
    }
}

impl http_body::Body for GateBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if this.recheck.is_some()
            && let Poll::Ready(status) = this.poll_cut(context)
        {
            return Poll::Ready(Some(Ok(this.end(&status))));
        }
        let polled = this.poll_gated(context);
        // A unary answer is one frame that comes at once, right after its caller was admitted; whatever waits or goes on
        // is a stream.
        let streams = polled.is_pending() || (this.begun && is_data(&polled));
        this.begun |= is_data(&polled);
        if streams
            && this.recheck.is_none()
            && let Poll::Ready(status) = this.poll_cut(context)
        {
            return Poll::Ready(Some(Ok(this.end(&status))));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Drop for GateBody {
    /// An answer that nobody took did not leave.
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.node.not_sent(&ticket.0);
        }
    }
}
