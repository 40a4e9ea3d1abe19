//! Scripts for the machine: what every rule lets pass and what it refuses, through the two doors for commands.

mod agreement;
mod client;
mod consent;
mod consent_dispute;
mod consent_review;
mod policy;
pub(crate) mod world;
