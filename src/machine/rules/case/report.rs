//! The report of a case of access: what the controller itself published or received about the client, and to whom it went.
//!
//! INVARIANT (nothing shows): what is held back is taken out before anything is counted, ordered, paged or released, so a
//! report with something held back is the report of an exchange where it never was. Source: UK GDPR Article 15, DPA
//! 2018 Schedules 2 and 3.

use std::collections::BTreeSet;

use crate::{
    machine::{
        apply::Context,
        outcome::Refusal,
        rules::release::{Planned, planned_for_report},
        state::{
            State,
            case::{CaseRow, HeldRow},
            record::{DisclosureRow, Groups},
        },
    },
    model::{
        id::{GroupName, RecordId},
        limit,
        order::UnixMillis,
    },
    pb::ledger::v1::{Authority, CaseKind, Exemption, IdentityCheck, Relation},
};

/// The greatest number of records of which one case holds something back.
const HELD_MAX: usize = 256;

/// One record as a report tells of it.
#[derive(Clone, Copy, Debug)]
pub(in crate::machine) struct Entry<'a> {
    /// The record, by its first version.
    pub(in crate::machine) first: RecordId,
    /// The groups that may be told of.
    pub(in crate::machine) visible: Groups,
    /// What the controller was sent; `None` of what it published itself.
    pub(in crate::machine) received: Option<&'a DisclosureRow>,
}

/// What a report tells of after `after`, in the order of the records: what the controller published under a name of its
/// own, and what it received under the name by which the case was opened. What is held back is not there.
pub(in crate::machine) fn entries<'a>(
    state: &'a State,
    row: &'a CaseRow,
    after: Option<RecordId>,
) -> impl Iterator<Item = Entry<'a>> {
    let records = row.client.into_iter().flat_map(|about| state.records_of(about.client));
    records
        .filter(move |first| after.is_none_or(|after| after < *first))
        .filter_map(|first| entry(state, row, first))
}

fn entry<'a>(state: &'a State, row: &CaseRow, first: RecordId) -> Option<Entry<'a>> {
    let entry = known(state, row, first)?;
    let held = match row.held.get(&first) {
        None => Groups::NONE,
        Some(HeldRow { groups: Some(groups), .. }) => *groups,
        Some(HeldRow { groups: None, .. }) => return None,
    };
    let visible = entry.visible.without(held);
    (!visible.is_empty()).then_some(Entry { visible, ..entry })
}

/// A record that the case reaches, whether or not something of it is held back.
fn known<'a>(state: &'a State, row: &CaseRow, first: RecordId) -> Option<Entry<'a>> {
    let about = row.client?;
    let (_, record) = state.latest(first).filter(|(_, record)| record.client == about.client)?;
    if state.heir(record.publisher) == state.heir(row.controller) {
        return about.own.then_some(Entry { first, visible: record.groups, received: None });
    }
    let sent = state.tables.disclosures.get(&(first, row.controller))?;
    let visible = sent.groups;
    let reached = sent.left() && sent.alias == about.alias;
    reached.then_some(Entry { first, visible, received: Some(sent) })
}

/// The row after something was held back, or is held back no more.
pub(super) fn hold_back(
    state: &State,
    row: &CaseRow,
    (record, groups, exemption): (RecordId, &BTreeSet<GroupName>, Exemption),
    now: UnixMillis,
) -> Result<CaseRow, Refusal> {
    open(row)?;
    let first = state.record(record).ok_or(Refusal::NotAvailable)?.first;
    let entry = known(state, row, first).ok_or(Refusal::NotAvailable)?;
    let mut row = row.clone();
    if exemption == Exemption::None {
        let _held = row.held.remove(&first).ok_or(Refusal::CaseState)?;
        return Ok(row);
    }
    let record_type = state.record(first).ok_or(Refusal::NotAvailable)?.record_type;
    let groups = if groups.is_empty() {
        None
    } else {
        let named = state.record_type(record_type).and_then(|known| known.set_of(groups));
        Some(named.filter(|named| entry.visible.covers(*named)).ok_or(Refusal::NotAvailable)?)
    };
    if HELD_MAX <= row.held.len() && !row.held.contains_key(&first) {
        return Err(Refusal::LimitReached);
    }
    let held = HeldRow { record_type, groups, exemption: exemption.into(), at: now };
    let _before = row.held.insert(first, held);
    Ok(row)
}

/// The bodies of one page.
pub(super) fn page(
    state: &State,
    context: &Context,
    row: &CaseRow,
    after: Option<RecordId>,
) -> Result<Vec<Planned>, Refusal> {
    open(row)?;
    proven(state, row)?;
    let page = entries(state, row, after).take(limit::REPORT_RECORDS_MAX);
    let planned = page.filter_map(|entry| {
        let whose = (row.controller, entry.first);
        planned_for_report(state, context, whose, entry.visible)
    });
    Ok(planned.collect())
}

/// Holds that the case is one of access and goes on.
fn open(row: &CaseRow) -> Result<(), Refusal> {
    let access = row.kind == i32::from(CaseKind::Access) && row.closed.is_none();
    if access { Ok(()) } else { Err(Refusal::CaseState) }
}

/// Holds that it is known who asks and by what authority, and that they are not a person without rights.
fn proven(state: &State, row: &CaseRow) -> Result<(), Refusal> {
    let requester = row.requester.ok_or(Refusal::RequesterNotProven)?;
    let holder = requester.holder.and_then(|id| state.tables.holders.get(&id));
    if holder.is_some_and(|holder| !holder.has_rights()) {
        return Err(Refusal::HolderWithoutRights);
    }
    let known = requester.identity == i32::from(IdentityCheck::Confirmed);
    let own = requester.relation == i32::from(Relation::Self_);
    let stated = [Authority::Seen, Authority::Stated].map(i32::from);
    let speaks = holder.is_some() && stated.contains(&requester.authority);
    if known && (own || speaks) { Ok(()) } else { Err(Refusal::RequesterNotProven) }
}
