//! `concordat notice`: what the calling agency is told.

use clap::Subcommand;

use crate::{
    cli::{
        error::CliError,
        json,
        output::Column,
        session::{Caller, PAGE_ROWS, Session, every_row},
    },
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, notice_service_client::NoticeServiceClient},
    },
};

const MESSAGE: &str = "concordat.v1.Notice";
const COLUMNS: [Column; 9] = [
    ("NUMBER", "number"),
    ("TIME", "time"),
    ("ABOUT", "agreement.agreement"),
    ("EVENT", "agreement.event"),
    ("BY", "agreement.by"),
    ("DAYS LEFT", "agreement.days_left"),
    ("OVERDUE", "case.overdue"),
    ("INCIDENT", "incident.severity"),
    ("RESTRICTION", "restriction.event"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Notice {
    /// List the calling agency's notices, the oldest first.
    Ls {
        /// Only those of a greater number.
        #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
        after: u64,
    },
}

impl Notice {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        let Self::Ls { after } = self;
        let session = Session::open(caller, ledger::Purpose::Administration).await?;
        let mut stub = NoticeServiceClient::new(session.channel());
        let rows = every_row(async |page_token| {
            let request = pb::ListNoticesRequest {
                context: session.context(),
                after_number: after,
                page_size: PAGE_ROWS,
                page_token,
            };
            let page = stub.list_notices(request).await?.into_inner();
            Ok((page.notices, page.next_page_token))
        })
        .await?;
        let rows: Vec<_> = rows.iter().map(|row| json::of(MESSAGE, row)).collect();
        session.output.rows(&COLUMNS, &rows)
    }
}
