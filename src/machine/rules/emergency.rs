//! Emergency access: a pre-authorised office reads the fewest groups at once, for a while, and answers for it afterwards.
//!
//! Two hands allow it beforehand: a flow for emergencies, which all parties of an agreement signed, and the agency's own
//! signed word on which of its offices may use such flows. It asks for no consent and no caseload; whoever it reaches is
//! told in the same entry, and it is reviewed by somebody else than who opened it. What it may reach is decided anew when
//! it opens, at each read and at the send gate, in `emergency/reach.rs`; what time does is in `emergency/course.rs`.
//!
//! INVARIANT (one answer): whether an emergency found somebody of whom nothing may be read, or nobody, changes no answer,
//! no notice and no refusal: both are `client: None` (G8). INVARIANT (told): whoever's records an emergency reaches has a
//! notice from the entry that opened it, or from the one that first released of them.
//!
//! Sources: National Guidance for Child Protection in Scotland 2021, 1.128 to 1.131; GIRFEC Practice Guidance 4, s. 13.

use std::collections::BTreeSet;

use crate::{
    machine::{
        apply::{Context, Effect},
        command::emergency::{EmergencyCommand, Open, Read},
        outcome::{Receipt, Refusal, Remembered},
        rules::{CLIENT_PURPOSES, exchange::derived, reading, recall, release},
        state::{
            State,
            agency::AgencyNumber,
            emergency::{Authority, Emergency, Lateness, Review},
            notice::{About, EmergencyEvent, Notice},
        },
        sweep,
    },
    model::{
        digest::Digest,
        id::{ClientId, EmergencyId},
        limit,
        order::UnixMillis,
    },
    pb::ledger::v1::{EmergencyFinding, EmergencyReviewer, ReadReason},
};

mod course;
mod reach;

pub(in crate::machine) use course::deadlines;
pub(in crate::machine) use reach::{Reached, may_still, reachable};

/// What is decided about emergency access.
#[derive(Debug)]
pub(in crate::machine) enum Change {
    Known(EmergencyId),
    Authorise(AgencyNumber, Authority),
    Open(EmergencyId, Box<Emergency>),
    Read(EmergencyId, Vec<Reached>),
    Review(EmergencyId, Box<Emergency>),
    Refused { agency: AgencyNumber, cause: i32 },
}

impl Change {
    /// The answer of a request that was answered before.
    pub(in crate::machine) fn known(&self) -> Option<Receipt> {
        match self {
            Self::Known(id) => Some(Receipt::Answer(Remembered::Emergency(*id))),
            Self::Authorise(..)
            | Self::Open(..)
            | Self::Read(..)
            | Self::Review(..)
            | Self::Refused { .. } => None,
        }
    }
}

pub(in crate::machine) fn decide(
    state: &State,
    context: &Context,
    command: &EmergencyCommand,
) -> Result<Change, Refusal> {
    match command {
        EmergencyCommand::Authorise { offices, until } => {
            let agency = context.agency()?;
            let latest = context.now.plus(limit::EMERGENCY_AUTHORITY_MS);
            let dated = context.now < *until && *until <= latest;
            if !dated && !offices.is_empty() {
                return Err(Refusal::ExpiryInvalid);
            }
            Ok(Change::Authorise(agency, Authority { offices: offices.clone(), until: *until }))
        }
        EmergencyCommand::Open(open) => self::open(state, context, open),
        EmergencyCommand::Read(read) => self::read(state, context, read),
        EmergencyCommand::Review { emergency, finding, reviewer, staff } => {
            review(state, context, (*emergency, staff), (*finding, *reviewer))
        }
        EmergencyCommand::NoteRefused { agency, cause } => {
            context.node()?;
            let agency = state.agency_number(agency).ok_or(Refusal::AgencyUnknown)?;
            let cause = i32::from(*cause);
            let last = state.tables.emergency_refusals.get(&(agency, cause));
            let told =
                last.is_some_and(|at| context.now < at.plus(limit::EMERGENCY_REFUSED_TOLD_MS));
            if told { Err(Refusal::NothingToDo) } else { Ok(Change::Refused { agency, cause }) }
        }
    }
}

fn open(state: &State, context: &Context, open: &Open) -> Result<Change, Refusal> {
    let agency = context.agency()?;
    let id = EmergencyId::derived(&derived("concordat.emergency.v1", state, context));
    let row = opened(state, context, agency, open);
    if let Some(before) = state.emergency(id) {
        let same = (before.category, before.reason, before.office, before.search)
            == (row.category, row.reason, row.office, row.search)
            && (before.staff, before.search_mac) == (row.staff, row.search_mac);
        return if same { Ok(Change::Known(id)) } else { Err(Refusal::RequestIdReused) };
    }
    attended(context)?;
    authorised(state, (agency, row.category, row.office), context.now)?;
    if state.first_unreviewed(agency).is_some_and(|late| late.barred_at() <= context.now) {
        return Err(Refusal::EmergencyReviewOverdue);
    }
    let (mut all, mut own) = (0_usize, 0_usize);
    let since = |row: &Emergency| context.now < row.opened_at.plus(limit::EMERGENCY_WINDOW_MS);
    for (_, earlier) in state.emergencies_by(agency).rev().take_while(|(_, row)| since(row)) {
        all = all.saturating_add(1);
        own = own.saturating_add(usize::from(earlier.staff == row.staff));
    }
    if limit::EMERGENCIES_PER_AGENCY_MAX <= all || limit::EMERGENCIES_PER_STAFF_MAX <= own {
        return Err(Refusal::EmergencyTooMany);
    }
    Ok(Change::Open(id, Box::new(row)))
}

/// Holds that a person acts, for a purpose for which data about clients are shared.
fn attended(context: &Context) -> Result<(), Refusal> {
    if !CLIENT_PURPOSES.contains(&context.purpose) {
        return Err(Refusal::PurposeNotPermitted);
    }
    if context.unattended { Err(Refusal::NamedActorMissing) } else { Ok(()) }
}

/// Holds that the agency has authorised the office, and a flow for such emergencies is in force.
fn authorised(
    state: &State,
    (agency, category, office): (AgencyNumber, i32, i32),
    now: UnixMillis,
) -> Result<(), Refusal> {
    let own = state.tables.emergency_authorities.get(&agency);
    let own = own.is_some_and(|own| now < own.until && own.offices.contains(&office));
    let agreed = reach::flows(state, (agency, category, office), now).next().is_some();
    if own && agreed { Ok(()) } else { Err(Refusal::EmergencyNotAuthorised) }
}

fn opened(state: &State, context: &Context, agency: AgencyNumber, open: &Open) -> Emergency {
    let (category, office) = (i32::from(open.category), i32::from(open.office));
    let reached = |client: &ClientId| {
        let found = reachable(state, (agency, category, office), *client, context.now);
        let publishers: BTreeSet<_> = found.iter().map(|reached| reached.row.publisher).collect();
        (!publishers.is_empty()).then_some((*client, publishers))
    };
    let mut found: Vec<_> = open.candidates.iter().filter_map(reached).collect();
    // INVARIANT (one answer): two are nobody, and so is one of whom nothing may be read.
    let one = found.pop().filter(|_| found.is_empty());
    let (client, publishers) = one.unzip();
    Emergency {
        agency,
        category,
        reason: i32::from(open.reason),
        office,
        staff: open.staff,
        purpose: i32::from(context.purpose),
        search: i32::from(open.search),
        search_mac: open.search_mac,
        client,
        publishers: publishers.unwrap_or_default(),
        position: context.position,
        opened_at: context.now,
        until: context.now.plus(limit::EMERGENCY_MS),
        review_due: context.now.plus(limit::EMERGENCY_REVIEW_MS),
        records: 0,
        review: None,
        lateness: Lateness::None,
    }
}

fn read(state: &State, context: &Context, read: &Read) -> Result<Change, Refusal> {
    let agency = context.agency()?;
    let row = own(state, agency, read.emergency)?;
    attended(context)?;
    if row.staff != read.staff {
        return Err(Refusal::EmergencyActorUnfit);
    }
    if row.until <= context.now {
        return Err(Refusal::EmergencyState);
    }
    authorised(state, (agency, row.category, row.office), context.now)?;
    // INVARIANT (recall first): see `rules/release.rs`.
    let client = row.client.filter(|client| !recall::waits(state, agency, *client));
    let Some(client) = client else { return Ok(Change::Read(read.emergency, Vec::new())) };
    let found = reachable(state, (agency, row.category, row.office), client, context.now);
    let allowed = found.into_iter().filter_map(|reached| {
        let line = read.lines.iter().find(|line| line.record == reached.record)?;
        reached.granted(state, &line.grants)
    });
    Ok(Change::Read(read.emergency, allowed.collect()))
}

fn own(state: &State, agency: AgencyNumber, id: EmergencyId) -> Result<&Emergency, Refusal> {
    state.emergency(id).filter(|row| row.agency == agency).ok_or(Refusal::NotAvailable)
}

fn review(
    state: &State,
    context: &Context,
    (id, staff): (EmergencyId, &Digest),
    (finding, reviewer): (EmergencyFinding, EmergencyReviewer),
) -> Result<Change, Refusal> {
    let row = own(state, context.agency()?, id)?;
    if context.unattended {
        return Err(Refusal::NamedActorMissing);
    }
    if row.staff == *staff {
        return Err(Refusal::EmergencyActorUnfit);
    }
    if row.review.is_some() {
        return Err(Refusal::EmergencyState);
    }
    let (finding, reviewer) = (i32::from(finding), i32::from(reviewer));
    let review = Some(Review { finding, reviewer, at: context.now });
    Ok(Change::Review(id, Box::new(Emergency { review, ..row.clone() })))
}

pub(in crate::machine) fn perform(
    state: &mut State,
    context: &Context,
    change: Change,
    effects: &mut Vec<Effect>,
) -> Receipt {
    match change {
        Change::Known(id) => Receipt::Answer(Remembered::Emergency(id)),
        Change::Authorise(agency, authority) => {
            let authorities = &mut state.tables.emergency_authorities;
            if authority.offices.is_empty() {
                let _ended = authorities.remove(&mut state.journal, &agency);
            } else {
                authorities.put(&mut state.journal, agency, authority);
            }
            // It may say less than before: what is on its way is asked for again at the send gate.
            sweep::narrow(state, effects);
            Receipt::DONE
        }
        Change::Open(id, row) => {
            let event =
                if row.client.is_some() { EmergencyEvent::Opened } else { EmergencyEvent::Missed };
            tell(state, (id, &row), event, context.now);
            state.put_emergency(id, *row);
            Receipt::Answer(Remembered::Emergency(id))
        }
        Change::Read(id, reached) => Receipt::Released(
            reached.into_iter().map(|line| read_one(state, context, id, line)).collect(),
        ),
        Change::Review(id, row) => {
            let finding = row.review.as_ref().map_or(0, |review| review.finding);
            tell(state, (id, &row), EmergencyEvent::Reviewed(finding), context.now);
            state.put_emergency(id, *row);
            Receipt::DONE
        }
        Change::Refused { agency, cause } => {
            let refusals = &mut state.tables.emergency_refusals;
            refusals.put(&mut state.journal, (agency, cause), context.now);
            for reader in overseers(state, agency, None) {
                let event = EmergencyEvent::Refused(cause);
                let about = About::Emergency { emergency: None, by: agency, event, client: None };
                state.notify(reader, Notice { at: context.now, about });
            }
            Receipt::DONE
        }
    }
}

/// Releases one record under emergency access.
fn read_one(
    state: &mut State,
    context: &Context,
    id: EmergencyId,
    line: Reached,
) -> release::Released {
    let (first, publisher) = (line.row.first, line.row.publisher);
    let reader = state.emergency(id).map_or(publisher, |row| row.agency);
    if let Some(mut row) = state.emergency(id).cloned() {
        row.records = row.records.saturating_add(1);
        if row.publishers.insert(publisher) {
            tell_one(state, (id, &row), (publisher, EmergencyEvent::Opened), context.now);
        }
        state.put_emergency(id, row);
    }
    // Its office is the one that was authorised.
    let why = (i32::from(ReadReason::Emergency), Some(id), 0);
    reading::note(state, context, (first, publisher, reader), why);
    release::in_emergency(state, context, line, (reader, id))
}

/// Tells the agency itself, whoever it reports to, and those whose records are reached.
fn tell(
    state: &mut State,
    (id, row): (EmergencyId, &Emergency),
    event: EmergencyEvent,
    now: UnixMillis,
) {
    let mut readers = overseers(state, row.agency, Some((row.category, row.office)));
    readers.extend(row.publishers.iter().take(READERS_MAX));
    for reader in readers {
        tell_one(state, (id, row), (reader, event), now);
    }
}

/// How many readers one entry tells of each sort, so that it stays within its bound of rows.
const READERS_MAX: usize = 64;

/// Tells one agency; whom it is about is told to those whose records are reached.
fn tell_one(
    state: &mut State,
    (id, row): (EmergencyId, &Emergency),
    (reader, event): (AgencyNumber, EmergencyEvent),
    now: UnixMillis,
) {
    let client = row.client.filter(|_| row.publishers.contains(&reader));
    let about = About::Emergency { emergency: Some(id), by: row.agency, event, client };
    state.notify(reader, Notice { at: now, about });
}

/// The agency itself, and the reporting bodies of the agreements that let it use emergency access: in such emergencies,
/// or in any.
fn overseers(
    state: &State,
    agency: AgencyNumber,
    about: Option<(i32, i32)>,
) -> BTreeSet<AgencyNumber> {
    let bodies = reach::agreements(state, agency, about).filter_map(|row| row.reporting_body);
    std::iter::once(agency).chain(bodies).take(READERS_MAX).collect()
}
