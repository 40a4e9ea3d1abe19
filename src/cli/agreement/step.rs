//! What a party says to an agreement. Approvals and the like are signed here, with the agency's own key.

use clap::Args;

use super::{Hash, MESSAGE, agreement, content_hash, hold_hash};
use crate::{
    cli::{
        code::Code,
        error::CliError,
        name,
        session::{Change, Session, request_text, unanswered},
    },
    model::id::AgreementId,
    pb::{
        ledger::v1::{self as ledger, command::Kind},
        v1::{self as pb, agreement_service_client::AgreementServiceClient},
    },
};

/// A step on one version.
#[derive(Debug, Args)]
pub(crate) struct Step {
    /// The agreement.
    agreement: String,
    /// The version. Default: the latest.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    version: u32,
    /// The content hash that was read; the step fails if the version has another one. Default: the one that the exchange
    /// states, once it is found to be that of the content.
    #[arg(long, value_name = "HEX", value_parser = content_hash)]
    content_hash: Option<Hash>,
    #[command(flatten)]
    change: Change,
}

/// A step that a party takes alone.
#[derive(Debug, Args)]
pub(crate) struct Own {
    /// The agreement.
    agreement: String,
    #[command(flatten)]
    change: Change,
}

/// An approval.
#[derive(Debug, Args)]
pub(crate) struct Approval {
    #[command(flatten)]
    step: Step,
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
}

/// A refusal to approve.
#[derive(Debug, Args)]
pub(crate) struct Refusal {
    #[command(flatten)]
    step: Step,
    /// Why; every party is told.
    #[arg(long, value_name = "REASON", value_parser = Code("concordat.ledger.v1.DeclineReason"))]
    reason: i32,
}

/// A suspension.
#[derive(Debug, Args)]
pub(crate) struct Suspension {
    #[command(flatten)]
    own: Own,
    /// Why; every party is told. Needed where a statutory or safeguarding flow stops.
    #[arg(long, value_name = "REASON", value_parser = Code("concordat.ledger.v1.SuspendReason"))]
    reason: Option<i32>,
}

impl Step {
    /// The version that is meant, once its hash holds.
    async fn version(&self, session: &Session) -> Result<(String, pb::Agreement), CliError> {
        let found = agreement(session, &self.agreement, self.version).await?;
        let read = self.content_hash.as_ref().map(|hash| hash.0.as_slice());
        hold_hash(session, &found, read).await?;
        Ok((name::id::<AgreementId>("agreements", &self.agreement)?.to_string(), found))
    }

    pub(super) async fn propose(self, session: &Session) -> Result<(), CliError> {
        let (agreement, found) = self.version(session).await?;
        let request = session.request(&self.change);
        let answer = AgreementServiceClient::new(session.channel())
            .propose_agreement(pb::ProposeAgreementRequest {
                context: session.context(),
                request_id: request_text(request),
                propose: Some(ledger::ProposeAgreement {
                    agreement,
                    version: found.version,
                    content_hash: found.content_hash,
                }),
                validate_only: self.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&self.change, MESSAGE, answer.into_inner().agreement.as_ref())
    }
}

impl Approval {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CliError> {
        let Self { step, office, authority, evidence } = self;
        let (agreement, found) = step.version(session).await?;
        let request = session.request(&step.change);
        let approve = ledger::ApproveAgreement {
            agreement,
            version: found.version,
            content_hash: found.content_hash,
            approver_role: office,
            approver_authority: authority,
        };
        let signature = session.sign(request, &Kind::ApproveAgreement(approve.clone())).await?;
        let answer = AgreementServiceClient::new(session.channel())
            .approve_agreement(pb::ApproveAgreementRequest {
                context: session.context(),
                request_id: request_text(request),
                approve: Some(approve),
                signature,
                evidence: Some(ledger::Evidence { reference: evidence, consent: None })
                    .filter(|evidence| !evidence.reference.is_empty()),
                validate_only: step.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&step.change, MESSAGE, answer.into_inner().agreement.as_ref())
    }
}

impl Refusal {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CliError> {
        let Self { step, reason } = self;
        let (agreement, found) = step.version(session).await?;
        let request = session.request(&step.change);
        let decline = ledger::DeclineAgreement { agreement, version: found.version, reason };
        let signature = session.sign(request, &Kind::DeclineAgreement(decline.clone())).await?;
        let answer = AgreementServiceClient::new(session.channel())
            .decline_agreement(pb::DeclineAgreementRequest {
                context: session.context(),
                request_id: request_text(request),
                decline: Some(decline),
                signature,
                validate_only: step.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&step.change, MESSAGE, answer.into_inner().agreement.as_ref())
    }
}

impl Own {
    fn id(&self) -> Result<String, CliError> {
        Ok(name::id::<AgreementId>("agreements", &self.agreement)?.to_string())
    }
}

impl Suspension {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CliError> {
        let Self { own, reason } = self;
        let reason = reason.unwrap_or_default();
        let suspend = ledger::SuspendFlows { agreement: own.id()?, reason };
        let request = session.request(&own.change);
        let signature = session.sign(request, &Kind::SuspendFlows(suspend.clone())).await?;
        let answer = AgreementServiceClient::new(session.channel())
            .suspend_flows(pb::SuspendFlowsRequest {
                context: session.context(),
                request_id: request_text(request),
                suspend: Some(suspend),
                signature,
                validate_only: own.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&own.change, MESSAGE, answer.into_inner().agreement.as_ref())
    }
}

impl Own {
    pub(super) async fn resume(self, session: &mut Session) -> Result<(), CliError> {
        let resume = ledger::ResumeFlows { agreement: self.id()? };
        let request = session.request(&self.change);
        let signature = session.sign(request, &Kind::ResumeFlows(resume.clone())).await?;
        let answer = AgreementServiceClient::new(session.channel())
            .resume_flows(pb::ResumeFlowsRequest {
                context: session.context(),
                request_id: request_text(request),
                resume: Some(resume),
                signature,
                validate_only: self.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&self.change, MESSAGE, answer.into_inner().agreement.as_ref())
    }

    pub(super) async fn end(self, session: &mut Session) -> Result<(), CliError> {
        let end = ledger::EndAgreement { agreement: self.id()? };
        let request = session.request(&self.change);
        let signature = session.sign(request, &Kind::EndAgreement(end.clone())).await?;
        let answer = AgreementServiceClient::new(session.channel())
            .end_agreement(pb::EndAgreementRequest {
                context: session.context(),
                request_id: request_text(request),
                end: Some(end),
                signature,
                validate_only: self.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&self.change, MESSAGE, answer.into_inner().agreement.as_ref())
    }
}
