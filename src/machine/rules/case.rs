//! Cases: a person's rights, complaints and incidents, each decided in ledger order by the agency that answers for it.
//!
//! A restriction, and an objection from the moment it is opened, keep a client's records from flows exactly as a withdrawal
//! of consent does: the entry narrows, so the send gate is closed before the caller is answered ([`restriction`]). When it
//! is lifted, what may flow comes by the ordinary way. INVARIANT (own case): a case reaches the controller's own flows
//! and no others, and only what the controller knows under the name by which the case was opened. A case of somebody
//! else's looks like none.
//!
//! Opening is in `case/open.rs`, steps and outcomes in `case/course.rs`, what happens on flows in `case/measure.rs`, and the
//! report of a case of access in `case/report.rs`. Source: UK GDPR Articles 12, 15, 18, 21 and 33.

use std::collections::BTreeSet;

use crate::{
    machine::{
        access::{Question, Reason},
        apply::{Context, Effect},
        command::case::CaseCommand,
        outcome::{Receipt, Refusal, Remembered},
        rules::release::{Planned, perform_report},
        state::{
            State,
            agency::AgencyNumber,
            agreement::Flow,
            case::{CaseRow, MeasureRow},
            notice::{About, CaseEvent, IncidentEvent, Notice},
            record::RecordRow,
        },
    },
    model::{
        id::{AgreementId, CaseId, FlowId},
        order::UnixMillis,
    },
    pb::ledger::v1::{CaseKind, MeasureKind},
};

mod course;
mod measure;
mod open;
mod report;

pub use measure::Told;
pub(in crate::machine) use measure::tell;
pub(in crate::machine) use report::entries;

/// What is decided about a case.
#[derive(Debug)]
pub(in crate::machine) enum Change {
    Put(CaseId, Box<CaseRow>),
    Report { id: CaseId, controller: AgencyNumber, planned: Vec<Planned> },
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &CaseCommand,
) -> Result<Change, Refusal> {
    let caller = context.agency()?;
    let put = |id, row| Change::Put(id, Box::new(row));
    match command {
        CaseCommand::Open(open) => {
            let (id, row) = open::decide(state, context, caller, open)?;
            Ok(put(id, row))
        }
        CaseCommand::Advance { case, step, extension } => {
            let row = of(state, caller, *case)?;
            Ok(put(*case, course::advance(row, (*step, *extension), context.now)?))
        }
        CaseCommand::Decide(decide) => {
            let row = of(state, caller, decide.case)?;
            let row = measure::decide(state, row, decide, context.now)?;
            Ok(put(decide.case, course::close(row, decide.outcome, context.now)?))
        }
        CaseCommand::HoldBack { case, record, groups, exemption } => {
            let row = of(state, caller, *case)?;
            let held = (*record, groups, *exemption);
            Ok(put(*case, report::hold_back(state, row, held, context.now)?))
        }
        CaseCommand::Report { case, after } => {
            let row = of(state, caller, *case)?;
            let planned = report::page(state, context, row, *after)?;
            Ok(Change::Report { id: *case, controller: caller, planned })
        }
    }
}

pub(in crate::machine) fn perform(
    state: &mut State,
    context: &Context,
    change: Change,
    effects: &mut Vec<Effect>,
) -> Receipt {
    match change {
        Change::Put(id, row) => {
            let before = state.case(id).cloned();
            state.put_case(id, (*row).clone());
            measure::follow(state, (before.as_ref(), &row), context.now, effects);
            tell_parties(state, (before.as_ref(), &row), context.now);
            Receipt::Answer(Remembered::Case(id))
        }
        Change::Report { id, controller, planned } => {
            let released = perform_report(state, context, controller, planned);
            if let Some(row) = state.case(id).cloned() {
                state.put_case(id, CaseRow { reported_at: Some(context.now), ..row });
            }
            Receipt::Released(released)
        }
    }
}

/// A case that the caller answers for.
fn of(state: &State, caller: AgencyNumber, id: CaseId) -> Result<&CaseRow, Refusal> {
    state
        .case(id)
        .filter(|row| state.answers_for(caller, row.controller))
        .ok_or(Refusal::NotAvailable)
}

/// Why a case keeps a client's records from a flow, if one does: of the publisher's, or of the recipient's. Each is asked
/// about what its controller knows the client by: its own name for what it publishes, and for what it receives where its
/// caseload is confirmed; otherwise the name by which it receives.
pub(in crate::machine) fn restriction(
    state: &State,
    question: &Question,
    (agreement, flow): (&AgreementId, &Flow),
) -> Option<Reason> {
    restriction_of_publisher(state, question, (agreement, flow)).or_else(|| {
        let (client, recipient) = (question.client, question.recipient);
        let mut of_recipient = state.restricting(client, recipient);
        let known = |row: &CaseRow| !own(row) || state.in_confirmed_caseload(recipient, client);
        let stops = |row: &CaseRow| row.restricts(agreement, flow);
        of_recipient.any(|(_, row)| known(row) && stops(row)).then_some(Reason::RecipientRestricts)
    })
}

/// As [`restriction`], asking the publisher's cases alone.
pub(in crate::machine) fn restriction_of_publisher(
    state: &State,
    question: &Question,
    (agreement, flow): (&AgreementId, &Flow),
) -> Option<Reason> {
    let mut of_publisher = state.restricting(question.client, state.heir(question.publisher));
    let stops = |row: &CaseRow| own(row) && row.restricts(agreement, flow);
    of_publisher.any(|(_, row)| stops(row)).then_some(Reason::Restricted)
}

/// Whether the controller opened the case by its own name for the client.
fn own(row: &CaseRow) -> bool {
    row.client.is_some_and(|client| client.own)
}

/// Whether the publisher of a record keeps it from any flow by a case of its own: because its use is restricted, and
/// because somebody objects to it. For who reads it under emergency access, which goes past both.
pub(in crate::machine) fn contested(state: &State, record: &RecordRow) -> (bool, bool) {
    let carries = |(agreement, flow): &(AgreementId, FlowId)| {
        let flows = state.tables.agreements.get(agreement).map(|row| row.flows.iter());
        flows.into_iter().flatten().any(|known| {
            known.id == *flow
                && (known.publisher, known.record_type) == (record.publisher, record.record_type)
        })
    };
    let stands = |row: &CaseRow, kind: MeasureKind| {
        let is = |measure: &MeasureRow| measure.kind == i32::from(kind);
        let all = row.all.as_ref().is_some_and(is);
        let everywhere = all && (row.scope.is_empty() || row.scope.iter().any(carries));
        everywhere || row.flows.iter().any(|(flow, measure)| is(measure) && carries(flow))
    };
    let any = |kind| {
        let mut cases = state.restricting(record.client, record.publisher);
        cases.any(|(_, row)| own(row) && stands(row, kind))
    };
    (any(MeasureKind::Restrict), any(MeasureKind::Pending))
}

/// Tells controllers what is late: at most `count` cases, from the earliest.
pub(in crate::machine) fn overdue(state: &mut State, now: UnixMillis, count: usize) {
    let due = state.indexes.case_deadlines.iter().take_while(|(at, _)| *at <= now);
    let due: Vec<CaseId> = due.take(count).map(|(_, id)| *id).collect();
    for id in due {
        let Some(mut row) = state.case(id).cloned() else { continue };
        let late = row
            .clocks
            .iter_mut()
            .filter(|clock| clock.met_at.is_none() && !clock.told && clock.due_at <= now);
        let mut told = Vec::new();
        for clock in late {
            clock.told = true;
            told.push((clock.due_at, clock.task));
        }
        let (controller, kind) = (row.controller, row.kind);
        state.put_case(id, row);
        for (at, task) in told {
            let about = About::Case { case: id, kind, event: CaseEvent::Overdue(task) };
            state.notify(controller, Notice { at, about });
        }
    }
}

/// Tells the other parties of the agreement that an incident arose, and that it was dealt with.
fn tell_parties(state: &mut State, (before, after): (Option<&CaseRow>, &CaseRow), now: UnixMillis) {
    let (Some(incident), Some(agreement)) = (&after.incident, &after.agreement) else { return };
    let closed = before.is_some_and(|before| before.closed.is_none()) && after.closed.is_some();
    let event = match before {
        None => IncidentEvent::Opened,
        Some(_) if closed => IncidentEvent::Closed,
        Some(_) => return,
    };
    debug_assert_eq!(after.kind, i32::from(CaseKind::Incident), "only incidents say what happened");
    let about = About::Incident {
        agreement: agreement.clone(),
        by: after.controller,
        event,
        kind: incident.kind,
        severity: incident.severity,
        affected_count: incident.affected_count,
    };
    let row = state.tables.agreements.get(agreement);
    let parties: BTreeSet<_> =
        row.into_iter().flat_map(|row| row.parties.keys().copied()).collect();
    for party in parties.into_iter().filter(|party| *party != after.controller) {
        state.notify(party, Notice { at: now, about: about.clone() });
    }
}
