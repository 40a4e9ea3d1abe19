//! The keyring: the key-encryption epochs, under which data keys are wrapped.
//!
//! Data keys ride wrapped in the ledger, where they are ordered, replicated and backed up, and where they can never be
//! erased. So the epochs' own keys are kept apart, in one small file that can forget: to make erased keys unrecoverable,
//! every surviving key of their epoch is wrapped anew under the current one, then the epoch is destroyed. The fewer keys
//! an epoch covers, the less there is to wrap anew.
//!
//! How the file is laid out and replaced is in `keyring/file.rs`. The keyring takes no lock: whoever holds the ledger's
//! lock is the only one to use it. It draws nothing: ids, keys and times are given to it.

mod file;

use std::{
    fmt, mem,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    model::{
        hexadecimal,
        id::{AgencyId, ClientId, KeyId, LedgerId},
        order::UnixMillis,
    },
    pb::ledger::v1::{DisposalClass, PartKind, SealedPart},
    seal::{AssociatedData, DataKey, Nonce, SealFault, Sealer, Secret, sealed_part},
};

/// How many destroyed epochs are remembered by their names, the latest ones. Of an older one it is only known that it is
/// not held, so that the file stays small however much is erased.
const DESTROYED_MAX: usize = 4_096;

/// The name of one key-encryption epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochId([u8; 16]);

impl EpochId {
    /// Takes 16 random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for EpochId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal::write(f, &self.0)
    }
}

impl fmt::Debug for EpochId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochId({self})")
    }
}

/// An epoch that is to begin.
#[derive(Debug)]
pub struct NewEpoch {
    /// Random, and never used before.
    pub id: EpochId,
    /// Random: the epoch's own key.
    pub secret: Secret,
    /// When it begins.
    pub opened_at: UnixMillis,
}

/// Whose data a data key seals. A wrapped key is bound to it.
#[derive(Clone, Copy, Debug)]
pub struct KeyOwner<'a> {
    /// The client, if the data are about one.
    pub client: Option<&'a ClientId>,
    /// The agency, if the data are an agency's.
    pub agency: Option<&'a AgencyId>,
    /// What is disposed of together.
    pub disposal_class: DisposalClass,
}

/// The key-encryption epochs of one ledger.
pub struct Keyring {
    path: PathBuf,
    contents: Contents,
}

/// What the file holds.
struct Contents {
    ledger: LedgerId,
    current: Epoch,
    /// In the order in which they were opened.
    older: Vec<Epoch>,
    destroyed: Vec<EpochId>,
}

struct Epoch {
    id: EpochId,
    opened_at: UnixMillis,
    secret: Secret,
    wrapping: Sealer,
}

impl Epoch {
    fn new(new: NewEpoch) -> Result<Self, SealFault> {
        let NewEpoch { id, secret, opened_at } = new;
        let wrapping = Sealer::new(&secret.derive("wrap")?)?;
        Ok(Self { id, opened_at, secret, wrapping })
    }
}

impl Keyring {
    /// Makes the keyring of a new ledger, with its first epoch. Durable when `Ok`.
    ///
    /// # Errors
    /// [`KeyringFault::Exists`] if there is one: a keyring is never replaced by an empty one. [`KeyringFault::Io`] if the
    /// file cannot be written; call again.
    pub fn create(path: &Path, ledger: LedgerId, first: NewEpoch) -> Result<Self, KeyringFault> {
        if path.symlink_metadata().is_ok() {
            return Err(KeyringFault::Exists(path.to_owned()));
        }
        let current = Epoch::new(first)?;
        file::replace(path, &file::encode(ledger, &[&current], &[]))?;
        let contents = Contents { ledger, current, older: Vec::new(), destroyed: Vec::new() };
        Ok(Self { path: path.to_owned(), contents })
    }

    /// Reads the keyring of `ledger`.
    ///
    /// What a crash left half replaced is removed: an epoch in it was never used.
    ///
    /// # Errors
    /// Every fault says what is wrong with the file; none is cured by trying again.
    pub fn open(path: &Path, ledger: LedgerId) -> Result<Self, KeyringFault> {
        let contents = file::decode(&file::read(path)?)?;
        if contents.ledger != ledger {
            return Err(KeyringFault::ForeignLedger { expected: ledger, found: contents.ledger });
        }
        file::remove_unfinished(path)?;
        Ok(Self { path: path.to_owned(), contents })
    }

    /// The epoch under which keys are wrapped now.
    pub const fn current_epoch(&self) -> EpochId {
        self.contents.current.id
    }

    /// Every epoch whose key is held, and when it began, the oldest first.
    pub fn epochs(&self) -> impl Iterator<Item = (EpochId, UnixMillis)> {
        self.contents.epochs().map(|epoch| (epoch.id, epoch.opened_at))
    }

    /// Begins an epoch, which becomes the current one. Durable when `Ok`, so before it is first used.
    ///
    /// # Errors
    /// [`KeyringFault::Exists`] if the id was used before. On [`KeyringFault::Io`] the epoch is not used; it may or may
    /// not be in the file.
    pub fn open_epoch(&mut self, new: NewEpoch) -> Result<EpochId, KeyringFault> {
        let id = new.id;
        if self.contents.epoch(id).is_some() || self.contents.destroyed.contains(&id) {
            return Err(KeyringFault::Exists(self.path.clone()));
        }
        let epoch = Epoch::new(new)?;
        let mut epochs: Vec<&Epoch> = self.contents.epochs().collect();
        epochs.push(&epoch);
        self.replace(&epochs, &self.contents.destroyed)?;
        let previous = mem::replace(&mut self.contents.current, epoch);
        self.contents.older.push(previous);
        Ok(id)
    }

    /// Forgets an epoch's key, for ever. Durable when `Ok`; repeatable.
    ///
    /// The file is replaced by one without the key, then the old file's bytes are overwritten. That reaches the medium
    /// only where the file system writes in place: on copy-on-write file systems, snapshots and worn flash cells old
    /// bytes may survive, so the keyring belongs on an encrypted volume, and its backups expire as epochs do.
    ///
    /// # Errors
    /// [`KeyringFault::CurrentEpoch`] if keys are still wrapped under it; [`KeyringFault::UnknownEpoch`];
    /// [`KeyringFault::Io`] if the key may still be in the file: call again.
    pub fn destroy_epoch(&mut self, id: EpochId) -> Result<(), KeyringFault> {
        if self.contents.destroyed.contains(&id) {
            return Ok(());
        }
        if self.current_epoch() == id {
            return Err(KeyringFault::CurrentEpoch(id));
        }
        if self.contents.epoch(id).is_none() {
            return Err(KeyringFault::UnknownEpoch(id));
        }
        let kept: Vec<&Epoch> = self.contents.epochs().filter(|epoch| epoch.id != id).collect();
        let mut destroyed = self.contents.destroyed.clone();
        destroyed.push(id);
        let forgotten = destroyed.len().saturating_sub(DESTROYED_MAX);
        destroyed.drain(..forgotten);
        self.replace(&kept, &destroyed)?;
        self.contents.older.retain(|epoch| epoch.id != id);
        self.contents.destroyed = destroyed;
        Ok(())
    }

    /// Wraps a data key under the current epoch.
    ///
    /// A wrapped key is not padded: all of them have one length. `nonce` must be random.
    ///
    /// # Errors
    /// [`KeyringFault::Seal`] if the cryptographic library refuses.
    pub fn wrap(
        &self,
        key: &DataKey,
        owner: &KeyOwner<'_>,
        nonce: Nonce,
    ) -> Result<SealedPart, KeyringFault> {
        let epoch = &self.contents.current;
        let context = self.context(key.id(), owner, epoch.id);
        let body = Zeroizing::new(key.secret().expose().to_vec());
        let ciphertext = epoch.wrapping.seal(nonce, &context, body)?;
        Ok(sealed_part(PartKind::DataKey, &epoch.id.0, nonce, ciphertext))
    }

    /// The data key `id`, which belongs to `owner`, out of `part`.
    ///
    /// # Errors
    /// [`KeyringFault::DestroyedEpoch`] if it was erased; [`KeyringFault::UnknownEpoch`] if this keyring never had its
    /// epoch or is older than it; [`KeyringFault::Seal`] if it is not what was wrapped.
    pub fn unwrap(
        &self,
        id: KeyId,
        owner: &KeyOwner<'_>,
        part: &SealedPart,
    ) -> Result<DataKey, KeyringFault> {
        if part.kind() != PartKind::DataKey {
            return Err(SealFault::WrongKind.into());
        }
        let epoch = part.key.as_ref().try_into().map(EpochId);
        let epoch = self.contents.held(epoch.map_err(|_| SealFault::NotAuthentic)?)?;
        let context = self.context(id, owner, epoch.id);
        let body = epoch.wrapping.open_part(&epoch.id.0, &context, part)?;
        let secret = body.as_slice().try_into().map_err(|_| SealFault::NotAuthentic)?;
        Ok(DataKey::new(id, Secret::from_bytes(secret))?)
    }

    fn replace(&self, epochs: &[&Epoch], destroyed: &[EpochId]) -> Result<(), KeyringFault> {
        file::replace(&self.path, &file::encode(self.contents.ledger, epochs, destroyed))
    }

    fn context(&self, key: KeyId, owner: &KeyOwner<'_>, epoch: EpochId) -> Vec<u8> {
        let KeyOwner { client, agency, disposal_class } = *owner;
        let data_type = disposal_class.as_str_name();
        let (ledger, subject) = (&self.contents.ledger, key.as_bytes());
        AssociatedData { ledger, subject, client, agency, data_type }
            .encode(&epoch.0, PartKind::DataKey)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("path", &self.path)
            .field("current_epoch", &self.current_epoch())
            .finish_non_exhaustive()
    }
}

impl Contents {
    fn epochs(&self) -> impl Iterator<Item = &Epoch> {
        self.older.iter().chain([&self.current])
    }

    fn epoch(&self, id: EpochId) -> Option<&Epoch> {
        self.epochs().find(|epoch| epoch.id == id)
    }

    fn held(&self, id: EpochId) -> Result<&Epoch, KeyringFault> {
        match self.epoch(id) {
            Some(epoch) => Ok(epoch),
            None if self.destroyed.contains(&id) => Err(KeyringFault::DestroyedEpoch(id)),
            None => Err(KeyringFault::UnknownEpoch(id)),
        }
    }
}

/// Why a keyring cannot be used, or not for this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyringFault {
    /// There is a keyring at the path, or an epoch of the same id in it, already.
    Exists(PathBuf),
    /// There is no keyring at the path.
    Missing(PathBuf),
    /// Others than its owner may read or write the file.
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A newer release wrote it.
    NewerFormat {
        /// The format's number.
        found: u32,
    },
    /// The file is not a keyring, or was changed.
    Damaged(&'static str),
    /// It belongs to another ledger.
    ForeignLedger {
        /// The ledger that was to be opened.
        expected: LedgerId,
        /// The ledger that the keyring belongs to.
        found: LedgerId,
    },
    /// The keyring does not hold the epoch.
    UnknownEpoch(EpochId),
    /// The epoch was destroyed, and with it every key that was wrapped under it alone.
    DestroyedEpoch(EpochId),
    /// The epoch is the current one: begin another first.
    CurrentEpoch(EpochId),
    /// A key could not be wrapped or unwrapped.
    Seal(SealFault),
    /// The operating system refused.
    Io {
        /// What was tried, such as `sync`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        cause: String,
    },
}

impl From<SealFault> for KeyringFault {
    fn from(fault: SealFault) -> Self {
        Self::Seal(fault)
    }
}

impl fmt::Display for KeyringFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(path) => {
                write!(f, "the keyring `{}` or that epoch of it exists already", path.display())
            }
            Self::Missing(path) => write!(
                f,
                "there is no keyring at `{}`; restore it from its backup, for without it nothing sealed can be read",
                path.display()
            ),
            Self::Exposed { path, mode } => write!(
                f,
                "the keyring `{0}` is open to others (mode {mode:04o}); run `chmod 600 {0}` and consider its keys known",
                path.display()
            ),
            Self::NewerFormat { found } => {
                write!(f, "the keyring has format {found}, which a newer release wrote")
            }
            Self::Damaged(cause) => {
                write!(f, "the keyring is damaged: {cause}; restore its backup")
            }
            Self::ForeignLedger { expected, found } => {
                write!(f, "the keyring belongs to ledger {found}, not to {expected}")
            }
            Self::UnknownEpoch(id) => write!(f, "the keyring does not hold epoch {id}"),
            Self::DestroyedEpoch(id) => write!(f, "epoch {id} was destroyed"),
            Self::CurrentEpoch(id) => {
                write!(f, "epoch {id} is the current one; begin another first")
            }
            Self::Seal(fault) => fault.fmt(f),
            Self::Io { action, path, cause } => {
                write!(f, "cannot {action} `{}`: {cause}", path.display())
            }
        }
    }
}

impl std::error::Error for KeyringFault {}
