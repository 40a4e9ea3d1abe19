//! Sealed words, as those who wrote them and those whom they are for may have them opened.

use crate::{
    machine::{
        read::{Page, Viewer},
        rules::words::are_for,
        state::{
            State,
            words::{Matter, Words},
        },
    },
    model::{id::AgencyId, order::Position},
};

/// One act beside which words may be sealed.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Its entry.
    pub position: Position,
    /// Its row.
    pub words: &'a Words,
    /// Who wrote them.
    pub author: &'a AgencyId,
}

/// The acts about a matter whose words are for the viewer, the oldest first, after `after`.
pub fn list(
    state: &State,
    viewer: Viewer,
    matter: Matter,
    (after, rows_max): (Option<Position>, usize),
) -> Page<Position, View<'_>> {
    let Some(viewer) = viewer.agency() else { return Page { rows: Vec::new(), next: None } };
    let rows = state
        .words_about(matter)
        .filter(|(position, _)| after.is_none_or(|after| after < *position))
        .filter(|(_, words)| are_for(state, viewer, (matter, words)))
        .filter_map(|(position, words)| {
            let author = &state.agency(words.author)?.id;
            Some((position, View { position, words, author }))
        });
    Page::of(rows, rows_max)
}
