//! Rows of consents, and of the persons who speak for clients.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{
        State,
        command::consent::Review,
        state::{
            agency::AgencyNumber,
            client::AliasKind,
            record::{Groups, TypeNumber},
        },
    },
    model::{
        digest::Digest,
        id::{ClientId, ConsentId, HolderId},
        order::{Position, UnixMillis},
    },
    pb::ledger::v1 as pb,
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
    /// The purposes (`Purpose`) that it was given for; a refusal stands against every one.
    pub purposes: BTreeSet<i32>,
    /// How it was given or refused.
    pub act: ActRow,
    /// When it ends by itself.
    pub expires_at: Option<UnixMillis>,
    /// The next milestone at which it must be asked for anew (`Milestone`), and when.
    pub review: Option<(UnixMillis, i32)>,
    /// The consent that it renews.
    pub renews: Option<ConsentId>,
    /// What was withdrawn of it, in ledger order. Each withdraws something that none before it did.
    pub withdrawals: Vec<Withdrawal>,
    /// Where and when it became invalid because the person who gave it has no rights.
    pub invalid: Option<(Position, UnixMillis)>,
    /// What was decided about a refusal, the last time.
    pub resolved: Option<Resolved>,
    /// Whether its end or review has come; set by the first entry after it.
    pub ended: bool,
    /// When it was recorded.
    pub recorded_at: UnixMillis,
}

/// How and by whom a consent or refusal was expressed. Codes are those of the protobuf enums.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ActRow {
    /// `Grantor`.
    pub grantor: i32,
    /// `Authority`.
    pub authority: i32,
    /// `Mandate`.
    pub mandate: i32,
    /// When the grantor's authority ends.
    pub authority_ends_at: Option<UnixMillis>,
    /// The person who spoke, if the agency tells persons apart.
    pub holder: Option<HolderId>,
    /// The client's age in whole years.
    pub age_years: u32,
    /// `Competence`.
    pub competence: i32,
    /// `ClientView`.
    pub view: i32,
    /// `SchoolAge`.
    pub school_age: i32,
    /// `ConsentMethod`.
    pub method: i32,
    /// When it was given or refused.
    pub given_at: UnixMillis,
    /// SHA-256 of the privacy notice that was shown.
    pub notice_digest: Digest,
    /// The milestones that were stated.
    pub reviews: Vec<Review>,
}

/// A withdrawal, whole or in part.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Withdrawal {
    /// Where it stands in the order.
    pub position: Position,
    /// When.
    pub at: UnixMillis,
    /// The agency that lodged it.
    pub by: AgencyNumber,
    /// For whom.
    pub recipients: BTreeSet<AgencyNumber>,
    /// For what.
    pub groups: Groups,
}

/// A decision about a refusal that others do not share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Resolved {
    /// When.
    pub at: UnixMillis,
    /// `Resolution`.
    pub resolution: i32,
    /// `ResolutionGround`.
    pub ground: i32,
    /// `ClientView`.
    pub view: i32,
}

/// A person who may speak for a client, or must not, as one agency recorded them. Who it is lies sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Holder {
    /// Who recorded them.
    pub recorder: AgencyNumber,
    /// For whom they speak.
    pub client: ClientId,
    /// `Standing`.
    pub standing: i32,
    /// When it was recorded, the last time.
    pub recorded_at: UnixMillis,
}

impl Consent {
    /// Where it was withdrawn for one recipient and all of `groups`, if it was.
    pub fn withdrawn(&self, recipient: AgencyNumber, groups: Groups) -> Option<Position> {
        let mut left = groups;
        for withdrawal in &self.withdrawals {
            if withdrawal.recipients.contains(&recipient) {
                left = left.without(withdrawal.groups);
            }
            if left.is_empty() {
                return Some(withdrawal.position);
            }
        }
        None
    }

    /// The first date on which it stops opening anything by itself.
    pub fn ends_at(&self) -> Option<UnixMillis> {
        let review = self.review.map(|(at, _)| at);
        [self.expires_at, review].into_iter().flatten().min()
    }

    /// Whether a decision set the refusal aside.
    pub fn set_aside(&self) -> bool {
        let aside = i32::from(pb::Resolution::SetAside);
        self.resolved.is_some_and(|resolved| resolved.resolution == aside)
    }
}

impl Holder {
    /// Whether the person may speak for the client and receive a report about them.
    pub fn has_rights(&self) -> bool {
        self.standing == i32::from(pb::Standing::HasRights)
    }
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

    /// The persons who were recorded about a client.
    pub fn holders_of(&self, client: ClientId) -> impl Iterator<Item = (HolderId, &Holder)> {
        let first = (client, HolderId::from_bytes([0; 16]));
        let last = (client, HolderId::from_bytes([u8::MAX; 16]));
        self.indexes
            .holders_by_client
            .range(first..=last)
            .filter_map(|(_, id)| Some((*id, self.tables.holders.get(id)?)))
    }

    /// Whether an agency has a name of its own for the client.
    pub(in crate::machine) fn knows(&self, agency: AgencyNumber, client: ClientId) -> bool {
        self.alias(agency, client, AliasKind::Own).is_some()
    }

    /// Puts a consent's row and keeps the indexes with it.
    pub(in crate::machine) fn put_consent(&mut self, id: ConsentId, consent: Consent) {
        self.indexes.consents_by_client.insert((consent.client, consent.position, id));
        if let Some(before) = self.tables.consents.get(&id)
            && let Some(end) = before.ends_at()
        {
            let _before = self.indexes.consent_ends.remove(&(end, id));
        }
        if let Some(end) = consent.ends_at().filter(|_| !consent.ended) {
            self.indexes.consent_ends.insert((end, id));
        }
        self.tables.consents.put(&mut self.journal, id, consent);
    }

    /// Puts a person's row and keeps the index with it.
    pub(in crate::machine) fn put_holder(&mut self, id: HolderId, holder: Holder) {
        self.indexes.holders_by_client.insert((holder.client, id));
        self.tables.holders.put(&mut self.journal, id, holder);
    }

    pub(super) fn index_consents(&mut self) {
        let consents = || self.tables.consents.iter();
        self.indexes.consents_by_client =
            consents().map(|(id, row)| (row.client, row.position, *id)).collect();
        self.indexes.consent_ends = consents()
            .filter(|(_, row)| !row.ended)
            .filter_map(|(id, row)| Some((row.ends_at()?, *id)))
            .collect();
        self.indexes.holders_by_client =
            self.tables.holders.iter().map(|(id, row)| (row.client, *id)).collect();
    }
}
