//! Who the invented leavers are: names, birthdays, schools, wishes, and the part that some of them play in the story.

use std::collections::BTreeSet;

use jiff::{ToSpan, civil::Date};

use crate::{
    model::{date::age_years, identifier::scn},
    pb::record::v1::leaver_form::{CareExperience, Destination, Risk, Route, SupportCategory},
};

use super::{
    Moment, ROWS, Said, Speaker, Word,
    dice::Dice,
    form::{Seasons, Stay},
};

const FORENAMES: [&str; 40] = [
    "Ailsa", "Callum", "Mòrag", "Ruaridh", "Eilidh", "Fergus", "Catriona", "Lachlan", "Isla",
    "Hamish", "Skye", "Euan", "Kirsty", "Finlay", "Rhona", "Struan", "Beth", "Zara", "Omar",
    "Aisha", "Tomasz", "Zofia", "Niamh", "Declan", "Orla", "Kieran", "Leah", "Jamie", "Erin",
    "Rory", "Freya", "Logan", "Màiri", "Angus", "Heather", "Blair", "Iona", "Craig", "Seonaid",
    "Murray",
];
const SURNAMES: [&str; 40] = [
    "Abernorth",
    "Balfennan",
    "Carnduff",
    "Dunwhinny",
    "Elderslaw",
    "Fairlock",
    "Glenhuld",
    "Harrowmuir",
    "Inverwick",
    "Jardenlea",
    "Kilbrannoch",
    "Larkfield",
    "MacAndlish",
    "Netherbrae",
    "O'Dornan",
    "Pittenweir",
    "Quarrelton",
    "Ravenscleugh",
    "Strathorn",
    "Torwood-Bain",
    "Urrharbour",
    "Vennelton",
    "Whinhill",
    "Yarrowby",
    "MacGillandrae",
    "Auchenfoyle",
    "Burnlaw",
    "Craigmarloch",
    "Drumfrochar",
    "Eastmuir",
    "Finnartlea",
    "Gryfemoor",
    "Hillendyke",
    "Ladyburn",
    "Mearnshaw",
    "Nicholwood",
    "Overtonlee",
    "Papermill",
    "Rankinburn",
    "Smithston",
];
const STREETS: [&str; 12] = [
    "Larkspur Brae",
    "Tinkers Wynd",
    "Harbour Vennel",
    "Gull Terrace",
    "Ropeyard Lane",
    "Sugarhouse Row",
    "Whinny Loan",
    "Observatory Brae",
    "Cooperage Close",
    "Kelp Street",
    "Rowan Path",
    "Battery Steps",
];
const TOWNS: [(&str, &str); 4] =
    [("Greenock", "PA15"), ("Greenock", "PA16"), ("Gourock", "PA19"), ("Port Glasgow", "PA14")];
const LETTERS: [&str; 8] = ["AB", "DE", "HJ", "LN", "PQ", "RS", "UW", "XY"];

/// The part somebody plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// None of their own.
    Ordinary,
    /// One of two who share surname, birthday and address.
    Twin,
    /// Came from abroad and has no candidate number yet.
    WithoutScn,
    /// Still 15 on the day of leaving.
    LeavesAtFifteen,
    /// Leaves before the earliest date because the council granted an exemption.
    Exempted,
    /// Is at risk if the address becomes known.
    AtRisk,
    /// Says yes to the college after the forms were sent.
    ConsentsLate,
    /// Says yes, then stop, then yes again.
    ChangesMind,
    /// Says yes, then stop.
    Withdraws,
    /// Says no.
    Refuses,
    /// Says yes, but the form does not read.
    ConsentedButFlawed,
    /// The form has a flaw.
    Flawed(Flaw),
}

/// What is wrong with a row of the import file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The candidate number's check digit is wrong.
    ScnCheckDigit,
    /// The postcode lacks a letter.
    Postcode,
    /// The day of leaving is before the law allows.
    LeavesTooEarly,
    /// A route is ranked twice.
    RouteTwice,
    /// The date of birth stands for an unknown one.
    BirthUnknown,
    /// The route is no code.
    NoSuchRoute,
    /// An offer is accepted that nobody made.
    OfferFromNobody,
    /// The surname is missing.
    SurnameMissing,
}

/// An invented young person who leaves school.
#[derive(Clone, Debug)]
pub struct Leaver {
    /// The council's own id.
    pub local_id: String,
    /// The candidate number, right or not; empty if there is none.
    pub scn: String,
    /// The given name.
    pub forename: String,
    /// The family name.
    pub surname: String,
    /// The birthday.
    pub born: Date,
    /// The part in the story.
    pub role: Role,
    /// Whether the leaver is still at school.
    pub at_school: bool,
    /// The day of leaving, planned or past.
    pub leaves: Date,
    /// Whether an ordinary leaver says yes to the college.
    pub says_yes: bool,
    pub(super) stay: Stay,
    pub(super) form_date: Date,
    pub(super) street: String,
    pub(super) town: &'static str,
    pub(super) postcode: String,
    pub(super) phone: String,
    pub(super) school: &'static str,
    pub(super) routes: Vec<Route>,
    pub(super) occupation: &'static str,
    pub(super) destination: Destination,
    pub(super) risk: Risk,
    pub(super) support_needs: Option<SupportCategory>,
    pub(super) care: Option<CareExperience>,
}

impl Leaver {
    /// What people call the leaver.
    pub fn name(&self) -> String {
        format!("{} {}", self.forename, self.surname)
    }

    /// Whether the school sees a high risk that the leaver will take no part in learning or work.
    pub(super) fn might_drop_out(&self) -> bool {
        self.risk == Risk::High
    }

    /// What the leaver, or a parent, says about the college.
    pub(super) fn says(&self, word: Word, moment: Moment, today: Date) -> Said {
        let age_years = age_years(self.born, today).unwrap_or_default();
        let own = word == Word::No || 16 <= age_years;
        Said {
            local_id: self.local_id.clone(),
            scn: self.scn.clone(),
            word,
            moment,
            speaker: if own { Speaker::Own } else { Speaker::Parent },
            age_years,
            sixteen: self.born.checked_add(16.years()).unwrap_or(self.born),
            leaves: self.leaves,
        }
    }
}

/// Everybody, in the order of the file.
pub(super) fn everybody<const N: usize>(
    dice: &mut Dice,
    seasons: Seasons,
    roles: [(usize, Role); N],
) -> Vec<Leaver> {
    let mut numbers = BTreeSet::new();
    let mut leavers: Vec<Leaver> = Vec::with_capacity(ROWS);
    for row in 0..ROWS {
        let role =
            roles.iter().find(|(at, _)| *at == row).map_or(Role::Ordinary, |(_, role)| *role);
        let mut leaver = somebody(dice, seasons, (row, role));
        let mut number = candidate_number(dice, seasons);
        while !numbers.insert(number.clone()) {
            number = candidate_number(dice, seasons);
        }
        leaver.scn = number;
        let before = leavers.last().filter(|last| last.role == Role::Twin);
        if let Some(twin) = before.filter(|_| role == Role::Twin) {
            leaver = twin_of(twin, leaver);
        }
        if role == Role::WithoutScn {
            leaver.scn.clear();
        }
        leavers.push(leaver);
    }
    leavers
}

fn somebody(dice: &mut Dice, seasons: Seasons, (row, role): (usize, Role)) -> Leaver {
    let stay = stay(dice, (row, role));
    let born = if role == Role::LeavesAtFifteen {
        seasons.born_in_august(stay, 15 + dice.below(14))
    } else {
        seasons.born(stay, (dice.below(7), dice.below(28)))
    };
    let forename = dice.one_of(&FORENAMES, "Ailsa").to_owned();
    let surname = surname(dice, role).to_owned();
    let form_date = seasons.days_ago(1 + dice.below(18));
    let at_school = !(role == Role::Ordinary && stay == Stay::SixthYear && dice.once_in(4));
    let leaves = if at_school {
        seasons.leaves(stay, born, dice.once_in(3))
    } else {
        form_date.checked_sub((3 + i64::from(dice.below(20))).days()).unwrap_or(form_date)
    };
    let (town, district) = TOWNS.get(usize::from(dice.below(4))).copied().unwrap_or(("", ""));
    let routes = routes(dice, role);
    let keen = routes.first() == Some(&Route::FurtherEducation);
    let risk = match dice.below(14) {
        0 => Risk::High,
        1..=3 => Risk::Medium,
        _more => Risk::Low,
    };
    Leaver {
        local_id: format!("IC-{}-{:04}", seasons.session(), row + 1),
        scn: String::new(),
        forename,
        surname,
        born,
        role,
        at_school,
        leaves,
        says_yes: keen && at_school && !dice.once_in(3),
        stay,
        form_date,
        street: format!("{} {}", 1 + dice.below(90), dice.one_of(&STREETS, "Kelp Street")),
        town,
        postcode: format!("{district} {}{}", dice.digit(), dice.one_of(&LETTERS, "AB")),
        phone: format!("01632960{}{}{}", dice.digit(), dice.digit(), dice.digit()),
        school: dice.one_of(&["8999991", "8999992", "8999993"], "8999991"),
        routes,
        occupation: dice.one_of(&["5434", "5231", "6111", "7111", "5315", "3213"], "5434"),
        destination: destination(dice),
        risk,
        support_needs: dice.once_in(5).then_some(SupportCategory::Dyslexia),
        care: dice.once_in(25).then_some(CareExperience::PreviouslyLookedAfter),
    }
}

/// A family name; those of whom the story tells are told apart by it.
fn surname(dice: &mut Dice, role: Role) -> &'static str {
    let drawn = dice.one_of(&SURNAMES, "Larkfield");
    match role {
        Role::Twin => "Harrowmuir",
        Role::LeavesAtFifteen => "Carnduff",
        Role::ConsentsLate => "Glenhuld",
        Role::ChangesMind => "Quarrelton",
        Role::Withdraws => "Strathorn",
        Role::Exempted => "Fairlock",
        Role::AtRisk => "Balfennan",
        Role::Ordinary
        | Role::WithoutScn
        | Role::Refuses
        | Role::ConsentedButFlawed
        | Role::Flawed(_) => drawn,
    }
}

/// The second of two twins: the other name and number, the same family, birthday and home.
fn twin_of(twin: &Leaver, other: Leaver) -> Leaver {
    let forename =
        if twin.forename == other.forename { "Blair".to_owned() } else { other.forename };
    Leaver {
        local_id: other.local_id,
        scn: other.scn,
        forename,
        phone: other.phone,
        routes: other.routes,
        occupation: other.occupation,
        ..twin.clone()
    }
}

fn stay(dice: &mut Dice, (row, role): (usize, Role)) -> Stay {
    let drawn = match dice.below(8) {
        0..=2 => Stay::FourthYear,
        3 | 4 => Stay::FifthYear,
        5 | 6 => Stay::SixthYear,
        _last => Stay::Christmas,
    };
    match role {
        Role::Twin
        | Role::ConsentsLate
        | Role::ChangesMind
        | Role::Withdraws
        | Role::ConsentedButFlawed => Stay::SixthYear,
        Role::LeavesAtFifteen | Role::Exempted => Stay::FourthYear,
        Role::Flawed(Flaw::LeavesTooEarly) => {
            if row.is_multiple_of(8) {
                Stay::Christmas
            } else {
                Stay::FourthYear
            }
        }
        Role::Ordinary | Role::WithoutScn | Role::AtRisk | Role::Refuses | Role::Flawed(_) => drawn,
    }
}

fn routes(dice: &mut Dice, role: Role) -> Vec<Route> {
    let college = matches!(
        role,
        Role::Twin
            | Role::ConsentsLate
            | Role::ChangesMind
            | Role::Withdraws
            | Role::Refuses
            | Role::ConsentedButFlawed
            | Role::LeavesAtFifteen
    );
    let first = match dice.below(10) {
        _any if college => Route::FurtherEducation,
        0..=3 => Route::FurtherEducation,
        4 | 5 => Route::ModernApprenticeship,
        6 => Route::HigherEducation,
        7 => Route::Employment,
        8 => Route::Training,
        _last => Route::VoluntaryWork,
    };
    let second = [Route::Employment, Route::Training, Route::ModernApprenticeship]
        .get(usize::from(dice.below(3)))
        .copied()
        .filter(|second| *second != first);
    [Some(first), second].into_iter().flatten().collect()
}

fn destination(dice: &mut Dice) -> Destination {
    match dice.below(6) {
        0 => Destination::Employment,
        1 => Destination::FurtherEducation,
        2 => Destination::ModernApprenticeship,
        3 => Destination::Training,
        4 => Destination::UnemployedSeeking,
        _last => Destination::VoluntaryWork,
    }
}

/// A candidate number that its check digit bears out.
fn candidate_number(dice: &mut Dice, seasons: Seasons) -> String {
    loop {
        let [tens, units] = seasons.issue_year();
        let mut body = [tens, units, 0, 0, 0, 0, 0, 0];
        for digit in body.iter_mut().skip(2) {
            *digit = dice.digit();
        }
        if let Some(check) = scn::check_digit(body) {
            return body.iter().chain([&check]).map(ToString::to_string).collect();
        }
    }
}
