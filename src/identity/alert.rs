//! What a failed TLS handshake means, in words a person can act on.
//!
//! The other side of a handshake says only a number (RFC 8446 §6.2). `docs/operating.md`, "Certificate errors", lists the
//! same cases; `tests/it/tls_matrix.rs` holds both to what really happens.

use std::{error::Error, fmt, io};

use rustls::{AlertDescription, CertificateError};

/// Why a connection did not come about, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The alert's name or the kind of error, as other tools print it.
    pub name: &'static str,
    /// What it means.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.name, self.why, self.fix)
    }
}

/// Explains `error` if it, or anything it was caused by, is a failed TLS handshake.
pub fn explain(error: &(dyn Error + 'static)) -> Option<Explanation> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return explain_tls(tls);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        // HTTP/2 keeps only the text of an error that ended its connection.
        if let Some(alert) = inner.and_then(|inner| alert_of_text(&inner.to_string())) {
            return explain_alert(alert);
        }
        // An I/O error hides the error it wraps from `source`.
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The alerts that [`explain_alert`] knows.
const EXPLAINED: [AlertDescription; 10] = [
    AlertDescription::UnknownCA,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateRevoked,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::BadCertificate,
    AlertDescription::DecryptError,
    AlertDescription::CertificateUnknown,
    AlertDescription::NoApplicationProtocol,
    AlertDescription::ProtocolVersion,
    AlertDescription::HandshakeFailure,
];

fn alert_of_text(text: &str) -> Option<AlertDescription> {
    EXPLAINED.into_iter().find(|alert| rustls::Error::AlertReceived(*alert).to_string() == text)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the error types of rustls are open")]
fn explain_tls(error: &rustls::Error) -> Option<Explanation> {
    match error {
        rustls::Error::AlertReceived(alert) => explain_alert(*alert),
        rustls::Error::InvalidCertificate(cause) => Some(explain_server(cause)),
        rustls::Error::NoApplicationProtocol => Some(NO_APPLICATION_PROTOCOL),
        rustls::Error::InvalidMessage(_) => Some(NOT_TLS),
        _ => None,
    }
}

const NO_APPLICATION_PROTOCOL: Explanation = Explanation {
    name: "no_application_protocol",
    why: "the other side does not speak HTTP/2 here",
    fix: "connect with a gRPC library, to the exchange's own port",
};

const NOT_TLS: Explanation = Explanation {
    name: "no TLS",
    why: "what answered does not speak TLS",
    fix: "check host and port; the exchange speaks TLS only",
};

/// What an alert from the exchange means for the caller that receives it, if it concerns certificates.
#[expect(clippy::wildcard_enum_match_arm, reason = "the alerts are an open list")]
pub fn explain_alert(alert: AlertDescription) -> Option<Explanation> {
    let (name, why, fix) = match alert {
        AlertDescription::UnknownCA => (
            "unknown_ca",
            "the exchange does not know your certificate's authority, or its revocation list is missing or out of date",
            "use a certificate from the exchange's authority; if you do, ask the operator to renew the revocation list",
        ),
        AlertDescription::CertificateExpired => (
            "certificate_expired",
            "your certificate has expired or is not valid yet",
            "compare its dates with the clock, then renew it or correct the clock",
        ),
        AlertDescription::CertificateRevoked => (
            "certificate_revoked",
            "the authority has revoked your certificate",
            "ask for a new certificate with a new key, and register it",
        ),
        AlertDescription::UnsupportedCertificate => (
            "unsupported_certificate",
            "your certificate is not meant for callers",
            "use a certificate whose extended key usage is client authentication",
        ),
        AlertDescription::BadCertificate => (
            "bad_certificate",
            "your certificate is malformed",
            "issue it again from the certificate profile",
        ),
        AlertDescription::DecryptError => (
            "decrypt_error",
            "a signature does not verify: your private key does not belong to your certificate, or your certificate was not signed by the authority it names",
            "check that certificate and key are a pair and come from the exchange's authority",
        ),
        AlertDescription::CertificateUnknown => (
            "certificate_unknown",
            "your certificate is an authority's own, or holds a critical extension that nobody knows",
            "use a certificate made by the certificate profile",
        ),
        AlertDescription::NoApplicationProtocol => return Some(NO_APPLICATION_PROTOCOL),
        AlertDescription::ProtocolVersion => (
            "protocol_version",
            "the two sides have no version of TLS in common",
            "use TLS 1.3 or 1.2",
        ),
        AlertDescription::HandshakeFailure => (
            "handshake_failure",
            "the two sides have no TLS version, cipher suite or key exchange in common, or the exchange's revocation list is not signed by the authority",
            "use a current TLS library with its default settings (TLS 1.3 or 1.2); if you do, ask the operator about the revocation list",
        ),
        _ => return None,
    };
    Some(Explanation { name, why, fix })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the error type of rustls is open")]
fn explain_server(cause: &CertificateError) -> Explanation {
    let (name, why, fix) = match cause {
        CertificateError::UnknownIssuer => (
            "exchange not trusted",
            "the exchange's certificate is not from the authority in your `ca.crt`",
            "fetch the authority's certificate from the operator; do not go on without it",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "wrong name",
            "the exchange's certificate does not name the host you connect to",
            "connect to a name the certificate holds, or have it issued for this one",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "exchange certificate expired",
            "the exchange's certificate has expired",
            "check your clock, then ask the operator to renew the certificate",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            "exchange certificate not valid yet",
            "the exchange's certificate is not valid yet",
            "check your clock",
        ),
        _ => (
            "exchange certificate refused",
            "the exchange's certificate does not verify",
            "ask the operator to issue it again",
        ),
    };
    Explanation { name, why, fix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alert_in_the_list_is_explained_also_from_its_text_alone() {
        for alert in EXPLAINED {
            let text = rustls::Error::AlertReceived(alert).to_string();
            assert_eq!(explain(&io::Error::other(text)), explain_alert(alert));
            assert!(explain_alert(alert).is_some(), "{alert:?}");
        }
    }

    #[test]
    fn an_alert_is_found_however_deep_it_lies() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRevoked);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, alert));
        let explanation = explain(&wrapped).unwrap();
        assert_eq!(explanation.name, "certificate_revoked");
        assert_eq!(explain(&io::Error::other("no TLS in it")), None);
    }
}
