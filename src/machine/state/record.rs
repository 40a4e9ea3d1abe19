//! Rows of record types, records, their keys and who was sent them.

use std::{borrow::Borrow, collections::BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{State, state::agency::AgencyNumber},
    model::{
        digest::Digest,
        id::{
            AgreementId, AliasId, ClientId, EpochName, FlowId, GroupName, KeyId, RecordId,
            RecordTypeName,
        },
        order::{Position, UnixMillis},
    },
};

/// The place of a record type in the order of registrations; internal, never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct TypeNumber(pub(super) u16);

impl TypeNumber {
    /// The number after `count` types.
    pub(in crate::machine) fn after(count: usize) -> Self {
        Self(u16::try_from(count).unwrap_or(u16::MAX))
    }
}

/// A set of field groups of one record type, as bits by their place in the type's list.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
)]
pub struct Groups(u32);

impl Groups {
    /// No group.
    pub const NONE: Self = Self(0);

    /// The set of the one group at `place`.
    pub fn only(place: u32) -> Self {
        Self(1_u32.checked_shl(place).unwrap_or(0))
    }

    /// Whether no group is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every group of `other` is in the set.
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The groups in either set.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The groups in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The groups in this set and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The groups, each as a set of its own with its place.
    pub fn each(self) -> impl Iterator<Item = (u32, Self)> {
        (0..u32::BITS)
            .map(|place| (place, Self::only(place)))
            .filter(move |(_, one)| self.covers(*one))
    }
}

/// A record type: its latest version.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecordType {
    /// Its name.
    pub name: RecordTypeName,
    /// The latest version.
    pub version: u32,
    /// The field groups and whether each holds special category data, in an order that only grows.
    pub groups: Vec<(GroupName, bool)>,
}

impl RecordType {
    /// The set of the groups named, or `None` if one is unknown.
    pub fn set_of<G: Borrow<GroupName>>(
        &self,
        names: impl IntoIterator<Item = G>,
    ) -> Option<Groups> {
        names.into_iter().try_fold(Groups::NONE, |set, name| {
            let place = self.groups.iter().position(|(group, _)| group == name.borrow())?;
            Some(set.with(Groups::only(u32::try_from(place).ok()?)))
        })
    }

    /// The names of the groups in a set, in the type's order.
    pub fn names_of(&self, groups: Groups) -> Vec<GroupName> {
        (0..)
            .zip(&self.groups)
            .filter(|(place, _)| groups.covers(Groups::only(*place)))
            .map(|(_, (name, _))| name.clone())
            .collect()
    }

    /// The groups that hold special category data.
    pub fn special(&self) -> Groups {
        (0..)
            .zip(&self.groups)
            .filter(|(_, (_, special))| *special)
            .fold(Groups::NONE, |set, (place, _)| set.with(Groups::only(place)))
    }
}

/// One version of a record. A record is named by its first version.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecordRow {
    /// The first version of the record.
    pub first: RecordId,
    /// The latest version; kept up to date in the first version's row only.
    pub latest: RecordId,
    /// The number of the version, from 1.
    pub version: u32,
    /// Who published it.
    pub publisher: AgencyNumber,
    /// The type of record.
    pub record_type: TypeNumber,
    /// The version of the type that the body was validated against.
    pub type_version: u32,
    /// The version of the code lists that the body was validated against, as the number yyyymmdd.
    pub code_lists: u32,
    /// Whom it is about.
    pub client: ClientId,
    /// The field groups that the body holds.
    pub groups: Groups,
    /// The data key that seals the body.
    pub key: KeyId,
    /// HMAC of the request's content under the client's data key.
    pub content_mac: Digest,
    /// The entry whose attachment holds the body.
    pub position: Position,
    /// When it was published.
    pub published_at: UnixMillis,
}

/// A data key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct KeyRow {
    /// The client whose data it seals.
    pub client: Option<ClientId>,
    /// The agency whose data it seals.
    pub agency: Option<AgencyNumber>,
    /// `DisposalClass`.
    pub class: i32,
    /// The entry whose attachment holds the wrapped key.
    pub position: Position,
    /// Its place among the parts of that attachment.
    pub place: u32,
    /// The entry that opened it.
    pub opened: Position,
    /// The epochs that wrap it: one, but for a moment. An empty one: it was not told.
    pub epochs: BTreeSet<EpochName>,
}

/// What one recipient was sent of one record.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DisclosureRow {
    /// The latest version sent.
    pub record: RecordId,
    /// The groups sent, of any version.
    pub groups: Groups,
    /// How many versions were sent: what the recipient takes for the version number.
    pub versions: u32,
    /// The version sent before the latest one.
    pub before: Option<RecordId>,
    /// The entry of the last release.
    pub position: Position,
    /// How many times anything was released.
    pub releases: u32,
    /// How many of those did not leave.
    pub unsent: u32,
    /// How many recalls were made of it.
    pub recalls: u32,
    /// When anything was first released.
    pub first_at: UnixMillis,
    /// When anything was last released.
    pub at: UnixMillis,
    /// For what, the last time (`Purpose`).
    pub purpose: i32,
    /// The recipient's name for the client, the last time.
    pub alias: AliasId,
    /// On which flows each group was released, the last time; no group stands in two of them, but in one more for
    /// emergencies.
    pub grounds: Vec<DisclosedOn>,
}

/// A flow on which groups were released.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DisclosedOn {
    /// The agreement.
    pub agreement: AgreementId,
    /// Its version.
    pub version: u32,
    /// The flow.
    pub flow: FlowId,
    /// The groups.
    pub groups: Groups,
    /// For what (`Purpose`).
    pub purpose: i32,
    /// When.
    pub at: UnixMillis,
}

impl DisclosureRow {
    /// Whether anything left, as far as the ledger says.
    pub const fn left(&self) -> bool {
        self.unsent < self.releases
    }
}

impl State {
    /// The number of a record type.
    pub fn type_number(&self, name: &RecordTypeName) -> Option<TypeNumber> {
        self.indexes.type_numbers.get(name).copied()
    }

    /// A record type by number.
    pub fn record_type(&self, number: TypeNumber) -> Option<&RecordType> {
        self.tables.types.get(&number)
    }

    /// One version of a record.
    pub fn record(&self, id: RecordId) -> Option<&RecordRow> {
        self.tables.records.get(&id)
    }

    /// The latest version of the record that `first` names.
    pub fn latest(&self, first: RecordId) -> Option<(RecordId, &RecordRow)> {
        let latest = self.record(first)?.latest;
        Some((latest, self.record(latest)?))
    }

    /// To whom anything of a record (first version) was released, and what, in the order of the recipients' numbers.
    pub fn disclosures_of(
        &self,
        first: RecordId,
    ) -> impl Iterator<Item = (AgencyNumber, &DisclosureRow)> {
        let range = (first, AgencyNumber::MIN)..=(first, AgencyNumber::MAX);
        self.tables.disclosures.range(range).map(|((_, recipient), row)| (*recipient, row))
    }

    /// The records (first versions) about a client, in the order of their ids.
    pub fn records_of(&self, client: ClientId) -> impl ExactSizeIterator<Item = RecordId> {
        let records = self.indexes.records_by_client.get(&client);
        records.map_or(&[][..], Vec::as_slice).iter().copied()
    }

    /// The data key that seals such data.
    pub fn key_for(
        &self,
        client: Option<ClientId>,
        agency: Option<AgencyNumber>,
        class: i32,
    ) -> Option<KeyId> {
        self.indexes.key_of.get(&(client, agency, class)).copied()
    }

    /// Puts one version of a record and keeps the indexes with it.
    pub(in crate::machine) fn put_record(&mut self, id: RecordId, row: RecordRow) {
        if row.first == id {
            self.index_record(id, &row);
        } else {
            let journal = &mut self.journal;
            self.tables.records.change(journal, &row.first, |first| first.latest = id);
            self.indexes.later_versions.insert((row.first, id));
        }
        self.tables.records.put(&mut self.journal, id, row);
    }

    /// Puts a record type and keeps the indexes with it.
    pub(in crate::machine) fn put_record_type(&mut self, number: TypeNumber, row: RecordType) {
        self.indexes.type_numbers.insert(row.name.clone(), number);
        self.tables.types.put(&mut self.journal, number, row);
    }

    /// Puts a data key and keeps the indexes with it.
    pub(in crate::machine) fn put_key(&mut self, id: KeyId, row: KeyRow) {
        self.unindex_key(id);
        self.indexes.key_of.insert((row.client, row.agency, row.class), id);
        self.indexes.keys_by_epoch.extend(row.epochs.iter().map(|epoch| (*epoch, id)));
        self.tables.keys.put(&mut self.journal, id, row);
    }

    /// Removes a data key and keeps the indexes with it.
    pub(in crate::machine) fn remove_key(&mut self, id: KeyId) -> Option<KeyRow> {
        self.unindex_key(id);
        self.tables.keys.remove(&mut self.journal, &id)
    }

    fn unindex_key(&mut self, id: KeyId) {
        let Some(row) = self.tables.keys.get(&id) else { return };
        let _key = self.indexes.key_of.remove(&(row.client, row.agency, row.class));
        for epoch in &row.epochs {
            let _wrapped = self.indexes.keys_by_epoch.remove(&(*epoch, id));
        }
    }

    /// Every version of the record that `first` names, the first one first.
    pub fn versions_of(&self, first: RecordId) -> impl Iterator<Item = RecordId> {
        let later =
            (first, RecordId::from_bytes([0; 16]))..=(first, RecordId::from_bytes([u8::MAX; 16]));
        let later = self.indexes.later_versions.range(later).map(|(_, version)| *version);
        std::iter::once(first).chain(later)
    }

    /// Takes a record out of the indexes by which records are found.
    pub(in crate::machine) fn unindex_record(&mut self, first: RecordId) {
        let Some(row) = self.tables.records.get(&first) else { return };
        if let Some(of_client) = self.indexes.records_by_client.get_mut(&row.client) {
            of_client.retain(|record| *record != first);
        }
        let key = (row.publisher, row.record_type, first);
        let _removed = self.indexes.records_by_publisher.remove(&key);
    }

    fn index_record(&mut self, id: RecordId, row: &RecordRow) {
        self.index_first(id, (row.client, row.publisher, row.record_type));
    }

    fn index_first(
        &mut self,
        id: RecordId,
        (client, publisher, record_type): (ClientId, AgencyNumber, TypeNumber),
    ) {
        let of_client = self.indexes.records_by_client.entry(client).or_default();
        if let Err(place) = of_client.binary_search(&id) {
            of_client.insert(place, id);
        }
        self.indexes.records_by_publisher.insert((publisher, record_type, id));
    }

    pub(super) fn index_records(&mut self) {
        let firsts: BTreeSet<_> = self
            .tables
            .records
            .iter()
            .filter(|(id, row)| row.first == **id)
            .map(|(id, row)| (*id, row.client, row.publisher, row.record_type))
            .collect();
        for (id, client, publisher, record_type) in firsts {
            self.index_first(id, (client, publisher, record_type));
        }
        let later = self.tables.records.iter().filter(|(id, row)| row.first != **id);
        self.indexes.later_versions = later.map(|(id, row)| (row.first, *id)).collect();
        let keys = self.tables.keys.iter();
        self.indexes.keys_by_epoch =
            keys.flat_map(|(id, row)| row.epochs.iter().map(|epoch| (*epoch, *id))).collect();
        self.indexes.type_numbers =
            self.tables.types.iter().map(|(number, row)| (row.name.clone(), *number)).collect();
        self.indexes.key_of = self
            .tables
            .keys
            .iter()
            .map(|(id, row)| ((row.client, row.agency, row.class), *id))
            .collect();
    }
}
