//! An education summary: the rules of `concordat.record.v1.EducationSummary` that its descriptor cannot state.
//!
//! Sources: Education (Additional Support for Learning) (Scotland) Act 2004; the pupil census (half days).

use jiff::civil::Date;
use prost::Message;

use crate::{
    model::violation::Violation,
    pb::record::v1::{
        Answer, EducationSummary,
        education_summary::{Attendance, Exclusions, Schooling, Stage, Support},
    },
    record::{
        child::{self, Child, example},
        council,
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
    record: &mut EducationSummary,
    present: &[&FieldGroup],
    context: &EdgeContext,
) -> Result<Facts, Vec<Violation>> {
    let mut findings = Findings::default();
    let EducationSummary {
        subject,
        locator,
        schooling,
        attendance,
        exclusions,
        support,
        lawful_basis,
    } = record;
    let child = child::check(&mut findings, subject, locator.as_mut(), context.today);
    findings.required(schooling.is_some(), "schooling", "say where the child is at school");
    let day = check_schooling(&mut findings, schooling.get_or_insert_default(), &child);
    check_attendance(&mut findings, attendance.as_ref(), &child);
    check_exclusions(&mut findings, exclusions.as_ref(), day);
    check_support(&mut findings, support.as_ref());
    child::basis(&mut findings, lawful_basis, present);
    findings.into_result(child.facts())
}

fn check_schooling(findings: &mut Findings, schooling: &Schooling, child: &Child) -> Option<Date> {
    let Schooling { as_of, school_seed_code, council_code, stage: _, from } = schooling;
    let day = child::past_day(findings, "schooling.as_of", as_of, child.today);
    text::digits(findings, "schooling.school_seed_code", school_seed_code, 7, SEED_CODE);
    findings.required(!council_code.is_empty(), "schooling.council_code", "name the council");
    council::check(findings, "schooling.council_code", council_code);
    let began = findings.date("schooling.from", from);
    let how = "the child came after the day of the summary; compare both days";
    child::in_order(findings, "schooling.from", (began, day), how);
    day
}

fn check_attendance(findings: &mut Findings, attendance: Option<&Attendance>, child: &Child) {
    let Some(attendance) = attendance else { return };
    let Attendance { from, until, half_days_possible, half_days_attended } = attendance;
    child::span(findings, "attendance", (from, until), child.today);
    let possible = "attendance.half_days_possible";
    findings.required(*half_days_possible != 0, possible, "say how many half days there were");
    findings.require(
        half_days_attended <= half_days_possible,
        "attendance.half_days_attended",
        "COUNTS_DISAGREE",
        "the child was there more often than there was school; compare both numbers",
    );
}

fn check_exclusions(findings: &mut Findings, exclusions: Option<&Exclusions>, day: Option<Date>) {
    let Some(Exclusions { count, last_date }) = exclusions else { return };
    findings.require(
        (*count == 0) == last_date.is_empty(),
        "exclusions.last_date",
        "COUNTS_DISAGREE",
        "give the day of the last exclusion if there was one, and only then",
    );
    let last = findings.date("exclusions.last_date", last_date);
    let how = "the exclusion comes after the day of the summary; compare both days";
    child::in_order(findings, "exclusions.last_date", (last, day), how);
}

fn check_support(findings: &mut Findings, support: Option<&Support>) {
    let Some(support) = support else { return };
    let Support {
        additional_support_needs,
        coordinated_support_plan: _,
        school_plan: _,
        special_school_seed_code,
    } = support;
    child::answer(findings, "support.additional_support_needs", *additional_support_needs);
    let needs = support.additional_support_needs() == Answer::Yes;
    findings.require(
        needs || support.coordinated_support_plan() != Answer::Yes,
        "support.additional_support_needs",
        "NEEDS_DISAGREE",
        "a co-ordinated support plan is given without additional support needs; answer yes or leave the plan out",
    );
    let field = "support.special_school_seed_code";
    text::digits(findings, field, special_school_seed_code, 7, SEED_CODE);
}

const SEED_CODE: (&str, &str) = ("MALFORMED_SEED_CODE", "a seed code is 7 digits");

/// An invented summary.
pub fn example() -> EducationSummary {
    EducationSummary {
        subject: example::subject(),
        locator: example::locator(),
        schooling: Some(Schooling {
            as_of: "2026-11-02".to_owned(),
            school_seed_code: "8999992".to_owned(),
            council_code: "S12000040".to_owned(),
            stage: Stage::P4.into(),
            from: "2026-08-19".to_owned(),
        }),
        attendance: Some(Attendance {
            from: "2026-08-19".to_owned(),
            until: "2026-10-30".to_owned(),
            half_days_possible: 96,
            half_days_attended: 81,
        }),
        exclusions: Some(Exclusions { count: 1, last_date: "2026-09-22".to_owned() }),
        support: Some(Support {
            additional_support_needs: Answer::Yes.into(),
            coordinated_support_plan: Answer::No.into(),
            school_plan: Answer::Yes.into(),
            special_school_seed_code: String::new(),
        }),
        lawful_basis: example::basis(
            &["identity", "locator", "schooling", "attendance", "exclusions"],
            &["support"],
        ),
    }
}
