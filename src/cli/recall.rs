//! `concordat recall`: the inbox of recalls, their answers, and the certificate of what became of them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::{
    cli::{
        code::Code,
        document,
        error::{CliError, Exit},
        json, name,
        output::{Column, Format, print, words},
        session::{
            Caller, Change, PAGE_ROWS, Session, digest, every_row, request_text, unanswered,
        },
    },
    ledger::checkpoint::is_signed,
    model::id::{RecallId, RecordId},
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, recall_service_client::RecallServiceClient},
    },
};

const MESSAGE: &str = "concordat.v1.Recall";
const COLUMNS: [Column; 8] = [
    ("NAME", "name"),
    ("RECORD", "record"),
    ("RECIPIENT", "recipient"),
    ("REASON", "reason"),
    ("AGREEMENT", "agreement"),
    ("GROUPS", "field_groups"),
    ("ISSUED", "issued_time"),
    ("ACT", "act"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Recall {
    /// List the recalls that wait for the calling agency's answer, or those that wait for others' answers to it.
    Ls(Ls),
    /// Answer a recall: say what was done.
    Ack(Ack),
    /// Print the signed certificate of what became of a record's recalls. Default format: the signed note as it is.
    Certificate {
        /// Any version of the record.
        record: String,
    },
    /// Verify a certificate, of recalls or of an erasure, without an exchange.
    Verify {
        /// The certificate; `-` for standard input.
        file: PathBuf,
        /// The exchange's checkpoint key, as `GetLedger` shows it.
        #[arg(long, value_name = "HEX", value_parser = key)]
        key: Key,
    },
}

/// Which recalls are listed.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// Those of the calling agency's own records, by recipient.
    #[arg(long)]
    issued: bool,
    /// Only of this record: any version of it.
    #[arg(long, value_name = "RECORD", requires = "issued")]
    record: Option<String>,
    /// Those that are answered, too.
    #[arg(long)]
    all: bool,
}

/// An answer.
#[derive(Debug, Args)]
pub(crate) struct Ack {
    /// The recall.
    recall: String,
    /// What was done.
    #[arg(long, value_parser = Code("concordat.ledger.v1.RecallAct"))]
    act: i32,
    /// On which ground it is kept, if it is.
    #[arg(long, value_parser = Code("concordat.ledger.v1.RetentionGround"))]
    ground: Option<i32>,
    #[command(flatten)]
    change: Change,
}

/// A public key.
#[derive(Clone, Debug)]
pub(crate) struct Key(Vec<u8>);

fn key(text: &str) -> Result<Key, String> {
    digest(text).map(Key).map_err(|_| "give the 64 hexadecimal digits of the key".to_owned())
}

impl Recall {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        if let Self::Verify { file, key } = &self {
            return verify(&document::text(file)?, key);
        }
        let session = Session::open(caller, ledger::Purpose::Administration).await?;
        match self {
            Self::Ls(ls) => ls.run(&session).await,
            Self::Ack(ack) => ack.run(&session).await,
            Self::Certificate { record } => certificate(&session, &record).await,
            Self::Verify { .. } => Ok(()),
        }
    }
}

impl Ls {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { issued, record, all } = self;
        let record = match record {
            Some(text) => name::full::<RecordId>("records", &text)?,
            None => String::new(),
        };
        let mut stub = RecallServiceClient::new(session.channel());
        let rows = every_row(async |page_token| {
            if issued {
                let request = pb::ListIssuedRecallsRequest {
                    context: session.context(),
                    record: record.clone(),
                    acknowledged_too: all,
                    page_size: PAGE_ROWS,
                    page_token,
                };
                let page = stub.list_issued_recalls(request).await?.into_inner();
                return Ok((page.recalls, page.next_page_token));
            }
            let request = pb::ListRecallsRequest {
                context: session.context(),
                acknowledged_too: all,
                page_size: PAGE_ROWS,
                page_token,
            };
            let page = stub.list_recalls(request).await?.into_inner();
            Ok((page.recalls, page.next_page_token))
        })
        .await?;
        let rows: Vec<_> = rows.iter().map(|row| json::of(MESSAGE, row)).collect();
        session.output.rows(&COLUMNS, &rows)
    }
}

impl Ack {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { recall, act, ground, change } = self;
        let id: RecallId = name::id("recalls", &recall)?;
        let request = session.request(&change);
        let answer = RecallServiceClient::new(session.channel())
            .acknowledge_recall(pb::AcknowledgeRecallRequest {
                context: session.context(),
                request_id: request_text(request),
                acknowledge: Some(ledger::AcknowledgeRecall {
                    recall: id.as_bytes().to_vec().into(),
                    act,
                    ground: ground.unwrap_or_default(),
                }),
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&change, MESSAGE, answer.into_inner().recall.as_ref())
    }
}

async fn certificate(session: &Session, record: &str) -> Result<(), CliError> {
    let request = pb::GetDisposalCertificateRequest {
        context: session.context(),
        record: name::full::<RecordId>("records", record)?,
    };
    let answer =
        RecallServiceClient::new(session.channel()).get_disposal_certificate(request).await?;
    let answer = answer.into_inner();
    match session.output.0 {
        Format::Table => print(&answer.certificate),
        Format::Json | Format::Ndjson | Format::Csv => {
            session.output.one(&json::of("concordat.v1.GetDisposalCertificateResponse", &answer))
        }
    }
}

/// Holds that a certificate is signed by the key under the name that it begins with.
fn verify(note: &str, Key(key): &Key) -> Result<(), CliError> {
    let origin = note.lines().next().unwrap_or_default();
    let known = ["concordat-disposal/", "concordat-erasure/"];
    if !known.iter().any(|name| origin.starts_with(name)) || !is_signed(note, origin, key) {
        let error = CliError::new(Exit::Invalid, "this is no certificate of that key");
        return Err(error.fixed_by("give the key of the exchange that issued it"));
    }
    words("the certificate is genuine");
    print(note.split_once("\n\n").map_or(note, |(text, _)| text))?;
    print("\n")
}
