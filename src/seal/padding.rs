//! Padding: every body takes one of a few lengths, so that a ciphertext tells little of what it holds.
//!
//! A padded body is the plaintext's length as a big-endian u32, the plaintext, and zeros up to the bucket. It is padded
//! before it is sealed, so length and zeros are authenticated and the length is hidden.

use zeroize::Zeroizing;

use super::{SealFault, TAG_BYTES};

/// The length of the smallest bucket, in bytes.
pub const BUCKET_BYTES_MIN: usize = 256;

/// The length of the greatest bucket, in bytes. Between the two, each bucket is twice the one before.
pub const BUCKET_BYTES_MAX: usize = 1 << 20;

/// The length of the longest plaintext, in bytes.
pub const PLAINTEXT_BYTES_MAX: usize = BUCKET_BYTES_MAX - LENGTH_BYTES;

const LENGTH_BYTES: usize = 4;

/// The length of the smallest bucket that holds `plaintext_bytes`, in bytes; `None` if none does.
pub fn bucket(plaintext_bytes: usize) -> Option<usize> {
    let bucket = plaintext_bytes.checked_add(LENGTH_BYTES)?.checked_next_power_of_two()?;
    (bucket <= BUCKET_BYTES_MAX).then_some(bucket.max(BUCKET_BYTES_MIN))
}

/// The plaintext in its bucket, with room for a tag.
pub(super) fn pad(plaintext: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealFault> {
    let bucket = bucket(plaintext.len()).ok_or(SealFault::TooLong)?;
    let length = u32::try_from(plaintext.len()).map_err(|_| SealFault::TooLong)?;
    let mut body = Zeroizing::new(Vec::with_capacity(bucket.saturating_add(TAG_BYTES)));
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(plaintext);
    body.resize(bucket, 0);
    Ok(body)
}

/// Takes the plaintext out of its bucket. A body that [`pad`] did not make is not authentic.
pub(super) fn unpad(body: &mut Zeroizing<Vec<u8>>) -> Result<(), SealFault> {
    let (length, rest) = body.split_first_chunk::<LENGTH_BYTES>().ok_or(SealFault::NotAuthentic)?;
    let length =
        usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SealFault::NotAuthentic)?;
    let (_, zeros) = rest.split_at_checked(length).ok_or(SealFault::NotAuthentic)?;
    if bucket(length) != Some(body.len()) || zeros.iter().any(|byte| *byte != 0) {
        return Err(SealFault::NotAuthentic);
    }
    body.truncate(length.saturating_add(LENGTH_BYTES));
    body.drain(..LENGTH_BYTES).for_each(drop);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_double_from_256_bytes_to_one_mebibyte() {
        for (length, expected) in [
            (0, Some(256)),
            (252, Some(256)),
            (253, Some(512)),
            (508, Some(512)),
            (509, Some(1024)),
            (PLAINTEXT_BYTES_MAX, Some(1 << 20)),
            (PLAINTEXT_BYTES_MAX + 1, None),
            (usize::MAX, None),
        ] {
            assert_eq!(bucket(length), expected, "{length}");
        }
    }

    #[test]
    fn a_body_that_is_not_canonical_is_refused() {
        let good = pad(b"abc").unwrap();
        for (at, byte) in [(255, 1), (7, 1), (3, 4), (2, 1), (0, 255)] {
            let mut bad = good.clone();
            bad[at] = byte;
            let refused = unpad(&mut bad);
            // A longer length over zeros is another plaintext, still canonical in the same bucket.
            assert_eq!(refused.is_err(), at != 3, "byte {at}");
        }
        for length in [0, 3, 255] {
            let mut short = Zeroizing::new(good[..length].to_vec());
            assert_eq!(unpad(&mut short), Err(SealFault::NotAuthentic));
        }
    }

    proptest! {
        #[test]
        fn what_is_padded_comes_back_and_only_the_bucket_shows(
            length in prop_oneof![0..600_usize, 0..=PLAINTEXT_BYTES_MAX],
            byte: u8,
        ) {
            let plaintext = vec![byte; length];
            let mut body = pad(&plaintext).unwrap();
            prop_assert!(body.len().is_power_of_two() && BUCKET_BYTES_MIN <= body.len());
            prop_assert!(body.len() == BUCKET_BYTES_MIN || body.len() < (length + LENGTH_BYTES) * 2);
            unpad(&mut body).unwrap();
            prop_assert_eq!(&*body, &plaintext);
        }
    }
}
