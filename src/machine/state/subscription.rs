//! Rows of subscriptions: queue, deliveries and what each subscription holds.

use std::collections::{BTreeSet, btree_map::Entry};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{
        State,
        state::{
            agency::AgencyNumber,
            record::{Groups, TypeNumber},
        },
    },
    model::{
        id::{RecordId, SubscriptionId},
        order::UnixMillis,
    },
};

/// The place of a subscription in the order of creations; internal, never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct SubscriptionNumber(pub(super) u32);

impl SubscriptionNumber {
    /// The place itself, to order by.
    pub(in crate::machine) const fn place(self) -> u32 {
        self.0
    }

    /// The number after `last`.
    pub(in crate::machine) fn after(last: Option<Self>) -> Self {
        Self(last.map_or(0, |last| last.0.saturating_add(1)))
    }
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Subscription {
    /// Whose it is.
    pub agency: AgencyNumber,
    /// Its id inside the agency.
    pub id: SubscriptionId,
    /// The types of record.
    pub types: BTreeSet<TypeNumber>,
    /// For what the agency receives (`Purpose`).
    pub purpose: i32,
    /// The number that the next delivery takes, from 1.
    pub next_delivery: u64,
    /// Every delivery up to this one is settled: acknowledged, refused, or to be repeated.
    pub settled: u64,
    /// Deliveries to repeat, as inclusive ranges in ascending order.
    pub replays: Vec<(u64, u64)>,
    /// How often its place was moved: a reader that began before it was must begin anew.
    pub seeks: u64,
    /// Whether a system reads it by itself; of a person's word, the last time its place was moved.
    pub unattended: bool,
    /// Whether it was removed; its rows then go step by step.
    pub removed: bool,
    /// When it was created.
    pub created_at: UnixMillis,
    /// How many deliveries were acknowledged.
    pub acknowledged: u64,
}

impl Subscription {
    /// Deliveries that were released and are not settled.
    pub fn outstanding(&self) -> u64 {
        self.next_delivery.saturating_sub(1).saturating_sub(self.settled)
    }
}

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Delivery {
    /// The version released.
    pub record: RecordId,
    /// The groups released.
    pub groups: Groups,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Fate {
    /// It left, or is about to.
    Sent,
    /// It did not pass the send gate, or was lost before it.
    NotSent,
    /// The recipient could not use it.
    Refused,
    /// It came again under another number, and only that one counts.
    Repeated,
}

/// What a subscription holds of one record.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Received {
    /// The latest version released.
    pub record: RecordId,
    /// The groups of that version that were released.
    pub groups: Groups,
    /// The last delivery of it.
    pub delivery: u64,
    /// How often in a row the recipient refused it.
    pub nacks: u32,
}

/// A record that a recipient refused too often.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Parked {
    /// Why, the last time (`NackReason`).
    pub reason: i32,
    /// When it was parked.
    pub at: UnixMillis,
    /// The last delivery of it.
    pub delivery: u64,
}

impl State {
    /// An agency's subscription by its id.
    pub fn subscription_number(
        &self,
        agency: AgencyNumber,
        id: &SubscriptionId,
    ) -> Option<SubscriptionNumber> {
        self.indexes.subscription_numbers.get(&agency)?.get(id).copied()
    }

    /// A subscription by number.
    pub fn subscription(&self, number: SubscriptionNumber) -> Option<&Subscription> {
        self.tables.subscriptions.get(&number)
    }

    /// The subscriptions of an agency.
    pub fn subscriptions_of(
        &self,
        agency: AgencyNumber,
    ) -> impl Iterator<Item = (SubscriptionNumber, &Subscription)> {
        self.indexes
            .subscription_numbers
            .get(&agency)
            .into_iter()
            .flatten()
            .filter_map(|(_, number)| Some((*number, self.subscription(*number)?)))
    }

    /// Puts a subscription and keeps the indexes with it.
    pub(in crate::machine) fn put_subscription(
        &mut self,
        number: SubscriptionNumber,
        row: Subscription,
    ) {
        let numbers = self.indexes.subscription_numbers.entry(row.agency).or_default();
        numbers.insert(row.id.clone(), number);
        self.tables.subscriptions.put(&mut self.journal, number, row);
    }

    /// Appends a record (first version) to a subscription's queue, unless it waits there already.
    pub(in crate::machine) fn enqueue(&mut self, number: SubscriptionNumber, first: RecordId) {
        let Entry::Vacant(waits) = self.indexes.queued.entry((first, number)) else { return };
        // A place may come again once its queue was empty; whoever still names it names the record too.
        let last = self.tables.queue.range((number, 0)..=(number, u64::MAX)).next_back();
        let place = last.map_or(0, |((_, place), _)| place.saturating_add(1));
        let _placed = waits.insert(place);
        self.tables.queue.put(&mut self.journal, (number, place), first);
    }

    /// Removes what stands at a place of a subscription's queue.
    pub(in crate::machine) fn dequeue(&mut self, number: SubscriptionNumber, place: u64) {
        if let Some(first) = self.tables.queue.remove(&mut self.journal, &(number, place)) {
            let _removed = self.indexes.queued.remove(&(first, number));
        }
    }

    /// Forgets that a subscription holds what a delivery gave it, unless a newer version has come since.
    pub(in crate::machine) fn forget_delivery(
        &mut self,
        number: SubscriptionNumber,
        delivery: u64,
    ) {
        let row = self.tables.deliveries.get(&(number, delivery));
        // What was taken back is not held any more, or from a later delivery.
        let Some(row) = row.filter(|row| row.fate == Fate::Sent) else { return };
        let (record, groups) = (row.record, row.groups);
        let Some(first) = self.record(record).map(|record| record.first) else { return };
        self.tables.received.change(&mut self.journal, &(number, first), |received| {
            if received.record == record {
                received.groups = received.groups.without(groups);
            }
        });
    }

    pub(super) fn index_subscriptions(&mut self) {
        for (number, row) in self.tables.subscriptions.iter().filter(|(_, row)| !row.removed) {
            let numbers = self.indexes.subscription_numbers.entry(row.agency).or_default();
            numbers.insert(row.id.clone(), *number);
        }
        self.indexes.queued = self
            .tables
            .queue
            .iter()
            .map(|((number, place), first)| ((*first, *number), *place))
            .collect();
    }
}
