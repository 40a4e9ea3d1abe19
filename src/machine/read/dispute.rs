//! Disputes, as the agency that opened them and the publisher of the record see them.

use crate::{
    machine::{
        read::{Page, Viewer, recall::shown_client},
        state::{State, agency::AgencyNumber, dispute::Dispute, record::RecordType},
    },
    model::{
        id::{AgencyId, AliasId, DisputeId, GroupName},
        order::Position,
    },
};

/// One dispute.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Its id.
    pub id: DisputeId,
    /// Its row.
    pub dispute: &'a Dispute,
    /// The type of record.
    pub record_type: &'a RecordType,
    /// The client, by the viewer's name.
    pub client: AliasId,
    /// Who published the record.
    pub publisher: &'a AgencyId,
    /// Who doubts it.
    pub recipient: &'a AgencyId,
    /// The field group.
    pub group: GroupName,
}

/// One dispute that the viewer opened, or about a record of the viewer's.
pub fn one(state: &State, viewer: Viewer, id: DisputeId) -> Option<View<'_>> {
    let viewer = viewer.agency()?;
    let dispute = state.dispute(id)?;
    let ends = [dispute.recipient, dispute.publisher];
    let seen = ends.into_iter().any(|end| state.answers_for(viewer, end));
    seen.then(|| view(state, viewer, (id, dispute))).flatten()
}

/// The disputes that the viewer opened, or with `published` those about its records; the oldest first, after `after`.
pub fn list(
    state: &State,
    viewer: Viewer,
    (published, answered_too): (bool, bool),
    (after, rows_max): (Option<(Position, DisputeId)>, usize),
) -> Page<(Position, DisputeId), View<'_>> {
    let Some(viewer) = viewer.agency() else { return Page { rows: Vec::new(), next: None } };
    let rows: Vec<_> = if published {
        state.disputes_about(viewer).collect()
    } else {
        state.disputes_by(viewer).collect()
    };
    let rows = rows
        .into_iter()
        .filter(|(_, row)| answered_too || row.answer.is_none())
        .map(|(id, row)| ((row.position, id), row))
        .filter(|(key, _)| after.as_ref().is_none_or(|after| after < key))
        .filter_map(|(key, row)| Some((key, view(state, viewer, (key.1, row))?)));
    Page::of(rows, rows_max)
}

fn view<'a>(
    state: &'a State,
    viewer: AgencyNumber,
    (id, dispute): (DisputeId, &'a Dispute),
) -> Option<View<'a>> {
    let record_type = state.record_type(state.record(dispute.first)?.record_type)?;
    Some(View {
        id,
        dispute,
        record_type,
        client: shown_client(state, viewer, (dispute.client, dispute.publisher))?,
        publisher: &state.agency(dispute.publisher)?.id,
        recipient: &state.agency(dispute.recipient)?.id,
        group: record_type.names_of(dispute.group).into_iter().next()?,
    })
}
