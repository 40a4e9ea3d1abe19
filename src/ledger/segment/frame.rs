//! The bytes of a segment: header, groups, frames, attachments. **\[format\]**: what format 1 writes can never change.
//!
//! Pure: bytes in, values out. All numbers are big-endian; every checksum is a CRC-32C (RFC 3720 §B.4).
//!
//! ```text
//! segment  = header group* zeros            up to the capacity that the header states
//! header   = magic(16) format(4) capacity(4) first position(8) stamp(16) root before(32) checksum(4)
//! group    = magic(4) length(4) first position(8) entries(4) checksum(4) frame* "done"
//! frame    = checksum(4) kind(1) admitted at(8) salt(16) leaf hash(32) command length(4) attachment length(4)
//!            sealed digest(32) command attachment?
//! attachment = mark(8) checksum(4) salt(16) bytes
//! ```
//!
//! One group is what one call appended: it is there as a whole or not at all. A group ends in bytes that are not zeros,
//! so that a torn one is told from a damaged one (`scan.rs`). The checksums of groups and frames begin with the
//! segment's stamp, which nobody outside can know, and a frame's covers its position: no content can be taken for
//! structure. They do not cover attachments, which have their own, so that an attachment can be overwritten where it
//! lies. An erased one is all [`ERASED`] bytes, its mark first; not zeros, so that it is never taken for a write that
//! was lost. Whole pages behind its mark may be zeros: their space was given back.

use bytes::Bytes;

use crate::{
    ledger::{
        Draft, Entry, Fault, Sealed,
        leaf::{self, FORMAT},
    },
    model::{
        digest::Digest,
        order::{Position, UnixMillis},
    },
};

/// The length of a segment's header.
pub(super) const HEADER_BYTES: usize = 84;
/// The length of a group's header.
pub(super) const GROUP_BYTES: usize = 24;
/// What ends a group. Not zeros.
pub(super) const GROUP_END: [u8; 4] = *b"done";
/// Where in a frame its leaf hash lies.
pub(super) const LEAF_OFFSET: usize = 29;
/// What an erased attachment is overwritten with. Eight of these are the mark; eight zeros mark one that is there.
pub(super) const ERASED: u8 = 0xe5;
/// The length of an attachment's mark.
pub(super) const MARK_BYTES: usize = 8;

const MAGIC: [u8; 16] = *b"concordat ledger";
const GROUP_MAGIC: [u8; 4] = *b"grup";
const FRAME_BYTES: usize = 101;
const ATTACHMENT_BYTES: usize = MARK_BYTES + 4 + 16;
const KIND_PLAIN: u8 = 1;
const KIND_SEALED: u8 = 2;

/// A segment's own unguessable 16 bytes.
pub(super) type Stamp = [u8; 16];

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The length of the file while it is the last one.
    pub(super) capacity: u32,
    /// The position of its first entry.
    pub(super) first: Position,
    pub(super) stamp: Stamp,
    /// The root of the tree over all entries before.
    pub(super) root: Digest,
}

/// A group's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupHeader {
    /// How many bytes follow the header: the frames and [`GROUP_END`].
    pub(super) length: usize,
    pub(super) first: Position,
    pub(super) entries: u32,
}

/// A group ready to be written, and what becomes of its drafts once it is durable.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) bytes: Vec<u8>,
    pub(super) entries: Vec<Placed>,
}

/// An entry of a group.
#[derive(Debug)]
pub(super) struct Placed {
    /// Where its frame starts in the group.
    pub(super) offset: usize,
    pub(super) leaf: Digest,
    pub(super) entry: Entry,
}

/// A frame as it was read.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) entry: Entry,
    /// The stored leaf hash.
    pub(super) leaf: Digest,
    /// Where its attachment starts, if it has one.
    pub(super) attachment: Option<usize>,
    /// The length of frame and attachment.
    pub(super) length: usize,
}

/// The attachment of an entry as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attached {
    /// The entry was admitted without one.
    Never,
    /// It is there, and its checksum holds.
    Present(Sealed),
    /// It was erased.
    Erased,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(u32::from(FORMAT).to_be_bytes());
        bytes.extend(self.capacity.to_be_bytes());
        bytes.extend(self.first.number().to_be_bytes());
        bytes.extend(self.stamp);
        bytes.extend(self.root.as_bytes());
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    /// # Errors
    /// [`Fault::Unusable`] for a newer format, otherwise [`Fault::Corrupt`].
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let damaged = || Fault::Corrupt("the header of a segment is damaged".to_owned());
        let bytes = bytes.get(..HEADER_BYTES).ok_or_else(damaged)?;
        let (stated, checksum) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if crc32c::crc32c(stated) != u32::from_be_bytes(*checksum) {
            return Err(damaged());
        }
        let mut reader = Reader(stated);
        let mut parse = || {
            let magic = reader.array()?;
            let format = reader.u32()?;
            let capacity = reader.u32()?;
            let first = Position::new(reader.u64()?);
            let stamp = reader.array()?;
            let root = Digest::from_bytes(reader.array()?);
            Some((magic == MAGIC, format, Self { capacity, first, stamp, root }))
        };
        match parse() {
            Some((true, format, header)) if format == u32::from(FORMAT) => Ok(header),
            Some((true, format, _)) if u32::from(FORMAT) < format => {
                Err(Fault::Unusable(format!("a segment has the newer format {format}")))
            }
            _ => Err(damaged()),
        }
    }
}

impl GroupHeader {
    /// The group header at the start of `bytes`, or `None` if there is no whole one.
    pub(super) fn decode(stamp: &Stamp, bytes: &[u8]) -> Option<Self> {
        let (stated, checksum) = bytes.get(..GROUP_BYTES)?.split_last_chunk::<4>()?;
        let mut reader = Reader(stated);
        let magic: [u8; 4] = reader.array()?;
        let length = usize::try_from(reader.u32()?).ok()?;
        let first = Position::new(reader.u64()?);
        let entries = reader.u32()?;
        let whole = magic == GROUP_MAGIC
            && crc32c::crc32c_append(crc32c::crc32c(stamp), stated)
                == u32::from_be_bytes(*checksum);
        whole.then_some(Self { length, first, entries })
    }

    fn encode(self, stamp: &Stamp) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(GROUP_BYTES);
        bytes.extend(GROUP_MAGIC);
        bytes.extend(u32::try_from(self.length).ok()?.to_be_bytes());
        bytes.extend(self.first.number().to_be_bytes());
        bytes.extend(self.entries.to_be_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(stamp), &bytes);
        bytes.extend(checksum.to_be_bytes());
        Some(bytes)
    }
}

/// The length of the group that `drafts` make, or `None` if it is beyond what a segment can hold.
pub(super) fn group_length(drafts: &[Draft]) -> Option<u32> {
    let frames = drafts.iter().map(|draft| {
        let sealed = draft.sealed.as_ref();
        let attachment =
            sealed.map_or(0, |sealed| ATTACHMENT_BYTES.saturating_add(sealed.bytes.len()));
        FRAME_BYTES.saturating_add(draft.command.len()).saturating_add(attachment)
    });
    let around = GROUP_BYTES.saturating_add(GROUP_END.len());
    let length = frames.fold(around, usize::saturating_add);
    // A segment's capacity is stated in 32 bits; the header has to fit beside the group.
    u32::try_from(length).ok().filter(|length| *length < u32::MAX / 2)
}

/// Encodes `drafts` as the group at `first`, admitted no earlier than `admitted_at`.
///
/// `None` only if [`group_length`] is `None`.
pub(super) fn encode_group(
    stamp: &Stamp,
    first: Position,
    admitted_at: UnixMillis,
    drafts: Vec<Draft>,
) -> Option<Group> {
    let length = usize::try_from(group_length(&drafts)?).ok()?;
    let header = GroupHeader {
        length: length.checked_sub(GROUP_BYTES)?,
        first,
        entries: u32::try_from(drafts.len()).ok()?,
    };
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(header.encode(stamp)?);
    let mut entries = Vec::with_capacity(drafts.len());
    let (mut position, mut admitted_at) = (first, admitted_at);
    for draft in drafts {
        let Draft { proposed_at, salt, command, sealed, space: _ } = draft;
        admitted_at = admitted_at.max(proposed_at);
        let sealed_digest = sealed.as_ref().map(leaf::sealed_digest);
        let entry = Entry { position, admitted_at, salt, command, sealed_digest };
        let leaf = leaf::leaf_hash(&entry);
        let offset = bytes.len();
        push_frame(&mut bytes, stamp, &entry, &leaf, sealed.as_ref())?;
        entries.push(Placed { offset, leaf, entry });
        position = position.next();
    }
    bytes.extend(GROUP_END);
    Some(Group { bytes, entries })
}

fn push_frame(
    bytes: &mut Vec<u8>,
    stamp: &Stamp,
    entry: &Entry,
    leaf: &Digest,
    sealed: Option<&Sealed>,
) -> Option<()> {
    let start = bytes.len();
    bytes.extend([0; 4]);
    bytes.push(if sealed.is_some() { KIND_SEALED } else { KIND_PLAIN });
    bytes.extend(entry.admitted_at.millis().to_be_bytes());
    bytes.extend(entry.salt);
    bytes.extend(leaf.as_bytes());
    bytes.extend(u32::try_from(entry.command.len()).ok()?.to_be_bytes());
    let attachment_length = sealed.map_or(0, |sealed| sealed.bytes.len());
    bytes.extend(u32::try_from(attachment_length).ok()?.to_be_bytes());
    bytes.extend(entry.sealed_digest.unwrap_or_default().as_bytes());
    bytes.extend_from_slice(&entry.command);
    let (checksum, stated) = bytes.get_mut(start..)?.split_first_chunk_mut::<4>()?;
    *checksum = frame_checksum(stamp, entry.position, stated).to_be_bytes();
    if let Some(Sealed { salt, bytes: attachment }) = sealed {
        bytes.extend([0; MARK_BYTES]);
        bytes.extend(crc32c::crc32c_append(crc32c::crc32c(salt), attachment).to_be_bytes());
        bytes.extend(salt);
        bytes.extend_from_slice(attachment);
    }
    Some(())
}

/// The frame of `position` at the start of `bytes`, or `None` if it is not whole.
///
/// Neither its leaf hash nor its attachment is checked here.
pub(super) fn decode_frame(stamp: &Stamp, position: Position, bytes: &[u8]) -> Option<Frame> {
    let (checksum, stated) = bytes.split_first_chunk::<4>()?;
    let mut reader = Reader(stated);
    let [kind] = reader.array()?;
    let admitted_at = UnixMillis::new(reader.u64()?);
    let salt = reader.array()?;
    let leaf = Digest::from_bytes(reader.array()?);
    let command_length = usize::try_from(reader.u32()?).ok()?;
    let attachment_length = usize::try_from(reader.u32()?).ok()?;
    let sealed_digest = Digest::from_bytes(reader.array()?);
    let command = reader.bytes(command_length)?;
    let start = FRAME_BYTES.checked_add(command_length)?;
    let stated = bytes.get(checksum.len()..start)?;
    if frame_checksum(stamp, position, stated) != u32::from_be_bytes(*checksum) {
        return None;
    }
    let (attachment, sealed_digest, length) = match kind {
        KIND_PLAIN => (None, None, start),
        KIND_SEALED => {
            let length = start.checked_add(ATTACHMENT_BYTES)?.checked_add(attachment_length)?;
            bytes.get(start..length)?;
            (Some(start), Some(sealed_digest), length)
        }
        _ => return None,
    };
    let command = Bytes::copy_from_slice(command);
    let entry = Entry { position, admitted_at, salt, command, sealed_digest };
    Some(Frame { entry, leaf, attachment, length })
}

/// The attachment of `frame`, whose bytes start at `bytes`; `None` if it is damaged.
pub(super) fn attached(frame: &Frame, bytes: &[u8]) -> Option<Attached> {
    let Some(start) = frame.attachment else { return Some(Attached::Never) };
    let (mark, block) = bytes.get(start..frame.length)?.split_first_chunk::<MARK_BYTES>()?;
    if is_erased(mark)? {
        return Some(Attached::Erased);
    }
    let (checksum, block) = block.split_first_chunk::<4>()?;
    let (salt, attachment) = block.split_first_chunk::<16>()?;
    (crc32c::crc32c(block) == u32::from_be_bytes(*checksum)).then(|| {
        Attached::Present(Sealed { salt: *salt, bytes: Bytes::copy_from_slice(attachment) })
    })
}

/// Whether a mark says erased; `None` if it says neither.
///
/// A half-written mark says erased: it is only ever written on the way to an erasure, which is then finished.
pub(super) fn is_erased(mark: &[u8]) -> Option<bool> {
    if mark.iter().all(|byte| *byte == 0) {
        Some(false)
    } else {
        mark.iter().all(|byte| *byte == 0 || *byte == ERASED).then_some(true)
    }
}

/// The checksum of a frame: of everything after it up to the attachment.
pub(super) fn frame_checksum(stamp: &Stamp, position: Position, stated: &[u8]) -> u32 {
    let seed = crc32c::crc32c_append(crc32c::crc32c(stamp), &position.number().to_be_bytes());
    crc32c::crc32c_append(seed, stated)
}

/// Takes numbers and bytes off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}
