//! `concordat consent`: what a person, or somebody with authority, said about sharing.

use clap::{Args, Subcommand};

mod fhir;
mod holder;
mod import;
mod receipt;
mod said;

use said::Said;

use crate::{
    cli::{
        code::Code,
        error::CliError,
        json, name,
        output::Column,
        session::{
            Caller, Change, PAGE_ROWS, Session, every_row, incomplete, request_text, unanswered,
        },
        time,
    },
    model::{
        id::{AgencyId, AliasId, ConsentId, GroupName},
        order::UnixMillis,
    },
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, consent_service_client::ConsentServiceClient},
    },
};

const MESSAGE: &str = "concordat.v1.Consent";
const COLUMNS: [Column; 6] = [
    ("NAME", "name"),
    ("KIND", "kind"),
    ("STATE", "state"),
    ("CLIENT", "client"),
    ("RECIPIENTS", "scope.recipients"),
    ("GROUPS", "scope.groups"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Consent {
    /// Record a consent, signed by the calling agency's key.
    Record {
        #[command(flatten)]
        said: Box<Said>,
        /// When the consent ends by itself: a date or an RFC 3339 time. Default: it does not.
        #[arg(long, value_name = "TIME", value_parser = time::parse)]
        expires: Option<UnixMillis>,
        /// The consent that this one renews.
        #[arg(long, value_name = "CONSENT")]
        renews: Option<String>,
    },
    /// Record that consent was refused.
    Refuse {
        #[command(flatten)]
        said: Box<Said>,
    },
    /// Withdraw a consent. It works at once.
    Withdraw {
        /// The consent.
        consent: String,
        /// An agency that it is withdrawn for; repeat it, or separate several by commas. Default: all of them.
        #[arg(long = "recipient", value_name = "AGENCY", value_delimiter = ',')]
        recipients: Vec<String>,
        /// Ask them to stop using what they were sent on it, too.
        #[arg(long)]
        recall: bool,
        /// A field group that it is withdrawn for; repeat it, or separate several by commas. Default: all of them.
        #[arg(long = "group", value_name = "GROUP", value_delimiter = ',')]
        groups: Vec<GroupName>,
        /// Where the agency keeps the evidence. Sealed in the ledger.
        #[arg(long, value_name = "REFERENCE", default_value = "", hide_default_value = true)]
        evidence: String,
        #[command(flatten)]
        change: Change,
    },
    /// Say who may speak for a client, and who must not.
    #[command(subcommand)]
    Holder(holder::Holder),
    /// Decide about a refusal in a client's name that others do not share, signed by the calling agency's key.
    Resolve(holder::Resolve),
    /// Record many consents and refusals from a file, each once however often it is run.
    Import(import::Import),
    /// Print a receipt, signed by the exchange, that verifies offline.
    Receipt {
        /// The consent.
        consent: String,
        #[command(flatten)]
        reading: Reading,
    },
    /// Verify a receipt. It needs no exchange.
    Verify(receipt::Verify),
    /// Print a consent in the form of a standard.
    Export(receipt::Export),
    /// Show one consent or refusal that the calling agency recorded.
    Show {
        /// The consent.
        consent: String,
        #[command(flatten)]
        reading: Reading,
    },
    /// List the consents and refusals that the calling agency recorded, the latest first.
    Ls {
        /// Only about this client.
        #[arg(long, value_name = "CLIENT")]
        client: Option<String>,
        #[command(flatten)]
        reading: Reading,
    },
}

/// Why a person's data are read.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Reading {
    /// Why the caller reads about a person.
    #[arg(long, default_value = "service", value_parser = Code("concordat.ledger.v1.ReadReason"))]
    pub(crate) reason: i32,
}

impl Consent {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        if let Self::Verify(verify) = self {
            return verify.run(caller);
        }
        let mut session = Session::open(caller, ledger::Purpose::Administration).await?;
        match self {
            Self::Record { said, expires, renews } => {
                let renews =
                    renews.as_deref().map(|text| name::id("consents", text)).transpose()?;
                let consent = said.record(&mut session, (expires, renews)).await?;
                session.changed(&said.change, MESSAGE, consent.as_ref())
            }
            Self::Refuse { said } => {
                let consent = said.refuse(&session).await?;
                session.changed(&said.change, MESSAGE, consent.as_ref())
            }
            Self::Withdraw { consent, recipients, recall, groups, evidence, change } => {
                let narrowed = (recipients.as_slice(), groups.as_slice(), recall);
                withdraw(&session, &consent, narrowed, (evidence, &change)).await
            }
            Self::Holder(holder) => holder.run(&mut session).await,
            Self::Resolve(resolve) => resolve.run(&mut session).await,
            Self::Import(import) => import.run(&mut session).await,
            Self::Receipt { consent, reading } => receipt::show(&session, &consent, reading).await,
            Self::Verify(_) => Ok(()),
            Self::Export(export) => export.run(&session).await,
            Self::Show { consent, reading } => show(&session, &consent, reading).await,
            Self::Ls { client, reading } => list(&session, client.as_deref(), reading).await,
        }
    }
}

/// The bare ids of agencies.
fn agencies(given: &[String]) -> Result<Vec<String>, CliError> {
    let id = |text: &String| Ok(name::id::<AgencyId>("agencies", text)?.to_string());
    given.iter().map(id).collect()
}

fn evidence(reference: String) -> Option<ledger::Evidence> {
    Some(ledger::Evidence { reference, ..ledger::Evidence::default() })
        .filter(|evidence| !evidence.reference.is_empty())
}

async fn withdraw(
    session: &Session,
    consent: &str,
    (recipients, groups, recall): (&[String], &[GroupName], bool),
    (reference, change): (String, &Change),
) -> Result<(), CliError> {
    let request = session.request(change);
    let id: ConsentId = name::id("consents", consent)?;
    let answer = ConsentServiceClient::new(session.channel())
        .withdraw_consent(pb::WithdrawConsentRequest {
            context: session.context(),
            request_id: request_text(request),
            withdraw: Some(ledger::WithdrawConsent {
                consent: id.as_bytes().to_vec().into(),
                recipients: agencies(recipients)?,
                recall,
                groups: groups.iter().map(ToString::to_string).collect(),
            }),
            evidence: evidence(reference),
            validate_only: change.validate_only,
        })
        .await
        .map_err(|status| unanswered(status, request))?;
    session.changed(change, MESSAGE, answer.into_inner().consent.as_ref())
}

async fn show(session: &Session, consent: &str, reading: Reading) -> Result<(), CliError> {
    session.output.one(&json::of(MESSAGE, &get(session, consent, reading).await?))
}

/// One consent or refusal.
async fn get(session: &Session, consent: &str, reading: Reading) -> Result<pb::Consent, CliError> {
    let request = pb::GetConsentRequest {
        context: session.context(),
        name: name::full::<ConsentId>("consents", consent)?,
        reason: reading.reason,
    };
    let answer = ConsentServiceClient::new(session.channel()).get_consent(request).await?;
    answer.into_inner().consent.ok_or_else(incomplete)
}

async fn list(session: &Session, client: Option<&str>, reading: Reading) -> Result<(), CliError> {
    let client = match client {
        Some(text) => name::full::<AliasId>("clients", text)?,
        None => String::new(),
    };
    let mut stub = ConsentServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListConsentsRequest {
            context: session.context(),
            reason: reading.reason,
            client: client.clone(),
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_consents(request).await?.into_inner();
        Ok((page.consents, page.next_page_token))
    })
    .await?;
    let rows: Vec<_> = rows.iter().map(|row| json::of(MESSAGE, row)).collect();
    session.output.rows(&COLUMNS, &rows)
}
