//! `concordat policy test`: policies tried on described releases, as a file of cases says. It asks no exchange, and no case is
//! about a person: a policy never sees one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    cli::{
        code::{self, POOL},
        compose::registry,
        document,
        error::{CliError, Exit},
        output::{Column, Output, words},
        policy::check,
    },
    machine::access::verdict::{Attributes, Party, Trial, Verdict},
    model::{
        id::{AgencyId, AgreementId, FlowId, GroupName, PolicyId, RecordTypeName},
        violation::Violation,
    },
    pb::ledger::v1::AgencyKind,
    record::registry::Registry,
};

const COLUMNS: [Column; 5] = [
    ("CASE", "name"),
    ("EXPECTED", "expected"),
    ("OUTCOME", "outcome"),
    ("BY", "policies"),
    ("PASSED", "passed"),
];

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    /// Files of one policy each, from where this file lies.
    policies: Vec<PathBuf>,
    /// What all cases have in common.
    #[serde(default)]
    given: Given,
    cases: Vec<Case>,
}

/// One release, and what is to come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    given: Given,
    expect: Expected,
    /// The policies that are to forbid; not looked at if there are none.
    #[serde(default)]
    by: Vec<String>,
}

/// What policies are to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    /// Nothing: the flow decides.
    Silent,
    /// No.
    Forbidden,
}

impl Expected {
    const fn text(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Forbidden => "forbidden",
        }
    }
}

/// What a policy may read of a release, by its name.
type Given = BTreeMap<Named, String>;

/// What can be said of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Named {
    /// The agency whose record it is.
    Publisher,
    PublisherKind,
    /// The agency that would receive.
    Recipient,
    RecipientKind,
    RecordType,
    Group,
    Purpose,
    Agreement,
    Flow,
    Basis,
    Gate,
}

impl Named {
    const fn text(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::PublisherKind => "publisher_kind",
            Self::Recipient => "recipient",
            Self::RecipientKind => "recipient_kind",
            Self::RecordType => "record_type",
            Self::Group => "group",
            Self::Purpose => "purpose",
            Self::Agreement => "agreement",
            Self::Flow => "flow",
            Self::Basis => "basis",
            Self::Gate => "gate",
        }
    }
}

/// Tries the cases of a file.
pub(super) fn run(output: Output, path: &Path) -> Result<(), CliError> {
    let shown = path.display();
    let suite: Suite = serde_saphyr::from_str(&document::text(path)?).map_err(|cause| {
        CliError::new(Exit::Invalid, format!("`{shown}` does not read")).because(cause.to_string())
    })?;
    let beside = path.parent().unwrap_or_else(|| Path::new(""));
    let files: Vec<_> = suite.policies.iter().map(|file| beside.join(file)).collect();
    let policies = check::all(&files)?;
    let trial = Trial::of(policies.iter().map(|(id, text)| (id, text.as_str())))
        .ok_or_else(|| CliError::new(Exit::Invalid, "the policies do not go together"))?;
    let registry = registry()?;
    let (mut rows, mut failed) = (Vec::new(), 0_usize);
    for case in &suite.cases {
        let given = case.given.iter().chain(&suite.given);
        let mut release = Given::new();
        for (name, value) in given {
            // What the case says comes first.
            release.entry(*name).or_insert_with(|| value.clone());
        }
        let verdict = judged(&trial, &registry, &release).map_err(|problem| {
            CliError::new(Exit::Invalid, format!("case `{}` describes no release", case.name))
                .because(problem)
        })?;
        let (row, passed) = row(case, &verdict);
        failed = failed.saturating_add(usize::from(!passed));
        rows.push(row);
    }
    output.rows(&COLUMNS, &rows)?;
    words(format!(
        "{} of {} cases turned out as expected",
        rows.len().saturating_sub(failed),
        rows.len()
    ));
    if failed == 0 {
        return Ok(());
    }
    let what = format!("{failed} of {} cases turned out otherwise", rows.len());
    Err(CliError::new(Exit::Invalid, what).fixed_by("correct the policy, or the case"))
}

/// What is shown of a case, and whether it turned out as expected.
fn row(case: &Case, verdict: &Verdict) -> (Value, bool) {
    let (outcome, by): (_, &[PolicyId]) = match verdict {
        Verdict::Silent => ("silent", &[]),
        Verdict::Forbidden(ids) => ("forbidden", ids),
        Verdict::Unreadable => ("unreadable", &[]),
    };
    let by: Vec<&str> = by.iter().map(PolicyId::as_str).collect();
    let named = case.by.is_empty() || case.by.iter().map(String::as_str).eq(by.iter().copied());
    let expected = case.expect.text();
    let passed = outcome == expected && named;
    let row = json!({"name": case.name, "expected": expected, "outcome": outcome, "policies": by, "passed": passed});
    (row, passed)
}

/// What the policies say to a described release.
fn judged(trial: &Trial, registry: &Registry, given: &Given) -> Result<Verdict, String> {
    let text = |name: Named| {
        given
            .get(&name)
            .map(String::as_str)
            .ok_or_else(|| format!("`{}` is not given", name.text()))
    };
    let number = |name: Named, codes: &str| {
        let text = text(name)?;
        let known = POOL.get_enum_by_name(codes);
        let unknown = || format!("`{text}` is no `{}`; see its list", name.text());
        known.and_then(|codes| code::number(&codes, text)).ok_or_else(unknown)
    };
    let kind = |name: Named| {
        let number = number(name, "concordat.ledger.v1.AgencyKind")?;
        AgencyKind::try_from(number).map_err(|unknown| unknown.to_string())
    };
    let publisher: AgencyId = slug(text(Named::Publisher)?)?;
    let recipient: AgencyId = slug(text(Named::Recipient)?)?;
    let record_type: RecordTypeName = slug(text(Named::RecordType)?)?;
    let group: GroupName = slug(text(Named::Group)?)?;
    let agreement: AgreementId = slug(text(Named::Agreement)?)?;
    let flow: FlowId = slug(text(Named::Flow)?)?;
    let special_category = registry
        .record_type(&record_type)
        .and_then(|known| known.group(&group))
        .ok_or_else(|| format!("there is no field group `{group}` of `{record_type}`"))?
        .special_category();
    Ok(trial.ask(&Attributes {
        publisher: Party { id: &publisher, kind: kind(Named::PublisherKind)? },
        recipient: Party { id: &recipient, kind: kind(Named::RecipientKind)? },
        record_type: &record_type,
        group: &group,
        special_category,
        purpose: number(Named::Purpose, "concordat.ledger.v1.Purpose")?,
        agreement: &agreement,
        flow: &flow,
        basis: number(Named::Basis, "concordat.ledger.v1.LawfulBasis")?,
        gate: number(Named::Gate, "concordat.ledger.v1.Gate")?,
    }))
}

fn slug<T: FromStr<Err = Violation>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|violation: Violation| violation.description)
}
