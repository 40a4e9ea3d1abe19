//! The record types of this program, each by its name and its rules.
//!
//! A type is one file of `proto/concordat/record/v1`, which declares it, and one module here, which holds the rules that a
//! descriptor cannot state. Nothing else of the product names a type: see `docs/record-types.md`.

pub mod care_status;
pub mod child_identity;
pub mod child_involvement;
pub mod childs_plan;
pub mod chronology_event;
pub mod concern_report;
pub mod education_summary;
pub mod health_summary;
pub mod key_roles;
pub mod leaver_form;
pub mod protection_status;
pub mod reporter_referral;
pub mod wellbeing_observation;

use crate::record::registry::Rules;

/// The rules of every type.
const TYPES: &[(&str, Rules)] = &[
    ("care-status", care_status::RULES),
    ("child-identity", child_identity::RULES),
    ("child-involvement", child_involvement::RULES),
    ("childs-plan", childs_plan::RULES),
    ("chronology-event", chronology_event::RULES),
    ("concern-report", concern_report::RULES),
    ("education-summary", education_summary::RULES),
    ("health-summary", health_summary::RULES),
    ("key-roles", key_roles::RULES),
    ("leaver-form", leaver_form::RULES),
    ("protection-status", protection_status::RULES),
    ("reporter-referral", reporter_referral::RULES),
    ("wellbeing-observation", wellbeing_observation::RULES),
];

/// The rules of the type of that name.
pub(super) fn rules(name: &str) -> Option<Rules> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, rules)| *rules)
}

/// How many types there are.
pub(super) const COUNT: usize = TYPES.len();

#[cfg(test)]
mod tests;
