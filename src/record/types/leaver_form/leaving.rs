//! When the law first lets a pupil leave school.
//!
//! Education (Scotland) Act 1980 s.33: with a 16th birthday from 1 March to 30 September, the last day of May; from
//! 1 October to the last day of February, the first day of the Christmas holidays. Those holidays are the run of days
//! without school around 25 December (s.33(3)(a)); they differ by council and year, so they are a dated table. Where the
//! table has no row the exchange takes 21 December, which the Act sets for whoever attends no school (s.33(3)(b)), and says
//! so in the violation.

use jiff::{ToSpan, civil::Date};

/// The version of the calendar below.
pub const CALENDAR_VERSION: &str = "2026-11-01";

/// The first days of the Christmas holidays: council, year, month and day. Each is the day after the one on which schools
/// closed, by the term dates that the council or its schools published: Friday 19 December 2025 and Friday 18 December 2026.
const CHRISTMAS_HOLIDAYS: [(&str, i16, i8, i8); 3] = [
    // Inverclyde.
    ("S12000018", 2025, 12, 20),
    // Fife.
    ("S12000047", 2025, 12, 20),
    // West Lothian (news.westlothian.gov.uk, article 85999).
    ("S12000040", 2026, 12, 19),
];

/// The leaving date that a birthday leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Season {
    /// The last day of May.
    Summer,
    /// The first day of the Christmas holidays.
    Winter,
}

/// The first day on which somebody may leave school.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarliestLeaving {
    /// Which of the two leaving dates of a year it is.
    pub season: Season,
    /// The day.
    pub date: Date,
    /// Whether the council's own calendar gave it, or the Act's, and not the exchange's default.
    pub certain: bool,
}

/// The first day on which somebody born on `born`, at a school of the council of that S12 code, may leave.
pub fn earliest_leaving(born: Date, council_code: &str) -> Option<EarliestLeaving> {
    let sixteenth = born.checked_add(16.years()).ok()?;
    match sixteenth.month() {
        3..=9 => {
            let date = Date::new(sixteenth.year(), 5, 31).ok()?;
            Some(EarliestLeaving { season: Season::Summer, date, certain: true })
        }
        10..=12 => christmas(council_code, sixteenth.year()),
        _ => christmas(council_code, sixteenth.year() - 1),
    }
}

fn christmas(council_code: &str, year: i16) -> Option<EarliestLeaving> {
    let row = CHRISTMAS_HOLIDAYS.iter().find(|row| row.0 == council_code && row.1 == year);
    let (month, day) = row.map_or((12, 21), |row| (row.2, row.3));
    let date = Date::new(year, month, day).ok()?;
    Some(EarliestLeaving { season: Season::Winter, date, certain: row.is_some() })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const INVERCLYDE: &str = "S12000018";

    #[test]
    fn a_birthday_leads_to_the_leaving_date_of_the_act() {
        for (born, expected) in [
            (date(2011, 3, 1), date(2027, 5, 31)),
            (date(2011, 9, 30), date(2027, 5, 31)),
            (date(2011, 10, 1), date(2027, 12, 21)),
            (date(2011, 12, 31), date(2027, 12, 21)),
            (date(2012, 1, 1), date(2027, 12, 21)),
            (date(2012, 2, 28), date(2027, 12, 21)),
            (date(2012, 2, 29), date(2027, 12, 21)),
        ] {
            assert_eq!(
                earliest_leaving(born, INVERCLYDE).map(|e| e.date),
                Some(expected),
                "{born}"
            );
        }
    }

    #[test]
    fn a_council_with_a_calendar_has_its_own_winter_date() {
        let born = date(2010, 1, 14);
        let dated = earliest_leaving(born, INVERCLYDE).unwrap();
        assert_eq!((dated.date, dated.certain), (date(2025, 12, 20), true));
        let undated = earliest_leaving(born, "S12000040").unwrap();
        assert_eq!((undated.date, undated.certain), (date(2025, 12, 21), false));
    }
}
