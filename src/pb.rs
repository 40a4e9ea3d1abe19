//! The protobuf types, generated at build time from `proto/`: the wire and the disk share them.

#[expect(
    missing_docs,
    clippy::pedantic,
    clippy::str_to_string,
    clippy::as_conversions,
    clippy::use_self,
    clippy::clone_on_ref_ptr,
    clippy::wildcard_enum_match_arm,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/concordat.rs"));
}

pub use generated::concordat::{ledger, record, v1};

/// The serialised `FileDescriptorSet` of every file under `proto/`, imports included.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
