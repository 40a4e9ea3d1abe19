//! `concordat emergency`: read what cannot wait, and answer for it afterwards.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{
    cli::{
        code::Code,
        compose::registry,
        error::CliError,
        json, name,
        output::{Column, words},
        record::{record_value, watch},
        session::{
            Caller, Change, PAGE_ROWS, Session, every_row, incomplete, request_text, unanswered,
        },
        time,
    },
    model::{id::EmergencyId, order::UnixMillis},
    pb::{
        ledger::v1::{self as ledger, command::Kind},
        v1::{
            self as pb, emergency_service_client::EmergencyServiceClient,
            open_emergency_access_request::Subject,
        },
    },
};

const MESSAGE: &str = "concordat.v1.EmergencyAccess";
const COLUMNS: [Column; 8] = [
    ("NAME", "name"),
    ("AGENCY", "agency"),
    ("CATEGORY", "category"),
    ("OFFICE", "office"),
    ("OPENED", "opened_time"),
    ("RECORDS", "records"),
    ("REVIEW DUE", "review_due_time"),
    ("FINDING", "finding"),
];
const RECORD_COLUMNS: [Column; 6] = [
    ("RECORD", "name"),
    ("TYPE", "record_type"),
    ("CLIENT", "client"),
    ("PUBLISHER", "publisher"),
    ("GROUPS", "field_groups"),
    ("MARKS", "marks"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Emergency {
    /// Say which of the calling agency's offices may use emergency access, and until when. Signed by its key.
    Authorise(Authorise),
    /// Open emergency access to one client's records, in the name of the person that --staff and --role name.
    Open(Box<Open>),
    /// Read the records under emergency access, in the name of the person who opened it.
    Read {
        /// The emergency access.
        emergency: String,
    },
    /// Review emergency access, in the name of an officer who did not open it.
    Review(Review),
    /// List the calling agency's emergency access, or that which reached its records.
    Ls {
        /// That which reached the calling agency's own records.
        #[arg(long)]
        published: bool,
        /// Only what is not reviewed.
        #[arg(long)]
        unreviewed: bool,
    },
}

/// An authorisation.
#[derive(Debug, Args)]
pub(crate) struct Authorise {
    /// An office that may; give it once for each. None ends the authorisation.
    #[arg(long = "office", value_name = "OFFICE", value_parser = Code("concordat.ledger.v1.EmergencyOffice"))]
    offices: Vec<i32>,
    /// Until when: a date or a time, at most 366 days away.
    #[arg(long, value_name = "TIME", value_parser = time::parse, required_unless_present = "none")]
    until: Option<UnixMillis>,
    /// No office may from now on.
    #[arg(long, conflicts_with_all = ["offices", "until"])]
    none: bool,
    #[command(flatten)]
    change: Change,
}

/// Emergency access to open.
#[derive(Debug, Args)]
pub(crate) struct Open {
    /// What kind of emergency it is.
    #[arg(long, value_parser = Code("concordat.ledger.v1.EmergencyCategory"))]
    category: i32,
    /// Why it cannot wait.
    #[arg(long, value_parser = Code("concordat.ledger.v1.EmergencyReason"))]
    reason: i32,
    /// The office of the person who acts.
    #[arg(long, value_parser = Code("concordat.ledger.v1.EmergencyOffice"))]
    office: i32,
    #[command(flatten)]
    sought: Sought,
    /// Why, in words. Sealed in the ledger.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    words: String,
    /// The request's id: repeating it gives the same emergency access. Default: a new one.
    #[arg(long, value_name = "UUID")]
    request_id: Option<String>,
}

/// Who is looked for: by one identifier, or by name, date of birth and postcode.
#[derive(Debug, Args)]
pub(crate) struct Sought {
    /// By the Scottish Candidate Number.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["local_id", "forename"])]
    scn: Option<String>,
    /// By the calling agency's own id of the client.
    #[arg(long, value_name = "ID", conflicts_with = "forename")]
    local_id: Option<String>,
    /// By the person's forename, with surname, date of birth and postcode.
    #[arg(long, value_name = "NAME", requires_all = ["surname", "date_of_birth", "postcode"], required_unless_present_any = ["scn", "local_id"])]
    forename: Option<String>,
    /// The surname.
    #[arg(long, value_name = "NAME", requires = "forename")]
    surname: Option<String>,
    /// The date of birth, ISO 8601.
    #[arg(long, value_name = "DATE", requires = "forename")]
    date_of_birth: Option<String>,
    /// The postcode.
    #[arg(long, value_name = "POSTCODE", requires = "forename")]
    postcode: Option<String>,
}

/// A review.
#[derive(Debug, Args)]
pub(crate) struct Review {
    /// The emergency access.
    emergency: String,
    /// What the review found.
    #[arg(long, value_parser = Code("concordat.ledger.v1.EmergencyFinding"))]
    finding: i32,
    /// The office of the reviewer.
    #[arg(long, value_parser = Code("concordat.ledger.v1.EmergencyReviewer"))]
    reviewer: i32,
    /// Where the agency keeps the words and the evidence. Sealed in the ledger.
    #[arg(long, value_name = "REFERENCE", default_value = "", hide_default_value = true)]
    evidence: String,
}

impl Emergency {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        let purpose = match &self {
            Self::Open(_) | Self::Read { .. } => ledger::Purpose::ChildProtection,
            Self::Authorise(_) | Self::Review(_) | Self::Ls { .. } => {
                ledger::Purpose::Administration
            }
        };
        let mut session = Session::open(caller, purpose).await?;
        match self {
            Self::Authorise(authorise) => authorise.run(&mut session).await,
            Self::Open(open) => open.run(&session).await,
            Self::Read { emergency } => read(&session, &emergency).await,
            Self::Review(review) => review.run(&session).await,
            Self::Ls { published, unreviewed } => list(&session, published, unreviewed).await,
        }
    }
}

impl Authorise {
    async fn run(self, session: &mut Session) -> Result<(), CliError> {
        let Self { offices, until, none: _, change } = self;
        let until_ms = until.map_or(0, UnixMillis::millis);
        let authorise = ledger::AuthoriseEmergency { offices, until_ms };
        let request = session.request(&change);
        let signature = session.sign(request, &Kind::AuthoriseEmergency(authorise.clone())).await?;
        let _answer = EmergencyServiceClient::new(session.channel())
            .authorise_emergency_offices(pb::AuthoriseEmergencyOfficesRequest {
                context: session.context(),
                request_id: request_text(request),
                signature,
                authorise: Some(authorise.clone()),
                validate_only: change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&change, "concordat.ledger.v1.AuthoriseEmergency", Some(&authorise))
    }
}

impl Sought {
    fn subject(self) -> Subject {
        let Self { scn, local_id, forename, surname, date_of_birth, postcode } = self;
        if let Some(forename) = forename {
            return Subject::Person(ledger::Person {
                forename,
                surname: surname.unwrap_or_default(),
                date_of_birth: date_of_birth.unwrap_or_default(),
                postcode: postcode.unwrap_or_default(),
            });
        }
        let (local_id, scn) = (local_id.unwrap_or_default(), scn.unwrap_or_default());
        Subject::Identifiers(ledger::Identifiers { local_id, scn, person: None })
    }
}

impl Open {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { category, reason, office, sought, words: text, request_id } = self;
        let answer = EmergencyServiceClient::new(session.channel())
            .open_emergency_access(pb::OpenEmergencyAccessRequest {
                context: session.context(),
                request_id: request_id.unwrap_or_else(|| session.new_request()),
                category,
                reason,
                office,
                subject: Some(sought.subject()),
                words: text,
            })
            .await?;
        let emergency = answer.into_inner().emergency.ok_or_else(incomplete)?;
        words(format!("read it: concordat emergency read {}", emergency.name));
        session.output.one(&json::of(MESSAGE, &emergency))
    }
}

async fn read(session: &Session, emergency: &str) -> Result<(), CliError> {
    let emergency = name::full::<EmergencyId>("emergencies", emergency)?;
    let mut stub = EmergencyServiceClient::new(session.channel());
    let records = every_row(async |page_token| {
        let request = pb::ReadEmergencyRecordsRequest {
            context: session.context(),
            request_id: session.new_request(),
            emergency: emergency.clone(),
            page_token,
        };
        let page = stub.read_emergency_records(request).await?.into_inner();
        page.recalls.iter().map(watch::recalled).for_each(words);
        Ok((page.records, page.next_page_token))
    })
    .await?;
    let registry = registry()?;
    let rows: Vec<Value> = records.iter().map(|record| record_value(&registry, record)).collect();
    session.output.rows(&RECORD_COLUMNS, &rows)
}

impl Review {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { emergency, finding, reviewer, evidence } = self;
        let answer = EmergencyServiceClient::new(session.channel())
            .review_emergency_access(pb::ReviewEmergencyAccessRequest {
                context: session.context(),
                request_id: session.new_request(),
                emergency: name::full::<EmergencyId>("emergencies", &emergency)?,
                finding,
                reviewer,
                evidence: Some(ledger::Evidence { reference: evidence, consent: None })
                    .filter(|evidence| !evidence.reference.is_empty()),
            })
            .await?;
        let emergency = answer.into_inner().emergency.ok_or_else(incomplete)?;
        if emergency.incident_recommended {
            words("it was not justified: open an incident");
        }
        session.output.one(&json::of(MESSAGE, &emergency))
    }
}

async fn list(session: &Session, published: bool, unreviewed: bool) -> Result<(), CliError> {
    let mut stub = EmergencyServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListEmergencyAccessRequest {
            context: session.context(),
            published,
            unreviewed,
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_emergency_access(request).await?.into_inner();
        Ok((page.emergencies, page.next_page_token))
    })
    .await?;
    let rows: Vec<_> = rows.iter().map(|row| json::of(MESSAGE, row)).collect();
    session.output.rows(&COLUMNS, &rows)
}
