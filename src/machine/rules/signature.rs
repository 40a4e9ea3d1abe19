//! Signatures: what speaks in an agency's name is signed by the agency's own key, which the exchange never holds.
//!
//! INVARIANT (party): no command that widens what may be shared, or that binds a party, passes without a signature by
//! the key that the ledger holds for that agency. The operator, with every file and certificate, cannot make one (G5).
//! Source: RFC 8032 (Ed25519).

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use crate::{
    machine::{
        apply::{Context, needs_signature},
        command::{Command, Kind, Signature, agency::AgencyCommand},
        outcome::Refusal,
        state::{State, agency::Keys},
    },
    model::digest::Digest,
};

/// Verifies the signature of a command that needs one.
///
/// # Errors
/// `ActorNotPermitted` if it is not an agency that asks, `SignatureMissing`, `SignatureInvalid`.
pub(in crate::machine) fn verify(
    state: &State,
    context: &Context,
    command: &Command,
) -> Result<(), Refusal> {
    if !needs_signature(&command.kind) {
        return Ok(());
    }
    let agency = state.agency(context.agency()?).ok_or(Refusal::AgencyUnknown)?;
    let signature = command.signature.as_ref().ok_or(Refusal::SignatureMissing)?;
    let brought = match &command.kind {
        Kind::Agency(AgencyCommand::Enrol { keys, .. }) => Some(Keys::from(keys)),
        Kind::Agency(_)
        | Kind::Exchange(_)
        | Kind::Agreement(_)
        | Kind::Consent(_)
        | Kind::Policy(_)
        | Kind::Client(_)
        | Kind::Record(_)
        | Kind::Subscription(_)
        | Kind::Recall(_)
        | Kind::Dispute(_)
        | Kind::Case(_)
        | Kind::Erasure(_)
        | Kind::Emergency(_)
        | Kind::Words(_)
        | Kind::Succession(_) => None,
    };
    let keys = brought.as_ref().or(agency.keys.as_ref()).ok_or(Refusal::AgencyNotEnrolled)?;
    let statement = command.signed.statement(state.ledger(), &agency.id, command.request_id);
    if holds(&keys.signing_key, signature, &statement) {
        Ok(())
    } else {
        Err(Refusal::SignatureInvalid)
    }
}

/// Whether a signature is by this raw Ed25519 public key, over this statement.
pub fn holds(signing_key: &[u8; 32], signature: &Signature, statement: &[u8]) -> bool {
    Digest::of_concatenation(&[signing_key]) == signature.key_fingerprint
        && UnparsedPublicKey::new(&ED25519, signing_key).verify(statement, &signature.value).is_ok()
}
