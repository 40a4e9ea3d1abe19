//! Care status: the rules of `concordat.record.v1.CareStatus` that its descriptor cannot state.
//!
//! A secret placement lies in the restricted group and not in the usual one. Source: Children (Scotland) Act 1995 s.17(6).

use prost::Message;

use crate::{
    model::violation::Violation,
    pb::record::v1::{
        Answer, CareStatus,
        care_status::{Aftercare, Care, LegalReason, LookedAfter, Placement, PlacementKind},
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
    record: &mut CareStatus,
    present: &[&FieldGroup],
    context: &EdgeContext,
) -> Result<Facts, Vec<Violation>> {
    let mut findings = Findings::default();
    let CareStatus { subject, locator, care, placement, secret_placement, aftercare, lawful_basis } =
        record;
    let child = child::check(&mut findings, subject, locator.as_mut(), context.today);
    findings.required(care.is_some(), "care", "say whether the child is looked after");
    let care = care.get_or_insert_default();
    check_care(&mut findings, care, &child);
    let secret = care.placement_secret() == Answer::Yes;
    findings.require(
        !(secret && placement.is_some()),
        "placement",
        "PLACEMENT_IS_SECRET",
        "the placement is secret; move it into `secret_placement`",
    );
    findings.require(
        secret || secret_placement.is_none(),
        "secret_placement",
        "PLACEMENT_IS_NOT_SECRET",
        "only a secret placement lies here; answer yes or move it into `placement`",
    );
    check_placement(&mut findings, "placement", placement.as_mut());
    check_placement(&mut findings, "secret_placement", secret_placement.as_mut());
    if let Some(Aftercare { status, from }) = aftercare {
        child::code(&mut findings, "aftercare.status", *status, "say what help there is");
        findings.date("aftercare.from", from);
    }
    child::basis(&mut findings, lawful_basis, present);
    findings.into_result(child.facts())
}

fn check_care(findings: &mut Findings, care: &Care, child: &Child) {
    let Care { as_of, looked_after, from, until, legal_reason, placement_secret } = care;
    child::past_day(findings, "care.as_of", as_of, child.today);
    child::code(
        findings,
        "care.looked_after",
        *looked_after,
        "say whether the child is looked after",
    );
    let status = care.looked_after();
    let now = matches!(status, LookedAfter::AtHome | LookedAfter::Away);
    let ever = now || status == LookedAfter::Previously;
    findings.required(!ever || !from.is_empty(), "care.from", "give the day since when");
    let began = findings.date("care.from", from);
    findings.require(
        (status == LookedAfter::Previously) != until.is_empty(),
        "care.until",
        "STATUS_DISAGREES",
        "give the last day of care that is over, and only then",
    );
    let ended = findings.date("care.until", until);
    child::in_order(
        findings,
        "care.until",
        (began, ended),
        "care ended before it began; compare both days",
    );
    let reason = *legal_reason != i32::from(LegalReason::Unspecified);
    findings.required(!now || reason, "care.legal_reason", "say on what ground");
    let said = *placement_secret != i32::from(Answer::Unspecified);
    findings.required(
        status != LookedAfter::Away || said,
        "care.placement_secret",
        "say whether the placement is secret",
    );
}

fn check_placement(findings: &mut Findings, group: &str, placement: Option<&mut Placement>) {
    let Some(placement) = placement else { return };
    let Placement { kind, lines, postcode, from } = placement;
    child::code(findings, format_args!("{group}.kind"), *kind, "give the kind of placement");
    text::address_lines(findings, format_args!("{group}.lines"), lines);
    child::place(findings, group, (postcode, 0));
    child::day(findings, format_args!("{group}.from"), from);
}

/// An invented child in foster care, whose placement is secret.
pub fn example() -> CareStatus {
    CareStatus {
        subject: example::subject(),
        locator: None,
        care: Some(Care {
            as_of: "2026-11-02".to_owned(),
            looked_after: LookedAfter::Away.into(),
            from: "2026-08-03".to_owned(),
            until: String::new(),
            legal_reason: LegalReason::CompulsorySupervisionOrder.into(),
            placement_secret: Answer::Yes.into(),
        }),
        placement: None,
        secret_placement: Some(Placement {
            kind: PlacementKind::Foster.into(),
            lines: vec!["2 Example Row".to_owned()],
            postcode: "EH47 7AA".to_owned(),
            from: "2026-08-03".to_owned(),
        }),
        aftercare: None,
        lawful_basis: example::basis(&["identity", "care", "placement-restricted"], &[]),
    }
}
