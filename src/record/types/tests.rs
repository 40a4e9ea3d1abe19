//! Every rule of every contribution about a child has a case here, with the message that a publisher reads.
//!
//! The cases lie in `cases/`. A case is the type's example with one thing changed; what is said of it stands below. A test holds that no reason of a
//! rule is without a case. The rules of the leaver's form are tried in `registry/tests.rs`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use expect_test::{ExpectFile, expect_file};
use jiff::civil::date;
use serde_json::Value;

use crate::record::{
    json::{from_json, to_json},
    registry::{EdgeContext, RecordType, Registry},
};

const TODAY: EdgeContext = EdgeContext { today: date(2026, 11, 23) };

fn with_type<T>(name: &str, run: impl FnOnce(&RecordType) -> T) -> T {
    let registry = Registry::built_in().unwrap();
    run(registry.record_type(&name.parse().unwrap()).unwrap())
}

/// The example after each of `changes`: `path = json`, where a path that ends in `[]` appends.
fn changed(record_type: &RecordType, changes: &str) -> Value {
    let mut record = to_json(record_type, &record_type.example()).unwrap();
    for change in changes.split(" & ") {
        let (path, value) = change.split_once(" = ").unwrap();
        let value: Value = serde_json::from_str(value).unwrap();
        let mut at = &mut record;
        for step in path.split('.') {
            at = match (step.parse::<usize>(), step) {
                (Ok(index), _) => &mut at[index],
                (_, "[]") => {
                    if at.is_null() {
                        *at = Value::Array(Vec::new());
                    }
                    let rows = at.as_array_mut().unwrap();
                    rows.push(Value::Null);
                    rows.last_mut().unwrap()
                }
                (_, name) => &mut at[name],
            };
        }
        *at = value;
    }
    record
}

/// What is said of the example after one case.
fn told(record_type: &RecordType, case: &str) -> String {
    let long = [("LONG", "x".repeat(4_001)), ("SENTENCE", "é".repeat(281))];
    let written = long.iter().fold(case.to_owned(), |case, (word, text)| case.replace(word, text));
    let body = from_json(record_type, &changed(record_type, &written).to_string()).unwrap();
    let found = record_type.validate(&body, &TODAY).err().unwrap_or_default();
    let mut lines: Vec<_> = found.iter().map(|v| format!("  {} {v}\n", v.reason)).collect();
    if lines.is_empty() {
        lines.push("  valid\n".to_owned());
    }
    format!("{case}\n{}", lines.concat())
}

/// Holds a file of cases true of the type of that name: a case is a line that begins with no space, what is said of it are
/// the lines below.
fn cases(name: &str, file: &ExpectFile) {
    let written = fs::read_to_string(beside(file)).unwrap();
    let told = with_type(name, |record_type| {
        let cases = written.lines().filter(|line| !line.is_empty() && !line.starts_with(' '));
        cases.map(|case| told(record_type, case)).collect::<String>()
    });
    file.assert_eq(&told);
}

/// Where the file lies: its path is relative to this one's.
fn beside(file: &ExpectFile) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/record/types").join(&file.path)
}

#[test]
fn a_subject_is_checked_alike_in_every_contribution() {
    cases("child-involvement", &expect_file!["cases/subject.txt"]);
    for name in ["chronology-event", "key-roles", "childs-plan", "concern-report"] {
        with_type(name, |record_type| {
            let body = changed(record_type, r#"subject.date_of_birth = """#).to_string();
            let found = record_type.validate(&from_json(record_type, &body).unwrap(), &TODAY);
            assert_eq!(found.unwrap_err()[0].reason, "BIRTH_MISSING", "{name}");
        });
    }
}

#[test]
fn every_rule_of_every_contribution_has_its_message() {
    cases("care-status", &expect_file!["cases/care-status.txt"]);
    cases("child-identity", &expect_file!["cases/child-identity.txt"]);
    cases("child-involvement", &expect_file!["cases/child-involvement.txt"]);
    cases("childs-plan", &expect_file!["cases/childs-plan.txt"]);
    cases("chronology-event", &expect_file!["cases/chronology-event.txt"]);
    cases("concern-report", &expect_file!["cases/concern-report.txt"]);
    cases("education-summary", &expect_file!["cases/education-summary.txt"]);
    cases("health-summary", &expect_file!["cases/health-summary.txt"]);
    cases("key-roles", &expect_file!["cases/key-roles.txt"]);
    cases("protection-status", &expect_file!["cases/protection-status.txt"]);
    cases("reporter-referral", &expect_file!["cases/reporter-referral.txt"]);
    cases("wellbeing-observation", &expect_file!["cases/wellbeing-observation.txt"]);
}

/// The reasons that a source file names.
fn reasons(source: &str) -> BTreeSet<&str> {
    let texts = source.split('"').skip(1).step_by(2);
    let reason = |text: &&str| {
        text.len() > 5
            && text.contains('_')
            && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_' || b.is_ascii_digit())
    };
    texts.filter(reason).collect()
}

#[test]
fn no_rule_is_without_a_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = |folder: &str, ending: &str| {
        let entries = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect::<Vec<_>>()
    };
    let read = |path: &PathBuf| fs::read_to_string(path).unwrap();
    let told: String = files("record/types/cases", ".txt").iter().map(read).collect();
    let mut sources = files("record/types", ".rs");
    sources.extend(["record/child.rs", "model/birth.rs"].map(|path| root.join(path)));
    let apart = ["leaver_form.rs", "tests.rs"];
    for path in sources.iter().filter(|path| !apart.iter().any(|name| path.ends_with(name))) {
        for reason in reasons(&read(path)) {
            assert!(told.contains(&format!("  {reason} `")), "{reason} of {path:?} has no case");
        }
    }
}
