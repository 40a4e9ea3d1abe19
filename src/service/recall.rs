//! `RecallService`: a publisher takes back what was wrong, and every past recipient answers what it did.

use tonic::{Request, Response, Status};

use crate::{
    ledger::{Fault, checkpoint::sign_note},
    machine::read::{
        self, Viewer,
        recall::{Key, View},
    },
    model::{
        id::{RecallId, RecordId},
        order::Position,
    },
    node::Node,
    pb::{
        ledger::v1::command::Kind,
        v1::{self as pb, recall_service_server::RecallService},
    },
    service::{
        act::{Envelope, act, required},
        caller::{Caller, open},
        context, name,
        page::Page,
        status,
        time::{shown_at, timestamp},
    },
};

/// The service over one node.
#[derive(Clone, Debug)]
pub struct Recalls {
    node: Node,
}

impl Recalls {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }

    /// A record of the caller's, by its name.
    fn own(&self, caller: &Caller, text: &str) -> Result<RecordId, Status> {
        let record: RecordId = name::parse(text, "record").map_err(status::violation)?;
        let first = self.node.read(|state| {
            read::recall::own_record(state, caller.viewer(), record).map(|(first, _, _)| first)
        });
        first.ok_or_else(|| status::not_available(""))
    }
}

/// Recalls as their recipient sees them. Those that are not there any more are left out.
pub(super) fn messages(node: &Node, viewer: Viewer, recalls: &[RecallId]) -> Vec<pb::Recall> {
    node.read(|state| {
        let shown = |id: &RecallId| read::recall::one(state, viewer, *id).as_ref().map(message);
        recalls.iter().filter_map(shown).collect()
    })
}

/// The recalls that were not put before the caller yet, put before it now.
pub(super) async fn pulled(node: &Node, caller: &Caller) -> Result<Vec<pb::Recall>, Fault> {
    let Some(number) = caller.viewer().agency() else { return Ok(Vec::new()) };
    if node.waiting_recalls(number).is_empty() {
        return Ok(Vec::new());
    }
    node.settle_not_sent().await?;
    let recalls = node.waiting_recalls(number);
    hand_over(node, caller, &recalls).await?;
    Ok(messages(node, caller.viewer(), &recalls))
}

async fn hand_over(node: &Node, caller: &Caller, recalls: &[RecallId]) -> Result<(), Fault> {
    match caller {
        Caller::Agency { id, .. } => node.hand_over(id, recalls).await,
        Caller::None | Caller::Unregistered { .. } | Caller::Operator { .. } => Ok(()),
    }
}

#[tonic::async_trait]
impl RecallService for Recalls {
    async fn retract_record(
        &self,
        request: Request<pb::RetractRecordRequest>,
    ) -> Result<Response<pb::RetractRecordResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::RetractRecordRequest { context, request_id, retract, validate_only } = message;
        let retract = required(retract, "retract")?;
        let record = RecordId::from_slice(&retract.record).ok();
        let envelope = Envelope { context, request_id, validate_only, ..Envelope::default() };
        let command = ("retract", Kind::RetractRecord(retract));
        let done = act(&self.node, &caller, envelope, command).await?;
        let latest = record.filter(|_| done.receipt.is_some()).and_then(|record| {
            self.node.read(|state| {
                let own = read::recall::own_record(state, caller.viewer(), record);
                own.map(|(_, latest, _)| name::of(&latest))
            })
        });
        let record = latest.unwrap_or_default();
        Ok(Response::new(pb::RetractRecordResponse { record, decision_id: done.decision_id }))
    }

    async fn list_recalls(
        &self,
        request: Request<pb::ListRecallsRequest>,
    ) -> Result<Response<pb::ListRecallsResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListRecallsRequest { context, acknowledged_too, page_size, page_token } = message;
        let _context = context::parse(&self.node, context)?;
        let filter =
            pb::ListRecallsRequest { acknowledged_too, ..pb::ListRecallsRequest::default() };
        let page =
            Page::parse(&self.node, &caller, ("ListRecalls", &filter), (page_size, &page_token))?;
        let after = page.after_bytes()?.map(key_of);
        self.node.settle_not_sent().await.map_err(|fault| status::faulty(&fault))?;
        let (ids, next) = self.node.read(|state| {
            let rows = (after, page.rows_max);
            let found = read::recall::inbox(state, caller.viewer(), acknowledged_too, rows);
            let ids: Vec<_> = found.rows.iter().map(|view| view.id).collect();
            (ids, found.next)
        });
        hand_over(&self.node, &caller, &ids).await.map_err(|fault| status::faulty(&fault))?;
        let recalls = messages(&self.node, caller.viewer(), &ids);
        let next_page_token = page.next(&self.node, &caller, next.map(bytes_of));
        Ok(Response::new(pb::ListRecallsResponse { recalls, next_page_token }))
    }

    async fn acknowledge_recall(
        &self,
        request: Request<pb::AcknowledgeRecallRequest>,
    ) -> Result<Response<pb::AcknowledgeRecallResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::AcknowledgeRecallRequest { context, request_id, acknowledge, validate_only } =
            message;
        let acknowledge = required(acknowledge, "acknowledge")?;
        let id = RecallId::from_slice(&acknowledge.recall).ok();
        let envelope = Envelope { context, request_id, validate_only, ..Envelope::default() };
        let command = ("acknowledge", Kind::AcknowledgeRecall(acknowledge));
        let done = act(&self.node, &caller, envelope, command).await?;
        let shown = id.filter(|_| done.receipt.is_some());
        let recall =
            shown.and_then(|id| messages(&self.node, caller.viewer(), &[id]).into_iter().next());
        Ok(Response::new(pb::AcknowledgeRecallResponse { recall, decision_id: done.decision_id }))
    }

    async fn list_issued_recalls(
        &self,
        request: Request<pb::ListIssuedRecallsRequest>,
    ) -> Result<Response<pb::ListIssuedRecallsResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListIssuedRecallsRequest {
            context,
            record,
            acknowledged_too,
            page_size,
            page_token,
        } = message;
        let _context = context::parse(&self.node, context)?;
        let first = match record.as_str() {
            "" => None,
            text => Some(self.own(&caller, text)?),
        };
        let filter = pb::ListIssuedRecallsRequest {
            record,
            acknowledged_too,
            ..pb::ListIssuedRecallsRequest::default()
        };
        let list = ("ListIssuedRecalls", &filter);
        let page = Page::parse(&self.node, &caller, list, (page_size, &page_token))?;
        let after = page.after_bytes()?.map(key_of);
        let (recalls, next) = self.node.read(|state| {
            let (wanted, rows) = ((first, acknowledged_too), (after, page.rows_max));
            let found = read::recall::issued(state, caller.viewer(), wanted, rows);
            (found.rows.iter().map(self::message).collect(), found.next)
        });
        let next_page_token = page.next(&self.node, &caller, next.map(bytes_of));
        Ok(Response::new(pb::ListIssuedRecallsResponse { recalls, next_page_token }))
    }

    async fn get_disposal_certificate(
        &self,
        request: Request<pb::GetDisposalCertificateRequest>,
    ) -> Result<Response<pb::GetDisposalCertificateResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::GetDisposalCertificateRequest { context, record } = message;
        let _context = context::parse(&self.node, context)?;
        let record: RecordId = name::parse(&record, "record").map_err(status::violation)?;
        let now = shown_at(&self.node);
        let (origin, stated) = self.node.read(|state| {
            let origin = format!("concordat-disposal/{}", state.ledger());
            let stated = read::recall::disposal(state, caller.viewer(), record, (&origin, now));
            (origin, stated)
        });
        let (text, outstanding_count) = stated.ok_or_else(|| status::not_available(""))?;
        let key = self.node.checkpoint_key().map_err(|fault| status::faulty(&fault))?;
        let certificate = sign_note(&text, &origin, &key);
        let answer = pb::GetDisposalCertificateResponse { certificate, outstanding_count };
        Ok(Response::new(answer))
    }
}

/// The length of a key: a position and an id.
const KEY_BYTES: usize = 24;

fn bytes_of((position, id): Key) -> Vec<u8> {
    [position.number().to_be_bytes().as_slice(), id.as_bytes()].concat()
}

fn key_of(bytes: [u8; KEY_BYTES]) -> Key {
    let (mut position, mut id) = ([0; 8], [0; 16]);
    let mut rest = bytes.into_iter();
    for to in position.iter_mut().chain(&mut id) {
        *to = rest.next().unwrap_or_default();
    }
    (Position::new(u64::from_be_bytes(position)), RecallId::from_bytes(id))
}

pub(super) fn message(view: &View<'_>) -> pb::Recall {
    let View { id, recall, record_type, client, publisher, recipient, groups } = view;
    let answer = recall.answer.as_ref();
    let ended = recall.ended.as_ref();
    pb::Recall {
        name: name::of(id),
        record: name::of(&recall.record),
        record_type: record_type.name.to_string(),
        client: name::of(client),
        publisher: name::of(*publisher),
        recipient: name::of(*recipient),
        reason: recall.reason,
        field_groups: groups.iter().map(ToString::to_string).collect(),
        issued_time: Some(timestamp(recall.issued_at)),
        handed_over_time: recall.handed_over.map(timestamp),
        act: answer.map_or(0, |answer| answer.act),
        ground: answer.map_or(0, |answer| answer.ground),
        acknowledged_time: answer.map(|answer| timestamp(answer.at)),
        agreement: ended.map(|ended| name::of(&ended.agreement)).unwrap_or_default(),
        disposal: ended.map_or(0, |ended| ended.disposal),
    }
}
