//! What waits to leave on a subscriber's stream, and the stream itself.
//!
//! INVARIANT (bounded): one batch waits in memory and never more; the next one is released when it is gone.
//! INVARIANT (window): a delivery is handed out only while fewer are outstanding than the window allows.
//! INVARIANT (gate): [`Sending::poll_next`] runs inside one poll of the response body, under the gate's guard; it asks
//! whether a line may leave right before it hands the line out (G3).

use std::{
    collections::{BTreeSet, VecDeque},
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::Stream;
use tokio::sync::Notify;
use tonic::Status;

use crate::{
    model::limit,
    node::Node,
    pb::v1::{
        Delivery, GoAwayReason, Recall, SubscribeGoAway, SubscribeHeartbeat, SubscribeResponse,
        SubscribeStarted, subscribe_response::Kind,
    },
    service::exchange::shown::Line,
};

/// What is shared by a stream and the task that feeds it.
pub(super) struct Outbox {
    node: Node,
    waiting: Mutex<Waiting>,
    /// The batch is gone, or the window has room.
    room: Notify,
    /// The recalls are gone.
    told: Notify,
    /// Nobody takes anything any more.
    gone: Notify,
}

#[derive(Default)]
struct Waiting {
    waker: Option<Waker>,
    started: Option<SubscribeStarted>,
    heartbeat: bool,
    recalls: VecDeque<Recall>,
    batch: VecDeque<Line>,
    window: usize,
    outstanding: BTreeSet<u64>,
    last_cursor: String,
    go_away: Option<GoAwayReason>,
    end: Option<Result<(), Status>>,
    /// Nothing is put into the batch any more.
    closed: bool,
}

impl Waiting {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// How many more deliveries may be outstanding.
    fn room(&self) -> usize {
        self.window.saturating_sub(self.outstanding.len())
    }
}

impl Outbox {
    pub(super) fn new(node: Node, window: usize, started: SubscribeStarted) -> Self {
        let waiting = Waiting { window, started: Some(started), ..Waiting::default() };
        Self {
            node,
            waiting: Mutex::new(waiting),
            room: Notify::new(),
            told: Notify::new(),
            gone: Notify::new(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the next batch may be released; gives how large it may be.
    pub(super) async fn credit(&self) -> usize {
        loop {
            {
                let waiting = self.waiting();
                if waiting.batch.is_empty() && 0 < waiting.room() {
                    return waiting.room().min(limit::RELEASE_LINES_MAX);
                }
            }
            self.room.notified().await;
        }
    }

    /// Puts the next batch.
    pub(super) fn put(&self, lines: Vec<Line>) {
        let mut waiting = self.waiting();
        if waiting.closed {
            drop(waiting);
            self.give_up(lines);
        } else {
            waiting.batch.extend(lines);
            waiting.wake();
        }
    }

    /// Waits until the recalls put before are gone.
    pub(super) async fn told(&self) {
        while !self.waiting().recalls.is_empty() {
            self.told.notified().await;
        }
    }

    /// Puts recalls. They leave before any delivery that waits, and count for no window.
    pub(super) fn recall(&self, recalls: Vec<Recall>) {
        let mut waiting = self.waiting();
        if !waiting.closed {
            waiting.recalls.extend(recalls);
            waiting.wake();
        }
    }

    /// Drops the lines that may not leave any more, without waiting until it is their turn.
    pub(super) fn sift(&self) {
        let dropped = {
            let mut waiting = self.waiting();
            let mut dropped = Vec::new();
            for line in mem::take(&mut waiting.batch) {
                if self.node.may_leave(&line.released) {
                    waiting.batch.push_back(line);
                } else {
                    dropped.push(line);
                }
            }
            if waiting.batch.is_empty() {
                self.room.notify_one();
            }
            dropped
        };
        self.give_up(dropped);
    }

    /// Takes the acknowledgement of everything up to `delivery`.
    pub(super) fn acknowledged(&self, delivery: u64) {
        let mut waiting = self.waiting();
        waiting.outstanding = waiting.outstanding.split_off(&delivery.saturating_add(1));
        self.moved(waiting);
    }

    /// Takes a refusal.
    pub(super) fn refused(&self, delivery: u64) {
        let mut waiting = self.waiting();
        waiting.outstanding.remove(&delivery);
        self.moved(waiting);
    }

    /// Changes the window.
    pub(super) fn set_window(&self, window: usize) {
        let mut waiting = self.waiting();
        waiting.window = window;
        self.moved(waiting);
    }

    /// What may leave depends on the window: both sides look again.
    fn moved(&self, mut waiting: MutexGuard<'_, Waiting>) {
        waiting.wake();
        self.room.notify_one();
    }

    /// Lets a heartbeat leave.
    pub(super) fn heartbeat(&self) {
        let mut waiting = self.waiting();
        waiting.heartbeat = true;
        waiting.wake();
    }

    /// Lets nothing more leave but what is said in parting.
    pub(super) fn close(&self) {
        let batch = {
            let mut waiting = self.waiting();
            waiting.closed = true;
            waiting.recalls.clear();
            mem::take(&mut waiting.batch)
        };
        self.give_up(batch);
    }

    /// Says why the stream is about to end.
    pub(super) fn go_away(&self, reason: GoAwayReason) {
        let mut waiting = self.waiting();
        waiting.go_away = Some(reason);
        waiting.wake();
    }

    /// Ends the stream after what is said in parting.
    pub(super) fn end(&self, end: Result<(), Status>) {
        let mut waiting = self.waiting();
        waiting.end = Some(end);
        waiting.wake();
    }

    /// Waits until nobody takes anything any more.
    pub(super) async fn gone(&self) {
        self.gone.notified().await;
    }

    fn give_up(&self, lines: impl IntoIterator<Item = Line>) {
        let lost: Vec<_> = lines.into_iter().map(|line| line.released).collect();
        self.node.not_sent(&lost);
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Option<Result<SubscribeResponse, Status>>> {
        let mut waiting = self.waiting();
        let waiting = &mut *waiting;
        if let Some(started) = waiting.started.take() {
            return said(Kind::Started(started));
        }
        if mem::take(&mut waiting.heartbeat) {
            return said(Kind::Heartbeat(SubscribeHeartbeat {}));
        }
        if let Some(recall) = waiting.recalls.pop_front() {
            if waiting.recalls.is_empty() {
                self.told.notify_one();
            }
            return said(Kind::Recall(recall));
        }
        if let Some(delivery) = self.next_delivery(waiting) {
            return said(Kind::Delivery(delivery));
        }
        if let Some(reason) = waiting.go_away.take() {
            let resume_cursor = waiting.last_cursor.clone();
            let reason = i32::from(reason);
            return said(Kind::GoAway(SubscribeGoAway { reason, resume_cursor }));
        }
        match waiting.end.take() {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(status)) => Poll::Ready(Some(Err(status))),
            None => {
                if !waiting.waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
                    waiting.waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// The next delivery that may leave at this moment. What may not is dropped, and the ledger will say so.
    fn next_delivery(&self, waiting: &mut Waiting) -> Option<Delivery> {
        while 0 < waiting.room() {
            let Line { released, delivery } = waiting.batch.pop_front()?;
            if waiting.batch.is_empty() {
                self.room.notify_one();
            }
            if self.node.may_leave(&released) {
                waiting.outstanding.insert(released.delivery());
                waiting.last_cursor.clone_from(&delivery.cursor);
                return Some(delivery);
            }
            self.node.not_sent(&[released]);
        }
        None
    }
}

fn said(kind: Kind) -> Poll<Option<Result<SubscribeResponse, Status>>> {
    Poll::Ready(Some(Ok(SubscribeResponse { kind: Some(kind) })))
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbox")
    }
}

/// What a subscriber hears. Dropping it ends the reading of its subscription.
#[derive(Debug)]
pub struct Sending(pub(super) Arc<Outbox>);

impl Stream for Sending {
    type Item = Result<SubscribeResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(context)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.close();
        self.0.gone.notify_one();
    }
}
