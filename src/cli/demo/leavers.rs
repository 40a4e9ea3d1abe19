//! The demo's school leavers: at least 200 invented young people, made from a seed and a day, and nothing else.
//!
//! Whatever the day, the cohort is as if its schools had sent their forms this week: ages, leaving dates and the term
//! calendar are taken from it. It makes three tables, as a council would keep them: the forms as an import file, what
//! the young people said about sharing, and whom a voluntary provider says it serves. No such person lives: names are
//! drawn at random, telephone numbers are of the range that Ofcom keeps for drama, e-mail addresses of a domain that RFC
//! 2606 reserves, schools and candidate numbers are made up.

mod dice;
mod form;
mod person;

use jiff::civil::Date;

use crate::record::{registry::RecordType, tabular::Layout, wire::MalformedRecord};

use dice::Dice;
use form::Seasons;
pub use person::{Flaw, Leaver, Role};

/// The seed of the demo's cohort.
pub const SEED: u64 = 2008;
/// How many rows the import file has, flawed ones included.
pub const ROWS: usize = 220;

/// The columns of the import file.
pub const HEADER: [&str; 38] = [
    "core.form_date",
    "core.status",
    "identity.scn",
    "identity.source_local_id",
    "identity.forename",
    "identity.surname",
    "identity.date_of_birth",
    "contact.address_lines",
    "contact.postcode",
    "contact.phone",
    "contact.email",
    "contact.preferred_contact",
    "safe_contact.channel",
    "safe_contact.address_lines",
    "safe_contact.postcode",
    "education.school_seed_code",
    "education.stage",
    "education.council_code",
    "education.statutory_leave_type",
    "education.anticipated_leave_date",
    "education.actual_leave_date",
    "education.exceptional_reason",
    "intention.preferred_routes",
    "intention.preferred_occupations",
    "intention.offer_status",
    "intention.offer_provider",
    "outcome.destination",
    "outcome.destination_start_date",
    "outcome.destination_source",
    "outcome.confirmation_method",
    "outcome.confirmation_date",
    "support.risk",
    "support.risk_basis",
    "support.risk_assessor_role",
    "support.young_carer",
    "special_support.additional_support_needs",
    "restricted_support.care_experience",
    "lawful_basis",
];

/// Where the roles of the story stand in the file, by row from 0.
const ROLES: [(usize, Role); 27] = [
    (3, Role::Flawed(Flaw::ScnCheckDigit)),
    (11, Role::Twin),
    (12, Role::Twin),
    (19, Role::Flawed(Flaw::Postcode)),
    (26, Role::WithoutScn),
    (33, Role::LeavesAtFifteen),
    (41, Role::Flawed(Flaw::LeavesTooEarly)),
    (48, Role::ConsentsLate),
    (55, Role::Flawed(Flaw::RouteTwice)),
    (64, Role::ChangesMind),
    (71, Role::Flawed(Flaw::BirthUnknown)),
    (80, Role::Withdraws),
    (88, Role::Flawed(Flaw::LeavesTooEarly)),
    (97, Role::Exempted),
    (104, Role::Flawed(Flaw::ScnCheckDigit)),
    (112, Role::AtRisk),
    (121, Role::Flawed(Flaw::NoSuchRoute)),
    (129, Role::ConsentedButFlawed),
    (137, Role::WithoutScn),
    (145, Role::Flawed(Flaw::OfferFromNobody)),
    (152, Role::Refuses),
    (160, Role::Flawed(Flaw::LeavesTooEarly)),
    (169, Role::Refuses),
    (177, Role::Flawed(Flaw::SurnameMissing)),
    (186, Role::Refuses),
    (194, Role::Flawed(Flaw::RouteTwice)),
    (203, Role::Flawed(Flaw::ScnCheckDigit)),
];

/// One line of what young people said about the college, in the order in which they said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Who it is about: the council's own id.
    pub local_id: String,
    /// The candidate number.
    pub scn: String,
    /// What was said.
    pub word: Word,
    /// When it was said.
    pub moment: Moment,
    /// Who said it.
    pub speaker: Speaker,
    /// The young person's age then, in whole years.
    pub age_years: u8,
    /// The sixteenth birthday.
    pub sixteen: Date,
    /// The leaving date.
    pub leaves: Date,
}

/// What was said about sharing with an agency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Share.
    Yes,
    /// Do not share.
    No,
    /// Stop sharing.
    Stop,
}

/// When something was said, as the story goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Before the forms were sent.
    WithTheForm,
    /// After they were.
    Afterwards,
    /// Later still.
    Later,
}

/// Who speaks. Under the 2004 Act's section 13 a parent does until the young person is 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The young person.
    Own,
    /// A parent.
    Parent,
}

/// One line of whom the voluntary provider says it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The provider's own id of the person.
    pub provider_local_id: String,
    /// The candidate number.
    pub scn: String,
    /// Whether the council finds it so.
    pub known_to_council: bool,
}

/// The cohort and what goes with it.
#[derive(Clone, Debug)]
pub struct Cohort {
    /// Everybody, in the order of the file.
    pub leavers: Vec<Leaver>,
    /// The rows of the import file under [`HEADER`].
    pub rows: Vec<Vec<String>>,
    /// What was said about the college.
    pub said: Vec<Said>,
    /// Whom the provider says it serves.
    pub claims: Vec<Claim>,
}

impl Cohort {
    /// The cohort of a seed on a day.
    ///
    /// # Errors
    /// `MalformedRecord` if a form does not fit the columns; a test holds that none does not.
    pub fn of(seed: u64, today: Date, record_type: &RecordType) -> Result<Self, MalformedRecord> {
        let layout =
            Layout::from_header(record_type, &HEADER).map_err(|_violations| MalformedRecord)?;
        let mut dice = Dice::new(seed);
        let seasons = Seasons::after(today);
        let leavers = person::everybody(&mut dice, seasons, ROLES);
        let rows = leavers.iter().map(|leaver| form::row(leaver, &layout));
        let rows = rows.collect::<Result<_, _>>()?;
        let said = said(&leavers, today);
        let claims = claims(&leavers);
        Ok(Self { leavers, rows, said, claims })
    }

    /// The first leaver of a role.
    pub fn with_role(&self, role: Role) -> Option<&Leaver> {
        self.leavers.iter().find(|leaver| leaver.role == role)
    }
}

/// Those who want further education, or have a part in the story, and what they say.
fn said(leavers: &[Leaver], today: Date) -> Vec<Said> {
    let mut first_twin = true;
    let mut said: Vec<Said> = Vec::new();
    for leaver in leavers {
        let words: &[(Word, Moment)] = match leaver.role {
            Role::ConsentsLate => &[(Word::Yes, Moment::Afterwards)],
            Role::ChangesMind => &[
                (Word::Yes, Moment::WithTheForm),
                (Word::Stop, Moment::Afterwards),
                (Word::Yes, Moment::Later),
            ],
            Role::Withdraws => {
                &[(Word::Yes, Moment::WithTheForm), (Word::Stop, Moment::Afterwards)]
            }
            Role::Refuses => &[(Word::No, Moment::WithTheForm)],
            Role::ConsentedButFlawed | Role::LeavesAtFifteen => &[(Word::Yes, Moment::WithTheForm)],
            Role::Twin if first_twin => {
                first_twin = false;
                &[(Word::Yes, Moment::WithTheForm)]
            }
            Role::Ordinary if leaver.says_yes => &[(Word::Yes, Moment::WithTheForm)],
            Role::Ordinary
            | Role::Twin
            | Role::WithoutScn
            | Role::Exempted
            | Role::AtRisk
            | Role::Flawed(_) => &[],
        };
        said.extend(words.iter().map(|(word, moment)| leaver.says(*word, *moment, today)));
    }
    said.sort_by_key(|line| line.moment);
    said
}

/// Ordinary leavers at some risk, of whom the council confirms four in five.
fn claims(leavers: &[Leaver]) -> Vec<Claim> {
    let served = leavers.iter().filter(|leaver| {
        leaver.role == Role::Ordinary && leaver.at_school && leaver.might_drop_out()
    });
    served
        .zip(1_usize..)
        .map(|(leaver, number)| Claim {
            provider_local_id: format!("MF-{number:03}"),
            scn: leaver.scn.clone(),
            known_to_council: !number.is_multiple_of(5),
        })
        .collect()
}

#[cfg(test)]
mod tests;
