//! Reads what a descriptor's options declare about a record type, and refuses a declaration that is not whole.
//!
//! Options are read once, here: `prost-reflect` decodes them anew each time they are asked for.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, ExtensionDescriptor, FieldDescriptor, Kind,
    MessageDescriptor, Value,
};

use crate::{
    model::{
        date,
        id::{GroupName, RecordTypeName},
        limit::GROUPS_MAX,
    },
    pb::record::v1::{ClientGroup, Identifier, ReaderTier, RetentionClass},
    record::{
        registry::{About, DeclarationFault, FieldGroup, FieldPath, RecordField},
        shape::{CodeWindow, Codes, Dated, Holds, Shape, ShapedField},
        third_party::ThirdParty,
        wire::WireType,
    },
};

const PACKAGE: &str = "concordat.record.v1";

pub(super) struct Declared {
    pub(super) name: RecordTypeName,
    pub(super) version: u32,
    pub(super) code_lists: Box<str>,
    pub(super) about: About,
    pub(super) groups: Vec<FieldGroup>,
    pub(super) fields: Vec<RecordField>,
    pub(super) shape: Shape,
    pub(super) descriptor: MessageDescriptor,
    pub(super) third_party: ThirdParty,
}

/// The options of `options.proto`.
struct Options {
    record_type: ExtensionDescriptor,
    field_group: ExtensionDescriptor,
    derived: ExtensionDescriptor,
    names_group: ExtensionDescriptor,
    valid_on: ExtensionDescriptor,
    validity: ExtensionDescriptor,
    third_party: ExtensionDescriptor,
    identifier: ExtensionDescriptor,
}

/// Every record type that the pool declares.
pub(super) fn read_all(pool: &DescriptorPool) -> Result<Vec<Declared>, DeclarationFault> {
    let option = |name: &str| {
        pool.get_extension_by_name(&format!("{PACKAGE}.{name}")).ok_or_else(|| {
            DeclarationFault(format!("the option `{name}` is not in the descriptors"))
        })
    };
    let options = Options {
        record_type: option("record_type")?,
        field_group: option("field_group")?,
        derived: option("derived")?,
        names_group: option("names_group")?,
        valid_on: option("valid_on")?,
        validity: option("validity")?,
        third_party: option("third_party")?,
        identifier: option("identifier")?,
    };
    pool.all_messages()
        .filter(|message| message.options().has_extension(&options.record_type))
        .map(|message| read(message, &options))
        .collect()
}

fn read(descriptor: MessageDescriptor, options: &Options) -> Result<Declared, DeclarationFault> {
    let fault = |what: &str| DeclarationFault(format!("`{}`: {what}", descriptor.full_name()));
    let declared = descriptor.options();
    let declared = declared.get_extension(&options.record_type);
    let declared = declared.as_message().ok_or_else(|| fault("the option is no message"))?;
    let name = text(declared, "name").parse().map_err(|_| fault("the type has no name"))?;
    let version = number(declared, "version");
    let code_lists = text(declared, "code_lists");
    if version == 0 || date::parse(&code_lists).is_err() {
        return Err(fault("version or code lists are missing"));
    }
    if lie_deeper(&descriptor, MESSAGES_DEEP_MAX) {
        return Err(fault("messages lie in each other without end"));
    }
    let groups = read_groups(declared).map_err(|what| fault(&what))?;
    let names: BTreeSet<_> = groups.iter().map(FieldGroup::name).collect();
    if names.len() != groups.len() || !(1..=GROUPS_MAX).contains(&groups.len()) {
        return Err(fault("groups are missing, repeated or too many"));
    }
    let mut fields = Vec::new();
    for field in descriptor.fields() {
        let field = read_field(&field, options, &groups)
            .ok_or_else(|| fault(&format!("field `{}` is in no declared group", field.name())))?;
        fields.push(field);
    }
    if names.iter().any(|name| fields.iter().all(|field| field.group() != *name)) {
        return Err(fault("a group has no field"));
    }
    let shape =
        read_shape(&descriptor, options).ok_or_else(|| fault("a code's validity names no date"))?;
    let third_party = read_third_party(&descriptor, options, &|field| {
        let group = fields.iter().find(|known| known.number() == field.number());
        groups
            .iter()
            .any(|known| known.third_party() && group.is_some_and(|g| g.group() == known.name()))
    });
    let about = read_about(&descriptor, declared, options).map_err(|what| fault(&what))?;
    let code_lists = code_lists.into();
    Ok(Declared {
        name,
        version,
        code_lists,
        about,
        groups,
        fields,
        shape,
        descriptor,
        third_party,
    })
}

/// How deep messages may lie in each other.
const MESSAGES_DEEP_MAX: usize = 8;

/// Whether messages lie in each other deeper than `levels`, as in a message that holds itself.
fn lie_deeper(message: &MessageDescriptor, levels: usize) -> bool {
    let Some(rest) = levels.checked_sub(1) else { return true };
    message
        .fields()
        .any(|field| field.kind().as_message().is_some_and(|inner| lie_deeper(inner, rest)))
}

fn read_groups(declared: &DynamicMessage) -> Result<Vec<FieldGroup>, String> {
    let mut groups = Vec::new();
    for group in declared.get_field_by_name("groups").iter().filter_map(|g| g.as_list()).flatten() {
        let group = group.as_message().ok_or("a group is no message")?;
        let name: GroupName = text(group, "name").parse().map_err(|_| "a group has no name")?;
        let special_category = flag(group, "special_category");
        let tier = code(group, "tier");
        let tier = ReaderTier::try_from(tier).unwrap_or_default();
        match tier {
            ReaderTier::Unspecified => return Err(format!("group `{name}` has no reader tier")),
            ReaderTier::T0 if special_category => {
                return Err(format!(
                    "group `{name}` is special category data and open to everybody"
                ));
            }
            ReaderTier::T0 | ReaderTier::T1 | ReaderTier::T2 | ReaderTier::T3 => {}
        }
        groups.push(FieldGroup {
            name,
            special_category,
            restricted: flag(group, "restricted"),
            third_party: flag(group, "third_party"),
            tier,
        });
    }
    Ok(groups)
}

fn read_about(
    descriptor: &MessageDescriptor,
    declared: &DynamicMessage,
    options: &Options,
) -> Result<About, String> {
    let client_group = ClientGroup::try_from(code(declared, "client_group")).unwrap_or_default();
    let retention_class =
        RetentionClass::try_from(code(declared, "retention_class")).unwrap_or_default();
    if client_group == ClientGroup::Unspecified || retention_class == RetentionClass::Unspecified {
        return Err("client group or retention class are missing".to_owned());
    }
    let mut texts = Vec::new();
    gather_texts(descriptor, (&mut String::new(), &mut Vec::new()), &mut |field, path| {
        let kind = field.options().get_extension(&options.identifier).as_enum_number();
        texts.push((kind.unwrap_or_default(), path));
    });
    let name = text(declared, "event_date");
    let event_date = texts.iter().find(|(_, path)| path.name.as_ref() == name);
    let event_date =
        event_date.map(|(_, path)| path.clone()).ok_or("the event date is no text field")?;
    let identifiers: Vec<_> = texts
        .into_iter()
        .filter_map(|(kind, path)| Some((Identifier::try_from(kind).ok()?, path)))
        .filter(|(kind, _)| *kind != Identifier::Unspecified)
        .collect();
    let names_somebody = |(kind, _): &(Identifier, FieldPath)| {
        matches!(kind, Identifier::LocalId | Identifier::Scn | Identifier::Chi)
    };
    if !identifiers.iter().any(names_somebody) {
        return Err("no field is an identifier of the client".to_owned());
    }
    Ok(About { client_group, retention_class, event_date, identifiers })
}

/// Tells of every text field that lies in no list, with its path.
fn gather_texts(
    message: &MessageDescriptor,
    (name, numbers): (&mut String, &mut Vec<u32>),
    found: &mut impl FnMut(&FieldDescriptor, FieldPath),
) {
    for field in message.fields().filter(|field| !field.is_list() && !field.is_map()) {
        let length = name.len();
        if length != 0 {
            name.push('.');
        }
        name.push_str(field.name());
        numbers.push(field.number());
        match field.kind() {
            Kind::Message(inner) => gather_texts(&inner, (&mut *name, &mut *numbers), found),
            Kind::String => {
                let path =
                    FieldPath { name: name.as_str().into(), numbers: numbers.as_slice().into() };
                found(&field, path);
            }
            Kind::Double
            | Kind::Float
            | Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Fixed32
            | Kind::Fixed64
            | Kind::Sfixed32
            | Kind::Sfixed64
            | Kind::Bool
            | Kind::Bytes
            | Kind::Enum(_) => {}
        }
        let _last = numbers.pop();
        name.truncate(length);
    }
}

/// Which fields of a message, and of the messages in it, are about somebody else; those that `whole` names are whole.
fn read_third_party(
    message: &MessageDescriptor,
    options: &Options,
    whole: &dyn Fn(&FieldDescriptor) -> bool,
) -> ThirdParty {
    let flagged = |field: &FieldDescriptor| {
        field.options().get_extension(&options.third_party).as_bool() == Some(true)
    };
    let fields = message.fields().filter_map(|field| {
        let kind = field.kind();
        let inner = kind.as_message().map(|inner| read_third_party(inner, options, &|_| false));
        let of_field = if flagged(&field) || whole(&field) {
            ThirdParty::Whole
        } else {
            inner.filter(|inner| *inner != ThirdParty::NONE)?
        };
        Some((field.number(), of_field))
    });
    ThirdParty::Fields(fields.collect())
}

/// The shape of a message and of the messages in it, which are a tree. `None` if a code's validity names no date.
fn read_shape(message: &MessageDescriptor, options: &Options) -> Option<Shape> {
    let shaped = |field: FieldDescriptor| {
        let kind = field.kind();
        let holds = if let Kind::Message(inner) = &kind {
            Holds::Message(read_shape(inner, options)?)
        } else if let Kind::Enum(codes) = &kind {
            Holds::Codes(Codes {
                list: codes.name().into(),
                known: codes
                    .values()
                    .map(|code| code.number())
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect(),
                dated: read_dated(message, &field, codes, options)?,
            })
        } else {
            Holds::Other
        };
        Some((
            field.number(),
            ShapedField {
                name: field.name().into(),
                repeated: field.is_list() || field.is_map(),
                holds,
            },
        ))
    };
    let fields: Option<BTreeMap<_, _>> = message.fields().map(shaped).collect();
    fields.map(|fields| Shape { fields: fields.into_iter().collect() })
}

/// When the codes of a field may be used: none if its option `valid_on` is absent, an outer `None` if it names no date.
#[expect(clippy::option_option, reason = "an absent option and a wrong one are two things")]
fn read_dated(
    message: &MessageDescriptor,
    field: &FieldDescriptor,
    codes: &EnumDescriptor,
    options: &Options,
) -> Option<Option<Dated>> {
    let declared = field.options();
    let date_field = declared.get_extension(&options.valid_on);
    let Some(name) = date_field.as_str().filter(|name| !name.is_empty()) else { return Some(None) };
    let mut windows = BTreeMap::new();
    for code in codes.values().filter(|code| code.options().has_extension(&options.validity)) {
        let declared = code.options();
        let declared = declared.get_extension(&options.validity);
        windows.insert(code.number(), window(declared.as_message()?)?);
    }
    Some(Some(Dated { date_field: message.get_field_by_name(name)?.number(), windows }))
}

/// The window that an option declares; `None` if a bound is no date.
fn window(declared: &DynamicMessage) -> Option<CodeWindow> {
    let bound = |name| Some(text(declared, name)).filter(|day| !day.is_empty());
    let day = |text: String| date::parse(&text);
    let from = bound("from").map(day).transpose().ok()?;
    let until = bound("until").map(day).transpose().ok()?;
    Some(CodeWindow { from, until })
}

/// One field; `None` if it is in none of the `groups`.
fn read_field(
    field: &FieldDescriptor,
    options: &Options,
    groups: &[FieldGroup],
) -> Option<RecordField> {
    let declared = field.options();
    let group: GroupName = declared.get_extension(&options.field_group).as_str()?.parse().ok()?;
    let group_place = groups.iter().position(|declared| *declared.name() == group)?;
    let row_name_field = field.kind().as_message().and_then(|row| {
        row.fields()
            .find(|field| {
                field.options().get_extension(&options.names_group).as_bool() == Some(true)
            })
            .map(|field| field.number())
    });
    Some(RecordField {
        name: field.name().into(),
        number: field.number(),
        group,
        group_place,
        derived: declared.get_extension(&options.derived).as_bool() == Some(true),
        wire_type: wire_type(field),
        row_name_field,
    })
}

/// How a field lies on the wire when this program encodes it: packed, where protobuf packs.
fn wire_type(field: &FieldDescriptor) -> WireType {
    if field.is_packed() {
        return WireType::LengthDelimited;
    }
    match field.kind() {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => WireType::Fixed64,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => WireType::Fixed32,
        Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Bool
        | Kind::Enum(_) => WireType::Varint,
        Kind::String | Kind::Bytes | Kind::Message(_) => WireType::LengthDelimited,
    }
}

fn text(message: &DynamicMessage, field: &str) -> String {
    message.get_field_by_name(field).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn number(message: &DynamicMessage, field: &str) -> u32 {
    message.get_field_by_name(field).and_then(|value| value.as_u32()).unwrap_or_default()
}

fn code(message: &DynamicMessage, field: &str) -> i32 {
    message.get_field_by_name(field).and_then(|v| v.as_enum_number()).unwrap_or_default()
}

fn flag(message: &DynamicMessage, field: &str) -> bool {
    message.get_field_by_name(field).and_then(|value| Value::as_bool(&value)).unwrap_or_default()
}
