//! Erasure and legal holds: a controller takes back for ever what it published, unless it must be kept.
//!
//! What is erased is absent for everybody from the entry on: it is in no index, nothing releases or opens it, and its data
//! keys are no keys any more. What then remains to be done is done by the node, off the machine, from what the rows say:
//! the attachments in `removed` are overwritten and the epochs in [`Erasure::epochs`] destroyed. The node states the end
//! by `CompleteErasure`; before that an erasure is in progress and there is no certificate.
//!
//! INVARIANT (doomed): an erasure names every epoch that ever wrapped one of its keys; nothing more is wrapped under them;
//! and it is complete only once every other key of theirs is wrapped under another.
//!
//! Source: UK GDPR Articles 5(1)(e), 17 and 19. When something is overdue is in `rules/erasure/retention.rs`.

use std::collections::BTreeSet;

use crate::{
    machine::{
        apply::{Context, Effect},
        command::erasure::{ErasureCommand, Scope},
        outcome::{Receipt, Refusal, Remembered},
        rules::{
            exchange::derived,
            recall::{
                self,
                ended::{self, Ending},
            },
        },
        state::{
            State,
            agency::AgencyNumber,
            erasure::{Erasure, Hold, Subject, UNTOLD},
            recall::Retraction,
            record::{KeyRow, TypeNumber},
        },
        sweep::{self, Sweep},
    },
    model::{
        digest::Digest,
        id::{ClientId, EpochName, ErasureId, HoldId, KeyId, RecordId},
        limit,
        order::Position,
    },
    pb::ledger::v1::{DisposalClass, ErasureGround, HoldGround, RecallReason},
};

mod left;
pub mod retention;

/// How many attachments one entry names for removal.
const REMOVALS_PER_STEP: usize = 256;

/// What is decided about an erasure or a hold.
#[derive(Debug)]
pub(in crate::machine) enum Change {
    Erase(Box<Plan>),
    Hold(HoldId, Box<Hold>),
    Rewrap { epoch: EpochName, keys: Vec<KeyId> },
    Complete(ErasureId),
}

/// What an erasure takes away.
#[derive(Debug)]
pub(in crate::machine) struct Plan {
    id: ErasureId,
    agency: AgencyNumber,
    subject: Subject,
    ground: ErasureGround,
    records: BTreeSet<RecordId>,
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &ErasureCommand,
) -> Result<Change, Refusal> {
    match command {
        ErasureCommand::Erase { scope, ground } => erase(state, context, *scope, *ground),
        ErasureCommand::PlaceHold { scope, ground } => place_hold(state, context, *scope, *ground),
        ErasureCommand::LiftHold { hold: id } => {
            let agency = context.agency()?;
            let hold =
                state.tables.holds.get(id).filter(|hold| state.answers_for(agency, hold.agency));
            let hold = hold.ok_or(Refusal::NotAvailable)?;
            if hold.lifted_at.is_some() {
                return Err(Refusal::HoldState);
            }
            let hold = Hold { lifted_at: Some(context.now), ..hold.clone() };
            Ok(Change::Hold(*id, Box::new(hold)))
        }
        ErasureCommand::Rewrap { epoch, keys } => {
            context.node()?;
            if state.doomed_epochs().contains(epoch) {
                return Err(Refusal::NothingToDo);
            }
            Ok(Change::Rewrap { epoch: *epoch, keys: keys.clone() })
        }
        ErasureCommand::Complete { erasure: id, epochs } => {
            context.node()?;
            let row = state.erasure(*id).ok_or(Refusal::NothingToDo)?;
            // INVARIANT (doomed): no other key is lost with the epochs, and none of them was left out.
            let survivor = row.epochs.iter().any(|epoch| state.keys_under(*epoch).next().is_some());
            if row.completed_at.is_some() || !row.listed || row.epochs != *epochs || survivor {
                return Err(Refusal::NothingToDo);
            }
            Ok(Change::Complete(*id))
        }
        ErasureCommand::Dispose { publisher, record_type, records } => {
            context.node()?;
            let agency = state.agency_number(publisher).ok_or(Refusal::NothingToDo)?;
            let record_type = state.type_number(record_type).ok_or(Refusal::NothingToDo)?;
            dispose(state, context, (agency, record_type), records)
        }
    }
}

pub(in crate::machine) fn perform(
    state: &mut State,
    context: &Context,
    change: Change,
    effects: &mut Vec<Effect>,
) -> Receipt {
    match change {
        Change::Erase(plan) => {
            let id = plan.id;
            take_away(state, context, *plan, effects);
            return Receipt::Answer(Remembered::Erasure(id));
        }
        Change::Hold(id, hold) => {
            let lifted = hold.lifted_at.map(|_| Ending::Client(hold.agency, hold.client));
            state.put_hold(id, *hold);
            if let Some(ending) = lifted {
                ended::begin(state, ending, (context.position, context.now), effects);
            }
            return Receipt::Answer(Remembered::Hold(id));
        }
        Change::Rewrap { epoch, keys } => {
            for (place, key) in (0..).zip(keys) {
                rewrap(state, (key, epoch), (context.position, place));
            }
        }
        Change::Complete(id) => {
            if let Some(row) = state.erasure(id).cloned() {
                state.put_erasure(id, Erasure { completed_at: Some(context.now), ..row });
            }
        }
    }
    Receipt::DONE
}

/// Names further attachments of an erasure for removal; whether there are more.
pub(in crate::machine) fn step(state: &mut State, id: ErasureId) -> Option<Sweep> {
    let row = state.erasure(id)?.clone();
    let versions = row.records.iter().flat_map(|first| state.versions_of(*first));
    let bodies = versions.filter_map(|version| Some((state.record(version)?.position, None)));
    let identities = row.clients.iter().flat_map(|of| identities_of(state, row.agency, *of));
    let identities = identities.map(|key| (key.1, Some(key)));
    let left: Vec<_> = bodies
        .chain(identities)
        .filter(|(position, _)| !state.is_removed(*position))
        .take(REMOVALS_PER_STEP.saturating_add(1))
        .collect();
    let more = REMOVALS_PER_STEP < left.len();
    let mut attachments = row.attachments;
    for (position, identity) in left.into_iter().take(REMOVALS_PER_STEP) {
        state.tables.removed.put(&mut state.journal, position, id);
        attachments = attachments.saturating_add(1);
        if let Some(identity) = identity {
            let _gone = state.tables.identities.remove(&mut state.journal, &identity);
        }
    }
    state.put_erasure(id, Erasure { attachments, listed: !more, ..row });
    more.then_some(Sweep::Erase(id))
}

fn erase(
    state: &State,
    context: &Context,
    scope: Scope,
    ground: ErasureGround,
) -> Result<Change, Refusal> {
    let agency = context.agency()?;
    let (client, record) = covered(state, agency, scope)?;
    let (subject, records) = if let Some(first) = record {
        (Subject::Record(first), BTreeSet::from([first]))
    } else {
        let own = |first: &RecordId| {
            state.record(*first).is_some_and(|row| state.answers_for(agency, row.publisher))
        };
        (Subject::Client(client), state.records_of(client).filter(own).collect())
    };
    let class = i32::from(DisposalClass::Evidence);
    let words = |body| state.key_for(Some(client), Some(body), class).is_some();
    let known = !identities_of(state, agency, client).is_empty() || state.bodies(agency).any(words);
    if records.is_empty() && !known {
        return Err(Refusal::NotAvailable);
    }
    if state.is_held(agency, client, record) {
        return Err(Refusal::LegalHold);
    }
    let id = ErasureId::derived(&derived("concordat.erasure.v1", state, context));
    Ok(Change::Erase(Box::new(Plan { id, agency, subject, ground, records })))
}

fn place_hold(
    state: &State,
    context: &Context,
    scope: Scope,
    ground: HoldGround,
) -> Result<Change, Refusal> {
    let agency = context.agency()?;
    let (client, record) = covered(state, agency, scope)?;
    let ids = (HoldId::from_bytes([0; 16]), HoldId::from_bytes([u8::MAX; 16]));
    let range = (agency, client, ids.0)..=(agency, client, ids.1);
    if limit::HOLDS_PER_CLIENT_MAX <= state.indexes.holds_in_force.range(range).count() {
        return Err(Refusal::LimitReached);
    }
    let id = HoldId::derived(&derived("concordat.hold.v1", state, context));
    let (position, placed_at, ground) = (context.position, context.now, i32::from(ground));
    let hold = Hold { agency, client, record, ground, position, placed_at, lifted_at: None };
    Ok(Change::Hold(id, Box::new(hold)))
}

fn dispose(
    state: &State,
    context: &Context,
    (agency, record_type): (AgencyNumber, TypeNumber),
    records: &BTreeSet<RecordId>,
) -> Result<Change, Refusal> {
    let of = |first: &RecordId| {
        let row = state.record(*first);
        row.is_some_and(|row| {
            row.first == *first && row.publisher == agency && row.record_type == record_type
        }) && retention::is_overdue(state, *first, context.now)
    };
    let records: BTreeSet<_> = records.iter().copied().filter(of).collect();
    if records.is_empty() {
        return Err(Refusal::NothingToDo);
    }
    let place = context.position.number().to_be_bytes();
    let digest = Digest::of_parts("concordat.disposal.v1", &[state.ledger().as_bytes(), &place]);
    let id = ErasureId::derived(&digest);
    let (subject, ground) = (Subject::Overdue(record_type), ErasureGround::RetentionEnded);
    Ok(Change::Erase(Box::new(Plan { id, agency, subject, ground, records })))
}

/// The client, and the one record if it is one, that a scope means for an agency.
fn covered(
    state: &State,
    agency: AgencyNumber,
    scope: Scope,
) -> Result<(ClientId, Option<RecordId>), Refusal> {
    match scope {
        Scope::Client(alias) => {
            let client = state.own_client(agency, alias).ok_or(Refusal::NotAvailable)?;
            Ok((client, None))
        }
        Scope::Record(record) => {
            let row = state.record(record).filter(|row| state.answers_for(agency, row.publisher));
            let row = row.filter(|row| state.erased(row.first).is_none());
            let row = row.ok_or(Refusal::NotAvailable)?;
            Ok((row.client, Some(row.first)))
        }
    }
}

/// The entries by which an agency told who a client is.
fn identities_of(
    state: &State,
    agency: AgencyNumber,
    client: ClientId,
) -> Vec<(ClientId, Position)> {
    let range = (client, Position::FIRST)..=(client, Position::new(u64::MAX));
    let rows = state.tables.identities.range(range);
    rows.filter(|(_, by)| state.answers_for(agency, **by)).map(|(key, _)| *key).collect()
}

fn take_away(state: &mut State, context: &Context, plan: Plan, effects: &mut Vec<Effect>) {
    let Plan { id, agency, subject, ground, records } = plan;
    let clients: BTreeSet<_> =
        records.iter().filter_map(|first| Some(state.record(*first)?.client)).collect();
    let gone = match subject {
        Subject::Client(client) => BTreeSet::from([client]),
        Subject::Record(_) => BTreeSet::new(),
        Subject::Overdue(_) => {
            let left = |client: &ClientId| left::anything(state, (agency, *client), &records);
            clients.iter().copied().filter(|client| !left(client)).collect()
        }
    };
    let keys = keys_of(state, agency, (&clients, &gone), &records);
    let versions = records.iter().map(|first| state.versions_of(*first).count()).sum::<usize>();
    let reason = match ground {
        ErasureGround::RetentionEnded => RecallReason::RetentionEnded,
        ErasureGround::Unspecified
        | ErasureGround::NoLongerNeeded
        | ErasureGround::ConsentWithdrawn
        | ErasureGround::Objection
        | ErasureGround::Unlawful
        | ErasureGround::LegalObligation
        | ErasureGround::ChildOnlineService => RecallReason::Erased,
    };
    let retraction =
        Retraction { reason: i32::from(reason), at: context.now, position: context.position };
    for first in &records {
        if state.retraction(*first).is_none() {
            state.tables.retractions.put(&mut state.journal, *first, retraction.clone());
        }
    }
    sweep::narrow(state, effects);
    for client in clients {
        sweep::prune_client(state, client, context.now);
    }
    let issues = records.iter().map(|first| {
        let recipients = match subject {
            Subject::Overdue(_) => Some(retention::recipients(state, *first)),
            Subject::Client(_) | Subject::Record(_) => None,
        };
        (*first, recipients)
    });
    let issues: Vec<_> = issues.collect();
    recall::erased(state, context, (issues, reason), effects);
    for first in &records {
        state.put_erased(*first, id);
    }
    let mut row = Erasure {
        agency,
        subject,
        ground: i32::from(ground),
        records,
        clients: gone,
        versions: u32::try_from(versions).unwrap_or(u32::MAX),
        attachments: 0,
        keys: BTreeSet::new(),
        epochs: BTreeSet::new(),
        listed: false,
        position: context.position,
        asked_at: context.now,
        completed_at: None,
    };
    for key in keys {
        destroy(state, (id, &mut row), key);
    }
    state.put_erasure(id, row);
    sweep::push(state, Sweep::Erase(id), effects);
}

/// The keys that seal nothing else than what is erased: those of clients of whom the agency keeps no other record, and
/// of those who are gone wholly the keys of their identifiers and of words about them.
fn keys_of(
    state: &State,
    agency: AgencyNumber,
    (clients, gone): (&BTreeSet<ClientId>, &BTreeSet<ClientId>),
    records: &BTreeSet<RecordId>,
) -> Vec<KeyId> {
    let mut keys = Vec::new();
    // What a body had published that went over into the agency is sealed under keys of that body's.
    for body in state.bodies(agency) {
        let key_of = |client, class: DisposalClass| {
            state.key_for(Some(client), Some(body), i32::from(class))
        };
        for client in gone {
            let classes = [DisposalClass::Identity, DisposalClass::Evidence];
            keys.extend(classes.into_iter().filter_map(|class| key_of(*client, class)));
        }
        for client in clients.union(gone) {
            let kept = left::records(state, (body, *client), records);
            keys.extend(key_of(*client, DisposalClass::Record).filter(|_| !kept));
        }
    }
    keys
}

fn destroy(state: &mut State, (id, row): (ErasureId, &mut Erasure), key: KeyId) {
    let Some(KeyRow { epochs, opened, .. }) = state.remove_key(key) else { return };
    state.tables.destroyed_keys.put(&mut state.journal, key, id);
    state.tables.removed.put(&mut state.journal, opened, id);
    row.attachments = row.attachments.saturating_add(1);
    row.keys.insert(key);
    row.epochs.extend(epochs);
}

/// Notes that an entry wraps a key under an epoch. A key that was destroyed in between takes the epoch with it.
fn rewrap(state: &mut State, (key, epoch): (KeyId, EpochName), (position, place): (Position, u32)) {
    if let Some(row) = state.tables.keys.get(&key).cloned() {
        let mut doomed = state.doomed_epochs();
        doomed.insert(UNTOLD);
        let due = row.epochs.iter().any(|epoch| doomed.contains(epoch));
        let mut row = row;
        row.epochs.retain(|epoch| !doomed.contains(epoch));
        row.epochs.insert(epoch);
        if due {
            row = KeyRow { position, place, ..row };
        }
        state.put_key(key, row);
        return;
    }
    let erasure = state.tables.destroyed_keys.get(&key).copied();
    let found = erasure.and_then(|id| Some((id, state.erasure(id)?.clone())));
    if let Some((id, mut row)) = found {
        row.epochs.insert(epoch);
        state.put_erasure(id, Erasure { completed_at: None, ..row });
    }
}
