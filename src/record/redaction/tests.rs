//! Properties of redaction, held against a decoder that knows the descriptor.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::*;
use crate::record::{
    registry::{RecordField, RecordType, Registry, declared},
    wire::Field,
};

/// The program's own types, and one of every shape that they do not have.
static REGISTRY: LazyLock<Registry> = LazyLock::new(declared::shapes);

/// A body of the descriptor in which any field may be present, drawn from `noise`; rows name some of `groups`.
fn draw(
    descriptor: &MessageDescriptor,
    groups: &[&str],
    noise: &mut impl Iterator<Item = u8>,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let count = usize::from(noise.next().unwrap_or(0) % 4);
        if field.is_list() {
            let items = (0..count).map(|_| draw_value(&field, groups, noise)).collect();
            message.set_field(&field, Value::List(items));
        } else if field.is_map() {
            let of = field.kind();
            let of = of.as_message().unwrap().map_entry_value_field();
            let entries = (0..count)
                .map(|at| (MapKey::String(format!("key {at}")), draw_value(&of, groups, noise)));
            message.set_field(&field, Value::Map(entries.collect()));
        } else if count > 0 {
            let value = draw_value(&field, groups, noise);
            message.set_field(&field, value);
        }
    }
    message
}

fn draw_value(
    field: &FieldDescriptor,
    groups: &[&str],
    noise: &mut impl Iterator<Item = u8>,
) -> Value {
    let byte = noise.next().unwrap_or(0);
    match field.kind() {
        Kind::Message(inner) => Value::Message(draw(&inner, groups, noise)),
        Kind::Enum(_) => Value::EnumNumber(i32::from(byte)),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(u64::from(byte) << 40),
        Kind::Uint32 => Value::U32(u32::from(byte)),
        Kind::Int32 => Value::I32(-i32::from(byte)),
        Kind::Bool => Value::Bool(byte.is_multiple_of(2)),
        Kind::Double
        | Kind::Float
        | Kind::Int64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Fixed32
        | Kind::Sfixed32
        | Kind::Sfixed64 => unreachable!("no type has such a field: draw it here when one does"),
        Kind::Bytes => Value::Bytes(vec![byte; usize::from(byte % 16)].into()),
        Kind::String => Value::String(match groups.get(usize::from(byte) % (groups.len() + 1)) {
            Some(group) if field.name() == "group" => (*group).to_owned(),
            _ => "x".repeat(usize::from(byte % 40)),
        }),
    }
}

/// A body of the type, drawn from `noise`.
fn drawn(record_type: &RecordType, noise: &[u8]) -> DynamicMessage {
    let groups: Vec<_> = record_type.groups().iter().map(|group| group.name().as_str()).collect();
    draw(
        record_type.descriptor(),
        &groups,
        &mut noise.iter().copied().cycle().take(4 * noise.len()),
    )
}

/// The top-level fields of a body, each as it lies, in order of their bytes: the entries of a map come in any order.
fn parts(mut body: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while !body.is_empty() {
        let (_, after) = Field::split(body).unwrap();
        parts.push(&body[..body.len() - after.len()]);
        body = after;
    }
    parts.sort_unstable();
    parts
}

/// The top-level field whose rows are about groups, if the type has one.
fn rows_field(record_type: &RecordType) -> Option<u32> {
    record_type.fields().iter().find(|f| f.row_name_field().is_some()).map(RecordField::number)
}

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
        } else if Some(field.number()) == rows_field(record_type) {
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
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn what_is_left_is_exactly_what_the_groups_hold(
        noise in proptest::collection::vec(any::<u8>(), 0..400),
        bits in any::<u32>(),
    ) {
        for record_type in REGISTRY.record_types() {
            let message = drawn(record_type, &noise);
            let groups = chosen(record_type, bits);
            let redacted = record_type.redaction_plan(&groups).redact(&message.encode_to_vec()).unwrap();
            let left = DynamicMessage::decode(record_type.descriptor().clone(), redacted.as_slice()).unwrap();
            prop_assert_eq!(left.unknown_fields().count(), 0);
            prop_assert!(parts(&left.encode_to_vec()) == parts(&redacted));
            let expected = expected(record_type, &message, &groups).encode_to_vec();
            prop_assert!(parts(&redacted) == parts(&expected));
        }
    }

    #[test]
    fn no_bytes_make_it_panic_and_nothing_undeclared_survives(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        bits in any::<u32>(),
    ) {
        for record_type in REGISTRY.record_types() {
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
        for record_type in REGISTRY.record_types() {
            let mut body = record_type.example();
            if body.is_empty() {
                continue;
            }
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
    let record_type = REGISTRY.record_type(&"leaver-form".parse().unwrap()).unwrap();
    record_type.redaction_plan(&names.iter().map(|name| name.parse().unwrap()).collect())
}

#[test]
fn a_row_that_names_two_groups_goes_by_the_last_as_decoders_do() {
    let body = [&[0x62, 12, 0x0a, 4][..], b"core", &[0x0a, 4], b"care"].concat();
    assert_eq!(plan(&["core", "governance"]).redact(&body), Ok(Vec::new()));
}

#[test]
fn no_groups_leave_nothing_and_all_groups_leave_the_record() {
    for record_type in REGISTRY.record_types() {
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

#[test]
fn every_set_of_groups_of_every_type_leaves_what_it_names_and_nothing_else() {
    let mut sets = BTreeMap::new();
    for record_type in REGISTRY.record_types() {
        let all = record_type.groups().len();
        let noise: Vec<u8> = (0..=255).map(|byte: u8| byte.wrapping_mul(37)).collect();
        let messages = [
            drawn(record_type, &noise),
            DynamicMessage::decode(record_type.descriptor().clone(), &*record_type.example())
                .unwrap(),
        ];
        for bits in 0..1_u32 << all {
            let groups = chosen(record_type, bits);
            for message in &messages {
                let body = message.encode_to_vec();
                let left = record_type.redaction_plan(&groups).redact(&body).unwrap();
                let expected = expected(record_type, message, &groups).encode_to_vec();
                assert!(parts(&left) == parts(&expected));
                // What nobody declared goes, wherever it stands.
                let strange = [&[0xfa, 0x7f, 0x01, 0x78][..], &body, &[0xf8, 0x7f, 0x01]].concat();
                let plan = record_type.redaction_plan(&groups);
                assert_eq!(plan.redact(&strange).as_ref(), Ok(&left));
            }
        }
        sets.insert(record_type.name().as_str(), 1_u32 << all);
    }
    assert_eq!((sets.len(), sets["shapes"], sets["leaver-form"]), (14, 256, 4_096));
}
