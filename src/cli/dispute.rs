//! `concordat dispute`: doubt a field of a record that was received, and answer such doubts.

use clap::{Args, Subcommand};

use crate::{
    cli::{
        code::Code,
        error::CliError,
        json, name,
        output::Column,
        session::{Caller, Change, PAGE_ROWS, Session, every_row, request_text, unanswered},
    },
    model::id::{DisputeId, GroupName, RecordId},
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, dispute_service_client::DisputeServiceClient},
    },
};

const MESSAGE: &str = "concordat.v1.Dispute";
const COLUMNS: [Column; 8] = [
    ("NAME", "name"),
    ("RECORD", "record"),
    ("RECIPIENT", "recipient"),
    ("GROUP", "group"),
    ("FIELD", "field"),
    ("REASON", "reason"),
    ("DUE", "due_time"),
    ("ANSWER", "answer"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Dispute {
    /// Doubt a field, or a whole group, of a record that was received.
    Open(Open),
    /// Answer a dispute about a record of the calling agency's.
    Answer(Answer),
    /// List the disputes that the calling agency opened, or those about its own records.
    Ls {
        /// Those about the calling agency's own records.
        #[arg(long)]
        published: bool,
        /// Those that are answered, too.
        #[arg(long)]
        all: bool,
    },
}

/// A doubt.
#[derive(Debug, Args)]
pub(crate) struct Open {
    /// The version that is doubted.
    record: String,
    /// The field group.
    #[arg(long, value_name = "GROUP")]
    group: GroupName,
    /// The field's path, such as `identity.date_of_birth`. Default: the whole group.
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    field: String,
    /// Why it is doubted.
    #[arg(long, value_parser = Code("concordat.ledger.v1.DisputeReason"))]
    reason: i32,
    /// Where the agency keeps the words and the evidence. Sealed in the ledger.
    #[arg(long, value_name = "REFERENCE", default_value = "", hide_default_value = true)]
    evidence: String,
    #[command(flatten)]
    change: Change,
}

/// An answer.
#[derive(Debug, Args)]
pub(crate) struct Answer {
    /// The dispute.
    dispute: String,
    /// What was decided. Corrected: a new version or a retraction has come since.
    #[arg(long = "answer", value_name = "ANSWER", value_parser = Code("concordat.ledger.v1.DisputeAnswer"))]
    decision: i32,
    /// Why the record stays as it is, if it does.
    #[arg(long, value_parser = Code("concordat.ledger.v1.KeepReason"))]
    keep_reason: Option<i32>,
    /// Where the agency keeps the words and the evidence. Sealed in the ledger.
    #[arg(long, value_name = "REFERENCE", default_value = "", hide_default_value = true)]
    evidence: String,
    #[command(flatten)]
    change: Change,
}

impl Dispute {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        let session = Session::open(caller, ledger::Purpose::Administration).await?;
        match self {
            Self::Open(open) => open.run(&session).await,
            Self::Answer(answer) => answer.run(&session).await,
            Self::Ls { published, all } => list(&session, published, all).await,
        }
    }
}

fn evidence(reference: String) -> Option<ledger::Evidence> {
    Some(ledger::Evidence { reference, consent: None })
        .filter(|evidence| !evidence.reference.is_empty())
}

impl Open {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { record, group, field, reason, evidence, change } = self;
        let id: RecordId = name::id("records", &record)?;
        let request = session.request(&change);
        let answer = DisputeServiceClient::new(session.channel())
            .open_dispute(pb::OpenDisputeRequest {
                context: session.context(),
                request_id: request_text(request),
                open: Some(ledger::OpenDispute {
                    record: id.as_bytes().to_vec().into(),
                    group: group.to_string(),
                    field,
                    reason,
                }),
                evidence: self::evidence(evidence),
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&change, MESSAGE, answer.into_inner().dispute.as_ref())
    }
}

impl Answer {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { dispute, decision, keep_reason, evidence, change } = self;
        let id: DisputeId = name::id("disputes", &dispute)?;
        let request = session.request(&change);
        let answered = DisputeServiceClient::new(session.channel())
            .answer_dispute(pb::AnswerDisputeRequest {
                context: session.context(),
                request_id: request_text(request),
                answer: Some(ledger::AnswerDispute {
                    dispute: id.as_bytes().to_vec().into(),
                    answer: decision,
                    keep_reason: keep_reason.unwrap_or_default(),
                }),
                evidence: self::evidence(evidence),
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&change, MESSAGE, answered.into_inner().dispute.as_ref())
    }
}

async fn list(session: &Session, published: bool, all: bool) -> Result<(), CliError> {
    let mut stub = DisputeServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListDisputesRequest {
            context: session.context(),
            published,
            answered_too: all,
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_disputes(request).await?.into_inner();
        Ok((page.disputes, page.next_page_token))
    })
    .await?;
    let rows: Vec<_> = rows.iter().map(|row| json::of(MESSAGE, row)).collect();
    session.output.rows(&COLUMNS, &rows)
}
