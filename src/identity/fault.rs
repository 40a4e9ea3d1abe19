//! What can go wrong with keys, certificates and revocation lists on this machine.
//!
//! A caller's bad certificate is not here: that ends in a TLS alert (see [`crate::identity::alert`]).

use std::{fmt, io, path::Path, path::PathBuf};

/// Credentials could not be read, made or used. The text is for whoever runs this program, never for a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file or directory could not be read or written.
    File {
        /// Where it is.
        path: PathBuf,
        /// What the operating system said.
        cause: String,
    },
    /// The file does not hold what it must hold.
    Malformed {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// There is one already, and it is not overwritten.
    Exists(PathBuf),
    /// The name is kept for another purpose.
    ReservedName(String),
    /// The certificates and keys do not work together.
    Unusable(String),
    /// Cryptography failed: no entropy, or a key that cannot sign.
    Cryptography(String),
}

impl Fault {
    pub(crate) fn file(path: &Path, cause: &io::Error) -> Self {
        Self::File { path: path.to_owned(), cause: cause.to_string() }
    }

    pub(crate) fn malformed(path: &Path, what: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), what: what.into() }
    }

    pub(crate) fn cryptography(cause: &impl fmt::Display) -> Self {
        Self::Cryptography(cause.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, cause } => write!(f, "`{}`: {cause}", path.display()),
            Self::Malformed { path, what } => write!(f, "`{}` {what}", path.display()),
            Self::Exists(path) => {
                write!(f, "`{}` exists already; remove it or renew it", path.display())
            }
            Self::ReservedName(name) => {
                write!(f, "the name `{name}` is reserved; choose another one")
            }
            Self::Unusable(cause) => {
                write!(f, "the certificates and keys do not work together: {cause}")
            }
            Self::Cryptography(cause) => write!(f, "cryptography failed: {cause}"),
        }
    }
}

impl std::error::Error for Fault {}
