//! `concordat policy check`: whether texts are policies, and what they would do together. It asks no exchange.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{
    cli::{
        compose::registry,
        document,
        error::{CliError, Exit},
        output::{Column, Output, words},
    },
    machine::access::{
        survey::{Finding, survey},
        verdict::{SCHEMA_VERSION, Unfit, canonical, examine},
    },
    model::id::PolicyId,
};

const COLUMNS: [Column; 2] = [("POLICY", "policy"), ("TEXT", "text")];

/// Checks the policies in these files.
pub(super) fn run(output: Output, files: &[PathBuf]) -> Result<(), CliError> {
    let policies = all(files)?;
    let findings = survey(&policies, &registry()?);
    if findings.is_none() {
        words(
            "the policies tell too much apart to be tried on every question; check fewer at once",
        );
    }
    for (policy, finding) in findings.iter().flatten() {
        words(format!("`{policy}`: {}", finding.description()));
    }
    let of_policy = |id: &PolicyId| -> Vec<Value> {
        let found = findings.iter().flatten().filter(|(of, _)| of == id);
        found.map(|(_, finding)| shown(finding)).collect()
    };
    let rows: Vec<_> = policies
        .iter()
        .map(|(id, text)| {
            let found = of_policy(id);
            json!({"policy": id.as_str(), "text": text, "schema_version": SCHEMA_VERSION, "findings": found})
        })
        .collect();
    output.rows(&COLUMNS, &rows)
}

fn shown(finding: &Finding) -> Value {
    let beside = match finding {
        Finding::AddsNothing { beside } => beside.as_str(),
        Finding::NeverForbids | Finding::ForbidsAll | Finding::Unreadable => "",
    };
    json!({"code": finding.code(), "beside": beside, "description": finding.description()})
}

/// The policies in these files, each under the name of its file without the ending.
///
/// # Errors
/// A text is no policy, or two files have one name.
pub(super) fn all(files: &[PathBuf]) -> Result<Vec<(PolicyId, String)>, CliError> {
    let mut policies: Vec<(PolicyId, String)> = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let unnamed = || format!("policy-{}", at.saturating_add(1)).parse();
        let id: PolicyId = stem.parse().or_else(|_| unnamed())?;
        if policies.iter().any(|(known, _)| *known == id) {
            let what = format!("two files hold a policy `{id}`");
            return Err(CliError::new(Exit::Usage, what).fixed_by("name the files apart"));
        }
        policies.push((id, text(file)?));
    }
    Ok(policies)
}

/// The policy in a file, in canonical form, once it is found to be one.
pub(super) fn text(path: &Path) -> Result<String, CliError> {
    let written = document::text(path)?;
    let shown = path.display();
    let invalid = |problems: Vec<String>| {
        let mut error = CliError::new(Exit::Invalid, format!("`{shown}` is no policy"))
            .fixed_by("write one `forbid` over the published schema, version 1");
        error.why = problems;
        error.code = "POLICY_INVALID".into();
        error
    };
    let canonical = canonical(&written).map_err(invalid)?;
    match examine(&canonical) {
        Ok(text) => Ok(text),
        Err(Unfit::Invalid(problems)) => Err(invalid(problems)),
        Err(Unfit::Permits) => {
            let mut error = CliError::new(Exit::Invalid, format!("`{shown}` permits"))
                .because("a policy only narrows what an agreement permits")
                .fixed_by("write `forbid`, and share more by an agreement");
            error.code = "POLICY_INVALID".into();
            Err(error)
        }
    }
}
