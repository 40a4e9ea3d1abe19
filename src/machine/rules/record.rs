//! Records: published by the agency that holds them, version by version.
//!
//! INVARIANT (once): a record's id derives from the agency and its request, so the same request finds its own record and
//! never makes a second one (G9). It begins with the second of the request, so that records of one time lie together in
//! every table that they are looked up in; a recipient learns nothing by it that the time of publishing does not say. The receipt says nothing that depends on other agencies' records (G8).

use crate::{
    machine::{
        apply::{Context, Effect},
        command::record::Publish,
        outcome::{Receipt, Refusal},
        rules::{exchange::derived_from, recall},
        state::{
            State,
            agency::AgencyNumber,
            record::{RecordRow, TypeNumber},
        },
        sweep,
    },
    model::{
        id::{AliasId, ClientId, RecordId, RequestId},
        limit,
    },
    pb::ledger::v1::DisposalClass,
};

/// What is decided about a record.
#[derive(Debug)]
pub(in crate::machine) enum Change {
    Known(Receipt),
    Publish { id: RecordId, row: Box<RecordRow>, client: AliasId, correction: bool },
}

impl Change {
    /// The receipt of a request that had its effect before.
    pub(in crate::machine) fn known(&self) -> Option<&Receipt> {
        match self {
            Self::Known(receipt) => Some(receipt),
            Self::Publish { .. } => None,
        }
    }
}

/// The id of the record that an agency's request publishes.
pub(in crate::machine) fn record_id(state: &State, agency: &str, request: RequestId) -> RecordId {
    let digest = derived_from("concordat.record.v1", state, (agency, request));
    RecordId::derived_at(request.unix_millis().unwrap_or_default() / 1_000, &digest)
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    publish: &Publish,
) -> Result<Change, Refusal> {
    let publisher = context.agency()?;
    let agency = state.agency(publisher).ok_or(Refusal::AgencyUnknown)?;
    let id = record_id(state, agency.id.as_str(), context.request_id);
    if let Some(row) = state.record(id) {
        if state.erased(row.first).is_some() {
            return Err(Refusal::RequestErased);
        }
        if row.content_mac != publish.content_mac {
            return Err(Refusal::RequestIdReused);
        }
        let (client, record, version) = (publish.client, id, row.version);
        return Ok(Change::Known(Receipt::Published { record, client, version }));
    }
    let record_type = state.type_number(&publish.record_type).ok_or(Refusal::TypeUnknown)?;
    let known = state.record_type(record_type).ok_or(Refusal::TypeUnknown)?;
    let groups = known.set_of(&publish.groups).ok_or(Refusal::GroupUnknown)?;
    let client = state.own_client(publisher, publish.client).ok_or(Refusal::NotAvailable)?;
    if state.recipients_of(publisher, record_type).next().is_none() {
        return Err(Refusal::NoActiveFlow);
    }
    if publish.type_version == 0 || known.version < publish.type_version {
        return Err(Refusal::TypeVersionUnknown);
    }
    let key = state.tables.keys.get(&publish.key).ok_or(Refusal::NotAvailable)?;
    let sealed_for = (key.client, key.agency, key.class);
    if sealed_for != (Some(client), Some(publisher), i32::from(DisposalClass::Record)) {
        return Err(Refusal::NotAvailable);
    }
    let (first, version) = match publish.supersedes {
        None => {
            within_limit(state, publisher, client)?;
            (id, 1)
        }
        Some(before) => successor(state, (publisher, record_type, client), before)?,
    };
    let row = RecordRow {
        first,
        latest: id,
        version,
        publisher,
        record_type,
        type_version: publish.type_version,
        code_lists: publish.code_lists,
        client,
        groups,
        key: publish.key,
        content_mac: publish.content_mac,
        position: context.position,
        published_at: context.now,
    };
    let (client, correction) = (publish.client, publish.correction);
    Ok(Change::Publish { id, row: Box::new(row), client, correction })
}

pub(in crate::machine) fn perform(
    state: &mut State,
    context: &Context,
    change: Change,
    effects: &mut Vec<Effect>,
) -> Receipt {
    match change {
        Change::Known(receipt) => receipt,
        Change::Publish { id, row, client, correction } => {
            let (first, version) = (row.first, row.version);
            state.put_record(id, *row);
            if correction {
                recall::corrected(state, context, first, effects);
            }
            sweep::offer_record(state, first, context.now, effects);
            Receipt::Published { record: id, client, version }
        }
    }
}

/// Counts only the publisher's own records, so that the limit tells nothing of others'.
fn within_limit(state: &State, publisher: AgencyNumber, client: ClientId) -> Result<(), Refusal> {
    // Whose they are is asked only where there are so many at all.
    if state.records_of(client).len() < limit::RECORDS_PER_CLIENT_MAX {
        return Ok(());
    }
    let own = state
        .records_of(client)
        .filter(|first| state.record(*first).is_some_and(|row| row.publisher == publisher))
        .count();
    if own < limit::RECORDS_PER_CLIENT_MAX { Ok(()) } else { Err(Refusal::LimitReached) }
}

fn successor(
    state: &State,
    (publisher, record_type, client): (AgencyNumber, TypeNumber, ClientId),
    before: RecordId,
) -> Result<(RecordId, u32), Refusal> {
    let row = state.record(before).ok_or(Refusal::NotAvailable)?;
    if !state.answers_for(publisher, row.publisher) || row.record_type != record_type {
        return Err(Refusal::NotAvailable);
    }
    if row.client != client {
        return Err(Refusal::ClientDiffers);
    }
    if state.erased(row.first).is_some() {
        return Err(Refusal::NotAvailable);
    }
    if state.retraction(row.first).is_some() {
        return Err(Refusal::RecordRetracted);
    }
    let first = state.record(row.first).ok_or(Refusal::NotAvailable)?;
    if first.latest != before {
        return Err(Refusal::SupersedesNotLatest);
    }
    Ok((row.first, row.version.saturating_add(1)))
}
