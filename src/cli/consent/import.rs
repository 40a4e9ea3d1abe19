//! `concordat consent import`: what many people said, from a file, each recorded once however often the import is run.
//!
//! A column is an argument of `consent record` without its hyphens in front: `group`, `recipient`, `age`, `turns-16`. The
//! person is named by `client`, or by `local-id` or `scn`; then they are made known first. `said` is `yes` or `no`.
//! Columns that begin with `consent:` may stand in a table of records: then the person is the record's, and both imports
//! read the one file, in either order. Request ids derive as in `record import`.

use std::{fs, path::PathBuf, time::Duration};

use clap::{Args, CommandFactory, Parser};
use serde_json::{Value, json};

use super::{MESSAGE, Said};
use crate::{
    cli::{
        error::{CliError, Exit},
        json as message, name,
        output::{Format, plain, print, words},
        record::import::{
            begin::Begun,
            beside,
            rejects::{REASONS_COLUMN, ROW_COLUMN, Rejects},
            rows::{CONSENT_PREFIX, Original, Row},
        },
        session::{Session, incomplete, request_text},
        time,
    },
    clock::Entropy,
    model::{id::ConsentId, order::UnixMillis},
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, caseload_service_client::CaseloadServiceClient},
    },
};

/// What the person of a record is called in its table, and here.
const OF_RECORDS: [(&str, &str); 2] =
    [("identity.source_local_id", "local-id"), ("identity.scn", "scn")];
/// How often a row is tried while the exchange asks to come again.
const TRIES_MAX: u32 = 60;
/// How long to wait in between.
const PAUSE: Duration = Duration::from_secs(1);

/// An import.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The table: .csv with a first row of names, or .ndjson (one object a line). Beside it are written
    /// FILE.concordat-consents.json, which keeps a second run from recording twice, and the rejected rows with their reasons,
    /// FILE.rejects.csv or FILE.rejects.ndjson, which can be put right and imported.
    file: PathBuf,
    /// Record nothing: check every row, at the exchange too.
    #[arg(long)]
    dry_run: bool,
}

/// One row as arguments.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true, disable_version_flag = true)]
struct Line {
    #[command(flatten)]
    said: Said,
    #[arg(long, value_parser = time::parse)]
    expires: Option<UnixMillis>,
    #[arg(long)]
    renews: Option<String>,
}

/// A row's cells by the names of arguments; empty ones are left out.
type Cells = Vec<(String, String)>;

/// Every row as it stands, and as arguments.
type Rows = Vec<(Row, Cells)>;

impl Import {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CliError> {
        let (header, rows) = self.rows()?;
        let suffix = if header.is_some() { ".rejects.csv" } else { ".rejects.ndjson" };
        let mut rejects = Rejects::begin(beside(&self.file, suffix), header);
        let mut begun = self.begin(session)?;
        let (mut done, mut rejected) = (0_u64, 0_u64);
        for (row, cells) in &rows {
            match self.take(session, &mut begun, cells).await {
                Ok(consent) => {
                    done = done.saturating_add(1);
                    outcome(session, &json!({ "row": row.number, "consent": consent }))?;
                }
                Err(error) if error.exit == Exit::Unavailable => {
                    return Err(
                        error.fixed_by("run the same command again: nothing is recorded twice")
                    );
                }
                Err(error) => {
                    rejected = rejected.saturating_add(1);
                    let reasons = reasons(&error);
                    for reason in &reasons {
                        words(format!("row {}: {reason}", row.number));
                    }
                    rejects.add(row, &reasons)?;
                    outcome(session, &json!({ "row": row.number, "reasons": reasons }))?;
                }
            }
        }
        self.tell(session, (done, rejected), rejects)
    }

    fn begin(&self, session: &Session) -> Result<Begun, CliError> {
        let (agency, kind) = (session.agency()?, "consents".parse()?);
        let (now, entropy) = (session.now(), Entropy::system());
        if self.dry_run {
            return Ok(Begun::new(&agency, &kind, now, &entropy));
        }
        let path = beside(&self.file, ".concordat-consents.json");
        Begun::find_or_begin(&path, (&agency, &kind), now, &entropy)
    }

    /// Takes one row, as often as the exchange asks to come again.
    async fn take(
        &self,
        session: &mut Session,
        begun: &mut Begun,
        cells: &Cells,
    ) -> Result<Value, CliError> {
        let body = serde_json::to_vec(cells).unwrap_or_default();
        let repeated = || {
            CliError::new(
                Exit::Invalid,
                "the row says what an earlier one says; remove one of them",
            )
        };
        let request = begun.request(&body).ok_or_else(repeated)?;
        let mut line = Line::read(cells)?;
        let who = line.person;
        let mut tries = 0;
        loop {
            let answer = async {
                if line.line.said.client.is_empty() {
                    let added = add_client(session, &who, self.dry_run).await?;
                    if added.is_empty() {
                        return Ok(Value::Null); // whether they may be asked is known once they are known
                    }
                    line.line.said.client = added;
                }
                // The same at every run, so that a repeated row says the same.
                let _given = line.line.said.given.get_or_insert_with(|| begun.begun_at());
                line.line.said.change.request_id = Some(request);
                line.line.said.change.validate_only = self.dry_run;
                line.line.record(session, line.refused).await
            };
            match answer.await {
                Err(error) if &*error.code == "RATE_EXCEEDED" && tries < TRIES_MAX => {
                    tries = tries.saturating_add(1);
                    tokio::time::sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    fn tell(
        self,
        session: &Session,
        (done, rejected): (u64, u64),
        rejects: Rejects,
    ) -> Result<(), CliError> {
        let rejects_file = rejects.finish()?;
        let word = if self.dry_run { "valid" } else { "recorded" };
        let rows = done.saturating_add(rejected);
        if session.output.0 != Format::Ndjson {
            session.output.one(&json!({
                "file": self.file.display().to_string(),
                "dry_run": self.dry_run,
                "rows": rows,
                word: done,
                "rejected": rejected,
                "rejects_file": rejects_file.as_ref().map(|path| path.display().to_string()),
            }))?;
        }
        match rejects_file {
            None => Ok(()),
            Some(path) => {
                let what = format!("{rejected} of {rows} rows are not {word}");
                let fix = format!("put them right in `{}` and import that file", path.display());
                Err(CliError::new(Exit::Invalid, what).fixed_by(fix))
            }
        }
    }

    /// Every row, and the names of the columns if the rows are cells.
    fn rows(&self) -> Result<(Option<Vec<String>>, Rows), CliError> {
        let extension = self.file.extension().and_then(|extension| extension.to_str());
        match extension {
            Some("csv") => self.of_csv().map(|(header, rows)| (Some(header), rows)),
            Some("ndjson" | "jsonl") => Ok((None, self.of_lines()?)),
            Some(_) | None => {
                let what = format!("`{}` is no table that can be imported", self.file.display());
                Err(CliError::new(Exit::Usage, what)
                    .fixed_by("give a file whose name ends in .csv or .ndjson"))
            }
        }
    }

    fn of_csv(&self) -> Result<(Vec<String>, Rows), CliError> {
        let unreadable = |cause: csv::Error| {
            CliError::new(Exit::Invalid, format!("`{}` cannot be read", self.file.display()))
                .because(cause.to_string())
        };
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).from_path(&self.file).map_err(unreadable)?;
        let names = reader.headers().map_err(unreadable)?.clone();
        let names: Vec<String> = names.iter().map(|name| plain(name).to_owned()).collect();
        let kept: Vec<bool> =
            names.iter().map(|name| name != ROW_COLUMN && name != REASONS_COLUMN).collect();
        let columns = columns(&names)?;
        let mut rows = Vec::new();
        for (record, number) in reader.records().zip(2_u64..) {
            let record = record.map_err(unreadable)?;
            let cells: Vec<String> = record.iter().map(|cell| plain(cell).to_owned()).collect();
            let found = columns.iter().zip(&cells).filter_map(|(column, cell)| {
                let column = column.clone().filter(|_| !cell.trim().is_empty())?;
                Some((column, cell.trim().to_owned()))
            });
            let found = found.collect();
            let own = cells.into_iter().zip(&kept).filter(|(_, kept)| **kept);
            let original = Original::Cells(own.map(|(cell, _)| cell).collect());
            rows.push((Row { number, original, body: Ok(Vec::new()) }, found));
        }
        let header = names.into_iter().zip(kept).filter(|(_, kept)| *kept);
        Ok((header.map(|(name, _)| name).collect(), rows))
    }

    fn of_lines(&self) -> Result<Rows, CliError> {
        let text =
            fs::read_to_string(&self.file).map_err(|cause| CliError::file(&self.file, &cause))?;
        let mut rows = Vec::new();
        for (line, number) in text.lines().zip(1_u64..).filter(|(line, _)| !line.trim().is_empty())
        {
            let what = || CliError::new(Exit::Invalid, format!("line {number} is no JSON object"));
            let value: Value = serde_json::from_str(line).map_err(|_| what())?;
            // A row out of a rejects file is wrapped.
            let value = value.get("record").cloned().unwrap_or(value);
            let fields = value.as_object().ok_or_else(what)?;
            let names: Vec<String> = fields.keys().cloned().collect();
            let cells =
                columns(&names)?.into_iter().zip(fields.values()).filter_map(|(column, value)| {
                    let cell = cell(value);
                    Some((column.filter(|_| !cell.is_empty())?, cell))
                });
            let cells = cells.collect();
            let original = Original::Json(value.to_string());
            rows.push((Row { number, original, body: Ok(Vec::new()) }, cells));
        }
        Ok(rows)
    }
}

/// A value as an argument: a list by its items.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.trim().to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Which argument each column is; `None` for one that is not this import's.
fn columns(names: &[String]) -> Result<Vec<Option<String>>, CliError> {
    let command = Line::command();
    let known = |name: &str| {
        ["said", "local-id", "scn"].contains(&name)
            || (!["request-id", "validate-only"].contains(&name)
                && command.get_arguments().any(|argument| argument.get_long() == Some(name)))
    };
    let beside_records = names.iter().any(|name| name.starts_with(CONSENT_PREFIX));
    let mut unknown = Vec::new();
    let columns = names.iter().map(|name| {
        let of_record = OF_RECORDS.iter().find(|(column, _)| column == name);
        let own = name.strip_prefix(CONSENT_PREFIX);
        if beside_records && own.is_none() {
            return of_record.map(|(_, argument)| (*argument).to_owned());
        }
        let argument = own.unwrap_or(name).replace('_', "-");
        if [ROW_COLUMN, REASONS_COLUMN].contains(&name.as_str()) {
            return None;
        }
        if !known(&argument) {
            unknown.push(name.clone());
        }
        Some(argument)
    });
    let columns: Vec<_> = columns.collect();
    match unknown.first() {
        None => Ok(columns),
        Some(name) => Err(CliError::new(Exit::Invalid, format!("there is no column `{name}`"))
            .fixed_by(
                "a column is an argument of `concordat consent record`, or said, local-id or scn",
            )),
    }
}

/// A row that reads.
struct Read {
    line: Line,
    refused: bool,
    person: ledger::Identifiers,
}

impl Line {
    fn read(cells: &Cells) -> Result<Read, CliError> {
        let find = |wanted: &str| {
            let cell = cells.iter().find(|(name, _)| name == wanted);
            cell.map(|(_, cell)| cell.clone()).unwrap_or_default()
        };
        let refused = match find("said").as_str() {
            "yes" => false,
            "no" => true,
            _ => {
                return Err(CliError::new(Exit::Invalid, "said: write `yes` or `no`"));
            }
        };
        let person =
            ledger::Identifiers { local_id: find("local-id"), scn: find("scn"), person: None };
        if find("client").is_empty() && person == ledger::Identifiers::default() {
            let what = "client: name the person by `client`, `local-id` or `scn`";
            return Err(CliError::new(Exit::Invalid, what));
        }
        let lists = ["group", "recipient", "for-purpose"];
        let mut arguments = Vec::new();
        for (name, cell) in cells {
            if ["said", "local-id", "scn", "client"].contains(&name.as_str()) {
                continue;
            }
            let cell = if lists.contains(&name.as_str()) {
                cell.replace([';', ' '], ",")
            } else {
                cell.clone()
            };
            arguments.push(format!("--{name}={cell}"));
        }
        arguments.push(format!("--client={}", find("client")));
        let line = Self::try_parse_from(arguments).map_err(|error| {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            CliError::new(Exit::Invalid, first.trim_start_matches("error: "))
        })?;
        Ok(Read { line, refused, person })
    }

    async fn record(&self, session: &mut Session, refused: bool) -> Result<Value, CliError> {
        let consent = if refused {
            self.said.refuse(session).await?
        } else {
            let renews = self.renews.as_deref();
            let renews = renews.map(|text| name::id::<ConsentId>("consents", text)).transpose()?;
            self.said.record(session, (self.expires, renews)).await?
        };
        Ok(consent.map_or(Value::Null, |consent| message::of(MESSAGE, &consent)))
    }
}

/// Makes the person known, and gives the agency's own name; empty if it is only checked.
async fn add_client(
    session: &Session,
    person: &ledger::Identifiers,
    validate_only: bool,
) -> Result<String, CliError> {
    let request = pb::AddClientRequest {
        context: session.context(),
        request_id: request_text(session.entropy().request_id(session.now())),
        identifiers: Some(person.clone()),
        validate_only,
    };
    let answer = CaseloadServiceClient::new(session.channel()).add_client(request).await?;
    let client = answer.into_inner().client;
    if client.is_empty() && !validate_only { Err(incomplete()) } else { Ok(client) }
}

/// With `-o ndjson`, each row's outcome is a line.
fn outcome(session: &Session, value: &Value) -> Result<(), CliError> {
    match session.output.0 {
        Format::Ndjson => print(&format!("{value}\n")),
        Format::Table | Format::Json | Format::Csv => Ok(()),
    }
}

/// Why a row was not taken, each with its code.
fn reasons(error: &CliError) -> Vec<String> {
    if error.why.is_empty() {
        let code = if error.code.is_empty() { String::new() } else { format!(" ({})", error.code) };
        return vec![format!("{}{code}", error.what)];
    }
    error.why.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(rows: &[(&str, &str)]) -> Cells {
        rows.iter().map(|(name, cell)| ((*name).to_owned(), (*cell).to_owned())).collect()
    }

    const NOTICE: &str = "a3f1b2c4d5e6f708192a3b4c5d6e7f80a3f1b2c4d5e6f708192a3b4c5d6e7f80";

    #[test]
    fn a_row_is_the_arguments_of_a_consent() {
        let row = cells(&[
            ("said", "yes"),
            ("scn", "1"),
            ("group", "core;support"),
            ("recipient", "glen-college"),
            ("age", "15"),
            ("turns-16", "2027-02"),
            ("notice", NOTICE),
        ]);
        let read = Line::read(&row).unwrap();
        assert!(!read.refused && read.person.scn == "1");
    }

    #[test]
    fn a_row_that_does_not_read_says_why_in_one_line() {
        for (row, expected) in [
            (cells(&[("said", "perhaps")]), "said"),
            (cells(&[("said", "yes")]), "client"),
            (cells(&[("said", "yes"), ("scn", "1"), ("age", "old")]), "--age"),
        ] {
            let error = Line::read(&row).err().unwrap();
            assert!(error.what.contains(expected) && !error.what.contains('\n'), "{}", error.what);
        }
    }

    #[test]
    fn columns_beside_a_record_begin_with_consent_and_the_person_is_the_records() {
        let names = |texts: &[&str]| -> Vec<String> {
            texts.iter().map(|text| (*text).to_owned()).collect()
        };
        let beside = columns(&names(&["identity.scn", "core.status", "consent:said"])).unwrap();
        assert_eq!(beside, [Some("scn".to_owned()), None, Some("said".to_owned())]);
        let alone = columns(&names(&["scn", "turns_16", "concordat:row"])).unwrap();
        assert_eq!(alone, [Some("scn".to_owned()), Some("turns-16".to_owned()), None]);
        assert!(columns(&names(&["scn", "request-id"])).is_err());
        assert!(columns(&names(&["nonsense"])).is_err());
    }
}
