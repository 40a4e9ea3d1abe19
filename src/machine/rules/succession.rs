//! Successions: one body takes the place of another, once the successors, every other party of the agreements concerned and
//! the old body have approved one content hash.
//!
//! Proposed → approved → in force; or declined, or lapsed. In every agreement that a succession names, the step in which it
//! comes into force puts a next version into force (`agreement/place.rs`), so that decisions look nowhere else than before.
//! A merger gives the successor what was the old body's own and closes the old body; a split or a moved function gives it
//! the place and nothing else. Why the rules are these is told in docs/decisions/0027.
//!
//! INVARIANT (hash): a place is taken only if each of those who have to approve signed the hash of the one content, with
//! the key that it had when the succession was proposed (`approve`), and the version that comes of it follows from that
//! content. INVARIANT (no proxy): the operator's suspension takes the old body's voice and gives it to nobody: without a
//! statutory instrument nothing can be proposed without the old body, and it speaks again once it is resumed (`settled`).

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    machine::{
        apply::{Context, Effect},
        command::succession::{self as command, Content, SuccessionCommand},
        outcome::{Receipt, Refusal, Remembered},
        rules::{agreement::place, exchange::derived, recall::ended},
        state::{
            State,
            agency::{Agency, AgencyNumber},
            agreement::Agreement,
            notice::{About, Notice, SuccessionEvent},
            succession::{Approval, Share, Status, Succession},
        },
        sweep,
    },
    model::{
        digest::Digest,
        id::{AgencyId, SuccessionId},
        limit,
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::{SuccessionInstrument, SuccessionKind},
};

/// What is decided about a succession.
#[derive(Debug)]
pub(in crate::machine) struct Change {
    id: SuccessionId,
    row: Box<Succession>,
    event: SuccessionEvent,
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &SuccessionCommand,
) -> Result<Change, Refusal> {
    let caller = context.agency()?;
    match command {
        SuccessionCommand::Propose { content } => propose(state, context, content),
        SuccessionCommand::Approve { succession, content_hash, role, authority } => {
            let row = of(state, caller, *succession)?;
            if row.status != Status::Proposed || row.lapses_at <= context.now {
                return Err(Refusal::SuccessionState);
            }
            if row.content_hash != *content_hash {
                return Err(Refusal::ContentHashDiffers);
            }
            let (role, authority) = (i32::from(*role), i32::from(*authority));
            let approval = Approval { role, authority, at: context.now };
            approve(state, (*succession, row), (caller, approval))
        }
        SuccessionCommand::Decline { succession, reason } => {
            let row = of(state, caller, *succession)?;
            if !row.open() {
                return Err(Refusal::SuccessionState);
            }
            let reason = i32::from(*reason);
            let mut row = row.clone();
            let _approved = row.approvals.remove(&caller);
            row.declined = Some((caller, reason));
            row.status = Status::Declined;
            row.closed = Some((context.position, context.now));
            let event = SuccessionEvent::Declined(reason);
            Ok(Change { id: *succession, row: Box::new(row), event })
        }
    }
}

pub(in crate::machine) fn perform(
    state: &mut State,
    context: &Context,
    change: Change,
    effects: &mut Vec<Effect>,
) -> Receipt {
    let Change { id, row, event } = change;
    let (by, content_hash) = (context.agency().ok(), row.content_hash);
    let at_once = row.status == Status::Approved
        && row.effective_at.is_none_or(|effective_at| effective_at <= context.now);
    if at_once {
        come_into_force(state, (id, *row), (context.position, context.now), (by, effects));
    } else {
        tell(state, (id, &row), (by, event), context.now);
        state.put_succession(id, *row);
    }
    Receipt::Answer(Remembered::Succession { succession: id, content_hash })
}

/// Takes one succession whose date has come, or that was not approved in time; tells whether there was one. One writes so
/// many rows that other deadlines wait for the next entry; decisions compare those dates by themselves.
pub(in crate::machine) fn deadline(
    state: &mut State,
    now: UnixMillis,
    effects: &mut Vec<Effect>,
) -> bool {
    let due = state.indexes.successions.deadlines.first().filter(|(at, _)| *at <= now);
    let Some((id, row)) = due.and_then(|(_, id)| Some((*id, state.succession(*id)?.clone())))
    else {
        return false;
    };
    let at = (state.chain.next, now);
    match row.status {
        Status::Approved => come_into_force(state, (id, row), at, (None, effects)),
        Status::Proposed | Status::InForce | Status::Declined | Status::Lapsed => {
            lapse(state, (id, row), at, None);
        }
    }
    true
}

/// A succession that the caller has to approve, while it stands.
fn of(state: &State, caller: AgencyNumber, id: SuccessionId) -> Result<&Succession, Refusal> {
    let row = state.succession(id).filter(|row| row.parties.contains_key(&caller));
    row.ok_or(Refusal::NotAvailable)
}

fn propose(state: &State, context: &Context, wanted: &Content) -> Result<Change, Refusal> {
    let (caller, now) = (context.agency()?, context.now);
    let old = state.agency_number(&wanted.old).ok_or(Refusal::SuccessionInvalid)?;
    let mut rows = Vec::new();
    for share in &wanted.shares {
        let row = place::standing(state, caller, (&share.agreement, now))?;
        if row.version != share.version {
            return Err(Refusal::VersionDiffers);
        }
        if row.content_hash != share.content_hash {
            return Err(Refusal::ContentHashDiffers);
        }
        rows.push((share, row));
    }
    let (successors, silent) = bodies(state, old, wanted)?;
    if rows.iter().any(|(_, row)| !row.parties.contains_key(&old)) {
        return Err(Refusal::SuccessionInvalid);
    }
    let named: BTreeSet<_> = wanted.shares.iter().map(|share| &share.agreement).collect();
    let merger = wanted.kind == SuccessionKind::Merger;
    if merger && place::in_force_of(state, old, now).any(|id| !named.contains(id)) {
        return Err(Refusal::SuccessionIncomplete);
    }
    let latest = now.plus(limit::SUCCESSION_AHEAD_MS);
    if wanted.effective_at.is_some_and(|at| at <= now || latest < at) {
        return Err(Refusal::SuccessionDateInvalid);
    }
    let parties = rows.iter().flat_map(|(_, row)| row.parties.keys().copied());
    let parties: BTreeSet<_> = parties.chain(successors.values().copied()).collect();
    let parties = parties.into_iter().filter(|party| *party != old || !silent);
    let parties = keyed(state, parties)?;
    let open = state.successions_of(caller, None).filter(|(_, _, row)| row.open());
    if limit::SUCCESSION_PARTIES_MAX < parties.len() || limit::SUCCESSIONS_OPEN_MAX <= open.count()
    {
        return Err(Refusal::LimitReached);
    }
    let shares = shares(state, &rows, (&wanted.old, &successors), now)?;
    let id = SuccessionId::derived(&derived("concordat.succession.v1", state, context));
    let lapses_at = wanted.effective_at.unwrap_or(now).plus(limit::SUCCESSION_LAPSES_MS);
    let row = Succession {
        old,
        kind: i32::from(wanted.kind),
        instrument: i32::from(wanted.instrument),
        shares,
        effective_at: wanted.effective_at,
        carries_caseload: wanted.carries_caseload,
        content: wanted.encoded.clone(),
        content_hash: wanted.hash(state.ledger(), id),
        parties,
        approvals: BTreeMap::new(),
        declined: None,
        status: Status::Proposed,
        proposer: caller,
        proposed: context.position,
        proposed_at: now,
        lapses_at,
        closed: None,
    };
    Ok(Change { id, row: Box::new(row), event: SuccessionEvent::Proposed })
}

/// What becomes of each agreement.
fn shares(
    state: &State,
    rows: &[(&command::Share, &Agreement)],
    (old, successors): (&AgencyId, &BTreeMap<&AgencyId, AgencyNumber>),
    now: UnixMillis,
) -> Result<Vec<Share>, Refusal> {
    let share = |(share, row): &(&command::Share, &Agreement)| {
        let command::Share { agreement, version, content_hash, successor: new } = share;
        Ok(Share {
            agreement: agreement.clone(),
            version: *version,
            content_hash: *content_hash,
            successor: *successors.get(new).ok_or(Refusal::SuccessionInvalid)?,
            becomes: place::becomes(state, (agreement, row), (old, new), now)?,
            taken: false,
            since: Vec::new(),
        })
    };
    rows.iter().map(share).collect()
}

/// The successors by their ids, and whether the old body cannot speak and need not.
fn bodies<'a>(
    state: &State,
    old: AgencyNumber,
    content: &'a Content,
) -> Result<(BTreeMap<&'a AgencyId, AgencyNumber>, bool), Refusal> {
    let mut successors = BTreeMap::new();
    for share in &content.shares {
        let number = state.agency_number(&share.successor).ok_or(Refusal::SuccessionInvalid)?;
        if number == old || !state.agency(number).is_some_and(Agency::in_force) {
            return Err(Refusal::SuccessionInvalid);
        }
        successors.insert(&share.successor, number);
    }
    let fits = match content.kind {
        SuccessionKind::Unspecified => false,
        SuccessionKind::Merger | SuccessionKind::FunctionMoved => successors.len() == 1,
        SuccessionKind::Split => 1 < successors.len(),
    };
    // What has gone over into another body has nothing left that could go over.
    if !fits || state.heir(old) != old {
        return Err(Refusal::SuccessionInvalid);
    }
    let silent = !state.agency(old).is_some_and(Agency::in_force);
    let own = match content.instrument {
        SuccessionInstrument::Unspecified | SuccessionInstrument::OwnDecision => true,
        SuccessionInstrument::Act
        | SuccessionInstrument::Order
        | SuccessionInstrument::TransferScheme => false,
    };
    // INVARIANT (no proxy)
    if silent && own { Err(Refusal::SuccessionUnproven) } else { Ok((successors, silent)) }
}

fn keyed(
    state: &State,
    parties: impl Iterator<Item = AgencyNumber>,
) -> Result<BTreeMap<AgencyNumber, Digest>, Refusal> {
    let keyed = parties.map(|party| {
        place::key_of(state, party).map(|key| (party, key)).ok_or(Refusal::PartyInvalid)
    });
    keyed.collect()
}

/// One more approval; with the last one it is approved.
fn approve(
    state: &State,
    (id, row): (SuccessionId, &Succession),
    (caller, approval): (AgencyNumber, Approval),
) -> Result<Change, Refusal> {
    // INVARIANT (hash): the key that signs now is the one that the succession was put before.
    if row.parties.get(&caller).copied() != place::key_of(state, caller) {
        return Err(Refusal::PartyInvalid);
    }
    let mut row = row.clone();
    if row.approvals.insert(caller, approval).is_some() {
        return Err(Refusal::AlreadyApproved);
    }
    let event = if row.approvals.len() == row.parties.len() {
        row.status = Status::Approved;
        SuccessionEvent::Settled
    } else {
        SuccessionEvent::Approved
    };
    Ok(Change { id, row: Box::new(row), event })
}

/// Whether everybody who has a voice now has approved: a body that was suspended then and is resumed has one.
fn settled(state: &State, row: &Succession) -> bool {
    let speaks = state.agency(row.old).is_some_and(Agency::in_force);
    let heard = !speaks || row.approvals.contains_key(&row.old);
    let fit = |share: &Share| state.agency(share.successor).is_some_and(Agency::in_force);
    heard && state.heir(row.old) == row.old && row.shares.iter().all(fit)
}

/// Takes the places that are still there to take.
fn come_into_force(
    state: &mut State,
    (id, mut row): (SuccessionId, Succession),
    (position, now): (Position, UnixMillis),
    (by, effects): (Option<AgencyNumber>, &mut Vec<Effect>),
) {
    let taken: Vec<_> = if settled(state, &row) {
        let shares = row.shares.iter();
        shares.map(|share| place::taken(state, (&row, share), (position, now))).collect()
    } else {
        Vec::new()
    };
    if taken.iter().all(Option::is_none) {
        lapse(state, (id, row), (position, now), by);
        return;
    }
    for (share, taken) in row.shares.iter_mut().zip(taken) {
        if let Some(taken) = taken {
            share.since = place::put(state, &share.agreement, taken);
            share.taken = true;
        }
    }
    row.status = Status::InForce;
    row.closed = Some((position, now));
    if row.merges()
        && let Some(old) = state.agency(row.old).cloned()
    {
        state.put_agency(row.old, Agency { suspended: true, ..old });
    }
    // Told before the old body is resolved to its successor, so that each of them has it once.
    tell(state, (id, &row), (by, SuccessionEvent::InForce), now);
    state.put_succession(id, row.clone());
    sweep::narrow(state, effects);
    for share in row.shares.iter().filter(|share| share.taken) {
        sweep::offer_agreement(state, &share.agreement, effects);
        // Who lost its place and goes on, and where nobody is left to share with: as the terms say at their end.
        ended::begin_later(state, share.agreement.clone(), effects);
    }
}

fn lapse(
    state: &mut State,
    (id, row): (SuccessionId, Succession),
    (position, now): (Position, UnixMillis),
    by: Option<AgencyNumber>,
) {
    let row = Succession { status: Status::Lapsed, closed: Some((position, now)), ..row };
    tell(state, (id, &row), (by, SuccessionEvent::Lapsed), now);
    state.put_succession(id, row);
}

/// Tells everybody whom it concerns. Who acts is told too of what its act brought about.
fn tell(
    state: &mut State,
    (id, row): (SuccessionId, &Succession),
    (by, event): (Option<AgencyNumber>, SuccessionEvent),
    now: UnixMillis,
) {
    let outcome = matches!(event, SuccessionEvent::InForce | SuccessionEvent::Lapsed);
    for agency in row.concerned().into_iter().filter(|agency| outcome || by != Some(*agency)) {
        let about = About::Succession { succession: id, old: row.old, by, event };
        state.notify(agency, Notice { at: now, about });
    }
}
