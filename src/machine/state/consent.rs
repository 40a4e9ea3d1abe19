//! Rows of consents.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{
        State,
        state::{
            agency::AgencyNumber,
            record::{Groups, TypeNumber},
        },
    },
    model::{
        digest::Digest,
        id::{ClientId, ConsentId},
        order::{Position, UnixMillis},
    },
};

/// A consent, or a refusal of one. Codes are those of the protobuf enums.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Consent {
    /// Whether it was given or refused.
    pub given: bool,
    /// Where it stands in the order.
    pub position: Position,
    /// Whose it is.
    pub client: ClientId,
    /// Who recorded it.
    pub recorder: AgencyNumber,
    /// Whose records it is about.
    pub publisher: AgencyNumber,
    /// The type of record.
    pub record_type: TypeNumber,
    /// The field groups.
    pub groups: Groups,
    /// Who may, or may not, receive.
    pub recipients: BTreeSet<AgencyNumber>,
    /// `Gate`: which kind of consent it is.
    pub gate: i32,
    /// `Grantor`.
    pub grantor: i32,
    /// `Authority`.
    pub authority: i32,
    /// `ConsentMethod`.
    pub method: i32,
    /// The client's age in whole years when it was given.
    pub age_years: u32,
    /// When it was given or refused.
    pub given_at: UnixMillis,
    /// When it ends by itself.
    pub expires_at: Option<UnixMillis>,
    /// For which recipients it was withdrawn, and where in the order.
    pub withdrawn: BTreeMap<AgencyNumber, Position>,
    /// SHA-256 of the privacy notice that was shown.
    pub notice_digest: Digest,
    /// When it was recorded.
    pub recorded_at: UnixMillis,
    /// When it was last withdrawn.
    pub withdrawn_at: Option<UnixMillis>,
}

impl State {
    /// A client's consents, refusals and withdrawals included, in ledger order.
    pub fn consents_of(
        &self,
        client: ClientId,
    ) -> impl DoubleEndedIterator<Item = (ConsentId, &Consent)> {
        let first = (client, Position::FIRST, ConsentId::from_bytes([0; 16]));
        let last = (client, Position::new(u64::MAX), ConsentId::from_bytes([u8::MAX; 16]));
        self.indexes
            .consents_by_client
            .range(first..=last)
            .filter_map(|(_, _, id)| Some((*id, self.tables.consents.get(id)?)))
    }

    /// Puts a consent's row and keeps the indexes with it.
    pub(in crate::machine) fn put_consent(&mut self, id: ConsentId, consent: Consent) {
        self.indexes.consents_by_client.insert((consent.client, consent.position, id));
        self.tables.consents.put(&mut self.journal, id, consent);
    }

    pub(super) fn index_consents(&mut self) {
        self.indexes.consents_by_client =
            self.tables.consents.iter().map(|(id, row)| (row.client, row.position, *id)).collect();
    }
}
