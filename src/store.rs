//! The store: the state's rows on disk, so that a start need not replay the whole ledger.
//!
//! It is a copy and never the truth: it is written behind the acknowledgement, it need not be durable, and on any doubt
//! it is moved aside and made anew from the ledger. What it must never do is serve wrong rows. Therefore all rows of a
//! batch and the position they belong to change in one atomic batch of one sled tree; every pair carries a checksum over
//! its key and a schema number; a tally of all pairs finds any that is missing; and everything is read and checked before
//! it is used (`store/verify.rs`). The layout is in `store/layout.rs`, rows that lie together are in `store/block.rs`, the
//! thread that writes is in `store/writer.rs`.
//!
//! This module alone names sled. Of sled 0.34.7 it uses batches, `get`, `range` and `flush`; it avoids `flush_async`,
//! `watch_prefix`, `merge`, `generate_id`, compression, many trees and long values, each of which has lost data, hung or
//! grown without bound.

mod block;
mod layout;
mod verify;
mod writer;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use borsh::{BorshDeserialize, BorshSerialize};
use rustix::fs::{FlockOperation, flock};

use self::block::Block;
use self::layout::{MARK_KEY, Mark, PIECE_BYTES_MAX, PairKey, ROW_KEYS, RowBody, Tally};
pub use self::{
    verify::{VERIFY_ARGUMENT, VERIFY_DEADLINE, Verifier, verify_main},
    writer::{BACKLOG_MAX, NotTaken, StoreWriter},
};
use crate::model::{digest::Digest, id::LedgerId, order::Position, row::Row};

/// What sled may use for its page cache, in bytes. It is soft: sled has used four times as much.
const CACHE_BYTES: u64 = 64 << 20;

/// How far the rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Applied {
    /// The position of the last entry that the rows take in.
    pub position: Position,
    /// The digest of the state right after it.
    pub state_digest: Digest,
}

/// The rows of one ledger's state, in one directory that nobody else has open.
pub struct Store {
    database: sled::Db,
    schema: u32,
    mark: Mark,
    broken: bool,
    /// Held so long as the store is; the operating system frees it with the process.
    _lock: Lock,
}

/// Changes of rows; of several for one row the last counts.
struct Changes(BTreeMap<RowName, Change>);

/// What a row holds now, and whether the store has held it before.
struct Change {
    value: Option<Box<[u8]>>,
    fresh: bool,
}

/// A row's table and key.
type RowName = (u8, Box<[u8]>);

impl Changes {
    fn of(rows: Vec<Row>) -> Self {
        let mut changes = Self(BTreeMap::new());
        changes.add(rows);
        changes
    }

    fn add(&mut self, rows: Vec<Row>) {
        for Row { table, key, value, fresh } in rows {
            match self.0.entry((table, key)) {
                Entry::Vacant(vacant) => {
                    let _change = vacant.insert(Change { value, fresh });
                }
                Entry::Occupied(mut change) => change.get_mut().value = value,
            }
        }
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

/// A store, and how it came by its rows.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// How it came by its rows: what is to be said when it had to begin anew.
    pub beginning: Beginning,
}

/// How a store came by its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// They were kept, and verified.
    Kept,
    /// There were none: the directory is new, or was removed. All is to be replayed.
    Empty,
    /// They were in doubt. All is to be replayed.
    Anew {
        /// Why they were in doubt.
        doubt: Doubt,
        /// Where the former files are now. The next doubt replaces them.
        aside: PathBuf,
    },
}

/// Why a store's rows are not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// They do not verify, or were not read in time.
    Unsound(String),
    /// They belong to another ledger.
    ForeignLedger {
        /// The ledger that they belong to.
        found: LedgerId,
    },
    /// Another release wrote them.
    OtherSchema {
        /// The schema number that they have.
        found: u32,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsound(cause) => write!(f, "the store does not verify: {cause}"),
            Self::ForeignLedger { found } => write!(f, "the store belongs to ledger {found}"),
            Self::OtherSchema { found } => write!(f, "the store has schema {found}"),
        }
    }
}

impl Store {
    /// Opens the store of `ledger` in `directory`, which is made if need be.
    ///
    /// Rows that do not verify, or are of another ledger or `schema`, are moved aside and the store begins empty; see
    /// [`Beginning`].
    ///
    /// # Errors
    /// [`StoreFault::InUse`] if another process has it open; [`StoreFault::Unusable`] if not even an empty store can be
    /// begun there.
    pub fn open(
        directory: &Path,
        ledger: LedgerId,
        schema: u32,
        verifier: &Verifier,
    ) -> Result<Opened, StoreFault> {
        let unusable =
            |cause: io::Error| StoreFault::Unusable(format!("`{}`: {cause}", directory.display()));
        fs::create_dir_all(directory).map_err(unusable)?;
        let lock = lock(directory).map_err(unusable)?.ok_or(StoreFault::InUse)?;
        let (rows, aside) = (directory.join("rows"), directory.join("aside"));
        let doubt = if rows.exists() {
            match load(&rows, ledger, schema, verifier) {
                Ok(Some((database, mark))) => {
                    let store = Self { database, schema, mark, broken: false, _lock: lock };
                    return Ok(Opened { store, beginning: Beginning::Kept });
                }
                Ok(None) => None,
                Err(doubt) => Some(doubt),
            }
        } else {
            None
        };
        let beginning = match doubt {
            None => Beginning::Empty,
            Some(doubt) => {
                move_aside(&rows, &aside).map_err(unusable)?;
                Beginning::Anew { doubt, aside }
            }
        };
        let database = open_database(&rows)?;
        let mark = Mark { ledger, applied: None, tally: Tally::default() };
        database.insert(MARK_KEY, mark.value(schema).ok_or(StoreFault::TooLong)?)?;
        let store = Self { database, schema, mark, broken: false, _lock: lock };
        Ok(Opened { store, beginning })
    }

    /// How far the rows go; `None` if nothing was applied yet.
    pub const fn applied(&self) -> Option<Applied> {
        self.mark.applied
    }

    /// Every row, table by table.
    ///
    /// Each item is a fault if a pair is not what was written: then no row that came before may be used either.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row, StoreFault>> + '_ {
        self.stored().flat_map(|stored| match stored.and_then(unblocked) {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(fault) => vec![Err(fault)],
        })
    }

    /// Every row and every block as it is stored, by table and key.
    fn stored(&self) -> impl Iterator<Item = Result<Row, StoreFault>> + '_ {
        self.database.range(ROW_KEYS).map(|pair| {
            let (pair_key, value) = pair?;
            let Some(PairKey::Row { table, key }) = layout::parse_key(&pair_key) else {
                return Err(damaged_row());
            };
            let (schema, body) = layout::body(&pair_key, &value).ok_or_else(damaged_row)?;
            let form = RowBody::parse(body).filter(|_| schema == self.schema);
            let value = read_value(&self.database, table, key, &form.ok_or_else(damaged_row)?)?;
            Ok(Row { table, key: key.into(), value: Some(value), fresh: false })
        })
    }

    /// Changes rows and how far they go, all or nothing. Of two rows with one key the later counts.
    ///
    /// `Ok` does not mean durable: after a crash the store may be at any earlier write, whole.
    ///
    /// # Errors
    /// After a fault the store takes no more: it is verified when it is opened next.
    pub fn write(&mut self, rows: Vec<Row>, applied: Applied) -> Result<(), StoreFault> {
        self.write_changes(&Changes::of(rows), applied)
    }

    /// Hands what was written to the operating system, so that less is to be replayed after a crash.
    ///
    /// # Errors
    /// [`StoreFault::Broken`] if the files cannot be written.
    pub fn flush(&mut self) -> Result<(), StoreFault> {
        let flushed = self.guarded(|store| store.database.flush().map_err(StoreFault::from));
        flushed.map(|_bytes| ())
    }

    /// INVARIANT (atomic): rows, tally and applied position change in one batch of one tree or not at all.
    fn write_changes(&mut self, changes: &Changes, applied: Applied) -> Result<(), StoreFault> {
        self.guarded(|store| {
            let mut plan = Plan::new(store);
            let mut blocks: BTreeMap<RowName, Block> = BTreeMap::new();
            for ((table, key), Change { value, fresh }) in &changes.0 {
                match block::of(*table, key) {
                    None if *fresh => plan.add_row(*table, key, value.as_deref())?,
                    None => plan.set_row(*table, key, value.as_deref())?,
                    Some((key, place)) => {
                        let block = match blocks.entry((*table, key)) {
                            Entry::Occupied(block) => block.into_mut(),
                            Entry::Vacant(vacant) => {
                                let (table, key) = vacant.key();
                                let block = store.block(*table, key)?;
                                vacant.insert(block)
                            }
                        };
                        block.set(place, value.as_deref()).ok_or(StoreFault::TooLong)?;
                    }
                }
            }
            for ((table, key), block) in &blocks {
                plan.set_row(*table, key, block.value().as_deref())?;
            }
            let Plan { mut batch, tally, .. } = plan;
            let mark = Mark { applied: Some(applied), tally, ..store.mark };
            batch.insert(MARK_KEY, mark.value(store.schema).ok_or(StoreFault::TooLong)?);
            store.database.apply_batch(batch)?;
            store.mark = mark;
            Ok(())
        })
    }

    /// The block at `key`; an empty one if there is none.
    fn block(&self, table: u8, key: &[u8]) -> Result<Block, StoreFault> {
        let row_key = layout::row_key(table, key);
        let Some(stored) = self.database.get(&row_key)? else { return Ok(Block::default()) };
        let form = layout::body(&row_key, &stored).and_then(|(_, body)| RowBody::parse(body));
        let form = form.ok_or_else(damaged_row)?;
        let value = read_value(&self.database, table, key, &form)?;
        Block::parse(&value).ok_or_else(damaged_row)
    }

    /// Runs `work`, unless something failed before; a panic of sled counts as a failure.
    fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        if self.broken {
            return Err(StoreFault::Broken("it failed before".to_owned()));
        }
        let done = catch_unwind(AssertUnwindSafe(|| work(self)))
            .unwrap_or_else(|_| Err(StoreFault::Broken("sled panicked".to_owned())));
        self.broken = done.is_err();
        done
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("schema", &self.schema)
            .field("mark", &self.mark)
            .finish_non_exhaustive()
    }
}

/// One batch in the making: what changes for sled, and the tally there will be.
struct Plan<'a> {
    database: &'a sled::Db,
    schema: u32,
    batch: sled::Batch,
    tally: Tally,
}

impl<'a> Plan<'a> {
    fn new(store: &'a Store) -> Self {
        let Store { database, schema, mark, .. } = store;
        Self { database, schema: *schema, batch: sled::Batch::default(), tally: mark.tally }
    }

    /// Sets or removes a row with all its pieces. Each row comes once in a plan.
    fn set_row(&mut self, table: u8, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreFault> {
        if Row::KEY_BYTES_MAX < key.len() {
            return Err(StoreFault::TooLong);
        }
        let row_key = layout::row_key(table, key);
        let old = self.database.get(&row_key)?;
        self.replace_row((table, key), row_key, old, value)
    }

    /// Adds a row that the store does not hold. If it does hold it, the tally tells at the next opening.
    fn add_row(&mut self, table: u8, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreFault> {
        if Row::KEY_BYTES_MAX < key.len() {
            return Err(StoreFault::TooLong);
        }
        if value.is_none() {
            return Ok(()); // came and went
        }
        self.replace_row((table, key), layout::row_key(table, key), None, value)
    }

    fn replace_row(
        &mut self,
        (table, key): (u8, &[u8]),
        row_key: Vec<u8>,
        old: Option<sled::IVec>,
        value: Option<&[u8]>,
    ) -> Result<(), StoreFault> {
        let pieces_before = match &old {
            None => 0,
            Some(old) => layout::body(&row_key, old)
                .and_then(|(_, body)| RowBody::parse(body))
                .ok_or_else(damaged_row)?
                .pieces(),
        };
        let form = value.map(|value| RowBody::of(value).ok_or(StoreFault::TooLong)).transpose()?;
        let pieces = form.as_ref().map_or(0, RowBody::pieces);
        let mut chunks = value.filter(|_| 0 < pieces).unwrap_or_default().chunks(PIECE_BYTES_MAX);
        for number in 0..pieces.max(pieces_before) {
            let piece_key = layout::piece_key(table, key, number);
            let old = if number < pieces_before { self.database.get(&piece_key)? } else { None };
            let new = chunks.next().map(|chunk| layout::value(self.schema, &piece_key, &[chunk]));
            self.set_pair(piece_key, old, new);
        }
        let new = form.map(|form| form.value(self.schema, &row_key));
        self.set_pair(row_key, old, new);
        Ok(())
    }

    fn set_pair(&mut self, key: Vec<u8>, old: Option<sled::IVec>, new: Option<Vec<u8>>) {
        if let Some(old) = old {
            self.tally.subtract(&key, &old);
        }
        match new {
            Some(new) => {
                self.tally.add(&key, &new);
                self.batch.insert(key, new);
            }
            None => self.batch.remove(key),
        }
    }
}

/// Why the store cannot be opened, read or written. Nothing is lost by it: the ledger has everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Another process has it open.
    InUse,
    /// No store can be begun in the directory.
    Unusable(String),
    /// A pair is not what was written.
    Damaged(String),
    /// sled failed, and takes nothing more.
    Broken(String),
    /// A row's key or value is longer than the store takes.
    TooLong,
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("another process has the store open"),
            Self::Unusable(cause) => write!(f, "no store can be begun: {cause}"),
            Self::Damaged(cause) => write!(f, "the store is damaged: {cause}"),
            Self::Broken(cause) => write!(f, "the store failed: {cause}"),
            Self::TooLong => f.write_str("a row is too long for the store"),
        }
    }
}

impl std::error::Error for StoreFault {}

impl From<sled::Error> for StoreFault {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Corruption { .. } => Self::Damaged(error.to_string()),
            sled::Error::CollectionNotFound(_)
            | sled::Error::Unsupported(_)
            | sled::Error::ReportableBug(_)
            | sled::Error::Io(_) => Self::Broken(error.to_string()),
        }
    }
}

/// The rows' files and their mark, if they are sound; `None` if there is nothing in them.
fn load(
    rows: &Path,
    ledger: LedgerId,
    schema: u32,
    verifier: &Verifier,
) -> Result<Option<(sled::Db, Mark)>, Doubt> {
    verifier.verify(rows).map_err(Doubt::Unsound)?;
    let unsound = |fault: StoreFault| Doubt::Unsound(fault.to_string());
    let database = open_database(rows).map_err(unsound)?;
    let Some(mark) = database.get(MARK_KEY).map_err(|error| unsound(error.into()))? else {
        return Ok(None);
    };
    let mark = Mark::parse(&mark);
    let (mark, found) = mark.ok_or_else(|| Doubt::Unsound("its mark is damaged".to_owned()))?;
    let doubt = if mark.ledger != ledger {
        Doubt::ForeignLedger { found: mark.ledger }
    } else if found != schema {
        Doubt::OtherSchema { found }
    } else {
        return Ok(Some((database, mark)));
    };
    // Sound files close soon; they must not be moved under the threads that close them.
    drop(database);
    wait_until_closed(rows).map_err(|cause| Doubt::Unsound(cause.to_string()))?;
    Err(doubt)
}

/// An exclusive lock on a file.
///
/// It is let go of by name and not just closed: a child process that is being started holds every open file for a
/// moment, and with the file it would hold the lock.
struct Lock(File);

impl Lock {
    /// Takes the lock on `file`; `None` if somebody else holds it.
    fn try_take(file: File) -> io::Result<Option<Self>> {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes the lock on `file` as soon as nobody else holds it.
    fn take(file: File) -> io::Result<Self> {
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Should it fail, closing the file has the same effect a moment later.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// The lock on a store's directory; `None` if another process holds it.
fn lock(directory: &Path) -> io::Result<Option<Lock>> {
    let path = directory.join("lock");
    Lock::try_take(File::options().create(true).truncate(false).write(true).open(path)?)
}

/// Only the latest doubtful files are kept, so that doubts cannot fill the disk.
fn move_aside(rows: &Path, aside: &Path) -> io::Result<()> {
    match fs::remove_dir_all(aside) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        Ok(()) | Err(_) => fs::rename(rows, aside),
    }
}

/// Opens sled's files; its panics become faults.
fn open_database(rows: &Path) -> Result<sled::Db, StoreFault> {
    wait_until_closed(rows).map_err(|cause| StoreFault::Unusable(cause.to_string()))?;
    let config = sled::Config::new()
        .path(rows)
        .cache_capacity(CACHE_BYTES)
        .mode(sled::Mode::LowSpace)
        .flush_every_ms(None);
    catch_unwind(AssertUnwindSafe(|| config.open()))
        .map_err(|_| StoreFault::Damaged("sled panics when it opens it".to_owned()))?
        .map_err(StoreFault::from)
}

/// Waits until whoever had the files open before, such as the verifier, has let go of them.
///
/// The directory's own lock is held, so it is one of us; sled closes files in the background, and gives up at once if
/// they are locked.
fn wait_until_closed(rows: &Path) -> io::Result<()> {
    match File::options().write(true).open(rows.join("db")) {
        Ok(file) => Lock::take(file).map(drop),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(cause),
    }
}

fn damaged_row() -> StoreFault {
    StoreFault::Damaged("a row is not what was written".to_owned())
}

/// The rows of a block, or the one row that is none.
fn unblocked(row: Row) -> Result<Vec<Row>, StoreFault> {
    let Row { table, key, value: Some(value), .. } = row else { return Err(damaged_row()) };
    if !block::holds(table, &key) {
        return Ok(vec![Row { table, key, value: Some(value), fresh: false }]);
    }
    let block = Block::parse(&value).ok_or_else(damaged_row)?;
    let row = |(key, value)| Row { table, key, value: Some(value), fresh: false };
    Ok(block.into_rows(&key).map(row).collect())
}

/// The value of a row, put together from its pieces.
fn read_value(
    database: &sled::Db,
    table: u8,
    key: &[u8],
    form: &RowBody<'_>,
) -> Result<Box<[u8]>, StoreFault> {
    let (count, length) = match form {
        RowBody::Whole(value) => return Ok((*value).into()),
        RowBody::InPieces { count, length } => (*count, *length),
    };
    let mut value = Vec::new();
    for number in 0..count {
        let piece_key = layout::piece_key(table, key, number);
        let stored = database.get(&piece_key)?;
        let piece = stored.as_deref().and_then(|stored| layout::body(&piece_key, stored));
        let piece = piece.ok_or_else(|| StoreFault::Damaged("a piece is missing".to_owned()))?;
        value.extend_from_slice(piece.1);
    }
    if u64::try_from(value.len()) == Ok(length) {
        Ok(value.into())
    } else {
        Err(StoreFault::Damaged("a row is cut short".to_owned()))
    }
}
