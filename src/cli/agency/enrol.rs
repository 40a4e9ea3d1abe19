//! `concordat agency enrol`: an invited agency brings its own keys.

use std::path::PathBuf;

use clap::Args;

use super::{MESSAGE, keys};
use crate::{
    cli::{
        document,
        error::{CliError, Exit},
        hex,
        session::{Change, Session, request_text, unanswered},
    },
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, agency_service_client::AgencyServiceClient},
    },
};

/// An enrolment.
#[derive(Debug, Args)]
pub(crate) struct Enrol {
    /// The secret of the invitation, as `agency invite` printed it. Other users of this machine may see it: prefer
    /// --secret-file.
    #[arg(long, value_name = "HEX", required_unless_present = "secret_file")]
    secret: Option<String>,
    /// A file that holds the secret; `-` for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "secret")]
    secret_file: Option<PathBuf>,
    /// The certificate of a further system of the agency. The profile's own is always among them.
    #[arg(long = "certificate", value_name = "FILE")]
    certificates: Vec<PathBuf>,
    #[command(flatten)]
    change: Change,
}

impl Enrol {
    pub(super) async fn run(self, mut session: Session) -> Result<(), CliError> {
        let Self { secret, secret_file, mut certificates, change } = self;
        let text = match (secret, secret_file) {
            (Some(secret), _) => secret,
            (None, Some(path)) => document::text(&path)?,
            (None, None) => String::new(),
        };
        let secret = hex::parse(text.trim()).filter(|secret| !secret.is_empty());
        let secret = secret.ok_or_else(|| {
            CliError::new(Exit::Invalid, "the secret is not a line of hexadecimal digits")
        })?;
        let key = session.profile.signing_key()?;
        certificates.insert(0, session.profile.files().certificate);
        let agency = session.agency()?;
        let request = session.request(&change);
        let enrol = ledger::EnrolAgency {
            secret: secret.into(),
            keys: Some(keys(key.public(), &certificates)?),
        };
        let kind = ledger::command::Kind::EnrolAgency(enrol.clone());
        let signature = session.sign_with(&key, request, &kind).await?;
        let answer = AgencyServiceClient::new(session.channel())
            .enrol_agency(pb::EnrolAgencyRequest {
                context: session.context(),
                request_id: request_text(request),
                name: format!("agencies/{agency}"),
                enrol: Some(enrol),
                signature,
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        let endpoint = session.endpoint().to_owned();
        session.profile.remember_exchange(&agency, &endpoint)?;
        session.changed(&change, MESSAGE, answer.into_inner().agency.as_ref())
    }
}
