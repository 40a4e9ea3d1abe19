//! What was said about sharing, and how: the arguments of `consent record` and `consent refuse`, and a row of an import.

use clap::Args;
use jiff::civil::Date;

use super::agencies;
use crate::{
    cli::{
        code::Code,
        error::CliError,
        name,
        session::{Change, Session, digest, request_text, unanswered},
        time,
    },
    model::{
        date,
        id::{AliasId, ConsentId, GroupName, HolderId, RecordTypeName},
        order::UnixMillis,
    },
    pb::{
        ledger::v1::{self as ledger, Milestone, command::Kind},
        v1::{self as pb, consent_service_client::ConsentServiceClient},
    },
};

/// What was said, and how.
#[derive(Debug, Args)]
pub(crate) struct Said {
    /// The client, by the calling agency's own name.
    #[arg(long, value_name = "CLIENT")]
    pub(super) client: String,
    /// The agency whose records it is about. Default: the calling one.
    #[arg(long, value_name = "AGENCY")]
    publisher: Option<String>,
    /// The type of record.
    #[arg(long = "type", value_name = "TYPE", default_value = "leaver-form")]
    record_type: RecordTypeName,
    /// A field group; repeat it, or separate several by commas.
    #[arg(long = "group", value_name = "GROUP", required = true, value_delimiter = ',')]
    groups: Vec<GroupName>,
    /// An agency that may, or may not, receive; repeat it, or separate several by commas.
    #[arg(long = "recipient", value_name = "AGENCY", required = true, value_delimiter = ',')]
    recipients: Vec<String>,
    /// Which kind of consent it is.
    #[arg(long, default_value = "data-protection-consent", value_parser = Code("concordat.ledger.v1.Gate"))]
    gate: i32,
    /// A purpose that it is for; repeat it, or separate several by commas. Default: every one that asks.
    #[arg(long = "for-purpose", value_name = "PURPOSE", value_delimiter = ',', value_parser = Code("concordat.ledger.v1.Purpose"))]
    purposes: Vec<i32>,
    /// Who spoke.
    #[arg(long, default_value = "self", value_parser = Code("concordat.ledger.v1.Grantor"))]
    grantor: i32,
    /// How the agency knows of that person's authority; required unless the client spoke.
    #[arg(long, value_parser = Code("concordat.ledger.v1.Authority"))]
    authority: Option<i32>,
    /// The client's age in whole years when it was given.
    #[arg(long, value_name = "YEARS")]
    age: u32,
    /// How it was given.
    #[arg(long, default_value = "form", value_parser = Code("concordat.ledger.v1.ConsentMethod"))]
    method: i32,
    /// When it was given: a date or an RFC 3339 time. Default: now.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(super) given: Option<UnixMillis>,
    /// SHA-256 of the privacy notice that was shown.
    #[arg(long, value_name = "HEX", value_parser = notice)]
    notice: Notice,
    #[command(flatten)]
    speaker: Speaker,
    #[command(flatten)]
    sealed: Sealed,
    #[command(flatten)]
    pub(super) change: Change,
}

/// Who spoke for the client, and until when they may.
#[derive(Debug, Args)]
struct Speaker {
    /// By what right somebody else speaks. Default: a parent's own rights.
    #[arg(long, value_parser = Code("concordat.ledger.v1.Mandate"))]
    mandate: Option<i32>,
    /// When that right ends: a date or an RFC 3339 time.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    authority_ends: Option<UnixMillis>,
    /// The person who spoke; see consent holder add.
    #[arg(long, value_name = "HOLDER")]
    holder: Option<String>,
    /// What an assessment of the client's understanding found.
    #[arg(long, value_parser = Code("concordat.ledger.v1.Competence"))]
    competence: Option<i32>,
    /// The client's own view, where somebody else speaks.
    #[arg(long, value_parser = Code("concordat.ledger.v1.ClientView"))]
    view: Option<i32>,
    /// Whether the client is of school age. Default: the age tells.
    #[arg(long, value_parser = Code("concordat.ledger.v1.SchoolAge"))]
    school_age: Option<i32>,
    /// The month in which the client turns 12: YYYY-MM. The day is never stated.
    #[arg(long, value_name = "MONTH", value_parser = month)]
    turns_12: Option<u32>,
    /// The month in which the client turns 16: YYYY-MM. The day is never stated.
    #[arg(long, value_name = "MONTH", value_parser = month)]
    turns_16: Option<u32>,
    /// The date on which the client may leave school.
    #[arg(long, value_name = "DATE", value_parser = date::parse)]
    leaves: Option<Date>,
}

/// What rides sealed in the ledger.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Sealed in the ledger")]
pub(super) struct Sealed {
    /// Where the agency keeps the evidence.
    #[arg(long, value_name = "REFERENCE", default_value = "", hide_default_value = true)]
    evidence: String,
    /// The language of the notice, such as gd.
    #[arg(long, value_name = "TAG", default_value = "", hide_default_value = true)]
    language: String,
    /// The form of the notice, such as "easy read".
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    format: String,
    /// Who witnessed a consent by word of mouth.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    witness: String,
    /// The person who spoke for the client.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    grantor_name: String,
    /// How that person stands to the client.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    grantor_relation: String,
    /// What the assessment found, in words.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    competence_note: String,
    /// The client's view, in the client's words.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    view_note: String,
    /// The name, version or address of the notice.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    notice_name: String,
    /// How to withdraw, as the person was told.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    withdrawal_channel: String,
    /// How long what is shared is kept, as the person was told.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    retention: String,
}

/// The digest of a privacy notice.
#[derive(Clone, Debug)]
struct Notice(Vec<u8>);

fn notice(text: &str) -> Result<Notice, String> {
    digest(text).map(Notice)
}

/// A month as a number of the form YYYYMM.
fn month(text: &str) -> Result<u32, String> {
    let malformed = || "give a month such as 2027-09, without the day".to_owned();
    let (year, month) = text.split_once('-').ok_or_else(malformed)?;
    let digits = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(year, 4) || !digits(month, 2) {
        return Err(malformed());
    }
    format!("{year}{month}").parse().map_err(|_| malformed())
}

impl Sealed {
    /// As evidence; `None` if nothing is given.
    pub(super) fn evidence(&self) -> Option<ledger::Evidence> {
        let Self { evidence, notice_name, .. } = self.clone();
        let detail = ledger::ConsentDetail {
            language: self.language.clone(),
            format: self.format.clone(),
            witness: self.witness.clone(),
            grantor_name: self.grantor_name.clone(),
            grantor_relation: self.grantor_relation.clone(),
            competence_note: self.competence_note.clone(),
            view_note: self.view_note.clone(),
            notice: notice_name,
            withdrawal_channel: self.withdrawal_channel.clone(),
            retention: self.retention.clone(),
        };
        let consent = Some(detail).filter(|detail| *detail != ledger::ConsentDetail::default());
        Some(ledger::Evidence { reference: evidence, consent })
            .filter(|evidence| *evidence != ledger::Evidence::default())
    }
}

impl Speaker {
    fn reviews(&self) -> Vec<ledger::ConsentReview> {
        let birthday = |milestone: Milestone, month: Option<u32>| {
            month.map(|month| ledger::ConsentReview { milestone: milestone.into(), month, day: 0 })
        };
        let number = |value: i8| u32::from(value.unsigned_abs());
        let leaving = self.leaves.map(|day| ledger::ConsentReview {
            milestone: Milestone::LeavingDate.into(),
            month: u32::from(day.year().unsigned_abs()) * 100 + number(day.month()),
            day: number(day.day()),
        });
        [
            birthday(Milestone::TwelfthBirthday, self.turns_12),
            leaving,
            birthday(Milestone::SixteenthBirthday, self.turns_16),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Said {
    fn scope(&self, session: &Session) -> Result<ledger::ConsentScope, CliError> {
        let publisher = match &self.publisher {
            Some(text) => name::id("agencies", text)?,
            None => session.agency()?,
        };
        let client: AliasId = name::id("clients", &self.client)?;
        Ok(ledger::ConsentScope {
            client: client.as_bytes().to_vec().into(),
            publisher: publisher.to_string(),
            record_type: self.record_type.to_string(),
            groups: self.groups.iter().map(ToString::to_string).collect(),
            recipients: agencies(&self.recipients)?,
            gate: self.gate,
            purposes: self.purposes.clone(),
        })
    }

    fn act(&self, session: &Session) -> Result<ledger::ConsentAct, CliError> {
        let speaker = &self.speaker;
        let holder = match &speaker.holder {
            Some(text) => name::id::<HolderId>("holders", text)?.as_bytes().to_vec(),
            None => Vec::new(),
        };
        Ok(ledger::ConsentAct {
            grantor: self.grantor,
            authority: self.authority.unwrap_or_default(),
            age_years: self.age,
            method: self.method,
            given_at_ms: self.given.unwrap_or_else(|| session.now()).millis(),
            notice_digest: self.notice.0.clone().into(),
            competence: speaker.competence.unwrap_or_default(),
            mandate: speaker.mandate.unwrap_or_default(),
            authority_ends_at_ms: speaker.authority_ends.map_or(0, UnixMillis::millis),
            holder: holder.into(),
            view: speaker.view.unwrap_or_default(),
            school_age: speaker.school_age.unwrap_or_default(),
            reviews: speaker.reviews(),
        })
    }

    /// Records it as a consent.
    pub(super) async fn record(
        &self,
        session: &mut Session,
        (expires, renews): (Option<UnixMillis>, Option<ConsentId>),
    ) -> Result<Option<pb::Consent>, CliError> {
        let request = session.request(&self.change);
        let record = ledger::RecordConsent {
            scope: Some(self.scope(session)?),
            act: Some(self.act(session)?),
            expires_at_ms: expires.map_or(0, UnixMillis::millis),
            renews: renews.map_or_else(Vec::new, |id| id.as_bytes().to_vec()).into(),
        };
        let signature = session.sign(request, &Kind::RecordConsent(record.clone())).await?;
        let answer = ConsentServiceClient::new(session.channel())
            .record_consent(pb::RecordConsentRequest {
                context: session.context(),
                request_id: request_text(request),
                record: Some(record),
                signature,
                evidence: self.sealed.evidence(),
                validate_only: self.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        Ok(answer.into_inner().consent)
    }

    /// Records it as a refusal.
    pub(super) async fn refuse(&self, session: &Session) -> Result<Option<pb::Consent>, CliError> {
        let request = session.request(&self.change);
        let refuse = ledger::RefuseConsent {
            scope: Some(self.scope(session)?),
            act: Some(self.act(session)?),
        };
        let answer = ConsentServiceClient::new(session.channel())
            .refuse_consent(pb::RefuseConsentRequest {
                context: session.context(),
                request_id: request_text(request),
                refuse: Some(refuse),
                evidence: self.sealed.evidence(),
                validate_only: self.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        Ok(answer.into_inner().consent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_has_one_form_and_no_day() {
        assert_eq!(month("2027-09"), Ok(202_709));
        for bad in ["", "2027", "2027-9", "27-09", "2027-09-14", "+027-09", "2027-0９"] {
            assert!(month(bad).is_err(), "{bad}");
        }
    }
}
