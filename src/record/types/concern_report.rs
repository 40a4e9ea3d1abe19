//! A concern report: the rules of `concordat.record.v1.ConcernReport` that its descriptor cannot state.
//!
//! The police name a child by their own id, name, date of birth and postcode. The summary holds no prose.

use prost::Message;

use crate::{
    model::violation::Violation,
    pb::record::v1::{
        Answer, ConcernReport, Statement,
        concern_report::{Narrative, Nature, Summary, Urgency},
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
    record: &mut ConcernReport,
    present: &[&FieldGroup],
    context: &EdgeContext,
) -> Result<Facts, Vec<Violation>> {
    let mut findings = Findings::default();
    let ConcernReport { subject, locator, summary, narrative, views, others, lawful_basis } =
        record;
    let child = child::check(&mut findings, subject, locator.as_mut(), context.today);
    findings.required(summary.is_some(), "summary", "say what kind of concern it is");
    findings.required(narrative.is_some(), "narrative", "say what happened");
    let summary = summary.get_or_insert_default();
    check_summary(&mut findings, summary, &child);
    if let Some(narrative) = narrative {
        child::statement(&mut findings, "narrative.statement", narrative.statement());
        child::sentence(&mut findings, "narrative.text", &mut narrative.text, NARRATIVE_CHARS_MAX);
    }
    child::views(&mut findings, views.as_mut(), &child);
    child::others(&mut findings, ("summary.about_others", summary.about_others), others);
    child::basis(&mut findings, lawful_basis, present);
    findings.into_result(child.facts())
}

fn check_summary(findings: &mut Findings, summary: &Summary, child: &Child) {
    let Summary { reference, incident_date, recorded_date, natures, urgency, about_others: _ } =
        summary;
    findings.required(!reference.is_empty(), "summary.reference", "give the reference");
    text::reference(findings, "summary.reference", reference);
    let happened = ("summary.incident_date", incident_date.as_str());
    let recorded = ("summary.recorded_date", recorded_date.as_str());
    child::happened(findings, happened, recorded, child.today);
    findings.required(!natures.is_empty(), "summary.natures", "say what it is about");
    let most = "give at most 8";
    findings.require(natures.len() <= NATURES_MAX, "summary.natures", "TOO_MANY", most);
    child::once(findings, "summary.natures", natures);
    child::code(findings, "summary.urgency", *urgency, "say how urgent it is");
}

const NATURES_MAX: usize = 8;
const NARRATIVE_CHARS_MAX: usize = 4_000;

/// An invented concern.
pub fn example() -> ConcernReport {
    ConcernReport {
        subject: example::subject_without_number("PS-889213"),
        locator: example::locator(),
        summary: Some(Summary {
            reference: "VPD/2026/889213".to_owned(),
            incident_date: "2026-10-20".to_owned(),
            recorded_date: "2026-10-21".to_owned(),
            natures: vec![Nature::DomesticAbuse.into(), Nature::HomeConditions.into()],
            urgency: Urgency::SameDay.into(),
            about_others: Answer::Yes.into(),
        }),
        narrative: Some(Narrative {
            statement: Statement::Fact.into(),
            text: "Called to the flat by a neighbour. Eilidh was awake in the kitchen; there was no food."
                .to_owned(),
        }),
        views: example::views(""),
        others: example::others("Was asked to leave and did."),
        lawful_basis: example::basis(
            &["identity", "locator", "summary"],
            &["narrative", "views", "others"],
        ),
    }
}
