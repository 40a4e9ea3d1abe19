//! The beginning of a subscriber's stream: its first message, parsed, and the subscription taken over.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::{
    model::{limit, violation::Violation},
    node::Asked,
    pb::v1::{SubscribeRequest, SubscribeStart, SubscribeStarted, subscribe_request::Kind},
    service::{
        caller::Session,
        context::{self, Context},
        decision,
        exchange::{
            Exchange,
            acks::Acks,
            outbox::{Outbox, Sending},
            read::{delivery, not_begun, own, under_new_id},
            reader::Reader,
        },
        name, status,
    },
};

/// The window of a subscriber that names none.
const WINDOW_DEFAULT: u32 = 64;
/// How long a caller may take to say what it wants.
const START_WITHIN: Duration = Duration::from_secs(10);

impl Exchange {
    /// Begins a stream: reads its start, takes the subscription over and feeds what is returned from a task of its own.
    pub(super) async fn begin(
        &self,
        session: Session,
        mut requests: Streaming<SubscribeRequest>,
    ) -> Result<Sending, Status> {
        let node = self.node();
        let caller = session.caller();
        let (asked, start) = self.start_of(&session, first(&mut requests).await?)?;
        let SubscribeStart { request_id: _, subscription, resume_cursor, window } = start;
        let window = match window {
            0 => WINDOW_DEFAULT,
            window => window,
        };
        let window = window_of(window, "start.window")?;
        let (agency, id) = own(caller, &subscription, "start.subscription")?;
        let number = node.read(|state| {
            state.agency_number(agency).and_then(|number| state.subscription_number(number, &id))
        });
        let number = number.ok_or_else(|| status::not_available(""))?;
        let resume = match resume_cursor.as_str() {
            "" => None,
            cursor => Some(delivery(node, (agency, &id), cursor)?),
        };
        let decision_id = decision::id(node, caller, asked.request_id);
        let asked = under_new_id(node, asked).map_err(|fault| status::faulty(&fault))?;
        let begun = node.subscribe(&asked, &id, resume).await.map_err(status::failed)?;
        let deliveries =
            begun.map_err(|refusal| not_begun(refusal, "start.subscription", &decision_id))?;
        let pace = self.0.pace;
        let started = SubscribeStarted {
            subscription: name::of_owned(agency, &id),
            window: u32::try_from(window).unwrap_or(limit::WINDOW_RECORDS_MAX),
            heartbeat_interval: prost_types::Duration::try_from(pace.heartbeat).ok(),
        };
        let outbox = Arc::new(Outbox::new(node.clone(), window, started));
        let reader = Reader {
            node: node.clone(),
            stopping: self.0.stopping.clone(),
            pace,
            agency: agency.clone(),
            id,
            number,
            asked,
            outbox: Arc::clone(&outbox),
            acks: Acks::default(),
            session,
        };
        drop(tokio::spawn(reader.run(requests, deliveries)));
        Ok(Sending(outbox))
    }

    fn start_of(
        &self,
        session: &Session,
        request: SubscribeRequest,
    ) -> Result<(Asked, SubscribeStart), Status> {
        let SubscribeRequest { context, kind } = request;
        let Some(Kind::Start(start)) = kind else {
            let text = "the first message opens the stream; send `start`";
            return Err(status::violation(Violation::new("start", "MISSING", text)));
        };
        let Context { purpose, staff } = context::parse(self.node(), context)?;
        let request_id = context::request_id_of(&start.request_id, "start.request_id")?;
        let actor = session.caller().authority()?;
        Ok((Asked { actor, purpose, staff, request_id, signature: None }, start))
    }
}

async fn first(requests: &mut Streaming<SubscribeRequest>) -> Result<SubscribeRequest, Status> {
    match timeout(START_WITHIN, requests.message()).await {
        Ok(Ok(Some(request))) => Ok(request),
        Ok(Err(status)) => Err(status::unread(status)),
        Ok(Ok(None)) | Err(_) => Err(status::missing("start")),
    }
}

/// A window as a count.
pub(super) fn window_of(window: u32, field: &str) -> Result<usize, Status> {
    match usize::try_from(window) {
        Ok(count) if window <= limit::WINDOW_RECORDS_MAX => Ok(count),
        Ok(_) | Err(_) => {
            let text = "a window has at most 1,000 deliveries";
            Err(status::violation(Violation::new(field, "OUT_OF_RANGE", text)))
        }
    }
}
