//! A model of a disk that forgets what was not synced, for simulations and crash tests.
//!
//! A power cut keeps the synced bytes and a seeded part of what was written since: either a prefix of the writes with
//! the last of them torn, or any selection of their sectors, because an operating system writes back as it likes. Names
//! created, changed or removed since the last sync of names last only as a seeded prefix. After a failed sync of a file
//! its bytes stay visible and are never written, whatever is synced later: that is what Linux does. After a failed sync
//! of names a later one makes them durable, all in order: a journal never skips. Same calls and same seeds, same bytes.
//! Everything is in memory.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::image::{Change, Dice, Image};
use super::{Disk, DiskFile};

mod image;

/// A disk in memory that forgets. Clones share it.
#[derive(Clone)]
pub struct ForgetfulDisk {
    model: Arc<Mutex<Model>>,
}

/// An open file of a [`ForgetfulDisk`].
pub struct ForgetfulFile {
    model: Arc<Mutex<Model>>,
    image: usize,
}

/// The lock of a [`ForgetfulDisk`].
pub struct ForgetfulLock {
    model: Arc<Mutex<Model>>,
}

/// What can go wrong, counted in calls of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A write fails half done.
    WriteFails,
    /// No space is left when a file is created or allocated, this once.
    NoSpace,
    /// A sync of a file or of names fails.
    SyncFails,
    /// The power goes before a call that changes anything: it and every later call fails.
    PowerCut,
}

#[derive(Clone, Default)]
struct Model {
    images: Vec<Image>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<NameChange>,
    space_bytes: Option<usize>,
    troubles: Vec<(Trouble, u64)>,
    changes: u64,
    locked: bool,
    powerless: bool,
}

#[derive(Clone)]
enum NameChange {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

impl Default for ForgetfulDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl ForgetfulDisk {
    /// An empty disk without a limit.
    pub fn new() -> Self {
        Self::of(Model::default())
    }

    /// Limits the disk to `bytes` in files, or lifts the limit.
    pub fn limit_space(&self, bytes: Option<usize>) {
        lock(&self.model).space_bytes = bytes;
    }

    /// Lets the `nth` call from now (the next is the first) that can meet this trouble meet it.
    pub fn inject(&self, trouble: Trouble, nth: u64) {
        lock(&self.model).troubles.push((trouble, nth));
    }

    /// How many injected troubles have not been met yet.
    pub fn troubles_left(&self) -> usize {
        lock(&self.model).troubles.len()
    }

    /// How many calls that change something were made.
    pub fn changes(&self) -> u64 {
        lock(&self.model).changes
    }

    /// The disk as a new process finds it after a power cut.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let model = lock(&self.model);
        let images = model.images.iter().map(|image| image.torn(&mut dice)).collect();
        let mut names = model.durable_names.clone();
        let kept = dice.below(model.unsynced_names.len().saturating_add(1));
        model.unsynced_names.iter().take(kept).for_each(|change| change.apply(&mut names));
        Self::of(Model {
            images,
            durable_names: names.clone(),
            names,
            space_bytes: model.space_bytes,
            ..Model::default()
        })
    }

    /// The disk as a new process finds it after the old one was killed: nothing is lost, nothing more is durable.
    #[must_use]
    pub fn kill(&self) -> Self {
        let model = lock(&self.model).clone();
        Self::of(Model { troubles: Vec::new(), locked: false, powerless: false, ..model })
    }

    fn of(model: Model) -> Self {
        Self { model: Arc::new(Mutex::new(model)) }
    }

    fn file(&self, image: usize) -> ForgetfulFile {
        ForgetfulFile { model: Arc::clone(&self.model), image }
    }
}

impl Disk for ForgetfulDisk {
    type File = ForgetfulFile;
    type Lock = ForgetfulLock;

    fn lock(&self, _name: &str) -> io::Result<ForgetfulLock> {
        let mut model = lock(&self.model);
        model.powered()?;
        if model.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        model.locked = true;
        Ok(ForgetfulLock { model: Arc::clone(&self.model) })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let model = lock(&self.model);
        model.powered()?;
        Ok(model.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<ForgetfulFile> {
        let mut model = lock(&self.model);
        model.meet(Trouble::NoSpace)?;
        if model.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let image = model.images.len();
        model.images.push(Image::default());
        model.rename(NameChange::Create(name.to_owned(), image));
        Ok(self.file(image))
    }

    fn open(&self, name: &str) -> io::Result<ForgetfulFile> {
        let model = lock(&self.model);
        model.powered()?;
        let image = model.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(*image))
    }

    fn open_to_read(&self, name: &str) -> io::Result<ForgetfulFile> {
        self.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut model = lock(&self.model);
        model.meet(Trouble::PowerCut)?;
        if !model.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        model.rename(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut model = lock(&self.model);
        model.meet(Trouble::PowerCut)?;
        if !model.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        model.rename(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut model = lock(&self.model);
        model.meet(Trouble::SyncFails)?;
        let changes = std::mem::take(&mut model.unsynced_names);
        for change in &changes {
            change.apply(&mut model.durable_names);
        }
        Ok(())
    }
}

impl DiskFile for ForgetfulFile {
    fn length(&self) -> io::Result<u64> {
        let mut model = lock(&self.model);
        model.powered()?;
        Ok(u64::try_from(model.image(self.image)?.bytes.len()).unwrap_or(u64::MAX))
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let mut model = lock(&self.model);
        model.meet(Trouble::NoSpace)?;
        let length = place(length)?;
        let missing = length.saturating_sub(model.image(self.image)?.bytes.len());
        model.take_space(missing)?;
        if 0 < missing {
            model.image(self.image)?.change(Change::Length(length));
        }
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut model = lock(&self.model);
        model.meet(Trouble::PowerCut)?;
        let length = place(length)?;
        model.image(self.image)?.change(Change::Length(length));
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut model = lock(&self.model);
        model.powered()?;
        let start = place(offset)?;
        let end = start.saturating_add(buffer.len());
        let bytes = model.image(self.image)?.bytes.get(start..end);
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut model = lock(&self.model);
        let met = model.meet(Trouble::WriteFails);
        if model.powerless {
            return met;
        }
        let offset = place(offset)?;
        let written = if met.is_ok() { bytes.len() } else { bytes.len() / 2 };
        let end = offset.saturating_add(written);
        let missing = end.saturating_sub(model.image(self.image)?.bytes.len());
        model.take_space(missing)?;
        let bytes = bytes.iter().take(written).copied().collect();
        model.image(self.image)?.change(Change::Write { offset, bytes });
        met
    }

    fn give_back(&self, offset: u64, length: u64) -> io::Result<()> {
        // The model counts bytes of files: what is given back stays counted and reads as zeros.
        self.write_at(&vec![0; place(length)?], offset)
    }

    fn sync(&self) -> io::Result<()> {
        let mut model = lock(&self.model);
        let met = model.meet(Trouble::SyncFails);
        if !model.powerless {
            let image = model.image(self.image)?;
            if met.is_ok() { image.sync() } else { image.forget() }
        }
        met
    }
}

impl Drop for ForgetfulLock {
    fn drop(&mut self) {
        lock(&self.model).locked = false;
    }
}

impl fmt::Debug for ForgetfulDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForgetfulDisk").finish_non_exhaustive()
    }
}

impl fmt::Debug for ForgetfulFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForgetfulFile").field("image", &self.image).finish_non_exhaustive()
    }
}

impl fmt::Debug for ForgetfulLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForgetfulLock").finish_non_exhaustive()
    }
}

impl Model {
    fn powered(&self) -> io::Result<()> {
        if self.powerless { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    /// Counts a call that changes something and fails it if its trouble has come.
    fn meet(&mut self, own: Trouble) -> io::Result<()> {
        self.powered()?;
        self.changes = self.changes.saturating_add(1);
        let mut met = None;
        for (trouble, left) in &mut self.troubles {
            if *trouble == own || *trouble == Trouble::PowerCut {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    met = Some(*trouble);
                }
            }
        }
        self.troubles.retain(|(_, left)| 0 < *left);
        match met {
            None => Ok(()),
            Some(Trouble::NoSpace) => Err(io::ErrorKind::StorageFull.into()),
            Some(Trouble::WriteFails) => Err(io::Error::other("injected write error")),
            Some(Trouble::SyncFails) => Err(io::Error::other("injected sync error")),
            Some(Trouble::PowerCut) => {
                self.powerless = true;
                self.powered()
            }
        }
    }

    fn image(&mut self, image: usize) -> io::Result<&mut Image> {
        self.images.get_mut(image).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    fn take_space(&self, bytes: usize) -> io::Result<()> {
        let images = self.names.values().filter_map(|image| self.images.get(*image));
        let taken: usize = images.map(|image| image.bytes.len()).sum();
        if 0 < bytes && self.space_bytes.is_some_and(|space| space < taken.saturating_add(bytes)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Create(name, image) => {
                names.insert(name.clone(), *image);
            }
            Self::Rename(from, to) => {
                if let Some(image) = names.remove(from) {
                    names.insert(to.clone(), image);
                }
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn lock(model: &Mutex<Model>) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(disk: &ForgetfulDisk, name: &str) -> Option<Vec<u8>> {
        let file = disk.open(name).ok()?;
        let mut bytes = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        Some(bytes)
    }

    #[test]
    fn what_was_synced_outlives_every_crash() {
        let disk = ForgetfulDisk::new();
        let file = disk.create("a").unwrap();
        file.write_at(b"kept", 0).unwrap();
        file.sync().unwrap();
        disk.sync_names().unwrap();
        file.write_at(b"lost?", 4).unwrap();
        for seed in 0..64 {
            let found = read(&disk.crash(seed), "a").unwrap();
            assert!(b"keptlost?".starts_with(&found) && 4 <= found.len());
        }
    }

    #[test]
    fn a_name_lasts_only_once_names_are_synced() {
        let disk = ForgetfulDisk::new();
        disk.create("a").unwrap().sync().unwrap();
        let found: Vec<_> = (0..64).map(|seed| read(&disk.crash(seed), "a").is_some()).collect();
        assert!(found.contains(&true) && found.contains(&false));
        disk.sync_names().unwrap();
        assert!((0..64).all(|seed| read(&disk.crash(seed), "a").is_some()));
    }

    #[test]
    fn a_failed_sync_is_never_made_good() {
        let disk = ForgetfulDisk::new();
        let file = disk.create("a").unwrap();
        disk.sync_names().unwrap();
        file.write_at(b"gone", 0).unwrap();
        disk.inject(Trouble::SyncFails, 1);
        assert!(file.sync().is_err());
        file.sync().unwrap();
        assert_eq!(read(&disk, "a").unwrap(), b"gone");
        assert!((0..64).all(|seed| read(&disk.crash(seed), "a").unwrap().is_empty()));
    }

    #[test]
    fn the_same_seed_leaves_the_same_bytes() {
        let disk = ForgetfulDisk::new();
        let file = disk.create("a").unwrap();
        file.write_at(&[7; 5_000], 100).unwrap();
        for seed in 0..64 {
            assert_eq!(read(&disk.crash(seed), "a"), read(&disk.crash(seed), "a"));
        }
    }
}
