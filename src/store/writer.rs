//! The thread that writes the store behind the acknowledgement.
//!
//! Whoever applies entries submits the changed rows and goes on. What has piled up is written as one batch in which the
//! last change of a row counts, so rows that change often, such as a subscription's place, cost little. A fault ends the
//! writing and nothing else: the store is a copy, and the next start makes it anew.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Applied, Changes, Store, StoreFault};
use crate::model::row::Row;

/// How many submissions may wait. One entry changes at most 1,000 rows.
pub const BACKLOG_MAX: usize = 1_024;

/// How many rows one batch gathers before it is written.
const BATCH_ROWS_MAX: usize = 8_192;

/// How many submissions one batch gathers, and how long it waits for each next one: at most a third of a second in all. A
/// row that changes with every entry, and the block of a queue, is then written once for many entries.
const BATCH_SUBMISSIONS_MAX: usize = 64;
const NEXT_SUBMISSION_WITHIN: Duration = Duration::from_millis(5);

/// How many batches are written before they are handed to the operating system.
const BATCHES_PER_FLUSH: u32 = 16;

struct Submission {
    rows: Vec<Row>,
    applied: Applied,
}

/// A thread that has the store to itself.
pub struct StoreWriter {
    submissions: SyncSender<Submission>,
    progress: Arc<Mutex<Progress>>,
    thread: JoinHandle<Result<Store, StoreFault>>,
}

/// What the thread has come to, for those who watch it.
struct Progress {
    written: Option<Applied>,
    fault: Option<StoreFault>,
}

/// Why rows were not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// The backlog is full; here they are back.
    Full(Vec<Row>),
    /// The store failed and takes nothing more.
    Failed(StoreFault),
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the store is too far behind"),
            Self::Failed(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for NotTaken {}

impl StoreWriter {
    /// Gives `store` to a thread of its own.
    ///
    /// # Errors
    /// [`StoreFault::Unusable`] if the operating system gives no thread.
    pub fn spawn(store: Store) -> Result<Self, StoreFault> {
        let (submissions, receiver) = sync_channel(BACKLOG_MAX);
        let progress = Progress { written: store.applied(), fault: None };
        let progress = Arc::new(Mutex::new(progress));
        let seen = Arc::clone(&progress);
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                let written = write_all(store, &receiver, &seen);
                if let Err(fault) = &written {
                    lock(&seen).fault = Some(fault.clone());
                }
                written
            })
            .map_err(|cause| StoreFault::Unusable(cause.to_string()))?;
        Ok(Self { submissions, progress, thread })
    }

    /// Submits the rows that the entries up to `applied` changed. It waits while the backlog is full.
    ///
    /// Submissions come in the order of the ledger, from one place.
    ///
    /// # Errors
    /// The fault that ended the writing.
    pub fn submit(&self, rows: Vec<Row>, applied: Applied) -> Result<(), StoreFault> {
        self.submissions.send(Submission { rows, applied }).map_err(|_| self.fault())
    }

    /// As [`StoreWriter::submit`], but gives the rows back rather than wait: for those who may not block.
    ///
    /// # Errors
    /// [`NotTaken::Full`] if the backlog is full, [`NotTaken::Failed`] with the fault that ended the writing.
    pub fn try_submit(&self, rows: Vec<Row>, applied: Applied) -> Result<(), NotTaken> {
        self.submissions.try_send(Submission { rows, applied }).map_err(|error| match error {
            TrySendError::Full(submission) => NotTaken::Full(submission.rows),
            TrySendError::Disconnected(_) => NotTaken::Failed(self.fault()),
        })
    }

    /// How far the store has been written. It lags behind what was submitted.
    pub fn written(&self) -> Option<Applied> {
        lock(&self.progress).written
    }

    /// Writes everything that was submitted, flushes it and gives the store back.
    ///
    /// # Errors
    /// The fault that ended the writing.
    pub fn flush_and_stop(self) -> Result<Store, StoreFault> {
        let Self { submissions, progress: _, thread } = self;
        drop(submissions);
        thread.join().unwrap_or_else(|_| Err(StoreFault::Broken("its writer panicked".to_owned())))
    }

    fn fault(&self) -> StoreFault {
        let fault = lock(&self.progress).fault.clone();
        fault.unwrap_or_else(|| StoreFault::Broken("its writer has ended".to_owned()))
    }
}

impl fmt::Debug for StoreWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreWriter").field("written", &self.written()).finish_non_exhaustive()
    }
}

fn lock(progress: &Mutex<Progress>) -> std::sync::MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes until every sender is gone and nothing waits.
fn write_all(
    mut store: Store,
    submissions: &Receiver<Submission>,
    progress: &Mutex<Progress>,
) -> Result<Store, StoreFault> {
    let mut batches_unflushed = 0_u32;
    while let Ok(first) = submissions.recv() {
        let Submission { rows, mut applied } = first;
        let mut changes = Changes::of(rows);
        for _ in 1..BATCH_SUBMISSIONS_MAX {
            if BATCH_ROWS_MAX <= changes.count() {
                break;
            }
            let Ok(next) = submissions.recv_timeout(NEXT_SUBMISSION_WITHIN) else { break };
            changes.add(next.rows);
            applied = next.applied;
        }
        store.write_changes(&changes, applied)?;
        batches_unflushed = batches_unflushed.saturating_add(1);
        if BATCHES_PER_FLUSH <= batches_unflushed {
            store.flush()?;
            batches_unflushed = 0;
        }
        lock(progress).written = Some(applied);
    }
    store.flush()?;
    Ok(store)
}
