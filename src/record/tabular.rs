//! Records as rows of a table: one column per field, named by its path, for every record type.
//!
//! `identity.forename` is a column; codes are given by their short names (`PLANNED`), in any case; the elements of a list are
//! separated by `|`; a list of messages is one column, whose rows are written `field=value field="some words"` and, where a field
//! names a field group, may name several at once: `group=core+identity article_6=LEGAL_OBLIGATION`. Reading a row gives a
//! body that is not yet validated. The file format around the cells is not this module's.

mod cell;

use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use crate::{
    model::violation::Violation,
    record::{findings::Findings, registry::RecordType, wire::MalformedRecord},
};

/// One column: the field at the end of a path of messages.
#[derive(Clone, Debug)]
pub struct Column {
    name: String,
    path: Vec<FieldDescriptor>,
    row_name_field: Option<u32>,
}

/// What each column of one table means.
#[derive(Clone, Debug)]
pub struct Layout {
    descriptor: MessageDescriptor,
    columns: Vec<Column>,
}

/// The names of every column of the type, in order.
pub fn template_header(record_type: &RecordType) -> Vec<String> {
    Layout::whole(record_type).columns.into_iter().map(|column| column.name).collect()
}

/// The type's invented example as a row under [`template_header`].
///
/// # Errors
/// `MalformedRecord` if the type's example is not of its type; a test holds that none is.
pub fn template_row(record_type: &RecordType) -> Result<Vec<String>, MalformedRecord> {
    Layout::whole(record_type).write(&record_type.example())
}

impl Layout {
    /// Every column of the type, in order. Fields that the exchange derives have none.
    pub fn whole(record_type: &RecordType) -> Self {
        let descriptor = record_type.descriptor().clone();
        let mut columns = Vec::new();
        for (field, declared) in descriptor.fields().zip(record_type.fields()) {
            if !declared.derived() {
                let path = vec![field];
                gather(&mut columns, "", path, declared.row_name_field());
            }
        }
        Self { descriptor, columns }
    }

    /// The layout of a table whose first row is `header`, in any order and with any columns left out.
    ///
    /// # Errors
    /// `UNKNOWN_COLUMN` and `REPEATED_COLUMN`, each at the number of the column, from 1.
    pub fn from_header<S: AsRef<str>>(
        record_type: &RecordType,
        header: &[S],
    ) -> Result<Self, Vec<Violation>> {
        let whole = Self::whole(record_type);
        let mut findings = Findings::default();
        let mut columns: Vec<Column> = Vec::new();
        for (name, number) in header.iter().zip(1_usize..) {
            let name = name.as_ref().trim_start_matches('\u{feff}').trim();
            let field = format!("column {number}");
            match whole.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)) {
                None => findings.add(
                    &field,
                    "UNKNOWN_COLUMN",
                    "no field has this name; compare the first row with the template of the type",
                ),
                Some(column) => {
                    let repeated = columns.iter().any(|earlier| earlier.name == column.name);
                    findings.require(
                        !repeated,
                        &field,
                        "REPEATED_COLUMN",
                        "an earlier column has this name; give each once",
                    );
                    columns.push(column.clone());
                }
            }
        }
        findings.into_result(Self { descriptor: whole.descriptor, columns })
    }

    /// The names of the columns, in order.
    pub fn header(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// The body of the record that a row describes. It is not yet validated. Empty cells are fields not given.
    ///
    /// # Errors
    /// Every cell that does not read, by the name of its column, and never with what it held.
    pub fn read<S: AsRef<str>>(&self, cells: &[S]) -> Result<Vec<u8>, Vec<Violation>> {
        let mut findings = Findings::default();
        findings.require(
            cells.len() == self.columns.len(),
            "",
            "CELL_COUNT",
            &format!(
                "the row has {} cells where the first row has {}",
                cells.len(),
                self.columns.len()
            ),
        );
        let mut message = DynamicMessage::new(self.descriptor.clone());
        for (column, cell) in self.columns.iter().zip(cells) {
            let cell = cell.as_ref().trim();
            if cell.is_empty() {
                continue;
            }
            let Some(field) = column.path.last() else { continue };
            let value = cell::read(field, column.row_name_field, cell);
            if let Some(value) = findings.keep(&column.name, value) {
                set(&mut message, &column.path, value);
            }
        }
        findings.into_result(()).map(|()| message.encode_to_vec())
    }

    /// The row that a record makes under this layout.
    ///
    /// # Errors
    /// `MalformedRecord` if the body does not decode.
    pub fn write(&self, body: &[u8]) -> Result<Vec<String>, MalformedRecord> {
        let message =
            DynamicMessage::decode(self.descriptor.clone(), body).map_err(|_| MalformedRecord)?;
        Ok(self.columns.iter().map(|column| cell_of(&message, column)).collect())
    }
}

/// Adds the columns of the field at the end of `path`.
fn gather(
    into: &mut Vec<Column>,
    parent: &str,
    path: Vec<FieldDescriptor>,
    row_name_field: Option<u32>,
) {
    let Some(field) = path.last() else { return };
    let name = match parent {
        "" => field.name().to_owned(),
        parent => format!("{parent}.{}", field.name()),
    };
    if field.is_map() {
        // A map has no place in a table; it is given in JSON.
        return;
    }
    if let (Kind::Message(inner), false) = (field.kind(), field.is_list()) {
        for field in inner.fields() {
            let path = path.iter().cloned().chain([field]).collect();
            gather(into, &name, path, None);
        }
    } else {
        into.push(Column { name, path, row_name_field });
    }
}

/// Sets the field at the end of `path`, and makes the messages on the way.
fn set(message: &mut DynamicMessage, path: &[FieldDescriptor], value: Value) {
    match path {
        [] => {}
        [field] => message.set_field(field, value),
        [field, rest @ ..] => {
            if let Some(inner) = message.get_field_mut(field).as_message_mut() {
                set(inner, rest, value);
            }
        }
    }
}

fn cell_of(message: &DynamicMessage, column: &Column) -> String {
    let mut holder = message.clone();
    for field in &column.path {
        if !holder.has_field(field) {
            return String::new();
        }
        let value = holder.get_field(field).into_owned();
        let Value::Message(inner) = value else {
            return cell::write(field, column.row_name_field, &value);
        };
        holder = inner;
    }
    String::new()
}

#[cfg(test)]
mod tests;
