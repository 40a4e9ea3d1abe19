//! Cases, as the agency that answers for them sees them, and what their reports tell. Nobody else sees anything.

use crate::{
    machine::{
        read::{Page, Viewer},
        rules::case::entries,
        state::{
            State,
            case::CaseRow,
            record::{DisclosedOn, Groups, RecordRow, RecordType},
        },
    },
    model::{
        id::{AgencyId, AliasId, CaseId, RecordId},
        limit,
        order::Position,
    },
};

/// One case.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Its id.
    pub id: CaseId,
    /// Its row.
    pub case: &'a CaseRow,
}

/// Which cases are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Those opened under this name of a client.
    pub client: Option<AliasId>,
    /// Those of this kind (`CaseKind`); 0 for all.
    pub kind: i32,
    /// Those that are closed, too.
    pub closed_too: bool,
}

/// One record of a report.
#[derive(Clone, Debug)]
pub struct Reported<'a> {
    /// The version that is reported.
    pub record: RecordId,
    /// Its row.
    pub row: &'a RecordRow,
    /// Its type.
    pub record_type: &'a RecordType,
    /// Who published it.
    pub publisher: &'a AgencyId,
    /// The groups that are told of.
    pub groups: Groups,
    /// To whom what was delivered: the recipient, and the groups of the ground that are told of.
    pub deliveries: Vec<(&'a AgencyId, &'a DisclosedOn, Groups)>,
}

/// One case of the viewer's.
pub fn one(state: &State, viewer: Viewer, id: CaseId) -> Option<View<'_>> {
    let viewer = viewer.agency()?;
    let case = state.case(id).filter(|case| state.answers_for(viewer, case.controller))?;
    Some(View { id, case })
}

/// The viewer's cases, the oldest first, after `after`.
pub fn list(
    state: &State,
    viewer: Viewer,
    filter: Filter,
    (after, rows_max): (Option<(Position, CaseId)>, usize),
) -> Page<(Position, CaseId), View<'_>> {
    let Some(viewer) = viewer.agency() else { return Page { rows: Vec::new(), next: None } };
    let Filter { client, kind, closed_too } = filter;
    let wanted = move |case: &CaseRow| {
        let named = case.client.map(|known| known.alias);
        (closed_too || case.closed.is_none())
            && (kind == 0 || case.kind == kind)
            && client.is_none_or(|client| named == Some(client))
    };
    let rows = state
        .cases_of(viewer)
        .filter(|(_, case)| wanted(case))
        .map(|(id, case)| ((case.position, id), View { id, case }))
        .filter(|(key, _)| after.is_none_or(|after| after < *key));
    Page::of(rows, rows_max)
}

/// One page of the report of a case of the viewer's, after a record (first version). What is held back is not there.
pub fn report(
    state: &State,
    viewer: Viewer,
    (id, after): (CaseId, Option<RecordId>),
) -> Option<Page<RecordId, Reported<'_>>> {
    let View { case, .. } = one(state, viewer, id)?;
    let rows = entries(state, case, after).filter_map(|entry| {
        let sent = entry.received;
        let (record, row) = match sent {
            Some(sent) => (sent.record, state.record(sent.record)?),
            None => state.latest(entry.first)?,
        };
        let mut deliveries = Vec::new();
        for (recipient, disclosure) in state.disclosures_of(entry.first) {
            let told = sent.is_none() || recipient == case.controller;
            let Some(agency) = state.agency(recipient).filter(|_| told && disclosure.left()) else {
                continue;
            };
            for on in &disclosure.grounds {
                let groups = on.groups.and(entry.visible);
                if !groups.is_empty() {
                    deliveries.push((&agency.id, on, groups));
                }
            }
        }
        deliveries.sort_by_key(|(recipient, on, _)| (*recipient, &on.agreement, &on.flow));
        let reported = Reported {
            record,
            row,
            record_type: state.record_type(row.record_type)?,
            publisher: &state.agency(row.publisher)?.id,
            groups: entry.visible,
            deliveries,
        };
        Some((entry.first, reported))
    });
    Some(Page::of(rows, limit::REPORT_RECORDS_MAX))
}
