//! The rows of a table to import: CSV, a list in JSON, or JSON lines. Rows come one at a time, whatever the file's size,
//! except from a list in JSON, which is read whole.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::Path,
};

use csv::{Reader, StringRecord};
use serde_json::Value;

use super::rejects::{REASONS_COLUMN, ROW_COLUMN};
use crate::{
    cli::{
        error::{CliError, Exit},
        output::plain,
    },
    model::violation::Violation,
    record::{json, registry::RecordType, tabular::Layout},
};

/// How the columns of a consent begin that stand in the row of a record.
pub(in crate::cli) const CONSENT_PREFIX: &str = "consent:";

/// One row.
#[derive(Debug)]
pub(in crate::cli) struct Row {
    /// Its number, as people count: the line of a spreadsheet with the names in line 1, else the item or line from 1.
    pub(in crate::cli) number: u64,
    /// What was read.
    pub(in crate::cli) original: Original,
    /// The record that it describes, or why it describes none.
    pub(in crate::cli) body: Result<Vec<u8>, Vec<Violation>>,
}

/// A row as it was read.
#[derive(Debug)]
pub(in crate::cli) enum Original {
    /// The cells of a table.
    Cells(Vec<String>),
    /// A JSON value, as text.
    Json(String),
}

/// Where rows come from.
pub(super) struct Source<'a> {
    record_type: &'a RecordType,
    bytes: u64,
    form: Form,
}

enum Form {
    Csv(Box<CsvRows>),
    Items { items: std::vec::IntoIter<Value>, number: u64 },
    Lines { lines: BufReader<File>, number: u64, bytes_read: u64 },
}

struct CsvRows {
    reader: Reader<File>,
    record: StringRecord,
    layout: Layout,
    /// The places of the columns that belong to the record; the others are a rejects file's own.
    places: Vec<usize>,
    header: Vec<String>,
    number: u64,
}

impl<'a> Source<'a> {
    /// Opens a file whose name says what it holds.
    pub(super) fn open(path: &Path, record_type: &'a RecordType) -> Result<Self, CliError> {
        let fault = |cause: io::Error| CliError::file(path, &cause);
        let bytes = fs::metadata(path).map_err(fault)?.len();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let form = match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("csv") => Form::Csv(Box::new(CsvRows::open(path, record_type)?)),
            Some("json") => {
                let text = fs::read_to_string(path).map_err(fault)?;
                let items = serde_json::from_str::<Vec<Value>>(&text).map_err(|cause| {
                    let (line, column) = (cause.line(), cause.column());
                    CliError::new(
                        Exit::Invalid,
                        format!("`{}` holds no list in JSON", path.display()),
                    )
                    .because(format!("line {line}, column {column}"))
                })?;
                Form::Items { items: items.into_iter(), number: 0 }
            }
            Some("ndjson" | "jsonl") => {
                let lines = BufReader::new(File::open(path).map_err(fault)?);
                Form::Lines { lines, number: 0, bytes_read: 0 }
            }
            Some(_) | None => {
                let what = format!("`{}` is no table that can be imported", path.display());
                return Err(CliError::new(Exit::Usage, what)
                    .fixed_by("give a file whose name ends in .csv, .json or .ndjson"));
            }
        };
        Ok(Self { record_type, bytes, form })
    }

    /// What a rejects file is called after the table's own name.
    pub(super) const fn rejects_suffix(&self) -> &'static str {
        match &self.form {
            Form::Csv(_) => ".rejects.csv",
            Form::Items { .. } | Form::Lines { .. } => ".rejects.ndjson",
        }
    }

    /// The names of the columns, if the rows are cells.
    pub(super) fn header(&self) -> Option<Vec<String>> {
        match &self.form {
            Form::Csv(rows) => Some(rows.header.clone()),
            Form::Items { .. } | Form::Lines { .. } => None,
        }
    }

    /// The length of the file in bytes, for showing progress.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How much of it has been read.
    pub(super) fn bytes_read(&self) -> u64 {
        match &self.form {
            Form::Csv(rows) => rows.reader.position().byte(),
            Form::Lines { bytes_read, .. } => *bytes_read,
            Form::Items { items, number } => {
                let left = u64::try_from(items.len()).unwrap_or(0);
                let all = number.saturating_add(left).max(1);
                self.bytes.saturating_mul(*number) / all
            }
        }
    }

    /// The next row; nothing after the last.
    pub(super) fn next_row(&mut self) -> Result<Option<Row>, CliError> {
        match &mut self.form {
            Form::Csv(rows) => rows.next_row(),
            Form::Items { items, number } => {
                let Some(item) = items.next() else { return Ok(None) };
                *number = number.saturating_add(1);
                Ok(Some(json_row(self.record_type, *number, &item.to_string())))
            }
            Form::Lines { lines, number, bytes_read } => loop {
                let mut line = String::new();
                let read =
                    lines.read_line(&mut line).map_err(|cause| unreadable(*number, &cause))?;
                if read == 0 {
                    return Ok(None);
                }
                *number = number.saturating_add(1);
                *bytes_read = bytes_read.saturating_add(u64::try_from(read).unwrap_or(0));
                if !line.trim().is_empty() {
                    return Ok(Some(json_row(self.record_type, *number, line.trim())));
                }
            },
        }
    }
}

fn unreadable(number: u64, cause: &dyn std::fmt::Display) -> CliError {
    CliError::new(Exit::Invalid, format!("the table cannot be read after row {number}"))
        .because(cause.to_string())
}

/// A row of JSON; one out of a rejects file is wrapped and is taken out of it.
fn json_row(record_type: &RecordType, number: u64, text: &str) -> Row {
    let wrapped = serde_json::from_str::<Value>(text).ok();
    let inner = wrapped.as_ref().and_then(|value| value.get("record"));
    let text = inner.map_or_else(|| text.to_owned(), Value::to_string);
    let body = json::from_json(record_type, &text);
    Row { number, original: Original::Json(text), body }
}

impl CsvRows {
    fn open(path: &Path, record_type: &RecordType) -> Result<Self, CliError> {
        let fault = |cause: csv::Error| {
            CliError::new(Exit::Invalid, format!("`{}` cannot be read", path.display()))
                .because(cause.to_string())
        };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(fault)?;
        let names = reader.headers().map_err(fault)?.clone();
        // What was said about sharing in the same row is for `consent import`.
        let own = |name: &String| {
            name != ROW_COLUMN && name != REASONS_COLUMN && !name.starts_with(CONSENT_PREFIX)
        };
        let (places, header): (Vec<usize>, Vec<String>) = names
            .iter()
            .map(|name| plain(name).to_owned())
            .enumerate()
            .filter(|(_, name)| own(name))
            .unzip();
        let layout = Layout::from_header(record_type, &header).map_err(|violations| {
            CliError::invalid(
                format!("the first row of `{}` does not name the columns", path.display()),
                &violations,
            )
            .fixed_by(format!("compare it with `concordat record template {}`", record_type.name()))
        })?;
        Ok(Self { reader, record: StringRecord::new(), layout, places, header, number: 1 })
    }

    fn next_row(&mut self) -> Result<Option<Row>, CliError> {
        let more = self.reader.read_record(&mut self.record);
        self.number = self.number.saturating_add(1);
        match more {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(cause) => return Err(unreadable(self.number.saturating_sub(1), &cause)),
        }
        let cell = |place: &usize| self.record.get(*place).map(|cell| plain(cell).to_owned());
        // A row that is cut short or too long is told apart by its number of cells.
        let cells: Vec<String> = if self.record.len() < self.places.len() {
            self.record.iter().map(|cell| plain(cell).to_owned()).collect()
        } else {
            self.places.iter().filter_map(cell).collect()
        };
        let body = self.layout.read(&cells);
        Ok(Some(Row { number: self.number, original: Original::Cells(cells), body }))
    }
}
