//! Erasures and legal holds, as the publisher sees its own, and the text of an erasure's certificate.

use std::{collections::BTreeSet, fmt::Write};

use crate::{
    machine::{
        read::{Page, Viewer},
        state::{
            State,
            agency::AgencyNumber,
            client::AliasKind,
            erasure::{Erasure, Hold, Subject},
        },
    },
    model::{
        id::{AliasId, ErasureId, HoldId, RecallId, RecordId},
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::ErasureGround,
};

/// One erasure.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Its id.
    pub id: ErasureId,
    /// Its row.
    pub erasure: &'a Erasure,
    /// The client, by the viewer's name, if everything about one was erased.
    pub client: Option<AliasId>,
    /// How many recalls of its records are not answered.
    pub outstanding: u32,
}

/// One legal hold.
#[derive(Clone, Debug)]
pub struct HoldView<'a> {
    /// Its id.
    pub id: HoldId,
    /// Its row.
    pub hold: &'a Hold,
    /// The client, by the viewer's name.
    pub client: AliasId,
}

/// What orders erasures: where they were asked for, and their ids.
pub type Key = (Position, ErasureId);

/// What orders holds.
pub type HoldKey = (Position, HoldId);

/// One erasure of the viewer's.
pub fn one(state: &State, viewer: Viewer, id: ErasureId) -> Option<View<'_>> {
    let viewer = viewer.agency()?;
    let erasure = state.erasure(id).filter(|erasure| state.answers_for(viewer, erasure.agency))?;
    let client = match erasure.subject {
        Subject::Client(client) => state.alias(viewer, client, AliasKind::Own),
        Subject::Record(_) | Subject::Overdue(_) => None,
    };
    Some(View { id, erasure, client, outstanding: outstanding(state, erasure) })
}

/// The viewer's erasures, the oldest first, after `after`; only those in progress, or all.
pub fn list(
    state: &State,
    viewer: Viewer,
    in_progress_only: bool,
    (after, rows_max): (Option<Key>, usize),
) -> Page<Key, View<'_>> {
    let Some(agency) = viewer.agency() else { return Page { rows: Vec::new(), next: None } };
    let first = (agency, Position::FIRST, ErasureId::from_bytes([0; 16]));
    let last = (agency, Position::new(u64::MAX), ErasureId::from_bytes([u8::MAX; 16]));
    let from = match after {
        Some((position, id)) => std::ops::Bound::Excluded((agency, position, id)),
        None => std::ops::Bound::Included(first),
    };
    let keys = state.indexes().erasures_by.range((from, std::ops::Bound::Included(last)));
    let rows = keys.filter_map(|(_, position, id)| {
        let view = one(state, viewer, *id)?;
        let wanted = !in_progress_only || view.erasure.completed_at.is_none();
        wanted.then_some(((*position, *id), view))
    });
    Page::of(rows, rows_max)
}

/// One hold of the viewer's.
pub fn hold(state: &State, viewer: Viewer, id: HoldId) -> Option<HoldView<'_>> {
    let viewer = viewer.agency()?;
    let hold =
        state.tables().holds.get(&id).filter(|hold| state.answers_for(viewer, hold.agency))?;
    Some(HoldView { id, hold, client: state.alias(viewer, hold.client, AliasKind::Own)? })
}

/// The viewer's holds, the oldest first, after `after`; with those that were lifted, or without.
pub fn holds(
    state: &State,
    viewer: Viewer,
    lifted_too: bool,
    (after, rows_max): (Option<HoldKey>, usize),
) -> Page<HoldKey, HoldView<'_>> {
    let Some(agency) = viewer.agency() else { return Page { rows: Vec::new(), next: None } };
    let first = (agency, Position::FIRST, HoldId::from_bytes([0; 16]));
    let last = (agency, Position::new(u64::MAX), HoldId::from_bytes([u8::MAX; 16]));
    let from = match after {
        Some((position, id)) => std::ops::Bound::Excluded((agency, position, id)),
        None => std::ops::Bound::Included(first),
    };
    let keys = state.indexes().holds_by.range((from, std::ops::Bound::Included(last)));
    let rows = keys.filter_map(|(_, position, id)| {
        let view = hold(state, viewer, *id)?;
        let wanted = lifted_too || view.hold.lifted_at.is_none();
        wanted.then_some(((*position, *id), view))
    });
    Page::of(rows, rows_max)
}

/// The statement of an erasure's certificate: what was erased, that nothing of it is left, and what past recipients say
/// they did. `None` while it is in progress.
pub fn certificate(
    state: &State,
    viewer: Viewer,
    id: ErasureId,
    (origin, now): (&str, UnixMillis),
) -> Option<String> {
    let View { erasure, client, outstanding, .. } = one(state, viewer, id)?;
    let completed_at = erasure.completed_at?;
    let agency = &state.agency(erasure.agency)?.id;
    let ground = ErasureGround::try_from(erasure.ground).unwrap_or_default();
    let ground = ground.as_str_name().trim_start_matches("ERASURE_GROUND_");
    let mut text = format!("{origin}\nerasure {id}\nagency {agency}\nground {ground}\n");
    let _always = writeln!(text, "asked {}", erasure.asked_at.millis());
    let _always = writeln!(text, "completed {}", completed_at.millis());
    let _always = writeln!(text, "stated {}", now.millis());
    if let Some(client) = client {
        let _always = writeln!(text, "client {client} identifiers erased");
    }
    for first in &erasure.records {
        let row = state.record(*first)?;
        let record_type = &state.record_type(row.record_type)?.name;
        let _always = writeln!(text, "record {first} type {record_type}");
    }
    let Erasure { versions, attachments, keys, epochs, .. } = erasure;
    let _always = writeln!(
        text,
        "versions {versions}\nattachments {attachments} overwritten\nkeys {} destroyed\nepochs {} destroyed",
        keys.len(),
        epochs.len(),
    );
    for (recipient, answered) in answers(state, &erasure.records) {
        let recipient = &state.agency(recipient)?.id;
        let answered = if answered { "answered" } else { "outstanding" };
        let _always = writeln!(text, "recipient {recipient} {answered}");
    }
    let _always = writeln!(text, "outstanding {outstanding}");
    Some(text)
}

/// Whoever was recalled any of these records, and whether it has answered all of it.
fn answers(state: &State, records: &BTreeSet<RecordId>) -> Vec<(AgencyNumber, bool)> {
    let mut answers = std::collections::BTreeMap::new();
    for id in records.iter().flat_map(|first| recalls_of(state, *first)) {
        let Some(recall) = state.recall(id) else { continue };
        let all = answers.entry(recall.recipient).or_insert(true);
        *all = *all && recall.answer.is_some();
    }
    answers.into_iter().collect()
}

fn outstanding(state: &State, erasure: &Erasure) -> u32 {
    let recalls = erasure.records.iter().flat_map(|first| recalls_of(state, *first));
    let open = recalls.filter_map(|id| state.recall(id)).filter(|row| row.answer.is_none());
    u32::try_from(open.count()).unwrap_or(u32::MAX)
}

fn recalls_of(state: &State, first: RecordId) -> impl Iterator<Item = RecallId> {
    let ids = (RecallId::from_bytes([0; 16]), RecallId::from_bytes([u8::MAX; 16]));
    let range = (first, AgencyNumber::MIN, Position::FIRST, ids.0)
        ..=(first, AgencyNumber::MAX, Position::new(u64::MAX), ids.1);
    state.indexes().recalls_of.range(range).map(|(_, _, _, id)| *id)
}
