//! Words: who may have opened what rides sealed beside what was done about something.
//!
//! They are for whoever wrote them and whom they are for, and for nobody else; to others the matter is not there. The entry
//! that opens them comes first, so the ledger names who read them, when and why.

use crate::{
    machine::{
        apply::Context,
        command::{
            Command, Kind, case::CaseCommand, consent::ConsentCommand, dispute::DisputeCommand,
            emergency::EmergencyCommand, words::OpenWords,
        },
        outcome::{Receipt, Refusal, Remembered},
        state::{
            State,
            agency::AgencyNumber,
            words::{Matter, Words},
        },
    },
    model::id::ClientId,
};

/// Holds that the words about a matter are for the caller, or that it wrote some of them.
pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    open: &OpenWords,
) -> Result<(), Refusal> {
    let reader = context.agency()?;
    let about = state.words_about(open.matter);
    if !about.into_iter().any(|(_, row)| are_for(state, reader, (open.matter, row))) {
        return Err(Refusal::NotAvailable);
    }
    let in_person = matches!(open.matter, Matter::Emergency(_));
    if in_person && context.unattended { Err(Refusal::NamedActorMissing) } else { Ok(()) }
}

/// Whether words are for an agency: it wrote them, or they were written to it.
pub(in crate::machine) fn are_for(
    state: &State,
    reader: AgencyNumber,
    (matter, words): (Matter, &Words),
) -> bool {
    let own = |body| state.answers_for(reader, body);
    let addressed = match matter {
        Matter::Dispute(id) => {
            state.dispute(id).is_some_and(|row| own(row.recipient) || own(row.publisher))
        }
        // A withdrawal that another agency lodged is written to whoever recorded the consent.
        Matter::Consent(id) => state.tables.consents.get(&id).is_some_and(|row| own(row.recorder)),
        Matter::Case(_) | Matter::Emergency(_) | Matter::Holder(_) => false,
    };
    addressed || own(words.author)
}

/// Notes that a command was performed beside which words may be sealed.
pub(in crate::machine) fn note(
    state: &mut State,
    context: &Context,
    (command, receipt): (&Command, &Receipt),
) {
    let (Some(matter), Ok(author)) = (matter(&command.kind, receipt), context.agency()) else {
        return;
    };
    // A repeated request brings the words of the first one again.
    let repeated = |id| state.emergency(id).is_some_and(|row| row.position != context.position);
    if let (Matter::Emergency(id), Receipt::Answer(Remembered::Emergency(_))) = (matter, receipt)
        && repeated(id)
    {
        return;
    }
    let row = Words { author, request: context.request_id, at: context.now };
    state.tables.words.put(&mut state.journal, (matter, context.position), row);
}

/// What a command did something about, if words may ride beside it.
fn matter(kind: &Kind, receipt: &Receipt) -> Option<Matter> {
    let answered = match receipt {
        Receipt::Answer(Remembered::Case(id)) => Some(Matter::Case(*id)),
        Receipt::Answer(Remembered::Dispute(id)) => Some(Matter::Dispute(*id)),
        Receipt::Answer(Remembered::Emergency(id)) => Some(Matter::Emergency(*id)),
        Receipt::Answer(Remembered::Consent(id)) => Some(Matter::Consent(*id)),
        Receipt::Answer(Remembered::Holder(id)) => Some(Matter::Holder(*id)),
        Receipt::Answer(
            Remembered::Done
            | Remembered::Agreement { .. }
            | Remembered::Client(_)
            | Remembered::Erasure(_)
            | Remembered::Hold(_)
            | Remembered::Succession { .. },
        )
        | Receipt::Published { .. }
        | Receipt::Released(_)
        | Receipt::Opened(_) => None,
    };
    answered.or(match kind {
        Kind::Dispute(DisputeCommand::Answer { dispute, .. }) => Some(Matter::Dispute(*dispute)),
        Kind::Emergency(EmergencyCommand::Review { emergency, .. }) => {
            Some(Matter::Emergency(*emergency))
        }
        Kind::Consent(ConsentCommand::Withdraw { consent, .. }) => Some(Matter::Consent(*consent)),
        Kind::Dispute(_)
        | Kind::Emergency(_)
        | Kind::Consent(_)
        | Kind::Exchange(_)
        | Kind::Agency(_)
        | Kind::Agreement(_)
        | Kind::Policy(_)
        | Kind::Client(_)
        | Kind::Record(_)
        | Kind::Subscription(_)
        | Kind::Recall(_)
        | Kind::Case(_)
        | Kind::Erasure(_)
        | Kind::Words(_)
        | Kind::Succession(_) => None,
    })
}

/// Whom the words beside a command would be about, as the agency that asks knows them: with that client they are erased.
///
/// Emergency access is about nobody here: whom it found must not show in which key seals its words (one answer).
pub fn client_of(state: &State, caller: AgencyNumber, kind: &Kind) -> Option<ClientId> {
    match kind {
        Kind::Consent(consent) => match consent {
            ConsentCommand::Record { scope, .. } | ConsentCommand::Refuse { scope, .. } => {
                state.own_client(caller, scope.client)
            }
            ConsentCommand::Withdraw { consent: id, .. }
            | ConsentCommand::Resolve { refusal: id, .. } => {
                state.tables.consents.get(id).map(|row| row.client)
            }
            ConsentCommand::Holder { client, .. } => state.own_client(caller, *client),
        },
        Kind::Case(case) => match case {
            CaseCommand::Open(open) => {
                state.tables.aliases.get(&(caller, open.client?)).map(|row| row.client)
            }
            CaseCommand::Advance { case: id, .. }
            | CaseCommand::HoldBack { case: id, .. }
            | CaseCommand::Report { case: id, .. } => state.case(*id)?.client.map(|of| of.client),
            CaseCommand::Decide(decide) => state.case(decide.case)?.client.map(|of| of.client),
        },
        Kind::Dispute(DisputeCommand::Open { record, .. }) => {
            state.record(*record).map(|row| row.client)
        }
        Kind::Dispute(DisputeCommand::Answer { dispute, .. }) => {
            state.dispute(*dispute).map(|row| row.client)
        }
        Kind::Exchange(_)
        | Kind::Agency(_)
        | Kind::Agreement(_)
        | Kind::Policy(_)
        | Kind::Client(_)
        | Kind::Record(_)
        | Kind::Subscription(_)
        | Kind::Recall(_)
        | Kind::Erasure(_)
        | Kind::Emergency(_)
        | Kind::Words(_)
        | Kind::Succession(_) => None,
    }
}
