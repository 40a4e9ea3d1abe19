//! A leaver as a row of the import file: the standard form filled in, and then the flaw of those who have one.

use jiff::{ToSpan, civil::Date};
use prost::Message;

use crate::{
    pb::record::v1::{
        Article6Basis, Article9Condition, LawfulBasis, LeaverForm, LegalPower,
        leaver_form::{
            Answer, Channel, ConfirmationMethod, Contact, Core, DestinationSource, Education,
            ExceptionalReason, Identity, Intention, OfferStatus, Outcome, RestrictedSupport,
            RiskBasis, Route, SafeContact, SpecialSupport, StaffRole, Stage, Status,
            StatutoryLeaveType, Support,
        },
    },
    record::{leaver_form::leaving::earliest_leaving, tabular::Layout, wire::MalformedRecord},
};

use super::person::{Flaw, Leaver, Role};

/// Inverclyde, by its S12 code.
pub(super) const COUNCIL: &str = "S12000018";
const NOTICE: &str = "leavers-2026.1";
/// The groups that the college may get by consent, as far as a form holds them.
const BY_CONSENT: [&str; 5] = ["core", "identity", "contact", "education", "intention"];

/// How long somebody stays at school.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    /// Leaves in summer at the end of the fourth year.
    FourthYear,
    /// Leaves in summer at the end of the fifth year.
    FifthYear,
    /// Leaves in summer at the end of the sixth year.
    SixthYear,
    /// Leaves at Christmas of the fifth year.
    Christmas,
}

/// The leaving dates that come next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seasons {
    today: Date,
    summer: i16,
    winter: i16,
}

impl Seasons {
    /// The seasons that follow a day: 31 May, and Christmas if there are ten days of school left before its holidays.
    pub(super) fn after(today: Date) -> Self {
        let before = |month, day| (today.month(), today.day()) < (month, day);
        let summer = if before(5, 31) { today.year() } else { today.year() + 1 };
        let winter = if before(12, 8) { today.year() } else { today.year() + 1 };
        Self { today, summer, winter }
    }

    /// The school session that ends in the coming summer.
    pub(super) const fn session(self) -> i16 {
        self.summer
    }

    /// The two digits of the year in which the candidate numbers were issued.
    pub(super) fn issue_year(self) -> [u8; 2] {
        let year = (self.summer - 5).rem_euclid(100);
        [year / 10, year % 10].map(|digit| u8::try_from(digit).unwrap_or_default())
    }

    /// The day that lies so many days back.
    pub(super) fn days_ago(self, days: u8) -> Date {
        self.today.checked_sub(i64::from(days).days()).unwrap_or(self.today)
    }

    /// A birthday that leads to leaving so, from a choice of 7 months and 28 days.
    pub(super) fn born(self, stay: Stay, (month, day): (u8, u8)) -> Date {
        let small = |number: u8| i8::try_from(number).unwrap_or_default();
        let (year, month) = match stay {
            Stay::FourthYear => (self.summer - 16, 3 + small(month)),
            Stay::FifthYear => (self.summer - 17, 3 + small(month)),
            Stay::SixthYear => (self.summer - 18, 3 + small(month)),
            Stay::Christmas if month < 4 => (self.winter - 16, 10 + small(month % 3)),
            Stay::Christmas => (self.winter - 15, 1 + small(month % 2)),
        };
        Date::new(year, month, 1 + small(day % 28)).unwrap_or(self.today)
    }

    /// A birthday in August.
    pub(super) fn born_in_august(self, stay: Stay, day: u8) -> Date {
        let born = self.born(stay, (5, 0));
        Date::new(born.year(), 8, i8::try_from(day).unwrap_or(15)).unwrap_or(born)
    }

    /// The day on which somebody plans to leave; the older may wait for the end of term.
    pub(super) fn leaves(self, stay: Stay, born: Date, waits: bool) -> Date {
        let day = match stay {
            Stay::FifthYear | Stay::SixthYear if waits => Date::new(self.summer, 6, 25).ok(),
            Stay::FourthYear | Stay::FifthYear | Stay::SixthYear => {
                Date::new(self.summer, 5, 31).ok()
            }
            Stay::Christmas => earliest_leaving(born, COUNCIL).map(|earliest| earliest.date),
        };
        day.unwrap_or(self.today)
    }
}

/// The row of a leaver under the layout of the import file.
pub(super) fn row(leaver: &Leaver, layout: &Layout) -> Result<Vec<String>, MalformedRecord> {
    let mut row = layout.write(&form(leaver).encode_to_vec())?;
    if leaver.role == Role::Flawed(Flaw::NoSuchRoute) {
        let routes = layout.header().position(|name| name == "intention.preferred_routes");
        if let Some(cell) = routes.and_then(|at| row.get_mut(at)) {
            "GAP_YEAR".clone_into(cell);
        }
    }
    Ok(row)
}

fn form(leaver: &Leaver) -> LeaverForm {
    let mut form = LeaverForm {
        core: Some(Core {
            form_date: leaver.form_date.to_string(),
            status: if leaver.at_school { Status::Planned } else { Status::Left }.into(),
            ..Core::default()
        }),
        identity: Some(Identity {
            scn: leaver.scn.clone(),
            source_local_id: leaver.local_id.clone(),
            forename: leaver.forename.clone(),
            surname: leaver.surname.clone(),
            date_of_birth: leaver.born.to_string(),
            ..Identity::default()
        }),
        contact: Some(contact(leaver)),
        safe_contact: (leaver.role == Role::AtRisk).then(|| SafeContact {
            channel: Channel::LeadWorker.into(),
            address_lines: vec![leaver.street.clone(), leaver.town.to_owned()],
            postcode: leaver.postcode.clone(),
            ..SafeContact::default()
        }),
        education: Some(education(leaver)),
        intention: leaver.at_school.then(|| intention(leaver)),
        outcome: (!leaver.at_school).then(|| outcome(leaver)),
        support: Some(Support {
            risk: leaver.risk.into(),
            risk_basis: RiskBasis::RiskMatrix.into(),
            risk_assessor_role: StaffRole::GuidanceTeacher.into(),
            young_carer: Answer::NotStated.into(),
            ..Support::default()
        }),
        special_support: leaver.support_needs.map(|needs| SpecialSupport {
            additional_support_needs: Answer::Yes.into(),
            categories: vec![needs.into()],
            ..SpecialSupport::default()
        }),
        restricted_support: leaver
            .care
            .map(|care| RestrictedSupport { care_experience: care.into() }),
        ..LeaverForm::default()
    };
    form.lawful_basis = lawful_basis(&form);
    if let Role::Flawed(flaw) = leaver.role {
        spoil(&mut form, flaw);
    } else if leaver.role == Role::ConsentedButFlawed {
        spoil(&mut form, Flaw::Postcode);
    }
    form
}

fn contact(leaver: &Leaver) -> Contact {
    let reachable = Contact {
        phone: leaver.phone.clone(),
        email: format!("{}@example.org", leaver.local_id.to_ascii_lowercase()),
        preferred_contact: Channel::Text.into(),
        ..Contact::default()
    };
    if leaver.role == Role::AtRisk {
        return reachable;
    }
    Contact {
        address_lines: vec![leaver.street.clone(), leaver.town.to_owned()],
        postcode: leaver.postcode.clone(),
        ..reachable
    }
}

fn education(leaver: &Leaver) -> Education {
    let (stage, leave_type) = match leaver.stay {
        Stay::FourthYear => (Stage::S4, StatutoryLeaveType::Summer),
        Stay::FifthYear => (Stage::S5, StatutoryLeaveType::Post),
        Stay::SixthYear => (Stage::S6, StatutoryLeaveType::Post),
        Stay::Christmas => (Stage::S5, StatutoryLeaveType::Winter),
    };
    let (anticipated, actual) = match (leaver.at_school, leaver.role) {
        (false, _) => (None, Some(leaver.leaves)),
        (true, Role::Exempted) => (Some(two_months_before(leaver.leaves)), None),
        (true, _) => (Some(leaver.leaves), None),
    };
    let text = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
    let exempted = leaver.role == Role::Exempted;
    Education {
        school_seed_code: leaver.school.to_owned(),
        stage: stage.into(),
        council_code: COUNCIL.to_owned(),
        statutory_leave_type: leave_type.into(),
        anticipated_leave_date: text(anticipated),
        actual_leave_date: text(actual),
        exceptional_reason: if exempted { ExceptionalReason::Exemption.into() } else { 0 },
    }
}

fn two_months_before(day: Date) -> Date {
    day.checked_sub(2.months()).unwrap_or(day)
}

fn intention(leaver: &Leaver) -> Intention {
    let college = leaver.routes.first() == Some(&Route::FurtherEducation);
    Intention {
        preferred_routes: leaver.routes.iter().map(|route| i32::from(*route)).collect(),
        preferred_occupations: vec![leaver.occupation.to_owned()],
        offer_status: if college { OfferStatus::Applied } else { OfferStatus::None }.into(),
        offer_provider: if college { "glen-college" } else { "" }.to_owned(),
        ..Intention::default()
    }
}

fn outcome(leaver: &Leaver) -> Outcome {
    Outcome {
        destination: leaver.destination.into(),
        destination_start_date: leaver.leaves.to_string(),
        destination_source: DestinationSource::School.into(),
        confirmation_method: ConfirmationMethod::Staff.into(),
        confirmation_date: leaver.form_date.to_string(),
    }
}

/// A row for each group and basis: the duty to Skills Development Scotland, consent to the college, the council's power
/// to help the voluntary provider, and the council's own task for what goes to nobody by default.
fn lawful_basis(form: &LeaverForm) -> Vec<LawfulBasis> {
    let row = |group: &str, article_6: Article6Basis, legal_power: LegalPower| LawfulBasis {
        group: group.to_owned(),
        article_6: article_6.into(),
        legal_power: legal_power.into(),
        notice_version: NOTICE.to_owned(),
        ..LawfulBasis::default()
    };
    let special = |article_9: Article9Condition, row: LawfulBasis| LawfulBasis {
        article_9: article_9.into(),
        ..row
    };
    let held = |group: &str| match group {
        "intention" => form.intention.is_some(),
        "outcome" => form.outcome.is_some(),
        "support-special" => form.special_support.is_some(),
        "contact-restricted" => form.safe_contact.is_some(),
        "support-restricted" => form.restricted_support.is_some(),
        _always => true,
    };
    let duty = |group| row(group, Article6Basis::LegalObligation, LegalPower::Post16Order2014);
    let consent = |group| row(group, Article6Basis::Consent, LegalPower::AdditionalSupportAct2004);
    let task = |group| row(group, Article6Basis::PublicTask, LegalPower::NamedInAgreement);
    let by_duty = ["core", "identity", "contact", "education", "intention", "outcome", "support"];
    let mut rows: Vec<_> = by_duty.into_iter().filter(|group| held(group)).map(duty).collect();
    if held("support-special") {
        let public_interest = Article9Condition::SubstantialPublicInterest;
        rows.push(special(public_interest, duty("support-special")));
    }
    rows.extend(BY_CONSENT.into_iter().filter(|group| held(group)).map(consent));
    if held("support-special") {
        rows.push(special(Article9Condition::ExplicitConsent, consent("support-special")));
    }
    let by_task = ["core", "intention", "contact-restricted", "support-restricted"];
    rows.extend(by_task.into_iter().filter(|group| held(group)).map(task));
    rows
}

/// Makes a form wrong in exactly one way.
fn spoil(form: &mut LeaverForm, flaw: Flaw) {
    let LeaverForm { identity, contact, education, intention, .. } = form;
    match flaw {
        Flaw::ScnCheckDigit => {
            if let Some(last) = identity.as_mut().and_then(|identity| identity.scn.pop()) {
                let wrong = last.to_digit(10).map_or(0, |digit| (digit + 1) % 10);
                identity.get_or_insert_default().scn.push_str(&wrong.to_string());
            }
        }
        Flaw::Postcode => {
            let _last = contact.get_or_insert_default().postcode.pop();
        }
        Flaw::LeavesTooEarly => {
            let day = &mut education.get_or_insert_default().anticipated_leave_date;
            if let Ok(planned) = day.parse() {
                *day = two_months_before(planned).to_string();
            }
        }
        Flaw::RouteTwice => {
            let routes = &mut intention.get_or_insert_default().preferred_routes;
            if let Some(first) = routes.first().copied() {
                *routes = vec![first, first];
            }
        }
        Flaw::BirthUnknown => {
            "1900-01-01".clone_into(&mut identity.get_or_insert_default().date_of_birth);
        }
        Flaw::OfferFromNobody => {
            let intention = intention.get_or_insert_default();
            intention.offer_status = OfferStatus::Accepted.into();
            intention.offer_provider.clear();
        }
        Flaw::SurnameMissing => identity.get_or_insert_default().surname.clear(),
        // No form can say it; the cell does.
        Flaw::NoSuchRoute => {}
    }
}
