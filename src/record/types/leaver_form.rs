//! The leaver's form: the rules of `concordat.record.v1.LeaverForm` that its descriptor cannot state.
//!
//! Sources: Education (Scotland) Act 1980 s.33 (leaving dates); Post-16 Education (Scotland) Act 2013 s.20 and SSI 2014/116
//! (what goes to Skills Development Scotland); the Scottish Government's leaver destination statistics (codes by year).
//! It does not know who receives the form.

mod example;
pub mod journey;
pub mod leaving;
mod person;
mod school;
pub mod status;
mod support;

use jiff::civil::Date;
use prost::Message;

use crate::{
    model::{date, violation::Violation},
    pb::{
        ledger::v1::{Identifiers, Person},
        record::v1::{
            LeaverForm,
            leaver_form::{Core, Status, Transfer},
        },
    },
    record::{
        council,
        findings::Findings,
        lawful_basis,
        registry::{self as record_type, EdgeContext, FieldGroup, Rules},
    },
};

pub use example::example;

pub(crate) const RULES: Rules = Rules {
    check: |record_type, body, context| {
        record_type.checked(body, |form, present| check(form, present, context))
    },
    check_successor: status::check_successor,
    example: || example().encode_to_vec(),
};

/// The field groups that go to Skills Development Scotland by duty, as `docs/law.md` reads SSI 2014/116.
pub const GROUPS_TO_SDS_BY_DUTY: [&str; 10] = [
    "core",
    "identity",
    "contact",
    "education",
    "intention",
    "outcome",
    "support",
    "support-special",
    "statistics",
    "governance",
];

/// The group that holds the rows of lawful basis, and so has none itself.
const GOVERNANCE: &str = "governance";

/// What the rules of more than one part of the form need to know.
struct Facts {
    today: Date,
    status: Status,
    date_of_birth: Option<Date>,
}

fn check(
    form: &mut LeaverForm,
    present: &[&FieldGroup],
    context: &EdgeContext,
) -> Result<record_type::Facts, Vec<Violation>> {
    let mut findings = Findings::default();
    let LeaverForm {
        core,
        identity,
        contact,
        safe_contact,
        education,
        intention,
        outcome,
        support,
        special_support,
        restricted_support,
        // Refused by its descriptor: the exchange derives it.
        statistics: _,
        lawful_basis,
    } = form;
    findings.required(core.is_some(), "core", "say what happened");
    findings.required(identity.is_some(), "identity", "say who the leaver is");
    findings.required(education.is_some(), "education", "say when the leaver leaves");
    let core = core.get_or_insert_default();
    let identity = identity.get_or_insert_default();
    let education = education.get_or_insert_default();
    let form_date = check_core(&mut findings, core, context.today);
    let date_of_birth = person::check_identity(&mut findings, identity, form_date);
    let facts = Facts { today: context.today, status: core.status(), date_of_birth };
    person::check_contact(&mut findings, contact.as_mut(), safe_contact.as_mut(), &facts);
    let special = special_support.as_ref();
    school::check(&mut findings, education, special, &facts);
    journey::check_intention(&mut findings, intention.as_ref());
    journey::check_outcome(&mut findings, outcome.as_ref(), &facts);
    support::check(&mut findings, support.as_mut());
    support::check_special(&mut findings, special);
    support::check_restricted(&mut findings, restricted_support.as_ref());
    let need_basis: Vec<_> =
        present.iter().copied().filter(|group| group.name().as_str() != GOVERNANCE).collect();
    lawful_basis::check(&mut findings, "lawful_basis", lawful_basis, &need_basis);
    // The address of a leaver at risk is never among them.
    let postcode = contact.as_ref().map_or("", |contact| contact.postcode.as_str());
    let person = Person {
        forename: identity.forename.clone(),
        surname: identity.surname.clone(),
        date_of_birth: identity.date_of_birth.clone(),
        postcode: postcode.to_owned(),
    };
    let known = !person.postcode.is_empty();
    let identifiers = Identifiers {
        local_id: identity.source_local_id.clone(),
        scn: identity.scn.clone(),
        person: known.then_some(person),
    };
    let age_years_today = date_of_birth.and_then(|born| date::age_years(born, context.today));
    findings.into_result(record_type::Facts { identifiers, age_years_today })
}

/// Checks the core, and gives the day of the form.
fn check_core(findings: &mut Findings, core: &Core, today: Date) -> Option<Date> {
    let Core { form_id, form_date, status: _, transfer: _, transfer_council_code } = core;
    if !form_id.is_empty() {
        let parsed = uuid::Uuid::parse_str(form_id).ok();
        let canonical = parsed.is_some_and(|id| id.hyphenated().to_string() == *form_id);
        findings.require(
            canonical,
            "core.form_id",
            "MALFORMED_FORM_ID",
            "a form id is a lower-case UUID with hyphens; leave it empty if there is none",
        );
    }
    findings.required(!form_date.is_empty(), "core.form_date", "give the day of the form");
    let day = findings.date("core.form_date", form_date);
    findings.require(
        day.is_none_or(|day| day <= today),
        "core.form_date",
        "DATE_IN_FUTURE",
        "the form speaks of a day still to come; give the day on which it was filled in",
    );
    findings.required(core.status() != Status::Unspecified, "core.status", "give the status");
    let transferred = core.status() == Status::Transferred;
    let where_to = core.transfer() != Transfer::Unspecified;
    findings.require(
        transferred == where_to,
        "core.transfer",
        "TRANSFER_DISAGREES",
        "say where the leaver went when the status is TRANSFERRED, and only then",
    );
    findings.require(
        transfer_council_code.is_empty() != (core.transfer() == Transfer::Council),
        "core.transfer_council_code",
        "TRANSFER_DISAGREES",
        "name the council when the transfer is to a council, and only then",
    );
    council::check(findings, "core.transfer_council_code", transfer_council_code);
    day
}
