//! The exchange as its operator runs it: this same program as a process of its own, which can be killed like any other.

use std::{
    fs::{File, OpenOptions},
    net::SocketAddr,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::cli::{
    demo::place::Place,
    error::{CliError, Exit},
};

/// How long an exchange may take to begin.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    program: PathBuf,
    home: PathBuf,
    data: PathBuf,
    log: PathBuf,
    address: SocketAddr,
    process: Child,
    replayed: usize,
}

impl Exchange {
    /// Founds the ledger and starts an exchange on it.
    pub(super) async fn found(
        program: PathBuf,
        place: &Place,
        address: SocketAddr,
    ) -> Result<Self, CliError> {
        let (home, data, log) = (place.home().to_owned(), place.data(), place.log());
        let mut init = command(&program, &home);
        init.args(["init", "--data"]).arg(&data).arg("--tls").arg(&home);
        let ended = init.stdout(Stdio::null()).stderr(appended(&log)?).status().await;
        let ended = ended.map_err(|cause| CliError::file(&program, &cause))?;
        if !ended.success() {
            return Err(failed("the ledger was not founded", ended, &log));
        }
        let process = spawned(&program, (&home, &data, &log), address)?;
        let mut exchange = Self { program, home, data, log, address, process, replayed: 0 };
        exchange.wait_until_it_serves().await?;
        Ok(exchange)
    }

    /// The address of the exchange as callers give it.
    pub(super) fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// How many entries the last start replayed because the store did not hold them.
    pub(super) const fn replayed(&self) -> usize {
        self.replayed
    }

    /// Kills the process with SIGKILL: it has no time to write or say anything.
    pub(super) async fn kill(&mut self) -> Result<(), CliError> {
        self.process.kill().await.map_err(|cause| CliError::file(&self.program, &cause))
    }

    /// Starts an exchange again on what is on disk.
    pub(super) async fn restart(&mut self) -> Result<(), CliError> {
        let places = (&self.home, &self.data, &self.log);
        self.process = spawned(&self.program, places, self.address)?;
        self.wait_until_it_serves().await
    }

    /// Waits until the exchange says that it serves: one line on its standard output.
    async fn wait_until_it_serves(&mut self) -> Result<(), CliError> {
        let Some(output) = self.process.stdout.take() else {
            return Err(CliError::new(Exit::Other, "the exchange has no output"));
        };
        let mut lines = BufReader::new(output).lines();
        let line = timeout(START_TIMEOUT, lines.next_line()).await;
        let told: Option<Value> = match line {
            Ok(Ok(Some(line))) => serde_json::from_str(&line).ok(),
            Ok(Ok(None) | Err(_)) | Err(_) => None,
        };
        let Some(told) = told else {
            let ended = self.process.try_wait().ok().flatten();
            return Err(match ended {
                Some(status) => failed("the exchange did not start", status, &self.log),
                None => CliError::new(Exit::Unavailable, "the exchange did not start in time")
                    .because(format!("its log is in `{}`", self.log.display())),
            });
        };
        let replayed = told.get("replayed").and_then(Value::as_u64).unwrap_or_default();
        self.replayed = usize::try_from(replayed).unwrap_or(usize::MAX);
        Ok(())
    }
}

fn command(program: &PathBuf, home: &PathBuf) -> Command {
    let mut command = Command::new(program);
    command.arg("--home").arg(home).args(["--output", "ndjson"]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn spawned(
    program: &PathBuf,
    (home, data, log): (&PathBuf, &PathBuf, &PathBuf),
    address: SocketAddr,
) -> Result<Child, CliError> {
    let mut serve = command(program, home);
    serve.args(["serve", "--listen", &address.to_string()]);
    serve.arg("--data").arg(data).arg("--tls").arg(home);
    // A group of its own, so that Ctrl-C reaches the demo alone, which then ends the exchange in order.
    serve.process_group(0).stdout(Stdio::piped()).stderr(appended(log)?);
    serve.spawn().map_err(|cause| CliError::file(program, &cause))
}

fn appended(log: &PathBuf) -> Result<File, CliError> {
    let opened = OpenOptions::new().create(true).append(true).open(log);
    opened.map_err(|cause| CliError::file(log, &cause))
}

fn failed(what: &str, status: ExitStatus, log: &std::path::Path) -> CliError {
    let last = std::fs::read_to_string(log).unwrap_or_default();
    let last = last.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    CliError::new(Exit::Other, what)
        .because(format!("{status}: {last}"))
        .because(format!("its log is in `{}`", log.display()))
}
