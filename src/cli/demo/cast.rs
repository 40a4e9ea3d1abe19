//! Who takes part, and what they agree: Inverclyde's More Choices, More Chances, with one agreement for school leavers.
//!
//! What may lawfully flow is read in `docs/law.md`; what an agreement may say is the machine's to decide.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    machine::command::agreement::example,
    model::order::UnixMillis,
    pb::ledger::v1::{
        AgencyKind, AgreementContent, CaseloadRule, Flow, Gate, LawfulBasis, LegalPower, Party,
        Purpose, SpecialCondition,
    },
    record::leaver_form::GROUPS_TO_SDS_BY_DUTY,
};

/// The council, which publishes.
pub(super) const COUNCIL: &str = "inverclyde-council";
/// Skills Development Scotland, which receives by duty.
pub(super) const SDS: &str = "skills-development-scotland";
/// An invented college, which receives by consent.
pub(super) const COLLEGE: &str = "glen-college";
/// An invented voluntary provider, which receives for those whom it serves.
pub(super) const PROVIDER: &str = "moving-forward";
/// The agreement.
pub(super) const AGREEMENT: &str = "school-leavers-2026";
/// The subscription that each recipient makes.
pub(super) const SUBSCRIPTION: &str = "leavers";
/// The type of record.
pub(super) const RECORD_TYPE: &str = "leaver-form";

/// The agencies, and what kind of body each is.
pub(super) const AGENCIES: [(&str, AgencyKind); 4] = [
    (COUNCIL, AgencyKind::Council),
    (SDS, AgencyKind::NationalBody),
    (COLLEGE, AgencyKind::College),
    (PROVIDER, AgencyKind::Voluntary),
];
/// The agencies that receive.
pub(super) const RECIPIENTS: [&str; 3] = [SDS, COLLEGE, PROVIDER];

/// The field groups that the college may get with consent.
pub(super) const GROUPS_BY_CONSENT: [&str; 7] =
    ["core", "identity", "contact", "education", "intention", "support-special", "governance"];
/// The field groups that the provider gets of those whom it serves.
pub(super) const GROUPS_OF_CASELOAD: [&str; 2] = ["core", "intention"];

/// How long the agreement lasts, in milliseconds: two years.
const LASTS_MS: u64 = 730 * 86_400_000;

/// The groups that may reach a recipient at all.
pub(super) fn groups_agreed(recipient: &str) -> &'static [&'static str] {
    match recipient {
        SDS => &GROUPS_TO_SDS_BY_DUTY,
        COLLEGE => &GROUPS_BY_CONSENT,
        PROVIDER => &GROUPS_OF_CASELOAD,
        _nobody => &[],
    }
}

/// What the parties agree, given the fingerprint of each one's signing key.
pub(super) fn content(keys: &BTreeMap<&str, Bytes>, now: UnixMillis) -> AgreementContent {
    let parties = AGENCIES.iter().map(|(agency, kind)| Party {
        agency: (*agency).to_owned(),
        kind: i32::from(*kind),
        key_fingerprint: keys.get(agency).cloned().unwrap_or_default(),
        ..Party::default()
    });
    let content = AgreementContent {
        parties: parties.collect(),
        purpose: Purpose::SchoolLeaverTransition.into(),
        flows: vec![to_sds(), to_college(), to_provider()],
        expires_at_ms: now.plus(LASTS_MS).millis(),
        text_digest: Bytes::new(),
        terms: None,
    };
    example::completed(content, now)
}

/// By duty: the Post-16 Education (Scotland) Act 2013 s.20 and SSI 2014/116. Nobody is asked.
fn to_sds() -> Flow {
    Flow {
        basis: LawfulBasis::LegalObligation.into(),
        special_condition: SpecialCondition::StatutoryPurposes.into(),
        legal_power: LegalPower::Post16Education2013S20.into(),
        gate: Gate::None.into(),
        ..flow("leavers-to-sds", SDS)
    }
}

/// By consent to this college by name: the Additional Support for Learning Act 2004 s.13.
fn to_college() -> Flow {
    Flow {
        basis: LawfulBasis::Consent.into(),
        special_condition: SpecialCondition::ExplicitConsent.into(),
        legal_power: LegalPower::AdditionalSupport2004S13.into(),
        gate: Gate::StatutoryConsent.into(),
        ..flow("leavers-to-glen-college", COLLEGE)
    }
}

/// In the council's public task: the power to advance well-being, Local Government in Scotland Act 2003 s.20. Since it is
/// shared anyway nobody is asked; it reaches only those whom the council confirms to be served.
fn to_provider() -> Flow {
    Flow {
        basis: LawfulBasis::PublicTask.into(),
        legal_power: LegalPower::LocalGovernment2003S20.into(),
        gate: Gate::None.into(),
        caseload: CaseloadRule::Confirmed.into(),
        ..flow("leavers-to-moving-forward", PROVIDER)
    }
}

fn flow(id: &str, recipient: &str) -> Flow {
    Flow {
        flow: id.to_owned(),
        record_type: RECORD_TYPE.to_owned(),
        publisher: COUNCIL.to_owned(),
        recipients: vec![recipient.to_owned()],
        groups: groups_agreed(recipient).iter().map(|group| (*group).to_owned()).collect(),
        caseload: CaseloadRule::None.into(),
        ..Flow::default()
    }
}
