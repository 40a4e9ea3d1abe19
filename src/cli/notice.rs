//! `concordat notice`: what the calling agency is told.

use clap::Subcommand;
use serde_json::Value;

use crate::{
    cli::{
        error::CliError,
        json,
        output::{Column, Format},
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
    ("ABOUT", "about"),
    ("EVENT", "event"),
    ("BY", "by"),
    ("DAYS LEFT", "agreement.days_left"),
    ("OVERDUE", "case.overdue"),
    ("INCIDENT", "incident.severity"),
    ("RESTRICTION", "restriction.event"),
];

/// The kinds of notice, and where each says what it is about, what happened and who did it.
const KINDS: [[&str; 4]; 8] = [
    ["agreement", "agreement", "event", "by"],
    ["case", "case", "overdue", ""],
    ["incident", "agreement", "event", "by"],
    ["restriction", "client", "event", "by"],
    ["emergency", "emergency", "event", "by"],
    ["access", "record", "reason", "reader"],
    ["consent", "consent", "", "by"],
    ["succession", "succession", "event", "by"],
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
        let tabular = matches!(session.output.0, Format::Table | Format::Csv);
        let shown =
            |row| if tabular { line(json::of(MESSAGE, row)) } else { json::of(MESSAGE, row) };
        let rows: Vec<_> = rows.iter().map(shown).collect();
        session.output.rows(&COLUMNS, &rows)
    }
}

/// A notice with what every kind has in common in places of one name.
fn line(mut row: Value) -> Value {
    for [kind, about, event, by] in KINDS {
        let Some(told) = row.get(kind).cloned() else { continue };
        let Value::Object(fields) = &mut row else { continue };
        for (name, from) in [("about", about), ("event", event), ("by", by)] {
            let value = told.get(from).cloned();
            let _none = fields.insert(name.to_owned(), value.unwrap_or_else(|| kind.into()));
        }
    }
    row
}
