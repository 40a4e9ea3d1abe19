//! Claims to clients: an agency's own, and those of others that it may confirm.

use std::{collections::BTreeSet, ops::Bound};

use crate::{
    machine::{
        read::{Page, Viewer},
        state::{
            State,
            agency::AgencyNumber,
            agreement::Status,
            client::{AliasKind, Case},
            succession::in_order,
        },
    },
    model::{
        id::{AgencyId, AliasId},
        order::{Position, UnixMillis},
    },
};

/// One claim.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The client, by the viewer's name.
    pub client: AliasId,
    /// The agency that claims.
    pub agency: &'a AgencyId,
    /// The agency that confirmed.
    pub confirmer: Option<&'a AgencyId>,
    /// Its row.
    pub case: &'a Case,
}

/// One claim on a client whom the viewer knows: the viewer's own, or one that it may confirm or has confirmed.
pub fn one<'a>(
    state: &'a State,
    viewer: Viewer,
    (client, claimant): (AliasId, &AgencyId),
    now: UnixMillis,
) -> Option<View<'a>> {
    let own = viewer.agency()?;
    let claimant = state.agency_number(claimant)?;
    let case = state.tables().caseload.get(&(claimant, state.own_client(own, client)?))?;
    let seen = state.answers_for(own, claimant)
        || case.confirmed_by.is_some_and(|by| state.answers_for(own, by))
        || claimants(state, own, now).contains(&claimant);
    if seen { view(state, client, (claimant, case)) } else { None }
}

/// The viewer's own claims in the order of the clients' names, after `after`.
pub fn own(
    state: &State,
    viewer: Viewer,
    after: Option<AliasId>,
    rows_max: usize,
) -> Page<AliasId, View<'_>> {
    let rows = viewer.agency().into_iter().flat_map(|own| {
        let names = state.bodies(own).map(|body| aliases(state, body, after));
        in_order(names.collect()).filter_map(move |alias| {
            let claim = state.claim_of(own, state.own_client(own, alias)?)?;
            Some((alias, view(state, alias, claim)?))
        })
    });
    Page::of(rows, rows_max)
}

/// The claims of others that await a confirmation and that the viewer may confirm, the oldest first, after the one made
/// at `after`.
pub fn awaiting(
    state: &State,
    viewer: Viewer,
    (after, rows_max): (Option<Position>, usize),
    now: UnixMillis,
) -> Page<Position, View<'_>> {
    let Some(own) = viewer.agency() else { return Page { rows: Vec::new(), next: None } };
    let claimants = claimants(state, own, now);
    let names = state.bodies(own).map(|body| aliases(state, body, None));
    let mut claims: Vec<(Position, View<'_>)> = in_order(names.collect())
        .flat_map(|alias| claimants.iter().map(move |claimant| (alias, *claimant)))
        .filter_map(|(alias, claimant)| {
            let client = state.own_client(own, alias)?;
            let case = state.tables().caseload.get(&(claimant, client))?;
            let waits = case.confirmed_by.is_none() && after.is_none_or(|at| at < case.opened);
            let view = view(state, alias, (claimant, case)).filter(|_| waits)?;
            Some((case.opened, view))
        })
        .collect();
    claims.sort_by_key(|(opened, _)| *opened);
    Page::of(claims, rows_max)
}

/// The agency's own names of clients, after `after`.
fn aliases(
    state: &State,
    agency: AgencyNumber,
    after: Option<AliasId>,
) -> impl Iterator<Item = AliasId> {
    let first = after.map_or(Bound::Included((agency, AliasId::from_bytes([0; 16]))), |alias| {
        Bound::Excluded((agency, alias))
    });
    let last = Bound::Included((agency, AliasId::from_bytes([u8::MAX; 16])));
    let rows = state.tables().aliases.range((first, last));
    rows.filter(|(_, row)| row.kind == AliasKind::Own).map(|((_, alias), _)| *alias)
}

/// The agencies whose claims a publisher may confirm: it has a flow in force to them that asks for a confirmed claim.
fn claimants(state: &State, publisher: AgencyNumber, now: UnixMillis) -> BTreeSet<AgencyNumber> {
    let in_force = state.tables().agreements.iter().filter(|(_, agreement)| {
        agreement.status == Status::Active
            && now < agreement.until()
            && agreement.parties.contains_key(&publisher)
            && !agreement.suspended_by.contains(&publisher)
    });
    in_force
        .flat_map(|(_, agreement)| agreement.flows.iter().map(move |flow| (agreement, flow)))
        .filter(|(_, flow)| flow.publisher == publisher && flow.caseload_confirmed)
        .flat_map(|(agreement, flow)| {
            let open = |to: &&AgencyNumber| !agreement.suspended_by.contains(to);
            flow.recipients.iter().filter(open)
        })
        .copied()
        .collect()
}

fn view<'a>(
    state: &'a State,
    client: AliasId,
    (claimant, case): (AgencyNumber, &'a Case),
) -> Option<View<'a>> {
    let agency = &state.agency(claimant)?.id;
    let confirmer = case.confirmed_by.and_then(|number| state.agency(number)).map(|row| &row.id);
    Some(View { client, agency, confirmer, case })
}
