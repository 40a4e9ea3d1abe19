//! The rows on their way: one stream, a bounded number of rows outstanding, each answered by its request id.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::{sync::mpsc, time};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{
    REPEATED, Work,
    begin::Begun,
    rows::{Row, Source},
    valid,
};
use crate::{
    cli::{
        error::{CliError, Exit},
        json,
        session::{Session, request_text},
    },
    pb::v1::{
        self as pb, exchange_service_client::ExchangeServiceClient,
        publish_records_response::Outcome,
    },
    record::registry::{EdgeContext, RecordType},
};

/// How many rows may be outstanding.
const WINDOW_ROWS: usize = 256;
/// How many bytes may be outstanding, unless one row alone is longer.
const WINDOW_BYTES: usize = 8 << 20;
/// How often a row that the exchange could not take for the moment is sent again.
const ROUNDS_MAX: u32 = 8;
/// The longest wait between two rounds.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Where the paths of a body's fields begin.
const BODY: &str = "record.body.";

/// What is to be published, and how.
pub(super) struct Rows<'a> {
    pub(super) record_type: &'a RecordType,
    pub(super) begun: Begun,
    /// Set to publish nothing: rows are checked here first, then at the exchange.
    pub(super) checks: Option<EdgeContext>,
}

/// One stream of requests and answers.
struct Stream {
    requests: mpsc::Sender<pb::PublishRecordsRequest>,
    answers: Streaming<pb::PublishRecordsResponse>,
}

/// Rows that are sent and not answered.
#[derive(Default)]
struct Outstanding {
    rows: BTreeMap<String, Row>,
    bytes: usize,
}

/// Rows to send again, and how long to wait first.
#[derive(Default)]
struct Later {
    rows: Vec<(String, Row)>,
    pause: Duration,
}

impl Rows<'_> {
    /// Sends every row that reads and settles it.
    pub(super) async fn publish(
        mut self,
        session: &Session,
        source: &mut Source<'_>,
        work: &mut Work,
    ) -> Result<(), CliError> {
        let bar = bar(source.bytes());
        let mut stream: Option<Stream> = None;
        let (mut outstanding, mut later) = (Outstanding::default(), Later::default());
        let mut rounds: u32 = 0;
        let mut ended = false;
        loop {
            while !ended && outstanding.has_room() {
                match self.next(source, work)? {
                    Some((request, row)) => {
                        self.send(session, &mut stream, &mut outstanding, (request, row)).await?;
                    }
                    None => ended = true,
                }
            }
            bar.set_position(source.bytes_read());
            if outstanding.rows.is_empty() {
                if later.rows.is_empty() {
                    bar.finish_and_clear();
                    return Ok(());
                }
                rounds = rounds.saturating_add(1);
                if ROUNDS_MAX < rounds {
                    return Err(unanswered(later.rows.len()));
                }
                let Later { rows, pause } = std::mem::take(&mut later);
                time::sleep(pause.min(PAUSE_MAX)).await;
                for sent in rows {
                    self.send(session, &mut stream, &mut outstanding, sent).await?;
                }
                continue;
            }
            let Some(open) = &mut stream else { return Err(unanswered(outstanding.rows.len())) };
            match open.answers.message().await {
                Ok(Some(answer)) => settle(answer, &mut outstanding, &mut later, work)?,
                Ok(None) => return Err(unanswered(outstanding.rows.len())),
                Err(status) => return Err(broken(status, outstanding.rows.len())),
            }
        }
    }

    /// The next row that can be sent; those that cannot are rejected on the way.
    fn next(
        &mut self,
        source: &mut Source<'_>,
        work: &mut Work,
    ) -> Result<Option<(String, Row)>, CliError> {
        while let Some(row) = source.next_row()? {
            work.tally.rows = work.tally.rows.saturating_add(1);
            let reasons = match (&row.body, &self.checks) {
                (Ok(_), None) => Ok(()),
                (Ok(_), Some(context)) => valid(&row, self.record_type, context),
                (Err(violations), _) => {
                    Err(violations.iter().map(crate::cli::error::told).collect())
                }
            };
            let body = row.body.as_deref().unwrap_or_default();
            match reasons.map(|()| self.begun.request(body)) {
                Ok(Some(request)) => return Ok(Some((request_text(request), row))),
                Ok(None) => work.rejected(&row, &[REPEATED.to_owned()])?,
                Err(reasons) => work.rejected(&row, &reasons)?,
            }
        }
        Ok(None)
    }

    async fn send(
        &self,
        session: &Session,
        stream: &mut Option<Stream>,
        outstanding: &mut Outstanding,
        (request_id, row): (String, Row),
    ) -> Result<(), CliError> {
        let body = row.body.clone().unwrap_or_default();
        outstanding.bytes = outstanding.bytes.saturating_add(body.len());
        let request = pb::PublishRecordsRequest {
            context: if stream.is_none() { session.context() } else { None },
            request_id: request_id.clone(),
            record: Some(pb::RecordDraft {
                record_type: self.record_type.name().to_string(),
                type_version: self.record_type.version(),
                body: body.into(),
                supersedes: String::new(),
                change: 0,
            }),
            validate_only: self.checks.is_some(),
        };
        outstanding.rows.insert(request_id, row);
        let rows = outstanding.rows.len();
        if let Some(open) = stream {
            // A stream that has ended says why in its answers.
            drop(open.requests.send(request).await);
            return Ok(());
        }
        // The channel holds the whole window, so that sending never waits for an answer.
        let (requests, sent) = mpsc::channel(WINDOW_ROWS.saturating_add(1));
        drop(requests.send(request).await);
        let answers = ExchangeServiceClient::new(session.channel())
            .publish_records(ReceiverStream::new(sent))
            .await
            .map_err(|status| broken(status, rows))?
            .into_inner();
        *stream = Some(Stream { requests, answers });
        Ok(())
    }
}

impl Outstanding {
    fn has_room(&self) -> bool {
        self.rows.len() < WINDOW_ROWS && self.bytes < WINDOW_BYTES
    }

    fn take(&mut self, request_id: &str) -> Option<Row> {
        let row = self.rows.remove(request_id)?;
        let bytes = row.body.as_ref().map_or(0, Vec::len);
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(row)
    }
}

fn settle(
    answer: pb::PublishRecordsResponse,
    outstanding: &mut Outstanding,
    later: &mut Later,
    work: &mut Work,
) -> Result<(), CliError> {
    let pb::PublishRecordsResponse { request_id, outcome, .. } = answer;
    let Some(row) = outstanding.take(&request_id) else { return Ok(()) };
    match outcome {
        Some(Outcome::Receipt(receipt)) => {
            work.accepted(&row, &json::of("concordat.v1.PublishReceipt", &receipt))
        }
        Some(Outcome::Error(error)) => match &error.retry_delay {
            Some(delay) => {
                let delay = Duration::try_from(*delay).unwrap_or(PAUSE_MAX);
                later.pause = later.pause.max(delay);
                later.rows.push((request_id, row));
                Ok(())
            }
            None => work.rejected(&row, &reasons(&error)),
        },
        None => work.rejected(&row, &["the exchange gave no answer for this row".to_owned()]),
    }
}

/// Why the exchange did not take a row; fields go by the names of their columns.
fn reasons(error: &pb::ItemError) -> Vec<String> {
    if error.violations.is_empty() {
        return vec![format!("{} ({})", error.message, error.reason)];
    }
    let line = |violation: &pb::FieldViolation| {
        let field = violation.field.strip_prefix(BODY).unwrap_or(&violation.field);
        format!("{field}: {}", violation.description)
    };
    error.violations.iter().map(line).collect()
}

const RESUME: &str = "run the same command again: it goes on, and publishes nothing twice";

fn unanswered(rows: usize) -> CliError {
    CliError::new(Exit::Unavailable, format!("{rows} rows were not answered")).fixed_by(RESUME)
}

/// The stream broke while rows were outstanding.
fn broken(status: Status, rows: usize) -> CliError {
    let mut error = CliError::from(status);
    if error.exit == Exit::Unavailable {
        error.why.push(format!("{rows} rows were not answered"));
        RESUME.clone_into(&mut error.fix);
    }
    error
}

/// Progress on standard error, by bytes read; hidden unless that is a terminal.
fn bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {percent}%  {elapsed} of about {duration}");
    let bar = ProgressBar::new(bytes);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
