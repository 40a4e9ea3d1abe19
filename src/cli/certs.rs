//! `concordat certs`: the development authority, for trying Concordat out. `certs/README.md` says what it makes.

use std::{fs, path::Path, path::PathBuf};

use clap::{Args, Subcommand};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject};
use serde_json::{Value, json};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

use crate::{
    cli::{
        error::{CliError, Exit},
        output::{Column, words},
        session::Caller,
        time,
    },
    clock::Clock,
    identity::{
        certificate::{CertificateFacts, Serial},
        development::{DevelopmentAuthority, IssuedProfile},
        file::{ProfileFiles, ServerFiles},
    },
    model::{id::AgencyId, order::UnixMillis},
};

const COLUMNS: [Column; 5] = [
    ("NAME", "name"),
    ("STATE", "state"),
    ("DAYS LEFT", "days_left"),
    ("SERIAL", "serial"),
    ("FINGERPRINT", "fingerprint"),
];
const DAY_MS: u64 = 24 * 3_600_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Certs {
    /// Make an authority, the exchange's certificate and the operator's profile.
    Create {
        #[command(flatten)]
        place: Place,
        /// A further DNS name or IP address of the exchange; localhost, 127.0.0.1 and `::1` are always in.
        #[arg(long = "name", value_name = "HOST")]
        names: Vec<String>,
    },
    /// Make an agency's profile: its certificate, and its keys for TLS and for signing.
    Issue {
        #[command(flatten)]
        place: Place,
        /// The agency's id.
        agency: AgencyId,
    },
    /// Make a new certificate with the old key for a profile, or a new one for the exchange, or a new revocation list.
    Renew {
        #[command(flatten)]
        place: Place,
        /// The profile.
        #[arg(value_name = "PROFILE", required_unless_present_any = ["server", "list"])]
        renewed: Option<String>,
        /// The exchange's certificate, with a new key.
        #[arg(long, conflicts_with = "renewed")]
        server: bool,
        /// A further DNS name or IP address of the exchange.
        #[arg(long = "name", value_name = "HOST", requires = "server")]
        names: Vec<String>,
        /// The revocation list.
        #[arg(long, conflicts_with_all = ["renewed", "server"])]
        list: bool,
    },
    /// Revoke a certificate. A running exchange acts on it within five seconds.
    Revoke {
        #[command(flatten)]
        place: Place,
        /// The profile whose present certificate is revoked.
        #[arg(value_name = "PROFILE", required_unless_present = "serial")]
        revoked: Option<String>,
        /// The serial number of the certificate, in hexadecimal digits.
        #[arg(long, value_parser = serial, conflicts_with = "revoked")]
        serial: Option<Serial>,
    },
    /// Show every certificate, until when it is valid, and the fingerprint by which the exchange knows it.
    Status {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The directory of the authority. Default: the home directory.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

fn serial(text: &str) -> Result<Serial, String> {
    text.parse().map_err(|_| "give the hexadecimal digits of a serial number".to_owned())
}

impl Certs {
    pub(crate) fn run(self, caller: &Caller) -> Result<(), CliError> {
        let now = Clock::system().now();
        let directory = |place: Place| place.dir.unwrap_or_else(|| caller.settings.home.clone());
        match self {
            Self::Create { place, names } => {
                let directory = directory(place);
                let authority = DevelopmentAuthority::create(&directory, now)?;
                authority.issue_server(&names, now)?;
                let operator = authority.issue_operator(now)?;
                words("made for trying out: the authority's key lies unencrypted in the directory");
                caller.output.one(&profile_value("operator", &operator))
            }
            Self::Issue { place, agency } => {
                let issued =
                    DevelopmentAuthority::open(&directory(place))?.issue_agency(&agency, now)?;
                caller.output.one(&profile_value(agency.as_str(), &issued))
            }
            Self::Renew { place, renewed, server, names, list: _ } => {
                let authority = DevelopmentAuthority::open(&directory(place))?;
                match renewed {
                    Some(name) => {
                        let renewed = authority.renew(&name, now)?;
                        caller.output.one(&profile_value(&name, &renewed))
                    }
                    None if server => {
                        let facts = authority.issue_server(&names, now)?;
                        caller.output.one(&certificate_value("exchange", &facts, "valid", now))
                    }
                    None => {
                        authority.renew_revocation_list(now)?;
                        words("the revocation list is renewed");
                        Ok(())
                    }
                }
            }
            Self::Revoke { place, revoked, serial } => {
                let authority = DevelopmentAuthority::open(&directory(place))?;
                let serial = match (serial, revoked) {
                    (Some(serial), _) => serial,
                    (None, Some(name)) => authority.profile(&name)?.certificate.serial,
                    (None, None) => return Err(CliError::new(Exit::Usage, "name a profile")),
                };
                authority.revoke(&serial, now)?;
                words(format!("{serial} is revoked"));
                Ok(())
            }
            Self::Status { place } => status(caller, &directory(place), now),
        }
    }
}

fn profile_value(name: &str, issued: &IssuedProfile) -> Value {
    json!({
        "profile": name,
        "directory": issued.directory.display().to_string(),
        "fingerprint": issued.certificate.fingerprint.to_string(),
        "serial": issued.certificate.serial.to_string(),
        "not_after": time::show(issued.certificate.not_after),
    })
}

fn certificate_value(name: &str, facts: &CertificateFacts, state: &str, now: UnixMillis) -> Value {
    json!({
        "name": name,
        "state": state,
        "days_left": facts.not_after.millis().saturating_sub(now.millis()) / DAY_MS,
        "not_before": time::show(facts.not_before),
        "not_after": time::show(facts.not_after),
        "serial": facts.serial.to_string(),
        "fingerprint": facts.fingerprint.to_string(),
    })
}

/// The authority's certificate, the exchange's, and those of the profiles.
fn status(caller: &Caller, directory: &Path, now: UnixMillis) -> Result<(), CliError> {
    let files = ServerFiles::in_directory(directory);
    let list = RevocationList::read(&files.revocation_list)?;
    let mut paths = vec![("authority".to_owned(), files.authority)];
    if files.certificate.exists() {
        paths.push(("exchange".to_owned(), files.certificate));
    }
    let profiles = directory.join("profiles");
    for entry in fs::read_dir(&profiles).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        paths.push((name, ProfileFiles::in_directory(&entry.path()).certificate));
    }
    paths.sort_by_cached_key(|(name, path)| (path.starts_with(&profiles), name.clone()));
    let mut rows = Vec::new();
    for (name, path) in paths {
        let facts = read_certificate(&path)?;
        let state = if list.revoked.contains(&facts.serial) {
            "revoked"
        } else if facts.not_after < now {
            "expired"
        } else if now < facts.not_before {
            "not-valid-yet"
        } else {
            "valid"
        };
        rows.push(certificate_value(&name, &facts, state, now));
    }
    if list.next_update < now {
        words(
            "the revocation list is out of date: nobody is let in until it is renewed (concordat certs renew --list)",
        );
    }
    caller.output.rows(&COLUMNS, &rows)
}

/// The facts of the first certificate in a PEM file.
pub(crate) fn read_certificate(path: &Path) -> Result<CertificateFacts, CliError> {
    let text = fs::read(path).map_err(|cause| CliError::file(path, &cause))?;
    let der = CertificateDer::from_pem_slice(&text).ok();
    der.and_then(|der| CertificateFacts::parse(&der)).ok_or_else(|| {
        CliError::new(Exit::Invalid, format!("`{}` holds no certificate", path.display()))
    })
}

struct RevocationList {
    revoked: Vec<Serial>,
    next_update: UnixMillis,
}

impl RevocationList {
    fn read(path: &Path) -> Result<Self, CliError> {
        let text = fs::read(path).map_err(|cause| CliError::file(path, &cause))?;
        let der = CertificateRevocationListDer::from_pem_slice(&text).ok();
        let malformed = || {
            CliError::new(Exit::Invalid, format!("`{}` holds no revocation list", path.display()))
        };
        let der = der.ok_or_else(malformed)?;
        let (_, list) = CertificateRevocationList::from_der(&der).map_err(|_| malformed())?;
        let seconds = list.next_update().map_or(0, |at| at.timestamp());
        let next_update = u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
        let revoked = list.iter_revoked_certificates();
        Ok(Self {
            revoked: revoked.map(|entry| Serial::from_be_bytes(entry.raw_serial())).collect(),
            next_update: UnixMillis::new(next_update),
        })
    }
}
