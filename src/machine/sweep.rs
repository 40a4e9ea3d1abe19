//! What follows from a change for many records: offers to subscriptions, deadlines, and sweeps in bounded steps.
//!
//! A stop needs no sweep: decisions look up the flow, so what is queued is struck when its turn comes. What is newly
//! allowed must be found, and is offered in steps of one entry each. INVARIANT (bounded): no entry touches more than
//! `limit::ROWS_PER_ENTRY_MAX` rows.

use std::{
    collections::BTreeSet,
    ops::Bound::{Excluded, Unbounded},
};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{
        access::Question,
        apply::Effect,
        rules::{
            self, named,
            recall::{
                self, Issue,
                ended::{self, Ending},
            },
            release::held,
        },
        state::{
            State, agency::AgencyNumber, record::TypeNumber, subscription::SubscriptionNumber,
        },
    },
    model::{
        id::{AgreementId, ClientId, ErasureId, RecordId},
        limit,
        order::UnixMillis,
    },
};

/// How many (record, recipient) pairs one entry offers; each may change a few rows.
const OFFERS_PER_STEP: usize = 128;
/// How many flows one entry passes over while it looks for the next one to offer.
const FLOWS_PER_STEP: usize = 2_048;
/// How many rows of a removed subscription one entry removes.
const DROPS_PER_STEP: usize = 256;
/// Of how many cases one entry tells that something is late.
const CASES_PER_ENTRY: usize = 32;
/// How many deadlines one entry takes.
const DEADLINES_PER_ENTRY: usize = 64;

/// Work that is too large for one entry.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Sweep {
    /// Offers every record of some flows to their recipients.
    Offer {
        /// Which flows.
        filter: Filter,
        /// The flow it has come to: publisher, type, recipient.
        flow: Option<(AgencyNumber, TypeNumber, AgencyNumber)>,
        /// The record it has come to in that flow.
        record: Option<RecordId>,
    },
    /// Removes the rows of a removed subscription.
    Drop(SubscriptionNumber),
    /// Recalls a record from many recipients.
    Recall {
        /// What and from whom.
        issue: Issue,
        /// The recipient it has come to.
        after: Option<AgencyNumber>,
    },
    /// Names the attachments that an erasure removes.
    Erase(ErasureId),
    /// Tells many recipients of a restriction.
    Tell(rules::case::Told),
    /// Asks back what the end of an agreement wants back.
    AskBack {
        /// Among which records.
        ending: Ending,
        /// The record and recipient it has come to.
        after: Option<ended::Reached>,
    },
}

/// Which flows a sweep is about.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Filter {
    /// Those of one agreement.
    Agreement(AgreementId),
    /// Those from or to one agency.
    Agency(AgencyNumber),
    /// Those that reach one subscription.
    Subscription(SubscriptionNumber),
    /// Those that reach the recipients of one record.
    Record(RecordId),
}

/// Notes that less may leave than before.
pub(super) fn narrow(state: &mut State, effects: &mut Vec<Effect>) {
    state.chain.narrowings = state.chain.narrowings.saturating_add(1);
    effects.push(Effect::Narrowed);
}

/// Offers what the flows of an agreement now allow.
pub(super) fn offer_agreement(state: &mut State, id: &AgreementId, effects: &mut Vec<Effect>) {
    begin(state, Filter::Agreement(id.clone()), effects);
}

/// Offers what may now flow from or to an agency.
pub(super) fn offer_all_of(state: &mut State, agency: AgencyNumber, effects: &mut Vec<Effect>) {
    begin(state, Filter::Agency(agency), effects);
}

/// Offers a new subscription what its agency may have.
pub(super) fn offer_subscription(
    state: &mut State,
    number: SubscriptionNumber,
    effects: &mut Vec<Effect>,
) {
    begin(state, Filter::Subscription(number), effects);
}

/// Offers a client's records to recipients who may now have them. At most `RECORDS_PER_CLIENT_MAX` per publisher.
pub(super) fn offer_client(
    state: &mut State,
    client: ClientId,
    recipients: &BTreeSet<AgencyNumber>,
    now: UnixMillis,
    effects: &mut Vec<Effect>,
) {
    let records: Vec<_> = state.records_of(client).collect();
    if OFFERS_PER_STEP < records.len().saturating_mul(recipients.len()) {
        for recipient in recipients {
            begin(state, Filter::Agency(*recipient), effects);
        }
        return;
    }
    for first in records {
        for recipient in recipients {
            offer(state, first, *recipient, now, effects);
        }
    }
}

/// Offers a record that was just published to all recipients of its flows.
pub(super) fn offer_record(
    state: &mut State,
    first: RecordId,
    now: UnixMillis,
    effects: &mut Vec<Effect>,
) {
    let Some(row) = state.record(first) else { return };
    let recipients: Vec<_> = state
        .recipients_of(state.heir(row.publisher), row.record_type)
        .take(OFFERS_PER_STEP.saturating_add(1))
        .collect();
    if OFFERS_PER_STEP < recipients.len() {
        begin(state, Filter::Record(first), effects);
        return;
    }
    for recipient in recipients {
        offer(state, first, recipient, now, effects);
    }
}

/// Queues a record again for one subscription if there is more of it to have.
pub(super) fn offer_again(
    state: &mut State,
    number: SubscriptionNumber,
    first: RecordId,
    now: UnixMillis,
) {
    if missing(state, first, number, now).is_some() {
        state.enqueue(number, first);
    }
}

/// Takes out of the queues what a client's recipients may no longer have. What stays queued is struck in its turn.
pub(super) fn prune_client(state: &mut State, client: ClientId, now: UnixMillis) {
    let records: BTreeSet<_> = state.records_of(client).collect();
    let mut queued: Vec<_> = Vec::new();
    for first in &records {
        let Some(row) = state.record(*first) else { continue };
        for recipient in state.recipients_of(state.heir(row.publisher), row.record_type) {
            for (number, _) in state.subscriptions_of(recipient) {
                if let Some(place) = state.indexes.queued.get(&(*first, number)) {
                    queued.push((number, *place, *first));
                }
            }
        }
    }
    for (number, place, first) in queued.into_iter().take(OFFERS_PER_STEP) {
        if missing(state, first, number, now).is_none() {
            state.dequeue(number, place);
        }
    }
}

/// Removes a subscription from sight, and its rows step by step.
pub(super) fn drop_subscription(
    state: &mut State,
    number: SubscriptionNumber,
    effects: &mut Vec<Effect>,
) {
    if let Some(row) = state.subscription(number).cloned() {
        if let Some(ids) = state.indexes.subscription_numbers.get_mut(&row.agency) {
            let _removed = ids.remove(&row.id);
            if ids.is_empty() {
                let _none_left = state.indexes.subscription_numbers.remove(&row.agency);
            }
        }
        state.tables.subscriptions.change(&mut state.journal, &number, |row| row.removed = true);
    }
    push(state, Sweep::Drop(number), effects);
}

/// Ends what is due, and forgets old requests: a bounded number of each.
pub(super) fn deadlines(state: &mut State, now: UnixMillis, effects: &mut Vec<Effect>) {
    if rules::succession::deadline(state, now, effects) {
        return;
    }
    rules::agreement::deadlines(state, now, effects);
    rules::emergency::deadlines(state, now);
    rules::consent::end_due(state, now, DEADLINES_PER_ENTRY, effects);
    rules::case::overdue(state, now, CASES_PER_ENTRY);
    let oldest = UnixMillis::new(now.millis().saturating_sub(limit::REQUEST_MEMORY_MS));
    state.forget_requests(oldest, DEADLINES_PER_ENTRY);
}

/// Takes the next step of the oldest sweep.
pub(super) fn step(state: &mut State, effects: &mut Vec<Effect>) {
    let Some((id, sweep)) = state.tables.sweeps.iter().next().map(|(id, row)| (*id, row.clone()))
    else {
        return;
    };
    let rest = match sweep {
        Sweep::Offer { filter, flow, record } => offer_step(state, filter, (flow, record), effects),
        Sweep::Drop(number) => drop_step(state, number),
        Sweep::Recall { issue, after } => recall::step(state, issue, after, effects),
        Sweep::Erase(id) => rules::erasure::step(state, id),
        Sweep::Tell(told) => rules::case::tell(state, told),
        Sweep::AskBack { ending, after } => ended::step(state, (ending, after), effects),
    };
    match rest {
        Some(rest) => state.tables.sweeps.put(&mut state.journal, id, rest),
        None => {
            let _finished = state.tables.sweeps.remove(&mut state.journal, &id);
        }
    }
    if !state.tables.sweeps.is_empty() {
        effects.push(Effect::SweepDue);
    }
}

fn begin(state: &mut State, filter: Filter, effects: &mut Vec<Effect>) {
    push(state, Sweep::Offer { filter, flow: None, record: None }, effects);
}

/// Adds work that is too large for one entry.
pub(super) fn push(state: &mut State, sweep: Sweep, effects: &mut Vec<Effect>) {
    let id = state.chain.next_sweep;
    state.chain.next_sweep = id.saturating_add(1);
    state.tables.sweeps.put(&mut state.journal, id, sweep);
    effects.push(Effect::SweepDue);
}

/// From whom, of which type, to whom.
type FlowPlace = (AgencyNumber, TypeNumber, AgencyNumber);

type Place = (Option<FlowPlace>, Option<RecordId>);

fn offer_step(
    state: &mut State,
    filter: Filter,
    (flow, record): Place,
    effects: &mut Vec<Effect>,
) -> Option<Sweep> {
    let now = state.chain.admitted_at;
    let mut budget = OFFERS_PER_STEP;
    let mut after = record;
    let (flows, more) = flows_from(state, &filter, flow);
    let mut reached = flow;
    for key in flows {
        let (publisher, record_type, recipient) = key;
        if reached != Some(key) {
            after = None;
        }
        reached = Some(key);
        let records = records_after(state, &filter, (publisher, record_type), after, budget);
        let all = records.len() < budget;
        budget = budget.saturating_sub(records.len());
        for first in records {
            offer(state, first, recipient, now, effects);
            after = Some(first);
        }
        if !all || budget == 0 {
            return Some(Sweep::Offer { filter, flow: Some(key), record: after });
        }
    }
    more.map(|flow| Sweep::Offer { filter, flow: Some(flow), record: None })
}

/// The flows of a filter from a place on, and the place to go on from if there may be more.
fn flows_from(
    state: &State,
    filter: &Filter,
    from: Option<FlowPlace>,
) -> (Vec<FlowPlace>, Option<FlowPlace>) {
    let mut found = Vec::new();
    let mut passed = 0_usize;
    let start = from.map(|(publisher, record_type, _)| (publisher, record_type));
    let range = match start {
        Some(start) => state.indexes.flows.range(start..),
        None => state.indexes.flows.range(..),
    };
    for ((publisher, record_type), by_recipient) in range {
        for (recipient, agreements) in by_recipient {
            let key = (*publisher, *record_type, *recipient);
            if from.is_some_and(|from| key < from) {
                continue;
            }
            if FLOWS_PER_STEP <= passed {
                return (found, Some(key));
            }
            passed = passed.saturating_add(1);
            if matches(state, filter, key, agreements) {
                found.push(key);
            }
        }
    }
    (found, None)
}

fn matches(
    state: &State,
    filter: &Filter,
    (publisher, record_type, recipient): FlowPlace,
    agreements: &BTreeSet<(AgreementId, u16)>,
) -> bool {
    match filter {
        Filter::Agreement(id) => agreements.iter().any(|(agreement, _)| agreement == id),
        Filter::Agency(agency) => *agency == publisher || *agency == recipient,
        Filter::Subscription(number) => state.subscription(*number).is_some_and(|row| {
            !row.removed && row.agency == recipient && row.types.contains(&record_type)
        }),
        Filter::Record(first) => state.record(*first).is_some_and(|row| {
            state.answers_for(publisher, row.publisher) && row.record_type == record_type
        }),
    }
}

fn records_after(
    state: &State,
    filter: &Filter,
    (publisher, record_type): (AgencyNumber, TypeNumber),
    after: Option<RecordId>,
    count: usize,
) -> Vec<RecordId> {
    if let Filter::Record(first) = filter {
        return if after.is_none() { vec![*first] } else { Vec::new() };
    }
    // The records of bodies that went over into the publisher are its own, body by body.
    let reached = after.and_then(|after| state.record(after)).map(|row| row.publisher);
    let bodies = state.bodies(publisher);
    let bodies = bodies.filter(|body| reached.is_none_or(|reached| reached <= *body));
    let of = |body: AgencyNumber| {
        let from = match after.filter(|_| reached == Some(body)) {
            Some(after) => Excluded((body, record_type, after)),
            None => std::ops::Bound::Included((body, record_type, RecordId::from_bytes([0; 16]))),
        };
        let rows = state.indexes.records_by_publisher.range((from, Unbounded));
        rows.take_while(move |(from, of, _)| *from == body && *of == record_type)
    };
    bodies.flat_map(of).map(|(_, _, first)| *first).take(count).collect()
}

/// Offers one record to the subscriptions of one recipient.
fn offer(
    state: &mut State,
    first: RecordId,
    recipient: AgencyNumber,
    now: UnixMillis,
    effects: &mut Vec<Effect>,
) {
    let numbers: Vec<_> = state.subscriptions_of(recipient).map(|(number, _)| number).collect();
    for number in numbers {
        if missing(state, first, number, now).is_some() {
            state.enqueue(number, first);
            if !effects.contains(&Effect::Wake(number)) {
                effects.push(Effect::Wake(number));
            }
        }
    }
}

/// Whether a subscription may have groups of the record's latest version that it does not hold; parked records wait for
/// a newer version.
fn missing(
    state: &State,
    first: RecordId,
    number: SubscriptionNumber,
    now: UnixMillis,
) -> Option<()> {
    let subscription = state.subscription(number)?;
    let (latest, row) = state.latest(first)?;
    let retracted = state.retraction(first).is_some();
    if subscription.removed || retracted || !subscription.types.contains(&row.record_type) {
        return None;
    }
    let received = state.tables.received.get(&(number, first));
    let same = received.is_some_and(|received| received.record == latest);
    if same && state.tables.parked.contains(&(number, first)) {
        return None;
    }
    let wanted = row.groups.without(held(state, number, first));
    let question = Question::about(row, subscription.agency, subscription.purpose, now);
    let question = Question { groups: wanted, ..question };
    let decision = named::decide(state, &question, subscription.unattended);
    (!decision.groups().is_empty()).then_some(())
}

fn drop_step(state: &mut State, number: SubscriptionNumber) -> Option<Sweep> {
    let mut budget = DROPS_PER_STEP;
    let queued: Vec<_> = places(state.tables.queue.range((number, 0)..=(number, u64::MAX)), budget);
    budget = budget.saturating_sub(queued.len());
    for (_, place) in queued {
        state.dequeue(number, place);
    }
    let delivered = state.tables.deliveries.range((number, 0)..=(number, u64::MAX));
    let delivered: Vec<_> = places(delivered, budget);
    budget = budget.saturating_sub(delivered.len());
    for key in delivered {
        let _removed = state.tables.deliveries.remove(&mut state.journal, &key);
    }
    let lowest = (number, RecordId::from_bytes([0; 16]));
    let highest = (number, RecordId::from_bytes([u8::MAX; 16]));
    let received: Vec<_> = places(state.tables.received.range(lowest..=highest), budget);
    budget = budget.saturating_sub(received.len());
    for key in received {
        let _removed = state.tables.received.remove(&mut state.journal, &key);
        let _removed = state.tables.parked.remove(&mut state.journal, &key);
    }
    if budget == 0 {
        return Some(Sweep::Drop(number));
    }
    let _removed = state.tables.subscriptions.remove(&mut state.journal, &number);
    None
}

/// The keys of at most `count` rows.
fn places<'a, K: Copy + 'a, V: 'a>(
    rows: impl Iterator<Item = (&'a K, &'a V)>,
    count: usize,
) -> Vec<K> {
    rows.take(count).map(|(key, _)| *key).collect()
}
