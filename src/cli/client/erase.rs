//! `concordat client erase`, `erasures`, `erasure` and `hold`: take out of the exchange what was published, and keep what
//! must be kept.

use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Subcommand};

use crate::{
    cli::{
        code::Code,
        error::CliError,
        json, name,
        output::{Column, Format, print, words},
        session::{Change, PAGE_ROWS, Session, every_row, incomplete, request_text, unanswered},
    },
    model::id::{AliasId, ErasureId, HoldId, RecordId},
    pb::{
        ledger::v1::{self as ledger, command::Kind},
        v1::{self as pb, disposal_service_client::DisposalServiceClient},
    },
};

const ERASURE: &str = "concordat.v1.Erasure";
const HOLD: &str = "concordat.v1.Hold";
const ERASURES: [Column; 7] = [
    ("NAME", "name"),
    ("STATE", "state"),
    ("GROUND", "ground"),
    ("CLIENT", "client"),
    ("RECORDS", "records"),
    ("ASKED", "asked_time"),
    ("OUTSTANDING", "outstanding_count"),
];
const HOLDS: [Column; 6] = [
    ("NAME", "name"),
    ("CLIENT", "client"),
    ("RECORD", "record"),
    ("GROUND", "ground"),
    ("PLACED", "placed_time"),
    ("LIFTED", "lifted_time"),
];
/// How often it is asked whether an erasure is complete.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// What is erased, or held: everything about a client, or one record.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Scope {
    /// Everything that the calling agency published about this client, by its own name.
    client: Option<String>,
    /// This record alone: any version of it.
    #[arg(long)]
    record: Option<String>,
}

impl Scope {
    fn parts(&self) -> Result<(Bytes, Bytes), CliError> {
        let client = self.client.as_deref().map(|text| name::id::<AliasId>("clients", text));
        let record = self.record.as_deref().map(|text| name::id::<RecordId>("records", text));
        let client = client.transpose()?.map(|id| Bytes::copy_from_slice(id.as_bytes()));
        let record = record.transpose()?.map(|id| Bytes::copy_from_slice(id.as_bytes()));
        Ok((client.unwrap_or_default(), record.unwrap_or_default()))
    }
}

/// An erasure.
#[derive(Debug, Args)]
pub(crate) struct Erase {
    #[command(flatten)]
    scope: Scope,
    /// On which ground.
    #[arg(long, value_parser = Code("concordat.ledger.v1.ErasureGround"))]
    ground: i32,
    /// Wait until its bytes and keys are gone.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    change: Change,
}

/// Legal holds.
#[derive(Debug, Subcommand)]
pub(crate) enum Hold {
    /// Place a hold: what it covers is neither erased nor disposed of.
    Place(Place),
    /// Lift a hold.
    Lift {
        /// The hold.
        hold: String,
        #[command(flatten)]
        change: Change,
    },
    /// List the calling agency's holds.
    Ls {
        /// Those that were lifted, too.
        #[arg(long)]
        all: bool,
    },
}

/// A hold to place.
#[derive(Debug, Args)]
pub(crate) struct Place {
    #[command(flatten)]
    scope: Scope,
    /// On which ground.
    #[arg(long, value_parser = Code("concordat.ledger.v1.HoldGround"))]
    ground: i32,
    #[command(flatten)]
    change: Change,
}

impl Erase {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CliError> {
        let Self { scope, ground, wait, change } = self;
        let (client, record) = scope.parts()?;
        let erase = ledger::EraseRecords { client, record, ground };
        let request = session.request(&change);
        let signature = session.sign(request, &Kind::EraseRecords(erase.clone())).await?;
        let mut stub = DisposalServiceClient::new(session.channel());
        let answer = stub
            .erase_records(pb::EraseRecordsRequest {
                context: session.context(),
                request_id: request_text(request),
                erase: Some(erase),
                signature,
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        let mut erasure = answer.into_inner().erasure;
        while let Some(begun) = erasure.as_ref().filter(|_| wait) {
            if begun.state == i32::from(pb::ErasureState::Complete) {
                break;
            }
            tokio::time::sleep(ASK_EVERY).await;
            let request =
                pb::GetErasureRequest { context: session.context(), name: begun.name.clone() };
            erasure = stub.get_erasure(request).await?.into_inner().erasure;
        }
        if !change.validate_only {
            words(
                "nobody can read it any more; client erasure prints the certificate once it is complete",
            );
        }
        session.changed(&change, ERASURE, erasure.as_ref())
    }
}

impl Hold {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CliError> {
        match self {
            Self::Place(place) => place.run(session).await,
            Self::Lift { hold, change } => lift(session, &hold, &change).await,
            Self::Ls { all } => list_holds(session, all).await,
        }
    }
}

impl Place {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { scope, ground, change } = self;
        let (client, record) = scope.parts()?;
        let request = session.request(&change);
        let answer = DisposalServiceClient::new(session.channel())
            .place_hold(pb::PlaceHoldRequest {
                context: session.context(),
                request_id: request_text(request),
                place: Some(ledger::PlaceHold { client, record, ground }),
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&change, HOLD, answer.into_inner().hold.as_ref())
    }
}

async fn lift(session: &mut Session, hold: &str, change: &Change) -> Result<(), CliError> {
    let hold: HoldId = name::id("holds", hold)?;
    let lift = ledger::LiftHold { hold: Bytes::copy_from_slice(hold.as_bytes()) };
    let request = session.request(change);
    let signature = session.sign(request, &Kind::LiftHold(lift.clone())).await?;
    let answer = DisposalServiceClient::new(session.channel())
        .lift_hold(pb::LiftHoldRequest {
            context: session.context(),
            request_id: request_text(request),
            lift: Some(lift),
            signature,
            validate_only: change.validate_only,
        })
        .await
        .map_err(|status| unanswered(status, request))?;
    session.changed(change, HOLD, answer.into_inner().hold.as_ref())
}

async fn list_holds(session: &Session, all: bool) -> Result<(), CliError> {
    let mut stub = DisposalServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListHoldsRequest {
            context: session.context(),
            lifted_too: all,
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_holds(request).await?.into_inner();
        Ok((page.holds, page.next_page_token))
    })
    .await?;
    let rows: Vec<_> = rows.iter().map(|row| json::of(HOLD, row)).collect();
    session.output.rows(&HOLDS, &rows)
}

pub(super) async fn list(session: &Session, in_progress_only: bool) -> Result<(), CliError> {
    let mut stub = DisposalServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListErasuresRequest {
            context: session.context(),
            in_progress_only,
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_erasures(request).await?.into_inner();
        Ok((page.erasures, page.next_page_token))
    })
    .await?;
    let rows: Vec<_> = rows.iter().map(|row| json::of(ERASURE, row)).collect();
    session.output.rows(&ERASURES, &rows)
}

/// One erasure: its certificate as it is, once there is one; otherwise where it stands.
pub(super) async fn show(session: &Session, erasure: &str) -> Result<(), CliError> {
    let name = name::full::<ErasureId>("erasures", erasure)?;
    let request = pb::GetErasureRequest { context: session.context(), name };
    let answer = DisposalServiceClient::new(session.channel()).get_erasure(request).await?;
    let answer = answer.into_inner();
    match session.output.0 {
        Format::Table if !answer.certificate.is_empty() => print(&answer.certificate),
        Format::Table => {
            words("it is in progress; there is no certificate yet");
            let erasure = answer.erasure.ok_or_else(incomplete)?;
            session.output.one(&json::of(ERASURE, &erasure))
        }
        Format::Json | Format::Ndjson | Format::Csv => {
            session.output.one(&json::of("concordat.v1.GetErasureResponse", &answer))
        }
    }
}
