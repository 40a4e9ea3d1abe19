//! Days as records state them: ISO 8601 calendar dates, and ages in whole years.
//!
//! Nothing here knows today's date: it is passed in. Ages follow the Age of Legal Capacity (Scotland) Act 1991 s.6: an
//! age is reached at the beginning of the anniversary, and by someone born on 29 February on 1 March of a common year.

use jiff::civil::Date;

use crate::model::violation::Violation;

/// The day that `text` names, in the form `2027-05-31` and no other.
///
/// # Errors
/// A violation with the reason `MALFORMED_DATE`; it does not repeat the text.
pub fn parse(text: &str) -> Result<Date, Violation> {
    let malformed = || {
        Violation::new(
            "",
            "MALFORMED_DATE",
            "a date is written year-month-day, such as `2027-05-31`",
        )
    };
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            0..=3 | 5 | 6 | 8.. => byte.is_ascii_digit(),
        });
    if !shape {
        return Err(malformed());
    }
    text.parse().map_err(|_| malformed())
}

/// The age in whole years, on the day `on`, of someone born on the day `born`; `None` if they were not yet born.
pub fn age_years(born: Date, on: Date) -> Option<u8> {
    if on < born {
        return None;
    }
    let before_birthday = (on.month(), on.day()) < (born.month(), born.day());
    u8::try_from(on.year() - born.year() - i16::from(before_birthday)).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_date_has_one_form() {
        assert_eq!(parse("2027-05-31"), Ok(date(2027, 5, 31)));
        for bad in [
            "",
            "31/05/2027",
            "2027-5-31",
            "2027-02-29",
            "+002027-05-31",
            "2027-05-31T00",
            "20270531",
        ] {
            assert_eq!(parse(bad).unwrap_err().reason, "MALFORMED_DATE", "{bad}");
        }
    }

    #[test]
    fn an_age_is_reached_on_the_anniversary() {
        assert_eq!(age_years(date(2010, 6, 15), date(2026, 6, 14)), Some(15));
        assert_eq!(age_years(date(2010, 6, 15), date(2026, 6, 15)), Some(16));
        assert_eq!(age_years(date(2010, 6, 15), date(2010, 6, 14)), None);
    }

    #[test]
    fn someone_born_on_29_february_comes_of_age_on_1_march_of_a_common_year() {
        assert_eq!(age_years(date(2008, 2, 29), date(2026, 2, 28)), Some(17));
        assert_eq!(age_years(date(2008, 2, 29), date(2026, 3, 1)), Some(18));
    }
}
