//! The course of a case: steps that stop, start and meet its clocks, and the outcome that closes it.

use super::open::ANSWER_MONTHS;
use crate::{
    machine::{
        outcome::Refusal,
        state::case::{CaseRow, MeasureRow, Task},
    },
    model::{date::months_after, order::UnixMillis},
    pb::ledger::v1::{
        CaseKind, CaseOutcome, CaseStep, ExtensionReason, IdentityCheck, MeasureKind, Severity,
    },
};

/// By how many months the time to answer is extended. Source: UK GDPR Article 12(3).
const EXTENSION_MONTHS: u32 = 2;

/// The row after a step.
pub(super) fn advance(
    row: &CaseRow,
    (step, reason): (CaseStep, ExtensionReason),
    now: UnixMillis,
) -> Result<CaseRow, Refusal> {
    let mut row = row.clone();
    if row.closed.is_some() {
        return Err(Refusal::CaseState);
    }
    match step {
        CaseStep::Unspecified => return Err(Refusal::CaseState),
        CaseStep::IdentityAsked | CaseStep::ClarificationAsked => {
            right(&row)?;
            if row.paused.is_some() {
                return Err(Refusal::CaseState);
            }
            if let Some(requester) = row.requester.as_mut()
                && step == CaseStep::IdentityAsked
            {
                requester.identity = i32::from(IdentityCheck::Asked);
            }
            row.paused = Some((i32::from(step), now));
        }
        CaseStep::IdentityConfirmed => identified(&mut row, now)?,
        CaseStep::Clarified => {
            let since = resumed(&mut row, CaseStep::ClarificationAsked)?;
            let stood = now.millis().saturating_sub(since.millis());
            move_clocks(&mut row, |due| due.plus(stood));
        }
        CaseStep::Extended => extend(&mut row, reason, now)?,
        CaseStep::Acknowledged => meet(&mut row, Task::Acknowledge, now)?,
        CaseStep::RegulatorTold => meet(&mut row, Task::TellRegulator, now)?,
        CaseStep::RegulatorNotTold => {
            let low = i32::from(Severity::Low);
            if row.incident.as_ref().is_none_or(|incident| incident.severity != low) {
                return Err(Refusal::CaseState);
            }
            meet(&mut row, Task::TellRegulator, now)?;
        }
    }
    Ok(row)
}

/// The row after an outcome, if there is one.
pub(super) fn close(
    row: CaseRow,
    outcome: CaseOutcome,
    now: UnixMillis,
) -> Result<CaseRow, Refusal> {
    if outcome == CaseOutcome::Unspecified {
        return Ok(row);
    }
    let incident = row.kind == i32::from(CaseKind::Incident);
    let access = row.kind == i32::from(CaseKind::Access);
    let granted = matches!(outcome, CaseOutcome::Upheld | CaseOutcome::PartlyUpheld);
    let told = |row: &CaseRow| row.clocks.iter().all(|clock| clock.met_at.is_some());
    let pending = i32::from(MeasureKind::Pending);
    let undecided =
        row.all.iter().chain(row.flows.values()).any(|m: &MeasureRow| m.kind == pending);
    let fits = incident == (outcome == CaseOutcome::Resolved)
        && (!incident || told(&row))
        && (!access || !granted || row.reported_at.is_some())
        && !undecided
        && row.closed.is_none();
    if !fits {
        return Err(Refusal::CaseState);
    }
    let mut row = row;
    for clock in &mut row.clocks {
        clock.met_at = clock.met_at.or(Some(now));
    }
    row.paused = None;
    row.closed = Some((i32::from(outcome), now));
    Ok(row)
}

/// Holds that the case is about a person's rights: only there clocks wait and are extended.
fn right(row: &CaseRow) -> Result<(), Refusal> {
    let rights = [CaseKind::Restriction, CaseKind::Objection, CaseKind::Access].map(i32::from);
    if rights.contains(&row.kind) { Ok(()) } else { Err(Refusal::CaseState) }
}

/// It is known who asks: from now on there is a month.
fn identified(row: &mut CaseRow, now: UnixMillis) -> Result<(), Refusal> {
    let confirmed = i32::from(IdentityCheck::Confirmed);
    let requester = row.requester.as_mut().ok_or(Refusal::CaseState)?;
    if requester.identity == confirmed {
        return Err(Refusal::CaseState);
    }
    requester.identity = confirmed;
    if right(row).is_ok() {
        let _since = resumed(row, CaseStep::IdentityAsked)?;
        let more = if row.extended == 0 { 0 } else { EXTENSION_MONTHS };
        let due_at = months_after(now, ANSWER_MONTHS.saturating_add(more));
        move_clocks(row, |_| due_at);
    }
    Ok(())
}

fn extend(row: &mut CaseRow, reason: ExtensionReason, now: UnixMillis) -> Result<(), Refusal> {
    right(row)?;
    let open = row.clocks.iter().any(|clock| clock.met_at.is_none() && now <= clock.due_at);
    if row.extended != 0 || row.paused.is_some() || !open {
        return Err(Refusal::CaseState);
    }
    row.extended = i32::from(reason);
    move_clocks(row, |due| months_after(due, EXTENSION_MONTHS));
    Ok(())
}

/// Lets the clocks go on; since when they stood.
fn resumed(row: &mut CaseRow, after: CaseStep) -> Result<UnixMillis, Refusal> {
    let (_, since) =
        row.paused.filter(|(step, _)| *step == i32::from(after)).ok_or(Refusal::CaseState)?;
    row.paused = None;
    Ok(since)
}

fn move_clocks(row: &mut CaseRow, to: impl Fn(UnixMillis) -> UnixMillis) {
    for clock in row.clocks.iter_mut().filter(|clock| clock.met_at.is_none()) {
        clock.due_at = to(clock.due_at);
        clock.told = false;
    }
}

fn meet(row: &mut CaseRow, task: Task, now: UnixMillis) -> Result<(), Refusal> {
    let mut open =
        row.clocks.iter_mut().filter(|clock| clock.task == task && clock.met_at.is_none());
    let clock = open.next().ok_or(Refusal::CaseState)?;
    clock.met_at = Some(now);
    Ok(())
}
