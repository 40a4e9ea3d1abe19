//! Subscriptions, and what their recipients refused too often. A subscription is seen by its agency alone.

use crate::{
    machine::{
        read::{Page, Viewer},
        state::{
            State,
            record::RecordType,
            subscription::{Parked, Subscription, SubscriptionNumber},
        },
    },
    model::{
        id::{AgencyId, RecordId, SubscriptionId},
        order::UnixMillis,
    },
};

/// One subscription.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Whose it is.
    pub owner: &'a AgencyId,
    /// Its number, for cursors.
    pub number: SubscriptionNumber,
    /// Its row.
    pub subscription: &'a Subscription,
    /// The types of record.
    pub types: Vec<&'a RecordType>,
    /// How many records are parked.
    pub parked: usize,
}

/// One parked record.
#[derive(Clone, Copy, Debug)]
pub struct ParkedView<'a> {
    /// The version that was refused.
    pub record: RecordId,
    /// The type of record.
    pub record_type: &'a RecordType,
    /// Who published it.
    pub publisher: &'a AgencyId,
    /// Who refused it.
    pub recipient: &'a AgencyId,
    /// Where, shown to the recipient alone.
    pub subscription: Option<&'a SubscriptionId>,
    /// How often it was refused.
    pub nacks: u32,
    /// Its row.
    pub parked: &'a Parked,
}

/// Whose view of parked records is taken.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// What is parked at one subscription of the viewer's.
    At(SubscriptionNumber),
    /// What the viewer published and others parked.
    Published,
}

/// What orders parked records: when, which record, and the place of the subscription in the order of creations.
pub type ParkedKey = (UnixMillis, RecordId, u32);

/// One subscription of the viewer's.
pub fn one<'a>(
    state: &'a State,
    viewer: Viewer,
    (owner, id): (&AgencyId, &SubscriptionId),
) -> Option<View<'a>> {
    let own = viewer.agency().filter(|own| state.agency_number(owner) == Some(*own))?;
    view(state, state.subscription_number(own, id)?)
}

/// The viewer's subscriptions in the order of their ids, after `after`.
pub fn list<'a>(
    state: &'a State,
    viewer: Viewer,
    after: Option<&SubscriptionId>,
    rows_max: usize,
) -> Page<SubscriptionId, View<'a>> {
    let own = viewer.agency().and_then(|own| state.indexes().subscription_numbers.get(&own));
    let numbers = own.into_iter().flatten();
    let rest = numbers.filter(|(id, _)| after.is_none_or(|after| after < id));
    let rows = rest.filter_map(|(id, number)| Some((id.clone(), view(state, *number)?)));
    Page::of(rows, rows_max)
}

/// Parked records, the oldest first, after `after`.
pub fn parked(
    state: &State,
    viewer: Viewer,
    side: Side,
    (after, rows_max): (Option<ParkedKey>, usize),
) -> Page<ParkedKey, ParkedView<'_>> {
    let mut rows: Vec<(ParkedKey, ParkedView<'_>)> = state
        .tables()
        .parked
        .iter()
        .filter(|((at, _), _)| match side {
            Side::At(number) => *at == number,
            Side::Published => true,
        })
        .filter_map(|((at, first), row)| {
            let view = parked_view(state, viewer, side, (*at, *first, row))?;
            Some(((row.at, *first, at.place()), view))
        })
        .filter(|(key, _)| after.as_ref().is_none_or(|after| after < key))
        .collect();
    rows.sort_by_key(|(key, _)| *key);
    Page::of(rows, rows_max)
}

fn view(state: &State, number: SubscriptionNumber) -> Option<View<'_>> {
    let subscription = state.subscription(number).filter(|row| !row.removed)?;
    let owner = &state.agency(subscription.agency)?.id;
    let types = subscription.types.iter().filter_map(|number| state.record_type(*number)).collect();
    let first = (number, RecordId::from_bytes([0; 16]));
    let last = (number, RecordId::from_bytes([u8::MAX; 16]));
    let parked = state.tables().parked.range(first..=last).count();
    Some(View { owner, number, subscription, types, parked })
}

fn parked_view<'a>(
    state: &'a State,
    viewer: Viewer,
    side: Side,
    (at, first, parked): (SubscriptionNumber, RecordId, &'a Parked),
) -> Option<ParkedView<'a>> {
    let viewer = viewer.agency()?;
    let subscription = state.subscription(at).filter(|row| !row.removed)?;
    let received = state.tables().received.get(&(at, first))?;
    let record = state.record(received.record)?;
    let (seen, shown) = match side {
        Side::At(_) => (subscription.agency == viewer, Some(&subscription.id)),
        Side::Published => (state.answers_for(viewer, record.publisher), None),
    };
    let view = ParkedView {
        record: received.record,
        record_type: state.record_type(record.record_type)?,
        publisher: &state.agency(record.publisher)?.id,
        recipient: &state.agency(subscription.agency)?.id,
        subscription: shown,
        nacks: received.nacks,
        parked,
    };
    seen.then_some(view)
}
