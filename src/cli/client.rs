//! `concordat client`: what was shared about one person, for the agency and for the person; what is erased, held or
//! disposed of.

use clap::Subcommand;

mod erase;

use crate::{
    cli::{
        consent::Reading,
        error::CliError,
        json, name,
        output::Column,
        session::{Caller, PAGE_ROWS, Session, every_row},
    },
    model::id::AliasId,
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, disclosure_service_client::DisclosureServiceClient},
    },
};

mod report;

/// The columns of disclosures.
pub(crate) const COLUMNS: [Column; 9] = [
    ("DELIVERED TO", "recipient"),
    ("RECORD", "record"),
    ("GROUPS", "field_groups"),
    ("FIRST", "first_time"),
    ("LAST", "last_time"),
    ("PURPOSE", "purpose"),
    ("AGREEMENT", "grounds.agreement"),
    ("BASIS", "grounds.basis"),
    ("RECALLED", "recalled"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    /// List to whose systems the calling agency's records about a client were delivered: which groups, when and why.
    WhoSaw {
        /// The client, by the calling agency's own name.
        client: String,
        #[command(flatten)]
        reading: Reading,
    },
    /// Make the report of a case of access for the person: what the calling agency published or received about them.
    Report(report::Report),
    /// Erase one record, or everything that the calling agency published about a client and the identifiers it gave.
    Erase(erase::Erase),
    /// List the calling agency's erasures, with what was disposed of because its time had ended.
    Erasures {
        /// Only those that are in progress.
        #[arg(long)]
        in_progress: bool,
    },
    /// Print an erasure's signed certificate once it is complete. Default format: the signed note as it is.
    Erasure {
        /// The erasure.
        erasure: String,
    },
    /// Place, lift and list legal holds, which outrank erasure and disposal.
    #[command(subcommand)]
    Hold(erase::Hold),
}

impl Client {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        let mut session = Session::open(caller, ledger::Purpose::Administration).await?;
        match self {
            Self::WhoSaw { client, reading } => who_saw(&session, &client, reading).await,
            Self::Report(report) => report.run(&session).await,
            Self::Erase(erase) => erase.run(&mut session).await,
            Self::Erasures { in_progress } => erase::list(&session, in_progress).await,
            Self::Erasure { erasure } => erase::show(&session, &erasure).await,
            Self::Hold(hold) => hold.run(&mut session).await,
        }
    }
}

async fn who_saw(session: &Session, client: &str, reading: Reading) -> Result<(), CliError> {
    let client = name::full::<AliasId>("clients", client)?;
    let mut stub = DisclosureServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListDisclosuresRequest {
            context: session.context(),
            client: client.clone(),
            reason: reading.reason,
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_disclosures(request).await?.into_inner();
        Ok((page.disclosures, page.next_page_token))
    })
    .await?;
    let rows: Vec<_> = rows.iter().map(|row| json::of("concordat.v1.Disclosure", row)).collect();
    session.output.rows(&COLUMNS, &rows)
}
