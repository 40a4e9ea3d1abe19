//! Findings: every violation of one record, gathered so that they are told at once.
//!
//! A finding never repeats what the field held: that may be about a person. Where a field lies is written out only when
//! there is something to say about it: most records have no findings.

use std::{fmt::Display, str::FromStr};

use jiff::civil::Date;

use crate::model::{date, violation::Violation};

/// How many violations of one record are told; a body of nothing but errors must not cost more than a good one.
const FINDINGS_MAX: usize = 100;

/// The violations found so far in one record.
#[derive(Debug, Default)]
pub struct Findings(Vec<Violation>);

impl Findings {
    /// Adds a violation at `field`.
    pub fn add(
        &mut self,
        field: impl Display,
        reason: &'static str,
        description: impl Into<String>,
    ) {
        self.push(Violation::new(field.to_string(), reason, description));
    }

    fn push(&mut self, violation: Violation) {
        match self.0.len() {
            ..FINDINGS_MAX => self.0.push(violation),
            FINDINGS_MAX => self.0.push(Violation::new(
                "",
                "TOO_MANY_VIOLATIONS",
                format!("more than {FINDINGS_MAX} violations; put these right first"),
            )),
            _ => {}
        }
    }

    /// Adds a violation at `field` unless `holds`.
    pub fn require(
        &mut self,
        holds: bool,
        field: impl Display,
        reason: &'static str,
        description: &str,
    ) {
        if !holds {
            self.add(field, reason, description);
        }
    }

    /// Adds `REQUIRED` at `field` unless it is `given`.
    pub fn required(&mut self, given: bool, field: impl Display, description: &str) {
        self.require(given, field, "REQUIRED", description);
    }

    /// What `text` parses to; `None` if it is empty, or malformed and so a finding.
    pub fn parse<T: FromStr<Err = Violation>>(
        &mut self,
        field: impl Display,
        text: &str,
    ) -> Option<T> {
        if text.is_empty() { None } else { self.keep(field, text.parse()) }
    }

    /// The day that `text` names; `None` if it is empty, or malformed and so a finding.
    pub fn date(&mut self, field: impl Display, text: &str) -> Option<Date> {
        if text.is_empty() { None } else { self.keep(field, date::parse(text)) }
    }

    /// The value of `parsed`; a violation becomes a finding at `field`.
    pub fn keep<T>(&mut self, field: impl Display, parsed: Result<T, Violation>) -> Option<T> {
        parsed.map_err(|violation| self.push(violation.inside(&field.to_string()))).ok()
    }

    /// The value, if nothing was found.
    ///
    /// # Errors
    /// Every violation, in the order in which they were found.
    pub fn into_result<T>(self, value: T) -> Result<T, Vec<Violation>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}
