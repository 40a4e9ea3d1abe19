//! Cases as the agency that answers for them sees them.

use prost_types::Timestamp;

use crate::{
    machine::{
        read::case::View,
        state::{
            State,
            case::{CaseRow, ClockRow, HeldRow, MeasureRow},
        },
    },
    model::{
        id::{AgreementId, FlowId, RecordId},
        order::UnixMillis,
    },
    pb::{ledger::v1::FlowName, v1 as pb},
    service::{name, notice, time::timestamp},
};

pub(super) fn case(state: &State, view: &View<'_>, now: UnixMillis) -> pb::Case {
    let View { id, case } = view;
    let at = |at: UnixMillis| Some(timestamp(at));
    let requester = case.requester;
    let incident = case.incident.as_ref();
    let runs = case.paused.is_none() && case.closed.is_none();
    pb::Case {
        name: name::of(id),
        kind: case.kind,
        client: case.client.map(|known| name::of(&known.alias)).unwrap_or_default(),
        relation: requester.map_or(0, |known| known.relation),
        authority: requester.map_or(0, |known| known.authority),
        holder: requester.and_then(|known| known.holder).as_ref().map(name::of).unwrap_or_default(),
        identity: requester.map_or(0, |known| known.identity),
        flows: case.scope.iter().map(flow_name).collect(),
        measures: measures(case),
        agreement: case.agreement.as_ref().map(name::of).unwrap_or_default(),
        incident_kind: incident.map_or(0, |incident| incident.kind),
        severity: incident.map_or(0, |incident| incident.severity),
        affected_count: incident.map_or(0, |incident| incident.affected_count),
        records: incident.into_iter().flat_map(|i| &i.records).map(name::of).collect(),
        clocks: case.clocks.iter().map(|row| clock(row, (runs, now))).collect(),
        paused: case.paused.map_or(0, |(step, _)| step),
        paused_time: case.paused.and_then(|(_, since)| at(since)),
        extension_reason: case.extended,
        held: case.held.iter().map(|held| held_back(state, held)).collect(),
        reported_time: case.reported_at.and_then(at),
        outcome: case.closed.map_or(0, |(outcome, _)| outcome),
        closed_time: case.closed.and_then(|(_, closed)| at(closed)),
        received_time: at(case.received_at),
        opened_time: at(case.opened_at),
    }
}

fn flow_name((agreement, flow): &(AgreementId, FlowId)) -> FlowName {
    FlowName { agreement: agreement.to_string(), flow: flow.to_string() }
}

fn measures(case: &CaseRow) -> Vec<pb::CaseMeasure> {
    let measure = |agreement: String, flow: String, row: &MeasureRow| pb::CaseMeasure {
        agreement,
        flow,
        kind: row.kind,
        ground: row.ground,
        time: Some(timestamp(row.at)),
    };
    let all = case.all.iter().map(|row| measure(String::new(), String::new(), row));
    let single = case.flows.iter();
    all.chain(
        single.map(|((agreement, flow), row)| measure(name::of(agreement), flow.to_string(), row)),
    )
    .collect()
}

fn clock(row: &ClockRow, (runs, now): (bool, UnixMillis)) -> pb::CaseClock {
    let ClockRow { task, due_at, source, met_at, told: _ } = row;
    let met_time: Option<Timestamp> = met_at.map(timestamp);
    pb::CaseClock {
        task: i32::from(notice::task(*task)),
        due_time: Some(timestamp(*due_at)),
        source: *source,
        overdue: runs && met_at.is_none() && *due_at < now,
        met_time,
    }
}

fn held_back(state: &State, (record, row): (&RecordId, &HeldRow)) -> pb::HeldBack {
    let groups = state.record_type(row.record_type).zip(row.groups);
    let groups = groups.map(|(known, groups)| known.names_of(groups)).unwrap_or_default();
    pb::HeldBack {
        record: name::of(record),
        field_groups: groups.iter().map(ToString::to_string).collect(),
        exemption: row.exemption,
        time: Some(timestamp(row.at)),
    }
}
