//! Redaction: keeps the fields of the permitted field groups of a record and nothing else.
//!
//! It reads the protobuf wire format and decodes no message, so a field that the plan does not name cannot survive,
//! whatever it holds. Rows about a field group are kept only with that group. It never panics; bytes that are no message
//! are an error. Source: the protobuf encoding guide.

use std::collections::BTreeMap;

use crate::{
    model::id::GroupName,
    record::wire::{Field, MalformedRecord, WireType, last_value},
};

/// What one set of field groups lets through, compiled from the descriptor of one record type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedactionPlan {
    fields: BTreeMap<u32, Keep>,
}

/// What of a top-level field is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All of it.
    Whole {
        /// The wire type that its type has.
        wire_type: WireType,
    },
    /// Those of its rows that name one of `groups`.
    Rows {
        /// The number of the row's field that names its group.
        name_field: u32,
        /// The groups whose rows are kept.
        groups: Vec<GroupName>,
    },
}

impl RedactionPlan {
    pub(crate) fn keeping(fields: BTreeMap<u32, Keep>) -> Self {
        Self { fields }
    }

    /// Whether nothing at all passes.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The parts of `body` that the plan keeps, in their order, byte for byte.
    ///
    /// # Errors
    /// `MalformedRecord` if the bytes are no message, or a kept field has another wire type than its own. Nothing of the
    /// body is then given out.
    pub fn redact(&self, body: &[u8]) -> Result<Vec<u8>, MalformedRecord> {
        let mut kept = Vec::with_capacity(body.len());
        let mut rest = body;
        while !rest.is_empty() {
            let (field, after) = Field::split(rest)?;
            let whole = rest.get(..rest.len() - after.len()).ok_or(MalformedRecord)?;
            rest = after;
            if self.keeps(&field)? {
                kept.extend_from_slice(whole);
            }
        }
        Ok(kept)
    }

    // INVARIANT (minimisation): only a field that the plan names is ever kept.
    fn keeps(&self, field: &Field<'_>) -> Result<bool, MalformedRecord> {
        match self.fields.get(&field.number) {
            None => Ok(false),
            Some(Keep::Whole { wire_type }) if *wire_type == field.wire_type => Ok(true),
            Some(Keep::Rows { name_field, groups })
                if field.wire_type == WireType::LengthDelimited =>
            {
                let name = last_value(field.payload, *name_field)?;
                Ok(groups.iter().any(|group| group.as_str().as_bytes() == name))
            }
            Some(Keep::Whole { .. } | Keep::Rows { .. }) => Err(MalformedRecord),
        }
    }
}

#[cfg(test)]
mod tests;
