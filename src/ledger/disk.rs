//! The disk under the segments: the few calls a ledger needs from a file system, and exactly what each one promises.
//!
//! Two real engines: [`OsDisk`], a directory of the operating system, and [`ForgetfulDisk`], a model of one that
//! forgets what was not synced, on which every simulation and crash test runs. All calls block; whoever calls from a
//! task does so on a thread of its own. A disk holds one flat directory.

use std::{fmt, io};

mod forgetful;
mod os;

pub use self::{
    forgetful::{ForgetfulDisk, ForgetfulFile, ForgetfulLock, Trouble},
    os::OsDisk,
};

/// One flat directory of files.
pub trait Disk: Clone + fmt::Debug + Send + Sync + 'static {
    /// An open file. Dropping it closes it and syncs nothing.
    type File: DiskFile;
    /// Holds the lock of the directory until it is dropped.
    type Lock: fmt::Debug + Send + Sync + 'static;

    /// Takes the directory's exclusive lock, which is the lock on the file `name`. It does not outlive the process.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another holds it.
    fn lock(&self, name: &str) -> io::Result<Self::Lock>;

    /// The names of all files, in ascending order.
    ///
    /// # Errors
    /// Those of the file system.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates an empty file. Its name lasts only once [`Disk::sync_names`] has returned.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`]; [`io::ErrorKind::StorageFull`].
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file to read and to write.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`].
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file to read only.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`].
    fn open_to_read(&self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name, in place of the file that had it. It lasts only once [`Disk::sync_names`] has
    /// returned; until then a power cut leaves one or the other, never neither.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. It may come back until [`Disk::sync_names`] has returned.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every name given, changed or removed before durable.
    ///
    /// # Errors
    /// Afterwards nothing is known of any of them: never retry.
    fn sync_names(&self) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: fmt::Debug + Send + Sync + 'static {
    /// Its length in bytes.
    ///
    /// # Errors
    /// Those of the file system.
    fn length(&self) -> io::Result<u64>;

    /// Makes the file `length` bytes long, new bytes being zeros, and keeps the space for them, so that writing within
    /// them cannot run out of it.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`]: the file may have grown; remove it.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// Cuts the file down to `length` bytes.
    ///
    /// # Errors
    /// Those of the file system.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the file is shorter.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`. They last only once [`DiskFile::sync`] has returned; until then a power cut
    /// leaves any part of them.
    ///
    /// # Errors
    /// Any part of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Gives the space of `length` bytes from `offset` on back to the disk; they then read as zeros, and the file stays
    /// as long as it is. A file system that cannot do so keeps the bytes as they are.
    ///
    /// # Errors
    /// Those of the file system. It lasts only once [`DiskFile::sync`] has returned.
    fn give_back(&self, offset: u64, length: u64) -> io::Result<()>;

    /// Makes every byte written before, and the length, durable.
    ///
    /// # Errors
    /// Afterwards nothing is known of any of them, and a second try may succeed without having written: never retry.
    fn sync(&self) -> io::Result<()>;
}
