//! `concordat consent holder` and `consent resolve`: those who speak for a client, and what is decided where they disagree.

use clap::{Args, Subcommand};

use super::{MESSAGE, Reading, said::Sealed};
use crate::{
    cli::{
        code::Code,
        error::CliError,
        json, name,
        output::Column,
        session::{Change, Session, request_text, unanswered},
    },
    model::id::{AliasId, ConsentId, HolderId},
    pb::{
        ledger::v1::{self as ledger, Standing, command::Kind},
        v1::{self as pb, consent_service_client::ConsentServiceClient},
    },
};

const HOLDER: &str = "concordat.v1.Holder";
const COLUMNS: [Column; 4] =
    [("NAME", "name"), ("CLIENT", "client"), ("STANDING", "standing"), ("SINCE", "recorded_time")];

#[derive(Debug, Subcommand)]
pub(crate) enum Holder {
    /// Record a person who may speak for a client, or with --without-rights must not. Signed by the agency's key.
    Add {
        /// The client, by the calling agency's own name.
        #[arg(long, value_name = "CLIENT")]
        client: String,
        #[command(flatten)]
        person: Box<Person>,
    },
    /// Change whether a recorded person has rights. Signed by the agency's key.
    Set {
        /// The person.
        holder: String,
        /// The client, by the calling agency's own name.
        #[arg(long, value_name = "CLIENT")]
        client: String,
        #[command(flatten)]
        person: Box<Person>,
    },
    /// List the persons whom the calling agency recorded about a client.
    Ls {
        /// The client, by the calling agency's own name.
        #[arg(long, value_name = "CLIENT")]
        client: String,
        #[command(flatten)]
        reading: Reading,
    },
}

/// How a person stands to a client.
#[derive(Debug, Args)]
pub(crate) struct Person {
    /// The person holds no rights: neither grants nor receives a report. What they had granted becomes invalid.
    #[arg(long)]
    without_rights: bool,
    #[command(flatten)]
    sealed: Sealed,
    #[command(flatten)]
    change: Change,
}

/// A decision about a refusal.
#[derive(Debug, Args)]
pub(crate) struct Resolve {
    /// The refusal.
    refusal: String,
    /// What is decided.
    #[arg(long, value_parser = Code("concordat.ledger.v1.Resolution"))]
    resolution: i32,
    /// On what ground.
    #[arg(long, value_parser = Code("concordat.ledger.v1.ResolutionGround"))]
    ground: i32,
    /// The client's own view of it.
    #[arg(long, value_parser = Code("concordat.ledger.v1.ClientView"))]
    view: i32,
    #[command(flatten)]
    sealed: Box<Sealed>,
    #[command(flatten)]
    change: Change,
}

impl Holder {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CliError> {
        match self {
            Self::Add { client, person } => person.record(session, (&client, None)).await,
            Self::Set { holder, client, person } => {
                let known: HolderId = name::id("holders", &holder)?;
                person.record(session, (&client, Some(known))).await
            }
            Self::Ls { client, reading } => list(session, &client, reading).await,
        }
    }
}

impl Person {
    async fn record(
        self,
        session: &mut Session,
        (client, known): (&str, Option<HolderId>),
    ) -> Result<(), CliError> {
        let Self { without_rights, sealed, change } = self;
        let request = session.request(&change);
        let client: AliasId = name::id("clients", client)?;
        let standing = if without_rights { Standing::WithoutRights } else { Standing::HasRights };
        let record = ledger::RecordHolder {
            client: client.as_bytes().to_vec().into(),
            holder: known.map_or_else(Vec::new, |id| id.as_bytes().to_vec()).into(),
            standing: standing.into(),
        };
        let signature = session.sign(request, &Kind::RecordHolder(record.clone())).await?;
        let answer = ConsentServiceClient::new(session.channel())
            .record_holder(pb::RecordHolderRequest {
                context: session.context(),
                request_id: request_text(request),
                record: Some(record),
                signature,
                evidence: sealed.evidence(),
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&change, HOLDER, answer.into_inner().holder.as_ref())
    }
}

async fn list(session: &Session, client: &str, reading: Reading) -> Result<(), CliError> {
    let request = pb::ListHoldersRequest {
        context: session.context(),
        reason: reading.reason,
        client: name::full::<AliasId>("clients", client)?,
    };
    let answer = ConsentServiceClient::new(session.channel()).list_holders(request).await?;
    let rows = answer.into_inner().holders;
    let rows: Vec<_> = rows.iter().map(|row| json::of(HOLDER, row)).collect();
    session.output.rows(&COLUMNS, &rows)
}

impl Resolve {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CliError> {
        let Self { refusal, resolution, ground, view, sealed, change } = self;
        let request = session.request(&change);
        let refusal: ConsentId = name::id("consents", &refusal)?;
        let refusal = refusal.as_bytes().to_vec().into();
        let resolve = ledger::ResolveConsent { refusal, resolution, ground, view };
        let signature = session.sign(request, &Kind::ResolveConsent(resolve.clone())).await?;
        let answer = ConsentServiceClient::new(session.channel())
            .resolve_consent(pb::ResolveConsentRequest {
                context: session.context(),
                request_id: request_text(request),
                resolve: Some(resolve),
                signature,
                evidence: sealed.evidence(),
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&change, MESSAGE, answer.into_inner().consent.as_ref())
    }
}
