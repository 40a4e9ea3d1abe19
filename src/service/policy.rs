//! `PolicyService`: an agency's own policies, and the explanation of decisions about its own records.

use std::collections::BTreeSet;

use tonic::{Request, Response, Status};

use crate::{
    machine::read::{
        self,
        explain::{Asked, GroupDecision, NamedFlow, Subject, Withheld},
        policy::View,
    },
    model::{
        id::{AgencyId, AgreementId, GroupName, PolicyId},
        limit,
        violation::Violation,
    },
    node::Node,
    pb::{
        ledger::v1::{Purpose, command::Kind},
        v1::{self as pb, explain_decision_request, policy_service_server::PolicyService},
    },
    service::{
        act::{Envelope, act, required},
        caller::{Caller, open},
        context, decision, name,
        page::{self, Page},
        status,
        time::{shown_at, timestamp},
    },
};

/// The service over one node.
#[derive(Clone, Debug)]
pub struct Policies {
    node: Node,
}

impl Policies {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }

    fn one(&self, caller: &Caller, (owner, id): (&AgencyId, &PolicyId)) -> Option<pb::Policy> {
        self.node.read(|state| read::policy::one(state, caller.viewer(), (owner, id)).map(message))
    }
}

#[tonic::async_trait]
impl PolicyService for Policies {
    async fn put_policy(
        &self,
        request: Request<pb::PutPolicyRequest>,
    ) -> Result<Response<pb::PutPolicyResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::PutPolicyRequest { context, request_id, put, signature, validate_only } = message;
        let put = required(put, "put")?;
        let id: Option<PolicyId> = put.policy.parse().ok();
        let envelope =
            Envelope { context, request_id, signature, validate_only, ..Envelope::default() };
        let done = act(&self.node, &caller, envelope, ("put", Kind::PutPolicy(put))).await?;
        let (_, owner) = caller.agency()?;
        let id = id.filter(|_| done.receipt.is_some());
        let policy = id.and_then(|id| self.one(&caller, (owner, &id)));
        Ok(Response::new(pb::PutPolicyResponse { policy, decision_id: done.decision_id }))
    }

    async fn remove_policy(
        &self,
        request: Request<pb::RemovePolicyRequest>,
    ) -> Result<Response<pb::RemovePolicyResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::RemovePolicyRequest { context, request_id, remove, signature, validate_only } =
            message;
        let remove = required(remove, "remove")?;
        let envelope =
            Envelope { context, request_id, signature, validate_only, ..Envelope::default() };
        let command = ("remove", Kind::RemovePolicy(remove));
        let done = act(&self.node, &caller, envelope, command).await?;
        Ok(Response::new(pb::RemovePolicyResponse { decision_id: done.decision_id }))
    }

    async fn get_policy(
        &self,
        request: Request<pb::GetPolicyRequest>,
    ) -> Result<Response<pb::GetPolicyResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::GetPolicyRequest { context, name: text } = message;
        let _context = context::parse(&self.node, context)?;
        let (owner, id) = name::parse_owned(&text, "name").map_err(status::violation)?;
        let policy = self.one(&caller, (&owner, &id)).ok_or_else(|| status::not_available(""))?;
        Ok(Response::new(pb::GetPolicyResponse { policy: Some(policy) }))
    }

    async fn list_policies(
        &self,
        request: Request<pb::ListPoliciesRequest>,
    ) -> Result<Response<pb::ListPoliciesResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListPoliciesRequest { context, page_size, page_token } = message;
        let _context = context::parse(&self.node, context)?;
        let list = ("ListPolicies", &page::NO_FILTER);
        let page = Page::parse(&self.node, &caller, list, (page_size, &page_token))?;
        let after: Option<PolicyId> = page.after_slug()?;
        let (policies, next) = self.node.read(|state| {
            let found = read::policy::list(state, caller.viewer(), after.as_ref(), page.rows_max);
            (found.rows.into_iter().map(self::message).collect(), found.next)
        });
        let next = next.map(|id| id.as_str().as_bytes().to_vec());
        let next_page_token = page.next(&self.node, &caller, next);
        Ok(Response::new(pb::ListPoliciesResponse { policies, next_page_token }))
    }

    async fn explain_decision(
        &self,
        request: Request<pb::ExplainDecisionRequest>,
    ) -> Result<Response<pb::ExplainDecisionResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ExplainDecisionRequest {
            context,
            reason,
            subject,
            recipient,
            recipient_purpose,
            assumed_agreement,
        } = message;
        let _context = context::parse(&self.node, context)?;
        let _reason = context::read_reason(reason)?;
        let asked = Asked {
            subject: subject_of(subject)?,
            recipient: name::parse(&recipient, "recipient").map_err(status::violation)?,
            purpose: purpose_of(recipient_purpose)?,
            assumed: assumed_agreement.map(version_of).transpose()?,
            now: shown_at(&self.node),
        };
        let (_, own) = caller.agency()?;
        let explained =
            self.node.read(|state| read::explain::explain(state, caller.viewer(), &asked));
        let decisions = explained.map_err(|refusal| status::refused(refusal, "subject", ""))?;
        Ok(Response::new(pb::ExplainDecisionResponse {
            decisions: decisions.into_iter().map(|decision| told(own, decision)).collect(),
            decided_time: Some(timestamp(asked.now)),
            decision_id: decision::of_read(&self.node, &caller),
        }))
    }
}

fn message(view: View<'_>) -> pb::Policy {
    let View { owner, id, policy } = view;
    pb::Policy {
        name: name::of_owned(owner, id),
        text: policy.text.clone(),
        schema_version: policy.schema_version,
        put_time: Some(timestamp(policy.put_at)),
    }
}

fn subject_of(subject: Option<explain_decision_request::Subject>) -> Result<Subject, Status> {
    use explain_decision_request::Subject as Given;
    match subject.ok_or_else(|| status::missing("subject"))? {
        Given::Record(text) => {
            Ok(Subject::Record(name::parse(&text, "record").map_err(status::violation)?))
        }
        Given::Described(described) => described_of(described).map_err(status::violation),
    }
}

fn described_of(described: pb::DescribedRecord) -> Result<Subject, Violation> {
    let pb::DescribedRecord { record_type, client, field_groups } = described;
    if limit::GROUPS_MAX < field_groups.len() {
        let text = "a record holds at most 32 field groups";
        return Err(Violation::new("described.field_groups", "OUT_OF_RANGE", text));
    }
    let inside = |field: &'static str| move |violation: Violation| violation.inside(field);
    let groups: BTreeSet<GroupName> = field_groups
        .iter()
        .map(|group| group.parse().map_err(inside("described.field_groups")))
        .collect::<Result<_, _>>()?;
    let client = match client.as_str() {
        "" => None,
        text => Some(name::parse(text, "described.client")?),
    };
    let record_type = record_type.parse().map_err(inside("described.record_type"))?;
    Ok(Subject::Described { record_type, client, groups })
}

fn purpose_of(purpose: i32) -> Result<i32, Status> {
    let known = Purpose::try_from(purpose).ok().filter(|p| *p != Purpose::Unspecified);
    known.map(i32::from).ok_or_else(|| {
        let text = "the recipient reads for a purpose; choose one of the published ones";
        status::violation(Violation::new("recipient_purpose", "UNKNOWN_CODE", text))
    })
}

fn version_of(assumed: pb::AgreementVersion) -> Result<(AgreementId, u32), Status> {
    let pb::AgreementVersion { agreement, version } = assumed;
    let id = name::parse(&agreement, "assumed_agreement.agreement").map_err(status::violation)?;
    Ok((id, version))
}

fn told(own: &AgencyId, decision: GroupDecision) -> pb::GroupDecision {
    let GroupDecision { group, withheld, flow } = decision;
    let policies = match &withheld {
        Some(Withheld::PublisherPolicy(policies)) => {
            policies.iter().map(|policy| name::of_owned(own, policy)).collect()
        }
        Some(_) | None => Vec::new(),
    };
    let outcome = match withheld {
        None => pb::DecisionOutcome::Released,
        Some(_) => pb::DecisionOutcome::Withheld,
    };
    let field_group = group.to_string();
    pb::GroupDecision {
        ground: flow.map(|flow| ground(&field_group, flow)),
        field_group,
        outcome: i32::from(outcome),
        withheld_reason: i32::from(withheld.map_or_else(Default::default, reason)),
        policies,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_or_else` hands over")]
fn reason(withheld: Withheld) -> pb::WithheldReason {
    match withheld {
        Withheld::AgencySuspended => pb::WithheldReason::AgencySuspended,
        Withheld::RecordReplaced => pb::WithheldReason::RecordReplaced,
        Withheld::NoFlow => pb::WithheldReason::NoFlow,
        Withheld::GroupNotPermitted => pb::WithheldReason::FieldGroupNotPermitted,
        Withheld::PurposeDiffers => pb::WithheldReason::PurposeDiffers,
        Withheld::FlowsSuspended => pb::WithheldReason::FlowsSuspended,
        Withheld::NotBackfilled => pb::WithheldReason::NotBackfilled,
        Withheld::CaseloadNotConfirmed => pb::WithheldReason::CaseloadNotConfirmed,
        Withheld::ConsentMissing => pb::WithheldReason::ConsentMissing,
        Withheld::ConsentRefused => pb::WithheldReason::ConsentRefused,
        Withheld::ConsentWithdrawn => pb::WithheldReason::ConsentWithdrawn,
        Withheld::ConsentInvalid => pb::WithheldReason::ConsentInvalid,
        Withheld::ConsentExpired => pb::WithheldReason::ConsentExpired,
        Withheld::ConsentInReview => pb::WithheldReason::ConsentInReview,
        Withheld::ConsentContested => pb::WithheldReason::ConsentContested,
        Withheld::Restricted => pb::WithheldReason::Restricted,
        Withheld::PublisherPolicy(_) => pb::WithheldReason::PublisherPolicy,
        Withheld::RecipientPolicy => pb::WithheldReason::RecipientPolicy,
    }
}

fn ground(group: &str, flow: NamedFlow) -> pb::Ground {
    let NamedFlow { agreement, version, flow, basis, gate, consents } = flow;
    pb::Ground {
        agreement: name::of(&agreement),
        version,
        flow: flow.to_string(),
        basis,
        gate,
        field_groups: vec![group.to_owned()],
        consents: consents.iter().map(name::of).collect(),
    }
}
