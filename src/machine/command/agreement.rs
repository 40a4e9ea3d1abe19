//! Commands about agreements: parties, flows, terms and the acts of the parties.
//!
//! Shape only: codes that are published, names that parse, lists that name nothing twice. Whatever a content leaves open
//! reads as such: a draft may be unfinished. Whether the content is complete and lawful and whether the parties exist is
//! decided by the rules.

use std::collections::BTreeSet;

use prost::Message;

use crate::{
    machine::command::{code, digest, emergency::codes, malformed, name, names, optional_code},
    model::{
        digest::Digest,
        id::{AgencyId, AgreementId, FlowId, GroupName, LedgerId, RecordTypeName},
        limit,
        order::UnixMillis,
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

pub mod example;

mod terms;

pub use terms::{Indicator, Retention, Terms};

/// What is to change about an agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgreementCommand {
    /// Drafts an agreement or replaces a draft.
    Draft {
        /// Which.
        agreement: AgreementId,
        /// What is to be agreed.
        content: Box<Content>,
    },
    /// Puts a draft before its parties.
    Propose {
        /// Which.
        agreement: AgreementId,
        /// The version proposed.
        version: u32,
        /// Its content hash.
        content_hash: Digest,
    },
    /// Approves a version in one party's name.
    Approve {
        /// Which.
        agreement: AgreementId,
        /// The version approved.
        version: u32,
        /// Its content hash.
        content_hash: Digest,
        /// The office of the person who approves.
        role: pb::ApproverRole,
        /// By what authority that person binds the party.
        authority: pb::ApproverAuthority,
    },
    /// Declines a version in one party's name.
    Decline {
        /// Which.
        agreement: AgreementId,
        /// The version declined.
        version: u32,
        /// Why.
        reason: pb::DeclineReason,
    },
    /// Stops the flows that one party publishes or receives.
    Suspend {
        /// Which.
        agreement: AgreementId,
        /// Why, if it is said.
        reason: pb::SuspendReason,
    },
    /// Lifts the party's own suspension.
    Resume {
        /// Which.
        agreement: AgreementId,
    },
    /// Ends the agreement for all parties.
    End {
        /// Which.
        agreement: AgreementId,
    },
}

/// What the parties agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The parties, in the order of the message.
    pub parties: Vec<Party>,
    /// The one purpose; unspecified while it is open.
    pub purpose: pb::Purpose,
    /// The flows, in the order of the message.
    pub flows: Vec<Flow>,
    /// When the agreement ends by itself; 0 while it is open.
    pub expires_at: UnixMillis,
    /// SHA-256 of the text that the parties keep.
    pub text_digest: Option<Digest>,
    /// What is settled beside the flows.
    pub terms: Terms,
    /// The message's own encoding, fields in ascending order and no unknown one: what the content hash covers.
    pub encoded: Vec<u8>,
}

/// One party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// The agency.
    pub agency: Option<AgencyId>,
    /// The kind of body that the parties take it to be.
    pub kind: pb::AgencyKind,
    /// The fingerprint of the key by which it approves.
    pub key_fingerprint: Option<Digest>,
    /// What it does under the agreement.
    pub role: pb::PartyRole,
    /// The digest of its contact.
    pub contact: Option<Digest>,
}

/// One flow.
#[expect(clippy::struct_excessive_bools, reason = "each is a statement of its own in the content")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Its id in the agreement.
    pub id: Option<FlowId>,
    /// The type of record.
    pub record_type: Option<RecordTypeName>,
    /// The party that publishes.
    pub publisher: Option<AgencyId>,
    /// The parties that receive.
    pub recipients: BTreeSet<AgencyId>,
    /// The field groups that are shared.
    pub groups: BTreeSet<GroupName>,
    /// The lawful basis.
    pub basis: pb::LawfulBasis,
    /// The condition for special category data.
    pub special_condition: pb::SpecialCondition,
    /// The statutory power.
    pub legal_power: pb::LegalPower,
    /// Which consent it waits for.
    pub gate: pb::Gate,
    /// Whether the recipient must have the client in its confirmed caseload.
    pub caseload: pb::CaseloadRule,
    /// Whether records published before the activation flow too.
    pub backfill: bool,
    /// Whether the records only count.
    pub statistics_only: bool,
    /// Whether it serves the protection of somebody.
    pub safeguarding: bool,
    /// Under which regime the publisher shares.
    pub regime: pb::Regime,
    /// By which power data cross between regimes.
    pub gateway: pb::LegalPower,
    /// Whether only a named member of staff may read.
    pub named_actor: bool,
    /// The party that answers for it.
    pub owner: Option<AgencyId>,
    /// The digest of the reasons of necessity.
    pub necessity: Option<Digest>,
    /// The digest of the reasons for relying on consent.
    pub consent_reason: Option<Digest>,
    /// What makes it a flow for emergencies alone.
    pub emergency: Option<EmergencyTerms>,
}

/// What makes a flow one for emergencies alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmergencyTerms {
    /// In which kinds of emergency (`EmergencyCategory`).
    pub categories: BTreeSet<i32>,
    /// To which offices (`EmergencyOffice`).
    pub offices: BTreeSet<i32>,
}

/// The digest of a text of an agreement. See `concordat.ledger.v1.AgreementTexts`.
pub fn text_digest(salt: &[u8], text: &str) -> Digest {
    Digest::of_parts("concordat.agreement.text.v1", &[salt, text.as_bytes()])
}

impl Content {
    /// The content hash of a version: what every party signs. See `concordat.ledger.v1.AgreementContent`.
    pub fn hash(&self, ledger: LedgerId, agreement: &AgreementId, version: u32) -> Digest {
        Digest::of_parts(
            "concordat.agreement.v1",
            &[
                ledger.as_bytes(),
                agreement.as_str().as_bytes(),
                &version.to_be_bytes(),
                &self.encoded,
            ],
        )
    }
}

impl TryFrom<pb::AgreementContent> for Content {
    type Error = Violation;

    fn try_from(message: pb::AgreementContent) -> Result<Self, Violation> {
        let encoded = message.encode_to_vec();
        let pb::AgreementContent { parties, purpose, flows, expires_at_ms, text_digest, terms } =
            message;
        let terms = Terms::try_from(terms.unwrap_or_default()).map_err(|v| v.inside("terms"))?;
        Ok(Self {
            parties: each(parties, "parties")?,
            purpose: optional_code(purpose, "purpose")?,
            flows: each(flows, "flows")?,
            expires_at: UnixMillis::new(expires_at_ms),
            text_digest: optional_digest(&text_digest, "text_digest")?,
            terms,
            encoded,
        })
    }
}

/// A digest of 32 bytes, or none where there are none.
fn optional_digest(bytes: &[u8], field: &str) -> Result<Option<Digest>, Violation> {
    if bytes.is_empty() { Ok(None) } else { digest(bytes, field).map(Some) }
}

/// A name, or none where the text is empty.
fn optional_name<T: std::str::FromStr<Err = Violation>>(
    text: &str,
    field: &str,
) -> Result<Option<T>, Violation> {
    if text.is_empty() { Ok(None) } else { name(text, field).map(Some) }
}

/// Names, each once, or none.
fn optional_names<T: std::str::FromStr<Err = Violation> + Ord>(
    texts: &[String],
    most: usize,
    field: &str,
) -> Result<BTreeSet<T>, Violation> {
    if texts.is_empty() { Ok(BTreeSet::new()) } else { names(texts, most, field) }
}

fn each<M, T: TryFrom<M, Error = Violation>>(
    messages: Vec<M>,
    field: &str,
) -> Result<Vec<T>, Violation> {
    let parsed = messages.into_iter().enumerate().map(|(place, message)| {
        T::try_from(message).map_err(|violation| violation.inside(&format!("{field}[{place}]")))
    });
    parsed.collect()
}

impl TryFrom<pb::Party> for Party {
    type Error = Violation;

    fn try_from(message: pb::Party) -> Result<Self, Violation> {
        let pb::Party { agency, kind, key_fingerprint, role, contact_digest } = message;
        Ok(Self {
            agency: optional_name(&agency, "agency")?,
            kind: optional_code(kind, "kind")?,
            key_fingerprint: optional_digest(&key_fingerprint, "key_fingerprint")?,
            role: optional_code(role, "role")?,
            contact: optional_digest(&contact_digest, "contact_digest")?,
        })
    }
}

impl TryFrom<pb::Flow> for Flow {
    type Error = Violation;

    fn try_from(message: pb::Flow) -> Result<Self, Violation> {
        let pb::Flow {
            flow,
            record_type,
            publisher,
            recipients,
            groups,
            basis,
            special_condition,
            legal_power,
            gate,
            caseload,
            backfill,
            statistics_only,
            safeguarding,
            regime,
            gateway,
            named_actor,
            owner,
            necessity_digest,
            consent_reason_digest,
            emergency,
        } = message;
        Ok(Self {
            id: optional_name(&flow, "flow")?,
            record_type: optional_name(&record_type, "record_type")?,
            publisher: optional_name(&publisher, "publisher")?,
            recipients: optional_names(&recipients, limit::RECIPIENTS_MAX, "recipients")?,
            groups: optional_names(&groups, limit::GROUPS_MAX, "groups")?,
            basis: optional_code(basis, "basis")?,
            special_condition: optional_code(special_condition, "special_condition")?,
            legal_power: optional_code(legal_power, "legal_power")?,
            gate: optional_code(gate, "gate")?,
            caseload: optional_code(caseload, "caseload")?,
            backfill,
            statistics_only,
            safeguarding,
            regime: optional_code(regime, "regime")?,
            gateway: optional_code(gateway, "gateway")?,
            named_actor,
            owner: optional_name(&owner, "owner")?,
            necessity: optional_digest(&necessity_digest, "necessity_digest")?,
            consent_reason: optional_digest(&consent_reason_digest, "consent_reason_digest")?,
            emergency: emergency.map(EmergencyTerms::try_from).transpose()?,
        })
    }
}

impl TryFrom<pb::EmergencyTerms> for EmergencyTerms {
    type Error = Violation;

    fn try_from(message: pb::EmergencyTerms) -> Result<Self, Violation> {
        let pb::EmergencyTerms { categories, offices } = message;
        Ok(Self {
            categories: codes::<pb::EmergencyCategory>(&categories, 0, "emergency.categories")?,
            offices: codes::<pb::EmergencyOffice>(&offices, 0, "emergency.offices")?,
        })
    }
}

impl AgreementCommand {
    pub(super) fn draft(message: pb::DraftAgreement) -> Result<Self, Violation> {
        let pb::DraftAgreement { agreement, content } = message;
        let content = content.ok_or_else(|| malformed("content", "an agreement has a content"))?;
        let content = Content::try_from(content).map_err(|v| v.inside("content"))?;
        Ok(Self::Draft { agreement: name(&agreement, "agreement")?, content: Box::new(content) })
    }

    pub(super) fn propose(message: pb::ProposeAgreement) -> Result<Self, Violation> {
        let pb::ProposeAgreement { agreement, version, content_hash } = message;
        Ok(Self::Propose {
            agreement: name(&agreement, "agreement")?,
            version,
            content_hash: digest(&content_hash, "content_hash")?,
        })
    }

    pub(super) fn approve(message: pb::ApproveAgreement) -> Result<Self, Violation> {
        let pb::ApproveAgreement {
            agreement,
            version,
            content_hash,
            approver_role,
            approver_authority,
        } = message;
        Ok(Self::Approve {
            agreement: name(&agreement, "agreement")?,
            version,
            content_hash: digest(&content_hash, "content_hash")?,
            role: code(approver_role, "approver_role")?,
            authority: code(approver_authority, "approver_authority")?,
        })
    }

    pub(super) fn decline(message: pb::DeclineAgreement) -> Result<Self, Violation> {
        let pb::DeclineAgreement { agreement, version, reason } = message;
        let (agreement, reason) = (name(&agreement, "agreement")?, code(reason, "reason")?);
        Ok(Self::Decline { agreement, version, reason })
    }

    pub(super) fn suspend(message: pb::SuspendFlows) -> Result<Self, Violation> {
        let pb::SuspendFlows { agreement, reason } = message;
        let reason = optional_code(reason, "reason")?;
        Ok(Self::Suspend { agreement: name(&agreement, "agreement")?, reason })
    }

    pub(super) fn resume(message: pb::ResumeFlows) -> Result<Self, Violation> {
        let pb::ResumeFlows { agreement } = message;
        Ok(Self::Resume { agreement: name(&agreement, "agreement")? })
    }

    pub(super) fn end(message: pb::EndAgreement) -> Result<Self, Violation> {
        let pb::EndAgreement { agreement } = message;
        Ok(Self::End { agreement: name(&agreement, "agreement")? })
    }
}
