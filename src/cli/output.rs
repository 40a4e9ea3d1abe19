//! What a verb prints: data to standard output in the format asked for, words to standard error.
//!
//! A value is JSON (see `cli/json.rs`); a table shows chosen fields of it. Cells of tables and of CSV never carry control
//! characters to a terminal, and no cell of CSV is taken for a formula.

use std::{
    fmt::Display,
    io::{self, Write},
};

use clap::ValueEnum;
use serde_json::Value;

use crate::cli::error::{CliError, Exit};

/// How data are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, or one field a line, for people.
    Table,
    /// One JSON value.
    Json,
    /// One JSON value a line.
    Ndjson,
    /// Comma-separated values with a header line.
    Csv,
}

/// A column: its title and the path of the field it shows, parts separated by dots.
pub(crate) type Column = (&'static str, &'static str);

/// Prints in one format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output(pub(crate) Format);

impl Output {
    /// Prints one value.
    pub(crate) fn one(self, value: &Value) -> Result<(), CliError> {
        match self.0 {
            Format::Json => print(&pretty(value)),
            Format::Ndjson => print(&format!("{value}\n")),
            Format::Table => {
                let mut lines = Vec::new();
                flatten("", value, &mut lines);
                let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
                let line = |(name, cell): &(String, String)| format!("{name:width$}  {cell}\n");
                print(&lines.iter().map(line).collect::<String>())
            }
            Format::Csv => {
                let mut lines = Vec::new();
                flatten("", value, &mut lines);
                let (names, cells): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
                print(&csv_line(&names)?)?;
                print(&csv_line(&cells)?)
            }
        }
    }

    /// Prints many values of one kind.
    pub(crate) fn rows(self, columns: &[Column], rows: &[Value]) -> Result<(), CliError> {
        match self.0 {
            Format::Json => print(&pretty(&Value::Array(rows.to_vec()))),
            Format::Ndjson => rows.iter().try_for_each(|row| print(&format!("{row}\n"))),
            Format::Csv => {
                print(&csv_line(&titles(columns))?)?;
                rows.iter().try_for_each(|row| print(&csv_line(&cells(columns, row))?))
            }
            Format::Table if rows.is_empty() => {
                words("there are none");
                Ok(())
            }
            Format::Table => print(&aligned(columns, rows)),
        }
    }

    /// Prints one of many values that come one after the other: a line each, whole JSON values included.
    pub(crate) fn streamed(self, columns: &[Column], row: &Value) -> Result<(), CliError> {
        match self.0 {
            Format::Json | Format::Ndjson => print(&format!("{row}\n")),
            Format::Csv => print(&csv_line(&cells(columns, row))?),
            Format::Table => print(&format!("{}\n", cells(columns, row).join("  "))),
        }
    }
}

/// Prints `text` to standard output as it is.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|cause| {
        // Whoever reads has enough, such as `head`.
        let quiet = cause.kind() == io::ErrorKind::BrokenPipe;
        let what = if quiet { "" } else { "standard output cannot be written" };
        CliError::new(Exit::Other, what).because(cause.to_string())
    })
}

/// Says something to the person at the terminal. Nobody listening is no failure.
pub(crate) fn words(text: impl Display) {
    drop(writeln!(io::stderr(), "{text}"));
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn titles(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|(title, _)| title.to_lowercase()).collect()
}

fn cells(columns: &[Column], row: &Value) -> Vec<String> {
    let at = |path: &str| at(row, &path.split('.').collect::<Vec<_>>());
    columns.iter().map(|(_, path)| at(path)).collect()
}

/// What stands at a path, in one cell; of a list, what stands there in each of its values.
fn at(value: &Value, path: &[&str]) -> String {
    match (value, path) {
        (value, []) => cell(value),
        (Value::Array(values), [_, ..]) => {
            values.iter().map(|value| at(value, path)).collect::<Vec<_>>().join(",")
        }
        (value, [part, rest @ ..]) => {
            value.get(part).map(|value| at(value, rest)).unwrap_or_default()
        }
    }
}

fn aligned(columns: &[Column], rows: &[Value]) -> String {
    let head: Vec<String> = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    let table: Vec<Vec<String>> =
        std::iter::once(head).chain(rows.iter().map(|row| cells(columns, row))).collect();
    let width = |at: usize| {
        let widths = table.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for row in &table {
        let padded: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A value in one cell.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The fields inside a value, one a line, each with its path.
pub(crate) fn flatten(name: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    let inner = |part: &dyn Display| {
        if name.is_empty() { part.to_string() } else { format!("{name}.{part}") }
    };
    match value {
        Value::Object(fields) => {
            for (part, value) in fields {
                flatten(&inner(part), value, lines);
            }
        }
        Value::Array(values) if values.iter().any(Value::is_object) => {
            for (value, number) in values.iter().zip(1_usize..) {
                flatten(&inner(&number), value, lines);
            }
        }
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            lines.push((name.to_owned(), cell(value)));
        }
    }
}

/// One line of CSV whose cells no spreadsheet takes for a formula.
pub(crate) fn csv_line<S: AsRef<str>>(cells: &[S]) -> Result<String, CliError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let unwritable = || CliError::new(Exit::Other, "a line of CSV cannot be written");
    let safe = cells.iter().map(|cell| harmless(cell.as_ref()));
    writer.write_record(safe).map_err(|_| unwritable())?;
    let bytes = writer.into_inner().map_err(|_| unwritable())?;
    String::from_utf8(bytes).map_err(|_| unwritable())
}

/// What a spreadsheet takes for the beginning of a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The cell with an apostrophe before it if a spreadsheet would take it for a formula. [`plain`] takes it off again.
pub(crate) fn harmless(cell: &str) -> String {
    if cell.starts_with(FORMULA) { format!("'{cell}") } else { cell.to_owned() }
}

/// The cell without the apostrophe that [`harmless`] put before it.
pub(crate) fn plain(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| rest.starts_with(FORMULA)).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_aligns_its_columns_and_shows_lists_in_one_cell() {
        let rows = [json!({"id": "a", "to": {"who": ["x", "y"]}}), json!({"id": "long"})];
        assert_eq!(at(&json!({"on": [{"by": "p"}, {"by": "q"}, {}]}), &["on", "by"]), "p,q,");
        assert_eq!(
            aligned(&[("ID", "id"), ("TO", "to.who")], &rows),
            "ID    TO\na     x,y\nlong\n"
        );
    }

    #[test]
    fn a_nested_value_is_one_field_a_line() {
        let mut lines = Vec::new();
        flatten("", &json!({"a": {"b": 1}, "c": [{"d": true}], "e": []}), &mut lines);
        let lines: Vec<_> = lines.iter().map(|(n, c)| format!("{n}={c}")).collect();
        assert_eq!(lines, ["a.b=1", "c.1.d=true", "e="]);
    }

    #[test]
    fn no_cell_is_a_formula_and_every_cell_reads_back() {
        for cell in ["=1+1", "+441632960001", "-", "@x", "\tx", "O'Example", "'t Hooft", "", "a"] {
            assert!(!harmless(cell).starts_with(FORMULA), "{cell}");
            assert_eq!(plain(&harmless(cell)), cell);
        }
        assert_eq!(csv_line(&["=x", "a,b"]).unwrap(), "'=x,\"a,b\"\n");
    }

    #[test]
    fn a_cell_moves_no_cursor() {
        assert_eq!(cell(&json!("a\u{1b}[2Jb\nc")), "a [2Jb c");
    }
}
