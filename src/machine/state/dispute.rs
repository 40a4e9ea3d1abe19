//! Rows of disputes.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{
        State,
        state::{agency::AgencyNumber, record::Groups, succession::in_order},
    },
    model::{
        id::{ClientId, DisputeId, RecordId},
        order::{Position, UnixMillis},
    },
};

/// A recipient's doubt about a record, and its publisher's answer.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Dispute {
    /// Who doubts.
    pub recipient: AgencyNumber,
    /// Who published the record.
    pub publisher: AgencyNumber,
    /// The record, by its first version.
    pub first: RecordId,
    /// The version that is doubted.
    pub record: RecordId,
    /// Whom it is about.
    pub client: ClientId,
    /// The field group, as a set of one.
    pub group: Groups,
    /// The field's path; empty for the whole group.
    pub field: String,
    /// Why (`DisputeReason`).
    pub reason: i32,
    /// The entry that opened it.
    pub position: Position,
    /// When it was opened.
    pub opened_at: UnixMillis,
    /// By when it is to be answered.
    pub due_at: UnixMillis,
    /// The answer.
    pub answer: Option<DisputeAnswered>,
}

/// The answer to a dispute.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DisputeAnswered {
    /// `DisputeAnswer`.
    pub answer: i32,
    /// `KeepReason`.
    pub keep_reason: i32,
    /// When.
    pub at: UnixMillis,
}

impl State {
    /// A dispute.
    pub fn dispute(&self, id: DisputeId) -> Option<&Dispute> {
        self.tables.disputes.get(&id)
    }

    /// The disputes that an agency opened, in order.
    pub fn disputes_by(
        &self,
        recipient: AgencyNumber,
    ) -> impl Iterator<Item = (DisputeId, &Dispute)> {
        self.disputes_in(&self.indexes.disputes_by, recipient)
    }

    /// The disputes about an agency's records, in order.
    pub fn disputes_about(
        &self,
        publisher: AgencyNumber,
    ) -> impl Iterator<Item = (DisputeId, &Dispute)> {
        self.disputes_in(&self.indexes.disputes_about, publisher)
    }

    fn disputes_in<'a>(
        &'a self,
        index: &'a std::collections::BTreeSet<(AgencyNumber, Position, DisputeId)>,
        agency: AgencyNumber,
    ) -> impl Iterator<Item = (DisputeId, &'a Dispute)> {
        let of = |body| {
            let first = (body, Position::FIRST, DisputeId::from_bytes([0; 16]));
            let last = (body, Position::new(u64::MAX), DisputeId::from_bytes([u8::MAX; 16]));
            index.range(first..=last).map(|(_, position, id)| (*position, *id))
        };
        let ids = in_order(self.bodies(agency).map(of).collect());
        ids.filter_map(|(_, id)| Some((id, self.dispute(id)?)))
    }

    /// The disputes about a record (first version) that are not answered.
    pub fn disputes_open(&self, first: RecordId) -> impl Iterator<Item = (DisputeId, &Dispute)> {
        let [lowest, highest] = [[0; 16], [u8::MAX; 16]].map(DisputeId::from_bytes);
        let ids = self.indexes.disputes_open.range((first, lowest)..=(first, highest));
        ids.filter_map(|(_, id)| Some((*id, self.dispute(*id)?)))
    }

    /// Puts a dispute and keeps the indexes with it.
    pub(in crate::machine) fn put_dispute(&mut self, id: DisputeId, row: Dispute) {
        self.index_dispute(id, &row);
        self.tables.disputes.put(&mut self.journal, id, row);
    }

    fn index_dispute(&mut self, id: DisputeId, row: &Dispute) {
        self.indexes.disputes_by.insert((row.recipient, row.position, id));
        self.indexes.disputes_about.insert((row.publisher, row.position, id));
        if row.answer.is_none() {
            self.indexes.disputes_open.insert((row.first, id));
        } else {
            let _answered = self.indexes.disputes_open.remove(&(row.first, id));
        }
    }

    pub(super) fn index_disputes(&mut self) {
        let rows: Vec<_> =
            self.tables.disputes.iter().map(|(id, row)| (*id, row.clone())).collect();
        for (id, row) in rows {
            self.index_dispute(id, &row);
        }
    }
}
