//! Tests of the registry and of the leaver's form through it.

use jiff::civil::date;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::pb::record::v1::Identifier;
use crate::pb::record::v1::{
    Article6Basis, LeaverForm,
    leaver_form::{self as form, Destination, Status},
};
use crate::record::leaver_form;
use crate::record::tabular::template_header;

const TODAY: EdgeContext = EdgeContext { today: date(2026, 11, 23) };

fn leaver_form() -> RecordType {
    Registry::built_in().unwrap().types.remove(&"leaver-form".parse().unwrap()).unwrap()
}

/// The example after `change`, validated: where it is violated and why.
fn violations(change: impl FnOnce(&mut LeaverForm)) -> Vec<(String, &'static str)> {
    let mut form = leaver_form::example();
    change(&mut form);
    match leaver_form().validate(&form.encode_to_vec(), &TODAY) {
        Ok(_) => Vec::new(),
        Err(all) => all.into_iter().map(|v| (v.field, v.reason)).collect(),
    }
}

fn one(field: &str, reason: &'static str) -> Vec<(String, &'static str)> {
    vec![(field.to_owned(), reason)]
}

fn core(form: &mut LeaverForm) -> &mut form::Core {
    form.core.as_mut().unwrap()
}

fn identity(form: &mut LeaverForm) -> &mut form::Identity {
    form.identity.as_mut().unwrap()
}

fn education(form: &mut LeaverForm) -> &mut form::Education {
    form.education.as_mut().unwrap()
}

fn intention(form: &mut LeaverForm) -> &mut form::Intention {
    form.intention.as_mut().unwrap()
}

#[test]
fn every_built_in_type_is_declared_wholly_and_its_example_is_valid() {
    let registry = Registry::built_in().unwrap();
    for record_type in registry.record_types() {
        let valid = record_type.validate(&record_type.example(), &TODAY).unwrap();
        assert_eq!(valid.body, record_type.example(), "the example is in its normal form");
        record_type.validate_successor(None, &valid.body).unwrap();
    }
}

#[test]
fn every_example_is_told_by_the_identifiers_that_its_type_declares() {
    for record_type in Registry::built_in().unwrap().record_types() {
        let body = record_type.example();
        let valid = record_type.validate(&body, &TODAY).unwrap();
        let about = record_type.about();
        let declared = |kind: Identifier| {
            let mut of_kind = about.identifiers().iter().filter(|(known, _)| *known == kind);
            of_kind.find_map(|(_, path)| path.text_of(&body)).unwrap_or_default()
        };
        let told = &valid.identifiers;
        assert_eq!(told.local_id, declared(Identifier::LocalId), "{record_type:?}");
        assert_eq!(told.scn, declared(Identifier::Scn), "{record_type:?}");
        if let Some(person) = &told.person {
            assert_eq!(person.forename, declared(Identifier::Forename), "{record_type:?}");
            assert_eq!(person.surname, declared(Identifier::Surname), "{record_type:?}");
            assert_eq!(person.date_of_birth, declared(Identifier::DateOfBirth), "{record_type:?}");
            assert_eq!(person.postcode, declared(Identifier::Postcode), "{record_type:?}");
        }
        assert!(
            about.event_date_of(&body).is_some_and(|day| day <= TODAY.today),
            "{record_type:?}"
        );
        let chi = about.identifiers().iter().any(|(kind, _)| *kind == Identifier::Chi);
        assert_eq!(chi, record_type.name().as_str() == "health-summary", "{record_type:?}");
    }
}

#[test]
fn a_contribution_names_its_child_with_a_number_or_without() {
    let registry = Registry::built_in().unwrap();
    let told = |name: &str| {
        let record_type = registry.record_type(&name.parse().unwrap()).unwrap();
        record_type.validate(&record_type.example(), &TODAY).unwrap()
    };
    let (event, concern) = (told("chronology-event"), told("concern-report"));
    assert_eq!((event.identifiers.scn.as_str(), event.age_years_today), ("123456785", Some(8)));
    assert_eq!((concern.identifiers.scn.as_str(), concern.age_years_today), ("", Some(8)));
    assert_eq!(event.identifiers.person, concern.identifiers.person);
    assert!(concern.identifiers.person.is_some());
    let care = told("care-status");
    assert_eq!(care.identifiers.person, None, "an address that must not be told finds nobody");
}

#[test]
fn the_example_tells_the_edge_what_its_command_needs() {
    let record_type = leaver_form();
    let valid = record_type.validate(&record_type.example(), &TODAY).unwrap();
    let groups: Vec<_> = valid.groups_present.iter().map(GroupName::as_str).collect();
    let expected = [
        "core",
        "identity",
        "contact",
        "education",
        "intention",
        "support",
        "support-special",
        "governance",
    ];
    assert_eq!(groups, expected);
    assert_eq!(valid.identifiers.scn, "051234561");
    assert_eq!(valid.identifiers.local_id, "IC-2027-0001");
    assert_eq!(
        (valid.age_years_today, valid.type_version, &*valid.code_lists),
        (Some(15), 1, "2026-11-01")
    );
    assert!(!format!("{valid:?}").contains("051234561"));
}

#[test]
fn all_violations_are_told_at_once() {
    let found = violations(|form| {
        identity(form).scn = "051234562".to_owned();
        identity(form).forename = String::new();
        education(form).council_code = "S12000046".to_owned();
    });
    assert_eq!(
        found,
        [
            ("identity.scn".to_owned(), "SCN_CHECK_DIGIT"),
            ("identity.forename".to_owned(), "REQUIRED"),
            ("education.council_code".to_owned(), "UNKNOWN_COUNCIL"),
        ]
    );
}

#[test]
fn an_empty_form_says_what_is_missing_and_malformed_bytes_are_refused() {
    let record_type = leaver_form();
    let all = record_type.validate(&[], &TODAY).unwrap_err();
    for field in ["core", "identity", "education", "core.status", "identity.date_of_birth"] {
        assert!(all.iter().any(|v| v.field == field && v.reason == "REQUIRED"), "{field}");
    }
    let all = record_type.validate(&[0x0a, 0xff], &TODAY).unwrap_err();
    assert_eq!(all.first().map(|v| v.reason), Some("MALFORMED_RECORD"));
}

#[test]
fn someone_who_has_no_candidate_number_may_leave() {
    assert_eq!(violations(|form| identity(form).scn.clear()), []);
}

#[test]
fn a_leaving_date_before_the_earliest_is_refused_with_the_computed_date() {
    let mut form = leaver_form::example();
    education(&mut form).anticipated_leave_date = "2027-05-30".to_owned();
    let all = leaver_form().validate(&form.encode_to_vec(), &TODAY).unwrap_err();
    assert_eq!(all[0].reason, "BEFORE_EARLIEST_LEAVING_DATE");
    assert!(all[0].description.contains("2027-05-31"), "{}", all[0].description);
}

#[test]
fn an_exceptional_leaver_passes_with_a_reason() {
    let found = violations(|form| {
        core(form).status = Status::Left.into();
        education(form).actual_leave_date = "2026-10-30".to_owned();
        education(form).anticipated_leave_date = String::new();
        education(form).exceptional_reason = form::ExceptionalReason::CollegePlacement.into();
    });
    assert_eq!(found, []);
}

#[test]
fn a_winter_leaver_leaves_on_the_first_day_of_the_christmas_holidays() {
    let winter = |form: &mut LeaverForm| {
        identity(form).date_of_birth = "2010-12-01".to_owned();
        education(form).statutory_leave_type = form::StatutoryLeaveType::Winter.into();
    };
    let found = violations(|form| {
        winter(form);
        education(form).anticipated_leave_date = "2026-12-21".to_owned();
    });
    assert_eq!(found, []);
    let mut form = leaver_form::example();
    winter(&mut form);
    education(&mut form).anticipated_leave_date = "2026-12-18".to_owned();
    let all = leaver_form().validate(&form.encode_to_vec(), &TODAY).unwrap_err();
    assert!(all[0].description.contains("2026-12-21"), "{}", all[0].description);
    assert!(all[0].description.contains("no term dates of this council"), "{}", all[0].description);
}

#[test]
fn the_leave_type_agrees_with_the_date_of_birth() {
    let found = violations(|form| {
        education(form).statutory_leave_type = form::StatutoryLeaveType::Winter.into();
    });
    assert_eq!(found, one("education.statutory_leave_type", "LEAVE_TYPE_DISAGREES"));
}

#[test]
fn a_leaver_who_left_has_a_day_of_leaving() {
    let found = violations(|form| core(form).status = Status::Left.into());
    assert_eq!(found, one("education.actual_leave_date", "REQUIRED"));
}

#[test]
fn placeholder_and_impossible_dates_of_birth_are_refused() {
    for (text, reason) in [
        ("1900-01-01", "PLACEHOLDER_DATE_OF_BIRTH"),
        ("1900-01-02", "PLACEHOLDER_DATE_OF_BIRTH"),
        ("2012-11-03", "AGE_OUT_OF_RANGE"),
        ("2000-11-02", "AGE_OUT_OF_RANGE"),
        ("15/06/2011", "MALFORMED_DATE"),
    ] {
        let found = violations(|form| identity(form).date_of_birth = text.to_owned());
        assert_eq!(found, one("identity.date_of_birth", reason), "{text}");
    }
}

#[test]
fn routes_are_ranked_without_repeats() {
    let route = i32::from(form::Route::Training);
    let found = violations(|form| intention(form).preferred_routes = vec![route, route]);
    assert_eq!(found, one("intention.preferred_routes", "REPEATED"));
    let found = violations(|form| intention(form).preferred_routes = vec![1, 2, 3, 4]);
    assert_eq!(found, one("intention.preferred_routes", "TOO_MANY"));
    let found = violations(|form| intention(form).preferred_routes = vec![1, 0, 99]);
    assert_eq!(
        found,
        [
            ("intention.preferred_routes[1]".to_owned(), "UNKNOWN_CODE"),
            ("intention.preferred_routes[2]".to_owned(), "UNKNOWN_CODE"),
        ]
    );
}

#[test]
fn an_accepted_offer_names_its_provider() {
    let found = violations(|form| {
        intention(form).offer_status = form::OfferStatus::Accepted.into();
        intention(form).offer_provider = String::new();
    });
    assert_eq!(found, one("intention.offer_provider", "REQUIRED"));
}

#[test]
fn a_destination_was_a_code_on_its_day() {
    let began = |day: &str| {
        violations(|form| {
            form.outcome = Some(form::Outcome {
                destination: Destination::ActivityAgreement.into(),
                destination_start_date: day.to_owned(),
                destination_source: form::DestinationSource::Sds.into(),
                confirmation_method: form::ConfirmationMethod::AdminData.into(),
                confirmation_date: day.to_owned(),
            });
            let outcome = pb::record::v1::LawfulBasis {
                group: "outcome".to_owned(),
                ..form.lawful_basis[0].clone()
            };
            form.lawful_basis.push(outcome);
        })
    };
    assert_eq!(began("2018-09-18"), []);
    assert_eq!(began("2010-09-15"), []);
    assert_eq!(began("2018-09-19"), one("outcome.destination", "CODE_NOT_VALID_ON_DATE"));
    assert_eq!(began("2010-09-14"), one("outcome.destination", "CODE_NOT_VALID_ON_DATE"));
}

#[test]
fn an_address_at_risk_lies_in_the_restricted_group_only() {
    let found = violations(|form| {
        form.safe_contact = Some(form::SafeContact {
            channel: form::Channel::School.into(),
            postcode: "pa151ly".to_owned(),
            ..form::SafeContact::default()
        });
        let row = pb::record::v1::LawfulBasis {
            group: "contact-restricted".to_owned(),
            ..form.lawful_basis[0].clone()
        };
        form.lawful_basis.push(row);
    });
    assert_eq!(found, one("contact", "ADDRESS_AT_RISK"));
}

#[test]
fn nobody_is_contacted_after_death() {
    let found = violations(|form| core(form).status = Status::Deceased.into());
    assert_eq!(found, one("contact", "NO_CONTACT_AFTER_DEATH"));
}

#[test]
fn each_group_has_its_own_basis() {
    let found = violations(|form| {
        form.lawful_basis.remove(0);
    });
    assert_eq!(found, one("lawful_basis", "LAWFUL_BASIS_MISSING"));
    let found = violations(|form| form.lawful_basis[6].article_9 = 0);
    assert_eq!(found, one("lawful_basis[6].article_9", "ARTICLE_9_CONDITION_MISSING"));
    let found = violations(|form| form.lawful_basis[1].group = "core".to_owned());
    assert_eq!(
        found,
        [
            ("lawful_basis[1].group".to_owned(), "REPEATED"),
            ("lawful_basis".to_owned(), "LAWFUL_BASIS_MISSING"),
        ]
    );
    let found = violations(|form| form.lawful_basis[0].article_6 = Article6Basis::Consent.into());
    assert_eq!(found, one("lawful_basis[0].legal_power", "CONSENT_WHERE_DUTY"));
    let found = violations(|form| form.lawful_basis[0].group = "statistics".to_owned());
    assert_eq!(
        found,
        [
            ("lawful_basis[0].group".to_owned(), "GROUP_NOT_PRESENT"),
            ("lawful_basis".to_owned(), "LAWFUL_BASIS_MISSING"),
        ]
    );
}

#[test]
fn what_the_exchange_derives_is_refused_from_a_publisher() {
    let found = violations(|form| {
        form.statistics =
            Some(form::Statistics { simd_quintile: 1, ..form::Statistics::default() });
    });
    assert_eq!(found, one("statistics", "DERIVED_FIELD"));
}

#[test]
fn a_body_becomes_normal_and_loses_what_nobody_declared() {
    let record_type = leaver_form();
    let mut form = leaver_form::example();
    identity(&mut form).forename = "Mo\u{300}rag".to_owned();
    form.contact.as_mut().unwrap().postcode = "pa15 1ly".to_owned();
    form.contact.as_mut().unwrap().phone = "01632 960001".to_owned();
    form.outcome = Some(form::Outcome::default());
    let mut body = form.encode_to_vec();
    body.extend_from_slice(&[0xba, 0x3e, 0x03, b'a', b'b', b'c']);
    let valid = record_type.validate(&body, &TODAY).unwrap();
    assert_eq!(valid.body, record_type.example());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_changed_body_is_refused_or_becomes_normal_once(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
    ) {
        let record_type = leaver_form();
        let mut body = record_type.example();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        for body in [&body[..], &body[..end.index(body.len())]] {
            if let Ok(valid) = record_type.validate(body, &TODAY) {
                let again = record_type.validate(&valid.body, &TODAY);
                prop_assert_eq!(again.as_ref(), Ok(&valid));
                prop_assert!(record_type.validate_successor(None, &valid.body).is_ok());
            }
        }
    }
}

#[test]
fn a_body_of_nothing_but_errors_is_told_a_bounded_number_of_them() {
    let mut form = leaver_form::example();
    intention(&mut form).preferred_routes = vec![99; 100_000];
    form.lawful_basis = vec![pb::record::v1::LawfulBasis::default(); 10_000];
    let all = leaver_form().validate(&form.encode_to_vec(), &TODAY).unwrap_err();
    assert_eq!(all.len(), 101);
    assert_eq!(all.last().map(|v| v.reason), Some("TOO_MANY_VIOLATIONS"));
}

#[test]
fn the_form_has_no_health_number_and_no_free_text() {
    for column in template_header(&leaver_form()) {
        for word in
            ["chi", "note", "notes", "comment", "comments", "remarks", "text", "description"]
        {
            assert!(!column.split(['.', '_']).any(|part| part == word), "{column}");
        }
    }
}

#[test]
fn no_violation_repeats_what_the_form_held() {
    let mut form = leaver_form::example();
    identity(&mut form).forename = "S3cret".to_owned();
    identity(&mut form).scn = "S3cret".to_owned();
    identity(&mut form).source_local_id = "S3cret S3cret".to_owned();
    identity(&mut form).date_of_birth = "S3cret".to_owned();
    form.contact.as_mut().unwrap().postcode = "S3cret".to_owned();
    form.contact.as_mut().unwrap().email = "S3cret".to_owned();
    form.lawful_basis[0].group = "S3cret".to_owned();
    let all = leaver_form().validate(&form.encode_to_vec(), &TODAY).unwrap_err();
    assert_eq!(all.len(), 8, "{all:?}");
    assert!(!format!("{all:?}").contains("S3cret"));
}

#[test]
fn a_version_follows_the_one_that_it_supersedes() {
    let record_type = leaver_form();
    let planned = leaver_form::example();
    let mut stayed = planned.clone();
    core(&mut stayed).status = Status::StayedOn.into();
    core(&mut stayed).form_date = "2026-11-01".to_owned();
    let (planned, stayed) = (planned.encode_to_vec(), stayed.encode_to_vec());
    let all = record_type.validate_successor(None, &stayed).unwrap_err();
    assert_eq!(all[0].reason, "STATUS_MAY_NOT_FOLLOW");
    let all = record_type.validate_successor(Some(&planned), &stayed).unwrap_err();
    assert_eq!(all.iter().map(|v| v.reason).collect::<Vec<_>>(), ["FORM_DATE_GOES_BACK"]);
    record_type.validate_successor(Some(&stayed), &planned).unwrap();
}

#[test]
fn the_law_speaks_of_every_group_and_field_of_the_form() {
    let law = include_str!("../../../docs/law.md");
    let record_type = leaver_form();
    for group in record_type.groups() {
        assert!(law.contains(&format!("| `{}` |", group.name())), "{}", group.name());
    }
    for column in template_header(&record_type) {
        let (group, field) = column.rsplit_once('.').unwrap_or(("", &column));
        let told = law.lines().any(|line| {
            line.contains(&format!("`{column}`"))
                || line.contains(&format!("`{field}`")) && line.contains(&format!("`{group}."))
        });
        assert!(told, "{column}");
    }
    let by_duty = leaver_form::GROUPS_TO_SDS_BY_DUTY;
    let list = by_duty.map(|group| format!("`{group}`")).join(", ");
    assert!(law.contains(&format!("{list}.")));
    for group in by_duty {
        let group = record_type.group(&group.parse().unwrap()).unwrap();
        assert!(!group.restricted(), "{group:?}");
    }
}

#[test]
fn a_plan_is_compiled_once_for_each_set_of_groups() {
    let record_type = leaver_form();
    let set =
        |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<BTreeSet<_>>();
    let first = record_type.redaction_plan(&set(&["core", "identity"]));
    assert!(Arc::ptr_eq(
        &first,
        &record_type.redaction_plan(&set(&["identity", "core", "unheard-of"]))
    ));
    assert!(record_type.redaction_plan(&set(&["unheard-of"])).is_empty());
}

/// The top-level fields of a body, as they lie.
fn parts(mut rest: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (_, after) = crate::record::wire::Field::split(rest).unwrap();
        parts.push(rest[..rest.len() - after.len()].to_vec());
        rest = after;
    }
    parts
}

#[test]
fn a_body_that_is_not_plain_is_checked_as_its_type_encodes_it() {
    let record_type = leaver_form();
    let example = record_type.example();
    let reversed: Vec<u8> = parts(&example).into_iter().rev().flatten().collect();
    let encodings: [(&str, Vec<u8>); 7] = [
        ("as it is", example.clone()),
        ("out of order", reversed),
        ("every field twice", [&example[..], &example[..]].concat()),
        ("a field that nobody declared", [&example[..], &[0x82, 0x7d, 0x01, 0x78]].concat()),
        ("a group that says nothing", [&example[..], &[0x3a, 0x00]].concat()),
        ("a status that says nothing", [&[0x0a, 0x02, 0x18, 0x00][..], &example[..]].concat()),
        ("a code that there is not", [&[0x0a, 0x02, 0x18, 0x63][..], &example[..]].concat()),
    ];
    let mut plain = 0;
    for (what, body) in encodings {
        let anew = LeaverForm::decode(body.as_slice()).unwrap().encode_to_vec();
        let is_plain = shape::is_plain(record_type.shape(), &body);
        assert!(!is_plain || body == anew, "{what}");
        plain += usize::from(is_plain);
        assert_eq!(
            record_type.validate(&body, &TODAY),
            record_type.validate(&anew, &TODAY),
            "{what}"
        );
    }
    assert_eq!(plain, 1, "the shortest way is taken by the example alone");
}
