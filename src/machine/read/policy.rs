//! An agency's own policies; nobody else sees them.

use crate::{
    machine::{
        read::{Page, Viewer},
        state::{State, agency::AgencyNumber, policy::Policy},
    },
    model::id::{AgencyId, PolicyId},
};

/// One policy.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Whose it is.
    pub owner: &'a AgencyId,
    /// Its id.
    pub id: &'a PolicyId,
    /// Its row.
    pub policy: &'a Policy,
}

/// One policy of the viewer's.
pub fn one<'a>(
    state: &'a State,
    viewer: Viewer,
    (owner, id): (&AgencyId, &PolicyId),
) -> Option<View<'a>> {
    let number = state.agency_number(owner)?;
    let _own = viewer.agency().filter(|viewer| state.answers_for(*viewer, number))?;
    all(state, number).find(|view| view.id == id)
}

/// The viewer's policies in the order of their ids, after `after`.
pub fn list<'a>(
    state: &'a State,
    viewer: Viewer,
    after: Option<&PolicyId>,
    rows_max: usize,
) -> Page<PolicyId, View<'a>> {
    let bodies = viewer.agency().into_iter().flat_map(|number| state.bodies(number));
    let mut own: Vec<_> = bodies.flat_map(|number| all(state, number)).collect();
    own.sort_by_key(|view| view.id);
    let rest = own.into_iter().filter(|view| after.is_none_or(|after| after < view.id));
    Page::of(rest.map(|view| (view.id.clone(), view)), rows_max)
}

fn all(state: &State, number: AgencyNumber) -> impl Iterator<Item = View<'_>> {
    let owner = state.agency(number).map(|agency| &agency.id);
    let rows = state.policies_of(number);
    rows.filter_map(move |(id, policy)| Some(View { owner: owner?, id, policy }))
}
