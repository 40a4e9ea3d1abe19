//! The caller's side: connecting to an exchange with the certificate of a profile directory.
//!
//! [`Connector`] is a `tower` service from an address to a stream, as every gRPC library of this family takes it. It
//! presents the caller's certificate, verifies the exchange's certificate and its name, and never resumes a session.

use std::{
    future::Future,
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, client::Resumption, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower::Service;

use crate::identity::{
    fault::Fault,
    file::{self, ProfileFiles},
    time::TimeSource,
    trust::{PROTOCOL, provider},
};

/// The port of an address that names none.
const PORT: u16 = 443;

/// The TLS configuration of the profile in `directory` (`ca.crt`, `tls.crt`, `tls.key`).
///
/// # Errors
/// A file is missing or malformed, or key and certificate do not belong together.
pub fn client_config(directory: &Path, time: TimeSource) -> Result<ClientConfig, Fault> {
    let files = ProfileFiles::in_directory(directory);
    let unusable = |cause: rustls::Error| Fault::Unusable(cause.to_string());
    let mut roots = RootCertStore::empty();
    for root in file::certificates(&files.authority, &file::read(&files.authority)?)? {
        roots.add(root).map_err(unusable)?;
    }
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(time))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(unusable)?
        .with_root_certificates(roots)
        .with_client_auth_cert(
            file::certificates(&files.certificate, &file::read(&files.certificate)?)?,
            file::private_key(&files.key, &file::read(&files.key)?)?,
        )
        .map_err(unusable)?;
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

/// Opens TLS connections to the host and port of an address, as one caller.
#[derive(Clone)]
pub struct Connector(TlsConnector);

impl Connector {
    /// Connects with the profile in `directory`, verifying the exchange at the times of `time`.
    ///
    /// # Errors
    /// As [`client_config`].
    pub fn open(directory: &Path, time: TimeSource) -> Result<Self, Fault> {
        client_config(directory, time).map(Self::new)
    }

    /// Connects with a configuration made elsewhere.
    pub fn new(config: ClientConfig) -> Self {
        Self(TlsConnector::from(Arc::new(config)))
    }

    /// Connects to `address`, whose host must be named in the exchange's certificate.
    ///
    /// # Errors
    /// The address has no host, nobody listens, or the handshake failed: [`crate::identity::alert::explain`] says why.
    pub async fn connect(&self, address: &Uri) -> io::Result<TlsStream<TcpStream>> {
        // An IPv6 address stands in brackets in a URI (RFC 3986 §3.2.2) and without them everywhere else.
        let host = address
            .host()
            .map(|host| host.trim_start_matches('[').trim_end_matches(']').to_owned())
            .ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidInput, "the address has no host")
            })?;
        let name = ServerName::try_from(host.clone()).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "the host is no name or IP address")
        })?;
        let stream = TcpStream::connect((host, address.port_u16().unwrap_or(PORT))).await?;
        stream.set_nodelay(true)?;
        self.0.connect(name, stream).await
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&address).await.map(TokioIo::new) })
    }
}
