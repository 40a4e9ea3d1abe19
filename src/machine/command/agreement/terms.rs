//! The terms of an agreement: what its parties settle beside the flows.
//!
//! Shape only, and everything may still be open: whether enough is settled is decided by the rules.

use std::collections::BTreeSet;

use super::{each, optional_digest, optional_name};
use crate::{
    machine::command::{malformed, name, optional_code},
    model::{
        digest::Digest,
        id::{AgencyId, AgreementId, IndicatorId, RecordTypeName},
        order::UnixMillis,
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

/// The longest time in which a complaint is acknowledged, in days. Source: DPA 2018 s.164A(3).
const COMPLAINT_ACKNOWLEDGE_DAYS_MAX: u32 = 30;
/// The longest time in which the parties may agree to answer a complaint, in days.
const COMPLAINT_ANSWER_DAYS_MAX: u32 = 90;

/// What the parties settle beside the flows. See `concordat.ledger.v1.Terms`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The digest of the operator's terms as a processor.
    pub processing: Option<Digest>,
    /// Whether some parties are controllers jointly.
    pub controllers: pb::Controllers,
    /// Which ones.
    pub joint_controllers: BTreeSet<AgencyId>,
    /// The digest of their arrangement.
    pub joint_arrangement: Option<Digest>,
    /// The single contact of the people whom the records are about.
    pub rights_contact: Option<AgencyId>,
    /// The digest of the procedure of rights.
    pub rights_procedure: Option<Digest>,
    /// Within how many days an error is corrected.
    pub correction_days: u32,
    /// The digest of the rules of quality.
    pub quality_rules: Option<Digest>,
    /// How long recipients keep what they get.
    pub retention: Vec<Retention>,
    /// The standard of security.
    pub security: pb::SecurityStandard,
    /// The digest of the impact assessment.
    pub dpia: Option<Digest>,
    /// When it was made.
    pub dpia_at: Option<UnixMillis>,
    /// When the agreement is reviewed next.
    pub review_at: Option<UnixMillis>,
    /// After how many months it is reviewed again.
    pub review_months: u32,
    /// What happens at the end.
    pub at_expiry: pb::AtExpiry,
    /// The party to which the partnership reports.
    pub reporting_body: Option<AgencyId>,
    /// After how many months it reports again.
    pub reporting_months: u32,
    /// The party that hears of an incident first.
    pub incident_contact: Option<AgencyId>,
    /// What a party that joins later gets.
    pub joining: pb::Joining,
    /// How many days before it leaves a party says so.
    pub leaving_notice_days: u32,
    /// What becomes of received records at the end.
    pub termination: pb::Disposal,
    /// The indicators, in the order of the message.
    pub indicators: Vec<Indicator>,
    /// The memorandum of which the agreement is part.
    pub memorandum: Option<AgreementId>,
    /// What happens when the review is due.
    pub at_review: pb::AtReview,
    /// Within how many days a complaint is acknowledged.
    pub complaint_acknowledge_days: Option<u32>,
    /// Within how many days a complaint is answered.
    pub complaint_answer_days: Option<u32>,
}

/// How long recipients keep records of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The type.
    pub record_type: Option<RecordTypeName>,
    /// For how many months.
    pub keep_months: u32,
    /// What happens then.
    pub disposal: pb::Disposal,
}

/// A figure by which the parties see whether the agreement works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indicator {
    /// Its id in the agreement.
    pub id: Option<IndicatorId>,
    /// What is measured.
    pub measure: pb::IndicatorMeasure,
    /// Where it stands at the beginning, in thousandths.
    pub baseline_milli: Option<u64>,
    /// Where it shall come to, in thousandths.
    pub target_milli: Option<u64>,
    /// The party that answers for it.
    pub owner: Option<AgencyId>,
    /// When it is looked at next.
    pub review_at: Option<UnixMillis>,
}

fn moment(millis: u64) -> Option<UnixMillis> {
    (millis != 0).then(|| UnixMillis::new(millis))
}

fn agencies(texts: &[String], field: &str) -> Result<BTreeSet<AgencyId>, Violation> {
    let set: BTreeSet<AgencyId> =
        texts.iter().map(|text| name(text, field)).collect::<Result<_, _>>()?;
    if set.len() == texts.len() {
        Ok(set)
    } else {
        Err(malformed(field, "the list names an agency twice"))
    }
}

/// A number of days that the parties may leave out.
fn days(days: u32, (most, field): (u32, &str)) -> Result<Option<u32>, Violation> {
    match days {
        0 => Ok(None),
        days if days <= most => Ok(Some(days)),
        _ => Err(malformed(field, "the parties may agree on less time and never on more")),
    }
}

impl TryFrom<pb::Terms> for Terms {
    type Error = Violation;

    fn try_from(message: pb::Terms) -> Result<Self, Violation> {
        let pb::Terms {
            operator_terms_digest,
            controllers,
            joint_controllers,
            joint_arrangement_digest,
            rights_contact,
            rights_procedure_digest,
            correction_days,
            quality_rules_digest,
            retention,
            security,
            dpia_digest,
            dpia_at_ms,
            review_at_ms,
            review_months,
            at_expiry,
            reporting_body,
            reporting_months,
            incident_contact,
            joining,
            leaving_notice_days,
            termination,
            indicators,
            memorandum,
            at_review,
            complaint_acknowledge_days,
            complaint_answer_days,
        } = message;
        Ok(Self {
            processing: optional_digest(&operator_terms_digest, "operator_terms_digest")?,
            controllers: optional_code(controllers, "controllers")?,
            joint_controllers: agencies(&joint_controllers, "joint_controllers")?,
            joint_arrangement: optional_digest(
                &joint_arrangement_digest,
                "joint_arrangement_digest",
            )?,
            rights_contact: optional_name(&rights_contact, "rights_contact")?,
            rights_procedure: optional_digest(&rights_procedure_digest, "rights_procedure_digest")?,
            correction_days,
            quality_rules: optional_digest(&quality_rules_digest, "quality_rules_digest")?,
            retention: each(retention, "retention")?,
            security: optional_code(security, "security")?,
            dpia: optional_digest(&dpia_digest, "dpia_digest")?,
            dpia_at: moment(dpia_at_ms),
            review_at: moment(review_at_ms),
            review_months,
            at_expiry: optional_code(at_expiry, "at_expiry")?,
            reporting_body: optional_name(&reporting_body, "reporting_body")?,
            reporting_months,
            incident_contact: optional_name(&incident_contact, "incident_contact")?,
            joining: optional_code(joining, "joining")?,
            leaving_notice_days,
            termination: optional_code(termination, "termination")?,
            indicators: each(indicators, "indicators")?,
            memorandum: optional_name(&memorandum, "memorandum")?,
            at_review: optional_code(at_review, "at_review")?,
            complaint_acknowledge_days: days(
                complaint_acknowledge_days,
                (COMPLAINT_ACKNOWLEDGE_DAYS_MAX, "complaint_acknowledge_days"),
            )?,
            complaint_answer_days: days(
                complaint_answer_days,
                (COMPLAINT_ANSWER_DAYS_MAX, "complaint_answer_days"),
            )?,
        })
    }
}

impl TryFrom<pb::Retention> for Retention {
    type Error = Violation;

    fn try_from(message: pb::Retention) -> Result<Self, Violation> {
        let pb::Retention { record_type, keep_months, disposal } = message;
        Ok(Self {
            record_type: optional_name(&record_type, "record_type")?,
            keep_months,
            disposal: optional_code(disposal, "disposal")?,
        })
    }
}

impl TryFrom<pb::Indicator> for Indicator {
    type Error = Violation;

    fn try_from(message: pb::Indicator) -> Result<Self, Violation> {
        let pb::Indicator { indicator, measure, baseline_milli, target_milli, owner, review_at_ms } =
            message;
        Ok(Self {
            id: optional_name(&indicator, "indicator")?,
            measure: optional_code(measure, "measure")?,
            baseline_milli,
            target_milli,
            owner: optional_name(&owner, "owner")?,
            review_at: moment(review_at_ms),
        })
    }
}
