//! The harness of the tests that speak gRPC: one exchange in this process, on loopback, under mutual TLS.
//!
//! Ledger, keyring, certificates, handshakes and HTTP/2 are real; only time stands still, at [`NOW`], unless a test lets
//! it pass. Agencies, agreements and consents are set up through the node, so that a test about one service does not
//! depend on the others; what a test is about goes over the network.

#![expect(clippy::unwrap_used, reason = "an exchange that cannot be set up fails its test")]

use std::{net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use concordat::{
    clock::{Clock, Entropy, SimulatedClock},
    identity::{
        acceptor::{Incoming, Limits as AcceptorLimits},
        channel::Connector,
        development::{DevelopmentAuthority, IssuedProfile, OPERATOR},
        file::ProfileFiles,
        signing::SigningKey,
        time::TimeSource,
        trust::Trust,
    },
    keyring::{EpochId, Keyring, NewEpoch},
    ledger::{
        AnyLedger, Fault, Ledger,
        disk::OsDisk,
        segment::{Options, Segment},
    },
    machine::{Outcome, Receipt, Refusal, State, command::agreement::example, outcome::Remembered},
    model::{
        digest::Digest,
        id::{AgencyId, AliasId, ConsentId, LedgerId, RequestId},
        order::{Position, UnixMillis},
    },
    node::{Asked, Founding, Node, Parts, Tasks, Who, found, registrations, statement},
    pb::{
        ledger::v1::{self as pb, AgencyKind, Purpose, command::Kind},
        v1::{
            RecordDraft, RequestContext, exchange_service_client::ExchangeServiceClient,
            request_context::Actor,
        },
    },
    record::registry::Registry,
    seal::Secret,
    service::{
        exchange::Pace,
        server::{Limits, serve},
    },
};
use futures::StreamExt;
use prost::Message;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::timeout};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

/// 2026-12-01T09:00:00Z, when every test takes place unless it lets time pass.
pub(crate) const NOW: UnixMillis = UnixMillis::new(1_796_115_600_000);
/// One day, in milliseconds.
pub(crate) const DAY_MS: u64 = 86_400_000;
/// The record type that every exchange knows.
pub(crate) const LEAVER_FORM: &str = "leaver-form";

/// The ledger of a test is small.
pub(crate) const OPTIONS: Options = Options { segment_bytes: 4 << 20, tail_bytes_max: 4 << 20 };

/// An exchange that runs in this process.
pub(crate) struct Exchange {
    pub(crate) node: Node,
    pub(crate) trust: Arc<Trust>,
    pub(crate) authority: DevelopmentAuthority,
    pub(crate) operator: IssuedProfile,
    pub(crate) clock: SimulatedClock,
    pub(crate) address: String,
    /// What request ids are drawn from, so that they do not depend on what the node draws.
    requests: Entropy,
    server: Option<Server>,
    appender: Option<std::thread::JoinHandle<()>>,
    // Dropped last: everything above lies in it.
    pub(crate) directory: TempDir,
}

struct Server {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// How an exchange of a test is set up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setup {
    pub(crate) pace: Pace,
    pub(crate) limits: Limits,
    /// What every random byte of the exchange comes from; the operating system unless said.
    pub(crate) seed: Option<[u8; 32]>,
}

impl Exchange {
    /// Starts an exchange as it runs in earnest.
    pub(crate) async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    /// Starts an exchange with other bounds.
    pub(crate) async fn start_with(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certificates = directory.path().join("certs");
        Self::start_in(directory, &certificates, setup).await
    }

    /// Starts an exchange in a directory: a new one, or the one that lies there. Two exchanges whose certificates lie in
    /// one place have the same authority, operator and agencies.
    pub(crate) async fn start_in(directory: TempDir, certificates: &Path, setup: Setup) -> Self {
        let (authority, operator) = if certificates.exists() {
            let authority = DevelopmentAuthority::open(certificates).unwrap();
            let operator = authority.profile(OPERATOR).unwrap();
            (authority, operator)
        } else {
            let authority = DevelopmentAuthority::create(certificates, NOW).unwrap();
            authority.issue_server(&[], NOW).unwrap();
            let operator = authority.issue_operator(NOW).unwrap();
            (authority, operator)
        };
        let clock = SimulatedClock::new(NOW);
        let entropy = setup.seed.map_or_else(Entropy::system, Entropy::seeded);
        let requests = entropy.fork("requests");
        let operator_is = operator.certificate.fingerprint;
        let (node, tasks) = begin(directory.path(), &clock, entropy, operator_is).await;
        let appender = Some(tasks.spawn().unwrap());
        let time = {
            let clock = clock.clock();
            TimeSource::new(move || clock.now())
        };
        let trust = Trust::open(authority.server_files(), time).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let incoming = Incoming::new(listener, Arc::clone(&trust), AcceptorLimits::default());
        let address = format!("https://{}", incoming.local_address().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = {
            let (node, trust) = (node.clone(), Arc::clone(&trust));
            tokio::spawn(async move {
                let shutdown = async move {
                    let _dropped = stopped.await;
                };
                let limits = Limits { pace: setup.pace, ..setup.limits };
                serve(node, trust, incoming, limits, shutdown).await.unwrap();
            })
        };
        let server = Some(Server { stop: Some(stop), task });
        Self {
            node,
            trust,
            authority,
            operator,
            clock,
            address,
            requests,
            server,
            appender,
            directory,
        }
    }

    /// Issues a profile, invites and enrols an agency, and connects as it.
    pub(crate) async fn agency(&self, id: &str, kind: AgencyKind) -> Agency {
        let agency = self.known(id, kind).await;
        agency.join().await;
        agency
    }

    /// Connects as an agency, with the profile that it has or a new one.
    pub(crate) async fn known(&self, id: &str, kind: AgencyKind) -> Agency {
        let name: AgencyId = id.parse().unwrap();
        let known = self.authority.profile(id);
        let profile = known.or_else(|_| self.authority.issue_agency(&name, NOW)).unwrap();
        let channel = self.channel(&profile.directory).await;
        let part = (self.node.clone(), self.clock.clock(), self.requests.fork(id));
        Agency::new(part, (name, kind), profile, channel)
    }

    /// Connects with the profile in `directory`.
    pub(crate) async fn channel(&self, directory: &Path) -> Channel {
        let time = TimeSource::fixed(self.clock.clock().now());
        let connector = Connector::open(directory, time).unwrap();
        // The window that HTTP/2 itself begins with (RFC 9113 §6.9.2); this library's own is 2 MiB.
        let endpoint = Endpoint::from_shared(self.address.clone()).unwrap();
        let endpoint = endpoint.initial_stream_window_size(65_535);
        endpoint.connect_with_connector(connector).await.unwrap()
    }

    /// Submits a command as the operator.
    pub(crate) async fn as_operator(&self, kind: Kind) -> Outcome {
        let request_id = self.requests.request_id(self.clock.clock().now());
        as_operator(&self.node, request_id, kind).await
    }

    /// Waits until whatever was set going behind an answer has been done.
    pub(crate) async fn at_rest(&self) {
        let swept = async {
            while !self.node.read(|state| {
                state.tables().sweeps.is_empty() && state.indexes().erasures_open.is_empty()
            }) {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_mins(1), swept).await.unwrap();
    }

    /// Suspends an agency.
    pub(crate) async fn suspend(&self, agency: &Agency) {
        let suspend = pb::SuspendAgency { agency: agency.id.to_string() };
        self.as_operator(Kind::SuspendAgency(suspend)).await.unwrap();
    }

    /// An agreement that every party drafted, proposed and approved.
    pub(crate) async fn agree(&self, id: &str, parties: &[&Agency], flows: Vec<pb::Flow>) {
        agree(self.clock.clock().now(), id, parties, flows).await;
    }

    /// A council that publishes leaver forms and a national body that receives them by duty, with a subscription.
    pub(crate) async fn partners(&self) -> (Agency, Agency) {
        let council = self.agency("inverclyde-council", AgencyKind::Council).await;
        let sds = self.agency("skills", AgencyKind::NationalBody).await;
        self.agree("leavers", &[&council, &sds], vec![by_duty("duty", &council, &[&sds])]).await;
        sds.subscribe_to("leavers").await;
        (council, sds)
    }

    /// Asks the server to stop; what is under way goes on.
    pub(crate) fn stop_gently(&mut self) {
        if let Some(stop) = self.server.as_mut().and_then(|server| server.stop.take()) {
            let _gone = stop.send(());
        }
    }

    /// Stops the server and waits until every connection has ended.
    pub(crate) async fn stop(&mut self) {
        self.stop_gently();
        if let Some(Server { task, .. }) = self.server.take() {
            task.await.unwrap();
        }
    }

    /// Ends the exchange and leaves its files, for whoever starts it again there or looks into them. Every agency's
    /// handle must be gone, since each holds the node.
    pub(crate) async fn end(mut self) -> TempDir {
        self.stop().await;
        self.node.stop();
        if let Some(appender) = self.appender.take() {
            tokio::task::spawn_blocking(move || appender.join().unwrap()).await.unwrap();
        }
        std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(Server { task, .. }) = &self.server {
            task.abort();
        }
        self.node.stop();
    }
}

/// An agency that has enrolled, as its own systems see it.
pub(crate) struct Agency {
    pub(crate) id: AgencyId,
    pub(crate) kind: AgencyKind,
    pub(crate) profile: IssuedProfile,
    pub(crate) signing: SigningKey,
    /// Its connection to the exchange.
    pub(crate) channel: Channel,
    pub(crate) node: Node,
    clock: Clock,
    /// What its request ids are drawn from.
    pub(crate) requests: Entropy,
}

impl Agency {
    /// An agency with a profile, which need not have enrolled.
    pub(crate) fn new(
        (node, clock, requests): (Node, Clock, Entropy),
        (id, kind): (AgencyId, AgencyKind),
        profile: IssuedProfile,
        channel: Channel,
    ) -> Self {
        let signing =
            SigningKey::load(&ProfileFiles::in_directory(&profile.directory).signing_key).unwrap();
        Self { id, kind, profile, signing, channel, node, clock, requests }
    }

    /// Has it invited, and enrols it.
    pub(crate) async fn join(&self) {
        let secret = b"an invitation's secret";
        let invite = pb::InviteAgency {
            agency: self.id.to_string(),
            kind: i32::from(self.kind),
            secret_digest: Digest::of_concatenation(&[secret]).as_bytes().to_vec().into(),
            expires_at_ms: self.clock.now().plus(DAY_MS).millis(),
        };
        let invited = self.request_id();
        as_operator(&self.node, invited, Kind::InviteAgency(invite)).await.unwrap();
        let keys = pb::AgencyKeys {
            signing_key: self.signing.public().to_vec().into(),
            certificates: vec![self.profile.certificate.fingerprint.as_bytes().to_vec().into()],
        };
        let enrol = pb::EnrolAgency { secret: secret.to_vec().into(), keys: Some(keys) };
        self.submit(Kind::EnrolAgency(enrol)).await.unwrap();
    }

    /// A caller of the exchange service.
    pub(crate) fn exchange(&self) -> ExchangeServiceClient<Channel> {
        ExchangeServiceClient::new(self.channel.clone())
    }

    /// A new request id.
    pub(crate) fn request_id(&self) -> RequestId {
        self.requests.request_id(self.clock.now())
    }

    /// A new request id, as requests carry it.
    pub(crate) fn request(&self) -> String {
        uuid::Uuid::from_bytes(*self.request_id().as_bytes()).to_string()
    }

    /// The name of a subscription of its own.
    pub(crate) fn subscription(&self, id: &str) -> String {
        format!("agencies/{}/subscriptions/{id}", self.id)
    }

    /// Its signature for a command.
    pub(crate) fn signature(&self, request_id: RequestId, kind: &Kind) -> pb::Signature {
        let ledger = self.node.read(State::ledger);
        let statement = statement(ledger, &self.id, request_id, kind).unwrap();
        pb::Signature {
            key_fingerprint: self.signing.fingerprint().as_bytes().to_vec().into(),
            value: self.signing.sign(&statement).unwrap().to_vec().into(),
        }
    }

    /// Submits a signed command in its name, beside the network.
    pub(crate) async fn submit(&self, kind: Kind) -> Outcome {
        let request_id = self.request_id();
        let signature = self.signature(request_id, &kind);
        let asked = Asked {
            actor: Who::Agency(self.id.clone()),
            purpose: purpose_of(&kind),
            staff: None,
            request_id,
            signature: Some(signature),
        };
        self.node.submit(&asked, kind, None).await.unwrap()
    }

    /// Makes a subscription to leaver forms.
    pub(crate) async fn subscribe_to(&self, id: &str) {
        let create = pb::CreateSubscription {
            subscription: id.to_owned(),
            record_types: vec![LEAVER_FORM.to_owned()],
        };
        self.submit(Kind::CreateSubscription(create)).await.unwrap();
    }

    /// Records that a client of its own consented to `groups` going to `recipients`.
    pub(crate) async fn record_consent(
        &self,
        client: AliasId,
        groups: &[&str],
        recipients: &[&Self],
    ) -> Result<ConsentId, Refusal> {
        let scope = pb::ConsentScope {
            client: client.as_bytes().to_vec().into(),
            publisher: self.id.to_string(),
            record_type: LEAVER_FORM.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            recipients: recipients.iter().map(|agency| agency.id.to_string()).collect(),
            gate: i32::from(pb::Gate::DataProtectionConsent),
            ..pb::ConsentScope::default()
        };
        let act = pb::ConsentAct {
            grantor: i32::from(pb::Grantor::Self_),
            authority: i32::from(pb::Authority::Unspecified),
            age_years: 16,
            method: i32::from(pb::ConsentMethod::Form),
            given_at_ms: self.clock.now().millis(),
            notice_digest: Digest::of_concatenation(&[b"the notice"]).as_bytes().to_vec().into(),
            ..pb::ConsentAct::default()
        };
        let record = pb::RecordConsent {
            scope: Some(scope),
            act: Some(act),
            expires_at_ms: 0,
            ..pb::RecordConsent::default()
        };
        let receipt = self.submit(Kind::RecordConsent(record)).await?;
        let Receipt::Answer(Remembered::Consent(consent)) = receipt else {
            unreachable!("not a consent: {receipt:?}")
        };
        Ok(consent)
    }

    /// Withdraws a consent for every recipient.
    pub(crate) async fn withdraw(&self, consent: ConsentId) {
        let consent = consent.as_bytes().to_vec().into();
        let withdraw = pb::WithdrawConsent {
            consent,
            recipients: Vec::new(),
            ..pb::WithdrawConsent::default()
        };
        self.submit(Kind::WithdrawConsent(withdraw)).await.unwrap();
    }
}

/// The reason in an error's details.
pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// An agreement that every party drafted, proposed and approved.
pub(crate) async fn agree(now: UnixMillis, id: &str, parties: &[&Agency], flows: Vec<pb::Flow>) {
    agree_for(Purpose::SchoolLeaverTransition, now, (id, parties), flows).await;
}

/// An agreement for another purpose.
pub(crate) async fn agree_for(
    purpose: Purpose,
    now: UnixMillis,
    (id, parties): (&str, &[&Agency]),
    flows: Vec<pb::Flow>,
) {
    let [first, ..] = parties else { unreachable!("an agreement has parties") };
    let party = |agency: &&Agency| pb::Party {
        agency: agency.id.to_string(),
        kind: i32::from(agency.kind),
        key_fingerprint: agency.signing.fingerprint().as_bytes().to_vec().into(),
        ..pb::Party::default()
    };
    let content = pb::AgreementContent {
        parties: parties.iter().map(party).collect(),
        purpose: i32::from(purpose),
        flows,
        expires_at_ms: now.plus(365 * DAY_MS).millis(),
        text_digest: Digest::of_concatenation(&[b"the text"]).as_bytes().to_vec().into(),
        terms: None,
    };
    let content = example::completed(content, now);
    let agreement = id.to_owned();
    let draft = pb::DraftAgreement { agreement: agreement.clone(), content: Some(content) };
    let drafted = first.submit(Kind::DraftAgreement(draft)).await;
    let Ok(Receipt::Answer(Remembered::Agreement { version, content_hash })) = drafted else {
        unreachable!("the draft is not sound: {drafted:?}");
    };
    let content_hash: bytes::Bytes = content_hash.as_bytes().to_vec().into();
    let propose = pb::ProposeAgreement {
        agreement: agreement.clone(),
        version,
        content_hash: content_hash.clone(),
    };
    first.submit(Kind::ProposeAgreement(propose)).await.unwrap();
    for party in parties {
        let approve = example::approval(&agreement, version, content_hash.clone());
        party.submit(Kind::ApproveAgreement(approve)).await.unwrap();
    }
}

/// Submits a command as the operator.
pub(crate) async fn as_operator(node: &Node, request_id: RequestId, kind: Kind) -> Outcome {
    let asked = Asked {
        actor: Who::Operator,
        purpose: Purpose::Operation,
        staff: None,
        request_id,
        signature: None,
    };
    node.submit(&asked, kind, None).await.unwrap()
}

/// A system's context for the purpose of the harness's agreements.
#[expect(clippy::unnecessary_wraps, reason = "a request takes it so")]
pub(crate) fn context() -> Option<RequestContext> {
    Some(RequestContext {
        purpose: i32::from(Purpose::SchoolLeaverTransition),
        actor: Some(Actor::Unattended(true)),
        held_checkpoint: String::new(),
    })
}

/// The invented leaver's form, about another client for each number.
pub(crate) fn form(number: u32) -> concordat::pb::record::v1::LeaverForm {
    let mut form = concordat::record::leaver_form::example();
    let identity = form.identity.get_or_insert_default();
    identity.scn = String::new();
    identity.source_local_id = format!("IC-{number}");
    form
}

/// A draft of a form.
pub(crate) fn draft(form: &concordat::pb::record::v1::LeaverForm) -> RecordDraft {
    RecordDraft {
        record_type: LEAVER_FORM.to_owned(),
        type_version: 0,
        body: form.encode_to_vec().into(),
        supersedes: String::new(),
        change: 0,
    }
}

/// A flow of the groups that a national body gets by duty, with no gate.
pub(crate) fn by_duty(id: &str, publisher: &Agency, recipients: &[&Agency]) -> pb::Flow {
    pb::Flow {
        flow: id.to_owned(),
        record_type: LEAVER_FORM.to_owned(),
        publisher: publisher.id.to_string(),
        recipients: recipients.iter().map(|agency| agency.id.to_string()).collect(),
        groups: concordat::record::leaver_form::GROUPS_TO_SDS_BY_DUTY
            .iter()
            .map(|group| (*group).to_owned())
            .collect(),
        basis: i32::from(pb::LawfulBasis::LegalObligation),
        special_condition: i32::from(pb::SpecialCondition::StatutoryPurposes),
        legal_power: i32::from(pb::LegalPower::Post16Education2013S20),
        gate: i32::from(pb::Gate::None),
        caseload: i32::from(pb::CaseloadRule::None),
        backfill: false,
        ..pb::Flow::default()
    }
}

/// A flow of the core of a form that waits for data protection consent.
pub(crate) fn by_consent(id: &str, publisher: &Agency, recipients: &[&Agency]) -> pb::Flow {
    pb::Flow {
        groups: vec!["core".to_owned(), "identity".to_owned()],
        basis: i32::from(pb::LawfulBasis::Consent),
        special_condition: i32::from(pb::SpecialCondition::Unspecified),
        legal_power: i32::from(pb::LegalPower::Unspecified),
        gate: i32::from(pb::Gate::DataProtectionConsent),
        ..by_duty(id, publisher, recipients)
    }
}

/// The alias in a client's name, `clients/ALIAS`.
pub(crate) fn alias(name: &str) -> AliasId {
    name.strip_prefix("clients/").unwrap().parse().unwrap()
}

fn purpose_of(kind: &Kind) -> Purpose {
    if matches!(kind, Kind::CreateSubscription(_)) {
        Purpose::SchoolLeaverTransition
    } else {
        Purpose::Administration
    }
}

/// Opens the ledger in `directory`, which is founded first if there is none, and starts its node.
async fn begin(
    directory: &Path,
    clock: &SimulatedClock,
    entropy: Entropy,
    operator: Digest,
) -> (Node, Tasks) {
    let registry = Arc::new(Registry::built_in().unwrap());
    let (ledger, keyring) = if directory.join("ledger").exists() {
        existing(directory).await
    } else {
        founded(directory, clock, &entropy, (registrations(&registry), operator)).await
    };
    let parts = Parts {
        ledger,
        state: State::empty(),
        store: None,
        keyring,
        clock: clock.clock(),
        entropy,
        checkpoint_seed: [7; 32],
        registry,
    };
    let (node, tasks, _beginning) = Node::start(parts).await.unwrap();
    (node, tasks)
}

/// The ledger of an exchange that has ended, opened by whoever has the files; waits until the exchange's last task has let
/// go of them.
pub(crate) async fn ledger_in(directory: &Path, options: Options) -> AnyLedger {
    let opened = async {
        loop {
            let disk = OsDisk::existing(&directory.join("ledger")).unwrap();
            match Segment::open(disk, options.clone()) {
                Ok(ledger) => return AnyLedger::Segment(ledger),
                Err(Fault::Unusable(_)) => tokio::task::yield_now().await,
                Err(fault) => unreachable!("the ledger does not open: {fault}"),
            }
        }
    };
    timeout(Duration::from_mins(1), opened).await.unwrap()
}

/// A directory with certificates and a ledger that was founded with some of the record types, and nothing else in it.
pub(crate) async fn founded_knowing(types: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let authority = DevelopmentAuthority::create(&directory.path().join("certs"), NOW).unwrap();
    authority.issue_server(&[], NOW).unwrap();
    let operator = authority.issue_operator(NOW).unwrap().certificate.fingerprint;
    let mut known = registrations(&Registry::built_in().unwrap());
    known.retain(|known| types.contains(&known.name.as_str()));
    let clock = SimulatedClock::new(NOW);
    founded(directory.path(), &clock, &Entropy::system(), (known, operator)).await;
    directory
}

async fn existing(directory: &Path) -> (AnyLedger, Keyring) {
    let ledger = ledger_in(directory, OPTIONS).await;
    let genesis = ledger.entries(Position::FIRST).next().await.unwrap().unwrap();
    let Some(Kind::Genesis(genesis)) = pb::Command::decode(genesis.command).unwrap().kind else {
        unreachable!("a ledger begins with its genesis");
    };
    let id = LedgerId::from_slice(&genesis.ledger_id).unwrap();
    let keyring = Keyring::open(&directory.join("keyring"), id).unwrap();
    (ledger, keyring)
}

async fn founded(
    directory: &Path,
    clock: &SimulatedClock,
    entropy: &Entropy,
    (record_types, operator): (Vec<pb::RegisterRecordType>, Digest),
) -> (AnyLedger, Keyring) {
    let ledger_id = LedgerId::from_bytes(entropy.bytes());
    let disk = OsDisk::create(&directory.join("ledger")).unwrap();
    let ledger = AnyLedger::Segment(Segment::open(disk, OPTIONS).unwrap());
    let epoch = NewEpoch {
        id: EpochId::from_bytes(entropy.bytes()),
        secret: Secret::from_bytes(entropy.bytes()),
        opened_at: NOW,
    };
    let keyring = Keyring::create(&directory.join("keyring"), ledger_id, epoch).unwrap();
    let checkpoint = SigningKey::from_seed(&[7; 32]).unwrap();
    let founding = Founding {
        ledger: ledger_id,
        operator_certificate: operator,
        checkpoint_key: checkpoint.public(),
        record_types,
    };
    found(&ledger, &keyring, &clock.clock(), entropy, &founding).await.unwrap();
    (ledger, keyring)
}
