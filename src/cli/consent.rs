//! `concordat consent`: what a person, or somebody with authority, said about sharing.

use clap::{Args, Subcommand};

use crate::{
    cli::{
        code::Code,
        error::CliError,
        json, name,
        output::Column,
        session::{
            Caller, Change, PAGE_ROWS, Session, digest, every_row, incomplete, request_text,
            unanswered,
        },
        time,
    },
    model::{
        id::{AgencyId, AliasId, ConsentId, GroupName, RecordTypeName},
        order::UnixMillis,
    },
    pb::{
        ledger::v1::{self as ledger, command::Kind},
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
        /// An agency that it is withdrawn for. Default: all of them.
        #[arg(long = "recipient", value_name = "AGENCY")]
        recipients: Vec<String>,
        /// Where the agency keeps the evidence. Sealed in the ledger.
        #[arg(long, value_name = "REFERENCE", default_value = "", hide_default_value = true)]
        evidence: String,
        #[command(flatten)]
        change: Change,
    },
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

/// What was said, and how.
#[derive(Debug, Args)]
pub(crate) struct Said {
    /// The client, by the calling agency's own name.
    #[arg(long, value_name = "CLIENT")]
    client: String,
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
    given: Option<UnixMillis>,
    /// SHA-256 of the privacy notice that was shown.
    #[arg(long, value_name = "HEX", value_parser = notice)]
    notice: Notice,
    /// Where the agency keeps the evidence. Sealed in the ledger.
    #[arg(long, value_name = "REFERENCE", default_value = "", hide_default_value = true)]
    evidence: String,
    #[command(flatten)]
    change: Change,
}

/// The digest of a privacy notice.
#[derive(Clone, Debug)]
struct Notice(Vec<u8>);

fn notice(text: &str) -> Result<Notice, String> {
    digest(text).map(Notice)
}

impl Consent {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        let mut session = Session::open(caller, ledger::Purpose::Administration).await?;
        match self {
            Self::Record { said, expires } => said.record(&mut session, expires).await,
            Self::Refuse { said } => said.refuse(&session).await,
            Self::Withdraw { consent, recipients, evidence, change } => {
                withdraw(&session, &consent, &recipients, (evidence, &change)).await
            }
            Self::Show { consent, reading } => show(&session, &consent, reading).await,
            Self::Ls { client, reading } => list(&session, client.as_deref(), reading).await,
        }
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
            ..ledger::ConsentScope::default()
        })
    }

    fn act(&self, session: &Session) -> ledger::ConsentAct {
        ledger::ConsentAct {
            grantor: self.grantor,
            authority: self.authority.unwrap_or_default(),
            age_years: self.age,
            method: self.method,
            given_at_ms: self.given.unwrap_or_else(|| session.now()).millis(),
            notice_digest: self.notice.0.clone().into(),
            ..ledger::ConsentAct::default()
        }
    }

    async fn record(
        self,
        session: &mut Session,
        expires: Option<UnixMillis>,
    ) -> Result<(), CliError> {
        let request = session.request(&self.change);
        let record = ledger::RecordConsent {
            scope: Some(self.scope(session)?),
            act: Some(self.act(session)),
            expires_at_ms: expires.map_or(0, UnixMillis::millis),
            ..ledger::RecordConsent::default()
        };
        let signature = session.sign(request, &Kind::RecordConsent(record.clone())).await?;
        let answer = ConsentServiceClient::new(session.channel())
            .record_consent(pb::RecordConsentRequest {
                context: session.context(),
                request_id: request_text(request),
                record: Some(record),
                signature,
                evidence: evidence(self.evidence),
                validate_only: self.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&self.change, MESSAGE, answer.into_inner().consent.as_ref())
    }

    async fn refuse(self, session: &Session) -> Result<(), CliError> {
        let request = session.request(&self.change);
        let refuse = ledger::RefuseConsent {
            scope: Some(self.scope(session)?),
            act: Some(self.act(session)),
        };
        let answer = ConsentServiceClient::new(session.channel())
            .refuse_consent(pb::RefuseConsentRequest {
                context: session.context(),
                request_id: request_text(request),
                refuse: Some(refuse),
                evidence: evidence(self.evidence),
                validate_only: self.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&self.change, MESSAGE, answer.into_inner().consent.as_ref())
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
    recipients: &[String],
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
                ..ledger::WithdrawConsent::default()
            }),
            evidence: evidence(reference),
            validate_only: change.validate_only,
        })
        .await
        .map_err(|status| unanswered(status, request))?;
    session.changed(change, MESSAGE, answer.into_inner().consent.as_ref())
}

async fn show(session: &Session, consent: &str, reading: Reading) -> Result<(), CliError> {
    let request = pb::GetConsentRequest {
        context: session.context(),
        name: name::full::<ConsentId>("consents", consent)?,
        reason: reading.reason,
    };
    let answer = ConsentServiceClient::new(session.channel()).get_consent(request).await?;
    let consent = answer.into_inner().consent.ok_or_else(incomplete)?;
    session.output.one(&json::of(MESSAGE, &consent))
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
