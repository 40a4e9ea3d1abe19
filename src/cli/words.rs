//! `concordat words`: read what was sealed beside a case, a dispute, emergency access, a consent or a person who speaks.

use clap::Args;

use crate::{
    cli::{
        code::Code,
        error::CliError,
        json,
        output::Column,
        session::{Caller, Session, every_row},
    },
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, words_service_client::WordsServiceClient},
    },
};

const MESSAGE: &str = "concordat.v1.Words";
const COLUMNS: [Column; 4] = [
    ("WRITTEN", "written_time"),
    ("AUTHOR", "author"),
    ("EVIDENCE", "evidence.reference"),
    ("WORDS", "emergency.words"),
];

/// Read sealed words: of the calling agency's own cases, consents, persons and emergencies, and of its disputes.
#[derive(Debug, Args)]
pub(crate) struct Words {
    /// What they are about: cases/ID, disputes/ID, emergencies/ID, consents/ID or holders/ID.
    about: String,
    /// Why they are read: the ledger keeps it.
    #[arg(long, value_parser = Code("concordat.ledger.v1.ReadReason"))]
    reason: i32,
}

impl Words {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        let Self { about, reason } = self;
        let session = Session::open(caller, ledger::Purpose::Administration).await?;
        let mut stub = WordsServiceClient::new(session.channel());
        let rows = every_row(async |page_token| {
            let request = pb::ReadWordsRequest {
                context: session.context(),
                request_id: session.new_request(),
                about: about.clone(),
                reason,
                page_token,
            };
            let page = stub.read_words(request).await?.into_inner();
            Ok((page.words, page.next_page_token))
        })
        .await?;
        let rows: Vec<_> = rows.iter().map(|row| json::of(MESSAGE, row)).collect();
        session.output.rows(&COLUMNS, &rows)
    }
}
