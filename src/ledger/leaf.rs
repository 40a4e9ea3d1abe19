//! The leaf: the 32 bytes that stand for one entry in the tree. **\[format\]**: it can never change for format 1.
//!
//! A leaf commits to an entry without showing it: the command and the attachment go in as salted digests, so a leaf
//! hash can be handed to an auditor, and an attachment can be erased, without a leaf ever changing. Nothing here reads
//! or writes; the tree above the leaves is `ledger/tree.rs`.
//!
//! | bytes | content |
//! |---|---|
//! | 1 | `0x00`, the leaf prefix of RFC 6962 §2.1 |
//! | 1 | the format, `0x01` |
//! | 8 | position, big-endian |
//! | 8 | admitted at, milliseconds since 1970-01-01T00:00:00Z, big-endian |
//! | 32 | SHA-256(entry salt ‖ command) |
//! | 1 | `0x01` if the entry was admitted with an attachment, else `0x00` |
//! | 32 | SHA-256(attachment salt ‖ attachment), or zeros without one |
//!
//! Every part has a fixed length, so no two entries share a preimage. An entry's salts have 16 bytes.

use crate::{
    ledger::{Entry, Sealed},
    model::digest::Digest,
};

/// The format of the leaf, and of the ledger as a whole.
pub const FORMAT: u8 = 1;

/// The leaf hash of `entry`.
pub fn leaf_hash(entry: &Entry) -> Digest {
    let command = Digest::of_concatenation(&[&entry.salt, &entry.command]);
    let (presence, sealed) = match entry.sealed_digest {
        Some(digest) => ([1], digest),
        None => ([0], Digest::default()),
    };
    Digest::of_concatenation(&[
        &[0x00],
        &[FORMAT],
        &entry.position.number().to_be_bytes(),
        &entry.admitted_at.millis().to_be_bytes(),
        command.as_bytes(),
        &presence,
        sealed.as_bytes(),
    ])
}

/// What an entry keeps of its attachment for ever: SHA-256(attachment salt ‖ attachment).
pub fn sealed_digest(sealed: &Sealed) -> Digest {
    Digest::of_concatenation(&[&sealed.salt, &sealed.bytes])
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::order::{Position, UnixMillis};

    fn entry() -> Entry {
        Entry {
            position: Position::new(7),
            admitted_at: UnixMillis::new(1_700_000_000_123),
            salt: [0x5a; 16],
            command: Bytes::from_static(b"command"),
            sealed_digest: None,
        }
    }

    #[test]
    fn the_layout_of_a_leaf_is_the_documented_one() {
        let mut preimage = vec![0x00, 0x01];
        preimage.extend(7_u64.to_be_bytes());
        preimage.extend(1_700_000_000_123_u64.to_be_bytes());
        preimage.extend(Digest::of_concatenation(&[&[0x5a; 16], b"command"]).as_bytes());
        preimage.push(0);
        preimage.extend([0; 32]);
        assert_eq!(preimage.len(), 83);
        assert_eq!(leaf_hash(&entry()), Digest::of_concatenation(&[&preimage]));
        assert_eq!(
            leaf_hash(&entry()).to_string(),
            "6087f09a0d7e3f981dcdd477f83d3a7dd74145f40a7941d0208e91f4a899d26f"
        );
    }

    #[test]
    fn every_part_of_an_entry_changes_its_leaf() {
        let plain = entry();
        let zeros = Entry { sealed_digest: Some(Digest::default()), ..plain.clone() };
        let moved = Entry { position: Position::new(8), ..plain.clone() };
        let later = Entry { admitted_at: plain.admitted_at.plus(1), ..plain.clone() };
        let salted = Entry { salt: [0; 16], ..plain.clone() };
        let leaf = leaf_hash(&plain);
        let other = Entry { command: Bytes::from_static(b"Command"), ..plain };
        let changed = [&zeros, &moved, &later, &salted, &other].map(leaf_hash);
        let leaves = [&[leaf], changed.as_slice()].concat();
        for (place, leaf) in leaves.iter().enumerate() {
            assert!(!leaves[..place].contains(leaf));
        }
    }
}
