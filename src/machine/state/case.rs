//! Rows of cases, and of what they restrict.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{
        State,
        state::{
            agency::AgencyNumber,
            agreement::Flow,
            record::{Groups, TypeNumber},
            succession::in_order,
        },
    },
    model::{
        id::{AgreementId, AliasId, CaseId, ClientId, FlowId, HolderId, RecordId},
        order::{Position, UnixMillis},
    },
    pb::ledger::v1 as pb,
};

/// One case. Codes are those of the protobuf enums.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CaseRow {
    /// Who answers for it.
    pub controller: AgencyNumber,
    /// `CaseKind`.
    pub kind: i32,
    /// Whom it is about.
    pub client: Option<CaseClient>,
    /// Who asks.
    pub requester: Option<RequesterRow>,
    /// The agreement under which it arose.
    pub agreement: Option<AgreementId>,
    /// What happened.
    pub incident: Option<IncidentRow>,
    /// The flows that it is about; empty for all.
    pub scope: BTreeSet<(AgreementId, FlowId)>,
    /// What happens on the flows of the scope that have no measure of their own.
    pub all: Option<MeasureRow>,
    /// What happens on single flows.
    pub flows: BTreeMap<(AgreementId, FlowId), MeasureRow>,
    /// What has to be done by when.
    pub clocks: Vec<ClockRow>,
    /// Since when the clocks stand, and after which step (`CaseStep`).
    pub paused: Option<(i32, UnixMillis)>,
    /// Why there is more time (`ExtensionReason`); 0 if there is none.
    pub extended: i32,
    /// What is held back from the report, by record (first version).
    pub held: BTreeMap<RecordId, HeldRow>,
    /// When the report was made, the last time.
    pub reported_at: Option<UnixMillis>,
    /// What came of it (`CaseOutcome`), and when; `None` while it goes on.
    pub closed: Option<(i32, UnixMillis)>,
    /// The entry that opened it.
    pub position: Position,
    /// When it came.
    pub received_at: UnixMillis,
    /// When it was opened.
    pub opened_at: UnixMillis,
}

/// Whom a case is about: the client and the name by which the controller opened it. What the controller knows by another
/// name is another person's until the exchange says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CaseClient {
    /// The client.
    pub client: ClientId,
    /// The controller's name for it.
    pub alias: AliasId,
    /// Whether it is the controller's own, and not one by which it received records.
    pub own: bool,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RequesterRow {
    /// `Relation`.
    pub relation: i32,
    /// `Authority`.
    pub authority: i32,
    /// The person, as the controller recorded them.
    pub holder: Option<HolderId>,
    /// `IdentityCheck`.
    pub identity: i32,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct IncidentRow {
    /// `IncidentKind`.
    pub kind: i32,
    /// `Severity`.
    pub severity: i32,
    /// How many people it may concern; 0 if that is not known.
    pub affected_count: u32,
    /// The records that it concerns.
    pub records: BTreeSet<RecordId>,
}

/// What happens to the client's records on a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MeasureRow {
    /// `MeasureKind`.
    pub kind: i32,
    /// `ContinueGround`.
    pub ground: i32,
    /// Since when.
    pub at: UnixMillis,
}

/// What has to be done by when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ClockRow {
    /// What has to be done.
    pub task: Task,
    /// By when.
    pub due_at: UnixMillis,
    /// Where the time comes from (`ClockSource`).
    pub source: i32,
    /// When it was done.
    pub met_at: Option<UnixMillis>,
    /// Whether the controller was told that it is late.
    pub told: bool,
}

/// What has to be done about a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Task {
    /// To answer the requester.
    Answer,
    /// To acknowledge a complaint.
    Acknowledge,
    /// To tell the Commissioner of an incident, or decide that it need not be.
    TellRegulator,
}

/// What is held back of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HeldRow {
    /// The record's type.
    pub record_type: TypeNumber,
    /// The groups; `None` for the whole record.
    pub groups: Option<Groups>,
    /// `Exemption`.
    pub exemption: i32,
    /// When it was decided.
    pub at: UnixMillis,
}

impl MeasureRow {
    /// Whether nothing flows by it.
    pub fn stops(&self) -> bool {
        [pb::MeasureKind::Restrict, pb::MeasureKind::Pending].map(i32::from).contains(&self.kind)
    }
}

impl CaseRow {
    /// Whether the case keeps the client's records from a flow. What is under review keeps only what an objection
    /// reaches; a restriction of everything leaves out what serves safeguarding.
    pub fn restricts(&self, agreement: &AgreementId, flow: &Flow) -> bool {
        let named = (agreement.clone(), flow.id.clone());
        if let Some(measure) = self.flows.get(&named) {
            return measure.stops();
        }
        let Some(all) = self.all.filter(MeasureRow::stops) else { return false };
        let inside = self.scope.is_empty() || self.scope.contains(&named);
        let pending = all.kind == i32::from(pb::MeasureKind::Pending);
        inside && !flow.safeguarding && (!pending || reached_by_objection(flow))
    }

    /// Whether it may restrict anything.
    pub fn may_restrict(&self) -> bool {
        self.all.iter().chain(self.flows.values()).any(MeasureRow::stops)
    }

    /// What falls due next; nothing while the clocks stand, or where it was told already.
    pub fn due(&self) -> Option<UnixMillis> {
        let runs = self.paused.is_none() && self.closed.is_none();
        let open = self.clocks.iter().filter(|clock| runs && clock.met_at.is_none() && !clock.told);
        open.map(|clock| clock.due_at).min()
    }
}

/// Whether somebody may object to a flow: where it rests on Article 6(1)(e), (ea) or (f). Source: UK GDPR Article 21(1).
pub fn reached_by_objection(flow: &Flow) -> bool {
    let reached = [
        pb::LawfulBasis::PublicTask,
        pb::LawfulBasis::LegitimateInterests,
        pb::LawfulBasis::RecognisedLegitimateInterests,
    ];
    reached.map(i32::from).contains(&flow.basis)
}

impl State {
    /// A case.
    pub fn case(&self, id: CaseId) -> Option<&CaseRow> {
        self.tables.cases.get(&id)
    }

    /// The cases of a controller, in the order in which they were opened.
    pub fn cases_of(&self, controller: AgencyNumber) -> impl Iterator<Item = (CaseId, &CaseRow)> {
        let of = |body| {
            let first = (body, Position::FIRST, CaseId::from_bytes([0; 16]));
            let last = (body, Position::new(u64::MAX), CaseId::from_bytes([u8::MAX; 16]));
            self.indexes.cases_of.range(first..=last).map(|(_, position, id)| (*position, *id))
        };
        let ids = in_order(self.bodies(controller).map(of).collect());
        ids.filter_map(|(_, id)| Some((id, self.case(id)?)))
    }

    /// The cases of a controller, and of bodies that went over into it, that may restrict something about a client.
    pub fn restricting(
        &self,
        client: ClientId,
        controller: AgencyNumber,
    ) -> impl Iterator<Item = (CaseId, &CaseRow)> {
        let ids = self.bodies(controller).flat_map(move |body| {
            let first = (client, body, CaseId::from_bytes([0; 16]));
            let last = (client, body, CaseId::from_bytes([u8::MAX; 16]));
            self.indexes.cases_restricting.range(first..=last)
        });
        ids.filter_map(|(_, _, id)| Some((*id, self.case(*id)?)))
    }

    /// Puts a case and keeps the indexes with it.
    pub(in crate::machine) fn put_case(&mut self, id: CaseId, row: CaseRow) {
        if let Some(due) = self.tables.cases.get(&id).and_then(CaseRow::due) {
            let _before = self.indexes.case_deadlines.remove(&(due, id));
        }
        self.index_case(id, &row);
        self.tables.cases.put(&mut self.journal, id, row);
    }

    fn index_case(&mut self, id: CaseId, row: &CaseRow) {
        self.indexes.cases_of.insert((row.controller, row.position, id));
        if let Some(due) = row.due() {
            self.indexes.case_deadlines.insert((due, id));
        }
        if let Some(client) = row.client {
            let place = (client.client, row.controller, id);
            if row.may_restrict() {
                self.indexes.cases_restricting.insert(place);
            } else {
                let _no_more = self.indexes.cases_restricting.remove(&place);
            }
        }
    }

    pub(super) fn index_cases(&mut self) {
        let rows: Vec<_> = self.tables.cases.iter().map(|(id, row)| (*id, row.clone())).collect();
        for (id, row) in rows {
            self.index_case(id, &row);
        }
    }
}
