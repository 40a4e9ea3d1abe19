//! Key roles: the rules of `concordat.record.v1.KeyRoles` that its descriptor cannot state.
//!
//! Whether agencies agree on them is for the picture. Source: GIRFEC Practice Guidance 4 (a role opens nothing by itself).

use prost::Message;

use crate::{
    model::{id::AgencyId, violation::Violation},
    pb::record::v1::{
        Answer, KeyRoles, Relation, WorkerRole,
        key_roles::{Carer, Holder, NotToBeTold, Reason, Roles},
    },
    record::{
        child::{self, example},
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
    record: &mut KeyRoles,
    present: &[&FieldGroup],
    context: &EdgeContext,
) -> Result<Facts, Vec<Violation>> {
    let mut findings = Findings::default();
    let KeyRoles { subject, locator, roles, carers, not_to_be_told, lawful_basis } = record;
    let child = child::check(&mut findings, subject, locator.as_mut(), context.today);
    findings.required(roles.is_some(), "roles", "say who holds which role");
    let Roles { as_of, named_person, lead_professional } = roles.get_or_insert_default();
    child::past_day(&mut findings, "roles.as_of", as_of, context.today);
    let held = named_person.is_some() || lead_professional.is_some();
    findings.required(held, "roles.named_person", "name the named person or the lead professional");
    check_holder(&mut findings, "roles.named_person", named_person.as_mut());
    check_holder(&mut findings, "roles.lead_professional", lead_professional.as_mut());
    check_carers(&mut findings, carers);
    check_not_to_be_told(&mut findings, not_to_be_told);
    child::basis(&mut findings, lawful_basis, present);
    findings.into_result(child.facts())
}

fn check_holder(findings: &mut Findings, place: &str, holder: Option<&mut Holder>) {
    let Some(holder) = holder else { return };
    let Holder { name, role, agency, phone, email } = holder;
    let field = |name: &str| format!("{place}.{name}");
    text::name(findings, field("name"), name);
    child::role(findings, field("role"), *role);
    findings.required(!agency.is_empty(), field("agency"), "name the agency");
    findings.parse::<AgencyId>(field("agency"), agency);
    text::phone(findings, field("phone"), phone);
    text::email(findings, field("email"), email);
}

fn check_carers(findings: &mut Findings, carers: &mut [Carer]) {
    child::rows(findings, "carers", carers);
    for (at, carer) in carers.iter_mut().enumerate() {
        let Carer { name, relation, parental_responsibilities, lives_with_child } = carer;
        let field = |name: &str| format!("carers[{at}].{name}");
        findings.required(!name.is_empty(), field("name"), "give the name");
        text::name(findings, field("name"), name);
        child::relation(findings, field("relation"), *relation);
        child::answer(findings, field("parental_responsibilities"), *parental_responsibilities);
        child::answer(findings, field("lives_with_child"), *lives_with_child);
    }
}

fn check_not_to_be_told(findings: &mut Findings, persons: &mut [NotToBeTold]) {
    child::rows(findings, "not_to_be_told", persons);
    for (at, person) in persons.iter_mut().enumerate() {
        let NotToBeTold { name, relation, reason } = person;
        let field = |name: &str| format!("not_to_be_told[{at}].{name}");
        findings.required(!name.is_empty(), field("name"), "give the name");
        text::name(findings, field("name"), name);
        child::relation(findings, field("relation"), *relation);
        child::code(findings, field("reason"), *reason, "say why the person must not be told");
    }
}

/// Invented roles.
pub fn example() -> KeyRoles {
    KeyRoles {
        subject: example::subject(),
        locator: example::locator(),
        roles: Some(Roles {
            as_of: "2026-11-02".to_owned(),
            named_person: Some(Holder {
                role: WorkerRole::SchoolLeader.into(),
                agency: "west-lothian-council".to_owned(),
                phone: "01632960102".to_owned(),
                ..Holder::default()
            }),
            lead_professional: Some(Holder {
                name: "Iain Example".to_owned(),
                role: WorkerRole::SocialWorker.into(),
                agency: "west-lothian-council".to_owned(),
                email: "duty@example.org".to_owned(),
                ..Holder::default()
            }),
        }),
        carers: vec![Carer {
            name: "Catrìona MacExample".to_owned(),
            relation: Relation::Mother.into(),
            parental_responsibilities: Answer::Yes.into(),
            lives_with_child: Answer::Yes.into(),
        }],
        not_to_be_told: vec![NotToBeTold {
            name: "Rory MacExample".to_owned(),
            relation: Relation::Father.into(),
            reason: Reason::Order.into(),
        }],
        lawful_basis: example::basis(
            &["identity", "locator", "roles", "carers", "not-to-be-told"],
            &[],
        ),
    }
}
