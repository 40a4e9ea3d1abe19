//! Signed receipts: one JSON document that verifies with nothing but the exchange's checkpoint key.
//!
//! `{"receipt": …, "proof": {"type": "Ed25519", "key": …, "signature": …}}`. The signature (RFC 8032) covers
//! `concordat.receipt.v1`, a line feed, and the receipt in canonical form: no white space, the names of an object in
//! the order of their bytes, no number but integers; which is RFC 8785 for what receipts hold. Key and signature are
//! lower-case hexadecimal. It does not say whether the key is the right one: whoever verifies must know it.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Map, Value, json};

use crate::model::hexadecimal;

/// What a signature covers begins with this.
const DOMAIN: &[u8] = b"concordat.receipt.v1\n";

/// Why a document is no receipt of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is not of this shape.
    Malformed,
    /// It is signed by another key than the one that is known.
    OtherKey,
    /// The signature does not fit: it was changed, or never signed.
    NotSigned,
}

/// What is signed of a receipt.
pub fn statement(receipt: &Value) -> Vec<u8> {
    let mut statement = DOMAIN.to_vec();
    statement.extend(canonical(receipt).to_string().into_bytes());
    statement
}

/// A receipt with its proof, to be read by people too.
pub fn document(receipt: &Value, key: &[u8], signature: &[u8]) -> String {
    let proof =
        json!({ "type": "Ed25519", "key": hex::encode(key), "signature": hex::encode(signature) });
    format!("{:#}", json!({ "receipt": receipt, "proof": proof }))
}

/// The receipt in a document, if the key signed it: the one given, or the one that the document names.
///
/// # Errors
/// What is wrong with it.
pub fn verify(document: &str, known: Option<&[u8]>) -> Result<(Value, Vec<u8>), Flaw> {
    let whole: Value = serde_json::from_str(document).map_err(|_| Flaw::Malformed)?;
    let receipt = whole.get("receipt").filter(|receipt| receipt.is_object());
    let receipt = receipt.ok_or(Flaw::Malformed)?;
    let proof = whole.get("proof").ok_or(Flaw::Malformed)?;
    let field = |name: &str| {
        proof.get(name).and_then(Value::as_str).and_then(hexadecimal::parse::<Vec<u8>>)
    };
    let key = field("key").ok_or(Flaw::Malformed)?;
    let signature = field("signature").ok_or(Flaw::Malformed)?;
    if known.is_some_and(|known| known != key) {
        return Err(Flaw::OtherKey);
    }
    UnparsedPublicKey::new(&ED25519, &key)
        .verify(&statement(receipt), &signature)
        .map_err(|_| Flaw::NotSigned)?;
    Ok((receipt.clone(), key))
}

/// The same value, the names of every object in the order of their bytes.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<_> = fields.iter().collect();
            names.sort_by_key(|(name, _)| name.as_bytes());
            let sorted = names.into_iter().map(|(name, value)| (name.clone(), canonical(value)));
            Value::Object(sorted.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    fn signed() -> (String, Vec<u8>) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let receipt = json!({ "b": [1, { "d": "ü", "c": null }], "a": "x" });
        let signature = pair.sign(&statement(&receipt));
        let key = pair.public_key().as_ref().to_vec();
        (document(&receipt, &key, signature.as_ref()), key)
    }

    #[test]
    fn a_receipt_verifies_however_it_is_laid_out() {
        let (text, key) = signed();
        assert!(verify(&text, Some(&key)).is_ok());
        let dense = serde_json::from_str::<Value>(&text).unwrap().to_string();
        assert_eq!(verify(&dense, None).map(|(_, by)| by), Ok(key));
    }

    #[test]
    fn what_was_changed_or_signed_by_another_key_does_not_verify() {
        let (text, key) = signed();
        let changed = text.replace("\"x\"", "\"y\"");
        assert_eq!(verify(&changed, Some(&key)), Err(Flaw::NotSigned));
        assert_eq!(verify(&text, Some(&[1; 32])), Err(Flaw::OtherKey));
        assert_eq!(verify("{}", None), Err(Flaw::Malformed));
        assert_eq!(verify("[1", None), Err(Flaw::Malformed));
    }

    #[test]
    fn the_canonical_form_has_no_space_and_sorted_names() {
        let receipt = json!({ "b": [1, { "d": 2, "c": null }], "a": "x" });
        let expected = "concordat.receipt.v1\n{\"a\":\"x\",\"b\":[1,{\"c\":null,\"d\":2}]}";
        assert_eq!(statement(&receipt), expected.as_bytes());
    }
}
