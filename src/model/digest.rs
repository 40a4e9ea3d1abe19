//! SHA-256 digests and the one way they are made from parts.
//!
//! Source of the function: FIPS 180-4. Parts are length-prefixed, so no two lists of parts share a preimage.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256, digest};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::model::hexadecimal;

/// A SHA-256 digest.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Wraps 32 bytes that are a digest already.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest in `bytes`, or `None` unless there are exactly 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        <[u8; 32]>::try_from(bytes).ok().map(Self)
    }

    /// SHA-256 over the concatenation of `parts`, with nothing between them.
    ///
    /// For standard layouts (RFC 6962) whose parts have fixed lengths; elsewhere use [`Digest::of_parts`].
    pub fn of_concatenation(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        Self::finish(context)
    }

    /// SHA-256 over `domain` and `parts`, each preceded by its length as a big-endian u64.
    pub fn of_parts(domain: &str, parts: &[&[u8]]) -> Self {
        // One call of the library costs as much as hashing a block; rows are small, so their parts go in together.
        let mut gathered = Gathered::default();
        for part in std::iter::once(&domain.as_bytes()).chain(parts) {
            gathered.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            gathered.update(part);
        }
        gathered.finish()
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 16 bytes, for identifiers that derive from a digest.
    pub fn first_half(&self) -> [u8; 16] {
        let mut half = [0; 16];
        for (to, from) in half.iter_mut().zip(self.0) {
            *to = from;
        }
        half
    }

    fn finish(context: Context) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

/// How many bytes are gathered before the library is called.
const GATHERED_MAX: usize = 512;

/// Bytes on their way into a SHA-256.
struct Gathered {
    bytes: [u8; GATHERED_MAX],
    length: usize,
    /// What was gathered before, where there was too much.
    context: Option<Context>,
}

impl Default for Gathered {
    fn default() -> Self {
        Self { bytes: [0; GATHERED_MAX], length: 0, context: None }
    }
}

impl Gathered {
    fn update(&mut self, part: &[u8]) {
        let end = self.length.saturating_add(part.len());
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(part);
            self.length = end;
            return;
        }
        let context = self.context.get_or_insert_with(|| Context::new(&SHA256));
        context.update(self.bytes.get(..self.length).unwrap_or_default());
        context.update(part);
        self.length = 0;
    }

    fn finish(self) -> Digest {
        let rest = self.bytes.get(..self.length).unwrap_or_default();
        let digest = match self.context {
            None => digest(&SHA256, rest),
            Some(mut context) => {
                context.update(rest);
                context.finish()
            }
        };
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Digest(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal::write(f, &self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_of_fips_180_4_holds() {
        assert_eq!(
            Digest::of_concatenation(&[b"a", b"bc"]).to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_digest_of_parts_is_that_of_their_lengths_and_bytes_whatever_their_size() {
        for size in [0, 1, 400, 480, 511, 512, 513, 5_000] {
            let part = vec![7; size];
            let length = u64::try_from(size).unwrap().to_be_bytes();
            let whole = [&1_u64.to_be_bytes()[..], b"x", &length, &part, &length, &part].concat();
            let digest = Digest::of_parts("x", &[&part, &part]);
            assert_eq!(digest, Digest::of_concatenation(&[&whole]), "{size}");
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(Digest::of_parts("x", &[b"ab", b"c"]), Digest::of_parts("x", &[b"a", b"bc"]));
    }
}
