//! Codes of the published enums, as people write them: `school-leaver-transition` for
//! `PURPOSE_SCHOOL_LEAVER_TRANSITION`.
//!
//! The names come from the descriptors, so that a code added to a `.proto` file is known here without another line.

use std::{collections::BTreeMap, ffi::OsStr, sync::LazyLock};

use clap::{
    Arg, Command,
    builder::{PossibleValue, TypedValueParser},
    error::{ContextKind, ContextValue, ErrorKind},
};
use prost_reflect::{DescriptorPool, EnumDescriptor};

use crate::pb;

/// Every message and enum of the published files.
pub(crate) static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(pb::DESCRIPTORS).unwrap_or_default());

/// The short names of every enum's codes, by its full name.
static NAMES: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
    POOL.all_enums().map(|codes| (codes.full_name().to_owned(), names(&codes))).collect()
});

/// Parses one code of the enum of this full name; the command line then lists the codes that there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code(pub(crate) &'static str);

impl Code {
    fn names(self) -> &'static [String] {
        NAMES.get(self.0).map(Vec::as_slice).unwrap_or_default()
    }
}

impl TypedValueParser for Code {
    type Value = i32;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<i32, clap::Error> {
        let text = value.to_string_lossy();
        if let Some(number) = POOL.get_enum_by_name(self.0).and_then(|codes| number(&codes, &text))
        {
            return Ok(number);
        }
        let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(command);
        if let Some(argument) = argument {
            let shown = ContextValue::String(argument.to_string());
            error.insert(ContextKind::InvalidArg, shown);
        }
        error.insert(ContextKind::InvalidValue, ContextValue::String(text.into_owned()));
        error.insert(ContextKind::ValidValue, ContextValue::Strings(self.names().to_vec()));
        Err(error)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.names().iter().map(|name| PossibleValue::new(name.as_str()))))
    }
}

/// The short names of an enum's codes, the unspecified one left out.
pub(crate) fn names(codes: &EnumDescriptor) -> Vec<String> {
    let given = codes.values().filter(|value| value.number() != 0);
    given.map(|value| short(codes, value.number())).collect()
}

/// The number of a code, by its short or its full name, in any case; nothing for the unspecified one.
pub(crate) fn number(codes: &EnumDescriptor, text: &str) -> Option<i32> {
    let wanted = text.trim().replace('-', "_").to_ascii_uppercase();
    codes
        .values()
        .find(|value| {
            let name = value.name();
            name == wanted || name.strip_prefix(prefix(codes).as_str()) == Some(wanted.as_str())
        })
        .map(|value| value.number())
        .filter(|number| *number != 0)
}

/// The short name of a code; its number if this program does not know it.
pub(crate) fn short(codes: &EnumDescriptor, number: i32) -> String {
    let Some(value) = codes.get_value(number) else { return number.to_string() };
    let name = value.name();
    let prefix = prefix(codes);
    name.strip_prefix(prefix.as_str()).unwrap_or(name).to_ascii_lowercase().replace('_', "-")
}

/// What every name of the enum begins with: the first one is always `..._UNSPECIFIED`.
fn prefix(codes: &EnumDescriptor) -> String {
    let first = codes.get_value(0).map(|value| value.name().to_owned()).unwrap_or_default();
    first.strip_suffix("UNSPECIFIED").unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_back_from_the_name_that_is_shown() {
        for name in ["concordat.ledger.v1.Purpose", "concordat.ledger.v1.LegalPower"] {
            let codes = POOL.get_enum_by_name(name).unwrap();
            for value in codes.values().filter(|value| value.number() != 0) {
                assert_eq!(number(&codes, &short(&codes, value.number())), Some(value.number()));
                assert_eq!(number(&codes, value.name()), Some(value.number()));
            }
        }
    }

    #[test]
    fn the_unspecified_code_cannot_be_given() {
        let codes = POOL.get_enum_by_name("concordat.ledger.v1.Purpose").unwrap();
        assert_eq!(number(&codes, "unspecified"), None);
        assert_eq!(short(&codes, 3), "school-leaver-transition");
    }
}
