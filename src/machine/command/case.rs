//! Commands about cases: opened, taken further and decided by the agency that answers for them, and reports made.
//!
//! Nothing here is text: who asks, what was said and why lie sealed beside the command, and what a rule needs is a code.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    machine::command::{code, malformed, name, names, optional_code},
    model::{
        id::{AgreementId, AliasId, CaseId, FlowId, GroupName, HolderId, RecordId},
        limit,
        order::UnixMillis,
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

/// A flow by the names of its agreement and itself.
pub type NamedFlow = (AgreementId, FlowId);

/// What is to change about cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaseCommand {
    /// Opens one.
    Open(Box<Open>),
    /// Takes one a step further.
    Advance {
        /// Which.
        case: CaseId,
        /// The step.
        step: pb::CaseStep,
        /// Why more time is needed; unspecified unless it is an extension.
        extension: pb::ExtensionReason,
    },
    /// Decides one.
    Decide(Box<Decide>),
    /// Holds something back from a report, or takes that back.
    HoldBack {
        /// The case.
        case: CaseId,
        /// Any version of the record.
        record: RecordId,
        /// The groups; empty for the whole record.
        groups: BTreeSet<GroupName>,
        /// Why; `None` takes it back.
        exemption: pb::Exemption,
    },
    /// Makes a page of a report.
    Report {
        /// The case.
        case: CaseId,
        /// The last record of the page before.
        after: Option<RecordId>,
    },
}

/// A case to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// What it is.
    pub kind: pb::CaseKind,
    /// The client, by the controller's own name.
    pub client: Option<AliasId>,
    /// Who asks.
    pub requester: Option<Requester>,
    /// When it came; `None` for now.
    pub received_at: Option<UnixMillis>,
    /// The flows that it is about; empty for all.
    pub flows: BTreeSet<NamedFlow>,
    /// The agreement under which it arose.
    pub agreement: Option<AgreementId>,
    /// What happened.
    pub incident: Option<Incident>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// How they stand to the client.
    pub relation: pb::Relation,
    /// How the controller knows of their authority.
    pub authority: pb::Authority,
    /// The person, as the controller recorded them.
    pub holder: Option<HolderId>,
    /// Whether it is known who they are.
    pub identity: pb::IdentityCheck,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// What kind of breach.
    pub kind: pb::IncidentKind,
    /// How grave.
    pub severity: pb::Severity,
    /// How many people it may concern; 0 if that is not known.
    pub affected_count: u32,
    /// The records that it concerns.
    pub records: BTreeSet<RecordId>,
}

/// A decision about a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decide {
    /// Which case.
    pub case: CaseId,
    /// What is to happen; `None` stands for all flows that no other measure names.
    pub measures: BTreeMap<Option<NamedFlow>, Measure>,
    /// What came of it; unspecified while it goes on.
    pub outcome: pb::CaseOutcome,
    /// Whether the person was told before.
    pub person_told: bool,
}

/// What is to happen to a client's records on a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// What.
    pub kind: pb::MeasureKind,
    /// On which ground it goes on.
    pub ground: pb::ContinueGround,
}

impl CaseCommand {
    /// Whether it only ever makes less flow.
    pub fn stops(&self) -> bool {
        match self {
            Self::Open(open) => {
                matches!(open.kind, pb::CaseKind::Objection | pb::CaseKind::Restriction)
            }
            Self::Decide(decide) => {
                !decide.measures.is_empty()
                    && decide.measures.values().all(|m| m.kind == pb::MeasureKind::Restrict)
            }
            Self::Advance { .. } | Self::HoldBack { .. } | Self::Report { .. } => false,
        }
    }

    pub(super) fn open(message: pb::OpenCase) -> Result<Self, Violation> {
        let pb::OpenCase { kind, client, requester, received_at_ms, flows, agreement, incident } =
            message;
        let kind: pb::CaseKind = code(kind, "kind")?;
        let client = optional(&client, AliasId::from_slice, "client")?;
        let requester = requester.map(Requester::try_from).transpose();
        let agreement = match agreement.as_str() {
            "" => None,
            text => Some(name(text, "agreement")?),
        };
        let incident = incident.map(Incident::try_from).transpose();
        let open = Open {
            kind,
            client,
            requester: requester.map_err(|v: Violation| v.inside("requester"))?,
            received_at: (received_at_ms != 0).then(|| UnixMillis::new(received_at_ms)),
            flows: named_flows(flows)?,
            agreement,
            incident: incident.map_err(|v: Violation| v.inside("incident"))?,
        };
        open.fits()?;
        Ok(Self::Open(Box::new(open)))
    }

    pub(super) fn advance(message: pb::AdvanceCase) -> Result<Self, Violation> {
        let pb::AdvanceCase { case, step, extension_reason } = message;
        let case = case_id(&case)?;
        let step = code(step, "step")?;
        let extension = optional_code(extension_reason, "extension_reason")?;
        let reasoned = extension != pb::ExtensionReason::Unspecified;
        if (step == pb::CaseStep::Extended) != reasoned {
            let text = "an extension says why, and nothing else does";
            return Err(malformed("extension_reason", text));
        }
        Ok(Self::Advance { case, step, extension })
    }

    pub(super) fn decide(message: pb::DecideCase) -> Result<Self, Violation> {
        let pb::DecideCase { case, measures, outcome, person_told } = message;
        let case = case_id(&case)?;
        let outcome = optional_code(outcome, "outcome")?;
        let count = measures.len();
        let measures: BTreeMap<_, _> =
            measures.into_iter().map(measure).collect::<Result<_, _>>()?;
        if measures.len() != count || limit::CASE_FLOWS_MAX < count.saturating_sub(1) {
            return Err(malformed("measures", "a flow is named twice, or there are too many"));
        }
        if measures.is_empty() && outcome == pb::CaseOutcome::Unspecified {
            return Err(malformed(
                "measures",
                "a decision says what is to happen, or what came of it",
            ));
        }
        Ok(Self::Decide(Box::new(Decide { case, measures, outcome, person_told })))
    }

    pub(super) fn hold_back(message: pb::HoldBack) -> Result<Self, Violation> {
        let pb::HoldBack { case, record, groups, exemption } = message;
        let groups = match groups.as_slice() {
            [] => BTreeSet::new(),
            texts => names(texts, limit::GROUPS_MAX, "groups")?,
        };
        let exemption: pb::Exemption = code(exemption, "exemption")?;
        if exemption == pb::Exemption::None && !groups.is_empty() {
            return Err(malformed("groups", "what is held back no more is the whole record"));
        }
        Ok(Self::HoldBack {
            case: case_id(&case)?,
            record: RecordId::from_slice(&record).map_err(|v| v.inside("record"))?,
            groups,
            exemption,
        })
    }

    pub(super) fn report(message: &pb::MakeReport) -> Result<Self, Violation> {
        let pb::MakeReport { case, after } = message;
        let after = optional(after, RecordId::from_slice, "after")?;
        Ok(Self::Report { case: case_id(case)?, after })
    }
}

impl Decide {
    /// Whether something may flow again by it.
    pub fn widens(&self) -> bool {
        self.measures.values().any(|measure| measure.kind != pb::MeasureKind::Restrict)
    }
}

impl Open {
    /// Holds that what is stated belongs to the kind of case.
    fn fits(&self) -> Result<(), Violation> {
        use pb::CaseKind as Case;
        let about_flows = matches!(self.kind, Case::Restriction | Case::Objection);
        let about_person = about_flows || self.kind == Case::Access;
        let incident = self.kind == Case::Incident;
        if (about_person && self.client.is_none()) || (incident && self.client.is_some()) {
            return Err(malformed("client", "a case about a person's rights names the client"));
        }
        if incident == self.requester.is_some() {
            return Err(malformed("requester", "somebody asks in every case but an incident"));
        }
        if !about_flows && !self.flows.is_empty() {
            return Err(malformed("flows", "only a restriction or an objection is about flows"));
        }
        if (about_person && self.agreement.is_some()) || (incident && self.agreement.is_none()) {
            let text = "an incident names the agreement under which it arose, a complaint may";
            return Err(malformed("agreement", text));
        }
        if incident != self.incident.is_some() {
            return Err(malformed("incident", "an incident says what happened"));
        }
        let other = self.requester.as_ref().is_some_and(|r| r.relation == pb::Relation::Other);
        if other && about_person {
            let text = "a right is exercised by the client or whoever speaks for them";
            return Err(malformed("requester.relation", text));
        }
        Ok(())
    }
}

impl TryFrom<pb::Requester> for Requester {
    type Error = Violation;

    fn try_from(message: pb::Requester) -> Result<Self, Violation> {
        let pb::Requester { relation, authority, holder, identity } = message;
        Ok(Self {
            relation: code(relation, "relation")?,
            authority: optional_code(authority, "authority")?,
            holder: optional(&holder, HolderId::from_slice, "holder")?,
            identity: code(identity, "identity")?,
        })
    }
}

impl TryFrom<pb::Incident> for Incident {
    type Error = Violation;

    fn try_from(message: pb::Incident) -> Result<Self, Violation> {
        let pb::Incident { kind, severity, affected_count, records } = message;
        let count = records.len();
        let records: BTreeSet<_> = records
            .iter()
            .map(|id| RecordId::from_slice(id).map_err(|v| v.inside("records")))
            .collect::<Result<_, _>>()?;
        if records.len() != count || limit::INCIDENT_RECORDS_MAX < count {
            return Err(malformed("records", "a record is named twice, or there are too many"));
        }
        let (kind, severity) = (code(kind, "kind")?, code(severity, "severity")?);
        Ok(Self { kind, severity, affected_count, records })
    }
}

fn measure(message: pb::Measure) -> Result<(Option<NamedFlow>, Measure), Violation> {
    use pb::{ContinueGround as Ground, MeasureKind as Kind};
    let pb::Measure { agreement, flow, kind, ground } = message;
    let named = match (agreement.as_str(), flow.as_str()) {
        ("", "") => None,
        (agreement, flow) => {
            Some((name(agreement, "measures.agreement")?, name(flow, "measures.flow")?))
        }
    };
    let kind = code(kind, "measures.kind")?;
    let ground = optional_code(ground, "measures.ground")?;
    let stated = ground != Ground::Unspecified;
    let fits = match kind {
        Kind::Continue => stated,
        Kind::Restrict => !stated || named.is_none(),
        Kind::Lift => !stated,
        Kind::Unspecified | Kind::Pending => false,
    };
    if !fits || ground == Ground::SafeguardingUndecided {
        let text =
            "a flow that goes on has a ground, and one that is restricted or lifted has none";
        return Err(malformed("measures.ground", text));
    }
    Ok((named, Measure { kind, ground }))
}

fn named_flows(flows: Vec<pb::FlowName>) -> Result<BTreeSet<NamedFlow>, Violation> {
    let count = flows.len();
    let flows: BTreeSet<_> = flows
        .into_iter()
        .map(|pb::FlowName { agreement, flow }| {
            Ok((name(&agreement, "flows.agreement")?, name(&flow, "flows.flow")?))
        })
        .collect::<Result<_, Violation>>()?;
    if flows.len() != count || limit::CASE_FLOWS_MAX < count {
        return Err(malformed("flows", "a flow is named twice, or there are too many"));
    }
    Ok(flows)
}

fn case_id(bytes: &[u8]) -> Result<CaseId, Violation> {
    CaseId::from_slice(bytes).map_err(|violation| violation.inside("case"))
}

/// Bytes that may be empty.
fn optional<T>(
    bytes: &[u8],
    parse: impl FnOnce(&[u8]) -> Result<T, Violation>,
    field: &str,
) -> Result<Option<T>, Violation> {
    if bytes.is_empty() {
        return Ok(None);
    }
    parse(bytes).map(Some).map_err(|violation| violation.inside(field))
}
