//! Disputes: a recipient doubts a field that it was sent; the publisher answers by a date.
//!
//! A dispute changes no record and stops no flow: the publisher puts right what is wrong by a correction or a
//! retraction, and says so, or says why the record stays. Source: UK GDPR Articles 5(1)(d) and 16.

use crate::{
    machine::{
        apply::Context,
        command::dispute::DisputeCommand,
        outcome::{Receipt, Refusal, Remembered},
        rules::exchange::derived,
        state::{
            State,
            agency::AgencyNumber,
            dispute::{Dispute, DisputeAnswered},
            record::DisclosureRow,
        },
    },
    model::{
        id::{DisputeId, GroupName, RecordId},
        limit,
    },
    pb::ledger::v1::{DisputeAnswer, DisputeReason},
};

/// What is decided about a dispute.
#[derive(Debug)]
pub(in crate::machine) enum Change {
    Open(DisputeId, Box<Dispute>),
    Answer(DisputeId, Box<Dispute>),
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &DisputeCommand,
) -> Result<Change, Refusal> {
    let caller = context.agency()?;
    match command {
        DisputeCommand::Open { record, group, field, reason } => {
            let doubted = (*record, group, field.as_str(), *reason);
            let row = open(state, context, caller, doubted)?;
            let id = DisputeId::derived(&derived("concordat.dispute.v1", state, context));
            Ok(Change::Open(id, Box::new(row)))
        }
        DisputeCommand::Answer { dispute, answer, keep_reason } => {
            let row = state.dispute(*dispute);
            let row = row.filter(|row| state.answers_for(caller, row.publisher));
            let row = row.ok_or(Refusal::NotAvailable)?;
            let unproven = *answer == DisputeAnswer::Corrected && !put_right(state, row);
            if row.answer.is_some() || unproven {
                return Err(Refusal::DisputeState);
            }
            let (answer, keep_reason) = (i32::from(*answer), i32::from(*keep_reason));
            let answer = Some(DisputeAnswered { answer, keep_reason, at: context.now });
            Ok(Change::Answer(*dispute, Box::new(Dispute { answer, ..row.clone() })))
        }
    }
}

pub(in crate::machine) fn perform(state: &mut State, change: Change) -> Receipt {
    match change {
        Change::Open(id, row) => {
            state.put_dispute(id, *row);
            Receipt::Answer(Remembered::Dispute(id))
        }
        Change::Answer(id, row) => {
            state.put_dispute(id, *row);
            Receipt::DONE
        }
    }
}

fn open(
    state: &State,
    context: &Context,
    caller: AgencyNumber,
    (record, group, field, reason): (RecordId, &GroupName, &str, DisputeReason),
) -> Result<Dispute, Refusal> {
    let row = state.record(record).ok_or(Refusal::NotAvailable)?;
    let sent = state.tables.disclosures.get(&(row.first, caller));
    let sent = sent.filter(|sent| sent.left()).ok_or(Refusal::NotAvailable)?;
    let group = state
        .record_type(row.record_type)
        .and_then(|known| known.set_of([group]))
        .filter(|group| sent.groups.covers(*group))
        .ok_or(Refusal::NotAvailable)?;
    if !was_sent(sent, record) {
        return Err(Refusal::NotAvailable);
    }
    let own = state.disputes_by(caller);
    let unanswered = own.filter(|(_, known)| known.first == row.first && known.answer.is_none());
    if limit::DISPUTES_OPEN_MAX <= unanswered.count() {
        return Err(Refusal::LimitReached);
    }
    Ok(Dispute {
        recipient: caller,
        publisher: row.publisher,
        first: row.first,
        record,
        client: row.client,
        group,
        field: field.to_owned(),
        reason: i32::from(reason),
        position: context.position,
        opened_at: context.now,
        due_at: context.now.plus(limit::DISPUTE_ANSWER_MS),
        answer: None,
    })
}

/// Whether it is one of the two latest versions that the recipient was sent.
fn was_sent(sent: &DisclosureRow, record: RecordId) -> bool {
    sent.record == record || sent.before == Some(record)
}

/// Whether a new version or a retraction has come since the dispute was opened.
fn put_right(state: &State, dispute: &Dispute) -> bool {
    let newer = state.latest(dispute.first).is_some_and(|(_, row)| dispute.position < row.position);
    let retracted =
        state.retraction(dispute.first).is_some_and(|row| dispute.position < row.position);
    newer || retracted
}
