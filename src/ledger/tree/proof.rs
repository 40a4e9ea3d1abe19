//! How a proof is checked: by anybody who has two heads or a leaf, and no ledger.
//!
//! Pure; trusts nothing it is given. Source: RFC 9162 §2.1.3.2 (inclusion) and §2.1.4.2 (consistency), which check the
//! proofs of RFC 6962.

use std::fmt;

use super::node_hash;
use crate::model::{
    digest::Digest,
    order::{Position, TreeSize},
};

/// Why a proof was turned down. It says nothing about which side is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// The position or the sizes cannot have a proof, or the proof has the wrong number of hashes.
    Shape,
    /// The hashes do not lead to the root.
    Root,
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shape => "the proof does not fit the position and the sizes",
            Self::Root => "the proof does not lead to the root",
        })
    }
}

impl std::error::Error for ProofError {}

/// Checks that `leaf` is at `position` of the tree of `size` with this `root`.
///
/// # Errors
/// [`ProofError`] if the path does not show it.
pub fn verify_inclusion(
    leaf: &Digest,
    position: Position,
    size: TreeSize,
    root: &Digest,
    path: &[Digest],
) -> Result<(), ProofError> {
    if size.end() <= position {
        return Err(ProofError::Shape);
    }
    let mut node = position.number();
    let mut last = size.count().saturating_sub(1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return Err(ProofError::Shape);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            skip_left_edge(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    conclude(last, &[(&hash, root)])
}

/// Checks that the tree of size and root `from` is a prefix of the one of size and root `to`.
///
/// The empty tree is a prefix of every tree.
///
/// # Errors
/// [`ProofError`] if the path does not show it.
pub fn verify_consistency(
    from: (TreeSize, &Digest),
    to: (TreeSize, &Digest),
    path: &[Digest],
) -> Result<(), ProofError> {
    let ((from_size, from_root), (to_size, to_root)) = (from, to);
    if to_size < from_size {
        return Err(ProofError::Shape);
    }
    if from_size == to_size || from_size.count() == 0 {
        let empty_root = Digest::of_concatenation(&[]);
        let expected = if from_size == to_size { to_root } else { &empty_root };
        return if path.is_empty() {
            conclude(0, &[(from_root, expected)])
        } else {
            Err(ProofError::Shape)
        };
    }
    let mut node = from_size.count().saturating_sub(1);
    let mut last = to_size.count().saturating_sub(1);
    let whole = node.trailing_ones();
    node = node.checked_shr(whole).unwrap_or(0);
    last = last.checked_shr(whole).unwrap_or(0);
    let (seed, rest) = if from_size.count().is_power_of_two() {
        (from_root, path)
    } else {
        path.split_first().ok_or(ProofError::Shape)?
    };
    let (mut old, mut new) = (*seed, *seed);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Shape);
        }
        if node & 1 == 1 || node == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            skip_left_edge(&mut node, &mut last);
        } else {
            new = node_hash(&new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    conclude(last, &[(&old, from_root), (&new, to_root)])
}

/// Moves up while the node is the lone right edge of its level.
const fn skip_left_edge(node: &mut u64, last: &mut u64) {
    while *node & 1 == 0 && *node != 0 {
        *node >>= 1;
        *last >>= 1;
    }
}

/// The proof is used up exactly at the root, and every computed hash is the expected one.
fn conclude(last: u64, hashes: &[(&Digest, &Digest)]) -> Result<(), ProofError> {
    if last != 0 {
        return Err(ProofError::Shape);
    }
    if hashes.iter().all(|(computed, expected)| computed == expected) {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}
