//! The one test binary.

mod ledger_conformance;
mod ledger_crash;
mod ledger_format;
mod ledger_samples;
mod ledger_segment;
mod ledger_tamper;
