//! The one test binary.

#![expect(clippy::unwrap_used, reason = "helpers of tests may end a test, as tests themselves may")]

mod bad_input;
mod canary;
mod cli;
mod cli_exchange;
mod decisions;
mod demo;
mod documents;
mod exchange_publish;
mod exchange_subscribe;
mod golden;
mod harness;
mod kill;
mod ledger_conformance;
mod ledger_crash;
mod ledger_format;
mod ledger_samples;
mod ledger_segment;
mod ledger_tamper;
mod machine;
mod memory;
mod operator;
mod place;
mod properties;
mod raw;
mod readme;
mod seal_parts;
mod service_agency;
mod service_agreement;
mod service_bench;
mod service_callers;
mod service_consent;
mod service_explain;
mod service_ledger;
mod service_person;
mod service_recall;
mod simulation;
mod store_rows;
mod tidy;
mod tls_bench;
mod tls_development;
mod tls_live;
mod tls_matrix;
mod tls_service;
mod twin;
