//! `concordat agency rotate`: new keys for an agency, stated by the key in force.
//!
//! A new signing key is written beside the old one before anything is sent and takes its place only when the exchange has
//! answered, so that no crash leaves the agency without the key that is in force. Repeating the verb goes on with the same
//! new key.

use std::{fs, path::PathBuf};

use clap::Args;

use super::{MESSAGE, keys};
use crate::{
    cli::{
        error::CliError,
        output::words,
        session::{Change, Session, request_text, unanswered},
    },
    identity::signing::SigningKey,
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, agency_service_client::AgencyServiceClient},
    },
};

/// A change of keys.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// Keep the signing key and change only which certificates the agency's systems connect by.
    #[arg(long)]
    keep_signing_key: bool,
    /// The certificate of a further system of the agency; every system that is not named is cut off. The profile's own
    /// certificate is always among them.
    #[arg(long = "certificate", value_name = "FILE")]
    certificates: Vec<PathBuf>,
    #[command(flatten)]
    change: Change,
}

impl Rotate {
    pub(super) async fn run(self, mut session: Session) -> Result<(), CliError> {
        let Self { keep_signing_key, mut certificates, change } = self;
        let files = session.profile.files();
        let present = session.profile.signing_key()?;
        let (next_private, next_public) = (
            session.profile.directory().join("signing.next.key"),
            session.profile.directory().join("signing.next.pub"),
        );
        let next = if keep_signing_key {
            session.profile.signing_key()?
        } else if next_private.exists() {
            SigningKey::load(&next_private)?
        } else {
            let key = SigningKey::generate()?;
            key.save(&next_private, &next_public)?;
            key
        };
        certificates.insert(0, files.certificate);
        let request = session.request(&change);
        let rotate = ledger::RotateKeys { keys: Some(keys(next.public(), &certificates)?) };
        let kind = ledger::command::Kind::RotateKeys(rotate.clone());
        let signature = session.sign_with(&present, request, &kind).await?;
        let answer = AgencyServiceClient::new(session.channel())
            .rotate_keys(pb::RotateKeysRequest {
                context: session.context(),
                request_id: request_text(request),
                rotate: Some(rotate),
                signature,
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        if !change.validate_only && !keep_signing_key {
            let fault = |cause: std::io::Error| CliError::file(&files.signing_key, &cause);
            fs::rename(&next_private, &files.signing_key).map_err(fault)?;
            fs::rename(&next_public, &files.signing_public).map_err(fault)?;
            words("the new signing key is in force and in its place; the old one is gone");
        }
        session.changed(&change, MESSAGE, answer.into_inner().agency.as_ref())
    }
}
