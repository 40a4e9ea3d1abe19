//! `concordat record retract` and `record status`: take a record back, and see where it stands.

use clap::Args;

use crate::{
    cli::{
        code::Code,
        consent::Reading,
        error::CliError,
        json, name,
        output::words,
        session::{Change, Session, incomplete, request_text, unanswered},
    },
    model::id::RecordId,
    pb::{
        ledger::v1 as ledger,
        v1::{
            self as pb, disclosure_service_client::DisclosureServiceClient,
            recall_service_client::RecallServiceClient,
        },
    },
};

/// A record to take back.
#[derive(Debug, Args)]
pub(crate) struct Retract {
    /// Any version of the record.
    record: String,
    /// Why.
    #[arg(long, value_parser = Code("concordat.ledger.v1.RecallReason"))]
    reason: i32,
    #[command(flatten)]
    change: Change,
}

impl Retract {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { record, reason, change } = self;
        let id: RecordId = name::id("records", &record)?;
        let request = session.request(&change);
        let answer = RecallServiceClient::new(session.channel())
            .retract_record(pb::RetractRecordRequest {
                context: session.context(),
                request_id: request_text(request),
                retract: Some(ledger::RetractRecord {
                    record: id.as_bytes().to_vec().into(),
                    reason,
                }),
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?
            .into_inner();
        if !change.validate_only {
            words("the record is taken back; recall ls --issued says who has answered");
        }
        session.changed(&change, "concordat.v1.RetractRecordResponse", Some(&answer))
    }
}

pub(super) async fn status(
    session: &Session,
    record: &str,
    reading: Reading,
) -> Result<(), CliError> {
    let request = pb::GetRecordStatusRequest {
        context: session.context(),
        record: name::full::<RecordId>("records", record)?,
        reason: reading.reason,
    };
    let answer = DisclosureServiceClient::new(session.channel()).get_record_status(request).await?;
    let status = answer.into_inner().status.ok_or_else(incomplete)?;
    session.output.one(&json::of("concordat.v1.RecordStatus", &status))
}
