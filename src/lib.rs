//! Concordat, a shared-data exchange: partner agencies publish and subscribe to client records under agreements that
//! every party signed, and every release is decided, durable and provable.
//!
//! `docs/architecture.md` walks through the parts; `tests/it/tidy.rs` holds who may name whom.

pub mod cli;
pub mod clock;
pub mod config;
pub mod identity;
pub mod index;
pub mod keyring;
pub mod ledger;
pub mod machine;
pub mod model;
pub mod node;
pub mod pb;
pub mod record;
pub mod seal;
pub mod service;
pub mod store;
pub mod telemetry;
