//! Notices, as the agency for which they are sees them. Nobody else does.

use crate::{
    machine::{
        read::{Page, Viewer, recall::shown_client},
        state::{
            State,
            agency::AgencyNumber,
            notice::{About, Notice},
            reading::Reading,
        },
    },
    model::id::AliasId,
};

/// One notice and its number.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Its number among the agency's notices.
    pub number: u64,
    /// What it says.
    pub notice: &'a Notice,
    /// The client whom it is about, by the viewer's own name.
    pub client: Option<AliasId>,
    /// What was read of a record on the day that it tells of.
    pub reading: Option<&'a Reading>,
}

/// The viewer's notices of a greater number than `after`, the oldest first.
pub fn list(state: &State, viewer: Viewer, after: u64, rows_max: usize) -> Page<u64, View<'_>> {
    let Some(agency) = viewer.agency() else { return Page { rows: Vec::new(), next: None } };
    let Some(first) = after.checked_add(1) else { return Page { rows: Vec::new(), next: None } };
    let rows = state.tables().notices.range((agency, first)..=(agency, u64::MAX));
    let views = rows.map(|((_, number), notice)| (*number, view(state, agency, (*number, notice))));
    Page::of(views, rows_max)
}

fn view<'a>(
    state: &'a State,
    viewer: AgencyNumber,
    (number, notice): (u64, &'a Notice),
) -> View<'a> {
    let (client, reading) = match &notice.about {
        // Told to whoever published what was reached.
        About::Emergency { client, .. } => (client.map(|client| (client, viewer)), None),
        About::Reading { record, reader, day, reason } => {
            let client = state.record(*record).map(|row| (row.client, row.publisher));
            (client, state.tables().readings.get(&(*record, *reader, *day, *reason)))
        }
        About::Agreement { .. }
        | About::ConsentWithdrawn { .. }
        | About::Case { .. }
        | About::Incident { .. }
        | About::Restriction { .. }
        | About::Succession { .. } => (None, None),
    };
    let client = client.and_then(|client| shown_client(state, viewer, client));
    View { number, notice, client, reading }
}
