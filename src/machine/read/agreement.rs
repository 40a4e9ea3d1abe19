//! Agreements, as their parties see them. To everybody else there are none.

use std::ops::Bound;

use prost::Message;

use crate::{
    machine::{
        read::{Page, Viewer},
        state::{
            State,
            agency::AgencyNumber,
            agreement::{Agreement, Status},
        },
    },
    model::{id::AgreementId, order::UnixMillis},
    pb::ledger::v1::AgreementContent,
};

/// One agreement as a party sees it.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Its id.
    pub id: &'a AgreementId,
    /// Its row.
    pub agreement: &'a Agreement,
    /// What is agreed.
    pub content: AgreementContent,
    /// Where each party stands, in the order of the content.
    pub parties: Vec<Standing>,
    /// Where the version stands at the time.
    pub stands: Stands,
}

/// Where one party stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The party.
    pub agency: AgencyNumber,
    /// Whether it approved.
    pub approved: bool,
    /// Whether it has suspended its own flows.
    pub suspended: bool,
}

/// Where a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// A draft.
    Draft,
    /// Before its parties.
    Proposed,
    /// In force.
    Active,
    /// Declined by a party.
    Declined,
    /// Ended by a party.
    Ended,
    /// Past the end that its content states.
    Expired,
}

/// The version of an agreement that the viewer is a party of; `version` 0 means the latest.
pub fn one<'a>(
    state: &'a State,
    viewer: Viewer,
    (id, version): (&AgreementId, u32),
    now: UnixMillis,
) -> Option<View<'a>> {
    let (id, agreement) =
        state.tables().agreements.range(id.clone()..).next().filter(|(known, _)| *known == id)?;
    let view = view(state, viewer, (id, agreement), now)?;
    (version == 0 || version == agreement.version).then_some(view)
}

/// The viewer's agreements in the order of their ids, after `after`.
pub fn list<'a>(
    state: &'a State,
    viewer: Viewer,
    (after, rows_max): (Option<&AgreementId>, usize),
    now: UnixMillis,
) -> Page<AgreementId, View<'a>> {
    let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
    let rows = state.tables().agreements.range((from, Bound::Unbounded));
    let visible = rows.filter_map(|row| Some((row.0.clone(), view(state, viewer, row, now)?)));
    Page::of(visible, rows_max)
}

fn view<'a>(
    state: &State,
    viewer: Viewer,
    (id, agreement): (&'a AgreementId, &'a Agreement),
    now: UnixMillis,
) -> Option<View<'a>> {
    let viewer = viewer.agency()?;
    if !agreement.parties.contains_key(&viewer) {
        return None;
    }
    let content = AgreementContent::decode(agreement.content.as_slice()).unwrap_or_default();
    let numbers =
        content.parties.iter().filter_map(|party| state.agency_number(&party.agency.parse().ok()?));
    let parties = numbers
        .map(|agency| Standing {
            agency,
            approved: agreement.approvals.contains(&agency),
            suspended: agreement.suspended_by.contains(&agency),
        })
        .collect();
    Some(View { id, agreement, content, parties, stands: stands(agreement, now) })
}

fn stands(agreement: &Agreement, now: UnixMillis) -> Stands {
    let over = agreement.expires_at <= now;
    match agreement.status {
        Status::Draft => Stands::Draft,
        Status::Proposed => Stands::Proposed,
        Status::Active | Status::Ended if over => Stands::Expired,
        Status::Active => Stands::Active,
        Status::Declined => Stands::Declined,
        Status::Ended => Stands::Ended,
    }
}
