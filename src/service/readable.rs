//! Readable errors for what ends below the handlers: bytes that do not decode, messages that are too large.
//!
//! The gRPC library answers those by itself, without a reason and with codes of its own. This layer says the same as every
//! other malformed request. Services of others (health, reflection) keep their answers.

use std::task::{Context, Poll};

use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use http::{Request, Response};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use crate::service::status;

/// Makes errors of the library readable.
#[derive(Clone, Copy, Debug)]
pub struct ReadableLayer;

impl<S> Layer<S> for ReadableLayer {
    type Service = Readable<S>;

    fn layer(&self, inner: S) -> Readable<S> {
        Readable { inner }
    }
}

/// A service whose errors all have a reason.
#[derive(Clone, Debug)]
pub struct Readable<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for Readable<S>
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
        let own = request.uri().path().starts_with("/concordat.");
        let answer = self.inner.call(request);
        answer.map_ok(move |response| if own { readable(response) } else { response }).boxed()
    }
}

fn readable(response: Response<Body>) -> Response<Body> {
    let bare = Status::from_header_map(response.headers())
        .filter(|status| status.code() != tonic::Code::Ok && status.details().is_empty());
    match bare {
        Some(bare) => status::of_the_library(&bare).into_http(),
        None => response,
    }
}
