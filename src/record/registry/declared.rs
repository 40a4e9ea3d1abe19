//! Types that no `.proto` file declares, for tests: described in the JSON form of a file descriptor.
//!
//! A type of every shape that redaction must cut, and types that are not declared wholly.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};

use super::*;

/// Rules that find nothing.
const NO_RULES: Rules =
    Rules { check: |_, _, _| Err(Vec::new()), check_successor: |_, _| Ok(()), example: Vec::new };

/// A file of messages and enums, each in the JSON form of its descriptor.
pub(in crate::record) fn file(messages: &Value) -> Value {
    json!({"file": [{
        "name": "test/shapes.proto",
        "package": "test",
        "syntax": "proto3",
        "dependency": ["concordat/record/v1/options.proto"],
        "messageType": messages,
    }]})
}

/// The field `number` of that name and type, in that group: `string`, `bytes`, `int32` or the name of a message.
pub(in crate::record) fn field(number: u32, name: &str, of: &str, group: &str) -> Value {
    let mut field = json!({"name": name, "number": number, "label": "LABEL_OPTIONAL"});
    match of {
        "string" | "bytes" | "int32" | "fixed64" | "bool" => {
            field["type"] = format!("TYPE_{}", of.to_uppercase()).into();
        }
        message => {
            field["type"] = "TYPE_MESSAGE".into();
            field["typeName"] = format!(".test.{message}").into();
        }
    }
    if !group.is_empty() {
        field["options"] = json!({"[concordat.record.v1.field_group]": group});
    }
    field
}

/// The option of a type with those groups.
pub(in crate::record) fn declares(groups: &[&str]) -> Value {
    let groups: Vec<_> =
        groups.iter().map(|name| json!({"name": name, "tier": "READER_TIER_T1"})).collect();
    json!({
        "name": "shapes",
        "version": 1,
        "codeLists": "2026-11-01",
        "clientGroup": "CLIENT_GROUP_ADULTS",
        "retentionClass": "RETENTION_CLASS_CASE",
        "eventDate": "day",
        "groups": groups,
    })
}

/// What the registry makes of the file beside the program's own.
pub(in crate::record) fn read(file: &Value) -> Result<Registry, DeclarationFault> {
    Registry::of_pool(&pool(file), |name| {
        types::rules(name).or_else(|| (name == "shapes").then_some(NO_RULES))
    })
}

/// The program's own descriptors and the file.
fn pool(file: &Value) -> DescriptorPool {
    let mut pool = DescriptorPool::decode(pb::DESCRIPTORS).unwrap();
    let set = pool.get_message_by_name("google.protobuf.FileDescriptorSet").unwrap();
    let set = DynamicMessage::deserialize(set, file.clone()).unwrap().encode_to_vec();
    pool.decode_file_descriptor_set(set.as_slice()).unwrap();
    pool
}

/// A type of every shape: nested, repeated, packed, in maps and in one of several; and rows about groups.
pub(in crate::record) fn shapes() -> Registry {
    let mut fields = vec![
        field(1, "id", "string", "a"),
        field(2, "day", "string", "a"),
        field(3, "inner", "Inner", "b"),
        field(4, "inners", "Inner", "c"),
        field(5, "numbers", "int32", "d"),
        field(6, "by_name", "ByNameEntry", "e"),
        field(7, "one_text", "string", "f"),
        field(8, "one_inner", "Inner", "g"),
        field(9, "one_number", "fixed64", "h"),
        field(10, "raw", "bytes", "b"),
        field(11, "perhaps", "bool", "c"),
        field(12, "rows", "Row", "d"),
    ];
    fields[0]["options"]["[concordat.record.v1.identifier]"] = "IDENTIFIER_LOCAL_ID".into();
    for repeated in [3, 4, 5, 11] {
        fields[repeated]["label"] = "LABEL_REPEATED".into();
    }
    for one in [6, 7, 8] {
        fields[one]["oneofIndex"] = 0.into();
    }
    fields[10]["oneofIndex"] = 1.into();
    fields[10]["proto3Optional"] = true.into();
    let mut nested = vec![field(1, "text", "string", ""), field(2, "deeper", "Deeper", "")];
    nested[1]["label"] = "LABEL_REPEATED".into();
    let mut name = field(1, "group", "string", "");
    name["options"] = json!({"[concordat.record.v1.names_group]": true});
    let mut shapes = json!({
        "name": "Shapes",
        "field": fields,
        "oneofDecl": [{"name": "one"}, {"name": "_perhaps"}],
        "nestedType": [{
            "name": "ByNameEntry",
            "field": [field(1, "key", "string", ""), field(2, "value", "Inner", "")],
            "options": {"mapEntry": true},
        }],
        "options": {"[concordat.record.v1.record_type]": declares(&["a", "b", "c", "d", "e", "f", "g", "h"])},
    });
    shapes["field"][5]["typeName"] = ".test.Shapes.ByNameEntry".into();
    let inner = json!({"name": "Inner", "field": nested});
    let deeper = json!({"name": "Deeper", "field": [field(1, "text", "string", "")]});
    let row = json!({"name": "Row", "field": [name, field(2, "text", "string", "")]});
    read(&file(&json!([shapes, inner, deeper, row]))).unwrap()
}

/// A small type that is declared wholly.
fn whole() -> Value {
    let mut fields = vec![field(1, "id", "string", "a"), field(2, "day", "string", "b")];
    fields[0]["options"]["[concordat.record.v1.identifier]"] = "IDENTIFIER_LOCAL_ID".into();
    json!({
        "name": "Small",
        "field": fields,
        "options": {"[concordat.record.v1.record_type]": declares(&["a", "b"])},
    })
}

/// It with an option of the type changed.
fn option(name: &str, value: Value) -> Value {
    let mut message = whole();
    message["options"]["[concordat.record.v1.record_type]"][name] = value;
    message
}

/// It with one option, or none, at a field.
fn field_option(at: usize, option: &Value) -> Value {
    let mut message = whole();
    message["field"][at]["options"] = option.clone();
    message
}

/// It with one field more.
fn with_field(field: Value) -> Value {
    let mut message = whole();
    message["field"].as_array_mut().unwrap().push(field);
    message
}

fn refused(message: &Value) -> String {
    let fault = read(&file(&json!([message]))).err().map(|fault| fault.0);
    fault.unwrap_or_default().trim_start_matches("`test.Small`: ").to_owned()
}

#[test]
fn a_type_that_is_not_declared_wholly_is_refused() {
    assert_eq!(refused(&whole()), "");
    let about = "client group or retention class are missing";
    for (name, value, fault) in [
        ("name", json!(""), "the type has no name"),
        ("name", json!("leaver-form"), "record type `leaver-form` is declared twice"),
        ("name", json!("unheard-of"), "record type `unheard-of` has no rules"),
        ("version", json!(0), "version or code lists are missing"),
        ("codeLists", json!("soon"), "version or code lists are missing"),
        ("clientGroup", json!(0), about),
        ("retentionClass", json!(0), about),
        ("eventDate", json!(""), "the event date is no text field"),
        ("eventDate", json!("days"), "the event date is no text field"),
    ] {
        assert_eq!(refused(&option(name, value)), fault);
    }
}

#[test]
fn groups_and_fields_that_are_not_declared_wholly_are_refused() {
    let groups = |tier: &str, special: bool| {
        let mut groups = declares(&["a", "b"])["groups"].clone();
        groups[0] = json!({"name": "a", "tier": tier, "specialCategory": special});
        option("groups", groups)
    };
    let named = |names: &[&str]| option("groups", declares(names)["groups"].clone());
    let of_group = |group: &str| json!({"[concordat.record.v1.field_group]": group});
    let nowhere = "field `day` is in no declared group";
    for (message, fault) in [
        (named(&[]), "groups are missing, repeated or too many"),
        (named(&["a", "a"]), "groups are missing, repeated or too many"),
        (named(&["a", "b", "c"]), "a group has no field"),
        (groups("READER_TIER_UNSPECIFIED", false), "group `a` has no reader tier"),
        (
            groups("READER_TIER_T0", true),
            "group `a` is special category data and open to everybody",
        ),
        (field_option(1, &Value::Null), nowhere),
        (field_option(1, &of_group("c")), nowhere),
        (field_option(0, &of_group("a")), "no field is an identifier of the client"),
        (with_field(field(3, "again", "Small", "a")), "messages lie in each other without end"),
    ] {
        assert_eq!(refused(&message), fault);
    }
}
