//! Bytes as lower-case hexadecimal digits (RFC 4648 §8, in lower case): how every id, digest and serial number is written.

use std::fmt;

use hex::FromHex;

/// How many bytes are written at once.
const BYTES_AT_ONCE: usize = 32;

/// Writes bytes, two digits each.
///
/// # Errors
/// What the formatter says.
pub fn write(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.chunks(BYTES_AT_ONCE).try_for_each(|bytes| {
        let mut digits = [0; 2 * BYTES_AT_ONCE];
        let digits = digits.get_mut(..2 * bytes.len()).ok_or(fmt::Error)?;
        hex::encode_to_slice(bytes, digits).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(digits).map_err(|_| fmt::Error)?)
    })
}

/// The bytes that lower-case digits stand for; `None` if they are not that many, or not such digits.
pub fn parse<T: FromHex>(digits: &str) -> Option<T> {
    let lower = digits.bytes().all(|digit| !digit.is_ascii_uppercase());
    lower.then(|| T::from_hex(digits).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown<'a>(&'a [u8]);

    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write(f, self.0)
        }
    }

    #[test]
    fn bytes_read_back_as_they_were_written() {
        for count in [0_u8, 1, 16, 31, 32, 33, 100] {
            let bytes: Vec<u8> = (0..count).map(|byte| byte.wrapping_mul(37)).collect();
            let digits = Shown(&bytes).to_string();
            assert_eq!(digits.len(), bytes.len() * 2);
            assert_eq!(parse::<Vec<u8>>(&digits), Some(bytes));
        }
    }

    #[test]
    fn anything_but_lower_case_digits_of_the_right_number_is_nothing() {
        assert_eq!(parse("0aff"), Some([0x0a, 0xff]));
        for digits in ["0AFF", "0aff00", "0af", "+a+f", "0a f", "0ag0", ""] {
            assert_eq!(parse::<[u8; 2]>(digits), None, "{digits}");
        }
    }
}
