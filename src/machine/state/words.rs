//! Rows of words: which entries may have words sealed beside them, about what, and who wrote them.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{State, state::agency::AgencyNumber},
    model::{
        id::{CaseId, ConsentId, DisputeId, EmergencyId, HolderId, RequestId},
        order::{Position, UnixMillis},
    },
    pb::ledger::v1 as pb,
};

/// What words are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Matter {
    /// A case.
    Case(CaseId),
    /// A dispute.
    Dispute(DisputeId),
    /// Emergency access.
    Emergency(EmergencyId),
    /// A consent or a refusal.
    Consent(ConsentId),
    /// A person who speaks for a client, or must not.
    Holder(HolderId),
}

/// An act beside which words may be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Words {
    /// Who wrote them.
    pub author: AgencyNumber,
    /// The author's name for the request, to which they are bound.
    pub request: RequestId,
    /// When.
    pub at: UnixMillis,
}

impl Matter {
    /// How the ledger names it.
    pub fn named(&self) -> (pb::MatterKind, [u8; 16]) {
        match self {
            Self::Case(id) => (pb::MatterKind::Case, *id.as_bytes()),
            Self::Dispute(id) => (pb::MatterKind::Dispute, *id.as_bytes()),
            Self::Emergency(id) => (pb::MatterKind::Emergency, *id.as_bytes()),
            Self::Consent(id) => (pb::MatterKind::Consent, *id.as_bytes()),
            Self::Holder(id) => (pb::MatterKind::Holder, *id.as_bytes()),
        }
    }
}

impl State {
    /// What was done about a matter, in ledger order.
    pub fn words_about(&self, matter: Matter) -> impl Iterator<Item = (Position, &Words)> {
        let range = (matter, Position::FIRST)..=(matter, Position::new(u64::MAX));
        self.tables.words.range(range).map(|((_, position), row)| (*position, row))
    }
}
