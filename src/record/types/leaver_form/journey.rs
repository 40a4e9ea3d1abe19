//! What the leaver wants to do, and does.
//!
//! Whether a destination was a code on its day is declared with the code; whether a confirmation is recent enough is for
//! whoever counts: see [`is_confirmed`].

use std::collections::BTreeSet;

use jiff::{ToSpan, civil::Date};

use crate::{
    model::id::AgencyId,
    pb::record::v1::leaver_form::{
        ConfirmationMethod, Destination, DestinationSource, Intention, OfferStatus, Outcome,
    },
    record::{findings::Findings, leaver_form::Facts, text},
};

const CHOICES_MAX: usize = 3;

/// Whether a destination confirmed on `confirmed` still counts as confirmed on `on`, where a confirmation lasts `days`.
pub fn is_confirmed(confirmed: Date, on: Date, days: u16) -> bool {
    confirmed <= on && confirmed.checked_add(i64::from(days).days()).is_ok_and(|last| on <= last)
}

/// Checks what the leaver wants to do.
pub(super) fn check_intention(findings: &mut Findings, intention: Option<&Intention>) {
    let Some(intention) = intention else { return };
    let Intention {
        preferred_routes,
        preferred_occupations,
        offer_status: _,
        offer_provider,
        offer_start_date,
    } = intention;
    findings.required(
        !preferred_routes.is_empty(),
        "intention.preferred_routes",
        "rank 1 to 3 routes",
    );
    check_ranking(findings, "intention.preferred_routes", preferred_routes);
    check_ranking(findings, "intention.preferred_occupations", preferred_occupations);
    for (at, code) in preferred_occupations.iter().enumerate() {
        let field = format_args!("intention.preferred_occupations[{at}]");
        findings.required(!code.is_empty(), field, "give the code, or leave the element out");
        let rule = ("MALFORMED_OCCUPATION", "an occupation is a soc 2020 unit group of 4 digits");
        text::digits(findings, field, code, 4, rule);
    }
    let ukprn = offer_provider.len() == 8 && offer_provider.bytes().all(|b| b.is_ascii_digit());
    findings.require(
        offer_provider.is_empty() || ukprn || offer_provider.parse::<AgencyId>().is_ok(),
        "intention.offer_provider",
        "MALFORMED_PROVIDER",
        "name the provider by its agency id on the exchange, or by its UKPRN of 8 digits",
    );
    findings.required(
        intention.offer_status() != OfferStatus::Accepted || !offer_provider.is_empty(),
        "intention.offer_provider",
        "name the provider of the accepted offer",
    );
    let offered = matches!(
        intention.offer_status(),
        OfferStatus::Offer | OfferStatus::Accepted | OfferStatus::Applied | OfferStatus::Declined
    );
    findings.require(
        offered || offer_provider.is_empty() && offer_start_date.is_empty(),
        "intention.offer_status",
        "OFFER_DISAGREES",
        "a provider or start date is given without an offer or application; give the status",
    );
    findings.date("intention.offer_start_date", offer_start_date);
}

/// Checks a ranked list: at most three, none twice.
fn check_ranking<T: Ord>(findings: &mut Findings, field: &str, ranked: &[T]) {
    findings.require(ranked.len() <= CHOICES_MAX, field, "TOO_MANY", "rank at most 3");
    let distinct: BTreeSet<_> = ranked.iter().collect();
    findings.require(
        distinct.len() == ranked.len(),
        field,
        "REPEATED",
        "the same choice is ranked twice; rank each once",
    );
}

/// Checks what the leaver does.
pub(super) fn check_outcome(findings: &mut Findings, outcome: Option<&Outcome>, facts: &Facts) {
    let Some(outcome) = outcome else { return };
    let Outcome {
        destination: _,
        destination_start_date,
        destination_source: _,
        confirmation_method: _,
        confirmation_date,
    } = outcome;
    let destination = outcome.destination();
    findings.required(
        destination != Destination::Unspecified,
        "outcome.destination",
        "give the destination",
    );
    findings.required(
        !destination_start_date.is_empty(),
        "outcome.destination_start_date",
        "give the day on which it began",
    );
    findings.required(
        outcome.destination_source() != DestinationSource::Unspecified,
        "outcome.destination_source",
        "say where this is known from",
    );
    findings.date("outcome.destination_start_date", destination_start_date);
    let method_given = outcome.confirmation_method() != ConfirmationMethod::Unspecified;
    let agrees = match destination {
        Destination::Unconfirmed => !method_given,
        // Nobody need confirm that something is not known.
        Destination::Unknown | Destination::Unspecified => true,
        Destination::HigherEducation
        | Destination::FurtherEducation
        | Destination::Training
        | Destination::Employment
        | Destination::ModernApprenticeship
        | Destination::VoluntaryWork
        | Destination::PersonalSkillsDevelopment
        | Destination::ActivityAgreement
        | Destination::UnemployedSeeking
        | Destination::UnemployedNotSeeking
        | Destination::MovedOutwithScotland => method_given,
    };
    findings.require(
        agrees,
        "outcome.confirmation_method",
        "CONFIRMATION_DISAGREES",
        "say how the destination was confirmed, or give UNCONFIRMED without a method",
    );
    findings.require(
        method_given != confirmation_date.is_empty(),
        "outcome.confirmation_date",
        "REQUIRED",
        "give the day of the confirmation with its method, and only then",
    );
    let confirmed = findings.date("outcome.confirmation_date", confirmation_date);
    findings.require(
        confirmed.is_none_or(|day| day <= facts.today),
        "outcome.confirmation_date",
        "DATE_IN_FUTURE",
        "nothing was confirmed on a day still to come",
    );
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_confirmation_lasts_its_days() {
        let confirmed = date(2026, 8, 1);
        assert!(is_confirmed(confirmed, date(2026, 8, 1), 0));
        assert!(is_confirmed(confirmed, date(2026, 8, 31), 30));
        assert!(!is_confirmed(confirmed, date(2026, 9, 1), 30));
        assert!(!is_confirmed(confirmed, date(2026, 7, 31), 30));
    }
}
