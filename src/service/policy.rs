//! `PolicyService`: an agency's own policies, and the explanation of decisions about its own records.

use tonic::{Request, Response, Status};

use crate::{
    machine::read::{self, policy::View},
    model::id::{AgencyId, PolicyId},
    node::Node,
    pb::{
        ledger::v1::command::Kind,
        v1::{self as pb, policy_service_server::PolicyService},
    },
    service::{
        act::{Envelope, act, required},
        caller::{Caller, open},
        context, name,
        page::{self, Page},
        status,
        time::timestamp,
    },
};

mod explain;
pub(crate) mod sentence;

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
        explain::answer(&self.node, &caller, message).await.map(Response::new)
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
