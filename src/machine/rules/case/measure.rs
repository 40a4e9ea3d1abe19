//! What happens to a client's records on the flows of a case: restricted, going on upon a ground, lifted, or pending.
//!
//! A measure of all flows takes the place of every single one before it. It leaves out flows for safeguarding, which go on
//! upon a stated ground unless they are named. Source: UK GDPR Articles 18, 19 and 21, and the DPA 2018 read with them.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{
        apply::Effect,
        command::case::{Decide, Measure, NamedFlow},
        outcome::Refusal,
        state::{
            State,
            agency::AgencyNumber,
            agreement::{Flow, Status},
            case::{CaseRow, MeasureRow, reached_by_objection},
            notice::{About, Notice, RestrictionEvent},
            record::DisclosureRow,
        },
        sweep::{self, Sweep},
    },
    model::{id::AliasId, limit, order::UnixMillis},
    pb::ledger::v1::{CaseKind, ContinueGround, MeasureKind},
};

/// Who is still to be told of a restriction, or that it was lifted.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Told {
    by: AgencyNumber,
    event: RestrictionEvent,
    at: UnixMillis,
    /// The recipients, and by which names they know the client.
    whom: Vec<(AgencyNumber, AliasId)>,
}

/// A flow of an agreement in force by which the controller publishes or receives.
pub(super) fn flow_of<'a>(
    state: &'a State,
    controller: AgencyNumber,
    (agreement, flow): &NamedFlow,
) -> Result<&'a Flow, Refusal> {
    let row = state.tables.agreements.get(agreement).filter(|row| row.status == Status::Active);
    let flow = row.and_then(|row| row.flows.iter().find(|known| known.id == *flow));
    flow.filter(|flow| concerns(flow, controller)).ok_or(Refusal::NotAvailable)
}

fn concerns(flow: &Flow, controller: AgencyNumber) -> bool {
    flow.publisher == controller || flow.recipients.contains(&controller)
}

/// What an objection to named flows does at once.
pub(super) fn pending(
    kind: CaseKind,
    flows: &[(NamedFlow, &Flow)],
    now: UnixMillis,
) -> Result<BTreeMap<NamedFlow, MeasureRow>, Refusal> {
    if kind != CaseKind::Objection {
        return Ok(BTreeMap::new());
    }
    let measure = |(named, flow): &(NamedFlow, &Flow)| {
        if !reached_by_objection(flow) {
            return Err(Refusal::ObjectionNotForBasis);
        }
        let (kind, ground) = if flow.safeguarding {
            (MeasureKind::Continue, ContinueGround::SafeguardingUndecided)
        } else {
            (MeasureKind::Pending, ContinueGround::Unspecified)
        };
        Ok((named.clone(), MeasureRow { kind: kind.into(), ground: ground.into(), at: now }))
    };
    flows.iter().map(measure).collect()
}

/// What an objection to everything does at once.
pub(super) fn all_pending(row: CaseRow, now: UnixMillis) -> CaseRow {
    let ground = i32::from(ContinueGround::SafeguardingUndecided);
    let all = MeasureRow { kind: i32::from(MeasureKind::Pending), ground, at: now };
    let all = Some(all).filter(|_| row.kind == i32::from(CaseKind::Objection));
    CaseRow { all, ..row }
}

/// The row after a decision about its flows.
pub(super) fn decide(
    state: &State,
    row: &CaseRow,
    decide: &Decide,
    now: UnixMillis,
) -> Result<CaseRow, Refusal> {
    let mut after = row.clone();
    if decide.measures.is_empty() {
        return Ok(after);
    }
    let about_flows = [CaseKind::Restriction, CaseKind::Objection].map(i32::from);
    if !about_flows.contains(&row.kind) {
        return Err(Refusal::CaseState);
    }
    let lifts = decide.measures.values().any(|measure| measure.kind == MeasureKind::Lift);
    if lifts && !decide.person_told {
        return Err(Refusal::PersonNotTold);
    }
    for (named, measure) in &decide.measures {
        let Measure { kind, ground } = *measure;
        let stands = MeasureRow { kind: kind.into(), ground: ground.into(), at: now };
        match named {
            None => {
                all(state, row, decide, (kind, ground))?;
                after.all = Some(stands);
                // INVARIANT (party): what restricts more never lets flow what a decision about one flow restricted.
                after.flows.retain(|_, before| kind == MeasureKind::Restrict && before.stops());
            }
            Some(named) => {
                single(state, row, named, (kind, ground))?;
                let _before = after.flows.insert(named.clone(), stands);
            }
        }
    }
    Ok(after)
}

/// Whether all flows may be decided about so.
fn all(
    state: &State,
    row: &CaseRow,
    decide: &Decide,
    (kind, ground): (MeasureKind, ContinueGround),
) -> Result<(), Refusal> {
    let same = |all: MeasureRow| (all.kind, all.ground) == (kind.into(), ground.into());
    if row.flows.is_empty() && row.all.is_some_and(same) {
        return Err(Refusal::MeasureState);
    }
    if kind == MeasureKind::Lift && !row.may_restrict() {
        return Err(Refusal::MeasureState);
    }
    let silent = kind == MeasureKind::Restrict && ground == ContinueGround::Unspecified;
    if silent && leaves_out_safeguarding(state, row, decide) {
        return Err(Refusal::ContinueGroundMissing);
    }
    Ok(())
}

/// Whether a flow for safeguarding in force is within the case and not named by the decision.
fn leaves_out_safeguarding(state: &State, row: &CaseRow, decide: &Decide) -> bool {
    let agreements =
        state.tables.agreements.iter().filter(|(_, known)| known.status == Status::Active);
    let mut flows = agreements.flat_map(|(id, known)| known.flows.iter().map(move |f| (id, f)));
    flows.any(|(id, flow)| {
        let named = (id.clone(), flow.id.clone());
        flow.safeguarding
            && concerns(flow, row.controller)
            && (row.scope.is_empty() || row.scope.contains(&named))
            && !decide.measures.contains_key(&Some(named))
    })
}

/// Whether one flow may be decided about so.
fn single(
    state: &State,
    row: &CaseRow,
    named: &NamedFlow,
    (kind, ground): (MeasureKind, ContinueGround),
) -> Result<(), Refusal> {
    if !row.scope.is_empty() && !row.scope.contains(named) {
        return Err(Refusal::NotAvailable);
    }
    let flow = match flow_of(state, row.controller, named) {
        Ok(flow) => Some(flow),
        // A restriction of a flow that has ended can still be lifted.
        Err(refusal) if !row.flows.contains_key(named) => return Err(refusal),
        Err(_) => None,
    };
    let stopped = row
        .flows
        .get(named)
        .map_or_else(|| flow.is_some_and(|flow| row.restricts(&named.0, flow)), MeasureRow::stops);
    let same = row
        .flows
        .get(named)
        .is_some_and(|before| (before.kind, before.ground) == (kind.into(), ground.into()));
    if same || (kind == MeasureKind::Lift && !stopped) {
        return Err(Refusal::MeasureState);
    }
    Ok(())
}

/// What follows from a case that changed: less flows, or more; and whoever was sent what is restricted is told (UK GDPR
/// Article 19).
pub(super) fn follow(
    state: &mut State,
    (before, after): (Option<&CaseRow>, &CaseRow),
    now: UnixMillis,
    effects: &mut Vec<Effect>,
) {
    let Some(about) = after.client else { return };
    let same =
        before.is_some_and(|before| (before.all, &before.flows) == (after.all, &after.flows));
    if same || (before.is_none() && !after.may_restrict()) {
        return;
    }
    let (was, is) = (before.map_or_else(BTreeSet::new, |row| told(state, row)), told(state, after));
    if after.may_restrict() {
        // INVARIANT (own case): what is in the queues and at the gate asks again.
        sweep::narrow(state, effects);
        sweep::prune_client(state, about.client, now);
    }
    if before.is_some_and(CaseRow::may_restrict) {
        let recipients = recipients(state, after);
        sweep::offer_client(state, about.client, &recipients, now, effects);
    }
    let by = after.controller;
    for (event, whom) in [
        (RestrictionEvent::Restricted, is.difference(&was)),
        (RestrictionEvent::Lifted, was.difference(&is)),
    ] {
        let told = Told { by, event, at: now, whom: whom.copied().collect() };
        if let Some(rest) = tell(state, told) {
            sweep::push(state, rest, effects);
        }
    }
}

/// Tells the next recipients of a restriction; the sweep for those who are left.
pub(in crate::machine) fn tell(state: &mut State, told: Told) -> Option<Sweep> {
    let Told { by, event, at, mut whom } = told;
    let rest = whom.split_off(whom.len().min(limit::RESTRICTION_TOLD_MAX));
    for (recipient, client) in whom {
        let about = About::Restriction { client, by, event };
        state.notify(recipient, Notice { at, about });
    }
    if rest.is_empty() { None } else { Some(Sweep::Tell(Told { by, event, at, whom: rest })) }
}

/// To whom something may flow again.
fn recipients(state: &State, row: &CaseRow) -> BTreeSet<AgencyNumber> {
    let Some(about) = row.client else { return BTreeSet::new() };
    let own = state.records_of(about.client).filter_map(|first| state.record(first));
    let own = own.filter(|record| about.own && record.publisher == row.controller);
    let types: BTreeSet<_> = own.map(|record| record.record_type).collect();
    let mut recipients = BTreeSet::from([row.controller]);
    for record_type in types {
        recipients.extend(state.recipients_of(row.controller, record_type));
    }
    recipients
}

/// Who was sent records of the controller's on a flow that the case restricts, and by which name of the client.
fn told(state: &State, row: &CaseRow) -> BTreeSet<(AgencyNumber, AliasId)> {
    let Some(about) = row.client.filter(|about| about.own && row.may_restrict()) else {
        return BTreeSet::new();
    };
    let own = state
        .records_of(about.client)
        .filter(|first| state.record(*first).is_some_and(|r| r.publisher == row.controller));
    let sent = own.flat_map(|first| state.disclosures_of(first));
    let restricted = |sent: &DisclosureRow| {
        sent.grounds.iter().any(|on| {
            let agreement = state.tables.agreements.get(&on.agreement);
            let flow = agreement.and_then(|known| known.flows.iter().find(|f| f.id == on.flow));
            flow.is_some_and(|flow| row.restricts(&on.agreement, flow))
        })
    };
    sent.filter(|(_, sent)| sent.left() && restricted(sent))
        .map(|(recipient, sent)| (recipient, sent.alias))
        .collect()
}
