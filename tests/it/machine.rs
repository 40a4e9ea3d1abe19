//! Scripts for the machine: what every rule lets pass and what it refuses, through the two doors for commands.

mod agreement;
mod agreement_complete;
mod agreement_course;
mod agreement_preview;
mod agreement_time;
mod agreement_unset;
pub(crate) mod case;
mod case_report;
mod client;
mod consent;
mod consent_dispute;
mod consent_review;
pub(crate) mod emergency;
mod emergency_marks;
mod erasure;
mod named_actor;
mod policy;
mod policy_survey;
pub(crate) mod recall;
mod recall_ended;
mod recall_first;
pub(crate) mod succession;
mod succession_recalls;
mod succession_sharing;
pub(crate) mod world;
