//! The command to open sealed words. Shape only: whose they are is decided by the rules.
//!
//! Source: `proto/concordat/ledger/v1/words.proto`.

use crate::{
    machine::{
        command::{code, malformed},
        state::words::Matter,
    },
    model::{
        id::{CaseId, ConsentId, DisputeId, EmergencyId, HolderId},
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

/// Has the words about something opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenWords {
    /// What they are about.
    pub matter: Matter,
    /// Why.
    pub reason: pb::ReadReason,
}

impl OpenWords {
    pub(super) fn open(message: &pb::OpenWords) -> Result<Self, Violation> {
        let pb::OpenWords { kind, matter, reason } = message;
        let inside = |violation: Violation| violation.inside("matter");
        let matter = match code(*kind, "kind")? {
            pb::MatterKind::Unspecified => {
                return Err(malformed("kind", "words are about something"));
            }
            pb::MatterKind::Case => CaseId::from_slice(matter).map(Matter::Case),
            pb::MatterKind::Dispute => DisputeId::from_slice(matter).map(Matter::Dispute),
            pb::MatterKind::Emergency => EmergencyId::from_slice(matter).map(Matter::Emergency),
            pb::MatterKind::Consent => ConsentId::from_slice(matter).map(Matter::Consent),
            pb::MatterKind::Holder => HolderId::from_slice(matter).map(Matter::Holder),
        };
        let reason: pb::ReadReason = code(*reason, "reason")?;
        if reason == pb::ReadReason::Emergency {
            return Err(malformed(
                "reason",
                "nothing is opened for this reason but by emergency access",
            ));
        }
        Ok(Self { matter: matter.map_err(inside)?, reason })
    }
}
