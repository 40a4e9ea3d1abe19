//! The development authority: what it writes, what it keeps, what it refuses.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up fails its test")]

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

use concordat::identity::{
    certificate::Serial,
    development::{DevelopmentAuthority, Renewal},
    fault::Fault,
    file::ProfileFiles,
    signing::SigningKey,
    time::TimeSource,
    trust::Trust,
};

use crate::tls_bench::{Bench, NOW};

const HOUR: u64 = 3_600_000;

/// Every file under `directory` with its mode.
fn files(directory: &Path) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(directory).unwrap().display().to_string();
                found.insert(name, entry.metadata().unwrap().permissions().mode() & 0o777);
            }
        }
    }
    found
}

#[test]
fn the_files_are_those_of_the_readme_and_private_keys_are_private() {
    let bench = Bench::new();
    bench.agency("glen-college", NOW);
    bench.authority.issue_operator(NOW).unwrap();
    let found = files(bench.directory.path());
    let readme = include_str!("../../certs/README.md");
    for (path, mode) in &found {
        let name = path.rsplit('/').next().unwrap();
        assert!(readme.contains(&format!("`{name}`")), "certs/README.md does not name `{name}`");
        let private = Path::new(name).extension().is_some_and(|extension| extension == "key");
        assert_eq!(*mode, if private { 0o600 } else { 0o644 }, "{path}");
    }
    assert_eq!(found.len(), 5 + 2 * 5);
    let mode = fs::metadata(bench.path("profiles/glen-college")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(bench.authority.profiles().unwrap(), ["glen-college", "operator"]);
}

#[test]
fn nothing_that_exists_is_overwritten() {
    let bench = Bench::new();
    let first = bench.agency("glen-college", NOW);
    let again = bench.authority.issue_agency(&"glen-college".parse().unwrap(), NOW);
    assert!(matches!(again, Err(Fault::Exists(_))), "{again:?}");
    assert_eq!(bench.authority.profile("glen-college").unwrap(), first);
    let again = DevelopmentAuthority::create(bench.directory.path(), NOW);
    assert!(matches!(again, Err(Fault::Exists(_))));
    let operator = bench.authority.issue_agency(&"operator".parse().unwrap(), NOW);
    assert!(matches!(operator, Err(Fault::ReservedName(_))));
}

#[test]
fn a_renewed_certificate_keeps_its_key_and_outlives_the_old_one() {
    let bench = Bench::new();
    let old = bench.agency("glen-college", NOW);
    let new = bench.authority.renew("glen-college", NOW.plus(24 * HOUR)).unwrap();
    assert_eq!(new.certificate.fingerprint, old.certificate.fingerprint);
    assert_eq!(new.signing_public, old.signing_public);
    assert_ne!(new.certificate.serial, old.certificate.serial);
    assert!(old.certificate.not_after < new.certificate.not_after);
    assert!(bench.authority.renew("nobody", NOW).is_err());
}

#[test]
fn no_certificate_outlives_its_authority() {
    let bench = Bench::new();
    let end = bench.authority.certificate().not_after;
    let profile = bench.agency("glen-college", end);
    assert_eq!(profile.certificate.not_after, end);
}

#[test]
fn what_was_revoked_stays_revoked_through_renewals() {
    let bench = Bench::new();
    let serials: Vec<Serial> = (0..5)
        .map(|number| bench.agency(&format!("agency-{number}"), NOW).certificate.serial)
        .collect();
    for serial in &serials {
        bench.authority.revoke(serial, NOW).unwrap();
        bench.authority.revoke(serial, NOW).unwrap();
        bench.authority.renew_revocation_list(NOW).unwrap();
    }
    let text = fs::read(bench.path("crl.pem")).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&text).unwrap();
    let (_, list) = x509_parser::parse_x509_crl(&pem.contents).unwrap();
    let revoked: Vec<Serial> = list
        .iter_revoked_certificates()
        .map(|entry| Serial::from_be_bytes(entry.raw_serial()))
        .collect();
    assert_eq!(revoked, serials);
    assert_eq!(list.crl_number().unwrap().to_string(), "17");
}

#[test]
fn a_missing_revocation_list_is_never_taken_for_an_empty_one() {
    let bench = Bench::new();
    fs::remove_file(bench.path("crl.pem")).unwrap();
    assert!(bench.authority.renew_revocation_list(NOW).is_err());
    assert!(bench.authority.keep_revocation_list_current(NOW).is_err());
    assert!(!bench.path("crl.pem").exists());
}

#[test]
fn the_revocation_list_is_renewed_at_half_its_time() {
    let bench = Bench::new();
    let keep = |at| bench.authority.keep_revocation_list_current(at).unwrap();
    assert_eq!(keep(NOW), Renewal::NotDue);
    assert_eq!(keep(NOW.plus(12 * HOUR - 1)), Renewal::NotDue);
    assert_eq!(keep(NOW.plus(12 * HOUR)), Renewal::Renewed);
    assert_eq!(keep(NOW.plus(12 * HOUR)), Renewal::NotDue);
    let trust = Trust::open(bench.files(), TimeSource::fixed(NOW)).unwrap();
    assert_eq!(trust.revocation_lists_expire(), NOW.plus(36 * HOUR));
}

#[test]
fn a_profile_signs_with_the_key_it_publishes() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", NOW);
    let files = ProfileFiles::in_directory(&profile.directory);
    let key = SigningKey::load(&files.signing_key).unwrap();
    assert_eq!(key.public(), profile.signing_public);
    assert_eq!(fs::read_to_string(&files.signing_public).unwrap(), key.public_pem());
    let signature = key.sign(b"approve").unwrap();
    aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::ED25519,
        profile.signing_public,
    )
    .verify(b"approve", &signature)
    .unwrap();
}

#[test]
fn a_name_that_cannot_stand_in_a_certificate_is_refused() {
    let bench = Bench::new();
    let before = fs::read(bench.path("server.crt")).unwrap();
    assert!(bench.authority.issue_server(&["exchänge".to_owned()], NOW).is_err());
    assert_eq!(fs::read(bench.path("server.crt")).unwrap(), before);
    Trust::open(bench.files(), TimeSource::fixed(NOW)).unwrap();
}
