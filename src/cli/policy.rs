//! `concordat policy`: an agency's own policies, which only narrow; and why a record would or would not leave.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{
        code::Code,
        consent::Reading,
        error::{CliError, Exit},
        json, name,
        output::{Column, words},
        session::{
            Caller, Change, PAGE_ROWS, Session, every_row, incomplete, request_text, unanswered,
        },
    },
    machine::access::verdict::{SCHEMA, SCHEMA_VERSION},
    model::id::{AgencyId, AgreementId, AliasId, GroupName, PolicyId, RecordId, RecordTypeName},
    pb::{
        ledger::v1::{self as ledger, command::Kind},
        v1::{
            self as pb, explain_decision_request::Subject,
            policy_service_client::PolicyServiceClient,
        },
    },
};

mod check;
mod trial;

const MESSAGE: &str = "concordat.v1.Policy";
const COLUMNS: [Column; 3] = [("NAME", "name"), ("SCHEMA", "schema_version"), ("PUT", "put_time")];
const DECISION_COLUMNS: [Column; 5] = [
    ("GROUP", "field_group"),
    ("OUTCOME", "outcome"),
    ("WHY", "withheld_reason"),
    ("AGREEMENT", "ground.agreement"),
    ("FLOW", "ground.flow"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Put a policy, or replace the one of the same id. Signed by the calling agency's key.
    Put {
        /// The policy's id.
        policy: PolicyId,
        /// One Cedar `forbid` policy; `-` for standard input. Comments and spacing are dropped.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        change: Change,
    },
    /// Remove a policy. What it alone held back is released. Signed by the calling agency's key.
    Remove {
        /// The policy.
        policy: String,
        #[command(flatten)]
        change: Change,
    },
    /// List the calling agency's policies.
    Ls,
    /// Show one policy.
    Show {
        /// The policy.
        policy: String,
    },
    /// Check policies without an exchange: each by itself, then what they would do together. Prints each in the form in
    /// which it would be kept.
    Check {
        /// Files of one Cedar `forbid` policy each; `-` for standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Try policies on described releases without an exchange. Ends with code 5 if a case turns out otherwise.
    Test {
        /// The cases, in YAML: `policies` (files beside it), `given` (what all cases have in common) and `cases`.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the schema that policies are written over.
    Schema,
    /// Say what a recipient would get of a record of the calling agency's, and why.
    Explain(Explain),
}

/// A question about a release.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A record that the calling agency published.
    #[arg(long, value_name = "RECORD", required_unless_present = "record_type")]
    record: Option<String>,
    /// The type of a record that it might publish instead.
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "record")]
    record_type: Option<RecordTypeName>,
    /// The client of that record. Default: one without any consent or confirmed claim.
    #[arg(long, value_name = "CLIENT", requires = "record_type")]
    client: Option<String>,
    /// A field group of that record; repeat it, or separate several by commas. Default: all of the type.
    #[arg(long = "group", value_name = "GROUP", requires = "record_type", value_delimiter = ',')]
    groups: Vec<GroupName>,
    /// The agency that would receive it.
    #[arg(long, value_name = "AGENCY")]
    recipient: String,
    /// The purpose for which the recipient would read.
    #[arg(long, default_value = "school-leaver-transition", value_parser = Code("concordat.ledger.v1.Purpose"))]
    recipient_purpose: i32,
    /// Take this version of an agreement to be active: AGREEMENT@VERSION.
    #[arg(long, value_name = "AGREEMENT@VERSION", value_parser = assumed)]
    assume: Option<pb::AgreementVersion>,
    #[command(flatten)]
    reading: Reading,
}

fn assumed(text: &str) -> Result<pb::AgreementVersion, String> {
    let parsed = text.split_once('@').and_then(|(agreement, version)| {
        let agreement = name::full::<AgreementId>("agreements", agreement).ok()?;
        Some(pb::AgreementVersion { agreement, version: version.parse().ok().filter(|v| *v != 0)? })
    });
    parsed
        .ok_or_else(|| "give an agreement and a version, such as school-leavers-2026@2".to_owned())
}

impl Policy {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        match &self {
            Self::Check { files } => return check::run(caller.output, files),
            Self::Test { file } => return trial::run(caller.output, file),
            Self::Schema => {
                let schema = json!({"text": SCHEMA, "schema_version": SCHEMA_VERSION});
                return caller.output.one(&schema);
            }
            Self::Put { .. }
            | Self::Remove { .. }
            | Self::Ls
            | Self::Show { .. }
            | Self::Explain(_) => {}
        }
        let purpose = match &self {
            Self::Explain(_) => ledger::Purpose::SchoolLeaverTransition,
            Self::Put { .. }
            | Self::Remove { .. }
            | Self::Ls
            | Self::Show { .. }
            | Self::Check { .. }
            | Self::Test { .. }
            | Self::Schema => ledger::Purpose::Administration,
        };
        let mut session = Session::open(caller, purpose).await?;
        match self {
            Self::Put { policy, file, change } => {
                put(&mut session, &policy, check::text(&file)?, &change).await
            }
            Self::Remove { policy, change } => remove(&mut session, &policy, &change).await,
            Self::Ls => list(&session).await,
            Self::Show { policy } => show(&session, &policy).await,
            Self::Check { .. } | Self::Test { .. } | Self::Schema => Ok(()),
            Self::Explain(explain) => explain.run(&session).await,
        }
    }
}

async fn put(
    session: &mut Session,
    policy: &PolicyId,
    text: String,
    change: &Change,
) -> Result<(), CliError> {
    let request = session.request(change);
    let put =
        ledger::PutPolicy { policy: policy.to_string(), text, schema_version: SCHEMA_VERSION };
    let signature = session.sign(request, &Kind::PutPolicy(put.clone())).await?;
    let answer = PolicyServiceClient::new(session.channel())
        .put_policy(pb::PutPolicyRequest {
            context: session.context(),
            request_id: request_text(request),
            put: Some(put),
            signature,
            validate_only: change.validate_only,
        })
        .await
        .map_err(|status| unanswered(status, request))?;
    session.changed(change, MESSAGE, answer.into_inner().policy.as_ref())
}

async fn remove(session: &mut Session, policy: &str, change: &Change) -> Result<(), CliError> {
    let request = session.request(change);
    let id: PolicyId = name::id("policies", policy)?;
    let remove = ledger::RemovePolicy { policy: id.to_string() };
    let signature = session.sign(request, &Kind::RemovePolicy(remove.clone())).await?;
    PolicyServiceClient::new(session.channel())
        .remove_policy(pb::RemovePolicyRequest {
            context: session.context(),
            request_id: request_text(request),
            remove: Some(remove),
            signature,
            validate_only: change.validate_only,
        })
        .await
        .map_err(|status| unanswered(status, request))?;
    words(if change.validate_only {
        "valid; nothing was changed"
    } else {
        "the policy is removed"
    });
    Ok(())
}

async fn show(session: &Session, policy: &str) -> Result<(), CliError> {
    let request = pb::GetPolicyRequest {
        context: session.context(),
        name: name::owned::<PolicyId>(&session.agency()?, "policies", policy)?,
    };
    let answer = PolicyServiceClient::new(session.channel()).get_policy(request).await?;
    let policy = answer.into_inner().policy.ok_or_else(incomplete)?;
    session.output.one(&json::of(MESSAGE, &policy))
}

async fn list(session: &Session) -> Result<(), CliError> {
    let mut stub = PolicyServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListPoliciesRequest {
            context: session.context(),
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_policies(request).await?.into_inner();
        Ok((page.policies, page.next_page_token))
    })
    .await?;
    let rows: Vec<_> = rows.iter().map(|row| json::of(MESSAGE, row)).collect();
    session.output.rows(&COLUMNS, &rows)
}

impl Explain {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let subject = match (&self.record, &self.record_type) {
            (Some(record), _) => Subject::Record(name::full::<RecordId>("records", record)?),
            (None, Some(record_type)) => Subject::Described(pb::DescribedRecord {
                record_type: record_type.to_string(),
                client: match &self.client {
                    Some(client) => name::full::<AliasId>("clients", client)?,
                    None => String::new(),
                },
                field_groups: self.groups.iter().map(ToString::to_string).collect(),
            }),
            (None, None) => return Err(CliError::new(Exit::Usage, "name a record or a type")),
        };
        let answer = PolicyServiceClient::new(session.channel())
            .explain_decision(pb::ExplainDecisionRequest {
                context: session.context(),
                reason: self.reading.reason,
                subject: Some(subject),
                recipient: name::full::<AgencyId>("agencies", &self.recipient)?,
                recipient_purpose: self.recipient_purpose,
                assumed_agreement: self.assume,
            })
            .await?
            .into_inner();
        let row = |decision: &pb::GroupDecision| json::of("concordat.v1.GroupDecision", decision);
        let rows: Vec<_> = answer.decisions.iter().map(row).collect();
        session.output.rows(&DECISION_COLUMNS, &rows)
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
