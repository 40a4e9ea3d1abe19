//! `concordat policy explain`: what a recipient gets of a record, and why, in sentences.
//!
//! The sentences are the exchange's own (`service/policy/sentence.rs`); a table shows them, JSON the whole answer, CSV and
//! NDJSON the decision about each field group.

use std::path::PathBuf;

use clap::Args;

use super::check;
use crate::{
    cli::{
        agreement::document,
        code::Code,
        consent::Reading,
        error::{CliError, Exit},
        json, name,
        output::{Column, Format, print},
        session::Session,
        time,
    },
    model::{
        id::{AgencyId, AgreementId, AliasId, GroupName, PolicyId, RecordId, RecordTypeName},
        order::UnixMillis,
    },
    pb::v1::{
        self as pb, explain_decision_request::Subject, policy_service_client::PolicyServiceClient,
    },
};

const ANSWER: &str = "concordat.v1.ExplainDecisionResponse";
const DECISION: &str = "concordat.v1.GroupDecision";
const COLUMNS: [Column; 5] = [
    ("GROUP", "field_group"),
    ("OUTCOME", "outcome"),
    ("WHY", "withheld_reason"),
    ("AGREEMENT", "ground.agreement"),
    ("FLOW", "ground.flow"),
];

/// A question about a release.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A record that the calling agency published.
    #[arg(long, value_name = "RECORD", required_unless_present_any = ["record_type", "decision"])]
    record: Option<String>,
    /// A past decision about such a record, decided anew: the id that a recipient quotes or that `record show` gives.
    #[arg(long, value_name = "ID", conflicts_with_all = ["record", "record_type"])]
    decision: Option<String>,
    /// The type of a record that might be published instead.
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "record")]
    record_type: Option<RecordTypeName>,
    /// A field group of that record; repeat it, or separate several by commas. Default: all of the type.
    #[arg(long = "group", value_name = "GROUP", requires = "record_type", value_delimiter = ',')]
    groups: Vec<GroupName>,
    #[command(flatten)]
    client: Described,
    /// The agency that would publish it. Default: the calling one; another one only if the calling one would receive.
    #[arg(long, value_name = "AGENCY", conflicts_with_all = ["record", "decision"])]
    publisher: Option<String>,
    /// The agency that would receive it.
    #[arg(
        long,
        value_name = "AGENCY",
        required_unless_present = "decision",
        conflicts_with = "decision"
    )]
    recipient: Option<String>,
    /// The purpose for which the recipient would read.
    #[arg(long, default_value = "school-leaver-transition", value_parser = Code("concordat.ledger.v1.Purpose"))]
    recipient_purpose: i32,
    /// When it would be released: a date or an RFC 3339 time, past or to come. Default: now.
    #[arg(long, value_name = "TIME", value_parser = time::parse, conflicts_with = "decision")]
    at: Option<UnixMillis>,
    /// As if a system of the recipient's would read, and no named member of staff.
    #[arg(long, conflicts_with = "decision")]
    unattended: bool,
    #[command(flatten)]
    assumed: Assumed,
    #[command(flatten)]
    reading: Reading,
}

/// Whom a described record would be about. Default: somebody without any consent or confirmed claim.
#[derive(Debug, Args)]
struct Described {
    /// The client, by the calling agency's own name.
    #[arg(long, value_name = "CLIENT", requires = "record_type", conflicts_with_all = ["age", "serves"])]
    client: Option<String>,
    /// The age in whole years of a client who is described and not named.
    #[arg(long, value_name = "YEARS", requires = "record_type")]
    age: Option<u32>,
    /// What that client, or somebody for them, said about the sharing. Default: nobody was asked.
    #[arg(long, requires = "age", value_parser = Code("concordat.v1.SpokenWord"))]
    word: Option<i32>,
    /// Who spoke.
    #[arg(long, default_value = "self", value_parser = Code("concordat.ledger.v1.Grantor"))]
    grantor: i32,
    /// How that person's authority is known.
    #[arg(long, value_parser = Code("concordat.ledger.v1.Authority"))]
    authority: Option<i32>,
    /// By what right somebody else spoke.
    #[arg(long, value_parser = Code("concordat.ledger.v1.Mandate"))]
    mandate: Option<i32>,
    /// The client's own view, where somebody else spoke.
    #[arg(long, value_parser = Code("concordat.ledger.v1.ClientView"))]
    view: Option<i32>,
    /// Whether the client is of school age.
    #[arg(long, value_parser = Code("concordat.ledger.v1.SchoolAge"))]
    school_age: Option<i32>,
    /// What an assessment of the client's understanding found.
    #[arg(long, value_parser = Code("concordat.ledger.v1.Competence"))]
    competence: Option<i32>,
    /// When the consent ends.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    expires: Option<UnixMillis>,
    /// The described client is in the recipient's confirmed caseload.
    #[arg(long, requires = "record_type")]
    serves: bool,
}

/// What is taken to be in force.
#[derive(Debug, Args)]
struct Assumed {
    /// Take this version of an agreement to be active: AGREEMENT@VERSION.
    #[arg(long, value_name = "AGREEMENT@VERSION", value_parser = assumed, conflicts_with = "decision")]
    assume: Option<pb::AgreementVersion>,
    /// Take a content that nobody has drafted to be active: AGREEMENT=FILE, in TOML or JSON.
    #[arg(long, value_name = "AGREEMENT=FILE", conflicts_with_all = ["assume", "decision"])]
    assume_file: Option<String>,
    /// Take a policy of the calling agency's to be in force: a file of one Cedar `forbid`, named after the policy.
    #[arg(long, value_name = "FILE", conflicts_with = "decision")]
    assume_policy: Vec<PathBuf>,
    /// Take a policy of the calling agency's to be removed.
    #[arg(long, value_name = "POLICY", conflicts_with = "decision")]
    without_policy: Vec<PolicyId>,
}

fn assumed(text: &str) -> Result<pb::AgreementVersion, String> {
    let parsed = text.split_once('@').and_then(|(agreement, version)| {
        let agreement = name::full::<AgreementId>("agreements", agreement).ok()?;
        Some(pb::AgreementVersion { agreement, version: version.parse().ok().filter(|v| *v != 0)? })
    });
    parsed
        .ok_or_else(|| "give an agreement and a version, such as school-leavers-2026@2".to_owned())
}

impl Explain {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let subject = match (&self.record, &self.decision, &self.record_type) {
            (Some(record), ..) => Subject::Record(name::full::<RecordId>("records", record)?),
            (None, Some(decision), _) => Subject::Decision(decision.clone()),
            (None, None, Some(record_type)) => {
                Subject::Described(self.client.record(record_type, &self.groups)?)
            }
            (None, None, None) => {
                return Err(CliError::new(Exit::Usage, "name a record or a type"));
            }
        };
        let agency = |id: &Option<String>| match id {
            Some(id) => name::full::<AgencyId>("agencies", id),
            None => Ok(String::new()),
        };
        let decided = self.decision.is_some();
        let request = pb::ExplainDecisionRequest {
            context: session.context(),
            reason: self.reading.reason,
            subject: Some(subject),
            recipient: agency(&self.recipient)?,
            recipient_purpose: if decided { 0 } else { self.recipient_purpose },
            publisher: agency(&self.publisher)?,
            at_time: self.at.map(time::proto),
            assumed_content: self.assumed.content(session).await?,
            assumed_policies: self.assumed.policies()?,
            assumed_agreement: self.assumed.assume,
            unattended_reader: self.unattended,
        };
        let answer = PolicyServiceClient::new(session.channel()).explain_decision(request).await?;
        shown(session, &answer.into_inner())
    }
}

/// Prints an explanation.
fn shown(session: &Session, answer: &pb::ExplainDecisionResponse) -> Result<(), CliError> {
    match session.output.0 {
        Format::Table => answer.sentences.iter().try_for_each(|line| print(&format!("{line}\n"))),
        Format::Json => session.output.one(&json::of(ANSWER, answer)),
        Format::Csv | Format::Ndjson => {
            let rows: Vec<_> = answer.decisions.iter().map(|row| json::of(DECISION, row)).collect();
            session.output.rows(&COLUMNS, &rows)
        }
    }
}

impl Described {
    fn record(
        &self,
        record_type: &RecordTypeName,
        groups: &[GroupName],
    ) -> Result<pb::DescribedRecord, CliError> {
        let client = match &self.client {
            Some(client) => name::full::<AliasId>("clients", client)?,
            None => String::new(),
        };
        let word = self.word.map(|spoken| pb::DescribedWord {
            spoken,
            grantor: self.grantor,
            authority: self.authority.unwrap_or_default(),
            mandate: self.mandate.unwrap_or_default(),
            view: self.view.unwrap_or_default(),
            said_time: None,
            expires_time: self.expires.map(time::proto),
        });
        let described = (self.age.is_some() || self.serves).then(|| pb::DescribedClient {
            age_years: self.age.unwrap_or_default(),
            school_age: self.school_age.unwrap_or_default(),
            competence: self.competence.unwrap_or_default(),
            word,
            caseload_confirmed: self.serves,
        });
        Ok(pb::DescribedRecord {
            record_type: record_type.to_string(),
            client,
            field_groups: groups.iter().map(ToString::to_string).collect(),
            described_client: described,
        })
    }
}

impl Assumed {
    async fn content(&self, session: &Session) -> Result<Option<pb::AssumedContent>, CliError> {
        let Some(text) = &self.assume_file else { return Ok(None) };
        let usage = || CliError::new(Exit::Usage, "give AGREEMENT=FILE, such as leavers=next.toml");
        let (agreement, file) = text.split_once('=').ok_or_else(usage)?;
        let agreement = name::full::<AgreementId>("agreements", agreement)?;
        let (content, _texts) = document::content(session, file.as_ref()).await?;
        Ok(Some(pb::AssumedContent { agreement, content: Some(content) }))
    }

    fn policies(&self) -> Result<Vec<pb::AssumedPolicy>, CliError> {
        let put = check::all(&self.assume_policy)?;
        let removed = self.without_policy.iter().map(|policy| (policy.clone(), String::new()));
        let policy =
            |(id, text): (PolicyId, String)| pb::AssumedPolicy { policy: id.to_string(), text };
        Ok(put.into_iter().chain(removed).map(policy).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assumed_agreement_names_its_version() {
        let parsed = assumed("school-leavers-2026@2").unwrap();
        assert_eq!(
            (parsed.agreement.as_str(), parsed.version),
            ("agreements/school-leavers-2026", 2)
        );
        for bad in ["school-leavers-2026", "x@0", "x@", "@1"] {
            assert!(assumed(bad).is_err(), "{bad}");
        }
    }
}
