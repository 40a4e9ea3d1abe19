//! Messages of the API as the JSON that the command line prints and reads.
//!
//! Field names are those of the `.proto` files and every field is there. Codes go by their short names, bytes are
//! hexadecimal, times are RFC 3339; a field whose name ends in `_at_ms` loses `_ms` and is such a time. What is printed can
//! be read again. The body of a record is another matter: `record/json.rs`.

use prost::Message;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage,
    Value as Field,
};
use serde_json::{Map, Value};

use crate::{
    cli::{
        code::{self, POOL},
        hex, time,
    },
    model::{order::UnixMillis, violation::Violation},
};

const TIMESTAMP: &str = "google.protobuf.Timestamp";
const DURATION: &str = "google.protobuf.Duration";

/// A message as JSON. `name` is its full name, such as `concordat.v1.Agency`.
pub(crate) fn of(name: &str, message: &impl Message) -> Value {
    let read = |descriptor| DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice());
    match POOL.get_message_by_name(name).map(read) {
        Some(Ok(message)) => of_message(&message),
        Some(Err(_)) | None => Value::Null,
    }
}

/// The message that `value` describes; `name` is its full name.
///
/// # Errors
/// Every field that does not read, by its path.
pub(crate) fn read<M: Message + Default>(name: &str, value: &Value) -> Result<M, Vec<Violation>> {
    let unreadable = |text: &str| vec![Violation::new("", "MALFORMED_DOCUMENT", text)];
    let descriptor =
        POOL.get_message_by_name(name).ok_or_else(|| unreadable("no such message is known"))?;
    let mut violations = Vec::new();
    let message = read_message(&descriptor, value, "", &mut violations);
    if violations.is_empty() {
        M::decode(message.encode_to_vec().as_slice())
            .map_err(|_| unreadable("the document is no such message"))
    } else {
        Err(violations)
    }
}

/// The name under which a field is shown.
fn shown_name(field: &FieldDescriptor) -> &str {
    let time = field.name().strip_suffix("_ms").filter(|name| name.ends_with("_at"));
    time.unwrap_or_else(|| field.name())
}

fn is_time(field: &FieldDescriptor) -> bool {
    shown_name(field) != field.name()
}

fn of_message(message: &DynamicMessage) -> Value {
    let descriptor = message.descriptor();
    match descriptor.full_name() {
        TIMESTAMP => {
            let number = |at| message.get_field_by_number(at);
            let seconds = number(1).and_then(|value| value.as_i64()).unwrap_or_default();
            let nanos = number(2).and_then(|value| value.as_i32()).unwrap_or_default();
            return Value::String(time::show_proto(seconds, nanos));
        }
        DURATION => {
            let seconds = message.get_field_by_number(1).and_then(|value| value.as_i64());
            return Value::String(format!("{}s", seconds.unwrap_or_default()));
        }
        _ => {}
    }
    let mut fields = Map::new();
    for field in descriptor.fields() {
        let absent = field.supports_presence() && !message.has_field(&field);
        if !absent {
            let value = of_field(&field, &message.get_field(&field));
            fields.insert(shown_name(&field).to_owned(), value);
        }
    }
    Value::Object(fields)
}

fn of_field(field: &FieldDescriptor, value: &Field) -> Value {
    match value {
        Field::Bool(flag) => Value::Bool(*flag),
        Field::I32(number) => (*number).into(),
        Field::I64(number) => (*number).into(),
        Field::U32(number) => (*number).into(),
        Field::U64(0) if is_time(field) => Value::String(String::new()),
        Field::U64(number) if is_time(field) => time::show(UnixMillis::new(*number)).into(),
        Field::U64(number) => (*number).into(),
        Field::F32(number) => f64::from(*number).into(),
        Field::F64(number) => (*number).into(),
        Field::String(text) => text.clone().into(),
        Field::Bytes(bytes) => hex::of(bytes).into(),
        Field::EnumNumber(number) => {
            let codes = field.kind().as_enum().cloned().filter(|_| *number != 0);
            codes.map(|codes| code::short(&codes, *number)).unwrap_or_default().into()
        }
        Field::Message(message) => of_message(message),
        Field::List(values) => values.iter().map(|value| of_field(field, value)).collect(),
        Field::Map(entries) => {
            let entry = |(key, value): (&MapKey, &Field)| {
                let key = key.as_str().map(ToOwned::to_owned).unwrap_or_default();
                (key, of_field(field, value))
            };
            Value::Object(entries.iter().map(entry).collect())
        }
    }
}

fn read_message(
    descriptor: &MessageDescriptor,
    value: &Value,
    path: &str,
    violations: &mut Vec<Violation>,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    let Value::Object(entries) = value else {
        violations.push(malformed(path, "an object with named fields"));
        return message;
    };
    for (name, value) in entries {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let Some(field) = descriptor.fields().find(|field| shown_name(field) == name) else {
            let known: Vec<String> =
                descriptor.fields().map(|field| shown_name(&field).to_owned()).collect();
            let text = format!("no such field; there are {}", known.join(", "));
            violations.push(Violation::new(path, "UNKNOWN_FIELD", text));
            continue;
        };
        let empty = value.is_null() || value.as_str() == Some("");
        if empty && !field.is_list() {
            continue;
        }
        if field.is_list() {
            let Value::Array(values) = value else {
                violations.push(malformed(&path, "a list"));
                continue;
            };
            let mut read = Vec::new();
            for (value, number) in values.iter().zip(0_usize..) {
                read.extend(read_one(&field, value, &format!("{path}[{number}]"), violations));
            }
            message.set_field(&field, Field::List(read));
        } else if let Some(read) = read_one(&field, value, &path, violations) {
            message.set_field(&field, read);
        }
    }
    message
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds that no document here holds are one case"
)]
fn read_one(
    field: &FieldDescriptor,
    value: &Value,
    path: &str,
    violations: &mut Vec<Violation>,
) -> Option<Field> {
    let (read, wanted) = match field.kind() {
        Kind::Bool => (value.as_bool().map(Field::Bool), "true or false"),
        Kind::String => (value.as_str().map(|text| Field::String(text.to_owned())), "a text"),
        Kind::Bytes => {
            let bytes = value.as_str().and_then(hex::parse);
            (bytes.map(|bytes| Field::Bytes(bytes.into())), "hexadecimal digits")
        }
        Kind::Uint32 => {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            (number.map(Field::U32), "a whole number")
        }
        Kind::Uint64 if is_time(field) => {
            let at = value.as_str().and_then(|text| time::parse(text).ok());
            let wanted = "a date such as 2027-07-31 or a time by RFC 3339";
            (at.map(|at| Field::U64(at.millis())), wanted)
        }
        Kind::Uint64 => (value.as_u64().map(Field::U64), "a whole number"),
        Kind::Enum(codes) => {
            let number = value.as_str().and_then(|text| code::number(&codes, text));
            if number.is_none() {
                let text = format!("one of {}", code::names(&codes).join(", "));
                violations.push(malformed(path, &text));
                return None;
            }
            (number.map(Field::EnumNumber), "a code")
        }
        Kind::Message(inner) => {
            return Some(Field::Message(read_message(&inner, value, path, violations)));
        }
        _ => (None, "nothing: this kind of field cannot be given"),
    };
    if read.is_none() {
        violations.push(malformed(path, wanted));
    }
    read
}

fn malformed(path: &str, wanted: &str) -> Violation {
    Violation::new(path, "MALFORMED_DOCUMENT", format!("give {wanted}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pb::{ledger::v1 as ledger, v1 as pb};

    const CONTENT: &str = "concordat.ledger.v1.AgreementContent";

    #[test]
    fn what_is_printed_reads_back() {
        let content = ledger::AgreementContent {
            parties: vec![ledger::Party {
                agency: "glen-college".to_owned(),
                kind: ledger::AgencyKind::College.into(),
                key_fingerprint: vec![7; 32].into(),
                role: ledger::PartyRole::Recipient.into(),
                ..Default::default()
            }],
            purpose: ledger::Purpose::SchoolLeaverTransition.into(),
            flows: vec![ledger::Flow {
                flow: "a".to_owned(),
                backfill: true,
                ..Default::default()
            }],
            expires_at_ms: 1_816_992_000_000,
            text_digest: Vec::new().into(),
            terms: Some(ledger::Terms {
                review_at_ms: 1_785_456_000_000,
                indicators: vec![ledger::Indicator {
                    baseline_milli: Some(0),
                    ..Default::default()
                }],
                ..Default::default()
            }),
        };
        let value = of(CONTENT, &content);
        assert_eq!(value["parties"][0]["kind"], "college");
        assert_eq!(value["purpose"], "school-leaver-transition");
        assert_eq!(value["expires_at"], "2027-07-31T00:00:00Z");
        assert_eq!(read::<ledger::AgreementContent>(CONTENT, &value), Ok(content));
    }

    #[test]
    fn a_time_is_shown_as_one_and_an_unset_one_is_left_out() {
        let agency = pb::Agency {
            enrolled_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            ..Default::default()
        };
        let value = of("concordat.v1.Agency", &agency);
        assert_eq!(value["enrolled_time"], "1970-01-01T00:00:01Z");
        assert_eq!(value.get("invited_time"), None);
    }

    #[test]
    fn every_field_that_does_not_read_is_named_by_its_path() {
        let value = json!({"purpose": "fun", "flows": [{"backfill": "yes", "colour": 1}]});
        let violations = read::<ledger::AgreementContent>(CONTENT, &value).unwrap_err();
        let paths: Vec<&str> = violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(paths, ["purpose", "flows[0].backfill", "flows[0].colour"]);
    }
}
