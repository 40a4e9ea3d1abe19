//! The checkpoint: the tree's size and root as a signed note that anybody can keep and check later.
//!
//! Pure text and signatures; who signs and when is the node's business. One note carries one or more Ed25519
//! signatures; those of unknown keys are ignored, as the standard asks. Source: C2SP tlog-checkpoint and signed-note.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::model::{digest::Digest, id::LedgerId, order::TreeSize};

/// The signature type of Ed25519 in signed notes.
const ED25519_TYPE: u8 = 0x01;

/// What a checkpoint states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the ledger, and of the key that signs: see [`origin`].
    pub origin: String,
    /// How many entries the tree holds.
    pub size: TreeSize,
    /// The RFC 6962 root over them.
    pub root: Digest,
}

/// Why a note is not a checkpoint of this ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointError {
    /// It is not a signed note with the three lines of a checkpoint.
    Malformed,
    /// It names another ledger.
    Foreign,
    /// The ledger's key has not signed it.
    Unsigned,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the text is not a checkpoint",
            Self::Foreign => "the checkpoint is of another ledger",
            Self::Unsigned => "the checkpoint is not signed by the ledger's key",
        })
    }
}

impl std::error::Error for CheckpointError {}

impl Checkpoint {
    /// The note that states this checkpoint, signed under the name of its origin.
    pub fn sign(&self, key: &Ed25519KeyPair) -> String {
        sign_note(&self.text(), &self.origin, key)
    }

    /// The checkpoint in `note`, if it is of the ledger `origin` and signed by `public_key` (32 raw bytes).
    ///
    /// # Errors
    /// [`CheckpointError`], the least trusting answer first: a foreign note is not checked further.
    pub fn verify(note: &str, origin: &str, public_key: &[u8]) -> Result<Self, CheckpointError> {
        let (text, _) = split_note(note).ok_or(CheckpointError::Malformed)?;
        let checkpoint = Self::parse(text).ok_or(CheckpointError::Malformed)?;
        if checkpoint.origin != origin {
            return Err(CheckpointError::Foreign);
        }
        if !is_signed(note, origin, public_key) {
            return Err(CheckpointError::Unsigned);
        }
        Ok(checkpoint)
    }

    /// The text that is signed: origin, size and base64 root, a line each.
    fn text(&self) -> String {
        let root = STANDARD.encode(self.root.as_bytes());
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// Lines after the third are extensions: signed, and ignored here.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let origin = lines.next().filter(|line| !line.is_empty())?;
        let size = lines.next()?;
        let count: u64 = size.parse().ok()?;
        let root = Digest::from_slice(&STANDARD.decode(lines.next()?).ok()?)?;
        // One size has one spelling: no sign and no leading zero.
        (count.to_string() == size).then(|| Self {
            origin: origin.to_owned(),
            size: TreeSize::new(count),
            root,
        })
    }
}

/// The origin line of the ledger `id`: the name under which its checkpoints are signed.
pub fn origin(id: &LedgerId) -> String {
    format!("concordat/{id}")
}

/// The verifier key of `name`, as witnesses and other tools take it: `name+key id+base64(type ‖ key)`.
pub fn verifier_key(name: &str, public_key: &[u8]) -> String {
    let [a, b, c, d] = key_id(name, public_key);
    let encoded = STANDARD.encode([&[ED25519_TYPE], public_key].concat());
    format!("{name}+{a:02x}{b:02x}{c:02x}{d:02x}+{encoded}")
}

/// The signed note over `text`, which ends with a newline, signed by `key` under `name`.
pub fn sign_note(text: &str, name: &str, key: &Ed25519KeyPair) -> String {
    use aws_lc_rs::signature::KeyPair;
    let id = key_id(name, key.public_key().as_ref());
    let signature = key.sign(text.as_bytes());
    let encoded = STANDARD.encode([id.as_slice(), signature.as_ref()].concat());
    format!("{text}\n\u{2014} {name} {encoded}\n")
}

/// Whether `note` carries a signature of `public_key` (32 raw bytes) under `name`, and every such signature is good.
pub fn is_signed(note: &str, name: &str, public_key: &[u8]) -> bool {
    let Some((text, signatures)) = split_note(note) else { return false };
    let id = key_id(name, public_key);
    let key = UnparsedPublicKey::new(&ED25519, public_key);
    let mut signed = false;
    for line in signatures.lines() {
        let Some((witness, encoded)) = parse_signature_line(line) else { return false };
        let Some((witness_id, signature)) = encoded.split_first_chunk::<4>() else { return false };
        if witness == name && *witness_id == id {
            if key.verify(text.as_bytes(), signature).is_err() {
                return false;
            }
            signed = true;
        }
    }
    signed
}

/// The text with its newline, and the signature lines.
fn split_note(note: &str) -> Option<(&str, &str)> {
    let (text, signatures) = note.rsplit_once("\n\n")?;
    let text = note.get(..text.len().checked_add(1)?)?;
    (signatures.ends_with('\n') && !note.contains('\r')).then_some((text, signatures))
}

fn parse_signature_line(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    Some((name, STANDARD.decode(encoded).ok()?))
}

/// The first four bytes of SHA-256(name ‖ newline ‖ type ‖ key).
fn key_id(name: &str, public_key: &[u8]) -> [u8; 4] {
    let digest = Digest::of_concatenation(&[name.as_bytes(), b"\n", &[ED25519_TYPE], public_key]);
    let [a, b, c, d, ..] = *digest.as_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::KeyPair;

    use super::*;

    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const NOTE_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    fn key(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }

    fn sample() -> Checkpoint {
        let root = Digest::of_concatenation(&[b"root"]);
        Checkpoint { origin: "concordat/0102".to_owned(), size: TreeSize::new(42), root }
    }

    #[test]
    fn the_published_note_of_the_format_verifies() {
        let encoded = NOTE_KEY.rsplit('+').next().unwrap();
        let key = STANDARD.decode(encoded).unwrap();
        assert!(is_signed(NOTE, "PeterNeumann", &key[1..]));
        assert_eq!(verifier_key("PeterNeumann", &key[1..]), NOTE_KEY);
        assert!(!is_signed(&NOTE.replace("answer", "Answer"), "PeterNeumann", &key[1..]));
    }

    #[test]
    fn the_origin_names_the_ledger() {
        let id = LedgerId::from_bytes([0xab; 16]);
        assert_eq!(origin(&id), "concordat/abababababababababababababababab");
    }

    #[test]
    fn a_signed_checkpoint_is_read_back() {
        let (key, checkpoint) = (key(7), sample());
        let note = checkpoint.sign(&key);
        let public = key.public_key().as_ref();
        assert_eq!(Checkpoint::verify(&note, &checkpoint.origin, public), Ok(checkpoint));
    }

    #[test]
    fn a_checkpoint_is_refused_unless_its_own_ledger_signed_all_of_it() {
        let (signer, checkpoint) = (key(7), sample());
        let note = checkpoint.sign(&signer);
        let public = signer.public_key().as_ref();
        let verify = |note: &str| Checkpoint::verify(note, "concordat/0102", public);
        assert_eq!(verify(&note.replace("\n42\n", "\n43\n")), Err(CheckpointError::Unsigned));
        assert_eq!(verify(&note.replace("\n42\n", "\n042\n")), Err(CheckpointError::Malformed));
        assert_eq!(verify(&note.replace("\n42\n", "\n+42\n")), Err(CheckpointError::Malformed));
        assert_eq!(verify(&note.replace("0102\n42", "0103\n42")), Err(CheckpointError::Foreign));
        assert_eq!(verify(&checkpoint.sign(&key(8))), Err(CheckpointError::Unsigned));
        assert_eq!(verify(note.trim_end()), Err(CheckpointError::Malformed));
        assert_eq!(verify(""), Err(CheckpointError::Malformed));
    }

    #[test]
    fn a_witness_may_sign_beside_the_ledger() {
        let (signer, checkpoint) = (key(7), sample());
        let note = checkpoint.sign(&signer);
        let beside = sign_note(&checkpoint.text(), "witness.example", &key(9));
        let line = beside.rsplit_once("\n\n").unwrap().1;
        let both = format!("{note}{line}");
        let public = signer.public_key().as_ref();
        assert_eq!(Checkpoint::verify(&both, &checkpoint.origin, public), Ok(checkpoint));
        assert!(is_signed(&both, "witness.example", key(9).public_key().as_ref()));
    }
}
