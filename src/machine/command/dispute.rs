//! Commands about disputes: opened by a recipient, answered by the publisher.
//!
//! The path of a field is one of the record type's schema, and no text of anybody's: its words ride sealed.

use crate::{
    machine::command::{code, malformed, name, optional_code},
    model::{
        id::{DisputeId, GroupName, RecordId},
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

/// The greatest length of a field's path, in bytes.
pub const FIELD_BYTES_MAX: usize = 128;

/// What is to change about disputes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DisputeCommand {
    /// Opens one.
    Open {
        /// The version that is doubted.
        record: RecordId,
        /// The field group.
        group: GroupName,
        /// The field's path; empty for the whole group.
        field: String,
        /// Why.
        reason: pb::DisputeReason,
    },
    /// Answers one.
    Answer {
        /// Which.
        dispute: DisputeId,
        /// What was decided.
        answer: pb::DisputeAnswer,
        /// Why the record stays as it is; unspecified unless it does.
        keep_reason: pb::KeepReason,
    },
}

impl DisputeCommand {
    pub(super) fn open(message: pb::OpenDispute) -> Result<Self, Violation> {
        let pb::OpenDispute { record, group, field, reason } = message;
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.".contains(&byte);
        if FIELD_BYTES_MAX < field.len() || !field.bytes().all(plain) {
            let text = "a path has at most 128 lower-case letters, digits, underscores and dots";
            return Err(malformed("field", text));
        }
        Ok(Self::Open {
            record: RecordId::from_slice(&record).map_err(|v| v.inside("record"))?,
            group: name(&group, "group")?,
            field,
            reason: code(reason, "reason")?,
        })
    }

    pub(super) fn answer(message: pb::AnswerDispute) -> Result<Self, Violation> {
        let pb::AnswerDispute { dispute, answer, keep_reason } = message;
        let dispute = DisputeId::from_slice(&dispute).map_err(|v| v.inside("dispute"))?;
        let answer = code(answer, "answer")?;
        let keep_reason = optional_code(keep_reason, "keep_reason")?;
        if (answer == pb::DisputeAnswer::Kept) == (keep_reason == pb::KeepReason::Unspecified) {
            let text = "what stays as it is has a reason, and nothing else has one";
            return Err(malformed("keep_reason", text));
        }
        Ok(Self::Answer { dispute, answer, keep_reason })
    }
}
