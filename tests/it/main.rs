//! The one test binary.

mod tls_bench;
mod tls_development;
mod tls_live;
mod tls_matrix;
mod tls_service;
