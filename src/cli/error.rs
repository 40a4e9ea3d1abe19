//! What goes wrong on the command line: said in words, with what to do about it, and with an exit code.
//!
//! The one place that maps gRPC codes to exit codes and reads `google.rpc` details. The exchange's messages are `what is
//! wrong; what to do`, so the part after the first semicolon is shown as the fix. Source of the exit codes: 0 ok, 1 other,
//! 2 usage, 3 not found, 4 not permitted, 5 invalid, 6 conflict, 7 unavailable.

use std::{fmt, io, path::Path};

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{identity, keyring::KeyringFault, ledger, model::violation::Violation, store};

/// The exit code of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing below.
    Other,
    /// The command line is wrong.
    Usage,
    /// There is nothing of that name.
    NotFound,
    /// The caller may not do this.
    NotPermitted,
    /// What was given is malformed.
    Invalid,
    /// What is there does not allow it.
    Conflict,
    /// The exchange cannot be reached or cannot answer now.
    Unavailable,
}

impl Exit {
    /// The number that the process ends with.
    pub const fn number(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::NotPermitted => 4,
            Self::Invalid => 5,
            Self::Conflict => 6,
            Self::Unavailable => 7,
        }
    }

    /// The exit code of a gRPC code.
    pub const fn of_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::OutOfRange => Self::Invalid,
            Code::NotFound => Self::NotFound,
            Code::PermissionDenied | Code::Unauthenticated => Self::NotPermitted,
            Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => Self::Conflict,
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => {
                Self::Unavailable
            }
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => Self::Other,
        }
    }
}

/// What is told when a verb fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliError {
    /// What the process ends with.
    pub exit: Exit,
    /// What is wrong.
    pub what: String,
    /// Why, a line each.
    pub why: Vec<String>,
    /// What to do about it; empty if nothing is known.
    pub fix: String,
    /// The stable reason; empty if there is none.
    pub code: Box<str>,
    /// The decision to quote when asking about it; empty if there is none.
    pub decision: Box<str>,
}

impl CliError {
    /// An error that says `what` is wrong; `what; fix` is taken apart.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        let what = what.into();
        let (what, fix) = match what.split_once("; ") {
            Some((what, fix)) => (what.to_owned(), fix.to_owned()),
            None => (what, String::new()),
        };
        let (why, code, decision) = (Vec::new(), Box::default(), Box::default());
        Self { exit, what, why, fix, code, decision }
    }

    /// The same error with a reason why.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// The same error with what to do about it.
    #[must_use]
    pub fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    /// A file or directory could not be read or written.
    pub fn file(path: &Path, cause: &io::Error) -> Self {
        let exit =
            if cause.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Other };
        Self::new(exit, format!("`{}` cannot be used", path.display())).because(cause.to_string())
    }

    /// Something given is malformed; every violation is told.
    pub fn invalid(what: impl Into<String>, violations: &[Violation]) -> Self {
        let mut error = Self::new(Exit::Invalid, what);
        error.why = violations.iter().map(told).collect();
        error.code = violations.first().map(|first| first.reason.into()).unwrap_or_default();
        error
    }

    /// No channel to the exchange came about.
    pub fn connect(endpoint: &str, cause: &(dyn std::error::Error + 'static)) -> Self {
        match identity::alert::explain(cause) {
            Some(told) => Self::of_alert(told),
            None => Self::new(Exit::Unavailable, format!("no exchange answers at {endpoint}"))
                .because(root_cause(cause))
                .fixed_by("check that the exchange runs, and the address given by --endpoint"),
        }
    }

    fn of_alert(told: identity::alert::Explanation) -> Self {
        let mut error = Self::new(Exit::NotPermitted, "the connection was not trusted")
            .because(told.why)
            .fixed_by(told.fix);
        error.code = told.name.into();
        error
    }
}

/// A violation as one line: the field, then what is wrong with it.
pub fn told(violation: &Violation) -> String {
    if violation.field.is_empty() {
        violation.description.clone()
    } else {
        format!("{}: {}", violation.field, violation.description)
    }
}

/// The innermost cause, which names what really failed.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for why in &self.why {
            write!(f, "\n  why:  {why}")?;
        }
        if !self.fix.is_empty() {
            write!(f, "\n  fix:  {}", self.fix)?;
        }
        match (self.code.is_empty(), self.decision.is_empty()) {
            (true, true) => Ok(()),
            (false, true) => write!(f, "\n  code: {}", self.code),
            (true, false) => write!(f, "\n  decision: {}", self.decision),
            (false, false) => write!(f, "\n  code: {}   decision: {}", self.code, self.decision),
        }
    }
}

impl std::error::Error for CliError {}

impl From<Status> for CliError {
    fn from(status: Status) -> Self {
        if let Some(told) = identity::alert::explain(&status) {
            return Self::of_alert(told);
        }
        let details = status.get_error_details();
        let mut error = Self::new(Exit::of_code(status.code()), status.message());
        if let Some(info) = details.error_info() {
            error.code = info.reason.as_str().into();
            if let Some(decision) = info.metadata.get("decision_id") {
                error.decision = decision.as_str().into();
            }
        } else if matches!(status.code(), Code::Unavailable | Code::Unknown) {
            error.why.push(root_cause(&status));
            "the exchange did not answer".clone_into(&mut error.what);
            "check that the exchange runs, then repeat the command".clone_into(&mut error.fix);
        }
        if let Some(bad) = details.bad_request() {
            "the request is malformed".clone_into(&mut error.what);
            error.fix.clear();
            let line = |field: &str, text: &str| format!("{field}: {text}");
            error.why =
                bad.field_violations.iter().map(|v| line(&v.field, &v.description)).collect();
        }
        error
    }
}

impl From<Violation> for CliError {
    fn from(violation: Violation) -> Self {
        Self::invalid("what was given is malformed", &[violation])
    }
}

impl From<identity::fault::Fault> for CliError {
    fn from(fault: identity::fault::Fault) -> Self {
        use identity::fault::Fault;
        let exit = match &fault {
            Fault::Exists(_) => Exit::Conflict,
            Fault::ReservedName(_) | Fault::Malformed { .. } | Fault::Unusable(_) => Exit::Invalid,
            Fault::File { path, .. } if !path.exists() => Exit::NotFound,
            Fault::File { .. } | Fault::Cryptography(_) => Exit::Other,
        };
        Self::new(exit, fault.to_string())
    }
}

impl From<ledger::Fault> for CliError {
    fn from(fault: ledger::Fault) -> Self {
        use ledger::Fault;
        let exit = match &fault {
            Fault::Corrupt(_) => Exit::Other,
            Fault::Full
            | Fault::Broken(_)
            | Fault::Unusable(_)
            | Fault::Closed
            | Fault::ClockDoubtful
            | Fault::Busy => Exit::Unavailable,
        };
        Self::new(exit, fault.to_string())
    }
}

impl From<store::StoreFault> for CliError {
    fn from(fault: store::StoreFault) -> Self {
        Self::new(Exit::Unavailable, fault.to_string())
    }
}

impl From<KeyringFault> for CliError {
    fn from(fault: KeyringFault) -> Self {
        let exit =
            if matches!(fault, KeyringFault::Exists(_)) { Exit::Conflict } else { Exit::Other };
        Self::new(exit, fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn an_answer_of_the_exchange_says_what_why_and_what_to_do() {
        let mut details = ErrorDetails::new();
        let metadata = [("decision_id".to_owned(), "01JD".to_owned())];
        details.set_error_info("FIELD_GROUP_NOT_PERMITTED", "concordat", metadata);
        let status = Status::with_error_details(
            Code::FailedPrecondition,
            "Glen College may not receive `support`; ask the owner of the agreement",
            details,
        );
        let error = CliError::from(status);
        assert_eq!(error.exit, Exit::Conflict);
        assert_eq!(
            error.to_string(),
            "error: Glen College may not receive `support`\n  \
             fix:  ask the owner of the agreement\n  \
             code: FIELD_GROUP_NOT_PERMITTED   decision: 01JD"
        );
    }

    #[test]
    fn every_malformed_field_is_told_on_a_line_of_its_own() {
        let mut details = ErrorDetails::new();
        details.set_error_info("INVALID_REQUEST", "concordat", []);
        details.add_bad_request_violation("request_id", "the field is required");
        details.add_bad_request_violation("invite.kind", "give the kind");
        let error =
            CliError::from(Status::with_error_details(Code::InvalidArgument, "two", details));
        assert_eq!(error.exit, Exit::Invalid);
        assert_eq!(error.why, ["request_id: the field is required", "invite.kind: give the kind"]);
    }

    #[test]
    fn every_grpc_code_has_an_exit_code_that_scripts_can_tell_apart() {
        let numbers: Vec<u8> = [
            Code::Internal,
            Code::NotFound,
            Code::PermissionDenied,
            Code::InvalidArgument,
            Code::Aborted,
            Code::Unavailable,
        ]
        .into_iter()
        .map(|code| Exit::of_code(code).number())
        .collect();
        assert_eq!(numbers, [1, 3, 4, 5, 6, 7]);
    }
}
