//! The life of a subscriber's stream: a task that releases batch by batch, hears what the subscriber says, makes its
//! acknowledgements durable, and notices when it must end.
//!
//! Whatever ends it, acknowledgements that came are handed to the ledger first, and released lines that did not leave are
//! reported. Nothing here hands out a record: that is [`super::outbox`]'s, at the gate.

use std::{pin::pin, sync::Arc};

use futures::{
    FutureExt,
    future::{Fuse, FusedFuture},
};
use tokio::{
    sync::watch,
    task::consume_budget,
    time::{MissedTickBehavior, interval, sleep},
};
use tonic::{Status, Streaming};

use crate::{
    ledger::Fault,
    machine::{Refusal, state::subscription::SubscriptionNumber},
    model::{
        id::{AgencyId, SubscriptionId},
        violation::Violation,
    },
    node::{Asked, Deliveries, Ended, Inbox, Node},
    pb::v1::{
        GoAwayReason, SubscribeAcknowledge, SubscribeRequest, SubscribeWindow,
        subscribe_request::Kind,
    },
    service::{
        caller::Session,
        exchange::{
            Pace,
            acks::{Ack, Acks},
            outbox::Outbox,
            read::{acknowledgement, delivery, refusal, under_new_id},
            shown,
            subscribe::window_of,
        },
        recall,
        status::{self, Denied},
    },
};

/// One reader of one subscription.
pub(super) struct Reader {
    pub(super) node: Node,
    pub(super) session: Session,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) pace: Pace,
    pub(super) agency: AgencyId,
    pub(super) id: SubscriptionId,
    pub(super) number: SubscriptionNumber,
    /// With what it began.
    pub(super) asked: Asked,
    pub(super) outbox: Arc<Outbox>,
    pub(super) acks: Acks,
}

/// Why a stream ends.
enum Ending {
    /// The subscriber has said all it wants to say.
    HalfClosed,
    /// The subscriber is gone.
    Gone,
    /// As planned; the subscriber may still acknowledge.
    Planned(GoAwayReason),
    /// The subscriber may no longer call.
    Barred(GoAwayReason),
    /// With an error.
    Failed(Status),
}

impl Reader {
    /// Runs until the stream has ended.
    pub(super) async fn run(self, requests: Streaming<SubscribeRequest>, deliveries: Deliveries) {
        let _open = deliveries.stream();
        let inbox = deliveries.inbox();
        let mut listening = pin!(self.listen(requests).fuse());
        let mut acknowledging = pin!(self.acknowledge().fuse());
        let ending = {
            let mut gone = pin!(self.outbox.gone());
            let mut supplying = pin!(self.supply(deliveries));
            let mut recalling = pin!(self.recall(inbox));
            let mut watching = pin!(self.watch());
            tokio::select! {
                biased;
                () = &mut gone => Ending::Gone,
                ending = &mut listening => ending,
                ending = &mut acknowledging => ending,
                ending = &mut watching => ending,
                ending = &mut recalling => ending,
                ending = &mut supplying => ending,
            }
        };
        self.outbox.close();
        let end = match ending {
            Ending::HalfClosed | Ending::Gone => Ok(()),
            Ending::Failed(status) => Err(status),
            Ending::Barred(reason) => {
                self.outbox.go_away(reason);
                Ok(())
            }
            Ending::Planned(reason) => {
                self.outbox.go_away(reason);
                self.bid_farewell(listening.as_mut(), acknowledging.as_mut()).await;
                Ok(())
            }
        };
        self.acks.close();
        if !acknowledging.is_terminated() {
            // A refusal now changes nothing: the stream ends anyway, and what was not acknowledged comes again.
            let _ending = acknowledging.await;
        }
        self.outbox.end(end);
    }

    /// Takes acknowledgements for a little longer.
    async fn bid_farewell(
        &self,
        listening: std::pin::Pin<&mut Fuse<impl Future<Output = Ending>>>,
        acknowledging: std::pin::Pin<&mut Fuse<impl Future<Output = Ending>>>,
    ) {
        tokio::select! {
            _ending = listening => {}
            _ending = acknowledging => {}
            () = self.outbox.gone() => {}
            () = sleep(self.pace.farewell) => {}
        }
    }

    /// Releases a batch whenever the one before is gone and the window has room.
    async fn supply(&self, mut deliveries: Deliveries) -> Ending {
        loop {
            let credit = tokio::select! {
                biased;
                credit = self.outbox.credit() => credit,
                // Without credit it gives nothing: it only tells when there will be no more.
                nothing = deliveries.next(0) => match nothing {
                    Ok(_) => continue,
                    Err(ended) => return self.ended(ended),
                },
            };
            // Not raced with anything that goes on: what is released and not handed over here comes on no other way in
            // this stream.
            let released = match deliveries.next(credit).await {
                Ok(released) => released,
                Err(ended) => return self.ended(ended),
            };
            match shown::lines(&self.node, (&self.agency, &self.id), released) {
                Ok(lines) => self.outbox.put(lines),
                Err(fault) => return Ending::Failed(status::faulty(&fault)),
            }
        }
    }

    /// Puts recalls before the subscriber: first those that it has not answered, then whatever comes. Once they stand
    /// before everything else that waits to leave here, the ledger is told so.
    async fn recall(&self, mut inbox: Inbox) -> Ending {
        loop {
            self.outbox.told().await;
            let recalls = match inbox.next().await {
                Ok(recalls) => recalls,
                Err(fault) => return self.ended(Ended::Fault(fault)),
            };
            // What waits here and may not leave never reached the subscriber, which is then told of no recall of it.
            self.outbox.sift();
            if let Err(fault) = self.node.settle_not_sent().await {
                return self.ended(Ended::Fault(fault));
            }
            let viewer = self.session.caller().viewer();
            self.outbox.recall(recall::messages(&self.node, viewer, &recalls));
            if let Err(fault) = self.node.hand_over(&self.agency, &recalls).await {
                return self.ended(Ended::Fault(fault));
            }
        }
    }

    fn ended(&self, ended: Ended) -> Ending {
        match ended {
            Ended::TakenOver => Ending::Planned(GoAwayReason::TakenOver),
            Ended::Sought => Ending::Planned(GoAwayReason::Sought),
            Ended::Removed => Ending::Planned(GoAwayReason::Removed),
            Ended::Suspended => Ending::Barred(GoAwayReason::AgencySuspended),
            Ended::Fault(Fault::Closed) if *self.stopping.borrow() => {
                Ending::Planned(GoAwayReason::Shutdown)
            }
            Ended::Fault(fault) => Ending::Failed(status::faulty(&fault)),
        }
    }

    /// Hears what the subscriber says, until it says no more.
    async fn listen(&self, mut requests: Streaming<SubscribeRequest>) -> Ending {
        loop {
            self.acks.room().await;
            // A subscriber that says much keeps nobody else from their turn.
            consume_budget().await;
            match requests.message().await {
                Ok(Some(request)) => {
                    if let Err(status) = self.hear(request) {
                        return Ending::Failed(status);
                    }
                }
                Ok(None) => return Ending::HalfClosed,
                Err(status) => return Ending::Failed(status::unread(status)),
            }
        }
    }

    fn hear(&self, request: SubscribeRequest) -> Result<(), Status> {
        let SubscribeRequest { context, kind } = request;
        if context.is_some() {
            let text = "the context of `start` holds for the whole stream; leave it out";
            return Err(status::violation(Violation::new("context", "NOT_HERE", text)));
        }
        let owner = (&self.agency, &self.id);
        match kind {
            None => return Err(status::missing("kind")),
            Some(Kind::Start(_)) => {
                let text = "the stream is open already; open another one";
                return Err(status::violation(Violation::new("start", "NOT_HERE", text)));
            }
            Some(Kind::Window(SubscribeWindow { window })) => {
                self.outbox.set_window(window_of(window, "window.window")?);
            }
            Some(Kind::Acknowledge(SubscribeAcknowledge { through_cursor })) => {
                let through = delivery(&self.node, owner, &through_cursor)?;
                self.acks.through(through);
                self.outbox.acknowledged(through);
            }
            Some(Kind::Nack(nack)) => {
                let (refused, reason) = refusal(&self.node, owner, &nack)?;
                self.acks.nack(refused, reason);
                self.outbox.refused(refused);
            }
        }
        Ok(())
    }

    /// Makes acknowledgements durable, one after the other; each takes all that came meanwhile.
    async fn acknowledge(&self) -> Ending {
        while let Some(Ack { through, nacks }) = self.acks.next().await {
            let kind = acknowledgement(&self.id, through, &nacks);
            let asked = match under_new_id(&self.node, self.asked.clone()) {
                Ok(asked) => asked,
                Err(fault) => return Ending::Failed(status::faulty(&fault)),
            };
            match self.node.submit(&asked, kind, None).await {
                Ok(Ok(_)) => {}
                Ok(Err(Refusal::SubscriptionUnknown)) => {
                    return Ending::Planned(GoAwayReason::Removed);
                }
                Ok(Err(Refusal::AgencySuspended)) => {
                    return Ending::Barred(GoAwayReason::AgencySuspended);
                }
                Ok(Err(refusal)) => return Ending::Failed(status::refused(refusal, "", "")),
                Err(failure) => return Ending::Failed(status::failed(failure)),
            }
        }
        Ending::HalfClosed
    }

    /// Gives signs of life, and notices what ends a stream from outside.
    async fn watch(&self) -> Ending {
        let mut stopping = self.stopping.clone();
        let mut heartbeats = interval(self.pace.heartbeat);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeats.reset();
        let mut rechecks = interval(self.pace.recheck);
        rechecks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // A sender that is gone stops nothing.
                Ok(_) = stopping.wait_for(|stopping| *stopping) => {
                    return Ending::Planned(GoAwayReason::Shutdown);
                }
                _ = rechecks.tick() => {
                    if let Err(denied) = self.session.recheck() {
                        return barred(denied);
                    }
                    self.catch_up();
                }
                _ = heartbeats.tick() => self.outbox.heartbeat(),
            }
        }
    }

    /// Takes note of what was acknowledged elsewhere.
    fn catch_up(&self) {
        let settled =
            self.node.read(|state| state.subscription(self.number).map(|row| row.settled));
        if let Some(settled) = settled {
            self.outbox.acknowledged(settled);
        }
    }
}

fn barred(denied: Denied) -> Ending {
    match denied {
        Denied::Suspended => Ending::Barred(GoAwayReason::AgencySuspended),
        Denied::NoCertificate | Denied::UnknownCertificate | Denied::Distrusted(_) => {
            Ending::Barred(GoAwayReason::Certificate)
        }
        Denied::NotForCaller | Denied::TooMany(_) => Ending::Failed(status::denied(denied)),
    }
}
