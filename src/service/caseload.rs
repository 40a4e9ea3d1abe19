//! `CaseloadService`: clients as an agency knows them, and the caseloads that agencies claim and confirm.

use tonic::{Request, Response, Status};

use crate::{
    machine::{
        Receipt,
        outcome::Remembered,
        read::{self, caseload::View},
    },
    model::{
        id::{AgencyId, AliasId},
        order::Position,
        violation::Violation,
    },
    node::Node,
    pb::{
        ledger::v1::{Identifiers, command::Kind},
        v1::{self as pb, caseload_service_server::CaseloadService},
    },
    service::{
        act::{Done, Envelope, act, done, required},
        caller::{Caller, open},
        context, emergency, name,
        page::Page,
        status,
        time::{shown_at, timestamp},
    },
};

/// The greatest length of an agency's own id of a client, in bytes.
const LOCAL_ID_BYTES_MAX: usize = 64;

/// The service over one node.
#[derive(Clone, Debug)]
pub struct Caseloads {
    node: Node,
}

impl Caseloads {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }

    /// The claim as it is now, unless the request was only checked.
    fn claim(
        &self,
        caller: &Caller,
        done: &Done,
        (client, agency): (&[u8], &AgencyId),
    ) -> Option<pb::Claim> {
        done.receipt.as_ref()?;
        let client = AliasId::from_slice(client).ok()?;
        let now = shown_at(&self.node);
        self.node.read(|state| {
            read::caseload::one(state, caller.viewer(), (client, agency), now).map(message)
        })
    }
}

#[tonic::async_trait]
impl CaseloadService for Caseloads {
    async fn add_client(
        &self,
        request: Request<pb::AddClientRequest>,
    ) -> Result<Response<pb::AddClientResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::AddClientRequest { context, request_id, identifiers, validate_only } = message;
        let identifiers = required(identifiers, "identifiers")?;
        identified(&identifiers).map_err(status::violation)?;
        let asked = context::asked(&self.node, &caller, (context, &request_id), None)?;
        if validate_only {
            return Ok(Response::new(pb::AddClientResponse::default()));
        }
        let outcome = self.node.add_client(&asked, &identifiers).await.map_err(status::failed)?;
        let done = done(&self.node, &caller, asked.request_id, (outcome, "identifiers"))?;
        let client = match done.receipt {
            Some(Receipt::Answer(Remembered::Client(alias))) => name::of(&alias),
            Some(_) | None => {
                return Err(status::internal(&"a client was added without a name"));
            }
        };
        Ok(Response::new(pb::AddClientResponse { client, decision_id: done.decision_id }))
    }

    async fn open_caseload(
        &self,
        request: Request<pb::OpenCaseloadRequest>,
    ) -> Result<Response<pb::OpenCaseloadResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::OpenCaseloadRequest { context, request_id, open, validate_only } = message;
        let open = required(open, "open")?;
        let client = open.client.clone();
        let envelope = Envelope { context, request_id, validate_only, ..Envelope::default() };
        let command = ("open", Kind::OpenCaseload(open));
        let done = act(&self.node, &caller, envelope, command).await?;
        let (_, own) = caller.agency()?;
        let claim = self.claim(&caller, &done, (&client, own));
        Ok(Response::new(pb::OpenCaseloadResponse { claim, decision_id: done.decision_id }))
    }

    async fn confirm_caseload(
        &self,
        request: Request<pb::ConfirmCaseloadRequest>,
    ) -> Result<Response<pb::ConfirmCaseloadResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ConfirmCaseloadRequest { context, request_id, confirm, signature, validate_only } =
            message;
        let confirm = required(confirm, "confirm")?;
        let (client, agency) = (confirm.client.clone(), confirm.agency.clone());
        let envelope =
            Envelope { context, request_id, signature, validate_only, ..Envelope::default() };
        let command = ("confirm", Kind::ConfirmCaseload(confirm));
        let done = act(&self.node, &caller, envelope, command).await?;
        let agency: AgencyId = agency.parse().map_err(status::violation)?;
        let claim = self.claim(&caller, &done, (&client, &agency));
        Ok(Response::new(pb::ConfirmCaseloadResponse { claim, decision_id: done.decision_id }))
    }

    async fn end_caseload(
        &self,
        request: Request<pb::EndCaseloadRequest>,
    ) -> Result<Response<pb::EndCaseloadResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::EndCaseloadRequest { context, request_id, end, validate_only } = message;
        let end = required(end, "end")?;
        let envelope = Envelope { context, request_id, validate_only, ..Envelope::default() };
        let command = ("end", Kind::EndCaseload(end));
        let done = act(&self.node, &caller, envelope, command).await?;
        Ok(Response::new(pb::EndCaseloadResponse { decision_id: done.decision_id }))
    }

    async fn list_caseload(
        &self,
        request: Request<pb::ListCaseloadRequest>,
    ) -> Result<Response<pb::ListCaseloadResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListCaseloadRequest { context, reason, page_size, page_token } = message;
        let _context = context::parse(&self.node, context)?;
        let _reason = context::read_reason(reason)?;
        let filter = pb::ListCaseloadRequest { reason, ..pb::ListCaseloadRequest::default() };
        let list = ("ListCaseload", &filter);
        let page = Page::parse(&self.node, &caller, list, (page_size, &page_token))?;
        let after = page.after_bytes()?.map(AliasId::from_bytes);
        let (claims, next) = self.node.read(|state| {
            let found = read::caseload::own(state, caller.viewer(), after, page.rows_max);
            (found.rows.into_iter().map(self::message).collect(), found.next)
        });
        let next = next.map(|alias| alias.as_bytes().to_vec());
        let next_page_token = page.next(&self.node, &caller, next);
        Ok(Response::new(pb::ListCaseloadResponse { claims, next_page_token }))
    }

    async fn list_claims(
        &self,
        request: Request<pb::ListClaimsRequest>,
    ) -> Result<Response<pb::ListClaimsResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListClaimsRequest { context, reason, page_size, page_token } = message;
        let _context = context::parse(&self.node, context)?;
        let _reason = context::read_reason(reason)?;
        let filter = pb::ListClaimsRequest { reason, ..pb::ListClaimsRequest::default() };
        let list = ("ListClaims", &filter);
        let page = Page::parse(&self.node, &caller, list, (page_size, &page_token))?;
        let after = page.after_bytes()?.map(u64::from_be_bytes).map(Position::new);
        let now = shown_at(&self.node);
        let (claims, next) = self.node.read(|state| {
            let rows = (after, page.rows_max);
            let found = read::caseload::awaiting(state, caller.viewer(), rows, now);
            (found.rows.into_iter().map(self::message).collect(), found.next)
        });
        let next = next.map(|position| position.number().to_be_bytes().to_vec());
        let next_page_token = page.next(&self.node, &caller, next);
        Ok(Response::new(pb::ListClaimsResponse { claims, next_page_token }))
    }
}

/// Holds that identifiers can identify somebody.
fn identified(identifiers: &Identifiers) -> Result<(), Violation> {
    let Identifiers { local_id, scn, person } = identifiers;
    if local_id.is_empty() && scn.is_empty() {
        let text = "give at least one identifier of the client";
        return Err(Violation::new("identifiers", "MISSING", text));
    }
    if LOCAL_ID_BYTES_MAX < local_id.len() {
        let text = "an agency's own id of a client has at most 64 bytes";
        return Err(Violation::new("identifiers.local_id", "OUT_OF_RANGE", text));
    }
    if !scn.is_empty() {
        let _scn: crate::model::identifier::scn::Scn =
            scn.parse().map_err(|violation: Violation| violation.inside("identifiers.scn"))?;
    }
    if let Some(person) = person {
        emergency::person(person).map_err(|violation| violation.inside("identifiers.person"))?;
    }
    Ok(())
}

fn message(view: View<'_>) -> pb::Claim {
    let View { client, agency, confirmer, case } = view;
    let state = match confirmer {
        Some(_) => pb::ClaimState::Confirmed,
        None => pb::ClaimState::Open,
    };
    pb::Claim {
        client: name::of(&client),
        agency: name::of(agency),
        state: i32::from(state),
        confirmer: confirmer.map(name::of).unwrap_or_default(),
        opened_time: Some(timestamp(case.opened_at)),
        confirmed_time: case.confirmed_at.map(timestamp),
    }
}
