//! Retention: when nobody may keep a record any longer, by the agreements under which it is shared.
//!
//! Each agreement states for how many months its recipients keep records of a type (UK GDPR Article 5(1)(e)). The exchange
//! keeps its own copy as long as the longest of them lets anybody keep it, counted from the last time that the record was
//! published or sent. What no agreement ever in force speaks of is not disposed
//! of. A legal hold outranks all of it.

use std::collections::BTreeSet;

use crate::{
    machine::state::{
        State,
        agency::AgencyNumber,
        agreement::Agreement,
        record::{RecordRow, TypeNumber},
    },
    model::{
        date,
        id::{AgreementId, RecordId},
        order::UnixMillis,
    },
    pb::ledger::v1::Disposal,
};

/// How many records one look passes over.
const RECORDS_PER_LOOK: usize = 1_024;

/// A place among all records: publisher, type and first version.
pub type Place = (AgencyNumber, TypeNumber, RecordId);

/// Records of one publisher and type that are overdue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// Who published them.
    pub publisher: AgencyNumber,
    /// Their type.
    pub record_type: TypeNumber,
    /// The records, by their first versions: at most `count`.
    pub records: Vec<RecordId>,
}

/// Whether a record (first version) is overdue: nobody may keep it any longer, and no hold is on it.
pub fn is_overdue(state: &State, first: RecordId, now: UnixMillis) -> bool {
    let Some(row) = state.record(first) else { return false };
    let months = months(state, row.publisher, row.record_type);
    months.is_some_and(|months| is_over(state, first, months, now))
}

fn is_over(state: &State, first: RecordId, months: u32, now: UnixMillis) -> bool {
    let Some((_, row)) = state.latest(first) else { return false };
    state.erased(first).is_none()
        && due_at(state, first, row, months) <= now
        && !state.is_held(row.publisher, row.client, Some(first))
}

/// The first overdue records after a place, and the place to look on from; no place at the end.
pub fn look(
    state: &State,
    after: Option<Place>,
    now: UnixMillis,
    count: usize,
) -> (Option<Overdue>, Option<Place>) {
    let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
    let mut found: Option<Overdue> = None;
    let mut reached = after;
    let mut kept = None;
    let places = state.indexes().records_by_publisher.range((from, std::ops::Bound::Unbounded));
    for (passed, place) in places.enumerate() {
        let (publisher, record_type, first) = *place;
        let other = found
            .as_ref()
            .is_some_and(|of| (of.publisher, of.record_type) != (publisher, record_type));
        let full = found.as_ref().is_some_and(|of| count <= of.records.len());
        if other || full || RECORDS_PER_LOOK <= passed {
            return (found, reached);
        }
        let of = (publisher, record_type);
        if kept.is_none_or(|(known, _)| known != of) {
            kept = Some((of, months(state, publisher, record_type)));
        }
        let months = kept.and_then(|(_, months)| months);
        if months.is_some_and(|months| is_over(state, first, months, now)) {
            let none = || Overdue { publisher, record_type, records: Vec::new() };
            found.get_or_insert_with(none).records.push(first);
        }
        reached = Some(*place);
    }
    (found, None)
}

/// From whom an overdue record is recalled: whoever was sent it, but those that keep it by a duty of their own.
pub(super) fn recipients(state: &State, first: RecordId) -> BTreeSet<AgencyNumber> {
    let Some((_, row)) = state.latest(first) else { return BTreeSet::new() };
    let keeps = |(id, version): (&_, u32)| {
        let agreement = state.agreement_version(id, version);
        agreement
            .and_then(|agreement| terms(agreement, row.record_type))
            .is_some_and(|(_, disposal)| disposal == i32::from(Disposal::KeepByOwnDuty))
    };
    state
        .disclosures_of(first)
        .filter(|(_, sent)| {
            !sent.grounds.iter().any(|ground| keeps((&ground.agreement, ground.version)))
        })
        .map(|(recipient, _)| recipient)
        .collect()
}

/// When nobody may keep a record any longer.
fn due_at(state: &State, first: RecordId, latest: &RecordRow, months: u32) -> UnixMillis {
    let sent = state.disclosures_of(first).map(|(_, row)| row.at).max();
    let since = sent.map_or(latest.published_at, |sent| sent.max(latest.published_at));
    date::months_after(since, months)
}

/// For how many months anybody may keep what a publisher shares of a type; `None` if no agreement ever said.
fn months(state: &State, publisher: AgencyNumber, record_type: TypeNumber) -> Option<u32> {
    // What a body published before another one took its place is kept as that agreement says.
    let of = |id: &AgreementId, at: AgencyNumber| {
        at == publisher || state.before_or_merged(id, at).contains(&publisher)
    };
    let agreements = state.tables.agreements.iter();
    agreements
        .filter(|(_, agreement)| agreement.activated_at.is_some())
        .filter(|(id, agreement)| {
            let mut flows = agreement.flows.iter();
            flows.any(|flow| flow.record_type == record_type && of(id, flow.publisher))
        })
        .filter_map(|(_, agreement)| terms(agreement, record_type))
        .map(|(months, _)| months)
        .max()
}

fn terms(agreement: &Agreement, record_type: TypeNumber) -> Option<(u32, i32)> {
    let row = agreement.retention.iter().find(|(of, _, _)| *of == record_type)?;
    Some((row.1, row.2))
}
