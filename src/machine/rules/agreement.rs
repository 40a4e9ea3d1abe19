//! Agreements: drafted by a party, put before all, and active when every party has approved one content hash.
//!
//! Drafted → proposed → active → ended, or proposed → declined. While a version is proposed or active its content is
//! fixed; after it was declined or has ended a new draft takes the next number. Every party may suspend its own flows,
//! and end the whole, alone and at once. What a content must be is decided in `agreement/content.rs`.
//!
//! INVARIANT (hash): an agreement is active only if each of its parties signed the hash of the one content that stands,
//! with the key that the content names for it (`approve`).
//!
//! Agreement ids are one space for the whole exchange: drafting an id that strangers use is answered `AGREEMENT_EXISTS`,
//! which tells that the slug is taken and nothing else. Every other command is answered `NOT_AVAILABLE`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    machine::{
        apply::{Context, Effect},
        command::agreement::{AgreementCommand, Content},
        outcome::{Receipt, Refusal, Remembered},
        state::{
            State,
            agency::{AgencyNumber, Keys},
            agreement::{Agreement, Flow, Status},
            record::TypeNumber,
        },
        sweep,
    },
    model::{
        digest::Digest,
        id::AgreementId,
        order::{Position, UnixMillis},
    },
};

mod content;

/// What is decided about an agreement.
#[derive(Debug)]
pub(in crate::machine) struct Change {
    id: AgreementId,
    row: Agreement,
    then: Then,
}

/// What a change of an agreement does to what may flow.
#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    Narrow,
    Offer,
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &AgreementCommand,
) -> Result<Change, Refusal> {
    let caller = context.agency()?;
    let now = context.now;
    let (id, row, then) = match command {
        AgreementCommand::Draft { agreement: id, content } => {
            (id, draft(state, context, id, content)?, Then::Nothing)
        }
        AgreementCommand::Propose { agreement: id, version, content_hash } => {
            let row = of_party(state, caller, id)?;
            hold(row, now, &[Status::Draft], Some(*version), Some(content_hash))?;
            still_to_come(now, row.expires_at)?;
            let status = Status::Proposed;
            (id, Agreement { status, proposed_at: Some(now), ..row.clone() }, Then::Nothing)
        }
        AgreementCommand::Approve { agreement: id, version, content_hash } => {
            let row = of_party(state, caller, id)?;
            hold(row, now, &[Status::Proposed], Some(*version), Some(content_hash))?;
            approve(state, context, caller, id, row)?
        }
        AgreementCommand::Decline { agreement: id, version } => {
            let mut row = of_party(state, caller, id)?.clone();
            hold(&row, now, &[Status::Proposed], Some(*version), None)?;
            let _approved = row.approvals.remove(&caller);
            row.decided_at.insert(caller, now);
            (id, Agreement { status: Status::Declined, ended_at: Some(now), ..row }, Then::Nothing)
        }
        AgreementCommand::Suspend { agreement: id } => {
            let mut row = of_party(state, caller, id)?.clone();
            hold(&row, now, &[Status::Active], None, None)?;
            if !row.suspended_by.insert(caller) {
                return Err(Refusal::AgreementState);
            }
            (id, row, Then::Narrow)
        }
        AgreementCommand::Resume { agreement: id } => {
            let mut row = of_party(state, caller, id)?.clone();
            hold(&row, now, &[Status::Active], None, None)?;
            if !row.suspended_by.remove(&caller) {
                return Err(Refusal::NotSuspended);
            }
            (id, row, Then::Offer)
        }
        AgreementCommand::End { agreement: id } => {
            let row = of_party(state, caller, id)?;
            hold(row, now, &[Status::Draft, Status::Proposed, Status::Active], None, None)?;
            let status = Status::Ended;
            (id, Agreement { status, ended_at: Some(now), ..row.clone() }, Then::Narrow)
        }
    };
    Ok(Change { id: id.clone(), row, then })
}

pub(in crate::machine) fn perform(
    state: &mut State,
    _context: &Context,
    change: Change,
    effects: &mut Vec<Effect>,
) -> Receipt {
    let Change { id, row, then } = change;
    let answer = Remembered::Agreement { version: row.version, content_hash: row.content_hash };
    state.put_agreement(&id, row);
    match then {
        Then::Nothing => {}
        Then::Narrow => sweep::narrow(state, effects),
        Then::Offer => sweep::offer_agreement(state, &id, effects),
    }
    Receipt::Answer(answer)
}

/// The flows by which records of a type may go from a publisher to a recipient now: of active agreements that have not
/// reached their end. `suspended` says whether flows that one of the two has suspended are among them.
pub(super) fn flows_in_force(
    state: &State,
    (publisher, record_type, recipient): (AgencyNumber, TypeNumber, AgencyNumber),
    now: UnixMillis,
    suspended: bool,
) -> impl Iterator<Item = (&Agreement, &Flow)> {
    state.flows_between((publisher, record_type, recipient)).filter_map(move |(id, place)| {
        let agreement = state.tables.agreements.get(id)?;
        let held =
            [publisher, recipient].iter().any(|party| agreement.suspended_by.contains(party));
        let open = agreement.status == Status::Active
            && now < agreement.expires_at
            && (suspended || !held);
        let flow = agreement.flows.get(usize::from(place)).filter(|_| open)?;
        Some((agreement, flow))
    })
}

/// The agreement, for one of its parties.
fn of_party<'a>(
    state: &'a State,
    caller: AgencyNumber,
    id: &AgreementId,
) -> Result<&'a Agreement, Refusal> {
    let row = state.tables.agreements.get(id).ok_or(Refusal::AgreementUnknown)?;
    if row.parties.contains_key(&caller) { Ok(row) } else { Err(Refusal::AgreementUnknown) }
}

/// Where the version stands at `now`: an agreement past its date has ended, whether or not an entry has said so yet.
fn status(row: &Agreement, now: UnixMillis) -> Status {
    let over = row.status == Status::Active && row.expires_at <= now;
    if over { Status::Ended } else { row.status }
}

/// Holds that the agreement stands in one of `statuses`, at the version and content that the caller has seen.
fn hold(
    row: &Agreement,
    now: UnixMillis,
    statuses: &[Status],
    version: Option<u32>,
    content_hash: Option<&Digest>,
) -> Result<(), Refusal> {
    if !statuses.contains(&status(row, now)) {
        return Err(Refusal::AgreementState);
    }
    if version.is_some_and(|version| version != row.version) {
        return Err(Refusal::VersionDiffers);
    }
    if content_hash.is_some_and(|hash| *hash != row.content_hash) {
        return Err(Refusal::ContentHashDiffers);
    }
    Ok(())
}

/// Holds that an agreement's end lies in the future.
fn still_to_come(now: UnixMillis, expires_at: UnixMillis) -> Result<(), Refusal> {
    if now < expires_at { Ok(()) } else { Err(Refusal::ExpiryInvalid) }
}

/// The row of a new or replaced draft.
fn draft(
    state: &State,
    context: &Context,
    id: &AgreementId,
    wanted: &Content,
) -> Result<Agreement, Refusal> {
    let caller = context.agency()?;
    content::purpose(wanted)?;
    let old = state.tables.agreements.get(id);
    if old.is_some_and(|old| !old.parties.contains_key(&caller)) {
        return Err(Refusal::AgreementExists);
    }
    content::names_the_caller(state, caller, wanted)?;
    let version = match old {
        None => 1,
        Some(old) => match status(old, context.now) {
            Status::Draft => old.version,
            Status::Declined | Status::Ended => old.version.saturating_add(1),
            Status::Proposed | Status::Active => return Err(Refusal::AgreementState),
        },
    };
    let parties = content::parties(state, wanted)?;
    let flows = content::flows(state, &parties, wanted)?;
    content::expiry(context.now, wanted)?;
    Ok(Agreement {
        version,
        status: Status::Draft,
        content_hash: wanted.hash(state.ledger(), id, version),
        content: wanted.encoded.clone(),
        parties,
        purpose: i32::from(wanted.purpose),
        flows,
        expires_at: wanted.expires_at,
        approvals: BTreeSet::new(),
        suspended_by: BTreeSet::new(),
        activated: Position::FIRST,
        drafter: caller,
        drafted_at: context.now,
        proposed_at: None,
        decided_at: BTreeMap::new(),
        activated_at: None,
        ended_at: None,
    })
}

/// The row after one more approval; the last one activates.
fn approve<'a>(
    state: &State,
    context: &Context,
    caller: AgencyNumber,
    id: &'a AgreementId,
    row: &Agreement,
) -> Result<(&'a AgreementId, Agreement, Then), Refusal> {
    let keys = state.agency(caller).and_then(|agency| agency.keys.as_ref());
    let fingerprint = keys.map(Keys::fingerprint);
    // INVARIANT (hash): the key that signs now is the one that the content names.
    if fingerprint.is_none() || row.parties.get(&caller).copied() != fingerprint {
        return Err(Refusal::PartyInvalid);
    }
    still_to_come(context.now, row.expires_at)?;
    let mut row = row.clone();
    if !row.approvals.insert(caller) {
        return Err(Refusal::AlreadyApproved);
    }
    row.decided_at.insert(caller, context.now);
    // INVARIANT (hash): approvals are a subset of the parties, and all of one hash: a new draft starts with none.
    if row.approvals.len() < row.parties.len() {
        return Ok((id, row, Then::Nothing));
    }
    row.status = Status::Active;
    row.activated = context.position;
    row.activated_at = Some(context.now);
    Ok((id, row, Then::Offer))
}
