//! Commands about recalls: a record taken back, recalls put before their recipients, and their answers.

use std::collections::BTreeSet;

use crate::{
    machine::command::{code, malformed, name, optional_code},
    model::{
        id::{AgencyId, RecallId, RecordId},
        limit,
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

/// What is to change about recalls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecallCommand {
    /// Takes a record back.
    Retract {
        /// Any version of it.
        record: RecordId,
        /// Why; never `Corrected`.
        reason: pb::RecallReason,
    },
    /// States that recalls were put before their recipient.
    HandOver {
        /// The recipient.
        agency: AgencyId,
        /// The recalls.
        recalls: BTreeSet<RecallId>,
    },
    /// Answers a recall.
    Acknowledge {
        /// Which.
        recall: RecallId,
        /// What was done.
        act: pb::RecallAct,
        /// On which ground it is kept; unspecified unless it is.
        ground: pb::RetentionGround,
    },
}

impl RecallCommand {
    pub(super) fn retract(message: pb::RetractRecord) -> Result<Self, Violation> {
        let pb::RetractRecord { record, reason } = message;
        let record = RecordId::from_slice(&record).map_err(|v| v.inside("record"))?;
        let reason = code(reason, "reason")?;
        if reason == pb::RecallReason::Corrected {
            let text = "a correction is published as a new version; retract for another reason";
            return Err(malformed("reason", text));
        }
        Ok(Self::Retract { record, reason })
    }

    pub(super) fn hand_over(message: pb::HandOverRecalls) -> Result<Self, Violation> {
        let pb::HandOverRecalls { agency, recalls } = message;
        if recalls.is_empty() || limit::RECALLS_MAX < recalls.len() {
            return Err(malformed("recalls", "1 to 64 recalls are handed over"));
        }
        let recalls = recalls
            .iter()
            .map(|bytes| RecallId::from_slice(bytes).map_err(|v| v.inside("recalls")))
            .collect::<Result<_, _>>()?;
        Ok(Self::HandOver { agency: name(&agency, "agency")?, recalls })
    }

    pub(super) fn acknowledge(message: pb::AcknowledgeRecall) -> Result<Self, Violation> {
        let pb::AcknowledgeRecall { recall, act, ground } = message;
        let recall = RecallId::from_slice(&recall).map_err(|v| v.inside("recall"))?;
        let act = code(act, "act")?;
        let ground = optional_code(ground, "ground")?;
        if (act == pb::RecallAct::Kept) == (ground == pb::RetentionGround::Unspecified) {
            return Err(malformed("ground", "what is kept has a ground, and nothing else has one"));
        }
        Ok(Self::Acknowledge { recall, act, ground })
    }
}
