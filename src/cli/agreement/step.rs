//! What a party says to an agreement. Approvals and the like are signed here, with the agency's own key.

use clap::Args;

use super::{Hash, MESSAGE, agreement, content_hash, hold_hash};
use crate::{
    cli::{
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

    pub(super) async fn approve(self, session: &mut Session) -> Result<(), CliError> {
        let (agreement, found) = self.version(session).await?;
        let request = session.request(&self.change);
        let approve = ledger::ApproveAgreement {
            agreement,
            version: found.version,
            content_hash: found.content_hash,
        };
        let signature = session.sign(request, &Kind::ApproveAgreement(approve.clone())).await?;
        let answer = AgreementServiceClient::new(session.channel())
            .approve_agreement(pb::ApproveAgreementRequest {
                context: session.context(),
                request_id: request_text(request),
                approve: Some(approve),
                signature,
                validate_only: self.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&self.change, MESSAGE, answer.into_inner().agreement.as_ref())
    }

    pub(super) async fn decline(self, session: &mut Session) -> Result<(), CliError> {
        let (agreement, found) = self.version(session).await?;
        let request = session.request(&self.change);
        let decline = ledger::DeclineAgreement { agreement, version: found.version };
        let signature = session.sign(request, &Kind::DeclineAgreement(decline.clone())).await?;
        let answer = AgreementServiceClient::new(session.channel())
            .decline_agreement(pb::DeclineAgreementRequest {
                context: session.context(),
                request_id: request_text(request),
                decline: Some(decline),
                signature,
                validate_only: self.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&self.change, MESSAGE, answer.into_inner().agreement.as_ref())
    }
}

impl Own {
    fn id(&self) -> Result<String, CliError> {
        Ok(name::id::<AgreementId>("agreements", &self.agreement)?.to_string())
    }

    pub(super) async fn suspend(self, session: &mut Session) -> Result<(), CliError> {
        let suspend = ledger::SuspendFlows { agreement: self.id()? };
        let request = session.request(&self.change);
        let signature = session.sign(request, &Kind::SuspendFlows(suspend.clone())).await?;
        let answer = AgreementServiceClient::new(session.channel())
            .suspend_flows(pb::SuspendFlowsRequest {
                context: session.context(),
                request_id: request_text(request),
                suspend: Some(suspend),
                signature,
                validate_only: self.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&self.change, MESSAGE, answer.into_inner().agreement.as_ref())
    }

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
