//! `concordat agency`: who takes part.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{
        code::Code,
        error::CliError,
        hex, json, name,
        output::{Column, words},
        session::{
            Caller, Change, PAGE_ROWS, Session, every_row, incomplete, request_text, unanswered,
        },
        time,
    },
    model::{digest::Digest, id::AgencyId, order::UnixMillis},
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, agency_service_client::AgencyServiceClient},
    },
};

mod enrol;
mod rotate;
mod succession;

const MESSAGE: &str = "concordat.v1.Agency";
const COLUMNS: [Column; 4] =
    [("NAME", "name"), ("KIND", "kind"), ("STATE", "state"), ("KEY", "key_fingerprint")];
/// How long an invitation lasts unless it is said otherwise, in milliseconds: 14 days.
const INVITATION_MS: u64 = 14 * 24 * 3_600_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Agency {
    /// Invite an agency. The secret is printed once: hand it over by another way. For the operator.
    Invite(Invite),
    /// Enrol with an invitation, by the keys of the profile that calls.
    Enrol(enrol::Enrol),
    /// List the agencies.
    Ls,
    /// Show one agency.
    Show {
        /// The agency; the calling one if it is left out.
        agency: Option<String>,
    },
    /// Stop an agency: nothing is released to it or from it. For the operator.
    Suspend {
        /// The agency.
        agency: String,
        #[command(flatten)]
        change: Change,
    },
    /// Lift an agency's suspension. For the operator.
    Resume {
        /// The agency.
        agency: String,
        #[command(flatten)]
        change: Change,
    },
    /// Replace the agency's keys: a new signing key, and the certificates by which its systems connect.
    Rotate(rotate::Rotate),
    /// One body takes the place of another: merger, split, a function moved.
    #[command(subcommand)]
    Succession(succession::Succession),
}

/// An invitation.
#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// The agency's id, such as glen-college.
    agency: AgencyId,
    /// What kind of body it is.
    #[arg(long, value_parser = Code("concordat.ledger.v1.AgencyKind"))]
    kind: i32,
    /// When the invitation ends: a date or an RFC 3339 time. Default: in 14 days.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    expires: Option<UnixMillis>,
    #[command(flatten)]
    change: Change,
}

impl Agency {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        let purpose = match &self {
            Self::Invite(_) | Self::Suspend { .. } | Self::Resume { .. } => {
                ledger::Purpose::Operation
            }
            Self::Enrol(_)
            | Self::Ls
            | Self::Show { .. }
            | Self::Rotate(_)
            | Self::Succession(_) => ledger::Purpose::Administration,
        };
        let mut session = Session::open(caller, purpose).await?;
        match self {
            Self::Invite(invite) => invite.run(&session).await,
            Self::Enrol(enrol) => enrol.run(session).await,
            Self::Ls => list(&session).await,
            Self::Show { agency } => show(&session, agency).await,
            Self::Suspend { agency, change } => suspend(&session, &agency, &change).await,
            Self::Resume { agency, change } => resume(&session, &agency, &change).await,
            Self::Rotate(rotate) => rotate.run(session).await,
            Self::Succession(succession) => succession.run(&mut session).await,
        }
    }
}

impl Invite {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { agency, kind, expires, change } = self;
        let secret: [u8; 16] = session.entropy().bytes();
        let expires = expires.unwrap_or_else(|| session.now().plus(INVITATION_MS));
        let request = session.request(&change);
        let invite = ledger::InviteAgency {
            agency: agency.to_string(),
            kind,
            secret_digest: Digest::of_concatenation(&[&secret]).as_bytes().to_vec().into(),
            expires_at_ms: expires.millis(),
        };
        let answer = AgencyServiceClient::new(session.channel())
            .invite_agency(pb::InviteAgencyRequest {
                context: session.context(),
                request_id: request_text(request),
                invite: Some(invite),
                validate_only: change.validate_only,
            })
            .await
            // A repeated invitation would carry another secret, so no repetition is advised.
            .map_err(CliError::from)?
            .into_inner();
        if change.validate_only {
            return session.changed(&change, MESSAGE, answer.agency.as_ref());
        }
        words("hand the secret over by another way than this exchange; it is shown only now");
        session.output.one(&json!({
            "agency": agency.to_string(),
            "secret": hex::of(&secret),
            "expires_at": time::show(expires),
        }))
    }
}

async fn list(session: &Session) -> Result<(), CliError> {
    let mut stub = AgencyServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListAgenciesRequest {
            context: session.context(),
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_agencies(request).await?.into_inner();
        Ok((page.agencies, page.next_page_token))
    })
    .await?;
    let rows: Vec<_> = rows.iter().map(|row| json::of(MESSAGE, row)).collect();
    session.output.rows(&COLUMNS, &rows)
}

/// One agency, as the exchange shows it.
pub(crate) async fn agency(session: &Session, id: &AgencyId) -> Result<pb::Agency, CliError> {
    let name = format!("agencies/{id}");
    let request = pb::GetAgencyRequest { context: session.context(), name };
    let answer = AgencyServiceClient::new(session.channel()).get_agency(request).await?;
    answer.into_inner().agency.ok_or_else(incomplete)
}

async fn show(session: &Session, id: Option<String>) -> Result<(), CliError> {
    let id = match id {
        Some(text) => name::id("agencies", &text)?,
        None => session.agency()?,
    };
    session.output.one(&json::of(MESSAGE, &agency(session, &id).await?))
}

async fn suspend(session: &Session, agency: &str, change: &Change) -> Result<(), CliError> {
    let request = session.request(change);
    let id: AgencyId = name::id("agencies", agency)?;
    let answer = AgencyServiceClient::new(session.channel())
        .suspend_agency(pb::SuspendAgencyRequest {
            context: session.context(),
            request_id: request_text(request),
            suspend: Some(ledger::SuspendAgency { agency: id.to_string() }),
            validate_only: change.validate_only,
        })
        .await
        .map_err(|status| unanswered(status, request))?;
    session.changed(change, MESSAGE, answer.into_inner().agency.as_ref())
}

async fn resume(session: &Session, agency: &str, change: &Change) -> Result<(), CliError> {
    let request = session.request(change);
    let id: AgencyId = name::id("agencies", agency)?;
    let answer = AgencyServiceClient::new(session.channel())
        .resume_agency(pb::ResumeAgencyRequest {
            context: session.context(),
            request_id: request_text(request),
            resume: Some(ledger::ResumeAgency { agency: id.to_string() }),
            validate_only: change.validate_only,
        })
        .await
        .map_err(|status| unanswered(status, request))?;
    session.changed(change, MESSAGE, answer.into_inner().agency.as_ref())
}

/// The keys that an agency states: the signing key, and the certificates in PEM files.
fn keys(signing_key: [u8; 32], certificates: &[PathBuf]) -> Result<ledger::AgencyKeys, CliError> {
    let mut fingerprints = Vec::new();
    for path in certificates {
        let fingerprint = crate::cli::certs::read_certificate(path)?.fingerprint;
        let bytes = bytes::Bytes::copy_from_slice(fingerprint.as_bytes());
        if !fingerprints.contains(&bytes) {
            fingerprints.push(bytes);
        }
    }
    Ok(ledger::AgencyKeys { signing_key: signing_key.to_vec().into(), certificates: fingerprints })
}
