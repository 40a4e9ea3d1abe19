//! Recalls: whoever was sent what was wrong, or must not be used any more, is told so and answers.
//!
//! Recipients are derived from the disclosures alone: an agency to which nothing was released gets nothing, and sees
//! nothing of it. INVARIANT (recall first): from the entry that issues a recall until the one that hands it over, nothing
//! about the client is released to its recipient ([`waits`]). A recall stays in the inbox until it is answered.
//!
//! What the end of an agreement asks back is in `recall/ended.rs`.
//!
//! Source: UK GDPR Article 19: every recipient is told of a rectification or erasure.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{
        access::{self, Question},
        apply::{Context, Effect},
        command::recall::RecallCommand,
        law::Rule,
        outcome::{Receipt, Refusal},
        rules::CLIENT_PURPOSES,
        state::{
            State,
            agency::AgencyNumber,
            consent::{Consent, Withdrawal},
            recall::{Answer, Ended, Recall, Retraction},
            record::{DisclosureRow, Groups, RecordRow},
        },
        sweep::{self, Sweep},
    },
    model::{
        digest::Digest,
        id::{ClientId, RecallId, RecordId},
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::{Disposal, RecallAct, RecallReason},
};

pub mod ended;

/// From how many recipients one entry recalls; each may change a few rows for every subscription it has.
const RECALLS_PER_STEP: usize = 32;

/// The recalls of how many records begin with the entry that takes them away; those of more begin with sweeps.
const RECORDS_AT_ONCE: usize = 8;

/// What is decided about a recall.
#[derive(Debug)]
pub(in crate::machine) enum Change {
    Retract { first: RecordId, client: ClientId, reason: RecallReason },
    HandOver { recipient: AgencyNumber, recalls: Vec<RecallId> },
    Acknowledge { id: RecallId, row: Box<Recall> },
}

/// From whom a record is recalled; `None` for every recipient.
type Recipients = Option<BTreeSet<AgencyNumber>>;

/// What is recalled of one record, and from whom.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Issue {
    /// The record, by its first version.
    first: RecordId,
    /// Only from these; `None` for every recipient.
    recipients: Recipients,
    /// Only these groups; `None` for all.
    groups: Option<Groups>,
    /// Why (`RecallReason`).
    reason: i32,
    /// The agreement that has ended, if that is why.
    ended: Option<Ended>,
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &RecallCommand,
) -> Result<Change, Refusal> {
    match command {
        RecallCommand::Retract { record, reason } => {
            let caller = context.agency()?;
            let row = state.record(*record);
            let row = row.filter(|row| state.answers_for(caller, row.publisher));
            let row = row.filter(|row| state.erased(row.first).is_none());
            let row = row.ok_or(Refusal::NotAvailable)?;
            if state.retraction(row.first).is_some() {
                return Err(Refusal::RecordRetracted);
            }
            Ok(Change::Retract { first: row.first, client: row.client, reason: *reason })
        }
        RecallCommand::HandOver { agency, recalls } => {
            context.node()?;
            let recipient = state.agency_number(agency).ok_or(Refusal::NothingToDo)?;
            let waits = |id: &RecallId| {
                let row = state.recall(*id);
                row.is_some_and(|row| {
                    state.answers_for(recipient, row.recipient) && row.handed_over.is_none()
                })
            };
            let recalls: Vec<_> = recalls.iter().copied().filter(waits).collect();
            if recalls.is_empty() {
                return Err(Refusal::NothingToDo);
            }
            Ok(Change::HandOver { recipient, recalls })
        }
        RecallCommand::Acknowledge { recall, act, ground } => {
            let caller = context.agency()?;
            let row = state.recall(*recall);
            let row = row.filter(|row| state.answers_for(caller, row.recipient));
            let row = row.ok_or(Refusal::NotAvailable)?;
            if row.answer.is_some() && (!row.is_kept() || *act == RecallAct::Kept) {
                return Err(Refusal::RecallState);
            }
            if !fits(row, *act) {
                return Err(Refusal::RecallActUnfit);
            }
            let (act, ground) = (i32::from(*act), i32::from(*ground));
            let answer = Some(Answer { act, ground, at: context.now });
            // Whoever answers has seen it.
            let handed_over = row.handed_over.or(Some(context.now));
            let row = Recall { handed_over, answer, ..row.clone() };
            Ok(Change::Acknowledge { id: *recall, row: Box::new(row) })
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
        Change::Retract { first, client, reason } => {
            let reason = i32::from(reason);
            let row = Retraction { reason, at: context.now, position: context.position };
            state.tables.retractions.put(&mut state.journal, first, row);
            sweep::narrow(state, effects);
            sweep::prune_client(state, client, context.now);
            let issue = Issue { first, recipients: None, groups: None, reason, ended: None };
            begin(state, context, vec![issue], effects);
        }
        Change::HandOver { recipient, recalls } => {
            for id in recalls {
                let Some(row) = state.recall(id).cloned() else { continue };
                state.put_recall(id, Recall { handed_over: Some(context.now), ..row });
            }
            wake(state, recipient, effects);
        }
        Change::Acknowledge { id, row } => {
            let recipient = row.recipient;
            state.put_recall(id, *row);
            wake(state, recipient, effects);
        }
    }
    Receipt::DONE
}

/// Tells everybody who was sent any version of a record that it was wrong.
pub(in crate::machine) fn corrected(
    state: &mut State,
    context: &Context,
    first: RecordId,
    effects: &mut Vec<Effect>,
) {
    // What was released of the version before and has not left does not leave any more.
    sweep::narrow(state, effects);
    let reason = i32::from(RecallReason::Corrected);
    let issue = Issue { first, recipients: None, groups: None, reason, ended: None };
    begin(state, context, vec![issue], effects);
}

/// Asks recipients for whom a consent was withdrawn just now to stop using what they were sent on it.
pub(in crate::machine) fn withdrawn(
    state: &mut State,
    context: &Context,
    consent: &Consent,
    effects: &mut Vec<Effect>,
) {
    let Some(Withdrawal { recipients, groups, .. }) = consent.withdrawals.last() else { return };
    let about = |row: &RecordRow| {
        row.publisher == consent.publisher && row.record_type == consent.record_type
    };
    let issues = state
        .records_of(consent.client)
        .filter(|first| state.record(*first).is_some_and(about))
        .map(|first| Issue {
            first,
            recipients: Some(recipients.clone()),
            groups: Some(*groups),
            reason: i32::from(RecallReason::ConsentWithdrawn),
            ended: None,
        })
        .collect();
    begin(state, context, issues, effects);
}

/// Asks whoever was sent any of these records, or those named of them, to stop using what it has.
pub(in crate::machine) fn erased(
    state: &mut State,
    context: &Context,
    (records, reason): (Vec<(RecordId, Recipients)>, RecallReason),
    effects: &mut Vec<Effect>,
) {
    let at_once = records.len() <= RECORDS_AT_ONCE;
    let issues = records.into_iter().map(|(first, recipients)| Issue {
        first,
        recipients,
        groups: None,
        reason: i32::from(reason),
        ended: None,
    });
    let issues: Vec<_> = issues.collect();
    if at_once {
        begin(state, context, issues, effects);
        return;
    }
    for issue in issues {
        if state.disclosures_of(issue.first).next().is_some() {
            sweep::push(state, Sweep::Recall { issue, after: None }, effects);
        }
    }
}

/// Whether a recall about a client is still to be put before an agency, or still to be issued to it.
pub(in crate::machine) fn waits(state: &State, agency: AgencyNumber, client: ClientId) -> bool {
    waits_of(state, None, (agency, client))
}

/// The same, of the records of one publisher if given.
pub(in crate::machine) fn waits_of(
    state: &State,
    publisher: Option<AgencyNumber>,
    (agency, client): (AgencyNumber, ClientId),
) -> bool {
    if !state.applies(Rule::RecallFirst) {
        return false;
    }
    let by = |of| publisher.is_none_or(|publisher| publisher == of);
    state.waiting_recalls(agency, client).any(|row| by(row.publisher))
        || state.tables.sweeps.iter().any(|(_, sweep)| match sweep {
            Sweep::Recall { issue, after } => {
                let row = state.record(issue.first);
                row.is_some_and(|row| row.client == client && by(row.publisher))
                    && state.bodies(agency).any(|body| {
                        after.is_none_or(|after| after < body)
                            && issue.concerns(body)
                            && state.tables.disclosures.contains(&(issue.first, body))
                    })
            }
            Sweep::AskBack { ending, after } => {
                let mut bodies = state.bodies(agency);
                bodies.any(|body| ended::waits(state, (ending, *after), (body, client), by))
            }
            Sweep::Offer { .. } | Sweep::Drop(_) | Sweep::Erase(_) | Sweep::Tell(_) => false,
        })
}

/// Notes that a release did not leave. An agency that never got anything of the record gets no recall of it.
pub(in crate::machine) fn did_not_leave(
    state: &mut State,
    (first, recipient): (RecordId, AgencyNumber),
    effects: &mut Vec<Effect>,
) {
    let key = (first, recipient);
    state.tables.disclosures.change(&mut state.journal, &key, |row| {
        row.unsent = row.unsent.saturating_add(1);
    });
    if state.tables.disclosures.get(&key).is_some_and(DisclosureRow::left) {
        return;
    }
    let waiting: Vec<_> = state
        .recalls_from(first, recipient)
        .filter(|(_, recall)| recall.handed_over.is_none())
        .map(|(id, _)| id)
        .collect();
    for id in waiting {
        state.remove_recall(id);
    }
    wake(state, recipient, effects);
}

/// Takes the next step of a recall that concerns more recipients than one entry takes.
pub(in crate::machine) fn step(
    state: &mut State,
    issue: Issue,
    after: Option<AgencyNumber>,
    effects: &mut Vec<Effect>,
) -> Option<Sweep> {
    let at = (state.chain.next, state.chain.admitted_at);
    let mut budget = RECALLS_PER_STEP;
    let rest = take(state, (&issue, after), at, (&mut budget, effects));
    rest.map(|after| Sweep::Recall { issue, after })
}

impl Issue {
    fn concerns(&self, agency: AgencyNumber) -> bool {
        self.recipients.as_ref().is_none_or(|recipients| recipients.contains(&agency))
    }
}

/// Issues at once as far as one entry goes, and leaves the rest to sweeps.
fn begin(state: &mut State, context: &Context, issues: Vec<Issue>, effects: &mut Vec<Effect>) {
    let at = (context.position, context.now);
    let mut budget = RECALLS_PER_STEP;
    for issue in issues {
        if let Some(after) = take(state, (&issue, None), at, (&mut budget, effects)) {
            sweep::push(state, Sweep::Recall { issue, after }, effects);
        }
    }
}

/// Issues to the recipients after a place, within the budget; the place to go on from if there are more.
#[expect(clippy::option_option, reason = "a place before the first recipient is one to go on from")]
fn take(
    state: &mut State,
    (issue, after): (&Issue, Option<AgencyNumber>),
    at: (Position, UnixMillis),
    (budget, effects): (&mut usize, &mut Vec<Effect>),
) -> Option<Option<AgencyNumber>> {
    let recipients: Vec<_> = state
        .disclosures_of(issue.first)
        .map(|(recipient, _)| recipient)
        .filter(|recipient| after.is_none_or(|after| after < *recipient))
        .filter(|recipient| issue.concerns(*recipient))
        .take(budget.saturating_add(1))
        .collect();
    let mut reached = after;
    for recipient in recipients {
        if *budget == 0 {
            return Some(reached);
        }
        *budget = budget.saturating_sub(1);
        issue_one(state, (issue, recipient), at, effects);
        reached = Some(recipient);
    }
    None
}

fn issue_one(
    state: &mut State,
    (issue, recipient): (&Issue, AgencyNumber),
    (position, now): (Position, UnixMillis),
    effects: &mut Vec<Effect>,
) {
    let sent = state.tables.disclosures.get(&(issue.first, recipient));
    let Some(sent) = sent.filter(|sent| sent.left()).cloned() else { return };
    let Some((_, row)) = state.latest(issue.first) else { return };
    let (client, publisher) = (row.client, row.publisher);
    let mut groups = issue.groups.map_or(sent.groups, |only| sent.groups.and(only));
    if issue.reason == i32::from(RecallReason::ConsentWithdrawn) {
        groups = groups.without(flowing(state, (row, groups), recipient, now));
    }
    let recall = Recall {
        recipient,
        publisher,
        first: issue.first,
        record: sent.record,
        client,
        groups,
        reason: issue.reason,
        ended: issue.ended.clone(),
        position,
        issued_at: now,
        handed_over: None,
        answer: None,
    };
    if groups.is_empty() || told_already(state, &recall, sent.position) {
        return;
    }
    if !recall.corrects() {
        forget_held(state, &recall);
    }
    let id = recall_id(state, &recall, sent.recalls);
    let key = (issue.first, recipient);
    state.tables.disclosures.change(&mut state.journal, &key, |row| {
        row.recalls = row.recalls.saturating_add(1);
    });
    state.put_recall(id, recall);
    wake(state, recipient, effects);
}

/// Those of the groups that may flow to a recipient on another ground: they are not asked back.
fn flowing(
    state: &State,
    (row, groups): (&RecordRow, Groups),
    recipient: AgencyNumber,
    now: UnixMillis,
) -> Groups {
    let about = |purpose| Question::about(row, recipient, i32::from(purpose), now);
    CLIENT_PURPOSES
        .into_iter()
        .map(|purpose| Question { groups, ..about(purpose) })
        .fold(Groups::NONE, |set, question| set.with(access::decide(state, &question).groups()))
}

/// Whether a recipient may answer that it did this: only what was corrected is put right, and only what the terms of an
/// agreement that has ended want back is given back.
fn fits(recall: &Recall, act: RecallAct) -> bool {
    let back = i32::from(Disposal::ReturnAndDelete);
    match act {
        RecallAct::Corrected => recall.corrects(),
        RecallAct::Returned => recall.ended.as_ref().is_some_and(|end| end.disposal == back),
        RecallAct::Unspecified | RecallAct::Deleted | RecallAct::Kept => true,
    }
}

/// Whether the recipient was told as much before, and sent nothing since.
fn told_already(state: &State, recall: &Recall, sent_at: Position) -> bool {
    let mut before = state.recalls_from(recall.first, recall.recipient);
    if recall.corrects() {
        return before.any(|(_, told)| told.corrects() && told.handed_over.is_none());
    }
    before.any(|(_, told)| {
        !told.corrects()
            && !told.is_kept()
            && sent_at < told.position
            && told.groups.covers(recall.groups)
    })
}

/// What is to be deleted counts as not held, so that it comes anew if it may flow again. A correction that nobody has
/// seen yet is left out: there is nothing to put right any more.
fn forget_held(state: &mut State, recall: &Recall) {
    let corrections: Vec<_> = state
        .recalls_from(recall.first, recall.recipient)
        .filter(|(_, told)| told.corrects() && told.handed_over.is_none())
        .map(|(id, _)| id)
        .collect();
    for id in corrections {
        state.remove_recall(id);
    }
    let numbers: Vec<_> =
        state.subscriptions_of(recall.recipient).map(|(number, _)| number).collect();
    for number in numbers {
        let key = (number, recall.first);
        state.tables.received.change(&mut state.journal, &key, |received| {
            received.groups = received.groups.without(recall.groups);
        });
    }
}

/// A name that depends on nothing but the record, the recipient, and how often this record was recalled from it before.
fn recall_id(state: &State, recall: &Recall, before: u32) -> RecallId {
    let recipient = state.agency(recall.recipient).map(|agency| agency.id.clone());
    RecallId::derived(&Digest::of_parts(
        "concordat.recall.v1",
        &[
            state.ledger().as_bytes(),
            recall.first.as_bytes(),
            recipient.as_ref().map_or("", |id| id.as_str()).as_bytes(),
            &before.to_be_bytes(),
        ],
    ))
}

fn wake(state: &State, agency: AgencyNumber, effects: &mut Vec<Effect>) {
    let agency = state.heir(agency);
    for (number, _) in state.subscriptions_of(agency) {
        if !effects.contains(&Effect::Wake(number)) {
            effects.push(Effect::Wake(number));
        }
    }
}
