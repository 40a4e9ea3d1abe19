//! What stands against the content of an agreement: one function finds all of it, in order of precedence.
//!
//! Parties and flows are here, the tables of bases and gates in `lawful.rs`, what is settled beside the flows in
//! `terms.rs`, and the catalogue with its sources in `gap.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    gap::{Finding, Gap},
    lawful, terms,
};
use crate::{
    machine::{
        command::agreement::{self as command, Content},
        outcome::Refusal,
        rules::CLIENT_PURPOSES,
        state::{
            State,
            agency::{Agency, AgencyNumber},
            agreement::{Emergency, Flow},
            record::TypeNumber,
            record::{Groups, RecordType},
        },
    },
    model::{digest::Digest, id::AgencyId, limit, order::UnixMillis},
    pb::ledger::v1::{AgencyKind, CaseloadRule, Gate, LawfulBasis, PartyRole, Regime},
};

/// How long an agreement may last, in milliseconds: ten years of 365.25 days.
const LASTS_MS_MAX: u64 = 3_652 * 86_400_000 + 43_200_000;

/// Everything that is missing or not lawful, sorted by what it is and then by field.
pub(in crate::machine) fn findings(
    state: &State,
    now: UnixMillis,
    content: &Content,
) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    let shared = CLIENT_PURPOSES.contains(&content.purpose);
    findings.note(shared, Gap::PurposeNotAllowed, || "purpose".to_owned());
    let in_time = now < content.expires_at && content.expires_at <= now.plus(LASTS_MS_MAX);
    findings.note(in_time, Gap::ExpiryInvalid, || "expires_at_ms".to_owned());
    parties(state, content, &mut findings);
    flows(state, content, &mut findings);
    terms::findings(content, now, &mut findings);
    findings.0.retain(|finding| state.asks_for(finding.gap));
    findings.0.sort();
    findings.0
}

/// What was found so far.
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Notes a gap unless all is well.
    pub(super) fn note(&mut self, well: bool, gap: Gap, field: impl FnOnce() -> String) {
        if !well {
            self.0.push(Finding { gap, field: field() });
        }
    }
}

/// Whether the content names the agency among its parties.
pub(super) fn names(content: &Content, agency: &AgencyId) -> bool {
    content.parties.iter().any(|party| party.agency == *agency)
}

/// Holds that nothing stands against a draft; what it may still leave open does not.
pub(super) fn draftable(findings: &[Finding]) -> Result<(), Refusal> {
    match findings.iter().filter_map(|finding| finding.gap.refusal()).min() {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

fn parties(state: &State, content: &Content, findings: &mut Findings) {
    let counted = (2..=limit::PARTIES_MAX).contains(&content.parties.len());
    findings.note(counted, Gap::PartyCount, || "parties".to_owned());
    let mut seen = BTreeSet::new();
    for (place, party) in content.parties.iter().enumerate() {
        let field = |name: &str| format!("parties[{place}].{name}");
        let known = number_of(state, party).is_some() && seen.insert(&party.agency);
        findings.note(known, Gap::PartyDiffers, || field("agency"));
        findings
            .note(party.contact.is_some(), Gap::PartyContactMissing, || field("contact_digest"));
        let stated = party.role != PartyRole::Unspecified;
        findings.note(stated, Gap::PartyRoleMissing, || field("role"));
        let publishes = content.flows.iter().any(|flow| flow.publisher == party.agency);
        let receives = content.flows.iter().any(|flow| flow.recipients.contains(&party.agency));
        let done = role_of(publishes, receives);
        findings.note(!stated || party.role == done, Gap::PartyRoleDiffers, || field("role"));
    }
}

/// What a party does that publishes, receives, both or neither.
pub(super) fn role_of(publishes: bool, receives: bool) -> PartyRole {
    match (publishes, receives) {
        (true, true) => PartyRole::PublisherAndRecipient,
        (true, false) => PartyRole::Publisher,
        (false, true) => PartyRole::Recipient,
        (false, false) => PartyRole::Processor,
    }
}

/// The number of a party that is enrolled, of the kind and with the key that the content states.
fn number_of(state: &State, party: &command::Party) -> Option<AgencyNumber> {
    let number = state.agency_number(&party.agency)?;
    let row = state.agency(number)?;
    let keys = row.keys.as_ref()?;
    let same = row.kind() == party.kind && keys.fingerprint() == party.key_fingerprint;
    same.then_some(number)
}

fn flows(state: &State, content: &Content, findings: &mut Findings) {
    let ids: BTreeSet<_> = content.flows.iter().map(|flow| &flow.id).collect();
    let counted = (1..=limit::FLOWS_MAX).contains(&content.flows.len());
    let counted = counted && ids.len() == content.flows.len();
    findings.note(counted, Gap::FlowCount, || "flows".to_owned());
    for (place, flow) in content.flows.iter().enumerate() {
        let field = |name: &str| format!("flows[{place}].{name}");
        let row = state.type_number(&flow.record_type).and_then(|n| state.record_type(n));
        findings.note(row.is_some(), Gap::RecordTypeUnknown, || field("record_type"));
        let groups = row.and_then(|row| row.set_of(&flow.groups));
        let known = row.is_none() || groups.is_some();
        findings.note(known, Gap::FieldGroupUnknown, || field("groups"));
        let among = names(content, &flow.publisher)
            && flow.recipients.iter().all(|id| names(content, id))
            && !flow.recipients.contains(&flow.publisher);
        findings.note(among, Gap::FlowPartyDiffers, || field("recipients"));
        let special = row.zip(groups).is_some_and(|(row, groups)| is_special(row, groups));
        let kind = |id: &AgencyId| {
            let agency = state.agency_number(id).and_then(|number| state.agency(number));
            agency.map_or(AgencyKind::Unspecified, Agency::kind)
        };
        let bodies = lawful::Bodies {
            publisher: kind(&flow.publisher),
            recipients: flow.recipients.iter().map(kind).collect(),
        };
        lawful_flow(flow, &bodies, special, (place, findings));
        let owned = flow.owner.as_ref();
        findings.note(owned.is_some(), Gap::FlowOwnerMissing, || field("owner"));
        let party = owned.is_none_or(|owner| names(content, owner));
        findings.note(party, Gap::NamedPartyDiffers, || field("owner"));
    }
}

fn is_special(row: &RecordType, groups: Groups) -> bool {
    !groups.and(row.special()).is_empty()
}

/// What law asks of one flow.
fn lawful_flow(
    flow: &command::Flow,
    bodies: &lawful::Bodies,
    special: bool,
    (place, findings): (usize, &mut Findings),
) {
    let field = |name: &str| format!("flows[{place}].{name}");
    let known = bodies.publisher != AgencyKind::Unspecified;
    let fits = !known || lawful::basis_for_kind(flow.basis, bodies.publisher);
    findings.note(fits, Gap::BasisNotForKind, || field("basis"));
    findings.note(lawful::power_named(flow), Gap::LegalPowerMissing, || field("legal_power"));
    let condition = lawful::condition_named(flow, special);
    findings.note(condition, Gap::SpecialConditionMissing, || field("special_condition"));
    findings.note(lawful::gate_matches(flow), Gap::GateMismatch, || field("gate"));
    let regime = lawful::regime_for_kind(flow.regime, bodies.publisher);
    findings.note(regime, Gap::RegimeNotForKind, || field("regime"));
    let gateway = lawful::gateway_named(flow, bodies);
    findings.note(gateway, Gap::GatewayMissing, || field("gateway"));
    findings.note(flow.regime != Regime::Unspecified, Gap::RegimeMissing, || field("regime"));
    let necessary = flow.basis == LawfulBasis::Consent || flow.necessity.is_some();
    findings.note(necessary, Gap::NecessityMissing, || field("necessity_digest"));
    let public = known && bodies.publisher != AgencyKind::Voluntary;
    let by_consent = flow.basis == LawfulBasis::Consent || flow.gate == Gate::DataProtectionConsent;
    let plain =
        flow.gate == Gate::None && flow.caseload == CaseloadRule::None && !flow.statistics_only;
    let fits = flow.emergency.is_none() || plain;
    findings.note(fits, Gap::EmergencyFlowUnfit, || field("emergency"));
    let reasoned = !(public && by_consent) || flow.consent_reason.is_some();
    findings.note(reasoned, Gap::ConsentReasonMissing, || field("consent_reason_digest"));
}

/// The parties and the keys that speak for them.
pub(super) fn party_keys(
    state: &State,
    content: &Content,
) -> Result<BTreeMap<AgencyNumber, Digest>, Refusal> {
    let keyed = content.parties.iter().map(|party| {
        number_of(state, party)
            .map(|number| (number, party.key_fingerprint))
            .ok_or(Refusal::PartyInvalid)
    });
    keyed.collect()
}

/// The flows in stored form. Nobody has received by them yet.
pub(super) fn stored_flows(state: &State, content: &Content) -> Result<Vec<Flow>, Refusal> {
    content.flows.iter().map(|flow| stored(state, flow)).collect()
}

/// How long recipients keep what they get, in stored form.
pub(super) fn retention(state: &State, content: &Content) -> Vec<(TypeNumber, u32, i32)> {
    let rows = content.terms.retention.iter();
    rows.filter_map(|row| {
        let number = state.type_number(&row.record_type)?;
        Some((number, row.keep_months, i32::from(row.disposal)))
    })
    .collect()
}

fn stored(state: &State, flow: &command::Flow) -> Result<Flow, Refusal> {
    let number = |id: &AgencyId| state.agency_number(id).ok_or(Refusal::FlowInvalid);
    let record_type = state.type_number(&flow.record_type).ok_or(Refusal::TypeUnknown)?;
    let row = state.record_type(record_type).ok_or(Refusal::TypeUnknown)?;
    Ok(Flow {
        id: flow.id.clone(),
        record_type,
        publisher: number(&flow.publisher)?,
        recipients: flow.recipients.iter().map(number).collect::<Result<_, _>>()?,
        groups: row.set_of(&flow.groups).ok_or(Refusal::GroupUnknown)?,
        basis: i32::from(flow.basis),
        gate: i32::from(flow.gate),
        legal_power: i32::from(flow.legal_power),
        special_condition: i32::from(flow.special_condition),
        caseload_confirmed: flow.caseload == CaseloadRule::Confirmed,
        backfill: flow.backfill,
        statistics_only: flow.statistics_only,
        safeguarding: flow.safeguarding,
        named_actor: flow.named_actor,
        emergency: flow.emergency.as_ref().map(|terms| Emergency {
            categories: terms.categories.clone(),
            offices: terms.offices.clone(),
        }),
        since: Vec::new(),
    })
}
