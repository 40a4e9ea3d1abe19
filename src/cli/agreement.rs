//! `concordat agreement`: what agencies agree to share.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::{
    cli::{
        error::{CliError, Exit},
        hex, json, name,
        output::{Column, Format, print, words},
        session::{Caller, Change, PAGE_ROWS, Session, digest, every_row, incomplete},
    },
    machine::command::agreement::Content,
    model::id::{AgreementId, LedgerId},
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, agreement_service_client::AgreementServiceClient},
    },
};

mod check;
mod diff;
pub(in crate::cli) mod document;
mod step;

const MESSAGE: &str = "concordat.v1.Agreement";
const CHANGE: &str = "concordat.v1.AgreementChange";
const CHANGES: [Column; 7] = [
    ("TYPE", "record_type"),
    ("PUBLISHER", "publisher"),
    ("RECIPIENT", "recipient"),
    ("GAINS", "groups_gained"),
    ("CLIENTS", "clients_gaining"),
    ("LOSES", "groups_lost"),
    ("CLIENTS", "clients_losing"),
];
const COLUMNS: [Column; 5] = [
    ("NAME", "name"),
    ("VERSION", "version"),
    ("STATE", "state"),
    ("PURPOSE", "content.purpose"),
    ("ENDS", "content.expires_at"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Agreement {
    /// Print a template of an agreement's content, in TOML or with -o json in JSON.
    New,
    /// Draft an agreement from a file, or replace a draft.
    Draft(Draft),
    /// List everything that an agreement or a file misses, each item with the rule that it comes from.
    Check(check::Check),
    /// Show one version of an agreement.
    Show(Which),
    /// Show what differs between two versions of an agreement.
    Diff(diff::Diff),
    /// Show who would get more and less if a version became active.
    Preview(Which),
    /// Put a draft before its parties; from then on its content is fixed.
    Propose(step::Step),
    /// Approve the proposed version, in the calling agency's name and by its key.
    Approve(step::Approval),
    /// Decline the proposed version.
    Decline(step::Refusal),
    /// Stop the calling agency's flows under an agreement, at once.
    Suspend(step::Suspension),
    /// Lift the calling agency's own suspension.
    Resume(step::Own),
    /// End an agreement for all its parties.
    End(step::Own),
    /// List the calling agency's agreements.
    Ls,
}

/// A draft.
#[derive(Debug, Args)]
pub(crate) struct Draft {
    /// The agreement's id, such as school-leavers-2026.
    agreement: AgreementId,
    /// The content, in TOML or JSON; `-` for standard input. What a party's line leaves out (`kind`, `key_fingerprint`) is
    /// filled in with what the exchange shows of that agency.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Where the agency keeps the agreement's text. Sealed in the ledger.
    #[arg(long, value_name = "REFERENCE", default_value = "", hide_default_value = true)]
    evidence: String,
    #[command(flatten)]
    change: Change,
}

/// Which version of which agreement.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The agreement.
    agreement: String,
    /// The version. Default: the latest.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    version: u32,
}

impl Agreement {
    pub(crate) async fn run(self, caller: &Caller, format: Option<Format>) -> Result<(), CliError> {
        if matches!(self, Self::New) {
            return print(&document::template(format)?);
        }
        let mut session = Session::open(caller, ledger::Purpose::Administration).await?;
        match self {
            Self::New => Ok(()),
            Self::Draft(draft) => draft.run(&session).await,
            Self::Show(which) => {
                let agreement = agreement(&session, &which.agreement, which.version).await?;
                if !hash_holds(&session, &agreement).await? {
                    words("warning: the content hash is not that of the content shown");
                }
                session.output.one(&json::of(MESSAGE, &agreement))
            }
            Self::Check(check) => check.run(&session).await,
            Self::Diff(diff) => diff.run(&session).await,
            Self::Preview(which) => preview(&session, which).await,
            Self::Propose(step) => step.propose(&session).await,
            Self::Approve(approval) => approval.run(&mut session).await,
            Self::Decline(refusal) => refusal.run(&mut session).await,
            Self::Suspend(suspension) => suspension.run(&mut session).await,
            Self::Resume(own) => own.resume(&mut session).await,
            Self::End(own) => own.end(&mut session).await,
            Self::Ls => list(&session).await,
        }
    }
}

impl Draft {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { agreement, file, evidence, change } = self;
        let (content, texts) = document::content(session, &file).await?;
        let request = session.request(&change);
        let answer = AgreementServiceClient::new(session.channel())
            .draft_agreement(pb::DraftAgreementRequest {
                context: session.context(),
                request_id: crate::cli::session::request_text(request),
                draft: Some(ledger::DraftAgreement {
                    agreement: agreement.to_string(),
                    content: Some(content),
                }),
                evidence: Some(ledger::Evidence {
                    reference: evidence,
                    ..ledger::Evidence::default()
                })
                .filter(|evidence| !evidence.reference.is_empty()),
                validate_only: change.validate_only,
                texts: Some(texts),
            })
            .await
            .map_err(|status| crate::cli::session::unanswered(status, request))?;
        session.changed(&change, MESSAGE, answer.into_inner().agreement.as_ref())
    }
}

/// Prints what a version would change.
async fn preview(session: &Session, which: Which) -> Result<(), CliError> {
    let Which { agreement, version } = which;
    let name = name::full::<AgreementId>("agreements", &agreement)?;
    let request = pb::PreviewAgreementRequest { context: session.context(), name, version };
    let answer = AgreementServiceClient::new(session.channel()).preview_agreement(request).await?;
    let changes = answer.into_inner().changes;
    let rows: Vec<_> = changes.iter().map(|row| json::of(CHANGE, row)).collect();
    session.output.rows(&CHANGES, &rows)
}

async fn list(session: &Session) -> Result<(), CliError> {
    let mut stub = AgreementServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListAgreementsRequest {
            context: session.context(),
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_agreements(request).await?.into_inner();
        Ok((page.agreements, page.next_page_token))
    })
    .await?;
    let rows: Vec<_> = rows.iter().map(|row| json::of(MESSAGE, row)).collect();
    session.output.rows(&COLUMNS, &rows)
}

/// One version of an agreement, as the exchange shows it.
/// One version of an agreement, as the exchange shows it.
pub(in crate::cli) async fn agreement(
    session: &Session,
    text: &str,
    version: u32,
) -> Result<pb::Agreement, CliError> {
    let name = name::full::<AgreementId>("agreements", text)?;
    let request = pb::GetAgreementRequest { context: session.context(), name, version };
    let answer = AgreementServiceClient::new(session.channel()).get_agreement(request).await?;
    answer.into_inner().agreement.ok_or_else(incomplete)
}

/// Whether the content hash is that of the content: computed here, so that nobody signs what they were not shown.
async fn hash_holds(session: &Session, agreement: &pb::Agreement) -> Result<bool, CliError> {
    let id: AgreementId = name::id("agreements", &agreement.name)?;
    let ledger = LedgerId::from_slice(&session.ledger().await?.ledger_id)?;
    let content = Content::try_from(agreement.content.clone().unwrap_or_default())?;
    let hash = content.hash(ledger, &id, agreement.version);
    Ok(hash.as_bytes().as_slice() == &*agreement.content_hash)
}

/// Holds that a version is the one whose content hash was read.
async fn hold_hash(
    session: &Session,
    agreement: &pb::Agreement,
    read: Option<&[u8]>,
) -> Result<(), CliError> {
    let differs = |what: &str| {
        Err(CliError::new(Exit::Conflict, what)
            .because(format!("the exchange states {}", hex::of(&agreement.content_hash)))
            .fixed_by("show the agreement and read it again"))
    };
    if read.is_some_and(|read| read != &*agreement.content_hash) {
        return differs("the content hash is not the one given");
    }
    if hash_holds(session, agreement).await? {
        Ok(())
    } else {
        differs("the content hash is not that of the content shown")
    }
}

/// Reads a content hash.
pub(in crate::cli) fn content_hash(text: &str) -> Result<Hash, String> {
    digest(text).map(Hash)
}

/// A content hash as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Hash(pub(in crate::cli) Vec<u8>);
