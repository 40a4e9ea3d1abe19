//! The forms of text that a record may hold: names, address lines, telephone numbers, e-mail addresses, codes, prose.
//!
//! Each is bounded and typed; a field carries words of somebody's own only where its type says prose.

use std::fmt::Display;

use crate::{
    model::name::{compose, is_name},
    record::findings::Findings,
};

const ADDRESS_LINES_MAX: usize = 5;
const ADDRESS_LINE_CHARS_MAX: usize = 60;
const REFERENCE_BYTES_MAX: usize = 64;

/// Puts a name that is not empty into normal form C, and checks it.
pub(in crate::record) fn name(findings: &mut Findings, field: impl Display, name: &mut String) {
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

/// Checks the lines of an address.
pub(in crate::record) fn address_lines(
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
pub(in crate::record) fn phone(findings: &mut Findings, field: impl Display, phone: &mut String) {
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
pub(in crate::record) fn email(findings: &mut Findings, field: impl Display, email: &str) {
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
pub(in crate::record) fn digits(
    findings: &mut Findings,
    field: impl Display,
    code: &str,
    length: usize,
    (reason, description): (&'static str, &str),
) {
    let well_formed = code.len() == length && code.bytes().all(|b| b.is_ascii_digit());
    findings.require(code.is_empty() || well_formed, field, reason, description);
}

/// Puts prose that is not empty into normal form C without white space around it, and checks it: at most `chars_max`
/// characters, none of them for control but line breaks.
pub(in crate::record) fn prose(
    findings: &mut Findings,
    field: impl Display + Copy,
    prose: &mut String,
    chars_max: usize,
) {
    compose(prose);
    let trimmed = prose.trim();
    if trimmed.len() != prose.len() {
        *prose = trimmed.to_owned();
    }
    if chars_max < prose.chars().count() {
        let how =
            format!("write at most {chars_max} characters; what is longer stays with its author");
        findings.add(field, "TEXT_TOO_LONG", how);
    }
    findings.require(
        prose.chars().all(|c| c == '\n' || !c.is_control()),
        field,
        "MALFORMED_TEXT",
        "write plain text; line breaks are its only control characters",
    );
}

/// Checks the publisher's own reference or id, which is not empty: 1 to 64 printable characters without spaces.
pub(in crate::record) fn reference(findings: &mut Findings, field: impl Display, text: &str) {
    findings.require(
        text.len() <= REFERENCE_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic()),
        field,
        "MALFORMED_REFERENCE",
        "a reference is 1 to 64 printable characters without spaces",
    );
}
