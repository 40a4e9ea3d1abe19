//! What a question describes: a record, a client who is nobody in particular, what was said, and policies that are not in
//! force. Shape only; who may speak is decided by the machine.

use std::collections::BTreeSet;

use prost_types::Timestamp;

use crate::{
    machine::{
        command::consent::{AGE_YEARS_MAX, Act},
        read::explain::{DescribedClient, DescribedWord, Spoken, Subject, Whom},
    },
    model::{
        digest::Digest,
        id::{GroupName, PolicyId},
        limit,
        order::UnixMillis,
        violation::Violation,
    },
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, explain_decision_request::Subject as Given},
    },
    service::{name, time::millis},
};

/// How many policies one question assumes.
const POLICIES_MAX: usize = 64;

/// What would be released; what is said is said at `said_at` unless it says when.
pub(super) fn subject(subject: Given, said_at: UnixMillis) -> Result<Subject, Violation> {
    match subject {
        Given::Record(text) => Ok(Subject::Record(name::parse(&text, "record")?)),
        Given::Described(described) => record(described, said_at),
        Given::Decision(_) => Err(Violation::new("decision", "NOT_TOGETHER", "ask for it alone")),
    }
}

fn record(described: pb::DescribedRecord, said_at: UnixMillis) -> Result<Subject, Violation> {
    let pb::DescribedRecord { record_type, client, field_groups, described_client } = described;
    if limit::GROUPS_MAX < field_groups.len() {
        let text = "a record holds at most 32 field groups";
        return Err(Violation::new("described.field_groups", "OUT_OF_RANGE", text));
    }
    let inside = |field: &'static str| move |violation: Violation| violation.inside(field);
    let groups: BTreeSet<GroupName> = field_groups
        .iter()
        .map(|group| group.parse().map_err(inside("described.field_groups")))
        .collect::<Result<_, _>>()?;
    let client = match (client.as_str(), described_client) {
        ("", None) => Whom::Nobody,
        ("", Some(client)) => Whom::Described(Box::new(self::client(client, said_at)?)),
        (text, None) => Whom::Own(name::parse(text, "described.client")?),
        (_, Some(_)) => {
            let text = "name a client or describe one, not both";
            return Err(Violation::new("described.described_client", "NOT_TOGETHER", text));
        }
    };
    let record_type = record_type.parse().map_err(inside("described.record_type"))?;
    Ok(Subject::Described { record_type, client, groups })
}

fn client(client: pb::DescribedClient, said_at: UnixMillis) -> Result<DescribedClient, Violation> {
    let pb::DescribedClient { age_years, school_age, competence, word, caseload_confirmed } =
        client;
    if AGE_YEARS_MAX < age_years {
        let text = "an age is at most 130 whole years";
        return Err(Violation::new("described_client.age_years", "OUT_OF_RANGE", text));
    }
    let Some(word) = word else {
        return Ok(DescribedClient { word: None, served: caseload_confirmed });
    };
    let pb::DescribedWord { spoken, grantor, authority, mandate, view, said_time, expires_time } =
        word;
    let at = |time: Option<Timestamp>, field| time.map(|at| millis(&at, field)).transpose();
    let given_at = at(said_time, "described_client.word.said_time")?.unwrap_or(said_at);
    if said_at < given_at {
        let text = "what is described was said in the past";
        return Err(Violation::new("described_client.word.said_time", "OUT_OF_RANGE", text));
    }
    let act = Act {
        grantor: code(grantor, &ledger::Grantor::Unspecified, "described_client.word.grantor")?,
        authority: known(authority, "described_client.word.authority")?,
        age_years,
        method: ledger::ConsentMethod::Form,
        given_at,
        notice_digest: Digest::of_concatenation(&[]),
        competence: known(competence, "described_client.competence")?,
        mandate: known(mandate, "described_client.word.mandate")?,
        authority_ends_at: None,
        holder: None,
        view: known(view, "described_client.word.view")?,
        school_age: known(school_age, "described_client.school_age")?,
        reviews: Vec::new(),
    };
    let spoken: pb::SpokenWord =
        code(spoken, &pb::SpokenWord::Unspecified, "described_client.word.spoken")?;
    let word = DescribedWord {
        act,
        spoken: match spoken {
            pb::SpokenWord::Given | pb::SpokenWord::Unspecified => Spoken::Given,
            pb::SpokenWord::Refused => Spoken::Refused,
            pb::SpokenWord::Withdrawn => Spoken::Withdrawn,
        },
        expires_at: at(expires_time, "described_client.word.expires_time")?,
    };
    Ok(DescribedClient { word: Some(word), served: caseload_confirmed })
}

/// A published code, or none.
fn known<E: TryFrom<i32>>(number: i32, field: &str) -> Result<E, Violation> {
    let text = "choose one of the published codes";
    E::try_from(number).map_err(|_| Violation::new(field, "UNKNOWN_CODE", text))
}

/// A published code, and not none.
fn code<E: TryFrom<i32> + PartialEq>(number: i32, none: &E, field: &str) -> Result<E, Violation> {
    let code: E = known(number, field)?;
    if code == *none {
        return Err(Violation::new(field, "UNKNOWN_CODE", "choose one of the published codes"));
    }
    Ok(code)
}

/// The policies that are taken to be in force, or not to be.
pub(super) fn policies(
    assumed: Vec<pb::AssumedPolicy>,
) -> Result<Vec<(PolicyId, Option<String>)>, Violation> {
    if POLICIES_MAX < assumed.len() {
        let text = "at most 64 policies are assumed at once";
        return Err(Violation::new("assumed_policies", "OUT_OF_RANGE", text));
    }
    let policy = |assumed: pb::AssumedPolicy| {
        let pb::AssumedPolicy { policy, text } = assumed;
        let id = policy.parse().map_err(|v: Violation| v.inside("assumed_policies.policy"))?;
        Ok((id, (!text.is_empty()).then_some(text)))
    };
    assumed.into_iter().map(policy).collect()
}
