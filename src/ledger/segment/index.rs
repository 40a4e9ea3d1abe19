//! What the segments hold, in memory: where each entry lies, the tree, and the newest entries.
//!
//! Holds durable entries only. Costs 4 bytes for each entry, a quarter byte for the tree, and the tail, which is bounded
//! by bytes; whoever is slower than the tail reads files.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use super::{
    files::Files,
    frame::{self, Attached, Group, LEAF_OFFSET, Placed, Stamp},
    scan::Scanned,
};
use crate::{
    ledger::{
        Entry, Fault,
        disk::{Disk, DiskFile},
        tree::Tree,
    },
    model::{digest::Digest, order::Position},
};

/// The durable content of a ledger.
#[derive(Debug)]
pub(super) struct Index<D: Disk> {
    pub(super) tree: Tree,
    files: Files<D>,
    parts: Vec<Part>,
    tail: VecDeque<Entry>,
    tail_bytes: usize,
    tail_bytes_max: usize,
}

/// One segment.
#[derive(Debug)]
struct Part {
    stamp: Stamp,
    first: Position,
    /// Where each frame starts.
    offsets: Vec<u32>,
    /// Where the last group ends.
    end: usize,
}

/// Neighbouring entries in one file.
#[derive(Debug)]
pub(super) struct Span<F> {
    file: Arc<F>,
    stamp: Stamp,
    first: Position,
    offsets: Vec<u32>,
    /// At or after the end of the last frame.
    end: usize,
}

/// Where an attachment lies, erased or not.
pub(super) type Block<F> = (Arc<F>, Range<usize>);

impl<D: Disk> Index<D> {
    pub(super) fn new(disk: D, tail_bytes_max: usize) -> Self {
        Self {
            tree: Tree::default(),
            files: Files::new(disk),
            parts: Vec::new(),
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_bytes_max,
        }
    }

    /// Adds a segment that was read, or, with nothing in it, begun.
    pub(super) fn push_part(&mut self, header: &frame::Header, scanned: Scanned) {
        let Scanned { offsets, end, .. } = scanned;
        let (stamp, first) = (header.stamp, header.first);
        self.parts.push(Part { stamp, first, offsets, end });
    }

    /// Takes up a group that has become durable at byte `at` of the last segment.
    pub(super) fn push_group(&mut self, group: Group, at: usize) {
        let Some(part) = self.parts.last_mut() else { return };
        part.end = at.saturating_add(group.bytes.len());
        for Placed { offset, leaf, entry } in group.entries {
            // INVARIANT (offset): a segment's capacity fits in 32 bits; `writer.rs` writes only within it.
            part.offsets.push(u32::try_from(at.saturating_add(offset)).unwrap_or(u32::MAX));
            self.tree.push(leaf);
            self.tail_bytes = self.tail_bytes.saturating_add(weight(&entry));
            self.tail.push_back(entry);
        }
        while self.tail_bytes_max < self.tail_bytes
            && let Some(oldest) = self.tail.pop_front()
        {
            self.tail_bytes = self.tail_bytes.saturating_sub(weight(&oldest));
        }
    }

    /// Up to `count` of the newest entries from `from` on, or `None` if `from` is not among them.
    pub(super) fn recent(&self, from: Position, count: usize) -> Option<Vec<Entry>> {
        let first = self.tail.front()?.position.number();
        let skipped = usize::try_from(from.number().checked_sub(first)?).ok()?;
        let found: Vec<_> = self.tail.iter().skip(skipped).take(count).cloned().collect();
        (!found.is_empty()).then_some(found)
    }

    /// Up to `count` entries from `from` on that lie in one file, in about `bytes_max` bytes but at least one; `None` if
    /// `from` is beyond the end.
    pub(super) fn span(
        &self,
        from: Position,
        count: usize,
        bytes_max: usize,
    ) -> Result<Option<Span<D::File>>, Fault> {
        let Some((part, rest)) = self.locate(from) else { return Ok(None) };
        let start = rest.first().map_or(0, |offset| usize_of(*offset));
        let near = |offset: &&u32| usize_of(**offset).saturating_sub(start) <= bytes_max;
        let offsets: Vec<_> = rest.iter().take(count).take_while(near).copied().collect();
        let end = rest.get(offsets.len()).map_or(part.end, |next| usize_of(*next));
        let file = self.files.segment(part.first)?;
        Ok(Some(Span { file, stamp: part.stamp, first: from, offsets, end }))
    }

    /// The leaf hashes of `range`, read from the files.
    pub(super) fn leaves(&self, range: Range<u64>) -> Result<Vec<Digest>, Fault> {
        range.map(|number| self.leaf(Position::new(number))).collect()
    }

    /// The leaf hash of the entry at `position`.
    pub(super) fn leaf(&self, position: Position) -> Result<Digest, Fault> {
        let found = self.locate(position).and_then(|(part, rest)| Some((part, *rest.first()?)));
        let (part, offset) =
            found.ok_or_else(|| Fault::Corrupt(format!("entry {position} is missing")))?;
        let mut bytes = [0; 32];
        let file = self.files.segment(part.first)?;
        read(&*file, &mut bytes, usize_of(offset).saturating_add(LEAF_OFFSET))?;
        Ok(Digest::from_bytes(bytes))
    }

    /// The segment that holds `position`, and where its entries from there on start: at least one.
    fn locate(&self, position: Position) -> Option<(&Part, &[u32])> {
        let after = self.parts.partition_point(|part| part.first <= position);
        let part = self.parts.get(after.checked_sub(1)?)?;
        let place = position.number().checked_sub(part.first.number())?;
        let rest = part.offsets.get(usize::try_from(place).ok()?..)?;
        (!rest.is_empty()).then_some((part, rest))
    }
}

impl<F: DiskFile> Span<F> {
    /// The entries, each checked against its checksum.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, Fault> {
        let (start, bytes) = self.bytes()?;
        let mut entries = Vec::with_capacity(self.offsets.len());
        let mut position = self.first;
        for offset in &self.offsets {
            let frame = usize_of(*offset)
                .checked_sub(start)
                .and_then(|offset| bytes.get(offset..))
                .and_then(|bytes| frame::decode_frame(&self.stamp, position, bytes))
                .ok_or_else(|| damaged("entry", position))?;
            entries.push(frame.entry);
            position = position.next();
        }
        Ok(entries)
    }

    /// The attachment of the first entry.
    pub(super) fn attached(&self) -> Result<Attached, Fault> {
        let mut found = None;
        // An erasure may run meanwhile. It marks before it overwrites: a second look sees the mark.
        for _ in 0..2 {
            let (_, bytes) = self.bytes()?;
            let frame = frame::decode_frame(&self.stamp, self.first, &bytes)
                .ok_or_else(|| damaged("entry", self.first))?;
            found = frame::attached(&frame, &bytes);
            if found.is_some() {
                break;
            }
        }
        found.ok_or_else(|| damaged("the attachment of entry", self.first))
    }

    /// The file, and where in it the attachment of the first entry lies, if it ever had one.
    pub(super) fn attachment(&self) -> Result<Option<Block<F>>, Fault> {
        let (start, bytes) = self.bytes()?;
        let frame = frame::decode_frame(&self.stamp, self.first, &bytes)
            .ok_or_else(|| damaged("entry", self.first))?;
        Ok(frame.attachment.map(|attachment| {
            let range = start.saturating_add(attachment)..start.saturating_add(frame.length);
            (Arc::clone(&self.file), range)
        }))
    }

    fn bytes(&self) -> Result<(usize, Vec<u8>), Fault> {
        let start = self.offsets.first().map_or(self.end, |offset| usize_of(*offset));
        let mut bytes = vec![0; self.end.saturating_sub(start)];
        read(&*self.file, &mut bytes, start)?;
        Ok((start, bytes))
    }
}

/// What an entry holds in memory, about.
fn weight(entry: &Entry) -> usize {
    size_of::<Entry>().saturating_add(entry.command.len())
}

fn read(file: &impl DiskFile, bytes: &mut [u8], offset: usize) -> Result<(), Fault> {
    let offset = u64::try_from(offset).unwrap_or(u64::MAX);
    file.read_at(bytes, offset)
        .map_err(|error| Fault::Corrupt(format!("a segment cannot be read: {error}")))
}

fn damaged(what: &str, position: Position) -> Fault {
    Fault::Corrupt(format!("{what} {position} is damaged"))
}

/// `usize` has at least 32 bits wherever this runs.
fn usize_of(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{Draft, Space, disk::ForgetfulDisk},
        model::order::UnixMillis,
    };

    #[test]
    fn the_tail_stays_within_its_bytes() {
        let mut index = Index::new(ForgetfulDisk::new(), 10_000);
        let header = frame::Header {
            capacity: u32::MAX,
            first: Position::FIRST,
            stamp: [0; 16],
            root: Digest::default(),
        };
        index.push_part(&header, Scanned::empty());
        for number in 0..100 {
            let draft = Draft {
                proposed_at: UnixMillis::EPOCH,
                salt: [0; 16],
                command: vec![0; 50 * number].into(),
                sealed: None,
                space: Space::Ordinary,
            };
            let next = index.tree.size().end();
            let group = frame::encode_group(&[0; 16], next, UnixMillis::EPOCH, vec![draft]);
            index.push_group(group.unwrap(), 0);
            assert!(index.tail_bytes <= 10_000);
            assert_eq!(index.tail_bytes, index.tail.iter().map(weight).sum::<usize>());
        }
        assert_eq!(index.recent(Position::FIRST, 10), None);
        assert_eq!(index.recent(Position::new(99), 10).unwrap().len(), 1);
    }
}
