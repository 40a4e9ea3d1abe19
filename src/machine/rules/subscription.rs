//! Subscriptions: created for one purpose, moved, acknowledged, refused and parked.
//!
//! INVARIANT (dense): delivery numbers of a subscription have no gap, and tell nothing of what was withheld (G8).
//! INVARIANT (cursor): what is settled never grows past what was delivered; what is not settled comes again (G13).

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    machine::{
        apply::{Context, Effect},
        command::subscription::SubscriptionCommand,
        outcome::{Receipt, Refusal},
        rules::{CLIENT_PURPOSES, named, recall},
        state::{
            State,
            agency::AgencyNumber,
            record::Groups,
            subscription::{Fate, Parked, Received, Subscription, SubscriptionNumber},
        },
        sweep,
    },
    model::{id::SubscriptionId, limit},
    pb::ledger::v1::NackReason,
};

/// The greatest number of ranges that a subscription repeats; beyond it they are joined, and more comes again.
const REPLAYS_MAX: usize = 8;

/// What is decided about a subscription.
#[derive(Debug)]
pub(in crate::machine) enum Change {
    Create(SubscriptionNumber, Subscription),
    Remove(SubscriptionNumber),
    Seek(SubscriptionNumber, Vec<(u64, u64)>),
    NotSent(SubscriptionNumber, BTreeSet<u64>),
    Acknowledge(SubscriptionNumber, u64, BTreeMap<u64, NackReason>),
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &SubscriptionCommand,
) -> Result<Change, Refusal> {
    match command {
        SubscriptionCommand::Create { subscription, types } => {
            let agency = context.agency()?;
            let numbers: Option<BTreeSet<_>> =
                types.iter().map(|name| state.type_number(name)).collect();
            create(state, context, (agency, subscription), numbers.ok_or(Refusal::TypeUnknown)?)
        }
        SubscriptionCommand::Remove { subscription } => {
            Ok(Change::Remove(own(state, context, subscription)?.0))
        }
        SubscriptionCommand::Seek { subscription, after_delivery } => {
            let (number, row) = own(state, context, subscription)?;
            if row.next_delivery <= *after_delivery {
                return Err(Refusal::DeliveryUnknown);
            }
            Ok(Change::Seek(number, replays_after(row, *after_delivery)))
        }
        SubscriptionCommand::NotSent { agency, subscription, deliveries } => {
            context.node()?;
            let agency = state.agency_number(agency).ok_or(Refusal::SubscriptionUnknown)?;
            let number = state
                .subscription_number(agency, subscription)
                .ok_or(Refusal::SubscriptionUnknown)?;
            delivered(state, number, deliveries.iter().copied())?;
            Ok(Change::NotSent(number, deliveries.clone()))
        }
        SubscriptionCommand::Acknowledge { subscription, through, nacks } => {
            let (number, row) = own(state, context, subscription)?;
            if row.next_delivery <= *through {
                return Err(Refusal::DeliveryUnknown);
            }
            delivered(state, number, nacks.keys().copied())?;
            Ok(Change::Acknowledge(number, *through, nacks.clone()))
        }
        // A release is decided in `rules/release.rs`.
        SubscriptionCommand::Release(_) => Err(Refusal::ActorNotPermitted),
    }
}

pub(in crate::machine) fn perform(
    state: &mut State,
    context: &Context,
    change: Change,
    effects: &mut Vec<Effect>,
) -> Receipt {
    match change {
        Change::Create(number, row) => {
            state.put_subscription(number, row);
            sweep::offer_subscription(state, number, effects);
        }
        Change::Remove(number) => {
            sweep::drop_subscription(state, number, effects);
            effects.push(Effect::Wake(number));
        }
        Change::Seek(number, replays) => {
            state.tables.subscriptions.change(&mut state.journal, &number, |row| {
                row.settled = row.next_delivery.saturating_sub(1);
                row.replays = replays;
                row.seeks = row.seeks.saturating_add(1);
            });
            attend(state, context, number, effects);
            effects.push(Effect::Wake(number));
        }
        Change::NotSent(number, deliveries) => {
            for delivery in deliveries {
                unsent(state, (number, delivery), effects);
                take_back(state, context, (number, delivery), None);
            }
            settle(state, number, 0);
            effects.push(Effect::Wake(number));
        }
        Change::Acknowledge(number, through, nacks) => {
            for (delivery, reason) in nacks {
                take_back(state, context, (number, delivery), Some(reason));
            }
            settle(state, number, through);
            effects.push(Effect::Wake(number));
        }
    }
    Receipt::DONE
}

/// Notes who reads from now on. What waited for a person is offered when one comes.
fn attend(
    state: &mut State,
    context: &Context,
    number: SubscriptionNumber,
    effects: &mut Vec<Effect>,
) {
    let Some(row) = state.subscription(number) else { return };
    let (before, agency) = (row.unattended, row.agency);
    if before == context.unattended {
        return;
    }
    let subscriptions = &mut state.tables.subscriptions;
    subscriptions.change(&mut state.journal, &number, |row| row.unattended = context.unattended);
    if before && named::concerns(state, agency) {
        sweep::offer_subscription(state, number, effects);
    }
}

fn create(
    state: &State,
    context: &Context,
    (agency, id): (AgencyNumber, &SubscriptionId),
    types: BTreeSet<crate::machine::state::record::TypeNumber>,
) -> Result<Change, Refusal> {
    if !CLIENT_PURPOSES.contains(&context.purpose) {
        return Err(Refusal::PurposeNotPermitted);
    }
    if state.subscription_number(agency, id).is_some() {
        return Err(Refusal::SubscriptionExists);
    }
    if limit::SUBSCRIPTIONS_MAX <= state.subscriptions_of(agency).count() {
        return Err(Refusal::LimitReached);
    }
    let last = state.tables.subscriptions.iter().next_back().map(|(number, _)| *number);
    let row = Subscription {
        agency,
        id: id.clone(),
        types,
        purpose: i32::from(context.purpose),
        next_delivery: 1,
        settled: 0,
        replays: Vec::new(),
        seeks: 0,
        unattended: context.unattended,
        removed: false,
        created_at: context.now,
        acknowledged: 0,
    };
    Ok(Change::Create(SubscriptionNumber::after(last), row))
}

fn own<'a>(
    state: &'a State,
    context: &Context,
    id: &SubscriptionId,
) -> Result<(SubscriptionNumber, &'a Subscription), Refusal> {
    let number =
        state.subscription_number(context.agency()?, id).ok_or(Refusal::SubscriptionUnknown)?;
    Ok((number, state.subscription(number).ok_or(Refusal::SubscriptionUnknown)?))
}

fn delivered(
    state: &State,
    number: SubscriptionNumber,
    deliveries: impl IntoIterator<Item = u64>,
) -> Result<(), Refusal> {
    let known = |delivery: u64| state.tables.deliveries.contains(&(number, delivery));
    if deliveries.into_iter().all(known) { Ok(()) } else { Err(Refusal::DeliveryUnknown) }
}

/// What is to be repeated after a seek: what still was, up to the place, and everything after it.
fn replays_after(row: &Subscription, after: u64) -> Vec<(u64, u64)> {
    let last = row.next_delivery.saturating_sub(1);
    let mut replays: Vec<(u64, u64)> = row
        .replays
        .iter()
        .map(|(a, b)| (*a, (*b).min(after)))
        .chain([(after.saturating_add(1), last)])
        .filter(|(a, b)| a <= b)
        .collect();
    while REPLAYS_MAX < replays.len() {
        let last = replays.pop();
        if let (Some((_, end)), Some(range)) = (last, replays.last_mut()) {
            range.1 = end;
        }
    }
    replays
}

/// Notes in the disclosure that a delivery did not leave, once. One that was repeated since does not count for itself.
fn unsent(
    state: &mut State,
    (number, delivery): (SubscriptionNumber, u64),
    effects: &mut Vec<Effect>,
) {
    let Some(agency) = state.subscription(number).map(|row| row.agency) else { return };
    let Some(row) = state.tables.deliveries.get(&(number, delivery)).cloned() else { return };
    match row.fate {
        Fate::Sent => {}
        Fate::Repeated => {
            let journal = &mut state.journal;
            let key = (number, delivery);
            state.tables.deliveries.change(journal, &key, |row| row.fate = Fate::NotSent);
        }
        Fate::NotSent | Fate::Refused => return,
    }
    if let Some(first) = state.record(row.record).map(|record| record.first) {
        recall::did_not_leave(state, (first, agency), effects);
    }
}

/// Takes a delivery back: the subscription no longer holds its groups, and it comes again, unless it was refused too
/// often.
fn take_back(
    state: &mut State,
    context: &Context,
    (number, delivery): (SubscriptionNumber, u64),
    refused: Option<NackReason>,
) {
    let Some(row) = state.tables.deliveries.get(&(number, delivery)).cloned() else { return };
    if row.fate != Fate::Sent {
        return;
    }
    let fate = if refused.is_some() { Fate::Refused } else { Fate::NotSent };
    let journal = &mut state.journal;
    state.tables.deliveries.change(journal, &(number, delivery), |row| row.fate = fate);
    let Some(first) = state.record(row.record).map(|record| record.first) else { return };
    let key = (number, first);
    let Some(received) = state.tables.received.get(&key).cloned() else { return };
    if received.record != row.record {
        return; // a newer version has come since
    }
    let nacks = received.nacks.saturating_add(u32::from(refused.is_some()));
    let groups: Groups = received.groups.without(row.groups);
    let journal = &mut state.journal;
    state.tables.received.put(journal, key, Received { groups, nacks, ..received });
    match refused {
        Some(reason) if limit::NACKS_MAX <= nacks => {
            let reason = i32::from(reason);
            let parked = Parked { reason, at: context.now, delivery };
            state.tables.parked.put(&mut state.journal, key, parked);
        }
        Some(_) | None => state.enqueue(number, first),
    }
}

/// Settles everything up to `through`, and what follows that will never be acknowledged.
fn settle(state: &mut State, number: SubscriptionNumber, through: u64) {
    let Some(row) = state.subscription(number) else { return };
    let acknowledged = acknowledged(state, number, row.settled, through);
    let mut settled = row.settled.max(through);
    let last = row.next_delivery.saturating_sub(1);
    for _ in 0..limit::WINDOW_RECORDS_MAX {
        let next = settled.saturating_add(1);
        let gone = state
            .tables
            .deliveries
            .get(&(number, next))
            .is_some_and(|delivery| delivery.fate != Fate::Sent);
        if last < next || !gone {
            break;
        }
        settled = next;
    }
    state.tables.subscriptions.change(&mut state.journal, &number, |row| {
        row.settled = settled;
        row.acknowledged = row.acknowledged.saturating_add(acknowledged);
    });
}

/// How many deliveries after `settled`, up to `through`, left and were not refused.
fn acknowledged(state: &State, number: SubscriptionNumber, settled: u64, through: u64) -> u64 {
    let newly = (settled.saturating_add(1)..=through).filter(|delivery| {
        let row = state.tables.deliveries.get(&(number, *delivery));
        row.is_some_and(|row| row.fate == Fate::Sent)
    });
    u64::try_from(newly.count()).unwrap_or(u64::MAX)
}
