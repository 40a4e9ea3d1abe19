//! The machine: every rule about who may do and see what, applied in ledger order. Pure and synchronous.
//!
//! The same entries in the same order give the same state, outcomes and rows, on every machine, for ever. Nothing here
//! reads a clock, draws a random number, opens a file or knows what a network is. Three doors lead in: [`check`] asks
//! whether a command would be refused now, [`apply`] takes an entry of the ledger, and [`read`] answers callers.

pub mod access;
pub mod apply;
pub mod command;
pub mod law;
pub mod outcome;
pub mod read;
pub mod rules;
pub mod state;
pub mod sweep;
pub mod table;

pub use apply::{Applied, Effect, apply, check};
pub use command::Command;
pub use outcome::{Outcome, Receipt, Refusal};
pub use rules::release::Released;
pub use state::State;
