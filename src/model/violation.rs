//! A violation: one field of a message is malformed. It is found at the edge, before anything is ordered.
//!
//! Messages say what is wrong and what to do, in lower case, with the offending input in backticks only where it cannot
//! be personal data.

use std::fmt;

/// Why one field is malformed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field in the protobuf message, such as `agreement.flows[2].gate`.
    pub field: String,
    /// What is wrong and what to do about it.
    pub description: String,
    /// The stable reason code, in upper snake case.
    pub reason: &'static str,
}

impl Violation {
    /// A violation at `field` with a stable `reason` and a `description` that says what to do.
    pub fn new(
        field: impl Into<String>,
        reason: &'static str,
        description: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), description: description.into(), reason }
    }

    /// The same violation seen from the message that holds this field at `parent`.
    #[must_use]
    pub fn inside(mut self, parent: &str) -> Self {
        self.field = if self.field.is_empty() {
            parent.to_owned()
        } else {
            format!("{parent}.{}", self.field)
        };
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.field, self.description)
    }
}

impl std::error::Error for Violation {}
