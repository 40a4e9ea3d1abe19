//! `SubscriptionService`: what an agency wants to receive, how far it has come, and what is parked.

use tonic::{Request, Response, Status};

use crate::{
    machine::{
        read::{
            self, Viewer,
            subscription::{ParkedKey, ParkedView, Side, View},
        },
        state::{State, subscription::SubscriptionNumber},
    },
    model::{
        id::{AgencyId, RecordId, SubscriptionId},
        order::UnixMillis,
        violation::Violation,
    },
    node::Node,
    pb::{
        ledger::v1::{self as ledger, command::Kind},
        v1::{
            self as pb, list_parked_request, seek_subscription_request,
            subscription_service_server::SubscriptionService,
        },
    },
    service::{
        act::{Done, Envelope, act, required},
        caller::{Caller, open},
        context, name,
        page::{self, Page},
        status,
        time::timestamp,
    },
};

/// The service over one node.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    node: Node,
}

impl Subscriptions {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }

    fn one(
        &self,
        caller: &Caller,
        (owner, id): (&AgencyId, &SubscriptionId),
    ) -> Option<pb::Subscription> {
        self.node.read(|state| {
            read::subscription::one(state, caller.viewer(), (owner, id))
                .map(|view| message(&self.node, &view))
        })
    }

    /// The caller's subscription as it is now, unless the request was only checked.
    fn shown(
        &self,
        caller: &Caller,
        done: &Done,
        id: Option<SubscriptionId>,
    ) -> Option<pb::Subscription> {
        done.receipt.as_ref()?;
        let (_, owner) = caller.agency().ok()?;
        self.one(caller, (owner, &id?))
    }

    /// The id in the name of one of the caller's own.
    fn own(&self, caller: &Caller, text: &str, field: &str) -> Result<SubscriptionId, Status> {
        let (owner, id) = name::parse_owned(text, field).map_err(status::violation)?;
        match self.one(caller, (&owner, &id)) {
            Some(_) => Ok(id),
            None => Err(status::not_available("")),
        }
    }
}

#[tonic::async_trait]
impl SubscriptionService for Subscriptions {
    async fn create_subscription(
        &self,
        request: Request<pb::CreateSubscriptionRequest>,
    ) -> Result<Response<pb::CreateSubscriptionResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::CreateSubscriptionRequest { context, request_id, create, validate_only } = message;
        let create = required(create, "create")?;
        let id = create.subscription.parse().ok();
        let envelope = Envelope { context, request_id, validate_only, ..Envelope::default() };
        let command = ("create", Kind::CreateSubscription(create));
        let done = act(&self.node, &caller, envelope, command).await?;
        let subscription = self.shown(&caller, &done, id);
        let decision_id = done.decision_id;
        Ok(Response::new(pb::CreateSubscriptionResponse { subscription, decision_id }))
    }

    async fn remove_subscription(
        &self,
        request: Request<pb::RemoveSubscriptionRequest>,
    ) -> Result<Response<pb::RemoveSubscriptionResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::RemoveSubscriptionRequest { context, request_id, remove, validate_only } = message;
        let remove = required(remove, "remove")?;
        let envelope = Envelope { context, request_id, validate_only, ..Envelope::default() };
        let command = ("remove", Kind::RemoveSubscription(remove));
        let done = act(&self.node, &caller, envelope, command).await?;
        Ok(Response::new(pb::RemoveSubscriptionResponse { decision_id: done.decision_id }))
    }

    async fn seek_subscription(
        &self,
        request: Request<pb::SeekSubscriptionRequest>,
    ) -> Result<Response<pb::SeekSubscriptionResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::SeekSubscriptionRequest { context, request_id, name, place, validate_only } =
            message;
        let id = self.own(&caller, &name, "name")?;
        let (_, owner) = caller.agency()?;
        let after_delivery = match place.ok_or_else(|| status::missing("place"))? {
            seek_subscription_request::Place::AfterCursor(cursor) => {
                self.node.delivery_of(owner, &id, &cursor).map_err(|_| status::cursor_invalid())?
            }
            seek_subscription_request::Place::Beginning(true) => 0,
            seek_subscription_request::Place::Beginning(false) => {
                return Err(only_true("beginning"));
            }
        };
        let seek = ledger::SeekSubscription { subscription: id.to_string(), after_delivery };
        let envelope = Envelope { context, request_id, validate_only, ..Envelope::default() };
        let command = ("place", Kind::SeekSubscription(seek));
        let done = act(&self.node, &caller, envelope, command).await?;
        let subscription = self.shown(&caller, &done, Some(id));
        let decision_id = done.decision_id;
        Ok(Response::new(pb::SeekSubscriptionResponse { subscription, decision_id }))
    }

    async fn get_subscription(
        &self,
        request: Request<pb::GetSubscriptionRequest>,
    ) -> Result<Response<pb::GetSubscriptionResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::GetSubscriptionRequest { context, name: text } = message;
        let _context = context::parse(&self.node, context)?;
        let (owner, id) = name::parse_owned(&text, "name").map_err(status::violation)?;
        let subscription =
            self.one(&caller, (&owner, &id)).ok_or_else(|| status::not_available(""))?;
        Ok(Response::new(pb::GetSubscriptionResponse { subscription: Some(subscription) }))
    }

    async fn list_subscriptions(
        &self,
        request: Request<pb::ListSubscriptionsRequest>,
    ) -> Result<Response<pb::ListSubscriptionsResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListSubscriptionsRequest { context, page_size, page_token } = message;
        let _context = context::parse(&self.node, context)?;
        let list = ("ListSubscriptions", &page::NO_FILTER);
        let page = Page::parse(&self.node, &caller, list, (page_size, &page_token))?;
        let after: Option<SubscriptionId> = page.after_slug()?;
        let (subscriptions, next) = self.node.read(|state| {
            let found =
                read::subscription::list(state, caller.viewer(), after.as_ref(), page.rows_max);
            (found.rows.iter().map(|view| self::message(&self.node, view)).collect(), found.next)
        });
        let next = next.map(|id| id.as_str().as_bytes().to_vec());
        let next_page_token = page.next(&self.node, &caller, next);
        Ok(Response::new(pb::ListSubscriptionsResponse { subscriptions, next_page_token }))
    }

    async fn list_parked(
        &self,
        request: Request<pb::ListParkedRequest>,
    ) -> Result<Response<pb::ListParkedResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListParkedRequest { context, view, page_size, page_token } = message;
        let _context = context::parse(&self.node, context)?;
        let filter =
            pb::ListParkedRequest { view: view.clone(), ..pb::ListParkedRequest::default() };
        let side = match view.ok_or_else(|| status::missing("view"))? {
            list_parked_request::View::Subscription(text) => {
                let (owner, id) =
                    name::parse_owned(&text, "subscription").map_err(status::violation)?;
                let number =
                    self.node.read(|state| number_of(state, caller.viewer(), (&owner, &id)));
                Side::At(number.ok_or_else(|| status::not_available(""))?)
            }
            list_parked_request::View::Published(true) => Side::Published,
            list_parked_request::View::Published(false) => return Err(only_true("published")),
        };
        let list = ("ListParked", &filter);
        let page = Page::parse(&self.node, &caller, list, (page_size, &page_token))?;
        let after = page.after_bytes()?.map(key_of);
        let (parked, next) = self.node.read(|state| {
            let rows = (after, page.rows_max);
            let found = read::subscription::parked(state, caller.viewer(), side, rows);
            (found.rows.iter().map(parked_message).collect(), found.next)
        });
        let next_page_token = page.next(&self.node, &caller, next.map(|key| bytes_of(&key)));
        Ok(Response::new(pb::ListParkedResponse { parked, next_page_token }))
    }
}

fn number_of(
    state: &State,
    viewer: Viewer,
    named: (&AgencyId, &SubscriptionId),
) -> Option<SubscriptionNumber> {
    read::subscription::one(state, viewer, named).map(|view| view.number)
}

fn only_true(field: &str) -> Status {
    status::violation(Violation::new(field, "ONLY_TRUE", "say `true`, or give the other choice"))
}

/// The length of a key: a time, a record and a place.
const KEY_BYTES: usize = 28;

fn bytes_of((at, record, place): &ParkedKey) -> Vec<u8> {
    [at.millis().to_be_bytes().as_slice(), record.as_bytes(), &place.to_be_bytes()].concat()
}

fn key_of(bytes: [u8; KEY_BYTES]) -> ParkedKey {
    let (mut at, mut record, mut place) = ([0; 8], [0; 16], [0; 4]);
    let mut rest = bytes.into_iter();
    for to in at.iter_mut().chain(&mut record).chain(&mut place) {
        *to = rest.next().unwrap_or_default();
    }
    let at = UnixMillis::new(u64::from_be_bytes(at));
    (at, RecordId::from_bytes(record), u32::from_be_bytes(place))
}

fn message(node: &Node, view: &View<'_>) -> pb::Subscription {
    let View { owner, number, subscription, types, parked } = view;
    pb::Subscription {
        name: name::of_owned(owner, &subscription.id),
        record_types: types.iter().map(|known| known.name.to_string()).collect(),
        created_time: Some(timestamp(subscription.created_at)),
        released_count: subscription.next_delivery.saturating_sub(1),
        acknowledged_count: subscription.acknowledged,
        outstanding_count: u32::try_from(subscription.outstanding()).unwrap_or(u32::MAX),
        parked_count: u32::try_from(*parked).unwrap_or(u32::MAX),
        streaming: node.is_streaming(*number),
    }
}

fn parked_message(view: &ParkedView<'_>) -> pb::ParkedRecord {
    let ParkedView { record, record_type, publisher, recipient, subscription, nacks, parked } =
        view;
    pb::ParkedRecord {
        record: name::of(record),
        record_type: record_type.name.to_string(),
        publisher: name::of(*publisher),
        recipient: name::of(*recipient),
        subscription: subscription.map(|id| name::of_owned(recipient, id)).unwrap_or_default(),
        reason: parked.reason,
        nack_count: *nacks,
        parked_time: Some(timestamp(parked.at)),
    }
}
