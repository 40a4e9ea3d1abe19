//! The names in a ledger's directory, and the file that says what the directory is. **\[format\]**.
//!
//! | name | what |
//! |---|---|
//! | `concordat.format` | one line: `concordat ledger 1` |
//! | `concordat.lock` | locked by the process that has the ledger open |
//! | `NNNNNNNNNNNNNNNNNNNN.segment` | the segment whose first entry has that position, 20 decimal digits |
//! | `spare` | the space kept back, see `writer.rs` |
//! | `next` | a file that is being made; without meaning after a start |

use std::io;

use crate::{
    ledger::{
        Fault,
        disk::{Disk, DiskFile},
        leaf::FORMAT,
    },
    model::order::Position,
};

/// The name of the file that says what this directory is.
const STAMP_NAME: &str = "concordat.format";
/// The name of the file that is locked.
pub(super) const LOCK_NAME: &str = "concordat.lock";
/// The name of a file that is being made.
pub(super) const NEXT_NAME: &str = "next";
/// The name of the space that is kept back.
pub(super) const SPARE_NAME: &str = "spare";
const SEGMENT_SUFFIX: &str = ".segment";
const STAMP_PREFIX: &str = "concordat ledger ";
/// What an operating system copies at once.
const PAGE_BYTES: usize = 4_096;

/// The name of the segment that begins at `first`.
pub(super) fn segment_name(first: Position) -> String {
    format!("{:020}{SEGMENT_SUFFIX}", first.number())
}

/// The names of the segments in a directory, in order.
pub(super) fn segment_names(disk: &impl Disk) -> Result<Vec<String>, Fault> {
    let mut names = disk.list().map_err(|error| unreadable(&error))?;
    names.retain(|name| name.ends_with(SEGMENT_SUFFIX));
    Ok(names)
}

/// Whether the directory says that it is a ledger of this format; `false` if it says nothing.
///
/// # Errors
/// [`Fault::Unusable`] for a newer format, [`Fault::Corrupt`] for no format at all.
pub(super) fn read_stamp(disk: &impl Disk) -> Result<bool, Fault> {
    let file = match disk.open_to_read(STAMP_NAME) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unreadable(&error)),
    };
    let bytes = read_all(&file)?;
    let text = String::from_utf8_lossy(&bytes);
    let stated = text.strip_prefix(STAMP_PREFIX).and_then(|rest| rest.strip_suffix('\n'));
    match stated.and_then(|format| format.parse::<u32>().ok()) {
        Some(format) if format == u32::from(FORMAT) => Ok(true),
        Some(format) if u32::from(FORMAT) < format => {
            Err(Fault::Unusable(format!("the directory has the newer format {format}")))
        }
        Some(_) | None => Err(Fault::Corrupt("the format stamp is damaged".to_owned())),
    }
}

/// Says what the directory is; durable once names are synced.
pub(super) fn write_stamp(disk: &impl Disk) -> io::Result<()> {
    let file = disk.create(NEXT_NAME)?;
    file.write_at(format!("{STAMP_PREFIX}{FORMAT}\n").as_bytes(), 0)?;
    file.sync()?;
    disk.rename(NEXT_NAME, STAMP_NAME)
}

/// All of a file.
///
/// # Errors
/// [`Fault::Corrupt`] if it is longer than any file of a ledger; [`Fault::Unusable`] if it cannot be read.
pub(super) fn read_all(file: &impl DiskFile) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![0; length(file)?];
    file.read_at(&mut bytes, 0).map_err(|error| unreadable(&error))?;
    Ok(bytes)
}

/// All of a file that another process may be writing to: from its end to its start.
///
/// So no byte is older than one after it: a group that is being appended shows as a torn one, never as a hole before a
/// whole one, and whoever sees an attachment overwritten sees its mark. A file that is cut down meanwhile, which happens
/// once, is read again.
///
/// # Errors
/// As [`read_all`].
pub(super) fn read_backwards(file: &impl DiskFile) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut read = || {
        bytes = vec![0; length(file)?];
        for (number, page) in bytes.chunks_mut(PAGE_BYTES).enumerate().rev() {
            let offset = u64::try_from(number.saturating_mul(PAGE_BYTES)).unwrap_or(u64::MAX);
            file.read_at(page, offset).map_err(|error| unreadable(&error))?;
        }
        Ok(())
    };
    read().or_else(|_: Fault| read())?;
    Ok(bytes)
}

fn length(file: &impl DiskFile) -> Result<usize, Fault> {
    let length = file.length().map_err(|error| unreadable(&error))?;
    let length = u32::try_from(length)
        .map_err(|_| Fault::Corrupt("a file is longer than a segment can be".to_owned()))?;
    Ok(usize::try_from(length).unwrap_or(usize::MAX))
}

/// The fault of a directory that cannot be read.
pub(super) fn unreadable(error: &io::Error) -> Fault {
    Fault::Unusable(format!("the directory cannot be read: {error}"))
}
