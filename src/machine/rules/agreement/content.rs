//! What the content of an agreement must be before anybody may approve it.
//!
//! Each check runs over the whole content before the next begins, so the refusal given is the first in order of
//! precedence, wherever in the content it arises. Basis and gate are two things: the basis says why sharing is lawful,
//! the gate which consent a release waits for. What may stand together:
//!
//! | Basis | Who may publish on it | Gates |
//! |---|---|---|
//! | consent, 6(1)(a) | anybody | data protection consent, statutory consent |
//! | legal obligation, 6(1)(c) | public bodies; names its power | none, statutory consent |
//! | vital interests, 6(1)(d) | anybody | none: a life does not wait for a form |
//! | public task, 6(1)(e) | public bodies; names its power | none, statutory consent, confidentiality |
//! | legitimate interests, 6(1)(f) | voluntary bodies | none, confidentiality |
//!
//! A condition of explicit consent (Article 9(2)(a)) needs a consent gate, and lets data protection consent stand with
//! 6(1)(e) and 6(1)(f). A gate of statutory consent cites the statute that asks for it.
//!
//! Sources: UK GDPR Articles 6 and 9; DPA 2018 Schedule 1; Education (Additional Support for Learning) (Scotland) Act
//! 2004 s.13; GIRFEC Practice Guidance 4.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    machine::{
        command::agreement::{self as command, Content},
        outcome::Refusal,
        state::{
            State,
            agency::{Agency, AgencyNumber},
            agreement::Flow,
            record::RecordType,
        },
    },
    model::{digest::Digest, limit, order::UnixMillis},
    pb::ledger::v1::{
        AgencyKind, CaseloadRule, Gate, LawfulBasis, LegalPower, Purpose, SpecialCondition,
    },
};

/// How long an agreement may last, in milliseconds: ten years of 365.25 days.
const LASTS_MS_MAX: u64 = 3_652 * 86_400_000 + 43_200_000;

/// Holds that the purpose is one for which client data are shared.
pub(super) fn purpose(content: &Content) -> Result<(), Refusal> {
    match content.purpose {
        Purpose::SchoolLeaverTransition | Purpose::ChildWellbeing | Purpose::ChildProtection => {
            Ok(())
        }
        Purpose::Unspecified | Purpose::Operation | Purpose::Administration => {
            Err(Refusal::PurposeNotPermitted)
        }
    }
}

/// Holds that the agency that drafts is a party.
pub(super) fn names_the_caller(
    state: &State,
    caller: AgencyNumber,
    content: &Content,
) -> Result<(), Refusal> {
    let named = |party: &command::Party| state.agency_number(&party.agency) == Some(caller);
    if content.parties.iter().any(named) { Ok(()) } else { Err(Refusal::NotAParty) }
}

/// The parties and the keys that speak for them: enrolled, each named once, of the kind and with the key in force.
pub(super) fn parties(
    state: &State,
    content: &Content,
) -> Result<BTreeMap<AgencyNumber, Digest>, Refusal> {
    let mut parties = BTreeMap::new();
    for command::Party { agency, kind, key_fingerprint } in &content.parties {
        let number = state.agency_number(agency).ok_or(Refusal::PartyInvalid)?;
        let row = state.agency(number).ok_or(Refusal::PartyInvalid)?;
        let keys = row.keys.as_ref().ok_or(Refusal::PartyInvalid)?;
        if row.kind() != *kind || keys.fingerprint() != *key_fingerprint {
            return Err(Refusal::PartyInvalid);
        }
        if parties.insert(number, *key_fingerprint).is_some() {
            return Err(Refusal::PartyInvalid);
        }
    }
    if (2..=limit::PARTIES_MAX).contains(&parties.len()) {
        Ok(parties)
    } else {
        Err(Refusal::PartyInvalid)
    }
}

/// The flows in stored form, if every one of them is sound.
pub(super) fn flows(
    state: &State,
    parties: &BTreeMap<AgencyNumber, Digest>,
    content: &Content,
) -> Result<Vec<Flow>, Refusal> {
    let types = content.flows.iter().map(|flow| record_type(state, flow));
    let types: Vec<(&RecordType, &command::Flow)> = types.collect::<Result<_, _>>()?;
    let ids: BTreeSet<_> = content.flows.iter().map(|flow| &flow.id).collect();
    let counted = (1..=limit::FLOWS_MAX).contains(&content.flows.len());
    if !counted || ids.len() != content.flows.len() {
        return Err(Refusal::FlowInvalid);
    }
    let mut flows = Vec::with_capacity(types.len());
    for (row, flow) in &types {
        flows.push(stored(state, parties, row, flow)?);
    }
    let every = |rule: fn(&command::Flow, &RecordType, &Flow, AgencyKind) -> bool, refusal| {
        let sound = types.iter().zip(&flows).all(|((row, flow), stored)| {
            let kind = state.agency(stored.publisher).map_or(AgencyKind::Unspecified, Agency::kind);
            rule(flow, row, stored, kind)
        });
        if sound { Ok(()) } else { Err(refusal) }
    };
    every(|flow, _, _, kind| basis_for_kind(flow.basis, kind), Refusal::BasisNotForKind)?;
    every(|flow, _, _, _| power_named(flow), Refusal::LegalPowerMissing)?;
    every(|flow, row, stored, _| condition_named(flow, row, stored), {
        Refusal::SpecialConditionMissing
    })?;
    every(|flow, _, _, _| gate_matches(flow), Refusal::GateMismatch)?;
    Ok(flows)
}

/// Holds that the agreement ends in the future, and within ten years.
pub(super) fn expiry(now: UnixMillis, content: &Content) -> Result<(), Refusal> {
    if now < content.expires_at && content.expires_at <= now.plus(LASTS_MS_MAX) {
        Ok(())
    } else {
        Err(Refusal::ExpiryInvalid)
    }
}

fn record_type<'a, 'b>(
    state: &'a State,
    flow: &'b command::Flow,
) -> Result<(&'a RecordType, &'b command::Flow), Refusal> {
    let number = state.type_number(&flow.record_type).ok_or(Refusal::TypeUnknown)?;
    let row = state.record_type(number).ok_or(Refusal::TypeUnknown)?;
    let _known = row.set_of(&flow.groups).ok_or(Refusal::GroupUnknown)?;
    Ok((row, flow))
}

fn stored(
    state: &State,
    parties: &BTreeMap<AgencyNumber, Digest>,
    row: &RecordType,
    flow: &command::Flow,
) -> Result<Flow, Refusal> {
    let party = |id| state.agency_number(id).filter(|number| parties.contains_key(number));
    let publisher = party(&flow.publisher).ok_or(Refusal::FlowInvalid)?;
    let recipients: Option<BTreeSet<_>> = flow.recipients.iter().map(party).collect();
    let recipients = recipients.ok_or(Refusal::FlowInvalid)?;
    if recipients.contains(&publisher) {
        return Err(Refusal::FlowInvalid);
    }
    Ok(Flow {
        id: flow.id.clone(),
        record_type: state.type_number(&flow.record_type).ok_or(Refusal::TypeUnknown)?,
        publisher,
        recipients,
        groups: row.set_of(&flow.groups).ok_or(Refusal::GroupUnknown)?,
        basis: i32::from(flow.basis),
        gate: i32::from(flow.gate),
        legal_power: i32::from(flow.legal_power),
        special_condition: i32::from(flow.special_condition),
        caseload_confirmed: flow.caseload == CaseloadRule::Confirmed,
        backfill: flow.backfill,
    })
}

/// Whether a publisher of this kind may rely on the basis. Public authorities may not rely on legitimate interests in
/// their tasks (UK GDPR Article 6(1)), and a voluntary body has no public task or duty of its own.
fn basis_for_kind(basis: LawfulBasis, kind: AgencyKind) -> bool {
    let voluntary = kind == AgencyKind::Voluntary;
    match basis {
        LawfulBasis::LegitimateInterests => voluntary,
        LawfulBasis::LegalObligation | LawfulBasis::PublicTask => !voluntary,
        LawfulBasis::Consent | LawfulBasis::VitalInterests => true,
        LawfulBasis::Unspecified => false,
    }
}

fn power_named(flow: &command::Flow) -> bool {
    let needed = matches!(flow.basis, LawfulBasis::LegalObligation | LawfulBasis::PublicTask)
        || flow.gate == Gate::StatutoryConsent;
    !needed || flow.legal_power != LegalPower::Unspecified
}

fn condition_named(flow: &command::Flow, row: &RecordType, stored: &Flow) -> bool {
    stored.groups.and(row.special()).is_empty()
        || flow.special_condition != SpecialCondition::Unspecified
}

/// Whether basis, condition and gate may stand together. See the table at the top.
fn gate_matches(flow: &command::Flow) -> bool {
    let explicit = flow.special_condition == SpecialCondition::ExplicitConsent;
    match flow.gate {
        Gate::None => flow.basis != LawfulBasis::Consent && !explicit,
        Gate::Confidentiality => {
            let task =
                matches!(flow.basis, LawfulBasis::PublicTask | LawfulBasis::LegitimateInterests);
            task && !explicit
        }
        Gate::StatutoryConsent => {
            let asked = matches!(
                flow.basis,
                LawfulBasis::Consent | LawfulBasis::LegalObligation | LawfulBasis::PublicTask
            );
            // Of the published powers only this one asks for consent.
            asked && flow.legal_power == LegalPower::AdditionalSupport2004S13
        }
        Gate::DataProtectionConsent => {
            let task =
                matches!(flow.basis, LawfulBasis::PublicTask | LawfulBasis::LegitimateInterests);
            flow.basis == LawfulBasis::Consent || (explicit && task)
        }
        Gate::Unspecified => false,
    }
}
