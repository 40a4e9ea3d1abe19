//! A health summary: the rules of `concordat.record.v1.HealthSummary` that its descriptor cannot state.
//!
//! It alone may hold a Community Health Index number: NHS HDL(2003)37.

use std::ops::RangeInclusive;

use jiff::civil::Date;
use prost::Message;

use crate::{
    model::{
        birth::Birth,
        identifier::chi::{BornOn, Chi},
        violation::Violation,
    },
    pb::record::v1::{
        Answer, HealthSummary, Statement, WorkerRole,
        health_summary::{Appointments, Condition, HealthNumber, Summary},
    },
    record::{
        child::{self, Child, example},
        findings::Findings,
        registry::{EdgeContext, Facts, FieldGroup, Rules},
        text,
    },
};

pub(crate) const RULES: Rules = Rules {
    check: |record_type, body, context| {
        record_type.checked(body, |record, present| check(record, present, context))
    },
    check_successor: child::any_may_follow,
    example: || example().encode_to_vec(),
};

fn check(
    record: &mut HealthSummary,
    present: &[&FieldGroup],
    context: &EdgeContext,
) -> Result<Facts, Vec<Violation>> {
    let mut findings = Findings::default();
    let HealthSummary {
        subject,
        locator,
        health_number,
        summary,
        conditions,
        appointments,
        others,
        lawful_basis,
    } = record;
    let child = child::check(&mut findings, subject, locator.as_mut(), context.today);
    findings.required(summary.is_some(), "summary", "say who to ask");
    let summary = summary.get_or_insert_default();
    let day = check_summary(&mut findings, summary, &child);
    check_number(&mut findings, health_number.as_ref(), &child);
    check_conditions(&mut findings, conditions, day);
    check_appointments(&mut findings, appointments.as_ref(), &child);
    child::others(&mut findings, ("summary.about_others", summary.about_others), others);
    child::basis(&mut findings, lawful_basis, present);
    findings.into_result(child.facts())
}

fn check_summary(findings: &mut Findings, summary: &mut Summary, child: &Child) -> Option<Date> {
    let Summary {
        as_of,
        practice_code,
        contact_role,
        contact_name,
        contact_phone,
        about_others: _,
    } = summary;
    let day = child::past_day(findings, "summary.as_of", as_of, child.today);
    let rule = ("MALFORMED_PRACTICE_CODE", "the code of a practice is 5 digits");
    text::digits(findings, "summary.practice_code", practice_code, 5, rule);
    child::role(findings, "summary.contact_role", *contact_role);
    text::name(findings, "summary.contact_name", contact_name);
    text::phone(findings, "summary.contact_phone", contact_phone);
    day
}

/// Checks that the number is one, and that of somebody born on the day. Whether its sex digit agrees with what was recorded
/// is a warning for a steward and never an error.
fn check_number(findings: &mut Findings, number: Option<&HealthNumber>, child: &Child) {
    const FIELD: &str = "health_number.chi";
    let Some(HealthNumber { chi }) = number else { return };
    findings.required(!chi.is_empty(), FIELD, "give the number, or leave it out");
    let Some(chi) = findings.parse::<Chi>(FIELD, chi) else { return };
    let born = chi.date_of_birth(child.today, AGES);
    let agrees = match (child.birth, born) {
        (Some(Birth::Born(given)), BornOn::Day(day)) => given == day,
        (Some(Birth::Expected(_)), _) | (Some(Birth::Born(_)), BornOn::OutOfRange) => false,
        // Which of two centuries is meant is not guessed; a date that does not read is its own finding.
        (Some(Birth::Born(_)), BornOn::Ambiguous) | (None, _) => true,
    };
    findings.require(
        agrees,
        FIELD,
        "CHI_DISAGREES",
        "the number is that of somebody born on another day; compare both with the source",
    );
}

fn check_conditions(findings: &mut Findings, conditions: &mut [Condition], day: Option<Date>) {
    child::rows(findings, "conditions", conditions);
    for (at, condition) in conditions.iter_mut().enumerate() {
        let field = |name: &str| format!("conditions[{at}].{name}");
        child::statement(findings, field("statement"), condition.statement());
        let Condition { text, statement: _, since } = condition;
        child::sentence(findings, &field("text"), text, CONDITION_CHARS_MAX);
        let began = findings.date(field("since"), since);
        let how = "the condition began after the day of the summary; compare both days";
        child::in_order(findings, field("since"), (began, day), how);
    }
}

fn check_appointments(findings: &mut Findings, appointments: Option<&Appointments>, child: &Child) {
    let Some(Appointments { from, until, offered, missed }) = appointments else { return };
    child::span(findings, "appointments", (from, until), child.today);
    findings.require(
        missed <= offered,
        "appointments.missed",
        "COUNTS_DISAGREE",
        "more appointments were missed than there were; compare both numbers",
    );
}

/// The ages of whoever a contribution about a child is about, in years.
const AGES: RangeInclusive<u8> = 0..=25;
const CONDITION_CHARS_MAX: usize = 140;

/// An invented summary.
pub fn example() -> HealthSummary {
    HealthSummary {
        subject: example::subject_without_number("NL-55012"),
        locator: example::locator(),
        health_number: Some(HealthNumber { chi: "2011180029".to_owned() }),
        summary: Some(Summary {
            as_of: "2026-11-02".to_owned(),
            practice_code: "99999".to_owned(),
            contact_role: WorkerRole::SchoolNurse.into(),
            contact_name: "Shona Example".to_owned(),
            contact_phone: "01632960103".to_owned(),
            about_others: Answer::No.into(),
        }),
        conditions: vec![Condition {
            text: "Asthma; carries an inhaler".to_owned(),
            statement: Statement::Fact.into(),
            since: "2022-03-14".to_owned(),
        }],
        appointments: Some(Appointments {
            from: "2026-01-01".to_owned(),
            until: "2026-10-31".to_owned(),
            offered: 4,
            missed: 2,
        }),
        others: Vec::new(),
        lawful_basis: example::basis(
            &["identity", "locator", "health-number", "contacts"],
            &["conditions", "appointments"],
        ),
    }
}
