//! A complete agreement out of parties and flows: what the demonstration, the benchmarks and the tests agree on.
//!
//! It settles whatever a content leaves open, with invented texts; a real agreement says what its parties mean.

use bytes::Bytes;

use super::text_digest;
use crate::{model::order::UnixMillis, pb::ledger::v1 as pb};

/// One day, in milliseconds.
const DAY_MS: u64 = 86_400_000;
const CONTACT: &str = "information governance team, by the duty desk";
const NECESSITY: &str =
    "help is offered in time only if the recipient knows; no less than these groups tells it";
const CONSENT_REASON: &str = "nothing else depends on the answer, and a refusal has no consequence";
const OPERATOR_TERMS: &str = "processing terms of the exchange, version 1";
const RIGHTS: &str = "one letter or call to the contact; answered within a month";
const QUALITY: &str = "facts apart from opinions; the publisher corrects, recipients report";
const DPIA: &str = "impact assessment of the partnership, 2026";
const TEXTS: [&str; 7] =
    [CONTACT, NECESSITY, CONSENT_REASON, OPERATOR_TERMS, RIGHTS, QUALITY, DPIA];
const SALT: [u8; 32] = [7; 32];

/// The texts whose digests [`completed`] states.
pub fn texts() -> pb::AgreementTexts {
    let texts = TEXTS.iter().map(|text| (*text).to_owned()).collect();
    pb::AgreementTexts { salt: Bytes::from_static(&SALT), texts }
}

/// The content with everything settled that it leaves open.
#[must_use]
pub fn completed(content: pb::AgreementContent, now: UnixMillis) -> pb::AgreementContent {
    let mut content = content;
    for party in &mut content.parties {
        let publishes = content.flows.iter().any(|flow| flow.publisher == party.agency);
        let receives = content.flows.iter().any(|flow| flow.recipients.contains(&party.agency));
        let role = match (publishes, receives) {
            (true, true) => pb::PartyRole::PublisherAndRecipient,
            (true, false) => pb::PartyRole::Publisher,
            (false, true) => pb::PartyRole::Recipient,
            (false, false) => pb::PartyRole::Processor,
        };
        settle_code(&mut party.role, role);
        settle(&mut party.contact_digest, CONTACT);
    }
    for flow in &mut content.flows {
        settle_code(&mut flow.regime, pb::Regime::UkGdpr);
        settle(&mut flow.necessity_digest, NECESSITY);
        settle(&mut flow.consent_reason_digest, CONSENT_REASON);
        if flow.owner.is_empty() {
            flow.owner.clone_from(&flow.publisher);
        }
    }
    if content.terms.is_none() {
        content.terms = Some(terms(&content, now));
    }
    content
}

/// An approval by a director under a scheme of delegation.
pub fn approval(agreement: &str, version: u32, content_hash: Bytes) -> pb::ApproveAgreement {
    pb::ApproveAgreement {
        agreement: agreement.to_owned(),
        version,
        content_hash,
        approver_role: i32::from(pb::ApproverRole::Director),
        approver_authority: i32::from(pb::ApproverAuthority::Delegation),
    }
}

fn settle(digest: &mut Bytes, text: &str) {
    if digest.is_empty() {
        *digest = digest_of(text);
    }
}

fn settle_code(code: &mut i32, settled: impl Into<i32>) {
    if *code == 0 {
        *code = settled.into();
    }
}

fn digest_of(text: &str) -> Bytes {
    Bytes::copy_from_slice(text_digest(&SALT, text).as_bytes())
}

fn terms(content: &pb::AgreementContent, now: UnixMillis) -> pb::Terms {
    let lead = content.flows.first().map(|flow| flow.publisher.clone()).unwrap_or_default();
    let review_at_ms = now.plus(180 * DAY_MS).millis().min(content.expires_at_ms);
    let mut types: Vec<_> = content.flows.iter().map(|flow| flow.record_type.clone()).collect();
    types.sort();
    types.dedup();
    let retention = types.into_iter().map(|record_type| pb::Retention {
        record_type,
        keep_months: 24,
        disposal: i32::from(pb::Disposal::Delete),
    });
    pb::Terms {
        operator_terms_digest: digest_of(OPERATOR_TERMS),
        controllers: i32::from(pb::Controllers::Independent),
        joint_controllers: Vec::new(),
        joint_arrangement_digest: Bytes::new(),
        rights_contact: lead.clone(),
        rights_procedure_digest: digest_of(RIGHTS),
        correction_days: 10,
        quality_rules_digest: digest_of(QUALITY),
        retention: retention.collect(),
        security: i32::from(pb::SecurityStandard::ScottishPublicSector),
        dpia_digest: digest_of(DPIA),
        dpia_at_ms: now.millis().saturating_sub(30 * DAY_MS).max(1),
        review_at_ms,
        review_months: 12,
        at_expiry: i32::from(pb::AtExpiry::FlowsStop),
        reporting_body: lead.clone(),
        reporting_months: 3,
        incident_contact: lead.clone(),
        joining: i32::from(pb::Joining::FromThenOn),
        leaving_notice_days: 90,
        termination: i32::from(pb::Disposal::Delete),
        indicators: vec![pb::Indicator {
            indicator: "leavers-in-work".to_owned(),
            measure: i32::from(pb::IndicatorMeasure::PositiveDestination),
            baseline_milli: Some(91_300),
            target_milli: Some(94_000),
            owner: lead,
            review_at_ms,
        }],
        at_review: i32::from(pb::AtReview::Unspecified),
        memorandum: String::new(),
        complaint_acknowledge_days: 0,
        complaint_answer_days: 0,
    }
}
