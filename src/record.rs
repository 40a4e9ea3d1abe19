//! Record types: what agencies publish, in which field groups, by which rules, and how a record is cut to what may leave.
//!
//! Everything is read from the descriptors of `proto/concordat/record/v1`; a type adds its own rules in a module of its
//! name below `types`. Nothing here knows who may receive what, and nothing reads a clock: the day is passed in.

mod child;
mod council;
pub mod findings;
pub mod json;
pub mod lawful_basis;
pub mod redaction;
pub mod registry;
mod shape;
pub mod tabular;
mod text;
mod third_party;
pub mod types;
pub mod wire;

pub use types::leaver_form;
