//! The exchange itself: its beginning, rules, record types, data keys, time and attestations.

use std::collections::BTreeSet;

use crate::{
    machine::{
        apply::{Context, Effect, Who},
        command::{RULES_VERSION, exchange::ExchangeCommand},
        outcome::{Receipt, Refusal},
        state::{
            Chain, SCHEMA, State,
            erasure::UNTOLD,
            record::{KeyRow, RecordType, TypeNumber},
        },
        sweep,
    },
    model::{
        digest::Digest,
        id::{GroupName, KeyId, RecordTypeName, RequestId},
    },
};

/// What is decided about the exchange.
#[derive(Debug)]
pub(in crate::machine) enum Change {
    Genesis(Box<Chain>),
    Rules(u32),
    Type(TypeNumber, RecordType),
    Key(KeyId, Box<KeyRow>),
    Time,
    Sweep,
    Attested { diverged: bool },
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &ExchangeCommand,
) -> Result<Change, Refusal> {
    match command {
        ExchangeCommand::Genesis { ledger, operator_certificate, checkpoint_key } => {
            context.operator()?;
            Ok(Change::Genesis(Box::new(Chain {
                ledger: Some(*ledger),
                operator_certificate: *operator_certificate,
                checkpoint_key: *checkpoint_key,
                rules_version: RULES_VERSION,
                ..Chain::default()
            })))
        }
        ExchangeCommand::ActivateRules { version } => {
            context.operator()?;
            let newer = state.chain.rules_version < *version && *version <= RULES_VERSION;
            if newer { Ok(Change::Rules(*version)) } else { Err(Refusal::NothingToDo) }
        }
        ExchangeCommand::RegisterRecordType { name, version, groups } => {
            context.operator()?;
            register(state, name, *version, groups)
        }
        ExchangeCommand::OpenKey { key, client, agency, class, epoch } => {
            context.node()?;
            let agency = match agency {
                Some(id) => Some(state.agency_number(id).ok_or(Refusal::AgencyUnknown)?),
                None => None,
            };
            let class = i32::from(*class);
            let epoch = epoch.unwrap_or(UNTOLD);
            let known = state.tables.keys.contains(key)
                || state.tables.destroyed_keys.contains(key)
                || state.key_for(*client, agency, class).is_some();
            // INVARIANT (doomed): nothing new is wrapped under an epoch that an erasure is about to destroy.
            if known || state.doomed_epochs().contains(&epoch) {
                return Err(Refusal::NothingToDo);
            }
            let position = context.position;
            let row = KeyRow {
                client: *client,
                agency,
                class,
                position,
                place: 0,
                opened: position,
                epochs: BTreeSet::from([epoch]),
            };
            Ok(Change::Key(*key, Box::new(row)))
        }
        ExchangeCommand::Tick => {
            context.node()?;
            Ok(Change::Time)
        }
        ExchangeCommand::ContinueSweep => {
            context.node()?;
            if state.tables.sweeps.is_empty() {
                return Err(Refusal::NothingToDo);
            }
            Ok(Change::Sweep)
        }
        ExchangeCommand::Attest { position, schema, lines_struck, outcomes, rows } => {
            context.node()?;
            let known = state.chain.attestable.as_ref().ok_or(Refusal::NothingToDo)?;
            if known.position != *position {
                return Err(Refusal::NothingToDo);
            }
            let same = known.outcomes == *outcomes
                && known.lines_struck == *lines_struck
                && (*schema != SCHEMA || known.rows == *rows);
            Ok(Change::Attested { diverged: !same })
        }
    }
}

pub(in crate::machine) fn perform(
    state: &mut State,
    _context: &Context,
    change: Change,
    effects: &mut Vec<Effect>,
) -> Receipt {
    match change {
        Change::Genesis(chain) => state.chain = *chain,
        Change::Rules(version) => state.chain.rules_version = version,
        Change::Type(number, row) => state.put_record_type(number, row),
        Change::Key(id, row) => state.put_key(id, *row),
        Change::Time | Change::Attested { diverged: false } => {}
        Change::Sweep => sweep::step(state, effects),
        Change::Attested { diverged: true } => effects.push(Effect::Diverged),
    }
    Receipt::DONE
}

fn register(
    state: &State,
    name: &RecordTypeName,
    version: u32,
    groups: &[(GroupName, bool)],
) -> Result<Change, Refusal> {
    let known = state.type_number(name);
    let before = known.and_then(|number| state.record_type(number));
    let expected = before.map_or(1, |row| row.version.saturating_add(1));
    if version != expected {
        return Err(Refusal::NothingToDo);
    }
    // A bit of a stored set of groups stays what it was: the list only grows.
    if before.is_some_and(|row| !groups.starts_with(&row.groups)) {
        return Err(Refusal::GroupUnknown);
    }
    let number = known.unwrap_or_else(|| TypeNumber::after(state.tables.types.len()));
    let row = RecordType { name: name.clone(), version, groups: groups.to_vec() };
    Ok(Change::Type(number, row))
}

/// The digest that derives from an agency's request: the same request always means the same thing.
pub(in crate::machine) fn derived(domain: &str, state: &State, context: &Context) -> Digest {
    let agency = match context.who {
        Who::Agency(number) => state.agency(number).map_or("", |agency| agency.id.as_str()),
        Who::Operator | Who::Node => "",
    };
    derived_from(domain, state, (agency, context.request_id))
}

/// As [`derived`], for an agency and request that are not being decided.
pub(in crate::machine) fn derived_from(
    domain: &str,
    state: &State,
    (agency, request): (&str, RequestId),
) -> Digest {
    let ledger = state.ledger();
    Digest::of_parts(domain, &[ledger.as_bytes(), agency.as_bytes(), request.as_bytes()])
}
