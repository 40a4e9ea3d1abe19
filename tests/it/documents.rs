//! Holds the documents true of the code: what they list is all there is, and what they name is there.
//!
//! It knows nothing of their prose. The README's tour is run in `readme.rs`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use concordat::machine::{Refusal, read::agreement::Gap};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The files below a folder whose names end so, from the root.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root()).unwrap().to_path_buf();
        if path.is_dir() {
            found.extend(files(name.to_str().unwrap(), ending));
        } else if name.to_str().unwrap().ends_with(ending) {
            found.push(name);
        }
    }
    found.sort();
    found
}

/// The documents, and their text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths = files("docs", ".md");
    paths.extend(["README.md", "CHANGELOG.md", "certs/README.md"].map(PathBuf::from));
    paths.into_iter().map(|path| (path.clone(), text(path.to_str().unwrap()))).collect()
}

/// What stands between backticks in a line of prose, code blocks left out.
fn quoted(document: &str) -> Vec<&str> {
    let mut code = false;
    let mut found = Vec::new();
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// The values of an enum of a `.proto` file without its prefix, each with the first word of its comment.
fn values(proto: &str, prefix: &str) -> Vec<(String, String)> {
    let mut code = String::new();
    let mut found = Vec::new();
    let mut comment = false;
    for line in proto.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("// ") {
            if !comment {
                words.split('.').next().unwrap_or_default().clone_into(&mut code);
            }
            comment = true;
            continue;
        }
        comment = false;
        let value = line.strip_prefix(prefix).and_then(|rest| rest.split_once(" = "));
        if let Some((name, _)) = value.filter(|(name, _)| *name != "UNSPECIFIED") {
            found.push((name.to_owned(), code.clone()));
        }
    }
    found
}

/// The first cells of a table's rows, between its heading and the next.
fn rows<'a>(document: &'a str, heading: &str) -> Vec<&'a str> {
    let section = document.split_once(heading).unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    section.lines().filter(|line| line.starts_with("| `")).collect()
}

#[test]
fn every_reason_of_the_api_stands_in_its_table_with_its_code() {
    let (page, proto) = (text("docs/reasons.md"), text("proto/concordat/v1/reason.proto"));
    let reasons = values(&proto, "REASON_");
    assert!(40 < reasons.len(), "{reasons:?}");
    let expected: Vec<String> =
        reasons.iter().map(|(name, code)| format!("| `{name}` | `{code}` |")).collect();
    let rows = rows(&page, "## Reasons of the API");
    for row in &expected {
        assert!(rows.iter().any(|line| line.starts_with(row)), "{row} is missing");
    }
    assert_eq!(rows.len(), expected.len());
}

#[test]
fn every_refusal_stands_in_its_table_in_order_of_precedence() {
    let page = text("docs/reasons.md");
    let rows = rows(&page, "## Refusals of the machine");
    for (row, refusal) in rows.iter().zip(Refusal::ALL) {
        let (reason, message) = (refusal.reason(), refusal.message());
        let expected = format!("| `{refusal:?}` | `{reason}` | {message} |");
        assert!(row.starts_with(&expected), "{row}\nis not\n{expected}");
    }
    assert_eq!(rows.len(), Refusal::ALL.len());
}

#[test]
fn every_gap_of_an_agreement_stands_in_its_table_with_its_rule() {
    let page = text("docs/reasons.md");
    let rows = rows(&page, "## What an agreement misses");
    for (row, gap) in rows.iter().zip(Gap::ALL) {
        let against = if gap.refusal().is_some() { "a draft" } else { "a proposal" };
        let (code, rule, message) = (gap.code(), gap.rule(), gap.message());
        assert_eq!(*row, format!("| `{code}` | {against} | {rule} | {message} |"));
    }
    assert_eq!(rows.len(), Gap::ALL.len());
}

#[test]
fn every_reason_to_withhold_stands_in_its_table_in_order() {
    let (page, proto) = (text("docs/reasons.md"), text("proto/concordat/v1/policy_service.proto"));
    let reasons = values(&proto, "WITHHELD_REASON_");
    let expected: Vec<String> = reasons.into_iter().map(|(name, _)| name).collect();
    let rows = rows(&page, "## Why a group of a record is withheld");
    let listed: Vec<&str> = rows.iter().filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(listed, expected);
}

#[test]
fn every_invariant_that_is_told_is_upheld_where_it_says() {
    let page = text("docs/architecture.md");
    let table = page.split_once("## Invariants").unwrap().1.split("\n## ").next().unwrap();
    let mut told = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        for place in cells[3].split('`').skip(1).step_by(2) {
            told.insert((cells[1].to_owned(), place.to_owned()));
        }
    }
    let mut upheld = BTreeSet::new();
    for path in files("src", ".rs") {
        let source = text(path.to_str().unwrap());
        for marked in source.split("INVARIANT (").skip(1) {
            let name = marked.split(')').next().unwrap().to_owned();
            upheld.insert((name, path.to_str().unwrap().to_owned()));
        }
    }
    let wrong: Vec<_> = told.difference(&upheld).collect();
    assert!(20 < told.len() && wrong.is_empty(), "{wrong:?}");
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let mut missing = Vec::new();
    for (path, document) in documents() {
        for name in quoted(&document) {
            let extension = Path::new(name).extension().and_then(|end| end.to_str());
            let file =
                extension.is_some_and(|end| ["rs", "proto", "md", "toml", "py"].contains(&end));
            let folder = name.ends_with('/') && !name.starts_with('/');
            let repository = ["src/", "tests/", "docs/", "proto/", "certs/", "examples/"];
            let ours = extension == Some("rs") || repository.iter().any(|at| name.starts_with(at));
            if !(file || folder) || !ours || name.contains(['{', '*', ' ', '<']) {
                continue;
            }
            let bases = ["", "src", "src/machine", "tests/it"];
            if !bases.iter().any(|base| root().join(base).join(name).exists()) {
                missing.push(format!("{}: `{name}`", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for (path, document) in documents() {
        let folder = root().join(path.parent().unwrap());
        for link in document.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            let outside = link.starts_with("https://");
            if !outside && !target.is_empty() && !folder.join(target).exists() {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_test_that_shows_a_guarantee_is_there() {
    let mut sources = String::new();
    for path in files("tests", ".rs").into_iter().chain(files("src", ".rs")) {
        sources.push_str(&text(path.to_str().unwrap()));
    }
    let page = text("docs/guarantees.md");
    let names: Vec<&str> = quoted(&page)
        .into_iter()
        .filter(|name| 2 < name.matches('_').count())
        .filter(|name| {
            name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
        .collect();
    assert!(30 < names.len(), "{names:?}");
    for name in names {
        assert!(sources.contains(&format!("fn {name}(")), "there is no test `{name}`");
    }
}

#[test]
fn decisions_have_their_number_once_and_name_it_first() {
    let paths = files("docs/decisions", ".md");
    let number = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.split('-').next().unwrap().to_owned()
    };
    let numbers: BTreeSet<String> = paths.iter().map(|path| number(path)).collect();
    assert_eq!(numbers.len(), paths.len());
    for path in paths {
        let document = text(path.to_str().unwrap());
        let first = format!("# {}", number(&path));
        assert!(document.starts_with(&first), "{}", path.display());
    }
}
