//! Commands about successions: one body takes another's place, once all who have to have approved one content hash.
//!
//! Shape only: whether the bodies exist, the kind fits the successors and who has to approve is decided by the rules.

use prost::Message;

use crate::{
    machine::command::{code, digest, malformed, name},
    model::{
        digest::Digest,
        id::{AgencyId, AgreementId, LedgerId, SuccessionId},
        limit,
        order::UnixMillis,
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

/// What is to change about successions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuccessionCommand {
    /// Puts one before all who have to approve it.
    Propose {
        /// What it settles.
        content: Box<Content>,
    },
    /// Approves one in one agency's name.
    Approve {
        /// Which.
        succession: SuccessionId,
        /// Its content hash.
        content_hash: Digest,
        /// The office of the person who approves.
        role: pb::ApproverRole,
        /// By what authority that person binds the agency.
        authority: pb::ApproverAuthority,
    },
    /// Declines one, for all.
    Decline {
        /// Which.
        succession: SuccessionId,
        /// Why.
        reason: pb::SuccessionDeclineReason,
    },
}

/// What a succession settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The body whose place is taken.
    pub old: AgencyId,
    /// What happens to it.
    pub kind: pb::SuccessionKind,
    /// What brings it about.
    pub instrument: pb::SuccessionInstrument,
    /// Who takes its place where, each agreement once.
    pub shares: Vec<Share>,
    /// From when on; from the last approval on if none is stated.
    pub effective_at: Option<UnixMillis>,
    /// Whether the confirmed caseload goes over.
    pub carries_caseload: bool,
    /// The message's own encoding, fields in ascending order and no unknown one: what the content hash covers.
    pub encoded: Vec<u8>,
}

/// One agreement, and who takes the old body's place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The agreement.
    pub agreement: AgreementId,
    /// Its version.
    pub version: u32,
    /// The content hash of that version.
    pub content_hash: Digest,
    /// Who takes the old body's place.
    pub successor: AgencyId,
}

impl Content {
    /// The content hash of a succession. See `concordat.ledger.v1.SuccessionContent`.
    pub fn hash(&self, ledger: LedgerId, id: SuccessionId) -> Digest {
        let parts: [&[u8]; 3] = [ledger.as_bytes(), id.as_bytes(), &self.encoded];
        Digest::of_parts("concordat.succession.v1", &parts)
    }
}

impl TryFrom<pb::SuccessionContent> for Content {
    type Error = Violation;

    fn try_from(message: pb::SuccessionContent) -> Result<Self, Violation> {
        let encoded = message.encode_to_vec();
        let pb::SuccessionContent {
            old,
            kind,
            instrument,
            shares,
            effective_at_ms,
            carries_caseload,
        } = message;
        if shares.is_empty() || limit::SUCCESSION_SHARES_MAX < shares.len() {
            return Err(malformed("shares", "a succession is about 1 to 16 agreements"));
        }
        let kind = code(kind, "kind")?;
        if carries_caseload && kind != pb::SuccessionKind::Merger {
            return Err(malformed("carries_caseload", "only a merger carries the caseload"));
        }
        let mut parsed: Vec<Share> = Vec::new();
        for (place, share) in shares.into_iter().enumerate() {
            let inside = |v: Violation| v.inside(&format!("shares[{place}]"));
            let share = Share::try_from(share).map_err(inside)?;
            if parsed.iter().any(|known| known.agreement == share.agreement) {
                return Err(malformed("shares", "each agreement is named once"));
            }
            parsed.push(share);
        }
        Ok(Self {
            old: name(&old, "old")?,
            kind,
            instrument: code(instrument, "instrument")?,
            shares: parsed,
            effective_at: (effective_at_ms != 0).then_some(UnixMillis::new(effective_at_ms)),
            carries_caseload,
            encoded,
        })
    }
}

impl TryFrom<pb::SuccessionShare> for Share {
    type Error = Violation;

    fn try_from(message: pb::SuccessionShare) -> Result<Self, Violation> {
        let pb::SuccessionShare { agreement, version, content_hash, successor } = message;
        Ok(Self {
            agreement: name(&agreement, "agreement")?,
            version,
            content_hash: digest(&content_hash, "content_hash")?,
            successor: name(&successor, "successor")?,
        })
    }
}

impl SuccessionCommand {
    pub(super) fn propose(message: pb::ProposeSuccession) -> Result<Self, Violation> {
        let pb::ProposeSuccession { content } = message;
        let content = content.ok_or_else(|| malformed("content", "a succession has a content"))?;
        let content = Content::try_from(content).map_err(|v| v.inside("content"))?;
        Ok(Self::Propose { content: Box::new(content) })
    }

    pub(super) fn approve(message: pb::ApproveSuccession) -> Result<Self, Violation> {
        let pb::ApproveSuccession { succession, content_hash, approver_role, approver_authority } =
            message;
        Ok(Self::Approve {
            succession: named(&succession)?,
            content_hash: digest(&content_hash, "content_hash")?,
            role: code(approver_role, "approver_role")?,
            authority: code(approver_authority, "approver_authority")?,
        })
    }

    pub(super) fn decline(message: pb::DeclineSuccession) -> Result<Self, Violation> {
        let pb::DeclineSuccession { succession, reason } = message;
        Ok(Self::Decline { succession: named(&succession)?, reason: code(reason, "reason")? })
    }
}

fn named(bytes: &[u8]) -> Result<SuccessionId, Violation> {
    SuccessionId::from_slice(bytes).map_err(|v| v.inside("succession"))
}
