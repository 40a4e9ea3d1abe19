//! What an exchange trusts at this moment, and whether a live connection's certificate is still good.
//!
//! One [`Trust`] is shared by the acceptor (handshakes) and the service (every call, every tick of a stream), so a
//! reload reaches both at once. A live connection is re-verified by the very verifier that handshakes use, after each
//! reload and when a date passes; otherwise a recheck compares three numbers.
//!
//! Resumption is off altogether: a resumed session would skip the expiry and revocation of its certificate. Source of
//! revocation lists: RFC 5280 §5.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use rustls::{
    CertificateError, Error, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::CertificateRevocationListDer,
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

use crate::{
    identity::{
        certificate::{PeerCertificate, millis},
        fault::Fault,
        file::{self, ServerFiles},
        time::{TimeSource, unix_time},
    },
    model::{digest::Digest, order::UnixMillis},
};

/// The one application protocol: HTTP/2 (RFC 9113 §3.2).
pub(crate) const PROTOCOL: &[u8] = b"h2";

/// What an exchange trusts, exchanged as a whole by [`Trust::reload`].
#[derive(Debug)]
pub struct Trust {
    files: ServerFiles,
    time: TimeSource,
    current: ArcSwap<Trusted>,
    // Held while files are read, so that an older reading never replaces a newer one. Never held across an await.
    reloading: Mutex<()>,
}

/// What a reload found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The files are the same; nothing was done.
    Unchanged,
    /// The files differ; new handshakes and the rechecks of live connections use them from now on.
    Changed,
}

/// Why a certificate that once passed its handshake is no longer good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distrust {
    /// It, or a certificate above it, has expired.
    Expired,
    /// Its authority has revoked it, or a certificate above it.
    Revoked,
    /// The revocation list is out of date or missing, so nobody can say whether it is revoked.
    RevocationUnknown,
    /// Its authority is no longer trusted, or it no longer verifies for another reason.
    NotTrusted,
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the certificate has expired",
            Self::Revoked => "the certificate is revoked",
            Self::RevocationUnknown => "the revocation list is out of date",
            Self::NotTrusted => "the certificate is no longer trusted",
        })
    }
}

impl std::error::Error for Distrust {}

struct Trusted {
    generation: u64,
    source: Digest,
    config: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
    lists_expire: UnixMillis,
}

impl fmt::Debug for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trusted")
            .field("generation", &self.generation)
            .field("lists_expire", &self.lists_expire)
            .finish_non_exhaustive()
    }
}

impl Trust {
    /// Reads the files and takes time from `time`.
    ///
    /// A revocation list that is out of date is no fault here: callers with a certificate are refused until a newer
    /// list is loaded.
    ///
    /// # Errors
    /// A file is missing, is not what it should be (a missing or empty revocation list included), or key and
    /// certificate do not belong together.
    pub fn open(files: ServerFiles, time: TimeSource) -> Result<Arc<Self>, Fault> {
        let current = Sources::read(&files)?.trusted(&files, &time, 0)?;
        Ok(Arc::new(Self {
            files,
            time,
            current: ArcSwap::from_pointee(current),
            reloading: Mutex::new(()),
        }))
    }

    /// Reads the files again and, if they differ, uses them from now on. Cheap enough to call every second.
    ///
    /// # Errors
    /// As [`Trust::open`]; what was trusted before then stays, until its revocation list runs out.
    pub fn reload(&self) -> Result<Reload, Fault> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let sources = Sources::read(&self.files)?;
        let (source, generation) = {
            let current = self.current.load();
            (current.source, current.generation)
        };
        if sources.digest() == source {
            return Ok(Reload::Unchanged);
        }
        let next = sources.trusted(&self.files, &self.time, generation.saturating_add(1))?;
        self.current.store(Arc::new(next));
        Ok(Reload::Changed)
    }

    /// Whether the certificate of a live connection is still good, at this moment.
    ///
    /// Called for every call and every tick of a stream: it costs a few loads, and one verification per connection
    /// after a reload.
    ///
    /// # Errors
    /// Why the connection must not be served any longer.
    pub fn recheck(&self, peer: &PeerCertificate) -> Result<(), Distrust> {
        let now = self.time.now();
        let trusted = self.current.load();
        // A later generation, or a date that has passed somewhere in what was presented or listed: let the verifier say
        // whether it matters to this certificate.
        if peer.generation() == trusted.generation
            && now <= last_millisecond(peer.expires())
            && now <= last_millisecond(trusted.lists_expire)
        {
            return Ok(());
        }
        let Some((leaf, rest)) = peer.chain().split_first() else {
            return Err(Distrust::NotTrusted);
        };
        trusted
            .verifier
            .verify_client_cert(leaf, rest, unix_time(now))
            .map_err(|error| distrust(&error))?;
        peer.verified_again(trusted.generation);
        Ok(())
    }

    /// The last second in which every loaded revocation list is in force; after it callers are refused.
    pub fn revocation_lists_expire(&self) -> UnixMillis {
        self.current.load().lists_expire
    }

    /// Where the present time comes from.
    pub const fn time(&self) -> &TimeSource {
        &self.time
    }

    /// What a new handshake uses, and its generation.
    pub(crate) fn handshake(&self) -> (Arc<ServerConfig>, u64) {
        let trusted = self.current.load();
        (Arc::clone(&trusted.config), trusted.generation)
    }
}

/// The one cryptography provider, aws-lc-rs; nothing is installed for the whole process.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

// Certificates count whole seconds and include the last one.
fn last_millisecond(second: UnixMillis) -> UnixMillis {
    second.plus(999)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the error types of rustls are open")]
fn distrust(error: &Error) -> Distrust {
    match error {
        Error::InvalidCertificate(CertificateError::Revoked) => Distrust::Revoked,
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => Distrust::Expired,
        Error::InvalidCertificate(
            CertificateError::UnknownRevocationStatus
            | CertificateError::ExpiredRevocationList
            | CertificateError::ExpiredRevocationListContext { .. },
        )
        | Error::InvalidCertRevocationList(_) => Distrust::RevocationUnknown,
        _ => Distrust::NotTrusted,
    }
}

/// The bytes of the four files.
struct Sources {
    authority: zeroize::Zeroizing<Vec<u8>>,
    revocation_list: zeroize::Zeroizing<Vec<u8>>,
    certificate: zeroize::Zeroizing<Vec<u8>>,
    key: zeroize::Zeroizing<Vec<u8>>,
}

impl Sources {
    fn read(files: &ServerFiles) -> Result<Self, Fault> {
        Ok(Self {
            authority: file::read(&files.authority)?,
            revocation_list: file::read(&files.revocation_list)?,
            certificate: file::read(&files.certificate)?,
            key: file::read(&files.key)?,
        })
    }

    fn digest(&self) -> Digest {
        let Self { authority, revocation_list, certificate, key } = self;
        Digest::of_parts("concordat trust", &[authority, revocation_list, certificate, key])
    }

    fn trusted(
        &self,
        files: &ServerFiles,
        time: &TimeSource,
        generation: u64,
    ) -> Result<Trusted, Fault> {
        let unusable = |cause: &dyn fmt::Display| Fault::Unusable(cause.to_string());
        let mut roots = RootCertStore::empty();
        for root in file::certificates(&files.authority, &self.authority)? {
            roots.add(root).map_err(|cause| unusable(&cause))?;
        }
        let lists = file::revocation_lists(&files.revocation_list, &self.revocation_list)?;
        let lists_expire = earliest_next_update(files, &lists)?;
        // INVARIANT (fail closed): `lists` is never empty, since the verifier checks no revocation without a list; an
        // unknown status is refused (rustls' default), and so is a list past its next update.
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .with_crls(lists)
            .enforce_revocation_expiration()
            .allow_unauthenticated()
            .build()
            .map_err(|cause| unusable(&cause))?;
        let mut config = ServerConfig::builder_with_details(provider(), Arc::new(time.clone()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|cause| unusable(&cause))?
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_single_cert(
                file::certificates(&files.certificate, &self.certificate)?,
                file::private_key(&files.key, &self.key)?,
            )
            .map_err(|cause| unusable(&cause))?;
        // INVARIANT (no resumption): neither a session store nor a ticket in either protocol version, and no early data.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Trusted {
            generation,
            source: self.digest(),
            config: Arc::new(config),
            verifier,
            lists_expire,
        })
    }
}

fn earliest_next_update(
    files: &ServerFiles,
    lists: &[CertificateRevocationListDer<'_>],
) -> Result<UnixMillis, Fault> {
    let malformed = |what: &str| Fault::malformed(&files.revocation_list, what);
    let mut earliest: Option<UnixMillis> = None;
    for list in lists {
        let (_, parsed) = CertificateRevocationList::from_der(list.as_ref())
            .map_err(|_| malformed("holds a revocation list that does not parse"))?;
        let next_update = parsed
            .next_update()
            .map(millis)
            .ok_or_else(|| malformed("holds a revocation list without a next update"))?;
        earliest = Some(earliest.map_or(next_update, |earlier| earlier.min(next_update)));
    }
    earliest.ok_or_else(|| malformed("holds no revocation list"))
}
