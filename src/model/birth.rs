//! When a child was born, or is expected: one of the two and never both.
//!
//! Unborn children have plans and conferences of their own (National Guidance for Child Protection in Scotland 2021), and
//! neither a date of birth nor a number until they are born.

use jiff::{
    ToSpan,
    civil::{Date, date},
};

use crate::model::{
    date::{self as day, age_years},
    violation::Violation,
};

/// Dates that stand for "not known" in source systems.
const PLACEHOLDERS: [Date; 2] = [date(1900, 1, 1), date(1900, 1, 2)];
/// How far ahead a delivery may be expected, in days: 45 weeks, some more than the longest pregnancies.
const EXPECTED_DAYS_MAX: i64 = 315;
/// How long after the expected day a child may still be unborn, in days.
const OVERDUE_DAYS_MAX: i64 = 28;

/// A date of birth, or an expected date of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birth {
    /// Born on that day.
    Born(Date),
    /// Expected on that day.
    Expected(Date),
}

impl Birth {
    /// What a date of birth and an expected date of delivery say, of which one is empty, on the day `today`.
    ///
    /// # Errors
    /// A violation at `date_of_birth` or `expected_delivery_date`: `BIRTH_MISSING`, `BIRTH_TWICE`, `MALFORMED_DATE`,
    /// `PLACEHOLDER_DATE_OF_BIRTH`, `DATE_IN_FUTURE` or `DELIVERY_OUT_OF_RANGE`.
    pub fn of(born: &str, expected: &str, today: Date) -> Result<Self, Violation> {
        match (born, expected) {
            ("", "") => Err(Violation::new(
                BORN,
                "BIRTH_MISSING",
                "give the date of birth, or the expected date of delivery of a child not yet born",
            )),
            (born, "") => born_on(born, today).map(Self::Born),
            ("", expected) => expected_on(expected, today).map(Self::Expected),
            _ => Err(Violation::new(
                EXPECTED,
                "BIRTH_TWICE",
                "a child who was born is expected no more; leave the expected date of delivery out",
            )),
        }
    }

    /// The age in whole years; `None` of a child not yet born.
    pub fn age_years(self, on: Date) -> Option<u8> {
        match self {
            Self::Born(born) => age_years(born, on),
            Self::Expected(_) => None,
        }
    }
}

const BORN: &str = "date_of_birth";
const EXPECTED: &str = "expected_delivery_date";

fn born_on(text: &str, today: Date) -> Result<Date, Violation> {
    let born = day::parse(text).map_err(|violation| violation.inside(BORN))?;
    if PLACEHOLDERS.contains(&born) {
        return Err(Violation::new(
            BORN,
            "PLACEHOLDER_DATE_OF_BIRTH",
            "this date stands for an unknown one in the source system; find the date of birth",
        ));
    }
    if today < born {
        return Err(Violation::new(
            BORN,
            "DATE_IN_FUTURE",
            "the day is still to come; give the expected date of delivery of a child not yet born",
        ));
    }
    Ok(born)
}

fn expected_on(text: &str, today: Date) -> Result<Date, Violation> {
    let expected = day::parse(text).map_err(|violation| violation.inside(EXPECTED))?;
    let first = today.checked_sub(OVERDUE_DAYS_MAX.days());
    let last = today.checked_add(EXPECTED_DAYS_MAX.days());
    let within =
        first.is_ok_and(|first| first <= expected) && last.is_ok_and(|last| expected <= last);
    if within {
        return Ok(expected);
    }
    Err(Violation::new(
        EXPECTED,
        "DELIVERY_OUT_OF_RANGE",
        "a delivery is expected from 28 days ago to 315 days from now; give the date of birth of a child who was born",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = date(2026, 11, 23);

    fn reason(born: &str, expected: &str) -> (String, &'static str) {
        Birth::of(born, expected, TODAY).map_err(|found| (found.field, found.reason)).unwrap_err()
    }

    #[test]
    fn a_child_was_born_or_is_expected_and_never_both() {
        assert_eq!(Birth::of("2018-03-09", "", TODAY), Ok(Birth::Born(date(2018, 3, 9))));
        assert_eq!(Birth::of("", "2027-02-01", TODAY), Ok(Birth::Expected(date(2027, 2, 1))));
        assert_eq!(reason("", ""), (BORN.to_owned(), "BIRTH_MISSING"));
        assert_eq!(reason("2018-03-09", "2027-02-01"), (EXPECTED.to_owned(), "BIRTH_TWICE"));
    }

    #[test]
    fn days_that_cannot_be_are_refused() {
        assert_eq!(Birth::of("2026-11-23", "", TODAY), Ok(Birth::Born(TODAY)));
        assert_eq!(reason("2026-11-24", ""), (BORN.to_owned(), "DATE_IN_FUTURE"));
        assert_eq!(reason("1900-01-01", ""), (BORN.to_owned(), "PLACEHOLDER_DATE_OF_BIRTH"));
        assert_eq!(reason("09/03/2018", ""), (BORN.to_owned(), "MALFORMED_DATE"));
        assert!(Birth::of("", "2026-10-26", TODAY).is_ok());
        for far in ["2026-10-25", "2027-10-05"] {
            assert_eq!(reason("", far), (EXPECTED.to_owned(), "DELIVERY_OUT_OF_RANGE"), "{far}");
        }
        assert_eq!(reason("", "soon"), (EXPECTED.to_owned(), "MALFORMED_DATE"));
    }

    #[test]
    fn who_is_not_born_has_no_age() {
        assert_eq!(Birth::Born(date(2018, 3, 9)).age_years(TODAY), Some(8));
        assert_eq!(Birth::Expected(date(2027, 2, 1)).age_years(TODAY), None);
    }
}
