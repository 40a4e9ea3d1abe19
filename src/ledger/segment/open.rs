//! Opens a directory of segments for writing, and mends the one thing that a power cut may leave behind.
//!
//! A torn end is overwritten with zeros; an erasure that was begun is finished. The last whole group is written again
//! and synced before anything of it is shown: the process that wrote it may have died, or been told that its sync
//! failed, before it was durable.

use std::{io, ops::Range};

use super::{
    Options,
    directory::{self, NEXT_NAME, SPARE_NAME, unreadable},
    frame::{ERASED, GROUP_BYTES, HEADER_BYTES, MARK_BYTES},
    index::Index,
    read::{Read, read_segment},
    scan::Chain,
    writer::Last,
};
use crate::ledger::{
    Fault,
    disk::{Disk, DiskFile},
    tree::Tree,
};

/// Checks the format, clears away what was being made, and makes an empty directory a ledger.
///
/// Returns whether space is kept back.
pub(super) fn prepare(disk: &impl Disk, options: &Options) -> Result<bool, Fault> {
    let stamped = directory::read_stamp(disk)?;
    let spare = match disk.open_to_read(SPARE_NAME).and_then(|file| file.length()) {
        Ok(length) => Some(length == u64::from(options.segment_bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unreadable(&error)),
    };
    if !stamped && !directory::segment_names(disk)?.is_empty() {
        return Err(Fault::Corrupt("the format stamp is missing".to_owned()));
    }
    let mend = || {
        if disk.list()?.iter().any(|name| name == NEXT_NAME) {
            disk.remove(NEXT_NAME)?;
        }
        if spare == Some(false) {
            disk.remove(SPARE_NAME)?;
        }
        if !stamped {
            directory::write_stamp(disk)?;
        }
        // Of what was just done to names, and of what the last process did to them.
        disk.sync_names()
    };
    match mend() {
        Ok(()) => Ok(spare == Some(true)),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(Fault::Full),
        Err(error) => Err(Fault::Broken(format!("could not prepare the directory: {error}"))),
    }
}

/// Where the next group goes.
#[derive(Debug)]
pub(super) struct End<F> {
    pub(super) chain: Chain,
    /// The last segment, if there is one.
    pub(super) last: Option<Last<F>>,
}

/// Reads every segment into `index` and mends what a power cut left.
pub(super) fn load<D: Disk>(disk: &D, index: &mut Index<D>) -> Result<End<D::File>, Fault> {
    let names = directory::segment_names(disk)?;
    let mut end = End { chain: Chain::default(), last: None };
    let mut tree = Tree::default();
    for (number, name) in names.iter().enumerate() {
        let last = number.saturating_add(1) == names.len();
        let file = disk.open(name).map_err(|error| unreadable(&error))?;
        let bytes = directory::read_all(&file)?;
        let read =
            read_segment((name, bytes), last, &mut end.chain, &mut tree, &mut |_, _| Ok(()))?;
        mend(&file, &read, last)
            .map_err(|error| Fault::Broken(format!("could not mend `{name}`: {error}")))?;
        let Read { header, bytes, scanned } = read;
        end.last =
            Some(Last { file, stamp: header.stamp, capacity: bytes.len(), end: scanned.end });
        index.push_part(&header, scanned);
    }
    index.tree = tree;
    Ok(end)
}

/// The unit in which a file system gives space back, in bytes.
const PAGE_BYTES: usize = 4_096;

/// Overwrites attachments where they lie, durably: first their marks, then all the rest of them. Then the whole pages
/// inside them are given back to the disk, which is no part of the erasure: a crash before it only costs the space.
pub(super) fn erase(file: &impl DiskFile, attachments: &[Range<usize>]) -> io::Result<()> {
    for attachment in attachments {
        file.write_at(&[ERASED; MARK_BYTES], offset(attachment.start))?;
    }
    file.sync()?;
    for attachment in attachments {
        file.write_at(&vec![ERASED; attachment.len()], offset(attachment.start))?;
    }
    file.sync()?;
    let pages: Vec<_> = attachments.iter().filter_map(whole_pages).collect();
    for pages in &pages {
        file.give_back(offset(pages.start), offset(pages.len()))?;
    }
    if pages.is_empty() { Ok(()) } else { file.sync() }
}

/// The whole pages of an attachment after its mark.
fn whole_pages(attachment: &Range<usize>) -> Option<Range<usize>> {
    let start = attachment.start.saturating_add(MARK_BYTES).next_multiple_of(PAGE_BYTES);
    let end = attachment.end / PAGE_BYTES * PAGE_BYTES;
    (start < end).then_some(start..end)
}

/// Makes what was read durable, removes its torn end, and finishes its erasures.
fn mend(file: &impl DiskFile, read: &Read, last: bool) -> io::Result<()> {
    let Read { header: _, bytes, scanned } = read;
    if last {
        if scanned.torn {
            // The body first: while its zeros are half-written, the rest still reads as a torn group.
            let body = scanned.end.saturating_add(GROUP_BYTES).min(bytes.len());
            let written = bytes.iter().rposition(|byte| *byte != 0);
            let past = written.map_or(body, |at| at.saturating_add(1).max(body));
            zero(file, body..past)?;
            file.sync()?;
            zero(file, scanned.end..body)?;
        }
        let whole = if scanned.last_group.is_empty() {
            0..HEADER_BYTES
        } else {
            scanned.last_group.clone()
        };
        let start = whole.start;
        file.write_at(bytes.get(whole).unwrap_or_default(), offset(start))?;
        file.sync()?;
    }
    if scanned.half_erased.is_empty() { Ok(()) } else { erase(file, &scanned.half_erased) }
}

fn zero(file: &impl DiskFile, range: Range<usize>) -> io::Result<()> {
    file.write_at(&vec![0; range.len()], offset(range.start))
}

fn offset(place: usize) -> u64 {
    u64::try_from(place).unwrap_or(u64::MAX)
}
