//! `concordat demo`: the first five minutes. It plays Inverclyde's More Choices, More Chances with a real exchange.
//!
//! The exchange is this program's own `serve`, as a process of its own, on loopback, with mutual TLS, a ledger and a store
//! on disk; the agencies speak gRPC to it as their own systems would. There is no other way in. Whatever is said is held:
//! where something does not happen as it must, the demo fails.

mod banner;
mod cast;
mod closing;
mod crash;
mod desk;
mod exchange;
mod forms;
pub mod leavers;
mod minds;
mod opening;
mod place;
mod play;
mod teller;

use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use self::{place::Place, play::Play, teller::Teller};
use crate::cli::{
    error::{CliError, Exit},
    output::{Format, Output},
    session::Caller,
};

/// Play a partnership that shares school leavers' forms, with invented people and a real exchange.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Play and end, instead of staying up for you to try.
    #[arg(long)]
    once: bool,
    /// Keep keys, ledger, store and tables in this directory, which is new or empty.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

impl Demo {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        let Self { once, keep } = self;
        let mut caller = caller.clone();
        let Output(format) = caller.output;
        let data = format != Format::Table;
        caller.output = Output(if data { format } else { Format::Json });
        let teller = Teller::new(data);
        let place = Place::new(keep)?;
        let mut play = tokio::select! {
            begun = Play::begin(&caller, teller, place) => begun?,
            () = told_to_stop()? => return Ok(()),
        };
        let counts = tokio::select! {
            counts = play.play() => counts?,
            () = told_to_stop()? => return Ok(()),
        };
        teller.lines(&counts.lines());
        if data {
            caller.output.one(&counts.json(play.today))?;
        }
        if once {
            return Ok(());
        }
        play.exchange.restart().await?;
        play.place.point_to(&play.exchange.endpoint())?;
        teller.lines(&play.banner());
        told_to_stop()?.await;
        play.exchange.kill().await
    }
}

impl Play {
    /// Every act, and what there is to count.
    async fn play(&mut self) -> Result<closing::Counts, CliError> {
        let keys = self.enrol().await?;
        self.agree(&keys).await?;
        self.hear().await?;
        self.import().await?;
        self.deliver().await?;
        self.serve_caseload().await?;
        self.hear_late().await?;
        self.hear_stop().await?;
        self.crash().await?;
        self.hear_again().await?;
        let withheld = self.explain().await?;
        let report = self.verify().await?;
        self.counts(withheld, &report)
    }
}

/// Resolves when the person at the terminal, or the system, wants the demo to end.
fn told_to_stop() -> Result<impl Future<Output = ()>, CliError> {
    let no_signal = |cause: std::io::Error| {
        CliError::new(Exit::Other, "signals cannot be received").because(cause.to_string())
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signal)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signal)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
