//! `concordat agency succession`: one body takes the place of another. Approvals are signed here, with the agency's own key.

use clap::{Args, Subcommand};

use crate::{
    cli::{
        agreement::{Hash, agreement, content_hash},
        code::Code,
        error::{CliError, Exit},
        hex, json, name,
        output::Column,
        session::{Change, PAGE_ROWS, Session, every_row, incomplete, request_text, unanswered},
        time,
    },
    machine::command::succession::Content,
    model::{
        id::{AgencyId, AgreementId, LedgerId, SuccessionId},
        order::UnixMillis,
    },
    pb::{
        ledger::v1::{self as ledger, command::Kind},
        v1::{self as pb, succession_service_client::SuccessionServiceClient},
    },
};

const MESSAGE: &str = "concordat.v1.Succession";
const COLUMNS: [Column; 5] = [
    ("NAME", "name"),
    ("OLD", "content.old"),
    ("KIND", "content.kind"),
    ("STATE", "state"),
    ("PROPOSED", "proposed_time"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Succession {
    /// Put a succession before the successors, the other parties of the agreements and the old body.
    Propose(Propose),
    /// Approve a succession, in the calling agency's name and by its key.
    Approve(Approve),
    /// Decline a succession, for all.
    Decline(Decline),
    /// Show a succession, and what becomes of each agreement.
    Show {
        /// The succession.
        succession: String,
    },
    /// List the successions that concern the calling agency.
    Ls,
}

/// A proposal.
#[derive(Debug, Args)]
pub(crate) struct Propose {
    /// The body whose place is taken.
    old: AgencyId,
    /// What happens to it.
    #[arg(long, value_parser = Code("concordat.ledger.v1.SuccessionKind"))]
    kind: i32,
    /// What brings it about.
    #[arg(long, value_parser = Code("concordat.ledger.v1.SuccessionInstrument"))]
    instrument: i32,
    /// An agreement, and who takes the old body's place in it; once for each agreement.
    #[arg(long = "take", value_name = "AGREEMENT=SUCCESSOR", required = true, value_parser = taking)]
    takes: Vec<(AgreementId, AgencyId)>,
    /// From when on: a date or an RFC 3339 time. Default: with the last approval.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    effective: Option<UnixMillis>,
    /// The caseload that was confirmed for the old body is confirmed for the successor too. Of a merger alone.
    #[arg(long)]
    carries_caseload: bool,
    /// Where the instrument is kept. Sealed in the ledger.
    #[arg(long, value_name = "REFERENCE", default_value = "", hide_default_value = true)]
    evidence: String,
    #[command(flatten)]
    change: Change,
}

/// An approval.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The succession.
    succession: String,
    /// The content hash that was read; the approval fails if the succession has another one. Default: the one that the
    /// exchange states, once it is found to be that of the content.
    #[arg(long, value_name = "HEX", value_parser = content_hash)]
    content_hash: Option<Hash>,
    /// The office of the person who approves.
    #[arg(long, value_name = "OFFICE", value_parser = Code("concordat.ledger.v1.ApproverRole"))]
    office: i32,
    /// By what authority that person binds the agency.
    #[arg(
        long,
        value_name = "AUTHORITY",
        value_parser = Code("concordat.ledger.v1.ApproverAuthority")
    )]
    authority: i32,
    /// Where that authority is written down. Sealed in the ledger.
    #[arg(long, value_name = "REFERENCE", default_value = "", hide_default_value = true)]
    evidence: String,
    #[command(flatten)]
    change: Change,
}

/// A refusal to approve.
#[derive(Debug, Args)]
pub(crate) struct Decline {
    /// The succession.
    succession: String,
    /// Why; everybody concerned is told.
    #[arg(
        long,
        value_name = "REASON",
        value_parser = Code("concordat.ledger.v1.SuccessionDeclineReason")
    )]
    reason: i32,
    #[command(flatten)]
    change: Change,
}

/// Reads `AGREEMENT=SUCCESSOR`.
fn taking(text: &str) -> Result<(AgreementId, AgencyId), String> {
    let wanted = || "give an agreement and an agency, as in school-leavers=new-college".to_owned();
    let (agreement, successor) = text.split_once('=').ok_or_else(wanted)?;
    let agreement = name::id("agreements", agreement).map_err(|_| wanted())?;
    Ok((agreement, name::id("agencies", successor).map_err(|_| wanted())?))
}

impl Succession {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CliError> {
        match self {
            Self::Propose(propose) => propose.run(session).await,
            Self::Approve(approve) => approve.run(session).await,
            Self::Decline(decline) => decline.run(session).await,
            Self::Show { succession } => {
                let (_, found) = succession_of(session, &succession).await?;
                session.output.one(&json::of(MESSAGE, &found))
            }
            Self::Ls => list(session).await,
        }
    }
}

fn evidence(reference: String) -> Option<ledger::Evidence> {
    Some(ledger::Evidence { reference, consent: None })
        .filter(|evidence| !evidence.reference.is_empty())
}

impl Propose {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { old, kind, instrument, takes, effective, carries_caseload, evidence, change } =
            self;
        let mut shares = Vec::new();
        for (id, successor) in takes {
            // The version in force: a next one that is being made is refused by the exchange.
            let latest = agreement(session, id.as_str(), 0).await?;
            let version = latest.active_version;
            let found = if version == 0 || version == latest.version {
                latest
            } else {
                agreement(session, id.as_str(), version).await?
            };
            shares.push(ledger::SuccessionShare {
                agreement: id.to_string(),
                version: found.version,
                content_hash: found.content_hash,
                successor: successor.to_string(),
            });
        }
        let content = ledger::SuccessionContent {
            old: old.to_string(),
            kind,
            instrument,
            shares,
            effective_at_ms: effective.map_or(0, UnixMillis::millis),
            carries_caseload,
        };
        let request = session.request(&change);
        let answer = SuccessionServiceClient::new(session.channel())
            .propose_succession(pb::ProposeSuccessionRequest {
                context: session.context(),
                request_id: request_text(request),
                propose: Some(ledger::ProposeSuccession { content: Some(content) }),
                evidence: self::evidence(evidence),
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&change, MESSAGE, answer.into_inner().succession.as_ref())
    }
}

impl Approve {
    async fn run(self, session: &mut Session) -> Result<(), CliError> {
        let Self { succession, content_hash, office, authority, evidence, change } = self;
        let (id, found) = succession_of(session, &succession).await?;
        hold_hash(session, (id, &found), content_hash.as_ref().map(|hash| hash.0.as_slice()))
            .await?;
        let request = session.request(&change);
        let approve = ledger::ApproveSuccession {
            succession: id.as_bytes().to_vec().into(),
            content_hash: found.content_hash,
            approver_role: office,
            approver_authority: authority,
        };
        let signature = session.sign(request, &Kind::ApproveSuccession(approve.clone())).await?;
        let answer = SuccessionServiceClient::new(session.channel())
            .approve_succession(pb::ApproveSuccessionRequest {
                context: session.context(),
                request_id: request_text(request),
                approve: Some(approve),
                signature,
                evidence: self::evidence(evidence),
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&change, MESSAGE, answer.into_inner().succession.as_ref())
    }
}

impl Decline {
    async fn run(self, session: &mut Session) -> Result<(), CliError> {
        let Self { succession, reason, change } = self;
        let id: SuccessionId = name::id("successions", &succession)?;
        let request = session.request(&change);
        let succession = id.as_bytes().to_vec().into();
        let decline = ledger::DeclineSuccession { succession, reason };
        let signature = session.sign(request, &Kind::DeclineSuccession(decline.clone())).await?;
        let answer = SuccessionServiceClient::new(session.channel())
            .decline_succession(pb::DeclineSuccessionRequest {
                context: session.context(),
                request_id: request_text(request),
                decline: Some(decline),
                signature,
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&change, MESSAGE, answer.into_inner().succession.as_ref())
    }
}

async fn succession_of(
    session: &Session,
    text: &str,
) -> Result<(SuccessionId, pb::Succession), CliError> {
    let id: SuccessionId = name::id("successions", text)?;
    let request =
        pb::GetSuccessionRequest { context: session.context(), name: format!("successions/{id}") };
    let answer = SuccessionServiceClient::new(session.channel()).get_succession(request).await?;
    Ok((id, answer.into_inner().succession.ok_or_else(incomplete)?))
}

/// Holds that the content hash is that of the content shown, and the one that was read.
async fn hold_hash(
    session: &Session,
    (id, found): (SuccessionId, &pb::Succession),
    read: Option<&[u8]>,
) -> Result<(), CliError> {
    let stated = found.content_hash.as_ref();
    let differs = |what: &str| {
        Err(CliError::new(Exit::Conflict, what)
            .because(format!("the exchange states {}", hex::of(stated)))
            .fixed_by("show the succession and read it again"))
    };
    let content = found.content.clone().ok_or_else(incomplete)?;
    let ledger = LedgerId::from_slice(&session.ledger().await?.ledger_id)?;
    let hash = Content::try_from(content)?.hash(ledger, id);
    if hash.as_bytes().as_slice() != stated {
        return differs("the content hash is not that of the content shown");
    }
    if read.is_some_and(|read| read != stated) {
        return differs("the content hash is not the one given");
    }
    Ok(())
}

async fn list(session: &Session) -> Result<(), CliError> {
    let mut stub = SuccessionServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListSuccessionsRequest {
            context: session.context(),
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_successions(request).await?.into_inner();
        Ok((page.successions, page.next_page_token))
    })
    .await?;
    let rows: Vec<_> = rows.iter().map(|row| json::of(MESSAGE, row)).collect();
    session.output.rows(&COLUMNS, &rows)
}
