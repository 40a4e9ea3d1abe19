//! Successions, as those whom they concern see them. To everybody else there is none.

use prost::Message;

use crate::{
    machine::{
        read::{Page, Viewer},
        state::{
            State,
            agency::AgencyNumber,
            succession::{Share, Succession},
        },
    },
    model::{id::SuccessionId, order::Position},
    pb::ledger::v1::{AgreementContent, SuccessionContent},
};

/// One succession.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Its id.
    pub id: SuccessionId,
    /// Its row.
    pub succession: &'a Succession,
    /// What it settles.
    pub content: SuccessionContent,
    /// What becomes of each agreement: the share, and the content for who takes part in it.
    pub outcomes: Vec<(&'a Share, Option<AgreementContent>)>,
}

/// What orders successions: where they were proposed, and their ids.
pub type Key = (Position, SuccessionId);

/// One succession that concerns the viewer.
pub fn one(state: &State, viewer: Viewer, id: SuccessionId) -> Option<View<'_>> {
    let viewer = viewer.agency()?;
    let row = state.succession(id).filter(|row| row.concerned().contains(&viewer))?;
    view(state, viewer, (id, row))
}

/// The successions that concern the viewer, the oldest first, after `after`.
pub fn list(
    state: &State,
    viewer: Viewer,
    (after, rows_max): (Option<Key>, usize),
) -> Page<Key, View<'_>> {
    let Some(viewer) = viewer.agency() else { return Page { rows: Vec::new(), next: None } };
    let rows = state.successions_of(viewer, after);
    let rows = rows.filter_map(|(at, id, row)| Some(((at, id), view(state, viewer, (id, row))?)));
    Page::of(rows, rows_max)
}

fn view<'a>(
    state: &'a State,
    viewer: AgencyNumber,
    (id, succession): (SuccessionId, &'a Succession),
) -> Option<View<'a>> {
    let outcomes = succession.shares.iter().map(|share| {
        let version = state.agreement_version(&share.agreement, share.version);
        let party = version.is_some_and(|row| row.parties.contains_key(&viewer));
        let becomes = share.becomes.as_ref().filter(|_| party || share.successor == viewer);
        let content =
            becomes.and_then(|becomes| AgreementContent::decode(becomes.content.as_slice()).ok());
        (share, content)
    });
    let content = SuccessionContent::decode(succession.content.as_slice()).ok()?;
    Some(View { id, succession, content, outcomes: outcomes.collect() })
}
