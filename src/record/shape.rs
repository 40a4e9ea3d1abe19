//! The shape of a record: what its descriptor alone can say about a body, for every record type.
//!
//! Known fields only, codes that exist, nothing that the exchange derives. What the codes mean is each type's own rule.

use jiff::civil::Date;
use prost::Message;
use prost_reflect::{DynamicMessage, Kind, ReflectMessage, Value};

use crate::{
    model::{date, violation::Violation},
    record::{
        findings::Findings,
        registry::{CodeWindow, DatedCodes, RecordType},
    },
};

/// The body, encoded anew without unknown fields and without groups that say nothing.
///
/// # Errors
/// `MALFORMED_RECORD` if the bytes do not decode; `UNKNOWN_CODE` and `DERIVED_FIELD`, each at its field.
pub(crate) fn check(record_type: &RecordType, body: &[u8]) -> Result<Vec<u8>, Vec<Violation>> {
    let mut findings = Findings::default();
    let Ok(mut message) = DynamicMessage::decode(record_type.descriptor().clone(), body) else {
        let description =
            format!("the body is no `{}` message", record_type.descriptor().full_name());
        findings.add("", "MALFORMED_RECORD", description);
        return findings.into_result(Vec::new());
    };
    visit(&mut findings, record_type.dated_codes(), "", &mut message);
    for field in record_type.fields() {
        let empty = message
            .get_field_by_number(field.number())
            .and_then(|value| value.as_message().map(|inner| inner.encoded_len() == 0))
            .unwrap_or(false);
        if empty {
            message.clear_field_by_number(field.number());
        }
        let given = field.derived() && message.has_field_by_number(field.number());
        findings.require(
            !given,
            field.name(),
            "DERIVED_FIELD",
            "the exchange derives this field; leave it out",
        );
    }
    findings.into_result(message.encode_to_vec())
}

fn visit(findings: &mut Findings, dated: &DatedCodes, path: &str, message: &mut DynamicMessage) {
    message.take_unknown_fields().for_each(drop);
    check_dates(findings, dated, path, message);
    for (field, value) in message.fields_mut() {
        let path = join(path, field.name());
        let Value::List(items) = value else {
            visit_value(findings, dated, &path, &field.kind(), value);
            continue;
        };
        for (at, item) in items.iter_mut().enumerate() {
            let path = format!("{path}[{at}]");
            if item.as_enum_number() == Some(0) {
                findings.add(&path, "UNKNOWN_CODE", "name a code, or leave the element out");
            }
            visit_value(findings, dated, &path, &field.kind(), item);
        }
    }
}

/// Checks that each code of this message was valid on the day that the message gives for it.
fn check_dates(findings: &mut Findings, dated: &DatedCodes, path: &str, message: &DynamicMessage) {
    let descriptor = message.descriptor();
    for ((_, field), (date_field, windows)) in
        dated.iter().filter(|((name, _), _)| **name == *descriptor.full_name())
    {
        let code = message.get_field_by_number(*field).and_then(|value| value.as_enum_number());
        let day = message
            .get_field_by_number(*date_field)
            .and_then(|value| value.as_str().and_then(|text| date::parse(text).ok()));
        let (Some(window), Some(day)) = (code.and_then(|code| windows.get(&code)), day) else {
            continue;
        };
        let CodeWindow { from, until } = window;
        if from.is_some_and(|from| day < from) || until.is_some_and(|until| until < day) {
            let bound =
                |day: &Option<Date>| day.map_or("any day".to_owned(), |day| day.to_string());
            let name =
                descriptor.get_field(*field).map(|f| f.name().to_owned()).unwrap_or_default();
            findings.add(
                &join(path, &name),
                "CODE_NOT_VALID_ON_DATE",
                format!("this code is valid from {} to {}", bound(from), bound(until)),
            );
        }
    }
}

fn visit_value(
    findings: &mut Findings,
    dated: &DatedCodes,
    path: &str,
    kind: &Kind,
    value: &mut Value,
) {
    if let Value::Message(inner) = value {
        visit(findings, dated, path, inner);
    } else if let (Kind::Enum(codes), Some(number)) = (kind, value.as_enum_number())
        && codes.get_value(number).is_none()
    {
        findings.add(
            path,
            "UNKNOWN_CODE",
            format!("`{number}` is no code of `{}`; see its list", codes.name()),
        );
    }
}

/// The path of a field inside the message at `parent`.
pub(crate) fn join(parent: &str, field: &str) -> String {
    if parent.is_empty() { field.to_owned() } else { format!("{parent}.{field}") }
}
