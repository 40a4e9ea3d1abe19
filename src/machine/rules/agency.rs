//! Agencies: invited by the operator, enrolled by themselves, and from then on masters of their own keys.
//!
//! INVARIANT (keys): after the enrolment only a command signed by the agency's key in force changes its keys.

use crate::{
    machine::{
        apply::{Context, Effect},
        command::agency::{AgencyCommand, BroughtKeys},
        outcome::{Receipt, Refusal},
        state::{
            State,
            agency::{Agency, AgencyNumber, Invitation, Keys},
        },
        sweep,
    },
    model::{digest::Digest, id::AgencyId},
};

/// What is decided about an agency.
#[derive(Debug)]
pub(in crate::machine) enum Change {
    Put(AgencyNumber, Agency),
    Narrow(AgencyNumber, Agency),
    Widen(AgencyNumber, Agency),
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &AgencyCommand,
) -> Result<Change, Refusal> {
    match command {
        AgencyCommand::Invite { agency, kind, secret_digest, expires_at } => {
            context.operator()?;
            let number = match state.agency_number(agency) {
                None => AgencyNumber::after(state.tables.agencies.len()),
                Some(number) => {
                    let row = state.agency(number).ok_or(Refusal::AgencyUnknown)?;
                    if row.keys.is_some() {
                        return Err(Refusal::AgencyExists);
                    }
                    number
                }
            };
            if *expires_at <= context.now {
                return Err(Refusal::InvitationInvalid);
            }
            let invitation =
                Some(Invitation { secret_digest: *secret_digest, expires_at: *expires_at });
            let kind = i32::from(*kind);
            let id = agency.clone();
            let agency = Agency {
                id,
                kind,
                invitation,
                keys: None,
                suspended: false,
                invited_at: context.now,
                enrolled_at: None,
            };
            Ok(Change::Put(number, agency))
        }
        AgencyCommand::Enrol { secret, keys } => {
            let number = context.agency()?;
            let agency = state.agency(number).ok_or(Refusal::AgencyUnknown)?;
            let open = agency.invitation.as_ref().is_some_and(|invitation| {
                context.now < invitation.expires_at
                    && invitation.secret_digest == Digest::of_concatenation(&[secret])
            });
            if !open {
                return Err(Refusal::InvitationInvalid);
            }
            let agency = Agency { enrolled_at: Some(context.now), ..agency.clone() };
            with_keys(state, number, &agency, keys)
        }
        AgencyCommand::Rotate { keys } => {
            let number = context.agency()?;
            let agency = state.agency(number).ok_or(Refusal::AgencyUnknown)?;
            with_keys(state, number, agency, keys)
        }
        AgencyCommand::Suspend { agency } => {
            context.operator()?;
            let (number, agency) = enrolled(state, agency)?;
            if agency.suspended {
                return Err(Refusal::AgencyState);
            }
            Ok(Change::Narrow(number, Agency { suspended: true, ..agency.clone() }))
        }
        AgencyCommand::Resume { agency } => {
            context.operator()?;
            let (number, agency) = enrolled(state, agency)?;
            if !agency.suspended {
                return Err(Refusal::AgencyState);
            }
            if state.heir(number) != number {
                return Err(Refusal::AgencySucceeded);
            }
            Ok(Change::Widen(number, Agency { suspended: false, ..agency.clone() }))
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
        Change::Put(number, agency) => state.put_agency(number, agency),
        Change::Narrow(number, agency) => {
            state.put_agency(number, agency);
            sweep::narrow(state, effects);
        }
        Change::Widen(number, agency) => {
            state.put_agency(number, agency);
            sweep::offer_all_of(state, number, effects);
        }
    }
    Receipt::DONE
}

fn enrolled<'a>(state: &'a State, id: &AgencyId) -> Result<(AgencyNumber, &'a Agency), Refusal> {
    let number = state.agency_number(id).ok_or(Refusal::AgencyUnknown)?;
    let agency = state.agency(number).ok_or(Refusal::AgencyUnknown)?;
    if agency.keys.is_none() {
        return Err(Refusal::AgencyNotEnrolled);
    }
    Ok((number, agency))
}

fn with_keys(
    state: &State,
    number: AgencyNumber,
    agency: &Agency,
    brought: &BroughtKeys,
) -> Result<Change, Refusal> {
    let keys = Keys::from(brought);
    let operators = keys.certificates.contains(&state.chain.operator_certificate);
    let others = keys
        .certificates
        .iter()
        .filter_map(|certificate| state.agency_of_certificate(certificate))
        .any(|(owner, _)| owner != number);
    if operators || others {
        return Err(Refusal::KeyInUse);
    }
    Ok(Change::Put(number, Agency { keys: Some(keys), invitation: None, ..agency.clone() }))
}
