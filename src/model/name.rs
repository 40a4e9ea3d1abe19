//! Names of people: their form, and what two spellings of one name have in common.
//!
//! Names keep their accents, apostrophes, hyphens and capitals, in Unicode normal form C. What [`folded`] finds alike only
//! ever proposes that two people may be one: it never links them.

use unicode_normalization::{
    IsNormalized, UnicodeNormalization, char::is_combining_mark, is_nfc_quick,
};

/// The greatest length of a name, in characters.
const CHARS_MAX: usize = 35;

/// Puts text into normal form C. Most text is in it already.
pub fn compose(text: &mut String) {
    if is_nfc_quick(text.chars()) != IsNormalized::Yes {
        *text = text.nfc().collect();
    }
}

/// Whether `text` has the form of a person's name: 1 to 35 letters of any language, single marks between them.
pub fn is_name(text: &str) -> bool {
    let between = |c: char| matches!(c, ' ' | '-' | '\'' | '’' | '.');
    let doubled = text.chars().zip(text.chars().skip(1)).any(|(a, b)| {
        // `St. Clair` and `Nic a' Ghobhainn` are names; any other two marks in a row are a slip.
        between(a) && between(b) && !(matches!(a, '.' | '\'' | '’') && b == ' ')
    });
    text.chars().count() <= CHARS_MAX
        && text.chars().all(|c| c.is_alphabetic() || between(c))
        && text.starts_with(char::is_alphabetic)
        && text.ends_with(|c: char| c.is_alphabetic() || c == '.')
        && !doubled
}

/// What two spellings of one name have in common: letters alone, in lower case, without accents; `Mc` and `M'` are `Mac`.
pub fn folded(name: &str) -> String {
    let words = name.split([' ', '-', '.']).map(|word| {
        let lower: String = word.to_lowercase().nfd().filter(|c| !is_combining_mark(*c)).collect();
        let abbreviated = ["mc", "m'", "m’"].iter().find_map(|mac| lower.strip_prefix(mac));
        match abbreviated.filter(|rest| !rest.is_empty()) {
            Some(rest) => format!("mac{rest}"),
            None => lower,
        }
    });
    words.flat_map(|word| word.chars().filter(|c| c.is_alphabetic()).collect::<Vec<_>>()).collect()
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
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "",
            "-",
            "Ann1",
            "Ann  Marie",
            "Ann--Marie",
            " Ann",
            "Ann ",
            "see notes: at risk",
            &"a".repeat(36),
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_decomposed_name_is_composed() {
        let mut given = "Mo\u{300}rag".to_owned();
        compose(&mut given);
        assert_eq!(given, "Mòrag");
    }

    #[test]
    fn spellings_of_one_name_fold_alike_and_other_names_do_not() {
        for (one, other) in [
            ("Mòrag", "MORAG"),
            ("Mo\u{300}rag", "Mòrag"),
            ("O'Neill", "O’neill"),
            ("McDonald", "Mac Donald"),
            ("M'Donald", "MacDonald"),
            ("Mary-Anne", "Mary Anne"),
            ("St. Clair", "St Clair"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        for (one, other) in
            [("Mòrag", "Mhòrag"), ("Anne", "Ann"), ("Mack", "Mac Mack"), ("李", "王")]
        {
            assert_ne!(folded(one), folded(other), "{one} {other}");
        }
        assert_eq!(folded("Mc"), "mc");
    }
}
