//! Flows that only a named member of staff may read: nothing leaves by them to a system that acts by itself.
//!
//! A subscription is read by whoever moved its place last; a record that is asked for, by whoever asks. What a system may
//! not have waits for a person and is not lost: it is offered anew when a person takes the subscription over.

use crate::machine::{
    access::{self, Decision, Question},
    state::{State, agency::AgencyNumber},
};

/// Decides, without the flows that only a person may read unless one stands by.
pub(in crate::machine) fn decide(state: &State, question: &Question, unattended: bool) -> Decision {
    access::decide_on(state, question, |flow| !(unattended && flow.named_actor))
}

/// As [`decide`], as far as the publisher is told of it.
pub(in crate::machine) fn decide_for_publisher(
    state: &State,
    question: &Question,
    unattended: bool,
) -> Decision {
    access::decide_for_publisher(state, question, |flow| !(unattended && flow.named_actor))
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
