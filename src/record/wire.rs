//! The protobuf wire format, read field by field without a descriptor.
//!
//! Every function is total: bytes that are no message are an error and never a panic. Source: the protobuf encoding guide.

use std::fmt;

/// The wire type of a length-delimited field.
const LENGTH_DELIMITED: u32 = 2;

/// How a field lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    /// A base-128 number.
    Varint,
    /// Eight bytes.
    Fixed64,
    /// A length, then so many bytes.
    LengthDelimited,
    /// Four bytes.
    Fixed32,
}

/// The bytes are not a message in the protobuf wire format, or not one of the expected type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedRecord;

impl fmt::Display for MalformedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the record is not in the wire format of its type")
    }
}

impl std::error::Error for MalformedRecord {}

/// The last value of a field that is text or a message: where such a field occurs twice, decoders take the last text. A
/// message that is plain has no field twice.
pub(crate) fn last_value(message: &[u8], number: u32) -> Result<&[u8], MalformedRecord> {
    let mut last: &[u8] = &[];
    let mut rest = message;
    while !rest.is_empty() {
        let (field, after) = Field::split(rest)?;
        if field.number == number {
            if field.wire_type != WireType::LengthDelimited {
                return Err(MalformedRecord);
            }
            last = field.payload;
        }
        rest = after;
    }
    Ok(last)
}

/// One field of a message as it lies on the wire.
pub(crate) struct Field<'a> {
    /// Its number.
    pub(crate) number: u32,
    /// How it lies.
    pub(crate) wire_type: WireType,
    /// Its value, without tag and length.
    pub(crate) payload: &'a [u8],
}

impl<'a> Field<'a> {
    /// The first field of `bytes`, and what follows it.
    pub(crate) fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), MalformedRecord> {
        let (tag, rest) = varint(bytes)?;
        let tag = u32::try_from(tag).map_err(|_| MalformedRecord)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(MalformedRecord);
        }
        let (wire_type, length, rest) = match tag & 7 {
            0 => {
                let (_, after) = varint(rest)?;
                (WireType::Varint, rest.len() - after.len(), rest)
            }
            1 => (WireType::Fixed64, 8, rest),
            LENGTH_DELIMITED => {
                let (length, rest) = varint(rest)?;
                let length = usize::try_from(length).map_err(|_| MalformedRecord)?;
                (WireType::LengthDelimited, length, rest)
            }
            5 => (WireType::Fixed32, 4, rest),
            // Proto3 writes no groups (3 and 4); 6 and 7 do not exist.
            _ => return Err(MalformedRecord),
        };
        let (payload, rest) = rest.split_at_checked(length).ok_or(MalformedRecord)?;
        Ok((Self { number, wire_type, payload }, rest))
    }
}

/// The base-128 number at the start of `bytes`, at most ten bytes long, and what follows it.
pub(crate) fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), MalformedRecord> {
    let mut number = 0_u64;
    let mut rest = bytes;
    for shift in (0_u32..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(MalformedRecord)?;
        let low = u64::from(byte & 0x7f);
        if shift == 63 && 1 < low {
            return Err(MalformedRecord);
        }
        number |= low << shift;
        rest = after;
        if byte & 0x80 == 0 {
            return Ok((number, rest));
        }
    }
    Err(MalformedRecord)
}
