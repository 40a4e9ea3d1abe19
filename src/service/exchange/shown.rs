//! Records as their readers see them: names of the reader's own, and the grounds on which each group left.

use crate::{
    ledger::Fault,
    machine::{Released, State, read},
    model::id::{AgencyId, AgreementId, ConsentId, SubscriptionId},
    node::{Node, Outgoing},
    pb::{
        ledger::v1::Grant,
        v1::{Delivery, Ground, Record},
    },
    service::{name, time},
};

/// A delivery that is about to leave, and the proof that it may.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) released: Released,
    pub(super) delivery: Delivery,
}

/// The record that a reader gets.
pub(in crate::service) fn record(
    node: &Node,
    outgoing: Outgoing,
) -> Result<(Released, Record), Fault> {
    node.read(|state| shown(state, outgoing)).ok_or_else(incomplete)
}

/// The deliveries of a release, in its order.
pub(super) fn lines(
    node: &Node,
    (agency, subscription): (&AgencyId, &SubscriptionId),
    outgoing: Vec<Outgoing>,
) -> Result<Vec<Line>, Fault> {
    let shown: Option<Vec<_>> = node.read(|state| {
        let line = |outgoing| {
            let (released, record) = shown(state, outgoing)?;
            let nack_count = nacks(state, &released);
            Some((released, record, nack_count))
        };
        outgoing.into_iter().map(line).collect()
    });
    let line = |(released, record, nack_count): (Released, Record, u32)| {
        let cursor = node.cursor(agency, subscription, released.delivery())?;
        let delivery = Delivery { cursor, record: Some(record), nack_count };
        Ok(Line { released, delivery })
    };
    shown.ok_or_else(incomplete)?.into_iter().map(line).collect()
}

fn incomplete() -> Fault {
    Fault::Corrupt("a release names rows that are not there".to_owned())
}

fn shown(state: &State, outgoing: Outgoing) -> Option<(Released, Record)> {
    let Outgoing { released, grants, body } = outgoing;
    let record = Record {
        name: name::of(&released.record()),
        record_type: state.record_type(released.record_type())?.name.to_string(),
        type_version: released.type_version(),
        code_lists: released.code_lists(),
        version: released.version(),
        supersedes: released.supersedes().as_ref().map(name::of).unwrap_or_default(),
        client: name::of(&released.alias()),
        publisher: name::of(&state.agency(released.publisher())?.id),
        published_time: Some(time::timestamp(released.published_at())),
        field_groups: released.group_names().iter().map(ToString::to_string).collect(),
        body,
        grounds: grants.into_iter().map(|grant| ground(state, grant)).collect(),
        marks: Vec::new(),
    };
    Some((released, record))
}

/// A ground with what its flow says, as it did in the version on which it rests.
fn ground(state: &State, grant: Grant) -> Ground {
    let Grant { agreement, version, flow, groups, consents } = grant;
    let id = agreement.parse::<AgreementId>().ok();
    let flow_row = id.as_ref().and_then(|id| read::agreement::flow(state, (id, version), &flow));
    Ground {
        agreement: id.as_ref().map(name::of).unwrap_or_default(),
        version,
        basis: flow_row.map_or(0, |row| row.basis),
        gate: flow_row.map_or(0, |row| row.gate),
        flow,
        field_groups: groups,
        consents: consents
            .iter()
            .filter_map(|bytes| ConsentId::from_slice(bytes).ok())
            .map(|id| name::of(&id))
            .collect(),
    }
}

/// How often the recipient has refused this version.
fn nacks(state: &State, released: &Released) -> u32 {
    released
        .subscription()
        .zip(state.record(released.record()))
        .and_then(|(number, row)| state.tables().received.get(&(number, row.first)))
        .filter(|received| received.record == released.record())
        .map_or(0, |received| received.nacks)
}
