//! `concordat bench`: measures this exchange on this machine, side by side with what its transport alone can do.
//!
//! Every figure is of real parts: mutual TLS, validation, sealing, decisions, and a sync of a directory on disk before
//! each answer. Absolute figures mean nothing beyond the machine; the ratios of one run are what counts.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use tokio::task::LocalSet;

use crate::cli::{
    error::{CliError, Exit},
    output::Output,
};

mod cost;
mod echo;
mod figures;
mod inside;
mod load;
mod machine;
mod people;
mod policy;
mod publish;
mod raw;
mod redaction;
mod script;
mod world;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Publishing over mutual TLS beside a bare echo of the same message: throughput, p50, p99 and their ratios.
    Publish(publish::Publish),
    /// Publishing inside one process: the node without a network, its groups and where its time goes.
    Node(inside::Inside),
    /// Parts one by one, in memory: validation, sealing, redaction, decisions and changes, in small and large exchanges.
    Machine(machine::Machine),
    /// What a decision costs where every agency has policies of its own, among few agencies and among many.
    Policy(policy::Policy),
    /// What cutting a record to field groups costs, for every record type.
    Redaction(redaction::Redaction),
}

impl Bench {
    pub(crate) async fn run(self, output: Output) -> Result<(), CliError> {
        match self {
            Self::Publish(publish) => LocalSet::new().run_until(publish.run(output)).await,
            Self::Node(inside) => Box::pin(LocalSet::new().run_until(inside.run(output))).await,
            Self::Machine(machine) => machine.run(output),
            Self::Policy(policy) => policy.run(output),
            Self::Redaction(redaction) => redaction.run(output),
        }
    }
}

/// Where the exchange that is measured lives, and for how long.
#[derive(Debug, Args)]
struct Setting {
    /// The directory for ledger, store and keys, on the disk that is to be measured: empty, or to be made; it is kept. By
    /// default a temporary one under the present directory, removed at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many clients the records are about, round robin. A client has at most 128 records.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    clients: usize,
    /// How many agencies receive, each with one subscription.
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    recipients: usize,
    /// How long each window lasts, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    window: f64,
}

/// Where everything lies.
enum Place {
    Given(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Place {
    /// The directory asked for, or a temporary one on the disk of the present directory.
    fn of(data: Option<&Path>) -> Result<Self, CliError> {
        match data {
            Some(path) => Ok(Self::Given(path.to_owned())),
            None => tempfile::Builder::new()
                .prefix(".concordat-bench-")
                .tempdir_in(".")
                .map(Self::Temporary)
                .map_err(said("there is no temporary directory")),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }
}

/// Says what could not be done, and why.
fn said<E: Display>(what: &'static str) -> impl Fn(E) -> CliError {
    move |cause| problem(what).because(cause.to_string())
}

/// What should not have happened.
fn problem(what: impl Into<String>) -> CliError {
    CliError::new(Exit::Other, what)
}
