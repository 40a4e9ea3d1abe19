//! Agreements, as their parties see them. To everybody else there are none.

use std::ops::Bound;

use prost::Message;

pub use crate::machine::rules::agreement::gap::{Finding, Gap};
use crate::{
    machine::{
        command::agreement::Content,
        read::{Page, Viewer},
        rules,
        state::{
            State,
            agency::AgencyNumber,
            agreement::{Agreement, Flow, Status},
        },
    },
    model::{id::AgreementId, order::UnixMillis},
    pb::ledger::v1::AgreementContent,
};

mod preview;

pub use preview::{Change, preview};

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
    /// The version in force; 0 if there is none.
    pub active_version: u32,
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
    /// A later version is in force.
    Replaced,
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
    let agreement = row(state, viewer.agency()?, (id, version))?;
    let (id, _) = state.tables().agreements.range(id.clone()..).next()?;
    Some(view(state, (id, agreement), now))
}

/// The row of a version that an agency is a party of; `version` 0 means the latest one.
fn row<'a>(
    state: &'a State,
    agency: AgencyNumber,
    (id, version): (&AgreementId, u32),
) -> Option<&'a Agreement> {
    let party = |row: &&Agreement| row.parties.contains_key(&agency);
    if version != 0 {
        return state.agreement_version(id, version).filter(party);
    }
    let standing = state.tables().agreements.get(id).filter(party);
    let others = (id.clone(), 0)..=(id.clone(), u32::MAX);
    let mut others = state.tables().versions.range(others).rev().map(|(_, row)| row);
    let other = others.find(party);
    [standing, other].into_iter().flatten().max_by_key(|row| row.version)
}

/// What one flow of one version says, whether or not the version still stands; for those who received by it.
pub fn flow<'a>(
    state: &'a State,
    (id, version): (&AgreementId, u32),
    flow: &str,
) -> Option<&'a Flow> {
    let row = state.agreement_version(id, version)?;
    row.flows.iter().find(|row| row.id.as_str() == flow)
}

/// Everything that a version misses or says unlawfully; `version` 0 means the latest. `None` unless the viewer is a party.
pub fn findings_of(
    state: &State,
    viewer: Viewer,
    named: (&AgreementId, u32),
    now: UnixMillis,
) -> Option<Vec<Finding>> {
    let row = row(state, viewer.agency()?, named)?;
    let message = AgreementContent::decode(row.content.as_slice()).ok()?;
    Some(findings(state, &Content::try_from(message).ok()?, now))
}

/// Everything that a content misses or says unlawfully, gravest first.
pub fn findings(state: &State, content: &Content, now: UnixMillis) -> Vec<Finding> {
    rules::agreement::findings(state, now, content)
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
    let visible = rows.filter_map(|(id, _)| {
        let agreement = row(state, viewer.agency()?, (id, 0))?;
        Some((id.clone(), view(state, (id, agreement), now)))
    });
    Page::of(visible, rows_max)
}

fn view<'a>(
    state: &State,
    (id, agreement): (&'a AgreementId, &'a Agreement),
    now: UnixMillis,
) -> View<'a> {
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
    let standing = state.tables().agreements.get(id);
    let active = standing.filter(|row| stands(row, now) == Stands::Active);
    let active_version = active.map_or(0, |row| row.version);
    View { id, agreement, content, parties, stands: stands(agreement, now), active_version }
}

fn stands(agreement: &Agreement, now: UnixMillis) -> Stands {
    let over = agreement.expires_at <= now;
    match agreement.status {
        Status::Draft => Stands::Draft,
        Status::Proposed => Stands::Proposed,
        Status::Active if over => Stands::Expired,
        Status::Ended if agreement.ended_at.is_some_and(|at| agreement.expires_at <= at) => {
            Stands::Expired
        }
        Status::Active => Stands::Active,
        Status::Replaced => Stands::Replaced,
        Status::Declined => Stands::Declined,
        Status::Ended => Stands::Ended,
    }
}
