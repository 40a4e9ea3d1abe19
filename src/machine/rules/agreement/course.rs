//! What time does to an agreement in force: its parties are warned 90, 30 and 7 days before review and end, and its flows
//! stop at the end.
//!
//! Decisions compare dates by themselves; what is done here is told to the parties, and written down.

use crate::{
    machine::{
        apply::Effect,
        rules::recall::ended,
        state::{
            State,
            agreement::{Agreement, Deadline, Status},
            notice::{About, AgreementEvent, Notice},
        },
        sweep,
    },
    model::{id::AgreementId, order::UnixMillis},
};

/// How many rows one entry writes before it leaves the other agreements to the next one. One agreement writes at most
/// 578: nine deadlines told to 32 parties, two rows each, its own row, and that of a sweep.
const ROWS_BEFORE_NEXT: usize = 400;

/// Takes what is due of agreements in force, in the order in which it fell due, as much as one entry may.
pub(in crate::machine) fn deadlines(state: &mut State, now: UnixMillis, effects: &mut Vec<Effect>) {
    let mut rows = 0_usize;
    while rows < ROWS_BEFORE_NEXT {
        let Some((at, id)) = state.indexes.agreement_deadlines.first().cloned() else { break };
        if now < at {
            break;
        }
        let Some(row) = state.tables.agreements.get(&id).cloned() else { break };
        rows = rows.saturating_add(take(state, (&id, row), now, effects));
    }
}

/// Takes everything that is due of one agreement; gives how many rows it wrote at most.
fn take(
    state: &mut State,
    (id, mut row): (&AgreementId, Agreement),
    now: UnixMillis,
    effects: &mut Vec<Effect>,
) -> usize {
    let told = usize::try_from(row.deadlines_told).unwrap_or(usize::MAX);
    let due: Vec<_> =
        row.deadlines().into_iter().skip(told).take_while(|(at, _)| *at <= now).collect();
    let count = u32::try_from(due.len()).unwrap_or(u32::MAX);
    row.deadlines_told = row.deadlines_told.saturating_add(count);
    let goes_on = row.expires_at < row.until();
    let mut over = false;
    for (at, deadline) in &due {
        let stops = *deadline == Deadline::ReviewDue && row.review_stops;
        if stops || matches!(deadline, Deadline::Expired | Deadline::Over) {
            sweep::narrow(state, effects);
        }
        over |= matches!(deadline, Deadline::Expired | Deadline::Over);
        if *deadline == Deadline::Over {
            row.status = Status::Ended;
            row.ended_at = Some(*at);
        }
        let Some(event) = event(*deadline, goes_on) else { continue };
        for party in row.parties.keys() {
            let version = row.version;
            let about = About::Agreement { agreement: id.clone(), version, by: None, event };
            state.notify(*party, Notice { at: *at, about });
        }
    }
    let written = due.len().saturating_mul(row.parties.len()).saturating_mul(2);
    state.put_agreement(id, row);
    if over {
        ended::begin_later(state, id.clone(), effects);
    }
    written.saturating_add(2)
}

fn event(deadline: Deadline, goes_on: bool) -> Option<AgreementEvent> {
    match deadline {
        Deadline::ReviewNear(days) => Some(AgreementEvent::ReviewNear(days)),
        Deadline::ReviewDue => Some(AgreementEvent::ReviewDue),
        Deadline::ExpiryNear(days) => Some(AgreementEvent::ExpiryNear(days)),
        Deadline::Expired => Some(AgreementEvent::Expired),
        Deadline::Over => goes_on.then_some(AgreementEvent::SafeguardingEnded),
    }
}
