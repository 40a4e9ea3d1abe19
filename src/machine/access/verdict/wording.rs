//! What a policy's text may say, told from the text alone: no more depth than a parser's stack bears, and no word that is
//! not the schema's.
//!
//! A text is examined for its depth before it is parsed and for its words after it was printed. Measured on Cedar 4.14.1
//! with a stack of 2 MiB: nested brackets overflow it between 100 and 200 levels, chains of operators between 200 and 400,
//! and an overflow would end the process at every replay.

use crate::model::{id::SLUG_BYTES_MAX, limit};

/// The greatest number of steps in one policy: operators that join, attributes read, clauses and brackets. Each may be one
/// level of depth. Whoever needs more writes another policy: any one that forbids is enough.
const STEPS_MAX: usize = 64;
/// The greatest depth of brackets.
const BRACKETS_MAX: usize = 16;
/// The greatest length of a quoted name, in bytes: three slugs and what parts them.
const NAME_BYTES_MAX: usize = 3 * SLUG_BYTES_MAX + 2;

/// Every word that a policy may hold outside quotes.
#[rustfmt::skip]
const WORDS: [&str; 34] = [
    "forbid", "principal", "action", "resource", "context", "when", "unless", "id", "if", "then", "else", "true",
    "false", "in", "is", "has", "like", "contains", "containsAll", "containsAny", "isEmpty", "Agency", "FieldGroup",
    "Action", "kind", "record_type", "group", "publisher", "special_category", "purpose", "agreement", "flow", "basis",
    "gate",
];

/// Holds that a text is short and shallow enough to be parsed.
///
/// # Errors
/// The problem, for the policy's author.
pub(super) fn shallow(text: &str) -> Result<(), String> {
    if limit::POLICY_BYTES_MAX < text.len() {
        return Err("the policy is longer than 16 KiB".to_owned());
    }
    if text.contains('\\') {
        return Err("a policy holds no backslash".to_owned());
    }
    let code = code(text);
    let (mut steps, mut open, mut deepest) = (0_usize, 0_usize, 0_usize);
    for symbol in code.chars() {
        match symbol {
            '(' | '[' | '{' => {
                steps = steps.saturating_add(1);
                open = open.saturating_add(1);
                deepest = deepest.max(open);
            }
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '|' | '&' | '!' | '+' | '-' | '*' | '.' => steps = steps.saturating_add(1),
            _ => {}
        }
    }
    // `||` and `&&` were counted twice.
    let joins = code.matches("||").count().saturating_add(code.matches("&&").count());
    let clauses = words(&code).filter(|word| matches!(*word, "if" | "when" | "unless" | "has"));
    let steps = steps.saturating_sub(joins).saturating_add(clauses.count());
    if STEPS_MAX < steps || BRACKETS_MAX < deepest {
        return Err(format!(
            "the policy has more than {STEPS_MAX} operators, attributes and brackets, or brackets deeper than {BRACKETS_MAX}: write it as several policies"
        ));
    }
    Ok(())
}

/// A problem for every word and quoted text of a canonical policy that is neither the schema's nor a name, so that no
/// words about a person ride in clear.
pub(super) fn foreign(canonical: &str) -> Vec<String> {
    let plain = |b: u8| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'/' | b'*')
    };
    let unnamed =
        quoted(canonical).filter(|text| NAME_BYTES_MAX < text.len() || !text.bytes().all(plain));
    let code = code(canonical);
    let unknown = words(&code).filter(|word| !WORDS.contains(word));
    unnamed
        .map(|text| {
            format!("`{text}` is not a name: use lower-case letters, digits and `-`, `_`, `/`, `*`")
        })
        .chain(unknown.map(|word| format!("`{word}` is not a word of the published schema")))
        .collect()
}

/// What stands in quotes.
pub(in crate::machine::access) fn quoted(canonical: &str) -> impl Iterator<Item = &str> {
    canonical.split('"').skip(1).step_by(2)
}

/// The words outside quotes.
pub(in crate::machine::access) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// The text without comments and without what stands in quotes. It holds no backslash, so a quote always ends at the next.
pub(in crate::machine::access) fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(['"', '/']) {
        let (before, from) = rest.split_at(place);
        code.push_str(before);
        rest = if let Some(quoted) = from.strip_prefix('"') {
            code.push('"');
            quoted.split_once('"').map_or("", |(_, after)| after)
        } else if from.starts_with("//") {
            from.find(['\n', '\r']).map_or("", |end| from.split_at(end).1)
        } else {
            code.push('/');
            from.strip_prefix('/').unwrap_or_default()
        };
    }
    code.push_str(rest);
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_comments_are_no_code() {
        assert_eq!(code("a \"(// b\" c // \" d\ne / f"), "a \" c \ne / f");
        assert_eq!(code("a \"b"), "a \"");
    }

    #[test]
    fn steps_and_brackets_are_bounded_before_anything_is_parsed() {
        assert_eq!(shallow(&"(".repeat(BRACKETS_MAX)), Ok(()));
        assert!(shallow(&"(".repeat(BRACKETS_MAX + 1)).is_err());
        assert_eq!(shallow(&"a || ".repeat(STEPS_MAX)), Ok(()));
        assert!(shallow(&"a || ".repeat(STEPS_MAX + 1)).is_err());
        assert!(shallow(&"a && b.c ".repeat(STEPS_MAX / 2 + 1)).is_err());
        assert!(shallow(&"if a then b else ".repeat(STEPS_MAX + 1)).is_err());
        assert_eq!(shallow(&format!("// {}", "(".repeat(100))), Ok(()));
        assert!(shallow("\"\\\"").is_err());
    }
}
