//! `concordat init`: a new exchange's ledger and keys, on an empty directory only.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        certs::read_certificate,
        compose,
        error::CliError,
        output::{Output, words},
    },
    clock::{Clock, Entropy},
    identity::{development::OPERATOR, file::ProfileFiles},
};

/// Found a new ledger.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where the exchange keeps its data. Made if need be.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The directory of certificates; its operator's profile names the operator.
    #[arg(long, value_name = "DIR", required_unless_present = "operator_certificate")]
    tls: Option<PathBuf>,
    /// The operator's certificate, where it does not lie in that directory.
    #[arg(long, value_name = "FILE")]
    operator_certificate: Option<PathBuf>,
}

impl Init {
    pub(crate) async fn run(self, output: Output) -> Result<(), CliError> {
        let Self { data, tls, operator_certificate } = self;
        let path = operator_certificate.unwrap_or_else(|| {
            let profile = tls.unwrap_or_default().join("profiles").join(OPERATOR);
            ProfileFiles::in_directory(&profile).certificate
        });
        let operator = read_certificate(&path)?.fingerprint;
        let founded = compose::found(&data, operator, &Clock::system(), &Entropy::system()).await?;
        words(
            "the ledger is founded; keep the directory, and above all its keyring, safe and backed up",
        );
        output.one(&json!({
            "ledger": founded.ledger.to_string(),
            "operator_certificate": operator.to_string(),
            "verifier_key": founded.verifier_key,
            "data": data.display().to_string(),
        }))
    }
}
