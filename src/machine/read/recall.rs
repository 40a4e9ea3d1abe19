//! Recalls, as their recipient and the publisher of the record see them, and the text of a disposal certificate.

use std::fmt::Write;

use crate::{
    machine::{
        read::{Page, Viewer},
        state::{
            State,
            agency::AgencyNumber,
            client::AliasKind,
            recall::Recall,
            record::{RecordRow, RecordType},
        },
    },
    model::{
        id::{AgencyId, AliasId, ClientId, GroupName, RecallId, RecordId},
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::{RecallAct, RecallReason, RetentionGround},
};

/// One recall.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Its id.
    pub id: RecallId,
    /// Its row.
    pub recall: &'a Recall,
    /// The type of record.
    pub record_type: &'a RecordType,
    /// The client, by the viewer's name.
    pub client: AliasId,
    /// Who published the record.
    pub publisher: &'a AgencyId,
    /// Who was sent it.
    pub recipient: &'a AgencyId,
    /// The groups concerned.
    pub groups: Vec<GroupName>,
}

/// What orders recalls: where they were issued, and their ids.
pub type Key = (Position, RecallId);

/// One recall that is addressed to the viewer, or of a record of the viewer's.
pub fn one(state: &State, viewer: Viewer, id: RecallId) -> Option<View<'_>> {
    let viewer = viewer.agency()?;
    let recall = state.recall(id)?;
    let ends = [recall.recipient, recall.publisher];
    let seen = ends.into_iter().any(|end| state.answers_for(viewer, end));
    seen.then(|| view(state, viewer, id, recall)).flatten()
}

/// The viewer's inbox, the oldest first, after `after`; with those that are answered, or without.
pub fn inbox(
    state: &State,
    viewer: Viewer,
    answered_too: bool,
    (after, rows_max): (Option<Key>, usize),
) -> Page<Key, View<'_>> {
    let Some(viewer) = viewer.agency() else { return Page { rows: Vec::new(), next: None } };
    let indexes = state.indexes();
    let index = if answered_too { &indexes.recalls_to } else { &indexes.recalls_open };
    let rows = state
        .recalls_in(index, viewer, after)
        .filter_map(|key| Some((key, view(state, viewer, key.1, state.recall(key.1)?)?)));
    Page::of(rows, rows_max)
}

/// The recalls of the viewer's records, the oldest first, after `after`; of one record (first version) if given.
pub fn issued(
    state: &State,
    viewer: Viewer,
    (first, answered_too): (Option<RecordId>, bool),
    (after, rows_max): (Option<Key>, usize),
) -> Page<Key, View<'_>> {
    let Some(viewer) = viewer.agency() else { return Page { rows: Vec::new(), next: None } };
    let issued = state.recalls_in(&state.indexes().recalls_issued, viewer, after);
    let rows = issued.filter_map(|key| {
        let recall = state.recall(key.1)?;
        let wanted = first.is_none_or(|first| recall.first == first)
            && (answered_too || recall.answer.is_none());
        wanted.then(|| Some((key, view(state, viewer, key.1, recall)?))).flatten()
    });
    Page::of(rows, rows_max)
}

/// A record of the viewer's, by any of its versions: its first version, and the row of its latest.
pub fn own_record(
    state: &State,
    viewer: Viewer,
    record: RecordId,
) -> Option<(RecordId, RecordId, &RecordRow)> {
    let viewer = viewer.agency()?;
    let row = state.record(record).filter(|row| state.answers_for(viewer, row.publisher))?;
    let (latest, latest_row) = state.latest(row.first)?;
    Some((row.first, latest, latest_row))
}

/// The statement of a disposal certificate: what was recalled of a record of the viewer's, from whom, and what became of
/// it. Nothing if nothing was recalled. The second is how many recalls are not answered.
pub fn disposal(
    state: &State,
    viewer: Viewer,
    record: RecordId,
    (origin, now): (&str, UnixMillis),
) -> Option<(String, u32)> {
    let (first, latest, row) = own_record(state, viewer, record)?;
    let recalls = state.indexes().recalls_of.range(
        (first, AgencyNumber::MIN, Position::FIRST, RecallId::from_bytes([0; 16]))
            ..=(
                first,
                AgencyNumber::MAX,
                Position::new(u64::MAX),
                RecallId::from_bytes([u8::MAX; 16]),
            ),
    );
    let recalls: Vec<_> = recalls.filter_map(|(_, _, _, id)| state.recall(*id)).collect();
    let retraction = state.retraction(first);
    if recalls.is_empty() && retraction.is_none() {
        return None;
    }
    let known = state.record_type(row.record_type)?;
    let mut text =
        format!("{origin}\nrecord {latest}\ntype {}\nstated {}\n", known.name, now.millis());
    if let Some(retraction) = retraction {
        let reason = reason_code(retraction.reason);
        let _always = writeln!(text, "retracted {} {reason}", retraction.at.millis());
    }
    for recall in &recalls {
        let recipient = &state.agency(recall.recipient)?.id;
        let groups: Vec<_> =
            known.names_of(recall.groups).iter().map(ToString::to_string).collect();
        let (groups, reason) = (groups.join("+"), reason_code(recall.reason));
        let issued = recall.issued_at.millis();
        let answer = recall.answer.as_ref().map_or_else(
            || "outstanding".to_owned(),
            |answer| {
                let (act, ground) = (act_code(answer.act), ground_code(answer.ground));
                format!("answered {} {act}{ground}", answer.at.millis())
            },
        );
        let _always =
            writeln!(text, "recall {recipient} {reason} {groups} issued {issued} {answer}");
    }
    let outstanding = recalls.iter().filter(|recall| recall.answer.is_none()).count();
    let _always = writeln!(text, "outstanding {outstanding}");
    Some((text, u32::try_from(outstanding).unwrap_or(u32::MAX)))
}

fn reason_code(code: i32) -> &'static str {
    let reason = RecallReason::try_from(code).unwrap_or_default();
    reason.as_str_name().trim_start_matches("RECALL_REASON_")
}

fn act_code(code: i32) -> &'static str {
    RecallAct::try_from(code).unwrap_or_default().as_str_name().trim_start_matches("RECALL_ACT_")
}

fn ground_code(code: i32) -> String {
    match RetentionGround::try_from(code).unwrap_or_default() {
        RetentionGround::Unspecified => String::new(),
        ground @ (RetentionGround::LegalObligation
        | RetentionGround::Safeguarding
        | RetentionGround::LegalClaim
        | RetentionGround::PublicHealth
        | RetentionGround::Archiving) => {
            format!(" {}", ground.as_str_name().trim_start_matches("RETENTION_GROUND_"))
        }
    }
}

fn view<'a>(
    state: &'a State,
    viewer: AgencyNumber,
    id: RecallId,
    recall: &'a Recall,
) -> Option<View<'a>> {
    let record_type = state.record_type(state.record(recall.first)?.record_type)?;
    Some(View {
        id,
        recall,
        record_type,
        client: shown_client(state, viewer, (recall.client, recall.publisher))?,
        publisher: &state.agency(recall.publisher)?.id,
        recipient: &state.agency(recall.recipient)?.id,
        groups: record_type.names_of(recall.groups),
    })
}

/// The viewer's name for a client, as a record about it is shown to the viewer: its own name for what it published, and the
/// name by which it receives for what others did, unless its caseload is confirmed.
pub(super) fn shown_client(
    state: &State,
    viewer: AgencyNumber,
    (client, publisher): (ClientId, AgencyNumber),
) -> Option<AliasId> {
    let own = state.alias(viewer, client, AliasKind::Own);
    if state.answers_for(viewer, publisher) {
        return own;
    }
    let confirmed = state.in_confirmed_caseload(viewer, client);
    let received = state.alias(viewer, client, AliasKind::Received);
    own.filter(|_| confirmed || received.is_none()).or(received)
}
