//! `concordat consent receipt`, `verify` and `export`: a consent as a document that others can read and check.

use std::{fs, path::PathBuf};

use clap::Args;
use serde_json::json;

use super::{Reading, fhir, get};
use crate::{
    cli::{
        error::{CliError, Exit},
        hex, name,
        output::{print, words},
        session::{Caller, Session},
    },
    identity::receipt::{self, Flaw},
    model::{digest::Digest, id::ConsentId},
    pb::v1::{self as pb, consent_service_client::ConsentServiceClient},
};

/// A receipt to verify.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The receipt.
    file: PathBuf,
    /// The exchange's checkpoint key, in hexadecimal: the key that init printed and every agency can ask for. Without it
    /// the receipt is held against the key that it names itself, which proves that it is whole and not whose it is.
    #[arg(long, value_name = "HEX", value_parser = key)]
    key: Option<Key>,
}

/// A public key.
#[derive(Clone, Debug)]
struct Key(Vec<u8>);

fn key(text: &str) -> Result<Key, String> {
    let bytes = hex::parse(text).filter(|bytes| bytes.len() == 32);
    bytes.map(Key).ok_or_else(|| "a key is 64 hexadecimal digits".to_owned())
}

/// A consent to print in the form of a standard.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The consent.
    consent: String,
    /// As a Consent resource of HL7 FHIR R4, in JSON.
    #[arg(long, required = true)]
    fhir: bool,
    #[command(flatten)]
    reading: Reading,
}

/// Prints the receipt of a consent.
pub(super) async fn show(
    session: &Session,
    consent: &str,
    reading: Reading,
) -> Result<(), CliError> {
    let request = pb::GetConsentReceiptRequest {
        context: session.context(),
        name: name::full::<ConsentId>("consents", consent)?,
        reason: reading.reason,
    };
    let answer = ConsentServiceClient::new(session.channel()).get_consent_receipt(request).await?;
    print(&format!("{}\n", answer.into_inner().receipt))
}

impl Verify {
    pub(super) fn run(self, caller: &Caller) -> Result<(), CliError> {
        let Self { file, key } = self;
        let text = fs::read_to_string(&file).map_err(|cause| CliError::file(&file, &cause))?;
        let known = key.as_ref().map(|key| key.0.as_slice());
        let (receipt, by) = receipt::verify(&text, known).map_err(|flaw| {
            let (why, fix) = match flaw {
                Flaw::Malformed => ("it is no receipt", "give the whole document, unchanged"),
                Flaw::OtherKey => {
                    ("it is signed by another key", "compare the key with the exchange's")
                }
                Flaw::NotSigned => ("it was changed, or never signed", "ask for the receipt again"),
            };
            let what = format!("`{}` does not verify", file.display());
            CliError::new(Exit::Invalid, what).because(why).fixed_by(fix)
        })?;
        if known.is_none() {
            words(
                "the receipt is whole; compare the key below with the exchange's, or give it with --key",
            );
        }
        let field = |pointer: &str| receipt.pointer(pointer).cloned().unwrap_or_default();
        caller.output.one(&json!({
            "verified": true,
            "record": field("/header/record_id"),
            "issued_by": field("/header/issued_by"),
            "issued_time": field("/header/issued_time"),
            "state": field("/events/event_state"),
            "key": hex::of(&by),
            "key_fingerprint": Digest::of_concatenation(&[&by]).to_string(),
        }))
    }
}

impl Export {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        // The one form there is; the flag leaves room for others.
        let Self { consent, fhir: _, reading } = self;
        let document = fhir::resource(&get(session, &consent, reading).await?);
        print(&format!("{document:#}\n"))
    }
}
