//! Holds the house in order: who may name whom, and that the pure parts stay pure. See `docs/architecture.md`.

#![expect(clippy::string_slice, reason = "the places come from searches in the same text")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Which modules of the crate each module may name, besides itself and the generated protobuf types.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("record", &["model"]),
    ("machine", &["model", "record"]),
    ("ledger", &["model"]),
    ("clock", &["model"]),
    ("store", &["machine", "model"]),
    ("seal", &["machine", "model"]),
    ("keyring", &["machine", "model", "seal"]),
    ("index", &["machine", "model"]),
    ("identity", &["model"]),
    (
        "node",
        &["machine", "ledger", "store", "seal", "keyring", "index", "record", "model", "clock"],
    ),
    ("service", &["node", "machine", "record", "identity", "model", "ledger", "seal"]),
    ("config", &["model"]),
    ("telemetry", &["config"]),
];

/// Modules that may name everything: they compose.
const COMPOSE: &[&str] = &["cli"];

/// Libraries that one module alone may name.
const CONFINED: &[(&str, &[&str])] = &[
    ("tonic", &["src/service", "src/cli"]),
    ("sled", &["src/store"]),
    ("cedar_policy", &["src/machine/access"]),
    ("clap", &["src/cli", "src/config"]),
    ("governor", &["src/service"]),
    ("minijinja", &["src/cli"]),
];

/// Where purity is held.
const PURE: &[&str] = &[
    "src/model",
    "src/record",
    "src/machine",
    "src/ledger/tree.rs",
    "src/ledger/leaf.rs",
    "src/ledger/checkpoint.rs",
];

/// What a pure part must not say.
const IMPURE: &[&str] = &[
    "async ",
    ".await",
    "tokio",
    "tonic",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time",
    "SystemTime",
    "Instant::",
    "Zoned",
    "TimeZone",
    "aws_lc_rs::rand",
    "rand::",
    "HashMap",
    "HashSet",
    "println!",
];

fn sources() -> BTreeMap<PathBuf, String> {
    fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path, text);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    walk(&root.join("src"), &mut found);
    found
        .into_iter()
        .map(|(path, text)| (path.strip_prefix(root).unwrap().to_path_buf(), text))
        .collect()
}

/// The code of a file without its comments, so that a word of prose is no use of a library.
fn code(text: &str) -> String {
    text.lines()
        .map(|line| match line.find("//") {
            Some(at) if !line[..at].ends_with(':') => &line[..at],
            Some(_) | None => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// The top-level module that a file belongs to.
fn module(path: &Path) -> String {
    let second = path.components().nth(1).unwrap().as_os_str().to_str().unwrap();
    second.trim_end_matches(".rs").to_owned()
}

/// The modules of the crate that a text names through `crate::`.
fn named(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, marker) in code.match_indices("crate::") {
        let rest = &code[at + marker.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut word = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                if c.is_alphanumeric() || c == '_' {
                    word.push(c);
                } else {
                    if depth == 1 || (depth == 2 && c == '{') {
                        names.insert(std::mem::take(&mut word));
                    }
                    word.clear();
                    if c == ':' {
                        word.push('\u{0}'); // what follows a path is no module of the crate
                    }
                }
            }
            names.insert(word);
        } else {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            names.insert(rest[..end].to_owned());
        }
    }
    names
}

#[test]
fn modules_name_only_what_stands_below_them() {
    let sources = sources();
    let modules: BTreeSet<String> = sources.keys().map(|path| module(path)).collect();
    let mut broken = Vec::new();
    for (path, text) in &sources {
        let from = module(path);
        if ["lib", "main", "pb"].contains(&from.as_str()) || COMPOSE.contains(&from.as_str()) {
            continue;
        }
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == from) else {
            broken.push(format!("{}: the module `{from}` has no row in the table", path.display()));
            continue;
        };
        for to in named(&code(text)) {
            let known = modules.contains(&to) && to != from && to != "pb";
            if known && !allowed.contains(&to.as_str()) {
                broken.push(format!("{}: `{from}` may not name `{to}`", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_every_form_of_them() {
    let text = "use crate::{ledger::{Draft, Fault}, model::id, pb};\nlet x = crate::seal::open();";
    let names = named(text);
    for name in ["ledger", "model", "pb", "seal"] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    assert!(!names.contains("Draft"), "{names:?}");
}

#[test]
fn libraries_stay_where_they_are_confined() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let code = code(&text);
        for (library, homes) in CONFINED {
            let home = homes.iter().any(|home| path.to_str().unwrap().starts_with(home));
            let uses = [format!("use {library}"), format!("{library}::")].iter().any(|form| {
                code.match_indices(form.as_str())
                    .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            });
            if uses && !home {
                broken.push(format!("{} names `{library}`", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_pure_parts_stay_pure() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let pure = PURE.iter().any(|home| path.to_str().unwrap().starts_with(home));
        if !pure {
            continue;
        }
        let code = code(&text);
        for word in IMPURE {
            if code.contains(word) {
                broken.push(format!("{} says `{word}`", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_part_of_the_program_leaves_a_rule_out() {
    let named = |(path, text): (PathBuf, String)| {
        let home = path == Path::new("src/machine/law.rs");
        (!home && code(&text).contains("empty_without")).then_some(path)
    };
    let broken: Vec<_> = sources().into_iter().filter_map(named).collect();
    assert!(broken.is_empty(), "{broken:?}");
    let state = &sources()[Path::new("src/machine/state.rs")];
    assert_eq!(code(state).matches("left_out").count(), 2, "it is declared, and empty");
}

#[test]
fn the_project_speaks_of_itself_alone_and_keeps_no_keys() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = std::process::Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
        assert!(!matches!(ending, Some("key" | "pem")), "{name} is a key");
    }
}
