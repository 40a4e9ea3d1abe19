//! The bench of the TLS tests: an authority in a temporary directory, an exchange's acceptor on loopback, and callers of
//! every kind. Sockets and handshakes are real; only time stands still.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up fails its test")]

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use concordat::{
    identity::{
        acceptor::{Connection, Incoming, Limits},
        certificate::PeerCertificate,
        development::{DevelopmentAuthority, IssuedProfile},
        file::{ProfileFiles, ServerFiles},
        time::TimeSource,
        trust::Trust,
    },
    model::order::UnixMillis,
};
use futures::StreamExt;
use rcgen::{
    CertificateParams, CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, date_time_ymd,
};
use rustls::{
    AlertDescription, ClientConfig, HandshakeKind, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
    client::ResolvesClientCert,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    sign::CertifiedKey,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

/// 2026-08-03T09:00:00Z, when every test takes place unless it says otherwise.
pub(crate) const NOW: UnixMillis = UnixMillis::new(1_785_747_600_000);
/// Milliseconds of a day.
pub(crate) const DAY: u64 = 86_400_000;

/// Both versions of TLS that the exchange speaks.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

/// So many days before [`NOW`].
pub(crate) fn days_ago(days: u64) -> UnixMillis {
    UnixMillis::new(NOW.millis() - days * DAY)
}

/// An authority and its directory.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) directory: TempDir,
    pub(crate) authority: DevelopmentAuthority,
}

impl Bench {
    /// An authority two years old, whose list and server certificate are of [`NOW`].
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = DevelopmentAuthority::create(directory.path(), days_ago(730)).unwrap();
        authority.issue_server(&[], NOW).unwrap();
        authority.renew_revocation_list(NOW).unwrap();
        Self { directory, authority }
    }

    pub(crate) fn agency(&self, name: &str, issued: UnixMillis) -> IssuedProfile {
        self.authority.issue_agency(&name.parse().unwrap(), issued).unwrap()
    }

    pub(crate) fn files(&self) -> ServerFiles {
        self.authority.server_files()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) async fn exchange(&self) -> Exchange {
        Exchange::start(self.files(), TimeSource::fixed(NOW), Limits::default()).await
    }

    /// The authority as rcgen sees it, for certificates that the program itself never makes.
    pub(crate) fn issuer(&self) -> Issuer<'static, KeyPair> {
        let key =
            KeyPair::from_pem(&std::fs::read_to_string(self.path("ca.key")).unwrap()).unwrap();
        let certificate = std::fs::read_to_string(self.path("ca.crt")).unwrap();
        Issuer::from_ca_cert_pem(&certificate, key).unwrap()
    }

    /// A list under `issuer` that revokes nothing, in PEM form.
    pub(crate) fn empty_list(issuer: &Issuer<'_, KeyPair>) -> String {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2027, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(issuer).unwrap().pem().unwrap()
    }
}

/// An acceptor on loopback that greets each caller with its fingerprint and hangs up.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) address: SocketAddr,
    pub(crate) trust: Arc<Trust>,
    /// Each caller's certificate, in the order in which handshakes ended.
    pub(crate) peers: mpsc::UnboundedReceiver<Option<Arc<PeerCertificate>>>,
    task: JoinHandle<()>,
}

impl Exchange {
    pub(crate) async fn start(files: ServerFiles, time: TimeSource, limits: Limits) -> Self {
        let trust = Trust::open(files, time).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut incoming = Incoming::new(listener, Arc::clone(&trust), limits);
        let address = incoming.local_address().unwrap();
        let (seen, peers) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Some(connection) = incoming.next().await {
                seen.send(connection.peer().cloned()).ok();
                tokio::spawn(greet(connection));
            }
        });
        Self { address, trust, peers, task }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn greet(mut connection: Connection) {
    let greeting = connection
        .peer()
        .map_or_else(|| "nobody".to_owned(), |peer| peer.fingerprint().to_string());
    connection.write_all(greeting.as_bytes()).await.ok();
    connection.shutdown().await.ok();
}

/// How a caller's connection ended, as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The exchange let it in and took it for this one.
    Greeted(String),
    /// The exchange sent this alert.
    Alert(AlertDescription),
    /// Anything else.
    Other(String),
}

/// A certificate with a key, for the caller's side. They need not belong together.
#[derive(Clone, Debug)]
pub(crate) struct Pair(Arc<CertifiedKey>);

impl Pair {
    pub(crate) fn new(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'static>) -> Self {
        let key = aws_lc_rs::sign::any_supported_type(key).unwrap();
        Self(Arc::new(CertifiedKey::new(chain, key)))
    }

    pub(crate) fn of_files(certificate: &Path, key: &Path) -> Self {
        let chain = CertificateDer::pem_file_iter(certificate).unwrap();
        Self::new(
            chain.collect::<Result<_, _>>().unwrap(),
            &PrivateKeyDer::from_pem_file(key).unwrap(),
        )
    }

    pub(crate) fn of_profile(profile: &IssuedProfile) -> Self {
        let files = ProfileFiles::in_directory(&profile.directory);
        Self::of_files(&files.certificate, &files.key)
    }

    /// A certificate like an agency's, changed by `change`, under `issuer`.
    pub(crate) fn signed_by(
        issuer: &Issuer<'_, KeyPair>,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let certificate = params.signed_by(&key, issuer).unwrap();
        Self::new(
            vec![certificate.der().clone()],
            &PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
    }

    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }

    /// This certificate with the key of `other`.
    pub(crate) fn with_key_of(&self, other: &Self) -> Self {
        Self(Arc::new(CertifiedKey::new(self.0.cert.clone(), Arc::clone(&other.0.key))))
    }
}

impl ResolvesClientCert for Pair {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A caller with its own session cache, so that its second connection tries to resume the first.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Arc<ClientConfig>);

impl Caller {
    pub(crate) fn new(
        bench: &Bench,
        version: &'static SupportedProtocolVersion,
        pair: Option<&Pair>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(bench.path("ca.crt")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_details(
            Arc::new(aws_lc_rs::default_provider()),
            Arc::new(TimeSource::fixed(NOW)),
        )
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
        let mut config = match pair {
            Some(pair) => builder.with_client_cert_resolver(Arc::new(pair.clone())),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.enable_early_data = true;
        Self(Arc::new(config))
    }

    /// The same caller with another application protocol.
    pub(crate) fn speaking(&self, protocol: &[u8]) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = vec![protocol.to_vec()];
        Self(Arc::new(config))
    }

    /// Connects, reads what the exchange says, and tells how it ended and which kind of handshake it was.
    pub(crate) async fn call(&self, address: SocketAddr) -> (Ending, Option<HandshakeKind>) {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut kind = None;
        let mut greeting = String::new();
        let result = async {
            let mut tls = TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await?;
            kind = tls.get_ref().1.handshake_kind();
            tls.read_to_string(&mut greeting).await
        }
        .await;
        (ending(result.map(|_| greeting)), kind)
    }
}

fn ending(result: io::Result<String>) -> Ending {
    let error = match result {
        Ok(greeting) => return Ending::Greeted(greeting),
        Err(error) => error,
    };
    match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => Ending::Alert(*alert),
        _ => Ending::Other(error.to_string()),
    }
}
