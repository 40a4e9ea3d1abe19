//! What the exchange takes from a certificate: its key's fingerprint, its serial number, its validity.
//!
//! Subject and alternative names are not even parsed: a name in a certificate is a label for people. Source of the
//! layout: RFC 5280 §4.1.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};

use crate::model::{digest::Digest, hexadecimal, order::UnixMillis, violation::Violation};

/// The greatest length of a serial number, in bytes (RFC 5280 §4.1.2.2).
const SERIAL_BYTES_MAX: usize = 20;

/// The serial number of a certificate, unique for its authority.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serial(Box<[u8]>);

impl Serial {
    /// The number whose big-endian bytes these are; leading zeros do not count.
    pub fn from_be_bytes(bytes: &[u8]) -> Self {
        Self(bytes.iter().copied().skip_while(|byte| *byte == 0).collect())
    }

    /// The big-endian bytes, without leading zeros.
    pub const fn as_be_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal::write(f, &self.0)
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = Violation;

    /// Parses hexadecimal digits, with or without colons between the bytes.
    fn from_str(text: &str) -> Result<Self, Violation> {
        let malformed = || {
            Violation::new(
                "serial",
                "MALFORMED_SERIAL",
                format!("a serial number is 1 to {SERIAL_BYTES_MAX} bytes in hexadecimal digits"),
            )
        };
        let digits: Vec<u8> = text
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()
            .ok_or_else(malformed)?;
        if digits.is_empty() || SERIAL_BYTES_MAX * 2 < digits.len() {
            return Err(malformed());
        }
        // An odd number of digits lacks its leading zero: pair them from the right.
        let mut bytes: Vec<u8> = digits
            .rchunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect();
        bytes.reverse();
        Ok(Self::from_be_bytes(&bytes))
    }
}

/// The facts of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// SHA-256 of the `SubjectPublicKeyInfo`: the caller's identity.
    pub fingerprint: Digest,
    /// Its serial number.
    pub serial: Serial,
    /// The first second in which it is valid.
    pub not_before: UnixMillis,
    /// The last second in which it is valid.
    pub not_after: UnixMillis,
}

impl CertificateFacts {
    /// Parses a DER certificate, or gives `None` if it is not one. Verifies nothing.
    pub fn parse(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
        if !rest.is_empty() {
            return None;
        }
        Some(Self {
            fingerprint: Digest::of_concatenation(&[parsed.public_key().raw]),
            serial: Serial::from_be_bytes(parsed.raw_serial()),
            not_before: millis(parsed.validity().not_before),
            not_after: millis(parsed.validity().not_after),
        })
    }
}

/// The instant of an ASN.1 time; what lies before 1970 counts as 1970.
pub(crate) fn millis(time: ASN1Time) -> UnixMillis {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    UnixMillis::new(seconds.saturating_mul(1000))
}

/// A caller's verified certificate, kept with its connection for as long as that lives.
///
/// Only a completed handshake makes one. Whether it is *still* good is [`crate::identity::trust::Trust::recheck`]'s to
/// say.
#[derive(Debug)]
pub struct PeerCertificate {
    facts: CertificateFacts,
    chain: Vec<CertificateDer<'static>>,
    expires: UnixMillis,
    verified: AtomicU64,
}

impl PeerCertificate {
    /// Takes the chain that a handshake verified, leaf first, under the given generation of trust.
    ///
    /// `None` if it is empty or a certificate does not parse.
    pub(crate) fn verified(chain: &[CertificateDer<'_>], generation: u64) -> Option<Self> {
        let facts =
            chain.iter().map(CertificateFacts::parse).collect::<Option<Vec<CertificateFacts>>>()?;
        let expires = facts.iter().map(|facts| facts.not_after).min()?;
        Some(Self {
            facts: facts.into_iter().next()?,
            chain: chain.iter().map(|der| der.clone().into_owned()).collect(),
            expires,
            verified: AtomicU64::new(generation),
        })
    }

    /// SHA-256 of the leaf's `SubjectPublicKeyInfo`: the caller's identity, and all of it.
    pub const fn fingerprint(&self) -> Digest {
        self.facts.fingerprint
    }

    /// The leaf's serial number.
    pub const fn serial(&self) -> &Serial {
        &self.facts.serial
    }

    /// The first second in which the leaf is valid.
    pub const fn not_before(&self) -> UnixMillis {
        self.facts.not_before
    }

    /// The last second in which the leaf is valid.
    pub const fn not_after(&self) -> UnixMillis {
        self.facts.not_after
    }

    /// The last second in which the leaf and everything presented with it are valid.
    pub(crate) const fn expires(&self) -> UnixMillis {
        self.expires
    }

    /// The presented certificates, leaf first; never empty.
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The generation of trust under which it was last verified.
    pub(crate) fn generation(&self) -> u64 {
        self.verified.load(Ordering::Relaxed)
    }

    /// Remembers that it was verified under a later generation of trust.
    pub(crate) fn verified_again(&self, generation: u64) {
        self.verified.store(generation, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_reads_back_from_its_own_text() {
        for bytes in [&[1][..], &[0x0a, 0], &[0xff; 20]] {
            let serial = Serial::from_be_bytes(bytes);
            assert_eq!(serial.to_string().parse(), Ok(serial));
        }
    }

    #[test]
    fn a_serial_number_is_a_number_and_not_its_spelling() {
        let serial = Serial::from_be_bytes(&[0, 0x0a, 0xbc]);
        for text in ["abc", "0abc", "0a:bc", "00:0A:BC"] {
            assert_eq!(text.parse(), Ok(serial.clone()), "{text}");
        }
        for bad in ["", ":", "xyz", "-1", &"1".repeat(41)] {
            assert!(bad.parse::<Serial>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_a_certificate_has_no_facts() {
        for bad in [&b""[..], b"certificate", &[0x30, 0x80, 0, 0]] {
            assert_eq!(CertificateFacts::parse(&CertificateDer::from_slice(bad)), None);
        }
        assert!(PeerCertificate::verified(&[], 0).is_none());
    }
}
