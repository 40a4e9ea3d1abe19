//! What is left of a client with an agency once records are taken away.
//!
//! Retention disposes of records, and of the client's identifiers with the last of them, unless something still hangs on
//! knowing the person: a word about consent that stands, a claim, a case that goes on, a hold.

use std::collections::BTreeSet;

use crate::{
    machine::state::{State, agency::AgencyNumber, consent::Consent},
    model::id::{ClientId, RecordId},
};

/// Whether the agency published other records about a client than those that are taken away.
pub(super) fn records(
    state: &State,
    (agency, client): (AgencyNumber, ClientId),
    taken: &BTreeSet<RecordId>,
) -> bool {
    state.records_of(client).any(|first| {
        !taken.contains(&first) && state.record(first).is_some_and(|row| row.publisher == agency)
    })
}

/// Whether anything hangs on knowing the client.
pub(super) fn anything(
    state: &State,
    (agency, client): (AgencyNumber, ClientId),
    taken: &BTreeSet<RecordId>,
) -> bool {
    let case = |row: &crate::machine::state::case::CaseRow| {
        row.closed.is_none() && row.client.is_some_and(|known| known.client == client)
    };
    // A body that went over into the agency left its words, claims and cases to it.
    state.bodies(agency).any(|body| {
        records(state, (body, client), taken)
            || state.consents_of(client).any(|(_, row)| row.recorder == body && stands(row))
            || state.tables.caseload.contains(&(body, client))
            || state.cases_of(body).any(|(_, row)| case(row))
            || state.is_held(body, client, None)
    })
}

/// Whether somebody's word still counts. A refusal counts until it is set aside: somebody who comes back under another name
/// would have to refuse again.
fn stands(row: &Consent) -> bool {
    let withdrawn = row.recipients.iter().all(|one| row.withdrawn(*one, row.groups).is_some());
    if row.given {
        !row.ended && row.invalid.is_none() && !withdrawn
    } else {
        row.resolved.is_none()
    }
}
