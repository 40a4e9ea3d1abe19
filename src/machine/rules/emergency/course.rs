//! What time does to emergency access that nobody reviewed: at the due date every party hears of it, and after a while the
//! agency gets no more of it until it has reviewed.
//!
//! That it gets no more is decided by dates, whether or not an entry has said so; what is done here is told.

use std::collections::BTreeSet;

use super::{READERS_MAX, reach, tell_one};
use crate::{
    machine::state::{
        State,
        agency::AgencyNumber,
        emergency::{Emergency, Lateness},
        notice::EmergencyEvent,
    },
    model::order::UnixMillis,
};

/// Takes what is due first, if anything is: at most 64 agencies are told by one entry, the others by the next.
pub(in crate::machine) fn deadlines(state: &mut State, now: UnixMillis) {
    let Some((at, id)) = state.indexes.emergency_deadlines.first().copied() else { return };
    let Some(mut row) = state.emergency(id).filter(|_| at <= now).cloned() else { return };
    row.lateness = match row.lateness {
        Lateness::None | Lateness::Telling(_) => {
            let told = match row.lateness {
                Lateness::Telling(last) => Some(last),
                Lateness::None | Lateness::Told | Lateness::Barred => None,
            };
            let all = concerned(state, &row);
            let rest: Vec<_> =
                all.into_iter().filter(|reader| told.is_none_or(|last| last < *reader)).collect();
            for reader in rest.iter().take(READERS_MAX) {
                tell_one(state, (id, &row), (*reader, EmergencyEvent::ReviewOverdue), at);
            }
            let last = READERS_MAX.checked_sub(1).and_then(|place| rest.get(place)).copied();
            last.filter(|_| READERS_MAX < rest.len()).map_or(Lateness::Told, Lateness::Telling)
        }
        Lateness::Told => {
            tell_one(state, (id, &row), (row.agency, EmergencyEvent::Barred), at);
            Lateness::Barred
        }
        Lateness::Barred => Lateness::Barred,
    };
    state.put_emergency(id, row);
}

/// The agency itself, those whose records were reached, and every party of the agreements that let it use such access.
fn concerned(state: &State, row: &Emergency) -> BTreeSet<AgencyNumber> {
    let about = Some((row.category, row.office));
    let parties = reach::agreements(state, row.agency, about)
        .flat_map(|agreement| agreement.parties.keys().copied());
    parties.chain(row.publishers.iter().copied()).chain([row.agency]).collect()
}
