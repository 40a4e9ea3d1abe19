//! Reads a ledger's directory from end to end without opening it: checks everything, changes nothing, takes no lock.
//!
//! It recomputes every checksum, leaf hash and attachment digest and the tree, and shows every entry to the caller, who
//! knows what entries mean. A torn last group is reported, not mended: the next start drops it. A node may be running on
//! the directory: what it had made durable before is in the report, and a group it is just writing may show as torn.

use super::{
    Entry, Fault, Sealed,
    disk::Disk,
    leaf,
    segment::{Attached, read_ledger},
};
use crate::model::{
    digest::Digest,
    order::{TreeSize, UnixMillis},
};

/// What a ledger was found to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many entries there are.
    pub entries: TreeSize,
    /// The RFC 6962 root over them.
    pub root: Digest,
    /// When the last one was admitted; the epoch if there is none.
    pub admitted_at: UnixMillis,
    /// How many attachments are there.
    pub attachments: u64,
    /// How many attachments were erased.
    pub erased: u64,
    /// How many bytes all of it takes, empty space apart.
    pub bytes: u64,
    /// Whether the end is a torn group, which was never acknowledged.
    pub torn: bool,
}

/// Verifies the ledger in `disk` and shows every entry, in order, to `visit`.
///
/// # Errors
/// [`Fault::Corrupt`] where something does not verify; [`Fault::Unusable`] if there is no ledger, it cannot be read, or
/// its format is newer; what `visit` fails with.
pub fn verify(
    disk: &impl Disk,
    visit: &mut dyn FnMut(&Entry, &Attached) -> Result<(), Fault>,
) -> Result<Report, Fault> {
    let (mut attachments, mut erased) = (0_u64, 0_u64);
    let found = read_ledger(disk, &mut |entry, attached| {
        match attached {
            Attached::Never => {}
            Attached::Present(sealed) => {
                attachments = attachments.saturating_add(1);
                check_digest(entry, sealed)?;
            }
            Attached::Erased => erased = erased.saturating_add(1),
        }
        visit(entry, attached)
    })?;
    Ok(Report {
        entries: found.tree.size(),
        root: found.tree.root(),
        admitted_at: found.admitted_at,
        attachments,
        erased,
        bytes: found.bytes,
        torn: found.torn,
    })
}

fn check_digest(entry: &Entry, sealed: &Sealed) -> Result<(), Fault> {
    if entry.sealed_digest == Some(leaf::sealed_digest(sealed)) {
        Ok(())
    } else {
        Err(Fault::Corrupt(format!("the attachment of entry {} is another one", entry.position)))
    }
}
