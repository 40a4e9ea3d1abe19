//! The decision of one line: whether a record, on the grounds that the node names, may leave to a recipient now.
//!
//! It only strikes: a line is allowed in full as it was named, or not at all. Nothing is changed here.

use crate::{
    machine::{
        access::{Decision, Ground, Question},
        command::{
            record::Grant,
            subscription::{Line, Source},
        },
        law::Rule,
        rules::{named, recall},
        state::{
            State,
            record::{Groups, RecordRow},
            subscription::{Fate, Subscription, SubscriptionNumber},
        },
    },
    model::{
        id::{AgreementId, FlowId, RecordId},
        order::UnixMillis,
    },
};

/// What becomes of one line.
#[derive(Debug)]
pub(in crate::machine) enum Verdict {
    Release(Source, Planned),
    /// It is not released now. `forget` takes it out of the queue: something later will bring it back if it may flow.
    Strike {
        source: Source,
        forget: bool,
        counted: bool,
    },
}

/// A line that will be released.
#[derive(Debug)]
pub(in crate::machine) struct Planned {
    pub(super) record: RecordId,
    pub(super) row: RecordRow,
    pub(super) groups: Groups,
    pub(super) purpose: i32,
    /// Whether no person reads it.
    pub(super) unattended: bool,
    pub(super) until: UnixMillis,
    pub(super) flows: Vec<(AgreementId, u32, FlowId, Groups)>,
}

/// On which flows these groups leave, and which of them on each.
pub(super) fn flows(
    decision: &Decision,
    groups: Groups,
) -> Vec<(AgreementId, u32, FlowId, Groups)> {
    let concerned = decision.grounds.iter().filter(|ground| !ground.groups.and(groups).is_empty());
    concerned
        .map(|ground| {
            let left = ground.groups.and(groups);
            (ground.agreement.clone(), ground.version, ground.flow.clone(), left)
        })
        .collect()
}

/// The first date on which a ground of these groups ends by itself.
pub(super) fn until(decision: &Decision, groups: Groups) -> UnixMillis {
    let concerned = decision.grounds.iter().filter(|ground| !ground.groups.and(groups).is_empty());
    concerned.map(|ground| ground.until).min().unwrap_or(UnixMillis::new(0))
}

pub(super) fn decide_line(
    state: &State,
    (number, subscription): (SubscriptionNumber, &Subscription),
    line: &Line,
    now: UnixMillis,
) -> Verdict {
    let strike =
        |forget| Verdict::Strike { source: line.source, forget, counted: !line.grants.is_empty() };
    let Some(offered) = offered(state, number, line.source) else {
        return strike(matches!(line.source, Source::Replay(_)));
    };
    let Some((latest, row)) = state.latest(offered.first) else { return strike(true) };
    let replaces_replay = matches!(line.source, Source::Replay(_)) && offered.record != latest;
    if replaces_replay {
        return strike(true); // the newer version comes, or came, by itself
    }
    if state.retraction(row.first).is_some() {
        return strike(true);
    }
    let older = line.record != latest && state.applies(Rule::LatestVersion);
    // INVARIANT (recall first): nothing about a client is released before what was recalled of it was handed over.
    if older || recall::waits(state, subscription.agency, row.client) {
        return strike(false);
    }
    let question = Question::about(row, subscription.agency, subscription.purpose, now);
    let decision = named::decide(state, &question, subscription.unattended);
    let open = decision.groups().and(offered.groups);
    if open.is_empty() {
        return strike(true);
    }
    let Some(groups) = granted(state, row, &decision, &line.grants) else { return strike(false) };
    if groups.is_empty() || !open.covers(groups) {
        return strike(false);
    }
    let (purpose, unattended) = (subscription.purpose, subscription.unattended);
    let until = until(&decision, groups);
    let named = state.record(line.record).filter(|named| named.first == row.first);
    let (record, row) = named.map_or((latest, row), |named| (line.record, named));
    let (row, flows) = (row.clone(), flows(&decision, groups));
    let planned = Planned { record, row, groups, purpose, unattended, until, flows };
    Verdict::Release(line.source, planned)
}

/// What a source offers: a record, the version it means, and the groups that the subscription does not hold yet.
pub(in crate::machine) struct Offered {
    pub(in crate::machine) first: RecordId,
    pub(in crate::machine) record: RecordId,
    pub(in crate::machine) groups: Groups,
}

/// What stands at a source now. A delivery that was taken back is not repeated as such: it waits in the queue, or came
/// again from there; unless it is the one at which its record was parked.
pub(in crate::machine) fn offered(
    state: &State,
    number: SubscriptionNumber,
    source: Source,
) -> Option<Offered> {
    match source {
        Source::Queue(place) => {
            let first = *state.tables.queue.get(&(number, place))?;
            let (record, row) = state.latest(first)?;
            Some(Offered { first, record, groups: row.groups.without(held(state, number, first)) })
        }
        Source::Replay(delivery) => {
            let subscription = state.subscription(number)?;
            let due = subscription.replays.iter().any(|(a, b)| (*a..=*b).contains(&delivery));
            let row = state.tables.deliveries.get(&(number, delivery)).filter(|_| due)?;
            let first = state.record(row.record)?.first;
            let parked = state.tables.parked.get(&(number, first));
            let parked = parked.is_some_and(|parked| parked.delivery == delivery);
            (row.fate == Fate::Sent || parked).then_some(Offered {
                first,
                record: row.record,
                groups: row.groups,
            })
        }
    }
}

/// The groups of the record's latest version that the subscription holds.
pub(in crate::machine) fn held(
    state: &State,
    number: SubscriptionNumber,
    first: RecordId,
) -> Groups {
    let latest = state.record(first).map(|row| row.latest);
    state
        .tables
        .received
        .get(&(number, first))
        .filter(|received| Some(received.record) == latest)
        .map_or(Groups::NONE, |received| received.groups)
}

/// The groups that the named grounds give, or `None` unless every one of them is a ground of the decision.
pub(super) fn granted(
    state: &State,
    row: &RecordRow,
    decision: &Decision,
    grants: &[Grant],
) -> Option<Groups> {
    let record_type = state.record_type(row.record_type)?;
    grants.iter().try_fold(Groups::NONE, |set, grant| {
        let groups = record_type.set_of(&grant.groups)?;
        let holds = |ground: &Ground| {
            ground.agreement == grant.agreement
                && ground.version == grant.version
                && ground.flow == grant.flow
                && ground.groups.covers(groups)
                && grant.consents.is_subset(&ground.consents)
        };
        decision.grounds.iter().any(holds).then(|| set.with(groups))
    })
}
