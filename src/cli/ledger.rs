//! `concordat ledger`: the evidence.

use clap::{Args, Subcommand};

use crate::{
    cli::{
        error::CliError,
        json,
        output::{Column, Format, print},
        session::{Caller, PAGE_ROWS, Session, every_row, incomplete},
        time,
    },
    model::order::UnixMillis,
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, ledger_service_client::LedgerServiceClient},
    },
};

mod verify;

const COLUMNS: [Column; 5] = [
    ("ADMITTED", "admitted_time"),
    ("KIND", "kind"),
    ("PURPOSE", "purpose"),
    ("RESOURCES", "resources"),
    ("REQUEST", "request_id"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Verify a ledger's files without an exchange: every checksum, leaf and attachment, and the tree over them.
    Verify(verify::Verify),
    /// Show what the exchange's ledger is: its name, the key that signs checkpoints, receipts and certificates, and the record
    /// types in force.
    Show,
    /// Print the latest signed checkpoint. For the operator. Default format: the signed note as it is.
    Checkpoint {
        /// Sign one of the ledger as it is now.
        #[arg(long)]
        fresh: bool,
    },
    /// List the entries that the caller asked for, the oldest first.
    Ls(Ls),
}

/// Which entries are listed.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// Only entries admitted at this time or later: a date or an RFC 3339 time.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    since: Option<UnixMillis>,
    /// Only entries admitted before this time.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    until: Option<UnixMillis>,
    /// Only entries of this kind, such as `publish_record`; repeat it, or separate several by commas.
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',')]
    kinds: Vec<String>,
}

impl Ledger {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        match self {
            Self::Verify(verify) => verify.run(caller.output),
            Self::Show => {
                show(&Session::open(caller, ledger::Purpose::Administration).await?).await
            }
            Self::Checkpoint { fresh } => {
                let session = Session::open(caller, ledger::Purpose::Operation).await?;
                checkpoint(&session, fresh).await
            }
            Self::Ls(ls) => {
                ls.run(&Session::open(caller, ledger::Purpose::Administration).await?).await
            }
        }
    }
}

async fn show(session: &Session) -> Result<(), CliError> {
    let request = pb::GetLedgerRequest { context: session.context() };
    let answer = LedgerServiceClient::new(session.channel()).get_ledger(request).await?;
    let ledger = answer.into_inner().ledger.ok_or_else(incomplete)?;
    session.output.one(&json::of("concordat.v1.Ledger", &ledger))
}

async fn checkpoint(session: &Session, fresh: bool) -> Result<(), CliError> {
    let request = pb::GetCheckpointRequest { context: session.context(), fresh };
    let answer = LedgerServiceClient::new(session.channel()).get_checkpoint(request).await?;
    let checkpoint = answer.into_inner().checkpoint.ok_or_else(incomplete)?;
    match session.output.0 {
        Format::Table => print(&checkpoint.note),
        Format::Json | Format::Ndjson | Format::Csv => {
            session.output.one(&json::of("concordat.ledger.v1.Checkpoint", &checkpoint))
        }
    }
}

impl Ls {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let mut stub = LedgerServiceClient::new(session.channel());
        let rows = every_row(async |page_token| {
            let request = pb::ListEntriesRequest {
                context: session.context(),
                start_time: self.since.map(time::proto),
                end_time: self.until.map(time::proto),
                kinds: self.kinds.clone(),
                page_size: PAGE_ROWS,
                page_token,
            };
            let page = stub.list_entries(request).await?.into_inner();
            Ok((page.entries, page.next_page_token))
        })
        .await?;
        let row = |row: &pb::LedgerEntry| json::of("concordat.v1.LedgerEntry", row);
        let rows: Vec<_> = rows.iter().map(row).collect();
        session.output.rows(&COLUMNS, &rows)
    }
}
