//! What the parties of an agreement must have settled beside its flows before anybody may propose it.
//!
//! Each item stands in the catalogue of `gap.rs` with its source.

use std::collections::BTreeSet;

use super::{
    content::{Findings, names},
    gap::Gap,
};
use crate::{
    machine::command::agreement::{Content, Indicator, Terms},
    model::{
        id::{AgencyId, IndicatorId},
        limit,
        order::UnixMillis,
    },
    pb::ledger::v1::{
        AtExpiry, Controllers, Disposal, IndicatorMeasure, Joining, SecurityStandard,
    },
};

pub(super) fn findings(content: &Content, now: UnixMillis, findings: &mut Findings) {
    controllers(content, findings);
    rights_and_quality(content, findings);
    retention(content, findings);
    care(content, now, findings);
    course(content, now, findings);
    indicators(content, now, findings);
}

fn field(name: &str) -> impl Fn() -> String + '_ {
    move || format!("terms.{name}")
}

/// Notes whether somebody is named, and whether it is a party.
fn named(
    content: &Content,
    (name, agency): (&str, Option<&AgencyId>),
    missing: Gap,
    findings: &mut Findings,
) {
    findings.note(agency.is_some(), missing, field(name));
    let party = agency.is_none_or(|agency| names(content, agency));
    findings.note(party, Gap::NamedPartyDiffers, field(name));
}

fn controllers(content: &Content, findings: &mut Findings) {
    let terms = &content.terms;
    let operator = terms.processing.is_some();
    findings.note(operator, Gap::OperatorTermsMissing, field("operator_terms_digest"));
    let stated = terms.controllers != Controllers::Unspecified;
    findings.note(stated, Gap::ControllersMissing, field("controllers"));
    let joint = &terms.joint_controllers;
    let parties = joint.iter().all(|agency| names(content, agency));
    let (exact, arranged) = match terms.controllers {
        Controllers::Joint => (2 <= joint.len() && parties, terms.joint_arrangement.is_some()),
        Controllers::Independent => (joint.is_empty(), true),
        Controllers::Unspecified => (true, true),
    };
    findings.note(exact, Gap::JointControllersDiffer, field("joint_controllers"));
    findings.note(arranged, Gap::JointArrangementMissing, field("joint_arrangement_digest"));
}

fn rights_and_quality(content: &Content, findings: &mut Findings) {
    let terms = &content.terms;
    let contact = ("rights_contact", terms.rights_contact.as_ref());
    named(content, contact, Gap::RightsContactMissing, findings);
    let procedure = terms.rights_procedure.is_some();
    findings.note(procedure, Gap::RightsProcedureMissing, field("rights_procedure_digest"));
    let days = (1..=90).contains(&terms.correction_days);
    findings.note(days, Gap::CorrectionDaysMissing, field("correction_days"));
    let quality = terms.quality_rules.is_some();
    findings.note(quality, Gap::QualityRulesMissing, field("quality_rules_digest"));
}

fn retention(content: &Content, findings: &mut Findings) {
    let named = content.flows.iter().filter_map(|flow| flow.record_type.as_ref());
    let shared: BTreeSet<_> = named.collect();
    for record_type in &shared {
        let rows = content.terms.retention.iter();
        let rows = rows.filter(|row| row.record_type.as_ref() == Some(*record_type));
        findings.note(rows.count() == 1, Gap::RetentionMissing, field("retention"));
    }
    for (place, row) in content.terms.retention.iter().enumerate() {
        let settled =
            (1..=1_200).contains(&row.keep_months) && row.disposal != Disposal::Unspecified;
        let of_row = |name: &str| format!("terms.retention[{place}].{name}");
        findings.note(settled, Gap::RetentionMissing, || of_row("keep_months"));
        let Some(record_type) = &row.record_type else {
            findings.note(false, Gap::RetentionMissing, || of_row("record_type"));
            continue;
        };
        let flows = shared.contains(record_type);
        findings.note(flows, Gap::RetentionNotShared, || of_row("record_type"));
    }
}

fn care(content: &Content, now: UnixMillis, findings: &mut Findings) {
    let terms = &content.terms;
    let secure = terms.security != SecurityStandard::Unspecified;
    findings.note(secure, Gap::SecurityMissing, field("security"));
    findings.note(terms.dpia.is_some(), Gap::DpiaMissing, field("dpia_digest"));
    let made = terms.dpia_at.is_some_and(|at| at <= now);
    findings.note(made, Gap::DpiaDateMissing, field("dpia_at_ms"));
    let contact = ("incident_contact", terms.incident_contact.as_ref());
    named(content, contact, Gap::IncidentContactMissing, findings);
}

fn course(content: &Content, now: UnixMillis, findings: &mut Findings) {
    let terms: &Terms = &content.terms;
    let open = content.expires_at == UnixMillis::new(0);
    let reviewed = terms.review_at.is_some_and(|at| now < at && (open || at <= content.expires_at));
    findings.note(reviewed, Gap::ReviewDateMissing, field("review_at_ms"));
    let again = (1..=36).contains(&terms.review_months);
    findings.note(again, Gap::ReviewCadenceMissing, field("review_months"));
    let ends = terms.at_expiry != AtExpiry::Unspecified;
    findings.note(ends, Gap::AtExpiryMissing, field("at_expiry"));
    let body = ("reporting_body", terms.reporting_body.as_ref());
    named(content, body, Gap::ReportingBodyMissing, findings);
    let reported = (1..=12).contains(&terms.reporting_months);
    findings.note(reported, Gap::ReportingCadenceMissing, field("reporting_months"));
    let joining = terms.joining != Joining::Unspecified;
    findings.note(joining, Gap::JoiningMissing, field("joining"));
    let notice = (1..=365).contains(&terms.leaving_notice_days);
    findings.note(notice, Gap::LeavingMissing, field("leaving_notice_days"));
    let termination = terms.termination != Disposal::Unspecified;
    findings.note(termination, Gap::TerminationMissing, field("termination"));
}

fn indicators(content: &Content, now: UnixMillis, findings: &mut Findings) {
    let rows = &content.terms.indicators;
    let ids: BTreeSet<Option<&IndicatorId>> = rows.iter().map(|row| row.id.as_ref()).collect();
    let counted = (1..=limit::INDICATORS_MAX).contains(&rows.len()) && ids.len() == rows.len();
    findings.note(counted, Gap::IndicatorMissing, field("indicators"));
    for (place, row) in rows.iter().enumerate() {
        let Indicator { id, measure, baseline_milli, target_milli, owner, review_at } = row;
        let complete = id.is_some()
            && *measure != IndicatorMeasure::Unspecified
            && baseline_milli.is_some()
            && target_milli.is_some()
            && owner.as_ref().is_some_and(|owner| names(content, owner))
            && review_at.is_some_and(|at| now < at);
        let of_row = || format!("terms.indicators[{place}]");
        findings.note(complete, Gap::IndicatorIncomplete, of_row);
    }
}
