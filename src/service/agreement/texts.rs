//! The texts that come with a draft: bounded, and each one stated by its digest in the content.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::{
    machine::command::agreement::text_digest,
    model::violation::Violation,
    pb::ledger::v1::{AgreementContent, AgreementTexts, Party, Terms},
};

/// The length of a salt, in bytes.
const SALT_BYTES: usize = 32;
/// The greatest number of texts.
const TEXTS_MAX: usize = 256;
/// The greatest length of one text, in bytes.
const TEXT_BYTES_MAX: usize = 4_096;
/// The greatest length of all of them, in bytes.
const TEXTS_BYTES_MAX: usize = 256 << 10;

/// Holds that nothing is sealed beside a draft that its content does not state.
pub(super) fn hold(
    texts: Option<&AgreementTexts>,
    content: Option<&AgreementContent>,
) -> Result<(), Violation> {
    let Some(AgreementTexts { salt, texts }) = texts else { return Ok(()) };
    let out_of_range = |field: &str, text: &str| Err(Violation::new(field, "OUT_OF_RANGE", text));
    if salt.len() != SALT_BYTES {
        return out_of_range("texts.salt", "a salt has 32 bytes; draw it for each draft");
    }
    let all = texts.iter().fold(0_usize, |sum, text| sum.saturating_add(text.len()));
    if TEXTS_MAX < texts.len() || TEXTS_BYTES_MAX < all {
        return out_of_range("texts.texts", "there are at most 256 texts, of 256 KiB together");
    }
    let stated = content.map(digests).unwrap_or_default();
    for (place, text) in texts.iter().enumerate() {
        let field = format!("texts.texts[{place}]");
        if text.is_empty() || TEXT_BYTES_MAX < text.len() {
            return out_of_range(&field, "a text has 1 to 4,096 bytes");
        }
        if !stated.contains(text_digest(salt, text).as_bytes().as_slice()) {
            let why = "the content states no digest of this text under this salt";
            return Err(Violation::new(field, "TEXT_NOT_STATED", why));
        }
    }
    Ok(())
}

/// Every digest of a text that a content states.
fn digests(content: &AgreementContent) -> BTreeSet<Bytes> {
    let mut digests = BTreeSet::new();
    digests.extend(content.parties.iter().map(|Party { contact_digest, .. }| contact_digest));
    for flow in &content.flows {
        digests.extend([&flow.necessity_digest, &flow.consent_reason_digest]);
    }
    if let Some(terms) = &content.terms {
        let Terms {
            operator_terms_digest,
            joint_arrangement_digest,
            rights_procedure_digest,
            quality_rules_digest,
            dpia_digest,
            ..
        } = terms;
        digests.extend([
            operator_terms_digest,
            joint_arrangement_digest,
            rights_procedure_digest,
            quality_rules_digest,
            dpia_digest,
        ]);
    }
    digests.into_iter().filter(|digest| !digest.is_empty()).cloned().collect()
}
