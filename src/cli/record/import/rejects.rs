//! The rejects file: every row that was not taken, as it was, with its number and the reasons. Put right, it can be
//! imported: its two columns more are skipped, and the apostrophes that keep a spreadsheet from taking a cell for a formula
//! are taken off again.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use serde_json::{Value, json};

use super::rows::{Original, Row};
use crate::cli::{error::CliError, output::csv_line};

/// The column that holds a rejected row's number.
pub(in crate::cli) const ROW_COLUMN: &str = "concordat:row";
/// The column that holds the reasons.
pub(in crate::cli) const REASONS_COLUMN: &str = "concordat:reasons";

/// A rejects file that is made when the first row is rejected.
pub(in crate::cli) struct Rejects {
    path: PathBuf,
    header: Option<Vec<String>>,
    file: Option<BufWriter<File>>,
}

impl Rejects {
    /// A file at `path`; one of an earlier run is replaced.
    pub(in crate::cli) const fn begin(path: PathBuf, header: Option<Vec<String>>) -> Self {
        Self { path, header, file: None }
    }

    /// Writes a row.
    pub(in crate::cli) fn add(&mut self, row: &Row, reasons: &[String]) -> Result<(), CliError> {
        let line = match &row.original {
            Original::Cells(cells) => {
                let mut cells = cells.clone();
                cells.resize(self.header.as_ref().map_or(cells.len(), Vec::len), String::new());
                cells.extend([row.number.to_string(), reasons.join(" | ")]);
                csv_line(&cells)?
            }
            Original::Json(text) => {
                let text: Value =
                    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
                format!("{}\n", json!({"row": row.number, "reasons": reasons, "record": text}))
            }
        };
        self.write(&line)
    }

    /// Ends the file; `None` if nothing was rejected. Then one of an earlier run is removed.
    pub(in crate::cli) fn finish(self) -> Result<Option<PathBuf>, CliError> {
        let Self { path, header: _, file } = self;
        let done = match file {
            Some(mut file) => file.flush().map(|()| true),
            None => match fs::remove_file(&path) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
                Ok(()) | Err(_) => Ok(false),
            },
        };
        match done {
            Ok(written) => Ok(written.then_some(path)),
            Err(cause) => Err(CliError::file(&path, &cause)),
        }
    }

    fn write(&mut self, line: &str) -> Result<(), CliError> {
        if self.file.is_none() {
            // The rows are about people: nobody else on the machine reads them.
            let opened = File::options()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&self.path);
            let opened = opened.map_err(|cause| CliError::file(&self.path, &cause))?;
            self.file = Some(BufWriter::new(opened));
            if let Some(mut header) = self.header.clone() {
                header.extend([ROW_COLUMN.to_owned(), REASONS_COLUMN.to_owned()]);
                self.write(&csv_line(&header)?)?;
            }
        }
        match &mut self.file {
            Some(file) => {
                file.write_all(line.as_bytes()).map_err(|cause| CliError::file(&self.path, &cause))
            }
            None => Ok(()),
        }
    }
}
