//! Sealing: what is personal leaves memory only encrypted, bound to what it belongs to, and padded.
//!
//! AES-256-GCM (NIST SP 800-38D) under keys that HKDF-SHA-256 (RFC 5869) derives from a data key, so that sealing and
//! the HMAC of contents never share one. Bodies are padded to buckets (`seal/padding.rs`); opaque tokens are in
//! `seal/token.rs`. This module draws nothing: keys and nonces are given to it. It keeps no keys either; how data keys
//! are wrapped is in `keyring.rs`.
//!
//! A record's body is opened only on the strength of a decision, see [`Opens`].

pub mod padding;
pub mod token;

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce as AeadNonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
    hmac,
};
use bytes::Bytes;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    model::{
        digest::Digest,
        id::{AgencyId, ClientId, KeyId, LedgerId, RecordId},
    },
    pb::ledger::v1::{PartKind, SealedPart},
};

/// The length of a nonce, in bytes (NIST SP 800-38D §5.2.1.1).
pub const NONCE_BYTES: usize = 12;

/// The length of the tag that ends a ciphertext, in bytes.
pub const TAG_BYTES: usize = 16;

/// How often one key may seal under random nonces (NIST SP 800-38D §8.3).
///
/// Sealing does not count. A client's key never comes near; whoever seals with an agency's or the exchange's own key
/// opens a new key long before.
pub const SEALS_PER_KEY_MAX: u64 = 1 << 32;

/// A number used once with one key: random, drawn for each part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce([u8; NONCE_BYTES]);

impl Nonce {
    /// Takes 12 random bytes.
    pub const fn from_bytes(bytes: [u8; NONCE_BYTES]) -> Self {
        Self(bytes)
    }

    /// The 12 bytes.
    pub const fn as_bytes(&self) -> &[u8; NONCE_BYTES] {
        &self.0
    }
}

/// Thirty-two secret bytes. They are wiped when dropped and never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Takes 32 random bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key for one use, which `label` names: HKDF-SHA-256 (RFC 5869).
    pub(crate) fn derive(&self, label: &str) -> Result<Self, SealFault> {
        let mut derived = Self([0; 32]);
        Salt::new(HKDF_SHA256, b"concordat.seal.v1")
            .extract(&self.0)
            .expand(&[label.as_bytes()], HKDF_SHA256)
            .and_then(|material| material.fill(&mut derived.0))
            .map_err(|_| SealFault::Library)?;
        Ok(derived)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a sealed part is bound to: it opens only under the very same.
#[derive(Clone, Copy, Debug)]
pub struct AssociatedData<'a> {
    /// The ledger that holds the part.
    pub ledger: &'a LedgerId,
    /// What the part belongs to: a record's id for its body, else the id of the subject, such as a key or a consent.
    pub subject: &'a [u8],
    /// The client whom it is about, if it is about one.
    pub client: Option<&'a ClientId>,
    /// The agency whose data it is, if it is an agency's.
    pub agency: Option<&'a AgencyId>,
    /// What kind of data it is: the record's type, or the disposal class of a wrapped key. It may be empty.
    pub data_type: &'a str,
}

impl AssociatedData<'_> {
    /// Every part preceded by its length as a big-endian u64, so that no two contexts encode alike.
    pub(crate) fn encode(&self, key: &[u8; 16], kind: PartKind) -> Vec<u8> {
        let kind = i32::from(kind).to_be_bytes();
        length_prefixed(&[
            b"concordat.sealed.v1",
            self.ledger.as_bytes(),
            self.subject,
            self.client.map_or(&[], |client| client.as_bytes()),
            self.agency.map_or(&[], |agency| agency.as_str().as_bytes()),
            self.data_type.as_bytes(),
            key,
            &kind,
        ])
    }
}

/// The key of one client, agency and disposal class, or of the exchange itself.
pub struct DataKey {
    id: KeyId,
    secret: Secret,
    sealing: Sealer,
    mac: hmac::Key,
}

impl DataKey {
    /// The data key that `id` names.
    ///
    /// # Errors
    /// [`SealFault::Library`] if the cryptographic library cannot take it.
    pub fn new(id: KeyId, secret: Secret) -> Result<Self, SealFault> {
        let sealing = Sealer::new(&secret.derive("part")?)?;
        let mac = hmac::Key::new(hmac::HMAC_SHA256, secret.derive("content-mac")?.expose());
        Ok(Self { id, secret, sealing, mac })
    }

    /// The name of the key.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Seals `plaintext`, padded to its bucket.
    ///
    /// `nonce` must be random and never used with this key before; see [`SEALS_PER_KEY_MAX`].
    ///
    /// # Errors
    /// [`SealFault::TooLong`] beyond [`padding::PLAINTEXT_BYTES_MAX`]; [`SealFault::WrongKind`] for a data key, which
    /// only a keyring wraps.
    pub fn seal(
        &self,
        nonce: Nonce,
        kind: PartKind,
        context: &AssociatedData<'_>,
        plaintext: &[u8],
    ) -> Result<SealedPart, SealFault> {
        if matches!(kind, PartKind::DataKey | PartKind::Unspecified) {
            return Err(SealFault::WrongKind);
        }
        let context = context.encode(self.id.as_bytes(), kind);
        let body = padding::pad(plaintext)?;
        let ciphertext = self.sealing.seal(nonce, &context, body)?;
        Ok(sealed_part(kind, self.id.as_bytes(), nonce, ciphertext))
    }

    /// Opens a sealed part that is not the body of a record.
    ///
    /// # Errors
    /// [`SealFault::NeedsDecision`] for the body of a record; [`SealFault::WrongKey`] if another key sealed it;
    /// [`SealFault::NotAuthentic`] if it or what it is bound to is not what was sealed.
    pub fn open(
        &self,
        context: &AssociatedData<'_>,
        part: &SealedPart,
    ) -> Result<Plaintext, SealFault> {
        match part.kind() {
            PartKind::Record => Err(SealFault::NeedsDecision),
            PartKind::DataKey | PartKind::Unspecified => Err(SealFault::WrongKind),
            PartKind::Actor
            | PartKind::Identifiers
            | PartKind::Evidence
            | PartKind::AgreementTexts
            | PartKind::Emergency => self.open_padded(context, part),
        }
    }

    /// Opens the body of the record that `decision` is about.
    ///
    /// # Errors
    /// [`SealFault::NeedsDecision`] if the decision is about another record than `context` is;
    /// [`SealFault::WrongKind`] if the part is no record's body; else as [`DataKey::open`].
    pub fn open_record<D: Opens>(
        &self,
        decision: &D,
        context: &AssociatedData<'_>,
        part: &SealedPart,
    ) -> Result<Plaintext, SealFault> {
        // INVARIANT (release): no body is opened without a decision about that very record.
        if decision.record().as_bytes().as_slice() != context.subject {
            return Err(SealFault::NeedsDecision);
        }
        if part.kind() != PartKind::Record {
            return Err(SealFault::WrongKind);
        }
        self.open_padded(context, part)
    }

    /// HMAC-SHA-256 (RFC 2104) over `content`: tells whether two requests said the same, to nobody without the key.
    pub fn content_mac(&self, content: &[u8]) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hmac::sign(&self.mac, content).as_ref());
        Digest::from_bytes(bytes)
    }

    /// Whether the key itself stands somewhere in `bytes`: for whoever looks whether an erased key is gone.
    pub fn stands_in(&self, bytes: &[u8]) -> bool {
        bytes.windows(self.secret.0.len()).any(|window| window == self.secret.0)
    }

    pub(crate) const fn secret(&self) -> &Secret {
        &self.secret
    }

    fn open_padded(
        &self,
        context: &AssociatedData<'_>,
        part: &SealedPart,
    ) -> Result<Plaintext, SealFault> {
        let context = context.encode(self.id.as_bytes(), part.kind());
        let mut body = self.sealing.open_part(self.id.as_bytes(), &context, part)?;
        padding::unpad(&mut body)?;
        Ok(Plaintext(body))
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", self.id)
    }
}

/// The proof that the machine decided to open one record.
///
/// Tests apart, only the machine's `Released` implements it, and only the machine's rule for releases makes a `Released`:
/// so no body is opened that no durable entry allows.
pub trait Opens {
    /// The record that may be opened.
    fn record(&self) -> RecordId;
}

impl Opens for crate::machine::Released {
    fn record(&self) -> RecordId {
        Self::record(self)
    }
}

/// What was sealed, in clear. It is wiped when dropped and never printed.
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// The bytes as they were given to be sealed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(..)")
    }
}

/// Why something was not sealed or opened. It never tells anything of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealFault {
    /// A record's body is opened only with a decision about that record.
    NeedsDecision,
    /// The part's kind is not one that is sealed or opened here.
    WrongKind,
    /// The part names another key.
    WrongKey,
    /// The part was changed, or belongs elsewhere.
    NotAuthentic,
    /// The plaintext is longer than the greatest bucket holds.
    TooLong,
    /// The cryptographic library refused its input.
    Library,
}

impl fmt::Display for SealFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeedsDecision => "a record is opened only with a decision about it",
            Self::WrongKind => "this kind of part is not sealed or opened here",
            Self::WrongKey => "the part is sealed with another key",
            Self::NotAuthentic => "the sealed part was changed or belongs elsewhere",
            Self::TooLong => "the content is too long to be sealed",
            Self::Library => "the cryptographic library refused its input",
        })
    }
}

impl std::error::Error for SealFault {}

/// AES-256-GCM under one derived key.
pub(crate) struct Sealer(LessSafeKey);

impl Sealer {
    pub(crate) fn new(key: &Secret) -> Result<Self, SealFault> {
        UnboundKey::new(&AES_256_GCM, key.expose())
            .map(|key| Self(LessSafeKey::new(key)))
            .map_err(|_| SealFault::Library)
    }

    /// Encrypts `body` in place; the tag follows it.
    pub(crate) fn seal(
        &self,
        nonce: Nonce,
        context: &[u8],
        mut body: Zeroizing<Vec<u8>>,
    ) -> Result<Vec<u8>, SealFault> {
        // Room for the tag beforehand, so that growing leaves no copy of the plaintext behind.
        if body.capacity().saturating_sub(body.len()) < TAG_BYTES {
            let mut roomy =
                Zeroizing::new(Vec::with_capacity(body.len().saturating_add(TAG_BYTES)));
            roomy.extend_from_slice(&body);
            body = roomy;
        }
        let nonce = AeadNonce::assume_unique_for_key(nonce.0);
        self.0
            .seal_in_place_append_tag(nonce, Aad::from(context), &mut *body)
            .map_err(|_| SealFault::Library)?;
        Ok(std::mem::take(&mut *body))
    }

    pub(crate) fn open(
        &self,
        nonce: Nonce,
        context: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealFault> {
        let mut body = Zeroizing::new(ciphertext.to_vec());
        let nonce = AeadNonce::assume_unique_for_key(nonce.0);
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(context), &mut body)
            .map_err(|_| SealFault::NotAuthentic)?
            .len();
        body.truncate(opened);
        Ok(body)
    }

    pub(crate) fn open_part(
        &self,
        key: &[u8; 16],
        context: &[u8],
        part: &SealedPart,
    ) -> Result<Zeroizing<Vec<u8>>, SealFault> {
        if *part.key != *key {
            return Err(SealFault::WrongKey);
        }
        let nonce =
            part.nonce.as_ref().try_into().map(Nonce).map_err(|_| SealFault::NotAuthentic)?;
        self.open(nonce, context, &part.ciphertext)
    }
}

pub(crate) fn sealed_part(
    kind: PartKind,
    key: &[u8; 16],
    nonce: Nonce,
    ciphertext: Vec<u8>,
) -> SealedPart {
    SealedPart {
        kind: kind.into(),
        key: Bytes::copy_from_slice(key),
        nonce: Bytes::copy_from_slice(&nonce.0),
        ciphertext: ciphertext.into(),
    }
}

/// The concatenation of `parts`, each preceded by its length as a big-endian u64.
pub(crate) fn length_prefixed(parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len().saturating_add(8)).sum();
    let mut bytes = Vec::with_capacity(length);
    for part in parts {
        bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
