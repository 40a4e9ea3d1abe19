//! `CaseService`: a person's rights exercised, complaints and incidents, each decided by one agency.

use tonic::{Request, Response, Status};

use crate::{
    machine::{
        Receipt,
        outcome::Remembered,
        read::{self, case::Filter},
    },
    model::{
        id::{AliasId, CaseId},
        order::Position,
        violation::Violation,
    },
    node::Node,
    pb::{
        ledger::v1::{CaseKind, Evidence, Signature, command::Kind},
        v1::{self as pb, case_service_server::CaseService},
    },
    service::{
        act::{Done, Envelope, act, required},
        caller::{Caller, open},
        context, name,
        page::Page,
        status,
        time::shown_at,
    },
};

mod report;
mod shown;

/// The service over one node.
#[derive(Clone, Debug)]
pub struct Cases {
    node: Node,
}

/// What every change of a case carries beside its command.
struct Change {
    context: Option<pb::RequestContext>,
    request_id: String,
    signature: Option<Signature>,
    evidence: Option<Evidence>,
    validate_only: bool,
}

impl Cases {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }

    fn one(&self, caller: &Caller, id: CaseId) -> Option<pb::Case> {
        let now = shown_at(&self.node);
        self.node.read(|state| {
            read::case::one(state, caller.viewer(), id).map(|view| shown::case(state, &view, now))
        })
    }

    /// Changes a case; the case after it.
    async fn change(
        &self,
        caller: &Caller,
        change: Change,
        command: (&str, Kind),
    ) -> Result<(Option<pb::Case>, String), Status> {
        let Change { context, request_id, signature, evidence, validate_only } = change;
        let envelope = Envelope { context, request_id, signature, evidence, validate_only };
        let Done { receipt, decision_id } = act(&self.node, caller, envelope, command).await?;
        let case = match receipt {
            Some(Receipt::Answer(Remembered::Case(id))) => self.one(caller, id),
            Some(
                Receipt::Answer(_)
                | Receipt::Published { .. }
                | Receipt::Released(_)
                | Receipt::Opened(_),
            )
            | None => None,
        };
        Ok((case, decision_id))
    }
}

#[tonic::async_trait]
impl CaseService for Cases {
    async fn open_case(
        &self,
        request: Request<pb::OpenCaseRequest>,
    ) -> Result<Response<pb::OpenCaseResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::OpenCaseRequest { context, request_id, open, evidence, validate_only } = message;
        let command = ("open", Kind::OpenCase(required(open, "open")?));
        let change = Change { context, request_id, signature: None, evidence, validate_only };
        let (case, decision_id) = self.change(&caller, change, command).await?;
        Ok(Response::new(pb::OpenCaseResponse { case, decision_id }))
    }

    async fn advance_case(
        &self,
        request: Request<pb::AdvanceCaseRequest>,
    ) -> Result<Response<pb::AdvanceCaseResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::AdvanceCaseRequest { context, request_id, advance, evidence, validate_only } =
            message;
        let command = ("advance", Kind::AdvanceCase(required(advance, "advance")?));
        let change = Change { context, request_id, signature: None, evidence, validate_only };
        let (case, decision_id) = self.change(&caller, change, command).await?;
        Ok(Response::new(pb::AdvanceCaseResponse { case, decision_id }))
    }

    async fn decide_case(
        &self,
        request: Request<pb::DecideCaseRequest>,
    ) -> Result<Response<pb::DecideCaseResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::DecideCaseRequest {
            context,
            request_id,
            decide,
            signature,
            evidence,
            validate_only,
        } = message;
        let command = ("decide", Kind::DecideCase(required(decide, "decide")?));
        let change = Change { context, request_id, signature, evidence, validate_only };
        let (case, decision_id) = self.change(&caller, change, command).await?;
        Ok(Response::new(pb::DecideCaseResponse { case, decision_id }))
    }

    async fn hold_back(
        &self,
        request: Request<pb::HoldBackRequest>,
    ) -> Result<Response<pb::HoldBackResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::HoldBackRequest { context, request_id, hold, evidence, validate_only } = message;
        let command = ("hold", Kind::HoldBack(required(hold, "hold")?));
        let change = Change { context, request_id, signature: None, evidence, validate_only };
        let (case, decision_id) = self.change(&caller, change, command).await?;
        Ok(Response::new(pb::HoldBackResponse { case, decision_id }))
    }

    async fn make_report(
        &self,
        request: Request<pb::MakeReportRequest>,
    ) -> Result<Response<pb::MakeReportResponse>, Status> {
        let (caller, message) = open(request)?;
        self.report(&caller, message).await
    }

    async fn get_case(
        &self,
        request: Request<pb::GetCaseRequest>,
    ) -> Result<Response<pb::GetCaseResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::GetCaseRequest { context, name, reason } = message;
        let _context = context::parse(&self.node, context)?;
        let _reason = context::read_reason(reason)?;
        let id: CaseId = name::parse(&name, "name").map_err(status::violation)?;
        let case = self.one(&caller, id).ok_or_else(|| status::not_available(""))?;
        Ok(Response::new(pb::GetCaseResponse { case: Some(case) }))
    }

    async fn list_cases(
        &self,
        request: Request<pb::ListCasesRequest>,
    ) -> Result<Response<pb::ListCasesResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListCasesRequest { context, client, kind, closed_too, reason, .. } = &message;
        let _context = context::parse(&self.node, context.clone())?;
        let _reason = context::read_reason(*reason)?;
        if CaseKind::try_from(*kind).is_err() {
            let text = "the code is not one of the published ones";
            return Err(status::violation(Violation::new("kind", "UNKNOWN_CODE", text)));
        }
        let named = match client.as_str() {
            "" => None,
            client => Some(name::parse::<AliasId>(client, "client").map_err(status::violation)?),
        };
        let wanted = Filter { client: named, kind: *kind, closed_too: *closed_too };
        let filter = pb::ListCasesRequest {
            client: client.clone(),
            kind: *kind,
            closed_too: *closed_too,
            reason: *reason,
            ..pb::ListCasesRequest::default()
        };
        let rows = (message.page_size, message.page_token.as_str());
        let page = Page::parse(&self.node, &caller, ("ListCases", &filter), rows)?;
        let after = page.after_bytes()?.map(key_of);
        let now = shown_at(&self.node);
        let (cases, next) = self.node.read(|state| {
            let found = read::case::list(state, caller.viewer(), wanted, (after, page.rows_max));
            let cases = found.rows.iter().map(|view| shown::case(state, view, now)).collect();
            (cases, found.next)
        });
        let next_page_token = page.next(&self.node, &caller, next.map(bytes_of));
        Ok(Response::new(pb::ListCasesResponse { cases, next_page_token }))
    }
}

/// The length of a key: a position and an id.
const KEY_BYTES: usize = 24;

fn bytes_of((position, id): (Position, CaseId)) -> Vec<u8> {
    [position.number().to_be_bytes().as_slice(), id.as_bytes()].concat()
}

fn key_of(bytes: [u8; KEY_BYTES]) -> (Position, CaseId) {
    let (mut position, mut id) = ([0; 8], [0; 16]);
    let mut rest = bytes.into_iter();
    for to in position.iter_mut().chain(&mut id) {
        *to = rest.next().unwrap_or_default();
    }
    (Position::new(u64::from_be_bytes(position)), CaseId::from_bytes(id))
}
