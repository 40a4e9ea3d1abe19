//! What would change if a version of an agreement became active now: told to its parties before they approve.
//!
//! Groups are compared flow by flow over all agreements; clients are counted over the present records, decided by the very
//! function that decides releases but for policies, which are their owners' affair. INVARIANT (small numbers): no count
//! leaves here but rounded down to a multiple of five, and none below five, nothing included.

use std::collections::BTreeSet;

use crate::{
    machine::{
        access::{self, Question},
        read::Viewer,
        rules::agreement::in_force_now,
        state::{
            State,
            agency::AgencyNumber,
            agreement::{Agreement, Status},
            record::{Groups, TypeNumber},
        },
    },
    model::{
        id::{AgreementId, ClientId, RecordId},
        order::UnixMillis,
    },
};

/// How many records one preview looks at.
const RECORDS_MAX: usize = 5_000;
/// Counts are told in steps of so many, and none below it.
const STEP: usize = 5;

/// What would change for the records of one type from one publisher to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The type of record.
    pub record_type: TypeNumber,
    /// Who publishes.
    pub publisher: AgencyNumber,
    /// Who receives.
    pub recipient: AgencyNumber,
    /// Groups that flows would carry and do not now.
    pub gained: Groups,
    /// Groups that flows carry now and would not then.
    pub lost: Groups,
    /// Of how many clients the recipient would get more.
    pub clients_gaining: Option<u32>,
    /// Of how many clients the recipient would get less.
    pub clients_losing: Option<u32>,
    /// Whether there are more records than were looked at.
    pub at_least: bool,
}

/// The version looked at, and what it would change; `version` 0 means the latest. `None` unless the viewer is a party.
pub fn preview(
    state: &State,
    viewer: Viewer,
    (id, version): (&AgreementId, u32),
    now: UnixMillis,
) -> Option<(u32, Vec<Change>)> {
    let row = super::row(state, viewer.agency()?, (id, version))?;
    if row.status == Status::Active {
        return Some((row.version, Vec::new()));
    }
    let assumed = in_force_now(state, id, row.clone(), (state.chain().next, now));
    let standing = state.tables().agreements.get(id).filter(|row| row.status == Status::Active);
    let mut keys = BTreeSet::new();
    for agreement in standing.into_iter().chain([&assumed]) {
        for flow in &agreement.flows {
            let to = |to: &AgencyNumber| (flow.record_type, flow.publisher, *to);
            keys.extend(flow.recipients.iter().map(to));
        }
    }
    let mut budget = RECORDS_MAX;
    let changes =
        keys.into_iter().map(|key| change(state, (id, &assumed), key, (now, &mut budget)));
    let changes = changes.filter(|change| {
        let counted = change.clients_gaining.or(change.clients_losing);
        !change.gained.is_empty() || !change.lost.is_empty() || counted.is_some()
    });
    Some((row.version, changes.collect()))
}

type Key = (TypeNumber, AgencyNumber, AgencyNumber);

fn change(
    state: &State,
    (id, assumed): (&AgreementId, &Agreement),
    (record_type, publisher, recipient): Key,
    (now, budget): (UnixMillis, &mut usize),
) -> Change {
    let between = (publisher, record_type, recipient);
    let carried = |row: &Agreement| {
        let flows = row.flows.iter().filter(|flow| {
            !flow.statistics_only
                && flow.emergency.is_none()
                && (flow.publisher, flow.record_type) == (publisher, record_type)
                && flow.recipients.contains(&recipient)
        });
        flows.fold(Groups::NONE, |set, flow| set.with(flow.groups))
    };
    let (mut before, mut after) = (Groups::NONE, carried(assumed));
    let agreements: BTreeSet<_> = state.flows_between(between).map(|(other, _)| other).collect();
    for other in agreements {
        let Some(row) = state.tables().agreements.get(other) else { continue };
        before = before.with(carried(row));
        if other != id {
            after = after.with(carried(row));
        }
    }
    let (mut gaining, mut losing) = (BTreeSet::new(), BTreeSet::new());
    let lowest = (publisher, record_type, RecordId::from_bytes([0; 16]));
    let highest = (publisher, record_type, RecordId::from_bytes([u8::MAX; 16]));
    let mut records = state.indexes().records_by_publisher.range(lowest..=highest);
    for (_, _, first) in records.by_ref().take(*budget) {
        *budget = budget.saturating_sub(1);
        let Some((_, row)) = state.latest(*first) else { continue };
        let question = Question::about(row, recipient, assumed.purpose, now);
        let now_open = access::agreed(state, &question, None);
        let then_open = access::agreed(state, &question, Some((id, assumed)));
        if !then_open.without(now_open).is_empty() {
            gaining.insert(row.client);
        }
        if !now_open.without(then_open).is_empty() {
            losing.insert(row.client);
        }
    }
    Change {
        record_type,
        publisher,
        recipient,
        gained: after.without(before),
        lost: before.without(after),
        clients_gaining: told(&gaining),
        clients_losing: told(&losing),
        at_least: records.next().is_some(),
    }
}

/// A count as it may be told.
fn told(clients: &BTreeSet<ClientId>) -> Option<u32> {
    let steps = clients.len().checked_div(STEP).filter(|steps| *steps != 0)?;
    u32::try_from(steps.saturating_mul(STEP)).ok()
}
