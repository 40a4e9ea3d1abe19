//! The councils of Scotland by their S12 codes, as the exchange's code list of 1 November 2026 holds them.
//!
//! The codes are those of the Office for National Statistics' register of geographic codes, from general knowledge; four
//! codes were replaced when boundaries moved, and the newer one is named to whoever gives the older.

use std::fmt::Display;

use crate::record::findings::Findings;

const CODES: [&str; 32] = [
    "S12000005",
    "S12000006",
    "S12000008",
    "S12000010",
    "S12000011",
    "S12000013",
    "S12000014",
    "S12000017",
    "S12000018",
    "S12000019",
    "S12000020",
    "S12000021",
    "S12000023",
    "S12000026",
    "S12000027",
    "S12000028",
    "S12000029",
    "S12000030",
    "S12000033",
    "S12000034",
    "S12000035",
    "S12000036",
    "S12000038",
    "S12000039",
    "S12000040",
    "S12000041",
    "S12000042",
    "S12000045",
    "S12000047",
    "S12000048",
    "S12000049",
    "S12000050",
];

/// Fife, Perth and Kinross, Glasgow City, North Lanarkshire.
const REPLACED: [(&str, &str); 4] = [
    ("S12000015", "S12000047"),
    ("S12000024", "S12000048"),
    ("S12000046", "S12000049"),
    ("S12000044", "S12000050"),
];

/// Checks a code that is not empty.
pub(in crate::record) fn check(findings: &mut Findings, field: impl Display, code: &str) {
    if code.is_empty() || CODES.contains(&code) {
        return;
    }
    let description = match REPLACED.iter().find(|(older, _)| *older == code) {
        Some((_, newer)) => format!("this council code was replaced by `{newer}`"),
        None => "a council code is an S12 code such as `S12000018`".to_owned(),
    };
    findings.add(field, "UNKNOWN_COUNCIL", description);
}
