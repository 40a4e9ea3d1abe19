//! The send gate: the last check before bytes of a record leave.
//!
//! A response body is polled under [`Node::gate_guard`]; inside that poll every line asks [`Node::may_leave`]. A stop
//! takes effect when it is applied, and is acknowledged after [`Gate::wait_for_writes`]: every poll that may have passed
//! before has ended by then, and every later one sees the stop. It never waits for a reader: a poll is synchronous.

use std::{
    fmt,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use crate::{
    machine::Released,
    node::{Node, delivery::NotSent},
};

/// Held while a response body is polled.
#[derive(Default)]
pub struct Gate(RwLock<()>);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl Gate {
    /// Waits until every poll that is under way has ended.
    pub(super) fn wait_for_writes(&self) {
        drop(self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Node {
    /// To be held during one synchronous poll of a response body.
    pub fn gate_guard(&self) -> RwLockReadGuard<'_, ()> {
        self.shared.gate.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a released line may leave now. In doubt it may not: a doubtful clock, a broken node (G14).
    pub fn may_leave(&self, released: &Released) -> bool {
        if self.shared.fault.borrow().is_some() {
            return false;
        }
        let Ok(now) = self.now() else { return false };
        self.read(|state| released.may_leave(state, now.max(state.chain().admitted_at)))
    }

    /// Notes that released lines did not leave; the ledger will say so.
    pub fn not_sent(&self, released: &[Released]) {
        for line in released {
            if let Some(subscription) = line.subscription() {
                let delivery = line.delivery();
                self.shared.subscriptions.note_not_sent(NotSent { subscription, delivery });
            }
        }
        self.shared.clockwork.notify_one();
    }
}
