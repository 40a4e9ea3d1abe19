//! A chronology event: the rules of `concordat.record.v1.ChronologyEvent` that its descriptor cannot state.
//!
//! Source: National Guidance for Child Protection in Scotland 2021, 3.172 to 3.177.

use prost::Message;

use crate::{
    model::violation::Violation,
    pb::record::v1::{
        Answer, ChronologyEvent, DatePrecision, Polarity, Statement, WorkerRole,
        chronology_event::{Category, Event},
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
    record: &mut ChronologyEvent,
    present: &[&FieldGroup],
    context: &EdgeContext,
) -> Result<Facts, Vec<Violation>> {
    let mut findings = Findings::default();
    let ChronologyEvent { subject, locator, event, author, others, lawful_basis } = record;
    let child = child::check(&mut findings, subject, locator.as_mut(), context.today);
    findings.required(event.is_some(), "event", "say what happened");
    let event = event.get_or_insert_default();
    check_event(&mut findings, event, &child);
    child::author(&mut findings, author.as_ref());
    child::others(&mut findings, ("event.about_others", event.about_others), others);
    child::basis(&mut findings, lawful_basis, present);
    findings.into_result(child.facts())
}

fn check_event(findings: &mut Findings, event: &mut Event, child: &Child) {
    let says = event.statement();
    let Event {
        event_date,
        event_date_precision,
        recorded_date,
        category,
        polarity,
        statement: _,
        summary,
        significance,
        action,
        outcome,
        about_others: _,
    } = event;
    let happened = ("event.event_date", event_date.as_str());
    let recorded = ("event.recorded_date", recorded_date.as_str());
    let day = child::happened(findings, happened, recorded, child.today);
    let precision = *event_date_precision;
    child::code(
        findings,
        "event.event_date_precision",
        precision,
        "say how exactly the day is known",
    );
    let first = day.is_none_or(|day| match DatePrecision::try_from(precision) {
        Ok(DatePrecision::Month) => day.day() == 1,
        Ok(DatePrecision::Year) => (day.month(), day.day()) == (1, 1),
        Ok(DatePrecision::Day | DatePrecision::Unspecified) | Err(_) => true,
    });
    findings.require(
        first,
        "event.event_date",
        "PRECISION_DISAGREES",
        "only the month or year is known; give its first day",
    );
    child::code(findings, "event.category", *category, "say what kind of event it is");
    child::code(findings, "event.polarity", *polarity, "say which way it points");
    child::statement(findings, "event.statement", says);
    child::sentence(findings, "event.summary", summary, child::SENTENCE_CHARS_MAX);
    for (field, words) in
        [("event.significance", significance), ("event.action", action), ("event.outcome", outcome)]
    {
        text::prose(findings, field, words, child::SENTENCE_CHARS_MAX);
    }
}

/// An invented event of school life.
pub fn example() -> ChronologyEvent {
    ChronologyEvent {
        subject: example::subject(),
        locator: example::locator(),
        event: Some(Event {
            event_date: "2026-10-05".to_owned(),
            event_date_precision: DatePrecision::Day.into(),
            recorded_date: "2026-10-06".to_owned(),
            category: Category::Education.into(),
            polarity: Polarity::Strength.into(),
            statement: Statement::Fact.into(),
            summary: "Joined the breakfast club and came every day of the week.".to_owned(),
            significance: "Is at school before the first lesson for the first time.".to_owned(),
            action: "The club keeps a place.".to_owned(),
            outcome: String::new(),
            about_others: Answer::Yes.into(),
        }),
        author: example::author(WorkerRole::Teacher),
        others: example::others("Brings Eilidh to the club."),
        lawful_basis: example::basis(&["identity", "locator"], &["event", "others"]),
    }
}
