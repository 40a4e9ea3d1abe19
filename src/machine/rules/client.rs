//! Clients and caseloads: who knows whom, under names of their own, and whom an agency serves.
//!
//! An unknown client, claim or agency and one that is not the caller's business are answered alike, `NOT_AVAILABLE`.
//! A claim gives nothing until an agency that publishes to the claimant, under a rule that asks for it, confirms it.

use std::collections::BTreeSet;

use crate::{
    machine::{
        apply::{Context, Effect},
        command::client::ClientCommand,
        outcome::{Receipt, Refusal, Remembered},
        rules::{agreement::flows_in_force, exchange::derived},
        state::{
            State,
            agency::AgencyNumber,
            client::{Alias, AliasKind, Case},
        },
        sweep,
    },
    model::id::{AgencyId, AliasId, ClientId},
};

/// What is decided about a client.
#[derive(Clone, Copy, Debug)]
pub(in crate::machine) enum Change {
    Known(AgencyNumber, AliasId, ClientId),
    Name(AgencyNumber, AliasId, ClientId),
    Open(AgencyNumber, ClientId),
    Confirm { claimant: AgencyNumber, client: ClientId, by: AgencyNumber },
    End(AgencyNumber, ClientId),
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &ClientCommand,
) -> Result<Change, Refusal> {
    let caller = context.agency()?;
    match command {
        ClientCommand::Add { client, key } => {
            // What is sealed with a key that was destroyed could never be read.
            if key.is_some_and(|key| !state.tables.keys.contains(&key)) {
                return Err(Refusal::NotAvailable);
            }
            add(state, context, caller, *client)
        }
        ClientCommand::OpenCaseload { client } => {
            let client = state.own_client(caller, *client).ok_or(Refusal::NotAvailable)?;
            if state.tables.caseload.contains(&(caller, client)) {
                return Err(Refusal::AlreadyClaimed);
            }
            Ok(Change::Open(caller, client))
        }
        ClientCommand::ConfirmCaseload { client, agency } => {
            let (claimant, client, case) = claim(state, caller, *client, agency)?;
            let served = state.tables.types.iter().any(|(record_type, _)| {
                flows_in_force(state, (caller, *record_type, claimant), context.now, false)
                    .any(|(_, flow)| flow.caseload_confirmed)
            });
            if !served || claimant == caller {
                return Err(Refusal::NotAvailable);
            }
            if case.confirmed_by.is_some() {
                return Err(Refusal::AlreadyConfirmed);
            }
            Ok(Change::Confirm { claimant, client, by: caller })
        }
        ClientCommand::EndCaseload { client, agency } => {
            let (claimant, client, case) = claim(state, caller, *client, agency)?;
            let confirmed = case.confirmed_by.is_some_and(|by| state.answers_for(caller, by));
            if state.answers_for(caller, claimant) || confirmed {
                Ok(Change::End(claimant, client))
            } else {
                Err(Refusal::NotAvailable)
            }
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
        Change::Known(agency, alias, client) => {
            let key = (client, context.position);
            state.tables.identities.put(&mut state.journal, key, agency);
            return Receipt::Answer(Remembered::Client(alias));
        }
        Change::Name(agency, alias, client) => {
            let key = (client, context.position);
            state.tables.identities.put(&mut state.journal, key, agency);
            state.put_alias(agency, alias, Alias { client, kind: AliasKind::Own });
            return Receipt::Answer(Remembered::Client(alias));
        }
        Change::Open(agency, client) => {
            let (opened, opened_at) = (context.position, context.now);
            let case = Case { confirmed_by: None, opened, opened_at, confirmed_at: None };
            state.tables.caseload.put(&mut state.journal, (agency, client), case);
        }
        Change::Confirm { claimant, client, by } => {
            state.tables.caseload.change(&mut state.journal, &(claimant, client), |case| {
                case.confirmed_by = Some(by);
                case.confirmed_at = Some(context.now);
            });
            sweep::offer_client(state, client, &BTreeSet::from([claimant]), context.now, effects);
        }
        Change::End(agency, client) => {
            let _removed = state.tables.caseload.remove(&mut state.journal, &(agency, client));
            sweep::narrow(state, effects);
            sweep::prune_client(state, client, context.now);
        }
    }
    Receipt::DONE
}

/// The name of a client for the agency that asks: the one it has, or one that derives from the request.
fn add(
    state: &State,
    context: &Context,
    caller: AgencyNumber,
    client: ClientId,
) -> Result<Change, Refusal> {
    if let Some(alias) = state.alias(caller, client, AliasKind::Own) {
        return Ok(Change::Known(caller, alias, client));
    }
    let alias = AliasId::derived(&derived("concordat.alias.v1", state, context));
    if state.tables.aliases.contains(&(caller, alias)) {
        return Err(Refusal::RequestIdReused);
    }
    Ok(Change::Name(caller, alias, client))
}

/// The claim of `agency` on the client whom the caller knows under `alias`.
fn claim<'a>(
    state: &'a State,
    caller: AgencyNumber,
    alias: AliasId,
    agency: &AgencyId,
) -> Result<(AgencyNumber, ClientId, &'a Case), Refusal> {
    let client = state.own_client(caller, alias).ok_or(Refusal::NotAvailable)?;
    let claimant = state.agency_number(agency).ok_or(Refusal::NotAvailable)?;
    let case = state.tables.caseload.get(&(claimant, client)).ok_or(Refusal::NotAvailable)?;
    Ok((claimant, client, case))
}
