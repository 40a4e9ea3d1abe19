//! Consents: recorded only where a flow in force waits for one, each naming its recipients; withdrawn by one call.
//!
//! INVARIANT (no sham): a consent is recorded only if, for every recipient it names, a flow in force from the publisher
//! waits for this kind of consent (`asked`). Where sharing happens anyway nobody asks (GIRFEC Practice Guidance 4).
//! INVARIANT (purpose): it opens flows of the purposes that waited for it and of no other, whatever is agreed later.
//!
//! Who may give it is decided in `consent/grantor.rs`, what counts of everything that was said in `consent/word.rs`, and
//! disputes between those who speak for a client in `consent/holder.rs`. A client may refuse at any age, and a refusal
//! may be recorded while the flow is suspended.
//!
//! A refusal is not withdrawn: that would widen. A later consent takes its place.

use std::collections::BTreeSet;

use crate::{
    machine::{
        apply::{Context, Effect},
        command::consent::{Act, ConsentCommand, Scope},
        outcome::{Receipt, Refusal, Remembered},
        rules::{agreement::flows_in_force, exchange::derived, recall},
        state::{
            State,
            agency::AgencyNumber,
            agreement::Flow,
            consent::{ActRow, Consent, Holder, Withdrawal},
            notice::{About, Notice},
            record::{Groups, TypeNumber},
        },
        sweep,
    },
    model::{
        id::{AgencyId, ConsentId, GroupName, HolderId},
        limit,
        order::UnixMillis,
    },
};

pub(in crate::machine) mod grantor;
mod holder;
pub(in crate::machine) mod word;

/// No consent is older than this: 1990-01-01.
const GIVEN_AT_MIN: UnixMillis = UnixMillis::new(631_152_000_000);

/// What is decided about a consent.
#[derive(Debug)]
pub(in crate::machine) enum Change {
    Record(ConsentId, Box<Consent>),
    Withdraw { id: ConsentId, row: Box<Consent>, recall: bool },
    Holder(HolderId, Holder),
    Resolve(ConsentId, Box<Consent>),
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &ConsentCommand,
) -> Result<Change, Refusal> {
    match command {
        ConsentCommand::Record { scope, act, expires_at, renews } => {
            let asked = asked(state, context, scope, true)?;
            dates(context.now, act, *expires_at)?;
            let review = grantor::may_give(state, scope.gate, act, context.now)?;
            let said = Said::Given { expires_at: *expires_at, review, renews: *renews };
            record(state, context, (scope, act), asked, said)
        }
        ConsentCommand::Refuse { scope, act } => {
            let asked = asked(state, context, scope, false)?;
            grantor::may_refuse(state, scope.gate, act)?;
            dates(context.now, act, None)?;
            record(state, context, (scope, act), asked, Said::Refused)
        }
        ConsentCommand::Withdraw { consent, recipients, groups, recall } => {
            let row = Box::new(withdraw(state, context, *consent, (recipients, groups))?);
            Ok(Change::Withdraw { id: *consent, row, recall: *recall })
        }
        ConsentCommand::Holder { client, holder, standing } => {
            let (id, row) = holder::decide(state, context, (*client, *holder), *standing)?;
            Ok(Change::Holder(id, row))
        }
        ConsentCommand::Resolve { refusal, resolution, ground, view } => {
            let resolved = (*resolution, *ground, *view);
            let row = holder::resolve(state, context, *refusal, resolved)?;
            Ok(Change::Resolve(*refusal, Box::new(row)))
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
            let ends = row.ends_at().is_some();
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
            let by = context.agency().unwrap_or(row.recorder);
            if by != row.recorder {
                let about = About::ConsentWithdrawn { consent: id, by };
                state.notify(row.recorder, Notice { at: context.now, about });
            }
            let client = row.client;
            state.put_consent(id, (*row).clone());
            sweep::narrow(state, effects);
            sweep::prune_client(state, client, context.now);
            if recall {
                recall::withdrawn(state, context, &row, effects);
            }
            Receipt::DONE
        }
        Change::Holder(id, row) => {
            holder::perform(state, context, (id, row), effects);
            Receipt::Answer(Remembered::Holder(id))
        }
        Change::Resolve(id, row) => {
            let (client, recipients) = (row.client, row.recipients.clone());
            state.put_consent(id, *row);
            sweep::narrow(state, effects);
            sweep::offer_client(state, client, &recipients, context.now, effects);
            Receipt::Answer(Remembered::Consent(id))
        }
    }
}

/// Marks the consents whose end or review has come: at most `count`, from the earliest. Decisions compare the dates
/// themselves and need no mark; it is what closes the send gate at once on an idle exchange.
pub(in crate::machine) fn end_due(
    state: &mut State,
    now: UnixMillis,
    count: usize,
    effects: &mut Vec<Effect>,
) {
    let due = state.indexes.consent_ends.iter().take_while(|(end, _)| *end <= now);
    let due: Vec<ConsentId> = due.take(count).map(|(_, id)| *id).collect();
    for id in &due {
        if let Some(row) = state.tables.consents.get(id).cloned() {
            state.put_consent(*id, Consent { ended: true, ..row });
        }
    }
    if !due.is_empty() {
        sweep::narrow(state, effects);
    }
}

/// A scope in the machine's own numbers.
struct Asked {
    recorder: AgencyNumber,
    publisher: AgencyNumber,
    record_type: TypeNumber,
    groups: Groups,
    recipients: BTreeSet<AgencyNumber>,
    purposes: BTreeSet<i32>,
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
    let named = &scope.purposes;
    let (mut covered, mut purposes) = (Groups::NONE, BTreeSet::new());
    for recipient in &recipients {
        let between = (publisher, record_type, *recipient);
        let mut shared = Groups::NONE;
        for (purpose, flow) in purposed_flows(state, between, context.now, !in_force) {
            let wanted = named.is_empty() || named.contains(&purpose);
            let common = flow.groups.and(groups);
            if flow.gate == i32::from(scope.gate) && wanted && !common.is_empty() {
                shared = shared.with(common);
                purposes.insert(purpose);
            }
        }
        // INVARIANT (no sham)
        if shared.is_empty() {
            return Err(Refusal::ConsentNotAsked);
        }
        covered = covered.with(shared);
    }
    if covered == groups && named.is_subset(&purposes) {
        Ok(Asked { recorder, publisher, record_type, groups, recipients, purposes })
    } else {
        Err(Refusal::ConsentNotAsked)
    }
}

/// The flows in force between two agencies, each with the purpose of its agreement.
fn purposed_flows(
    state: &State,
    between: (AgencyNumber, TypeNumber, AgencyNumber),
    now: UnixMillis,
    suspended: bool,
) -> impl Iterator<Item = (i32, &Flow)> {
    flows_in_force(state, between, now, suspended)
        .map(|(agreement, flow)| (agreement.purpose, flow))
}

fn numbers(state: &State, ids: &BTreeSet<AgencyId>) -> Option<BTreeSet<AgencyNumber>> {
    ids.iter().map(|id| state.agency_number(id)).collect()
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
    Given {
        expires_at: Option<UnixMillis>,
        review: Option<(UnixMillis, i32)>,
        renews: Option<ConsentId>,
    },
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
    let Asked { recorder, publisher, record_type, groups, recipients, purposes } = asked;
    let client = state.own_client(recorder, scope.client).ok_or(Refusal::NotAvailable)?;
    holder::hold(state, (recorder, client), act.holder)?;
    // Counts only what this agency recorded, so that the limit tells nothing of others; a refusal always finds room.
    let own = state.consents_of(client).filter(|(_, row)| row.recorder == recorder).count();
    let (given, expires_at, review, renews) = match said {
        Said::Given { expires_at, review, renews } => (true, expires_at, review, renews),
        Said::Refused => (false, None, None, None),
    };
    if given && limit::CONSENTS_PER_CLIENT_MAX <= own {
        return Err(Refusal::LimitReached);
    }
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
        purposes,
        act: act_row(act),
        expires_at,
        review,
        renews,
        withdrawals: Vec::new(),
        invalid: None,
        resolved: None,
        ended: false,
        recorded_at: context.now,
    };
    if let Some(before) = renews {
        let before = state.tables.consents.get(&before);
        let _renewed =
            before.filter(|old| renewable(state, old, &row)).ok_or(Refusal::ConsentUnknown)?;
    }
    let id = ConsentId::derived(&derived("concordat.consent.v1", state, context));
    Ok(Change::Record(id, Box::new(row)))
}

/// Whether one consent may take the place of another: the same agency recorded it, about the same client and records, or
/// the one that took its place there.
fn renewable(state: &State, old: &Consent, new: &Consent) -> bool {
    let same = |before, by| before == by || state.took_place(by, before);
    old.given
        && same(old.recorder, new.recorder)
        && old.client == new.client
        && same(old.publisher, new.publisher)
        && old.record_type == new.record_type
        && old.gate == new.gate
}

pub(in crate::machine) fn act_row(act: &Act) -> ActRow {
    ActRow {
        grantor: i32::from(act.grantor),
        authority: i32::from(act.authority),
        mandate: i32::from(act.mandate),
        authority_ends_at: act.authority_ends_at,
        holder: act.holder,
        age_years: act.age_years,
        competence: i32::from(act.competence),
        view: i32::from(act.view),
        school_age: i32::from(act.school_age),
        method: i32::from(act.method),
        given_at: act.given_at,
        notice_digest: act.notice_digest,
        reviews: act.reviews.clone(),
    }
}

/// The row after a withdrawal. Any agency that the consent names lodges it, for all or for some recipients and groups. No
/// limit stands in its way, and what was withdrawn before keeps the position of that withdrawal.
fn withdraw(
    state: &State,
    context: &Context,
    id: ConsentId,
    (recipients, groups): (&BTreeSet<AgencyId>, &BTreeSet<GroupName>),
) -> Result<Consent, Refusal> {
    let caller = context.agency()?;
    let row = state.tables.consents.get(&id).ok_or(Refusal::ConsentUnknown)?;
    let mut named = [row.recorder, row.publisher].into_iter().chain(row.recipients.iter().copied());
    let named = named.any(|body| state.answers_for(caller, body));
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
    let groups = if groups.is_empty() {
        row.groups
    } else {
        state
            .record_type(row.record_type)
            .and_then(|known| known.set_of(groups))
            .filter(|groups| row.groups.covers(*groups))
            .ok_or(Refusal::ConsentUnknown)?
    };
    if recipients.iter().all(|recipient| row.withdrawn(*recipient, groups).is_some()) {
        return Err(Refusal::ConsentState);
    }
    let mut row = row.clone();
    let (position, at) = (context.position, context.now);
    row.withdrawals.push(Withdrawal { position, at, by: caller, recipients, groups });
    Ok(row)
}
