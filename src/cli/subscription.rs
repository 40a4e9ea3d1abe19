//! `concordat subscription`: what the calling agency wants to receive, and how far it has come.

use clap::Subcommand;

use crate::{
    cli::{
        error::CliError,
        json, name,
        output::{Column, words},
        session::{
            Caller, Change, PAGE_ROWS, Session, every_row, incomplete, request_text, unanswered,
        },
    },
    model::id::{RecordTypeName, SubscriptionId},
    pb::{
        ledger::v1 as ledger,
        v1::{
            self as pb, list_parked_request::View, seek_subscription_request::Place,
            subscription_service_client::SubscriptionServiceClient,
        },
    },
};

const MESSAGE: &str = "concordat.v1.Subscription";
const COLUMNS: [Column; 5] = [
    ("NAME", "name"),
    ("TYPES", "record_types"),
    ("RELEASED", "released_count"),
    ("OUTSTANDING", "outstanding_count"),
    ("PARKED", "parked_count"),
];
const PARKED_COLUMNS: [Column; 5] = [
    ("RECORD", "record"),
    ("TYPE", "record_type"),
    ("PUBLISHER", "publisher"),
    ("RECIPIENT", "recipient"),
    ("REASON", "reason"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Subscription {
    /// Create a subscription, which receives for the purpose given by --purpose. It permits nothing: agreements do.
    Add {
        /// The subscription's id.
        subscription: SubscriptionId,
        /// A type of record; repeat it, or separate several by commas.
        #[arg(
            long = "type",
            value_name = "TYPE",
            default_value = "leaver-form",
            value_delimiter = ','
        )]
        record_types: Vec<RecordTypeName>,
        #[command(flatten)]
        change: Change,
    },
    /// List the calling agency's subscriptions.
    Ls,
    /// Show one subscription.
    Show {
        /// The subscription.
        subscription: String,
    },
    /// Move a subscription's place: what was delivered after it is decided anew and comes again.
    Seek {
        /// The subscription.
        subscription: String,
        /// The cursor of the last delivery that is not to come again.
        #[arg(long, value_name = "CURSOR", required_unless_present = "beginning")]
        after: Option<String>,
        /// Everything comes again.
        #[arg(long, conflicts_with = "after")]
        beginning: bool,
        #[command(flatten)]
        change: Change,
    },
    /// Remove a subscription.
    Rm {
        /// The subscription.
        subscription: String,
        #[command(flatten)]
        change: Change,
    },
    /// List records that were refused too often and wait for somebody to act, the oldest first.
    Parked {
        /// Those parked at this subscription. Default: those that the calling agency published and others parked.
        subscription: Option<String>,
    },
}

impl Subscription {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        // A subscription receives for the purpose for which it was created.
        let purpose = match &self {
            Self::Add { .. } => ledger::Purpose::SchoolLeaverTransition,
            Self::Ls
            | Self::Show { .. }
            | Self::Seek { .. }
            | Self::Rm { .. }
            | Self::Parked { .. } => ledger::Purpose::Administration,
        };
        let session = Session::open(caller, purpose).await?;
        match self {
            Self::Add { subscription, record_types, change } => {
                let added = add(&session, &subscription, &record_types, &change).await?;
                session.changed(&change, MESSAGE, added.as_ref())
            }
            Self::Ls => list(&session).await,
            Self::Show { subscription } => show(&session, &subscription).await,
            Self::Seek { subscription, after, beginning: _, change } => {
                let place = after.map_or(Place::Beginning(true), Place::AfterCursor);
                seek(&session, &subscription, place, &change).await
            }
            Self::Rm { subscription, change } => remove(&session, &subscription, &change).await,
            Self::Parked { subscription } => parked(&session, subscription.as_deref()).await,
        }
    }
}

/// The name of a subscription of the calling agency's.
pub(crate) fn full_name(session: &Session, subscription: &str) -> Result<String, CliError> {
    Ok(name::owned::<SubscriptionId>(&session.agency()?, "subscriptions", subscription)?)
}

/// Creates a subscription.
pub(crate) async fn add(
    session: &Session,
    subscription: &SubscriptionId,
    record_types: &[RecordTypeName],
    change: &Change,
) -> Result<Option<pb::Subscription>, CliError> {
    let request = session.request(change);
    let answer = SubscriptionServiceClient::new(session.channel())
        .create_subscription(pb::CreateSubscriptionRequest {
            context: session.context(),
            request_id: request_text(request),
            create: Some(ledger::CreateSubscription {
                subscription: subscription.to_string(),
                record_types: record_types.iter().map(ToString::to_string).collect(),
            }),
            validate_only: change.validate_only,
        })
        .await
        .map_err(|status| unanswered(status, request))?;
    Ok(answer.into_inner().subscription)
}

async fn list(session: &Session) -> Result<(), CliError> {
    let mut stub = SubscriptionServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListSubscriptionsRequest {
            context: session.context(),
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_subscriptions(request).await?.into_inner();
        Ok((page.subscriptions, page.next_page_token))
    })
    .await?;
    let rows: Vec<_> = rows.iter().map(|row| json::of(MESSAGE, row)).collect();
    session.output.rows(&COLUMNS, &rows)
}

async fn show(session: &Session, subscription: &str) -> Result<(), CliError> {
    let name = full_name(session, subscription)?;
    let request = pb::GetSubscriptionRequest { context: session.context(), name };
    let answer =
        SubscriptionServiceClient::new(session.channel()).get_subscription(request).await?;
    let subscription = answer.into_inner().subscription.ok_or_else(incomplete)?;
    session.output.one(&json::of(MESSAGE, &subscription))
}

async fn seek(
    session: &Session,
    subscription: &str,
    place: Place,
    change: &Change,
) -> Result<(), CliError> {
    let request = session.request(change);
    let answer = SubscriptionServiceClient::new(session.channel())
        .seek_subscription(pb::SeekSubscriptionRequest {
            context: session.context(),
            request_id: request_text(request),
            name: full_name(session, subscription)?,
            place: Some(place),
            validate_only: change.validate_only,
        })
        .await
        .map_err(|status| unanswered(status, request))?;
    session.changed(change, MESSAGE, answer.into_inner().subscription.as_ref())
}

async fn remove(session: &Session, subscription: &str, change: &Change) -> Result<(), CliError> {
    let request = session.request(change);
    let id: SubscriptionId = name::id("subscriptions", subscription)?;
    SubscriptionServiceClient::new(session.channel())
        .remove_subscription(pb::RemoveSubscriptionRequest {
            context: session.context(),
            request_id: request_text(request),
            remove: Some(ledger::RemoveSubscription { subscription: id.to_string() }),
            validate_only: change.validate_only,
        })
        .await
        .map_err(|status| unanswered(status, request))?;
    let done = "the subscription is removed";
    words(if change.validate_only { "valid; nothing was changed" } else { done });
    Ok(())
}

async fn parked(session: &Session, subscription: Option<&str>) -> Result<(), CliError> {
    let view = match subscription {
        Some(text) => View::Subscription(full_name(session, text)?),
        None => View::Published(true),
    };
    let mut stub = SubscriptionServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListParkedRequest {
            context: session.context(),
            view: Some(view.clone()),
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_parked(request).await?.into_inner();
        Ok((page.parked, page.next_page_token))
    })
    .await?;
    let row = |row: &pb::ParkedRecord| json::of("concordat.v1.ParkedRecord", row);
    let rows: Vec<_> = rows.iter().map(row).collect();
    session.output.rows(&PARKED_COLUMNS, &rows)
}
