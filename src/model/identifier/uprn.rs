//! The Unique Property Reference Number: what names an address in Great Britain, for ever.
//!
//! A whole number from 1 to 999,999,999,999 without a check digit, never used again (`GeoPlace`).

use std::{fmt, str::FromStr};

use crate::model::{identifier::fmt_hidden, violation::Violation};

const MAX: u64 = 999_999_999_999;

/// A Unique Property Reference Number in its range.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uprn(u64);

impl Uprn {
    /// The number itself.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Uprn {
    type Error = Violation;

    fn try_from(number: u64) -> Result<Self, Violation> {
        if (1..=MAX).contains(&number) { Ok(Self(number)) } else { Err(malformed()) }
    }
}

impl FromStr for Uprn {
    type Err = Violation;

    fn from_str(text: &str) -> Result<Self, Violation> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed());
        }
        text.parse::<u64>().map_err(|_| malformed())?.try_into()
    }
}

impl fmt::Debug for Uprn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_hidden(f, "Uprn")
    }
}

fn malformed() -> Violation {
    Violation::new(
        "",
        "MALFORMED_UPRN",
        "a unique property reference number is a whole number from 1 to 999999999999",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_reference_lies_in_its_range() {
        for good in ["1", "100023336956", "999999999999", "000000000001"] {
            assert!(good.parse::<Uprn>().is_ok(), "{good}");
        }
        for bad in ["", "0", "1000000000000", "-1", "+1", "12a", "99999999999999999999999"] {
            assert_eq!(bad.parse::<Uprn>().unwrap_err().reason, "MALFORMED_UPRN", "{bad}");
        }
    }
}
