//! `concordat caseload`: clients as the calling agency knows them, whom it serves, and whom others say they serve.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{
        consent::Reading,
        error::CliError,
        json, name,
        output::{Column, words},
        session::{Caller, Change, PAGE_ROWS, Session, every_row, request_text, unanswered},
    },
    model::id::{AgencyId, AliasId},
    pb::{
        ledger::v1::{self as ledger, command::Kind},
        v1::{self as pb, caseload_service_client::CaseloadServiceClient},
    },
};

const MESSAGE: &str = "concordat.v1.Claim";
const COLUMNS: [Column; 5] = [
    ("CLIENT", "client"),
    ("AGENCY", "agency"),
    ("STATE", "state"),
    ("CONFIRMED BY", "confirmer"),
    ("OPENED", "opened_time"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Caseload {
    /// Make a client known to the calling agency, and print the agency's own name for the person.
    AddClient(AddClient),
    /// Claim a client for the calling agency's caseload.
    Open {
        /// The client.
        client: String,
        #[command(flatten)]
        change: Change,
    },
    /// Confirm another agency's claim. Signed by the calling agency's key.
    Confirm {
        /// The client, by the calling agency's own name.
        client: String,
        /// The agency that claims.
        #[arg(long, value_name = "AGENCY")]
        agency: String,
        #[command(flatten)]
        change: Change,
    },
    /// End a claim, confirmed or not.
    End {
        /// The client.
        client: String,
        /// The agency whose caseload it is. Default: the calling one.
        #[arg(long, value_name = "AGENCY")]
        agency: Option<String>,
        #[command(flatten)]
        change: Change,
    },
    /// List the calling agency's own claims.
    Ls(Reading),
    /// List other agencies' claims that await the calling agency's confirmation, the oldest first.
    Claims(Reading),
}

/// A client, by what identifies it.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("identifier").required(true).multiple(true)))]
pub(crate) struct AddClient {
    /// The agency's own id of the person.
    #[arg(
        long,
        value_name = "ID",
        group = "identifier",
        default_value = "",
        hide_default_value = true
    )]
    local_id: String,
    /// The Scottish Candidate Number.
    #[arg(
        long,
        value_name = "SCN",
        group = "identifier",
        default_value = "",
        hide_default_value = true
    )]
    scn: String,
    #[command(flatten)]
    change: Change,
}

impl Caseload {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        let mut session = Session::open(caller, ledger::Purpose::Administration).await?;
        match self {
            Self::AddClient(add) => add.run(&session).await,
            Self::Open { client, change } => open(&session, &client, &change).await,
            Self::Confirm { client, agency, change } => {
                confirm(&mut session, &client, &agency, &change).await
            }
            Self::End { client, agency, change } => {
                end(&session, &client, agency.as_deref(), &change).await
            }
            Self::Ls(reading) => list(&session, reading).await,
            Self::Claims(reading) => claims(&session, reading).await,
        }
    }
}

impl AddClient {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { local_id, scn, change } = self;
        let request = session.request(&change);
        let answer = CaseloadServiceClient::new(session.channel())
            .add_client(pb::AddClientRequest {
                context: session.context(),
                request_id: request_text(request),
                identifiers: Some(ledger::Identifiers { local_id, scn, person: None }),
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?
            .into_inner();
        if change.validate_only {
            words("valid; nothing was changed");
            return Ok(());
        }
        session.output.one(&json!({"client": answer.client}))
    }
}

/// The bytes of a client's name.
fn alias(client: &str) -> Result<bytes::Bytes, CliError> {
    let alias: AliasId = name::id("clients", client)?;
    Ok(bytes::Bytes::copy_from_slice(alias.as_bytes()))
}

async fn open(session: &Session, client: &str, change: &Change) -> Result<(), CliError> {
    let request = session.request(change);
    let answer = CaseloadServiceClient::new(session.channel())
        .open_caseload(pb::OpenCaseloadRequest {
            context: session.context(),
            request_id: request_text(request),
            open: Some(ledger::OpenCaseload { client: alias(client)? }),
            validate_only: change.validate_only,
        })
        .await
        .map_err(|status| unanswered(status, request))?;
    session.changed(change, MESSAGE, answer.into_inner().claim.as_ref())
}

async fn confirm(
    session: &mut Session,
    client: &str,
    agency: &str,
    change: &Change,
) -> Result<(), CliError> {
    let request = session.request(change);
    let agency: AgencyId = name::id("agencies", agency)?;
    let confirm = ledger::ConfirmCaseload { client: alias(client)?, agency: agency.to_string() };
    let signature = session.sign(request, &Kind::ConfirmCaseload(confirm.clone())).await?;
    let answer = CaseloadServiceClient::new(session.channel())
        .confirm_caseload(pb::ConfirmCaseloadRequest {
            context: session.context(),
            request_id: request_text(request),
            confirm: Some(confirm),
            signature,
            validate_only: change.validate_only,
        })
        .await
        .map_err(|status| unanswered(status, request))?;
    session.changed(change, MESSAGE, answer.into_inner().claim.as_ref())
}

async fn end(
    session: &Session,
    client: &str,
    agency: Option<&str>,
    change: &Change,
) -> Result<(), CliError> {
    let request = session.request(change);
    let agency: AgencyId = match agency {
        Some(text) => name::id("agencies", text)?,
        None => session.agency()?,
    };
    CaseloadServiceClient::new(session.channel())
        .end_caseload(pb::EndCaseloadRequest {
            context: session.context(),
            request_id: request_text(request),
            end: Some(ledger::EndCaseload { client: alias(client)?, agency: agency.to_string() }),
            validate_only: change.validate_only,
        })
        .await
        .map_err(|status| unanswered(status, request))?;
    words(if change.validate_only { "valid; nothing was changed" } else { "the claim is ended" });
    Ok(())
}

async fn list(session: &Session, reading: Reading) -> Result<(), CliError> {
    let mut stub = CaseloadServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListCaseloadRequest {
            context: session.context(),
            reason: reading.reason,
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_caseload(request).await?.into_inner();
        Ok((page.claims, page.next_page_token))
    })
    .await?;
    let rows: Vec<_> = rows.iter().map(|row| json::of(MESSAGE, row)).collect();
    session.output.rows(&COLUMNS, &rows)
}

async fn claims(session: &Session, reading: Reading) -> Result<(), CliError> {
    let mut stub = CaseloadServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListClaimsRequest {
            context: session.context(),
            reason: reading.reason,
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_claims(request).await?.into_inner();
        Ok((page.claims, page.next_page_token))
    })
    .await?;
    let rows: Vec<_> = rows.iter().map(|row| json::of(MESSAGE, row)).collect();
    session.output.rows(&COLUMNS, &rows)
}
