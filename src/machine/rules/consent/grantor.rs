//! Who may give a consent, and until when: it follows the gate.
//!
//! Data protection and confidentiality: the client from 12 (DPA 2018 s.208), rebuttable both ways by a recorded assessment;
//! before that a holder of parental rights, until the month of the twelfth birthday. The 2004 Act's section 13: a parent
//! until the leaving date, with the child's own view recorded, and then the young person. From 16 somebody else speaks
//! under an order or power alone (Children (Scotland) Act 1995 s.2(7); Adults with Incapacity (Scotland) Act 2000).
//!
//! No birthday is known here. The age at the act and the months of the birthdays to come are stated, and held against each
//! other and against ledger time (`docs/decisions/0015`).

use crate::{
    machine::{
        command::consent::{Act, Review},
        law::Rule,
        outcome::Refusal,
        state::State,
    },
    model::order::UnixMillis,
    pb::ledger::v1::{
        Authority, ClientView, Competence, Gate, Grantor, Mandate, Milestone, SchoolAge,
    },
};

/// The age from which a client speaks for itself under data protection law, in whole years. Source: DPA 2018 s.208.
const SPEAKS_FROM_YEARS: u32 = 12;
/// The age at which parental rights end, in whole years; where nothing is stated it also stands for school age.
const OF_AGE_YEARS: u32 = 16;

/// Holds that the grantor may consent. Gives the next milestone at which the consent must be asked for anew.
///
/// # Errors
/// `AuthorityMissing`, `AuthorityNotKnown`, `GrantorNotCompetent`, `MandateMissing`, `ViewMissing`, `ReviewMissing`,
/// `ReviewPast`.
pub(in crate::machine) fn may_give(
    state: &State,
    gate: Gate,
    act: &Act,
    now: UnixMillis,
) -> Result<Option<(UnixMillis, i32)>, Refusal> {
    may_speak(state, gate, act)?;
    if act.grantor == Grantor::Self_ {
        return Ok(None);
    }
    let under_order = under_order(act) && state.applies(Rule::OrderSpeaks);
    let of_age = OF_AGE_YEARS <= act.age_years;
    if of_age && !under_order && state.applies(Rule::MandateFromSixteen) {
        return Err(Refusal::MandateMissing);
    }
    let statutory = gate == Gate::StatutoryConsent;
    if statutory && act.view == ClientView::Unspecified && state.applies(Rule::ViewRecorded) {
        return Err(Refusal::ViewMissing);
    }
    let all_stated = called_for(statutory, under_order, act)
        .into_iter()
        .all(|milestone| act.reviews.iter().any(|review| review.milestone == i32::from(milestone)));
    let stated = all_stated && act.reviews.iter().all(|review| plausible(*review, act));
    if !stated && state.applies(Rule::ReviewStated) {
        return Err(Refusal::ReviewMissing);
    }
    let ends = act.authority_ends_at.map(|end| (end, i32::from(Milestone::AuthorityEnd)));
    let reviews = act.reviews.iter().map(|review| (review.due_at(act.given_at), review.milestone));
    let next = reviews.chain(ends).min();
    if next.is_some_and(|(at, _)| at <= now) { Err(Refusal::ReviewPast) } else { Ok(next) }
}

/// Holds that somebody may refuse. The client may at any age; nobody is kept from it by what a consent needs beside.
///
/// # Errors
/// `AuthorityMissing`, `AuthorityNotKnown`, `GrantorNotCompetent`.
pub(in crate::machine) fn may_refuse(state: &State, gate: Gate, act: &Act) -> Result<(), Refusal> {
    if act.grantor == Grantor::Self_ { Ok(()) } else { may_speak(state, gate, act) }
}

/// Holds that the grantor is the one who speaks.
fn may_speak(state: &State, gate: Gate, act: &Act) -> Result<(), Refusal> {
    let client = client_speaks(state, gate, act);
    let another = match act.grantor {
        Grantor::Self_ => !client,
        Grantor::Parent | Grantor::Representative => client,
        Grantor::Unspecified => return Err(Refusal::GrantorNotCompetent),
    };
    if act.grantor != Grantor::Self_ {
        match act.authority {
            Authority::Unspecified if state.applies(Rule::AuthorityStated) => {
                return Err(Refusal::AuthorityMissing);
            }
            Authority::NotKnown if state.applies(Rule::AuthorityKnown) => {
                return Err(Refusal::AuthorityNotKnown);
            }
            Authority::Unspecified | Authority::NotKnown | Authority::Seen | Authority::Stated => {}
        }
    }
    if another && state.applies(Rule::SpeaksAtAge) {
        return Err(Refusal::GrantorNotCompetent);
    }
    Ok(())
}

/// Whether the client speaks for itself.
fn client_speaks(state: &State, gate: Gate, act: &Act) -> bool {
    if act.competence == Competence::Incapable && state.applies(Rule::AssessedIncapable) {
        return false;
    }
    let assessed = act.competence == Competence::Competent;
    let competent = assessed && state.applies(Rule::AssessedCompetent);
    match gate {
        Gate::StatutoryConsent => match act.school_age {
            SchoolAge::Over => true,
            SchoolAge::Within | SchoolAge::Unspecified => OF_AGE_YEARS <= act.age_years,
        },
        Gate::DataProtectionConsent | Gate::Confidentiality | Gate::None | Gate::Unspecified => {
            SPEAKS_FROM_YEARS <= act.age_years || competent
        }
    }
}

/// Whether an order or a power lets somebody else speak, whatever the age.
fn under_order(act: &Act) -> bool {
    match act.mandate {
        Mandate::GuardianshipOrder | Mandate::PowerOfAttorney | Mandate::CourtOrder => true,
        Mandate::Unspecified | Mandate::ParentalRights => false,
    }
}

/// The milestones that must be stated because somebody else speaks from them on.
fn called_for(statutory: bool, under_order: bool, act: &Act) -> Vec<Milestone> {
    let incapable = act.competence == Competence::Incapable;
    let mut milestones = Vec::new();
    if statutory && !incapable {
        milestones.push(Milestone::LeavingDate);
    } else if !incapable {
        milestones.push(Milestone::TwelfthBirthday);
    }
    if (statutory || incapable) && !under_order {
        milestones.push(Milestone::SixteenthBirthday);
    }
    milestones
}

/// Whether a milestone can lie where it is stated, given the age at the act.
fn plausible(review: Review, act: &Act) -> bool {
    let aged = (act.given_at, act.age_years);
    match Milestone::try_from(review.milestone) {
        Ok(Milestone::TwelfthBirthday) => review.fits_birthday(SPEAKS_FROM_YEARS, aged),
        Ok(Milestone::SixteenthBirthday) => review.fits_birthday(OF_AGE_YEARS, aged),
        Ok(Milestone::LeavingDate) => review.fits_leaving(aged),
        Ok(Milestone::AuthorityEnd | Milestone::Unspecified) | Err(_) => false,
    }
}
