//! Acknowledgements on their way into the ledger: merged while one is in flight, so that a subscriber that acknowledges
//! every delivery costs few entries.
//!
//! INVARIANT (bounded): one place and at most [`limit::RELEASE_LINES_MAX`] refusals wait; with more the stream is not
//! read on.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{model::limit, pb::ledger::v1::NackReason};

/// What one stream acknowledged and refused, and did not hand over yet.
#[derive(Debug, Default)]
pub(super) struct Acks {
    waiting: Mutex<Waiting>,
    /// Something came, or nothing more will.
    came: Notify,
    /// Something was handed over.
    went: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    through: u64,
    /// The place that was handed over last.
    handed_over: u64,
    nacks: BTreeMap<u64, NackReason>,
    closed: bool,
}

/// One acknowledgement for the ledger.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) through: u64,
    pub(super) nacks: BTreeMap<u64, NackReason>,
}

impl Acks {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the acknowledgement of everything up to `delivery`.
    pub(super) fn through(&self, delivery: u64) {
        let mut waiting = self.waiting();
        waiting.through = waiting.through.max(delivery);
        self.came.notify_one();
    }

    /// Takes a refusal.
    pub(super) fn nack(&self, delivery: u64, reason: NackReason) {
        self.waiting().nacks.insert(delivery, reason);
        self.came.notify_one();
    }

    /// Waits until there is room for one more.
    pub(super) async fn room(&self) {
        while limit::RELEASE_LINES_MAX <= self.waiting().nacks.len() {
            self.went.notified().await;
        }
    }

    /// The next one to hand over; `None` once nothing waits and nothing more will come.
    pub(super) async fn next(&self) -> Option<Ack> {
        loop {
            {
                let mut waiting = self.waiting();
                if waiting.handed_over < waiting.through || !waiting.nacks.is_empty() {
                    waiting.handed_over = waiting.through;
                    let (through, nacks) = (waiting.through, mem::take(&mut waiting.nacks));
                    self.went.notify_one();
                    return Some(Ack { through, nacks });
                }
                if waiting.closed {
                    return None;
                }
            }
            self.came.notified().await;
        }
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.came.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn what_comes_while_one_is_in_flight_is_handed_over_at_once() {
        let acks = Acks::default();
        assert_eq!(acks.next().now_or_never(), None);
        acks.through(3);
        acks.through(7);
        acks.through(5);
        acks.nack(6, NackReason::Temporary);
        let nacks = BTreeMap::from([(6, NackReason::Temporary)]);
        assert_eq!(acks.next().now_or_never(), Some(Some(Ack { through: 7, nacks })));
        acks.through(7);
        assert_eq!(acks.next().now_or_never(), None);
    }

    #[test]
    fn refusals_wait_for_room_and_are_not_lost_at_the_end() {
        let acks = Acks::default();
        for delivery in 1..=64 {
            assert_eq!(acks.room().now_or_never(), Some(()));
            acks.nack(delivery, NackReason::NotAccepted);
        }
        assert_eq!(acks.room().now_or_never(), None);
        acks.close();
        let ack = acks.next().now_or_never().flatten().unwrap();
        assert_eq!((ack.through, ack.nacks.len()), (0, 64));
        assert_eq!(acks.room().now_or_never(), Some(()));
        assert_eq!(acks.next().now_or_never(), Some(None));
    }
}
