//! The identity of a child: the rules of `concordat.record.v1.ChildIdentity` that its descriptor cannot state.
//!
//! An address that must not be told lies in the restricted group and not in the usual one.

use prost::Message;

use crate::{
    model::violation::Violation,
    pb::record::v1::{
        Answer, ChildIdentity,
        child_identity::{
            Address, Aid, Alternate, Communication, Disability, Mother, NonDisclosure, Person,
            RecordedSex,
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
    record: &mut ChildIdentity,
    present: &[&FieldGroup],
    context: &EdgeContext,
) -> Result<Facts, Vec<Violation>> {
    let mut findings = Findings::default();
    let ChildIdentity {
        subject,
        person,
        alternates,
        address,
        safe_address,
        non_disclosure,
        communication,
        disability,
        mother,
        lawful_basis,
    } = record;
    let child = child::check(&mut findings, subject, None, context.today);
    findings.required(person.is_some(), "person", "say on which day this was so");
    check_person(&mut findings, person.get_or_insert_default(), &child);
    check_alternates(&mut findings, alternates);
    check_addresses(
        &mut findings,
        (address.as_mut(), safe_address.as_mut()),
        non_disclosure.as_ref(),
    );
    check_communication(&mut findings, communication.as_ref());
    if let Some(Disability { disabled, needs }) = disability {
        child::answer(&mut findings, "disability.disabled", *disabled);
        text::prose(&mut findings, "disability.needs", needs, child::SENTENCE_CHARS_MAX);
    }
    if let Some(Mother { source_local_id }) = mother {
        child::local_id(&mut findings, "mother.source_local_id", source_local_id);
    }
    findings.require(
        mother.is_none() || child.unborn(),
        "mother",
        "BORN_ALREADY",
        "the mother is named of a child not yet born; for others see the key roles",
    );
    child::basis(&mut findings, lawful_basis, present);
    findings.into_result(child.facts())
}

fn check_person(findings: &mut Findings, person: &mut Person, child: &Child) {
    let Person { as_of, known_as, recorded_sex: _ } = person;
    child::past_day(findings, "person.as_of", as_of, child.today);
    text::name(findings, "person.known_as", known_as);
}

fn check_alternates(findings: &mut Findings, alternates: &mut [Alternate]) {
    child::rows(findings, "alternates", alternates);
    for (at, alternate) in alternates.iter_mut().enumerate() {
        let Alternate { forename, surname, date_of_birth, from, until } = alternate;
        let field = |name: &str| format!("alternates[{at}].{name}");
        let given =
            [&*forename, &*surname, &*date_of_birth].into_iter().any(|text| !text.is_empty());
        findings.required(
            given,
            format_args!("alternates[{at}]"),
            "give a name or a date of birth",
        );
        text::name(findings, field("forename"), forename);
        text::name(findings, field("surname"), surname);
        findings.date(field("date_of_birth"), date_of_birth);
        let used = (findings.date(field("from"), from), findings.date(field("until"), until));
        child::in_order(
            findings,
            field("until"),
            used,
            "the last day comes before the first; compare both",
        );
    }
}

fn check_addresses(
    findings: &mut Findings,
    (address, safe): (Option<&mut Address>, Option<&mut Address>),
    non_disclosure: Option<&NonDisclosure>,
) {
    findings.require(
        non_disclosure.is_none() || address.is_none(),
        "address",
        "ADDRESS_NOT_TO_BE_TOLD",
        "the address must not be told; move it into `safe_address`",
    );
    findings.require(
        non_disclosure.is_some() || safe.is_none(),
        "safe_address",
        "ADDRESS_MAY_BE_TOLD",
        "only an address that must not be told lies here; say why, or move it into `address`",
    );
    if let Some(NonDisclosure { reason, from, until }) = non_disclosure {
        child::code(findings, "non_disclosure.reason", *reason, "say why");
        let began = child::day(findings, "non_disclosure.from", from);
        let ends = findings.date("non_disclosure.until", until);
        let how = "the last day comes before the first; compare both";
        child::in_order(findings, "non_disclosure.until", (began, ends), how);
    }
    for (group, address) in [("address", address), ("safe_address", safe)] {
        let Some(Address { lines, postcode, uprn, from }) = address else { continue };
        text::address_lines(findings, format_args!("{group}.lines"), lines);
        child::place(findings, group, (postcode, *uprn));
        findings.date(format_args!("{group}.from"), from);
    }
}

fn check_communication(findings: &mut Findings, communication: Option<&Communication>) {
    let Some(Communication { language, interpreter_needed, aids }) = communication else { return };
    findings.require(
        language.is_empty()
            || (2..=3).contains(&language.len())
                && language.bytes().all(|b| b.is_ascii_lowercase()),
        "communication.language",
        "MALFORMED_LANGUAGE",
        "a language is an iso 639 code of 2 or 3 lower-case letters, such as `gd`",
    );
    child::answer(findings, "communication.interpreter_needed", *interpreter_needed);
    child::once(findings, "communication.aids", aids);
}

/// An invented child whose family moved.
pub fn example() -> ChildIdentity {
    ChildIdentity {
        subject: example::subject(),
        person: Some(Person {
            as_of: "2026-11-02".to_owned(),
            known_as: "Ellie".to_owned(),
            recorded_sex: RecordedSex::Female.into(),
        }),
        alternates: vec![Alternate {
            surname: "O'Example Smith".to_owned(),
            from: "2018-11-20".to_owned(),
            until: "2021-05-01".to_owned(),
            ..Alternate::default()
        }],
        address: Some(Address {
            lines: vec!["3 Example Court".to_owned(), "Livingston".to_owned()],
            postcode: "EH54 6AA".to_owned(),
            uprn: 100_023_336_956,
            from: "2026-07-01".to_owned(),
        }),
        communication: Some(Communication {
            language: "gd".to_owned(),
            interpreter_needed: Answer::No.into(),
            aids: vec![Aid::Symbols.into()],
        }),
        disability: Some(Disability {
            disabled: Answer::Yes.into(),
            needs: "Sits near the board; large print.".to_owned(),
        }),
        lawful_basis: example::basis(
            &["identity", "alternates", "address", "communication"],
            &["disability"],
        ),
        ..ChildIdentity::default()
    }
}
