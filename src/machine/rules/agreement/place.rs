//! A body's place in an agreement is taken by another one: a next version, which says nothing else.
//!
//! The version is made from the one in force by a rule that leaves nothing to choose ([`in_place`]), so that whoever signs a
//! succession knows it. What the old body had suspended stays suspended until the successor resumes it. INVARIANT (no
//! looking back): the successor receives nothing from before, unless a flow says `backfill`; records of a body that went
//! over as a whole flow on to those, and from where, they flowed before.

use std::collections::BTreeSet;

use prost::Message;

use super::{activation, closed, content, findings, gap::Gap, status, written};
use crate::{
    machine::{
        command::agreement::Content,
        outcome::Refusal,
        state::{
            State,
            agency::{AgencyNumber, Keys},
            agreement::{Agreement, Status},
            record::Groups,
            succession::{Becomes, Share, Succession},
        },
    },
    model::{
        id::{AgencyId, AgreementId, FlowId},
        limit,
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::{AgreementContent, PartyRole},
};

/// The version in force of an agreement, of which an agency is a party and beside which no other one is being made.
///
/// # Errors
/// `AgreementUnknown` for who is no party of it, `AgreementState` if none is in force or another one is being made,
/// `SuccessionPending`.
pub(in crate::machine) fn standing<'a>(
    state: &'a State,
    caller: AgencyNumber,
    (id, now): (&AgreementId, UnixMillis),
) -> Result<&'a Agreement, Refusal> {
    let row = state.tables.agreements.get(id).filter(|row| row.parties.contains_key(&caller));
    let row = row.ok_or(Refusal::AgreementUnknown)?;
    if state.indexes.successions.open.contains_key(id) {
        return Err(Refusal::SuccessionPending);
    }
    let beside = state.latest_version(id).map(|latest| status(latest, now));
    let made = matches!(beside, Some(Status::Draft | Status::Proposed));
    if made || status(row, now) != Status::Active { Err(Refusal::AgreementState) } else { Ok(row) }
}

/// The agreements in force of which a body is a party.
pub(in crate::machine) fn in_force_of(
    state: &State,
    body: AgencyNumber,
    now: UnixMillis,
) -> impl Iterator<Item = &AgreementId> {
    let rows = state.tables.agreements.iter();
    rows.filter(move |(_, row)| {
        row.parties.contains_key(&body) && status(row, now) == Status::Active
    })
    .map(|(id, _)| id)
}

/// The version that comes of it; none if nothing is left to share.
///
/// # Errors
/// `LimitReached`, and what would refuse a draft of the content although nothing stands against the version in force.
pub(in crate::machine) fn becomes(
    state: &State,
    (id, row): (&AgreementId, &Agreement),
    (old, new): (&AgencyId, &AgencyId),
    now: UnixMillis,
) -> Result<Option<Becomes>, Refusal> {
    let incomplete = Refusal::AgreementIncomplete;
    let before = AgreementContent::decode(row.content.as_slice())
        .map_err(|_| Refusal::AgreementIncomplete)?;
    let after = in_place(state, before.clone(), (old, new));
    if after.parties.len() < 2 || after.flows.is_empty() {
        return Ok(None);
    }
    let before = Content::try_from(before).map_err(|_| incomplete)?;
    let after = Content::try_from(after).map_err(|_| incomplete)?;
    let known: BTreeSet<_> = findings(state, now, &before).iter().map(|known| known.gap).collect();
    let mut added = findings(state, now, &after);
    added.retain(|finding| finding.gap == Gap::PartyDiffers || !known.contains(&finding.gap));
    content::draftable(&added)?;
    if !added.is_empty() {
        return Err(incomplete);
    }
    let version = state.latest_version(id).map_or(row.version, |latest| latest.version);
    let version = version.saturating_add(1);
    if limit::AGREEMENT_VERSIONS_MAX < usize::try_from(version).unwrap_or(usize::MAX) {
        return Err(Refusal::LimitReached);
    }
    let content_hash = after.hash(state.ledger(), id, version);
    Ok(Some(Becomes { version, content_hash, content: after.encoded }))
}

/// The content with the successor wherever the old body stood, the parties' present keys, and roles as they are then. A
/// flow from a body to itself is none.
fn in_place(
    state: &State,
    mut content: AgreementContent,
    (old, new): (&AgencyId, &AgencyId),
) -> AgreementContent {
    let swap = |id: &mut String| {
        if id == old.as_str() {
            new.as_str().clone_into(id);
        }
    };
    let swap_all = |ids: &mut Vec<String>| {
        let mut seen = BTreeSet::new();
        ids.iter_mut().for_each(swap);
        ids.retain(|id| seen.insert(id.clone()));
    };
    for flow in &mut content.flows {
        swap(&mut flow.publisher);
        swap(&mut flow.owner);
        swap_all(&mut flow.recipients);
        flow.recipients.retain(|recipient| *recipient != flow.publisher);
    }
    content.flows.retain(|flow| !flow.recipients.is_empty());
    if content.parties.iter().any(|party| party.agency == new.as_str()) {
        content.parties.retain(|party| party.agency != old.as_str());
    }
    for party in &mut content.parties {
        swap(&mut party.agency);
        let number = party.agency.parse().ok().and_then(|id: AgencyId| state.agency_number(&id));
        if let Some(agency) = number.and_then(|number| state.agency(number)) {
            party.kind = agency.kind;
            if let Some(keys) = &agency.keys {
                party.key_fingerprint = keys.fingerprint().as_bytes().to_vec().into();
            }
        }
        if party.role != i32::from(PartyRole::Unspecified) {
            let publishes = content.flows.iter().any(|flow| flow.publisher == party.agency);
            let receives = content.flows.iter().any(|flow| flow.recipients.contains(&party.agency));
            party.role = i32::from(content::role_of(publishes, receives));
        }
    }
    if let Some(terms) = &mut content.terms {
        swap_all(&mut terms.joint_controllers);
        swap(&mut terms.rights_contact);
        swap(&mut terms.reporting_body);
        swap(&mut terms.incident_contact);
        terms.indicators.iter_mut().for_each(|indicator| swap(&mut indicator.owner));
    }
    content
}

/// What taking one place does.
pub(in crate::machine) struct Taken {
    /// The version that was in force.
    replaced: Agreement,
    /// The version in force from now on, if one is.
    stands: Option<Agreement>,
    /// Since when records of the old body flow, by flow, recipient and groups.
    since: Vec<(FlowId, AgencyNumber, Groups, Position)>,
}

/// Takes a place as a succession settles it: nothing, if the version in which it is to be taken is in force no more.
pub(in crate::machine) fn taken(
    state: &State,
    (succession, share): (&Succession, &Share),
    (position, now): (Position, UnixMillis),
) -> Option<Taken> {
    let (id, old) = (&share.agreement, succession.old);
    let row = state.tables.agreements.get(id)?;
    let same = row.version == share.version && row.content_hash == share.content_hash;
    if !same || status(row, now) != Status::Active {
        return None;
    }
    let Some(becomes) = &share.becomes else {
        let replaced = Agreement { status: Status::Ended, ended_at: Some(now), ..row.clone() };
        return Some(Taken { replaced, stands: None, since: Vec::new() });
    };
    let content = AgreementContent::decode(becomes.content.as_slice()).ok()?;
    let wanted = Content::try_from(content).ok()?;
    let parties = wanted.parties.iter();
    let parties = parties
        .map(|party| Some((state.agency_number(party.agency.as_ref()?)?, party.key_fingerprint?)))
        .collect::<Option<_>>()?;
    // Its texts are those that were sealed with the draft.
    let origin = (row.drafter, row.drafted, row.drafted_at);
    let next = written(state, (id, becomes.version, &wanted), (parties, origin)).ok()?;
    let mut next = activation::in_force_now(state, id, next, (position, now));
    if row.suspended_by.contains(&old) {
        next.suspended_by.insert(share.successor);
    }
    for (agency, approval) in &succession.approvals {
        if next.parties.contains_key(agency) {
            next.approvals.insert(*agency);
            next.approvers.insert(*agency, (approval.role, approval.authority));
            next.decided_at.insert(*agency, approval.at);
        }
    }
    next.proposed_at = Some(succession.proposed_at);
    next.activated_at = Some(now);
    let due = next.deadlines().iter().filter(|(at, _)| *at <= now).count();
    next.deadlines_told = u32::try_from(due).unwrap_or(u32::MAX);
    let since = if succession.merges() { since(row, &next, old) } else { Vec::new() };
    let replaced = Agreement { status: Status::Replaced, ..closed(row, now) };
    let replaced = Agreement { ended_at: Some(now), ..replaced };
    Some(Taken { replaced, stands: Some(next), since })
}

/// Writes it down; gives since when records of the old body flow.
pub(in crate::machine) fn put(
    state: &mut State,
    id: &AgreementId,
    taken: Taken,
) -> Vec<(FlowId, AgencyNumber, Groups, Position)> {
    let Taken { replaced, stands, since } = taken;
    match stands {
        Some(stands) => {
            let key = (id.clone(), replaced.version);
            state.tables.versions.put(&mut state.journal, key, replaced);
            state.put_agreement(id, stands);
        }
        None => state.put_agreement(id, replaced),
    }
    since
}

/// From where on the old body's records flow by the flows that it published by.
fn since(
    before: &Agreement,
    after: &Agreement,
    old: AgencyNumber,
) -> Vec<(FlowId, AgencyNumber, Groups, Position)> {
    let mut since = Vec::new();
    for was in before.flows.iter().filter(|flow| flow.publisher == old) {
        let same = after.flows.iter().find(|flow| flow.id == was.id);
        for recipient in same.iter().flat_map(|flow| flow.recipients.intersection(&was.recipients))
        {
            for (_, group) in was.groups.each() {
                let from = before.since(was, *recipient, group);
                since.push((was.id.clone(), *recipient, group, from));
            }
        }
    }
    since
}

/// The key by which an agency signs now.
pub(in crate::machine) fn key_of(
    state: &State,
    agency: AgencyNumber,
) -> Option<crate::model::digest::Digest> {
    state.agency(agency).and_then(|row| row.keys.as_ref()).map(Keys::fingerprint)
}
