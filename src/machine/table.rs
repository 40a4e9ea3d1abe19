//! Tables of the state: ordered maps whose every change is also a row for the store and a term of the state digest.
//!
//! The state digest is the sum, lane by lane modulo 2^64, of the SHA-256 of every row, so it changes with a row and
//! never needs the whole state. It tells replicas of one honest history apart; the ledger's tree is what resists forgery.

use std::{borrow::Borrow, collections::BTreeMap, fmt, ops::RangeBounds};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::model::{digest::Digest, row::Row};

/// What can be a key or a value of a table: its bytes are the stored form.
pub trait Stored: BorshSerialize + BorshDeserialize {}

impl<T: BorshSerialize + BorshDeserialize> Stored for T {}

fn bytes_of(value: &impl BorshSerialize) -> Box<[u8]> {
    // Writing to a vector does not fail; an empty value would show as a digest that differs.
    borsh::to_vec(value).unwrap_or_default().into_boxed_slice()
}

/// The order-independent digest of a set of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowsDigest([u64; 4]);

impl RowsDigest {
    fn lanes(table: u8, key: &[u8], value: &[u8]) -> [u64; 4] {
        let digest = Digest::of_parts("concordat.row.v1", &[&[table], key, value]);
        let mut lanes = [0; 4];
        for (lane, chunk) in lanes.iter_mut().zip(digest.as_bytes().chunks_exact(8)) {
            *lane = <[u8; 8]>::try_from(chunk).map_or(0, u64::from_be_bytes);
        }
        lanes
    }

    fn add(&mut self, terms: [u64; 4]) {
        for (lane, term) in self.0.iter_mut().zip(terms) {
            *lane = lane.wrapping_add(term);
        }
    }

    fn subtract(&mut self, terms: [u64; 4]) {
        for (lane, term) in self.0.iter_mut().zip(terms) {
            *lane = lane.wrapping_sub(term);
        }
    }

    /// The digest as 32 bytes.
    pub fn digest(&self) -> Digest {
        let mut bytes = [0; 32];
        for (chunk, lane) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&lane.to_be_bytes());
        }
        Digest::from_bytes(bytes)
    }
}

/// A table's number and a key.
type RowName = (u8, Box<[u8]>);

/// What became of a row since the journal was last taken.
#[derive(Clone, Debug)]
struct Change {
    value: Option<Box<[u8]>>,
    /// Whether there was no such row before.
    fresh: bool,
}

/// The changes of rows since they were last taken, and the digest of all rows.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// In the order in which they were made; a row may have several.
    changes: Vec<(RowName, Change)>,
    digest: RowsDigest,
    /// The terms of rows as they stand now, for some that changed lately. Losing it changes nothing but the cost.
    terms: BTreeMap<RowName, [u64; 4]>,
}

/// Of how many rows the terms are remembered. Few rows change with every entry; those are the ones that pay.
const TERMS_MAX: usize = 256;

impl Journal {
    /// Takes the changed rows, each once, with its last value.
    pub fn take(&mut self) -> Vec<Row> {
        let mut changes = std::mem::take(&mut self.changes);
        changes.sort_by(|(a, _), (b, _)| a.cmp(b)); // stable: of one row, in their order
        // The earlier change goes and the later one stays, which then is as fresh as the row was at first.
        changes.dedup_by(|(later, change), (earlier, kept)| {
            let same = later == earlier;
            if same {
                kept.value = change.value.take();
            }
            same
        });
        let rows = changes.into_iter();
        rows.map(|((table, key), Change { value, fresh })| Row { table, key, value, fresh })
            .collect()
    }

    /// The digest of all rows.
    pub fn digest(&self) -> Digest {
        self.digest.digest()
    }

    fn change(&mut self, table: u8, key: Box<[u8]>, old: Option<&[u8]>, new: Option<Box<[u8]>>) {
        let name = (table, key);
        let (_, key) = &name;
        let known = if old.is_some() { self.terms.get_mut(&name) } else { None };
        if let Some(old) = old {
            let terms = known.as_deref().copied();
            self.digest.subtract(terms.unwrap_or_else(|| RowsDigest::lanes(table, key, old)));
        }
        // INVARIANT (terms): what is remembered of a row is of its present value: every change comes through here.
        let terms = new.as_deref().map(|new| RowsDigest::lanes(table, key, new));
        if let Some(terms) = terms {
            self.digest.add(terms);
        }
        match (known, terms) {
            (Some(known), Some(terms)) => *known = terms,
            (Some(_), None) => drop(self.terms.remove(&name)),
            (None, Some(terms)) if old.is_some() => {
                if TERMS_MAX <= self.terms.len() {
                    self.terms.clear();
                }
                let _none = self.terms.insert(name.clone(), terms);
            }
            (None, _) => {}
        }
        self.changes.push((name, Change { value: new, fresh: old.is_none() }));
    }
}

/// One table. Reads are plain; every change names the journal.
#[derive(Clone)]
pub struct Table<K, V> {
    number: u8,
    rows: BTreeMap<K, V>,
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.rows).finish()
    }
}

impl<K: Stored + Ord + Clone, V: Stored + PartialEq> Table<K, V> {
    /// An empty table with its stored number.
    pub(super) const fn new(number: u8) -> Self {
        Self { number, rows: BTreeMap::new() }
    }

    /// The value at `key`.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.rows.get(key)
    }

    /// Whether there is a value at `key`.
    pub fn contains<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.rows.contains_key(key)
    }

    /// The rows in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.rows.iter()
    }

    /// The rows whose keys lie in `range`.
    pub fn range(&self, range: impl RangeBounds<K>) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.rows.range(range)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Puts `value` at `key`.
    pub fn put(&mut self, journal: &mut Journal, key: K, value: V) {
        let new = bytes_of(&value);
        let key_bytes = bytes_of(&key);
        let old = self.rows.insert(key, value).map(|old| bytes_of(&old));
        journal.change(self.number, key_bytes, old.as_deref(), Some(new));
    }

    /// Changes the value at `key` in place; nothing happens where there is none.
    pub fn change(&mut self, journal: &mut Journal, key: &K, change: impl FnOnce(&mut V)) {
        if let Some(value) = self.rows.get_mut(key) {
            let old = bytes_of(value);
            change(value);
            let new = bytes_of(value);
            if old != new {
                journal.change(self.number, bytes_of(key), Some(&old), Some(new));
            }
        }
    }

    /// Removes and returns the value at `key`.
    pub fn remove(&mut self, journal: &mut Journal, key: &K) -> Option<V> {
        let old = self.rows.remove(key)?;
        journal.change(self.number, bytes_of(key), Some(&bytes_of(&old)), None);
        Some(old)
    }

    /// Takes a stored row back. `None` if its bytes are not of this table.
    pub(super) fn load(&mut self, journal: &mut Journal, key: &[u8], value: &[u8]) -> Option<()> {
        journal.digest.add(RowsDigest::lanes(self.number, key, value));
        let key = borsh::from_slice(key).ok()?;
        let value = borsh::from_slice(value).ok()?;
        self.rows.insert(key, value).is_none().then_some(())
    }

    /// Appends all rows in stored form.
    pub(super) fn dump(&self, rows: &mut Vec<Row>) {
        rows.extend(self.rows.iter().map(|(key, value)| Row {
            table: self.number,
            key: bytes_of(key),
            value: Some(bytes_of(value)),
            fresh: false,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_changes_often_is_taken_once_as_it_stands_and_as_fresh_as_it_was() {
        let mut journal = Journal::default();
        let mut table = Table::<u8, u32>::new(9);
        table.put(&mut journal, 2, 20);
        let rows = journal.take();
        assert_eq!(rows.iter().map(|row| row.fresh).collect::<Vec<_>>(), [true]);
        for value in [21, 22, 23] {
            table.put(&mut journal, 2, value);
        }
        table.put(&mut journal, 1, 10);
        table.change(&mut journal, &1, |value| *value += 1);
        table.put(&mut journal, 3, 30);
        let _gone = table.remove(&mut journal, &3);
        let taken = journal.take();
        let told: Vec<_> =
            taken.iter().map(|row| (row.key.first(), row.value.as_deref(), row.fresh)).collect();
        let expected = [
            (Some(&1), Some(&[11, 0, 0, 0][..]), true),
            (Some(&2), Some(&[23, 0, 0, 0][..]), false),
            (Some(&3), None, true),
        ];
        assert_eq!(told, expected);
        assert!(journal.take().is_empty());
        let mut anew = (Journal::default(), Table::<u8, u32>::new(9));
        anew.1.put(&mut anew.0, 1, 11);
        anew.1.put(&mut anew.0, 2, 23);
        assert_eq!(journal.digest(), anew.0.digest(), "the digest is that of the rows");
    }
}
