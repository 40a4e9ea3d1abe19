//! Rows of readings: who opened which record, and how often in a day of ledger time.
//!
//! They are what an owner is told of; each single reading stands in the ledger. Deliveries are disclosures and no readings.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::model::{id::EmergencyId, order::UnixMillis};

/// What one agency read of one record on one day for one reason.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Reading {
    /// How often.
    pub count: u32,
    /// How often of that a system of the agency read by itself.
    pub unattended: u32,
    /// For what, the last time (`Purpose`).
    pub purpose: i32,
    /// Under which emergency access, the last time, if under any.
    pub emergency: Option<EmergencyId>,
    /// The office of whoever read last, if their agency said so (`StaffOffice`).
    pub office: i32,
    /// When it was first read.
    pub first_at: UnixMillis,
    /// When it was last read.
    pub at: UnixMillis,
}
