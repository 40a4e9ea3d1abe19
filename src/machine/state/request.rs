//! Rows of remembered requests.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{State, outcome::Remembered, state::agency::AgencyNumber},
    model::{
        digest::Digest,
        id::RequestId,
        order::{Position, UnixMillis},
    },
};

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Requester {
    /// The operator.
    Operator,
    /// An agency.
    Agency(AgencyNumber),
}

/// A request that took effect.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RequestRow {
    /// Where.
    pub position: Position,
    /// When.
    pub admitted_at: UnixMillis,
    /// The digest of what was asked.
    pub digest: Digest,
    /// What was answered.
    pub answer: Remembered,
}

impl State {
    /// Remembers a request and keeps the indexes with it.
    pub(in crate::machine) fn remember(&mut self, key: (Requester, RequestId), row: RequestRow) {
        self.indexes.requests_by_age.insert((row.admitted_at, key.0, key.1));
        self.tables.requests.put(&mut self.journal, key, row);
    }

    /// Forgets at most `count` requests that were admitted before `before`.
    pub(in crate::machine) fn forget_requests(&mut self, before: UnixMillis, count: usize) {
        for _ in 0..count {
            let Some(oldest) = self.indexes.requests_by_age.first().copied() else { return };
            if before <= oldest.0 {
                return;
            }
            let _removed = self.indexes.requests_by_age.remove(&oldest);
            let _removed = self.tables.requests.remove(&mut self.journal, &(oldest.1, oldest.2));
        }
    }

    pub(super) fn index_requests(&mut self) {
        self.indexes.requests_by_age = self
            .tables
            .requests
            .iter()
            .map(|((who, request), row)| (row.admitted_at, *who, *request))
            .collect();
    }
}
