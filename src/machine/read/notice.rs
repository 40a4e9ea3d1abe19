//! Notices, as the agency for which they are sees them. Nobody else does.

use crate::machine::{
    read::{Page, Viewer},
    state::{State, notice::Notice},
};

/// One notice and its number.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Its number among the agency's notices.
    pub number: u64,
    /// What it says.
    pub notice: &'a Notice,
}

/// The viewer's notices of a greater number than `after`, the oldest first.
pub fn list(state: &State, viewer: Viewer, after: u64, rows_max: usize) -> Page<u64, View<'_>> {
    let Some(agency) = viewer.agency() else { return Page { rows: Vec::new(), next: None } };
    let Some(first) = after.checked_add(1) else { return Page { rows: Vec::new(), next: None } };
    let rows = state.tables().notices.range((agency, first)..=(agency, u64::MAX));
    let views = rows.map(|((_, number), notice)| (*number, View { number: *number, notice }));
    Page::of(views, rows_max)
}
