//! What help the leaver has: assessed risk, lead worker, additional support needs, experience of care.
//!
//! Yes, no and not stated are three answers: nothing here turns a missing answer into "no".

use std::collections::BTreeSet;

use crate::{
    model::id::AgencyId,
    pb::record::v1::leaver_form::{
        Answer, CareExperience, RestrictedSupport, Risk, RiskBasis, SpecialSupport, StaffRole,
        Support,
    },
    record::{findings::Findings, leaver_form::school::SEED_CODE, text},
};

const CATEGORIES_MAX: usize = 8;

/// Checks the risk and the lead worker.
pub(super) fn check(findings: &mut Findings, support: Option<&mut Support>) {
    let Some(support) = support else { return };
    let assessed = support.risk() != Risk::Unspecified;
    findings.require(
        assessed == (support.risk_basis() != RiskBasis::Unspecified),
        "support.risk_basis",
        "REQUIRED",
        "say what the risk rests on, and only with a risk",
    );
    findings.require(
        assessed == (support.risk_assessor_role() != StaffRole::Unspecified),
        "support.risk_assessor_role",
        "REQUIRED",
        "give the role of whoever assessed the risk, and only with a risk",
    );
    let led = support.lead_worker_role() != StaffRole::Unspecified;
    let Support {
        risk: _,
        risk_basis: _,
        risk_assessor_role: _,
        young_carer: _,
        young_parent: _,
        lead_worker_role: _,
        lead_worker_agency,
        lead_worker_phone,
        lead_worker_email,
    } = support;
    findings.require(
        led != lead_worker_agency.is_empty(),
        "support.lead_worker_agency",
        "REQUIRED",
        "name the lead worker's role and agency together",
    );
    findings.parse::<AgencyId>("support.lead_worker_agency", lead_worker_agency);
    findings.required(
        led || lead_worker_phone.is_empty() && lead_worker_email.is_empty(),
        "support.lead_worker_role",
        "give the role of the lead worker with the means to reach them",
    );
    text::phone(findings, "support.lead_worker_phone", lead_worker_phone);
    text::email(findings, "support.lead_worker_email", lead_worker_email);
}

/// Checks additional support needs.
pub(super) fn check_special(findings: &mut Findings, special: Option<&SpecialSupport>) {
    let Some(special) = special else { return };
    let SpecialSupport {
        additional_support_needs: _,
        coordinated_support_plan: _,
        categories,
        special_school_seed_code,
    } = special;
    let needs = special.additional_support_needs() == Answer::Yes;
    findings.require(
        needs || categories.is_empty() && special.coordinated_support_plan() != Answer::Yes,
        "special_support.additional_support_needs",
        "NEEDS_DISAGREE",
        "a plan or a category is given without additional support needs; answer YES or leave them out",
    );
    findings.require(
        categories.len() <= CATEGORIES_MAX,
        "special_support.categories",
        "TOO_MANY",
        "give at most 8 categories",
    );
    findings.require(
        categories.iter().collect::<BTreeSet<_>>().len() == categories.len(),
        "special_support.categories",
        "REPEATED",
        "the same category is given twice; give each once",
    );
    let field = "special_support.special_school_seed_code";
    text::digits(findings, field, special_school_seed_code, 7, SEED_CODE);
}

/// Checks experience of care.
pub(super) fn check_restricted(findings: &mut Findings, restricted: Option<&RestrictedSupport>) {
    let Some(restricted) = restricted else { return };
    findings.required(
        restricted.care_experience() != CareExperience::Unspecified,
        "restricted_support.care_experience",
        "give the experience of care, or leave the group out",
    );
}
