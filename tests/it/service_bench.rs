//! The bench of the service tests: one exchange on loopback under mutual TLS, and callers of every kind.
//!
//! Certificates, handshakes, HTTP/2, ledger and node are real; only time stands still, at [`NOW`]. Everything that is
//! asked goes over the network.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up fails its test")]

use std::{
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use concordat::{
    clock::{Entropy, SimulatedClock},
    identity::{
        acceptor::{Incoming, Limits as AcceptorLimits},
        channel::Connector,
        development::{DevelopmentAuthority, IssuedProfile},
        file::ProfileFiles,
        signing::SigningKey,
        time::TimeSource,
        trust::Trust,
    },
    keyring::{EpochId, Keyring, NewEpoch},
    ledger::{AnyLedger, memory::Memory},
    machine::State,
    model::{
        digest::Digest,
        id::{AgencyId, LedgerId, RequestId},
        order::UnixMillis,
    },
    node::{Founding, Node, Parts, found, statement},
    pb::{
        ledger::v1::{self as ledger, AgencyKind, Purpose, command::Kind},
        v1::{
            self as pb, RequestContext, agency_service_client::AgencyServiceClient,
            agreement_service_client::AgreementServiceClient,
            caseload_service_client::CaseloadServiceClient,
            consent_service_client::ConsentServiceClient,
            ledger_service_client::LedgerServiceClient, notice_service_client::NoticeServiceClient,
            policy_service_client::PolicyServiceClient, request_context::Actor,
            subscription_service_client::SubscriptionServiceClient,
            succession_service_client::SuccessionServiceClient,
        },
    },
    record::registry::Registry,
    seal::Secret,
    service::server::{Limits, serve},
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

/// 2026-12-01T09:00:00Z, when every test takes place.
pub(crate) const NOW: UnixMillis = UnixMillis::new(1_796_115_600_000);
/// Milliseconds of a day.
pub(crate) const DAY: u64 = 86_400_000;
/// The secret of every invitation.
pub(crate) const SECRET: &[u8] = b"an invitation's secret";

/// An exchange, and what its operator has.
pub(crate) struct Served {
    pub(crate) node: Node,
    pub(crate) trust: Arc<Trust>,
    pub(crate) authority: DevelopmentAuthority,
    pub(crate) operator: Party,
    address: String,
    requests: AtomicU64,
    // Dropped last: certificates lie in it.
    directory: TempDir,
}

/// A caller: its connection, and its keys if it has any.
pub(crate) struct Party {
    pub(crate) id: AgencyId,
    pub(crate) kind: AgencyKind,
    pub(crate) channel: Channel,
    pub(crate) profile: IssuedProfile,
    pub(crate) signing: SigningKey,
}

impl Served {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = DevelopmentAuthority::create(&directory.path().join("certs"), NOW).unwrap();
        authority.issue_server(&[], NOW).unwrap();
        let operator = authority.issue_operator(NOW).unwrap();
        let node = begin(directory.path(), operator.certificate.fingerprint).await;
        let trust = Trust::open(authority.server_files(), TimeSource::fixed(NOW)).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let incoming = Incoming::new(listener, Arc::clone(&trust), AcceptorLimits::default());
        let address = format!("https://localhost:{}", incoming.local_address().unwrap().port());
        let served =
            serve(node.clone(), Arc::clone(&trust), incoming, limits, std::future::pending::<()>());
        tokio::spawn(async move { served.await.unwrap() });
        let operator = party("operator", AgencyKind::Unspecified, &address, operator).await;
        Self { node, trust, authority, operator, address, requests: AtomicU64::new(1), directory }
    }

    /// A certificate of this exchange's authority that belongs to nobody.
    pub(crate) async fn stranger(&self, id: &str, kind: AgencyKind) -> Party {
        let profile = self.authority.issue_agency(&id.parse().unwrap(), NOW).unwrap();
        party(id, kind, &self.address, profile).await
    }

    /// Invites and enrols an agency.
    pub(crate) async fn agency(&self, id: &str, kind: AgencyKind) -> Party {
        let party = self.stranger(id, kind).await;
        self.invite(id, kind).await.unwrap();
        let request = self.enrolment(&party);
        AgencyServiceClient::new(party.channel.clone()).enrol_agency(request).await.unwrap();
        party
    }

    pub(crate) async fn invite(
        &self,
        id: &str,
        kind: AgencyKind,
    ) -> Result<pb::InviteAgencyResponse, Status> {
        let invite = ledger::InviteAgency {
            agency: id.to_owned(),
            kind: i32::from(kind),
            secret_digest: Digest::of_concatenation(&[SECRET]).as_bytes().to_vec().into(),
            expires_at_ms: NOW.plus(DAY).millis(),
        };
        let request = pb::InviteAgencyRequest {
            context: context(),
            request_id: self.request_id(),
            invite: Some(invite),
            validate_only: false,
        };
        Ok(self.operator.agencies().invite_agency(request).await?.into_inner())
    }

    /// The request by which a party enrols.
    pub(crate) fn enrolment(&self, party: &Party) -> pb::EnrolAgencyRequest {
        let keys = ledger::AgencyKeys {
            signing_key: party.signing.public().to_vec().into(),
            certificates: vec![party.fingerprint()],
        };
        let enrol = ledger::EnrolAgency { secret: SECRET.to_vec().into(), keys: Some(keys) };
        let request_id = self.request_id();
        let signature = self.signature(party, &request_id, &Kind::EnrolAgency(enrol.clone()));
        pb::EnrolAgencyRequest {
            context: context(),
            request_id,
            name: format!("agencies/{}", party.id),
            enrol: Some(enrol),
            signature,
            validate_only: false,
        }
    }

    /// A party's signature over a command.
    #[expect(clippy::unnecessary_wraps, reason = "as the field is")]
    pub(crate) fn signature(
        &self,
        party: &Party,
        request_id: &str,
        kind: &Kind,
    ) -> Option<ledger::Signature> {
        let request = uuid::Uuid::try_parse(request_id).unwrap();
        let request = RequestId::from_bytes(request.into_bytes());
        let ledger_id = self.node.read(State::ledger);
        let statement = statement(ledger_id, &party.id, request, kind).unwrap();
        Some(ledger::Signature {
            key_fingerprint: party.signing.fingerprint().as_bytes().to_vec().into(),
            value: party.signing.sign(&statement).unwrap().to_vec().into(),
        })
    }

    /// A new request id.
    pub(crate) fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 10];
        random[2..].copy_from_slice(&number.to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(NOW.millis(), &random).into_uuid().to_string()
    }

    /// A connection that shows no certificate.
    pub(crate) async fn nobody(&self) -> Channel {
        let mut roots = RootCertStore::empty();
        let authority = self.directory.path().join("certs").join("ca.crt");
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_details(
            Arc::new(aws_lc_rs::default_provider()),
            Arc::new(TimeSource::fixed(NOW)),
        )
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let config = Arc::new(config);
        let connect = tower::service_fn(move |uri: http::Uri| {
            let connector = TlsConnector::from(Arc::clone(&config));
            async move {
                let stream = TcpStream::connect(("127.0.0.1", uri.port_u16().unwrap())).await?;
                let name = ServerName::try_from("localhost").unwrap();
                connector.connect(name, stream).await.map(TokioIo::new)
            }
        });
        let endpoint = Endpoint::from_shared(self.address.clone()).unwrap();
        endpoint.connect_with_connector(connect).await.unwrap()
    }

    /// A new connection of a party's.
    pub(crate) async fn channel(&self, profile: &Path) -> Channel {
        channel(profile, &self.address).await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.node.stop();
    }
}

macro_rules! clients {
    ($($name:ident: $client:ident;)*) => {
        impl Party {
            $(
                pub(crate) fn $name(&self) -> $client<Channel> {
                    $client::new(self.channel.clone())
                }
            )*
        }
    };
}

clients! {
    agencies: AgencyServiceClient;
    agreements: AgreementServiceClient;
    caseloads: CaseloadServiceClient;
    consents: ConsentServiceClient;
    ledger: LedgerServiceClient;
    notices: NoticeServiceClient;
    policies: PolicyServiceClient;
    subscriptions: SubscriptionServiceClient;
    successions: SuccessionServiceClient;
}

impl Party {
    pub(crate) fn fingerprint(&self) -> bytes::Bytes {
        self.profile.certificate.fingerprint.as_bytes().to_vec().into()
    }

    /// As a party of an agreement.
    pub(crate) fn as_party(&self) -> ledger::Party {
        ledger::Party {
            agency: self.id.to_string(),
            kind: i32::from(self.kind),
            key_fingerprint: self.signing.fingerprint().as_bytes().to_vec().into(),
            ..ledger::Party::default()
        }
    }
}

async fn party(id: &str, kind: AgencyKind, address: &str, profile: IssuedProfile) -> Party {
    let files = ProfileFiles::in_directory(&profile.directory);
    let signing = SigningKey::load(&files.signing_key).unwrap();
    let channel = channel(&profile.directory, address).await;
    Party { id: id.parse().unwrap(), kind, channel, profile, signing }
}

async fn channel(profile: &Path, address: &str) -> Channel {
    let connector = Connector::open(profile, TimeSource::fixed(NOW)).unwrap();
    let endpoint = Endpoint::from_shared(address.to_owned()).unwrap();
    endpoint.connect_with_connector(connector).await.unwrap()
}

/// The context of every request that does not test it.
#[expect(clippy::unnecessary_wraps, reason = "as the field is")]
pub(crate) fn context() -> Option<RequestContext> {
    Some(RequestContext {
        purpose: i32::from(Purpose::SchoolLeaverTransition),
        actor: Some(Actor::Unattended(true)),
        held_checkpoint: String::new(),
    })
}

/// The reason of an error, and the fields that it names.
pub(crate) fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(info.domain, "concordat");
    info.reason.clone()
}

/// The code, reason, message and details of an error, without its decision id.
pub(crate) fn shape(status: &Status) -> String {
    let details = status.get_error_details_vec();
    let text = format!("{:?} {} {details:?}", status.code(), status.message());
    match text.split_once("\"decision_id\": \"") {
        None => text,
        Some((before, rest)) => {
            let (id, after) = rest.split_once('"').unwrap();
            format!("{before}{} characters{after}", id.len())
        }
    }
}

async fn begin(directory: &Path, operator: Digest) -> Node {
    let (entropy, clock) = (Entropy::system(), SimulatedClock::new(NOW).clock());
    let registry = Arc::new(Registry::built_in().unwrap());
    let ledger_id = LedgerId::from_bytes(entropy.bytes());
    let ledger = AnyLedger::Memory(Memory::new());
    let epoch = NewEpoch {
        id: EpochId::from_bytes(entropy.bytes()),
        secret: Secret::from_bytes(entropy.bytes()),
        opened_at: NOW,
    };
    let keyring = Keyring::create(&directory.join("keyring"), ledger_id, epoch).unwrap();
    let group = |group: (&str, bool)| ledger::FieldGroup {
        name: group.0.to_owned(),
        special_category: group.1,
    };
    let form = ledger::RegisterRecordType {
        name: "leaver-form".to_owned(),
        version: 1,
        groups: [("core", false), ("education", false), ("support", true)].map(group).to_vec(),
    };
    let founding = Founding {
        ledger: ledger_id,
        operator_certificate: operator,
        checkpoint_key: SigningKey::from_seed(&[7; 32]).unwrap().public(),
        record_types: vec![form],
    };
    found(&ledger, &keyring, &clock, &entropy, &founding).await.unwrap();
    let parts = Parts {
        ledger,
        state: State::empty(),
        store: None,
        keyring,
        clock,
        entropy,
        checkpoint_seed: [7; 32],
        registry,
    };
    let (node, tasks, _beginning) = Node::start(parts).await.unwrap();
    tasks.spawn_together();
    node
}
