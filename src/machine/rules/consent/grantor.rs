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
        outcome::Refusal,
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
pub(super) fn may_give(
    gate: Gate,
    act: &Act,
    now: UnixMillis,
) -> Result<Option<(UnixMillis, i32)>, Refusal> {
    may_speak(gate, act)?;
    if act.grantor == Grantor::Self_ {
        return Ok(None);
    }
    let under_order = under_order(act);
    if OF_AGE_YEARS <= act.age_years && !under_order {
        return Err(Refusal::MandateMissing);
    }
    let statutory = gate == Gate::StatutoryConsent;
    if statutory && act.view == ClientView::Unspecified {
        return Err(Refusal::ViewMissing);
    }
    for milestone in called_for(statutory, under_order, act) {
        let stated = act.reviews.iter().any(|review| review.milestone == i32::from(milestone));
        if !stated {
            return Err(Refusal::ReviewMissing);
        }
    }
    if !act.reviews.iter().all(|review| plausible(*review, act)) {
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
pub(super) fn may_refuse(gate: Gate, act: &Act) -> Result<(), Refusal> {
    if act.grantor == Grantor::Self_ { Ok(()) } else { may_speak(gate, act) }
}

/// Holds that the grantor is the one who speaks.
fn may_speak(gate: Gate, act: &Act) -> Result<(), Refusal> {
    let client = client_speaks(gate, act);
    match act.grantor {
        Grantor::Self_ if client => Ok(()),
        Grantor::Self_ | Grantor::Unspecified => Err(Refusal::GrantorNotCompetent),
        Grantor::Parent | Grantor::Representative => match act.authority {
            Authority::Unspecified => Err(Refusal::AuthorityMissing),
            Authority::NotKnown => Err(Refusal::AuthorityNotKnown),
            Authority::Seen | Authority::Stated if client => Err(Refusal::GrantorNotCompetent),
            Authority::Seen | Authority::Stated => Ok(()),
        },
    }
}

/// Whether the client speaks for itself.
fn client_speaks(gate: Gate, act: &Act) -> bool {
    if act.competence == Competence::Incapable {
        return false;
    }
    match gate {
        Gate::StatutoryConsent => match act.school_age {
            SchoolAge::Over => true,
            SchoolAge::Within | SchoolAge::Unspecified => OF_AGE_YEARS <= act.age_years,
        },
        Gate::DataProtectionConsent | Gate::Confidentiality | Gate::None | Gate::Unspecified => {
            SPEAKS_FROM_YEARS <= act.age_years || act.competence == Competence::Competent
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
