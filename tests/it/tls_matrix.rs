//! Every kind of certificate, over TLS 1.2 and 1.3, on a first connection and on one that tries to resume it.
//!
//! The table below is the table of `docs/operating.md`, "Certificate errors".

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up fails its test")]

use std::fs;

use concordat::identity::{
    acceptor::Limits, alert::explain_alert, certificate::CertificateFacts,
    development::DevelopmentAuthority, file::ServerFiles, time::TimeSource,
};
use rcgen::{CustomExtension, ExtendedKeyUsagePurpose, KeyPair};
use rustls::{AlertDescription, HandshakeKind, pki_types::CertificateDer};

use crate::tls_bench::{Bench, Caller, DAY, Ending, Exchange, NOW, Pair, VERSIONS, days_ago};

/// A caller with `pair` comes to an exchange that serves `files` at the time `time`, and must end as `expected` says:
/// each version of TLS, twice each.
async fn check(
    bench: &Bench,
    (files, time): (ServerFiles, TimeSource),
    pair: Option<&Pair>,
    expected: Ending,
) {
    let exchange = Exchange::start(files, time, Limits::default()).await;
    for version in VERSIONS {
        let caller = Caller::new(bench, version, pair);
        for attempt in ["first", "resumed"] {
            let (ending, kind) = caller.call(exchange.address).await;
            assert_eq!(ending, expected, "{version:?}, {attempt}");
            assert!(
                kind.is_none_or(|kind| matches!(
                    kind,
                    HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest
                )),
                "{version:?}, {attempt}: {kind:?}"
            );
        }
    }
}

async fn check_now(bench: &Bench, pair: Option<&Pair>, expected: Ending) {
    check(bench, (bench.files(), TimeSource::fixed(NOW)), pair, expected).await;
}

fn greeted(pair: &Pair) -> Ending {
    let leaf = pair.chain().first().unwrap();
    Ending::Greeted(CertificateFacts::parse(leaf).unwrap().fingerprint.to_string())
}

fn alert(description: AlertDescription) -> Ending {
    assert!(explain_alert(description).is_some(), "{description:?} is not explained");
    Ending::Alert(description)
}

#[tokio::test]
async fn an_agency_is_known_by_its_key() {
    let bench = Bench::new();
    let profile = bench.agency("inverclyde-council", NOW);
    let pair = Pair::of_profile(&profile);
    assert_eq!(greeted(&pair), Ending::Greeted(profile.certificate.fingerprint.to_string()));
    check_now(&bench, Some(&pair), greeted(&pair)).await;
}

#[tokio::test]
async fn a_caller_without_a_certificate_comes_through_as_nobody() {
    check_now(&Bench::new(), None, Ending::Greeted("nobody".to_owned())).await;
}

#[tokio::test]
async fn a_valid_certificate_that_nobody_registered_comes_through_under_its_own_key() {
    let bench = Bench::new();
    let unregistered = Pair::signed_by(&bench.issuer(), |_| {});
    check_now(&bench, Some(&unregistered), greeted(&unregistered)).await;
}

#[tokio::test]
async fn the_name_in_a_certificate_makes_nobody_an_agency() {
    let bench = Bench::new();
    let agency = Pair::of_profile(&bench.agency("glen-college", NOW));
    let impostor = Pair::signed_by(&bench.issuer(), |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "glen-college");
    });
    assert_ne!(greeted(&agency), greeted(&impostor));
    check_now(&bench, Some(&impostor), greeted(&impostor)).await;
}

#[tokio::test]
async fn a_self_signed_certificate_is_of_an_unknown_authority() {
    let bench = Bench::new();
    let key = KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::default();
    let certificate = params.self_signed(&key).unwrap();
    let pair = Pair::new(
        vec![certificate.der().clone()],
        &rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    );
    check_now(&bench, Some(&pair), alert(AlertDescription::UnknownCA)).await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused_as_expired() {
    let bench = Bench::new();
    let pair = Pair::of_profile(&bench.agency("glen-college", days_ago(366)));
    check_now(&bench, Some(&pair), alert(AlertDescription::CertificateExpired)).await;
}

#[tokio::test]
async fn a_certificate_is_good_to_its_last_second_and_not_a_second_longer() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", days_ago(300));
    let pair = Pair::of_profile(&profile);
    let last = profile.certificate.not_after;
    bench.authority.renew_revocation_list(last).unwrap();
    check(&bench, (bench.files(), TimeSource::fixed(last.plus(999))), Some(&pair), greeted(&pair))
        .await;
    check(
        &bench,
        (bench.files(), TimeSource::fixed(last.plus(1_000))),
        Some(&pair),
        alert(AlertDescription::CertificateExpired),
    )
    .await;
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_refused_as_expired() {
    let bench = Bench::new();
    let pair = Pair::of_profile(&bench.agency("glen-college", NOW.plus(DAY)));
    check_now(&bench, Some(&pair), alert(AlertDescription::CertificateExpired)).await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_of_an_unknown_authority() {
    let (bench, other) = (Bench::new(), Bench::new());
    let stranger = Pair::of_profile(&other.agency("glen-college", NOW));
    check_now(&bench, Some(&stranger), alert(AlertDescription::UnknownCA)).await;
}

#[tokio::test]
async fn a_certificate_forged_in_the_authoritys_name_is_refused_for_its_signature() {
    let bench = Bench::new();
    let forged = Pair::signed_by(&forger(&bench), |_| {});
    check_now(&bench, Some(&forged), alert(AlertDescription::DecryptError)).await;
}

/// Somebody who signs in the authority's name without its key.
fn forger(bench: &Bench) -> rcgen::Issuer<'static, KeyPair> {
    let certificate = fs::read_to_string(bench.path("ca.crt")).unwrap();
    rcgen::Issuer::from_ca_cert_pem(&certificate, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test]
async fn an_exchange_certificate_is_no_caller_certificate() {
    let bench = Bench::new();
    let files = bench.files();
    let pair = Pair::of_files(&files.certificate, &files.key);
    check_now(&bench, Some(&pair), alert(AlertDescription::UnsupportedCertificate)).await;
    let signer = Pair::signed_by(&bench.issuer(), |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    });
    check_now(&bench, Some(&signer), alert(AlertDescription::UnsupportedCertificate)).await;
}

#[tokio::test]
async fn the_authority_itself_is_no_caller() {
    let bench = Bench::new();
    let pair = Pair::of_files(&bench.path("ca.crt"), &bench.path("ca.key"));
    check_now(&bench, Some(&pair), alert(AlertDescription::CertificateUnknown)).await;
}

#[tokio::test]
async fn an_agency_cannot_issue_certificates() {
    let bench = Bench::new();
    let agency = bench.agency("glen-college", NOW);
    let key = fs::read_to_string(agency.directory.join("tls.key")).unwrap();
    let certificate = fs::read_to_string(agency.directory.join("tls.crt")).unwrap();
    let issuer =
        rcgen::Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(&key).unwrap()).unwrap();
    let minted = Pair::signed_by(&issuer, |_| {});
    check_now(&bench, Some(&minted), alert(AlertDescription::UnknownCA)).await;
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_as_revoked() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", NOW);
    bench.authority.revoke(&profile.certificate.serial, NOW).unwrap();
    let pair = Pair::of_profile(&profile);
    check_now(&bench, Some(&pair), alert(AlertDescription::CertificateRevoked)).await;
}

#[tokio::test]
async fn a_revocation_list_out_of_date_lets_no_certificate_in() {
    let bench = Bench::new();
    let pair = Pair::of_profile(&bench.agency("glen-college", NOW));
    let late = NOW.plus(DAY + 1_000);
    let at_late = || (bench.files(), TimeSource::fixed(late));
    check(&bench, at_late(), Some(&pair), alert(AlertDescription::UnknownCA)).await;
    check(&bench, at_late(), None, Ending::Greeted("nobody".to_owned())).await;
}

#[tokio::test]
async fn a_missing_revocation_list_lets_no_certificate_in() {
    let bench = Bench::new();
    let pair = Pair::of_profile(&bench.agency("glen-college", NOW));
    fs::write(bench.path("crl.pem"), Bench::empty_list(&Bench::new().issuer())).unwrap();
    check_now(&bench, Some(&pair), alert(AlertDescription::UnknownCA)).await;
}

#[tokio::test]
async fn a_forged_revocation_list_lets_no_certificate_in() {
    let bench = Bench::new();
    let pair = Pair::of_profile(&bench.agency("glen-college", NOW));
    fs::write(bench.path("crl.pem"), Bench::empty_list(&forger(&bench))).unwrap();
    check_now(&bench, Some(&pair), alert(AlertDescription::HandshakeFailure)).await;
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused() {
    let bench = Bench::new();
    let agency = Pair::of_profile(&bench.agency("glen-college", NOW));
    let thief = Pair::of_profile(&bench.agency("bank-of-thieves", NOW));
    let stolen = agency.with_key_of(&thief);
    check_now(&bench, Some(&stolen), alert(AlertDescription::DecryptError)).await;
}

#[tokio::test]
async fn bytes_that_are_no_certificate_are_refused_as_bad() {
    let bench = Bench::new();
    let agency = Pair::of_profile(&bench.agency("glen-college", NOW));
    let key = Pair::new(
        vec![CertificateDer::from(b"no certificate at all".to_vec())],
        &rustls::pki_types::PrivateKeyDer::try_from(KeyPair::generate().unwrap().serialize_der())
            .unwrap(),
    );
    check_now(&bench, Some(&key), alert(AlertDescription::BadCertificate)).await;
    let mut truncated = agency.chain().first().unwrap().to_vec();
    truncated.truncate(truncated.len() / 2);
    let truncated = Pair::new(
        vec![CertificateDer::from(truncated)],
        &rustls::pki_types::PrivateKeyDer::try_from(KeyPair::generate().unwrap().serialize_der())
            .unwrap(),
    );
    check_now(&bench, Some(&truncated), alert(AlertDescription::BadCertificate)).await;
}

#[tokio::test]
async fn a_critical_extension_that_nobody_knows_is_refused_as_unknown() {
    let bench = Bench::new();
    let pair = Pair::signed_by(&bench.issuer(), |params| {
        let mut extension =
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    });
    check_now(&bench, Some(&pair), alert(AlertDescription::CertificateUnknown)).await;
}

#[tokio::test]
async fn an_exchange_does_not_start_without_a_revocation_list() {
    let bench = Bench::new();
    let open = || concordat::identity::trust::Trust::open(bench.files(), TimeSource::fixed(NOW));
    assert!(open().is_ok());
    fs::write(bench.path("crl.pem"), "").unwrap();
    let Err(fault) = open() else { panic!("an empty list was taken") };
    assert!(fault.to_string().ends_with("holds no revocation list in PEM form"), "{fault}");
    fs::remove_file(bench.path("crl.pem")).unwrap();
    assert!(open().is_err());
    assert!(DevelopmentAuthority::open(bench.directory.path()).is_ok());
}
