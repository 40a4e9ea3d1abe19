//! Identifiers: what names an agency, a record, a client; parsed here and nowhere else.
//!
//! A slug is chosen by people and appears in resource names; a 16-byte id is random or derived and appears as 32
//! lower-case hexadecimal digits. No id ever holds a fact about a person.

use std::{fmt, str::FromStr, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::model::{digest::Digest, hexadecimal, violation::Violation};

/// The greatest length of a slug, in bytes.
pub const SLUG_BYTES_MAX: usize = 63;

fn slug(text: &str, what: &str) -> Result<Arc<str>, Violation> {
    let ok = !text.is_empty()
        && text.len() <= SLUG_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-');
    if ok {
        Ok(text.into())
    } else {
        Err(Violation::new(
            "",
            "MALFORMED_NAME",
            format!(
                "a {what} is 1 to {SLUG_BYTES_MAX} lower-case letters, digits and hyphens, starting with a letter and not ending with a hyphen"
            ),
        ))
    }
}

macro_rules! slug_id {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The slug itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Violation;

            fn from_str(text: &str) -> Result<Self, Violation> {
                slug(text, $what).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )*};
}

slug_id! {
    /// An agency: an organisation that is a data controller, such as `inverclyde-council`.
    AgencyId, "agency id";
    /// A data sharing agreement, such as `school-leavers-2026`.
    AgreementId, "agreement id";
    /// One flow inside an agreement, such as `leavers-to-sds`.
    FlowId, "flow id";
    /// One indicator of an agreement, such as `leavers-in-work`.
    IndicatorId, "indicator id";
    /// A type of record, such as `leaver-form`.
    RecordTypeName, "record type";
    /// A field group of a record type, such as `core`.
    GroupName, "field group";
    /// A subscription of one agency, unique inside it.
    SubscriptionId, "subscription id";
    /// A policy of one agency, unique inside it.
    PolicyId, "policy id";
}

macro_rules! byte_id {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Wraps 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The id in `bytes`.
            ///
            /// # Errors
            /// A violation unless there are exactly 16 bytes.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, Violation> {
                <[u8; 16]>::try_from(bytes)
                    .map(Self)
                    .map_err(|_| Violation::new("", "MALFORMED_ID", concat!($what, " has 16 bytes")))
            }

            /// The id that the digest's first half is.
            pub fn derived(digest: &Digest) -> Self {
                Self(digest.first_half())
            }

            /// The 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Violation;

            fn from_str(text: &str) -> Result<Self, Violation> {
                hexadecimal::parse(text).map(Self).ok_or_else(|| {
                    Violation::new("", "MALFORMED_ID", concat!($what, " is 32 lower-case hexadecimal digits"))
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hexadecimal::write(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}

byte_id! {
    /// One ledger, for ever: drawn at its Genesis.
    LedgerId, "a ledger id";
    /// A client inside the exchange: random, never shown to an agency.
    ClientId, "a client id";
    /// A client as one agency knows it: the only client id an agency ever sees.
    AliasId, "a client name";
    /// One version of one record.
    RecordId, "a record id";
    /// One consent, refusal of consent or withdrawal.
    ConsentId, "a consent id";
    /// One recall of one record from one recipient.
    RecallId, "a recall id";
    /// One dispute about one record.
    DisputeId, "a dispute id";
    /// One case: a right exercised, a complaint, an incident.
    CaseId, "a case id";
    /// One erasure of what an agency published.
    ErasureId, "an erasure id";
    /// One legal hold.
    HoldId, "a hold id";
    /// One succession of one body to another's place.
    SuccessionId, "a succession id";
    /// One key-encryption epoch, by its name.
    EpochName, "an epoch name";
    /// One emergency access.
    EmergencyId, "an emergency id";
    /// A person who speaks for a client, or must not, as one agency recorded them.
    HolderId, "a holder id";
    /// A data key: one per client, publishing agency and disposal class.
    KeyId, "a key id";
    /// A caller's name for one request, a UUIDv7 (RFC 9562 §5.7).
    RequestId, "a request id";
}

impl RecordId {
    /// The id of what came about in that second since the epoch: its low 32 bits, then the first 12 bytes of the digest.
    pub fn derived_at(second: u64, digest: &Digest) -> Self {
        let mut bytes = digest.first_half();
        let [_, _, _, _, low @ ..] = second.to_be_bytes();
        bytes.rotate_right(low.len());
        for (byte, low) in bytes.iter_mut().zip(low) {
            *byte = low;
        }
        Self(bytes)
    }
}

impl RequestId {
    /// Milliseconds since the epoch at which the caller made this id, if it is a UUIDv7.
    pub fn unix_millis(&self) -> Option<u64> {
        let uuid = uuid::Uuid::from_bytes(self.0);
        if uuid.get_version_num() != 7 {
            return None;
        }
        let (seconds, nanos) = uuid.get_timestamp()?.to_unix();
        seconds.checked_mul(1000)?.checked_add(u64::from(nanos / 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_lower_case_and_bounded() {
        for good in ["a", "inverclyde-council", "x9"] {
            assert!(good.parse::<AgencyId>().is_ok(), "{good}");
        }
        for bad in ["", "A", "9a", "a-", "a b", "á", &"a".repeat(64)] {
            assert!(bad.parse::<AgencyId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn byte_ids_round_trip_through_text_and_refuse_other_forms() {
        let id = RecordId::from_bytes(*b"0123456789abcdef");
        assert_eq!(id.to_string().parse::<RecordId>(), Ok(id));
        let text = id.to_string();
        assert!(text.to_uppercase().parse::<RecordId>().is_ok() == (text == text.to_uppercase()));
        for bad in ["", "00", &"g".repeat(32), &"+1".repeat(16)] {
            assert!(bad.parse::<RecordId>().is_err(), "{bad}");
        }
    }
}
