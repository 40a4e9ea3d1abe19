//! Agencies, as others and they themselves see them.

use std::ops::Bound;

use crate::{
    machine::{
        read::{Page, Viewer},
        state::{State, agency::Agency},
    },
    model::id::AgencyId,
};

/// One agency as a viewer sees it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Its row.
    pub agency: &'a Agency,
    /// Whether the viewer sees certificates and the time of the invitation: the agency itself and the operator.
    pub inside: bool,
    /// Whether the viewer sees the end of its invitation: the operator.
    pub operator: bool,
}

/// One agency. Those that have not enrolled are seen by the operator alone.
pub fn one<'a>(state: &'a State, viewer: Viewer, id: &AgencyId) -> Option<View<'a>> {
    let number = state.agency_number(id)?;
    let agency = state.agency(number)?;
    let (inside, operator) = match viewer {
        Viewer::Operator => (true, true),
        Viewer::Agency(own) if agency.keys.is_some() => (own == number, false),
        Viewer::Agency(_) | Viewer::Unregistered => return None,
    };
    Some(View { agency, inside, operator })
}

/// Agencies in the order of their ids, after `after`.
pub fn list<'a>(
    state: &'a State,
    viewer: Viewer,
    after: Option<&AgencyId>,
    rows_max: usize,
) -> Page<AgencyId, View<'a>> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let ids = state.indexes().agency_numbers.range::<AgencyId, _>((from, Bound::Unbounded));
    let visible = ids.filter_map(|(id, _)| Some((id.clone(), one(state, viewer, id)?)));
    Page::of(visible, rows_max)
}
