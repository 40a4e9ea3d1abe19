//! The Merkle tree over the leaves: its root, and inclusion and consistency proofs.
//!
//! A plain RFC 6962 tree, so any verifier of Certificate Transparency can check it. Pure: where a proof needs the hash
//! of an old leaf it asks the caller for it, because the tree keeps no leaf of a full tile: in memory it holds one hash
//! for every 256 entries, those above it, and the frontier. Source: RFC 6962 §2.1; `docs/decisions/0002-own-tree.md`
//! says why it is our own.

use std::ops::Range;

use crate::model::{
    digest::Digest,
    order::{Position, TreeSize},
};

mod proof;

pub use self::proof::{ProofError, verify_consistency, verify_inclusion};

/// The level at and above which every node is kept: a tile has 2^8 leaves.
const TILE_LEVEL: usize = 8;
/// The same as a number of bits of the size.
const TILE_BITS: u32 = 8;

/// An append-only RFC 6962 tree over leaf hashes.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    size: u64,
    /// The nodes over complete subtrees, by level; level 0 holds leaf hashes.
    levels: Vec<Level>,
}

/// The kept nodes of one level, `nodes[0]` being number `dropped` of the level.
#[derive(Clone, Debug, Default)]
struct Level {
    dropped: u64,
    nodes: Vec<Digest>,
}

impl Tree {
    /// How many leaves the tree has.
    pub const fn size(&self) -> TreeSize {
        TreeSize::new(self.size)
    }

    /// Appends the leaf with this hash.
    pub fn push(&mut self, leaf: Digest) {
        let mut node = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Level::default());
            }
            let Some(kept) = self.levels.get_mut(level) else { break };
            kept.nodes.push(node);
            let [.., left, right] = kept.nodes.as_slice() else { break };
            if (self.size >> level) & 1 == 0 {
                break;
            }
            node = node_hash(left, right);
        }
        self.size = self.size.saturating_add(1);
        if self.size.trailing_zeros() >= TILE_BITS {
            for level in self.levels.iter_mut().take(TILE_LEVEL) {
                level.dropped = level.dropped.saturating_add(count(&level.nodes));
                level.nodes.clear();
            }
        }
    }

    /// The root over all leaves; of no leaves it is SHA-256 of nothing (RFC 6962 §2.1).
    pub fn root(&self) -> Digest {
        let mut root = None;
        for (level, kept) in self.levels.iter().enumerate() {
            if (self.size >> level) & 1 == 1
                && let Some(left) = kept.nodes.last()
            {
                root = Some(root.map_or(*left, |right| node_hash(left, &right)));
            }
        }
        root.unwrap_or_else(|| Digest::of_concatenation(&[]))
    }

    /// The root that the tree had at `size`, or `None` if it never was that large.
    ///
    /// `leaves` answers with the leaf hashes of a range of at most 256 positions.
    ///
    /// # Errors
    /// What `leaves` fails with.
    pub fn root_at<E>(
        &self,
        size: TreeSize,
        leaves: &mut impl FnMut(Range<u64>) -> Result<Vec<Digest>, E>,
    ) -> Result<Option<Digest>, E> {
        if size.count() == 0 {
            return Ok(Some(Digest::of_concatenation(&[])));
        }
        if self.size < size.count() {
            return Ok(None);
        }
        self.subtree(0..size.count(), leaves).map(Some)
    }

    /// The audit path of the leaf at `position` in the tree of `size` (RFC 6962 §2.1.1), or `None` if there is none.
    ///
    /// `leaves` answers with the leaf hashes of a range of at most 256 positions.
    ///
    /// # Errors
    /// What `leaves` fails with.
    pub fn inclusion<E>(
        &self,
        position: Position,
        size: TreeSize,
        leaves: &mut impl FnMut(Range<u64>) -> Result<Vec<Digest>, E>,
    ) -> Result<Option<Vec<Digest>>, E> {
        if self.size < size.count() || size.end() <= position {
            return Ok(None);
        }
        let mut range = 0..size.count();
        let mut path = Vec::new();
        while let Some(middle) = split(&range) {
            let (near, far) = if position.number() < middle {
                (range.start..middle, middle..range.end)
            } else {
                (middle..range.end, range.start..middle)
            };
            path.push(self.subtree(far, leaves)?);
            range = near;
        }
        path.reverse();
        Ok(Some(path))
    }

    /// The proof that the tree of `from` is a prefix of the tree of `to` (RFC 6962 §2.1.2), or `None` if there is none.
    ///
    /// It is empty where `from` is empty or equals `to`. `leaves` answers with the leaf hashes of a range of at most
    /// 256 positions.
    ///
    /// # Errors
    /// What `leaves` fails with.
    pub fn consistency<E>(
        &self,
        from: TreeSize,
        to: TreeSize,
        leaves: &mut impl FnMut(Range<u64>) -> Result<Vec<Digest>, E>,
    ) -> Result<Option<Vec<Digest>>, E> {
        if self.size < to.count() || to < from {
            return Ok(None);
        }
        if from.count() == 0 || from == to {
            return Ok(Some(Vec::new()));
        }
        let mut range = 0..to.count();
        let mut path = Vec::new();
        while let Some(middle) = split(&range).filter(|_| from.count() < range.end) {
            if from.count() <= middle {
                path.push(self.subtree(middle..range.end, leaves)?);
                range = range.start..middle;
            } else {
                path.push(self.subtree(range.start..middle, leaves)?);
                range = middle..range.end;
            }
        }
        if range.start != 0 {
            path.push(self.subtree(range, leaves)?);
        }
        path.reverse();
        Ok(Some(path))
    }

    /// The hash over a range of leaves, which starts where a subtree of its size may start.
    fn subtree<E>(
        &self,
        range: Range<u64>,
        leaves: &mut impl FnMut(Range<u64>) -> Result<Vec<Digest>, E>,
    ) -> Result<Digest, E> {
        if let Some(node) = self.node(&range) {
            return Ok(node);
        }
        let full_tiles = self.levels.first().map_or(0, |level| level.dropped);
        let narrow = range.end.saturating_sub(range.start) <= 1 << TILE_LEVEL;
        match split(&range) {
            Some(middle) if !narrow || full_tiles <= range.start => Ok(node_hash(
                &self.subtree(range.start..middle, leaves)?,
                &self.subtree(middle..range.end, leaves)?,
            )),
            _ => Ok(root_of(&leaves(range)?)),
        }
    }

    /// The kept node over exactly `range`, if there is one.
    fn node(&self, range: &Range<u64>) -> Option<Digest> {
        let width = range.end.checked_sub(range.start)?;
        if !width.is_power_of_two() || range.start.checked_rem(width)? != 0 {
            return None;
        }
        let level = self.levels.get(usize::try_from(width.trailing_zeros()).ok()?)?;
        let number = range.start.checked_div(width)?.checked_sub(level.dropped)?;
        level.nodes.get(usize::try_from(number).ok()?).copied()
    }
}

/// The root of the tree over just these leaf hashes.
pub fn root_of(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of_concatenation(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// Where RFC 6962 splits a range of more than one leaf: at the largest power of two less than its width.
fn split(range: &Range<u64>) -> Option<u64> {
    let width = range.end.checked_sub(range.start)?;
    if width < 2 {
        return None;
    }
    range.start.checked_add(width.checked_next_power_of_two()? / 2)
}

/// RFC 6962 §2.1: the hash of an inner node.
fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest::of_concatenation(&[&[0x01], left.as_bytes(), right.as_bytes()])
}

fn count(nodes: &[Digest]) -> u64 {
    u64::try_from(nodes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves and the roots that Certificate Transparency publishes for its tree (RFC 6962's reference code).
    const INPUTS: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn published_leaves() -> Vec<Digest> {
        INPUTS.map(|input| Digest::of_concatenation(&[&[0], input])).to_vec()
    }

    fn invented_leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|n| Digest::of_concatenation(&[&[0], &n.to_be_bytes()])).collect()
    }

    fn tree_of(leaves: &[Digest]) -> Tree {
        let mut tree = Tree::default();
        for leaf in leaves {
            tree.push(*leaf);
        }
        tree
    }

    /// Answers from `leaves` and never more than a tile.
    fn source(leaves: &[Digest]) -> impl FnMut(Range<u64>) -> Result<Vec<Digest>, ()> {
        |range| {
            assert!(range.end - range.start <= 256);
            let bound = |place| usize::try_from(place).unwrap();
            Ok(leaves[bound(range.start)..bound(range.end)].to_vec())
        }
    }

    fn hex(path: &[Digest]) -> Vec<String> {
        path.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_published_roots_hold() {
        let leaves = published_leaves();
        for (size, root) in ROOTS.iter().enumerate() {
            assert_eq!(tree_of(&leaves[..size]).root().to_string(), *root);
            assert_eq!(root_of(&leaves[..size]).to_string(), *root);
        }
    }

    #[test]
    fn the_published_paths_hold() {
        let leaves = published_leaves();
        let tree = tree_of(&leaves);
        let path = |position, size| {
            let (position, size) = (Position::new(position), TreeSize::new(size));
            hex(&tree.inclusion(position, size, &mut source(&leaves)).unwrap().unwrap())
        };
        assert_eq!(
            path(0, 8),
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ]
        );
        assert_eq!(
            path(5, 8),
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        );
        assert_eq!(path(2, 3), [ROOTS[2]]);
        let proof = tree.consistency(TreeSize::new(6), TreeSize::new(8), &mut source(&leaves));
        assert_eq!(
            hex(&proof.unwrap().unwrap()),
            [
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        );
    }

    #[test]
    fn every_proof_of_a_small_tree_verifies_and_no_changed_one_does() {
        let leaves = invented_leaves(40);
        let tree = tree_of(&leaves);
        let mut leaf_source = source(&leaves);
        for size in 1..=40 {
            let size = TreeSize::new(size);
            let root = tree.root_at(size, &mut leaf_source).unwrap().unwrap();
            for (number, leaf) in (0_u64..size.count()).zip(&leaves) {
                let position = Position::new(number);
                let path = tree.inclusion(position, size, &mut leaf_source).unwrap().unwrap();
                verify_inclusion(leaf, position, size, &root, &path).unwrap();
                assert!(
                    verify_inclusion(&root, position, size, &root, &path).is_err() || number == 0
                );
                assert!(verify_inclusion(leaf, position.next(), size, &root, &path).is_err());
                let mut longer = path;
                longer.push(root);
                assert!(verify_inclusion(leaf, position, size, &root, &longer).is_err());
            }
            for from in (0..=size.count()).map(TreeSize::new) {
                let old = tree.root_at(from, &mut leaf_source).unwrap().unwrap();
                let path = tree.consistency(from, size, &mut leaf_source).unwrap().unwrap();
                verify_consistency((from, &old), (size, &root), &path).unwrap();
                let other = Digest::of_concatenation(&[b"other"]);
                assert!(verify_consistency((from, &other), (size, &root), &path).is_err());
                if 0 < from.count() {
                    assert!(verify_consistency((from, &old), (size, &other), &path).is_err());
                }
            }
        }
    }

    #[test]
    fn a_tree_of_several_tiles_proves_its_past_and_keeps_few_hashes() {
        let leaves = invented_leaves(1_500);
        let tree = tree_of(&leaves);
        let kept: usize = tree.levels.iter().map(|level| level.nodes.len()).sum();
        assert!(kept < 500, "{kept} hashes are kept");
        let mut leaf_source = source(&leaves);
        let end = TreeSize::new(1_500);
        for count in [1, 2, 255, 256, 257, 511, 512, 700, 1_024, 1_279, 1_281, 1_499, 1_500] {
            let size = TreeSize::new(count);
            let old = tree.root_at(size, &mut leaf_source).unwrap().unwrap();
            assert_eq!(old, root_of(&leaves[..usize::try_from(count).unwrap()]));
            let path = tree.consistency(size, end, &mut leaf_source).unwrap().unwrap();
            verify_consistency((size, &old), (end, &tree.root()), &path).unwrap();
            for number in [0, count / 2, count - 1] {
                let position = Position::new(number);
                let path = tree.inclusion(position, size, &mut leaf_source).unwrap().unwrap();
                let leaf = &leaves[usize::try_from(number).unwrap()];
                verify_inclusion(leaf, position, size, &old, &path).unwrap();
            }
        }
    }

    #[test]
    fn what_never_was_has_no_proof() {
        let leaves = invented_leaves(3);
        let tree = tree_of(&leaves);
        let mut leaf_source = source(&leaves);
        let (all, more) = (TreeSize::new(3), TreeSize::new(4));
        assert_eq!(tree.root_at(more, &mut leaf_source), Ok(None));
        assert_eq!(tree.inclusion(all.end(), all, &mut leaf_source), Ok(None));
        assert_eq!(tree.consistency(all, more, &mut leaf_source), Ok(None));
        assert_eq!(tree.consistency(more, all, &mut leaf_source), Ok(None));
    }
}
