//! What goes wrong, as callers get it: the one place that chooses a gRPC code.
//!
//! Every error carries a `google.rpc.ErrorInfo` with a reason of `concordat.v1.Reason` and a message that says what is
//! wrong and what to do. Whatever must not be told apart (unknown, not yours, withheld, withdrawn, erased) is one answer,
//! [`not_available`]. Causes of faults go to the log and never to a caller. Source: `proto/concordat/v1/reason.proto`.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{
    identity::trust::Distrust,
    ledger::Fault,
    machine::Refusal,
    model::violation::Violation,
    node::Failure,
    pb::v1::{self as pb, Reason},
};

/// The domain of every reason.
pub const DOMAIN: &str = "concordat";
/// How many malformed fields one message tells; the details tell them all.
const VIOLATIONS_TOLD: usize = 3;
/// How long to wait before repeating what failed because too much was in flight.
const BUSY_RETRY: Duration = Duration::from_millis(200);
/// How long to wait before repeating what failed for any other cause.
const FAULT_RETRY: Duration = Duration::from_secs(5);

const NOT_AVAILABLE: &str =
    "nothing of that name is available to this caller; check the name as this caller knows it";

/// Why a caller is turned away before its request is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The connection shows no certificate.
    NoCertificate,
    /// The certificate belongs to nobody who may call this.
    UnknownCertificate,
    /// The certificate is no longer good.
    Distrusted(Distrust),
    /// The RPC is not for this kind of caller, or there is no such RPC.
    NotForCaller,
    /// The agency is suspended.
    Suspended,
    /// Too many requests; how long to wait.
    TooMany(Duration),
}

/// The gRPC code of a reason. It never changes.
#[expect(clippy::too_many_lines, reason = "one line for each reason")]
pub const fn code(reason: Reason) -> Code {
    match reason {
        Reason::InvalidRequest
        | Reason::CursorInvalid
        | Reason::PageTokenInvalid
        | Reason::PolicyInvalid => Code::InvalidArgument,
        Reason::CertificateMissing | Reason::CertificateUnknown | Reason::CertificateNotTrusted => {
            Code::Unauthenticated
        }
        Reason::CallerNotAllowed | Reason::SignatureInvalid => Code::PermissionDenied,
        Reason::NotAvailable => Code::NotFound,
        Reason::RequestReused | Reason::VersionDiffers | Reason::ContentDiffers => Code::Aborted,
        Reason::QuotaExceeded | Reason::RateExceeded | Reason::EmergencyTooMany => {
            Code::ResourceExhausted
        }
        Reason::ExchangeUnavailable => Code::Unavailable,
        Reason::LedgerDamaged => Code::DataLoss,
        Reason::Internal | Reason::Unspecified => Code::Internal,
        Reason::AgencyExists
        | Reason::KeyInUse
        | Reason::AgreementExists
        | Reason::SubscriptionExists => Code::AlreadyExists,
        Reason::RequestTooOld
        | Reason::RequestErased
        | Reason::LegalHold
        | Reason::HoldWrongState
        | Reason::AgencySuspended
        | Reason::PurposeNotAllowed
        | Reason::InvitationInvalid
        | Reason::CertificateNotListed
        | Reason::AgencyWrongState
        | Reason::AgreementWrongState
        | Reason::NotAParty
        | Reason::PartyDiffers
        | Reason::BasisNotAllowed
        | Reason::GateNotAllowed
        | Reason::AgreementIncomplete
        | Reason::AlreadyApproved
        | Reason::GatewayMissing
        | Reason::SuspensionReasonMissing
        | Reason::RecordTypeUnknown
        | Reason::FieldGroupUnknown
        | Reason::ConsentNotAsked
        | Reason::ConsentNotValid
        | Reason::ConsentWrongState
        | Reason::ConsentAuthorityNotKnown
        | Reason::ConsentWithoutRights
        | Reason::ConsentMandateMissing
        | Reason::ConsentViewMissing
        | Reason::ConsentReviewMissing
        | Reason::ConsentReviewDue
        | Reason::PolicySchemaUnknown
        | Reason::CaseloadWrongState
        | Reason::NotAPublisher
        | Reason::RecordWrongState
        | Reason::RecallWrongState
        | Reason::RecallActNotAllowed
        | Reason::DisputeWrongState
        | Reason::CaseWrongState
        | Reason::ObjectionNotAllowed
        | Reason::CaseGroundMissing
        | Reason::CasePersonNotTold
        | Reason::CaseRequesterNotProven
        | Reason::NamedActorRequired
        | Reason::EmergencyNotAuthorised
        | Reason::EmergencyReviewOverdue
        | Reason::EmergencyActorNotAllowed
        | Reason::AgencySucceeded
        | Reason::SuccessionPending
        | Reason::SuccessionNotValid
        | Reason::SuccessionUnproven
        | Reason::SuccessionIncomplete
        | Reason::SuccessionWrongState
        | Reason::EmergencyWrongState => Code::FailedPrecondition,
    }
}

/// The reason as callers get it: its name without the prefix.
pub fn text(reason: Reason) -> &'static str {
    reason.as_str_name().trim_start_matches("REASON_")
}

/// The reason of a refusal.
pub fn reason(refusal: Refusal) -> Reason {
    Reason::from_str_name(&format!("REASON_{}", refusal.reason())).unwrap_or(Reason::Internal)
}

/// What a reason asks for beside its code and message.
enum Telling {
    /// One fixed answer, whatever the cause.
    Nothing,
    /// The program's own fault.
    Fault,
    /// It can be repeated.
    Retry,
    /// The message that comes with it.
    Message,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "every other reason tells its message")]
const fn telling(reason: Reason) -> Telling {
    match reason {
        Reason::NotAvailable => Telling::Nothing,
        Reason::Internal | Reason::Unspecified => Telling::Fault,
        Reason::ExchangeUnavailable => Telling::Retry,
        _ => Telling::Message,
    }
}

/// The machine turned the command down. `field` is the request's field that holds the command.
pub fn refused(refusal: Refusal, field: &str, decision: &str) -> Status {
    let reason = reason(refusal);
    match telling(reason) {
        Telling::Nothing => not_available(decision),
        Telling::Fault => internal(&refusal),
        Telling::Retry => unavailable(BUSY_RETRY),
        Telling::Message => stated(reason, refusal.message(), field, decision),
    }
}

/// Whether an error has this reason.
pub fn is(error: &Status, reason: Reason) -> bool {
    let details = error.get_error_details();
    details.error_info().is_some_and(|info| info.reason == text(reason))
}

/// The same error with each item that stands against the request: its code, its field and what is wrong.
pub fn with_items(error: &Status, items: &[(&str, &str, String)]) -> Status {
    let mut details = error.get_error_details();
    for (code, field, description) in items {
        details.add_precondition_failure_violation(*code, *field, description);
    }
    Status::with_error_details(error.code(), error.message(), details)
}

/// An error that has no more to tell than its reason and a message.
pub fn told(reason: Reason, message: &str) -> Status {
    match telling(reason) {
        Telling::Nothing => not_available(""),
        Telling::Fault => internal(&message),
        Telling::Retry => unavailable(FAULT_RETRY),
        Telling::Message => stated(reason, message, "", ""),
    }
}

/// The same answer with more to say about what stands in the way: subjects and descriptions.
pub fn with_preconditions(bare: &Status, more: &[(String, String)]) -> Status {
    let mut details = bare.get_error_details();
    let kind = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    for (subject, description) in more {
        details.add_precondition_failure_violation(kind.clone(), subject, description);
    }
    Status::with_error_details(bare.code(), bare.message(), details)
}

/// The reason that an answer names.
pub fn reason_of(answer: &Status) -> Option<Reason> {
    let details = answer.get_error_details();
    let reason = details.error_info().map(|info| format!("REASON_{}", info.reason))?;
    Reason::from_str_name(&reason)
}

/// There is nothing here for the caller: the same answer whatever the cause.
pub fn not_available(decision: &str) -> Status {
    stated(Reason::NotAvailable, NOT_AVAILABLE, "", decision)
}

/// A cursor is malformed, or was made for another agency or subscription.
pub fn cursor_invalid() -> Status {
    let message = "the cursor was not made for this agency and subscription; use one that it gave";
    told(Reason::CursorInvalid, message)
}

/// Fields are malformed.
pub fn malformed(violations: &[Violation]) -> Status {
    let told: Vec<String> =
        violations.iter().take(VIOLATIONS_TOLD).map(ToString::to_string).collect();
    let untold = violations.len().saturating_sub(VIOLATIONS_TOLD);
    let message = match untold {
        0 => told.join("; "),
        _ => format!("{}; and {untold} more, which the details name", told.join("; ")),
    };
    let mut details = details_of(Reason::InvalidRequest, "");
    let fields: Vec<_> = violations
        .iter()
        .map(|violation| FieldViolation {
            field: violation.field.clone(),
            description: violation.description.clone(),
            reason: violation.reason.to_owned(),
            localized_message: None,
        })
        .collect();
    details.set_bad_request(fields);
    status(Reason::InvalidRequest, message, details)
}

/// What a caller is told whose message could not be read, in place of what the library says. A stream that was cut stays
/// what it is.
#[expect(clippy::wildcard_enum_match_arm, reason = "with any other code the connection speaks")]
pub fn unread(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => {
            let text = "a message has at most 1 MiB; send less at once";
            violation(Violation::new("", "OUT_OF_RANGE", text))
        }
        Code::Internal | Code::Unimplemented | Code::InvalidArgument => {
            let text = "the message does not decode; build it from the published proto files";
            violation(Violation::new("", "MALFORMED_MESSAGE", text))
        }
        _ => status,
    }
}

/// One field is malformed.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub fn violation(violation: Violation) -> Status {
    malformed(std::slice::from_ref(&violation))
}

/// A required field is missing.
pub fn missing(field: &str) -> Status {
    violation(Violation::new(field, "MISSING", "the field is required"))
}

/// The infrastructure failed. The cause goes to the log.
pub fn faulty(fault: &Fault) -> Status {
    match fault {
        Fault::Corrupt(cause) => {
            tracing::error!(%cause, "the ledger does not verify");
            let message = "the ledger does not verify and the exchange stops; tell its operator";
            stated(Reason::LedgerDamaged, message, "", "")
        }
        Fault::Busy => unavailable(BUSY_RETRY),
        Fault::Full
        | Fault::Broken(_)
        | Fault::Unusable(_)
        | Fault::Closed
        | Fault::ClockDoubtful => {
            tracing::warn!(%fault, "a request found the exchange unavailable");
            unavailable(FAULT_RETRY)
        }
    }
}

/// A request came to no outcome.
pub fn failed(failure: Failure) -> Status {
    match failure {
        Failure::Violation(cause) => violation(cause),
        Failure::Fault(fault) => faulty(&fault),
    }
}

/// The gRPC library ended a call before its handler: what came does not decode, is too large or is in another encoding.
pub fn of_the_library(bare: &Status) -> Status {
    let text = match bare.code() {
        Code::OutOfRange | Code::ResourceExhausted => {
            "the message is larger than 1 MiB; send less at once"
        }
        Code::Internal | Code::Unimplemented | Code::InvalidArgument | Code::Unknown => {
            "the message does not decode; send it as the published proto files say, uncompressed"
        }
        Code::Ok
        | Code::Cancelled
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => return unavailable(FAULT_RETRY),
    };
    tracing::debug!(cause = bare.message(), "a call ended before its handler");
    violation(Violation::new("", "MALFORMED_MESSAGE", text))
}

/// The program is at fault. The cause goes to the log.
pub fn internal(cause: &dyn std::fmt::Display) -> Status {
    tracing::error!(%cause, "a fault of the program");
    let message =
        "the exchange has a fault; repeat the request, and tell its operator if it fails again";
    stated(Reason::Internal, message, "", "")
}

/// A caller is turned away before its request is looked at.
pub fn denied(denied: Denied) -> Status {
    match denied {
        Denied::NoCertificate => told(
            Reason::CertificateMissing,
            "the connection shows no certificate; connect with the agency's own certificate and key",
        ),
        Denied::UnknownCertificate => told(
            Reason::CertificateUnknown,
            "the certificate belongs to no agency of this exchange; enrol with an invitation, or have the agency list it",
        ),
        Denied::Distrusted(distrust) => told(
            Reason::CertificateNotTrusted,
            &format!("{distrust}; connect again with a certificate that is good"),
        ),
        Denied::NotForCaller => told(
            Reason::CallerNotAllowed,
            "this is not for this kind of caller, or there is no such method; see who may call it in its description",
        ),
        Denied::Suspended => told(Reason::AgencySuspended, Refusal::AgencySuspended.message()),
        Denied::TooMany(wait) => {
            let mut details = details_of(Reason::RateExceeded, "");
            let message = "too many requests at once; wait as long as the details say, then repeat";
            details.add_quota_failure_violation("requests per second", message);
            details.set_retry_info(Some(wait));
            status(Reason::RateExceeded, message.to_owned(), details)
        }
    }
}

/// The error of one item of a stream: what the unary call would have said.
pub fn item_error(status: &Status) -> pb::ItemError {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| &bad.field_violations);
    pb::ItemError {
        code: i32::from(status.code()),
        reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
        message: status.message().to_owned(),
        violations: violations
            .into_iter()
            .flatten()
            .map(|violation| pb::FieldViolation {
                field: violation.field.clone(),
                reason: violation.reason.clone(),
                description: violation.description.clone(),
            })
            .collect(),
        retry_delay: details
            .retry_info()
            .and_then(|retry| retry.retry_delay)
            .and_then(|delay| prost_types::Duration::try_from(delay).ok()),
    }
}

fn unavailable(retry: Duration) -> Status {
    let mut details = details_of(Reason::ExchangeUnavailable, "");
    details.set_retry_info(Some(retry));
    let message = "the exchange cannot answer now; repeat the request under the same request id";
    status(Reason::ExchangeUnavailable, message.to_owned(), details)
}

/// An error with the detail that goes with its code.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other codes carry an ErrorInfo alone")]
fn stated(reason: Reason, message: &str, field: &str, decision: &str) -> Status {
    let mut details = details_of(reason, decision);
    match code(reason) {
        Code::FailedPrecondition => {
            details.add_precondition_failure_violation(text(reason), field, message);
        }
        Code::InvalidArgument => {
            details.add_bad_request_violation(field, message);
        }
        Code::AlreadyExists => {
            details.set_resource_info(field, "", "", message);
        }
        Code::ResourceExhausted => {
            details.add_quota_failure_violation(field, message);
        }
        _ => {}
    }
    status(reason, message.to_owned(), details)
}

fn details_of(reason: Reason, decision: &str) -> ErrorDetails {
    let mut details = ErrorDetails::new();
    let (reason, none) = (text(reason), <[(String, String); 0]>::default());
    if decision.is_empty() {
        details.set_error_info(reason, DOMAIN, none);
    } else {
        details.set_error_info(reason, DOMAIN, [("decision_id".to_owned(), decision.to_owned())]);
    }
    details
}

fn status(reason: Reason, message: String, details: ErrorDetails) -> Status {
    Status::with_error_details(code(reason), message, details)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Reasons that are told without a refusal of the machine's.
    const OF_THE_SERVICE: &[Reason] = &[
        Reason::CertificateMissing,
        Reason::CertificateUnknown,
        Reason::CertificateNotTrusted,
        Reason::CertificateNotListed,
        Reason::PageTokenInvalid,
        Reason::RateExceeded,
        Reason::LedgerDamaged,
        // Nothing can be erased yet.
        Reason::RequestErased,
    ];

    fn published() -> BTreeMap<&'static str, &'static str> {
        let source = include_str!("../../proto/concordat/v1/reason.proto");
        let mut reasons = BTreeMap::new();
        let mut code = "";
        for line in source.lines().map(str::trim) {
            if let Some(comment) = line.strip_prefix("// ") {
                let first = comment.split('.').next().unwrap_or_default();
                if !first.is_empty() && first.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
                    code = first;
                }
            } else if let Some(name) =
                line.strip_prefix("REASON_").and_then(|l| l.split(' ').next())
            {
                reasons.insert(name, code);
            }
        }
        let _zero = reasons.remove("UNSPECIFIED");
        reasons
    }

    #[test]
    fn every_refusal_has_a_published_reason_and_every_reason_a_use() {
        let refusals = Refusal::ALL.iter().map(|refusal| refusal.reason());
        let used: BTreeSet<&str> =
            refusals.chain(OF_THE_SERVICE.iter().map(|reason| text(*reason))).collect();
        assert_eq!(used, published().into_keys().collect());
    }

    #[test]
    fn a_reason_has_the_code_that_is_published_for_it() {
        for (name, code_name) in published() {
            let reason = Reason::from_str_name(&format!("REASON_{name}")).unwrap();
            let spelt: String = format!("{:?}", code(reason))
                .chars()
                .flat_map(|c| {
                    let space = c.is_ascii_uppercase().then_some('_');
                    space.into_iter().chain([c.to_ascii_uppercase()])
                })
                .collect();
            assert_eq!(spelt.trim_start_matches('_'), code_name, "{name}");
            assert_eq!(text(reason), name);
        }
    }

    #[test]
    fn every_refusal_has_a_message_and_names_its_reason() {
        for refusal in Refusal::ALL {
            let status = refused(*refusal, "draft", "");
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (refusal.reason(), DOMAIN));
            assert_eq!(status.code(), code(reason(*refusal)));
            let message = status.message();
            assert!(message.starts_with(|c: char| c.is_ascii_lowercase()), "{message}");
            assert!(!message.ends_with('.') && 20 < message.len(), "{message}");
        }
    }

    #[test]
    fn what_must_not_be_told_apart_is_one_answer_byte_for_byte() {
        let alike = [
            Refusal::NotAvailable,
            Refusal::AgreementUnknown,
            Refusal::ConsentUnknown,
            Refusal::PolicyUnknown,
            Refusal::SubscriptionUnknown,
            Refusal::AgencyUnknown,
        ];
        for refusal in alike {
            let status = refused(refusal, "withdraw", "d");
            let same = not_available("d");
            assert_eq!(status.code(), same.code());
            assert_eq!(status.message(), same.message());
            assert_eq!(status.details(), same.details());
        }
    }

    #[test]
    fn the_cause_of_a_fault_never_reaches_a_caller() {
        let secret = "/var/lib/somewhere";
        for fault in [
            Fault::Full,
            Fault::Broken(secret.to_owned()),
            Fault::Corrupt(secret.to_owned()),
            Fault::Unusable(secret.to_owned()),
            Fault::Closed,
            Fault::ClockDoubtful,
            Fault::Busy,
        ] {
            let status = faulty(&fault);
            let details = String::from_utf8_lossy(status.details()).into_owned();
            assert!(!status.message().contains(secret) && !details.contains(secret));
            let damaged = matches!(fault, Fault::Corrupt(_));
            assert_eq!(status.code() == Code::DataLoss, damaged);
            assert_eq!(status.get_error_details().retry_info().is_some(), !damaged);
        }
    }

    #[test]
    fn an_item_of_a_stream_fails_as_its_unary_call_would() {
        let violations =
            [Violation::new("record.body.scn", "MALFORMED_SCN", "an SCN has 9 digits")];
        let item = item_error(&malformed(&violations));
        assert_eq!(item.code, i32::from(Code::InvalidArgument));
        assert_eq!(item.reason, "INVALID_REQUEST");
        assert_eq!(item.violations[0].reason, "MALFORMED_SCN");
        assert_eq!(item_error(&faulty(&Fault::Busy)).retry_delay.unwrap().nanos, 200_000_000);
    }
}
