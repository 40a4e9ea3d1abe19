//! The ledger in memory: a real engine for trials and tests that also checks what it holds.
//!
//! Nothing is durable beyond the process; "durable" here means visible to everybody. Every read checks the entry against
//! the tree and the attachment against its digest, so that whoever passes on this engine has not bent the contract.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures::Stream;
use tokio::sync::watch;

use super::{
    Draft, Entry, Fault, Ledger, Sealed,
    follow::{self, Durable, Entries},
    leaf,
    tree::Tree,
};
use crate::model::{
    digest::Digest,
    order::{Position, TreeSize, UnixMillis},
};

/// The greatest number of entries a follower loads at once.
const BATCH_ENTRIES: usize = 256;

/// The engine in memory.
#[derive(Debug)]
pub struct Memory {
    kept: Arc<RwLock<Kept>>,
    durable: watch::Sender<Durable>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: Vec<Entry>,
    leaves: Vec<Digest>,
    attachments: Vec<Option<Sealed>>,
    tree: Tree,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty ledger.
    pub fn new() -> Self {
        Self {
            kept: Arc::new(RwLock::new(Kept::default())),
            durable: watch::Sender::new(Durable::default()),
        }
    }

    /// How many entries there are, and the root of the tree over them.
    pub fn head(&self) -> (TreeSize, Digest) {
        let kept = self.read();
        (kept.tree.size(), kept.tree.root())
    }

    /// When the last entry was admitted; the epoch for an empty ledger.
    pub fn admitted_at(&self) -> UnixMillis {
        self.read().entries.last().map_or(UnixMillis::EPOCH, |entry| entry.admitted_at)
    }

    /// The leaf hash of the entry at `position`, or `None` beyond the head.
    pub fn leaf(&self, position: Position) -> Option<Digest> {
        self.read().leaves.get(place(position)).copied()
    }

    /// The root the tree had at `size`, or `None` beyond the head.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if a leaf is missing.
    pub fn root_at(&self, size: TreeSize) -> Result<Option<Digest>, Fault> {
        let kept = self.read();
        kept.tree.root_at(size, &mut |range| kept.leaves(range))
    }

    /// The proof that the entry at `position` is in the tree of `size`, or `None` if it is not.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if a leaf is missing.
    pub fn inclusion(
        &self,
        position: Position,
        size: TreeSize,
    ) -> Result<Option<Vec<Digest>>, Fault> {
        let kept = self.read();
        kept.tree.inclusion(position, size, &mut |range| kept.leaves(range))
    }

    /// The proof that the tree of `from` is a prefix of the tree of `to`, or `None` beyond the head.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if a leaf is missing.
    pub fn consistency(&self, from: TreeSize, to: TreeSize) -> Result<Option<Vec<Digest>>, Fault> {
        let kept = self.read();
        kept.tree.consistency(from, to, &mut |range| kept.leaves(range))
    }

    /// [`Ledger::entries`] as a stream that owns what it needs. It ends with [`Fault::Closed`] when the engine is gone.
    pub fn follow(&self, from: Position) -> Entries {
        let kept = Arc::clone(&self.kept);
        follow::follow(self.durable.subscribe(), from, move |position| {
            let kept = kept.read().unwrap_or_else(PoisonError::into_inner);
            let found = kept.entries.iter().zip(&kept.leaves).skip(place(position));
            found
                .take(BATCH_ENTRIES)
                .map(|(entry, leaf)| {
                    if leaf::leaf_hash(entry) == *leaf {
                        Ok(entry.clone())
                    } else {
                        Err(Fault::Corrupt(format!("entry {} is damaged", entry.position)))
                    }
                })
                .collect()
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Kept> {
        self.kept.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for Memory {
    async fn append(&self, drafts: Vec<Draft>) -> Result<(), Fault> {
        let mut kept = self.write();
        for draft in drafts {
            kept.push(draft);
        }
        let size = kept.tree.size();
        // Under the lock, so that sizes are announced in order.
        self.durable.send_modify(|durable| durable.size = size);
        drop(kept);
        Ok(())
    }

    fn entries(&self, from: Position) -> impl Stream<Item = Result<Entry, Fault>> + Send + Unpin {
        self.follow(from)
    }

    async fn sealed(&self, positions: &[Position]) -> Result<Vec<Option<Sealed>>, Fault> {
        let kept = self.read();
        positions.iter().map(|position| kept.sealed(*position)).collect()
    }

    async fn erase(&self, positions: &[Position]) -> Result<(), Fault> {
        let mut kept = self.write();
        for position in positions {
            if let Some(attachment) = kept.attachments.get_mut(place(*position)) {
                *attachment = None;
            }
        }
        drop(kept);
        Ok(())
    }
}

impl Kept {
    fn push(&mut self, draft: Draft) {
        let Draft { proposed_at, salt, command, sealed, space: _ } = draft;
        let before = self.entries.last().map_or(UnixMillis::EPOCH, |entry| entry.admitted_at);
        let entry = Entry {
            position: self.tree.size().end(),
            admitted_at: before.max(proposed_at),
            salt,
            command,
            sealed_digest: sealed.as_ref().map(leaf::sealed_digest),
        };
        let leaf = leaf::leaf_hash(&entry);
        self.tree.push(leaf);
        self.leaves.push(leaf);
        self.entries.push(entry);
        self.attachments.push(sealed);
    }

    fn sealed(&self, position: Position) -> Result<Option<Sealed>, Fault> {
        let place = place(position);
        let Some(sealed) = self.attachments.get(place).cloned().flatten() else { return Ok(None) };
        let digest = self.entries.get(place).and_then(|entry| entry.sealed_digest);
        if digest == Some(leaf::sealed_digest(&sealed)) {
            Ok(Some(sealed))
        } else {
            Err(Fault::Corrupt(format!("the attachment of entry {position} is damaged")))
        }
    }

    fn leaves(&self, range: std::ops::Range<u64>) -> Result<Vec<Digest>, Fault> {
        let start = place(Position::new(range.start));
        let end = place(Position::new(range.end));
        let found = self.leaves.get(start..end).map(<[Digest]>::to_vec);
        found.ok_or_else(|| Fault::Corrupt("a leaf is missing".to_owned()))
    }
}

/// Beyond any vector where a position does not fit.
fn place(position: Position) -> usize {
    usize::try_from(position.number()).unwrap_or(usize::MAX)
}
