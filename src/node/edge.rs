//! The edge of the node: what must happen before a command about a client can be proposed. Identifiers become a client,
//! data keys are opened, bodies are sealed; and a record that was opened is unsealed and redacted.
//!
//! INVARIANT (alike): a new, a known and a conflicting client take the same way and get the same answer (G8).

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use prost::Message;

use crate::{
    ledger::{Fault, Ledger},
    machine::{
        Command, Outcome, Receipt, Refusal, Released, State,
        outcome::Remembered,
        read::offers::{self, Found, KnownClient},
        state::client::AliasKind,
    },
    model::{
        id::{AgencyId, AliasId, ClientId, GroupName, RecordId, RecordTypeName},
        order::UnixMillis,
        violation::Violation,
    },
    node::{
        Asked, Failure, Node, Outgoing, encoded,
        keys::{corrupt, nonce},
    },
    pb::ledger::v1 as pb,
    seal::{AssociatedData, DataKey},
};

/// A record that was validated and is to be published.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The type of record.
    pub record_type: RecordTypeName,
    /// The version of the type that the body was validated against.
    pub type_version: u32,
    /// The version of the code lists, as an ISO 8601 date.
    pub code_lists: String,
    /// The field groups that the body holds.
    pub groups: Vec<GroupName>,
    /// The body, re-encoded.
    pub body: Bytes,
    /// How the publisher identifies the client.
    pub identifiers: pb::Identifiers,
    /// The version that it replaces.
    pub supersedes: Option<RecordId>,
    /// What it is to that version.
    pub change: pb::VersionChange,
}

impl Publication {
    /// What two requests must agree in to be the same.
    fn content(&self) -> Vec<u8> {
        let supersedes = self.supersedes.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
        let change = i32::from(self.change).to_be_bytes();
        let parts: [&[u8]; 5] = [
            self.record_type.as_str().as_bytes(),
            &self.type_version.to_be_bytes(),
            &supersedes,
            &change,
            &self.body,
        ];
        let mut content = Vec::with_capacity(self.body.len().saturating_add(128));
        for part in parts {
            content.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            content.extend(part);
        }
        content
    }
}

fn agency_of(asked: &Asked) -> Result<&AgencyId, Failure> {
    asked.agency().ok_or_else(|| {
        Violation::new("", "CALLER_NOT_ALLOWED", "only an agency has clients and records").into()
    })
}

impl Node {
    /// Publishes a record or a new version of one.
    ///
    /// # Errors
    /// A malformed field, or a fault; then it may or may not have taken effect, and repeating the request tells.
    pub async fn publish(
        &self,
        asked: &Asked,
        publication: &Publication,
    ) -> Result<Outcome, Failure> {
        let agency = agency_of(asked)?;
        let told = self.shared.index().told_before(agency, &publication.identifiers);
        // One look at the state for all that a further record of a client needs.
        let (found, known) = self.read(|state| {
            let found = offers::found(state, agency, asked.request_id, &publication.record_type);
            (found, told.and_then(|client| offers::known_client(state, agency, client)))
        });
        if let Some((key, client)) = found.before {
            let Some(key) = self.key_if_there(key).await?.filter(|_| !found.erased) else {
                return Ok(Err(Refusal::RequestErased));
            };
            let alias = self.alias_of(agency, client, AliasKind::Own);
            let kind = publish_kind(publication, alias, &key);
            return Ok(self
                .settled(&Command::try_from(asked.command(kind))?)?
                .unwrap_or(Err(Refusal::RequestIdReused)));
        }
        if !found.flows {
            return Ok(Err(Refusal::NoActiveFlow));
        }
        if let Some(KnownClient { client, alias, key }) = known {
            let key = self.key(key).await?;
            return self.publish_sealed(asked, publication, (found, client, alias), &key).await;
        }
        let (client, news) = self.resolve(agency, &publication.identifiers);
        let (alias, key) = futures::try_join!(
            self.introduce(asked, &publication.identifiers, client, news),
            self.data_key(Some(client), Some(agency), pb::DisposalClass::Record),
        )?;
        match alias {
            Ok(alias) => {
                self.publish_sealed(asked, publication, (found, client, alias), &key).await
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Whether a record would be refused now. Nothing is appended and no client is added.
    ///
    /// # Errors
    /// A malformed field, or a fault. The inner error is the refusal.
    pub async fn check_publication(
        &self,
        asked: &Asked,
        publication: &Publication,
    ) -> Result<Result<(), Refusal>, Failure> {
        let agency = agency_of(asked)?;
        let found = self
            .read(|state| offers::found(state, agency, asked.request_id, &publication.record_type));
        if found.before.is_some() {
            return Ok(self.publish(asked, publication).await?.map(drop));
        }
        if !found.flows {
            return Ok(Err(Refusal::NoActiveFlow));
        }
        let known = self.shared.index().known(agency, &publication.identifiers);
        let (alias, key) = self.read(|state| {
            let number = state.agency_number(agency);
            let alias = number
                .zip(known)
                .and_then(|(number, client)| state.alias(number, client, AliasKind::Own));
            (alias, state.key_for(known, number, i32::from(pb::DisposalClass::Record)))
        });
        if let Some((alias, key)) = alias.zip(key.filter(|_| known.is_some())) {
            let key = self.key(key).await?;
            return self.check(asked, publish_kind(publication, alias, &key));
        }
        if let Some(before) = publication.supersedes {
            // A client of whom the agency has published nothing is not the one of its earlier record.
            let own = self.own_record(agency, before).is_some();
            return Ok(Err(if own { Refusal::ClientDiffers } else { Refusal::NotAvailable }));
        }
        let client = ClientId::from_bytes(self.shared.entropy.bytes());
        let client = Bytes::copy_from_slice(client.as_bytes());
        self.check(asked, pb::command::Kind::AddClient(pb::AddClient { client, key: Bytes::new() }))
    }

    /// When the same request published before, if it did.
    pub fn published_before(
        &self,
        asked: &Asked,
        record_type: &RecordTypeName,
    ) -> Option<UnixMillis> {
        let agency = asked.agency()?;
        self.read(|state| {
            let found = offers::found(state, agency, asked.request_id, record_type);
            state.record(found.record).map(|row| row.published_at)
        })
    }

    /// The whole body of a version that the agency published itself, if it is the latest one: what a new version is held
    /// against. `None` if it is not; then publishing over it is refused anyway.
    ///
    /// It costs an entry of its own and its sync, one read of the ledger and one unsealing: no sealed body is opened
    /// without a durable command, not even for its publisher.
    ///
    /// # Errors
    /// A malformed field, or a fault.
    pub async fn own_body(
        &self,
        asked: &Asked,
        record: RecordId,
    ) -> Result<Option<Bytes>, Failure> {
        let agency = agency_of(asked)?;
        if self.own_record(agency, record) != Some(true) {
            return Ok(None);
        }
        let request_id = self.shared.entropy.request_id(self.now()?);
        let asked = Asked { request_id, signature: None, ..asked.clone() };
        let opened = self.open_record(&asked, record, pb::ReadReason::Quality).await?;
        Ok(opened.ok().map(|outgoing| outgoing.body))
    }

    /// Whether a version that the agency published is the latest one; `None` if it published no such version.
    fn own_record(&self, agency: &AgencyId, record: RecordId) -> Option<bool> {
        self.read(|state| {
            let row = state.record(record)?;
            let own = state.agency_number(agency) == Some(row.publisher);
            own.then(|| state.latest(row.first).is_some_and(|(latest, _)| latest == record))
        })
    }

    async fn publish_sealed(
        &self,
        asked: &Asked,
        publication: &Publication,
        (found, client, alias): (Found, ClientId, AliasId),
        key: &Arc<DataKey>,
    ) -> Result<Outcome, Failure> {
        let (command, parsed) = encoded(asked.command(publish_kind(publication, alias, key)))?;
        if let Some(outcome) = self.settled(&parsed)? {
            return Ok(outcome);
        }
        let mut parts = self.actor_parts(asked).await?;
        let ledger = self.read(State::ledger);
        let context = AssociatedData {
            ledger: &ledger,
            subject: found.record.as_bytes(),
            client: Some(&client),
            agency: asked.agency(),
            data_type: publication.record_type.as_str(),
        };
        let nonce = nonce(&self.shared.entropy);
        let part = key
            .seal(nonce, pb::PartKind::Record, &context, &publication.body)
            .map_err(|fault| corrupt(&fault))?;
        parts.push(part);
        self.propose(command, parsed, parts).await.map_err(Failure::Fault)
    }

    /// Makes a client known to an agency, or finds the one whom its identifiers mean.
    ///
    /// # Errors
    /// A malformed field, or a fault.
    pub async fn add_client(
        &self,
        asked: &Asked,
        identifiers: &pb::Identifiers,
    ) -> Result<Outcome, Failure> {
        let agency = agency_of(asked)?;
        let (client, news) = self.resolve(agency, identifiers);
        let alias = self.introduce(asked, identifiers, client, news).await?;
        Ok(alias.map(|alias| Receipt::Answer(Remembered::Client(alias))))
    }

    fn resolve(&self, agency: &AgencyId, identifiers: &pb::Identifiers) -> (ClientId, bool) {
        let fresh = ClientId::from_bytes(self.shared.entropy.bytes());
        let resolved = self.shared.index().resolve(agency, identifiers, fresh);
        (resolved.client, resolved.news)
    }

    fn alias_of(&self, agency: &AgencyId, client: ClientId, kind: AliasKind) -> AliasId {
        let alias = self.read(|state| {
            state.agency_number(agency).and_then(|number| state.alias(number, client, kind))
        });
        alias.unwrap_or(AliasId::from_bytes([0; 16]))
    }

    /// The agency's own name for a client; the client is added first if the agency does not know it, and its identifiers
    /// are kept if they are new.
    async fn introduce(
        &self,
        asked: &Asked,
        identifiers: &pb::Identifiers,
        client: ClientId,
        news: bool,
    ) -> Result<Result<AliasId, Refusal>, Fault> {
        let Some(agency) = asked.agency() else { return Ok(Err(Refusal::ActorNotPermitted)) };
        let known = self.read(|state| {
            state
                .agency_number(agency)
                .and_then(|number| state.alias(number, client, AliasKind::Own))
        });
        if let Some(alias) = known.filter(|_| !news) {
            return Ok(Ok(alias));
        }
        let key = self.data_key(Some(client), Some(agency), pb::DisposalClass::Identity).await?;
        let ledger = self.read(State::ledger);
        let context = identifiers_context(&ledger, &client, agency);
        let bytes = identifiers.encode_to_vec();
        let nonce = nonce(&self.shared.entropy);
        let part = key
            .seal(nonce, pb::PartKind::Identifiers, &context, &bytes)
            .map_err(|fault| corrupt(&fault))?;
        let client_bytes = Bytes::copy_from_slice(client.as_bytes());
        let sealed_with = Bytes::copy_from_slice(key.id().as_bytes());
        let add = pb::AddClient { client: client_bytes, key: sealed_with };
        let kind = pb::command::Kind::AddClient(add);
        let (command, parsed) = encoded(asked.command(kind)).map_err(|fault| corrupt(&fault))?;
        if let Some(Err(refusal)) = self.settled(&parsed)? {
            return Ok(Err(refusal));
        }
        let outcome = self.propose(command, parsed, vec![part]).await?;
        Ok(outcome.and_then(|receipt| match receipt {
            Receipt::Answer(Remembered::Client(alias)) => {
                self.shared.index().told(agency, identifiers, client);
                Ok(alias)
            }
            Receipt::Answer(_)
            | Receipt::Published { .. }
            | Receipt::Released(_)
            | Receipt::Opened(_) => Err(Refusal::NotAvailable),
        }))
    }

    /// Opens one record for one reader; the opening is durable before the body is unsealed.
    ///
    /// # Errors
    /// A malformed field, or a fault. The inner error is the refusal.
    pub async fn open_record(
        &self,
        asked: &Asked,
        record: RecordId,
        reason: pb::ReadReason,
    ) -> Result<Result<Outgoing, Refusal>, Failure> {
        let agency = agency_of(asked)?;
        let now = self.now()?;
        let why = (asked.purpose, asked.staff.is_none());
        let grants = self.read(|state| match state.agency_number(agency) {
            Some(reader) => offers::grants_to_open(state, record, reader, why, now),
            None => Vec::new(),
        });
        let kind = pb::command::Kind::OpenRecord(pb::OpenRecord {
            record: Bytes::copy_from_slice(record.as_bytes()),
            reason: i32::from(reason),
            grants: grants.clone(),
            office: asked.staff.as_ref().map_or(0, |staff| staff.office),
        });
        match self.submit(asked, kind, None).await? {
            Ok(Receipt::Opened(released)) => {
                let opened = self.unseal(vec![(*released, grants)]).await?;
                Ok(opened.into_iter().next().ok_or(Refusal::NotAvailable))
            }
            Ok(Receipt::Answer(_) | Receipt::Published { .. } | Receipt::Released(_)) => {
                Ok(Err(Refusal::NotAvailable))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Unseals released records and cuts them down to their field groups. A body that was erased since is left out.
    pub(super) async fn unseal(
        &self,
        released: Vec<(Released, Vec<pb::Grant>)>,
    ) -> Result<Vec<Outgoing>, Fault> {
        let positions: Vec<_> =
            released.iter().map(|(line, _)| line.published_position()).collect();
        let sealed = self.shared.ledger.sealed(&positions).await?;
        let mut outgoing = Vec::with_capacity(released.len());
        for ((line, grants), sealed) in released.into_iter().zip(sealed) {
            let Some(sealed) = sealed else { continue };
            let attachment =
                pb::Attachment::decode(sealed.bytes).map_err(|fault| corrupt(&fault))?;
            let Some(key) = self.key_if_there(line.key()).await? else { continue };
            let body = self.unseal_body(&line, &key, &attachment)?;
            outgoing.push(Outgoing { released: line, grants, body });
        }
        Ok(outgoing)
    }

    fn unseal_body(
        &self,
        released: &Released,
        key: &DataKey,
        attachment: &pb::Attachment,
    ) -> Result<Bytes, Fault> {
        let (ledger, publisher, record_type) = self.read(|state| {
            let publisher = state.agency(released.publisher()).map(|agency| agency.id.clone());
            let record_type = state.record_type(released.record_type()).map(|row| row.name.clone());
            (state.ledger(), publisher, record_type)
        });
        let (Some(publisher), Some(record_type)) = (publisher, record_type) else {
            return Err(Fault::Corrupt("a release names no publisher or type".to_owned()));
        };
        let (record, client) = (released.record(), released.client());
        let context = AssociatedData {
            ledger: &ledger,
            subject: record.as_bytes(),
            client: Some(&client),
            agency: Some(&publisher),
            data_type: record_type.as_str(),
        };
        let part = attachment
            .parts
            .iter()
            .find(|part| part.kind() == pb::PartKind::Record)
            .ok_or_else(|| Fault::Corrupt("a record has no body".to_owned()))?;
        let body = key.open_record(released, &context, part).map_err(|fault| corrupt(&fault))?;
        let groups: BTreeSet<GroupName> = released.group_names().iter().cloned().collect();
        let known = self.shared.registry.record_type(&record_type).ok_or_else(|| {
            Fault::Unusable(format!("record type `{record_type}` is not known; upgrade"))
        })?;
        let redacted = known.redaction_plan(&groups).redact(body.as_bytes());
        redacted.map(Bytes::from).map_err(|fault| corrupt(&fault))
    }
}

/// What sealed identifiers are bound to.
pub(super) fn identifiers_context<'a>(
    ledger: &'a crate::model::id::LedgerId,
    client: &'a ClientId,
    agency: &'a AgencyId,
) -> AssociatedData<'a> {
    let subject = client.as_bytes();
    AssociatedData { ledger, subject, client: Some(client), agency: Some(agency), data_type: "" }
}

fn publish_kind(publication: &Publication, alias: AliasId, key: &DataKey) -> pb::command::Kind {
    let mac = key.content_mac(&publication.content());
    pb::command::Kind::PublishRecord(pb::PublishRecord {
        record_type: publication.record_type.to_string(),
        type_version: publication.type_version,
        code_lists: publication.code_lists.clone(),
        client: Bytes::copy_from_slice(alias.as_bytes()),
        supersedes: publication
            .supersedes
            .map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes())),
        groups: publication.groups.iter().map(ToString::to_string).collect(),
        content_mac: Bytes::copy_from_slice(mac.as_bytes()),
        key: Bytes::copy_from_slice(key.id().as_bytes()),
        change: i32::from(publication.change),
    })
}
