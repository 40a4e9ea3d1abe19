//! Properties of redaction, held against a decoder that knows the descriptor.

use std::collections::BTreeSet;

use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use super::*;
use crate::record::{
    registry::{RecordType, Registry},
    wire::Field,
};

/// A body of the descriptor in which any field may be present, drawn from `noise`.
fn draw(descriptor: &MessageDescriptor, noise: &mut impl Iterator<Item = u8>) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let count = usize::from(noise.next().unwrap_or(0) % 4);
        if field.is_list() {
            let items = (0..count).map(|_| draw_value(&field, noise)).collect();
            message.set_field(&field, Value::List(items));
        } else if count > 0 {
            let value = draw_value(&field, noise);
            message.set_field(&field, value);
        }
    }
    message
}

fn draw_value(field: &FieldDescriptor, noise: &mut impl Iterator<Item = u8>) -> Value {
    let byte = noise.next().unwrap_or(0);
    if let Kind::Message(inner) = field.kind() {
        return Value::Message(draw(&inner, noise));
    }
    if let Kind::Enum(_) = field.kind() {
        return Value::EnumNumber(i32::from(byte));
    }
    if field.kind() == Kind::Uint64 {
        return Value::U64(u64::from(byte) << 40);
    }
    if field.kind() == Kind::Uint32 {
        return Value::U32(u32::from(byte));
    }
    let text = match GROUPS.get(usize::from(byte) % (GROUPS.len() + 1)) {
        Some(group) if field.name() == "group" => (*group).to_owned(),
        _ => "x".repeat(usize::from(byte)),
    };
    Value::String(text)
}

/// Some names for the rows of lawful basis.
const GROUPS: [&str; 5] = ["core", "identity", "support-special", "governance", "outcome"];

fn chosen(record_type: &RecordType, bits: u32) -> BTreeSet<GroupName> {
    let groups = record_type.groups().iter().zip(0..);
    groups.filter(|(_, at)| bits >> at & 1 == 1).map(|(group, _)| group.name().clone()).collect()
}

fn group_of(record_type: &RecordType, number: u32) -> &GroupName {
    record_type.fields().iter().find(|field| field.number() == number).unwrap().group()
}

/// What redaction should leave, worked out on the decoded message.
fn expected(
    record_type: &RecordType,
    message: &DynamicMessage,
    groups: &BTreeSet<GroupName>,
) -> DynamicMessage {
    let mut expected = message.clone();
    for field in record_type.descriptor().fields() {
        if !groups.contains(group_of(record_type, field.number())) {
            expected.clear_field(&field);
        } else if field.name() == "lawful_basis" {
            let Value::List(rows) = expected.get_field(&field).into_owned() else {
                panic!("a list")
            };
            let named = |row: &Value| {
                let row = row.as_message().unwrap();
                row.get_field_by_name("group").unwrap().as_str().unwrap().to_owned()
            };
            let kept =
                rows.into_iter().filter(|row| groups.iter().any(|g| g.as_str() == named(row)));
            expected.set_field(&field, Value::List(kept.collect()));
        }
    }
    expected
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn what_is_left_is_exactly_what_the_groups_hold(
        noise in proptest::collection::vec(any::<u8>(), 0..400),
        bits in any::<u32>(),
    ) {
        let registry = Registry::built_in().unwrap();
        for record_type in registry.record_types() {
            let message = draw(record_type.descriptor(), &mut noise.iter().copied());
            let groups = chosen(record_type, bits);
            let redacted = record_type.redaction_plan(&groups).redact(&message.encode_to_vec()).unwrap();
            let left = DynamicMessage::decode(record_type.descriptor().clone(), redacted.as_slice()).unwrap();
            prop_assert_eq!(left.unknown_fields().count(), 0);
            prop_assert!(left.encode_to_vec() == redacted);
            prop_assert!(redacted == expected(record_type, &message, &groups).encode_to_vec());
        }
    }

    #[test]
    fn no_bytes_make_it_panic_and_nothing_undeclared_survives(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        bits in any::<u32>(),
    ) {
        let registry = Registry::built_in().unwrap();
        for record_type in registry.record_types() {
            let groups = chosen(record_type, bits);
            if let Ok(redacted) = record_type.redaction_plan(&groups).redact(&noise) {
                for number in field_numbers(&redacted) {
                    prop_assert!(groups.contains(group_of(record_type, number)));
                }
            }
        }
    }

    #[test]
    fn a_cut_or_changed_record_is_an_error_or_still_within_its_groups(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        bits in any::<u32>(),
    ) {
        let registry = Registry::built_in().unwrap();
        for record_type in registry.record_types() {
            let mut body = record_type.example();
            let at = at.index(body.len());
            body[at] = byte;
            let groups = chosen(record_type, bits);
            let plan = record_type.redaction_plan(&groups);
            for body in [&body[..], &body[..at]] {
                for number in plan.redact(body).map_or(Vec::new(), |left| field_numbers(&left)) {
                    prop_assert!(groups.contains(group_of(record_type, number)));
                }
            }
        }
    }
}

fn plan(names: &[&str]) -> std::sync::Arc<RedactionPlan> {
    let registry = Registry::built_in().unwrap();
    let record_type = registry.record_type(&"leaver-form".parse().unwrap()).unwrap();
    record_type.redaction_plan(&names.iter().map(|name| name.parse().unwrap()).collect())
}

#[test]
fn a_row_that_names_two_groups_goes_by_the_last_as_decoders_do() {
    let body = [&[0x62, 12, 0x0a, 4][..], b"core", &[0x0a, 4], b"care"].concat();
    assert_eq!(plan(&["core", "governance"]).redact(&body), Ok(Vec::new()));
}

#[test]
fn no_groups_leave_nothing_and_all_groups_leave_the_record() {
    let registry = Registry::built_in().unwrap();
    for record_type in registry.record_types() {
        let body = record_type.example();
        assert_eq!(record_type.redaction_plan(&BTreeSet::new()).redact(&body), Ok(Vec::new()));
        let all = record_type.groups().iter().map(|group| group.name().clone()).collect();
        assert_eq!(record_type.redaction_plan(&all).redact(&body), Ok(body));
    }
}

#[test]
fn malformed_bytes_are_errors() {
    let whole = plan(&["core", "governance"]);
    for bytes in [
        // A field of number 0, wire types 3, 4, 6 and 7, a length beyond the end, an endless number.
        &[0x00, 0x00][..],
        &[0x0b, 0x0c],
        &[0x0c],
        &[0x0e],
        &[0x0f],
        &[0x0a, 0x05, 0x00],
        &[0x80; 11],
        // A length beyond memory, a tag beyond 32 bits, a number beyond 64 bits.
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x8a, 0x80, 0x80, 0x80, 0x80, 0x01, 0x00],
        &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
        // `core` as a number; a row whose group is a number.
        &[0x08, 0x01],
        &[0x62, 0x02, 0x08, 0x01],
    ] {
        assert_eq!(whole.redact(bytes), Err(MalformedRecord), "{bytes:?}");
    }
}

/// The field numbers at the top level of a message.
fn field_numbers(body: &[u8]) -> Vec<u32> {
    let mut numbers = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (field, after) = Field::split(rest).unwrap();
        numbers.push(field.number);
        rest = after;
    }
    numbers
}
