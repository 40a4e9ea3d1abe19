//! Where the demo lives: a directory with the keys, the ledger, the store and the tables, and nothing outside it.
//!
//! A temporary directory goes when the demo ends; a directory that was named stays. Nothing is written into a clone.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::cli::{
    demo::leavers::{Claim, Cohort, HEADER, Moment, Said, Speaker, Word},
    error::{CliError, Exit},
};

/// The demo's directory.
#[derive(Debug)]
pub(super) struct Place {
    home: PathBuf,
    temporary: Option<TempDir>,
}

impl Place {
    /// A new directory, or the empty one that is to be kept.
    pub(super) fn new(keep: Option<PathBuf>) -> Result<Self, CliError> {
        let Some(home) = keep else {
            let temporary = TempDir::with_prefix("concordat-demo-").map_err(|cause| {
                CliError::new(Exit::Other, "no temporary directory can be made")
                    .because(cause.to_string())
            })?;
            return Ok(Self { home: temporary.path().to_owned(), temporary: Some(temporary) });
        };
        let fault = |cause: &std::io::Error| CliError::file(&home, cause);
        fs::create_dir_all(&home).map_err(|cause| fault(&cause))?;
        if fs::read_dir(&home).map_err(|cause| fault(&cause))?.next().is_some() {
            let what = format!("`{}` is not empty", home.display());
            return Err(CliError::new(Exit::Conflict, what)
                .fixed_by("name a new or empty directory: each demo founds a ledger of its own"));
        }
        let home = home.canonicalize().map_err(|cause| fault(&cause))?;
        Ok(Self { home, temporary: None })
    }

    /// The directory itself: what `--home` takes.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Where the exchange keeps its data.
    pub(super) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// The import file.
    pub(super) fn leavers(&self) -> PathBuf {
        self.home.join("leavers.csv")
    }

    /// The checkpoint that the operator keeps.
    pub(super) fn checkpoint(&self) -> PathBuf {
        self.home.join("checkpoint.txt")
    }

    /// Where the exchange's log goes.
    pub(super) fn log(&self) -> PathBuf {
        self.home.join("exchange.log")
    }

    /// Whether the directory goes when the demo ends.
    pub(super) const fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// Writes the three tables of a cohort.
    pub(super) fn write(&self, cohort: &Cohort) -> Result<(), CliError> {
        table(&self.leavers(), &HEADER, cohort.rows.iter().cloned())?;
        let header = ["source_local_id", "scn", "agency", "said", "when", "by", "age"];
        table(&self.home.join("consents.csv"), &header, cohort.said.iter().map(said_row))?;
        let header = ["provider_local_id", "scn", "known_to_council"];
        table(&self.home.join("caseload.csv"), &header, cohort.claims.iter().map(claim_row))
    }

    /// Has every command under this home find the exchange.
    pub(super) fn point_to(&self, endpoint: &str) -> Result<(), CliError> {
        let path = self.home.join(crate::config::FILE);
        fs::write(&path, format!("endpoint = \"{endpoint}\"\n"))
            .map_err(|cause| CliError::file(&path, &cause))
    }
}

fn said_row(said: &Said) -> Vec<String> {
    let Said { local_id, scn, word, moment, speaker, age_years, .. } = said;
    let word = match word {
        Word::Yes => "yes",
        Word::No => "no",
        Word::Stop => "stop",
    };
    let moment = match moment {
        Moment::WithTheForm => "with-the-form",
        Moment::Afterwards => "afterwards",
        Moment::Later => "later",
    };
    let speaker = match speaker {
        Speaker::Own => "self",
        Speaker::Parent => "parent",
    };
    let cells =
        [local_id, scn, super::cast::COLLEGE, word, moment, speaker, &age_years.to_string()];
    cells.map(ToOwned::to_owned).into()
}

fn claim_row(claim: &Claim) -> Vec<String> {
    let Claim { provider_local_id, scn, known_to_council } = claim;
    let known = if *known_to_council { "yes" } else { "no" };
    vec![provider_local_id.clone(), scn.clone(), known.to_owned()]
}

fn table(
    path: &Path,
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<(), CliError> {
    let unwritable = |cause: csv::Error| {
        CliError::new(Exit::Other, format!("`{}` cannot be written", path.display()))
            .because(cause.to_string())
    };
    let mut writer = csv::Writer::from_path(path).map_err(unwritable)?;
    writer.write_record(header).map_err(unwritable)?;
    for row in rows {
        writer.write_record(&row).map_err(unwritable)?;
    }
    writer.flush().map_err(|cause| CliError::file(path, &cause))
}
