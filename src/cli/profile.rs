//! The profile that calls: its directory, whose it is, and what it remembers of the exchange.
//!
//! Beside the keys (`certs/README.md`) a profile directory may hold `profile.toml`: the agency, the endpoint and the ledger
//! that the agency signs for. That file is a convenience for the caller; the exchange knows callers by certificate alone.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::{
    cli::error::{CliError, Exit},
    config::{Choice, ENDPOINT, Settings},
    identity::{file::ProfileFiles, signing::SigningKey},
    model::id::AgencyId,
};

const FILE: &str = "profile.toml";

/// What a profile remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    /// The agency, where it is not the certificate's common name.
    agency: Option<String>,
    /// The address of the exchange.
    endpoint: Option<String>,
    /// The ledger that the agency signs for, in hexadecimal digits.
    ledger: Option<String>,
}

/// A profile directory.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    directory: PathBuf,
    memory: Memory,
}

impl Profile {
    /// The profile that the settings choose.
    pub(crate) fn chosen(settings: &Settings) -> Result<Self, CliError> {
        let directory = match &settings.profile {
            Some(Choice::Directory(directory)) => directory.clone(),
            Some(Choice::Named(name)) => settings.home.join("profiles").join(name),
            None => return Err(no_choice(&settings.home)),
        };
        if !directory.is_dir() {
            let what = format!("there is no profile in `{}`", directory.display());
            let fix = match names(&settings.home).as_slice() {
                [] => {
                    "make one by `concordat certs issue`, or name another home by --home".to_owned()
                }
                names => format!("choose one of these by --as: {}", names.join(", ")),
            };
            return Err(CliError::new(Exit::NotFound, what).fixed_by(fix));
        }
        let memory = read(&directory.join(FILE))?;
        Ok(Self { directory, memory })
    }

    /// Where its files lie.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the exchange is.
    pub(crate) fn endpoint(&self, settings: &Settings) -> String {
        let Settings { endpoint_given, endpoint_filed, .. } = settings;
        let known = endpoint_given.as_ref().or(self.memory.endpoint.as_ref());
        known.or(endpoint_filed.as_ref()).cloned().unwrap_or_else(|| ENDPOINT.to_owned())
    }

    /// The agency that calls, by `profile.toml` or else by the certificate's common name.
    pub(crate) fn agency(&self) -> Result<AgencyId, CliError> {
        let path = self.files().certificate;
        let name = match &self.memory.agency {
            Some(name) => name.clone(),
            None => common_name(&path)?,
        };
        name.parse().map_err(|_| {
            CliError::new(Exit::Usage, format!("the profile `{name}` is no agency's"))
                .fixed_by("choose an agency's profile by --as or --profile")
        })
    }

    /// The key that signs in the agency's name.
    pub(crate) fn signing_key(&self) -> Result<SigningKey, CliError> {
        Ok(SigningKey::load(&self.files().signing_key)?)
    }

    /// The files of the profile.
    pub(crate) fn files(&self) -> ProfileFiles {
        ProfileFiles::in_directory(&self.directory)
    }

    /// Holds that the exchange is of the ledger that this agency signed for before; the first one is remembered.
    ///
    /// A signature names its ledger, so an exchange that passes itself off as another one gets none of any worth.
    pub(crate) fn hold_ledger(&mut self, ledger: &str) -> Result<(), CliError> {
        match &self.memory.ledger {
            Some(known) if known == ledger => Ok(()),
            Some(known) => {
                let path = self.directory.join(FILE);
                let what = "the exchange is of another ledger than this agency signed for before";
                Err(CliError::new(Exit::Conflict, what)
                    .because(format!("before: {known}, now: {ledger}"))
                    .fixed_by(format!(
                        "if the exchange was founded anew, remove `ledger` from `{}`",
                        path.display()
                    )))
            }
            None => self.remember(|memory| memory.ledger = Some(ledger.to_owned())),
        }
    }

    /// Remembers the agency and the endpoint.
    pub(crate) fn remember_exchange(
        &mut self,
        agency: &AgencyId,
        endpoint: &str,
    ) -> Result<(), CliError> {
        self.remember(|memory| {
            memory.agency = Some(agency.to_string());
            memory.endpoint = Some(endpoint.to_owned());
        })
    }

    fn remember(&mut self, change: impl FnOnce(&mut Memory)) -> Result<(), CliError> {
        change(&mut self.memory);
        let path = self.directory.join(FILE);
        let text = toml::to_string(&self.memory)
            .map_err(|cause| CliError::new(Exit::Other, cause.to_string()))?;
        match fs::write(&path, text) {
            // A profile that may only be read is as good, it just remembers nothing.
            Err(cause)
                if cause.kind() != io::ErrorKind::PermissionDenied
                    && cause.kind() != io::ErrorKind::ReadOnlyFilesystem =>
            {
                Err(CliError::file(&path, &cause))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn no_choice(home: &Path) -> CliError {
    let fix = match names(home).as_slice() {
        [] => {
            "choose one by --as NAME or --profile DIR; `concordat certs issue` makes one".to_owned()
        }
        names => format!("choose one by --as: {}", names.join(", ")),
    };
    CliError::new(Exit::Usage, "nobody is said to call: no profile is chosen").fixed_by(fix)
}

/// The profiles under the home directory.
fn names(home: &Path) -> Vec<String> {
    let entries = fs::read_dir(home.join("profiles")).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn read(path: &Path) -> Result<Memory, CliError> {
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|cause| {
            CliError::new(Exit::Invalid, format!("`{}` does not read", path.display()))
                .because(cause.message().to_owned())
        }),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Memory::default()),
        Err(cause) => Err(CliError::file(path, &cause)),
    }
}

fn common_name(path: &Path) -> Result<String, CliError> {
    let text = fs::read(path).map_err(|cause| CliError::file(path, &cause))?;
    let name = || {
        let der = CertificateDer::from_pem_slice(&text).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        certificate.subject().iter_common_name().next()?.as_str().ok().map(ToOwned::to_owned)
    };
    name().ok_or_else(|| {
        CliError::new(
            Exit::Invalid,
            format!("`{}` holds no certificate with a name", path.display()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::development::DevelopmentAuthority, model::order::UnixMillis};

    fn settings(home: &Path, name: &str) -> Settings {
        let flags = crate::config::Layer { name: Some(name.to_owned()), ..Default::default() };
        Settings::resolve(Some(home.to_owned()), flags, &|_| None).unwrap()
    }

    #[test]
    fn a_profile_knows_its_agency_and_remembers_its_ledger() {
        let home = tempfile::tempdir().unwrap();
        let now = UnixMillis::new(1_795_000_000_000);
        let authority = DevelopmentAuthority::create(home.path(), now).unwrap();
        authority.issue_agency(&"glen-college".parse().unwrap(), now).unwrap();
        let settings = settings(home.path(), "glen-college");
        let mut profile = Profile::chosen(&settings).unwrap();
        assert_eq!(profile.agency().unwrap().as_str(), "glen-college");
        assert_eq!(profile.endpoint(&settings), ENDPOINT);
        profile.hold_ledger("aa").unwrap();
        let mut again = Profile::chosen(&settings).unwrap();
        assert!(again.hold_ledger("aa").is_ok());
        assert_eq!(again.hold_ledger("bb").unwrap_err().exit, Exit::Conflict);
    }

    #[test]
    fn who_chooses_no_profile_is_told_which_there_are() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("profiles/glen-college")).unwrap();
        let error = Profile::chosen(&settings(home.path(), "nobody")).unwrap_err();
        assert_eq!(error.exit, Exit::NotFound);
        assert!(error.fix.ends_with("glen-college"), "{}", error.fix);
    }
}
