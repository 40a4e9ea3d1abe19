//! Records as JSON, by the protobuf JSON mapping, both ways and for every record type.
//!
//! Field names may be given in either of the mapping's two forms; what is written uses the names of the `.proto` file.

use prost::Message;
use prost_reflect::{DynamicMessage, SerializeOptions};

use crate::{
    model::violation::Violation,
    record::{registry::RecordType, wire::MalformedRecord},
};

/// The body of the record that `text` describes. It is not yet validated.
///
/// # Errors
/// `MALFORMED_JSON` with the line and column, and never with the text: it may be about a person.
pub fn from_json(record_type: &RecordType, text: &str) -> Result<Vec<u8>, Vec<Violation>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = DynamicMessage::deserialize(record_type.descriptor().clone(), &mut deserializer)
        .and_then(|message| deserializer.end().map(|()| message));
    parsed.map(|message| message.encode_to_vec()).map_err(|error| {
        let description = format!(
            "line {}, column {}: no `{}` in the protobuf json mapping; compare the name and type of the field there",
            error.line(),
            error.column(),
            record_type.name(),
        );
        vec![Violation::new("", "MALFORMED_JSON", description)]
    })
}

/// The record as one JSON object.
///
/// # Errors
/// `MalformedRecord` if the body does not decode.
pub fn to_json(
    record_type: &RecordType,
    body: &[u8],
) -> Result<serde_json::Value, MalformedRecord> {
    DynamicMessage::decode(record_type.descriptor().clone(), body)
        .map_err(|_| MalformedRecord)?
        .serialize_with_options(
            serde_json::value::Serializer,
            &SerializeOptions::new().use_proto_field_name(true),
        )
        .map_err(|_| MalformedRecord)
}
