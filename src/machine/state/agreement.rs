//! Rows of agreements.

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
        id::{AgreementId, FlowId},
        order::{Position, UnixMillis},
    },
};

/// An agreement: its latest version.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Agreement {
    /// The version, from 1; a draft that follows an ended or declined version takes the next number.
    pub version: u32,
    /// Where the version stands.
    pub status: Status,
    /// The content hash of the version.
    pub content_hash: Digest,
    /// The encoded `AgreementContent`, exactly as it is hashed.
    pub content: Vec<u8>,
    /// The parties and the fingerprints of the keys that speak for them.
    pub parties: BTreeMap<AgencyNumber, Digest>,
    /// The one purpose (`Purpose`).
    pub purpose: i32,
    /// The flows, in the order of the content.
    pub flows: Vec<Flow>,
    /// When it ends by itself.
    pub expires_at: UnixMillis,
    /// The parties that approved the version.
    pub approvals: BTreeSet<AgencyNumber>,
    /// The parties that suspended their own flows.
    pub suspended_by: BTreeSet<AgencyNumber>,
    /// Where it became active; `Position::FIRST` before.
    pub activated: Position,
    /// The party that drafted the version.
    pub drafter: AgencyNumber,
    /// When the version was drafted, the last time.
    pub drafted_at: UnixMillis,
    /// When it was proposed.
    pub proposed_at: Option<UnixMillis>,
    /// When each party approved or declined it.
    pub decided_at: BTreeMap<AgencyNumber, UnixMillis>,
    /// When it became active.
    pub activated_at: Option<UnixMillis>,
    /// When it was declined or ended.
    pub ended_at: Option<UnixMillis>,
}

/// Where a version of an agreement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Status {
    /// Being written; nothing flows.
    Draft,
    /// Before its parties; the content is fixed; nothing flows.
    Proposed,
    /// Approved by every party.
    Active,
    /// Declined by a party; for ever.
    Declined,
    /// Ended by a party or by its date; for ever.
    Ended,
}

/// One flow. Codes are those of the protobuf enums.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Flow {
    /// Its id in the agreement.
    pub id: FlowId,
    /// The type of record.
    pub record_type: TypeNumber,
    /// Who publishes.
    pub publisher: AgencyNumber,
    /// Who receives.
    pub recipients: BTreeSet<AgencyNumber>,
    /// What is shared.
    pub groups: Groups,
    /// `LawfulBasis`.
    pub basis: i32,
    /// `Gate`.
    pub gate: i32,
    /// `LegalPower`.
    pub legal_power: i32,
    /// `SpecialCondition`.
    pub special_condition: i32,
    /// Whether the recipient must have the client in its confirmed caseload.
    pub caseload_confirmed: bool,
    /// Whether records published before the activation flow too.
    pub backfill: bool,
}

impl State {
    /// The flows of active agreements from a publisher, of a type, to a recipient: agreement and place in it.
    pub(in crate::machine) fn flows_between(
        &self,
        (publisher, record_type, recipient): (AgencyNumber, TypeNumber, AgencyNumber),
    ) -> impl Iterator<Item = (&AgreementId, u16)> {
        self.indexes
            .flows
            .get(&(publisher, record_type))
            .and_then(|by_recipient| by_recipient.get(&recipient))
            .into_iter()
            .flatten()
            .map(|(id, place)| (id, *place))
    }

    /// The agencies to which a publisher has a flow of a type in an active agreement.
    pub(in crate::machine) fn recipients_of(
        &self,
        publisher: AgencyNumber,
        record_type: TypeNumber,
    ) -> impl Iterator<Item = AgencyNumber> {
        let flows = self.indexes.flows.get(&(publisher, record_type));
        flows.into_iter().flat_map(|by_recipient| by_recipient.keys().copied())
    }

    /// Puts an agreement's row and keeps the indexes with it.
    pub(in crate::machine) fn put_agreement(&mut self, id: &AgreementId, agreement: Agreement) {
        self.unindex_agreement(id);
        self.tables.agreements.put(&mut self.journal, id.clone(), agreement);
        self.index_agreement(id);
    }

    fn unindex_agreement(&mut self, id: &AgreementId) {
        let Some(old) = self.tables.agreements.get(id) else { return };
        for (from, to, flow) in flow_keys(id, old) {
            if let Some(by_recipient) = self.indexes.flows.get_mut(&from) {
                if let Some(keys) = by_recipient.get_mut(&to) {
                    let _removed = keys.remove(&flow);
                }
                by_recipient.retain(|_, keys| !keys.is_empty());
            }
        }
        self.indexes.flows.retain(|_, by_recipient| !by_recipient.is_empty());
        let _removed = self.indexes.agreement_ends.remove(&(old.expires_at, id.clone()));
    }

    fn index_agreement(&mut self, id: &AgreementId) {
        let Some(agreement) = self.tables.agreements.get(id) else { return };
        if agreement.status == Status::Active {
            for (from, to, flow) in flow_keys(id, agreement) {
                let by_recipient = self.indexes.flows.entry(from).or_default();
                by_recipient.entry(to).or_default().insert(flow);
            }
            self.indexes.agreement_ends.insert((agreement.expires_at, id.clone()));
        }
    }

    pub(super) fn index_agreements(&mut self) {
        let ids: Vec<_> = self.tables.agreements.iter().map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.index_agreement(&id);
        }
    }
}

/// From whom and of which type; to whom; under which agreement, and the place of the flow in it.
type FlowKey = ((AgencyNumber, TypeNumber), AgencyNumber, (AgreementId, u16));

fn flow_keys(id: &AgreementId, agreement: &Agreement) -> Vec<FlowKey> {
    (0_u16..)
        .zip(&agreement.flows)
        .flat_map(|(place, flow)| {
            let from = (flow.publisher, flow.record_type);
            flow.recipients.iter().map(move |to| (from, *to, (id.clone(), place)))
        })
        .collect()
}
