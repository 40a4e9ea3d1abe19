//! What emergency access may reach: records of one client, by flows for such emergencies alone.
//!
//! The latest version of each record that was not taken back, cut down to the groups of the flow. No consent, no caseload
//! and no restriction stands against it, because the flow rests on none; what was withdrawn or refused is not undone by it
//! either. Records from before a flow follow only where it reaches back, as with every flow. The policies of publisher and
//! recipient narrow it, unless the flow is marked `safeguarding`, which both have signed.

use std::collections::BTreeSet;

use super::authorised;
use crate::{
    machine::{
        access::{self, Ground, Question},
        command::record::Grant,
        rules::{recall, release::Released},
        state::{
            State,
            agency::{Agency, AgencyNumber},
            agreement::{Agreement, Flow, Status},
            record::{Groups, RecordRow},
        },
    },
    model::{
        id::{AgreementId, ClientId, EmergencyId, RecordId},
        order::UnixMillis,
    },
};

/// A record that emergency access reaches.
#[derive(Clone, Debug)]
pub(in crate::machine) struct Reached {
    /// The latest version.
    pub(in crate::machine) record: RecordId,
    /// Its row.
    pub(in crate::machine) row: RecordRow,
    /// On which flows, and which groups.
    pub(in crate::machine) grounds: Vec<Ground>,
}

impl Reached {
    /// The groups.
    pub(in crate::machine) fn groups(&self) -> Groups {
        self.grounds.iter().fold(Groups::NONE, |set, ground| set.with(ground.groups))
    }

    /// The same with no more than the grants name; `None` unless each of them is a ground.
    pub(super) fn granted(self, state: &State, grants: &[Grant]) -> Option<Self> {
        let record_type = state.record_type(self.row.record_type)?;
        let grounds = grants.iter().map(|grant| {
            let groups = record_type.set_of(&grant.groups)?;
            let holds = |ground: &&Ground| {
                ground.agreement == grant.agreement
                    && ground.version == grant.version
                    && ground.flow == grant.flow
                    && ground.groups.covers(groups)
            };
            let ground = self.grounds.iter().find(holds)?.clone();
            Some(Ground { groups, ..ground })
        });
        let grounds = grounds.collect::<Option<Vec<_>>>()?;
        Some(Self { grounds, ..self })
    }
}

/// The flows in force for such an emergency, to an agency and office.
pub(super) fn flows(
    state: &State,
    (agency, category, office): (AgencyNumber, i32, i32),
    now: UnixMillis,
) -> impl Iterator<Item = (&AgreementId, &Agreement, u16, &Flow)> {
    let in_force = |number| state.agency(number).is_some_and(Agency::in_force);
    state.emergency_flows(agency).filter(move |(_, agreement, _, flow)| {
        let stated = flow.emergency.as_ref().is_some_and(|terms| {
            terms.categories.contains(&category) && terms.offices.contains(&office)
        });
        let held = [flow.publisher, agency].iter().any(|who| agreement.suspended_by.contains(who));
        stated
            && !held
            && agreement.status == Status::Active
            && now < agreement.flow_until(flow)
            && in_force(flow.publisher)
            && in_force(agency)
    })
}

/// The agreements in force that let an agency use emergency access, each once: in such emergencies, or in any.
pub(super) fn agreements(
    state: &State,
    agency: AgencyNumber,
    about: Option<(i32, i32)>,
) -> impl Iterator<Item = &Agreement> {
    let mut last = None;
    state.emergency_flows(agency).filter_map(move |(id, agreement, _, flow)| {
        let terms = flow.emergency.as_ref()?;
        let concerned = about.is_none_or(|(category, office)| {
            terms.categories.contains(&category) && terms.offices.contains(&office)
        });
        if !concerned || last == Some(id) {
            return None;
        }
        last = Some(id);
        Some(agreement)
    })
}

/// Everything that such an emergency reaches of a client, in the order of the records' ids.
pub(in crate::machine) fn reachable(
    state: &State,
    (agency, category, office): (AgencyNumber, i32, i32),
    client: ClientId,
    now: UnixMillis,
) -> Vec<Reached> {
    let found = state.records_of(client).filter_map(|first| {
        let (record, row) = state.latest(first)?;
        if state.retraction(first).is_some() {
            return None;
        }
        let grounds = grounds(state, (agency, category, office), row, now);
        let reached = !grounds.is_empty();
        reached.then(|| Reached { record, row: row.clone(), grounds })
    });
    found.collect()
}

fn grounds(
    state: &State,
    of: (AgencyNumber, i32, i32),
    row: &RecordRow,
    now: UnixMillis,
) -> Vec<Ground> {
    let (agency, ..) = of;
    let mut open = row.groups;
    let mut grounds = Vec::new();
    for (id, agreement, place, flow) in flows(state, of, now) {
        if (flow.publisher, flow.record_type) != (state.heir(row.publisher), row.record_type) {
            continue;
        }
        let question = Question::about(row, agency, agreement.purpose, now);
        let mut groups = Groups::NONE;
        for (group_place, group) in open.and(flow.groups).each() {
            let since = agreement.since(flow, agency, group);
            let before = (id, agreement.version, &flow.id);
            let before = state.since_before(before, (row.publisher, agency, group));
            let since = before.map_or(since, |before| before.min(since));
            let there = flow.backfill || since <= row.position;
            let place = (id, agreement, place, flow);
            let silent =
                flow.safeguarding || access::policies(state, &question, place, group_place).is_ok();
            if there && silent {
                groups = groups.with(group);
            }
        }
        if !groups.is_empty() {
            open = open.without(groups);
            grounds.push(Ground {
                agreement: id.clone(),
                version: agreement.version,
                flow: flow.id.clone(),
                groups,
                consents: BTreeSet::new(),
                until: agreement.flow_until(flow),
            });
        }
    }
    grounds
}

/// Whether a record that was released under emergency access may still leave: the send gate's question.
pub(in crate::machine) fn may_still(
    state: &State,
    id: EmergencyId,
    released: &Released,
    (groups, now): (Groups, UnixMillis),
) -> bool {
    let Some(row) = state.emergency(id).filter(|row| now < row.until) else { return false };
    let Some(client) = row.client else { return false };
    let of = (row.agency, row.category, row.office);
    let found = reachable(state, of, client, now);
    authorised(state, of, now).is_ok()
        && found.iter().any(|one| one.record == released.record() && one.groups().covers(groups))
        && !recall::waits(state, row.agency, client)
}
