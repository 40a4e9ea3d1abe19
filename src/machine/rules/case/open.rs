//! Opening a case: who asks, about whom and what, and by when it is to be answered.

use super::measure::{flow_of, pending};
use crate::{
    machine::{
        apply::Context,
        command::case::{Incident, Open, Requester},
        outcome::Refusal,
        rules::exchange::derived,
        state::{
            State,
            agency::AgencyNumber,
            agreement::Status,
            case::{CaseClient, CaseRow, ClockRow, IncidentRow, RequesterRow, Task},
            client::AliasKind,
        },
    },
    model::{
        date::months_after,
        id::{AgreementId, AliasId, CaseId},
        limit,
        order::UnixMillis,
    },
    pb::ledger::v1::{CaseKind, CaseStep, ClockSource, IdentityCheck},
};

/// Within how many months a request about a person's rights is answered. Source: UK GDPR Article 12(3).
pub(super) const ANSWER_MONTHS: u32 = 1;
/// Within how many months a complaint is answered, unless the agreement says so: after that the Commissioner takes it.
const COMPLAINT_MONTHS: u32 = 3;
/// One day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

pub(super) fn decide(
    state: &State,
    context: &Context,
    caller: AgencyNumber,
    open: &Open,
) -> Result<(CaseId, CaseRow), Refusal> {
    let client = open.client.map(|alias| client_of(state, caller, alias)).transpose()?;
    let requester = open.requester.as_ref();
    if let (Some(requester), Some(client)) = (requester, client) {
        may_ask(state, (caller, client), requester, open.kind)?;
    }
    if let Some(agreement) = &open.agreement {
        party(state, caller, agreement)?;
    }
    if let Some(incident) = &open.incident {
        records(state, caller, incident)?;
    }
    let (now, received) = (context.now, open.received_at.unwrap_or(context.now));
    let oldest = now.millis().saturating_sub(limit::CASE_RECEIVED_MS);
    if received.millis() < oldest || now < received {
        return Err(Refusal::CaseDatesInvalid);
    }
    // By the name, and not by who it is: two names of one client are two until somebody confirms it.
    let about = |row: &CaseRow| row.client == client;
    let unclosed =
        state.cases_of(caller).filter(|(_, row)| row.closed.is_none() && about(row)).count();
    if limit::CASES_OPEN_MAX <= unclosed {
        return Err(Refusal::LimitReached);
    }
    let asked = requester.filter(|r| r.identity == IdentityCheck::Asked);
    let asked = asked.filter(|_| open.kind != CaseKind::Complaint);
    let row = CaseRow {
        controller: caller,
        kind: i32::from(open.kind),
        client,
        requester: requester.map(requester_row),
        agreement: open.agreement.clone(),
        incident: open.incident.as_ref().map(incident_row),
        scope: open.flows.clone(),
        all: None,
        flows: open
            .flows
            .iter()
            .map(|named| Ok((named.clone(), flow_of(state, caller, named)?)))
            .collect::<Result<Vec<_>, Refusal>>()
            .and_then(|flows| pending(open.kind, &flows, now))?,
        clocks: clocks(open.kind, received, agreed(state, open.agreement.as_ref())),
        paused: asked.map(|_| (i32::from(CaseStep::IdentityAsked), now)),
        extended: 0,
        held: std::collections::BTreeMap::new(),
        reported_at: None,
        closed: None,
        position: context.position,
        received_at: received,
        opened_at: now,
    };
    let row = if open.flows.is_empty() { super::measure::all_pending(row, now) } else { row };
    Ok((CaseId::derived(&derived("concordat.case.v1", state, context)), row))
}

fn client_of(state: &State, caller: AgencyNumber, alias: AliasId) -> Result<CaseClient, Refusal> {
    let row = state.tables.aliases.get(&(caller, alias)).ok_or(Refusal::NotAvailable)?;
    Ok(CaseClient { client: row.client, alias, own: row.kind == AliasKind::Own })
}

/// Holds that a person who is named is one whom the controller recorded about this client, and that nobody without rights
/// exercises the client's. Anybody may complain. Persons are recorded under the controller's own name for a client: under
/// the name by which it receives there is none, or the answer would tell that both names are one person's.
fn may_ask(
    state: &State,
    (caller, client): (AgencyNumber, CaseClient),
    requester: &Requester,
    kind: CaseKind,
) -> Result<(), Refusal> {
    let Some(holder) = requester.holder else { return Ok(()) };
    let row = state.tables.holders.get(&holder);
    let row = row.filter(|row| client.own && row.recorder == caller && row.client == client.client);
    let row = row.ok_or(Refusal::NotAvailable)?;
    if row.has_rights() || kind == CaseKind::Complaint {
        Ok(())
    } else {
        Err(Refusal::HolderWithoutRights)
    }
}

/// Holds that the caller is a party of an agreement that is or was in force.
fn party(state: &State, caller: AgencyNumber, id: &AgreementId) -> Result<(), Refusal> {
    let row = state.tables.agreements.get(id).filter(|row| {
        let stood = matches!(row.status, Status::Active | Status::Ended);
        stood && row.parties.contains_key(&caller)
    });
    row.map(drop).ok_or(Refusal::AgreementUnknown)
}

/// Holds that the caller published, or was sent, every record that it names.
fn records(state: &State, caller: AgencyNumber, incident: &Incident) -> Result<(), Refusal> {
    let known = incident.records.iter().all(|id| {
        state.record(*id).is_some_and(|row| {
            let sent = state.tables.disclosures.get(&(row.first, caller));
            let seen = [Some(*id)];
            let received = sent.is_some_and(|sent| {
                sent.left() && (seen.contains(&Some(sent.record)) || seen.contains(&sent.before))
            });
            row.publisher == caller || received
        })
    });
    if known { Ok(()) } else { Err(Refusal::NotAvailable) }
}

/// Within how many days the parties of an agreement acknowledge and answer a complaint, where they agreed on it.
fn agreed(state: &State, id: Option<&AgreementId>) -> (Option<u32>, Option<u32>) {
    let row = id.and_then(|id| state.tables.agreements.get(id));
    row.map_or((None, None), |row| row.complaint_days)
}

fn clocks(
    kind: CaseKind,
    received: UnixMillis,
    (acknowledge, answer): (Option<u32>, Option<u32>),
) -> Vec<ClockRow> {
    let from = |source: ClockSource, task, due_at| {
        let source = i32::from(source);
        ClockRow { task, due_at, source, met_at: None, told: false }
    };
    let clock = |task, due_at| from(ClockSource::Statute, task, due_at);
    let after = |days: u32| received.plus(u64::from(days).saturating_mul(DAY_MS));
    let agreed = |task, days| from(ClockSource::Agreement, task, after(days));
    match kind {
        CaseKind::Unspecified => Vec::new(),
        CaseKind::Restriction | CaseKind::Objection | CaseKind::Access => {
            vec![clock(Task::Answer, months_after(received, ANSWER_MONTHS))]
        }
        CaseKind::Complaint => vec![
            acknowledge.map_or_else(
                || clock(Task::Acknowledge, received.plus(limit::COMPLAINT_ACKNOWLEDGE_MS)),
                |days| agreed(Task::Acknowledge, days),
            ),
            answer.map_or_else(
                || {
                    let due_at = months_after(received, COMPLAINT_MONTHS);
                    from(ClockSource::Practice, Task::Answer, due_at)
                },
                |days| agreed(Task::Answer, days),
            ),
        ],
        CaseKind::Incident => {
            vec![clock(Task::TellRegulator, received.plus(limit::INCIDENT_TELL_MS))]
        }
    }
}

fn requester_row(requester: &Requester) -> RequesterRow {
    let Requester { relation, authority, holder, identity } = requester;
    RequesterRow {
        relation: i32::from(*relation),
        authority: i32::from(*authority),
        holder: *holder,
        identity: i32::from(*identity),
    }
}

fn incident_row(incident: &Incident) -> IncidentRow {
    let Incident { kind, severity, affected_count, records } = incident;
    IncidentRow {
        kind: i32::from(*kind),
        severity: i32::from(*severity),
        affected_count: *affected_count,
        records: records.clone(),
    }
}
