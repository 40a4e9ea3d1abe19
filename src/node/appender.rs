//! The appender: the one task that writes the ledger. It takes what waits as one group, so that many callers share one
//! sync, and lets stops go first.
//!
//! The segment engine writes and syncs inside `append`, so a real node runs this task on a thread apart from its callers,
//! which the follower shares. It does not take a draft as soon as there is one: every group costs a sync, whatever its
//! size. It is called when enough drafts wait, or when every caller that was ready has had its turn, so that a lone caller
//! waits for nobody. See [`Calls`].

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{Notify, mpsc};

use crate::{
    ledger::{Draft, Fault, Ledger, Space},
    node::Shared,
};

/// The greatest number of entries of one group.
const GROUP_ENTRIES_MAX: usize = 256;
/// The greatest size of one group, in bytes, beyond which it takes no more.
const GROUP_BYTES_MAX: usize = 2 << 20;

/// How many drafts are enough to call the appender at once, while the other callers go on.
const ENOUGH: usize = 32;

/// When the appender is to take what waits.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// How many drafts were sent since the appender last began to take.
    waiting: AtomicUsize,
    /// The first of them is there.
    first: Notify,
    /// Take what waits.
    take: Notify,
}

impl Calls {
    /// Notes that a draft was sent.
    pub(super) fn sent(&self) {
        // INVARIANT (called): a draft that this counts after the appender began to take leads to another call; one that it
        // counted before is in the channel, since it was sent before it was counted.
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        if before == 0 {
            self.first.notify_one();
        }
        if before.saturating_add(1) == ENOUGH {
            self.take.notify_one();
        }
    }

    /// Waits until it is time to take what waits.
    async fn time_to_take(&self) {
        self.take.notified().await;
        let _taken_now = self.waiting.swap(0, Ordering::AcqRel);
    }
}

/// Calls the appender for drafts that are not enough. It runs where the callers run, behind all who are ready.
pub(super) async fn call(shared: Arc<Shared>) {
    let mut fault = shared.fault.subscribe();
    loop {
        tokio::select! {
            biased;
            _ = fault.wait_for(Option::is_some) => return,
            () = shared.calls.first.notified() => shared.calls.take.notify_one(),
        }
    }
}

/// Appends until the node ends.
pub(super) async fn run(
    shared: Arc<Shared>,
    mut ordinary: mpsc::Receiver<Draft>,
    mut urgent: mpsc::Receiver<Draft>,
) {
    let mut fault = shared.fault.subscribe();
    loop {
        tokio::select! {
            biased;
            _ = fault.wait_for(Option::is_some) => return,
            () = shared.calls.time_to_take() => {}
        }
        let mut more = true;
        while more {
            let group = Group::of(&mut urgent, &mut ordinary);
            more = group.full;
            for drafts in [group.stops, group.others].into_iter().filter(|d| !d.is_empty()) {
                if let Err(fault) = append(&shared, drafts).await {
                    shared.break_down(&fault);
                    return;
                }
                // The follower shares the thread: what is synced is applied before the next group is written.
                tokio::task::yield_now().await;
            }
        }
    }
}

fn bytes_of(draft: &Draft) -> usize {
    draft.command.len().saturating_add(draft.sealed.as_ref().map_or(0, |sealed| sealed.bytes.len()))
}

/// What waits, stops apart: they are appended first, and also where the others find no space.
#[derive(Default)]
struct Group {
    stops: Vec<Draft>,
    others: Vec<Draft>,
    /// Whether it took no more although more may wait.
    full: bool,
}

impl Group {
    fn of(urgent: &mut mpsc::Receiver<Draft>, ordinary: &mut mpsc::Receiver<Draft>) -> Self {
        let mut group = Self::default();
        let mut bytes = 0_usize;
        for _ in 0..GROUP_ENTRIES_MAX {
            let Ok(draft) = urgent.try_recv().or_else(|_| ordinary.try_recv()) else {
                return group;
            };
            bytes = bytes.saturating_add(bytes_of(&draft));
            match draft.space {
                Space::Reserved => group.stops.push(draft),
                Space::Ordinary => group.others.push(draft),
            }
            if GROUP_BYTES_MAX <= bytes {
                break;
            }
        }
        Self { full: true, ..group }
    }
}

/// Appends one group. A full disk refuses the group and the node goes on; any other fault ends it.
async fn append(shared: &Shared, drafts: Vec<Draft>) -> Result<(), Fault> {
    let salts: Vec<_> = drafts.iter().map(|draft| draft.salt).collect();
    match shared.ledger.append(drafts).await {
        Ok(()) => Ok(()),
        Err(Fault::Full) => {
            tracing::error!("the disk is full: only stops are taken");
            let mut waiters = shared.waiters();
            for salt in salts {
                if let Some(waiter) = waiters.remove(&salt) {
                    let _gone = waiter.answer.send(Err(Fault::Full));
                }
            }
            Ok(())
        }
        Err(fault) => Err(fault),
    }
}
