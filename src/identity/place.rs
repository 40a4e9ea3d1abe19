//! How many connections each caller holds, so that no caller can take them all.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::model::digest::Digest;

/// The connections that are open, by caller; callers without a certificate count as one.
///
/// INVARIANT (no empty rows): a caller without a connection has no row, so the map is never larger than the connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Arc<Mutex<BTreeMap<Option<Digest>, usize>>>);

impl Places {
    /// Takes a place for `caller` unless it holds `places_max` already.
    pub(crate) fn take(&self, caller: Option<Digest>, places_max: usize) -> Option<Place> {
        let mut held = self.held();
        let count = held.get(&caller).copied().unwrap_or(0);
        if places_max <= count {
            return None;
        }
        held.insert(caller, count.saturating_add(1));
        drop(held);
        Some(Place { places: self.clone(), caller })
    }

    // Held for a lookup and never across an await; a panic in between leaves a count that is still right.
    fn held(&self) -> MutexGuard<'_, BTreeMap<Option<Digest>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    caller: Option<Digest>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        match held.get_mut(&self.caller) {
            Some(count) if 1 < *count => *count -= 1,
            Some(_) | None => {
                held.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_given_back_is_free_again_and_leaves_no_row() {
        let places = Places::default();
        let (a, b) = (Some(Digest::from_bytes([1; 32])), Some(Digest::from_bytes([2; 32])));
        let first = places.take(a, 2).unwrap();
        let second = places.take(a, 2).unwrap();
        assert!(places.take(a, 2).is_none());
        let other = places.take(b, 2).unwrap();
        let nobody = places.take(None, 1).unwrap();
        assert!(places.take(None, 1).is_none());
        drop(first);
        let third = places.take(a, 2).unwrap();
        drop((second, third, other, nobody));
        assert!(places.held().is_empty());
    }
}
