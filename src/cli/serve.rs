//! `concordat serve`: one exchange, until it is told to stop or can take nothing more.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{
    compose::{Options, Running},
    error::{CliError, Exit},
    output::Output,
};

/// Run an exchange.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where the exchange keeps its data, as `concordat init` made it.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The directory with ca.crt, crl.pem, server.crt and server.key. They are reloaded when they change; with a ca.key
    /// the revocation list is renewed in time.
    #[arg(long, value_name = "DIR")]
    tls: PathBuf,
    /// The address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
}

impl Serve {
    pub(crate) async fn run(self, output: Output) -> Result<(), CliError> {
        let Self { data, tls, listen } = self;
        let no_signal = |cause: std::io::Error| {
            CliError::new(Exit::Other, "signals cannot be received").because(cause.to_string())
        };
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signal)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signal)?;
        let mut running = Running::start(Options::system(data, tls, listen)?).await?;
        output.one(&json!({
            "endpoint": running.endpoint(),
            "ledger": running.node().read(|state| state.ledger().to_string()),
            "replayed": running.beginning().replayed,
        }))?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            error = running.ended() => {
                running.stop().await;
                return Err(error);
            }
        }
        tracing::info!("stopping");
        running.stop().await;
        Ok(())
    }
}
