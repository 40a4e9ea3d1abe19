//! The ledger: one total order of commands, durable, from which everything else can be rebuilt.
//!
//! This file is the seam: what an engine takes and gives. Engines do not know what a command means. The layout of a
//! leaf is in `ledger/leaf.rs`, the tree above it (RFC 6962) in `ledger/tree.rs`.

use std::{fmt, future::Future};

use bytes::Bytes;
use futures::Stream;

use crate::model::{
    digest::Digest,
    order::{Position, UnixMillis},
};

mod any;
pub mod checkpoint;
pub mod disk;
mod follow;
pub mod leaf;
pub mod memory;
pub mod segment;
pub mod tree;
pub mod verify;

pub use self::any::AnyLedger;

/// One command that asks for a place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The clock's time when it was proposed. The engine admits it at the greater of this and the last admission.
    pub proposed_at: UnixMillis,
    /// Random; keeps a short command from being guessed from its hash.
    pub salt: [u8; 16],
    /// The encoded command: the bytes stored are the bytes hashed.
    pub command: Bytes,
    /// What rides beside the command, sealed.
    pub sealed: Option<Sealed>,
    /// Whether it may use the space that is kept back for stops.
    pub space: Space,
}

/// A sealed attachment, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Random; stored with the attachment and erased with it.
    pub salt: [u8; 16],
    /// An encoded `concordat.ledger.v1.Attachment`.
    pub bytes: Bytes,
}

/// Which space an entry may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Only what is free for everybody.
    Ordinary,
    /// Also what is kept back, so that a full disk still takes a withdrawal, a refusal or a suspension. A group may use
    /// it only if all its drafts may: keep them in groups of their own.
    Reserved,
}

/// One element of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub position: Position,
    /// When it was admitted; never less than that of the entry before.
    pub admitted_at: UnixMillis,
    /// The draft's salt.
    pub salt: [u8; 16],
    /// The encoded command.
    pub command: Bytes,
    /// SHA-256(attachment salt ‖ attachment), or `None` if the entry never had an attachment.
    pub sealed_digest: Option<Digest>,
}

/// The order of commands and its durability.
///
/// `tests/it/ledger_conformance.rs` holds every engine to this contract.
pub trait Ledger: Send + Sync + 'static {
    /// Appends `drafts` in their order, all or none, and makes them durable.
    ///
    /// `Ok` means durable: the segment engine has synced the bytes and every directory entry they depend on. Calls are
    /// serialised; a cancelled call may or may not have taken effect.
    ///
    /// # Errors
    /// On a fault the drafts may or may not be in the ledger; whoever repeats the request learns it from the state.
    /// [`Fault::Full`] alone promises that nothing was written and that the engine goes on.
    fn append(&self, drafts: Vec<Draft>) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Every entry from `from` on, in order, without gaps; then waits for more. Nothing unsynced is ever yielded.
    ///
    /// Dropping the stream releases it. A decreasing time, a bad checksum or a gap is [`Fault::Corrupt`].
    fn entries(&self, from: Position) -> impl Stream<Item = Result<Entry, Fault>> + Send + Unpin;

    /// The attachments of entries, in the order asked; `None` where there never was one or it was erased.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if an attachment does not match its checksum.
    fn sealed(
        &self,
        positions: &[Position],
    ) -> impl Future<Output = Result<Vec<Option<Sealed>>, Fault>> + Send;

    /// Physically removes the attachments at `positions`; entries and digests stay. Durable when `Ok`; repeatable.
    ///
    /// # Errors
    /// On a fault some attachments may remain; call again.
    fn erase(&self, positions: &[Position]) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// The infrastructure failed. Never part of an outcome; the text is for the log, never for a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No space is left for this kind of entry; nothing was written.
    Full,
    /// The engine could not write or sync and takes nothing more: the process must end.
    Broken(String),
    /// What is stored does not verify.
    Corrupt(String),
    /// The files are locked by another process, of another ledger or of a newer format.
    Unusable(String),
    /// The node stops or has stopped.
    Closed,
    /// The clock departs from monotonic time; nothing is appended or released until an operator confirms it.
    ClockDoubtful,
    /// Too much is in flight; try again.
    Busy,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("no space is left for this kind of entry"),
            Self::Broken(cause) => write!(f, "the ledger could not be written: {cause}"),
            Self::Corrupt(cause) => write!(f, "the ledger does not verify: {cause}"),
            Self::Unusable(cause) => write!(f, "the ledger cannot be used: {cause}"),
            Self::Closed => f.write_str("the node is stopping"),
            Self::ClockDoubtful => f.write_str("the wall clock departs from monotonic time"),
            Self::Busy => f.write_str("too much is in flight"),
        }
    }
}

impl std::error::Error for Fault {}
