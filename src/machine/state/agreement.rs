//! Rows of agreements, one a version, and the deadlines that a version in force has.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{
        State,
        law::{self, Rule},
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

/// How long before a date its parties are warned, in days, longest first.
pub const WARNED_DAYS: [u32; 3] = [90, 30, 7];
/// One day, in milliseconds.
const DAY_MS: u64 = 86_400_000;
/// How long flows for safeguarding go on after the end where the agreement says so, in milliseconds: 90 days.
const SAFEGUARDING_MS: u64 = 90 * DAY_MS;

/// One version of an agreement.
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
    /// Whether flows for safeguarding go on for a while after that.
    pub safeguarding_goes_on: bool,
    /// When it is to be reviewed.
    pub review_at: Option<UnixMillis>,
    /// For how many months its recipients keep records of a type, and what happens then (`Disposal`).
    pub retention: Vec<(TypeNumber, u32, i32)>,
    /// Within how many days a complaint is acknowledged, and within how many answered, where the parties agreed on it.
    pub complaint_days: (Option<u32>, Option<u32>),
    /// What becomes of received records when it ends or a party leaves (`Disposal`).
    pub termination: i32,
    /// Whether its flows stop when that date comes.
    pub review_stops: bool,
    /// The party to which the partnership reports.
    pub reporting_body: Option<AgencyNumber>,
    /// How many of its deadlines have been told, in their order.
    pub deadlines_told: u32,
    /// The parties that approved the version.
    pub approvals: BTreeSet<AgencyNumber>,
    /// Who approved in each party's name, and by what authority (`ApproverRole`, `ApproverAuthority`).
    pub approvers: BTreeMap<AgencyNumber, (i32, i32)>,
    /// Why it was declined (`DeclineReason`); 0 if it was not.
    pub declined_for: i32,
    /// The parties that suspended their own flows.
    pub suspended_by: BTreeSet<AgencyNumber>,
    /// Where it became active; `Position::FIRST` before.
    pub activated: Position,
    /// The party that drafted the version.
    pub drafter: AgencyNumber,
    /// Where it was drafted, the last time: its texts are sealed there.
    pub drafted: Position,
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
    /// A later version is in force; for ever.
    Replaced,
    /// Ended by a party or by its date; for ever.
    Ended,
}

/// One flow. Codes are those of the protobuf enums.
#[expect(clippy::struct_excessive_bools, reason = "each is a statement of its own in the content")]
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
    /// Whether the records only count and are never released.
    pub statistics_only: bool,
    /// Whether it serves the protection of somebody.
    pub safeguarding: bool,
    /// Whether only a named member of staff may read what leaves by it.
    pub named_actor: bool,
    /// What makes it a flow for emergencies alone.
    pub emergency: Option<Emergency>,
    /// What it took over from the version before: a recipient, groups, and since when these flowed to it.
    pub since: Vec<(AgencyNumber, Groups, Position)>,
}

/// In which emergencies, and to which offices, a flow releases anything.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Emergency {
    /// `EmergencyCategory`.
    pub categories: BTreeSet<i32>,
    /// `EmergencyOffice`.
    pub offices: BTreeSet<i32>,
}

/// What falls due in the life of a version in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deadline {
    /// So many days remain until the review.
    ReviewNear(u32),
    /// The review is due.
    ReviewDue,
    /// So many days remain until the end.
    ExpiryNear(u32),
    /// The end has come.
    Expired,
    /// The last flow has stopped.
    Over,
}

impl Agreement {
    /// Since when a group flows to a recipient by one of the flows.
    pub fn since(&self, flow: &Flow, recipient: AgencyNumber, group: Groups) -> Position {
        let taken =
            flow.since.iter().filter(|(to, groups, _)| *to == recipient && groups.covers(group));
        taken.map(|(_, _, position)| *position).min().unwrap_or(self.activated)
    }

    /// When a flow ends by itself, or stops because the agreement was not reviewed.
    pub fn flow_until(&self, flow: &Flow) -> UnixMillis {
        let ends = self.flow_ends(flow);
        let graver = self.safeguarding_goes_on && flow.safeguarding;
        let review = self.review_at.filter(|_| self.review_stops && !graver);
        review.map_or(ends, |review| ends.min(review))
    }

    /// When a flow ends by the date of the agreement.
    pub fn flow_ends(&self, flow: &Flow) -> UnixMillis {
        if self.safeguarding_goes_on && flow.safeguarding {
            self.expires_at.plus(SAFEGUARDING_MS)
        } else {
            self.expires_at
        }
    }

    /// When the last flow ends by itself: until then another version may replace this one.
    pub fn until(&self) -> UnixMillis {
        self.flows.iter().map(|flow| self.flow_ends(flow)).max().unwrap_or(self.expires_at)
    }

    /// Everything that falls due, in its order.
    pub fn deadlines(&self) -> Vec<(UnixMillis, Deadline)> {
        let near = |at: UnixMillis, kind: fn(u32) -> Deadline| {
            WARNED_DAYS.map(|days| {
                let before = u64::from(days).saturating_mul(DAY_MS);
                (UnixMillis::new(at.millis().saturating_sub(before)), kind(days))
            })
        };
        let mut deadlines = Vec::new();
        if let Some(review_at) = self.review_at {
            deadlines.extend(near(review_at, Deadline::ReviewNear));
            deadlines.push((review_at, Deadline::ReviewDue));
        }
        deadlines.extend(near(self.expires_at, Deadline::ExpiryNear));
        deadlines.push((self.expires_at, Deadline::Expired));
        deadlines.push((self.until(), Deadline::Over));
        deadlines.sort_unstable();
        deadlines
    }

    /// What falls due next.
    pub fn next_deadline(&self) -> Option<(UnixMillis, Deadline)> {
        let told = usize::try_from(self.deadlines_told).unwrap_or(usize::MAX);
        self.deadlines().get(told).copied()
    }
}

impl State {
    /// The latest version of an agreement, whether or not it is the one in force.
    pub(in crate::machine) fn latest_version(&self, id: &AgreementId) -> Option<&Agreement> {
        let standing = self.tables.agreements.get(id)?;
        let later = (id.clone(), standing.version.saturating_add(1))..=(id.clone(), u32::MAX);
        let last = self.tables.versions.range(later).next_back();
        Some(last.map_or(standing, |(_, row)| row))
    }

    /// One version of an agreement.
    pub(in crate::machine) fn agreement_version(
        &self,
        id: &AgreementId,
        version: u32,
    ) -> Option<&Agreement> {
        let standing = self.tables.agreements.get(id).filter(|row| row.version == version);
        standing.or_else(|| self.tables.versions.get(&(id.clone(), version)))
    }

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

    /// The flows for emergencies of active agreements that name an agency as a recipient, in the order of their names.
    pub(in crate::machine) fn emergency_flows(
        &self,
        recipient: AgencyNumber,
    ) -> impl Iterator<Item = (&AgreementId, &Agreement, u16, &Flow)> {
        let flows = self.indexes.emergency_flows.get(&recipient);
        flows.into_iter().flatten().filter_map(|(id, place)| {
            let agreement = self.tables.agreements.get(id)?;
            Some((id, agreement, *place, agreement.flows.get(usize::from(*place))?))
        })
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
        for (from, to, flow) in self.flow_keys(id, old) {
            if let Some(by_recipient) = self.indexes.flows.get_mut(&from) {
                if let Some(keys) = by_recipient.get_mut(&to) {
                    let _removed = keys.remove(&flow);
                }
                by_recipient.retain(|_, keys| !keys.is_empty());
                if by_recipient.is_empty() {
                    let _none_left = self.indexes.flows.remove(&from);
                }
            }
        }
        for (recipient, flow) in emergency_keys(id, old) {
            if let Some(keys) = self.indexes.emergency_flows.get_mut(&recipient) {
                let _removed = keys.remove(&flow);
                if keys.is_empty() {
                    let _none_left = self.indexes.emergency_flows.remove(&recipient);
                }
            }
        }
        if let Some((at, _)) = old.next_deadline() {
            let _removed = self.indexes.agreement_deadlines.remove(&(at, id.clone()));
        }
    }

    fn index_agreement(&mut self, id: &AgreementId) {
        let Some(agreement) = self.tables.agreements.get(id) else { return };
        if agreement.status == Status::Active || law::counts_anyway(self, agreement) {
            for (from, to, flow) in self.flow_keys(id, agreement) {
                let by_recipient = self.indexes.flows.entry(from).or_default();
                by_recipient.entry(to).or_default().insert(flow);
            }
            for (recipient, flow) in emergency_keys(id, agreement) {
                self.indexes.emergency_flows.entry(recipient).or_default().insert(flow);
            }
            if let Some((at, _)) = agreement.next_deadline() {
                self.indexes.agreement_deadlines.insert((at, id.clone()));
            }
        }
    }

    /// Under which keys the flows of an agreement are found.
    fn flow_keys(&self, id: &AgreementId, agreement: &Agreement) -> Vec<FlowKey> {
        let anybody: BTreeSet<AgencyNumber> = if self.applies(Rule::RecipientNamed) {
            BTreeSet::new()
        } else {
            self.tables.agencies.iter().map(|(number, _)| *number).collect()
        };
        let mut keys = Vec::new();
        // INVARIANT (emergency): what is for emergencies alone is not in the index that every other decision reads.
        let flows = (0_u16..).zip(&agreement.flows).filter(|(_, flow)| flow.emergency.is_none());
        for (place, flow) in flows {
            let from = (flow.publisher, flow.record_type);
            let recipients = flow.recipients.union(&anybody);
            keys.extend(recipients.map(|to| (from, *to, (id.clone(), place))));
        }
        keys
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

/// The flows for emergencies by recipient.
fn emergency_keys(
    id: &AgreementId,
    agreement: &Agreement,
) -> Vec<(AgencyNumber, (AgreementId, u16))> {
    (0_u16..)
        .zip(&agreement.flows)
        .filter(|(_, flow)| flow.emergency.is_some())
        .flat_map(|(place, flow)| flow.recipients.iter().map(move |to| (*to, (id.clone(), place))))
        .collect()
}
