//! The peer: a gRPC service that sends back what it gets, behind the very acceptor and the same bounds of HTTP/2.
//!
//! It reads no message, checks no caller, decides nothing and keeps nothing: what remains is the transport.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture};
use http::{Request, Response};
use tonic::{
    Status,
    body::Body,
    server::{Grpc, NamedService},
    transport::Server,
};
use tower::{Service, service_fn};

use crate::{
    cli::{
        bench::{raw::Raw, said},
        error::CliError,
    },
    identity::acceptor::Incoming,
    service::{caller::Served, server::Limits},
};

/// One message for one.
pub(super) const ONE: &str = "/concordat.bench.Echo/One";
/// A stream for a stream.
pub(super) const MANY: &str = "/concordat.bench.Echo/Many";

/// Serves the echo until the process ends.
pub(super) async fn serve(incoming: Incoming, limits: &Limits) -> Result<(), CliError> {
    let incoming = incoming.map(|connection| Ok::<_, Infallible>(Served::new(connection)));
    Server::builder()
        .max_concurrent_streams(limits.streams_per_connection_max)
        .http2_max_local_error_reset_streams(Some(limits.error_resets_max))
        .http2_max_pending_accept_reset_streams(Some(limits.pending_resets_max))
        .http2_max_header_list_size(limits.header_list_bytes_max)
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .add_service(Echo)
        .serve_with_incoming(incoming)
        .await
        .map_err(said("the echo does not serve"))
}

#[derive(Clone, Copy, Debug)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "concordat.bench.Echo";
}

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match request.uri().path() {
            ONE => Box::pin(async move {
                let one = service_fn(|request: tonic::Request<Bytes>| async move {
                    Ok::<_, Status>(tonic::Response::new(request.into_inner()))
                });
                Ok(Grpc::new(Raw).unary(one, request).await)
            }),
            MANY => Box::pin(async move {
                let many = service_fn(|request: tonic::Request<tonic::Streaming<Bytes>>| async {
                    Ok::<_, Status>(tonic::Response::new(request.into_inner()))
                });
                Ok(Grpc::new(Raw).streaming(many, request).await)
            }),
            _ => Box::pin(async {
                Ok(Status::unimplemented("an echo has one and many").into_http())
            }),
        }
    }
}
