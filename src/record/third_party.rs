//! What a record says of anybody but its client, taken out of it on the wire format.
//!
//! A record type flags such fields and groups; a report to the person whom a record is about leaves them out. Like redaction
//! it decodes no message, never panics, and takes bytes that are no message for an error. Source: DPA 2018 Schedule 2
//! paragraph 16.

use std::collections::BTreeMap;

use crate::record::wire::{Field, MalformedRecord, WireType};

/// Which parts of a message are about somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ThirdParty {
    /// All of it.
    Whole,
    /// Parts of these fields, by number; no other field.
    Fields(BTreeMap<u32, Self>),
}

impl ThirdParty {
    /// Nothing.
    pub(crate) const NONE: Self = Self::Fields(BTreeMap::new());

    /// The message without those parts, every other field byte for byte.
    ///
    /// # Errors
    /// `MalformedRecord`.
    pub(crate) fn removed_from(&self, message: &[u8]) -> Result<Vec<u8>, MalformedRecord> {
        let Self::Fields(fields) = self else { return Ok(Vec::new()) };
        let mut kept = Vec::with_capacity(message.len());
        let mut rest = message;
        while !rest.is_empty() {
            let (field, after) = Field::split(rest)?;
            let whole = rest.get(..rest.len() - after.len()).ok_or(MalformedRecord)?;
            rest = after;
            match fields.get(&field.number) {
                None => kept.extend_from_slice(whole),
                Some(Self::Whole) => {}
                Some(inside) if field.wire_type == WireType::LengthDelimited => {
                    let payload = inside.removed_from(field.payload)?;
                    push(&mut kept, field.number, &payload)?;
                }
                Some(Self::Fields(_)) => return Err(MalformedRecord),
            }
        }
        Ok(kept)
    }
}

/// Appends a length-delimited field.
fn push(message: &mut Vec<u8>, number: u32, payload: &[u8]) -> Result<(), MalformedRecord> {
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, message);
    let length = u64::try_from(payload.len()).map_err(|_| MalformedRecord)?;
    prost::encoding::encode_varint(length, message);
    message.extend_from_slice(payload);
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::pb::record::v1::LeaverForm;

    #[test]
    fn what_is_flagged_goes_at_every_depth_and_nothing_else() {
        let none = ThirdParty::NONE;
        let registry = crate::record::registry::Registry::built_in().unwrap();
        let known = registry.record_type(&"leaver-form".parse().unwrap()).unwrap();
        let mut form = LeaverForm::decode(known.example().as_slice()).unwrap();
        let support = form.support.get_or_insert_default();
        support.lead_worker_phone = "+441632960002".to_owned();
        support.lead_worker_email = "worker@example.org".to_owned();
        let body = form.encode_to_vec();
        assert_eq!(none.removed_from(&body).unwrap(), body);
        assert_eq!(ThirdParty::Whole.removed_from(&body).unwrap(), b"");
        let kept = known.without_third_party(&body).unwrap();
        let support = form.support.get_or_insert_default();
        (support.lead_worker_phone, support.lead_worker_email) = (String::new(), String::new());
        assert_eq!(LeaverForm::decode(kept.as_slice()).unwrap(), form);
    }

    #[test]
    fn bytes_that_are_no_message_are_an_error() {
        let inside = ThirdParty::Fields([(1, ThirdParty::NONE)].into());
        for bad in [&b"\x0a\x05a"[..], &[8, 1], &[0]] {
            assert_eq!(inside.removed_from(bad), Err(MalformedRecord), "{bad:?}");
        }
    }
}
