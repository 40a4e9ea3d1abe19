//! Where the leaver is at school, and when they leave.

use jiff::civil::Date;

use crate::{
    pb::record::v1::leaver_form::{
        Education, ExceptionalReason, SpecialSupport, Stage, Status, StatutoryLeaveType,
    },
    record::{
        council,
        findings::Findings,
        leaver_form::{
            Facts,
            leaving::{EarliestLeaving, Season, earliest_leaving},
        },
        text,
    },
};

pub(super) const SEED_CODE: (&str, &str) = ("MALFORMED_SEED_CODE", "a seed code is 7 digits");

const ANTICIPATED: &str = "education.anticipated_leave_date";
const ACTUAL: &str = "education.actual_leave_date";

/// Checks the school and the dates of leaving.
pub(super) fn check(
    findings: &mut Findings,
    education: &Education,
    special: Option<&SpecialSupport>,
    facts: &Facts,
) {
    let Education {
        school_seed_code,
        stage: _,
        council_code,
        statutory_leave_type: _,
        anticipated_leave_date,
        actual_leave_date,
        exceptional_reason: _,
    } = education;
    let at_special_school = special.is_some_and(|s| !s.special_school_seed_code.is_empty());
    let mainstream = !school_seed_code.is_empty() || education.stage() != Stage::Unspecified;
    findings.require(
        !(at_special_school && mainstream),
        "education.school_seed_code",
        "SCHOOL_GIVEN_TWICE",
        "name the special school in `special_support` only, without a stage: its code tells of support needs",
    );
    if !at_special_school {
        findings.required(
            !school_seed_code.is_empty(),
            "education.school_seed_code",
            "name the school",
        );
        let staged = education.stage() != Stage::Unspecified;
        findings.required(staged, "education.stage", "give the stage");
    }
    text::digits(findings, "education.school_seed_code", school_seed_code, 7, SEED_CODE);
    findings.required(
        !council_code.is_empty(),
        "education.council_code",
        "name the council of the school",
    );
    council::check(findings, "education.council_code", council_code);
    let anticipated = findings.date(ANTICIPATED, anticipated_leave_date);
    let actual = findings.date(ACTUAL, actual_leave_date);
    check_presence(findings, education, facts);
    findings.require(
        actual.is_none_or(|day| day <= facts.today),
        ACTUAL,
        "DATE_IN_FUTURE",
        "nobody has left on a day still to come; give an anticipated date",
    );
    let Some(earliest) = facts.date_of_birth.and_then(|born| earliest_leaving(born, council_code))
    else {
        return;
    };
    check_leave_type(findings, education.statutory_leave_type(), earliest, actual.or(anticipated));
    if education.exceptional_reason() == ExceptionalReason::Unspecified {
        for (field, day) in [(ANTICIPATED, anticipated), (ACTUAL, actual)] {
            if day.is_some_and(|day| day < earliest.date) {
                findings.add(field, "BEFORE_EARLIEST_LEAVING_DATE", too_early(earliest));
            }
        }
    }
}

fn check_presence(findings: &mut Findings, education: &Education, facts: &Facts) {
    findings.required(
        facts.status != Status::Planned || !education.anticipated_leave_date.is_empty(),
        ANTICIPATED,
        "give the day that the leaver plans to leave",
    );
    let left = !education.actual_leave_date.is_empty();
    findings.required(
        facts.status != Status::Left || left,
        ACTUAL,
        "give the day that the leaver left",
    );
    findings.require(
        !(left && matches!(facts.status, Status::Planned | Status::StayedOn)),
        ACTUAL,
        "STATUS_DISAGREES",
        "the status says that the leaver is at school; give the status LEFT or leave the day out",
    );
}

fn check_leave_type(
    findings: &mut Findings,
    leave_type: StatutoryLeaveType,
    earliest: EarliestLeaving,
    leaves: Option<Date>,
) {
    let agrees = match leave_type {
        StatutoryLeaveType::Unspecified => true,
        StatutoryLeaveType::Summer => earliest.season == Season::Summer,
        StatutoryLeaveType::Winter => earliest.season == Season::Winter,
        StatutoryLeaveType::Post => leaves.is_none_or(|day| earliest.date < day),
    };
    if !agrees {
        let season = match earliest.season {
            Season::Summer => "SUMMER",
            Season::Winter => "WINTER",
        };
        let description = format!(
            "by the date of birth this is {season}, with the earliest leaving date {}; POST is for a later day",
            earliest.date
        );
        findings.add("education.statutory_leave_type", "LEAVE_TYPE_DISAGREES", description);
    }
}

fn too_early(EarliestLeaving { season: _, date, certain }: EarliestLeaving) -> String {
    let caution = if certain {
        ""
    } else {
        " (taken as 21 december: the exchange has no term dates of this council for that year)"
    };
    format!(
        "the earliest leaving date is {date}{caution}; correct the date or give the exceptional reason"
    )
}
