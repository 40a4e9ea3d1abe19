//! The Community Health Index number: what names a patient to the health service in Scotland.
//!
//! Ten digits: date of birth as DDMMYY, two arbitrary, one that is odd for a man and even for a woman, one check digit:
//! modulo 11 under the weights 10 to 2 or, in numbers given out from February 2026, modulo 10 (Luhn). The checks run in the
//! order of Public Health Scotland's `phsmethods::chi_check`: characters, length, date, checksum. Only record types that
//! the health service publishes may hold one.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use jiff::civil::Date;

use crate::model::{
    date::age_years,
    identifier::{digits, fmt_hidden, weighted_sum},
    violation::Violation,
};

const WEIGHTS: [u16; 9] = [10, 9, 8, 7, 6, 5, 4, 3, 2];

/// A CHI number whose date exists and whose check digit is right by one of the two rules.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chi([u8; 10]);

/// The rules by which a check digit may be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Modulo 11 only.
    Mod11,
    /// Modulo 10 only: given out from February 2026.
    Mod10,
    /// Both.
    Both,
}

/// What a number says of the day of birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BornOn {
    /// That day, and no other.
    Day(Date),
    /// More than one century fits.
    Ambiguous,
    /// No century fits the ages.
    OutOfRange,
}

/// What the ninth digit stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sex {
    /// An even digit.
    Female,
    /// An odd digit.
    Male,
}

impl Chi {
    /// The ten digits as text.
    pub fn to_text(&self) -> String {
        self.0.iter().map(|digit| char::from(b'0' + digit)).collect()
    }

    /// The rules by which the check digit is right.
    pub fn checksum(&self) -> Checksum {
        match (mod_11(self.0), mod_10(self.0)) {
            (true, true) => Checksum::Both,
            (false, true) => Checksum::Mod10,
            // INVARIANT (chi): a number that neither rule accepts is never built.
            (true | false, false) => Checksum::Mod11,
        }
    }

    /// The date of birth, from the day `reference` and the ages in whole years that its holder may have on that day. The two
    /// digits of the year never decide a century by themselves.
    pub fn date_of_birth(&self, reference: Date, ages: RangeInclusive<u8>) -> BornOn {
        let mut possible = candidates(self.0)
            .into_iter()
            .flatten()
            .filter(|born| age_years(*born, reference).is_some_and(|age| ages.contains(&age)));
        match (possible.next(), possible.next()) {
            (Some(only), None) => BornOn::Day(only),
            (Some(_), Some(_)) => BornOn::Ambiguous,
            (None, _) => BornOn::OutOfRange,
        }
    }

    /// The sex that the ninth digit stands for. Where it differs from what somebody recorded that is a warning and never
    /// an error: numbers are kept when records are put right.
    pub fn sex(&self) -> Sex {
        let [.., ninth, _check] = self.0;
        if ninth.is_multiple_of(2) { Sex::Female } else { Sex::Male }
    }
}

impl FromStr for Chi {
    type Err = Violation;

    fn from_str(text: &str) -> Result<Self, Violation> {
        let Some(number) = digits::<10>(text) else {
            return Err(Violation::new(
                "",
                "MALFORMED_CHI",
                "a community health index number is 10 digits, leading zeros included",
            ));
        };
        if candidates(number).into_iter().flatten().next().is_none() {
            return Err(Violation::new(
                "",
                "CHI_DATE",
                "the first 6 digits of a community health index number are a date; these are not",
            ));
        }
        if mod_11(number) || mod_10(number) {
            Ok(Self(number))
        } else {
            Err(Violation::new(
                "",
                "CHI_CHECK_DIGIT",
                "the check digit of the community health index number is wrong; compare it with the source",
            ))
        }
    }
}

impl fmt::Debug for Chi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_hidden(f, "Chi")
    }
}

/// The dates that the first six digits may mean: in the 1800s, 1900s and 2000s.
fn candidates([d1, d2, m1, m2, y1, y2, ..]: [u8; 10]) -> [Option<Date>; 3] {
    let two = |tens: u8, units: u8| i8::try_from(tens * 10 + units).unwrap_or(0);
    [1800, 1900, 2000].map(|century: i16| {
        Date::new(century + i16::from(two(y1, y2)), two(m1, m2), two(d1, d2)).ok()
    })
}

fn mod_11([body @ .., check]: [u8; 10]) -> bool {
    let expected = match 11 - weighted_sum(&body, &WEIGHTS) % 11 {
        11 => 0,
        digit => digit,
    };
    u16::from(check) == expected
}

/// The Luhn check (ISO/IEC 7812-1 annex B): every second digit from the right, the check digit not counted, is doubled.
fn mod_10(number: [u8; 10]) -> bool {
    let sum: u16 = number
        .iter()
        .rev()
        .zip([1_u16, 2].into_iter().cycle())
        .map(|(digit, factor)| u16::from(*digit) * factor)
        .map(|product| product / 10 + product % 10)
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn the_published_vectors_hold() {
        for (text, expected) in [
            ("1904851231", Ok(Checksum::Mod11)),
            ("0101011237", Ok(Checksum::Both)),
            ("0101201234", Ok(Checksum::Mod10)),
            ("1904851232", Err("CHI_CHECK_DIGIT")),
            ("3201209999", Err("CHI_DATE")),
            ("123", Err("MALFORMED_CHI")),
        ] {
            let found = text.parse::<Chi>().map(|chi| chi.checksum()).map_err(|v| v.reason);
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_century_is_decided_or_left_open_and_never_guessed() {
        let today = date(2026, 11, 23);
        let chi = |text: &str| text.parse::<Chi>().unwrap();
        let of = |text: &str, ages| chi(text).date_of_birth(today, ages);
        assert_eq!(of("0101405073", 0..=110), BornOn::Day(date(1940, 1, 1)));
        assert_eq!(of("0101011237", 0..=125), BornOn::Ambiguous);
        assert_eq!(of("0101011237", 0..=60), BornOn::Day(date(2001, 1, 1)));
        assert_eq!(of("0101011237", 60..=130), BornOn::Day(date(1901, 1, 1)));
        assert_eq!(of("0101405073", 0..=18), BornOn::OutOfRange);
    }

    #[test]
    fn the_ninth_digit_tells_a_sex() {
        let chi = |text: &str| text.parse::<Chi>().unwrap();
        assert_eq!(chi("1904851231").sex(), Sex::Male);
        assert_eq!(chi("0101201234").sex(), Sex::Male);
        assert_eq!(chi("0101405073").sex(), Sex::Male);
        assert_eq!(chi("2011180029").sex(), Sex::Female);
    }

    #[test]
    fn a_number_keeps_its_leading_zeros_and_hides_itself() {
        let chi = "0101011237".parse::<Chi>().unwrap();
        assert_eq!(chi.to_text(), "0101011237");
        assert_eq!(format!("{chi:?}"), "Chi(..)");
    }
}
