//! `AgreementService`: drafting, unanimous approval, suspension and end.

use bytes::Bytes;
use tonic::{Request, Response, Status};

use crate::{
    machine::{
        read::{
            self,
            agreement::{Stands, View},
        },
        state::{State, agreement::Status as Stored},
    },
    model::id::AgreementId,
    node::Node,
    pb::{
        ledger::v1::command::Kind,
        v1::{self as pb, agreement_service_server::AgreementService},
    },
    service::{
        act::{Envelope, act, required},
        caller::{Caller, open},
        context, name,
        page::{self, Page},
        status,
        time::{shown_at, timestamp},
    },
};

/// The service over one node.
#[derive(Clone, Debug)]
pub struct Agreements {
    node: Node,
}

impl Agreements {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }

    /// Does what a party asks, and gives the agreement as it is then and the decision's id.
    async fn act(
        &self,
        caller: &Caller,
        envelope: Envelope,
        (field, kind): (&str, Kind),
        id: &str,
    ) -> Result<(Option<pb::Agreement>, String), Status> {
        let done = act(&self.node, caller, envelope, (field, kind)).await?;
        let id: Option<AgreementId> = id.parse().ok().filter(|_| done.receipt.is_some());
        let agreement = id.and_then(|id| self.one(caller, &id, 0));
        Ok((agreement, done.decision_id))
    }

    fn one(&self, caller: &Caller, id: &AgreementId, version: u32) -> Option<pb::Agreement> {
        let now = shown_at(&self.node);
        self.node.read(|state| {
            let view = read::agreement::one(state, caller.viewer(), (id, version), now)?;
            Some(message(state, &view))
        })
    }
}

#[tonic::async_trait]
impl AgreementService for Agreements {
    async fn draft_agreement(
        &self,
        request: Request<pb::DraftAgreementRequest>,
    ) -> Result<Response<pb::DraftAgreementResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::DraftAgreementRequest { context, request_id, draft, evidence, validate_only } =
            message;
        let draft = required(draft, "draft")?;
        let id = draft.agreement.clone();
        let envelope =
            Envelope { context, request_id, evidence, validate_only, ..Envelope::default() };
        let command = ("draft", Kind::DraftAgreement(draft));
        let (agreement, decision_id) = self.act(&caller, envelope, command, &id).await?;
        Ok(Response::new(pb::DraftAgreementResponse { agreement, decision_id }))
    }

    async fn propose_agreement(
        &self,
        request: Request<pb::ProposeAgreementRequest>,
    ) -> Result<Response<pb::ProposeAgreementResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ProposeAgreementRequest { context, request_id, propose, validate_only } = message;
        let propose = required(propose, "propose")?;
        let id = propose.agreement.clone();
        let envelope = Envelope { context, request_id, validate_only, ..Envelope::default() };
        let command = ("propose", Kind::ProposeAgreement(propose));
        let (agreement, decision_id) = self.act(&caller, envelope, command, &id).await?;
        Ok(Response::new(pb::ProposeAgreementResponse { agreement, decision_id }))
    }

    async fn approve_agreement(
        &self,
        request: Request<pb::ApproveAgreementRequest>,
    ) -> Result<Response<pb::ApproveAgreementResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ApproveAgreementRequest { context, request_id, approve, signature, validate_only } =
            message;
        let approve = required(approve, "approve")?;
        let id = approve.agreement.clone();
        let envelope =
            Envelope { context, request_id, signature, validate_only, ..Envelope::default() };
        let command = ("approve", Kind::ApproveAgreement(approve));
        let (agreement, decision_id) = self.act(&caller, envelope, command, &id).await?;
        Ok(Response::new(pb::ApproveAgreementResponse { agreement, decision_id }))
    }

    async fn decline_agreement(
        &self,
        request: Request<pb::DeclineAgreementRequest>,
    ) -> Result<Response<pb::DeclineAgreementResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::DeclineAgreementRequest { context, request_id, decline, signature, validate_only } =
            message;
        let decline = required(decline, "decline")?;
        let id = decline.agreement.clone();
        let envelope =
            Envelope { context, request_id, signature, validate_only, ..Envelope::default() };
        let command = ("decline", Kind::DeclineAgreement(decline));
        let (agreement, decision_id) = self.act(&caller, envelope, command, &id).await?;
        Ok(Response::new(pb::DeclineAgreementResponse { agreement, decision_id }))
    }

    async fn suspend_flows(
        &self,
        request: Request<pb::SuspendFlowsRequest>,
    ) -> Result<Response<pb::SuspendFlowsResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::SuspendFlowsRequest { context, request_id, suspend, signature, validate_only } =
            message;
        let suspend = required(suspend, "suspend")?;
        let id = suspend.agreement.clone();
        let envelope =
            Envelope { context, request_id, signature, validate_only, ..Envelope::default() };
        let command = ("suspend", Kind::SuspendFlows(suspend));
        let (agreement, decision_id) = self.act(&caller, envelope, command, &id).await?;
        Ok(Response::new(pb::SuspendFlowsResponse { agreement, decision_id }))
    }

    async fn resume_flows(
        &self,
        request: Request<pb::ResumeFlowsRequest>,
    ) -> Result<Response<pb::ResumeFlowsResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ResumeFlowsRequest { context, request_id, resume, signature, validate_only } =
            message;
        let resume = required(resume, "resume")?;
        let id = resume.agreement.clone();
        let envelope =
            Envelope { context, request_id, signature, validate_only, ..Envelope::default() };
        let command = ("resume", Kind::ResumeFlows(resume));
        let (agreement, decision_id) = self.act(&caller, envelope, command, &id).await?;
        Ok(Response::new(pb::ResumeFlowsResponse { agreement, decision_id }))
    }

    async fn end_agreement(
        &self,
        request: Request<pb::EndAgreementRequest>,
    ) -> Result<Response<pb::EndAgreementResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::EndAgreementRequest { context, request_id, end, signature, validate_only } =
            message;
        let end = required(end, "end")?;
        let id = end.agreement.clone();
        let envelope =
            Envelope { context, request_id, signature, validate_only, ..Envelope::default() };
        let command = ("end", Kind::EndAgreement(end));
        let (agreement, decision_id) = self.act(&caller, envelope, command, &id).await?;
        Ok(Response::new(pb::EndAgreementResponse { agreement, decision_id }))
    }

    async fn get_agreement(
        &self,
        request: Request<pb::GetAgreementRequest>,
    ) -> Result<Response<pb::GetAgreementResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::GetAgreementRequest { context, name: text, version } = message;
        let _context = context::parse(&self.node, context)?;
        let id: AgreementId = name::parse(&text, "name").map_err(status::violation)?;
        let agreement = self.one(&caller, &id, version).ok_or_else(|| status::not_available(""))?;
        Ok(Response::new(pb::GetAgreementResponse { agreement: Some(agreement) }))
    }

    async fn list_agreements(
        &self,
        request: Request<pb::ListAgreementsRequest>,
    ) -> Result<Response<pb::ListAgreementsResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListAgreementsRequest { context, page_size, page_token } = message;
        let _context = context::parse(&self.node, context)?;
        let list = ("ListAgreements", &page::NO_FILTER);
        let page = Page::parse(&self.node, &caller, list, (page_size, &page_token))?;
        let after: Option<AgreementId> = page.after_slug()?;
        let now = shown_at(&self.node);
        let (agreements, next) = self.node.read(|state| {
            let rows = (after.as_ref(), page.rows_max);
            let found = read::agreement::list(state, caller.viewer(), rows, now);
            let agreements = found.rows.iter().map(|view| self::message(state, view)).collect();
            (agreements, found.next)
        });
        let next = next.map(|id| id.as_str().as_bytes().to_vec());
        let next_page_token = page.next(&self.node, &caller, next);
        Ok(Response::new(pb::ListAgreementsResponse { agreements, next_page_token }))
    }
}

fn message(state: &State, view: &View<'_>) -> pb::Agreement {
    let View { id, agreement, content, parties, stands } = view;
    let named = |number| state.agency(number).map(|agency| name::of(&agency.id));
    let (shown, active_version) = match stands {
        Stands::Draft => (pb::AgreementState::Draft, 0),
        Stands::Proposed => (pb::AgreementState::Proposed, 0),
        Stands::Active => (pb::AgreementState::Active, agreement.version),
        Stands::Declined => (pb::AgreementState::Declined, 0),
        Stands::Ended => (pb::AgreementState::Ended, 0),
        Stands::Expired => (pb::AgreementState::Expired, 0),
    };
    let parties = parties.iter().map(|party| {
        let decided = agreement.decided_at.get(&party.agency);
        let decision = match (party.approved, decided) {
            (true, _) => pb::PartyDecision::Approved,
            (false, Some(_)) => pb::PartyDecision::Declined,
            (false, None) => pb::PartyDecision::Unspecified,
        };
        pb::PartyStanding {
            agency: named(party.agency).unwrap_or_default(),
            decision: i32::from(decision),
            decided_time: decided.copied().map(timestamp),
            suspended: party.suspended,
        }
    });
    // Nobody needs to say that a date has come.
    let passed = (*stands == Stands::Expired && agreement.status == Stored::Active)
        .then_some(agreement.expires_at);
    pb::Agreement {
        name: name::of(*id),
        version: agreement.version,
        state: i32::from(shown),
        content: Some(content.clone()),
        content_hash: Bytes::copy_from_slice(agreement.content_hash.as_bytes()),
        drafter: named(agreement.drafter).unwrap_or_default(),
        parties: parties.collect(),
        active_version,
        drafted_time: Some(timestamp(agreement.drafted_at)),
        proposed_time: agreement.proposed_at.map(timestamp),
        activated_time: agreement.activated_at.map(timestamp),
        ended_time: agreement.ended_at.or(passed).map(timestamp),
    }
}
