//! Data keys: opened by an entry, wrapped under a key-encryption epoch, kept in memory while they are in use.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use prost::Message;

use crate::{
    clock::Entropy,
    keyring::{EpochId, KeyOwner, Keyring, KeyringFault, NewEpoch},
    ledger::{AnyLedger, Fault, Ledger},
    machine::{Refusal, State, state::record::KeyRow},
    model::{
        id::{AgencyId, ClientId, EpochName, KeyId},
        limit,
        order::UnixMillis,
    },
    node::Node,
    pb::ledger::v1 as pb,
    seal::{DataKey, Nonce, Secret},
};

/// How many data keys stay in memory; beyond it all are dropped and come back as they are used.
const KEYS_MAX: usize = 200_000;

/// At each how many keys those of the current epoch are counted.
const COUNT_EVERY: u32 = 256;

/// The keyring, and the data keys in use.
pub(super) struct Keys {
    keyring: Mutex<Keyring>,
    in_use: Mutex<BTreeMap<KeyId, Arc<DataKey>>>,
    /// How often a key was about to be wrapped since the start.
    wrapped: AtomicU32,
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
        Self {
            keyring: Mutex::new(keyring),
            in_use: Mutex::new(BTreeMap::new()),
            wrapped: AtomicU32::new(0),
        }
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

    /// Forgets keys that were destroyed.
    pub(super) fn forget(&self, keys: &BTreeSet<KeyId>) {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|id, _| !keys.contains(id));
    }

    fn make(&self, entropy: &Entropy, owner: &KeyOwner<'_>) -> Result<NewKey, Fault> {
        new_key(&self.keyring(), entropy, owner)
    }

    pub(super) fn keyring(&self) -> MutexGuard<'_, Keyring> {
        self.keyring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins another epoch if the current one is to be destroyed or covers enough keys.
    pub(super) fn begin_epoch(
        &self,
        entropy: &Entropy,
        (now, full): (UnixMillis, impl FnOnce(EpochName) -> bool),
    ) -> Result<(), Fault> {
        let mut keyring = self.keyring();
        if full(EpochName::from_bytes(*keyring.current_epoch().as_bytes())) {
            let id = EpochId::from_bytes(entropy.bytes());
            let epoch =
                NewEpoch { id, secret: Secret::from_bytes(entropy.bytes()), opened_at: now };
            let _current = keyring.open_epoch(epoch).map_err(|fault| keyring_fault(&fault))?;
        }
        Ok(())
    }

    /// A wrapped form of a key under the current epoch.
    pub(super) fn wrap(
        &self,
        entropy: &Entropy,
        key: &DataKey,
        owner: &KeyOwner<'_>,
    ) -> Result<pb::SealedPart, Fault> {
        self.keyring().wrap(key, owner, nonce(entropy)).map_err(|fault| corrupt(&fault))
    }

    /// Destroys an epoch, durably. One that the keyring does not hold is destroyed already.
    pub(super) fn destroy_epoch(&self, epoch: EpochName) -> Result<(), Fault> {
        match self.keyring().destroy_epoch(EpochId::from_bytes(*epoch.as_bytes())) {
            Ok(()) | Err(KeyringFault::UnknownEpoch(_)) => Ok(()),
            Err(fault) => Err(keyring_fault(&fault)),
        }
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
        let place = usize::try_from(row.place).unwrap_or(usize::MAX);
        let part = attachment.parts.get(place);
        let part = part.ok_or_else(|| Fault::Corrupt(format!("data key {id} has no part")))?;
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
        epoch: part.key.clone(),
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

/// The keyring could not be replaced: nothing that rests on it may go on.
fn keyring_fault(fault: &KeyringFault) -> Fault {
    Fault::Broken(format!("the keyring: {fault}"))
}

impl Node {
    /// Begins another epoch where the current one is about to be destroyed, or covers as many keys as one should.
    pub(super) fn begin_epoch_when_due(&self) -> Result<(), Fault> {
        let counts = self.shared.keys.wrapped.fetch_add(1, Relaxed).is_multiple_of(COUNT_EVERY);
        let full = |epoch| {
            self.read(|state| {
                (counts && limit::KEYS_PER_EPOCH_MAX <= state.keys_under(epoch).count())
                    || state.doomed_epochs().contains(&epoch)
            })
        };
        self.shared.keys.begin_epoch(&self.shared.entropy, (self.now()?, full))
    }

    /// The data key that `id` names, unless it was destroyed.
    pub(super) async fn key_if_there(&self, id: KeyId) -> Result<Option<Arc<DataKey>>, Fault> {
        let there = || self.read(|state| state.tables().keys.contains(&id));
        if !there() {
            return Ok(None);
        }
        match self.key(id).await {
            Ok(key) => Ok(Some(key)),
            // It was destroyed in between.
            Err(_) if !there() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

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
        self.begin_epoch_when_due()?;
        let NewKey { key, kind, part } = self.shared.keys.make(&self.shared.entropy, &owner)?;
        match self.submit_own(kind, vec![part]).await? {
            Ok(_) => Ok(self.shared.keys.keep(key)),
            // Somebody else opened one in between.
            Err(Refusal::NothingToDo) => match known() {
                Some(id) => self.key(id).await,
                // Its epoch is about to be destroyed.
                None => Err(Fault::Busy),
            },
            Err(refusal) => Err(Fault::Corrupt(format!("a data key was refused: {refusal}"))),
        }
    }
}
