//! Identifiers of people and places that other registers give out, parsed here and nowhere else.
//!
//! Each is a newtype that only holds what has the right form. That it has the form does not say that it was ever given
//! out. None prints itself in `Debug`, and no violation repeats what it was given: both could tell who somebody is.

pub mod chi;
pub mod postcode;
pub mod scn;
pub mod uprn;

use std::fmt;

/// The `N` digits that `text` consists of, or `None`.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = <[u8; N]>::try_from(text.as_bytes()).ok()?;
    bytes.iter().all(u8::is_ascii_digit).then(|| bytes.map(|byte| byte - b'0'))
}

/// The sum of each digit times its weight.
fn weighted_sum(digits: &[u8], weights: &[u16]) -> u16 {
    digits.iter().zip(weights).map(|(digit, weight)| u16::from(*digit) * weight).sum()
}

/// Writes the name of the type and none of its content.
fn fmt_hidden(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    write!(f, "{name}(..)")
}
