//! Reads: what callers and the node may learn from the state. The only reader of the state for callers.

pub mod offers;
