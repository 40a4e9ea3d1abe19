//! The rows that state on what basis each field group of a record is shared.
//!
//! A group may have several: a duty to share with one recipient, consent for the others. They are the publisher's own
//! statement; whether a group may leave is decided by agreements and consents, not here.
//! Sources: UK GDPR Articles 6 and 9; Practice Guide 4 of GIRFEC on consent where there is a duty.

use crate::{
    model::{
        id::{ConsentId, GroupName},
        limit::GROUPS_MAX,
    },
    pb::record::v1::{Article6Basis, Article9Condition, LawfulBasis, LegalPower},
    record::{findings::Findings, registry::FieldGroup},
};

/// The greatest length of a notice's version, in bytes.
const NOTICE_VERSION_BYTES_MAX: usize = 32;
/// The greatest number of rows: two for each of the greatest number of groups.
const ROWS_MAX: usize = 2 * GROUPS_MAX;

/// Checks `rows`, found at `field`, against the groups that the record holds and that need a row.
pub fn check(findings: &mut Findings, field: &str, rows: &[LawfulBasis], present: &[&FieldGroup]) {
    findings.require(rows.len() <= ROWS_MAX, field, "TOO_MANY", "give at most 64 rows");
    for (at, row) in rows.iter().take(ROWS_MAX).enumerate() {
        let group = format_args!("{field}[{at}].group");
        match present.iter().find(|held| held.name().as_str() == row.group) {
            None if row.group.is_empty() => findings.required(false, group, "name the field group"),
            None => {
                if findings.parse::<GroupName>(group, &row.group).is_some() {
                    findings.add(
                        group,
                        "GROUP_NOT_PRESENT",
                        "the record holds no such field group; leave the row out",
                    );
                }
            }
            Some(held) => {
                check_row(findings, (field, at), row, held);
                let states = |row: &LawfulBasis| (row.article_6, row.legal_power);
                let before = rows.iter().take(at).filter(|earlier| earlier.group == row.group);
                let repeated = before.map(states).any(|earlier| earlier == states(row));
                let how = "another row states this basis for the field group; give each once";
                findings.require(!repeated, group, "REPEATED", how);
            }
        }
    }
    for group in present.iter().map(|group| group.name().as_str()) {
        if rows.iter().take(ROWS_MAX).all(|row| row.group != group) {
            findings.add(
                field,
                "LAWFUL_BASIS_MISSING",
                format!("no row states the basis for the field group `{group}`; add one"),
            );
        }
    }
}

fn check_row(
    findings: &mut Findings,
    (list, at): (&str, usize),
    row: &LawfulBasis,
    group: &FieldGroup,
) {
    let LawfulBasis { group: _, article_6, article_9, legal_power, consent_id, notice_version } =
        row;
    let by_consent = *article_6 == i32::from(Article6Basis::Consent);
    findings.required(
        *article_6 != i32::from(Article6Basis::Unspecified),
        format_args!("{list}[{at}].article_6"),
        "name the basis under article 6",
    );
    let condition_given = *article_9 != i32::from(Article9Condition::Unspecified);
    findings.require(
        condition_given || !group.special_category(),
        format_args!("{list}[{at}].article_9"),
        "ARTICLE_9_CONDITION_MISSING",
        "the field group is special category data; name the condition under article 9",
    );
    let power = format_args!("{list}[{at}].legal_power");
    findings.required(
        by_consent || *legal_power != i32::from(LegalPower::Unspecified),
        power,
        "name the power or duty relied on, unless the basis is consent",
    );
    findings.require(
        !(by_consent && *legal_power == i32::from(LegalPower::Post16Order2014)),
        power,
        "CONSENT_WHERE_DUTY",
        "there is a duty to share this; do not ask for consent, but give the notice and name the duty as the basis",
    );
    findings.parse::<ConsentId>(format_args!("{list}[{at}].consent_id"), consent_id);
    findings.require(
        (1..=NOTICE_VERSION_BYTES_MAX).contains(&notice_version.len())
            && notice_version.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-'),
        format_args!("{list}[{at}].notice_version"),
        "MALFORMED_NOTICE_VERSION",
        "the version of the privacy notice is 1 to 32 letters, digits, dots and hyphens",
    );
}
