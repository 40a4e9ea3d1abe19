//! The keyring's file: how it is laid out, and how it is replaced so that a crash at any step leaves the old or the new.
//!
//! Layout, numbers big-endian: magic `CCKEYRNG`, format u32 (1), ledger id (16), count u32 and that many epochs (id 16,
//! opened at u64 in milliseconds, key 32), count u32 and that many ids of destroyed epochs (16), CRC-32C u32 of all that
//! precedes it. The checksum finds accidents; against people the file has its permissions.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{Contents, Epoch, EpochId, KeyringFault, NewEpoch};
use crate::{
    model::{id::LedgerId, order::UnixMillis},
    seal::Secret,
};

const MAGIC: [u8; 8] = *b"CCKEYRNG";
const FORMAT: u32 = 1;
const FILE_BYTES_MAX: u64 = 1 << 20;
const CRC_BYTES: usize = 4;
const EPOCH_BYTES: usize = 16 + 8 + 32;
const MALFORMED: KeyringFault = KeyringFault::Damaged("its layout is wrong");
const FRAME_BYTES: usize = MAGIC.len() + 4 + 16 + 4 + 4 + CRC_BYTES;

/// The file's bytes; the last of `epochs` is the current one.
pub(super) fn encode(
    ledger: LedgerId,
    epochs: &[&Epoch],
    destroyed: &[EpochId],
) -> Zeroizing<Vec<u8>> {
    let length = FRAME_BYTES
        .saturating_add(epochs.len().saturating_mul(EPOCH_BYTES))
        .saturating_add(destroyed.len().saturating_mul(16));
    // The whole length at once, so that growing leaves no copy of a key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_be_bytes());
    bytes.extend_from_slice(ledger.as_bytes());
    bytes.extend_from_slice(&count(epochs.len()));
    for Epoch { id, opened_at, secret, wrapping: _ } in epochs {
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(&opened_at.millis().to_be_bytes());
        bytes.extend_from_slice(secret.expose());
    }
    bytes.extend_from_slice(&count(destroyed.len()));
    for id in destroyed {
        bytes.extend_from_slice(id.as_bytes());
    }
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Result<Contents, KeyringFault> {
    let mut reader = Reader(bytes);
    if reader.take() != Some(MAGIC) {
        return Err(KeyringFault::Damaged("it is not a keyring"));
    }
    match reader.take().map(u32::from_be_bytes) {
        Some(FORMAT) => {}
        Some(found) if FORMAT < found => return Err(KeyringFault::NewerFormat { found }),
        Some(_) | None => return Err(KeyringFault::Damaged("its format is unknown")),
    }
    let (covered, crc) =
        bytes.split_last_chunk::<CRC_BYTES>().ok_or(KeyringFault::Damaged("it is cut short"))?;
    if crc32c::crc32c(covered) != u32::from_be_bytes(*crc) {
        return Err(KeyringFault::Damaged("its checksum does not match"));
    }
    let body = reader.0.split_last_chunk::<CRC_BYTES>().ok_or(MALFORMED)?.0;
    let Stored { ledger, epochs, destroyed } = Stored::read(Reader(body)).ok_or(MALFORMED)?;
    let mut older = epochs.into_iter().map(Epoch::new).collect::<Result<Vec<_>, _>>()?;
    let current = older.pop().ok_or(MALFORMED)?;
    Ok(Contents { ledger, current, older, destroyed })
}

struct Stored {
    ledger: LedgerId,
    epochs: Vec<NewEpoch>,
    destroyed: Vec<EpochId>,
}

impl Stored {
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        let ledger = LedgerId::from_bytes(reader.take()?);
        let mut epochs = Vec::new();
        for _ in 0..u32::from_be_bytes(reader.take()?) {
            let id = EpochId::from_bytes(reader.take()?);
            let opened_at = UnixMillis::new(u64::from_be_bytes(reader.take()?));
            epochs.push(NewEpoch { id, secret: Secret::from_bytes(reader.take()?), opened_at });
        }
        let mut destroyed = Vec::new();
        for _ in 0..u32::from_be_bytes(reader.take()?) {
            destroyed.push(EpochId::from_bytes(reader.take()?));
        }
        reader.0.is_empty().then_some(Self { ledger, epochs, destroyed })
    }
}

fn count(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }
}

/// The bytes of the keyring at `path`, if it is a file that only its owner can use.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyringFault> {
    let io = |cause: &io::Error| fault("read", path, cause);
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            return Err(KeyringFault::Missing(path.to_owned()));
        }
        Err(cause) => return Err(io(&cause)),
    };
    if !metadata.is_file() {
        return Err(KeyringFault::Damaged("it is not a regular file"));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyringFault::Exposed { path: path.to_owned(), mode });
    }
    if FILE_BYTES_MAX < metadata.len() {
        return Err(KeyringFault::Damaged("it is too long"));
    }
    let length = usize::try_from(metadata.len()).unwrap_or_default();
    let mut bytes = Zeroizing::new(vec![0; length]);
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|cause| io(&cause))?;
    Ok(bytes)
}

/// Replaces the keyring at `path`. Durable when `Ok`.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), KeyringFault> {
    let mut replacement = Replacement { path, beside: beside(path), bytes, old: None };
    for (action, step) in Replacement::STEPS {
        step(&mut replacement).map_err(|cause| fault(action, path, &cause))?;
    }
    Ok(())
}

/// Removes what a crash left of a replacement that never took effect.
pub(super) fn remove_unfinished(path: &Path) -> Result<(), KeyringFault> {
    remove(&beside(path)).map_err(|cause| fault("tidy up beside", path, &cause))
}

fn fault(action: &'static str, path: &Path, cause: &io::Error) -> KeyringFault {
    KeyringFault::Io { action, path: path.to_owned(), cause: cause.to_string() }
}

/// Where the new file is written before it takes the place of the old one.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn remove(path: &Path) -> io::Result<()> {
    let file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause),
    };
    fs::remove_file(path)?;
    overwrite(&file)
}

/// Overwrites a file that no name leads to any more; one that has another name, such as a backup's, is left alone.
fn overwrite(mut file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if metadata.nlink() == 0 {
        io::copy(&mut io::repeat(0).take(metadata.len()), &mut file)?;
        file.sync_all()?;
    }
    Ok(())
}

/// One replacement of the file, step by step: after each of them a crash leaves a keyring that can be read.
struct Replacement<'a> {
    path: &'a Path,
    beside: PathBuf,
    bytes: &'a [u8],
    old: Option<File>,
}

type Step<R> = fn(&mut R) -> io::Result<()>;

impl Replacement<'_> {
    const STEPS: [(&'static str, Step<Self>); 5] = [
        ("write beside", Self::write_beside),
        ("open", Self::hold_old),
        ("replace", Self::rename),
        ("sync the directory of", Self::sync_directory),
        ("overwrite the old", Self::overwrite_old),
    ];

    fn write_beside(&mut self) -> io::Result<()> {
        remove(&self.beside)?;
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.beside)?;
        file.write_all(self.bytes)?;
        file.sync_all()
    }

    fn hold_old(&mut self) -> io::Result<()> {
        self.old = match OpenOptions::new().write(true).open(self.path) {
            Ok(file) => Some(file),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(cause),
        };
        Ok(())
    }

    fn rename(&mut self) -> io::Result<()> {
        fs::rename(&self.beside, self.path)
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }

    fn overwrite_old(&mut self) -> io::Result<()> {
        self.old.as_ref().map_or(Ok(()), overwrite)
    }
}

#[cfg(test)]
mod tests;
