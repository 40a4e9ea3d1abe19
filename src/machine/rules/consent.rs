//! Consents: recorded only where a flow in force waits for one, each naming its recipients; withdrawn by one call.
//!
//! INVARIANT (no sham): a consent is recorded only if, for every recipient it names, a flow in force from the publisher
//! waits for this kind of consent (`asked`). Where sharing happens anyway nobody asks (GIRFEC Practice Guidance 4).
//!
//! Who may give it. The client speaks for itself from 12 (DPA 2018 s.208), or, where the 2004 Act's section 13 asks, from
//! 16: until then a parent consents. That section speaks of school age, which whole years cannot tell better. From that
//! age nobody else gives it but a representative whose authority was seen; before it a parent or representative whose
//! authority was seen or stated. The presumption at 12 is rebuttable; what rebuts it is the seen authority of a
//! representative. A client may refuse at any age, and a refusal may be recorded while the flow is suspended.
//!
//! A refusal is not withdrawn: that would widen. A later consent takes its place.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    machine::{
        apply::{Context, Effect},
        command::consent::{Act, ConsentCommand, Scope},
        outcome::{Receipt, Refusal, Remembered},
        rules::{agreement::flows_in_force, exchange::derived, recall},
        state::{
            State,
            agency::AgencyNumber,
            consent::Consent,
            record::{Groups, TypeNumber},
        },
        sweep,
    },
    model::{
        id::{AgencyId, ConsentId},
        limit,
        order::UnixMillis,
    },
    pb::ledger::v1::{Authority, Gate, Grantor},
};

/// The age from which a client speaks for itself under data protection law, in whole years. Source: DPA 2018 s.208.
const SPEAKS_FROM_YEARS: u32 = 12;
/// The age from which a young person consents under the 2004 Act's section 13, in whole years.
const SPEAKS_FROM_STATUTORY_YEARS: u32 = 16;
/// No consent is older than this: 1990-01-01.
const GIVEN_AT_MIN: UnixMillis = UnixMillis::new(631_152_000_000);

/// What is decided about a consent.
#[derive(Debug)]
pub(in crate::machine) enum Change {
    Record(ConsentId, Box<Consent>),
    Withdraw { id: ConsentId, row: Box<Consent>, recall: bool },
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &ConsentCommand,
) -> Result<Change, Refusal> {
    match command {
        ConsentCommand::Record { scope, act, expires_at } => {
            let asked = asked(state, context, scope, true)?;
            competent(scope.gate, act)?;
            dates(context.now, act, *expires_at)?;
            record(state, context, (scope, act), asked, Said::Given { expires_at: *expires_at })
        }
        ConsentCommand::Refuse { scope, act } => {
            let asked = asked(state, context, scope, false)?;
            if act.grantor != Grantor::Self_ {
                competent(scope.gate, act)?;
            }
            dates(context.now, act, None)?;
            record(state, context, (scope, act), asked, Said::Refused)
        }
        ConsentCommand::Withdraw { consent, recipients, recall } => {
            let row = Box::new(withdraw(state, context, *consent, recipients)?);
            Ok(Change::Withdraw { id: *consent, row, recall: *recall })
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
        Change::Record(id, row) => {
            let (given, client, recipients) = (row.given, row.client, row.recipients.clone());
            let ends = row.expires_at.is_some();
            state.put_consent(id, *row);
            if given {
                // It is the last word from now on, also where it ends before the consent that it follows.
                if ends {
                    sweep::narrow(state, effects);
                }
                sweep::offer_client(state, client, &recipients, context.now, effects);
            } else {
                sweep::narrow(state, effects);
                sweep::prune_client(state, client, context.now);
            }
            Receipt::Answer(Remembered::Consent(id))
        }
        Change::Withdraw { id, row, recall } => {
            let client = row.client;
            state.put_consent(id, (*row).clone());
            sweep::narrow(state, effects);
            sweep::prune_client(state, client, context.now);
            if recall {
                recall::withdrawn(state, context, &row, effects);
            }
            Receipt::DONE
        }
    }
}

/// A scope in the machine's own numbers.
struct Asked {
    recorder: AgencyNumber,
    publisher: AgencyNumber,
    record_type: TypeNumber,
    groups: Groups,
    recipients: BTreeSet<AgencyNumber>,
}

/// Holds that a flow in force waits for this consent, for every recipient and every group. The agency that records is the
/// publisher or one of the recipients; anybody else gets the answer that it would get if there were no flow.
fn asked(
    state: &State,
    context: &Context,
    scope: &Scope,
    in_force: bool,
) -> Result<Asked, Refusal> {
    let recorder = context.agency()?;
    let publisher = state.agency_number(&scope.publisher).ok_or(Refusal::ConsentNotAsked)?;
    let record_type = state.type_number(&scope.record_type).ok_or(Refusal::ConsentNotAsked)?;
    let groups = state
        .record_type(record_type)
        .and_then(|row| row.set_of(&scope.groups))
        .ok_or(Refusal::ConsentNotAsked)?;
    let recipients = numbers(state, &scope.recipients).ok_or(Refusal::ConsentNotAsked)?;
    if recorder != publisher && !recipients.contains(&recorder) {
        return Err(Refusal::ConsentNotAsked);
    }
    let mut covered = Groups::NONE;
    for recipient in &recipients {
        let between = (publisher, record_type, *recipient);
        let shared = flows_in_force(state, between, context.now, !in_force)
            .filter(|flow| flow.gate == i32::from(scope.gate))
            .fold(Groups::NONE, |shared, flow| shared.with(flow.groups.and(groups)));
        // INVARIANT (no sham)
        if shared.is_empty() {
            return Err(Refusal::ConsentNotAsked);
        }
        covered = covered.with(shared);
    }
    if covered == groups {
        Ok(Asked { recorder, publisher, record_type, groups, recipients })
    } else {
        Err(Refusal::ConsentNotAsked)
    }
}

fn numbers(state: &State, ids: &BTreeSet<AgencyId>) -> Option<BTreeSet<AgencyNumber>> {
    ids.iter().map(|id| state.agency_number(id)).collect()
}

/// Holds that the grantor may speak for the client. See the top of the file.
fn competent(gate: Gate, act: &Act) -> Result<(), Refusal> {
    let from = match gate {
        Gate::StatutoryConsent => SPEAKS_FROM_STATUTORY_YEARS,
        Gate::DataProtectionConsent | Gate::Confidentiality | Gate::None | Gate::Unspecified => {
            SPEAKS_FROM_YEARS
        }
    };
    let speaks = from <= act.age_years;
    match act.grantor {
        Grantor::Self_ if speaks => Ok(()),
        Grantor::Self_ | Grantor::Unspecified => Err(Refusal::GrantorNotCompetent),
        Grantor::Parent | Grantor::Representative => {
            let representative = act.grantor == Grantor::Representative;
            match act.authority {
                Authority::Unspecified => Err(Refusal::AuthorityMissing),
                Authority::Stated if speaks && representative => Err(Refusal::AuthorityMissing),
                Authority::Seen | Authority::Stated if speaks && !representative => {
                    Err(Refusal::GrantorNotCompetent)
                }
                Authority::Seen | Authority::Stated => Ok(()),
            }
        }
    }
}

/// Holds that the consent was given in the past and ends in the future.
fn dates(now: UnixMillis, act: &Act, expires_at: Option<UnixMillis>) -> Result<(), Refusal> {
    let given = GIVEN_AT_MIN <= act.given_at && act.given_at <= now;
    let ends = expires_at.is_none_or(|expires_at| now < expires_at);
    if given && ends { Ok(()) } else { Err(Refusal::ConsentDatesInvalid) }
}

/// What was said.
#[derive(Clone, Copy)]
enum Said {
    Given { expires_at: Option<UnixMillis> },
    Refused,
}

/// The row of a consent or of a refusal.
fn record(
    state: &State,
    context: &Context,
    (scope, act): (&Scope, &Act),
    asked: Asked,
    said: Said,
) -> Result<Change, Refusal> {
    let Asked { recorder, publisher, record_type, groups, recipients } = asked;
    let client = state.own_client(recorder, scope.client).ok_or(Refusal::NotAvailable)?;
    // Counts only what this agency recorded, so that the limit tells nothing of others; a refusal always finds room.
    let own = state.consents_of(client).filter(|(_, row)| row.recorder == recorder).count();
    let given = matches!(said, Said::Given { .. });
    if given && limit::CONSENTS_PER_CLIENT_MAX <= own {
        return Err(Refusal::LimitReached);
    }
    let id = ConsentId::derived(&derived("concordat.consent.v1", state, context));
    let (given, expires_at) = match said {
        Said::Given { expires_at } => (true, expires_at),
        Said::Refused => (false, None),
    };
    let row = Consent {
        given,
        position: context.position,
        client,
        recorder,
        publisher,
        record_type,
        groups,
        recipients,
        gate: i32::from(scope.gate),
        grantor: i32::from(act.grantor),
        authority: i32::from(act.authority),
        method: i32::from(act.method),
        age_years: act.age_years,
        given_at: act.given_at,
        expires_at,
        withdrawn: BTreeMap::new(),
        notice_digest: act.notice_digest,
        recorded_at: context.now,
        withdrawn_at: None,
    };
    Ok(Change::Record(id, Box::new(row)))
}

/// The row after a withdrawal. No limit stands in its way, and a recipient for whom it was withdrawn before keeps the
/// position of that withdrawal.
fn withdraw(
    state: &State,
    context: &Context,
    id: ConsentId,
    recipients: &BTreeSet<AgencyId>,
) -> Result<Consent, Refusal> {
    let caller = context.agency()?;
    let row = state.tables.consents.get(&id).ok_or(Refusal::ConsentUnknown)?;
    let named = [row.recorder, row.publisher].contains(&caller) || row.recipients.contains(&caller);
    if !named || !row.given {
        return Err(Refusal::ConsentUnknown);
    }
    let recipients = if recipients.is_empty() {
        row.recipients.clone()
    } else {
        numbers(state, recipients)
            .filter(|recipients| recipients.is_subset(&row.recipients))
            .ok_or(Refusal::ConsentUnknown)?
    };
    if recipients.iter().all(|recipient| row.withdrawn.contains_key(recipient)) {
        return Err(Refusal::ConsentState);
    }
    let mut row = row.clone();
    for recipient in recipients {
        let _first = row.withdrawn.entry(recipient).or_insert(context.position);
    }
    row.withdrawn_at = Some(context.now);
    Ok(row)
}
