//! A child's plan: the rules of `concordat.record.v1.ChildsPlan` that its descriptor cannot state.
//!
//! Source: the National Practice Model of Getting it right for every child.

use jiff::civil::Date;
use prost::Message;

use crate::{
    model::{id::AgencyId, violation::Violation},
    pb::record::v1::{
        ChildsPlan, WellbeingIndicator, WorkerRole,
        childs_plan::{Action, Outcome, Plan, Progress, Status},
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
    record: &mut ChildsPlan,
    present: &[&FieldGroup],
    context: &EdgeContext,
) -> Result<Facts, Vec<Violation>> {
    let mut findings = Findings::default();
    let ChildsPlan { subject, locator, plan, outcomes, actions, views, lawful_basis } = record;
    let child = child::check(&mut findings, subject, locator.as_mut(), context.today);
    findings.required(plan.is_some(), "plan", "say when the plan was made and where it stands");
    let made = check_plan(&mut findings, plan.get_or_insert_default(), &child);
    findings.required(!outcomes.is_empty(), "outcomes", "say what is wanted");
    check_outcomes(&mut findings, outcomes);
    check_actions(&mut findings, actions, made);
    child::views(&mut findings, views.as_mut(), &child);
    child::basis(&mut findings, lawful_basis, present);
    findings.into_result(child.facts())
}

fn check_plan(findings: &mut Findings, plan: &Plan, child: &Child) -> Option<Date> {
    let Plan { plan_date, status, review_date, lead_role, lead_agency, partners } = plan;
    let made = child::past_day(findings, "plan.plan_date", plan_date, child.today);
    child::code(findings, "plan.status", *status, "say where the plan stands");
    let reviewed = plan.status() != Status::Active || !review_date.is_empty();
    findings.required(reviewed, "plan.review_date", "an active plan has a day of review; give it");
    let review = findings.date("plan.review_date", review_date);
    let how = "the review comes before the plan; compare both days";
    child::in_order(findings, "plan.review_date", (made, review), how);
    child::role(findings, "plan.lead_role", *lead_role);
    findings.parse::<AgencyId>("plan.lead_agency", lead_agency);
    child::rows(findings, "plan.partners", partners);
    child::once(findings, "plan.partners", partners);
    for (at, partner) in partners.iter().enumerate() {
        let field = format_args!("plan.partners[{at}]");
        findings.required(!partner.is_empty(), field, "name the agency, or leave the element out");
        findings.parse::<AgencyId>(field, partner);
    }
    made
}

fn check_outcomes(findings: &mut Findings, outcomes: &mut [Outcome]) {
    child::rows(findings, "outcomes", outcomes);
    for (at, outcome) in outcomes.iter_mut().enumerate() {
        let Outcome { indicator, text, progress } = outcome;
        let field = |name: &str| format!("outcomes[{at}].{name}");
        child::code(findings, field("indicator"), *indicator, "give the indicator that it serves");
        child::sentence(findings, &field("text"), text, child::SENTENCE_CHARS_MAX);
        child::code(findings, field("progress"), *progress, "say how far it is");
    }
}

fn check_actions(findings: &mut Findings, actions: &mut [Action], made: Option<Date>) {
    let most = "give at most 32 actions";
    findings.require(actions.len() <= ACTIONS_MAX, "actions", "TOO_MANY", most);
    for (at, action) in actions.iter_mut().enumerate() {
        let Action { text, owner_role, owner_agency, due_date, progress } = action;
        let field = |name: &str| format!("actions[{at}].{name}");
        child::sentence(findings, &field("text"), text, child::SENTENCE_CHARS_MAX);
        child::role(findings, field("owner_role"), *owner_role);
        findings.required(!owner_agency.is_empty(), field("owner_agency"), "name the agency");
        findings.parse::<AgencyId>(field("owner_agency"), owner_agency);
        let due = child::day(findings, &field("due_date"), due_date);
        let how = "the action is due before the plan was made; compare both days";
        child::in_order(findings, field("due_date"), (made, due), how);
        child::code(findings, field("progress"), *progress, "say how far it is");
    }
}

const ACTIONS_MAX: usize = 32;

/// An invented plan.
pub fn example() -> ChildsPlan {
    ChildsPlan {
        subject: example::subject(),
        locator: example::locator(),
        plan: Some(Plan {
            plan_date: "2026-09-14".to_owned(),
            status: Status::Active.into(),
            review_date: "2027-03-15".to_owned(),
            lead_role: WorkerRole::SocialWorker.into(),
            lead_agency: String::new(),
            partners: vec!["nhs-lothian".to_owned()],
        }),
        outcomes: vec![Outcome {
            indicator: WellbeingIndicator::Included.into(),
            text: "Eilidh has somebody to play with at break.".to_owned(),
            progress: Progress::UnderWay.into(),
        }],
        actions: vec![Action {
            text: "The class has a buddy scheme from October.".to_owned(),
            owner_role: WorkerRole::Teacher.into(),
            owner_agency: "west-lothian-council".to_owned(),
            due_date: "2026-10-30".to_owned(),
            progress: Progress::Done.into(),
        }],
        views: example::views("I would like that."),
        lawful_basis: example::basis(
            &["identity", "locator", "plan"],
            &["outcomes", "actions", "views"],
        ),
    }
}
