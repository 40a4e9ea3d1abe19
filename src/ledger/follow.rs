//! The stream of entries that every engine hands out: what is there, then what comes.
//!
//! It knows nothing of files: an engine says how far it is durable and loads a batch on demand, so a slow reader holds
//! one batch and costs the engine nothing. A load may block for a read of one batch. Works on any runtime.

use std::collections::VecDeque;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use crate::{
    ledger::{Entry, Fault},
    model::order::{Position, TreeSize, UnixMillis},
};

/// How far a ledger is durable, and whether more can come.
#[derive(Clone, Debug, Default)]
pub(super) struct Durable {
    pub(super) size: TreeSize,
    /// Why nothing more will ever be appended by this process.
    pub(super) fault: Option<Fault>,
}

/// Entries from a position on, in order, for as long as the engine lives.
pub(super) type Entries = BoxStream<'static, Result<Entry, Fault>>;

/// Follows a ledger from `from` on.
///
/// `load` returns one or more entries from a position that is durable. After a fault the stream ends; when the engine is
/// dropped, or broken and read to its end, the fault says so.
pub(super) fn follow<L>(durable: watch::Receiver<Durable>, from: Position, load: L) -> Entries
where
    L: FnMut(Position) -> Result<Vec<Entry>, Fault> + Send + 'static,
{
    let follower = Follower {
        durable,
        load,
        next: from,
        admitted_at: UnixMillis::EPOCH,
        ready: VecDeque::new(),
        ended: false,
    };
    stream::unfold(follower, |mut follower| async move {
        let item = follower.advance().await?;
        follower.ended = item.is_err();
        Some((item, follower))
    })
    .boxed()
}

struct Follower<L> {
    durable: watch::Receiver<Durable>,
    load: L,
    next: Position,
    admitted_at: UnixMillis,
    ready: VecDeque<Entry>,
    ended: bool,
}

impl<L> Follower<L>
where
    L: FnMut(Position) -> Result<Vec<Entry>, Fault>,
{
    async fn advance(&mut self) -> Option<Result<Entry, Fault>> {
        while !self.ended {
            if let Some(entry) = self.ready.pop_front() {
                return Some(self.take(entry));
            }
            let Durable { size, fault } = self.durable.borrow_and_update().clone();
            if self.next < size.end() {
                match (self.load)(self.next) {
                    Ok(entries) if !entries.is_empty() => self.ready.extend(entries),
                    Ok(_) => return Some(Err(gap(self.next))),
                    Err(fault) => return Some(Err(fault)),
                }
            } else if let Some(fault) = fault {
                return Some(Err(fault));
            } else if self.durable.changed().await.is_err() {
                return Some(Err(Fault::Closed));
            }
        }
        None
    }

    fn take(&mut self, entry: Entry) -> Result<Entry, Fault> {
        if entry.position != self.next {
            return Err(gap(self.next));
        }
        if entry.admitted_at < self.admitted_at {
            return Err(Fault::Corrupt(format!(
                "entry {} is earlier than the one before",
                self.next
            )));
        }
        self.next = self.next.next();
        self.admitted_at = entry.admitted_at;
        Ok(entry)
    }
}

fn gap(position: Position) -> Fault {
    Fault::Corrupt(format!("entry {position} is missing"))
}
