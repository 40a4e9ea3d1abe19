//! The rules, one file per noun. Each decides against the state and the ledger's time, then performs what it decided.
//!
//! `decide` never changes anything and `perform` never refuses, so that a check and an application cannot differ.

pub mod agency;
pub mod agreement;
pub mod case;
pub mod client;
pub mod consent;
pub mod dispute;
pub mod emergency;
pub mod erasure;
pub mod exchange;
pub mod named;
pub mod policy;
pub mod reading;
pub mod recall;
pub mod record;
pub mod release;
pub mod signature;
pub mod subscription;
pub mod succession;
pub mod words;

use crate::pb::ledger::v1::Purpose;

/// The purposes for which data about clients are shared; nothing about a client flows for any other.
pub(in crate::machine) const CLIENT_PURPOSES: [Purpose; 3] =
    [Purpose::SchoolLeaverTransition, Purpose::ChildWellbeing, Purpose::ChildProtection];
