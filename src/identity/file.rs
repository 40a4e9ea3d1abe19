//! Where credentials lie, and how they are read and written.
//!
//! A file is replaced whole (written beside, synced, renamed), so a reader never meets half a certificate. Private keys
//! are readable by their owner alone (mode 0600).

use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject,
};
use zeroize::Zeroizing;

use crate::identity::fault::Fault;

/// The files an exchange serves with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// The authorities that callers' certificates must come from, PEM.
    pub authority: PathBuf,
    /// The revocation lists of those authorities, PEM. Required: without a list nobody is let in.
    pub revocation_list: PathBuf,
    /// The exchange's own certificate and its intermediates, PEM.
    pub certificate: PathBuf,
    /// The private key of that certificate, PEM (PKCS#8, SEC1 or PKCS#1).
    pub key: PathBuf,
}

impl ServerFiles {
    /// The files under their usual names in `directory`.
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            authority: directory.join("ca.crt"),
            revocation_list: directory.join("crl.pem"),
            certificate: directory.join("server.crt"),
            key: directory.join("server.key"),
        }
    }
}

/// The files a caller connects and signs with: its profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileFiles {
    /// The authorities that the exchange's certificate must come from, PEM.
    pub authority: PathBuf,
    /// The caller's certificate and its intermediates, PEM.
    pub certificate: PathBuf,
    /// The private key of that certificate, PEM.
    pub key: PathBuf,
    /// The Ed25519 key that signs for the agency, PKCS#8 PEM.
    pub signing_key: PathBuf,
    /// Its public half, PEM.
    pub signing_public: PathBuf,
}

impl ProfileFiles {
    /// The files under their usual names in `directory`.
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            authority: directory.join("ca.crt"),
            certificate: directory.join("tls.crt"),
            key: directory.join("tls.key"),
            signing_key: directory.join("signing.key"),
            signing_public: directory.join("signing.pub"),
        }
    }
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Everybody on the machine: certificates and public keys.
    Public,
    /// The owner alone: private keys.
    Private,
}

/// Reads a whole file; the memory is wiped when it is dropped, since it may hold a key.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    fs::read(path).map(Zeroizing::new).map_err(|cause| Fault::file(path, &cause))
}

/// Replaces the file at `path` with `contents`; durable when it returns.
pub(crate) fn replace(path: &Path, contents: &[u8], secrecy: Secrecy) -> Result<(), Fault> {
    let fault = |cause: std::io::Error| Fault::file(path, &cause);
    // A bare file name has an empty parent.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or_else(|| Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(directory).map_err(fault)?;
    beside.write_all(contents).map_err(fault)?;
    let mode = match secrecy {
        Secrecy::Public => 0o644,
        Secrecy::Private => 0o600,
    };
    beside.as_file().set_permissions(Permissions::from_mode(mode)).map_err(fault)?;
    beside.as_file().sync_all().map_err(fault)?;
    beside.persist(path).map_err(|failed| fault(failed.error))?;
    fs::File::open(directory).and_then(|opened| opened.sync_all()).map_err(fault)
}

/// The certificates in PEM `text` that was read from `path`, in their order.
///
/// # Errors
/// Malformed PEM, or no certificate at all.
pub(crate) fn certificates(
    path: &Path,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, Fault> {
    some(path, "certificate", CertificateDer::pem_slice_iter(text))
}

/// The revocation lists in PEM `text` that was read from `path`, in their order.
///
/// # Errors
/// Malformed PEM, or no revocation list at all: an empty file must not mean that nothing is revoked.
pub(crate) fn revocation_lists(
    path: &Path,
    text: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, Fault> {
    some(path, "revocation list", CertificateRevocationListDer::pem_slice_iter(text))
}

/// The first private key in PEM `text` that was read from `path`.
///
/// # Errors
/// Malformed PEM, or no private key at all.
pub(crate) fn private_key(path: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, Fault> {
    PrivateKeyDer::from_pem_slice(text)
        .map_err(|_| Fault::malformed(path, "holds no private key in PEM form"))
}

fn some<T, E>(
    path: &Path,
    what: &str,
    items: impl Iterator<Item = Result<T, E>>,
) -> Result<Vec<T>, Fault> {
    let items = items
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Fault::malformed(path, "is not well-formed PEM"))?;
    if items.is_empty() {
        return Err(Fault::malformed(path, format!("holds no {what} in PEM form")));
    }
    Ok(items)
}
