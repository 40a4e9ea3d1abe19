//! Who takes part in the simulations: agencies with keys from their names, agreements, and bodies of records.
//!
//! `council` publishes to everybody else under `leavers`: to `national` by duty with backfill, to `college` where a client
//! consents, to `charity` for its confirmed caseload, to `health` by task. `shire` publishes to `college` and `national`
//! under an agreement of its own. All names are invented.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytes::Bytes;
use concordat::{
    machine::{access::verdict::canonical, command::agreement::example},
    model::{
        digest::Digest,
        id::{AgencyId, LedgerId, RecordId, RequestId},
        order::UnixMillis,
    },
    node::{Asked, Publication, Who, statement},
    pb::{
        ledger::v1::{self as pb, AgencyKind, command::Kind},
        record::v1::{LeaverForm, leaver_form},
    },
    record::registry::Registry,
};
use prost::Message;

/// When every simulation begins: 2026-08-03T09:00:00Z, in milliseconds.
pub(crate) const BEGINNING_MS: u64 = 1_785_747_600_000;
/// One day, in milliseconds.
pub(crate) const DAY_MS: u64 = 86_400_000;
/// The one record type.
pub(crate) const LEAVER_FORM: &str = "leaver-form";
/// The field groups that bodies of simulations hold.
pub(crate) const GROUPS: [&str; 3] = ["core", "intention", "support"];
/// Every agency and its kind.
pub(crate) const AGENCIES: [(&str, AgencyKind); 6] = [
    ("council", AgencyKind::Council),
    ("shire", AgencyKind::Council),
    ("national", AgencyKind::NationalBody),
    ("college", AgencyKind::College),
    ("charity", AgencyKind::Voluntary),
    ("health", AgencyKind::HealthBoard),
];
/// Policies of the simulations: the name, the Cedar text, and what it forbids: a group, or every group to a recipient.
pub(crate) const POLICIES: [(&str, &str, Forbids); 3] = [
    (
        "no-support",
        r#"forbid(principal, action, resource) when { resource.group == "support" };"#,
        Forbids::Group("support"),
    ),
    (
        "no-college",
        r#"forbid(principal == Agency::"college", action, resource);"#,
        Forbids::Recipient("college"),
    ),
    (
        "no-intention",
        r#"forbid(principal, action, resource) when { resource.group == "intention" };"#,
        Forbids::Group("intention"),
    ),
];

/// What a policy of the simulations forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forbids {
    Group(&'static str),
    Recipient(&'static str),
}

/// The record types of the program.
pub(crate) static REGISTRY: LazyLock<Arc<Registry>> =
    LazyLock::new(|| Arc::new(Registry::built_in().unwrap()));

/// The stored form of a policy of the simulations.
pub(crate) static POLICY_TEXTS: LazyLock<Vec<String>> =
    LazyLock::new(|| POLICIES.iter().map(|(_, text, _)| canonical(text).unwrap()).collect());

/// The ledger of every simulation.
pub(crate) fn ledger_id() -> LedgerId {
    LedgerId::from_bytes([9; 16])
}

/// An agency's id.
pub(crate) fn agency(name: &str) -> AgencyId {
    name.parse().unwrap()
}

/// The record types as a Genesis registers them.
pub(crate) fn registrations() -> Vec<pb::RegisterRecordType> {
    concordat::node::registrations(&REGISTRY)
}

/// The key by which an agency signs.
pub(crate) fn key_pair(name: &str) -> Ed25519KeyPair {
    let seed = Digest::of_parts("simulation.key", &[name.as_bytes()]);
    Ed25519KeyPair::from_seed_unchecked(seed.as_bytes()).unwrap()
}

fn digest_bytes(parts: &[&[u8]]) -> Bytes {
    Digest::of_concatenation(parts).as_bytes().to_vec().into()
}

/// A request of an agency; signed if `kind` is given.
pub(crate) fn asked(
    name: &str,
    purpose: pb::Purpose,
    request_id: RequestId,
    kind: Option<&Kind>,
) -> Asked {
    let signature = kind.map(|kind| {
        let statement = statement(ledger_id(), &agency(name), request_id, kind).unwrap();
        let key = key_pair(name);
        pb::Signature {
            key_fingerprint: digest_bytes(&[key.public_key().as_ref()]),
            value: key.sign(&statement).as_ref().to_vec().into(),
        }
    });
    let actor = Who::Agency(agency(name));
    Asked { actor, purpose, staff: None, request_id, signature }
}

/// A request of the operator.
pub(crate) fn operator(request_id: RequestId) -> Asked {
    let purpose = pb::Purpose::Operation;
    Asked { actor: Who::Operator, purpose, staff: None, request_id, signature: None }
}

/// The commands by which an agency comes in: the operator's, then its own.
pub(crate) fn joining(name: &str, kind: AgencyKind) -> (Kind, Kind) {
    let secret: &[u8] = b"an invitation's secret";
    let invite = pb::InviteAgency {
        agency: name.to_owned(),
        kind: i32::from(kind),
        secret_digest: digest_bytes(&[secret]),
        expires_at_ms: BEGINNING_MS + DAY_MS,
    };
    let keys = pb::AgencyKeys {
        signing_key: key_pair(name).public_key().as_ref().to_vec().into(),
        certificates: vec![digest_bytes(&[b"certificate", name.as_bytes()])],
    };
    let enrol = pb::EnrolAgency { secret: secret.to_vec().into(), keys: Some(keys) };
    (Kind::InviteAgency(invite), Kind::EnrolAgency(enrol))
}

/// A flow without a gate, on a public power.
pub(crate) fn flow(id: &str, publisher: &str, recipient: &str, groups: &[&str]) -> pb::Flow {
    pb::Flow {
        flow: id.to_owned(),
        record_type: LEAVER_FORM.to_owned(),
        publisher: publisher.to_owned(),
        recipients: vec![recipient.to_owned()],
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        basis: i32::from(pb::LawfulBasis::LegalObligation),
        special_condition: 0,
        legal_power: i32::from(pb::LegalPower::Post16Education2013S20),
        gate: i32::from(pb::Gate::None),
        caseload: i32::from(pb::CaseloadRule::None),
        backfill: false,
        ..pb::Flow::default()
    }
}

/// A flow that waits for consent.
pub(crate) fn consented(id: &str, publisher: &str, recipient: &str, groups: &[&str]) -> pb::Flow {
    pb::Flow {
        basis: i32::from(pb::LawfulBasis::Consent),
        legal_power: 0,
        gate: i32::from(pb::Gate::DataProtectionConsent),
        ..flow(id, publisher, recipient, groups)
    }
}

/// The flows of an agreement of the cast.
fn flows(agreement: &str) -> Vec<pb::Flow> {
    if agreement == "shire-leavers" {
        return vec![
            consented("to-college", "shire", "college", &GROUPS),
            flow("to-national", "shire", "national", &["core", "intention"]),
        ];
    }
    if agreement == "college-leavers" {
        return vec![flow("to-national", "college", "national", &["core", "intention"])];
    }
    vec![
        pb::Flow {
            backfill: true,
            ..flow("to-national", "council", "national", &["core", "intention"])
        },
        consented("to-college", "council", "college", &GROUPS),
        pb::Flow {
            caseload: i32::from(pb::CaseloadRule::Confirmed),
            ..flow("to-charity", "council", "charity", &["core", "intention"])
        },
        flow("to-health", "council", "health", &["core", "support"]),
    ]
}

/// The content of an agreement of the cast, and who its parties are.
pub(crate) fn content(agreement: &str, now_ms: u64, expires_at_ms: u64) -> pb::AgreementContent {
    let flows = flows(agreement);
    let named = |name: &str| {
        flows.iter().any(|flow| flow.publisher == name || flow.recipients.iter().any(|r| r == name))
    };
    let party = |(name, kind): &(&str, AgencyKind)| pb::Party {
        agency: (*name).to_owned(),
        kind: i32::from(*kind),
        key_fingerprint: digest_bytes(&[key_pair(name).public_key().as_ref()]),
        ..pb::Party::default()
    };
    let content = pb::AgreementContent {
        parties: AGENCIES.iter().filter(|(name, _)| named(name)).map(party).collect(),
        purpose: i32::from(pb::Purpose::SchoolLeaverTransition),
        flows,
        expires_at_ms,
        text_digest: digest_bytes(&[agreement.as_bytes()]),
        terms: None,
    };
    example::completed(content, UnixMillis::new(now_ms))
}

/// How a publisher names a client: by an id of its own and the Scottish Candidate Number that all share.
pub(crate) fn identifiers(name: &str, client: u64) -> pb::Identifiers {
    pb::Identifiers {
        local_id: format!("{name}-{client}"),
        scn: format!("9{client:08}"),
        person: None,
    }
}

/// A record with the given groups whose content tells it apart.
pub(crate) fn publication(
    identifiers: pb::Identifiers,
    groups: &[&str],
    mark: u64,
    supersedes: Option<RecordId>,
) -> Publication {
    let has = |group: &str| groups.contains(&group);
    let form = LeaverForm {
        core: has("core").then(|| leaver_form::Core {
            form_id: format!("form-{mark}"),
            ..leaver_form::Core::default()
        }),
        intention: has("intention").then(|| leaver_form::Intention {
            offer_provider: format!("provider-{mark}"),
            ..leaver_form::Intention::default()
        }),
        support: has("support").then(|| leaver_form::Support {
            lead_worker_agency: format!("agency-{mark}"),
            ..leaver_form::Support::default()
        }),
        ..LeaverForm::default()
    };
    Publication {
        record_type: LEAVER_FORM.parse().unwrap(),
        type_version: 1,
        code_lists: "2026-11-01".to_owned(),
        groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
        body: form.encode_to_vec().into(),
        identifiers,
        supersedes,
        change: pb::VersionChange::Unspecified,
    }
}

/// What is left of a body for whoever may have `groups`: written down group by group, not by the product's redaction.
pub(crate) fn cut_down(body: &[u8], groups: &[&str]) -> LeaverForm {
    let form = LeaverForm::decode(body).unwrap();
    let has = |group: &str| groups.contains(&group);
    LeaverForm {
        core: form.core.filter(|_| has("core")),
        intention: form.intention.filter(|_| has("intention")),
        support: form.support.filter(|_| has("support")),
        ..LeaverForm::default()
    }
}

/// A consent to everything named, or the scope of a refusal.
pub(crate) fn scope(client: &[u8], publisher: &str, groups: &[&str]) -> pb::ConsentScope {
    pb::ConsentScope {
        client: client.to_vec().into(),
        publisher: publisher.to_owned(),
        record_type: LEAVER_FORM.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        recipients: vec!["college".to_owned()],
        gate: i32::from(pb::Gate::DataProtectionConsent),
        ..pb::ConsentScope::default()
    }
}

/// The act of a young person who speaks for themselves.
pub(crate) fn act() -> pb::ConsentAct {
    pb::ConsentAct {
        grantor: i32::from(pb::Grantor::Self_),
        authority: 0,
        age_years: 16,
        method: i32::from(pb::ConsentMethod::Form),
        given_at_ms: BEGINNING_MS - DAY_MS,
        notice_digest: digest_bytes(&[b"notice"]),
        ..pb::ConsentAct::default()
    }
}

/// The version and content hash of a receipt about an agreement.
pub(crate) fn standing(receipt: &concordat::machine::Receipt) -> (u32, Bytes) {
    use concordat::machine::{Receipt, outcome::Remembered};
    match receipt {
        Receipt::Answer(Remembered::Agreement { version, content_hash }) => {
            (*version, content_hash.as_bytes().to_vec().into())
        }
        other => unreachable!("not about an agreement: {other:?}"),
    }
}
