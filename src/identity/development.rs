//! The development authority: certificates and keys for trying Concordat out, made here and never committed.
//!
//! One directory holds the authority, its revocation list, the exchange's certificate and a profile directory per caller
//! (`certs/README.md` draws it). An exchange in earnest gets its certificates from the partnership's own authority; this
//! one keeps its key unencrypted on disk. What the certificates look like is [`crate::identity::profile`]'s.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateDer;

use crate::{
    identity::{
        certificate::{CertificateFacts, Serial},
        fault::Fault,
        file::{self, ProfileFiles, Secrecy, ServerFiles},
        profile::{AuthorityRule, CertificateProfile, LeafRule},
        signing::SigningKey,
    },
    model::{digest::Digest, id::AgencyId, order::UnixMillis},
};

mod list;

pub use list::Renewal;

/// The name of the operator's profile, which no agency can have here.
pub const OPERATOR: &str = "operator";

/// A certificate authority in a directory.
#[derive(Debug)]
pub struct DevelopmentAuthority {
    directory: PathBuf,
    profile: &'static CertificateProfile,
    certificate: CertificateFacts,
    issuer: Issuer<'static, KeyPair>,
}

/// A caller's profile as it lies in its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedProfile {
    /// Where the files are.
    pub directory: PathBuf,
    /// The certificate's facts; its fingerprint is what the exchange registers.
    pub certificate: CertificateFacts,
    /// The raw public half of the signing key.
    pub signing_public: [u8; 32],
}

impl DevelopmentAuthority {
    /// Makes a new authority in `directory`, which is created if need be, with an empty revocation list.
    ///
    /// # Errors
    /// There is one already ([`Fault::Exists`]), or the directory cannot be written.
    pub fn create(directory: &Path, now: UnixMillis) -> Result<Self, Fault> {
        let profile = CertificateProfile::built_in()?;
        make_private_directory(directory)?;
        let key_path = directory.join("ca.key");
        if key_path.exists() {
            return Err(Fault::Exists(key_path));
        }
        let key = generate(profile.authority.key_type)?;
        let params = authority_params(&profile.authority, &key, profile.backdate(), now);
        let certificate = params.self_signed(&key).map_err(|cause| Fault::cryptography(&cause))?;
        write_private(&key_path, &key)?;
        let path = directory.join("ca.crt");
        file::replace(&path, certificate.pem().as_bytes(), Secrecy::Public)?;
        let authority = Self::open(directory)?;
        authority.begin_revocation_list(now)?;
        Ok(authority)
    }

    /// Opens the authority in `directory`.
    ///
    /// # Errors
    /// `ca.crt` or `ca.key` is missing or malformed.
    pub fn open(directory: &Path) -> Result<Self, Fault> {
        let certificate_path = directory.join("ca.crt");
        let certificate = first_certificate(&certificate_path)?;
        let key = read_key(&directory.join("ca.key"))?;
        let malformed = || Fault::malformed(&certificate_path, "holds no authority's certificate");
        let facts = CertificateFacts::parse(&certificate).ok_or_else(malformed)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| malformed())?;
        Ok(Self {
            directory: directory.to_owned(),
            profile: CertificateProfile::built_in()?,
            certificate: facts,
            issuer,
        })
    }

    /// The files an exchange serves with; [`DevelopmentAuthority::issue_server`] makes its certificate.
    pub fn server_files(&self) -> ServerFiles {
        ServerFiles::in_directory(&self.directory)
    }

    /// The authority's own certificate.
    pub const fn certificate(&self) -> &CertificateFacts {
        &self.certificate
    }

    /// Where the profile called `name` lies or would lie.
    pub fn profile_directory(&self, name: &str) -> PathBuf {
        self.directory.join("profiles").join(name)
    }

    /// Makes the exchange's certificate, replacing the one before, with a new key.
    ///
    /// `names` are DNS names and IP addresses beside those of the profile (localhost, 127.0.0.1 and `::1`).
    ///
    /// # Errors
    /// A name that cannot stand in a certificate, or a file that cannot be written.
    pub fn issue_server(
        &self,
        names: &[String],
        now: UnixMillis,
    ) -> Result<CertificateFacts, Fault> {
        let files = self.server_files();
        let key = generate(self.profile.server.key_type)?;
        let certificate =
            self.sign(&self.profile.server, &Subject { label: "", names }, &key, now)?;
        write_private(&files.key, &key)?;
        write_certificate(&files.certificate, &certificate)
    }

    /// Makes an agency's profile: certificate and keys for TLS and for signing.
    ///
    /// # Errors
    /// [`Fault::Exists`] if it has one (see [`DevelopmentAuthority::renew`]), [`Fault::ReservedName`] for the operator's
    /// name.
    pub fn issue_agency(&self, agency: &AgencyId, now: UnixMillis) -> Result<IssuedProfile, Fault> {
        if agency.as_str() == OPERATOR {
            return Err(Fault::ReservedName(OPERATOR.to_owned()));
        }
        self.issue(agency.as_str(), now)
    }

    /// Makes the operator's profile.
    ///
    /// # Errors
    /// [`Fault::Exists`] if there is one.
    pub fn issue_operator(&self, now: UnixMillis) -> Result<IssuedProfile, Fault> {
        self.issue(OPERATOR, now)
    }

    /// Makes a new certificate for the profile called `name` with its old keys, so that it stays registered.
    ///
    /// # Errors
    /// There is no such profile, or a file cannot be written.
    pub fn renew(&self, name: &str, now: UnixMillis) -> Result<IssuedProfile, Fault> {
        let files = ProfileFiles::in_directory(&self.profile_directory(name));
        let key = read_key(&files.key)?;
        self.certify(name, &key, now)?;
        self.profile(name)
    }

    /// Reads the profile called `name`.
    ///
    /// # Errors
    /// There is no such profile, or a file is malformed.
    pub fn profile(&self, name: &str) -> Result<IssuedProfile, Fault> {
        let directory = self.profile_directory(name);
        let files = ProfileFiles::in_directory(&directory);
        let certificate = CertificateFacts::parse(&first_certificate(&files.certificate)?)
            .ok_or_else(|| Fault::malformed(&files.certificate, "holds no certificate"))?;
        let signing_public = SigningKey::load(&files.signing_key)?.public();
        Ok(IssuedProfile { directory, certificate, signing_public })
    }

    /// The names of all profiles, sorted.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn profiles(&self) -> Result<Vec<String>, Fault> {
        let directory = self.directory.join("profiles");
        if !directory.exists() {
            return Ok(Vec::new());
        }
        let fault = |cause: std::io::Error| Fault::file(&directory, &cause);
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).map_err(fault)? {
            names.extend(entry.map_err(fault)?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }

    fn issue(&self, name: &str, now: UnixMillis) -> Result<IssuedProfile, Fault> {
        let directory = self.profile_directory(name);
        let files = ProfileFiles::in_directory(&directory);
        if files.certificate.exists() || files.signing_key.exists() {
            return Err(Fault::Exists(directory));
        }
        make_private_directory(&directory)?;
        let key = generate(self.rule(name).key_type)?;
        write_private(&files.key, &key)?;
        let authority = file::read(&self.server_files().authority)?;
        file::replace(&files.authority, &authority, Secrecy::Public)?;
        SigningKey::generate()?.save(&files.signing_key, &files.signing_public)?;
        self.certify(name, &key, now)?;
        self.profile(name)
    }

    fn certify(&self, name: &str, key: &KeyPair, now: UnixMillis) -> Result<(), Fault> {
        let files = ProfileFiles::in_directory(&self.profile_directory(name));
        let certificate =
            self.sign(self.rule(name), &Subject { label: name, names: &[] }, key, now)?;
        write_certificate(&files.certificate, &certificate).map(|_| ())
    }

    fn rule(&self, name: &str) -> &'static LeafRule {
        if name == OPERATOR { &self.profile.operator } else { &self.profile.agency }
    }

    fn sign(
        &self,
        rule: &LeafRule,
        subject: &Subject<'_>,
        key: &KeyPair,
        now: UnixMillis,
    ) -> Result<rcgen::Certificate, Fault> {
        let mut names = rule.alternative_names.clone();
        names.extend(
            subject.names.iter().filter(|name| !rule.alternative_names.contains(name)).cloned(),
        );
        let mut params = CertificateParams::new(names)
            .map_err(|cause| Fault::Unusable(format!("a name cannot be certified: {cause}")))?;
        let until = later(now, rule.validity()).min(self.certificate.not_after);
        set_validity(&mut params, earlier(now, self.profile.backdate()), until);
        params.distinguished_name = named(rule.common_name.as_deref().unwrap_or(subject.label));
        params.serial_number = Some(serial(key, now));
        params.key_usages = rule.key_usages.iter().copied().map(KeyUsagePurpose::from).collect();
        params.extended_key_usages =
            rule.extended_key_usages.iter().copied().map(ExtendedKeyUsagePurpose::from).collect();
        params.use_authority_key_identifier_extension = true;
        params.signed_by(key, &self.issuer).map_err(|cause| Fault::cryptography(&cause))
    }
}

/// Whom a certificate is for.
struct Subject<'a> {
    label: &'a str,
    names: &'a [String],
}

fn write_certificate(
    path: &Path,
    certificate: &rcgen::Certificate,
) -> Result<CertificateFacts, Fault> {
    file::replace(path, certificate.pem().as_bytes(), Secrecy::Public)?;
    CertificateFacts::parse(certificate.der())
        .ok_or_else(|| Fault::malformed(path, "holds no certificate"))
}

fn authority_params(
    rule: &AuthorityRule,
    key: &KeyPair,
    backdate: Duration,
    now: UnixMillis,
) -> CertificateParams {
    let mut params = CertificateParams::default();
    set_validity(&mut params, earlier(now, backdate), later(now, rule.validity()));
    // A name of its own, so that a certificate of an earlier authority is told apart by its issuer.
    let mark: String =
        Digest::of_concatenation(&[key.public_key_raw()]).to_string().chars().take(8).collect();
    params.distinguished_name = named(&format!("{} {mark}", rule.common_name));
    params.serial_number = Some(serial(key, now));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = rule.key_usages.iter().copied().map(KeyUsagePurpose::from).collect();
    params
}

fn set_validity(params: &mut CertificateParams, from: UnixMillis, until: UnixMillis) {
    let instant = |at: UnixMillis| date_time_ymd(1970, 1, 1) + Duration::from_millis(at.millis());
    params.not_before = instant(from);
    params.not_after = instant(until);
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

// 127 bits that nobody can guess before the key exists, positive (RFC 5280 §4.1.2.2); a renewal differs by its time.
fn serial(key: &KeyPair, now: UnixMillis) -> SerialNumber {
    let mut bytes = Digest::of_parts(
        "concordat certificate serial",
        &[key.public_key_raw(), &now.millis().to_be_bytes()],
    )
    .first_half();
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    SerialNumber::from_slice(Serial::from_be_bytes(&bytes).as_be_bytes())
}

fn generate(key_type: crate::identity::profile::KeyType) -> Result<KeyPair, Fault> {
    KeyPair::generate_for(key_type.algorithm()).map_err(|cause| Fault::cryptography(&cause))
}

fn write_private(path: &Path, key: &KeyPair) -> Result<(), Fault> {
    let text = zeroize::Zeroizing::new(key.serialize_pem());
    file::replace(path, text.as_bytes(), Secrecy::Private)
}

fn read_key(path: &Path) -> Result<KeyPair, Fault> {
    let der = file::private_key(path, &file::read(path)?)?;
    KeyPair::try_from(&der)
        .map_err(|_| Fault::malformed(path, "holds no private key that can sign certificates"))
}

fn first_certificate(path: &Path) -> Result<CertificateDer<'static>, Fault> {
    file::certificates(path, &file::read(path)?)?
        .into_iter()
        .next()
        .ok_or_else(|| Fault::malformed(path, "holds no certificate in PEM form"))
}

fn make_private_directory(path: &Path) -> Result<(), Fault> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|cause| Fault::file(path, &cause))
}

fn earlier(at: UnixMillis, by: Duration) -> UnixMillis {
    UnixMillis::new(at.millis().saturating_sub(whole_millis(by)))
}

fn later(at: UnixMillis, by: Duration) -> UnixMillis {
    at.plus(whole_millis(by))
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
