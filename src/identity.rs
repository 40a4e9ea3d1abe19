//! Identity: who is at the other end of a connection, decided by mutual TLS and by nothing else.
//!
//! A caller is the SHA-256 of its certificate's public key; names, headers and SNI never count. What the exchange
//! trusts (authority, revocation list, own certificate) is in [`trust`] and is exchanged while it runs. Which agency a
//! fingerprint belongs to is the ledger's matter, not this module's. No clock is read here: times are passed in, or come
//! from the [`time::TimeSource`] that the program was composed with.

pub mod acceptor;
pub mod alert;
pub mod certificate;
pub mod channel;
pub mod development;
pub mod fault;
pub mod file;
mod place;
pub mod profile;
pub mod receipt;
pub mod signing;
pub mod time;
pub mod trust;
pub mod upkeep;
