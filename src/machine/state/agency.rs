//! Rows of agencies.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::State,
    model::{digest::Digest, id::AgencyId, order::UnixMillis},
    pb::ledger::v1::AgencyKind,
};

/// The place of an agency in the order of invitations; internal, never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct AgencyNumber(pub(super) u32);

impl AgencyNumber {
    /// The least number.
    pub const MIN: Self = Self(0);
    /// The greatest number.
    pub const MAX: Self = Self(u32::MAX);

    /// The number after `count` agencies.
    pub(in crate::machine) fn after(count: usize) -> Self {
        Self(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

/// An agency.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Agency {
    /// Its id.
    pub id: AgencyId,
    /// What kind of body it is (`AgencyKind`).
    pub kind: i32,
    /// The invitation, until it is used.
    pub invitation: Option<Invitation>,
    /// The keys, once it has enrolled.
    pub keys: Option<Keys>,
    /// Whether the operator suspended it.
    pub suspended: bool,
    /// When it was invited, the last time.
    pub invited_at: UnixMillis,
    /// When it enrolled.
    pub enrolled_at: Option<UnixMillis>,
}

/// An invitation to enrol.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Invitation {
    /// SHA-256 of the secret.
    pub secret_digest: Digest,
    /// When it ends.
    pub expires_at: UnixMillis,
}

/// The keys of an agency.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Keys {
    /// The raw Ed25519 public key.
    pub signing_key: [u8; 32],
    /// Fingerprints of the certificates by which its systems connect.
    pub certificates: BTreeSet<Digest>,
}

impl Keys {
    /// SHA-256 of the raw signing key.
    pub fn fingerprint(&self) -> Digest {
        Digest::of_concatenation(&[&self.signing_key])
    }
}

impl Agency {
    /// Whether it may act and receive: enrolled and not suspended.
    pub fn in_force(&self) -> bool {
        self.keys.is_some() && !self.suspended
    }

    /// What kind of body it is.
    pub fn kind(&self) -> AgencyKind {
        AgencyKind::try_from(self.kind).unwrap_or_default()
    }
}

impl State {
    /// The number of an agency, invited or enrolled.
    pub fn agency_number(&self, id: &AgencyId) -> Option<AgencyNumber> {
        self.indexes.agency_numbers.get(id).copied()
    }

    /// An agency by number.
    pub fn agency(&self, number: AgencyNumber) -> Option<&Agency> {
        self.tables.agencies.get(&number)
    }

    /// The agency whose certificate has this fingerprint.
    pub fn agency_of_certificate(&self, fingerprint: &Digest) -> Option<(AgencyNumber, &Agency)> {
        let number = *self.indexes.certificates.get(fingerprint)?;
        Some((number, self.agency(number)?))
    }

    /// Puts an agency's row and keeps the indexes with it.
    pub(in crate::machine) fn put_agency(&mut self, number: AgencyNumber, agency: Agency) {
        if let Some(old) = self.tables.agencies.get(&number).and_then(|old| old.keys.as_ref()) {
            for certificate in &old.certificates {
                let _removed = self.indexes.certificates.remove(certificate);
            }
        }
        self.index_agency(number, &agency);
        self.tables.agencies.put(&mut self.journal, number, agency);
    }

    fn index_agency(&mut self, number: AgencyNumber, agency: &Agency) {
        self.indexes.agency_numbers.insert(agency.id.clone(), number);
        for certificate in agency.keys.iter().flat_map(|keys| &keys.certificates) {
            self.indexes.certificates.insert(*certificate, number);
        }
    }

    pub(super) fn index_agencies(&mut self) {
        let rows: Vec<_> =
            self.tables.agencies.iter().map(|(number, agency)| (*number, agency.clone())).collect();
        for (number, agency) in rows {
            self.index_agency(number, &agency);
        }
    }
}
