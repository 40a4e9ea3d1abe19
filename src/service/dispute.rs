//! `DisputeService`: a recipient doubts a field, and the publisher answers by a date.

use tonic::{Request, Response, Status};

use crate::{
    machine::{
        Receipt,
        outcome::Remembered,
        read::{self, dispute::View},
    },
    model::{
        id::{DisputeId, GroupName, RecordId},
        order::{Position, UnixMillis},
        violation::Violation,
    },
    node::Node,
    pb::{
        ledger::v1::{OpenDispute, command::Kind},
        v1::{self as pb, dispute_service_server::DisputeService},
    },
    record::registry::RecordType,
    service::{
        act::{Done, Envelope, act, required},
        caller::{Caller, open},
        context, name,
        page::Page,
        status,
        time::{shown_at, timestamp},
    },
};

/// The service over one node.
#[derive(Clone, Debug)]
pub struct Disputes {
    node: Node,
}

impl Disputes {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }

    fn one(&self, caller: &Caller, id: DisputeId) -> Option<pb::Dispute> {
        let now = shown_at(&self.node);
        self.node.read(|state| {
            read::dispute::one(state, caller.viewer(), id).map(|view| message(&view, now))
        })
    }

    /// The dispute that was opened.
    fn opened(&self, caller: &Caller, done: &Done) -> Option<pb::Dispute> {
        match done.receipt {
            Some(Receipt::Answer(Remembered::Dispute(id))) => self.one(caller, id),
            Some(
                Receipt::Answer(_)
                | Receipt::Published { .. }
                | Receipt::Released(_)
                | Receipt::Opened(_),
            )
            | None => None,
        }
    }

    /// Holds that the path is one of the fields of its group, if the exchange knows the record's type. A record that
    /// the caller does not know of is asked for no path.
    fn known_field(&self, caller: &Caller, open: &OpenDispute) -> Result<(), Status> {
        if open.field.is_empty() {
            return Ok(());
        }
        let record = RecordId::from_slice(&open.record).ok();
        let named = self.node.read(|state| {
            let row = state.record(record?)?;
            let sent = (row.first, caller.viewer().agency()?);
            let _sent = state.tables().disclosures.get(&sent)?;
            Some(state.record_type(row.record_type)?.name.clone())
        });
        let known = named.as_ref().and_then(|name| self.node.registry().record_type(name));
        let group = open.group.parse().ok();
        match known.zip(group) {
            Some((known, group)) if !has_field(known, &group, &open.field) => {
                let text = "the group has no field of this path; see the record type's .proto file";
                Err(status::violation(Violation::new("open.field", "UNKNOWN_FIELD", text)))
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[tonic::async_trait]
impl DisputeService for Disputes {
    async fn open_dispute(
        &self,
        request: Request<pb::OpenDisputeRequest>,
    ) -> Result<Response<pb::OpenDisputeResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::OpenDisputeRequest { context, request_id, open, evidence, validate_only } = message;
        let open = required(open, "open")?;
        self.known_field(&caller, &open)?;
        let envelope =
            Envelope { context, request_id, evidence, validate_only, ..Envelope::default() };
        let command = ("open", Kind::OpenDispute(open));
        let done = act(&self.node, &caller, envelope, command).await?;
        let dispute = self.opened(&caller, &done);
        Ok(Response::new(pb::OpenDisputeResponse { dispute, decision_id: done.decision_id }))
    }

    async fn answer_dispute(
        &self,
        request: Request<pb::AnswerDisputeRequest>,
    ) -> Result<Response<pb::AnswerDisputeResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::AnswerDisputeRequest { context, request_id, answer, evidence, validate_only } =
            message;
        let answer = required(answer, "answer")?;
        let id = DisputeId::from_slice(&answer.dispute).ok();
        let envelope =
            Envelope { context, request_id, evidence, validate_only, ..Envelope::default() };
        let command = ("answer", Kind::AnswerDispute(answer));
        let done = act(&self.node, &caller, envelope, command).await?;
        let shown = id.filter(|_| done.receipt.is_some());
        let dispute = shown.and_then(|id| self.one(&caller, id));
        Ok(Response::new(pb::AnswerDisputeResponse { dispute, decision_id: done.decision_id }))
    }

    async fn list_disputes(
        &self,
        request: Request<pb::ListDisputesRequest>,
    ) -> Result<Response<pb::ListDisputesResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListDisputesRequest { context, published, answered_too, page_size, page_token } =
            message;
        let _context = context::parse(&self.node, context)?;
        let filter = pb::ListDisputesRequest {
            published,
            answered_too,
            ..pb::ListDisputesRequest::default()
        };
        let page =
            Page::parse(&self.node, &caller, ("ListDisputes", &filter), (page_size, &page_token))?;
        let after = page.after_bytes()?.map(key_of);
        let now = shown_at(&self.node);
        let (disputes, next) = self.node.read(|state| {
            let (wanted, rows) = ((published, answered_too), (after, page.rows_max));
            let found = read::dispute::list(state, caller.viewer(), wanted, rows);
            (found.rows.iter().map(|view| self::message(view, now)).collect(), found.next)
        });
        let next_page_token = page.next(&self.node, &caller, next.map(bytes_of));
        Ok(Response::new(pb::ListDisputesResponse { disputes, next_page_token }))
    }
}

/// Whether a group of a record type has a field of this path.
fn has_field(known: &RecordType, group: &GroupName, path: &str) -> bool {
    let mut steps = path.split('.');
    let top = steps.next().unwrap_or_default();
    if !known.fields().iter().any(|field| field.name() == top && field.group() == group) {
        return false;
    }
    let first = known.descriptor().get_field_by_name(top);
    let last = steps.fold(first, |field, step| {
        field?.kind().as_message().and_then(|inner| inner.get_field_by_name(step))
    });
    last.is_some()
}

/// The length of a key: a position and an id.
const KEY_BYTES: usize = 24;

fn bytes_of((position, id): (Position, DisputeId)) -> Vec<u8> {
    [position.number().to_be_bytes().as_slice(), id.as_bytes()].concat()
}

fn key_of(bytes: [u8; KEY_BYTES]) -> (Position, DisputeId) {
    let (mut position, mut id) = ([0; 8], [0; 16]);
    let mut rest = bytes.into_iter();
    for to in position.iter_mut().chain(&mut id) {
        *to = rest.next().unwrap_or_default();
    }
    (Position::new(u64::from_be_bytes(position)), DisputeId::from_bytes(id))
}

fn message(view: &View<'_>, now: UnixMillis) -> pb::Dispute {
    let View { id, dispute, record_type, client, publisher, recipient, group } = view;
    let answer = dispute.answer.as_ref();
    pb::Dispute {
        name: name::of(id),
        record: name::of(&dispute.record),
        record_type: record_type.name.to_string(),
        client: name::of(client),
        publisher: name::of(*publisher),
        recipient: name::of(*recipient),
        group: group.to_string(),
        field: dispute.field.clone(),
        reason: dispute.reason,
        opened_time: Some(timestamp(dispute.opened_at)),
        due_time: Some(timestamp(dispute.due_at)),
        answer: answer.map_or(0, |answer| answer.answer),
        keep_reason: answer.map_or(0, |answer| answer.keep_reason),
        answered_time: answer.map(|answer| timestamp(answer.at)),
        overdue: answer.is_none() && dispute.due_at < now,
    }
}
