//! The one place that changes segments: appends a group, begins a segment, keeps space back, erases.
//!
//! One group is one write and one sync. Space is claimed before anything is written, so running out of it changes
//! nothing; any other error ends all writing for good, because after a failed write or sync nobody knows what the disk
//! holds, and a second sync may succeed without having written.
//!
//! **Space kept back**: an empty segment, the spare, always stands behind the last one. Without it ordinary entries are
//! refused; entries that may use reserved space turn it into the next segment when no other space can be had.

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::watch;

use super::{
    Options,
    directory::{NEXT_NAME, SPARE_NAME, segment_name},
    frame::{self, HEADER_BYTES, Header, Stamp},
    index::{Block, Index},
    open,
    scan::{Chain, Scanned},
};
use crate::{
    ledger::{
        Draft, Fault, Space,
        disk::{Disk, DiskFile},
        follow::Durable,
    },
    model::{digest::Digest, order::TreeSize},
};

/// Writes to the segments of one directory.
#[derive(Debug)]
pub(super) struct Writer<D: Disk> {
    pub(super) disk: D,
    pub(super) options: Options,
    pub(super) index: Arc<RwLock<Index<D>>>,
    pub(super) durable: watch::Sender<Durable>,
    pub(super) chain: Chain,
    /// The segment that is written to. None before the first append.
    pub(super) last: Option<Last<D::File>>,
    /// Whether space is kept back.
    pub(super) spare: bool,
    /// Why nothing is written any more.
    pub(super) fault: Option<Fault>,
    /// Keeps other processes away. Dropped last.
    pub(super) _lock: D::Lock,
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Last<F> {
    pub(super) file: F,
    pub(super) stamp: Stamp,
    pub(super) capacity: usize,
    pub(super) end: usize,
}

/// Why space was not claimed.
enum Claim {
    /// There is none. Nothing was changed.
    Full,
    /// The disk failed.
    Failed(io::Error),
}

impl From<io::Error> for Claim {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl<D: Disk> Writer<D> {
    /// Appends `drafts` as one group and makes it durable.
    pub(super) fn append(&mut self, drafts: Vec<Draft>) -> Result<(), Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let Some(Draft { salt, .. }) = drafts.first() else { return Ok(()) };
        let length = frame::group_length(&drafts).and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or(Fault::Full)?;
        let ordinary = drafts.iter().any(|draft| draft.space == Space::Ordinary);
        let space = if ordinary { Space::Ordinary } else { Space::Reserved };
        match self.make_room(length, space, *salt) {
            Ok(()) => {}
            Err(Claim::Full) => return Err(Fault::Full),
            Err(Claim::Failed(error)) => return Err(self.break_off("begin a segment", &error)),
        }
        self.write(drafts)
    }

    /// Overwrites attachments, and what their erasure left half done before.
    pub(super) fn erase(&mut self, blocks: &[Block<D::File>]) -> Result<(), Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        for neighbours in blocks.chunk_by(|(one, _), (other, _)| Arc::ptr_eq(one, other)) {
            let Some((file, _)) = neighbours.first() else { continue };
            let ranges: Vec<_> = neighbours.iter().map(|(_, range)| range.clone()).collect();
            open::erase(&**file, &ranges).map_err(|error| self.break_off("erase", &error))?;
        }
        Ok(())
    }

    /// Keeps space back, if it can be had.
    pub(super) fn keep_spare(&mut self) -> Result<(), Fault> {
        match self.claim_spare() {
            Ok(()) | Err(Claim::Full) => Ok(()),
            Err(Claim::Failed(error)) => Err(self.break_off("keep space back", &error)),
        }
    }

    fn write(&mut self, drafts: Vec<Draft>) -> Result<(), Fault> {
        let Chain { next, admitted_at } = self.chain;
        let Some(last) = &mut self.last else { return Err(Fault::Full) };
        let at = last.end;
        let group = frame::encode_group(&last.stamp, next, admitted_at, drafts);
        let group = group.filter(|group| at.saturating_add(group.bytes.len()) <= last.capacity);
        let group = group.ok_or(Fault::Full)?;
        let written = last.file.write_at(&group.bytes, u64::try_from(at).unwrap_or(u64::MAX));
        if let Err(error) = written.and_then(|()| last.file.sync()) {
            return Err(self.break_off("append", &error));
        }
        last.end = at.saturating_add(group.bytes.len());
        if let Some(placed) = group.entries.last() {
            let admitted_at = placed.entry.admitted_at;
            self.chain = Chain { next: placed.entry.position.next(), admitted_at };
        }
        self.index.write().unwrap_or_else(PoisonError::into_inner).push_group(group, at);
        let size = TreeSize::new(self.chain.next.number());
        self.durable.send_modify(|durable| durable.size = size);
        Ok(())
    }

    /// Sees to it that the last segment has room for a group of `length` bytes.
    fn make_room(&mut self, length: usize, space: Space, salt: [u8; 16]) -> Result<(), Claim> {
        if space == Space::Ordinary {
            self.claim_spare()?;
        }
        let room = self.last.as_ref().map_or(0, |last| last.capacity.saturating_sub(last.end));
        if length <= room {
            return Ok(());
        }
        let needed = HEADER_BYTES.saturating_add(length);
        let capacity = self.spare_bytes().max(needed);
        match self.allocate(capacity) {
            Ok(()) => self.begin(capacity, salt),
            Err(Claim::Full)
                if space == Space::Reserved && self.spare && capacity == self.spare_bytes() =>
            {
                self.disk.rename(SPARE_NAME, NEXT_NAME)?;
                self.spare = false;
                self.begin(capacity, salt)
            }
            Err(claim) => Err(claim),
        }
    }

    /// Makes the file `next` a segment, and the last one.
    fn begin(&mut self, capacity: usize, salt: [u8; 16]) -> Result<(), Claim> {
        let first = self.chain.next;
        let root = self.index.read().unwrap_or_else(PoisonError::into_inner).tree.root();
        // Unguessable because the first entry's salt is; needs no other randomness.
        let parts: [&[u8]; 3] = [&first.number().to_be_bytes(), root.as_bytes(), &salt];
        let stamp = Digest::of_parts("concordat.segment.stamp.v1", &parts).first_half();
        let stated = u32::try_from(capacity).map_err(|_| Claim::Full)?;
        let header = Header { capacity: stated, first, stamp, root };
        let file = self.disk.open(NEXT_NAME)?;
        file.write_at(&header.encode(), 0)?;
        file.sync()?;
        self.disk.rename(NEXT_NAME, &segment_name(first))?;
        self.disk.sync_names()?;
        if let Some(last) = &self.last {
            // Only gives back space: what follows the last group is zeros.
            last.file.truncate(u64::try_from(last.end).unwrap_or(u64::MAX))?;
        }
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.push_part(&header, Scanned::empty());
        self.last = Some(Last { file, stamp, capacity, end: HEADER_BYTES });
        Ok(())
    }

    fn claim_spare(&mut self) -> Result<(), Claim> {
        if !self.spare {
            self.allocate(self.spare_bytes())?;
            self.disk.open(NEXT_NAME)?.sync()?;
            self.disk.rename(NEXT_NAME, SPARE_NAME)?;
            self.disk.sync_names()?;
            self.spare = true;
        }
        Ok(())
    }

    /// Makes the file `next` with `bytes` of space, or leaves none behind.
    fn allocate(&self, bytes: usize) -> Result<(), Claim> {
        let full = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        let file = match self.disk.create(NEXT_NAME) {
            Ok(file) => file,
            Err(error) if full(&error) => return Err(Claim::Full),
            Err(error) => return Err(Claim::Failed(error)),
        };
        match file.allocate(u64::try_from(bytes).unwrap_or(u64::MAX)) {
            Ok(()) => Ok(()),
            Err(error) if full(&error) => {
                self.disk.remove(NEXT_NAME)?;
                Err(Claim::Full)
            }
            Err(error) => Err(Claim::Failed(error)),
        }
    }

    fn spare_bytes(&self) -> usize {
        usize::try_from(self.options.segment_bytes).unwrap_or(usize::MAX)
    }

    /// Ends all writing, and says so to whoever follows.
    fn break_off(&mut self, doing: &str, error: &io::Error) -> Fault {
        let fault = Fault::Broken(format!("could not {doing}: {error}"));
        self.fault = Some(fault.clone());
        self.durable.send_modify(|durable| durable.fault = Some(fault.clone()));
        fault
    }
}
