//! Verification of a store before it is used: every pair is read and checked, somewhere a hang or a crash does no harm.
//!
//! Damaged files of sled have made it return errors, panic and hang at opening. So a child process with a deadline goes
//! first: the program runs itself with [`VERIFY_ARGUMENT`]. Tests, whose program is another, use a thread instead.

use std::{
    io::{Read as _, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use super::{
    layout::{self, MARK_KEY, Mark, PairKey, RowBody, Tally},
    open_database,
};

/// The hidden argument that makes the program verify a store: `concordat __verify-store DIRECTORY`.
pub const VERIFY_ARGUMENT: &str = "__verify-store";

/// How long a verification may take before the files count as hung: ten million rows take about half of it.
pub const VERIFY_DEADLINE: Duration = Duration::from_mins(1);

/// Where a store is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verifier {
    /// In a child process: `program` run with [`VERIFY_ARGUMENT`] must call [`verify_main`].
    ChildProcess {
        /// The program, normally the running one.
        program: PathBuf,
        /// How long it may take, normally [`VERIFY_DEADLINE`].
        deadline: Duration,
    },
    /// In a thread of this process. A hang costs that thread for good, so this is for tests and tools.
    InProcess {
        /// How long it may take.
        deadline: Duration,
    },
}

impl Verifier {
    /// Verifies the database at `directory`; on doubt says why.
    pub(super) fn verify(&self, directory: &Path) -> Result<(), String> {
        match self {
            Self::ChildProcess { program, deadline } => {
                let mut child = Command::new(program)
                    .arg(VERIFY_ARGUMENT)
                    .arg(directory)
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .spawn()
                    .map_err(|cause| format!("the verifier did not start: {cause}"))?;
                let verdict = verdict_of(&mut child, *deadline);
                // Whatever it said: it must be gone, with its lock, before anybody else opens the files.
                drop(child.kill());
                let status = child.wait().map_err(|cause| cause.to_string())?;
                match verdict? {
                    reason if !reason.is_empty() => Err(reason),
                    _ if status.success() => Ok(()),
                    _ => Err(format!("the verifier ended with {status}")),
                }
            }
            Self::InProcess { deadline } => {
                let (sender, receiver) = mpsc::channel();
                let directory = directory.to_owned();
                thread::spawn(move || {
                    let verdict = catch_unwind(AssertUnwindSafe(|| verify(&directory)));
                    drop(sender.send(verdict.unwrap_or_else(|_| Err("it panics".to_owned()))));
                });
                receiver.recv_timeout(*deadline).unwrap_or_else(|_| Err(too_late(*deadline)))
            }
        }
    }
}

fn too_late(deadline: Duration) -> String {
    format!("it was not read within {} s", deadline.as_secs())
}

/// What the child says until it ends.
fn verdict_of(child: &mut Child, deadline: Duration) -> Result<String, String> {
    let Some(mut stdout) = child.stdout.take() else {
        return Err("the verifier says nothing".to_owned());
    };
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut answer = String::new();
        let read = stdout.read_to_string(&mut answer);
        drop(sender.send(read.map(|_| answer)));
    });
    match receiver.recv_timeout(deadline) {
        Ok(Ok(answer)) => {
            // The child closes its output when it ends; only then has it an exit status of its own.
            drop(child.wait());
            Ok(answer.trim().to_owned())
        }
        Ok(Err(cause)) => Err(cause.to_string()),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(too_late(deadline)),
    }
}

/// What the program does when it is run with [`VERIFY_ARGUMENT`]: success if the database at `directory` is sound; else
/// the reason on standard output, and failure.
pub fn verify_main(directory: &Path) -> ExitCode {
    let Err(reason) = verify(directory) else {
        return ExitCode::SUCCESS;
    };
    // Nobody to tell is no reason to call it sound.
    drop(writeln!(std::io::stdout(), "{reason}"));
    ExitCode::FAILURE
}

/// Reads every pair of the database and holds them against the mark.
fn verify(directory: &Path) -> Result<(), String> {
    let database = open_database(directory).map_err(|fault| fault.to_string())?;
    let Some(mark) = database.get(MARK_KEY).map_err(|cause| cause.to_string())? else {
        return match database.iter().next() {
            None => Ok(()),
            Some(_) => Err("it has rows but no mark".to_owned()),
        };
    };
    let (mark, schema) = Mark::parse(&mark).ok_or("its mark is damaged")?;
    let (mut tally, mut pieces_found, mut pieces_named) = (Tally::default(), 0_u64, 0_u64);
    for pair in database.iter() {
        let (key, value) = pair.map_err(|cause| cause.to_string())?;
        let (found, body) = layout::body(&key, &value).ok_or("a pair is damaged")?;
        if found != schema {
            return Err("its rows have different schemas".to_owned());
        }
        match layout::parse_key(&key).ok_or("a key is damaged")? {
            PairKey::Mark => continue,
            PairKey::Piece => pieces_found = pieces_found.saturating_add(1),
            PairKey::Row { table, key } => {
                let form = RowBody::parse(body).ok_or("a row is damaged")?;
                super::read_value(&database, table, key, &form)
                    .map_err(|fault| fault.to_string())?;
                pieces_named = pieces_named.saturating_add(form.pieces().into());
            }
        }
        tally.add(&key, &value);
    }
    if tally == mark.tally && pieces_found == pieces_named {
        Ok(())
    } else {
        let (found, counted) = (tally.pairs, mark.tally.pairs);
        Err(format!("it holds {found} pairs where {counted} were written, or others than those"))
    }
}
