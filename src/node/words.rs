//! Words: sealed beside commands, and opened again for those who wrote them and those whom they are for.
//!
//! What an agency writes about a client is sealed with the key of that client, agency and disposal class, so that erasing
//! the client erases it; what is about nobody, and who acted, with a key of the agency's own.

use bytes::Bytes;
use prost::Message;

use crate::{
    ledger::{Fault, Ledger},
    machine::{
        Refusal, State,
        command::Kind,
        read::{self, Viewer},
        rules::words::client_of,
        state::words::Matter,
    },
    model::{
        id::{AgencyId, ClientId, KeyId, RequestId},
        order::{Position, UnixMillis},
    },
    node::{
        Asked, Failure, Node,
        keys::{self, corrupt},
    },
    pb::{ledger::v1 as pb, v1::words::Text},
    seal::AssociatedData,
};

/// The words of one act.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Who wrote them.
    pub author: AgencyId,
    /// When.
    pub at: UnixMillis,
    /// What.
    pub text: Text,
}

/// Opened words, and the place of the last act if more follow.
pub type Opened = (Vec<Written>, Option<Position>);

/// One act whose words are to be opened.
struct Act {
    position: Position,
    author: AgencyId,
    request: RequestId,
    at: UnixMillis,
}

impl Node {
    /// Opens the words about a matter, of at most `rows_max` acts after `after`. The opening is durable before any of them is
    /// unsealed.
    ///
    /// # Errors
    /// A malformed field, or a fault. The inner error is the refusal.
    pub async fn open_words(
        &self,
        asked: &Asked,
        (matter, reason): (Matter, pb::ReadReason),
        (after, rows_max): (Option<Position>, usize),
    ) -> Result<Result<Opened, Refusal>, Failure> {
        let (kind, id) = matter.named();
        let open = pb::OpenWords {
            kind: i32::from(kind),
            matter: Bytes::copy_from_slice(&id),
            reason: i32::from(reason),
        };
        if let Err(refusal) = self.submit(asked, pb::command::Kind::OpenWords(open), None).await? {
            return Ok(Err(refusal));
        }
        let (acts, next) = self.read(|state| {
            let number = asked.agency().and_then(|agency| state.agency_number(agency));
            let viewer = number.map_or(Viewer::Unregistered, Viewer::Agency);
            let page = read::words::list(state, viewer, matter, (after, rows_max));
            let act = |view: &read::words::View<'_>| Act {
                position: view.position,
                author: view.author.clone(),
                request: view.words.request,
                at: view.words.at,
            };
            (page.rows.iter().map(act).collect::<Vec<_>>(), page.next)
        });
        let positions: Vec<_> = acts.iter().map(|act| act.position).collect();
        let sealed = self.shared.ledger.sealed(&positions).await.map_err(Failure::Fault)?;
        let mut written = Vec::new();
        for (act, sealed) in acts.into_iter().zip(sealed) {
            let Some(sealed) = sealed else { continue };
            let text = self.words_of(&act, sealed.bytes).await?;
            let Act { author, at, .. } = act;
            written.extend(text.map(|text| Written { author, at, text }));
        }
        Ok(Ok((written, next)))
    }

    /// The words in one attachment; `None` if there are none, or their key was destroyed with their client's.
    async fn words_of(&self, act: &Act, attachment: Bytes) -> Result<Option<Text>, Fault> {
        let attachment = pb::Attachment::decode(attachment).map_err(|fault| corrupt(&fault))?;
        let words = [pb::PartKind::Evidence, pb::PartKind::Emergency];
        let part = attachment.parts.iter().find(|part| words.contains(&part.kind()));
        let Some(part) = part else { return Ok(None) };
        let id = KeyId::from_slice(&part.key).map_err(|violation| corrupt(&violation))?;
        let client = self.read(|state| state.tables().keys.get(&id).map(|row| row.client));
        let (Some(client), Some(key)) = (client, self.key_if_there(id).await?) else {
            return Ok(None);
        };
        let ledger = self.read(State::ledger);
        let context = AssociatedData {
            ledger: &ledger,
            subject: act.request.as_bytes(),
            client: client.as_ref(),
            agency: Some(&act.author),
            data_type: "",
        };
        let opened = key.open(&context, part).map_err(|fault| corrupt(&fault))?;
        let text = if part.kind() == pb::PartKind::Emergency {
            pb::EmergencyDetail::decode(opened.as_bytes()).map(Text::Emergency)
        } else {
            pb::Evidence::decode(opened.as_bytes()).map(Text::Evidence)
        };
        text.map(Some).map_err(|fault| corrupt(&fault))
    }

    /// Seals the words beside a command, with the key of the client whom they are about if they are about one.
    pub(super) async fn evidence_part(
        &self,
        asked: &Asked,
        (kind, evidence): (&Kind, &pb::Evidence),
    ) -> Result<pb::SealedPart, Fault> {
        let client = self.read(|state| {
            let caller = state.agency_number(asked.agency()?)?;
            client_of(state, caller, kind)
        });
        let bytes = evidence.encode_to_vec();
        self.sealed_about(asked, client, (pb::PartKind::Evidence, &bytes)).await
    }

    /// Seals what an agency keeps of its own acts: about nobody.
    pub(super) async fn evidence_sealed(
        &self,
        asked: &Asked,
        kind: pb::PartKind,
        bytes: &[u8],
    ) -> Result<pb::SealedPart, Fault> {
        self.sealed_about(asked, None, (kind, bytes)).await
    }

    async fn sealed_about(
        &self,
        asked: &Asked,
        client: Option<ClientId>,
        (kind, bytes): (pb::PartKind, &[u8]),
    ) -> Result<pb::SealedPart, Fault> {
        let agency = asked.agency();
        let key = self.data_key(client, agency, pb::DisposalClass::Evidence).await?;
        let ledger = self.read(State::ledger);
        let context = AssociatedData {
            ledger: &ledger,
            subject: asked.request_id.as_bytes(),
            client: client.as_ref(),
            agency,
            data_type: "",
        };
        let nonce = keys::nonce(&self.shared.entropy);
        key.seal(nonce, kind, &context, bytes).map_err(|fault| Fault::Corrupt(fault.to_string()))
    }
}
