//! `AgreementService`: drafting, unanimous approval, suspension and end.

use bytes::Bytes;
use tonic::{Request, Response, Status};

mod texts;

use crate::{
    machine::{
        command::agreement::Content,
        read::{
            self,
            agreement::{Change, Finding, Stands, View},
        },
        state::{State, agreement::Status as Stored},
    },
    model::id::AgreementId,
    node::Node,
    pb::{
        ledger::v1::{self as ledger, command::Kind},
        v1::{
            self as pb, agreement_service_server::AgreementService,
            check_agreement_request::Subject,
        },
    },
    service::{
        act::{Beside, Done, Envelope, act, propose, required},
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
        Ok(self.done(caller, act(&self.node, caller, envelope, (field, kind)).await?, id))
    }

    fn done(&self, caller: &Caller, done: Done, id: &str) -> (Option<pb::Agreement>, String) {
        let id: Option<AgreementId> = id.parse().ok().filter(|_| done.receipt.is_some());
        let agreement = id.and_then(|id| self.one(caller, &id, 0));
        (agreement, done.decision_id)
    }

    /// An error of incompleteness with everything that is missing.
    fn with_gaps(&self, caller: &Caller, error: Status, id: &str) -> Status {
        if !status::is(&error, pb::Reason::AgreementIncomplete) {
            return error;
        }
        let id: Option<AgreementId> = id.parse().ok();
        let findings = id.and_then(|id| self.findings(caller, (&id, 0))).unwrap_or_default();
        let items = findings.iter().map(|finding| {
            let text = format!("{} ({})", finding.gap.message(), finding.gap.rule());
            (finding.gap.code(), finding.field.as_str(), text)
        });
        status::with_items(&error, &items.collect::<Vec<_>>())
    }

    fn findings(&self, caller: &Caller, named: (&AgreementId, u32)) -> Option<Vec<Finding>> {
        let now = shown_at(&self.node);
        self.node.read(|state| read::agreement::findings_of(state, caller.viewer(), named, now))
    }

    /// The texts of a version that the caller may see.
    async fn texts(
        &self,
        caller: &Caller,
        id: &AgreementId,
        version: u32,
    ) -> Result<Option<ledger::AgreementTexts>, Status> {
        let now = shown_at(&self.node);
        let place = self.node.read(|state| {
            let view = read::agreement::one(state, caller.viewer(), (id, version), now)?;
            let drafter = state.agency(view.agreement.drafter)?.id.clone();
            Some((view.agreement.drafted, drafter))
        });
        let Some((position, drafter)) = place else { return Ok(None) };
        let texts = self.node.agreement_texts(id, (position, &drafter)).await;
        texts.map_err(|fault| status::faulty(&fault))
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
        let pb::DraftAgreementRequest {
            context,
            request_id,
            draft,
            evidence,
            validate_only,
            texts,
        } = message;
        let draft = required(draft, "draft")?;
        let id = draft.agreement.clone();
        texts::hold(texts.as_ref(), draft.content.as_ref()).map_err(status::violation)?;
        let asked = context::asked(&self.node, &caller, (context, &request_id), None)?;
        let command = ("draft", Kind::DraftAgreement(draft));
        let sealing = (&asked, Beside { evidence, texts }, validate_only);
        let done = propose(&self.node, &caller, sealing, command).await?;
        let (agreement, decision_id) = self.done(&caller, done, &id);
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
        let proposed = self.act(&caller, envelope, command, &id).await;
        let (agreement, decision_id) = proposed.map_err(|s| self.with_gaps(&caller, s, &id))?;
        Ok(Response::new(pb::ProposeAgreementResponse { agreement, decision_id }))
    }

    async fn approve_agreement(
        &self,
        request: Request<pb::ApproveAgreementRequest>,
    ) -> Result<Response<pb::ApproveAgreementResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ApproveAgreementRequest {
            context,
            request_id,
            approve,
            signature,
            validate_only,
            evidence,
        } = message;
        let approve = required(approve, "approve")?;
        let id = approve.agreement.clone();
        let envelope = Envelope { context, request_id, signature, evidence, validate_only };
        let command = ("approve", Kind::ApproveAgreement(approve));
        let approved = self.act(&caller, envelope, command, &id).await;
        let (agreement, decision_id) = approved.map_err(|s| self.with_gaps(&caller, s, &id))?;
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
        let texts = self.texts(&caller, &id, agreement.version).await?.unwrap_or_default();
        let ledger::AgreementTexts { salt: texts_salt, texts } = texts;
        let agreement = pb::Agreement { texts, texts_salt, ..agreement };
        Ok(Response::new(pb::GetAgreementResponse { agreement: Some(agreement) }))
    }

    async fn check_agreement(
        &self,
        request: Request<pb::CheckAgreementRequest>,
    ) -> Result<Response<pb::CheckAgreementResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::CheckAgreementRequest { context, subject, version } = message;
        let _context = context::parse(&self.node, context)?;
        let now = shown_at(&self.node);
        let findings = match required(subject, "subject")? {
            Subject::Name(text) => {
                let id: AgreementId = name::parse(&text, "name").map_err(status::violation)?;
                self.findings(&caller, (&id, version)).ok_or_else(|| status::not_available(""))?
            }
            Subject::Content(content) => {
                let content = Content::try_from(content);
                let content = content.map_err(|v| status::violation(v.inside("content")))?;
                self.node.read(|state| read::agreement::findings(state, &content, now))
            }
        };
        let gaps = findings.iter().map(gap).collect();
        Ok(Response::new(pb::CheckAgreementResponse { gaps }))
    }

    async fn preview_agreement(
        &self,
        request: Request<pb::PreviewAgreementRequest>,
    ) -> Result<Response<pb::PreviewAgreementResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::PreviewAgreementRequest { context, name: text, version } = message;
        let _context = context::parse(&self.node, context)?;
        let id: AgreementId = name::parse(&text, "name").map_err(status::violation)?;
        let now = shown_at(&self.node);
        let found = self.node.read(|state| {
            let named = (&id, version);
            let (version, changes) = read::agreement::preview(state, caller.viewer(), named, now)?;
            let changes = changes.iter().map(|row| change(state, row)).collect();
            Some(pb::PreviewAgreementResponse { version, changes })
        });
        found.map(Response::new).ok_or_else(|| status::not_available(""))
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

fn gap(finding: &Finding) -> pb::AgreementGap {
    pb::AgreementGap {
        code: finding.gap.code().to_owned(),
        field: finding.field.clone(),
        rule: finding.gap.rule().to_owned(),
        message: finding.gap.message().to_owned(),
        unlawful: finding.gap.refusal().is_some(),
    }
}

fn change(state: &State, change: &Change) -> pb::AgreementChange {
    let named = |number| state.agency(number).map(|agency| name::of(&agency.id));
    let record_type = state.record_type(change.record_type);
    let groups = |groups| {
        let shown = record_type.map(|known| known.names_of(groups)).unwrap_or_default();
        shown.iter().map(ToString::to_string).collect()
    };
    pb::AgreementChange {
        record_type: record_type.map(|known| known.name.to_string()).unwrap_or_default(),
        publisher: named(change.publisher).unwrap_or_default(),
        recipient: named(change.recipient).unwrap_or_default(),
        groups_gained: groups(change.gained),
        groups_lost: groups(change.lost),
        clients_gaining: change.clients_gaining,
        clients_losing: change.clients_losing,
        at_least: change.at_least,
    }
}

fn message(state: &State, view: &View<'_>) -> pb::Agreement {
    let View { id, agreement, content, parties, stands, active_version } = view;
    let named = |number| state.agency(number).map(|agency| name::of(&agency.id));
    let shown = match stands {
        Stands::Draft => pb::AgreementState::Draft,
        Stands::Proposed => pb::AgreementState::Proposed,
        Stands::Active => pb::AgreementState::Active,
        Stands::Declined => pb::AgreementState::Declined,
        Stands::Replaced => pb::AgreementState::Replaced,
        Stands::Ended => pb::AgreementState::Ended,
        Stands::Expired => pb::AgreementState::Expired,
    };
    let parties = parties.iter().map(|party| {
        let decided = agreement.decided_at.get(&party.agency);
        let decision = match (party.approved, decided) {
            (true, _) => pb::PartyDecision::Approved,
            (false, Some(_)) => pb::PartyDecision::Declined,
            (false, None) => pb::PartyDecision::Unspecified,
        };
        let approver = agreement.approvers.get(&party.agency).copied();
        let (approver_role, approver_authority) = approver.unwrap_or_default();
        let declined = decision == pb::PartyDecision::Declined;
        pb::PartyStanding {
            approver_role,
            approver_authority,
            decline_reason: if declined { agreement.declined_for } else { 0 },
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
        active_version: *active_version,
        texts: Vec::new(),
        texts_salt: Bytes::new(),
        drafted_time: Some(timestamp(agreement.drafted_at)),
        proposed_time: agreement.proposed_at.map(timestamp),
        activated_time: agreement.activated_at.map(timestamp),
        ended_time: agreement.ended_at.or(passed).map(timestamp),
    }
}
