//! Involvement with a child: the rules of `concordat.record.v1.ChildInvolvement` that its descriptor cannot state.
//!
//! It says who works with a child and nothing of what about.

use prost::Message;

use crate::{
    model::{id::AgencyId, violation::Violation},
    pb::record::v1::{
        ChildInvolvement, WorkerRole,
        child_involvement::{Contact, Involvement, Status},
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
    record: &mut ChildInvolvement,
    present: &[&FieldGroup],
    context: &EdgeContext,
) -> Result<Facts, Vec<Violation>> {
    let mut findings = Findings::default();
    let ChildInvolvement { subject, locator, involvement, contact, lawful_basis } = record;
    let child = child::check(&mut findings, subject, locator.as_mut(), context.today);
    findings.required(involvement.is_some(), "involvement", "say who works with the child");
    check_involvement(&mut findings, involvement.get_or_insert_default(), &child);
    check_contact(&mut findings, contact.as_mut());
    child::basis(&mut findings, lawful_basis, present);
    findings.into_result(child.facts())
}

fn check_involvement(findings: &mut Findings, involvement: &mut Involvement, child: &Child) {
    let closed = involvement.status() == Status::Closed;
    let Involvement { agency, team, role, status, from, until } = involvement;
    findings.parse::<AgencyId>("involvement.agency", agency);
    text::prose(findings, "involvement.team", team, TEAM_CHARS_MAX);
    child::role(findings, "involvement.role", *role);
    child::code(findings, "involvement.status", *status, "say whether the involvement is open");
    let since = child::past_day(findings, "involvement.from", from, child.today);
    let ended = findings.date("involvement.until", until);
    findings.require(
        closed != until.is_empty(),
        "involvement.until",
        "STATUS_DISAGREES",
        "give the last day of an involvement that is closed, and only then",
    );
    let how = "the involvement ended before it began; compare both days";
    child::in_order(findings, "involvement.until", (since, ended), how);
}

fn check_contact(findings: &mut Findings, contact: Option<&mut Contact>) {
    let Some(contact) = contact else { return };
    let Contact { name, phone, email } = contact;
    text::name(findings, "contact.name", name);
    text::phone(findings, "contact.phone", phone);
    text::email(findings, "contact.email", email);
    let reachable = !phone.is_empty() || !email.is_empty();
    findings.required(reachable, "contact", "give a telephone number or an e-mail address");
}

const TEAM_CHARS_MAX: usize = 60;

/// An invented involvement of a social worker.
pub fn example() -> ChildInvolvement {
    ChildInvolvement {
        subject: example::subject(),
        locator: example::locator(),
        involvement: Some(Involvement {
            agency: String::new(),
            team: "Livingston North".to_owned(),
            role: WorkerRole::SocialWorker.into(),
            status: Status::Open.into(),
            from: "2026-09-01".to_owned(),
            until: String::new(),
        }),
        contact: Some(Contact {
            name: "Iain Example".to_owned(),
            phone: "01632960101".to_owned(),
            email: "duty@example.org".to_owned(),
        }),
        lawful_basis: example::basis(&["identity", "locator", "involvement", "contact"], &[]),
    }
}
