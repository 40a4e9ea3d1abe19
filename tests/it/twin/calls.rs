//! Alder's calls: every RPC, with what it knows, what others know, what nobody knows, and nonsense.

#![expect(clippy::indexing_slicing, reason = "places are drawn below the length")]

use std::collections::VecDeque;

use bytes::Bytes;
use concordat::{
    model::{id::AgencyId, identifier::scn::check_digit},
    pb::{
        ledger::v1::{self as ledger, command::Kind},
        v1::{self as pb, seek_subscription_request},
    },
};
use prost::Message;
use prost_reflect::MethodDescriptor;

use super::{cases, consents, emergencies, successions, worlds::World};
use crate::{
    harness::{LEAVER_FORM, NOW, context, draft, form},
    ledger_samples::Dice,
    raw,
};

mod policies;

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) path: String,
    pub(super) method: MethodDescriptor,
    pub(super) messages: Vec<Bytes>,
}

/// Names that alder has heard, and names of others.
#[derive(Debug, Default)]
pub(super) struct Pool {
    own: VecDeque<String>,
    pub(super) foreign: Vec<String>,
    pub(super) cursors: Vec<String>,
    sent: VecDeque<Call>,
    agency: String,
    scns: Vec<String>,
    drawn: u64,
}

/// How the request ids that alder draws end.
pub(super) const OWN: &str = "0000";
/// How many names are kept.
const KEPT: usize = 200;

impl Pool {
    pub(super) fn new(agency: &AgencyId, scns: Vec<String>) -> Self {
        Self { agency: agency.to_string(), scns, ..Self::default() }
    }

    /// Alder's own id.
    pub(super) fn agency(&self) -> &str {
        &self.agency
    }

    /// Takes the names out of what alder heard.
    pub(super) fn learn(&mut self, found: &[String]) {
        for text in found {
            let known = [
                "records/",
                "clients/",
                "consents/",
                "holders/",
                "recalls/",
                "disputes/",
                "cases/",
                "emergencies/",
                "erasures/",
                "holds/",
            ];
            if known.iter().any(|collection| text.starts_with(collection)) {
                self.own.push_back(text.clone());
            } else if 60 < text.len() && !text.contains(' ') {
                self.cursors.push(text.clone());
            }
        }
        while KEPT < self.own.len() {
            drop(self.own.pop_front());
        }
    }

    /// A name in a collection: mostly alder's own, sometimes another agency's, sometimes nobody's.
    pub(super) fn name(&self, dice: &mut Dice, collection: &str) -> String {
        let of = |name: &&String| name.starts_with(collection);
        let own: Vec<_> = self.own.iter().filter(of).collect();
        let foreign: Vec<_> = self.foreign.iter().filter(of).collect();
        let from = match dice.below(10) {
            0..=5 => own,
            6..=8 => foreign,
            _ => Vec::new(),
        };
        let place = dice.below(64);
        match usize::try_from(place).ok().and_then(|place| from.get(place % from.len().max(1))) {
            Some(name) => (*name).clone(),
            None => format!("{collection}/{:032x}", u128::from(dice.roll())),
        }
    }

    pub(super) fn bytes(&self, dice: &mut Dice, collection: &str) -> Bytes {
        let name = self.name(dice, collection);
        let digits = name.rsplit('/').next().unwrap_or_default();
        let number = u128::from_str_radix(digits, 16).unwrap_or_default();
        number.to_be_bytes().to_vec().into()
    }

    fn cursor(&self, dice: &mut Dice) -> String {
        let place = usize::try_from(dice.below(64)).unwrap_or_default();
        match self.cursors.iter().rev().nth(place) {
            Some(cursor) if 0 < dice.below(8) => cursor.clone(),
            _ => "AAAA".to_owned(),
        }
    }

    /// A request id; one in eight stood in another request before.
    pub(super) fn request(&mut self, dice: &mut Dice) -> String {
        if 0 < dice.below(8) || self.drawn == 0 {
            self.drawn += 1;
        }
        let far = if dice.below(8) == 0 { 4 } else { 1 };
        let back = dice.below(far);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.drawn.saturating_sub(back).to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(NOW.millis(), &random).into_uuid().to_string()
    }
}

/// A Scottish Candidate Number of nobody, by its number.
pub(super) fn scn(number: u64) -> String {
    let mut candidates = (0..).map(|n| format!("05{n:06}")).filter_map(|text| {
        let digits: Vec<u8> = text.bytes().map(|digit| digit - b'0').collect();
        let check = check_digit(digits.try_into().ok()?)?;
        Some(format!("{text}{check}"))
    });
    let place = usize::try_from(number).unwrap_or_default() + 10;
    candidates.nth(place).unwrap_or_default()
}

pub(super) fn of(path: &str, message: &impl Message) -> Call {
    with(path, vec![message.encode_to_vec().into()])
}

fn with(path: &str, messages: Vec<Bytes>) -> Call {
    let path = format!("/concordat.v1.{path}");
    let method = raw::methods().remove(&path).unwrap();
    Call { path, method, messages }
}

/// Alder's next call.
pub(super) fn next(dice: &mut Dice, pool: &mut Pool, world: &World) -> Call {
    let call = match dice.below(100) {
        0..=24 => publish(dice, pool),
        25..=32 => read(dice, pool),
        33..=44 => deliveries(dice, pool),
        45..=56 => clients(dice, pool, world),
        57..=68 => consents::next(dice, pool, world),
        69..=78 => policies::next(dice, pool, world),
        79..=83 => agreements(dice, pool, world),
        84 => successions::next(dice, pool, world),
        85..=86 => recalls(dice, pool),
        87 => disposals(dice, pool, world),
        88 => cases::next(dice, pool),
        89..=90 => emergencies::next(dice, pool, world),
        91 => lists(dice),
        92..=95 => match pool.sent.get(usize::try_from(dice.below(32)).unwrap_or_default()) {
            Some(sent) => sent.clone(),
            None => lists(dice),
        },
        _ => nonsense(dice),
    };
    pool.sent.push_front(call.clone());
    pool.sent.truncate(32);
    call
}

/// A body about one of alder's clients: twelve whose numbers are always told, and some about whom alder changes its mind.
fn body(dice: &mut Dice, pool: &Pool) -> pb::RecordDraft {
    let client = dice.below(20);
    let mut form = form(u32::try_from(client).unwrap_or_default());
    let at = if client < 12 { client } else { 12 + dice.below(12) };
    if let (Some(identity), Some(scn)) =
        (&mut form.identity, pool.scns.get(usize::try_from(at).unwrap_or_default()))
    {
        if client < 12 || 0 < dice.below(3) {
            identity.scn.clone_from(scn);
        }
        if dice.below(12) == 0 {
            "2031-01-01".clone_into(&mut identity.date_of_birth);
        }
    }
    let mut draft = draft(&form);
    match dice.below(16) {
        0 => "no-such-form".clone_into(&mut draft.record_type),
        1 => draft.type_version = 9,
        2 => draft.body = Bytes::from_static(b"\xff\xff\xff"),
        3..=6 => draft.supersedes = pool.name(dice, "records"),
        _ => {}
    }
    draft
}

fn publish(dice: &mut Dice, pool: &mut Pool) -> Call {
    let record = Some(body(dice, pool));
    let request_id = pool.request(dice);
    let validate_only = dice.below(8) == 0;
    if dice.below(6) == 0 {
        let item = |request_id, record| {
            let item =
                pb::PublishRecordsRequest { context: context(), request_id, record, validate_only };
            Bytes::from(item.encode_to_vec())
        };
        return with("ExchangeService/PublishRecords", vec![item(request_id, record)]);
    }
    let request =
        pb::PublishRecordRequest { context: context(), request_id, record, validate_only };
    of("ExchangeService/PublishRecord", &request)
}

fn read(dice: &mut Dice, pool: &mut Pool) -> Call {
    let request = pb::GetRecordRequest {
        context: context(),
        request_id: pool.request(dice),
        name: pool.name(dice, "records"),
        reason: i32::try_from(dice.below(6)).unwrap_or_default(),
    };
    of("ExchangeService/GetRecord", &request)
}

#[expect(clippy::too_many_lines, reason = "one request after the other")]
fn deliveries(dice: &mut Dice, pool: &mut Pool) -> Call {
    let subscription = match dice.below(8) {
        0 => "agencies/skills/subscriptions/leavers".to_owned(),
        1 => format!("agencies/{}/subscriptions/second", pool.agency),
        _ => format!("agencies/{}/subscriptions/leavers", pool.agency),
    };
    let request_id = pool.request(dice);
    match dice.below(9) {
        0..=2 => {
            let max_records = i32::try_from(dice.below(6)).unwrap_or_default();
            let request = pb::PullRecordsRequest {
                context: context(),
                request_id,
                subscription,
                max_records,
            };
            of("ExchangeService/PullRecords", &request)
        }
        3 | 4 => {
            let nack = pb::DeliveryNack {
                cursor: pool.cursor(dice),
                reason: i32::try_from(dice.below(4)).unwrap_or_default(),
            };
            let nacks = if dice.below(2) == 0 { vec![nack] } else { Vec::new() };
            let request = pb::AcknowledgeRecordsRequest {
                context: context(),
                request_id,
                subscription,
                through_cursor: pool.cursor(dice),
                nacks,
            };
            of("ExchangeService/AcknowledgeRecords", &request)
        }
        5 => {
            let place = match dice.below(3) {
                0 => seek_subscription_request::Place::Beginning(true),
                _ => seek_subscription_request::Place::AfterCursor(pool.cursor(dice)),
            };
            let request = pb::SeekSubscriptionRequest {
                context: context(),
                request_id,
                name: subscription,
                place: Some(place),
                validate_only: dice.below(4) == 0,
            };
            of("SubscriptionService/SeekSubscription", &request)
        }
        6 => {
            let create = ledger::CreateSubscription {
                subscription: "second".to_owned(),
                record_types: vec![LEAVER_FORM.to_owned()],
            };
            let request = pb::CreateSubscriptionRequest {
                context: context(),
                request_id,
                create: Some(create),
                validate_only: true,
            };
            of("SubscriptionService/CreateSubscription", &request)
        }
        7 => {
            let request = pb::GetSubscriptionRequest { context: context(), name: subscription };
            of("SubscriptionService/GetSubscription", &request)
        }
        _ => {
            let view = match dice.below(2) {
                0 => pb::list_parked_request::View::Published(true),
                _ => pb::list_parked_request::View::Subscription(subscription),
            };
            let request = pb::ListParkedRequest {
                context: context(),
                view: Some(view),
                page_size: 2,
                page_token: String::new(),
            };
            of("SubscriptionService/ListParked", &request)
        }
    }
}

fn clients(dice: &mut Dice, pool: &mut Pool, world: &World) -> Call {
    let request_id = pool.request(dice);
    let validate_only = dice.below(6) == 0;
    let client = pool.bytes(dice, "clients");
    match dice.below(6) {
        0 | 1 => {
            let number = dice.below(24);
            let local_id = match (number < 12, dice.below(3)) {
                (true, _) => format!("IC-{number}"),
                (false, 0) => String::new(),
                (false, _) => format!("IC-{}", 12 + dice.below(8)),
            };
            let identifiers =
                Some(ledger::Identifiers { local_id, scn: scn(number), person: None });
            let request =
                pb::AddClientRequest { context: context(), request_id, identifiers, validate_only };
            of("CaseloadService/AddClient", &request)
        }
        2 => {
            let open = Some(ledger::OpenCaseload { client });
            let request =
                pb::OpenCaseloadRequest { context: context(), request_id, open, validate_only };
            of("CaseloadService/OpenCaseload", &request)
        }
        3 | 4 => {
            let agencies = ["cedar-trust", "birch-college", "skills", "nobody"];
            let agency = agencies[usize::try_from(dice.below(4)).unwrap_or_default()].to_owned();
            let confirm = ledger::ConfirmCaseload { client, agency };
            let signature = world.signature(&request_id, &Kind::ConfirmCaseload(confirm.clone()));
            let request = pb::ConfirmCaseloadRequest {
                context: context(),
                request_id,
                confirm: Some(confirm),
                signature,
                validate_only,
            };
            of("CaseloadService/ConfirmCaseload", &request)
        }
        _ => {
            let agency =
                if dice.below(2) == 0 { "cedar-trust".to_owned() } else { pool.agency.clone() };
            let end = Some(ledger::EndCaseload { client, agency });
            let request =
                pb::EndCaseloadRequest { context: context(), request_id, end, validate_only };
            of("CaseloadService/EndCaseload", &request)
        }
    }
}

/// Recalls, disputes and disclosures.
fn recalls(dice: &mut Dice, pool: &mut Pool) -> Call {
    let (context, page_size, page_token) = (context(), 3, String::new());
    let request_id = pool.request(dice);
    let validate_only = dice.below(4) == 0;
    match dice.below(10) {
        0 => {
            let retract = ledger::RetractRecord { record: pool.bytes(dice, "records"), reason: 1 };
            let retract = Some(retract);
            let request = pb::RetractRecordRequest { context, request_id, retract, validate_only };
            of("RecallService/RetractRecord", &request)
        }
        1 => {
            let acknowledged_too = dice.below(2) == 0;
            let request =
                pb::ListRecallsRequest { context, acknowledged_too, page_size, page_token };
            of("RecallService/ListRecalls", &request)
        }
        2 => {
            let recall = pool.bytes(dice, "recalls");
            let acknowledge = Some(ledger::AcknowledgeRecall { recall, act: 1, ground: 0 });
            let request =
                pb::AcknowledgeRecallRequest { context, request_id, acknowledge, validate_only };
            of("RecallService/AcknowledgeRecall", &request)
        }
        3 => {
            let record =
                if dice.below(2) == 0 { String::new() } else { pool.name(dice, "records") };
            let request = pb::ListIssuedRecallsRequest {
                context,
                record,
                acknowledged_too: true,
                page_size,
                page_token,
            };
            of("RecallService/ListIssuedRecalls", &request)
        }
        4 => {
            let record = pool.name(dice, "records");
            let request = pb::GetDisposalCertificateRequest { context, record };
            of("RecallService/GetDisposalCertificate", &request)
        }
        5 => {
            let record = pool.name(dice, "records");
            let request = pb::GetRecordStatusRequest { context, record, reason: 1 };
            of("DisclosureService/GetRecordStatus", &request)
        }
        6 => {
            let client = pool.name(dice, "clients");
            let request =
                pb::ListDisclosuresRequest { context, client, reason: 1, page_size, page_token };
            of("DisclosureService/ListDisclosures", &request)
        }
        _ => disputes(dice, pool, (request_id, validate_only)),
    }
}

fn disputes(dice: &mut Dice, pool: &mut Pool, (request_id, validate_only): (String, bool)) -> Call {
    let (context, evidence) = (context(), None);
    match dice.below(3) {
        0 => {
            let (record, group) = (pool.bytes(dice, "records"), "core".to_owned());
            let field = "core.status".to_owned();
            let open = Some(ledger::OpenDispute { record, group, field, reason: 1 });
            let request =
                pb::OpenDisputeRequest { context, request_id, open, evidence, validate_only };
            of("DisputeService/OpenDispute", &request)
        }
        1 => {
            let dispute = pool.bytes(dice, "disputes");
            let answer = Some(ledger::AnswerDispute { dispute, answer: 2, keep_reason: 1 });
            let request =
                pb::AnswerDisputeRequest { context, request_id, answer, evidence, validate_only };
            of("DisputeService/AnswerDispute", &request)
        }
        _ => {
            let published = dice.below(2) == 0;
            let request = pb::ListDisputesRequest {
                context,
                published,
                answered_too: true,
                page_size: 3,
                page_token: String::new(),
            };
            of("DisputeService/ListDisputes", &request)
        }
    }
}

fn disposals(dice: &mut Dice, pool: &mut Pool, world: &World) -> Call {
    let (context, request_id) = (context(), pool.request(dice));
    let validate_only = dice.below(4) == 0;
    let (client, record) = if dice.below(2) == 0 {
        (pool.bytes(dice, "clients"), Bytes::new())
    } else {
        (Bytes::new(), pool.bytes(dice, "records"))
    };
    let (page_size, page_token) = (0, String::new());
    match dice.below(8) {
        0 | 1 => {
            let erase = ledger::EraseRecords { client, record, ground: 3 };
            let signature = world.signature(&request_id, &Kind::EraseRecords(erase.clone()));
            let erase = Some(erase);
            let request =
                pb::EraseRecordsRequest { context, request_id, erase, signature, validate_only };
            of("DisposalService/EraseRecords", &request)
        }
        2 => {
            let place = Some(ledger::PlaceHold { client, record, ground: 5 });
            let request = pb::PlaceHoldRequest { context, request_id, place, validate_only };
            of("DisposalService/PlaceHold", &request)
        }
        3 | 4 => {
            let lift = ledger::LiftHold { hold: pool.bytes(dice, "holds") };
            let signature = world.signature(&request_id, &Kind::LiftHold(lift.clone()));
            let lift = Some(lift);
            let request =
                pb::LiftHoldRequest { context, request_id, lift, signature, validate_only };
            of("DisposalService/LiftHold", &request)
        }
        5 => {
            let request = pb::GetErasureRequest { context, name: pool.name(dice, "erasures") };
            of("DisposalService/GetErasure", &request)
        }
        6 => {
            let request =
                pb::ListErasuresRequest { context, in_progress_only: false, page_size, page_token };
            of("DisposalService/ListErasures", &request)
        }
        _ => {
            let request = pb::ListHoldsRequest { context, lifted_too: true, page_size, page_token };
            of("DisposalService/ListHolds", &request)
        }
    }
}

fn agreements(dice: &mut Dice, pool: &mut Pool, world: &World) -> Call {
    let names = ["leavers", "inbound", "elsewhere", "nowhere"];
    let agreement = names[usize::try_from(dice.below(4)).unwrap_or_default()].to_owned();
    let request_id = pool.request(dice);
    let name = format!("agreements/{agreement}");
    match dice.below(6) {
        0 => {
            let reason = i32::from(ledger::SuspendReason::Incident);
            let suspend = ledger::SuspendFlows { agreement, reason };
            let signature = world.signature(&request_id, &Kind::SuspendFlows(suspend.clone()));
            let request = pb::SuspendFlowsRequest {
                context: context(),
                request_id,
                suspend: Some(suspend),
                signature,
                validate_only: false,
            };
            of("AgreementService/SuspendFlows", &request)
        }
        1 | 2 => {
            let resume = ledger::ResumeFlows { agreement };
            let signature = world.signature(&request_id, &Kind::ResumeFlows(resume.clone()));
            let request = pb::ResumeFlowsRequest {
                context: context(),
                request_id,
                resume: Some(resume),
                signature,
                validate_only: false,
            };
            of("AgreementService/ResumeFlows", &request)
        }
        3 => {
            let subject = Some(pb::check_agreement_request::Subject::Name(name));
            let request = pb::CheckAgreementRequest { context: context(), subject, version: 0 };
            of("AgreementService/CheckAgreement", &request)
        }
        4 => {
            let request = pb::PreviewAgreementRequest { context: context(), name, version: 0 };
            of("AgreementService/PreviewAgreement", &request)
        }
        _ => {
            let request = pb::GetAgreementRequest { context: context(), name, version: 0 };
            of("AgreementService/GetAgreement", &request)
        }
    }
}

/// Lists, and what only the operator may ask. All are asked page by page.
fn lists(dice: &mut Dice) -> Call {
    let page_size = 1 + i32::try_from(dice.below(4)).unwrap_or_default();
    let (context, page_token) = (context(), String::new());
    match dice.below(10) {
        0 => {
            let request = pb::ListAgenciesRequest { context, page_size, page_token };
            of("AgencyService/ListAgencies", &request)
        }
        1 => {
            let request = pb::ListAgreementsRequest { context, page_size, page_token };
            of("AgreementService/ListAgreements", &request)
        }
        2 => {
            let request = pb::ListCaseloadRequest { context, reason: 1, page_size, page_token };
            of("CaseloadService/ListCaseload", &request)
        }
        3 => {
            let request = pb::ListClaimsRequest { context, reason: 1, page_size, page_token };
            of("CaseloadService/ListClaims", &request)
        }
        4 => {
            let request = pb::ListPoliciesRequest { context, page_size, page_token };
            of("PolicyService/ListPolicies", &request)
        }
        5 => {
            let request = pb::ListSubscriptionsRequest { context, page_size, page_token };
            of("SubscriptionService/ListSubscriptions", &request)
        }
        6 => of("LedgerService/GetLedger", &pb::GetLedgerRequest { context }),
        7 => of("LedgerService/GetCheckpoint", &pb::GetCheckpointRequest { context, fresh: true }),
        8 => {
            let request =
                pb::ListNoticesRequest { context, after_number: 0, page_size, page_token };
            of("NoticeService/ListNotices", &request)
        }
        _ => {
            let request = pb::ListEntriesRequest { context, page_size: 20, ..Default::default() };
            of("LedgerService/ListEntries", &request)
        }
    }
}

/// A message of noise to any RPC.
fn nonsense(dice: &mut Dice) -> Call {
    let methods = raw::methods();
    let place = usize::try_from(dice.below(1_000)).unwrap_or_default() % methods.len();
    let (path, method) = methods.into_iter().nth(place).unwrap();
    let length = dice.below(40);
    Call { path, method, messages: vec![dice.bytes(length)] }
}
