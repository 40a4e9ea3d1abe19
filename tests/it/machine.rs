//! Scripts for the machine: what every rule lets pass and what it refuses, through the two doors for commands.

mod agreement;
mod client;
mod consent;
mod policy;
mod policy_survey;
pub(crate) mod recall;
pub(crate) mod world;
