//! The two ends under a real gRPC library: the acceptor beneath a server, the connector beneath a channel.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up fails its test")]

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use concordat::identity::{
    acceptor::{Connection, Incoming, Limits},
    alert::explain,
    certificate::PeerCertificate,
    channel::Connector,
    time::TimeSource,
    trust::Trust,
};
use futures::StreamExt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpListener,
    task::JoinHandle,
};
use tonic::transport::{Channel, Endpoint, Server, server::Connected};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::tls_bench::{Bench, NOW};

/// What the service layer wraps a connection in.
struct Served(Connection);

impl Connected for Served {
    type ConnectInfo = Option<Arc<PeerCertificate>>;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.0.peer().cloned()
    }
}

impl AsyncRead for Served {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Served {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Serves gRPC health on `ip`.
async fn serve(bench: &Bench, ip: impl Into<std::net::IpAddr>) -> (SocketAddr, JoinHandle<()>) {
    let trust = Trust::open(bench.files(), TimeSource::fixed(NOW)).unwrap();
    let listener = TcpListener::bind((ip.into(), 0)).await.unwrap();
    let incoming = Incoming::new(listener, trust, Limits::default());
    let address = incoming.local_address().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let incoming = incoming.map(|connection| Ok::<_, Infallible>(Served(connection)));
    let server = tokio::spawn(async move {
        Server::builder().add_service(health).serve_with_incoming(incoming).await.unwrap();
    });
    (address, server)
}

async fn channel(profile: &Path, address: String) -> Result<Channel, tonic::transport::Error> {
    let connector = Connector::open(profile, TimeSource::fixed(NOW)).unwrap();
    Endpoint::from_shared(address).unwrap().connect_with_connector(connector).await
}

#[tokio::test]
async fn a_channel_reaches_the_exchange_by_name_and_by_both_kinds_of_address() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", NOW);
    let (four, _four) = serve(&bench, Ipv4Addr::LOCALHOST).await;
    let mut addresses =
        vec![format!("https://localhost:{}", four.port()), format!("https://{four}")];
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok() {
        let (six, _six) = serve(&bench, Ipv6Addr::LOCALHOST).await;
        addresses.push(format!("https://{six}"));
    }
    for address in addresses {
        let channel = channel(&profile.directory, address.clone()).await.unwrap();
        let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
        assert!(answer.is_ok(), "{address}: {answer:?}");
    }
}

#[tokio::test]
async fn a_revoked_caller_is_told_so_in_words() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", NOW);
    bench.authority.revoke(&profile.certificate.serial, NOW).unwrap();
    let (address, _server) = serve(&bench, Ipv4Addr::LOCALHOST).await;
    // TLS 1.3 lets the caller finish its handshake first, so the alert comes with the first call.
    let explanation = match channel(&profile.directory, format!("https://{address}")).await {
        Err(error) => explain(&error),
        Ok(channel) => {
            let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
            explain(&answer.unwrap_err())
        }
    };
    assert_eq!(explanation.map(|explanation| explanation.name), Some("certificate_revoked"));
}

#[tokio::test]
async fn a_channel_does_not_speak_to_a_false_exchange() {
    let (bench, false_one) = (Bench::new(), Bench::new());
    let profile = bench.agency("glen-college", NOW);
    let (address, _server) = serve(&false_one, Ipv4Addr::LOCALHOST).await;
    let error = channel(&profile.directory, format!("https://{address}")).await.unwrap_err();
    assert_eq!(explain(&error).map(|explanation| explanation.name), Some("exchange not trusted"));
}

#[tokio::test]
async fn a_channel_does_not_take_an_exchange_under_another_name() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", NOW);
    let (address, _server) = serve(&bench, Ipv4Addr::new(127, 0, 0, 2)).await;
    let error = channel(&profile.directory, format!("https://{address}")).await.unwrap_err();
    assert_eq!(explain(&error).map(|explanation| explanation.name), Some("wrong name"));
}
