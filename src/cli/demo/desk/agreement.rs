//! How an agency comes to an agreement: what the exchange refuses, what it misses, what it would change; drafted,
//! proposed and approved.

use super::{Desk, Draft};
use crate::{
    cli::{
        demo::cast::AGREEMENT,
        error::CliError,
        session::{incomplete, request_text},
    },
    machine::command::agreement::example,
    pb::{
        ledger::v1::{self as ledger, Purpose, command::Kind},
        v1::{
            self as pb, agreement_service_client::AgreementServiceClient,
            check_agreement_request::Subject,
        },
    },
};

impl Desk {
    /// What a content misses.
    pub(in super::super) async fn missing(
        &self,
        content: ledger::AgreementContent,
    ) -> Result<Vec<pb::AgreementGap>, CliError> {
        let request = pb::CheckAgreementRequest {
            context: self.context(Purpose::Administration),
            subject: Some(Subject::Content(content)),
            version: 0,
        };
        let mut agreements = AgreementServiceClient::new(self.session.channel());
        Ok(agreements.check_agreement(request).await?.into_inner().gaps)
    }

    /// Why a draft is refused; `None` if it is not.
    pub(in super::super) async fn refused(
        &self,
        content: ledger::AgreementContent,
    ) -> Result<Option<CliError>, CliError> {
        let request = self.draft(content, true);
        let mut agreements = AgreementServiceClient::new(self.session.channel());
        Ok(agreements.draft_agreement(request).await.err().map(CliError::from))
    }

    /// What the agreement would change.
    pub(in super::super) async fn preview(&self) -> Result<Vec<pb::AgreementChange>, CliError> {
        let request = pb::PreviewAgreementRequest {
            context: self.context(Purpose::Administration),
            name: format!("agreements/{AGREEMENT}"),
            version: 0,
        };
        let mut agreements = AgreementServiceClient::new(self.session.channel());
        Ok(agreements.preview_agreement(request).await?.into_inner().changes)
    }

    /// Drafts the agreement and puts it before its parties.
    pub(in super::super) async fn propose(
        &self,
        content: ledger::AgreementContent,
    ) -> Result<Draft, CliError> {
        let mut agreements = AgreementServiceClient::new(self.session.channel());
        let request = self.draft(content, false);
        let answer = agreements.draft_agreement(request).await?.into_inner();
        let pb::Agreement { version, content_hash, .. } =
            answer.agreement.ok_or_else(incomplete)?;
        let propose = ledger::ProposeAgreement {
            agreement: AGREEMENT.to_owned(),
            version,
            content_hash: content_hash.clone(),
        };
        let request = pb::ProposeAgreementRequest {
            context: self.context(Purpose::Administration),
            request_id: self.session.new_request(),
            propose: Some(propose),
            validate_only: false,
        };
        agreements.propose_agreement(request).await?;
        Ok(Draft { version, content_hash })
    }

    /// Approves the agreement with its own key; true if it is then active.
    pub(in super::super) async fn approve(&mut self, draft: &Draft) -> Result<bool, CliError> {
        let approve = example::approval(AGREEMENT, draft.version, draft.content_hash.clone());
        let request = self.request();
        let signature =
            self.session.sign(request, &Kind::ApproveAgreement(approve.clone())).await?;
        let request = pb::ApproveAgreementRequest {
            context: self.context(Purpose::Administration),
            request_id: request_text(request),
            approve: Some(approve),
            signature,
            evidence: None,
            validate_only: false,
        };
        let mut agreements = AgreementServiceClient::new(self.session.channel());
        let answer = agreements.approve_agreement(request).await?.into_inner();
        let agreement = answer.agreement.ok_or_else(incomplete)?;
        Ok(agreement.state() == pb::AgreementState::Active)
    }

    fn draft(
        &self,
        content: ledger::AgreementContent,
        validate_only: bool,
    ) -> pb::DraftAgreementRequest {
        pb::DraftAgreementRequest {
            context: self.context(Purpose::Administration),
            request_id: self.session.new_request(),
            draft: Some(ledger::DraftAgreement {
                agreement: AGREEMENT.to_owned(),
                content: Some(content),
            }),
            evidence: None,
            validate_only,
            texts: Some(example::texts()),
        }
    }
}
