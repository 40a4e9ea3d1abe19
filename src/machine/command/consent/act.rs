//! Who said something about sharing, by what right, and when it must be asked for anew.
//!
//! No date of birth stands in clear. A milestone at a birthday is stated by its month alone and falls due on the first
//! day of that month, or at its end if the act was of that very month; a leaving date, of which there are two a year, is
//! stated as it is. Whether a milestone is needed and plausible is decided by the rules.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use jiff::{ToSpan, civil::Date};

use crate::{
    machine::command::{code, digest, malformed, optional_code},
    model::{digest::Digest, id::HolderId, order::UnixMillis, violation::Violation},
    pb::ledger::v1 as pb,
};

/// The greatest age that anybody is recorded with, in whole years.
pub const AGE_YEARS_MAX: u32 = 130;
/// The greatest number of milestones of one act.
const REVIEWS_MAX: usize = 3;
/// One day, in seconds.
const DAY_SECONDS: u64 = 86_400;
/// The day on which times are counted from.
const EPOCH: Date = Date::constant(1970, 1, 1);

/// How and by whom a consent or refusal was expressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Who spoke.
    pub grantor: pb::Grantor,
    /// How the agency knows of that person's authority.
    pub authority: pb::Authority,
    /// The client's age in whole years, at most [`AGE_YEARS_MAX`].
    pub age_years: u32,
    /// How it was given.
    pub method: pb::ConsentMethod,
    /// When it was given.
    pub given_at: UnixMillis,
    /// SHA-256 of the privacy notice that was shown.
    pub notice_digest: Digest,
    /// What an assessment found, if there was one.
    pub competence: pb::Competence,
    /// By what right somebody else spoke.
    pub mandate: pb::Mandate,
    /// When that right ends.
    pub authority_ends_at: Option<UnixMillis>,
    /// The person who spoke.
    pub holder: Option<HolderId>,
    /// The client's own view.
    pub view: pb::ClientView,
    /// Whether the client is of school age.
    pub school_age: pb::SchoolAge,
    /// When somebody else may come to speak; in the order of the milestones, each once.
    pub reviews: Vec<Review>,
}

/// A milestone at which somebody else may come to speak for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Review {
    /// `Milestone`.
    pub milestone: i32,
    /// The month, as a number of the form YYYYMM.
    pub month: u32,
    /// The day of a leaving date; 0 for a birthday.
    pub day: u32,
}

impl TryFrom<Option<pb::ConsentAct>> for Act {
    type Error = Violation;

    fn try_from(message: Option<pb::ConsentAct>) -> Result<Self, Violation> {
        let pb::ConsentAct {
            grantor,
            authority,
            age_years,
            method,
            given_at_ms,
            notice_digest,
            competence,
            mandate,
            authority_ends_at_ms,
            holder: person,
            view,
            school_age,
            reviews,
        } = message.ok_or_else(|| malformed("act", "a consent is an act of somebody"))?;
        if AGE_YEARS_MAX < age_years {
            return Err(malformed("act.age_years", "an age is at most 130 whole years"));
        }
        let ends_at = UnixMillis::new(authority_ends_at_ms);
        let act = Self {
            grantor: code(grantor, "act.grantor")?,
            authority: optional_code(authority, "act.authority")?,
            age_years,
            method: code(method, "act.method")?,
            given_at: UnixMillis::new(given_at_ms),
            notice_digest: digest(&notice_digest, "act.notice_digest")?,
            competence: optional_code(competence, "act.competence")?,
            mandate: optional_code(mandate, "act.mandate")?,
            authority_ends_at: (authority_ends_at_ms != 0).then_some(ends_at),
            holder: holder(&person, "act.holder")?,
            view: optional_code(view, "act.view")?,
            school_age: optional_code(school_age, "act.school_age")?,
            reviews: milestones(reviews)?,
        };
        let own = act.grantor == pb::Grantor::Self_;
        if own && (act.holder.is_some() || act.authority_ends_at.is_some()) {
            return Err(malformed("act.holder", "the client needs nobody's authority"));
        }
        Ok(act)
    }
}

/// A person's id; none if it is empty.
pub(super) fn holder(bytes: &[u8], field: &str) -> Result<Option<HolderId>, Violation> {
    if bytes.is_empty() {
        return Ok(None);
    }
    HolderId::from_slice(bytes).map(Some).map_err(|violation| violation.inside(field))
}

fn milestones(messages: Vec<pb::ConsentReview>) -> Result<Vec<Review>, Violation> {
    let twice = || malformed("act.reviews", "at most three milestones, each once");
    if REVIEWS_MAX < messages.len() {
        return Err(twice());
    }
    let mut reviews: Vec<Review> =
        messages.into_iter().map(Review::try_from).collect::<Result<_, _>>()?;
    reviews.sort_unstable();
    let kinds: BTreeSet<i32> = reviews.iter().map(|review| review.milestone).collect();
    if kinds.len() == reviews.len() { Ok(reviews) } else { Err(twice()) }
}

impl TryFrom<pb::ConsentReview> for Review {
    type Error = Violation;

    fn try_from(message: pb::ConsentReview) -> Result<Self, Violation> {
        let pb::ConsentReview { milestone, month, day } = message;
        let milestone: pb::Milestone = code(milestone, "act.reviews.milestone")?;
        let dated = match milestone {
            pb::Milestone::LeavingDate => day != 0,
            pb::Milestone::TwelfthBirthday | pb::Milestone::SixteenthBirthday => day == 0,
            pb::Milestone::AuthorityEnd | pb::Milestone::Unspecified => false,
        };
        let review = Self { milestone: i32::from(milestone), month, day };
        let in_bounds = (199_001..=220_012).contains(&month);
        if !dated || !in_bounds || review.first_day().is_none() {
            return Err(malformed(
                "act.reviews",
                "a birthday is stated by its month, YYYYMM, and never by its day; a leaving date by month and day",
            ));
        }
        Ok(review)
    }
}

impl Review {
    /// The day on which it falls due.
    fn first_day(self) -> Option<Date> {
        let year = i16::try_from(self.month / 100).ok()?;
        let month = i8::try_from(self.month % 100).ok()?;
        Date::new(year, month, i8::try_from(self.day.max(1)).ok()?).ok()
    }

    /// When it falls due for something said at `given_at`, in UTC: at the beginning of its day, or of its month. What was
    /// said in the month of a birthday, before it, falls due at the end of that month.
    pub fn due_at(self, given_at: UnixMillis) -> UnixMillis {
        let Some(first_day) = self.first_day() else { return UnixMillis::EPOCH };
        let due = midnight(first_day);
        let next_month = first_day.checked_add(1.month()).map(midnight);
        match next_month {
            Ok(next_month) if self.day == 0 && due <= given_at => next_month,
            Ok(_) | Err(_) => due,
        }
    }

    /// The latest place of a milestone for somebody who was `age_years` old at `given_at`; `None` for one that does not
    /// derive from an age.
    pub fn latest(
        milestone: pb::Milestone,
        (given_at, age_years): (UnixMillis, u32),
    ) -> Option<Self> {
        let given = day_of(given_at)?;
        let years = match milestone {
            pb::Milestone::TwelfthBirthday => 12,
            pb::Milestone::LeavingDate | pb::Milestone::SixteenthBirthday => 16,
            pb::Milestone::AuthorityEnd | pb::Milestone::Unspecified => return None,
        };
        let left = i64::from(years).checked_sub(i64::from(age_years))?.max(0);
        let at = given.checked_add(left.years()).ok()?;
        let month = u32::try_from(at.year()).ok()?.checked_mul(100)?;
        let month = month.checked_add(u32::try_from(at.month()).ok()?)?;
        let dated = milestone == pb::Milestone::LeavingDate;
        let day = if dated { u32::try_from(at.day()).ok()? } else { 0 };
        Some(Self { milestone: i32::from(milestone), month, day })
    }

    /// Whether the milestone can be the day on which somebody becomes `years` old who was `age_years` old at `given_at`.
    pub fn fits_birthday(self, years: u32, (given_at, age_years): (UnixMillis, u32)) -> bool {
        let window = || {
            let given = day_of(given_at)?;
            let left = i64::from(years).checked_sub(i64::from(age_years))?;
            let last = given.checked_add(left.years()).ok()?;
            let before = given.checked_add(left.checked_sub(1)?.years()).ok()?;
            let first_day = self.first_day()?;
            let next_month = first_day.checked_add(1.month()).ok()?;
            Some(first_day <= last && before < next_month)
        };
        window().unwrap_or(false)
    }

    /// Whether a leaving date can lie there: not later than a year after the sixteenth birthday.
    pub fn fits_leaving(self, (given_at, age_years): (UnixMillis, u32)) -> bool {
        let bound = || {
            let left = 17_i64.checked_sub(i64::from(age_years))?.max(1);
            let last = day_of(given_at)?.checked_add(left.years()).ok()?;
            Some(self.first_day()? <= last)
        };
        bound().unwrap_or(false)
    }
}

/// The beginning of a day in UTC.
fn midnight(day: Date) -> UnixMillis {
    let seconds = day.duration_since(EPOCH).as_secs();
    UnixMillis::new(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000))
}

/// The day of an instant in UTC.
fn day_of(at: UnixMillis) -> Option<Date> {
    let days = i32::try_from(at.millis() / 1_000 / DAY_SECONDS).ok()?;
    EPOCH.checked_add(days.days()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-08-03T09:00:00Z.
    const GIVEN: UnixMillis = UnixMillis::new(1_785_747_600_000);

    fn review(milestone: pb::Milestone, month: u32, day: u32) -> Result<Review, Violation> {
        Review::try_from(pb::ConsentReview { milestone: i32::from(milestone), month, day })
    }

    #[test]
    fn a_birthday_is_never_stated_by_its_day() {
        use pb::Milestone::{AuthorityEnd, LeavingDate, SixteenthBirthday, TwelfthBirthday};
        assert!(review(TwelfthBirthday, 202_709, 0).is_ok());
        assert!(review(TwelfthBirthday, 202_709, 14).is_err());
        assert!(review(SixteenthBirthday, 202_713, 0).is_err());
        assert!(review(LeavingDate, 202_705, 31).is_ok());
        assert!(review(LeavingDate, 202_705, 0).is_err());
        assert!(review(LeavingDate, 202_702, 30).is_err());
        assert!(review(AuthorityEnd, 202_702, 1).is_err());
        assert!(review(TwelfthBirthday, 27, 0).is_err());
    }

    #[test]
    fn a_review_falls_due_at_the_beginning_of_its_day_or_month_or_at_the_end_of_the_present_one() {
        let due = |month, day| Review { milestone: 2, month, day }.due_at(GIVEN).millis();
        assert_eq!(due(202_608, 3), 1_785_715_200_000);
        assert_eq!(due(202_609, 0), 1_788_220_800_000);
        assert_eq!(due(202_608, 0), 1_788_220_800_000);
        assert_eq!(due(199_001, 1), 631_152_000_000);
    }

    #[test]
    fn a_birthday_lies_within_a_year_of_what_the_age_says() {
        let fits =
            |month, age| Review { milestone: 1, month, day: 0 }.fits_birthday(12, (GIVEN, age));
        // Eleven on 3 August 2026: twelve between 4 August 2026 and 3 August 2027.
        for (month, age, expected) in [
            (202_607, 11, false),
            (202_608, 11, true),
            (202_708, 11, true),
            (202_709, 11, false),
            (203_108, 7, true),
            (203_107, 6, false),
            (202_608, 12, true),
            (202_609, 12, false),
        ] {
            assert_eq!(fits(month, age), expected, "{month} {age}");
        }
    }
}
