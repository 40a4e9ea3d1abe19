//! `concordat record watch`: one stream of deliveries after another, acknowledged as they are printed.

use std::time::Duration;

use clap::Args;
use tokio::{signal, sync::mpsc, time};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::{COLUMNS, delivery_value};
use crate::{
    cli::{
        compose::registry,
        error::{CliError, Exit},
        output::{Format, Output, words},
        session::{Caller, Change, Session, incomplete},
        subscription,
    },
    model::{id::SubscriptionId, limit},
    pb::{
        ledger::v1::{self as ledger, RecallReason},
        v1::{
            self as pb, GoAwayReason, exchange_service_client::ExchangeServiceClient,
            subscribe_request, subscribe_response,
            subscription_service_client::SubscriptionServiceClient,
        },
    },
    record::registry::Registry,
};

/// How long a stream may be silent: three heartbeats.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// The longest wait before a stream is opened again.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A watch.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The subscription. One that is missing is created for every type of record in force.
    #[arg(default_value = "watch")]
    subscription: SubscriptionId,
    /// How many records may be outstanding.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=i64::from(limit::WINDOW_RECORDS_MAX)))]
    window: u32,
    /// Stop after so many records.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    /// Acknowledge nothing: everything comes again on the next stream.
    #[arg(long)]
    no_ack: bool,
}

/// How a stream ended.
enum Ended {
    /// Enough was received, or the person at the terminal stopped it.
    Done,
    /// It is to be opened again after what was printed.
    Again(String),
}

/// What there is to know from one stream to the next.
struct Place {
    subscription: String,
    resume_cursor: String,
    received: u64,
    output: Output,
    registry: Registry,
}

impl Watch {
    pub(super) async fn run(self, caller: &Caller, format: Option<Format>) -> Result<(), CliError> {
        let session = Session::open(caller, ledger::Purpose::SchoolLeaverTransition).await?;
        let name = subscription::full_name(&session, self.subscription.as_str())?;
        self.find_or_create(&session, &name).await?;
        let mut place = Place {
            subscription: name,
            resume_cursor: String::new(),
            received: 0,
            output: Output(format.unwrap_or(Format::Ndjson)),
            registry: registry()?,
        };
        let mut pause = Duration::ZERO;
        loop {
            let before = place.received;
            let ended = match self.stream(&session, &mut place).await {
                Ok(ended) => ended,
                Err(error) if error.exit == Exit::Unavailable => Ended::Again(error.what),
                Err(error) => return Err(error),
            };
            match ended {
                Ended::Done => return Ok(()),
                Ended::Again(why) => {
                    pause = if before < place.received {
                        Duration::ZERO
                    } else {
                        (pause * 2).clamp(Duration::from_secs(1), PAUSE_MAX)
                    };
                    words(match pause.as_secs() {
                        0 => format!("{why}; the stream is opened again"),
                        seconds => format!("{why}; the stream is opened again in {seconds} s"),
                    });
                    tokio::select! {
                        () = time::sleep(pause) => {}
                        _ = signal::ctrl_c() => return Ok(()),
                    }
                }
            }
        }
    }

    async fn find_or_create(&self, session: &Session, name: &str) -> Result<(), CliError> {
        let request =
            pb::GetSubscriptionRequest { context: session.context(), name: name.to_owned() };
        let found =
            SubscriptionServiceClient::new(session.channel()).get_subscription(request).await;
        match found {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::NotFound => {
                let types = session.ledger().await?.record_types;
                let types: Result<Vec<_>, _> =
                    types.iter().map(|known| known.name.parse()).collect();
                let change = Change { validate_only: false, request_id: None };
                subscription::add(session, &self.subscription, &types?, &change).await?;
                words(format!("subscription `{}` is created", self.subscription));
                Ok(())
            }
            Err(status) => Err(status.into()),
        }
    }

    /// One stream, from its start to its end.
    async fn stream(&self, session: &Session, place: &mut Place) -> Result<Ended, CliError> {
        let capacity = usize::try_from(self.window).unwrap_or(1).saturating_add(2);
        let (say, said) = mpsc::channel(capacity);
        let start = pb::SubscribeStart {
            request_id: session.new_request(),
            subscription: place.subscription.clone(),
            resume_cursor: place.resume_cursor.clone(),
            window: self.window,
        };
        let first = pb::SubscribeRequest {
            context: session.context(),
            kind: Some(subscribe_request::Kind::Start(start)),
        };
        drop(say.send(first).await);
        let mut heard = ExchangeServiceClient::new(session.channel())
            .subscribe(ReceiverStream::new(said))
            .await?
            .into_inner();
        let ended = loop {
            let message = tokio::select! {
                message = time::timeout(SILENCE_MAX, heard.message()) => message,
                _ = signal::ctrl_c() => break Ended::Done,
            };
            let Ok(message) = message else {
                return Ok(Ended::Again("nothing was heard for a minute".to_owned()));
            };
            let Some(message) = message? else {
                return Ok(Ended::Again("the stream ended".to_owned()));
            };
            match message.kind.ok_or_else(incomplete)? {
                subscribe_response::Kind::Started(_) => {
                    words(format!("receiving on {}", place.subscription));
                }
                subscribe_response::Kind::Heartbeat(_) => {}
                subscribe_response::Kind::Recall(recall) => words(recalled(&recall)),
                subscribe_response::Kind::GoAway(away) => match went_away(away.reason()) {
                    Ok(why) => break Ended::Again(why.to_owned()),
                    Err(error) => return Err(error),
                },
                subscribe_response::Kind::Delivery(delivery) => {
                    self.deliver(delivery, &say, place).await?;
                    if self.limit.is_some_and(|limit| limit <= place.received) {
                        break Ended::Done;
                    }
                }
            }
        };
        drop(say);
        drain(heard).await?;
        Ok(ended)
    }

    async fn deliver(
        &self,
        delivery: pb::Delivery,
        say: &mpsc::Sender<pb::SubscribeRequest>,
        place: &mut Place,
    ) -> Result<(), CliError> {
        place.output.streamed(&COLUMNS, &delivery_value(&place.registry, &delivery))?;
        place.received = place.received.saturating_add(1);
        if !self.no_ack {
            let acknowledge = pb::SubscribeAcknowledge { through_cursor: delivery.cursor.clone() };
            let kind = Some(subscribe_request::Kind::Acknowledge(acknowledge));
            // A stream that has ended says so itself.
            drop(say.send(pb::SubscribeRequest { context: None, kind }).await);
        }
        place.resume_cursor = delivery.cursor;
        Ok(())
    }
}

/// After the half-close the exchange ends the stream once the acknowledgements are durable.
async fn drain(mut heard: Streaming<pb::SubscribeResponse>) -> Result<(), CliError> {
    loop {
        match time::timeout(SILENCE_MAX, heard.message()).await {
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) | Err(_) => return Ok(()),
            Ok(Err(status)) => return Err(status.into()),
        }
    }
}

/// A recall in words; it is listed until it is answered.
pub(crate) fn recalled(recall: &pb::Recall) -> String {
    let pb::Recall { name, record, client, .. } = recall;
    let asked = if recall.reason() == RecallReason::Corrected {
        "was corrected"
    } else {
        "is taken back: stop using it"
    };
    format!("{record} about {client} {asked}; answer with: concordat recall ack {name} --act ...")
}

/// Whether to come again, or the error with which to end.
fn went_away(reason: GoAwayReason) -> Result<&'static str, CliError> {
    match reason {
        GoAwayReason::Shutdown => Ok("the exchange is stopping"),
        GoAwayReason::Sought => Ok("the subscription's place was moved"),
        GoAwayReason::ConnectionAge => Ok("the connection was long enough"),
        GoAwayReason::Unspecified => Ok("the stream ended"),
        GoAwayReason::TakenOver => Err(CliError::new(
            Exit::Conflict,
            "another stream or a pull on the subscription took over",
        )),
        GoAwayReason::Removed => Err(CliError::new(Exit::NotFound, "the subscription was removed")),
        GoAwayReason::AgencySuspended => {
            Err(CliError::new(Exit::NotPermitted, "the agency is suspended; ask the operator"))
        }
        GoAwayReason::Certificate => Err(CliError::new(
            Exit::NotPermitted,
            "the certificate is no longer good; renew it and watch again",
        )),
    }
}
