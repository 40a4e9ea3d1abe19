//! Drafts, disks and readers that the tests of the ledger share.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may end a test, as tests themselves may"
)]

use bytes::Bytes;
use concordat::{
    ledger::{
        Draft, Entry, Fault, Ledger, Sealed, Space,
        disk::{Disk, DiskFile, ForgetfulDisk},
        segment::{Options, Segment},
    },
    model::order::{Position, TreeSize, UnixMillis},
};
use futures::{StreamExt, executor::block_on};

/// A repeatable source of numbers (`SplitMix64`).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    pub(crate) fn bytes(&mut self, length: u64) -> Bytes {
        (0..length).map(|_| self.roll().to_le_bytes()[0]).collect()
    }

    pub(crate) fn salt(&mut self) -> [u8; 16] {
        self.bytes(16).as_ref().try_into().unwrap()
    }

    /// An ordinary draft, with an attachment or without.
    pub(crate) fn draft(&mut self) -> Draft {
        let sealed = (self.below(2) == 0).then(|| {
            let length = self.below(300);
            Sealed { salt: self.salt(), bytes: self.bytes(length) }
        });
        let length = self.below(200);
        Draft {
            proposed_at: UnixMillis::new(1_700_000_000_000 + self.below(1_000)),
            salt: self.salt(),
            command: self.bytes(length),
            sealed,
            space: Space::Ordinary,
        }
    }

    pub(crate) fn drafts(&mut self, count: u64) -> Vec<Draft> {
        (0..count).map(|_| self.draft()).collect()
    }
}

/// Segments and a tail so small that a few entries go beyond them.
pub(crate) fn tiny() -> Options {
    Options { segment_bytes: 2_048, tail_bytes_max: 512 }
}

pub(crate) fn open(disk: &ForgetfulDisk) -> Result<Segment<ForgetfulDisk>, Fault> {
    Segment::open(disk.clone(), tiny())
}

/// Every entry that is there now.
pub(crate) fn entries(ledger: &impl Ledger, size: TreeSize) -> Vec<Entry> {
    entries_from(ledger, Position::FIRST, size)
}

/// Every entry from `from` on that is there now.
pub(crate) fn entries_from(ledger: &impl Ledger, from: Position, size: TreeSize) -> Vec<Entry> {
    let count = usize::try_from(size.count().saturating_sub(from.number())).unwrap();
    let stream = ledger.entries(from).take(count).map(Result::unwrap);
    block_on(stream.collect())
}

/// The attachments of all `size` entries.
pub(crate) fn attachments(ledger: &impl Ledger, size: TreeSize) -> Vec<Option<Sealed>> {
    let positions: Vec<_> = (0..size.count()).map(Position::new).collect();
    block_on(ledger.sealed(&positions)).unwrap()
}

/// All bytes of a file.
pub(crate) fn read_file(disk: &impl Disk, name: &str) -> Vec<u8> {
    let file = disk.open_to_read(name).unwrap();
    let mut bytes = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

/// The names of the segments.
pub(crate) fn segments(disk: &impl Disk) -> Vec<String> {
    disk.list().unwrap().into_iter().filter(|name| name.ends_with(".segment")).collect()
}
