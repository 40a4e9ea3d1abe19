//! A wellbeing observation: the rules of `concordat.record.v1.WellbeingObservation` that its descriptor cannot state.
//!
//! Sources: Children and Young People (Scotland) Act 2014 s.96(2); the Information Commissioner on fact and opinion.

use prost::Message;

use crate::{
    model::violation::Violation,
    pb::record::v1::{
        Answer, Polarity, Statement, WellbeingIndicator, WellbeingObservation, WorkerRole,
        wellbeing_observation::Observation,
    },
    record::{
        child::{self, Child, example},
        findings::Findings,
        registry::{EdgeContext, Facts, FieldGroup, Rules},
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
    record: &mut WellbeingObservation,
    present: &[&FieldGroup],
    context: &EdgeContext,
) -> Result<Facts, Vec<Violation>> {
    let mut findings = Findings::default();
    let WellbeingObservation { subject, locator, observation, author, views, others, lawful_basis } =
        record;
    let child = child::check(&mut findings, subject, locator.as_mut(), context.today);
    findings.required(observation.is_some(), "observation", "say what was observed");
    let observation = observation.get_or_insert_default();
    check_observation(&mut findings, observation, &child);
    child::author(&mut findings, author.as_ref());
    child::views(&mut findings, views.as_mut(), &child);
    let about_others = ("observation.about_others", observation.about_others);
    child::others(&mut findings, about_others, others);
    child::basis(&mut findings, lawful_basis, present);
    findings.into_result(child.facts())
}

fn check_observation(findings: &mut Findings, observation: &mut Observation, child: &Child) {
    let says = observation.statement();
    let Observation {
        observed_date,
        recorded_date,
        indicator,
        polarity,
        statement: _,
        text,
        about_others: _,
    } = observation;
    let observed = ("observation.observed_date", observed_date.as_str());
    let recorded = ("observation.recorded_date", recorded_date.as_str());
    child::happened(findings, observed, recorded, child.today);
    child::code(findings, "observation.indicator", *indicator, "give the indicator");
    child::code(findings, "observation.polarity", *polarity, "say which way it points");
    child::statement(findings, "observation.statement", says);
    child::sentence(findings, "observation.text", text, child::SENTENCE_CHARS_MAX);
}

/// An invented observation.
pub fn example() -> WellbeingObservation {
    WellbeingObservation {
        subject: example::subject(),
        locator: example::locator(),
        observation: Some(Observation {
            observed_date: "2026-10-12".to_owned(),
            recorded_date: "2026-10-12".to_owned(),
            indicator: WellbeingIndicator::Included.into(),
            polarity: Polarity::Concern.into(),
            statement: Statement::Opinion.into(),
            text: "Seems to be alone at break since the move of school.".to_owned(),
            about_others: Answer::No.into(),
        }),
        author: example::author(WorkerRole::SchoolNurse),
        views: example::views("I miss my friends from before."),
        others: Vec::new(),
        lawful_basis: example::basis(&["identity", "locator"], &["observation", "views"]),
    }
}
