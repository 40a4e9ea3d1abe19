//! `concordat record import`: many records from a file, each published once however often the import is run.
//!
//! A row's request id derives from the secret of the import (in a file beside the table), the agency, the type and what the
//! row says. So a run that was cut off is simply run again, a row that was put right in place is published and its
//! neighbours are not published twice, and nobody can guess from a request id what a row said.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{
        compose::registry,
        error::{CliError, Exit},
        output::{Format, words},
        session::{Caller, Session},
        time,
    },
    clock::{Clock, Entropy},
    model::{digest::Digest, id::RecordTypeName},
    pb::ledger::v1 as ledger,
    record::registry::{EdgeContext, RecordType},
};

pub(in crate::cli) mod begin;
mod publish;
pub(in crate::cli) mod rejects;
pub(in crate::cli) mod rows;

use begin::Begun;
use rejects::Rejects;
use rows::{Row, Source};

/// How many rows' reasons are told on the terminal; the rejects file holds them all.
const REASONS_TOLD: u64 = 20;

/// Why a row is rejected that says what an earlier one says.
const REPEATED: &str = "the row says what an earlier one says; remove one of them";

/// An import.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The table: .csv with a first row of names (see record template), .json (a list) or .ndjson (one object a line).
    /// Beside it are written FILE.concordat-import.json, which keeps a second run from publishing twice, and the rejected
    /// rows with their reasons, FILE.rejects.csv or FILE.rejects.ndjson, which can be put right and imported.
    file: PathBuf,
    /// The type of record.
    #[arg(long = "type", value_name = "TYPE", default_value = "leaver-form")]
    record_type: RecordTypeName,
    /// Publish nothing: check every row here, and if a caller is chosen also at the exchange.
    #[arg(long)]
    dry_run: bool,
}

/// What became of the rows.
#[derive(Debug, Default)]
struct Tally {
    rows: u64,
    accepted: u64,
    rejected: u64,
}

/// An import under way.
struct Work {
    tally: Tally,
    rejects: Rejects,
    format: Option<Format>,
}

impl Work {
    /// A row was taken; `receipt` says as what, unless it was only checked.
    fn accepted(&mut self, row: &Row, receipt: &Value) -> Result<(), CliError> {
        self.tally.accepted = self.tally.accepted.saturating_add(1);
        self.line(&json!({"row": row.number, "receipt": receipt}))
    }

    /// A row was not taken.
    fn rejected(&mut self, row: &Row, reasons: &[String]) -> Result<(), CliError> {
        self.tally.rejected = self.tally.rejected.saturating_add(1);
        if self.tally.rejected <= REASONS_TOLD {
            for reason in reasons {
                words(format!("row {}: {reason}", row.number));
            }
        }
        self.rejects.add(row, reasons)?;
        self.line(&json!({"row": row.number, "reasons": reasons}))
    }

    /// With `-o ndjson`, each row's outcome is a line.
    fn line(&self, value: &Value) -> Result<(), CliError> {
        match self.format {
            Some(Format::Ndjson) => crate::cli::output::print(&format!("{value}\n")),
            None | Some(Format::Table | Format::Json | Format::Csv) => Ok(()),
        }
    }
}

impl Import {
    pub(super) async fn run(self, caller: &Caller, format: Option<Format>) -> Result<(), CliError> {
        let registry = registry()?;
        let record_type = super::known(&registry, &self.record_type)?;
        let mut source = Source::open(&self.file, record_type)?;
        let rejects = Rejects::begin(beside(&self.file, source.rejects_suffix()), source.header());
        let mut work = Work { tally: Tally::default(), rejects, format };
        let connected = !self.dry_run || caller.settings.profile.is_some();
        if connected {
            let purpose = ledger::Purpose::SchoolLeaverTransition;
            let session = Session::open(caller, purpose).await?;
            let begun = self.begin(&session)?;
            let checks = if self.dry_run { Some(today()?) } else { None };
            let rows = publish::Rows { record_type, begun, checks };
            rows.publish(&session, &mut source, &mut work).await?;
        } else {
            words("no caller is chosen, so the rows are checked here and not at the exchange");
            check_here(&mut source, record_type, &today()?, &mut work)?;
        }
        self.tell(work, caller)
    }

    fn begin(&self, session: &Session) -> Result<Begun, CliError> {
        let agency = session.agency()?;
        let (now, entropy) = (session.now(), Entropy::system());
        if self.dry_run {
            return Ok(Begun::new(&agency, &self.record_type, now, &entropy));
        }
        let path = beside(&self.file, ".concordat-import.json");
        Begun::find_or_begin(&path, (&agency, &self.record_type), now, &entropy)
    }

    fn tell(self, work: Work, caller: &Caller) -> Result<(), CliError> {
        let Work { tally, rejects, format } = work;
        let Tally { rows, accepted, rejected } = tally;
        if REASONS_TOLD < rejected {
            let more = rejected.saturating_sub(REASONS_TOLD);
            words(format!("and {more} more rows, which the rejects file names"));
        }
        let rejects_file = rejects.finish()?;
        let shown = rejects_file.as_ref().map(|path| path.display().to_string());
        let done = if self.dry_run { "valid" } else { "published" };
        if format != Some(Format::Ndjson) {
            caller.output.one(&json!({
                "file": self.file.display().to_string(),
                "dry_run": self.dry_run,
                "rows": rows,
                done: accepted,
                "rejected": rejected,
                "rejects_file": shown,
            }))?;
        }
        match rejects_file {
            None => Ok(()),
            Some(path) => {
                let what = format!("{rejected} of {rows} rows are not {done}");
                Err(CliError::new(Exit::Invalid, what).fixed_by(format!(
                    "put them right in `{}` and import that file, or put them right in place and import again",
                    path.display()
                )))
            }
        }
    }
}

fn today() -> Result<EdgeContext, CliError> {
    Ok(EdgeContext { today: time::today(Clock::system().now())? })
}

/// Checks every row by the rules of this program.
fn check_here(
    source: &mut Source<'_>,
    record_type: &RecordType,
    context: &EdgeContext,
    work: &mut Work,
) -> Result<(), CliError> {
    let mut seen = BTreeSet::new();
    while let Some(row) = source.next_row()? {
        work.tally.rows = work.tally.rows.saturating_add(1);
        let body = row.body.as_deref().unwrap_or_default();
        let checked = valid(&row, record_type, context).and_then(|()| {
            let new = seen.insert(Digest::of_concatenation(&[body]));
            if new { Ok(()) } else { Err(vec![REPEATED.to_owned()]) }
        });
        match checked {
            Ok(()) => work.accepted(&row, &Value::Null)?,
            Err(reasons) => work.rejected(&row, &reasons)?,
        }
    }
    Ok(())
}

/// Whether a row reads and obeys every rule of its type; the reasons if it does not.
fn valid(row: &Row, record_type: &RecordType, context: &EdgeContext) -> Result<(), Vec<String>> {
    let told = |violations: &Vec<_>| violations.iter().map(crate::cli::error::told).collect();
    let body = row.body.as_ref().map_err(told)?;
    record_type.validate(body, context).map(drop).map_err(|violations| told(&violations))
}

/// The path of the file with a suffix after its whole name. It has a directory, even if the file's was left out.
pub(in crate::cli) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    if file.parent().is_some_and(|directory| directory.as_os_str().is_empty()) {
        Path::new(".").join(name)
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_beside_another_lies_in_a_directory_that_has_a_name() {
        assert_eq!(beside(Path::new("mine.csv"), ".x"), Path::new("./mine.csv.x"));
        assert_eq!(beside(Path::new("/a/mine.csv"), ".x"), Path::new("/a/mine.csv.x"));
    }
}
