//! Rows of erasures and legal holds, what they name, and which keys are wrapped under which epoch.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{
        State,
        state::{agency::AgencyNumber, record::TypeNumber},
    },
    model::{
        id::{ClientId, EpochName, ErasureId, HoldId, KeyId, RecordId},
        order::{Position, UnixMillis},
    },
};

/// What an agency erased, or what was disposed of for it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Erasure {
    /// Who published it.
    pub agency: AgencyNumber,
    /// What it is about.
    pub subject: Subject,
    /// On which ground (`ErasureGround`).
    pub ground: i32,
    /// The records, by their first versions.
    pub records: BTreeSet<RecordId>,
    /// The clients of whom nothing is left with the agency: identifiers and words about them go too.
    pub clients: BTreeSet<ClientId>,
    /// How many versions these have.
    pub versions: u32,
    /// How many attachments are removed.
    pub attachments: u32,
    /// The data keys that are destroyed with it.
    pub keys: BTreeSet<KeyId>,
    /// The epochs that ever wrapped one of these keys.
    pub epochs: BTreeSet<EpochName>,
    /// Whether every attachment to be removed is named.
    pub listed: bool,
    /// Where it was asked for.
    pub position: Position,
    /// When it was asked for.
    pub asked_at: UnixMillis,
    /// When nothing of it was left; `None` while it is in progress.
    pub completed_at: Option<UnixMillis>,
}

/// What an erasure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Subject {
    /// Everything that the agency published about a client, and the identifiers that it gave.
    Client(ClientId),
    /// One record.
    Record(RecordId),
    /// Records of a type that were overdue.
    Overdue(TypeNumber),
}

/// A legal hold.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Hold {
    /// Who placed it: the publisher of what it covers.
    pub agency: AgencyNumber,
    /// Whom it is about.
    pub client: ClientId,
    /// The one record (first version) that it covers; `None` for all of the agency's about the client.
    pub record: Option<RecordId>,
    /// On which ground (`HoldGround`).
    pub ground: i32,
    /// Where it was placed.
    pub position: Position,
    /// When it was placed.
    pub placed_at: UnixMillis,
    /// When it was lifted.
    pub lifted_at: Option<UnixMillis>,
}

impl State {
    /// An erasure.
    pub fn erasure(&self, id: ErasureId) -> Option<&Erasure> {
        self.tables.erasures.get(&id)
    }

    /// The erasure that took a record (first version) away.
    pub fn erased(&self, first: RecordId) -> Option<ErasureId> {
        self.tables.erased.get(&first).copied()
    }

    /// Whether an applied erasure names the attachment of an entry: only then may it be missing.
    pub fn is_removed(&self, position: Position) -> bool {
        self.tables.removed.contains(&position)
    }

    /// Whether a hold of the agency's is on a record (first version) of the client, or on all of them; with no record,
    /// whether one is on any.
    pub fn is_held(&self, agency: AgencyNumber, client: ClientId, first: Option<RecordId>) -> bool {
        let of = |body| {
            let range = (body, client, HoldId::from_bytes([0; 16]))
                ..=(body, client, HoldId::from_bytes([u8::MAX; 16]));
            self.indexes.holds_in_force.range(range)
        };
        self.bodies(self.heir(agency)).flat_map(of).any(|(_, _, id)| {
            let hold = self.tables.holds.get(id);
            hold.is_some_and(|hold| {
                first.is_none() || hold.record.is_none() || hold.record == first
            })
        })
    }

    /// The epochs that are to be destroyed: nothing is wrapped under them any more.
    pub fn doomed_epochs(&self) -> BTreeSet<EpochName> {
        let open = self.indexes.erasures_open.iter().filter_map(|id| self.erasure(*id));
        open.flat_map(|erasure| erasure.epochs.iter().copied()).collect()
    }

    /// The data keys that an epoch wraps, or that may be wrapped by it for all that is told.
    pub fn keys_under(&self, epoch: EpochName) -> impl Iterator<Item = KeyId> {
        let under = |epoch| {
            let range =
                (epoch, KeyId::from_bytes([0; 16]))..=(epoch, KeyId::from_bytes([u8::MAX; 16]));
            self.indexes.keys_by_epoch.range(range).map(|(_, key)| *key)
        };
        under(epoch).chain(under(UNTOLD))
    }

    /// Puts an erasure and keeps the indexes with it.
    pub(in crate::machine) fn put_erasure(&mut self, id: ErasureId, row: Erasure) {
        self.index_erasure(id, &row);
        self.tables.erasures.put(&mut self.journal, id, row);
    }

    /// Notes that a record (first version) is erased: from then on it is found nowhere.
    pub(in crate::machine) fn put_erased(&mut self, first: RecordId, erasure: ErasureId) {
        self.tables.erased.put(&mut self.journal, first, erasure);
        self.unindex_record(first);
    }

    /// Puts a hold and keeps the indexes with it.
    pub(in crate::machine) fn put_hold(&mut self, id: HoldId, row: Hold) {
        self.index_hold(id, &row);
        self.tables.holds.put(&mut self.journal, id, row);
    }

    fn index_erasure(&mut self, id: ErasureId, row: &Erasure) {
        self.indexes.erasures_by.insert((row.agency, row.position, id));
        if row.completed_at.is_none() {
            self.indexes.erasures_open.insert(id);
        } else {
            let _completed = self.indexes.erasures_open.remove(&id);
        }
    }

    fn index_hold(&mut self, id: HoldId, row: &Hold) {
        self.indexes.holds_by.insert((row.agency, row.position, id));
        let key = (row.agency, row.client, id);
        if row.lifted_at.is_none() {
            self.indexes.holds_in_force.insert(key);
        } else {
            let _lifted = self.indexes.holds_in_force.remove(&key);
        }
    }

    pub(super) fn index_erasures(&mut self) {
        let rows: Vec<_> =
            self.tables.erasures.iter().map(|(id, row)| (*id, row.clone())).collect();
        for (id, row) in rows {
            self.index_erasure(id, &row);
        }
        let rows: Vec<_> = self.tables.holds.iter().map(|(id, row)| (*id, row.clone())).collect();
        for (id, row) in rows {
            self.index_hold(id, &row);
        }
        let firsts: Vec<_> = self.tables.erased.iter().map(|(first, _)| *first).collect();
        for first in firsts {
            self.unindex_record(first);
        }
    }
}

/// The name of no epoch: of a key that was opened without saying which one wraps it.
pub const UNTOLD: EpochName = EpochName::from_bytes([0; 16]);
