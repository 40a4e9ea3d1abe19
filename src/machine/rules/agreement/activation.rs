//! The step in which a version comes into force: what it takes over from the version that it replaces, and whom it tells.
//!
//! INVARIANT (no looking back): a recipient gets a group from before a version only if the version says `backfill`, or the
//! version that it replaces let that group flow to that very recipient for the same purpose, and then no further back
//! than that one did.

use super::{Change, Then, Write, closed, status};
use crate::{
    machine::{
        apply::Context,
        state::{
            State,
            agency::AgencyNumber,
            agreement::{Agreement, Flow, Status},
            notice::AgreementEvent,
            record::Groups,
        },
    },
    model::{
        id::AgreementId,
        order::{Position, UnixMillis},
    },
};

/// Brings a version into force; it replaces the one that stands.
pub(super) fn activate(
    state: &State,
    context: &Context,
    (id, row): (&AgreementId, Agreement),
    caller: AgencyNumber,
) -> Change {
    let mut row = in_force_now(state, id, row, (context.position, context.now));
    row.activated_at = Some(context.now);
    let due = row.deadlines().iter().filter(|(at, _)| *at <= context.now).count();
    row.deadlines_told = u32::try_from(due).unwrap_or(u32::MAX);
    let old = state.tables.agreements.get(id).filter(|old| old.version != row.version);
    let Some(old) = old else {
        let change = Change::of(id, &row, vec![Write::Standing(row.clone())]);
        return change.then(Then::Offer).telling(&row, caller, AgreementEvent::Activated);
    };
    let replaced = match status(old, context.now) {
        Status::Active => {
            Agreement { status: Status::Replaced, ended_at: Some(context.now), ..old.clone() }
        }
        Status::Draft | Status::Proposed | Status::Declined | Status::Replaced | Status::Ended => {
            closed(old, context.now)
        }
    };
    let left_out = old.parties.keys().filter(|party| !row.parties.contains_key(party));
    let told = |party: &AgencyNumber| (*party, row.version, AgreementEvent::LeftOut);
    let left_out: Vec<_> = left_out.map(told).collect();
    let writes =
        vec![Write::Beside(replaced), Write::Forget(row.version), Write::Standing(row.clone())];
    let then = Then::Replace { left: !left_out.is_empty() };
    let change = Change::of(id, &row, writes).then(then);
    let mut change = change.telling(&row, caller, AgreementEvent::Activated);
    change.told.extend(left_out);
    change
}

/// A version as it would be were it in force from a position on.
pub(in crate::machine) fn in_force_now(
    state: &State,
    id: &AgreementId,
    mut row: Agreement,
    (position, now): (Position, UnixMillis),
) -> Agreement {
    row.status = Status::Active;
    row.activated = position;
    let old = state.tables.agreements.get(id);
    let old = old.filter(|old| old.version != row.version && status(old, now) == Status::Active);
    if let Some(old) = old {
        let held = old.suspended_by.iter().filter(|party| row.parties.contains_key(party));
        row.suspended_by = held.copied().collect();
        if old.purpose == row.purpose {
            for flow in &mut row.flows {
                flow.since = taken_over(old, flow);
            }
        }
    }
    row
}

/// What one flow goes on with: since when which groups flowed to each of its recipients.
fn taken_over(old: &Agreement, flow: &Flow) -> Vec<(AgencyNumber, Groups, Position)> {
    let mut since = Vec::new();
    let before = old.flows.iter().filter(|before| {
        before.publisher == flow.publisher
            && before.record_type == flow.record_type
            && !before.statistics_only
    });
    for before in before {
        for recipient in before.recipients.intersection(&flow.recipients) {
            for (_, group) in before.groups.and(flow.groups).each() {
                since.push((*recipient, group, old.since(before, *recipient, group)));
            }
        }
    }
    merged(since)
}

/// The same with the groups of one recipient and position in one row.
fn merged(rows: Vec<(AgencyNumber, Groups, Position)>) -> Vec<(AgencyNumber, Groups, Position)> {
    let mut merged: Vec<(AgencyNumber, Groups, Position)> = Vec::new();
    for (recipient, group, position) in rows {
        let same = merged.iter_mut().find(|(to, _, at)| *to == recipient && *at == position);
        match same {
            Some((_, groups, _)) => *groups = groups.with(group),
            None => merged.push((recipient, group, position)),
        }
    }
    merged
}
