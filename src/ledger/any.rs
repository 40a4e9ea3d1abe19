//! The engine that was picked at run time. Only dispatch: every answer is the engine's own.

use futures::Stream;

use super::{
    Draft, Entry, Fault, Ledger, Sealed,
    disk::{ForgetfulDisk, OsDisk},
    follow::Entries,
    memory::Memory,
    segment::Segment,
};
use crate::model::{
    digest::Digest,
    order::{Position, TreeSize, UnixMillis},
};

/// One of the engines.
#[derive(Debug)]
pub enum AnyLedger {
    /// Segment files in a directory.
    Segment(Segment<OsDisk>),
    /// Segment files on a simulated disk.
    Simulated(Segment<ForgetfulDisk>),
    /// In memory.
    Memory(Memory),
}

/// Hands a call to the engine.
macro_rules! each {
    ($any:expr, $ledger:ident => $call:expr) => {
        match $any {
            AnyLedger::Segment($ledger) => $call,
            AnyLedger::Simulated($ledger) => $call,
            AnyLedger::Memory($ledger) => $call,
        }
    };
}

impl AnyLedger {
    /// How many entries are durable, and the root of the tree over them.
    pub fn head(&self) -> (TreeSize, Digest) {
        each!(self, ledger => ledger.head())
    }

    /// When the last entry was admitted; the epoch for an empty ledger.
    pub fn admitted_at(&self) -> UnixMillis {
        each!(self, ledger => ledger.admitted_at())
    }

    /// The leaf hash of the entry at `position`, or `None` beyond the head.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if it cannot be read.
    pub fn leaf(&self, position: Position) -> Result<Option<Digest>, Fault> {
        match self {
            Self::Segment(ledger) => ledger.leaf(position),
            Self::Simulated(ledger) => ledger.leaf(position),
            Self::Memory(ledger) => Ok(ledger.leaf(position)),
        }
    }

    /// The root the tree had at `size`, or `None` beyond the head.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if a leaf cannot be read.
    pub fn root_at(&self, size: TreeSize) -> Result<Option<Digest>, Fault> {
        each!(self, ledger => ledger.root_at(size))
    }

    /// The proof that the entry at `position` is in the tree of `size`, or `None` if it is not.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if a leaf cannot be read.
    pub fn inclusion(
        &self,
        position: Position,
        size: TreeSize,
    ) -> Result<Option<Vec<Digest>>, Fault> {
        each!(self, ledger => ledger.inclusion(position, size))
    }

    /// The proof that the tree of `from` is a prefix of the tree of `to`, or `None` beyond the head.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if a leaf cannot be read.
    pub fn consistency(&self, from: TreeSize, to: TreeSize) -> Result<Option<Vec<Digest>>, Fault> {
        each!(self, ledger => ledger.consistency(from, to))
    }

    /// [`Ledger::entries`] as a stream that owns what it needs. It ends with [`Fault::Closed`] when the engine is gone.
    pub fn follow(&self, from: Position) -> Entries {
        each!(self, ledger => ledger.follow(from))
    }
}

impl Ledger for AnyLedger {
    async fn append(&self, drafts: Vec<Draft>) -> Result<(), Fault> {
        each!(self, ledger => ledger.append(drafts).await)
    }

    fn entries(&self, from: Position) -> impl Stream<Item = Result<Entry, Fault>> + Send + Unpin {
        self.follow(from)
    }

    async fn sealed(&self, positions: &[Position]) -> Result<Vec<Option<Sealed>>, Fault> {
        each!(self, ledger => ledger.sealed(positions).await)
    }

    async fn erase(&self, positions: &[Position]) -> Result<(), Fault> {
        each!(self, ledger => ledger.erase(positions).await)
    }
}
