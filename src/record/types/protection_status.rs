//! Protection status: the rules of `concordat.record.v1.ProtectionStatus` that its descriptor cannot state.
//!
//! Sources: National Guidance for Child Protection in Scotland 2021; the children's social work statistics (concerns since 2012).

use prost::Message;

use crate::{
    model::violation::Violation,
    pb::record::v1::{
        Answer, ProtectionStatus,
        protection_status::{
            Concern, Concerns, DeregistrationReason, Registration, Status, Transfer,
        },
    },
    record::{
        child::{self, Child, example},
        council,
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
    record: &mut ProtectionStatus,
    present: &[&FieldGroup],
    context: &EdgeContext,
) -> Result<Facts, Vec<Violation>> {
    let mut findings = Findings::default();
    let ProtectionStatus { subject, locator, status, concerns, transfer, lawful_basis } = record;
    let child = child::check(&mut findings, subject, locator.as_mut(), context.today);
    findings.required(status.is_some(), "status", "say whether the child is registered");
    check_status(&mut findings, status.get_or_insert_default(), &child);
    check_concerns(&mut findings, concerns.as_ref(), &child);
    check_transfer(&mut findings, transfer.as_ref(), &child);
    child::basis(&mut findings, lawful_basis, present);
    findings.into_result(child.facts())
}

fn check_status(findings: &mut Findings, status: &Status, child: &Child) {
    let Status {
        as_of,
        registration,
        registered_date,
        deregistered_date,
        deregistration_reason,
        conference_date,
        plan,
        pre_birth,
    } = status;
    let day = child::past_day(findings, "status.as_of", as_of, child.today);
    child::code(
        findings,
        "status.registration",
        *registration,
        "say whether the child is registered",
    );
    let began = child::past_day(findings, "status.registered_date", registered_date, child.today);
    let ended = status.registration() == Registration::Deregistered;
    findings.require(
        ended != deregistered_date.is_empty(),
        "status.deregistered_date",
        "REGISTRATION_DISAGREES",
        "give the day of de-registration of a child who was de-registered, and only then",
    );
    let over = if deregistered_date.is_empty() {
        None
    } else {
        child::past_day(findings, "status.deregistered_date", deregistered_date, child.today)
    };
    let how = "de-registration comes before registration; compare both days";
    child::in_order(findings, "status.deregistered_date", (began, over), how);
    let why = *deregistration_reason != i32::from(DeregistrationReason::Unspecified);
    findings.require(
        ended == why,
        "status.deregistration_reason",
        "REGISTRATION_DISAGREES",
        "say why the child was de-registered, and only then",
    );
    let met = findings.date("status.conference_date", conference_date);
    let how = "the conference comes after the day of this status; compare both days";
    child::in_order(findings, "status.conference_date", (met, day), how);
    child::answer(findings, "status.plan", *plan);
    child::answer(findings, "status.pre_birth", *pre_birth);
    findings.require(
        !child.unborn() || status.pre_birth() == Answer::Yes,
        "status.pre_birth",
        "REGISTRATION_DISAGREES",
        "the child is not yet born, and so was registered before birth; answer yes",
    );
}

fn check_concerns(findings: &mut Findings, concerns: Option<&Concerns>, child: &Child) {
    let Some(Concerns { found_date, concerns }) = concerns else { return };
    child::past_day(findings, "concerns.found_date", found_date, child.today);
    findings.required(!concerns.is_empty(), "concerns.concerns", "give 1 to 12 concerns");
    let most = "give at most 12 concerns";
    findings.require(concerns.len() <= CONCERNS_MAX, "concerns.concerns", "TOO_MANY", most);
    child::once(findings, "concerns.concerns", concerns);
}

fn check_transfer(findings: &mut Findings, transfer: Option<&Transfer>, child: &Child) {
    let Some(Transfer { from_council_code, to_council_code, date }) = transfer else { return };
    let given = from_council_code.is_empty() != to_council_code.is_empty();
    let one = "name the council from which or to which the registration moved: one of the two";
    findings.require(given, "transfer", "TRANSFER_DISAGREES", one);
    let codes = [
        ("transfer.from_council_code", from_council_code),
        ("transfer.to_council_code", to_council_code),
    ];
    for (field, code) in codes {
        if code != OUTSIDE_SCOTLAND {
            council::check(findings, field, code);
        }
    }
    child::past_day(findings, "transfer.date", date, child.today);
}

const CONCERNS_MAX: usize = 12;
/// As the child protection return has it.
const OUTSIDE_SCOTLAND: &str = "900";

/// An invented registration.
pub fn example() -> ProtectionStatus {
    ProtectionStatus {
        subject: example::subject(),
        locator: example::locator(),
        status: Some(Status {
            as_of: "2026-11-02".to_owned(),
            registration: Registration::Registered.into(),
            registered_date: "2026-06-15".to_owned(),
            deregistered_date: String::new(),
            deregistration_reason: DeregistrationReason::Unspecified.into(),
            conference_date: "2026-09-14".to_owned(),
            plan: Answer::Yes.into(),
            pre_birth: Answer::No.into(),
        }),
        concerns: Some(Concerns {
            found_date: "2026-06-15".to_owned(),
            concerns: vec![Concern::Neglect.into(), Concern::ParentalAlcohol.into()],
        }),
        transfer: None,
        lawful_basis: example::basis(&["identity", "locator", "status"], &["concerns"]),
    }
}
