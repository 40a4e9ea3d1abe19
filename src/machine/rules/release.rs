//! Releases: every disclosure of a record is decided here, in ledger order, before a byte of it leaves.
//!
//! The node names each line that it would disclose and on which grounds; the machine decides every line anew at its
//! position and only strikes. INVARIANT (release): a [`Released`] exists only for a line that was allowed at its
//! position (G5) and whose entry is durable (G4); nothing else builds one, and a sealed body opens only against one.
//! Versions that were replaced are never released; withheld records leave no trace that the recipient can see (G8).

use crate::{
    machine::{
        access::{self, Question},
        apply::{Context, Effect},
        command::{
            record::Open,
            subscription::{Release, Source},
        },
        law::Rule,
        outcome::{Receipt, Refusal},
        rules::{CLIENT_PURPOSES, emergency::Reached, named, reading, recall},
        state::{
            State,
            agency::AgencyNumber,
            subscription::{Fate, SubscriptionNumber},
        },
        sweep,
    },
    model::{
        id::{EmergencyId, RecordId},
        limit,
        order::UnixMillis,
    },
};

mod disclosure;
mod line;
mod released;
mod report;

pub(in crate::machine) use line::Planned;
use line::{Verdict, decide_line, flows, granted, until};
pub(in crate::machine) use line::{held, offered};
pub use released::Released;
use released::release;
pub(in crate::machine) use report::{perform_report, planned_for_report};

/// What is decided about a release.
#[derive(Debug)]
pub(in crate::machine) enum Change {
    Release { number: SubscriptionNumber, lines: Vec<Verdict> },
    Open { planned: Planned, via: Option<AgencyNumber>, why: (i32, i32) },
}

pub(in crate::machine) fn decide_release(
    state: &State,
    context: &Context,
    release: &Release,
) -> Result<Change, Refusal> {
    context.node()?;
    let agency = state.agency_number(&release.agency).ok_or(Refusal::SubscriptionUnknown)?;
    let number = state
        .subscription_number(agency, &release.subscription)
        .ok_or(Refusal::SubscriptionUnknown)?;
    let subscription = state.subscription(number).ok_or(Refusal::SubscriptionUnknown)?;
    if release.first_delivery != subscription.next_delivery {
        return Err(Refusal::ReleaseStale);
    }
    let lines = u64::try_from(release.lines.len()).unwrap_or(u64::MAX);
    let window = u64::from(limit::WINDOW_RECORDS_MAX);
    if window < subscription.outstanding().saturating_add(lines) {
        return Err(Refusal::WindowFull);
    }
    let lines = release
        .lines
        .iter()
        .map(|line| decide_line(state, (number, subscription), line, context.now))
        .collect();
    Ok(Change::Release { number, lines })
}

pub(in crate::machine) fn decide_open(
    state: &State,
    context: &Context,
    open: &Open,
) -> Result<Change, Refusal> {
    let reader = context.agency()?;
    // Whoever looks after the sharing itself sees what is shared and how well, and nobody's record, not even its own.
    if !CLIENT_PURPOSES.contains(&context.purpose) {
        return Err(Refusal::PurposeNotPermitted);
    }
    let row = state.record(open.record).filter(|row| state.erased(row.first).is_none());
    let row = row.ok_or(Refusal::NotAvailable)?;
    let purpose = i32::from(context.purpose);
    let why = (i32::from(open.reason), i32::from(open.office));
    if state.answers_for(reader, row.publisher) {
        let groups = row.groups;
        let until = UnixMillis::new(u64::MAX);
        let (record, row, flows) = (open.record, row.clone(), Vec::new());
        let unattended = context.unattended;
        let planned = Planned { record, row, groups, purpose, unattended, until, flows };
        return Ok(Change::Open { planned, via: None, why });
    }
    // No browsing: a recipient reads again what it was sent, under today's rules.
    let sent = state.tables.disclosures.contains(&(row.first, reader));
    let (latest, _) = state.latest(row.first).ok_or(Refusal::NotAvailable)?;
    let retracted = state.retraction(row.first).is_some();
    let older = latest != open.record && state.applies(Rule::LatestVersion);
    if !sent || older || retracted || recall::waits(state, reader, row.client) {
        return Err(Refusal::NotAvailable);
    }
    let question = Question::about(row, reader, purpose, context.now);
    let decision = named::decide(state, &question, context.unattended);
    if decision.grounds.is_empty() && !access::decide(state, &question).grounds.is_empty() {
        return Err(Refusal::NamedActorMissing);
    }
    let groups = granted(state, row, &decision, &open.grants).ok_or(Refusal::NotAvailable)?;
    if groups.is_empty() {
        return Err(Refusal::NotAvailable);
    }
    let (until, unattended) = (until(&decision, groups), context.unattended);
    let (record, row, flows) = (open.record, row.clone(), flows(&decision, groups));
    let planned = Planned { record, row, groups, purpose, unattended, until, flows };
    Ok(Change::Open { planned, via: Some(reader), why })
}

pub(in crate::machine) fn perform(
    state: &mut State,
    context: &Context,
    change: Change,
    effects: &mut Vec<Effect>,
) -> Receipt {
    match change {
        Change::Open { planned, via, why: (reason, office) } => {
            let reader = via.unwrap_or_else(|| state.heir(planned.row.publisher));
            let whose = (planned.row.first, planned.row.publisher, reader);
            reading::note(state, context, whose, (reason, None, office));
            let released = release(state, context, planned, (reader, None));
            Receipt::Opened(Box::new(released))
        }
        Change::Release { number, lines } => {
            let mut released = Vec::new();
            for line in lines {
                match line {
                    Verdict::Release(source, planned) => {
                        let Some(row) = state.subscription(number) else { continue };
                        let reader = (row.agency, Some((number, row.next_delivery)));
                        let first = planned.row.first;
                        settle_source(state, number, source, true);
                        if let Source::Replay(delivery) = source {
                            repeat(state, (number, delivery), planned.row.first);
                        }
                        released.push(release(state, context, planned, reader));
                        // The line may name less than what is open by now.
                        sweep::offer_again(state, number, first, context.now);
                    }
                    Verdict::Strike { source, forget, counted } => {
                        settle_source(state, number, source, forget);
                        let struck = &mut state.chain.lines_struck;
                        *struck = struck.saturating_add(u64::from(counted));
                    }
                }
            }
            effects.push(Effect::Wake(number));
            Receipt::Released(released)
        }
    }
}

/// Releases one record under emergency access, which `rules/emergency.rs` has decided.
pub(in crate::machine) fn in_emergency(
    state: &mut State,
    context: &Context,
    reached: Reached,
    (reader, id): (AgencyNumber, EmergencyId),
) -> Released {
    let ends = state.emergency(id).map_or(UnixMillis::new(0), |row| row.until);
    let until = reached.grounds.iter().map(|ground| ground.until).min().unwrap_or(ends);
    let on = reached.grounds.iter();
    let flows =
        on.map(|on| (on.agreement.clone(), on.version, on.flow.clone(), on.groups)).collect();
    let groups = reached.groups();
    let Reached { record, row, grounds: _ } = reached;
    let (purpose, until) = (i32::from(context.purpose), until.min(ends));
    let unattended = context.unattended;
    let planned = Planned { record, row, groups, purpose, unattended, until, flows };
    release(state, context, planned, (reader, None)).under(id)
}

/// From now on only the new delivery of the record is acknowledged and refused.
fn repeat(state: &mut State, delivery: (SubscriptionNumber, u64), first: RecordId) {
    let journal = &mut state.journal;
    state.tables.deliveries.change(journal, &delivery, |row| row.fate = Fate::Repeated);
    let _no_longer_parked = state.tables.parked.remove(journal, &(delivery.0, first));
}

/// Takes what was released or given up out of the queue or the replay. What a repeated delivery gave counts as not held
/// from then on: the recipient may never have got it, so whatever of it is not released now must be found again later.
fn settle_source(state: &mut State, number: SubscriptionNumber, source: Source, forget: bool) {
    if !forget {
        return;
    }
    match source {
        Source::Queue(place) => state.dequeue(number, place),
        Source::Replay(delivery) => {
            state.forget_delivery(number, delivery);
            state.tables.subscriptions.change(&mut state.journal, &number, |row| {
                row.replays = row
                    .replays
                    .iter()
                    .flat_map(|(a, b)| {
                        [
                            (*a, (*b).min(delivery.saturating_sub(1))),
                            ((*a).max(delivery.saturating_add(1)), *b),
                        ]
                    })
                    .filter(|(a, b)| a <= b)
                    .collect();
                row.replays.dedup();
            });
        }
    }
}
