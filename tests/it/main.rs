//! The one test binary.

#![expect(clippy::unwrap_used, reason = "helpers of tests may end a test, as tests themselves may")]

mod seal_parts;
mod store_rows;
