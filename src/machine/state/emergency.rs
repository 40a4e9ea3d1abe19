//! Rows of emergency access, and what falls due about it.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{State, state::agency::AgencyNumber},
    model::{
        digest::Digest,
        id::{ClientId, EmergencyId},
        limit,
        order::{Position, UnixMillis},
    },
};

/// Which offices of an agency may use emergency access.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Authority {
    /// `EmergencyOffice`.
    pub offices: BTreeSet<i32>,
    /// Until when.
    pub until: UnixMillis,
}

/// One emergency access.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Emergency {
    /// Who uses it.
    pub agency: AgencyNumber,
    /// `EmergencyCategory`.
    pub category: i32,
    /// `EmergencyReason`.
    pub reason: i32,
    /// `EmergencyOffice`.
    pub office: i32,
    /// Who acts: the same person, and not who.
    pub staff: Digest,
    /// For what (`Purpose`).
    pub purpose: i32,
    /// By what the client was looked for (`EmergencySearch`).
    pub search: i32,
    /// What was looked for, as nobody can read it.
    pub search_mac: Digest,
    /// Whom it found; nobody, if nobody of whom anything could be read.
    pub client: Option<ClientId>,
    /// Whose records it reaches or reached.
    pub publishers: BTreeSet<AgencyNumber>,
    /// The entry that opened it.
    pub position: Position,
    /// When it was opened.
    pub opened_at: UnixMillis,
    /// When it ends.
    pub until: UnixMillis,
    /// By when it is to be reviewed.
    pub review_due: UnixMillis,
    /// How many records were released under it.
    pub records: u32,
    /// The review.
    pub review: Option<Review>,
    /// What was done because it was not reviewed.
    pub lateness: Lateness,
}

/// The review of emergency access.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Review {
    /// `EmergencyFinding`.
    pub finding: i32,
    /// `EmergencyReviewer`.
    pub reviewer: i32,
    /// When.
    pub at: UnixMillis,
}

/// What was done because access was not reviewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Lateness {
    /// Nothing yet.
    None,
    /// Everybody up to this agency was told.
    Telling(AgencyNumber),
    /// Everybody was told.
    Told,
    /// The agency was told that it gets no more.
    Barred,
}

impl Emergency {
    /// From when on its agency gets no more of it, unless this was reviewed.
    pub const fn barred_at(&self) -> UnixMillis {
        self.review_due.plus(limit::EMERGENCY_GRACE_MS)
    }

    /// What falls due next, if it is not reviewed.
    fn deadline(&self) -> Option<UnixMillis> {
        match (&self.review, self.lateness) {
            (None, Lateness::None | Lateness::Telling(_)) => Some(self.review_due),
            (None, Lateness::Told) => Some(self.barred_at()),
            (None, Lateness::Barred) | (Some(_), _) => None,
        }
    }
}

/// Everything of one agency in an index by agency, place and emergency.
fn all_of(
    index: &BTreeSet<(AgencyNumber, Position, EmergencyId)>,
    agency: AgencyNumber,
) -> impl DoubleEndedIterator<Item = EmergencyId> {
    let first = (agency, Position::FIRST, EmergencyId::from_bytes([0; 16]));
    let last = (agency, Position::new(u64::MAX), EmergencyId::from_bytes([u8::MAX; 16]));
    index.range(first..=last).map(|(_, _, id)| *id)
}

impl State {
    /// One emergency access.
    pub fn emergency(&self, id: EmergencyId) -> Option<&Emergency> {
        self.tables.emergencies.get(&id)
    }

    /// What an agency used, in order.
    pub fn emergencies_by(
        &self,
        agency: AgencyNumber,
    ) -> impl DoubleEndedIterator<Item = (EmergencyId, &Emergency)> {
        all_of(&self.indexes.emergencies_by, agency)
            .filter_map(|id| Some((id, self.emergency(id)?)))
    }

    /// What reached an agency's records, in order.
    pub fn emergencies_about(
        &self,
        publisher: AgencyNumber,
    ) -> impl DoubleEndedIterator<Item = (EmergencyId, &Emergency)> {
        all_of(&self.indexes.emergencies_about, publisher)
            .filter_map(|id| Some((id, self.emergency(id)?)))
    }

    /// What of an agency's is to be reviewed first.
    pub(in crate::machine) fn first_unreviewed(&self, agency: AgencyNumber) -> Option<&Emergency> {
        let lowest = (agency, UnixMillis::new(0), EmergencyId::from_bytes([0; 16]));
        let highest = (agency, UnixMillis::new(u64::MAX), EmergencyId::from_bytes([u8::MAX; 16]));
        let (_, _, id) = self.indexes.emergencies_open.range(lowest..=highest).next()?;
        self.emergency(*id)
    }

    /// Puts a row and keeps the indexes with it.
    pub(in crate::machine) fn put_emergency(&mut self, id: EmergencyId, row: Emergency) {
        if let Some(old) = self.tables.emergencies.get(&id) {
            let _removed = self.indexes.emergencies_open.remove(&(old.agency, old.review_due, id));
            if let Some(at) = old.deadline() {
                let _removed = self.indexes.emergency_deadlines.remove(&(at, id));
            }
        }
        self.index_emergency(id, &row);
        self.tables.emergencies.put(&mut self.journal, id, row);
    }

    fn index_emergency(&mut self, id: EmergencyId, row: &Emergency) {
        self.indexes.emergencies_by.insert((row.agency, row.position, id));
        for publisher in &row.publishers {
            self.indexes.emergencies_about.insert((*publisher, row.position, id));
        }
        if row.review.is_none() {
            self.indexes.emergencies_open.insert((row.agency, row.review_due, id));
        }
        if let Some(at) = row.deadline() {
            self.indexes.emergency_deadlines.insert((at, id));
        }
    }

    pub(super) fn index_emergencies(&mut self) {
        let rows: Vec<_> =
            self.tables.emergencies.iter().map(|(id, row)| (*id, row.clone())).collect();
        for (id, row) in rows {
            self.index_emergency(id, &row);
        }
    }
}
