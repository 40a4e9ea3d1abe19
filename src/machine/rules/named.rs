//! Flows that only a named member of staff may read: nothing leaves by them to a system that acts by itself.
//!
//! A subscription is read by whoever moved its place last; a record that is asked for, by whoever asks. What a system may
//! not have waits for a person and is not lost: it is offered anew when a person takes the subscription over.

use crate::machine::{
    access::{self, Decision, Ground, Question},
    state::{State, agency::AgencyNumber},
};

/// Decides, and leaves out what only a person may read unless one stands by.
pub(in crate::machine) fn decide(state: &State, question: &Question, unattended: bool) -> Decision {
    let decision = access::decide(state, question);
    if unattended { without_named(state, decision) } else { decision }
}

/// The decision without the grounds on which only a person may read.
pub(in crate::machine) fn without_named(state: &State, mut decision: Decision) -> Decision {
    decision.grounds.retain(|ground| !is_named(state, ground));
    decision
}

fn is_named(state: &State, ground: &Ground) -> bool {
    let agreement = state.tables.agreements.get(&ground.agreement);
    let flow = agreement.and_then(|row| row.flows.iter().find(|flow| flow.id == ground.flow));
    flow.is_none_or(|flow| flow.named_actor)
}

/// Whether any flow in force to an agency is for persons only.
pub(in crate::machine) fn concerns(state: &State, recipient: AgencyNumber) -> bool {
    let flows = state.indexes.flows.values().filter_map(|to| to.get(&recipient)).flatten();
    flows.into_iter().any(|(id, place)| {
        let agreement = state.tables.agreements.get(id);
        let flow = agreement.and_then(|row| row.flows.get(usize::from(*place)));
        flow.is_some_and(|flow| flow.named_actor)
    })
}
