//! `LedgerService`: what the ledger is, its signed heads and proofs, and each caller's own entries.
//!
//! An agency's list is read from the ledger to its end, whatever others wrote in between, so that neither the length of a
//! page nor its presence tells of them; it holds no place and no size (G8).

use bytes::Bytes;
use futures::StreamExt;
use prost::Message;
use tonic::{Request, Response, Status};

use crate::{
    ledger::{Entry, Fault, leaf::leaf_hash},
    machine::{
        State,
        access::verdict,
        command::{Actor, Command, Parsed, exchange::LEDGER_FORMAT},
        read::{
            self,
            ledger::{Resource, asked_for, resources},
        },
        state::record::RecordType,
    },
    model::{
        digest::Digest,
        order::{Position, TreeSize, UnixMillis},
        violation::Violation,
    },
    node::Node,
    pb::{
        ledger::v1::{self as ledger, command},
        v1::{self as pb, ledger_service_server::LedgerService},
    },
    service::{
        caller::{Caller, open},
        context, name,
        page::Page,
        status,
        time::{millis, timestamp},
    },
};

/// The greatest number of kinds that one list names.
const KINDS_MAX: usize = 32;
/// How many entries are read before other callers get their turn.
const ENTRIES_PER_TURN: usize = 256;

/// The service over one node.
#[derive(Clone, Debug)]
pub struct Ledgers {
    node: Node,
}

/// Which entries of the caller's are asked for.
struct Wanted {
    from: UnixMillis,
    until: Option<UnixMillis>,
    kinds: Vec<String>,
}

impl Ledgers {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }

    /// The caller's entries after a place, one more than a page holds if there are so many.
    async fn entries(
        &self,
        caller: &Caller,
        wanted: &Wanted,
        (after, rows_max): (Option<Position>, usize),
    ) -> Result<Vec<(Position, pb::LedgerEntry)>, Fault> {
        let end = self.node.ledger().head().0.end();
        let mut next = after.map_or(Position::FIRST, Position::next);
        let mut found = Vec::new();
        let mut entries = self.node.ledger().follow(next).ready_chunks(ENTRIES_PER_TURN);
        while next < end && found.len() <= rows_max {
            let Some(chunk) = entries.next().await else { return Err(Fault::Closed) };
            for entry in chunk {
                let entry = entry?;
                next = entry.position.next();
                if entry.position < end && found.len() <= rows_max {
                    found.extend(self.shown(caller, wanted, &entry));
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(found)
    }

    fn shown(
        &self,
        caller: &Caller,
        wanted: &Wanted,
        entry: &Entry,
    ) -> Option<(Position, pb::LedgerEntry)> {
        let early = entry.admitted_at < wanted.from;
        let late = wanted.until.is_some_and(|until| until <= entry.admitted_at);
        if early || late {
            return None;
        }
        let Parsed::Command(command) = Parsed::from_bytes(&entry.command) else { return None };
        let message = ledger::Command::decode(entry.command.clone()).ok()?;
        let kind = kind_name(message.kind.as_ref()?);
        if !wanted.kinds.is_empty() && !wanted.kinds.iter().any(|wanted| wanted == kind) {
            return None;
        }
        let viewer = caller.viewer();
        let resources = self
            .node
            .read(|state| asked_for(state, viewer, &command).then(|| resources(state, &command)))?;
        let proof = matches!(caller, Caller::Operator { .. }).then(|| pb::EntryProof {
            position: entry.position.number(),
            leaf_hash: bytes(leaf_hash(entry)),
        });
        let shown = pb::LedgerEntry {
            admitted_time: Some(timestamp(entry.admitted_at)),
            kind: kind.to_owned(),
            purpose: i32::from(command.purpose),
            request_id: request_id(&command),
            resources: resources.iter().map(named).collect(),
            unattended: command.unattended,
            proof,
        };
        Some((entry.position, shown))
    }
}

#[tonic::async_trait]
impl LedgerService for Ledgers {
    async fn get_ledger(
        &self,
        request: Request<pb::GetLedgerRequest>,
    ) -> Result<Response<pb::GetLedgerResponse>, Status> {
        let (_caller, message) = open(request)?;
        let pb::GetLedgerRequest { context } = message;
        let _context = context::parse(&self.node, context)?;
        let ledger = self.node.read(described);
        Ok(Response::new(pb::GetLedgerResponse { ledger: Some(ledger) }))
    }

    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Result<Response<pb::GetCheckpointResponse>, Status> {
        let (_caller, message) = open(request)?;
        // The latest is always the one of now: signing costs less than keeping.
        let pb::GetCheckpointRequest { context, fresh: _ } = message;
        let _context = context::parse(&self.node, context)?;
        let checkpoint = self.node.checkpoint().map_err(|fault| status::faulty(&fault))?;
        Ok(Response::new(pb::GetCheckpointResponse { checkpoint: Some(checkpoint) }))
    }

    async fn list_entries(
        &self,
        request: Request<pb::ListEntriesRequest>,
    ) -> Result<Response<pb::ListEntriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListEntriesRequest { context, start_time, end_time, kinds, page_size, page_token } =
            message;
        let _context = context::parse(&self.node, context)?;
        let filter = pb::ListEntriesRequest {
            start_time,
            end_time,
            kinds: kinds.clone(),
            ..pb::ListEntriesRequest::default()
        };
        let list = ("ListEntries", &filter);
        let page = Page::parse(&self.node, &caller, list, (page_size, &page_token))?;
        if KINDS_MAX < kinds.len() {
            let violation = Violation::new("kinds", "OUT_OF_RANGE", "at most 32 kinds");
            return Err(status::violation(violation));
        }
        let instant = |time: Option<prost_types::Timestamp>, field: &str| {
            time.map(|time| millis(&time, field)).transpose().map_err(status::violation)
        };
        let from = instant(start_time, "start_time")?.unwrap_or(UnixMillis::EPOCH);
        let wanted = Wanted { from, until: instant(end_time, "end_time")?, kinds };
        let after = page.after_bytes()?.map(u64::from_be_bytes).map(Position::new);
        let mut found = self
            .entries(&caller, &wanted, (after, page.rows_max))
            .await
            .map_err(|fault| status::faulty(&fault))?;
        let more = page.rows_max < found.len();
        found.truncate(page.rows_max);
        let next = found.last().filter(|_| more);
        let next = next.map(|(position, _)| position.number().to_be_bytes().to_vec());
        let next_page_token = page.next(&self.node, &caller, next);
        let entries = found.into_iter().map(|(_, entry)| entry).collect();
        Ok(Response::new(pb::ListEntriesResponse { entries, next_page_token }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<pb::GetInclusionProofRequest>,
    ) -> Result<Response<pb::GetInclusionProofResponse>, Status> {
        let (_caller, message) = open(request)?;
        let pb::GetInclusionProofRequest { context, position, tree_size } = message;
        let _context = context::parse(&self.node, context)?;
        if tree_size <= position {
            let text = "the place is less than the size of the tree, which is from 1";
            let violation = Violation::new("position", "OUT_OF_RANGE", text);
            return Err(status::violation(violation));
        }
        let ledger = self.node.ledger();
        let (position, size) = (Position::new(position), TreeSize::new(tree_size));
        let faulty = |fault: Fault| status::faulty(&fault);
        let path = ledger.inclusion(position, size).map_err(faulty)?;
        let leaf = ledger.leaf(position).map_err(faulty)?;
        let (Some(path), Some(leaf)) = (path, leaf) else {
            return Err(status::not_available(""));
        };
        let path = path.into_iter().map(bytes).collect();
        Ok(Response::new(pb::GetInclusionProofResponse { leaf_hash: bytes(leaf), path }))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<pb::GetConsistencyProofRequest>,
    ) -> Result<Response<pb::GetConsistencyProofResponse>, Status> {
        let (_caller, message) = open(request)?;
        let pb::GetConsistencyProofRequest { context, first_size, second_size } = message;
        let _context = context::parse(&self.node, context)?;
        if first_size == 0 || second_size < first_size {
            let text = "the first size is from 1 and at most the second";
            let violation = Violation::new("first_size", "OUT_OF_RANGE", text);
            return Err(status::violation(violation));
        }
        let (first, second) = (TreeSize::new(first_size), TreeSize::new(second_size));
        let proof = self.node.ledger().consistency(first, second);
        let path = proof
            .map_err(|fault| status::faulty(&fault))?
            .ok_or_else(|| status::not_available(""))?;
        let path = path.into_iter().map(bytes).collect();
        Ok(Response::new(pb::GetConsistencyProofResponse { path }))
    }
}

fn described(state: &State) -> pb::Ledger {
    let chain = state.chain();
    pb::Ledger {
        ledger_id: Bytes::copy_from_slice(state.ledger().as_bytes()),
        format: LEDGER_FORMAT,
        rules_version: chain.rules_version,
        checkpoint_key: Bytes::copy_from_slice(&chain.checkpoint_key),
        operator_certificate: bytes(chain.operator_certificate),
        record_types: read::ledger::record_types(state).map(registered).collect(),
        policy_schema_version: verdict::SCHEMA_VERSION,
    }
}

fn registered(record_type: &RecordType) -> ledger::RegisterRecordType {
    let groups = record_type.groups.iter().map(|(name, special_category)| ledger::FieldGroup {
        name: name.to_string(),
        special_category: *special_category,
    });
    ledger::RegisterRecordType {
        name: record_type.name.to_string(),
        version: record_type.version,
        groups: groups.collect(),
    }
}

/// The text form of the caller's own name for the request.
fn request_id(command: &Command) -> String {
    match command.actor {
        Actor::Agency(_) | Actor::Operator => {
            uuid::Uuid::from_bytes(*command.request_id.as_bytes()).to_string()
        }
        Actor::Node => String::new(),
    }
}

fn named(resource: &Resource) -> String {
    match resource {
        Resource::Agency(id) => name::of(id),
        Resource::Agreement(id) => name::of(id),
        Resource::Client(alias) => name::of(alias),
        Resource::Record(id) => name::of(id),
        Resource::Consent(id) => name::of(id),
        Resource::Recall(id) => name::of(id),
        Resource::Dispute(id) => name::of(id),
        Resource::Case(id) => name::of(id),
        Resource::Erasure(id) => name::of(id),
        Resource::Hold(id) => name::of(id),
        Resource::Emergency(id) => name::of(id),
        Resource::Holder(id) => name::of(id),
        Resource::Succession(id) => name::of(id),
        Resource::Policy(agency, id) => name::of_owned(agency, id),
        Resource::Subscription(agency, id) => name::of_owned(agency, id),
    }
}

fn bytes(digest: Digest) -> Bytes {
    Bytes::copy_from_slice(digest.as_bytes())
}

/// The name of a kind's field in `concordat.ledger.v1.Command`.
const fn kind_name(kind: &command::Kind) -> &'static str {
    use command::Kind;
    match kind {
        Kind::Genesis(_) => "genesis",
        Kind::ActivateRules(_) => "activate_rules",
        Kind::RegisterRecordType(_) => "register_record_type",
        Kind::OpenKey(_) => "open_key",
        Kind::Tick(_) => "tick",
        Kind::ContinueSweep(_) => "continue_sweep",
        Kind::Attest(_) => "attest",
        Kind::InviteAgency(_) => "invite_agency",
        Kind::EnrolAgency(_) => "enrol_agency",
        Kind::RotateKeys(_) => "rotate_keys",
        Kind::SuspendAgency(_) => "suspend_agency",
        Kind::ResumeAgency(_) => "resume_agency",
        Kind::DraftAgreement(_) => "draft_agreement",
        Kind::ProposeAgreement(_) => "propose_agreement",
        Kind::ApproveAgreement(_) => "approve_agreement",
        Kind::DeclineAgreement(_) => "decline_agreement",
        Kind::SuspendFlows(_) => "suspend_flows",
        Kind::ResumeFlows(_) => "resume_flows",
        Kind::EndAgreement(_) => "end_agreement",
        Kind::RecordConsent(_) => "record_consent",
        Kind::RefuseConsent(_) => "refuse_consent",
        Kind::WithdrawConsent(_) => "withdraw_consent",
        Kind::RecordHolder(_) => "record_holder",
        Kind::ResolveConsent(_) => "resolve_consent",
        Kind::PutPolicy(_) => "put_policy",
        Kind::RemovePolicy(_) => "remove_policy",
        Kind::AddClient(_) => "add_client",
        Kind::OpenCaseload(_) => "open_caseload",
        Kind::ConfirmCaseload(_) => "confirm_caseload",
        Kind::EndCaseload(_) => "end_caseload",
        Kind::PublishRecord(_) => "publish_record",
        Kind::OpenRecord(_) => "open_record",
        Kind::CreateSubscription(_) => "create_subscription",
        Kind::RemoveSubscription(_) => "remove_subscription",
        Kind::SeekSubscription(_) => "seek_subscription",
        Kind::ReleaseRecords(_) => "release_records",
        Kind::ReleaseNotSent(_) => "release_not_sent",
        Kind::Acknowledge(_) => "acknowledge",
        Kind::RetractRecord(_) => "retract_record",
        Kind::HandOverRecalls(_) => "hand_over_recalls",
        Kind::AcknowledgeRecall(_) => "acknowledge_recall",
        Kind::OpenDispute(_) => "open_dispute",
        Kind::AnswerDispute(_) => "answer_dispute",
        Kind::OpenCase(_) => "open_case",
        Kind::AdvanceCase(_) => "advance_case",
        Kind::DecideCase(_) => "decide_case",
        Kind::HoldBack(_) => "hold_back",
        Kind::MakeReport(_) => "make_report",
        Kind::EraseRecords(_) => "erase_records",
        Kind::PlaceHold(_) => "place_hold",
        Kind::LiftHold(_) => "lift_hold",
        Kind::RewrapKeys(_) => "rewrap_keys",
        Kind::CompleteErasure(_) => "complete_erasure",
        Kind::DisposeOverdue(_) => "dispose_overdue",
        Kind::AuthoriseEmergency(_) => "authorise_emergency",
        Kind::OpenEmergency(_) => "open_emergency",
        Kind::ReadEmergency(_) => "read_emergency",
        Kind::ReviewEmergency(_) => "review_emergency",
        Kind::NoteEmergencyRefused(_) => "note_emergency_refused",
        Kind::ProposeSuccession(_) => "propose_succession",
        Kind::ApproveSuccession(_) => "approve_succession",
        Kind::DeclineSuccession(_) => "decline_succession",
        Kind::OpenWords(_) => "open_words",
    }
}
