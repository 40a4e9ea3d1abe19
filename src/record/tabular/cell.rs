//! One cell of a table: a field's value as text, and back.

use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value,
};

use crate::model::violation::Violation;

/// Separates the elements of a list.
const BETWEEN_ELEMENTS: char = '|';
/// Separates the field groups that one row names.
const BETWEEN_GROUPS: char = '+';
/// Holds together a value with spaces in a row of a list; twice, it stands for itself.
const QUOTE: char = '"';

/// The value of `field` that a cell gives.
pub(super) fn read(
    field: &FieldDescriptor,
    row_name_field: Option<u32>,
    cell: &str,
) -> Result<Value, Violation> {
    if !field.is_list() {
        return read_one(&field.kind(), cell);
    }
    let elements = unquoted(cell, |c| c == BETWEEN_ELEMENTS)?;
    let elements = elements.into_iter().map(str::trim).filter(|text| !text.is_empty());
    let mut values = Vec::new();
    for element in elements {
        if let (Kind::Message(row), Some(name_field)) = (field.kind(), row_name_field) {
            values.extend(read_row_per_group(&row, name_field, element)?);
        } else {
            values.push(read_one(&field.kind(), element)?);
        }
    }
    Ok(Value::List(values))
}

/// The parts of `text` between separators that stand in no quotes.
fn unquoted(text: &str, separates: impl Fn(char) -> bool) -> Result<Vec<&str>, Violation> {
    let mut quoted = false;
    let parts = text
        .split(|c: char| {
            quoted ^= c == QUOTE;
            !quoted && separates(c)
        })
        .collect();
    if quoted {
        let how = "a quote is opened and not closed; write a quote inside quotes twice";
        return Err(Violation::new("", "MALFORMED_CELL", how));
    }
    Ok(parts)
}

/// A row written once for several groups, as one row for each.
fn read_row_per_group(
    row: &MessageDescriptor,
    name_field: u32,
    element: &str,
) -> Result<Vec<Value>, Violation> {
    let message = read_message(row, element)?;
    let named = message.get_field_by_number(name_field);
    let named = named.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
    let of_group = |group: &str| {
        let mut message = message.clone();
        message.set_field_by_number(name_field, Value::String(group.trim().to_owned()));
        Value::Message(message)
    };
    Ok(named.split(BETWEEN_GROUPS).map(of_group).collect())
}

fn read_message(
    descriptor: &MessageDescriptor,
    element: &str,
) -> Result<DynamicMessage, Violation> {
    let choices =
        || descriptor.fields().map(|f| f.name().to_owned()).collect::<Vec<_>>().join(", ");
    let mut message = DynamicMessage::new(descriptor.clone());
    let pairs = unquoted(element, char::is_whitespace)?;
    for pair in pairs.into_iter().filter(|pair| !pair.is_empty()) {
        let named = pair.split_once('=').and_then(|(name, value)| {
            descriptor.get_field_by_name(&name.to_ascii_lowercase()).map(|field| (field, value))
        });
        let Some((field, value)) = named.filter(|(field, _)| !field.is_list()) else {
            let description = format!(
                "write each row as `field=value` pairs with a space between, values with spaces in quotes, of: {}",
                choices()
            );
            return Err(Violation::new("", "MALFORMED_CELL", description));
        };
        let value = match value.strip_prefix(QUOTE).and_then(|rest| rest.strip_suffix(QUOTE)) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => value.to_owned(),
        };
        if !value.is_empty() {
            let value = read_one(&field.kind(), &value).map_err(|v| v.inside(field.name()))?;
            message.set_field(&field, value);
        }
    }
    Ok(message)
}

fn read_one(kind: &Kind, text: &str) -> Result<Value, Violation> {
    let number = || {
        Violation::new("", "MALFORMED_NUMBER", "write a whole number in digits, without separators")
    };
    match kind {
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Enum(codes) => read_code(codes, text),
        Kind::Message(inner) => read_message(inner, text).map(Value::Message),
        Kind::Uint32 | Kind::Fixed32 => text.parse().map(Value::U32).map_err(|_| number()),
        Kind::Uint64 | Kind::Fixed64 => text.parse().map(Value::U64).map_err(|_| number()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            text.parse().map(Value::I32).map_err(|_| number())
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            text.parse().map(Value::I64).map_err(|_| number())
        }
        Kind::Bool => match text.to_ascii_lowercase().as_str() {
            "yes" | "true" => Ok(Value::Bool(true)),
            "no" | "false" => Ok(Value::Bool(false)),
            _ => Err(Violation::new("", "MALFORMED_ANSWER", "write yes or no")),
        },
        Kind::Double | Kind::Float | Kind::Bytes => Err(Violation::new(
            "",
            "NOT_IN_TABLES",
            "this field cannot be given in a table; use json",
        )),
    }
}

fn read_code(codes: &EnumDescriptor, text: &str) -> Result<Value, Violation> {
    let given = text.to_ascii_uppercase().replace([' ', '-'], "_");
    let prefix = prefix_of(codes);
    let mut known = codes.values().filter(|code| code.number() != 0);
    let named = known.find(|code| {
        code.name() == given
            || code.name().strip_prefix(&prefix).is_some_and(|short| short == given)
    });
    if let Some(code) = named {
        return Ok(Value::EnumNumber(code.number()));
    }
    let all: Vec<_> = codes
        .values()
        .filter(|code| code.number() != 0)
        .map(|code| code.name().trim_start_matches(&prefix).to_owned())
        .collect();
    Err(Violation::new("", "UNKNOWN_CODE", format!("write one of {}", all.join(", "))))
}

/// What the names of an enum's codes have in common: `STATUS_` of `STATUS_UNSPECIFIED`.
fn prefix_of(codes: &EnumDescriptor) -> String {
    codes.default_value().name().trim_end_matches("UNSPECIFIED").to_owned()
}

/// The cell that a value of `field` makes.
pub(super) fn write(field: &FieldDescriptor, row_name_field: Option<u32>, value: &Value) -> String {
    let Some(items) = value.as_list() else { return write_one(&field.kind(), value) };
    let separator = format!(" {BETWEEN_ELEMENTS} ");
    let Some(name_field) = row_name_field else {
        let texts: Vec<_> = items.iter().map(|item| write_one(&field.kind(), item)).collect();
        return texts.join(&separator);
    };
    let mut rows: Vec<(DynamicMessage, Vec<String>)> = Vec::new();
    for row in items.iter().filter_map(Value::as_message) {
        let mut row = row.clone();
        let name = row.take_field_by_number(name_field);
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        // Only neighbours are written as one, so that the rows read back in their order.
        match rows.last_mut() {
            Some((alike, names)) if *alike == row => names.push(name),
            _ => rows.push((row, vec![name])),
        }
    }
    let texts: Vec<_> = rows
        .into_iter()
        .map(|(mut row, names)| {
            let names = names.join(&BETWEEN_GROUPS.to_string());
            row.set_field_by_number(name_field, Value::String(names));
            write_message(&row)
        })
        .collect();
    texts.join(&separator)
}

fn write_message(message: &DynamicMessage) -> String {
    let pairs: Vec<_> = message
        .fields()
        .map(|(field, value)| {
            let text = write_one(&field.kind(), value);
            let plain = !text
                .contains(|c: char| c.is_whitespace() || matches!(c, QUOTE | BETWEEN_ELEMENTS));
            if plain {
                format!("{}={text}", field.name())
            } else {
                format!("{}=\"{}\"", field.name(), text.replace(QUOTE, "\"\""))
            }
        })
        .collect();
    pairs.join(" ")
}

fn write_one(kind: &Kind, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Message(inner) => write_message(inner),
        Value::EnumNumber(number) => kind
            .as_enum()
            .and_then(|codes| {
                let code = codes.get_value(*number)?;
                Some(code.name().trim_start_matches(&prefix_of(codes)).to_owned())
            })
            .unwrap_or_else(|| number.to_string()),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::U32(number) => number.to_string(),
        Value::U64(number) => number.to_string(),
        Value::I32(number) => number.to_string(),
        Value::I64(number) => number.to_string(),
        Value::F32(_) | Value::F64(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) => {
            String::new()
        }
    }
}
