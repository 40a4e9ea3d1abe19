//! Signing with an agency's key: Ed25519 (RFC 8032).
//!
//! The key proves what the agency itself decided (its approvals, its changes of keys), apart from the certificate its
//! machines connect with. Verifying is the machine's part; nothing here verifies.

use std::{fmt, path::Path};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use zeroize::Zeroizing;

use crate::{
    identity::{
        fault::Fault,
        file::{self, Secrecy},
    },
    model::digest::Digest,
};

/// The DER bytes before the key in the `SubjectPublicKeyInfo` of an Ed25519 key (RFC 8410 §4).
const PUBLIC_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// The characters of one line of PEM (RFC 7468 §2).
const PEM_LINE: usize = 64;

/// A private key that signs for an agency, the operator or the exchange.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl SigningKey {
    /// Draws a new key from the cryptography provider's own entropy.
    ///
    /// # Errors
    /// [`Fault::Cryptography`] if the system has no entropy.
    pub fn generate() -> Result<Self, Fault> {
        Self::new(Ed25519KeyPair::generate().map_err(|cause| Fault::cryptography(&cause))?)
    }

    /// The key that this seed makes: the same seed, the same key.
    ///
    /// # Errors
    /// [`Fault::Cryptography`]; not for any seed known.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, Fault> {
        Self::new(
            Ed25519KeyPair::from_seed_unchecked(seed)
                .map_err(|cause| Fault::cryptography(&cause))?,
        )
    }

    /// Reads a key in PKCS#8 PEM form.
    ///
    /// # Errors
    /// The file cannot be read, or holds no Ed25519 key.
    pub fn load(path: &Path) -> Result<Self, Fault> {
        let text = file::read(path)?;
        let malformed = || Fault::malformed(path, "holds no Ed25519 key in PKCS#8 PEM form");
        let der = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(|_| malformed())?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der())
            .map_err(|_| malformed())?;
        Self::new(pair)
    }

    /// Writes the private key (mode 0600) and its public half, both PEM; durable when it returns.
    ///
    /// The private key is PKCS#8 version 1, which older programs read too (RFC 8410 §7).
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, private: &Path, public: &Path) -> Result<(), Fault> {
        let document = self.pair.to_pkcs8v1().map_err(|cause| Fault::cryptography(&cause))?;
        let text = Zeroizing::new(pem("PRIVATE KEY", document.as_ref()));
        file::replace(private, text.as_bytes(), Secrecy::Private)?;
        file::replace(public, self.public_pem().as_bytes(), Secrecy::Public)
    }

    /// The raw public key.
    pub const fn public(&self) -> [u8; 32] {
        self.public
    }

    /// The public key as `SubjectPublicKeyInfo` PEM.
    pub fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &[&PUBLIC_PREFIX[..], &self.public].concat())
    }

    /// SHA-256 of the raw public key: what an agreement's content hash covers.
    pub fn fingerprint(&self) -> Digest {
        Digest::of_concatenation(&[&self.public])
    }

    /// Signs `message`; the same message always gets the same signature.
    ///
    /// # Errors
    /// [`Fault::Cryptography`] if the provider fails.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64], Fault> {
        let signature = self.pair.try_sign(message).map_err(|cause| Fault::cryptography(&cause))?;
        <[u8; 64]>::try_from(signature.as_ref()).map_err(|cause| Fault::cryptography(&cause))
    }

    fn new(pair: Ed25519KeyPair) -> Result<Self, Fault> {
        let public = <[u8; 32]>::try_from(pair.public_key().as_ref())
            .map_err(|cause| Fault::cryptography(&cause))?;
        Ok(Self { pair, public })
    }
}

impl fmt::Debug for SigningKey {
    /// Shows the fingerprint and nothing secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.fingerprint())
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let encoded = Zeroizing::new(STANDARD.encode(der));
    for (column, character) in encoded.chars().enumerate() {
        if column != 0 && column.is_multiple_of(PEM_LINE) {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str("\n-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hexadecimal: &str) -> [u8; N] {
        let bytes: Vec<u8> = hexadecimal
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        bytes.try_into().unwrap()
    }

    #[test]
    fn the_second_vector_of_rfc_8032_holds() {
        let key = SigningKey::from_seed(&bytes(
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        ))
        .unwrap();
        assert_eq!(
            key.public(),
            bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
        );
        assert_eq!(
            key.sign(&[0x72]).unwrap(),
            bytes(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                 085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            )
        );
    }

    #[test]
    fn the_public_key_in_pem_form_is_that_of_rfc_8410() {
        let key = SigningKey::from_seed(&bytes(
            "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842",
        ))
        .unwrap();
        assert_eq!(
            key.public_pem(),
            "-----BEGIN PUBLIC KEY-----\n\
             MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
             -----END PUBLIC KEY-----\n"
        );
    }

    #[test]
    fn a_saved_key_signs_as_before_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let (private, public) =
            (directory.path().join("signing.key"), directory.path().join("signing.pub"));
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        key.save(&private, &public).unwrap();
        let loaded = SigningKey::load(&private).unwrap();
        assert_eq!(loaded.sign(b"approve"), key.sign(b"approve"));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&private), mode(&public)), (0o600, 0o644));
        assert!(!format!("{key:?}").contains("pair"));
        assert!(matches!(SigningKey::load(&public), Err(Fault::Malformed { .. })));
    }
}
