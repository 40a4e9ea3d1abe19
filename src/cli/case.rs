//! `concordat case`: a person's rights exercised, complaints and incidents, from their opening to their outcome.

use clap::{Args, Subcommand};

use crate::{
    cli::{
        code::Code,
        consent::Reading,
        error::{CliError, Exit},
        json, name,
        output::Column,
        session::{Caller, Change, PAGE_ROWS, Session, every_row, request_text, unanswered},
        time,
    },
    model::{
        id::{AgreementId, AliasId, CaseId, FlowId, GroupName, HolderId, RecordId},
        order::UnixMillis,
        violation::Violation,
    },
    pb::{
        ledger::v1::{self as ledger, command::Kind},
        v1::{self as pb, case_service_client::CaseServiceClient},
    },
};

const MESSAGE: &str = "concordat.v1.Case";
const COLUMNS: [Column; 7] = [
    ("NAME", "name"),
    ("KIND", "kind"),
    ("CLIENT", "client"),
    ("RECEIVED", "received_time"),
    ("DUE", "clocks.due_time"),
    ("REPORTED", "reported_time"),
    ("OUTCOME", "outcome"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Case {
    /// Open a case. An objection keeps the client's records from its flows at once, a restriction when it is decided.
    Open(Box<Open>),
    /// Take a case one step further: identity asked and confirmed, more time, the Commissioner told.
    Step(Step),
    /// Decide a case, or what happens to the client's records on its flows. Signed, unless it only restricts.
    Decide(Decide),
    /// Hold a record, or groups of it, back from the report of a case of access. Nothing in the report tells of it.
    HoldBack(HoldBack),
    /// Show a case, with what is held back.
    Show {
        /// The case.
        case: String,
        #[command(flatten)]
        reading: Reading,
    },
    /// List the calling agency's cases, the oldest first.
    Ls {
        /// Only about this client, by the name under which they were opened.
        #[arg(long, value_name = "CLIENT")]
        client: Option<String>,
        /// Only of this kind.
        #[arg(long, value_parser = Code("concordat.ledger.v1.CaseKind"))]
        kind: Option<i32>,
        /// Those that are closed, too.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        reading: Reading,
    },
}

/// What every change of a case takes.
#[derive(Debug, Args)]
pub(crate) struct Beside {
    /// Where the agency keeps the words, and who asks. Sealed in the ledger.
    #[arg(long, value_name = "REFERENCE", default_value = "", hide_default_value = true)]
    evidence: String,
    #[command(flatten)]
    change: Change,
}

impl Beside {
    fn evidence(&self) -> Option<ledger::Evidence> {
        Some(ledger::Evidence { reference: self.evidence.clone(), consent: None })
            .filter(|evidence| !evidence.reference.is_empty())
    }
}

/// A case to be opened.
#[derive(Debug, Args)]
pub(crate) struct Open {
    /// What it is.
    #[arg(value_parser = Code("concordat.ledger.v1.CaseKind"))]
    kind: i32,
    /// The client, by a name of the calling agency's.
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// When it came, or when the agency became aware of an incident: a date or a time. Default: now.
    #[arg(long, value_name = "WHEN", value_parser = time::parse)]
    received: Option<UnixMillis>,
    /// A flow that a restriction or an objection is about. Default: all.
    #[arg(long = "flow", value_name = "AGREEMENT/FLOW", value_parser = flow)]
    flows: Vec<(String, String)>,
    /// The agreement under which an incident or a complaint arose.
    #[arg(long, value_name = "AGREEMENT")]
    agreement: Option<String>,
    #[command(flatten)]
    requester: Requester,
    #[command(flatten)]
    incident: Incident,
    #[command(flatten)]
    beside: Beside,
}

/// Who asks.
#[derive(Debug, Args)]
struct Requester {
    /// How whoever asks stands to the client. Default: self.
    #[arg(long, value_parser = Code("concordat.ledger.v1.Relation"))]
    relation: Option<i32>,
    /// How the agency knows of their authority.
    #[arg(long, value_parser = Code("concordat.ledger.v1.Authority"))]
    authority: Option<i32>,
    /// The person who asks, as the agency recorded them.
    #[arg(long, value_name = "HOLDER")]
    holder: Option<String>,
    /// It is not yet known who they are: the clock waits.
    #[arg(long)]
    identity_asked: bool,
}

/// What happened.
#[derive(Debug, Args)]
struct Incident {
    /// What kind of breach an incident is.
    #[arg(long, value_parser = Code("concordat.ledger.v1.IncidentKind"))]
    breach: Option<i32>,
    /// How grave it is.
    #[arg(long, value_parser = Code("concordat.ledger.v1.Severity"))]
    severity: Option<i32>,
    /// How many people it may concern.
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    affected: u32,
    /// A record that it concerns.
    #[arg(long = "record", value_name = "RECORD")]
    records: Vec<String>,
}

/// A step.
#[derive(Debug, Args)]
pub(crate) struct Step {
    /// The case.
    case: String,
    /// The step.
    #[arg(value_name = "STEP", value_parser = Code("concordat.ledger.v1.CaseStep"))]
    what: i32,
    /// Why more time is needed, of an extension.
    #[arg(long, value_name = "REASON", value_parser = Code("concordat.ledger.v1.ExtensionReason"))]
    because: Option<i32>,
    #[command(flatten)]
    beside: Beside,
}

/// A decision.
#[derive(Debug, Args)]
pub(crate) struct Decide {
    /// The case.
    case: String,
    /// What is to happen on the flows named, or on all.
    #[arg(long, value_parser = Code("concordat.ledger.v1.MeasureKind"))]
    measure: Option<i32>,
    /// A flow that the measure is for. Default: all that the case is about.
    #[arg(long = "flow", value_name = "AGREEMENT/FLOW", value_parser = flow, requires = "measure")]
    flows: Vec<(String, String)>,
    /// Why flows go on; with a restriction of all, why those for safeguarding do.
    #[arg(long, value_parser = Code("concordat.ledger.v1.ContinueGround"), requires = "measure")]
    ground: Option<i32>,
    /// The person was told before; required to lift a restriction.
    #[arg(long)]
    person_told: bool,
    /// What came of the case, which closes it.
    #[arg(long, value_parser = Code("concordat.ledger.v1.CaseOutcome"))]
    outcome: Option<i32>,
    #[command(flatten)]
    beside: Beside,
}

/// Something to be held back.
#[derive(Debug, Args)]
pub(crate) struct HoldBack {
    /// The case.
    case: String,
    /// Any version of the record.
    record: String,
    /// A field group. Default: the whole record.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<GroupName>,
    /// Why; none takes it back.
    #[arg(long, value_parser = Code("concordat.ledger.v1.Exemption"))]
    exemption: i32,
    #[command(flatten)]
    beside: Beside,
}

/// A flow, as `AGREEMENT/FLOW`.
fn flow(text: &str) -> Result<(String, String), Violation> {
    let wanted = || Violation::new("", "MALFORMED_NAME", "give a flow as AGREEMENT/FLOW");
    let text = text.strip_prefix("agreements/").unwrap_or(text);
    let (agreement, flow) = text.split_once('/').ok_or_else(wanted)?;
    let (agreement, flow): (AgreementId, FlowId) = (agreement.parse()?, flow.parse()?);
    Ok((agreement.to_string(), flow.to_string()))
}

impl Case {
    pub(crate) async fn run(self, caller: &Caller) -> Result<(), CliError> {
        let mut session = Session::open(caller, ledger::Purpose::Administration).await?;
        match self {
            Self::Open(open) => open.run(&session).await,
            Self::Step(step) => step.run(&session).await,
            Self::Decide(decide) => decide.run(&mut session).await,
            Self::HoldBack(hold) => hold.run(&session).await,
            Self::Show { case, reading } => show(&session, &case, reading).await,
            Self::Ls { client, kind, all, reading } => {
                list(&session, client.as_deref(), (kind, all), reading).await
            }
        }
    }
}

fn bytes(id: &[u8; 16]) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(id)
}

fn case_bytes(case: &str) -> Result<bytes::Bytes, Violation> {
    name::id::<CaseId>("cases", case).map(|id| bytes(id.as_bytes()))
}

impl Open {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let request = session.request(&self.beside.change);
        let open = self.command()?;
        let Self { beside, .. } = self;
        let answer = CaseServiceClient::new(session.channel())
            .open_case(pb::OpenCaseRequest {
                context: session.context(),
                request_id: request_text(request),
                open: Some(open),
                evidence: beside.evidence(),
                validate_only: beside.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&beside.change, MESSAGE, answer.into_inner().case.as_ref())
    }

    fn command(&self) -> Result<ledger::OpenCase, CliError> {
        let is_incident = self.kind == i32::from(ledger::CaseKind::Incident);
        let client = self.client.as_deref().map(|text| name::id::<AliasId>("clients", text));
        let client = client.transpose()?.map(|id| bytes(id.as_bytes())).unwrap_or_default();
        let agreement =
            self.agreement.as_deref().map(|text| name::id::<AgreementId>("agreements", text));
        let agreement = agreement.transpose()?.map(|id| id.to_string()).unwrap_or_default();
        let requester = if is_incident { None } else { Some(self.requester.command()?) };
        let incident = if is_incident { Some(self.incident.command()?) } else { None };
        Ok(ledger::OpenCase {
            kind: self.kind,
            client,
            requester,
            received_at_ms: self.received.map_or(0, UnixMillis::millis),
            flows: self
                .flows
                .iter()
                .cloned()
                .map(|(agreement, flow)| ledger::FlowName { agreement, flow })
                .collect(),
            agreement,
            incident,
        })
    }
}

impl Requester {
    fn command(&self) -> Result<ledger::Requester, CliError> {
        let holder = self.holder.as_deref().map(|text| name::id::<HolderId>("holders", text));
        let holder = holder.transpose()?.map(|id| bytes(id.as_bytes())).unwrap_or_default();
        let identity = if self.identity_asked {
            ledger::IdentityCheck::Asked
        } else {
            ledger::IdentityCheck::Confirmed
        };
        Ok(ledger::Requester {
            relation: self.relation.unwrap_or_else(|| ledger::Relation::Self_.into()),
            authority: self.authority.unwrap_or_default(),
            holder,
            identity: identity.into(),
        })
    }
}

impl Incident {
    fn command(&self) -> Result<ledger::Incident, CliError> {
        let (Some(kind), Some(severity)) = (self.breach, self.severity) else {
            let error = CliError::new(Exit::Usage, "an incident says what happened, and how grave");
            return Err(error.fixed_by("give --breach and --severity"));
        };
        let records = self
            .records
            .iter()
            .map(|text| name::id::<RecordId>("records", text).map(|id| bytes(id.as_bytes())));
        let records = records.collect::<Result<_, Violation>>()?;
        Ok(ledger::Incident { kind, severity, affected_count: self.affected, records })
    }
}

impl Step {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { case, what, because, beside } = self;
        let request = session.request(&beside.change);
        let advance = ledger::AdvanceCase {
            case: case_bytes(&case)?,
            step: what,
            extension_reason: because.unwrap_or_default(),
        };
        let answer = CaseServiceClient::new(session.channel())
            .advance_case(pb::AdvanceCaseRequest {
                context: session.context(),
                request_id: request_text(request),
                advance: Some(advance),
                evidence: beside.evidence(),
                validate_only: beside.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&beside.change, MESSAGE, answer.into_inner().case.as_ref())
    }
}

impl Decide {
    async fn run(self, session: &mut Session) -> Result<(), CliError> {
        let Self { case, measure, flows, ground, person_told, outcome, beside } = self;
        let request = session.request(&beside.change);
        let measure = measure.map(|kind| ledger::Measure {
            kind,
            ground: ground.unwrap_or_default(),
            ..ledger::Measure::default()
        });
        let measures = match measure {
            None => Vec::new(),
            Some(all) if flows.is_empty() => vec![all],
            Some(each) => flows
                .into_iter()
                .map(|(agreement, flow)| ledger::Measure { agreement, flow, ..each.clone() })
                .collect(),
        };
        let decide = ledger::DecideCase {
            case: case_bytes(&case)?,
            measures,
            outcome: outcome.unwrap_or_default(),
            person_told,
        };
        let signature = session.sign(request, &Kind::DecideCase(decide.clone())).await?;
        let answer = CaseServiceClient::new(session.channel())
            .decide_case(pb::DecideCaseRequest {
                context: session.context(),
                request_id: request_text(request),
                decide: Some(decide),
                signature,
                evidence: beside.evidence(),
                validate_only: beside.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&beside.change, MESSAGE, answer.into_inner().case.as_ref())
    }
}

impl HoldBack {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { case, record, groups, exemption, beside } = self;
        let request = session.request(&beside.change);
        let record = name::id::<RecordId>("records", &record)?;
        let hold = ledger::HoldBack {
            case: case_bytes(&case)?,
            record: bytes(record.as_bytes()),
            groups: groups.iter().map(ToString::to_string).collect(),
            exemption,
        };
        let answer = CaseServiceClient::new(session.channel())
            .hold_back(pb::HoldBackRequest {
                context: session.context(),
                request_id: request_text(request),
                hold: Some(hold),
                evidence: beside.evidence(),
                validate_only: beside.change.validate_only,
            })
            .await
            .map_err(|status| unanswered(status, request))?;
        session.changed(&beside.change, MESSAGE, answer.into_inner().case.as_ref())
    }
}

async fn show(session: &Session, case: &str, reading: Reading) -> Result<(), CliError> {
    let request = pb::GetCaseRequest {
        context: session.context(),
        name: name::full::<CaseId>("cases", case)?,
        reason: reading.reason,
    };
    let answer = CaseServiceClient::new(session.channel()).get_case(request).await?.into_inner();
    let case = answer.case.ok_or_else(crate::cli::session::incomplete)?;
    session.output.one(&json::of(MESSAGE, &case))
}

async fn list(
    session: &Session,
    client: Option<&str>,
    (kind, all): (Option<i32>, bool),
    reading: Reading,
) -> Result<(), CliError> {
    let client = client.map(|text| name::full::<AliasId>("clients", text)).transpose()?;
    let mut stub = CaseServiceClient::new(session.channel());
    let rows = every_row(async |page_token| {
        let request = pb::ListCasesRequest {
            context: session.context(),
            client: client.clone().unwrap_or_default(),
            kind: kind.unwrap_or_default(),
            closed_too: all,
            reason: reading.reason,
            page_size: PAGE_ROWS,
            page_token,
        };
        let page = stub.list_cases(request).await?.into_inner();
        Ok((page.cases, page.next_page_token))
    })
    .await?;
    let rows: Vec<_> = rows.iter().map(|row| json::of(MESSAGE, row)).collect();
    session.output.rows(&COLUMNS, &rows)
}
