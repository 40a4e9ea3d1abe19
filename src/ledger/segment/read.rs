//! Reads segments from end to end and checks all of them; changes nothing.
//!
//! Opening and the offline verifier share it, so both refuse the same things.

use super::{
    directory::{read_backwards, read_stamp, segment_name, segment_names, unreadable},
    frame::{Attached, Frame, Header},
    scan::{Chain, Scanned, scan},
};
use crate::{
    ledger::{Entry, Fault, disk::Disk, tree::Tree},
    model::order::UnixMillis,
};

/// A segment that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) header: Header,
    pub(super) bytes: Vec<u8>,
    pub(super) scanned: Scanned,
}

/// Checks all `bytes` of the segment `name` against what came before: `chain` and `tree`, which it moves on.
///
/// # Errors
/// [`Fault::Corrupt`] for anything but a torn end of the `last` segment; what `visit` fails with.
pub(super) fn read_segment(
    (name, bytes): (&str, Vec<u8>),
    last: bool,
    chain: &mut Chain,
    tree: &mut Tree,
    visit: &mut dyn FnMut(Frame, Attached) -> Result<(), Fault>,
) -> Result<Read, Fault> {
    let header = Header::decode(&bytes)?;
    let follows = header.first == chain.next
        && header.root == tree.root()
        && segment_name(header.first) == name;
    if !follows {
        return Err(Fault::Corrupt(format!("the segment `{name}` does not follow the one before")));
    }
    let capacity = usize::try_from(header.capacity).unwrap_or(usize::MAX);
    if capacity < bytes.len() || (last && bytes.len() != capacity) {
        return Err(Fault::Corrupt(format!("the segment `{name}` has another length")));
    }
    let scanned = scan(&bytes, &header, last, chain, &mut |frame, attached| {
        tree.push(frame.leaf);
        visit(frame, attached)
    })?;
    Ok(Read { header, bytes, scanned })
}

/// What a ledger was found to hold besides its entries.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Found {
    pub(in crate::ledger) tree: Tree,
    pub(in crate::ledger) admitted_at: UnixMillis,
    pub(in crate::ledger) bytes: u64,
    pub(in crate::ledger) torn: bool,
}

/// Reads and checks the ledger in `disk`; shows every entry to `visit`.
///
/// # Errors
/// [`Fault::Unusable`] if there is none or it cannot be read; [`Fault::Corrupt`]; what `visit` fails with.
pub(in crate::ledger) fn read_ledger(
    disk: &impl Disk,
    visit: &mut dyn FnMut(&Entry, &Attached) -> Result<(), Fault>,
) -> Result<Found, Fault> {
    if !read_stamp(disk)? {
        return Err(Fault::Unusable("there is no ledger".to_owned()));
    }
    let mut names = segment_names(disk)?;
    let mut chain = Chain::default();
    let mut found = Found::default();
    let mut number: usize = 0;
    while let Some(name) = names.get(number) {
        let file = disk.open_to_read(name).map_err(|error| unreadable(&error))?;
        let last = number.saturating_add(1) == names.len();
        let bytes = read_backwards(&file);
        if last {
            // A node may be writing here. If it has begun another segment, this one is complete now: read it again.
            let now = segment_names(disk)?;
            if names.len() < now.len() {
                names = now;
                continue;
            }
        }
        let mut show = |frame: Frame, attached| visit(&frame.entry, &attached);
        let read = read_segment((name, bytes?), last, &mut chain, &mut found.tree, &mut show)?;
        let held = u64::try_from(read.scanned.end).unwrap_or(u64::MAX);
        found.bytes = found.bytes.saturating_add(held);
        found.torn = read.scanned.torn;
        number = number.saturating_add(1);
    }
    found.admitted_at = chain.admitted_at;
    Ok(found)
}
