//! The postcode of an address in the United Kingdom, in its form with one space.
//!
//! The shape is checked and not that the postcode exists. Source: Public Health Scotland, `phsmethods::format_postcode`.

use std::{fmt, str::FromStr};

use crate::model::{identifier::fmt_hidden, violation::Violation};

/// A postcode of the right shape, upper case, with one space before the last three characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Postcode(Box<str>);

impl Postcode {
    /// The postcode, such as `PA15 1LY`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Postcode {
    type Err = Violation;

    fn from_str(text: &str) -> Result<Self, Violation> {
        let compact: String = text.chars().filter(|c| *c != ' ').collect();
        let normal = Some(compact)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            .and_then(|text| uk_postcode::to_normalised(&text));
        normal.map(|normal| Self(normal.into())).ok_or_else(|| {
            Violation::new("", "MALFORMED_POSTCODE", "a postcode has a form such as `PA15 1LY`")
        })
    }
}

impl fmt::Debug for Postcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_hidden(f, "Postcode")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_postcode_becomes_one() {
        for (text, normal) in [
            ("pa151ly", "PA15 1LY"),
            (" G2  6 HJ", "G2 6HJ"),
            ("EC1A 1BB", "EC1A 1BB"),
            ("W1A 0AX", "W1A 0AX"),
        ] {
            assert_eq!(text.parse::<Postcode>().unwrap().as_str(), normal);
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        for bad in ["", "PA15", "PA15 1L", "1A15 1LY", "PA155 11LY", "PA15\n1LY", "ＰＡ15 1LY"] {
            assert_eq!(bad.parse::<Postcode>().unwrap_err().reason, "MALFORMED_POSTCODE", "{bad}");
        }
    }
}
