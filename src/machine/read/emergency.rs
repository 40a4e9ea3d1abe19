//! Emergency access as who used it and those whose records it reached see it; and what a node may propose to read.

use crate::{
    machine::{
        access::Ground,
        read::{Page, Viewer, recall::shown_client},
        rules::{
            case,
            emergency::{self, Reached},
            recall,
            release::Released,
        },
        state::{State, emergency::Emergency},
    },
    model::{
        id::{AgencyId, AliasId, ClientId, EmergencyId, RecordId},
        limit,
        order::{Position, UnixMillis},
    },
    pb::{ledger::v1 as pb, v1::RecordMark},
};

/// One emergency access.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Its id.
    pub id: EmergencyId,
    /// Its row.
    pub emergency: &'a Emergency,
    /// Who used it.
    pub agency: &'a AgencyId,
    /// Whether the viewer used it.
    pub own: bool,
    /// The client, by a publisher's own name; told to publishers alone.
    pub client: Option<AliasId>,
}

/// One that the viewer used, or that reached records of the viewer's.
pub fn one(state: &State, viewer: Viewer, id: EmergencyId) -> Option<View<'_>> {
    let number = viewer.agency()?;
    let emergency = state.emergency(id)?;
    let own = emergency.agency == number;
    if !own && !emergency.publishers.contains(&number) {
        return None;
    }
    let named = emergency.client.filter(|_| !own);
    let client = named.and_then(|client| shown_client(state, number, (client, number)));
    Some(View { id, emergency, agency: &state.agency(emergency.agency)?.id, own, client })
}

/// What the viewer used, or with `published` what reached its records; the oldest first, after `after`.
pub fn list(
    state: &State,
    viewer: Viewer,
    (published, unreviewed): (bool, bool),
    (after, rows_max): (Option<(Position, EmergencyId)>, usize),
) -> Page<(Position, EmergencyId), View<'_>> {
    let Some(number) = viewer.agency() else { return Page { rows: Vec::new(), next: None } };
    let rows: Vec<_> = if published {
        state.emergencies_about(number).collect()
    } else {
        state.emergencies_by(number).collect()
    };
    let rows = rows
        .into_iter()
        .filter(|(_, row)| !unreviewed || row.review.is_none())
        .map(|(id, row)| (row.position, id))
        .filter(|key| after.as_ref().is_none_or(|after| after < key))
        .filter_map(|key| Some((key, one(state, viewer, key.1)?)));
    Page::of(rows, rows_max)
}

/// Of those whom a search may mean the ones of whom something could be read, each once, at most two: who is said to be
/// meant by an agency whose records could not be read is not meant.
pub fn candidates(
    state: &State,
    agency: &AgencyId,
    (category, office): (i32, i32),
    (said, now): (impl IntoIterator<Item = (ClientId, AgencyId)>, UnixMillis),
) -> Vec<ClientId> {
    let Some(number) = state.agency_number(agency) else { return Vec::new() };
    let mut found: Vec<ClientId> = said
        .into_iter()
        .filter(|(client, by)| {
            let reached = emergency::reachable(state, (number, category, office), *client, now);
            let by = state.agency_number(by);
            // INVARIANT (one answer): nothing that only others know decides whom a search means.
            let known = |row: &Reached| by == Some(row.row.publisher);
            !reached.is_empty() && (by == Some(number) || reached.iter().any(known))
        })
        .map(|(client, _)| client)
        .collect();
    found.dedup();
    found.truncate(2);
    found
}

/// The lines that could be read under emergency access after the record `after`, and whether more follow.
pub fn lines(
    state: &State,
    agency: &AgencyId,
    (id, after): (EmergencyId, Option<RecordId>),
    now: UnixMillis,
) -> (Vec<pb::EmergencyLine>, bool) {
    let number = state.agency_number(agency);
    let row = state.emergency(id).filter(|row| Some(row.agency) == number);
    let Some((row, client)) = row.and_then(|row| Some((row, row.client?))) else {
        return (Vec::new(), false);
    };
    if recall::waits(state, row.agency, client) {
        return (Vec::new(), false);
    }
    let of = (row.agency, row.category, row.office);
    let mut reached = emergency::reachable(state, of, client, now);
    reached.retain(|one| after.is_none_or(|after| after < one.row.first));
    let more = limit::EMERGENCY_LINES_MAX < reached.len();
    reached.truncate(limit::EMERGENCY_LINES_MAX);
    (reached.iter().filter_map(|one| line(state, one)).collect(), more)
}

fn line(state: &State, reached: &Reached) -> Option<pb::EmergencyLine> {
    let record_type = state.record_type(reached.row.record_type)?;
    let grant = |ground: &Ground| pb::Grant {
        agreement: ground.agreement.to_string(),
        version: ground.version,
        flow: ground.flow.to_string(),
        groups: record_type.names_of(ground.groups).iter().map(ToString::to_string).collect(),
        consents: Vec::new(),
    };
    let record = reached.record.as_bytes().to_vec().into();
    Some(pb::EmergencyLine { record, grants: reached.grounds.iter().map(grant).collect() })
}

/// What stands against a record that leaves under emergency access, in the order of the codes. Of disputes, only those
/// about groups that leave: another would tell of what the reader does not get.
pub fn marks(state: &State, released: &Released) -> Vec<RecordMark> {
    let Some(row) = state.record(released.record()) else { return Vec::new() };
    let (restricted, objected) = case::contested(state, row);
    let disputed = state.disputes_open(row.first).any(|(_, dispute)| {
        let names = state.record_type(row.record_type).map(|known| known.names_of(dispute.group));
        names.is_some_and(|names| names.iter().any(|name| released.group_names().contains(name)))
    });
    let held = state.is_held(row.publisher, row.client, Some(row.first));
    let marks = [
        (restricted, RecordMark::Restricted),
        (objected, RecordMark::ObjectedTo),
        (disputed, RecordMark::Disputed),
        (held, RecordMark::LegalHold),
    ];
    marks.into_iter().filter(|(stands, _)| *stands).map(|(_, mark)| mark).collect()
}

/// The first version of a record: by it the pages of a reading are ordered.
pub fn first_of(state: &State, record: RecordId) -> Option<RecordId> {
    state.record(record).map(|row| row.first)
}
