//! The texts of agreements: sealed beside their draft under the drafter's key, and opened for the parties.
//!
//! A content states the digest of each; what nobody kept or what was erased is not there, and nothing depends on it.

use prost::Message;

use crate::{
    ledger::{Fault, Ledger},
    machine::{
        State,
        command::{Kind, agreement::AgreementCommand},
    },
    model::{
        id::{AgencyId, AgreementId, KeyId, LedgerId},
        order::Position,
    },
    node::{
        Asked, Node,
        keys::{corrupt, nonce},
    },
    pb::ledger::v1 as pb,
    seal::AssociatedData,
};

impl Node {
    /// Seals the texts of a draft; of no other command.
    pub(super) async fn texts_part(
        &self,
        asked: &Asked,
        kind: &Kind,
        texts: &pb::AgreementTexts,
    ) -> Result<Option<pb::SealedPart>, Fault> {
        let Kind::Agreement(AgreementCommand::Draft { agreement, .. }) = kind else {
            return Ok(None);
        };
        let Some(drafter) = asked.agency() else { return Ok(None) };
        let key = self.data_key(None, Some(drafter), pb::DisposalClass::Evidence).await?;
        let ledger = self.read(State::ledger);
        let context = context(&ledger, agreement, drafter);
        let (kind, bytes) = (pb::PartKind::AgreementTexts, texts.encode_to_vec());
        let part = key.seal(nonce(&self.shared.entropy), kind, &context, &bytes);
        part.map(Some).map_err(|fault| corrupt(&fault))
    }

    /// The texts that were sealed beside the draft at `position`, for a caller who may see the agreement; `None` if there
    /// were none or they are gone.
    ///
    /// # Errors
    /// A fault of the ledger, or what is stored does not open.
    pub async fn agreement_texts(
        &self,
        agreement: &AgreementId,
        (position, drafter): (Position, &AgencyId),
    ) -> Result<Option<pb::AgreementTexts>, Fault> {
        let Some(sealed) = self.shared.ledger.sealed(&[position]).await?.pop().flatten() else {
            return Ok(None);
        };
        let attachment = pb::Attachment::decode(sealed.bytes).map_err(|fault| corrupt(&fault))?;
        let kind = pb::PartKind::AgreementTexts;
        let Some(part) = attachment.parts.iter().find(|part| part.kind() == kind) else {
            return Ok(None);
        };
        let id = KeyId::from_slice(&part.key).map_err(|violation| corrupt(&violation))?;
        let key = self.key(id).await?;
        let ledger = self.read(State::ledger);
        let context = context(&ledger, agreement, drafter);
        let opened = key.open(&context, part).map_err(|fault| corrupt(&fault))?;
        let texts = pb::AgreementTexts::decode(opened.as_bytes());
        texts.map(Some).map_err(|fault| corrupt(&fault))
    }
}

fn context<'a>(
    ledger: &'a LedgerId,
    agreement: &'a AgreementId,
    drafter: &'a AgencyId,
) -> AssociatedData<'a> {
    let subject = agreement.as_str().as_bytes();
    let data_type = "agreement-texts";
    AssociatedData { ledger, subject, client: None, agency: Some(drafter), data_type }
}
