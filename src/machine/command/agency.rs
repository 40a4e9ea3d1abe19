//! Commands about agencies and their keys.

use std::collections::BTreeSet;

use crate::{
    machine::{
        command::{code, digest, malformed, name},
        state::agency::Keys,
    },
    model::{digest::Digest, id::AgencyId, order::UnixMillis, violation::Violation},
    pb::ledger::v1 as pb,
};

/// The greatest number of certificates of one agency.
pub const CERTIFICATES_MAX: usize = 8;

/// What is to change about an agency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgencyCommand {
    /// Invites an agency.
    Invite {
        /// Its id.
        agency: AgencyId,
        /// What kind of body it is.
        kind: pb::AgencyKind,
        /// SHA-256 of the secret.
        secret_digest: Digest,
        /// When the invitation ends.
        expires_at: UnixMillis,
    },
    /// Enrols the agency that asks.
    Enrol {
        /// The secret of the invitation.
        secret: Vec<u8>,
        /// The keys it brings.
        keys: BroughtKeys,
    },
    /// Replaces the keys of the agency that asks.
    Rotate {
        /// The keys in force from then on.
        keys: BroughtKeys,
    },
    /// Suspends an agency.
    Suspend {
        /// Which.
        agency: AgencyId,
    },
    /// Lifts an agency's suspension.
    Resume {
        /// Which.
        agency: AgencyId,
    },
}

/// Keys that an agency brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroughtKeys {
    /// The raw Ed25519 public key.
    pub signing_key: [u8; 32],
    /// Certificate fingerprints, 1 to [`CERTIFICATES_MAX`].
    pub certificates: BTreeSet<Digest>,
}

impl From<&BroughtKeys> for Keys {
    fn from(keys: &BroughtKeys) -> Self {
        Self { signing_key: keys.signing_key, certificates: keys.certificates.clone() }
    }
}

impl TryFrom<Option<pb::AgencyKeys>> for BroughtKeys {
    type Error = Violation;

    fn try_from(message: Option<pb::AgencyKeys>) -> Result<Self, Violation> {
        let pb::AgencyKeys { signing_key, certificates } =
            message.ok_or_else(|| malformed("keys", "the keys are missing"))?;
        let signing_key = <[u8; 32]>::try_from(&*signing_key)
            .map_err(|_| malformed("keys.signing_key", "an Ed25519 public key has 32 bytes"))?;
        let set: BTreeSet<Digest> = certificates
            .iter()
            .map(|bytes| digest(bytes, "keys.certificates"))
            .collect::<Result<_, _>>()?;
        if set.is_empty() || CERTIFICATES_MAX < certificates.len() {
            return Err(malformed("keys.certificates", "an agency has 1 to 8 certificates"));
        }
        Ok(Self { signing_key, certificates: set })
    }
}

impl AgencyCommand {
    pub(super) fn invite(message: pb::InviteAgency) -> Result<Self, Violation> {
        let pb::InviteAgency { agency, kind, secret_digest, expires_at_ms } = message;
        Ok(Self::Invite {
            agency: name(&agency, "agency")?,
            kind: code(kind, "kind")?,
            secret_digest: digest(&secret_digest, "secret_digest")?,
            expires_at: UnixMillis::new(expires_at_ms),
        })
    }

    pub(super) fn enrol(message: pb::EnrolAgency) -> Result<Self, Violation> {
        let pb::EnrolAgency { secret, keys } = message;
        if !(16..=64).contains(&secret.len()) {
            return Err(malformed("secret", "an invitation's secret has 16 to 64 bytes"));
        }
        Ok(Self::Enrol { secret: secret.to_vec(), keys: keys.try_into()? })
    }

    pub(super) fn rotate(message: pb::RotateKeys) -> Result<Self, Violation> {
        let pb::RotateKeys { keys } = message;
        Ok(Self::Rotate { keys: keys.try_into()? })
    }

    pub(super) fn suspend(message: pb::SuspendAgency) -> Result<Self, Violation> {
        let pb::SuspendAgency { agency } = message;
        Ok(Self::Suspend { agency: name(&agency, "agency")? })
    }

    pub(super) fn resume(message: pb::ResumeAgency) -> Result<Self, Violation> {
        let pb::ResumeAgency { agency } = message;
        Ok(Self::Resume { agency: name(&agency, "agency")? })
    }
}
