//! `SuccessionService`: one body takes the place of another, once all who have to have approved it.

use bytes::Bytes;
use tonic::{Request, Response, Status};

use crate::{
    machine::{
        Receipt,
        outcome::Remembered,
        read::{self, succession::View},
        state::{
            State,
            agency::AgencyNumber,
            succession::{Share, Status as Stored},
        },
    },
    model::{digest::Digest, id::SuccessionId, order::Position},
    node::Node,
    pb::{
        ledger::v1::{AgreementContent, command::Kind},
        v1::{self as pb, succession_service_server::SuccessionService},
    },
    service::{
        act::{Done, Envelope, act, required},
        caller::{Caller, open},
        context, name,
        page::Page,
        status,
        time::timestamp,
    },
};

/// The service over one node.
#[derive(Clone, Debug)]
pub struct Successions {
    node: Node,
}

impl Successions {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }

    fn one(&self, caller: &Caller, id: SuccessionId) -> Option<pb::Succession> {
        self.node.read(|state| {
            read::succession::one(state, caller.viewer(), id).map(|view| message(state, &view))
        })
    }

    /// Does what is asked, and gives the succession as it is then and the decision's id.
    async fn act(
        &self,
        caller: &Caller,
        envelope: Envelope,
        command: (&str, Kind),
    ) -> Result<(Option<pb::Succession>, String), Status> {
        let Done { receipt, decision_id } = act(&self.node, caller, envelope, command).await?;
        let id = match receipt {
            Some(Receipt::Answer(Remembered::Succession { succession, .. })) => Some(succession),
            Some(
                Receipt::Answer(_)
                | Receipt::Published { .. }
                | Receipt::Released(_)
                | Receipt::Opened(_),
            )
            | None => None,
        };
        Ok((id.and_then(|id| self.one(caller, id)), decision_id))
    }
}

#[tonic::async_trait]
impl SuccessionService for Successions {
    async fn propose_succession(
        &self,
        request: Request<pb::ProposeSuccessionRequest>,
    ) -> Result<Response<pb::ProposeSuccessionResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ProposeSuccessionRequest { context, request_id, propose, evidence, validate_only } =
            message;
        let propose = required(propose, "propose")?;
        let envelope =
            Envelope { context, request_id, evidence, validate_only, ..Envelope::default() };
        let command = ("propose", Kind::ProposeSuccession(propose));
        let (succession, decision_id) = self.act(&caller, envelope, command).await?;
        Ok(Response::new(pb::ProposeSuccessionResponse { succession, decision_id }))
    }

    async fn approve_succession(
        &self,
        request: Request<pb::ApproveSuccessionRequest>,
    ) -> Result<Response<pb::ApproveSuccessionResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ApproveSuccessionRequest {
            context,
            request_id,
            approve,
            signature,
            evidence,
            validate_only,
        } = message;
        let approve = required(approve, "approve")?;
        let envelope = Envelope { context, request_id, signature, evidence, validate_only };
        let command = ("approve", Kind::ApproveSuccession(approve));
        let (succession, decision_id) = self.act(&caller, envelope, command).await?;
        Ok(Response::new(pb::ApproveSuccessionResponse { succession, decision_id }))
    }

    async fn decline_succession(
        &self,
        request: Request<pb::DeclineSuccessionRequest>,
    ) -> Result<Response<pb::DeclineSuccessionResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::DeclineSuccessionRequest { context, request_id, decline, signature, validate_only } =
            message;
        let decline = required(decline, "decline")?;
        let envelope =
            Envelope { context, request_id, signature, validate_only, ..Envelope::default() };
        let command = ("decline", Kind::DeclineSuccession(decline));
        let (succession, decision_id) = self.act(&caller, envelope, command).await?;
        Ok(Response::new(pb::DeclineSuccessionResponse { succession, decision_id }))
    }

    async fn get_succession(
        &self,
        request: Request<pb::GetSuccessionRequest>,
    ) -> Result<Response<pb::GetSuccessionResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::GetSuccessionRequest { context, name: text } = message;
        let _context = context::parse(&self.node, context)?;
        let id: SuccessionId = name::parse(&text, "name").map_err(status::violation)?;
        let succession = self.one(&caller, id).ok_or_else(|| status::not_available(""))?;
        Ok(Response::new(pb::GetSuccessionResponse { succession: Some(succession) }))
    }

    async fn list_successions(
        &self,
        request: Request<pb::ListSuccessionsRequest>,
    ) -> Result<Response<pb::ListSuccessionsResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListSuccessionsRequest { context, page_size, page_token } = message;
        let _context = context::parse(&self.node, context)?;
        let list = ("ListSuccessions", &pb::ListSuccessionsRequest::default());
        let page = Page::parse(&self.node, &caller, list, (page_size, &page_token))?;
        let after = page.after_bytes()?.map(key_of);
        let (successions, next) = self.node.read(|state| {
            let found = read::succession::list(state, caller.viewer(), (after, page.rows_max));
            let rows = found.rows.iter().map(|view| self::message(state, view)).collect();
            (rows, found.next)
        });
        let next_page_token = page.next(&self.node, &caller, next.map(bytes_of));
        Ok(Response::new(pb::ListSuccessionsResponse { successions, next_page_token }))
    }
}

/// The length of a key: a position and an id.
const KEY_BYTES: usize = 24;

fn bytes_of((position, id): (Position, SuccessionId)) -> Vec<u8> {
    [position.number().to_be_bytes().as_slice(), id.as_bytes()].concat()
}

fn key_of(bytes: [u8; KEY_BYTES]) -> (Position, SuccessionId) {
    let (mut position, mut id) = ([0; 8], [0; 16]);
    let mut rest = bytes.into_iter();
    for to in position.iter_mut().chain(&mut id) {
        *to = rest.next().unwrap_or_default();
    }
    (Position::new(u64::from_be_bytes(position)), SuccessionId::from_bytes(id))
}

fn message(state: &State, view: &View<'_>) -> pb::Succession {
    let View { id, succession, content, outcomes } = view;
    let shown = match succession.status {
        Stored::Proposed => pb::SuccessionState::Proposed,
        Stored::Approved => pb::SuccessionState::Approved,
        Stored::InForce => pb::SuccessionState::InForce,
        Stored::Declined => pb::SuccessionState::Declined,
        Stored::Lapsed => pb::SuccessionState::Lapsed,
    };
    let parties = succession.parties.iter().map(|(agency, key)| {
        let approval = succession.approvals.get(agency);
        let declined = succession.declined.filter(|(by, _)| by == agency);
        let decision = match (approval, declined) {
            (_, Some(_)) => pb::SuccessionDecision::Declined,
            (Some(_), None) => pb::SuccessionDecision::Approved,
            (None, None) => pb::SuccessionDecision::Unspecified,
        };
        pb::SuccessionParty {
            agency: named(state, *agency),
            key_fingerprint: bytes(*key),
            decision: i32::from(decision),
            approver_role: approval.map_or(0, |approval| approval.role),
            approver_authority: approval.map_or(0, |approval| approval.authority),
            decline_reason: declined.map_or(0, |(_, reason)| reason),
            approved_time: approval.map(|approval| timestamp(approval.at)),
        }
    });
    pb::Succession {
        name: name::of(id),
        state: i32::from(shown),
        content: Some(content.clone()),
        content_hash: bytes(succession.content_hash),
        outcomes: outcomes.iter().map(outcome).collect(),
        parties: parties.collect(),
        proposer: named(state, succession.proposer),
        proposed_time: Some(timestamp(succession.proposed_at)),
        lapses_time: Some(timestamp(succession.lapses_at)),
        closed_time: succession.closed.map(|(_, at)| timestamp(at)),
    }
}

fn outcome((share, content): &(&Share, Option<AgreementContent>)) -> pb::SuccessionOutcome {
    let becomes = share.becomes.as_ref();
    pb::SuccessionOutcome {
        agreement: name::of(&share.agreement),
        version: becomes.map_or(0, |becomes| becomes.version),
        content_hash: becomes.map(|becomes| bytes(becomes.content_hash)).unwrap_or_default(),
        content: content.clone(),
        taken: share.taken,
    }
}

fn named(state: &State, agency: AgencyNumber) -> String {
    state.agency(agency).map(|row| name::of(&row.id)).unwrap_or_default()
}

fn bytes(digest: Digest) -> Bytes {
    Bytes::copy_from_slice(digest.as_bytes())
}
