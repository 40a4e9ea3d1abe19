//! What the end of an agreement asks back: whatever was received on it and may be had on nothing else.
//!
//! An agreement states what becomes of received records when it ends or a party leaves (`Terms.termination`). Where it
//! says that they are deleted, or given back and deleted, each recipient gets a recall of what it was sent; where it says
//! that they are kept by a duty of the recipient's own, or says so of this type of record, nothing is asked back. Nor is
//! what another flow in force gives to that recipient, and nothing of a record on which its publisher has a legal hold:
//! that is asked back once the hold is lifted.
//!
//! INVARIANT (bound): whoever is asked was a party of the version whose terms ask, and so was the publisher: it is the
//! last version ever in force of which both were parties ([`bound`]).
//!
//! Sources: ICO data sharing code, termination; UK GDPR Articles 5(1)(e), 17(3) and 28(3)(g).

use std::{
    collections::BTreeSet,
    ops::{Bound, RangeBounds},
};

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Issue, RECALLS_PER_STEP, flowing, issue_one};
use crate::{
    machine::{
        apply::Effect,
        state::{
            State,
            agency::AgencyNumber,
            agreement::{Agreement, Status},
            recall::Ended,
            record::{DisclosedOn, DisclosureRow, Groups, RecordRow, TypeNumber},
        },
        sweep::{self, Sweep},
    },
    model::{
        id::{AgreementId, ClientId, RecordId},
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::{Disposal, RecallReason},
};

/// How many records one entry passes over while it looks for what is asked back.
const RECORDS_PER_STEP: usize = 512;

/// Among which records is looked for what is asked back.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Ending {
    /// Those that any version of an agreement shares: it has ended, or a party has left.
    Agreement(AgreementId),
    /// Those of a publisher about a client: a hold was lifted.
    Client(AgencyNumber, ClientId),
}

/// A record's place among all: publisher, type and first version.
pub type Place = (AgencyNumber, TypeNumber, RecordId);

/// How far it has come: a record, and the recipient of it that was the last; no recipient if all of it is done.
pub type Reached = (Place, Option<AgencyNumber>);

/// What one recipient is asked back of one record, and by which end.
#[derive(Debug)]
struct Owed {
    recipient: AgencyNumber,
    groups: Groups,
    ended: Ended,
}

/// Asks back as far as one entry goes, and leaves the rest to sweeps.
pub(in crate::machine) fn begin(
    state: &mut State,
    ending: Ending,
    at: (Position, UnixMillis),
    effects: &mut Vec<Effect>,
) {
    if let Some(rest) = take(state, (ending, None), at, effects) {
        sweep::push(state, rest, effects);
    }
}

/// Leaves all of it to sweeps: what time brings about shares its entry with whatever that entry says.
pub(in crate::machine) fn begin_later(
    state: &mut State,
    agreement: AgreementId,
    effects: &mut Vec<Effect>,
) {
    let ending = Ending::Agreement(agreement);
    sweep::push(state, Sweep::AskBack { ending, after: None }, effects);
}

/// Takes the next step.
pub(in crate::machine) fn step(
    state: &mut State,
    place: (Ending, Option<Reached>),
    effects: &mut Vec<Effect>,
) -> Option<Sweep> {
    let at = (state.chain.next, state.chain.admitted_at);
    take(state, place, at, effects)
}

/// Whether something about a client may still be asked back from an agency. Rather once too often than once too seldom:
/// what flows on another ground is not looked for.
pub(super) fn waits(
    state: &State,
    (ending, after): (&Ending, Option<Reached>),
    (agency, client): (AgencyNumber, ClientId),
    by: impl Fn(AgencyNumber) -> bool,
) -> bool {
    let now = state.chain.admitted_at;
    state.records_of(client).any(|first| {
        let Some((_, row)) = state.latest(first) else { return false };
        let place = (row.publisher, row.record_type, first);
        let sent = state.tables.disclosures.get(&(first, agency));
        after.is_none_or(|after| is_left(after, place, agency))
            && by(row.publisher)
            && covers(state, ending, row)
            && sent.is_some_and(|sent| asked_back(state, (row, agency, sent), now).is_some())
    })
}

fn covers(state: &State, ending: &Ending, row: &RecordRow) -> bool {
    match ending {
        Ending::Agreement(id) => pairs(state, id).contains(&(row.publisher, row.record_type)),
        Ending::Client(publisher, client) => (row.publisher, row.client) == (*publisher, *client),
    }
}

/// Whether a recipient of a record comes after a place.
fn is_left((done, last): Reached, place: Place, recipient: AgencyNumber) -> bool {
    done < place || (done == place && last.is_some_and(|last| last < recipient))
}

fn take(
    state: &mut State,
    (ending, after): (Ending, Option<Reached>),
    at: (Position, UnixMillis),
    effects: &mut Vec<Effect>,
) -> Option<Sweep> {
    let mut budget = RECALLS_PER_STEP;
    let mut reached = after;
    let places = places(state, &ending, after);
    let more = RECORDS_PER_STEP <= places.len();
    for place in places {
        for Owed { recipient, groups, ended } in owed(state, place.2, at.1) {
            if after.is_some_and(|after| !is_left(after, place, recipient)) {
                continue;
            }
            if budget == 0 {
                return Some(Sweep::AskBack { ending, after: reached });
            }
            budget = budget.saturating_sub(1);
            let issue = Issue {
                first: place.2,
                recipients: Some(BTreeSet::from([recipient])),
                groups: Some(groups),
                reason: i32::from(RecallReason::AgreementEnded),
                ended: Some(ended),
            };
            issue_one(state, (&issue, recipient), at, effects);
            reached = Some((place, Some(recipient)));
        }
        reached = Some((place, None));
    }
    more.then_some(Sweep::AskBack { ending, after: reached })
}

/// The next records, with the one that is not done yet, at most [`RECORDS_PER_STEP`] of them.
fn places(state: &State, ending: &Ending, after: Option<Reached>) -> Vec<Place> {
    let from = match after {
        None => Bound::Unbounded,
        Some((place, None)) => Bound::Excluded(place),
        Some((place, Some(_))) => Bound::Included(place),
    };
    match ending {
        Ending::Agreement(id) => {
            let shared = pairs(state, id).into_iter();
            let records = shared.flat_map(|pair| records_from(state, pair, from));
            records.take(RECORDS_PER_STEP).collect()
        }
        Ending::Client(publisher, client) => {
            let records = state.records_of(*client).filter_map(|first| {
                let row = state.record(first)?;
                Some((row.publisher, row.record_type, first))
            });
            let left: BTreeSet<Place> = records
                .filter(|(by, _, _)| by == publisher)
                .filter(|place| (from, Bound::Unbounded).contains(place))
                .collect();
            left.into_iter().take(RECORDS_PER_STEP).collect()
        }
    }
}

/// The records of a publisher and type from a place on.
fn records_from(
    state: &State,
    (publisher, record_type): (AgencyNumber, TypeNumber),
    from: Bound<Place>,
) -> impl Iterator<Item = Place> {
    let begin = (publisher, record_type, RecordId::from_bytes([0; 16]));
    let end = (publisher, record_type, RecordId::from_bytes([u8::MAX; 16]));
    let first = match from {
        Bound::Included(place) | Bound::Excluded(place) => begin.max(place.min(end)),
        Bound::Unbounded => begin,
    };
    let rows = state.indexes.records_by_publisher.range(first..=end).copied();
    rows.filter(move |place| (from, Bound::Unbounded).contains(place))
}

/// What an agreement shares in any of its versions: publishers and types.
fn pairs(state: &State, id: &AgreementId) -> BTreeSet<(AgencyNumber, TypeNumber)> {
    let flows = activated(state, id).flat_map(|row| &row.flows);
    flows.map(|flow| (flow.publisher, flow.record_type)).collect()
}

/// The versions that were ever in force, the latest first.
fn activated<'a>(state: &'a State, id: &AgreementId) -> impl Iterator<Item = &'a Agreement> {
    let range = (id.clone(), 0)..=(id.clone(), u32::MAX);
    let before = state.tables.versions.range(range).rev().map(|(_, row)| row);
    // What stands beside the one in force is before it, or was never in force.
    let all = state.tables.agreements.get(id).into_iter().chain(before);
    all.filter(|row| row.activated_at.is_some())
}

/// Everything that is asked back of one record.
fn owed(state: &State, first: RecordId, now: UnixMillis) -> Vec<Owed> {
    let Some((_, row)) = state.latest(first) else { return Vec::new() };
    if state.is_held(row.publisher, row.client, Some(first)) {
        return Vec::new();
    }
    let rows = state.disclosures_of(first).filter_map(|(recipient, sent)| {
        let (groups, ended) = asked_back(state, (row, recipient, sent), now)?;
        let groups = groups.without(flowing(state, (row, groups), state.heir(recipient), now));
        (!groups.is_empty()).then_some(Owed { recipient, groups, ended })
    });
    rows.collect()
}

/// What was sent to one recipient on agreements that have ended for it, where their terms ask it back.
fn asked_back(
    state: &State,
    (row, recipient, sent): (&RecordRow, AgencyNumber, &DisclosureRow),
    now: UnixMillis,
) -> Option<(Groups, Ended)> {
    // What was another body's is by a merger the recipient's own.
    if state.heir(row.publisher) == state.heir(recipient) {
        return None;
    }
    let mut found: Option<(Groups, Ended)> = None;
    for ground in sent.grounds.iter().filter(|_| sent.left()) {
        let Some(version) = bound(state, (row.publisher, recipient), ground) else { continue };
        let Some(disposal) = disposal(version, row.record_type) else { continue };
        if in_force(version, ground, now) {
            continue;
        }
        let ended = || Ended { agreement: ground.agreement.clone(), disposal };
        let (groups, _) = found.get_or_insert_with(|| (Groups::NONE, ended()));
        *groups = groups.with(ground.groups);
    }
    found
}

/// The last version in force by which both were bound; it may have followed on the one of the release.
fn bound<'a>(
    state: &'a State,
    (publisher, recipient): (AgencyNumber, AgencyNumber),
    ground: &DisclosedOn,
) -> Option<&'a Agreement> {
    // Who went over into another body as a whole is bound where that one is.
    let bound = |row: &Agreement, body| {
        row.parties.contains_key(&body) || row.parties.contains_key(&state.heir(body))
    };
    activated(state, &ground.agreement).find(|row| bound(row, publisher) && bound(row, recipient))
}

/// Whether the agreement still lets the recipient have what it got on the ground's flow.
fn in_force(version: &Agreement, ground: &DisclosedOn, now: UnixMillis) -> bool {
    let goes_on = |at| version.status == Status::Active && now < at;
    let flow = version.flows.iter().find(|flow| flow.id == ground.flow);
    goes_on(version.expires_at) || flow.is_some_and(|flow| goes_on(version.flow_ends(flow)))
}

/// How a version has received records of a type disposed of at its end (`Disposal`); `None` if they are kept.
fn disposal(version: &Agreement, record_type: TypeNumber) -> Option<i32> {
    let kept = i32::from(Disposal::KeepByOwnDuty);
    let by_duty = version.retention.iter().any(|(of, _, then)| (*of, *then) == (record_type, kept));
    match Disposal::try_from(version.termination).unwrap_or_default() {
        Disposal::Delete | Disposal::ReturnAndDelete => (!by_duty).then_some(version.termination),
        Disposal::Unspecified | Disposal::KeepByOwnDuty => None,
    }
}
