//! What the store's keys and values look like, and the tally that finds a missing pair.
//!
//! Keys, in one tree: `0` for the mark; `1 ‖ table ‖ key` for a row; `2 ‖ table ‖ key ‖ number (u32)` for a piece of a
//! long row. Values: schema (u32) ‖ CRC-32C (u32) of key, schema and body ‖ body. A row's body is `0 ‖ value`, or
//! `1 ‖ count of pieces (u32) ‖ length (u64)` if the value lies in pieces. Numbers are big-endian.

use borsh::{BorshDeserialize, BorshSerialize};

use super::Applied;
use crate::model::{digest::Digest, id::LedgerId};

/// The longest value that one pair holds, in bytes.
///
/// A leaf of sled holds up to 16 pairs and is written whole; a leaf of more than 128 KiB goes to a file of its own that
/// sled never syncs. Pieces of 4 KiB keep every leaf well below that.
pub(super) const PIECE_BYTES_MAX: usize = 4 << 10;

pub(super) const MARK_KEY: &[u8] = &[0];
const ROWS: u8 = 1;
const PIECES: u8 = 2;
const WHOLE: u8 = 0;
const IN_PIECES: u8 = 1;

/// What a key of the tree says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PairKey<'a> {
    Mark,
    Row { table: u8, key: &'a [u8] },
    Piece,
}

pub(super) fn parse_key(pair: &[u8]) -> Option<PairKey<'_>> {
    match *pair {
        [0] => Some(PairKey::Mark),
        [ROWS, table, ref key @ ..] => Some(PairKey::Row { table, key }),
        [PIECES, _, ref rest @ ..] if 4 <= rest.len() => Some(PairKey::Piece),
        _ => None,
    }
}

pub(super) fn row_key(table: u8, key: &[u8]) -> Vec<u8> {
    [&[ROWS, table], key].concat()
}

pub(super) fn piece_key(table: u8, key: &[u8], number: u32) -> Vec<u8> {
    [&[PIECES, table], key, &number.to_be_bytes()].concat()
}

/// Where the keys of rows begin, and where those of pieces do.
const FIRST_ROW: &[u8] = &[ROWS];
const FIRST_PIECE: &[u8] = &[PIECES];

/// The keys of rows, so that a scan can leave out mark and pieces.
pub(super) const ROW_KEYS: std::ops::Range<&[u8]> = FIRST_ROW..FIRST_PIECE;

/// Wraps a body for its key.
pub(super) fn value(schema: u32, key: &[u8], body: &[&[u8]]) -> Vec<u8> {
    let schema = schema.to_be_bytes();
    let crc = body.iter().fold(checksum(key, schema), |crc, part| crc32c::crc32c_append(crc, part));
    let mut value = [schema, crc.to_be_bytes()].concat();
    for part in body {
        value.extend_from_slice(part);
    }
    value
}

/// The schema and the body of the value that `key` has; `None` if it is not what was written.
pub(super) fn body<'a>(key: &[u8], value: &'a [u8]) -> Option<(u32, &'a [u8])> {
    let (schema, rest) = value.split_first_chunk::<4>()?;
    let (crc, body) = rest.split_first_chunk::<4>()?;
    let expected = crc32c::crc32c_append(checksum(key, *schema), body);
    (expected == u32::from_be_bytes(*crc)).then_some((u32::from_be_bytes(*schema), body))
}

fn checksum(key: &[u8], schema: [u8; 4]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), &schema)
}

/// How a row's value is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowBody<'a> {
    Whole(&'a [u8]),
    InPieces { count: u32, length: u64 },
}

impl<'a> RowBody<'a> {
    /// How `value` is to be stored; `None` if it is longer than can be numbered.
    pub(super) fn of(value: &'a [u8]) -> Option<Self> {
        if value.len() <= PIECE_BYTES_MAX {
            return Some(Self::Whole(value));
        }
        let count = u32::try_from(value.len().div_ceil(PIECE_BYTES_MAX)).ok()?;
        Some(Self::InPieces { count, length: u64::try_from(value.len()).ok()? })
    }

    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let (form, rest) = body.split_first()?;
        match *form {
            WHOLE => Some(Self::Whole(rest)),
            IN_PIECES => {
                let (count, rest) = rest.split_first_chunk::<4>()?;
                let (count, length) = (u32::from_be_bytes(*count), rest.try_into().ok()?);
                Some(Self::InPieces { count, length: u64::from_be_bytes(length) })
            }
            _ => None,
        }
    }

    pub(super) fn value(&self, schema: u32, key: &[u8]) -> Vec<u8> {
        match self {
            Self::Whole(bytes) => value(schema, key, &[&[WHOLE], bytes]),
            Self::InPieces { count, length } => {
                let parts: [&[u8]; 3] = [&[IN_PIECES], &count.to_be_bytes(), &length.to_be_bytes()];
                value(schema, key, &parts)
            }
        }
    }

    pub(super) const fn pieces(&self) -> u32 {
        match self {
            Self::Whole(_) => 0,
            Self::InPieces { count, .. } => *count,
        }
    }
}

/// Counts and sums every pair but the mark, so that none can be missing, added or old unnoticed.
///
/// The sum is of digests modulo 2^128: it does not depend on the order, and one pair is taken out as it was put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Tally {
    pub(super) pairs: u64,
    sum: u128,
}

impl Tally {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.pairs = self.pairs.wrapping_add(1);
        self.sum = self.sum.wrapping_add(term(key, value));
    }

    pub(super) fn subtract(&mut self, key: &[u8], value: &[u8]) {
        self.pairs = self.pairs.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(term(key, value));
    }
}

fn term(key: &[u8], value: &[u8]) -> u128 {
    let digest = Digest::of_parts("concordat.store.pair", &[key, value]);
    u128::from_be_bytes(digest.first_half())
}

/// The mark: whose rows these are, up to where, and how many. It is written with every batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Mark {
    pub(super) ledger: LedgerId,
    pub(super) applied: Option<Applied>,
    pub(super) tally: Tally,
}

impl Mark {
    /// The mark's value; `None` never happens, since a mark always encodes.
    pub(super) fn value(&self, schema: u32) -> Option<Vec<u8>> {
        Some(value(schema, MARK_KEY, &[&borsh::to_vec(self).ok()?]))
    }

    /// The mark and the schema it was written with.
    pub(super) fn parse(value: &[u8]) -> Option<(Self, u32)> {
        let (schema, body) = body(MARK_KEY, value)?;
        Some((borsh::from_slice(body).ok()?, schema))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_only_under_their_own_key() {
        let stored = value(3, b"key", &[b"bo", b"dy"]);
        assert_eq!(body(b"key", &stored), Some((3, &b"body"[..])));
        assert_eq!(body(b"other", &stored), None);
        for bit in 0..stored.len() * 8 {
            let mut bad = stored.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(body(b"key", &bad), None, "bit {bit}");
        }
        for length in 0..stored.len() {
            assert_eq!(body(b"key", &stored[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn row_bodies_round_trip_and_long_values_are_cut() {
        for (length, pieces) in [(0, 0), (1, 0), (4096, 0), (4097, 2), (8192, 2), (70_000, 18)] {
            let bytes = vec![7; length];
            let form = RowBody::of(&bytes).unwrap();
            assert_eq!(form.pieces(), pieces, "{length} bytes");
            let stored = form.value(1, b"key");
            assert_eq!(RowBody::parse(body(b"key", &stored).unwrap().1), Some(form));
        }
        for bad in [&b""[..], &[2], &[1, 0, 0, 0], &[1; 14]] {
            assert_eq!(RowBody::parse(bad), None);
        }
    }

    #[test]
    fn keys_say_what_they_are() {
        let row = PairKey::Row { table: 4, key: b"key" };
        assert_eq!(parse_key(&row_key(4, b"key")), Some(row));
        assert_eq!(parse_key(&row_key(4, b"")), Some(PairKey::Row { table: 4, key: b"" }));
        assert_eq!(parse_key(&piece_key(4, b"key", 9)), Some(PairKey::Piece));
        assert_eq!(parse_key(MARK_KEY), Some(PairKey::Mark));
        for bad in [&b""[..], &[0, 0], &[1], &[2, 1, 1, 1, 1], &[3]] {
            assert_eq!(parse_key(bad), None);
        }
    }

    #[test]
    fn a_tally_depends_on_the_pairs_and_not_on_the_way_there() {
        let (mut one, mut two) = (Tally::default(), Tally::default());
        one.add(b"a", b"1");
        one.add(b"b", b"2");
        two.add(b"b", b"0");
        two.add(b"a", b"1");
        assert_ne!(one, two);
        two.subtract(b"b", b"0");
        two.add(b"b", b"2");
        assert_eq!(one, two);
    }
}
