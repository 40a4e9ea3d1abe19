//! `concordat record`: records in, records out.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{
    cli::{
        code::Code,
        compose::registry,
        consent::Reading,
        document,
        error::{CliError, Exit},
        json, name,
        output::{Column, Format, print, words},
        session::{Caller, Change, Session, incomplete, request_text, unanswered},
    },
    model::id::{RecordId, RecordTypeName},
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, exchange_service_client::ExchangeServiceClient, request_context::Actor},
    },
    record::{
        json as record_json,
        registry::{RecordType, Registry},
        tabular,
    },
};

pub(in crate::cli) mod import;
mod retract;
pub(crate) mod watch;

const RECEIPT: &str = "concordat.v1.PublishReceipt";
const COLUMNS: [Column; 7] = [
    ("RECORD", "record.name"),
    ("VERSION", "record.version"),
    ("TYPE", "record.record_type"),
    ("CLIENT", "record.client"),
    ("PUBLISHER", "record.publisher"),
    ("GROUPS", "record.field_groups"),
    ("SUPERSEDES", "record.supersedes"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Record {
    /// Print a table to fill in: the columns of a record type and an invented row, in CSV or with -o json as JSON.
    Template {
        /// The type of record, such as leaver-form.
        record_type: RecordTypeName,
    },
    /// Publish one record, or a new version of one.
    Publish(Publish),
    /// Publish a new version because the one before was wrong: everybody who was sent any of it is told.
    Correct(Publish),
    /// Take a record back: nothing of it is released any more, and everybody who was sent any of it is told.
    Retract(retract::Retract),
    /// Show where a record of the calling agency's stands with each recipient.
    Status {
        /// Any version of the record.
        record: String,
        #[command(flatten)]
        reading: Reading,
    },
    /// Publish many records from a file, one a row.
    Import(import::Import),
    /// Open one record. Who opened it and why is kept for ever.
    Get {
        /// The version of the record.
        record: String,
        #[command(flatten)]
        reading: Reading,
        /// The office of the person who reads: the publisher is told of it, and never of who it is.
        #[arg(long, value_parser = Code("concordat.ledger.v1.StaffOffice"))]
        office: Option<i32>,
    },
    /// Take the next records of a subscription.
    Pull(Pull),
    /// Receive records as they are released, until interrupted or the limit is reached.
    Watch(watch::Watch),
}

/// A record to publish.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The record as one JSON object; `-` for standard input.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// The type of record.
    #[arg(long = "type", value_name = "TYPE", default_value = "leaver-form")]
    record_type: RecordTypeName,
    /// The version that this one replaces.
    #[arg(long, value_name = "RECORD")]
    supersedes: Option<String>,
    #[command(flatten)]
    change: Change,
}

/// A pull.
#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// The subscription.
    subscription: String,
    /// The greatest number of records, at most 64.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(i32).range(1..=64))]
    max: i32,
    /// Acknowledge what is printed; otherwise it comes again.
    #[arg(long)]
    ack: bool,
}

impl Record {
    pub(crate) async fn run(self, caller: &Caller, format: Option<Format>) -> Result<(), CliError> {
        let purpose = ledger::Purpose::SchoolLeaverTransition;
        match self {
            Self::Template { record_type } => template(&record_type, format),
            Self::Publish(publish) => {
                publish.run(&Session::open(caller, purpose).await?, false).await
            }
            Self::Correct(publish) => {
                publish.run(&Session::open(caller, purpose).await?, true).await
            }
            Self::Retract(retract) => retract.run(&Session::open(caller, purpose).await?).await,
            Self::Status { record, reading } => {
                retract::status(&Session::open(caller, purpose).await?, &record, reading).await
            }
            Self::Import(import) => Box::pin(import.run(caller, format)).await,
            Self::Get { record, reading, office } => {
                let session = Session::open(caller, purpose).await?;
                get(&session, &record, (reading, office)).await
            }
            Self::Pull(pull) => pull.run(&Session::open(caller, purpose).await?).await,
            Self::Watch(watch) => Box::pin(watch.run(caller, format)).await,
        }
    }
}

/// The type of that name.
fn known<'a>(registry: &'a Registry, name: &RecordTypeName) -> Result<&'a RecordType, CliError> {
    registry.record_type(name).ok_or_else(|| {
        let names: Vec<_> = registry.record_types().map(|known| known.name().to_string()).collect();
        CliError::new(Exit::NotFound, format!("this program knows no record type `{name}`"))
            .fixed_by(format!("name one of these: {}", names.join(", ")))
    })
}

fn malformed_example() -> CliError {
    CliError::new(Exit::Other, "the example of the record type does not read")
}

fn template(name: &RecordTypeName, format: Option<Format>) -> Result<(), CliError> {
    let registry = registry()?;
    let record_type = known(&registry, name)?;
    match format {
        None | Some(Format::Csv | Format::Table) => {
            let row = tabular::template_row(record_type).map_err(|_| malformed_example())?;
            print(&crate::cli::output::csv_line(&tabular::template_header(record_type))?)?;
            print(&crate::cli::output::csv_line(&row)?)
        }
        Some(format @ (Format::Json | Format::Ndjson)) => {
            let value = record_json::to_json(record_type, &record_type.example());
            crate::cli::output::Output(format).one(&value.map_err(|_| malformed_example())?)
        }
    }
}

impl Publish {
    async fn run(self, session: &Session, correction: bool) -> Result<(), CliError> {
        let Self { file, record_type, supersedes, change } = self;
        if correction && supersedes.is_none() {
            let error = CliError::new(Exit::Usage, "a correction replaces a version");
            return Err(error.fixed_by("name it by --supersedes"));
        }
        let registry = registry()?;
        let known = known(&registry, &record_type)?;
        let body =
            record_json::from_json(known, &document::text(&file)?).map_err(|violations| {
                CliError::invalid(format!("`{}` is no {record_type}", file.display()), &violations)
            })?;
        let supersedes = match &supersedes {
            Some(record) => name::full::<RecordId>("records", record)?,
            None => String::new(),
        };
        let request = session.request(&change);
        let answer = ExchangeServiceClient::new(session.channel())
            .publish_record(pb::PublishRecordRequest {
                context: session.context(),
                request_id: request_text(request),
                record: Some(pb::RecordDraft {
                    record_type: record_type.to_string(),
                    type_version: known.version(),
                    body: body.into(),
                    supersedes,
                    change: if correction {
                        i32::from(ledger::VersionChange::Correction)
                    } else {
                        0
                    },
                }),
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&change, RECEIPT, answer.into_inner().receipt.as_ref())
    }
}

async fn get(
    session: &Session,
    record: &str,
    (reading, office): (Reading, Option<i32>),
) -> Result<(), CliError> {
    let mut context = session.context();
    if let Some(pb::RequestContext { actor: Some(Actor::Staff(staff)), .. }) = &mut context {
        staff.office = office.unwrap_or_default();
    }
    let request = pb::GetRecordRequest {
        context,
        request_id: session.new_request(),
        name: name::full::<RecordId>("records", record)?,
        reason: reading.reason,
    };
    let answer = ExchangeServiceClient::new(session.channel()).get_record(request).await?;
    let record = answer.into_inner().record.ok_or_else(incomplete)?;
    session.output.one(&record_value(&registry()?, &record))
}

impl Pull {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { subscription, max, ack } = self;
        let subscription = crate::cli::subscription::full_name(session, &subscription)?;
        let mut stub = ExchangeServiceClient::new(session.channel());
        let request = pb::PullRecordsRequest {
            context: session.context(),
            request_id: session.new_request(),
            subscription: subscription.clone(),
            max_records: max,
        };
        let pulled = stub.pull_records(request).await?.into_inner();
        pulled.recalls.iter().map(watch::recalled).for_each(words);
        let deliveries = pulled.deliveries;
        let registry = registry()?;
        let rows: Vec<_> = deliveries.iter().map(|one| delivery_value(&registry, one)).collect();
        session.output.rows(&COLUMNS, &rows)?;
        if let (true, Some(last)) = (ack, deliveries.last()) {
            stub.acknowledge_records(pb::AcknowledgeRecordsRequest {
                context: session.context(),
                request_id: session.new_request(),
                subscription,
                through_cursor: last.cursor.clone(),
                nacks: Vec::new(),
            })
            .await?;
        }
        Ok(())
    }
}

/// A record with its body as JSON; a body of a type that this program does not know stays hexadecimal.
pub(crate) fn record_value(registry: &Registry, record: &pb::Record) -> Value {
    let mut value = json::of("concordat.v1.Record", record);
    let known = record.record_type.parse().ok().and_then(|name| registry.record_type(&name));
    let body = known.and_then(|known| record_json::to_json(known, &record.body).ok());
    if let (Some(body), Value::Object(fields)) = (body, &mut value) {
        fields.insert("body".to_owned(), body);
    }
    value
}

/// A delivery, with its record as [`record_value`] has it.
fn delivery_value(registry: &Registry, delivery: &pb::Delivery) -> Value {
    let pb::Delivery { cursor, record, nack_count } = delivery;
    let record = record.as_ref().map(|record| record_value(registry, record));
    serde_json::json!({"record": record, "cursor": cursor, "nack_count": nack_count})
}
