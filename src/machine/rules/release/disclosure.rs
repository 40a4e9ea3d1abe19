//! The disclosure: what a release writes down about what a recipient was sent.
//!
//! Deliveries and what a subscription holds are kept for each subscription, disclosures for each recipient; the name by
//! which a recipient sees the client is its own. Nothing is decided here.

use crate::{
    machine::{
        apply::Context,
        state::{
            State,
            agency::AgencyNumber,
            client::{Alias, AliasKind},
            record::{DisclosedOn, DisclosureRow, Groups},
            subscription::{Delivery, Fate, Received, SubscriptionNumber},
        },
    },
    model::{
        digest::Digest,
        id::{AgreementId, AliasId, ClientId, FlowId, RecordId},
        order::UnixMillis,
    },
};

pub(super) fn deliver(
    state: &mut State,
    number: SubscriptionNumber,
    delivery: u64,
    (record, first, groups): (RecordId, RecordId, Groups),
) {
    let before = state.tables.received.get(&(number, first));
    let (held, nacks) = match before {
        Some(before) if before.record == record => (before.groups, before.nacks),
        Some(_) | None => (Groups::NONE, 0),
    };
    let received = Received { record, groups: held.with(groups), delivery, nacks };
    let journal = &mut state.journal;
    if before.is_some_and(|before| before.record != record) {
        // What was parked was the version before.
        let _parked = state.tables.parked.remove(journal, &(number, first));
    }
    state.tables.received.put(journal, (number, first), received);
    let row = Delivery { record, groups, fate: Fate::Sent };
    state.tables.deliveries.put(journal, (number, delivery), row);
    state.tables.subscriptions.change(journal, &number, |row| {
        row.next_delivery = delivery.saturating_add(1);
    });
}

/// Notes a disclosure; gives the version as the recipient counts, and the version that it got before.
pub(super) fn disclose(
    state: &mut State,
    context: &Context,
    key: (RecordId, AgencyNumber),
    (alias, record, groups): (AliasId, RecordId, Groups),
    (purpose, flows): (i32, Vec<(AgreementId, u32, FlowId, Groups)>),
) -> (u32, Option<RecordId>) {
    let before = state.tables.disclosures.get(&key).cloned();
    let (position, at) = (context.position, context.now);
    let grounds = grounds(state, before.as_ref(), (groups, purpose, at), flows);
    let fresh = DisclosureRow {
        record,
        groups,
        versions: 1,
        before: None,
        position,
        releases: 1,
        unsent: 0,
        recalls: 0,
        first_at: at,
        at,
        purpose,
        alias,
        grounds,
    };
    let row = match before {
        None => fresh,
        Some(row) => {
            let newer = row.record != record;
            DisclosureRow {
                groups: row.groups.with(groups),
                versions: row.versions.saturating_add(u32::from(newer)),
                before: if newer { Some(row.record) } else { row.before },
                releases: row.releases.saturating_add(1),
                unsent: row.unsent,
                recalls: row.recalls,
                first_at: row.first_at,
                ..fresh
            }
        }
    };
    let supersedes = row.before;
    let version = row.versions;
    state.tables.disclosures.put(&mut state.journal, key, row);
    (version, supersedes)
}

/// On which flow each group was released last, now that `groups` were released again. Emergency access stands beside what
/// was released otherwise and does not take its place: what an agreement asks back at its end is owed all the same.
fn grounds(
    state: &State,
    before: Option<&DisclosureRow>,
    (groups, purpose, at): (Groups, i32, UnixMillis),
    flows: Vec<(AgreementId, u32, FlowId, Groups)>,
) -> Vec<DisclosedOn> {
    let for_emergencies = |(agreement, version, flow): (&AgreementId, u32, &FlowId)| {
        let row = state.agreement_version(agreement, version);
        let flow = row.and_then(|row| row.flows.iter().find(|known| known.id == *flow));
        flow.is_some_and(|flow| flow.emergency.is_some())
    };
    let emergency = flows
        .iter()
        .any(|(agreement, version, flow, _)| for_emergencies((agreement, *version, flow)));
    let earlier = before.into_iter().flat_map(|row| &row.grounds).map(|ground| {
        let of_its_kind =
            for_emergencies((&ground.agreement, ground.version, &ground.flow)) == emergency;
        let left = if of_its_kind { ground.groups.without(groups) } else { ground.groups };
        DisclosedOn { groups: left, ..ground.clone() }
    });
    let fresh = flows.into_iter().map(|(agreement, version, flow, groups)| DisclosedOn {
        agreement,
        version,
        flow,
        groups,
        purpose,
        at,
    });
    earlier.filter(|ground| !ground.groups.is_empty()).chain(fresh).collect()
}

/// The recipient's name for the client: its own where the caseload is confirmed or the record is its own, otherwise a
/// name of its own for received records, which derives from what the recipient sees anyway.
pub(super) fn shown_alias(
    state: &mut State,
    context: &Context,
    (recipient, client, published): (AgencyNumber, ClientId, bool),
    delivery: Option<(SubscriptionNumber, u64)>,
) -> AliasId {
    let own = state.alias(recipient, client, AliasKind::Own);
    let confirmed = state.in_confirmed_caseload(recipient, client);
    if let Some(own) = own.filter(|_| confirmed || published) {
        return own;
    }
    if let Some(alias) = state.alias(recipient, client, AliasKind::Received) {
        return alias;
    }
    let id = state.agency(recipient).map(|agency| agency.id.clone());
    let agency = id.as_ref().map_or("", |id| id.as_str());
    let subscription = delivery
        .and_then(|(number, _)| state.subscription(number))
        .map_or_else(String::new, |row| row.id.to_string());
    let place = delivery.map_or(0, |(_, delivery)| delivery).to_be_bytes();
    let digest = Digest::of_parts(
        "concordat.received-alias.v1",
        &[
            state.ledger().as_bytes(),
            agency.as_bytes(),
            subscription.as_bytes(),
            &place,
            context.request_id.as_bytes(),
        ],
    );
    let alias = AliasId::derived(&digest);
    state.put_alias(recipient, alias, Alias { client, kind: AliasKind::Received });
    alias
}
