//! Data keys: opened by an entry, wrapped under a key-encryption epoch, kept in memory while they are in use.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use prost::Message;

use crate::{
    clock::Entropy,
    keyring::{KeyOwner, Keyring},
    ledger::{AnyLedger, Fault, Ledger},
    machine::{Refusal, State, state::record::KeyRow},
    model::id::{AgencyId, ClientId, KeyId},
    node::Node,
    pb::ledger::v1 as pb,
    seal::{DataKey, Nonce, Secret},
};

/// How many data keys stay in memory; beyond it all are dropped and come back as they are used.
const KEYS_MAX: usize = 200_000;

/// The keyring, and the data keys in use.
pub(super) struct Keys {
    keyring: Mutex<Keyring>,
    in_use: Mutex<BTreeMap<KeyId, Arc<DataKey>>>,
}

/// A nonce of its own.
pub(super) fn nonce(entropy: &Entropy) -> Nonce {
    Nonce::from_bytes(entropy.bytes())
}

/// A failure of sealing or of the keyring: what is stored does not fit together.
pub(super) fn corrupt(cause: &impl fmt::Display) -> Fault {
    Fault::Corrupt(cause.to_string())
}

/// A new data key and the entry that opens it.
pub(super) struct NewKey {
    pub(super) key: DataKey,
    pub(super) kind: pb::command::Kind,
    pub(super) part: pb::SealedPart,
}

impl Keys {
    pub(super) fn new(keyring: Keyring) -> Self {
        Self { keyring: Mutex::new(keyring), in_use: Mutex::new(BTreeMap::new()) }
    }

    fn cached(&self, id: KeyId) -> Option<Arc<DataKey>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn keep(&self, key: DataKey) -> Arc<DataKey> {
        let key = Arc::new(key);
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if KEYS_MAX <= in_use.len() {
            in_use.clear();
        }
        Arc::clone(in_use.entry(key.id()).or_insert(key))
    }

    fn make(&self, entropy: &Entropy, owner: &KeyOwner<'_>) -> Result<NewKey, Fault> {
        let keyring = self.keyring.lock().unwrap_or_else(PoisonError::into_inner);
        new_key(&keyring, entropy, owner)
    }

    /// A data key out of the ledger.
    pub(super) async fn load(
        &self,
        ledger: &AnyLedger,
        id: KeyId,
        (row, agency): (&KeyRow, Option<&AgencyId>),
    ) -> Result<Arc<DataKey>, Fault> {
        if let Some(key) = self.cached(id) {
            return Ok(key);
        }
        let found = ledger.sealed(&[row.position]).await?.pop().flatten();
        let sealed = found.ok_or_else(|| Fault::Corrupt(format!("data key {id} is gone")))?;
        let attachment = pb::Attachment::decode(sealed.bytes).map_err(|fault| corrupt(&fault))?;
        let [part] = attachment.parts.as_slice() else {
            return Err(Fault::Corrupt(format!("data key {id} is not one part")));
        };
        let disposal_class = pb::DisposalClass::try_from(row.class).unwrap_or_default();
        let owner = KeyOwner { client: row.client.as_ref(), agency, disposal_class };
        let key = self
            .keyring
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .unwrap(id, &owner, part)
            .map_err(|fault| corrupt(&fault))?;
        Ok(self.keep(key))
    }
}

/// Draws a data key and wraps it.
pub(super) fn new_key(
    keyring: &Keyring,
    entropy: &Entropy,
    owner: &KeyOwner<'_>,
) -> Result<NewKey, Fault> {
    let id = KeyId::from_bytes(entropy.bytes());
    let key = DataKey::new(id, Secret::from_bytes(entropy.bytes())).map_err(|f| corrupt(&f))?;
    let part = keyring.wrap(&key, owner, nonce(entropy)).map_err(|fault| corrupt(&fault))?;
    let kind = pb::command::Kind::OpenKey(pb::OpenKey {
        key: Bytes::copy_from_slice(id.as_bytes()),
        client: owner.client.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes())),
        agency: owner.agency.map_or_else(String::new, ToString::to_string),
        disposal_class: i32::from(owner.disposal_class),
    });
    Ok(NewKey { key, kind, part })
}

/// A key's row, and the id of the agency whose data it seals.
pub(super) fn key_row(state: &State, id: KeyId) -> Option<(KeyRow, Option<AgencyId>)> {
    let row = state.tables().keys.get(&id)?.clone();
    let agency = match row.agency {
        Some(number) => Some(state.agency(number)?.id.clone()),
        None => None,
    };
    Some((row, agency))
}

impl Node {
    /// The data key that `id` names.
    pub(super) async fn key(&self, id: KeyId) -> Result<Arc<DataKey>, Fault> {
        if let Some(key) = self.shared.keys.cached(id) {
            return Ok(key);
        }
        let (row, agency) = self
            .read(|state| key_row(state, id))
            .ok_or_else(|| Fault::Corrupt(format!("there is no data key {id}")))?;
        self.shared.keys.load(&self.shared.ledger, id, (&row, agency.as_ref())).await
    }

    /// The data key for such data; it is opened first if there is none.
    pub(super) async fn data_key(
        &self,
        client: Option<ClientId>,
        agency: Option<&AgencyId>,
        disposal_class: pb::DisposalClass,
    ) -> Result<Arc<DataKey>, Fault> {
        let known = || {
            self.read(|state| {
                let number = agency.and_then(|id| state.agency_number(id));
                state.key_for(client, number, i32::from(disposal_class))
            })
        };
        if let Some(id) = known() {
            return self.key(id).await;
        }
        let owner = KeyOwner { client: client.as_ref(), agency, disposal_class };
        let NewKey { key, kind, part } = self.shared.keys.make(&self.shared.entropy, &owner)?;
        match self.submit_own(kind, vec![part]).await? {
            Ok(_) => Ok(self.shared.keys.keep(key)),
            // Somebody else opened one in between.
            Err(Refusal::NothingToDo) => match known() {
                Some(id) => self.key(id).await,
                None => Err(Fault::Busy),
            },
            Err(refusal) => Err(Fault::Corrupt(format!("a data key was refused: {refusal}"))),
        }
    }
}
