//! Rows of retractions and recalls, and the inboxes derived from them.

use std::{collections::BTreeSet, ops::Bound};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{
        State,
        law::Rule,
        state::{agency::AgencyNumber, record::Groups, succession::in_order},
    },
    model::{
        id::{AgreementId, ClientId, RecallId, RecordId},
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::{RecallAct, RecallReason},
};

/// That a record was taken back.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Retraction {
    /// Why (`RecallReason`).
    pub reason: i32,
    /// When.
    pub at: UnixMillis,
    /// The entry.
    pub position: Position,
}

/// A recall of one record from one recipient.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Recall {
    /// From whom.
    pub recipient: AgencyNumber,
    /// Who published the record.
    pub publisher: AgencyNumber,
    /// The record, by its first version.
    pub first: RecordId,
    /// The latest version that the recipient was sent.
    pub record: RecordId,
    /// Whom it is about.
    pub client: ClientId,
    /// The groups concerned.
    pub groups: Groups,
    /// Why (`RecallReason`).
    pub reason: i32,
    /// The agreement that has ended, if that is why.
    pub ended: Option<Ended>,
    /// The entry that issued it.
    pub position: Position,
    /// When it was issued.
    pub issued_at: UnixMillis,
    /// When it was first put before the recipient.
    pub handed_over: Option<UnixMillis>,
    /// What the recipient did.
    pub answer: Option<Answer>,
}

/// An agreement whose end asks records back.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Ended {
    /// Which.
    pub agreement: AgreementId,
    /// What its terms say becomes of received records (`Disposal`).
    pub disposal: i32,
}

/// What a recipient did about a recall.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Answer {
    /// `RecallAct`.
    pub act: i32,
    /// `RetentionGround`.
    pub ground: i32,
    /// When.
    pub at: UnixMillis,
}

impl Recall {
    /// Whether it tells that a new version puts the record right; otherwise it asks to stop using it.
    pub fn corrects(&self) -> bool {
        self.reason == i32::from(RecallReason::Corrected)
    }

    /// Whether the recipient has answered that it keeps what it had.
    pub fn is_kept(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.act == i32::from(RecallAct::Kept))
    }
}

/// Where an inbox begins and ends in an order.
const FIRST: (Position, RecallId) = (Position::FIRST, RecallId::from_bytes([0; 16]));
const LAST: (Position, RecallId) = (Position::new(u64::MAX), RecallId::from_bytes([u8::MAX; 16]));

impl State {
    /// A recall.
    pub fn recall(&self, id: RecallId) -> Option<&Recall> {
        self.tables.recalls.get(&id)
    }

    /// That a record (first version) was taken back.
    pub fn retraction(&self, first: RecordId) -> Option<&Retraction> {
        self.tables.retractions.get(&first).filter(|_| self.applies(Rule::Retracted))
    }

    /// The recalls of a record (first version) from one recipient, in the order of their issue.
    pub fn recalls_from(
        &self,
        first: RecordId,
        recipient: AgencyNumber,
    ) -> impl DoubleEndedIterator<Item = (RecallId, &Recall)> {
        let range = (first, recipient, FIRST.0, FIRST.1)..=(first, recipient, LAST.0, LAST.1);
        let ids = self.indexes.recalls_of.range(range);
        ids.filter_map(|(_, _, _, id)| Some((*id, self.recall(*id)?)))
    }

    /// The recalls that were not put before an agency yet, the oldest first.
    pub fn recalls_waiting(&self, recipient: AgencyNumber) -> impl Iterator<Item = RecallId> {
        self.recalls_in(&self.indexes.recalls_waiting, recipient, None).map(|(_, id)| id)
    }

    /// The recalls of an index that are an agency's, or a body's that went over into it, the oldest first, after a place.
    pub(in crate::machine) fn recalls_in<'a>(
        &self,
        index: &'a BTreeSet<(AgencyNumber, Position, RecallId)>,
        agency: AgencyNumber,
        after: Option<(Position, RecallId)>,
    ) -> impl Iterator<Item = (Position, RecallId)> + use<'a> {
        let of = |body| {
            let from = match after {
                Some((position, id)) => Bound::Excluded((body, position, id)),
                None => Bound::Included((body, FIRST.0, FIRST.1)),
            };
            let to = Bound::Included((body, LAST.0, LAST.1));
            index.range((from, to)).map(|(_, position, id)| (*position, *id))
        };
        in_order(self.bodies(agency).map(of).collect())
    }

    /// An agency's recalls that are not answered, the oldest first, after a place.
    pub fn recalls_open(
        &self,
        recipient: AgencyNumber,
        after: Option<(Position, RecallId)>,
    ) -> impl Iterator<Item = (Position, RecallId)> {
        self.recalls_in(&self.indexes.recalls_open, recipient, after)
    }

    /// The recalls about a client that were issued to an agency and not put before it yet.
    pub(in crate::machine) fn waiting_recalls(
        &self,
        recipient: AgencyNumber,
        client: ClientId,
    ) -> impl Iterator<Item = &Recall> {
        self.bodies(recipient).flat_map(move |body| {
            let range = (body, client, FIRST.1)..=(body, client, LAST.1);
            self.indexes.clients_waiting.range(range).filter_map(|(_, _, id)| self.recall(*id))
        })
    }

    /// Puts a recall and keeps the indexes with it.
    pub(in crate::machine) fn put_recall(&mut self, id: RecallId, row: Recall) {
        self.index_recall(id, &row);
        self.tables.recalls.put(&mut self.journal, id, row);
    }

    /// Removes a recall and keeps the indexes with it.
    pub(in crate::machine) fn remove_recall(&mut self, id: RecallId) {
        let Some(row) = self.tables.recalls.remove(&mut self.journal, &id) else { return };
        let to = (row.recipient, row.position, id);
        let _removed =
            self.indexes.recalls_of.remove(&(row.first, row.recipient, row.position, id));
        let _removed = self.indexes.recalls_issued.remove(&(row.publisher, row.position, id));
        let _removed = self.indexes.recalls_to.remove(&to);
        let _removed = self.indexes.recalls_open.remove(&to);
        let _removed = self.indexes.recalls_waiting.remove(&to);
        let _removed = self.indexes.clients_waiting.remove(&(row.recipient, row.client, id));
    }

    fn index_recall(&mut self, id: RecallId, row: &Recall) {
        let to = (row.recipient, row.position, id);
        self.indexes.recalls_of.insert((row.first, row.recipient, row.position, id));
        self.indexes.recalls_issued.insert((row.publisher, row.position, id));
        self.indexes.recalls_to.insert(to);
        if row.answer.is_none() {
            self.indexes.recalls_open.insert(to);
        } else {
            let _answered = self.indexes.recalls_open.remove(&to);
        }
        if row.handed_over.is_none() {
            self.indexes.recalls_waiting.insert(to);
            self.indexes.clients_waiting.insert((row.recipient, row.client, id));
        } else {
            let _handed_over = self.indexes.recalls_waiting.remove(&to);
            let _handed_over =
                self.indexes.clients_waiting.remove(&(row.recipient, row.client, id));
        }
    }

    pub(super) fn index_recalls(&mut self) {
        let rows: Vec<_> = self.tables.recalls.iter().map(|(id, row)| (*id, row.clone())).collect();
        for (id, row) in rows {
            self.index_recall(id, &row);
        }
    }
}
