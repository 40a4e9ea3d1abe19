//! What an import remembers between its runs: when it began and the secret that its request ids derive from.
//!
//! It holds nothing about any person. Without it a second run would publish everything again.

use std::{collections::BTreeSet, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    cli::{
        error::{CliError, Exit},
        hex,
    },
    clock::Entropy,
    identity::file::{self, Secrecy},
    model::{
        digest::Digest,
        id::{AgencyId, RecordTypeName, RequestId},
        limit,
        order::UnixMillis,
    },
};

/// How long before request ids grow too old an import is not taken up any more, in milliseconds: a day.
const MARGIN_MS: u64 = 24 * 3_600_000;

/// The file's form.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    format: u32,
    agency: String,
    record_type: String,
    begun_at_ms: u64,
    secret: String,
}

/// An import that has begun.
#[derive(Debug)]
pub(in crate::cli) struct Begun {
    agency: AgencyId,
    record_type: RecordTypeName,
    at: UnixMillis,
    secret: [u8; 16],
    /// What rows said so far.
    seen: BTreeSet<[u8; 16]>,
}

impl Begun {
    /// An import that begins now and is remembered nowhere.
    pub(in crate::cli) fn new(
        agency: &AgencyId,
        record_type: &RecordTypeName,
        now: UnixMillis,
        entropy: &Entropy,
    ) -> Self {
        let (agency, record_type) = (agency.clone(), record_type.clone());
        Self { agency, record_type, at: now, secret: entropy.bytes(), seen: BTreeSet::new() }
    }

    /// The import that the file at `path` remembers, or a new one that it remembers from now on.
    pub(in crate::cli) fn find_or_begin(
        path: &Path,
        (agency, record_type): (&AgencyId, &RecordTypeName),
        now: UnixMillis,
        entropy: &Entropy,
    ) -> Result<Self, CliError> {
        let remembered = match fs::read_to_string(path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                let begun = Self::new(agency, record_type, now, entropy);
                file::replace(path, begun.text().as_bytes(), Secrecy::Private)?;
                return Ok(begun);
            }
            Err(cause) => return Err(CliError::file(path, &cause)),
            Ok(text) => serde_json::from_str::<Remembered>(&text).ok(),
        };
        let shown = path.display();
        let remembered =
            remembered.filter(|remembered| remembered.format == 1).ok_or_else(|| {
                CliError::new(Exit::Invalid, format!("`{shown}` remembers no import"))
            })?;
        if remembered.agency != agency.as_str() || remembered.record_type != record_type.as_str() {
            let what = "this file was imported by another agency or as another type of record";
            return Err(CliError::new(Exit::Conflict, what)
                .because(format!("{} as {}", remembered.agency, remembered.record_type))
                .fixed_by(format!("call as before, or remove `{shown}` to import it anew")));
        }
        let at = UnixMillis::new(remembered.begun_at_ms);
        if at.plus(limit::REQUEST_MEMORY_MS.saturating_sub(MARGIN_MS)) < now {
            let what = "this import began too long ago to be taken up";
            return Err(CliError::new(Exit::Conflict, what)
                .because("request ids are good for 30 days; what was published stays published")
                .fixed_by(format!(
                    "keep only rows that are new, then remove `{shown}` and import again"
                )));
        }
        let secret = hex::parse(&remembered.secret).and_then(|bytes| bytes.try_into().ok());
        let secret = secret.ok_or_else(|| {
            CliError::new(Exit::Invalid, format!("`{shown}` remembers no import"))
        })?;
        let (agency, record_type) = (agency.clone(), record_type.clone());
        Ok(Self { agency, record_type, at, secret, seen: BTreeSet::new() })
    }

    /// When the import began.
    pub(in crate::cli) const fn begun_at(&self) -> UnixMillis {
        self.at
    }

    /// The request id of the row with this body; `None` if an earlier row of this run said the same.
    pub(in crate::cli) fn request(&mut self, body: &[u8]) -> Option<RequestId> {
        let digest = Digest::of_parts(
            "concordat.import-row.v1",
            &[
                &self.secret,
                self.agency.as_str().as_bytes(),
                self.record_type.as_str().as_bytes(),
                body,
            ],
        )
        .first_half();
        if !self.seen.insert(digest) {
            return None;
        }
        let random = digest.first_chunk::<10>()?;
        let uuid = uuid::Builder::from_unix_timestamp_millis(self.at.millis(), random);
        Some(RequestId::from_bytes(uuid.into_uuid().into_bytes()))
    }

    fn text(&self) -> String {
        let remembered = Remembered {
            format: 1,
            agency: self.agency.to_string(),
            record_type: self.record_type.to_string(),
            begun_at_ms: self.at.millis(),
            secret: hex::of(&self.secret),
        };
        serde_json::to_string_pretty(&remembered).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis::new(1_795_000_000_000);

    fn begin(path: &Path, agency: &str, now: UnixMillis, seed: u8) -> Result<Begun, CliError> {
        let entropy = Entropy::seeded([seed; 32]);
        let (agency, record_type) = (agency.parse()?, "leaver-form".parse()?);
        Begun::find_or_begin(path, (&agency, &record_type), now, &entropy)
    }

    #[test]
    fn a_second_run_gives_every_row_the_request_id_of_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mine.csv.concordat-import.json");
        let mut first = begin(&path, "glen-college", NOW, 1).unwrap();
        let mut second = begin(&path, "glen-college", NOW.plus(60_000), 2).unwrap();
        let ids: Vec<_> = [b"a", b"b"].map(|body| first.request(body).unwrap()).into();
        assert_eq!(second.request(b"b"), ids.last().copied());
        assert_eq!(second.request(b"a"), ids.first().copied());
        assert_eq!(ids[0].unix_millis(), Some(NOW.millis()));
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn a_row_that_repeats_another_has_no_request_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let mut begun = begin(&directory.path().join("x"), "glen-college", NOW, 1).unwrap();
        assert!(begun.request(b"a").is_some());
        assert_eq!(begun.request(b"a"), None);
    }

    #[test]
    fn another_agency_or_another_month_does_not_take_an_import_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        begin(&path, "glen-college", NOW, 1).unwrap();
        let other = begin(&path, "abertay-council", NOW, 1).unwrap_err();
        let late = begin(&path, "glen-college", NOW.plus(limit::REQUEST_MEMORY_MS), 1).unwrap_err();
        assert_eq!((other.exit, late.exit), (Exit::Conflict, Exit::Conflict));
    }
}
