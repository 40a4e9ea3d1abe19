//! The command line: every verb, its settings and its exit code. One file per verb group.
//!
//! Only `serve` composes an exchange; every other verb speaks gRPC to one or works on files alone.

use std::{env, path::Path, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::{
    cli::{
        code::Code,
        error::{CliError, Exit},
        output::{Format, Output, words},
        session::Caller,
    },
    config::{self, Layer, Settings},
    store::{VERIFY_ARGUMENT, verify_main},
    telemetry,
};

mod agency;
mod agreement;
mod bench;
mod case;
mod caseload;
mod certs;
mod client;
mod code;
pub mod compose;
mod consent;
pub mod demo;
mod dispute;
mod document;
mod emergency;
pub mod error;
mod hex;
mod init;
mod json;
mod ledger;
mod name;
mod notice;
mod output;
mod policy;
mod profile;
mod recall;
mod record;
mod serve;
mod session;
mod subscription;
mod time;
mod words;

/// Concordat, a shared-data exchange.
///
/// Partner agencies publish and subscribe to client records under agreements that every party signed. Data go to
/// standard output, words to standard error.
#[derive(Debug, Parser)]
#[command(name = "concordat", version, after_long_help = config::HELP)]
struct Line {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
struct Global {
    /// Where profiles and config.toml lie.
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Call as the profile of this name under the home directory.
    #[arg(long = "as", global = true, value_name = "NAME")]
    name: Option<String>,
    /// Call as the profile in this directory.
    #[arg(long, global = true, value_name = "DIR")]
    profile: Option<PathBuf>,
    /// The address of the exchange.
    #[arg(long, global = true, value_name = "URL")]
    endpoint: Option<String>,
    /// The agency's own id of the person who acts; without it the request is unattended.
    #[arg(long, global = true, value_name = "ID")]
    staff: Option<String>,
    /// That person's role.
    #[arg(long, global = true, value_name = "ROLE")]
    role: Option<String>,
    /// Why it is asked. Default: operation for the operator's verbs, school-leaver-transition for records,
    /// explanations and new subscriptions, administration otherwise.
    #[arg(long, global = true, value_name = "PURPOSE", value_parser = Code("concordat.ledger.v1.Purpose"))]
    purpose: Option<i32>,
    /// How data are printed. Default: table; one line a record for record watch, CSV for record template, TOML for
    /// agreement new.
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
    /// What is logged to standard error, such as `info` or `concordat::node=debug`.
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// How it is logged: text or json.
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Play a partnership that shares school leavers' forms, with invented people and a real exchange.
    Demo(demo::Demo),
    /// Run an exchange.
    Serve(serve::Serve),
    /// Found a new ledger, with its keys.
    Init(init::Init),
    /// Make and look after certificates and keys for trying Concordat out.
    #[command(subcommand)]
    Certs(certs::Certs),
    /// Invite, enrol and suspend agencies.
    #[command(subcommand)]
    Agency(agency::Agency),
    /// Draft, propose and approve data sharing agreements.
    #[command(subcommand)]
    Agreement(agreement::Agreement),
    /// Record, refuse and withdraw consent.
    #[command(subcommand)]
    Consent(consent::Consent),
    /// Read what cannot wait, by pre-authorised offices, and answer for it afterwards.
    #[command(subcommand)]
    Emergency(emergency::Emergency),
    /// Read words that were sealed in the ledger, which the calling agency wrote or which were written to it.
    Words(words::Words),
    /// Read what the agency is told: about its agreements, and about who read its records.
    #[command(subcommand, alias = "notices")]
    Notice(notice::Notice),
    /// Narrow what is released, by the agency's own policies.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Say whom the agency serves, and confirm whom others serve.
    #[command(subcommand)]
    Caseload(caseload::Caseload),
    /// Say what the agency wants to receive.
    #[command(subcommand)]
    Subscription(subscription::Subscription),
    /// Publish and receive records.
    #[command(subcommand)]
    Record(record::Record),
    /// Answer recalls, and see who has answered.
    #[command(subcommand)]
    Recall(recall::Recall),
    /// Doubt what a record says, and answer such doubts.
    #[command(subcommand)]
    Dispute(dispute::Dispute),
    /// Answer for a person's rights, complaints and incidents.
    #[command(subcommand)]
    Case(case::Case),
    /// See what was shared about one person.
    #[command(subcommand)]
    Client(client::Client),
    /// Look into the ledger and verify it.
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Measure the exchange on this machine.
    #[command(subcommand)]
    Bench(bench::Bench),
}

/// Runs the program with the process's arguments and returns its exit code.
pub fn run() -> ExitCode {
    // The store is verified in a process of its own, which is this program again.
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == VERIFY_ARGUMENT)
        && let Some(directory) = arguments.next()
    {
        return verify_main(Path::new(&directory));
    }
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => {
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match dispatch(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever reads the output has closed it and knows.
            if !error.what.is_empty() {
                words(&error);
            }
            ExitCode::from(error.exit.number())
        }
    }
}

fn dispatch(line: Line) -> Result<(), CliError> {
    let Line { global, verb } = line;
    let Global { home, name, profile, endpoint, staff, role, purpose, output, log, log_format } =
        global;
    let flags = Layer { name, profile, endpoint, staff, role, log, log_format };
    let settings = Settings::resolve(home, flags, &|name| env::var(name).ok())
        .map_err(|malformed| CliError::new(Exit::Usage, malformed.0))?;
    let usual = if matches!(verb, Verb::Serve(_)) { "info" } else { "warn" };
    telemetry::begin(settings.log.as_deref().unwrap_or(usual), settings.log_json).map_err(
        |cause| CliError::new(Exit::Usage, "the log filter does not parse").because(cause),
    )?;
    let caller = Caller { settings, output: Output(output.unwrap_or(Format::Table)), purpose };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| {
            CliError::new(Exit::Other, "no runtime can be made").because(cause.to_string())
        })?
        .block_on(perform(verb, caller, output))
}

async fn perform(verb: Verb, caller: Caller, format: Option<Format>) -> Result<(), CliError> {
    match verb {
        Verb::Demo(demo) => Box::pin(demo.run(&caller)).await,
        Verb::Serve(serve) => Box::pin(serve.run(caller.output)).await,
        Verb::Init(init) => Box::pin(init.run(caller.output)).await,
        Verb::Certs(certs) => certs.run(&caller),
        Verb::Agency(agency) => Box::pin(agency.run(&caller)).await,
        Verb::Agreement(agreement) => Box::pin(agreement.run(&caller, format)).await,
        Verb::Consent(consent) => Box::pin(consent.run(&caller)).await,
        Verb::Emergency(emergency) => Box::pin(emergency.run(&caller)).await,
        Verb::Words(words) => Box::pin(words.run(&caller)).await,
        Verb::Notice(notice) => Box::pin(notice.run(&caller)).await,
        Verb::Policy(policy) => Box::pin(policy.run(&caller)).await,
        Verb::Caseload(caseload) => Box::pin(caseload.run(&caller)).await,
        Verb::Subscription(subscription) => Box::pin(subscription.run(&caller)).await,
        Verb::Record(record) => Box::pin(record.run(&caller, format)).await,
        Verb::Recall(recall) => Box::pin(recall.run(&caller)).await,
        Verb::Dispute(dispute) => Box::pin(dispute.run(&caller)).await,
        Verb::Case(case) => Box::pin(case.run(&caller)).await,
        Verb::Client(client) => Box::pin(client.run(&caller)).await,
        Verb::Ledger(ledger) => Box::pin(ledger.run(&caller)).await,
        Verb::Bench(bench) => Box::pin(bench.run(caller.output)).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Line::command().debug_assert();
    }

    #[test]
    fn no_argument_of_a_verb_takes_the_place_of_a_setting() {
        fn check(command: &clap::Command, settings: &[String]) {
            for argument in command.get_arguments() {
                let id = argument.get_id().to_string();
                let own = !argument.is_global_set();
                assert!(!(own && settings.contains(&id)), "{} {id}", command.get_name());
            }
            command.get_subcommands().for_each(|command| check(command, settings));
        }
        let line = Line::command();
        let settings: Vec<_> = line.get_arguments().map(|one| one.get_id().to_string()).collect();
        line.get_subcommands().for_each(|command| check(command, &settings));
    }

    #[test]
    fn every_verb_and_argument_says_what_it_is() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let help = argument.get_help().is_some();
                assert!(help, "{} {}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Line::command());
    }
}
