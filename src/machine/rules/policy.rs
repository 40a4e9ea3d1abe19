//! Agencies' own policies: put and removed by the agency itself, read by Cedar, only ever narrowing.
//!
//! A policy may be replaced by a laxer one, so every change is both a narrowing and an offer.

use crate::{
    machine::{
        access::verdict::{self, Unfit},
        apply::{Context, Effect},
        command::policy::PolicyCommand,
        outcome::{Receipt, Refusal},
        state::{State, agency::AgencyNumber, policy::Policy},
        sweep,
    },
    model::{id::PolicyId, limit},
};

/// What is decided about a policy.
#[derive(Debug)]
pub(in crate::machine) enum Change {
    Put(AgencyNumber, PolicyId, Policy),
    Remove(AgencyNumber, PolicyId),
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &PolicyCommand,
) -> Result<Change, Refusal> {
    let owner = context.agency()?;
    match command {
        PolicyCommand::Put { policy, text, schema_version } => {
            if *schema_version != verdict::SCHEMA_VERSION {
                return Err(Refusal::PolicySchemaUnknown);
            }
            if limit::POLICY_BYTES_MAX < text.len() {
                return Err(Refusal::PolicyInvalid);
            }
            match verdict::examine(text) {
                // Only the canonical text is kept: what a comment says would stay in clear for ever.
                Ok(canonical) if canonical == *text => {}
                Ok(_) | Err(Unfit::Invalid(_)) => return Err(Refusal::PolicyInvalid),
                Err(Unfit::Permits) => return Err(Refusal::PolicyPermits),
            }
            let known = state.tables.policies.contains(&(owner, policy.clone()));
            if !known && limit::POLICIES_MAX <= state.policies_of(owner).count() {
                return Err(Refusal::LimitReached);
            }
            let (text, schema_version) = (text.clone(), *schema_version);
            let row = Policy { text, schema_version, put_at: context.now };
            Ok(Change::Put(owner, policy.clone(), row))
        }
        PolicyCommand::Remove { policy } => {
            // Its own first, then what came to it with another body.
            let bodies = std::iter::once(owner).chain(state.bodies(owner));
            let mut known =
                bodies.filter(|body| state.tables.policies.contains(&(*body, policy.clone())));
            let owner = known.next().ok_or(Refusal::PolicyUnknown)?;
            Ok(Change::Remove(owner, policy.clone()))
        }
    }
}

pub(in crate::machine) fn perform(
    state: &mut State,
    _context: &Context,
    change: Change,
    effects: &mut Vec<Effect>,
) -> Receipt {
    let owner = match change {
        Change::Put(owner, id, policy) => {
            state.put_policy(owner, id, policy);
            owner
        }
        Change::Remove(owner, id) => {
            state.remove_policy(owner, &id);
            owner
        }
    };
    sweep::narrow(state, effects);
    sweep::offer_all_of(state, state.heir(owner), effects);
    Receipt::DONE
}
