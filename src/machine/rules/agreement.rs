//! Agreements: drafted by a party, put before all, and active when every party has approved one content hash.
//!
//! Drafted → proposed → active → replaced or ended, or proposed → declined. While a version is proposed or active its
//! content is fixed. A next version may be drafted beside the one in force and replaces it in the one step that makes it
//! active; after a version was declined or has ended a new draft takes the next number. Every party may suspend its own
//! flows, and end the whole, alone and at once. What a content must be is decided in `agreement/content.rs`, what an
//! activation takes over in `agreement/activation.rs`, what time does in `agreement/course.rs`.
//!
//! INVARIANT (hash): a version is active only if each of its parties signed the hash of its one content, with the key
//! that the content names for it (`approve`). INVARIANT (complete): nothing is proposed or activated that misses
//! anything of the catalogue in `agreement/gap.rs` (`complete`).
//!
//! Agreement ids are one space for the whole exchange: drafting an id that strangers use is answered `AGREEMENT_EXISTS`,
//! which tells that the slug is taken and nothing else. Every other command is answered `NOT_AVAILABLE`.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;

use crate::{
    machine::{
        apply::{Context, Effect, Who},
        command::agreement::{AgreementCommand, Content},
        outcome::{Receipt, Refusal, Remembered},
        rules::recall::ended::{self, Ending},
        state::{
            State,
            agency::{AgencyNumber, Keys},
            agreement::{Agreement, Flow, Status},
            notice::{About, AgreementEvent, Notice},
            record::TypeNumber,
        },
        sweep,
    },
    model::{
        digest::Digest,
        id::{AgreementId, RequestId},
        limit,
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::{AgreementContent, AtExpiry, AtReview, LawfulBasis, Purpose, SuspendReason},
};

pub mod gap;

mod activation;
mod content;
mod course;
mod lawful;
pub(in crate::machine) mod place;
mod terms;

pub(in crate::machine) use activation::in_force_now;
pub(in crate::machine) use content::findings;
pub(in crate::machine) use course::deadlines;
use gap::Gap;

/// What is decided about an agreement.
#[derive(Debug)]
pub(in crate::machine) struct Change {
    id: AgreementId,
    writes: Vec<Write>,
    answer: (u32, Digest),
    then: Then,
    /// Who is told what, of which version.
    told: Vec<(AgencyNumber, u32, AgreementEvent)>,
}

/// What becomes of one version.
#[derive(Debug)]
enum Write {
    /// It is the one that stands.
    Standing(Agreement),
    /// It stands beside the one that stands.
    Beside(Agreement),
    /// It no longer stands beside.
    Forget(u32),
}

/// What a change of an agreement does to what may flow.
#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    Narrow,
    Offer,
    Replace {
        /// Whether a party of the version before is none of this one.
        left: bool,
    },
    End,
}

impl Change {
    fn of(id: &AgreementId, row: &Agreement, writes: Vec<Write>) -> Self {
        let answer = (row.version, row.content_hash);
        Self { id: id.clone(), writes, answer, then: Then::Nothing, told: Vec::new() }
    }

    fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }

    /// Tells every party of `row` but the one that acts.
    fn telling(mut self, row: &Agreement, but: AgencyNumber, event: AgreementEvent) -> Self {
        let others = row.parties.keys().filter(|party| **party != but);
        self.told.extend(others.map(|party| (*party, row.version, event)));
        self
    }
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &AgreementCommand,
) -> Result<Change, Refusal> {
    let caller = context.agency()?;
    let now = context.now;
    match command {
        AgreementCommand::Draft { agreement: id, content } => draft(state, context, id, content),
        AgreementCommand::Propose { agreement: id, version, content_hash } => {
            let row = of_party(state, caller, id)?;
            hold(row, now, &[Status::Draft], Some((*version, Some(content_hash))))?;
            complete(state, now, row, &[])?;
            let row = Agreement { status: Status::Proposed, proposed_at: Some(now), ..row.clone() };
            let change = Change::of(id, &row, vec![in_place(state, id, row.clone())]);
            Ok(change.telling(&row, caller, AgreementEvent::Proposed))
        }
        AgreementCommand::Approve { agreement: id, version, content_hash, role, authority } => {
            let row = of_party(state, caller, id)?;
            hold(row, now, &[Status::Proposed], Some((*version, Some(content_hash))))?;
            let approver = (i32::from(*role), i32::from(*authority));
            approve(state, context, (id, row), approver)
        }
        AgreementCommand::Decline { agreement: id, version, reason } => {
            let mut row = of_party(state, caller, id)?.clone();
            hold(&row, now, &[Status::Proposed], Some((*version, None)))?;
            let _approved = row.approvals.remove(&caller);
            let _approver = row.approvers.remove(&caller);
            row.decided_at.insert(caller, now);
            row.declined_for = i32::from(*reason);
            let row = Agreement { status: Status::Declined, ended_at: Some(now), ..row };
            let change = Change::of(id, &row, vec![in_place(state, id, row.clone())]);
            Ok(change.telling(&row, caller, AgreementEvent::Declined(row.declined_for)))
        }
        AgreementCommand::Suspend { agreement: id, reason } => suspend(state, context, id, *reason),
        AgreementCommand::Resume { agreement: id } => {
            let mut row = standing_of_party(state, caller, id)?.clone();
            hold(&row, now, &[Status::Active], None)?;
            if !row.suspended_by.remove(&caller) {
                return Err(Refusal::NotSuspended);
            }
            let change = Change::of(id, &row, vec![Write::Standing(row.clone())]);
            Ok(change.then(Then::Offer).telling(&row, caller, AgreementEvent::Resumed))
        }
        AgreementCommand::End { agreement: id } => end(state, context, id),
    }
}

pub(in crate::machine) fn perform(
    state: &mut State,
    context: &Context,
    change: Change,
    effects: &mut Vec<Effect>,
) -> Receipt {
    let Change { id, writes, answer: (version, content_hash), then, told } = change;
    for write in writes {
        match write {
            Write::Standing(row) => state.put_agreement(&id, row),
            Write::Beside(row) => {
                let key = (id.clone(), row.version);
                state.tables.versions.put(&mut state.journal, key, row);
            }
            Write::Forget(version) => {
                let key = (id.clone(), version);
                let _stands_now = state.tables.versions.remove(&mut state.journal, &key);
            }
        }
    }
    let by = context.agency().ok();
    for (agency, version, event) in told {
        let about = About::Agreement { agreement: id.clone(), version, by, event };
        state.notify(agency, Notice { at: context.now, about });
    }
    match then {
        Then::Nothing => {}
        Then::Narrow => sweep::narrow(state, effects),
        Then::Offer => sweep::offer_agreement(state, &id, effects),
        Then::Replace { left } => {
            sweep::narrow(state, effects);
            if left {
                let ending = Ending::Agreement(id.clone());
                ended::begin(state, ending, (context.position, context.now), effects);
            }
            sweep::offer_agreement(state, &id, effects);
        }
        Then::End => {
            sweep::narrow(state, effects);
            let ending = Ending::Agreement(id.clone());
            ended::begin(state, ending, (context.position, context.now), effects);
        }
    }
    Receipt::Answer(Remembered::Agreement { version, content_hash })
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
        let flow = agreement.flows.get(usize::from(place))?;
        let open = agreement.status == Status::Active
            && now < agreement.flow_until(flow)
            && !flow.statistics_only
            && (suspended || !held);
        open.then_some((agreement, flow))
    })
}

/// The latest version, for one of its parties; the one that stands, for a party of that alone.
fn of_party<'a>(
    state: &'a State,
    caller: AgencyNumber,
    id: &AgreementId,
) -> Result<&'a Agreement, Refusal> {
    let known = [state.latest_version(id), state.tables.agreements.get(id)];
    let mut own = known.into_iter().flatten().filter(|row| row.parties.contains_key(&caller));
    own.next().ok_or(Refusal::AgreementUnknown)
}

/// The version that stands, for one of its parties.
fn standing_of_party<'a>(
    state: &'a State,
    caller: AgencyNumber,
    id: &AgreementId,
) -> Result<&'a Agreement, Refusal> {
    let _known = of_party(state, caller, id)?;
    let standing = state.tables.agreements.get(id).ok_or(Refusal::AgreementUnknown)?;
    // Who is to join by a later version has no part in this one.
    if standing.parties.contains_key(&caller) { Ok(standing) } else { Err(Refusal::AgreementState) }
}

/// The place of a version that changes where it is.
fn in_place(state: &State, id: &AgreementId, row: Agreement) -> Write {
    let stands = state.tables.agreements.get(id).is_none_or(|old| old.version == row.version);
    if stands { Write::Standing(row) } else { Write::Beside(row) }
}

/// Where the version stands at `now`: an agreement past its date has ended, whether or not an entry has said so yet.
fn status(row: &Agreement, now: UnixMillis) -> Status {
    let over = row.status == Status::Active && row.until() <= now;
    if over { Status::Ended } else { row.status }
}

/// Holds that the agreement stands in one of `statuses`, at the version and content that the caller has seen.
fn hold(
    row: &Agreement,
    now: UnixMillis,
    statuses: &[Status],
    seen: Option<(u32, Option<&Digest>)>,
) -> Result<(), Refusal> {
    if !statuses.contains(&status(row, now)) {
        return Err(Refusal::AgreementState);
    }
    let Some((version, content_hash)) = seen else { return Ok(()) };
    if version != row.version {
        return Err(Refusal::VersionDiffers);
    }
    if content_hash.is_some_and(|hash| *hash != row.content_hash) {
        return Err(Refusal::ContentHashDiffers);
    }
    Ok(())
}

/// Holds that nothing is missing and nothing unlawful, but for what is `past` asking.
fn complete(state: &State, now: UnixMillis, row: &Agreement, past: &[Gap]) -> Result<(), Refusal> {
    let message = AgreementContent::decode(row.content.as_slice());
    let content = message.ok().and_then(|message| Content::try_from(message).ok());
    let mut findings = findings(state, now, &content.ok_or(Refusal::AgreementIncomplete)?);
    findings.retain(|finding| !past.contains(&finding.gap));
    content::draftable(&findings)?;
    if findings.is_empty() { Ok(()) } else { Err(Refusal::AgreementIncomplete) }
}

/// A new draft, or one in the place of a draft.
fn draft(
    state: &State,
    context: &Context,
    id: &AgreementId,
    wanted: &Content,
) -> Result<Change, Refusal> {
    let (caller, now) = (context.agency()?, context.now);
    let findings = findings(state, now, wanted);
    if findings.iter().any(|finding| finding.gap == Gap::PurposeNotAllowed) {
        return Err(Refusal::PurposeNotPermitted);
    }
    let known = state.tables.agreements.contains(id);
    if known && of_party(state, caller, id).is_err() {
        return Err(Refusal::AgreementExists);
    }
    if !state.agency(caller).is_some_and(|agency| content::names(wanted, &agency.id)) {
        return Err(Refusal::NotAParty);
    }
    if state.indexes.successions.open.contains_key(id) {
        return Err(Refusal::SuccessionPending);
    }
    let latest = state.latest_version(id);
    let version = match latest.map(|row| (status(row, now), row.version)) {
        None => 1,
        Some((Status::Draft, version)) => version,
        Some((Status::Proposed, _)) => return Err(Refusal::AgreementState),
        Some((Status::Active | Status::Declined | Status::Replaced | Status::Ended, version)) => {
            version.saturating_add(1)
        }
    };
    content::draftable(&findings)?;
    if limit::AGREEMENT_VERSIONS_MAX < usize::try_from(version).unwrap_or(usize::MAX) {
        return Err(Refusal::LimitReached);
    }
    let row = drafted(state, context, id, (version, wanted))?;
    // What no longer stands makes room for what may stand next.
    let over = state.tables.agreements.get(id).filter(|old| {
        old.version < version && !matches!(status(old, now), Status::Active | Status::Draft)
    });
    let writes = match over {
        Some(old) => vec![
            Write::Beside(closed(old, now)),
            Write::Forget(version),
            Write::Standing(row.clone()),
        ],
        None => vec![in_place(state, id, row.clone())],
    };
    Ok(Change::of(id, &row, writes))
}

/// The row of a version that has ended by its date, said or not.
fn closed(row: &Agreement, now: UnixMillis) -> Agreement {
    let ended_at = row.ended_at.or_else(|| (row.until() <= now).then(|| row.until()));
    Agreement { status: status(row, now), ended_at, ..row.clone() }
}

/// A version as a party could draft it now, without drafting it.
///
/// # Errors
/// What would refuse the draft.
pub(in crate::machine) fn as_drafted(
    state: &State,
    (viewer, now): (AgencyNumber, UnixMillis),
    (id, wanted): (&AgreementId, &Content),
) -> Result<Agreement, Refusal> {
    let context = Context {
        position: state.chain.next,
        now,
        who: Who::Agency(viewer),
        purpose: Purpose::Administration,
        unattended: true,
        request_id: RequestId::from_bytes([0; 16]),
    };
    let known = state.tables.agreements.contains(id);
    if known && of_party(state, viewer, id).is_err() {
        return Err(Refusal::AgreementExists);
    }
    if !state.agency(viewer).is_some_and(|agency| content::names(wanted, &agency.id)) {
        return Err(Refusal::NotAParty);
    }
    content::draftable(&findings(state, now, wanted))?;
    let version = state.latest_version(id).map_or(0, |row| row.version);
    drafted(state, &context, id, (version.saturating_add(1), wanted))
}

fn drafted(
    state: &State,
    context: &Context,
    id: &AgreementId,
    (version, wanted): (u32, &Content),
) -> Result<Agreement, Refusal> {
    let parties = content::party_keys(state, wanted)?;
    let origin = (context.agency()?, context.position, context.now);
    written(state, (id, version, wanted), (parties, origin))
}

/// The row of a version that nobody has approved yet.
fn written(
    state: &State,
    (id, version, wanted): (&AgreementId, u32, &Content),
    (parties, origin): (BTreeMap<AgencyNumber, Digest>, (AgencyNumber, Position, UnixMillis)),
) -> Result<Agreement, Refusal> {
    Ok(Agreement {
        version,
        status: Status::Draft,
        content_hash: wanted.hash(state.ledger(), id, version),
        content: wanted.encoded.clone(),
        parties,
        purpose: i32::from(wanted.purpose),
        flows: content::stored_flows(state, wanted)?,
        expires_at: wanted.expires_at,
        safeguarding_goes_on: wanted.terms.at_expiry == AtExpiry::SafeguardingGoesOn,
        review_at: wanted.terms.review_at,
        retention: content::retention(state, wanted),
        complaint_days: (
            wanted.terms.complaint_acknowledge_days,
            wanted.terms.complaint_answer_days,
        ),
        termination: i32::from(wanted.terms.termination),
        review_stops: wanted.terms.at_review == AtReview::FlowsStop,
        reporting_body: wanted.terms.reporting_body.as_ref().and_then(|id| state.agency_number(id)),
        deadlines_told: 0,
        approvals: BTreeSet::new(),
        approvers: BTreeMap::new(),
        declined_for: 0,
        suspended_by: BTreeSet::new(),
        activated: Position::FIRST,
        drafter: origin.0,
        drafted: origin.1,
        drafted_at: origin.2,
        proposed_at: None,
        decided_at: BTreeMap::new(),
        activated_at: None,
        ended_at: None,
    })
}

/// One more approval; the last one activates.
fn approve(
    state: &State,
    context: &Context,
    (id, row): (&AgreementId, &Agreement),
    approver: (i32, i32),
) -> Result<Change, Refusal> {
    let caller = context.agency()?;
    let keys = state.agency(caller).and_then(|agency| agency.keys.as_ref());
    let fingerprint = keys.map(Keys::fingerprint);
    // INVARIANT (hash): the key that signs now is the one that the content names.
    if fingerprint.is_none() || row.parties.get(&caller).copied() != fingerprint {
        return Err(Refusal::PartyInvalid);
    }
    if row.expires_at <= context.now {
        return Err(Refusal::ExpiryInvalid);
    }
    let mut row = row.clone();
    if !row.approvals.insert(caller) {
        return Err(Refusal::AlreadyApproved);
    }
    row.approvers.insert(caller, approver);
    row.decided_at.insert(caller, context.now);
    // INVARIANT (hash): approvals are a subset of the parties, and all of one hash: a new draft starts with none.
    if row.approvals.len() < row.parties.len() {
        let change = Change::of(id, &row, vec![in_place(state, id, row.clone())]);
        return Ok(change.telling(&row, caller, AgreementEvent::Approved));
    }
    // A party that changed its key since it approved did approve.
    complete(state, context.now, &row, &[Gap::PartyDiffers])?;
    Ok(activation::activate(state, context, (id, row), caller))
}

fn suspend(
    state: &State,
    context: &Context,
    id: &AgreementId,
    reason: SuspendReason,
) -> Result<Change, Refusal> {
    let caller = context.agency()?;
    let mut row = standing_of_party(state, caller, id)?.clone();
    hold(&row, context.now, &[Status::Active], None)?;
    let graver = row.flows.iter().any(|flow| {
        let own = flow.publisher == caller || flow.recipients.contains(&caller);
        own && (flow.safeguarding || flow.basis == i32::from(LawfulBasis::LegalObligation))
    });
    if graver && reason == SuspendReason::Unspecified {
        return Err(Refusal::SuspensionReasonMissing);
    }
    if !row.suspended_by.insert(caller) {
        return Err(Refusal::AgreementState);
    }
    let change = Change::of(id, &row, vec![Write::Standing(row.clone())]);
    let event = AgreementEvent::Suspended(i32::from(reason));
    Ok(change.then(Then::Narrow).telling(&row, caller, event))
}

/// Ends the version that stands and the one that might have replaced it.
fn end(state: &State, context: &Context, id: &AgreementId) -> Result<Change, Refusal> {
    let caller = context.agency()?;
    let standing = standing_of_party(state, caller, id)?;
    let beside = state.latest_version(id).filter(|row| row.version != standing.version);
    let open = |row: &&Agreement| {
        let open = [Status::Draft, Status::Proposed, Status::Active];
        hold(row, context.now, &open, None).is_ok()
    };
    let ended: Vec<Agreement> = [Some(standing), beside]
        .into_iter()
        .flatten()
        .filter(open)
        .map(|row| Agreement { status: Status::Ended, ended_at: Some(context.now), ..row.clone() })
        .collect();
    if ended.is_empty() {
        return Err(Refusal::AgreementState);
    }
    let change = Change::of(id, standing, Vec::new()).then(Then::End);
    Ok(ended.into_iter().fold(change, |change, row| {
        let mut change = change.telling(&row, caller, AgreementEvent::Ended);
        change.writes.push(in_place(state, id, row));
        change
    }))
}
