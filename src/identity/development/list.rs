//! The development authority's revocation list: the list itself is the only memory of what was revoked.
//!
//! Source of the layout: RFC 5280 §5.

use std::{fs::File, path::PathBuf, time::Duration};

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber, date_time_ymd,
};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

use super::{DevelopmentAuthority, earlier, later};
use crate::{
    identity::{
        certificate::{Serial, millis},
        fault::Fault,
        file::{self, Secrecy},
    },
    model::order::UnixMillis,
};

/// Whether a revocation list was due for renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It is young enough; nothing was done.
    NotDue,
    /// A new list was written.
    Renewed,
}

/// What the present list says.
struct Listed {
    number: u64,
    this_update: UnixMillis,
    revoked: Vec<RevokedCertParams>,
}

impl DevelopmentAuthority {
    /// Revokes the certificate with this serial number and writes the list; durable when it returns, repeatable.
    ///
    /// An exchange acts on it at its next reload.
    ///
    /// # Errors
    /// The present list cannot be read, or the new one not written.
    pub fn revoke(&self, serial: &Serial, now: UnixMillis) -> Result<(), Fault> {
        let _alone = self.lock()?;
        let mut listed = self.listed()?;
        let known = |entry: &RevokedCertParams| {
            Serial::from_be_bytes(entry.serial_number.as_ref()) == *serial
        };
        if !listed.revoked.iter().any(known) {
            listed.revoked.push(RevokedCertParams {
                serial_number: SerialNumber::from_slice(serial.as_be_bytes()),
                revocation_time: date_time_ymd(1970, 1, 1) + Duration::from_millis(now.millis()),
                reason_code: None,
                invalidity_date: None,
            });
        }
        self.write(listed, now)
    }

    /// Writes the list anew, so that its next update lies ahead again; what was revoked stays revoked.
    ///
    /// # Errors
    /// The present list cannot be read, or the new one not written.
    pub fn renew_revocation_list(&self, now: UnixMillis) -> Result<(), Fault> {
        let _alone = self.lock()?;
        let listed = self.listed()?;
        self.write(listed, now)
    }

    /// Writes the first list, which revokes nothing. Only for an authority that has none yet.
    pub(super) fn begin_revocation_list(&self, now: UnixMillis) -> Result<(), Fault> {
        let listed = Listed { number: 0, this_update: UnixMillis::EPOCH, revoked: Vec::new() };
        self.write(listed, now)
    }

    /// Renews the list once half its time has gone (`certs/profile.toml` says when).
    ///
    /// # Errors
    /// As [`DevelopmentAuthority::renew_revocation_list`].
    pub fn keep_revocation_list_current(&self, now: UnixMillis) -> Result<Renewal, Fault> {
        let issued = later(self.listed()?.this_update, self.profile.backdate());
        if now < later(issued, self.profile.revocation_list.renew_after()) {
            return Ok(Renewal::NotDue);
        }
        self.renew_revocation_list(now).map(|()| Renewal::Renewed)
    }

    // Reading, adding and writing is one step, also against another process: otherwise a renewal could undo a
    // revocation. The authority's key is never replaced, so its file serves as the lock.
    fn lock(&self) -> Result<File, Fault> {
        let path = self.directory.join("ca.key");
        let fault = |cause: std::io::Error| Fault::file(&path, &cause);
        let opened = File::open(&path).map_err(fault)?;
        opened.lock().map_err(fault)?;
        Ok(opened)
    }

    fn list_path(&self) -> PathBuf {
        self.server_files().revocation_list
    }

    // INVARIANT (revoked stays revoked): a missing list is a fault, never an empty one.
    fn listed(&self) -> Result<Listed, Fault> {
        let path = self.list_path();
        let malformed = || Fault::malformed(&path, "holds no revocation list that parses");
        let lists = file::revocation_lists(&path, &file::read(&path)?)?;
        let der = lists.first().ok_or_else(malformed)?;
        let (_, list) =
            CertificateRevocationList::from_der(der.as_ref()).map_err(|_| malformed())?;
        let number = list
            .crl_number()
            .and_then(|number| u64::try_from(number).ok())
            .ok_or_else(malformed)?;
        let revoked = list
            .iter_revoked_certificates()
            .map(|entry| RevokedCertParams {
                serial_number: SerialNumber::from_slice(
                    Serial::from_be_bytes(entry.raw_serial()).as_be_bytes(),
                ),
                revocation_time: entry.revocation_date.to_datetime(),
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        Ok(Listed { number, this_update: millis(list.last_update()), revoked })
    }

    fn write(&self, listed: Listed, now: UnixMillis) -> Result<(), Fault> {
        let instant =
            |at: UnixMillis| date_time_ymd(1970, 1, 1) + Duration::from_millis(at.millis());
        let list = CertificateRevocationListParams {
            this_update: instant(earlier(now, self.profile.backdate())),
            next_update: instant(later(now, self.profile.revocation_list.validity())),
            crl_number: SerialNumber::from(listed.number.saturating_add(1)),
            issuing_distribution_point: None,
            revoked_certs: listed.revoked,
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer)
        .map_err(|cause| Fault::cryptography(&cause))?;
        let text = list.pem().map_err(|cause| Fault::cryptography(&cause))?;
        file::replace(&self.list_path(), text.as_bytes(), Secrecy::Public)
    }
}
