//! Days as records state them: ISO 8601 calendar dates, and ages in whole years.
//!
//! Nothing here knows today's date: it is passed in. Ages follow the Age of Legal Capacity (Scotland) Act 1991 s.6: an
//! age is reached at the beginning of the anniversary, and by someone born on 29 February on 1 March of a common year.

use jiff::{
    Span,
    civil::{self, Date},
};

use crate::model::{order::UnixMillis, violation::Violation};

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

/// One day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// The same time of day so many calendar months later, in UTC: on the day of the same number, or the month's last where it
/// has none. Source: the Information Commissioner's guidance on the time to answer a request.
pub fn months_after(at: UnixMillis, months: u32) -> UnixMillis {
    let (days, rest) = (at.millis() / DAY_MS, at.millis() % DAY_MS);
    let epoch = civil::date(1970, 1, 1);
    let later = || {
        let day = epoch.checked_add(Span::new().try_days(i64::try_from(days).ok()?).ok()?).ok()?;
        let day = day.checked_add(Span::new().try_months(months).ok()?).ok()?;
        let days = day.since(epoch).ok()?.get_days();
        Some(u64::try_from(days).ok()?.saturating_mul(DAY_MS).saturating_add(rest))
    };
    UnixMillis::new(later().unwrap_or(u64::MAX))
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
    fn a_month_ends_on_the_day_of_the_same_number_or_the_last() {
        let at = |day: Date, ms: u64| {
            let days = day.since(date(1970, 1, 1)).unwrap().get_days();
            UnixMillis::new(u64::try_from(days).unwrap() * DAY_MS + ms)
        };
        for (from, months, to) in [
            (date(2026, 9, 3), 1, date(2026, 10, 3)),
            (date(2026, 3, 31), 1, date(2026, 4, 30)),
            (date(2027, 1, 31), 1, date(2027, 2, 28)),
            (date(2028, 1, 31), 1, date(2028, 2, 29)),
            (date(2026, 11, 30), 3, date(2027, 2, 28)),
            (date(2026, 12, 31), 2, date(2027, 2, 28)),
        ] {
            assert_eq!(months_after(at(from, 3_600_001), months), at(to, 3_600_001), "{from}");
        }
        assert_eq!(months_after(UnixMillis::new(u64::MAX), 1), UnixMillis::new(u64::MAX));
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
