//! What of a record is reported to the person whom it is about: as much of the body as the controller may have now.
//!
//! A controller reports its own records whole. What it received is opened for the report as for any other reading: under
//! today's rules, and never more than it was sent. What is held back is no part of what is planned here.

use super::{Planned, Released, flows, release, until};
use crate::{
    machine::{
        access::Question,
        apply::Context,
        rules::{named, recall},
        state::{
            State,
            agency::AgencyNumber,
            record::{Groups, RecordRow},
        },
    },
    model::{id::RecordId, order::UnixMillis},
};

/// The latest version of a record for a report by `reader`, in the groups of `visible` that may be opened; `None` where no
/// body may be.
pub(in crate::machine) fn planned_for_report(
    state: &State,
    context: &Context,
    (reader, first): (AgencyNumber, RecordId),
    visible: Groups,
) -> Option<Planned> {
    let (record, row) = state.latest(first)?;
    let row = row.clone();
    if state.answers_for(reader, row.publisher) {
        let (groups, purpose) = (row.groups.and(visible), i32::from(context.purpose));
        let until = UnixMillis::new(u64::MAX);
        let unattended = context.unattended;
        let flows = Vec::new();
        let planned = Planned { record, row, groups, purpose, unattended, until, flows };
        return (!groups.is_empty()).then_some(planned);
    }
    received(state, context, (reader, record, row), visible)
}

/// What was received and may be opened today.
fn received(
    state: &State,
    context: &Context,
    (reader, record, row): (AgencyNumber, RecordId, RecordRow),
    visible: Groups,
) -> Option<Planned> {
    let sent = state.tables.disclosures.get(&(row.first, reader)).filter(|sent| sent.left())?;
    let gone = state.retraction(row.first).is_some() || recall::waits(state, reader, row.client);
    if gone || sent.record != record {
        return None;
    }
    let (purpose, unattended) = (sent.purpose, context.unattended);
    let question = Question::about(&row, reader, purpose, context.now);
    let decision = named::decide(state, &question, unattended);
    let groups = decision.groups().and(sent.groups).and(visible);
    let (until, flows) = (until(&decision, groups), flows(&decision, groups));
    let planned = Planned { record, row, groups, purpose, unattended, until, flows };
    (!groups.is_empty()).then_some(planned)
}

/// Writes the releases of a report into the state.
pub(in crate::machine) fn perform_report(
    state: &mut State,
    context: &Context,
    reader: AgencyNumber,
    planned: Vec<Planned>,
) -> Vec<Released> {
    planned.into_iter().map(|line| release(state, context, line, (reader, None))).collect()
}
