//! Tests of the cohort: on any day of any year every form is right but the flawed ones, each in its one way.

use std::collections::BTreeSet;

use jiff::{ToSpan, civil::date};

use super::*;
use crate::record::registry::{EdgeContext, Registry};

fn reasons(today: Date) -> (Cohort, Vec<Vec<&'static str>>) {
    let registry = Registry::built_in().unwrap();
    let name = "leaver-form".parse().unwrap();
    let record_type = registry.record_type(&name).unwrap();
    let cohort = Cohort::of(SEED, today, record_type).unwrap();
    let layout = Layout::from_header(record_type, &HEADER).unwrap();
    let context = EdgeContext { today };
    let found = cohort.rows.iter().map(|row| {
        let checked = layout.read(row).and_then(|body| record_type.validate(&body, &context));
        checked.err().unwrap_or_default().iter().map(|violation| violation.reason).collect()
    });
    let found = found.collect();
    (cohort, found)
}

#[test]
fn on_any_day_each_form_is_right_or_wrong_in_its_one_way() {
    let mut day = date(2026, 1, 1);
    while day < date(2029, 1, 15) {
        let (cohort, found) = reasons(day);
        for (leaver, reasons) in cohort.leavers.iter().zip(found) {
            let expected: &[&str] = match leaver.role {
                Role::Flawed(Flaw::ScnCheckDigit) => &["SCN_CHECK_DIGIT"],
                Role::Flawed(Flaw::Postcode) | Role::ConsentedButFlawed => &["MALFORMED_POSTCODE"],
                Role::Flawed(Flaw::LeavesTooEarly) => &["BEFORE_EARLIEST_LEAVING_DATE"],
                Role::Flawed(Flaw::RouteTwice) => &["REPEATED"],
                Role::Flawed(Flaw::BirthUnknown) => &["PLACEHOLDER_DATE_OF_BIRTH"],
                Role::Flawed(Flaw::NoSuchRoute) => &["UNKNOWN_CODE"],
                Role::Flawed(Flaw::OfferFromNobody | Flaw::SurnameMissing) => &["REQUIRED"],
                Role::Ordinary
                | Role::Twin
                | Role::WithoutScn
                | Role::LeavesAtFifteen
                | Role::Exempted
                | Role::AtRisk
                | Role::ConsentsLate
                | Role::ChangesMind
                | Role::Withdraws
                | Role::Refuses => &[],
            };
            assert_eq!(reasons, expected, "{day} {}", leaver.local_id);
        }
        day = day.checked_add(13.days()).unwrap();
    }
}

#[test]
fn the_same_seed_and_day_make_the_same_cohort() {
    let today = date(2026, 11, 23);
    let ((one, _), (two, _)) = (reasons(today), reasons(today));
    assert_eq!((one.rows, one.said, one.claims), (two.rows, two.said, two.claims));
}

#[test]
fn the_story_has_everybody_it_tells_of() {
    let (cohort, found) = reasons(date(2026, 11, 23));
    let published = found.iter().filter(|reasons| reasons.is_empty()).count();
    assert!(200 <= published, "{published} forms are right");
    let twins: Vec<_> = cohort.leavers.iter().filter(|l| l.role == Role::Twin).collect();
    let [a, b] = twins[..] else { panic!("{} twins", twins.len()) };
    assert_eq!((&a.surname, a.born, &a.street), (&b.surname, b.born, &b.street));
    assert!(a.forename != b.forename && a.scn != b.scn);
    let fifteen = cohort.with_role(Role::LeavesAtFifteen).unwrap();
    assert_eq!(crate::model::date::age_years(fifteen.born, fifteen.leaves), Some(15));
    let yes = cohort.said.iter().filter(|said| said.word == Word::Yes).count();
    assert!((20..120).contains(&yes), "{yes} said yes");
    assert!((5..40).contains(&cohort.claims.len()), "{} claims", cohort.claims.len());
    let numbers: BTreeSet<_> =
        cohort.leavers.iter().map(|l| &l.scn).filter(|scn| !scn.is_empty()).collect();
    assert_eq!(numbers.len(), ROWS - 2);
}

#[test]
fn a_parent_speaks_for_whoever_is_under_16() {
    let (cohort, _) = reasons(date(2026, 11, 23));
    for said in cohort.said.iter().filter(|said| said.word == Word::Yes) {
        assert_eq!(said.speaker == Speaker::Parent, said.age_years < 16, "{said:?}");
    }
    assert!(cohort.said.iter().any(|said| said.speaker == Speaker::Parent));
}
