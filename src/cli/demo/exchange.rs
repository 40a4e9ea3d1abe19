//! The exchange as its operator runs it: this same program as a process of its own, which can be killed like any other.

use std::{
    fs::{File, OpenOptions},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
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

/// The port that is taken if it is free.
pub(super) const PORT: u16 = 8443;
/// How long an exchange may take to begin.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one that does not begin may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the program and its files lie.
#[derive(Clone, Debug)]
struct Files {
    program: PathBuf,
    home: PathBuf,
    data: PathBuf,
    log: PathBuf,
}

/// A running exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    files: Files,
    serving: Serving,
}

/// A process that serves.
#[derive(Debug)]
struct Serving {
    process: Child,
    port: u16,
    replayed: usize,
}

impl Exchange {
    /// Founds the ledger and starts an exchange on it.
    pub(super) async fn found(program: PathBuf, place: &Place) -> Result<Self, CliError> {
        let (home, data, log) = (place.home().to_owned(), place.data(), place.log());
        let files = Files { program, home, data, log };
        let mut init = files.command();
        init.args(["init", "--data"]).arg(&files.data).arg("--tls").arg(&files.home);
        let ended = init.stdout(Stdio::null()).stderr(appended(&files.log)?).status().await;
        let ended = ended.map_err(|cause| CliError::file(&files.program, &cause))?;
        if !ended.success() {
            return Err(failed("the ledger was not founded", ended, &files.log));
        }
        let serving = files.serve_near(PORT).await?;
        Ok(Self { files, serving })
    }

    /// The address of the exchange as callers give it.
    pub(super) fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.serving.port)
    }

    /// The port that it listens on.
    pub(super) const fn port(&self) -> u16 {
        self.serving.port
    }

    /// How many entries the last start replayed because the store did not hold them.
    pub(super) const fn replayed(&self) -> usize {
        self.serving.replayed
    }

    /// Kills the process with SIGKILL: it has no time to write or say anything.
    pub(super) async fn kill(&mut self) -> Result<(), CliError> {
        let killed = self.serving.process.kill().await;
        killed.map_err(|cause| CliError::file(&self.files.program, &cause))
    }

    /// Starts an exchange again on what is on disk, at the same port unless somebody took it meanwhile.
    pub(super) async fn restart(&mut self) -> Result<(), CliError> {
        self.serving = self.files.serve_near(self.serving.port).await?;
        Ok(())
    }
}

impl Files {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--home").arg(&self.home).args(["--output", "ndjson"]);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Serves on a port, or on a free one if that one is taken.
    async fn serve_near(&self, port: u16) -> Result<Serving, CliError> {
        match self.serve(port).await {
            Ok(serving) => Ok(serving),
            Err(_taken) => self.serve(0).await,
        }
    }

    async fn serve(&self, port: u16) -> Result<Serving, CliError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut serve = self.command();
        serve.args(["serve", "--listen", &address.to_string()]);
        serve.arg("--data").arg(&self.data).arg("--tls").arg(&self.home);
        // A group of its own, so that Ctrl-C reaches the demo alone, which then ends the exchange in order.
        serve.process_group(0).stdout(Stdio::piped()).stderr(appended(&self.log)?);
        let mut process = serve.spawn().map_err(|cause| CliError::file(&self.program, &cause))?;
        match timeout(START_TIMEOUT, told(&mut process)).await {
            Ok(Some((port, replayed))) => Ok(Serving { process, port, replayed }),
            Ok(None) => {
                let ended = timeout(END_TIMEOUT, process.wait()).await;
                Err(match ended {
                    Ok(Ok(status)) => failed("the exchange did not start", status, &self.log),
                    Ok(Err(_)) | Err(_) => self.late(),
                })
            }
            Err(_late) => Err(self.late()),
        }
    }

    fn late(&self) -> CliError {
        CliError::new(Exit::Unavailable, "the exchange did not start in time")
            .because(format!("its log is in `{}`", self.log.display()))
    }
}

/// What the exchange says when it serves, one line on its standard output: its port, and how much it replayed.
async fn told(process: &mut Child) -> Option<(u16, usize)> {
    let mut lines = BufReader::new(process.stdout.take()?).lines();
    let line = lines.next_line().await.ok()??;
    let told: Value = serde_json::from_str(&line).ok()?;
    let endpoint = told.get("endpoint")?.as_str()?;
    let port = endpoint.rsplit_once(':')?.1.trim_end_matches('/').parse().ok()?;
    let replayed = told.get("replayed")?.as_u64()?;
    Some((port, usize::try_from(replayed).unwrap_or(usize::MAX)))
}

fn appended(log: &Path) -> Result<File, CliError> {
    let opened = OpenOptions::new().create(true).append(true).open(log);
    opened.map_err(|cause| CliError::file(log, &cause))
}

fn failed(what: &str, status: ExitStatus, log: &Path) -> CliError {
    let last = std::fs::read_to_string(log).unwrap_or_default();
    let last = last.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    CliError::new(Exit::Other, what)
        .because(format!("{status}: {last}"))
        .because(format!("its log is in `{}`", log.display()))
}
