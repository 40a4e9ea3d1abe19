//! Access: may these field groups of this client's records go from this publisher to this recipient, now, and why?
//!
//! Only a flow of an active agreement permits (`decide`); the publisher's and the recipient's own Cedar policies then
//! only narrow (`access/verdict.rs`).

pub mod verdict;

pub use verdict::Verdicts;
