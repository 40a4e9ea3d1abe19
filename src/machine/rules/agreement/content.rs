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
    pb::ledger::v1::{AgencyKind, CaseloadRule, Gate, LawfulBasis, PartyRole, Purpose, Regime},
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
    let open = content.purpose == Purpose::Unspecified;
    findings.note(!open, Gap::PurposeMissing, || "purpose".to_owned());
    let shared = open || CLIENT_PURPOSES.contains(&content.purpose);
    findings.note(shared, Gap::PurposeNotAllowed, || "purpose".to_owned());
    let open = content.expires_at == UnixMillis::new(0);
    findings.note(!open, Gap::ExpiryMissing, || "expires_at_ms".to_owned());
    let in_time = now < content.expires_at && content.expires_at <= now.plus(LASTS_MS_MAX);
    findings.note(open || in_time, Gap::ExpiryInvalid, || "expires_at_ms".to_owned());
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
    content.parties.iter().any(|party| party.agency.as_ref() == Some(agency))
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
        let command::Party { agency, kind, key_fingerprint, .. } = party;
        findings.note(agency.is_some(), Gap::PartyUnnamed, || field("agency"));
        let kinded = *kind != AgencyKind::Unspecified;
        findings.note(kinded, Gap::PartyKindMissing, || field("kind"));
        let keyed = key_fingerprint.is_some();
        findings.note(keyed, Gap::PartyKeyMissing, || field("key_fingerprint"));
        let once = agency.as_ref().is_none_or(|agency| seen.insert(agency));
        let known = agency.is_none() || number_of(state, party).is_some();
        findings.note(once && known, Gap::PartyDiffers, || field("agency"));
        findings
            .note(party.contact.is_some(), Gap::PartyContactMissing, || field("contact_digest"));
        let stated = party.role != PartyRole::Unspecified;
        findings.note(stated, Gap::PartyRoleMissing, || field("role"));
        let Some(agency) = agency else { continue };
        let publishes = content.flows.iter().any(|flow| flow.publisher.as_ref() == Some(agency));
        let receives = content.flows.iter().any(|flow| flow.recipients.contains(agency));
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

/// The number of a party that is enrolled, of the kind and with the key that the content states, as far as it does.
fn number_of(state: &State, party: &command::Party) -> Option<AgencyNumber> {
    let number = state.agency_number(party.agency.as_ref()?)?;
    let row = state.agency(number)?;
    let key = row.keys.as_ref()?.fingerprint();
    let same = party.kind == AgencyKind::Unspecified || party.kind == row.kind();
    let same = same && party.key_fingerprint.is_none_or(|stated| stated == key);
    same.then_some(number)
}

fn flows(state: &State, content: &Content, findings: &mut Findings) {
    let named = content.flows.iter().filter_map(|flow| flow.id.as_ref());
    let ids: BTreeSet<_> = named.clone().collect();
    let counted = (1..=limit::FLOWS_MAX).contains(&content.flows.len());
    let counted = counted && ids.len() == named.count();
    findings.note(counted, Gap::FlowCount, || "flows".to_owned());
    for (place, flow) in content.flows.iter().enumerate() {
        let field = |name: &str| format!("flows[{place}].{name}");
        stated(flow, (place, findings));
        let record_type = flow.record_type.as_ref();
        let row = record_type.and_then(|name| state.record_type(state.type_number(name)?));
        let known = record_type.is_none() || row.is_some();
        findings.note(known, Gap::RecordTypeUnknown, || field("record_type"));
        let groups = row.and_then(|row| row.set_of(&flow.groups));
        let known = row.is_none() || groups.is_some();
        findings.note(known, Gap::FieldGroupUnknown, || field("groups"));
        let publisher = flow.publisher.as_ref();
        // Whoever is not named yet may be the one that the flow names.
        let unnamed = content.parties.iter().any(|party| party.agency.is_none());
        let known = |agency: &AgencyId| unnamed || names(content, agency);
        let among = publisher
            .is_none_or(|publisher| known(publisher) && !flow.recipients.contains(publisher))
            && flow.recipients.iter().all(known);
        findings.note(among, Gap::FlowPartyDiffers, || field("recipients"));
        let special = row.zip(groups).is_some_and(|(row, groups)| is_special(row, groups));
        let kind = |id: &AgencyId| {
            let agency = state.agency_number(id).and_then(|number| state.agency(number));
            agency.map_or(AgencyKind::Unspecified, Agency::kind)
        };
        let bodies = lawful::Bodies {
            publisher: publisher.map_or(AgencyKind::Unspecified, kind),
            recipients: flow.recipients.iter().map(kind).collect(),
        };
        lawful_flow(flow, &bodies, special, (place, findings));
        let owned = flow.owner.as_ref();
        findings.note(owned.is_some(), Gap::FlowOwnerMissing, || field("owner"));
        let party = owned.is_none_or(|owner| names(content, owner));
        findings.note(party, Gap::NamedPartyDiffers, || field("owner"));
    }
}

/// What a flow has to state, whatever it says.
fn stated(flow: &command::Flow, (place, findings): (usize, &mut Findings)) {
    let command::Flow { id, record_type, publisher, recipients, groups, emergency, .. } = flow;
    let emergency = emergency.as_ref();
    let categories = emergency.is_none_or(|terms| !terms.categories.is_empty());
    let offices = emergency.is_none_or(|terms| !terms.offices.is_empty());
    let items = [
        (id.is_some(), Gap::FlowUnnamed, "flow"),
        (record_type.is_some(), Gap::RecordTypeMissing, "record_type"),
        (publisher.is_some(), Gap::FlowPublisherMissing, "publisher"),
        (!recipients.is_empty(), Gap::FlowRecipientsMissing, "recipients"),
        (!groups.is_empty(), Gap::FieldGroupsMissing, "groups"),
        (flow.basis != LawfulBasis::Unspecified, Gap::BasisMissing, "basis"),
        (flow.gate != Gate::Unspecified, Gap::GateMissing, "gate"),
        (flow.caseload != CaseloadRule::Unspecified, Gap::CaseloadRuleMissing, "caseload"),
        (categories, Gap::EmergencyTermsMissing, "emergency.categories"),
        (offices, Gap::EmergencyTermsMissing, "emergency.offices"),
    ];
    for (well, gap, name) in items {
        findings.note(well, gap, || format!("flows[{place}].{name}"));
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
    let based = flow.basis != LawfulBasis::Unspecified;
    let fits = !known || !based || lawful::basis_for_kind(flow.basis, bodies.publisher);
    findings.note(fits, Gap::BasisNotForKind, || field("basis"));
    findings.note(lawful::power_named(flow), Gap::LegalPowerMissing, || field("legal_power"));
    let condition = lawful::condition_named(flow, special);
    findings.note(condition, Gap::SpecialConditionMissing, || field("special_condition"));
    let matches = !based || flow.gate == Gate::Unspecified || lawful::gate_matches(flow);
    findings.note(matches, Gap::GateMismatch, || field("gate"));
    let regime = lawful::regime_for_kind(flow.regime, bodies.publisher);
    findings.note(regime, Gap::RegimeNotForKind, || field("regime"));
    let gateway = lawful::gateway_named(flow, bodies);
    findings.note(gateway, Gap::GatewayMissing, || field("gateway"));
    findings.note(flow.regime != Regime::Unspecified, Gap::RegimeMissing, || field("regime"));
    let necessary = !based || flow.basis == LawfulBasis::Consent || flow.necessity.is_some();
    findings.note(necessary, Gap::NecessityMissing, || field("necessity_digest"));
    let public = known && bodies.publisher != AgencyKind::Voluntary;
    let by_consent = flow.basis == LawfulBasis::Consent || flow.gate == Gate::DataProtectionConsent;
    let plain = matches!(flow.gate, Gate::None | Gate::Unspecified)
        && matches!(flow.caseload, CaseloadRule::None | CaseloadRule::Unspecified)
        && !flow.statistics_only;
    let fits = flow.emergency.is_none() || plain;
    findings.note(fits, Gap::EmergencyFlowUnfit, || field("emergency"));
    let reasoned = !(public && by_consent) || flow.consent_reason.is_some();
    findings.note(reasoned, Gap::ConsentReasonMissing, || field("consent_reason_digest"));
}

/// The parties that are named, and the keys that speak for them; for one whose key is still open a key that nobody has.
pub(super) fn party_keys(
    state: &State,
    content: &Content,
) -> Result<BTreeMap<AgencyNumber, Digest>, Refusal> {
    let named = content.parties.iter().filter(|party| party.agency.is_some());
    let keyed = named.map(|party| {
        number_of(state, party)
            .map(|number| (number, party.key_fingerprint.unwrap_or_default()))
            .ok_or(Refusal::PartyInvalid)
    });
    keyed.collect()
}

/// The flows in stored form, but for those that are not stated whole; nothing is in force that has one of these. Nobody
/// has received by them yet.
pub(super) fn stored_flows(state: &State, content: &Content) -> Result<Vec<Flow>, Refusal> {
    content.flows.iter().filter_map(|flow| stored(state, flow).transpose()).collect()
}

/// How long recipients keep what they get, in stored form.
pub(super) fn retention(state: &State, content: &Content) -> Vec<(TypeNumber, u32, i32)> {
    let rows = content.terms.retention.iter();
    rows.filter_map(|row| {
        let number = state.type_number(row.record_type.as_ref()?)?;
        Some((number, row.keep_months, i32::from(row.disposal)))
    })
    .collect()
}

fn stored(state: &State, flow: &command::Flow) -> Result<Option<Flow>, Refusal> {
    let mut open = Findings(Vec::new());
    stated(flow, (0, &mut open));
    let command::Flow { id: Some(id), record_type: Some(name), publisher: Some(publisher), .. } =
        flow
    else {
        return Ok(None);
    };
    if !open.0.is_empty() {
        return Ok(None);
    }
    let number = |id: &AgencyId| state.agency_number(id).ok_or(Refusal::FlowInvalid);
    let record_type = state.type_number(name).ok_or(Refusal::TypeUnknown)?;
    let row = state.record_type(record_type).ok_or(Refusal::TypeUnknown)?;
    Ok(Some(Flow {
        id: id.clone(),
        record_type,
        publisher: number(publisher)?,
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
    }))
}
