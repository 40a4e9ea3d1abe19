//! Reads a whole segment and decides what its end is: clean, torn by a power cut, or damaged.
//!
//! Pure: bytes in, verdict out. Only the last group of the last segment can be torn, because every group is synced
//! before the next one is written. A torn group is one whose bytes did not all reach the disk: sectors of it, or its
//! tail, still are the zeros that were there before. Anything else that does not verify is damage and is refused, as is
//! a hole with a good group after it. What this cannot tell from a torn group are whole sectors that were zeroed later
//! up to or within the last group: against that stands only whoever holds a newer checkpoint.

use std::ops::Range;

use super::frame::{
    self, Attached, ERASED, Frame, GROUP_BYTES, GROUP_END, GroupHeader, HEADER_BYTES, Header,
    MARK_BYTES, Stamp,
};
use crate::{
    ledger::{Fault, leaf},
    model::order::{Position, UnixMillis},
};

/// What a disk writes at once or not at all, in bytes.
const SECTOR_BYTES: usize = 512;

/// Where the ledger stands between two segments.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain {
    /// The position that comes next.
    pub(super) next: Position,
    /// When the entry before it was admitted.
    pub(super) admitted_at: UnixMillis,
}

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Scanned {
    /// Where the frames start.
    pub(super) offsets: Vec<u32>,
    /// Where the last whole group ends.
    pub(super) end: usize,
    /// The last whole group, if there is one.
    pub(super) last_group: Range<usize>,
    /// The bytes from `end` on that are not zeros: a torn group.
    pub(super) torn: bool,
    /// Attachments that are marked as erased and not yet overwritten.
    pub(super) half_erased: Vec<Range<usize>>,
}

impl Scanned {
    /// What a segment that was just begun holds.
    pub(super) const fn empty() -> Self {
        Self {
            offsets: Vec::new(),
            end: HEADER_BYTES,
            last_group: 0..0,
            torn: false,
            half_erased: Vec::new(),
        }
    }
}

/// Reads the groups of a segment and shows each entry to `visit`, in order.
///
/// # Errors
/// [`Fault::Corrupt`] for anything but a torn end of the `last` segment; what `visit` fails with.
pub(super) fn scan(
    bytes: &[u8],
    header: &Header,
    last: bool,
    chain: &mut Chain,
    visit: &mut dyn FnMut(Frame, Attached) -> Result<(), Fault>,
) -> Result<Scanned, Fault> {
    let mut scanned = Scanned::empty();
    loop {
        let at = scanned.end;
        let rest = bytes.get(at..).unwrap_or_default();
        let damaged = |what: &str| corrupt(header, at, what);
        let Some(group) = GroupHeader::decode(&header.stamp, rest) else {
            scanned.torn = !is_zero(rest);
            let accepted = !scanned.torn
                || (last && header_is_torn(rest, at) && !holds_group(&header.stamp, rest));
            return if accepted { Ok(scanned) } else { Err(damaged("no group begins")) };
        };
        if group.first != chain.next {
            return Err(damaged("a group is out of place"));
        }
        let length = GROUP_BYTES.saturating_add(group.length);
        let Some((whole, later)) = rest.split_at_checked(length) else {
            return Err(damaged("a group is cut off"));
        };
        if let Some(found) = decode_group(&header.stamp, group, whole) {
            for found in found {
                take(found, header, &mut scanned, chain, visit)?;
            }
            scanned.last_group = at..at.saturating_add(length);
            scanned.end = scanned.last_group.end;
        } else if last && is_zero(later) && group_is_torn(whole, at) {
            scanned.torn = true;
            return Ok(scanned);
        } else {
            return Err(damaged("a group does not verify"));
        }
    }
}

/// A frame as it was found in its group.
struct Found {
    /// Where it starts in the group.
    offset: usize,
    frame: Frame,
    attached: Attached,
    /// Where its attachment lies in the group, if its erasure was begun and not finished.
    half_erased: Option<Range<usize>>,
}

/// The frames of a group if every one of them and the end are whole.
fn decode_group(stamp: &Stamp, group: GroupHeader, whole: &[u8]) -> Option<Vec<Found>> {
    let mut found = Vec::new();
    let mut offset = GROUP_BYTES;
    let mut position = group.first;
    for _ in 0..group.entries {
        let bytes = whole.get(offset..)?;
        let frame = frame::decode_frame(stamp, position, bytes)?;
        let attached = frame::attached(&frame, bytes)?;
        let next = offset.checked_add(frame.length)?;
        let half_erased = match (&attached, frame.attachment) {
            (Attached::Erased, Some(start)) => {
                let block = offset.checked_add(start)?..next;
                let (mark, rest) = whole.get(block.clone())?.split_at_checked(MARK_BYTES)?;
                // Pages that were given back to the disk read as zeros.
                let unfinished = mark.iter().any(|byte| *byte != ERASED)
                    || rest.iter().any(|byte| *byte != ERASED && *byte != 0);
                unfinished.then_some(block)
            }
            (Attached::Never | Attached::Present(_) | Attached::Erased, _) => None,
        };
        found.push(Found { offset, frame, attached, half_erased });
        offset = next;
        position = position.next();
    }
    (whole.get(offset..)? == GROUP_END).then_some(found)
}

/// Checks what only the order can tell, notes where things are, and shows the entry.
fn take(
    found: Found,
    header: &Header,
    scanned: &mut Scanned,
    chain: &mut Chain,
    visit: &mut dyn FnMut(Frame, Attached) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Found { offset, frame, attached, half_erased } = found;
    let at = scanned.end.saturating_add(offset);
    let entry = &frame.entry;
    if leaf::leaf_hash(entry) != frame.leaf {
        return Err(corrupt(header, at, "an entry does not match its leaf hash"));
    }
    if entry.admitted_at < chain.admitted_at {
        return Err(corrupt(header, at, "an entry is earlier than the one before"));
    }
    *chain = Chain { next: entry.position.next(), admitted_at: entry.admitted_at };
    let offset = u32::try_from(at).map_err(|_| corrupt(header, at, "a segment is too long"))?;
    scanned.offsets.push(offset);
    scanned.half_erased.extend(half_erased.map(|block| {
        scanned.end.saturating_add(block.start)..scanned.end.saturating_add(block.end)
    }));
    visit(frame, attached)
}

/// Whether an unreadable group header at `at` is one that was not fully written.
fn header_is_torn(rest: &[u8], at: usize) -> bool {
    let later = rest.get(GROUP_BYTES..).unwrap_or_default();
    // Whole sectors: those that the header touches.
    let end = at.saturating_add(GROUP_BYTES).next_multiple_of(SECTOR_BYTES);
    let touched = rest.get(..end.saturating_sub(at)).unwrap_or(rest);
    is_zero(later) || has_hole(touched, at)
}

/// Whether a group at `at` whose frames do not verify is one that was not fully written.
fn group_is_torn(whole: &[u8], at: usize) -> bool {
    whole.last() == Some(&0) || has_hole(whole, at)
}

/// Whether a sector's share of `bytes`, which lie at `at`, is all zeros.
fn has_hole(bytes: &[u8], at: usize) -> bool {
    let room = SECTOR_BYTES.saturating_sub(at.checked_rem(SECTOR_BYTES).unwrap_or(0));
    let (first, rest) = bytes.split_at(room.min(bytes.len()));
    is_zero(first) || rest.chunks(SECTOR_BYTES).any(is_zero)
}

/// Whether a good group header lies anywhere in `bytes`.
fn holds_group(stamp: &Stamp, bytes: &[u8]) -> bool {
    bytes.windows(GROUP_BYTES).any(|window| GroupHeader::decode(stamp, window).is_some())
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn corrupt(header: &Header, at: usize, what: &str) -> Fault {
    Fault::Corrupt(format!("{what} at byte {at} of the segment from position {}", header.first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{Draft, Space},
        model::digest::Digest,
    };

    fn header() -> Header {
        let (stamp, root) = ([7; 16], Digest::default());
        Header { capacity: 4_096, first: Position::FIRST, stamp, root }
    }

    /// A group with every checksum right.
    fn group(first: u64, admitted_at: u64) -> Vec<u8> {
        let draft = Draft {
            proposed_at: UnixMillis::new(admitted_at),
            salt: [1; 16],
            command: b"command".as_slice().into(),
            sealed: None,
            space: Space::Ordinary,
        };
        let first = Position::new(first);
        frame::encode_group(&[7; 16], first, UnixMillis::EPOCH, vec![draft]).unwrap().bytes
    }

    fn scan_groups(groups: &[Vec<u8>]) -> Result<Scanned, Fault> {
        let mut bytes = header().encode();
        bytes.extend(groups.concat());
        bytes.resize(4_096, 0);
        scan(&bytes, &header(), true, &mut Chain::default(), &mut |_, _| Ok(()))
    }

    fn is_corrupt(groups: &[Vec<u8>], what: &str) -> bool {
        matches!(scan_groups(groups), Err(Fault::Corrupt(cause)) if cause.starts_with(what))
    }

    #[test]
    fn a_whole_segment_is_read_to_its_end() {
        let scanned = scan_groups(&[group(0, 5), group(1, 5), group(2, 6)]).unwrap();
        assert_eq!((scanned.offsets.len(), scanned.torn), (3, false));
        assert_eq!(scanned.last_group.end, scanned.end);
    }

    #[test]
    fn time_that_goes_back_is_corrupt() {
        assert!(is_corrupt(&[group(0, 5), group(1, 4)], "an entry is earlier"));
    }

    #[test]
    fn a_group_that_is_missing_or_repeated_is_corrupt() {
        assert!(is_corrupt(&[group(0, 5), group(2, 5)], "a group is out of place"));
        assert!(is_corrupt(&[group(0, 5), group(0, 5)], "a group is out of place"));
    }

    #[test]
    fn a_leaf_hash_that_is_not_the_entrys_is_corrupt() {
        let mut forged = group(0, 5);
        forged[GROUP_BYTES + frame::LEAF_OFFSET] ^= 1;
        let end = forged.len() - GROUP_END.len();
        let checksum =
            frame::frame_checksum(&[7; 16], Position::FIRST, &forged[GROUP_BYTES + 4..end]);
        forged[GROUP_BYTES..GROUP_BYTES + 4].copy_from_slice(&checksum.to_be_bytes());
        assert!(is_corrupt(&[forged], "an entry does not match its leaf hash"));
    }
}
