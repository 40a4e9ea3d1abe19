//! The demo, played by the built program, and its counts held against another count of the same tables.
//!
//! Nothing of the demo's own code is used to count: what is right and wrong about a row is judged here anew, from the law
//! and the published rules, by hand.

#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a table without its column fails the test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

const COLLEGE: &str = "glen-college";
const PROVIDER: &str = "moving-forward";
const SDS: &str = "skills-development-scotland";

fn demo(place: &Path, arguments: &[&OsStr]) -> Command {
    let elsewhere = place.join("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_concordat"));
    command.arg("demo").args(arguments).current_dir(&elsewhere).env("HOME", &elsewhere);
    command.env_remove("XDG_CONFIG_HOME").env("TMPDIR", place).stdin(Stdio::null());
    command
}

type Row = BTreeMap<String, String>;

fn table(path: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header: Vec<String> = reader.headers().unwrap().iter().map(ToOwned::to_owned).collect();
    let rows = reader.records().map(|row| {
        let cells = row.unwrap();
        header.iter().cloned().zip(cells.iter().map(ToOwned::to_owned)).collect()
    });
    rows.collect()
}

/// Year, month and day of `2010-06-15`.
fn day(text: &str) -> (i32, u32, u32) {
    let parts: Vec<&str> = text.split('-').collect();
    (parts[0].parse().unwrap(), parts[1].parse().unwrap(), parts[2].parse().unwrap())
}

/// The first thing wrong with a row: the column that is at fault.
fn fault(row: &Row) -> Option<&'static str> {
    let number = &row["identity.scn"];
    let digits: Vec<u32> = number.chars().map(|digit| digit.to_digit(10).unwrap()).collect();
    let sum: u32 = digits.iter().zip([3, 2, 7, 6, 5, 4, 3, 2]).map(|(digit, by)| digit * by).sum();
    if !digits.is_empty() && (digits.len() != 9 || !(sum + digits[8]).is_multiple_of(11)) {
        return Some("identity.scn");
    }
    if row["identity.surname"].is_empty() {
        return Some("identity.surname");
    }
    if row["identity.date_of_birth"].starts_with("1900") {
        return Some("identity.date_of_birth");
    }
    let postcode = &row["contact.postcode"];
    let inward = postcode.split_once(' ').map(|(_, inward)| inward.len());
    if !postcode.is_empty() && inward != Some(3) {
        return Some("contact.postcode");
    }
    let routes: Vec<&str> = row["intention.preferred_routes"].split(" | ").collect();
    let distinct: BTreeSet<&&str> = routes.iter().collect();
    if distinct.len() != routes.len() || routes.contains(&"GAP_YEAR") {
        return Some("intention.preferred_routes");
    }
    if row["intention.offer_status"] == "ACCEPTED" && row["intention.offer_provider"].is_empty() {
        return Some("intention.offer_provider");
    }
    leaves_too_early(row).then_some("education.anticipated_leave_date")
}

/// Education (Scotland) Act 1980 s.33: 31 May for a 16th birthday from March to September, Christmas for one from October
/// to February. No school of Scotland begins its Christmas holidays before the 15th of December.
fn leaves_too_early(row: &Row) -> bool {
    let leaves = &row["education.anticipated_leave_date"];
    if leaves.is_empty() || !row["education.exceptional_reason"].is_empty() {
        return false;
    }
    let (born, month, _) = day(&row["identity.date_of_birth"]);
    let earliest = match month {
        3..=9 => (born + 16, 5, 31),
        10..=12 => (born + 16, 12, 15),
        _ => (born + 15, 12, 15),
    };
    day(leaves) < earliest
}

/// What must have happened, by the tables alone.
fn expected(home: &Path) -> Value {
    let rows = table(&home.join("leavers.csv"));
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut published, mut by_number) = (BTreeSet::new(), BTreeMap::new());
    for row in &rows {
        let id = row["identity.source_local_id"].clone();
        if let Some(column) = fault(row) {
            *refused.entry(column).or_default() += 1;
        } else {
            by_number.insert(row["identity.scn"].clone(), id.clone());
            published.insert(id);
        }
    }
    let (mut yes, mut no) = (BTreeSet::new(), BTreeSet::new());
    for said in table(&home.join("consents.csv")) {
        assert_eq!(said["agency"], COLLEGE);
        let id = said["source_local_id"].clone();
        match said["said"].as_str() {
            "yes" if published.contains(&id) => _ = yes.insert(id),
            "no" if published.contains(&id) => _ = no.insert(id),
            _ => {}
        }
    }
    let served = table(&home.join("caseload.csv")).into_iter().filter(|claim| {
        claim["known_to_council"] == "yes" && by_number.contains_key(&claim["scn"])
    });
    let (all, yes, no, served) = (published.len(), yes.len(), no.len(), served.count());
    json!({
        "rows": rows.len(),
        "published": all,
        "refused": rows.len() - all,
        "refused_for": refused,
        "released": {COLLEGE: yes, PROVIDER: served, SDS: all},
        "withheld": {COLLEGE: all - yes, PROVIDER: all - served, SDS: 0},
        "withheld_for": {
            COLLEGE: {"CONSENT_MISSING": all - yes - no, "CONSENT_REFUSED": no},
            PROVIDER: {"CASELOAD_NOT_CONFIRMED": all - served},
            SDS: {},
        },
    })
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_count_of_the_demo_is_that_of_its_tables() {
    let place = tempfile::tempdir().unwrap();
    let home = place.path().join("kept");
    let arguments: [&OsStr; 5] =
        ["--once".as_ref(), "-o".as_ref(), "json".as_ref(), "--keep".as_ref(), home.as_ref()];
    let output = demo(place.path(), &arguments).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let counts: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = expected(&home);
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&counts[name], value, "{name}");
    }
    assert!(200 <= counts["published"].as_u64().unwrap());
    let disk = concordat::ledger::disk::OsDisk::existing(&home.join("data/ledger")).unwrap();
    let report = concordat::ledger::verify::verify(&disk, &mut |_, _| Ok(())).unwrap();
    assert_eq!(counts["ledger"]["entries"], report.entries.count());
    assert_eq!(counts["ledger"]["root"], report.root.to_string());
    let told = said(&output);
    assert!(told.contains("Glen College receives "), "{told}");
    for number in [&counts["published"], &counts["refused"]] {
        assert!(told.contains(&number.to_string()), "{number}: {told}");
    }
    assert!(told.contains(&format!("ledger verified: {} entries", report.entries)), "{told}");
    let written: Vec<_> = fs::read_dir(place.path().join("elsewhere")).unwrap().collect();
    assert!(written.is_empty(), "{written:?}");
}

/// The commands of the banner, in its order.
fn commands(banner: &str) -> Vec<String> {
    let lines = banner.lines().filter_map(|line| line.split_once(env!("CARGO_BIN_EXE_concordat")));
    lines.map(|(_, rest)| format!("{}{rest}", env!("CARGO_BIN_EXE_concordat"))).collect()
}

#[test]
fn the_demo_stays_up_and_its_banner_runs_as_pasted() {
    let place = tempfile::tempdir().unwrap();
    let mut playing = demo(place.path(), &[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(playing.stdout.take().unwrap()).lines();
    let mut banner = String::new();
    for line in lines.by_ref().map(Result::unwrap) {
        banner.push_str(&line);
        banner.push('\n');
        if line.contains("Ctrl-C") {
            break;
        }
    }
    let ready = banner.find("Concordat demo is ready. All people are invented.");
    let commands = commands(&banner[ready.unwrap()..]);
    assert_eq!(commands.len(), 4, "{banner}");
    for command in commands {
        let ends = if command.contains("record watch") { " --limit 1" } else { "" };
        let output = Command::new("sh").arg("-c").arg(format!("{command}{ends}")).output().unwrap();
        assert!(output.status.success(), "{command}: {}", said(&output));
    }
    let stop = Command::new("kill").args(["-INT", &playing.id().to_string()]).status().unwrap();
    assert!(stop.success() && playing.wait().unwrap().success());
    let mut rest = String::new();
    for line in lines {
        rest.push_str(&line.unwrap());
    }
    assert_eq!(rest, "");
    let left = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["elsewhere"]);
}
