//! What an agency says about people: whom it knows, what they consented to, whom it serves.

use bytes::Bytes;
use jiff::civil::Date;

use super::Desk;
use crate::{
    cli::{
        demo::{
            cast::{COLLEGE, COUNCIL, GROUPS_BY_CONSENT, RECORD_TYPE},
            leavers::{Said, Speaker},
        },
        error::CliError,
        session::{incomplete, request_text},
    },
    model::{digest::Digest, id::AliasId},
    pb::{
        ledger::v1::{self as ledger, Purpose, command::Kind},
        v1::{
            self as pb, caseload_service_client::CaseloadServiceClient,
            consent_service_client::ConsentServiceClient,
        },
    },
};

/// What the young people were shown before they said anything.
const NOTICE: &str = "School leavers: who hears from us, why, and how to say no. leavers-2026.1";

impl Desk {
    /// The agency's own name for the person whom it identifies so.
    pub(in super::super) async fn client(
        &self,
        local_id: &str,
        scn: &str,
    ) -> Result<AliasId, CliError> {
        let identifiers = ledger::Identifiers {
            local_id: local_id.to_owned(),
            scn: scn.to_owned(),
            person: None,
        };
        let request = pb::AddClientRequest {
            context: self.context(Purpose::SchoolLeaverTransition),
            request_id: self.session.new_request(),
            identifiers: Some(identifiers),
            validate_only: false,
        };
        let answer = CaseloadServiceClient::new(self.session.channel()).add_client(request).await?;
        alias(&answer.into_inner().client)
    }

    /// Records that somebody lets the college have the form; gives the consent's name.
    pub(in super::super) async fn consent(&mut self, said: &Said) -> Result<String, CliError> {
        let client = self.client(&said.local_id, &said.scn).await?;
        let record = ledger::RecordConsent {
            scope: Some(scope(client)),
            act: Some(self.act(said)),
            expires_at_ms: 0,
            ..ledger::RecordConsent::default()
        };
        let request = self.request();
        let signature = self.session.sign(request, &Kind::RecordConsent(record.clone())).await?;
        let request = pb::RecordConsentRequest {
            context: self.context(Purpose::Administration),
            request_id: request_text(request),
            record: Some(record),
            signature,
            evidence: None,
            validate_only: false,
        };
        let mut consents = ConsentServiceClient::new(self.session.channel());
        let answer = consents.record_consent(request).await?.into_inner();
        answer.consent.map(|consent| consent.name).ok_or_else(incomplete)
    }

    /// Records that somebody does not let the college have the form.
    pub(in super::super) async fn refuse(&self, said: &Said) -> Result<(), CliError> {
        let client = self.client(&said.local_id, &said.scn).await?;
        let refuse =
            ledger::RefuseConsent { scope: Some(scope(client)), act: Some(self.act(said)) };
        let request = pb::RefuseConsentRequest {
            context: self.context(Purpose::Administration),
            request_id: self.session.new_request(),
            refuse: Some(refuse),
            evidence: None,
            validate_only: false,
        };
        ConsentServiceClient::new(self.session.channel()).refuse_consent(request).await?;
        Ok(())
    }

    /// Withdraws a consent for all whom it names, and asks for what they were sent on it.
    pub(in super::super) async fn withdraw(&self, consent: &str) -> Result<(), CliError> {
        let id: crate::model::id::ConsentId = crate::cli::name::id("consents", consent)?;
        let withdraw = ledger::WithdrawConsent {
            consent: Bytes::copy_from_slice(id.as_bytes()),
            recipients: Vec::new(),
            recall: true,
            ..ledger::WithdrawConsent::default()
        };
        let request = pb::WithdrawConsentRequest {
            context: self.context(Purpose::Administration),
            request_id: self.session.new_request(),
            withdraw: Some(withdraw),
            evidence: None,
            validate_only: false,
        };
        ConsentServiceClient::new(self.session.channel()).withdraw_consent(request).await?;
        Ok(())
    }

    /// Claims somebody for the agency's own caseload.
    pub(in super::super) async fn claim(&self, local_id: &str, scn: &str) -> Result<(), CliError> {
        let client = self.client(local_id, scn).await?;
        let open = ledger::OpenCaseload { client: Bytes::copy_from_slice(client.as_bytes()) };
        let request = pb::OpenCaseloadRequest {
            context: self.context(Purpose::SchoolLeaverTransition),
            request_id: self.session.new_request(),
            open: Some(open),
            validate_only: false,
        };
        CaseloadServiceClient::new(self.session.channel()).open_caseload(request).await?;
        Ok(())
    }

    /// The claims of others that await this agency: its own name of the client, and who claims.
    pub(in super::super) async fn claims(&self) -> Result<Vec<(AliasId, String)>, CliError> {
        let mut caseloads = CaseloadServiceClient::new(self.session.channel());
        let (mut claims, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListClaimsRequest {
                context: self.context(Purpose::SchoolLeaverTransition),
                reason: ledger::ReadReason::Service.into(),
                page_size: 0,
                page_token,
            };
            let page = caseloads.list_claims(request).await?.into_inner();
            for claim in page.claims {
                let agency = claim.agency.trim_start_matches("agencies/").to_owned();
                claims.push((alias(&claim.client)?, agency));
            }
            if page.next_page_token.is_empty() {
                return Ok(claims);
            }
            page_token = page.next_page_token;
        }
    }

    /// Confirms that an agency serves somebody.
    pub(in super::super) async fn confirm(
        &mut self,
        client: AliasId,
        agency: &str,
    ) -> Result<(), CliError> {
        let confirm = ledger::ConfirmCaseload {
            client: Bytes::copy_from_slice(client.as_bytes()),
            agency: agency.to_owned(),
        };
        let request = self.request();
        let signature = self.session.sign(request, &Kind::ConfirmCaseload(confirm.clone())).await?;
        let request = pb::ConfirmCaseloadRequest {
            context: self.context(Purpose::SchoolLeaverTransition),
            request_id: request_text(request),
            confirm: Some(confirm),
            signature,
            validate_only: false,
        };
        CaseloadServiceClient::new(self.session.channel()).confirm_caseload(request).await?;
        Ok(())
    }

    fn act(&self, said: &Said) -> ledger::ConsentAct {
        let (grantor, authority, view) = match said.speaker {
            Speaker::Own => (
                ledger::Grantor::Self_,
                ledger::Authority::Unspecified,
                ledger::ClientView::Unspecified,
            ),
            Speaker::Parent => {
                (ledger::Grantor::Parent, ledger::Authority::Seen, ledger::ClientView::Agrees)
            }
        };
        let reviews = match said.speaker {
            Speaker::Own => Vec::new(),
            Speaker::Parent => reviews(said),
        };
        ledger::ConsentAct {
            grantor: grantor.into(),
            authority: authority.into(),
            age_years: u32::from(said.age_years),
            method: ledger::ConsentMethod::Form.into(),
            given_at_ms: self.now().millis(),
            notice_digest: Bytes::copy_from_slice(
                Digest::of_concatenation(&[NOTICE.as_bytes()]).as_bytes(),
            ),
            view: view.into(),
            reviews,
            ..ledger::ConsentAct::default()
        }
    }
}

/// When a parent's word must be asked for anew: on the leaving date, and in the month of the sixteenth birthday.
fn reviews(said: &Said) -> Vec<ledger::ConsentReview> {
    let number = |value: i8| u32::from(value.unsigned_abs());
    let month = |day: Date| u32::from(day.year().unsigned_abs()) * 100 + number(day.month());
    vec![
        ledger::ConsentReview {
            milestone: ledger::Milestone::LeavingDate.into(),
            month: month(said.leaves),
            day: number(said.leaves.day()),
        },
        ledger::ConsentReview {
            milestone: ledger::Milestone::SixteenthBirthday.into(),
            month: month(said.sixteen),
            day: 0,
        },
    ]
}

fn scope(client: AliasId) -> ledger::ConsentScope {
    ledger::ConsentScope {
        client: Bytes::copy_from_slice(client.as_bytes()),
        publisher: COUNCIL.to_owned(),
        record_type: RECORD_TYPE.to_owned(),
        groups: GROUPS_BY_CONSENT.iter().map(|group| (*group).to_owned()).collect(),
        recipients: vec![COLLEGE.to_owned()],
        gate: ledger::Gate::StatutoryConsent.into(),
        ..ledger::ConsentScope::default()
    }
}

fn alias(name: &str) -> Result<AliasId, CliError> {
    Ok(crate::cli::name::id("clients", name)?)
}
