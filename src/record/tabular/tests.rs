//! Tests of tables and JSON: what is written reads back as the same record.

use expect_test::expect;

use super::*;
use crate::record::{
    json::{from_json, to_json},
    registry::Registry,
};

fn with_leaver_form(run: impl FnOnce(&RecordType)) {
    let registry = Registry::built_in().unwrap();
    run(registry.record_type(&"leaver-form".parse().unwrap()).unwrap());
}

/// Where and why a row of these cells does not read.
fn faults(cells: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    with_leaver_form(|record_type| {
        let (header, row): (Vec<_>, Vec<_>) = cells.iter().copied().unzip();
        let layout = Layout::from_header(record_type, &header).unwrap();
        found = layout
            .read(&row)
            .unwrap_err()
            .into_iter()
            .map(|v| format!("{} {v}", v.reason))
            .collect();
    });
    found
}

#[test]
fn the_template_of_every_type_reads_back_as_its_example() {
    for record_type in Registry::built_in().unwrap().record_types() {
        let layout = Layout::from_header(record_type, &template_header(record_type)).unwrap();
        let row = template_row(record_type).unwrap();
        let body = layout.read(&row).unwrap();
        assert_eq!(body, record_type.example());
        assert_eq!(layout.write(&body).unwrap(), row);
    }
}

#[test]
fn rows_about_groups_keep_their_order() {
    with_leaver_form(|record_type| {
        let layout = Layout::from_header(record_type, &["lawful_basis"]).unwrap();
        let cell =
            "group=core+contact notice_version=1 | group=identity | group=support notice_version=1";
        let body = layout.read(&[cell]).unwrap();
        assert_eq!(layout.write(&body).unwrap(), [cell]);
    });
}

#[test]
fn the_example_of_every_type_goes_through_json_unchanged() {
    for record_type in Registry::built_in().unwrap().record_types() {
        let json = to_json(record_type, &record_type.example()).unwrap();
        assert_eq!(from_json(record_type, &json.to_string()).unwrap(), record_type.example());
    }
}

#[test]
fn the_template_shows_how_each_column_is_written() {
    with_leaver_form(|record_type| {
        let columns =
            template_header(record_type).into_iter().zip(template_row(record_type).unwrap());
        let shown: Vec<_> =
            columns.map(|(name, cell)| format!("{name}: {cell}").trim().to_owned()).collect();
        expect![[r"
            core.form_id: 0b6c8a5e-6d0f-4d57-9c39-3f0f4b6f2a11
            core.form_date: 2026-11-02
            core.status: PLANNED
            core.transfer:
            core.transfer_council_code:
            identity.scn: 051234561
            identity.source_local_id: IC-2027-0001
            identity.source_agency:
            identity.forename: Mòrag
            identity.surname: O'Example
            identity.known_as: Mo
            identity.previous_surname:
            identity.date_of_birth: 2011-06-15
            identity.recorded_sex: F
            identity.recorded_sex_scheme: SCHOOL_SYSTEM
            contact.address_lines: 1 Example Street | Greenock
            contact.postcode: PA15 1LY
            contact.uprn:
            contact.phone: 01632960001
            contact.email: mo@example.org
            contact.preferred_contact: TEXT
            contact.language: en
            contact.interpreter_needed: NO
            safe_contact.channel:
            safe_contact.address_lines:
            safe_contact.postcode:
            safe_contact.uprn:
            education.school_seed_code: 8999991
            education.stage: S4
            education.council_code: S12000018
            education.statutory_leave_type: SUMMER
            education.anticipated_leave_date: 2027-05-31
            education.actual_leave_date:
            education.exceptional_reason:
            intention.preferred_routes: FURTHER_EDUCATION | MODERN_APPRENTICESHIP
            intention.preferred_occupations: 5434
            intention.offer_status: APPLIED
            intention.offer_provider: west-college
            intention.offer_start_date: 2027-08-16
            outcome.destination:
            outcome.destination_start_date:
            outcome.destination_source:
            outcome.confirmation_method:
            outcome.confirmation_date:
            support.risk: LOW
            support.risk_basis: RISK_MATRIX
            support.risk_assessor_role: GUIDANCE_TEACHER
            support.young_carer: NOT_STATED
            support.young_parent: NO
            support.lead_worker_role: KEY_WORKER
            support.lead_worker_agency: inverclyde-council
            support.lead_worker_phone: 01632960002
            support.lead_worker_email:
            special_support.additional_support_needs: YES
            special_support.coordinated_support_plan: NO
            special_support.categories: DYSLEXIA
            special_support.special_school_seed_code:
            restricted_support.care_experience:
            lawful_basis: group=core+identity+contact+education+intention+support article_6=LEGAL_OBLIGATION legal_power=POST_16_ORDER_2014 notice_version=leavers-2026.1 | group=support-special article_6=LEGAL_OBLIGATION article_9=SUBSTANTIAL_PUBLIC_INTEREST legal_power=POST_16_ORDER_2014 notice_version=leavers-2026.1 | group=support-special article_6=CONSENT article_9=EXPLICIT_CONSENT legal_power=ADDITIONAL_SUPPORT_ACT_2004 notice_version=leavers-2026.1"]].assert_eq(&shown.join("\n"));
    });
}

#[test]
fn columns_may_come_in_any_order_and_case_and_codes_in_any_case() {
    with_leaver_form(|record_type| {
        let header = ["\u{feff}Core.Status", "intention.preferred_routes", "contact.uprn"];
        let layout = Layout::from_header(record_type, &header).unwrap();
        let body =
            layout.read(&["planned", " further education|Training ", "100023336956"]).unwrap();
        let json = to_json(record_type, &body).unwrap();
        let expected = serde_json::json!({
            "core": { "status": "STATUS_PLANNED" },
            "contact": { "uprn": "100023336956" },
            "intention": { "preferred_routes": ["ROUTE_FURTHER_EDUCATION", "ROUTE_TRAINING"] },
        });
        assert_eq!(json, expected);
    });
}

#[test]
fn a_row_says_every_cell_that_does_not_read_and_never_what_it_held() {
    let found = faults(&[
        ("core.status", "S3cret"),
        ("contact.uprn", "S3cret"),
        ("lawful_basis", "S3cret"),
        ("intention.offer_status", "accepted"),
    ]);
    expect![[r"
        UNKNOWN_CODE `core.status`: write one of PLANNED, LEFT, STAYED_ON, TRANSFERRED, DECEASED
        MALFORMED_NUMBER `contact.uprn`: write a whole number in digits, without separators
        MALFORMED_CELL `lawful_basis`: write each row as `field=value` pairs with a space between, values with spaces in quotes, of: group, article_6, article_9, legal_power, consent_id, notice_version"]].assert_eq(&found.join("\n"));
}

#[test]
fn a_header_that_is_no_header_is_told_by_column_number() {
    with_leaver_form(|record_type| {
        let found = Layout::from_header(record_type, &["core.status", "S3cret", "core.status"])
            .unwrap_err();
        let told: Vec<_> = found.iter().map(|v| (v.field.as_str(), v.reason)).collect();
        assert_eq!(told, [("column 2", "UNKNOWN_COLUMN"), ("column 3", "REPEATED_COLUMN")]);
        assert!(!format!("{found:?}").contains("S3cret"));
    });
}

#[test]
fn a_short_row_and_a_derived_column_are_refused() {
    with_leaver_form(|record_type| {
        let layout = Layout::from_header(record_type, &["core.status", "core.form_date"]).unwrap();
        assert_eq!(layout.read(&["LEFT"]).unwrap_err()[0].reason, "CELL_COUNT");
        let derived = Layout::from_header(record_type, &["statistics.data_zone"]).unwrap_err();
        assert_eq!(derived[0].reason, "UNKNOWN_COLUMN");
    });
}

#[test]
fn malformed_json_is_told_by_its_place_and_never_by_its_content() {
    with_leaver_form(|record_type| {
        for text in [r#"{"identity": {"forename": 5}}"#, r#"{"S3cret": 1}"#, "S3cret", r"{} S3cret"]
        {
            let found = from_json(record_type, text).unwrap_err();
            assert_eq!(found[0].reason, "MALFORMED_JSON");
            assert!(found[0].description.starts_with("line 1, column "), "{found:?}");
            assert!(!found[0].description.contains("S3cret"), "{found:?}");
        }
    });
}
