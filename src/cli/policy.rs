//! `concordat policy`: an agency's own policies, which only narrow; and why a record would or would not leave.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use crate::{
    cli::{
        error::CliError,
        json, name,
        output::{Column, words},
        session::{
            Caller, Change, PAGE_ROWS, Session, every_row, incomplete, request_text, unanswered,
        },
    },
    machine::access::verdict::{SCHEMA, SCHEMA_VERSION},
    model::id::PolicyId,
    pb::{
        ledger::v1::{self as ledger, command::Kind},
        v1::{self as pb, policy_service_client::PolicyServiceClient},
    },
};

mod check;
mod explain;
mod trial;

use explain::Explain;

const MESSAGE: &str = "concordat.v1.Policy";
const COLUMNS: [Column; 3] = [("NAME", "name"), ("SCHEMA", "schema_version"), ("PUT", "put_time")];

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
    /// Say in sentences what a recipient gets of a record, and why: now, at another time, under a draft, or as it was
    /// decided once.
    Explain(Box<Explain>),
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
