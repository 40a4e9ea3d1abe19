//! The appender: the one task that writes the ledger. It takes what waits as one group, so that many callers share one
//! sync, and lets stops go first.
//!
//! It runs where the callers run, and so takes its turn after every caller that is ready: that is what makes groups large
//! under load without making a lone caller wait. The segment engine writes and syncs inside `append`; a real node does
//! that on a thread of its own, see [`Hands`].

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    ledger::{Draft, Fault, Ledger, Space},
    node::Shared,
};

/// The greatest number of entries of one group.
const GROUP_ENTRIES_MAX: usize = 256;
/// The greatest size of one group, in bytes, beyond which it takes no more.
const GROUP_BYTES_MAX: usize = 2 << 20;

/// Where a group is written and synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hands {
    /// On a thread that may block, while this one goes on.
    Apart,
    /// Here: for simulations, whose disk is memory.
    Here,
}

/// Appends until the node ends.
pub(super) async fn run(
    shared: Arc<Shared>,
    (mut ordinary, mut urgent): (mpsc::Receiver<Draft>, mpsc::Receiver<Draft>),
    hands: Hands,
) {
    let mut fault = shared.fault.subscribe();
    loop {
        let first = tokio::select! {
            biased;
            _ = fault.wait_for(Option::is_some) => return,
            draft = urgent.recv() => draft,
            draft = ordinary.recv() => draft,
        };
        let Some(first) = first else { return };
        let (stops, others) = group(first, &mut urgent, &mut ordinary);
        for drafts in [stops, others] {
            if drafts.is_empty() {
                continue;
            }
            if let Err(fault) = append(&shared, drafts, hands).await {
                shared.break_down(&fault);
                return;
            }
        }
    }
}

fn bytes_of(draft: &Draft) -> usize {
    draft.command.len().saturating_add(draft.sealed.as_ref().map_or(0, |sealed| sealed.bytes.len()))
}

/// What waits, stops apart: they are appended first, and also where the others find no space.
fn group(
    first: Draft,
    urgent: &mut mpsc::Receiver<Draft>,
    ordinary: &mut mpsc::Receiver<Draft>,
) -> (Vec<Draft>, Vec<Draft>) {
    let mut bytes = bytes_of(&first);
    let (mut stops, mut others) = (Vec::new(), Vec::new());
    let mut sort = |draft: Draft| match draft.space {
        Space::Reserved => stops.push(draft),
        Space::Ordinary => others.push(draft),
    };
    sort(first);
    for _ in 1..GROUP_ENTRIES_MAX {
        if GROUP_BYTES_MAX <= bytes {
            break;
        }
        let Ok(draft) = urgent.try_recv().or_else(|_| ordinary.try_recv()) else { break };
        bytes = bytes.saturating_add(bytes_of(&draft));
        sort(draft);
    }
    (stops, others)
}

/// Appends one group. A full disk refuses the group and the node goes on; any other fault ends it.
async fn append(shared: &Shared, drafts: Vec<Draft>, hands: Hands) -> Result<(), Fault> {
    let salts: Vec<_> = drafts.iter().map(|draft| draft.salt).collect();
    match written(shared, drafts, hands).await {
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

async fn written(shared: &Shared, drafts: Vec<Draft>, hands: Hands) -> Result<(), Fault> {
    match hands {
        Hands::Here => shared.ledger.append(drafts).await,
        Hands::Apart => {
            let ledger = Arc::clone(&shared.ledger);
            let write = move || futures::executor::block_on(ledger.append(drafts));
            // The engine panicked, or the process is ending.
            let failed = |cause: tokio::task::JoinError| Fault::Broken(cause.to_string());
            tokio::task::spawn_blocking(write).await.map_err(failed)?
        }
    }
}
