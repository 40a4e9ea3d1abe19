//! `DisposalService`: a controller erases what it published, holds what must be kept, and gets proof of what is gone.

use tonic::{Request, Response, Status};

use crate::{
    ledger::checkpoint::sign_note,
    machine::{
        Receipt,
        outcome::Remembered,
        read::{
            self,
            erasure::{HoldView, View},
        },
    },
    model::{
        id::{ErasureId, HoldId},
        order::Position,
    },
    node::Node,
    pb::{
        ledger::v1::command::Kind,
        v1::{self as pb, disposal_service_server::DisposalService},
    },
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
pub struct Disposals {
    node: Node,
}

impl Disposals {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }

    fn erasure(&self, caller: &Caller, id: ErasureId) -> Option<pb::Erasure> {
        let viewer = caller.viewer();
        self.node.read(|state| read::erasure::one(state, viewer, id).as_ref().map(message))
    }

    /// The hold that a request placed or lifted.
    fn hold(&self, caller: &Caller, done: &Done) -> Option<pb::Hold> {
        let viewer = caller.viewer();
        match done.receipt {
            Some(Receipt::Answer(Remembered::Hold(id))) => self
                .node
                .read(|state| read::erasure::hold(state, viewer, id).as_ref().map(hold_message)),
            Some(
                Receipt::Answer(_)
                | Receipt::Published { .. }
                | Receipt::Released(_)
                | Receipt::Opened(_),
            )
            | None => None,
        }
    }
}

#[tonic::async_trait]
impl DisposalService for Disposals {
    async fn erase_records(
        &self,
        request: Request<pb::EraseRecordsRequest>,
    ) -> Result<Response<pb::EraseRecordsResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::EraseRecordsRequest { context, request_id, erase, signature, validate_only } =
            message;
        let erase = required(erase, "erase")?;
        let envelope =
            Envelope { context, request_id, signature, validate_only, ..Envelope::default() };
        let done = act(&self.node, &caller, envelope, ("erase", Kind::EraseRecords(erase))).await?;
        let erasure = match done.receipt {
            // As it was begun: how far the work has come since is told by those who ask.
            Some(Receipt::Answer(Remembered::Erasure(id))) => self.erasure(&caller, id).map(begun),
            Some(
                Receipt::Answer(_)
                | Receipt::Published { .. }
                | Receipt::Released(_)
                | Receipt::Opened(_),
            )
            | None => None,
        };
        Ok(Response::new(pb::EraseRecordsResponse { erasure, decision_id: done.decision_id }))
    }

    async fn get_erasure(
        &self,
        request: Request<pb::GetErasureRequest>,
    ) -> Result<Response<pb::GetErasureResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::GetErasureRequest { context, name } = message;
        let _context = context::parse(&self.node, context)?;
        let id: ErasureId = name::parse(&name, "name").map_err(status::violation)?;
        let erasure = self.erasure(&caller, id).ok_or_else(|| status::not_available(""))?;
        let now = shown_at(&self.node);
        let (origin, stated) = self.node.read(|state| {
            let origin = format!("concordat-erasure/{}", state.ledger());
            let viewer = caller.viewer();
            let stated = read::erasure::certificate(state, viewer, id, (&origin, now));
            (origin, stated)
        });
        let certificate = match stated {
            Some(text) => {
                let key = self.node.checkpoint_key().map_err(|fault| status::faulty(&fault))?;
                sign_note(&text, &origin, &key)
            }
            None => String::new(),
        };
        Ok(Response::new(pb::GetErasureResponse { erasure: Some(erasure), certificate }))
    }

    async fn list_erasures(
        &self,
        request: Request<pb::ListErasuresRequest>,
    ) -> Result<Response<pb::ListErasuresResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListErasuresRequest { context, in_progress_only, page_size, page_token } = message;
        let _context = context::parse(&self.node, context)?;
        let filter =
            pb::ListErasuresRequest { in_progress_only, ..pb::ListErasuresRequest::default() };
        let list = ("ListErasures", &filter);
        let page = Page::parse(&self.node, &caller, list, (page_size, &page_token))?;
        let after = page.after_bytes()?.map(|bytes| {
            let (position, id) = key_of(bytes);
            (position, ErasureId::from_bytes(id))
        });
        let (erasures, next) = self.node.read(|state| {
            let rows = (after, page.rows_max);
            let found = read::erasure::list(state, caller.viewer(), in_progress_only, rows);
            (found.rows.iter().map(self::message).collect(), found.next)
        });
        let next = next.map(|(position, id)| bytes_of(position, id.as_bytes()));
        let next_page_token = page.next(&self.node, &caller, next);
        Ok(Response::new(pb::ListErasuresResponse { erasures, next_page_token }))
    }

    async fn place_hold(
        &self,
        request: Request<pb::PlaceHoldRequest>,
    ) -> Result<Response<pb::PlaceHoldResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::PlaceHoldRequest { context, request_id, place, validate_only } = message;
        let place = required(place, "place")?;
        let envelope = Envelope { context, request_id, validate_only, ..Envelope::default() };
        let done = act(&self.node, &caller, envelope, ("place", Kind::PlaceHold(place))).await?;
        let hold = self.hold(&caller, &done);
        Ok(Response::new(pb::PlaceHoldResponse { hold, decision_id: done.decision_id }))
    }

    async fn lift_hold(
        &self,
        request: Request<pb::LiftHoldRequest>,
    ) -> Result<Response<pb::LiftHoldResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::LiftHoldRequest { context, request_id, lift, signature, validate_only } = message;
        let lift = required(lift, "lift")?;
        let envelope =
            Envelope { context, request_id, signature, validate_only, ..Envelope::default() };
        let done = act(&self.node, &caller, envelope, ("lift", Kind::LiftHold(lift))).await?;
        let hold = self.hold(&caller, &done);
        Ok(Response::new(pb::LiftHoldResponse { hold, decision_id: done.decision_id }))
    }

    async fn list_holds(
        &self,
        request: Request<pb::ListHoldsRequest>,
    ) -> Result<Response<pb::ListHoldsResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListHoldsRequest { context, lifted_too, page_size, page_token } = message;
        let _context = context::parse(&self.node, context)?;
        let filter = pb::ListHoldsRequest { lifted_too, ..pb::ListHoldsRequest::default() };
        let page =
            Page::parse(&self.node, &caller, ("ListHolds", &filter), (page_size, &page_token))?;
        let after = page.after_bytes()?.map(|bytes| {
            let (position, id) = key_of(bytes);
            (position, HoldId::from_bytes(id))
        });
        let (holds, next) = self.node.read(|state| {
            let rows = (after, page.rows_max);
            let found = read::erasure::holds(state, caller.viewer(), lifted_too, rows);
            (found.rows.iter().map(hold_message).collect(), found.next)
        });
        let next = next.map(|(position, id)| bytes_of(position, id.as_bytes()));
        let next_page_token = page.next(&self.node, &caller, next);
        Ok(Response::new(pb::ListHoldsResponse { holds, next_page_token }))
    }
}

/// The length of a key: a position and an id.
const KEY_BYTES: usize = 24;

fn bytes_of(position: Position, id: &[u8; 16]) -> Vec<u8> {
    [position.number().to_be_bytes().as_slice(), id].concat()
}

fn key_of(bytes: [u8; KEY_BYTES]) -> (Position, [u8; 16]) {
    let (mut position, mut id) = ([0; 8], [0; 16]);
    let mut rest = bytes.into_iter();
    for to in position.iter_mut().chain(&mut id) {
        *to = rest.next().unwrap_or_default();
    }
    (Position::new(u64::from_be_bytes(position)), id)
}

fn message(view: &View<'_>) -> pb::Erasure {
    let View { id, erasure, client, outstanding } = view;
    let state = match erasure.completed_at {
        None => pb::ErasureState::InProgress,
        Some(_) => pb::ErasureState::Complete,
    };
    pb::Erasure {
        name: name::of(id),
        client: client.as_ref().map(name::of).unwrap_or_default(),
        records: erasure.records.iter().map(name::of).collect(),
        ground: erasure.ground,
        state: i32::from(state),
        versions_count: erasure.versions,
        attachments_count: erasure.attachments,
        keys_count: u32::try_from(erasure.keys.len()).unwrap_or(u32::MAX),
        outstanding_count: *outstanding,
        asked_time: Some(timestamp(erasure.asked_at)),
        completed_time: erasure.completed_at.map(timestamp),
    }
}

fn begun(erasure: pb::Erasure) -> pb::Erasure {
    let state = i32::from(pb::ErasureState::InProgress);
    pb::Erasure { state, attachments_count: 0, completed_time: None, ..erasure }
}

fn hold_message(view: &HoldView<'_>) -> pb::Hold {
    let HoldView { id, hold, client } = view;
    pb::Hold {
        name: name::of(id),
        client: name::of(client),
        record: hold.record.as_ref().map(name::of).unwrap_or_default(),
        ground: hold.ground,
        placed_time: Some(timestamp(hold.placed_at)),
        lifted_time: hold.lifted_at.map(timestamp),
    }
}
