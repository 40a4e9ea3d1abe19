//! The open files of old segments: a bounded number of them, so that a ledger may outgrow what a process may open.
//!
//! The segment that is written to is held open by the writer besides.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use super::directory::segment_name;
use crate::{
    ledger::{Fault, disk::Disk},
    model::order::Position,
};

/// How many segments stay open to be read.
const OPEN_MAX: usize = 64;

/// Opens segments on demand and keeps those that were used last.
#[derive(Debug)]
pub(super) struct Files<D: Disk> {
    disk: D,
    /// By first position, the one used last in front.
    open: Mutex<VecDeque<(Position, Arc<D::File>)>>,
}

impl<D: Disk> Files<D> {
    pub(super) const fn new(disk: D) -> Self {
        Self { disk, open: Mutex::new(VecDeque::new()) }
    }

    /// The file of the segment that begins at `first`.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if it cannot be opened.
    pub(super) fn segment(&self, first: Position) -> Result<Arc<D::File>, Fault> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let place = open.iter().position(|(other, _)| *other == first);
        let file = match place.and_then(|place| open.remove(place)) {
            Some((_, file)) => file,
            None => Arc::new(self.disk.open(&segment_name(first)).map_err(|error| {
                Fault::Corrupt(format!(
                    "the segment from position {first} cannot be opened: {error}"
                ))
            })?),
        };
        open.push_front((first, Arc::clone(&file)));
        open.truncate(OPEN_MAX);
        drop(open);
        Ok(file)
    }
}
