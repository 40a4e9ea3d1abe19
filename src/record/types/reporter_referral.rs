//! A referral to the Reporter: the rules of `concordat.record.v1.ReporterReferral` that its descriptor cannot state.
//!
//! Source: Children's Hearings (Scotland) Act 2011 ss.60 to 69 and 83.

use jiff::civil::Date;
use prost::Message;

use crate::{
    model::violation::Violation,
    pb::record::v1::{
        ReporterReferral,
        reporter_referral::{
            Decision, DecisionKind, Ground, Hearing, Order, OrderKind, Referral, Referrer,
        },
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
    record: &mut ReporterReferral,
    present: &[&FieldGroup],
    context: &EdgeContext,
) -> Result<Facts, Vec<Violation>> {
    let mut findings = Findings::default();
    let ReporterReferral { subject, locator, referral, decision, hearing, order, lawful_basis } =
        record;
    let child = child::check(&mut findings, subject, locator.as_mut(), context.today);
    findings.required(referral.is_some(), "referral", "say who referred the child, when and why");
    let received = check_referral(&mut findings, referral.get_or_insert_default(), &child);
    let course = (decision.as_ref(), hearing.as_ref());
    check_course(&mut findings, (received, &child), course);
    if let Some(Order { kind, from, until }) = order {
        child::code(&mut findings, "order.kind", *kind, "give the kind of order");
        let began = child::day(&mut findings, "order.from", from);
        let ends = child::day(&mut findings, "order.until", until);
        let how = "the order ends before it begins; compare both days";
        child::in_order(&mut findings, "order.until", (began, ends), how);
    }
    child::basis(&mut findings, lawful_basis, present);
    findings.into_result(child.facts())
}

fn check_referral(findings: &mut Findings, referral: &Referral, child: &Child) -> Option<Date> {
    let Referral { reference, referral_date, referrer, ground } = referral;
    findings.required(!reference.is_empty(), "referral.reference", "give the reference");
    text::reference(findings, "referral.reference", reference);
    let received = child::past_day(findings, "referral.referral_date", referral_date, child.today);
    child::code(findings, "referral.referrer", *referrer, "say who referred the child");
    child::code(findings, "referral.ground", *ground, "give the ground");
    received
}

/// Checks that a decision follows the referral, and a hearing the decision to arrange one.
fn check_course(
    findings: &mut Findings,
    (received, child): (Option<Date>, &Child),
    (decision, hearing): (Option<&Decision>, Option<&Hearing>),
) {
    let decided = decision.and_then(|Decision { kind, date }| {
        child::code(findings, "decision.kind", *kind, "give the decision");
        let decided = child::past_day(findings, "decision.date", date, child.today);
        let how = "the decision comes before the referral; compare both days";
        child::in_order(findings, "decision.date", (received, decided), how);
        decided
    });
    let Some(Hearing { date, outcome }) = hearing else { return };
    findings.require(
        decision.is_some_and(|decision| decision.kind() == DecisionKind::ArrangeHearing),
        "hearing",
        "HEARING_WITHOUT_DECISION",
        "a hearing follows the decision to arrange one; give that decision or leave the hearing out",
    );
    let held = child::day(findings, "hearing.date", date);
    let how = "the hearing comes before the decision; compare both days";
    child::in_order(findings, "hearing.date", (decided, held), how);
    child::code(findings, "hearing.outcome", *outcome, "say what came of the hearing");
}

/// An invented referral by the police.
pub fn example() -> ReporterReferral {
    use crate::pb::record::v1::reporter_referral::HearingOutcome;
    ReporterReferral {
        subject: example::subject_without_number("SCRA-70031"),
        locator: example::locator(),
        referral: Some(Referral {
            reference: "R-2026-70031".to_owned(),
            referral_date: "2026-07-06".to_owned(),
            referrer: Referrer::Police.into(),
            ground: Ground::LackOfCare.into(),
        }),
        decision: Some(Decision {
            kind: DecisionKind::ArrangeHearing.into(),
            date: "2026-07-20".to_owned(),
        }),
        hearing: Some(Hearing {
            date: "2026-08-03".to_owned(),
            outcome: HearingOutcome::OrderMade.into(),
        }),
        order: Some(Order {
            kind: OrderKind::CompulsorySupervision.into(),
            from: "2026-08-03".to_owned(),
            until: "2027-08-02".to_owned(),
        }),
        lawful_basis: example::basis(
            &["identity", "locator", "referral", "decision", "hearing", "order"],
            &[],
        ),
    }
}
