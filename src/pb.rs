//! The protobuf types, generated at build time from `proto/`: the wire and the disk share them.

#[expect(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::as_conversions,
    clippy::clone_on_ref_ptr,
    clippy::large_enum_variant,
    reason = "generated code"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/concordat.rs"));
}

pub use generated::concordat::{ledger, record, v1};

/// The serialised `FileDescriptorSet` of every file under `proto/`, imports included.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
