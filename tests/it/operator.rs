//! What the operator cannot do, though it holds the certificate authority, every file and every RPC: approve an agreement,
//! grant a consent, widen a policy or change the keys of an agency that has enrolled.
//!
//! Certificates open doors only; what binds a party carries a signature by a key that the exchange never holds. Each test
//! tries one way around that, and holds that afterwards nothing of the victim's has changed.

use bytes::Bytes;
use concordat::{
    clock::Entropy,
    identity::signing::SigningKey,
    ledger::{Draft, Ledger, Space},
    machine::{
        Receipt, State, command::agreement::example, outcome::Remembered,
        state::agreement::Status as Standing,
    },
    model::{
        digest::Digest,
        id::{AgencyId, AliasId, RequestId},
    },
    node::statement,
    pb::{
        ledger::v1::{self as ledger, AgencyKind, Purpose, Signature, actor::Who, command::Kind},
        v1::{self as pb},
    },
};
use prost::Message;
use tonic::{Code, Status};

use crate::{
    harness::{
        Agency, DAY_MS, Exchange, LEAVER_FORM, NOW, OPTIONS, Setup, alias, by_consent, by_duty,
        context, draft, form, ledger_in,
    },
    raw,
};

/// A council whose agreement with a college waits for the council's approval alone, with a policy that keeps support back.
struct Victim {
    council: Agency,
    college: Agency,
    client: AliasId,
}

const NARROW: &str = r#"forbid(principal, action, resource) when { resource.group == "support" };"#;

/// What the operator would like to have in the council's name.
fn wishes(victim: &Victim, hash: &Bytes) -> Vec<(&'static str, Kind)> {
    let stolen = SigningKey::from_seed(&[66; 32]).unwrap();
    let client = victim.client;
    let certificate = victim.council.profile.certificate.fingerprint;
    let keys = ledger::AgencyKeys {
        signing_key: stolen.public().to_vec().into(),
        certificates: vec![certificate.as_bytes().to_vec().into(), vec![66; 32].into()],
    };
    let agreement = "waiting".to_owned();
    let approve = example::approval(&agreement, 1, hash.clone());
    let scope = ledger::ConsentScope {
        client: client.as_bytes().to_vec().into(),
        publisher: "council".to_owned(),
        record_type: LEAVER_FORM.to_owned(),
        groups: vec!["core".to_owned()],
        recipients: vec!["college".to_owned()],
        gate: i32::from(ledger::Gate::DataProtectionConsent),
        ..ledger::ConsentScope::default()
    };
    let act = ledger::ConsentAct {
        grantor: i32::from(ledger::Grantor::Self_),
        authority: i32::from(ledger::Authority::Unspecified),
        age_years: 16,
        method: i32::from(ledger::ConsentMethod::Form),
        given_at_ms: NOW.millis(),
        notice_digest: vec![1; 32].into(),
        ..ledger::ConsentAct::default()
    };
    let record = ledger::RecordConsent {
        scope: Some(scope),
        act: Some(act),
        expires_at_ms: 0,
        ..ledger::RecordConsent::default()
    };
    let confirm = ledger::ConfirmCaseload {
        client: client.as_bytes().to_vec().into(),
        agency: "college".to_owned(),
    };
    let put = ledger::PutPolicy {
        policy: "narrow".to_owned(),
        text: r#"forbid(principal, action, resource) when { resource.group == "outcome" };"#
            .to_owned(),
        schema_version: 1,
    };
    vec![
        ("/concordat.v1.AgreementService/ApproveAgreement", Kind::ApproveAgreement(approve)),
        (
            "/concordat.v1.AgreementService/ResumeFlows",
            Kind::ResumeFlows(ledger::ResumeFlows { agreement: "standing".to_owned() }),
        ),
        ("/concordat.v1.ConsentService/RecordConsent", Kind::RecordConsent(record)),
        ("/concordat.v1.CaseloadService/ConfirmCaseload", Kind::ConfirmCaseload(confirm)),
        (
            "/concordat.v1.PolicyService/RemovePolicy",
            Kind::RemovePolicy(ledger::RemovePolicy { policy: "narrow".to_owned() }),
        ),
        ("/concordat.v1.PolicyService/PutPolicy", Kind::PutPolicy(put)),
        (
            "/concordat.v1.AgencyService/RotateKeys",
            Kind::RotateKeys(ledger::RotateKeys { keys: Some(keys) }),
        ),
    ]
}

/// The bytes of the request that asks for a command.
#[expect(clippy::wildcard_enum_match_arm, reason = "there are no other wishes")]
fn request(request_id: &str, kind: &Kind, signature: Option<Signature>) -> Bytes {
    let (context, request_id) = (context(), request_id.to_owned());
    macro_rules! asked {
        ($request:ident, $field:ident, $command:expr) => {
            pb::$request {
                context,
                request_id,
                $field: Some($command.clone()),
                signature,
                ..Default::default()
            }
            .encode_to_vec()
        };
    }
    let bytes = match kind {
        Kind::ApproveAgreement(approve) => asked!(ApproveAgreementRequest, approve, approve),
        Kind::ResumeFlows(resume) => asked!(ResumeFlowsRequest, resume, resume),
        Kind::RecordConsent(record) => asked!(RecordConsentRequest, record, record),
        Kind::ConfirmCaseload(confirm) => asked!(ConfirmCaseloadRequest, confirm, confirm),
        Kind::RemovePolicy(remove) => asked!(RemovePolicyRequest, remove, remove),
        Kind::PutPolicy(put) => asked!(PutPolicyRequest, put, put),
        Kind::RotateKeys(rotate) => asked!(RotateKeysRequest, rotate, rotate),
        other => unreachable!("not a wish: {other:?}"),
    };
    bytes.into()
}

impl Victim {
    async fn new(exchange: &Exchange) -> Self {
        let council = exchange.agency("council", AgencyKind::Council).await;
        let college = exchange.agency("college", AgencyKind::College).await;
        let flows = vec![
            by_duty("duty", &council, &[&college]),
            by_consent("asked", &council, &[&college]),
            ledger::Flow {
                caseload: i32::from(ledger::CaseloadRule::Confirmed),
                ..by_consent("served", &council, &[&college])
            },
        ];
        exchange.agree("standing", &[&council, &college], flows).await;
        let suspend = ledger::SuspendFlows {
            agreement: "standing".to_owned(),
            reason: i32::from(ledger::SuspendReason::Technical),
        };
        let request = pb::PublishRecordRequest {
            context: context(),
            request_id: council.request(),
            record: Some(draft(&form(1))),
            validate_only: false,
        };
        let receipt = council.exchange().publish_record(request).await.unwrap().into_inner();
        let client = alias(&receipt.receipt.unwrap().client);
        council.submit(Kind::SuspendFlows(suspend)).await.unwrap();
        let put = ledger::PutPolicy {
            policy: "narrow".to_owned(),
            text: NARROW.to_owned(),
            schema_version: 1,
        };
        council.submit(Kind::PutPolicy(put)).await.unwrap();
        Self { council, college, client }
    }

    /// An agreement that the college proposed and approved, and the council did not.
    async fn waiting(&self) -> Bytes {
        let party = |agency: &Agency| ledger::Party {
            agency: agency.id.to_string(),
            kind: i32::from(agency.kind),
            key_fingerprint: agency.signing.fingerprint().as_bytes().to_vec().into(),
            ..ledger::Party::default()
        };
        let content = ledger::AgreementContent {
            parties: vec![party(&self.council), party(&self.college)],
            purpose: i32::from(Purpose::SchoolLeaverTransition),
            flows: vec![by_duty("more", &self.council, &[&self.college])],
            expires_at_ms: NOW.plus(DAY_MS).millis(),
            text_digest: Digest::of_concatenation(&[b"the text"]).as_bytes().to_vec().into(),
            terms: None,
        };
        let content = example::completed(content, NOW);
        let agreement = "waiting".to_owned();
        let kind = ledger::DraftAgreement { agreement: agreement.clone(), content: Some(content) };
        let drafted = self.college.submit(Kind::DraftAgreement(kind)).await.unwrap();
        let Receipt::Answer(Remembered::Agreement { version, content_hash }) = drafted else {
            unreachable!("not drafted: {drafted:?}");
        };
        let content_hash = Bytes::copy_from_slice(content_hash.as_bytes());
        let propose = ledger::ProposeAgreement {
            agreement: agreement.clone(),
            version,
            content_hash: content_hash.clone(),
        };
        self.college.submit(Kind::ProposeAgreement(propose)).await.unwrap();
        let approve = example::approval(&agreement, version, content_hash.clone());
        self.college.submit(Kind::ApproveAgreement(approve)).await.unwrap();
        content_hash
    }
}

/// Everything that binds or widens, as the state has it.
fn standing(state: &State) -> String {
    let tables = state.tables();
    let agreements: Vec<_> = tables.agreements.iter().collect();
    let policies: Vec<_> = tables.policies.iter().collect();
    let consents: Vec<_> = tables.consents.iter().collect();
    let caseload: Vec<_> = tables.caseload.iter().collect();
    let keys: Vec<_> =
        tables.agencies.iter().map(|(number, agency)| (number, &agency.keys)).collect();
    format!("{agreements:?} {policies:?} {consents:?} {caseload:?} {keys:?}")
}

fn signed(
    exchange: &Exchange,
    (agency, request): (&AgencyId, RequestId),
    kind: &Kind,
    key: &SigningKey,
) -> Signature {
    let statement = statement(exchange.node.read(State::ledger), agency, request, kind).unwrap();
    Signature {
        key_fingerprint: key.fingerprint().as_bytes().to_vec().into(),
        value: key.sign(&statement).unwrap().to_vec().into(),
    }
}

fn text_of(request: RequestId) -> String {
    uuid::Uuid::from_bytes(*request.as_bytes()).to_string()
}

fn reason(status: &Status) -> String {
    raw::details(status).error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

#[tokio::test]
async fn the_operators_own_certificate_speaks_for_no_party() {
    let exchange = Exchange::start().await;
    let victim = Victim::new(&exchange).await;
    let hash = victim.waiting().await;
    exchange.at_rest().await;
    let before = exchange.node.read(standing);
    let operator = exchange.channel(&exchange.operator.directory).await;
    for (path, kind) in wishes(&victim, &hash) {
        let id = victim.council.request_id();
        // Signed by the victim itself, even: the operator's certificate is not the council's.
        let signature = signed(&exchange, (&victim.council.id, id), &kind, &victim.council.signing);
        let bytes = request(&text_of(id), &kind, Some(signature));
        let status = raw::unary(&operator, path, bytes).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::PermissionDenied, "CALLER_NOT_ALLOWED"),
            "{path}"
        );
    }
    assert_eq!(exchange.node.read(standing), before);
}

#[tokio::test]
async fn a_certificate_forged_in_an_agencys_name_is_nobodys() {
    let exchange = Exchange::start().await;
    let victim = Victim::new(&exchange).await;
    let hash = victim.waiting().await;
    exchange.at_rest().await;
    let before = exchange.node.read(standing);
    // The authority signs whatever the operator likes: a certificate with the council's very name.
    let genuine = exchange.authority.profile_directory("council");
    let aside = exchange.directory.path().join("council-aside");
    std::fs::rename(&genuine, &aside).unwrap();
    let forged = exchange.authority.issue_agency(&victim.council.id, NOW).unwrap();
    let channel = exchange.channel(&forged.directory).await;
    for (path, kind) in wishes(&victim, &hash) {
        let id = victim.council.request_id();
        let signature = signed(&exchange, (&victim.council.id, id), &kind, &victim.council.signing);
        let bytes = request(&text_of(id), &kind, Some(signature));
        let status = raw::unary(&channel, path, bytes).await.unwrap_err();
        assert_eq!(reason(&status), "CERTIFICATE_UNKNOWN", "{path}");
    }
    assert_eq!(exchange.node.read(standing), before);
}

#[tokio::test]
async fn with_an_agencys_certificate_but_not_its_key_nothing_is_signed_for_it() {
    let exchange = Exchange::start().await;
    let victim = Victim::new(&exchange).await;
    let hash = victim.waiting().await;
    exchange.at_rest().await;
    let before = exchange.node.read(standing);
    let wishes = wishes(&victim, &hash);
    let stranger = SigningKey::from_seed(&[66; 32]).unwrap();
    for (place, (path, kind)) in wishes.iter().enumerate() {
        let id = victim.council.request_id();
        let council = &victim.council.id;
        let own = &victim.council.signing;
        let (_, other) = &wishes[(place + 1) % wishes.len()];
        let by_stranger = signed(&exchange, (council, id), kind, &stranger);
        let forgeries = [
            None,
            Some(by_stranger.clone()),
            // A stranger's signature under the council's fingerprint.
            Some(Signature {
                key_fingerprint: own.fingerprint().as_bytes().to_vec().into(),
                ..by_stranger
            }),
            // The college's key, which the ledger knows, in the council's name and in its own.
            Some(signed(&exchange, (council, id), kind, &victim.college.signing)),
            Some(signed(&exchange, (&victim.college.id, id), kind, &victim.college.signing)),
            // What the council did sign: for another request, another command, another agency.
            Some(signed(&exchange, (council, victim.council.request_id()), kind, own)),
            Some(signed(&exchange, (council, id), other, own)),
            Some(signed(&exchange, (&victim.college.id, id), kind, own)),
        ];
        for (which, signature) in forgeries.into_iter().enumerate() {
            let bytes = request(&text_of(id), kind, signature);
            let status = raw::unary(&victim.council.channel, path, bytes).await.unwrap_err();
            assert_eq!(reason(&status), "SIGNATURE_INVALID", "{path}, forgery {which}");
        }
    }
    assert_eq!(exchange.node.read(standing), before);
}

#[tokio::test]
async fn an_agency_that_has_enrolled_is_not_invited_or_enrolled_again() {
    let exchange = Exchange::start().await;
    let victim = Victim::new(&exchange).await;
    exchange.at_rest().await;
    let before = exchange.node.read(standing);
    let secret = Bytes::from_static(b"the operator's own secret");
    let invite = ledger::InviteAgency {
        agency: "council".to_owned(),
        kind: i32::from(AgencyKind::Council),
        secret_digest: Digest::of_concatenation(&[&secret]).as_bytes().to_vec().into(),
        expires_at_ms: NOW.plus(DAY_MS).millis(),
    };
    let refused = exchange.as_operator(Kind::InviteAgency(invite)).await.unwrap_err();
    assert_eq!(refused.reason(), "AGENCY_EXISTS");
    let aside = exchange.directory.path().join("council-aside");
    std::fs::rename(exchange.authority.profile_directory("council"), &aside).unwrap();
    let forged = exchange.authority.issue_agency(&victim.council.id, NOW).unwrap();
    let channel = exchange.channel(&forged.directory).await;
    let key = SigningKey::from_seed(&[66; 32]).unwrap();
    for secret in [secret, Bytes::from_static(b"an invitation's secret")] {
        let keys = ledger::AgencyKeys {
            signing_key: key.public().to_vec().into(),
            certificates: vec![forged.certificate.fingerprint.as_bytes().to_vec().into()],
        };
        let enrol = ledger::EnrolAgency { secret, keys: Some(keys) };
        let id = victim.council.request_id();
        let kind = Kind::EnrolAgency(enrol.clone());
        let request = pb::EnrolAgencyRequest {
            context: context(),
            request_id: text_of(id),
            name: "agencies/council".to_owned(),
            enrol: Some(enrol),
            signature: Some(signed(&exchange, (&victim.council.id, id), &kind, &key)),
            validate_only: false,
        };
        let path = "/concordat.v1.AgencyService/EnrolAgency";
        let status = raw::unary(&channel, path, request.encode_to_vec().into()).await.unwrap_err();
        assert_eq!(reason(&status), "INVITATION_INVALID");
    }
    assert_eq!(exchange.node.read(standing), before);
}

/// A draft as it would be made by whoever has the files and this program.
fn forged(
    entropy: &Entropy,
    who: Who,
    request: RequestId,
    (kind, signature): (&Kind, Option<Signature>),
) -> Draft {
    let command = ledger::Command {
        rules_version: 1,
        actor: Some(ledger::Actor { who: Some(who), unattended: true }),
        purpose: i32::from(Purpose::SchoolLeaverTransition),
        request_id: Bytes::copy_from_slice(request.as_bytes()),
        signature,
        kind: Some(kind.clone()),
    };
    Draft {
        proposed_at: NOW,
        salt: entropy.bytes(),
        command: command.encode_to_vec().into(),
        sealed: None,
        space: Space::Ordinary,
    }
}

#[tokio::test]
async fn entries_forged_into_the_ledgers_files_are_refused_when_they_are_applied() {
    let exchange = Exchange::start_with(Setup::default()).await;
    let victim = Victim::new(&exchange).await;
    let hash = victim.waiting().await;
    exchange.at_rest().await;
    let before = exchange.node.read(standing);
    let entropy = Entropy::system();
    let stranger = SigningKey::from_seed(&[66; 32]).unwrap();
    let council = victim.council.id.clone();
    let mut drafts = Vec::new();
    for (_, kind) in wishes(&victim, &hash) {
        let id = entropy.request_id(NOW);
        let agency = || Who::Agency(council.to_string());
        let earlier = entropy.request_id(NOW);
        let signatures = [
            None,
            Some(signed(&exchange, (&council, id), &kind, &stranger)),
            Some(signed(&exchange, (&council, earlier), &kind, &victim.council.signing)),
            Some(signed(&exchange, (&victim.college.id, id), &kind, &victim.college.signing)),
        ];
        for signature in signatures {
            drafts.push(forged(&entropy, agency(), id, (&kind, signature)));
        }
        let genuine = signed(&exchange, (&council, id), &kind, &victim.council.signing);
        for who in [Who::Operator(ledger::Operator {}), Who::Node(ledger::Node {})] {
            drafts.push(forged(&entropy, who, id, (&kind, Some(genuine.clone()))));
        }
    }
    let count = drafts.len();
    drop(victim);
    let directory = exchange.end().await;
    ledger_in(directory.path(), OPTIONS).await.append(drafts).await.unwrap();

    let certificates = directory.path().join("certs");
    let exchange = Exchange::start_in(directory, &certificates, Setup::default()).await;
    assert_eq!(exchange.node.read(standing), before);
    let waiting = exchange.node.read(|state| {
        let id = "waiting".parse().unwrap();
        state.tables().agreements.get(&id).unwrap().status
    });
    assert_eq!(waiting, Standing::Proposed);
    assert!(30 < count);
}
