//! Opaque tokens: cursors, page tokens and decision ids that a caller holds but cannot read, forge or use elsewhere.
//!
//! A token is AES-256-GCM whose nonce is an HMAC-SHA-256 over scope and content (a synthetic nonce, as in RFC 5297), so
//! the same content in the same scope gives the same token and two contents never share a nonce by mistake. A token
//! shows how long its content is; contents therefore have fixed lengths.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{DataKey, NONCE_BYTES, Nonce, SealFault, Sealer, TAG_BYTES, length_prefixed};
use crate::model::{id::AgencyId, violation::Violation};

/// The greatest length of a token's content, in bytes.
pub const CONTENT_BYTES_MAX: usize = 512;

const TOKEN_TEXT_MAX: usize = (CONTENT_BYTES_MAX + NONCE_BYTES + TAG_BYTES).div_ceil(3) * 4;

/// Where a token means something: with one agency, for one purpose.
#[derive(Clone, Copy, Debug)]
pub struct TokenScope<'a> {
    /// The agency that holds the token.
    pub agency: &'a AgencyId,
    /// What it is for, and where if that matters, such as `["cursor", "leavers"]`.
    pub purpose: &'a [&'a str],
}

/// Makes and reads the tokens of one exchange.
pub struct TokenKey {
    sealing: Sealer,
    nonces: hmac::Key,
}

impl TokenKey {
    /// Derives the token key from one of the exchange's own data keys.
    ///
    /// # Errors
    /// [`SealFault::Library`] if the cryptographic library cannot take it.
    pub fn derive(key: &DataKey) -> Result<Self, SealFault> {
        let sealing = Sealer::new(&key.secret().derive("token")?)?;
        let nonces = key.secret().derive("token-nonce")?;
        Ok(Self { sealing, nonces: hmac::Key::new(hmac::HMAC_SHA256, nonces.expose()) })
    }

    /// The token for `content`: url-safe base64 (RFC 4648 §5) without padding.
    ///
    /// # Errors
    /// [`SealFault::TooLong`] beyond [`CONTENT_BYTES_MAX`].
    pub fn seal(&self, scope: &TokenScope<'_>, content: &[u8]) -> Result<String, SealFault> {
        if CONTENT_BYTES_MAX < content.len() {
            return Err(SealFault::TooLong);
        }
        let scope = scope.encode();
        let nonce = self.nonce(&scope, content);
        let ciphertext = self.sealing.seal(nonce, &scope, Zeroizing::new(content.to_vec()))?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_bytes().as_slice(), &ciphertext].concat()))
    }

    /// The content of a token.
    ///
    /// # Errors
    /// One and the same violation whether the token is malformed, was changed, or was made by another exchange, for
    /// another agency or for another purpose.
    pub fn open(&self, scope: &TokenScope<'_>, token: &str) -> Result<Vec<u8>, Violation> {
        self.try_open(scope, token).ok_or_else(|| {
            Violation::new(
                "",
                "MALFORMED_TOKEN",
                "the token was not made for this caller and this use",
            )
        })
    }

    fn try_open(&self, scope: &TokenScope<'_>, token: &str) -> Option<Vec<u8>> {
        if TOKEN_TEXT_MAX < token.len() {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (nonce, ciphertext) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let (nonce, scope) = (Nonce::from_bytes(*nonce), scope.encode());
        let mut content = self.sealing.open(nonce, &scope, ciphertext).ok()?;
        // INVARIANT (token): one content has one token, so that a token may serve as an id.
        (self.nonce(&scope, &content) == nonce).then(|| std::mem::take(&mut *content))
    }

    fn nonce(&self, scope: &[u8], content: &[u8]) -> Nonce {
        let mac = hmac::sign(&self.nonces, &length_prefixed(&[scope, content]));
        let mut nonce = [0; NONCE_BYTES];
        for (to, from) in nonce.iter_mut().zip(mac.as_ref()) {
            *to = *from;
        }
        Nonce::from_bytes(nonce)
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

impl TokenScope<'_> {
    fn encode(&self) -> Vec<u8> {
        let mut parts = vec![b"concordat.token.v1".as_slice(), self.agency.as_str().as_bytes()];
        parts.extend(self.purpose.iter().map(|part| part.as_bytes()));
        length_prefixed(&parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::id::KeyId, seal::Secret};

    fn key(byte: u8) -> TokenKey {
        let key = DataKey::new(KeyId::from_bytes([1; 16]), Secret::from_bytes([byte; 32])).unwrap();
        TokenKey::derive(&key).unwrap()
    }

    fn agency(id: &str) -> AgencyId {
        id.parse().unwrap()
    }

    #[test]
    fn the_same_content_gives_the_same_token_and_comes_back() {
        let (key, agency) = (key(7), agency("skills"));
        let scope = TokenScope { agency: &agency, purpose: &["cursor", "leavers"] };
        for content in [&b""[..], b"x", &[9; CONTENT_BYTES_MAX]] {
            let token = key.seal(&scope, content).unwrap();
            assert_eq!(token, key.seal(&scope, content).unwrap());
            assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            assert_eq!(key.open(&scope, &token).unwrap(), content);
        }
        assert_eq!(key.seal(&scope, &[9; CONTENT_BYTES_MAX + 1]), Err(SealFault::TooLong));
    }

    #[test]
    fn a_token_is_worth_nothing_elsewhere() {
        let (one, two) = (agency("skills"), agency("college"));
        let scope = TokenScope { agency: &one, purpose: &["cursor", "leavers"] };
        let token = key(7).seal(&scope, b"12").unwrap();
        for (agency, purpose) in [
            (&two, &["cursor", "leavers"][..]),
            (&one, &["page", "leavers"]),
            (&one, &["cursor"]),
            (&one, &["cursorleavers"]),
            (&one, &["cursor", "leavers", ""]),
        ] {
            assert!(key(7).open(&TokenScope { agency, purpose }, &token).is_err(), "{purpose:?}");
        }
        assert!(key(8).open(&scope, &token).is_err());
    }

    #[test]
    fn a_changed_token_is_refused_with_one_and_the_same_violation() {
        let (key, agency) = (key(7), agency("skills"));
        let scope = TokenScope { agency: &agency, purpose: &["cursor"] };
        let token = key.seal(&scope, b"twelve").unwrap();
        let foreign = key.open(&scope, "AAAA").unwrap_err();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            let cut = String::from_utf8(bytes[..at].to_vec()).unwrap();
            assert_eq!(key.open(&scope, &cut).unwrap_err(), foreign, "{at}");
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(key.open(&scope, &changed).unwrap_err(), foreign, "{at}");
        }
        for bad in ["", "é", "a b", &"A".repeat(100_000), &format!("{token}=")] {
            assert_eq!(key.open(&scope, bad).unwrap_err(), foreign);
        }
    }
}
