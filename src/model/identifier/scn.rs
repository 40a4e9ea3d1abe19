//! The Scottish Candidate Number: what names a pupil to the qualifications authority.
//!
//! Nine digits: two for the year of issue, six arbitrary, one check digit. The check is modulo 11 under the weights
//! 3 2 7 6 5 4 3 2 (HESA student record C07051, field SCN). Leading zeros count, so it is text and never a number. The
//! all-zero number passes the arithmetic and is refused: it stands for "not known" in source systems.

use std::{fmt, str::FromStr};

use crate::model::{
    identifier::{digits, fmt_hidden, weighted_sum},
    violation::Violation,
};

const WEIGHTS: [u16; 8] = [3, 2, 7, 6, 5, 4, 3, 2];

/// A Scottish Candidate Number of the right form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scn(Box<str>);

impl Scn {
    /// The nine digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scn {
    type Err = Violation;

    fn from_str(text: &str) -> Result<Self, Violation> {
        let Some([body @ .., check]) = digits::<9>(text) else {
            return Err(Violation::new(
                "",
                "MALFORMED_SCN",
                "a scottish candidate number is 9 digits, leading zeros included",
            ));
        };
        if body == [0; 8] {
            return Err(Violation::new(
                "",
                "PLACEHOLDER_SCN",
                "zeros are no candidate number; leave it empty if there is none",
            ));
        }
        if check_digit(body) == Some(check) {
            Ok(Self(text.into()))
        } else {
            Err(Violation::new(
                "",
                "SCN_CHECK_DIGIT",
                "the check digit of the scottish candidate number is wrong; compare it with the source",
            ))
        }
    }
}

impl fmt::Debug for Scn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_hidden(f, "Scn")
    }
}

/// The check digit of the first eight digits; `None` if no number begins with them.
pub fn check_digit(body: [u8; 8]) -> Option<u8> {
    match weighted_sum(&body, &WEIGHTS) % 11 {
        0 => Some(0),
        1 => None,
        remainder => u8::try_from(11 - remainder).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vectors_hold() {
        for good in ["051234561", "123456785", "141414143"] {
            assert_eq!(good.parse::<Scn>().unwrap().as_str(), good);
        }
        assert_eq!(check_digit([2, 3, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn every_other_check_digit_is_refused() {
        for last in 0..10 {
            let text = format!("05123456{last}");
            assert_eq!(text.parse::<Scn>().is_ok(), last == 1, "{text}");
        }
    }

    #[test]
    fn other_forms_and_placeholders_are_refused_without_being_repeated() {
        for bad in ["", "51234561", "0512345610", "05123456I", "05 234561", "٠٥١٢٣٤٥٦١"] {
            let violation = bad.parse::<Scn>().unwrap_err();
            assert_eq!(violation.reason, "MALFORMED_SCN");
        }
        assert_eq!("000000000".parse::<Scn>().unwrap_err().reason, "PLACEHOLDER_SCN");
        assert_eq!(format!("{:?}", "051234561".parse::<Scn>().unwrap()), "Scn(..)");
    }
}
