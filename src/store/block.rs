//! Blocks: rows that follow each other in a sequence lie together, up to 64 under one key, because a small pair costs the
//! store as much as a kilobyte does.
//!
//! A block is stored as if it were a row; nothing else of the store knows of it. Its key is that of its rows with the
//! low six bits of the sequence number zero; its value is [`FORMAT`], then the rows by those bits: place (u8), length
//! (u16, big-endian), value. Source of the tables: `machine/state.rs`.

use std::collections::BTreeMap;

/// The tables whose keys are a number (u32) and a sequence number (u64), both little-endian: what waits for a
/// subscription, and what was released to it.
const TABLES: [u8; 2] = [13, 14];
/// The length of such a key, in bytes.
const KEY_BYTES: usize = 12;
/// Where the lowest byte of the sequence number lies in it.
const LOW_BYTE: usize = 4;
/// The bits of that byte that say which row of the block it is.
const PLACE_BITS: u8 = 0b0011_1111;
/// The longest value that lies in a block, so that no block is long; a longer one makes it unreadable, which no table has.
const VALUE_BYTES_MAX: usize = 1 << 15;
/// The first byte of a block.
const FORMAT: u8 = 0xb1;

/// The rows of one block, by their place in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Block(BTreeMap<u8, Box<[u8]>>);

/// The key of the block that a row lies in and its place there; `None` if it lies by itself.
pub(super) fn of(table: u8, key: &[u8]) -> Option<(Box<[u8]>, u8)> {
    if !holds(table, key) {
        return None;
    }
    let mut block: Box<[u8]> = key.into();
    let low = block.get_mut(LOW_BYTE)?;
    let place = *low & PLACE_BITS;
    *low &= !PLACE_BITS;
    Some((block, place))
}

/// Whether what is stored at such a key is a block.
pub(super) fn holds(table: u8, key: &[u8]) -> bool {
    TABLES.contains(&table) && key.len() == KEY_BYTES
}

impl Block {
    /// The block in its stored form; `None` if it is none.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let (format, mut rest) = value.split_first()?;
        if *format != FORMAT {
            return None;
        }
        let mut rows = BTreeMap::new();
        while let Some((place, after)) = rest.split_first() {
            let (length, after) = after.split_first_chunk::<2>()?;
            let (value, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
            let in_order = rows.last_key_value().is_none_or(|(last, _)| last < place);
            if *place & !PLACE_BITS != 0 || !in_order {
                return None;
            }
            rows.insert(*place, value.into());
            rest = after;
        }
        Some(Self(rows))
    }

    /// Sets or removes a row; `None` if the value is too long.
    pub(super) fn set(&mut self, place: u8, value: Option<&[u8]>) -> Option<()> {
        match value {
            Some(value) if VALUE_BYTES_MAX < value.len() => return None,
            Some(value) => drop(self.0.insert(place, value.into())),
            None => drop(self.0.remove(&place)),
        }
        Some(())
    }

    /// The stored form; `None` if no row is left.
    pub(super) fn value(&self) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        let mut value = vec![FORMAT];
        for (place, row) in &self.0 {
            value.push(*place);
            value.extend(u16::try_from(row.len()).unwrap_or(u16::MAX).to_be_bytes());
            value.extend_from_slice(row);
        }
        Some(value)
    }

    /// The keys and values of the rows, for the block that lies at `key`.
    pub(super) fn into_rows(self, key: &[u8]) -> impl Iterator<Item = (Box<[u8]>, Box<[u8]>)> {
        let key: Box<[u8]> = key.into();
        self.0.into_iter().map(move |(place, value)| {
            let mut key = key.clone();
            if let Some(low) = key.get_mut(LOW_BYTE) {
                *low |= place;
            }
            (key, value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(subscription: u32, place: u64) -> Vec<u8> {
        [&subscription.to_le_bytes()[..], &place.to_le_bytes()].concat()
    }

    #[test]
    fn sixty_four_rows_that_follow_each_other_share_a_block() {
        let block_of = |place| of(13, &key(7, place)).unwrap();
        assert_eq!(block_of(64), (key(7, 64).into(), 0));
        assert_eq!(block_of(127), (key(7, 64).into(), 63));
        assert_eq!(block_of(128).0, key(7, 128).into());
        assert_eq!(of(13, b"short"), None);
        assert_eq!(of(9, &key(7, 64)), None);
    }

    #[test]
    fn blocks_come_back_with_their_rows() {
        let mut block = Block::default();
        for place in [3, 0, 63] {
            block.set(place, Some(&[place; 16])).unwrap();
        }
        block.set(0, None).unwrap();
        let stored = block.value().unwrap();
        let rows: Vec<_> = Block::parse(&stored).unwrap().into_rows(&key(7, 64)).collect();
        let expected = [67, 127].map(|place: u8| {
            (key(7, place.into()).into(), vec![place & 63; 16].into_boxed_slice())
        });
        assert_eq!(rows, expected);
        block.set(3, None).unwrap();
        block.set(63, None).unwrap();
        assert_eq!(block.value(), None);
    }

    #[test]
    fn what_is_no_block_is_not_read_as_one() {
        for bad in [&b""[..], &[0], &[FORMAT, 1], &[FORMAT, 1, 0, 1], &[FORMAT, 64, 0, 0]] {
            assert_eq!(Block::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Block::parse(&[FORMAT, 2, 0, 0, 2, 0, 0]), None, "twice");
        let mut block = Block::default();
        assert_eq!(block.set(1, Some(&vec![0; VALUE_BYTES_MAX + 1])), None);
    }
}
