//! The rules that contributions to the picture of a child have in common: who the child is, when something happened, who
//! says so, who else it is about, what the child thinks.
//!
//! They are about one record. That agencies disagree is no fault of a record: it is shown when the picture is assembled.
//! Sources: National Guidance for Child Protection in Scotland 2021; the Information Commissioner's data sharing code (fact
//! and opinion); GIRFEC Practice Guidance 4 (the child's view).

use std::fmt::Display;

use jiff::civil::Date;

use crate::{
    model::{
        birth::Birth,
        id::AgencyId,
        identifier::{postcode::Postcode, scn::Scn, uprn::Uprn},
        violation::Violation,
    },
    pb::{
        ledger::v1::{Identifiers, Person},
        record::v1::{
            Answer, Author, LawfulBasis, Locator, NotAsked, OtherPerson, Relation, Statement,
            Subject, Views, WorkerRole,
        },
    },
    record::{
        findings::Findings,
        lawful_basis,
        registry::{Facts, FieldGroup},
        text,
    },
};

/// The greatest length of a text that says one thing, in characters.
pub(super) const SENTENCE_CHARS_MAX: usize = 280;
/// The greatest number of rows of most lists.
const ROWS_MAX: usize = 16;
/// The group that holds the rows of lawful basis, and so has none itself.
const GOVERNANCE: &str = "governance";

/// What the rules of a contribution need to know of its child.
pub(super) struct Child {
    pub(super) today: Date,
    pub(super) birth: Option<Birth>,
    identifiers: Identifiers,
}

impl Child {
    /// What the registry is told.
    pub(super) fn facts(self) -> Facts {
        let age_years_today = self.birth.and_then(|birth| birth.age_years(self.today));
        Facts { identifiers: self.identifiers, age_years_today }
    }

    /// Whether the child is not yet born.
    pub(super) fn unborn(&self) -> bool {
        matches!(self.birth, Some(Birth::Expected(_)))
    }
}

/// Checks who the child is, and where.
pub(super) fn check(
    findings: &mut Findings,
    subject: &mut Option<Subject>,
    locator: Option<&mut Locator>,
    today: Date,
) -> Child {
    findings.required(subject.is_some(), "subject", "say who the child is");
    let given = subject.is_some();
    let subject = subject.get_or_insert_default();
    let Subject { source_local_id, scn, forename, surname, date_of_birth, expected_delivery_date } =
        subject;
    local_id(findings, "subject.source_local_id", source_local_id);
    findings.parse::<Scn>("subject.scn", scn);
    let birth = Birth::of(date_of_birth, expected_delivery_date, today);
    let birth = findings.keep("subject", birth).filter(|_| given);
    let unborn = matches!(birth, Some(Birth::Expected(_)));
    for (field, name) in [("subject.forename", forename), ("subject.surname", surname)] {
        findings.required(
            unborn || !name.is_empty(),
            field,
            "give the name of a child who was born",
        );
        text::name(findings, field, name);
    }
    findings.require(
        scn.is_empty() || !unborn,
        "subject.scn",
        "NUMBER_BEFORE_BIRTH",
        "a child not yet born has no candidate number; leave it out",
    );
    let postcode = locator.map_or(String::new(), |locator| {
        place(findings, "locator", (&mut locator.postcode, locator.uprn));
        locator.postcode.clone()
    });
    let subject = subject.clone();
    let person = Person {
        forename: subject.forename,
        surname: subject.surname,
        date_of_birth: subject.date_of_birth,
        postcode,
    };
    // Whoever has no postcode is found by nobody who knows no number.
    let known = ![&person.forename, &person.surname, &person.date_of_birth, &person.postcode]
        .into_iter()
        .any(String::is_empty);
    let identifiers = Identifiers {
        local_id: subject.source_local_id,
        scn: subject.scn,
        person: known.then_some(person),
    };
    Child { today, birth, identifiers }
}

/// Checks the publisher's own id of somebody.
pub(super) fn local_id(findings: &mut Findings, field: impl Display, id: &str) {
    findings.require(
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()),
        field,
        "MALFORMED_LOCAL_ID",
        "give your own id of the person: 1 to 64 printable characters without spaces",
    );
}

/// Checks a postcode, which becomes normal, and a property reference.
pub(super) fn place(findings: &mut Findings, group: &str, (postcode, uprn): (&mut String, u64)) {
    if let Some(normal) = findings.parse::<Postcode>(format_args!("{group}.postcode"), postcode) {
        normal.as_str().clone_into(postcode);
    }
    if uprn != 0 {
        findings.keep(format_args!("{group}.uprn"), Uprn::try_from(uprn));
    }
}

/// Checks the basis of every group that the contribution holds.
pub(super) fn basis(findings: &mut Findings, rows: &[LawfulBasis], present: &[&FieldGroup]) {
    let need: Vec<_> =
        present.iter().copied().filter(|group| group.name().as_str() != GOVERNANCE).collect();
    lawful_basis::check(findings, "lawful_basis", rows, &need);
}

/// Checks a day that must be given and be past or today.
pub(super) fn past_day(
    findings: &mut Findings,
    field: impl Display + Copy,
    text: &str,
    today: Date,
) -> Option<Date> {
    findings.required(!text.is_empty(), field, "give the day");
    let day = findings.date(field, text);
    findings.require(
        day.is_none_or(|day| day <= today),
        field,
        "DATE_IN_FUTURE",
        "the day is still to come; give the day on which it was so",
    );
    day
}

/// Checks a day that must be given.
pub(super) fn day(findings: &mut Findings, field: impl Display + Copy, text: &str) -> Option<Date> {
    findings.required(!text.is_empty(), field, "give the day");
    findings.date(field, text)
}

/// Checks that `later`, at `field`, does not come before `earlier`. Days that do not read are their own findings.
pub(super) fn in_order(
    findings: &mut Findings,
    field: impl Display,
    (earlier, later): (Option<Date>, Option<Date>),
    description: &str,
) {
    let holds = earlier.zip(later).is_none_or(|(earlier, later)| earlier <= later);
    findings.require(holds, field, "DATES_OUT_OF_ORDER", description);
}

/// Checks when something happened and when it was recorded: event ≤ recorded ≤ today.
pub(super) fn happened(
    findings: &mut Findings,
    (event_field, event): (&str, &str),
    (recorded_field, recorded): (&str, &str),
    today: Date,
) -> Option<Date> {
    let event = past_day(findings, event_field, event, today);
    let recorded = past_day(findings, recorded_field, recorded, today);
    let how = "nothing is recorded before it happened; compare both days";
    in_order(findings, recorded_field, (event, recorded), how);
    event
}

/// Checks a span of time that is over: from ≤ until ≤ today.
pub(super) fn span(findings: &mut Findings, group: &str, (from, until): (&str, &str), today: Date) {
    let first = day(findings, format_args!("{group}.from"), from);
    let field = format!("{group}.until");
    let last = past_day(findings, &field, until, today);
    in_order(findings, field, (first, last), "the last day comes before the first; compare both");
}

/// Checks that a code was given.
pub(super) fn code(findings: &mut Findings, field: impl Display, code: i32, what: &str) {
    findings.required(code != 0, field, what);
}

/// Checks that it is said whether something is a fact or an opinion.
pub(super) fn statement(findings: &mut Findings, field: impl Display, statement: Statement) {
    findings.require(
        statement != Statement::Unspecified,
        field,
        "FACT_OR_OPINION",
        "say whether this is a fact or an opinion",
    );
}

/// Checks a text that must be given.
pub(super) fn sentence(
    findings: &mut Findings,
    field: impl Display + Copy,
    sentence: &mut String,
    chars_max: usize,
) {
    text::prose(findings, field, sentence, chars_max);
    findings.required(!sentence.is_empty(), field, "say it in words");
}

/// Checks who wrote something down.
pub(super) fn author(findings: &mut Findings, author: Option<&Author>) {
    findings.required(author.is_some(), "author", "say who wrote it down");
    let Some(author) = author else { return };
    let Author { role, agency, reference } = author;
    code(findings, "author.role", *role, "give the role of the author");
    findings.parse::<AgencyId>("author.agency", agency);
    text::reference(findings, "author.reference", reference);
}

/// Checks what the child, and those who care for it, think.
pub(super) fn views(findings: &mut Findings, views: Option<&mut Views>, child: &Child) {
    findings.required(views.is_some(), "views", "say whether the child was asked, and if not why");
    let Some(views) = views else { return };
    let Views { child_asked, child: said, child_not_asked, parents } = views;
    let asked = *child_asked == i32::from(Answer::Yes);
    let yes_or_no = asked || *child_asked == i32::from(Answer::No);
    findings.required(yes_or_no, "views.child_asked", "answer yes or no");
    findings.require(
        asked || said.is_empty(),
        "views.child",
        "VIEWS_DISAGREE",
        "the child was not asked and so said nothing; leave the text out or answer yes",
    );
    findings.require(
        !yes_or_no || asked == (*child_not_asked == i32::from(NotAsked::Unspecified)),
        "views.child_not_asked",
        "VIEWS_DISAGREE",
        "say why the child was not asked, and only then",
    );
    findings.require(
        !(asked && child.unborn()),
        "views.child_asked",
        "ASKED_BEFORE_BIRTH",
        "a child not yet born cannot be asked; answer no",
    );
    text::prose(findings, "views.child", said, SENTENCE_CHARS_MAX);
    text::prose(findings, "views.parents", parents, SENTENCE_CHARS_MAX);
}

/// Checks the number of the rows of a list.
pub(super) fn rows<T>(findings: &mut Findings, field: &str, rows: &[T]) {
    findings.require(rows.len() <= ROWS_MAX, field, "TOO_MANY", "give at most 16 rows");
}

/// Checks that others are named where a contribution is about others, at `field`, and only there: what is said of them can
/// then be left out of a report to the child.
pub(super) fn others(
    findings: &mut Findings,
    (field, about_others): (&str, i32),
    others: &mut [OtherPerson],
) {
    let yes = about_others == i32::from(Answer::Yes);
    findings.required(
        yes || about_others == i32::from(Answer::No),
        field,
        "say whether it is about others, too: yes or no",
    );
    findings.require(
        yes != others.is_empty(),
        "others",
        "OTHERS_DISAGREE",
        "name the others whom it is about, and only if it is about others",
    );
    rows(findings, "others", others);
    for (at, other) in others.iter_mut().take(ROWS_MAX).enumerate() {
        let OtherPerson { name, relation, text: said } = other;
        let field = |name: &str| format!("others[{at}].{name}");
        text::name(findings, field("name"), name);
        self::relation(findings, field("relation"), *relation);
        text::prose(findings, &field("text"), said, SENTENCE_CHARS_MAX);
    }
}

/// Checks how somebody stands to the child.
pub(super) fn relation(findings: &mut Findings, field: impl Display, relation: i32) {
    let given = relation != i32::from(Relation::Unspecified);
    findings.required(given, field, "say how the person stands to the child");
}

/// Checks the role of a worker.
pub(super) fn role(findings: &mut Findings, field: impl Display, role: i32) {
    let given = role != i32::from(WorkerRole::Unspecified);
    findings.required(given, field, "give the role");
}

/// Checks an answer that must be given.
pub(super) fn answer(findings: &mut Findings, field: impl Display, answer: i32) {
    let given = answer != i32::from(Answer::Unspecified);
    findings.required(given, field, "answer yes, no or not stated");
}

/// Checks that no row repeats an earlier one.
pub(super) fn once<T: Ord>(findings: &mut Findings, field: &str, rows: &[T]) {
    let distinct = rows.iter().collect::<std::collections::BTreeSet<_>>().len();
    findings.require(
        distinct == rows.len(),
        field,
        "REPEATED",
        "the same is given twice; give each once",
    );
}

/// Any version of a contribution may follow any other, or be the first: what an agency holds of a child changes as the
/// agency learns.
#[expect(clippy::unnecessary_wraps, reason = "every type has a rule of this form")]
pub(super) fn any_may_follow(_previous: Option<&[u8]>, _next: &[u8]) -> Result<(), Vec<Violation>> {
    Ok(())
}

/// Invented parts of the examples. No such person lives.
pub(super) mod example {
    use crate::pb::record::v1::{
        Answer, Article6Basis, Article9Condition, Author, LawfulBasis, LegalPower, Locator,
        NotAsked, OtherPerson, Relation, Subject, Views, WorkerRole,
    };

    /// An invented child of eight years.
    #[expect(clippy::unnecessary_wraps, reason = "every message's field is optional on the wire")]
    pub(in crate::record) fn subject() -> Option<Subject> {
        Some(Subject {
            source_local_id: "WL-2018-0042".to_owned(),
            scn: "123456785".to_owned(),
            forename: "Eilidh".to_owned(),
            surname: "MacExample".to_owned(),
            date_of_birth: "2018-11-20".to_owned(),
            expected_delivery_date: String::new(),
        })
    }

    /// The same child as an agency knows it that has no candidate number.
    pub(in crate::record) fn subject_without_number(local_id: &str) -> Option<Subject> {
        let known = subject()?;
        Some(Subject { source_local_id: local_id.to_owned(), scn: String::new(), ..known })
    }

    /// Where it lives.
    #[expect(clippy::unnecessary_wraps, reason = "every message's field is optional on the wire")]
    pub(in crate::record) fn locator() -> Option<Locator> {
        Some(Locator { postcode: "EH54 6AA".to_owned(), uprn: 0 })
    }

    /// Who wrote something down.
    #[expect(clippy::unnecessary_wraps, reason = "every message's field is optional on the wire")]
    pub(in crate::record) fn author(role: WorkerRole) -> Option<Author> {
        Some(Author { role: role.into(), agency: String::new(), reference: "CR-77/3".to_owned() })
    }

    /// What the child, and those who care for it, think.
    #[expect(clippy::unnecessary_wraps, reason = "every message's field is optional on the wire")]
    pub(in crate::record) fn views(child: &str) -> Option<Views> {
        let asked = !child.is_empty();
        let not_asked = if asked { NotAsked::Unspecified } else { NotAsked::Urgent };
        Some(Views {
            child_asked: if asked { Answer::Yes.into() } else { Answer::No.into() },
            child: child.to_owned(),
            child_not_asked: not_asked.into(),
            parents: String::new(),
        })
    }

    /// Somebody else whom it is about.
    pub(in crate::record) fn others(said: &str) -> Vec<OtherPerson> {
        let name = "Rory MacExample".to_owned();
        vec![OtherPerson { name, relation: Relation::Father.into(), text: said.to_owned() }]
    }

    /// A public task for each group; `special` are special category data.
    pub(in crate::record) fn basis(plain: &[&str], special: &[&str]) -> Vec<LawfulBasis> {
        let row = |group: &&str| LawfulBasis {
            group: (*group).to_owned(),
            article_6: Article6Basis::PublicTask.into(),
            legal_power: LegalPower::NamedInAgreement.into(),
            notice_version: "children-2026.1".to_owned(),
            ..LawfulBasis::default()
        };
        let special = special.iter().map(|group| LawfulBasis {
            article_9: Article9Condition::SubstantialPublicInterest.into(),
            ..row(group)
        });
        plain.iter().map(row).chain(special).collect()
    }
}
