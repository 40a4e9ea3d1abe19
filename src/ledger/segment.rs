//! The embedded ledger: append-only segment files in one directory, one sync for each group appended.
//!
//! Durable when `append` returns: the group is in one file, synced, and the file's name was synced before. The bytes are
//! described in `segment/frame.rs`, what a power cut may leave in `segment/scan.rs`, the space kept back in
//! `segment/writer.rs`. Calls block for a write and a sync inside the future: the node runs its appender on a thread of
//! its own, and no call needs a runtime. It knows no command and no key.

use std::{
    io::ErrorKind,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use futures::Stream;
use tokio::sync::watch;

use self::{index::Index, open::End, writer::Writer};
use super::{
    Draft, Entry, Fault, Ledger, Sealed,
    disk::Disk,
    follow::{self, Durable, Entries},
    tree::Tree,
};
use crate::model::{
    digest::Digest,
    order::{Position, TreeSize, UnixMillis},
};

mod directory;
mod files;
mod frame;
mod index;
mod open;
mod read;
mod scan;
mod writer;

pub use self::frame::Attached;
pub(super) use self::read::read_ledger;

/// The greatest number of entries a follower loads at once.
const BATCH_ENTRIES: usize = 256;
/// About how many bytes a follower loads at once.
const BATCH_BYTES: usize = 256 << 10;

/// How the segment engine uses its disk and its memory.
#[derive(Clone, Debug)]
pub struct Options {
    /// The length of a segment, and of the space kept back, in bytes. A larger group gets a longer segment.
    pub segment_bytes: u32,
    /// How many bytes of the newest entries stay in memory for those who follow.
    pub tail_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, tail_bytes_max: 8 << 20 }
    }
}

/// The segment engine over a [`Disk`].
#[derive(Debug)]
pub struct Segment<D: Disk> {
    writer: Mutex<Writer<D>>,
    index: Arc<RwLock<Index<D>>>,
    durable: watch::Receiver<Durable>,
}

impl<D: Disk> Segment<D> {
    /// Opens the ledger in `disk`, or an empty one if there is none, and locks it for as long as it is open.
    ///
    /// Reads everything: every checksum, leaf hash and time is checked, and the tree is built.
    ///
    /// # Errors
    /// [`Fault::Unusable`] if another process holds it, or its format is newer; [`Fault::Corrupt`] if anything but a torn
    /// last group does not verify; [`Fault::Broken`] if what is mended cannot be made durable; [`Fault::Full`] if there
    /// is no space for a new ledger.
    pub fn open(disk: D, options: Options) -> Result<Self, Fault> {
        let lock = disk.lock(directory::LOCK_NAME).map_err(|error| {
            if error.kind() == ErrorKind::WouldBlock {
                Fault::Unusable("another process holds it".to_owned())
            } else {
                directory::unreadable(&error)
            }
        })?;
        let spare = open::prepare(&disk, &options)?;
        let mut index = Index::new(disk.clone(), options.tail_bytes_max);
        let End { chain, last } = open::load(&disk, &mut index)?;
        let size = TreeSize::new(chain.next.number());
        let index = Arc::new(RwLock::new(index));
        let (sender, durable) = watch::channel(Durable { size, fault: None });
        let mut writer = Writer {
            disk,
            options,
            index: Arc::clone(&index),
            durable: sender,
            chain,
            last,
            spare,
            fault: None,
            _lock: lock,
        };
        writer.keep_spare()?;
        Ok(Self { writer: Mutex::new(writer), index, durable })
    }

    /// [`Ledger::append`] without a future: blocks until the group is durable.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_blocking(&self, drafts: Vec<Draft>) -> Result<(), Fault> {
        self.writer().append(drafts)
    }

    /// How many entries are durable, and the root of the tree over them.
    pub fn head(&self) -> (TreeSize, Digest) {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        (index.tree.size(), index.tree.root())
    }

    /// When the last entry was admitted; the epoch for an empty ledger.
    pub fn admitted_at(&self) -> UnixMillis {
        self.writer().chain.admitted_at
    }

    /// The leaf hash of the entry at `position`, or `None` beyond the head.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if the file cannot be read.
    pub fn leaf(&self, position: Position) -> Result<Option<Digest>, Fault> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        if index.tree.size().end() <= position {
            return Ok(None);
        }
        index.leaf(position).map(Some)
    }

    /// The root the tree had at `size`, or `None` beyond the head.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if a file cannot be read.
    pub fn root_at(&self, size: TreeSize) -> Result<Option<Digest>, Fault> {
        self.proof(|tree, leaves| tree.root_at(size, &mut |range| leaves(range)))
    }

    /// The proof that the entry at `position` is in the tree of `size`, or `None` if it is not.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if a file cannot be read.
    pub fn inclusion(
        &self,
        position: Position,
        size: TreeSize,
    ) -> Result<Option<Vec<Digest>>, Fault> {
        self.proof(|tree, leaves| tree.inclusion(position, size, &mut |range| leaves(range)))
    }

    /// The proof that the tree of `from` is a prefix of the tree of `to`, or `None` beyond the head.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if a file cannot be read.
    pub fn consistency(&self, from: TreeSize, to: TreeSize) -> Result<Option<Vec<Digest>>, Fault> {
        self.proof(|tree, leaves| tree.consistency(from, to, &mut |range| leaves(range)))
    }

    /// What has become of the attachment of the entry at `position`; `None` beyond the head.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if it does not match its checksum.
    pub fn attached(&self, position: Position) -> Result<Option<Attached>, Fault> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let span = index.span(position, 1, 0)?;
        drop(index);
        span.map(|span| span.attached()).transpose()
    }

    /// [`Ledger::erase`] without a future.
    ///
    /// # Errors
    /// As [`Ledger::erase`].
    pub fn erase_blocking(&self, positions: &[Position]) -> Result<(), Fault> {
        let mut positions = positions.to_vec();
        positions.sort_unstable();
        let mut writer = self.writer();
        let mut blocks = Vec::new();
        for position in positions {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            let span = index.span(position, 1, 0)?;
            drop(index);
            if let Some(span) = span {
                blocks.extend(span.attachment()?);
            }
        }
        writer.erase(&blocks)
    }

    fn proof<T>(
        &self,
        prove: impl FnOnce(
            &Tree,
            &mut dyn FnMut(Range<u64>) -> Result<Vec<Digest>, Fault>,
        ) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        prove(&index.tree, &mut |range| index.leaves(range))
    }

    fn writer(&self) -> MutexGuard<'_, Writer<D>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Disk> Ledger for Segment<D> {
    async fn append(&self, drafts: Vec<Draft>) -> Result<(), Fault> {
        self.append_blocking(drafts)
    }

    fn entries(&self, from: Position) -> impl Stream<Item = Result<Entry, Fault>> + Send + Unpin {
        self.follow(from)
    }

    async fn sealed(&self, positions: &[Position]) -> Result<Vec<Option<Sealed>>, Fault> {
        let mut found = Vec::with_capacity(positions.len());
        for position in positions {
            found.push(match self.attached(*position)? {
                Some(Attached::Present(sealed)) => Some(sealed),
                Some(Attached::Never | Attached::Erased) | None => None,
            });
        }
        Ok(found)
    }

    async fn erase(&self, positions: &[Position]) -> Result<(), Fault> {
        self.erase_blocking(positions)
    }
}

impl<D: Disk> Segment<D> {
    /// [`Ledger::entries`] as a stream that owns what it needs. It ends with [`Fault::Closed`] when the engine is gone.
    pub fn follow(&self, from: Position) -> Entries {
        let index = Arc::clone(&self.index);
        follow::follow(self.durable.clone(), from, move |position| {
            let index = index.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(entries) = index.recent(position, BATCH_ENTRIES) {
                return Ok(entries);
            }
            let span = index.span(position, BATCH_ENTRIES, BATCH_BYTES)?;
            drop(index);
            span.map_or_else(|| Ok(Vec::new()), |span| span.entries())
        })
    }
}
