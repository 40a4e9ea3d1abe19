//! The certificate profile: `certs/profile.toml`, read once and at build time part of the program.

use std::{sync::LazyLock, time::Duration};

use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm};
use serde::Deserialize;

use crate::identity::fault::Fault;

const TEXT: &str = include_str!("../../certs/profile.toml");

static PROFILE: LazyLock<Result<CertificateProfile, String>> =
    LazyLock::new(|| toml::from_str(TEXT).map_err(|cause| cause.to_string()));

/// What the certificates of the development authority look like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateProfile {
    /// How long before its issue a certificate or list is already valid, in minutes.
    pub backdate_minutes: u32,
    /// The authority's own certificate.
    pub authority: AuthorityRule,
    /// An agency's certificate.
    pub agency: LeafRule,
    /// The operator's certificate.
    pub operator: LeafRule,
    /// The exchange's certificate.
    pub server: LeafRule,
    /// The revocation list.
    pub revocation_list: RevocationListRule,
}

impl CertificateProfile {
    /// The profile this program was built with.
    ///
    /// # Errors
    /// [`Fault::Unusable`] if `certs/profile.toml` was not well-formed at build time.
    pub fn built_in() -> Result<&'static Self, Fault> {
        PROFILE.as_ref().map_err(|cause| Fault::Unusable(format!("certs/profile.toml: {cause}")))
    }

    /// How long before its issue a certificate or list is already valid.
    pub fn backdate(&self) -> Duration {
        Duration::from_secs(u64::from(self.backdate_minutes) * 60)
    }
}

/// What the authority's own certificate looks like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityRule {
    /// Its common name.
    pub common_name: String,
    /// Its kind of key.
    pub key_type: KeyType,
    /// How long it is valid, in days.
    pub valid_days: u32,
    /// What its key may do.
    pub key_usages: Vec<KeyUsage>,
}

/// What a certificate under the authority looks like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeafRule {
    /// Its common name; the agency's id if there is none here.
    #[serde(default)]
    pub common_name: Option<String>,
    /// Its kind of key.
    pub key_type: KeyType,
    /// How long it is valid, in days.
    pub valid_days: u32,
    /// What its key may do.
    pub key_usages: Vec<KeyUsage>,
    /// Which side of a connection it may be on.
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    /// DNS names and IP addresses it always carries.
    pub alternative_names: Vec<String>,
}

impl LeafRule {
    /// How long it is valid.
    pub fn validity(&self) -> Duration {
        days(self.valid_days)
    }
}

impl AuthorityRule {
    /// How long it is valid.
    pub fn validity(&self) -> Duration {
        days(self.valid_days)
    }
}

/// How long a revocation list is in force.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationListRule {
    /// Hours from its issue to its next update.
    pub valid_hours: u32,
    /// Hours from its issue until an exchange that runs makes the next one.
    pub renew_after_hours: u32,
}

impl RevocationListRule {
    /// From its issue to its next update.
    pub fn validity(&self) -> Duration {
        hours(self.valid_hours)
    }

    /// From its issue until the next one is made.
    pub fn renew_after(&self) -> Duration {
        hours(self.renew_after_hours)
    }
}

/// A kind of key for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum KeyType {
    /// ECDSA on P-256, which every gRPC library speaks.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
}

impl KeyType {
    pub(crate) fn algorithm(self) -> &'static SignatureAlgorithm {
        match self {
            Self::EcdsaP256 => &PKCS_ECDSA_P256_SHA256,
        }
    }
}

/// What a key may do (RFC 5280 §4.2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyUsage {
    /// Sign handshakes.
    DigitalSignature,
    /// Sign certificates.
    KeyCertSign,
    /// Sign revocation lists.
    CrlSign,
}

impl From<KeyUsage> for KeyUsagePurpose {
    fn from(usage: KeyUsage) -> Self {
        match usage {
            KeyUsage::DigitalSignature => Self::DigitalSignature,
            KeyUsage::KeyCertSign => Self::KeyCertSign,
            KeyUsage::CrlSign => Self::CrlSign,
        }
    }
}

/// Which side of a connection a certificate may be on (RFC 5280 §4.2.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExtendedKeyUsage {
    /// The exchange.
    ServerAuth,
    /// A caller.
    ClientAuth,
}

impl From<ExtendedKeyUsage> for ExtendedKeyUsagePurpose {
    fn from(usage: ExtendedKeyUsage) -> Self {
        match usage {
            ExtendedKeyUsage::ServerAuth => Self::ServerAuth,
            ExtendedKeyUsage::ClientAuth => Self::ClientAuth,
        }
    }
}

fn days(count: u32) -> Duration {
    hours(count).saturating_mul(24)
}

fn hours(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 3_600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_profile_parses_and_renews_its_lists_in_time() {
        let profile = CertificateProfile::built_in().unwrap();
        assert!(profile.revocation_list.renew_after() < profile.revocation_list.validity());
        assert!(profile.agency.alternative_names.is_empty());
        assert_eq!(profile.agency.extended_key_usages, [ExtendedKeyUsage::ClientAuth]);
        assert_eq!(profile.server.extended_key_usages, [ExtendedKeyUsage::ServerAuth]);
        assert!(profile.server.validity() < profile.authority.validity());
    }
}
