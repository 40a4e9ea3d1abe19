//! Input that no honest client sends: each kind gets a documented error with a stable reason, and nothing changes.
//!
//! Every RPC is tried, by enumerating the published descriptors. Nothing changed means that the ledger's head and the
//! digest of the state are what they were. Certificates that end in an alert are in `tls_matrix.rs`.

#![expect(clippy::panic, reason = "a message that is answered ends its test")]

use std::collections::BTreeSet;

use bytes::Bytes;
use concordat::{
    model::{digest::Digest, limit::MESSAGE_BYTES_MAX},
    pb::{
        ledger::v1::{self as ledger, AgencyKind, command::Kind},
        v1::{
            self as pb, Reason, emergency_service_client::EmergencyServiceClient,
            open_emergency_access_request::Subject,
        },
    },
    service::callers::{self, Callers},
};
use prost::Message;
use prost_reflect::{DynamicMessage, Kind as FieldKind, MessageDescriptor, Value};
use tonic::{Code, Status, transport::Channel};

use crate::{
    harness::{Agency, Exchange, context, draft, form},
    ledger_samples::Dice,
    raw,
};

/// What must not change. What the node does of its own accord for what came before is done first.
async fn digest(exchange: &Exchange) -> (u64, Digest) {
    exchange.at_rest().await;
    let size = exchange.node.ledger().head().0.count();
    (size, exchange.node.read(concordat::machine::State::digest))
}

/// Holds that an error is one of those that are published, with the code and the domain that go with it.
fn documented(status: &Status, about: &str) -> String {
    let details = raw::details(status);
    let info = details.error_info().unwrap_or_else(|| panic!("{about}: no reason: {status:?}"));
    assert_eq!(info.domain, "concordat", "{about}");
    let known = Reason::from_str_name(&format!("REASON_{}", info.reason));
    let known = known.unwrap_or_else(|| panic!("{about}: `{}` is not published", info.reason));
    assert_eq!(status.code(), concordat::service::status::code(known), "{about}: {status:?}");
    let bugs = [Reason::Internal, Reason::Unspecified, Reason::LedgerDamaged];
    assert!(!bugs.contains(&known), "{about}: {status:?}");
    assert!(!status.message().is_empty() && status.message().len() < 4_096, "{about}");
    info.reason.clone()
}

/// The profile with which an RPC is called so that its message is looked at.
async fn admitted(exchange: &Exchange, agency: &Agency, path: &str) -> Channel {
    match callers::of(path) {
        Some(Callers::Operator) => exchange.channel(&exchange.operator.directory).await,
        _ => agency.channel.clone(),
    }
}

/// Sends one message to every RPC of the API and holds each to a documented error.
async fn everywhere(what: &str, message: impl Fn(&MessageDescriptor) -> Bytes) -> BTreeSet<String> {
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    let before = digest(&exchange).await;
    let mut reasons = BTreeSet::new();
    for (path, method) in raw::methods() {
        let channel = admitted(&exchange, &council, &path).await;
        let about = format!("{what} to {path}");
        let answer = raw::call(&channel, &path, vec![message(&method.input())]).await;
        let status = answer.err().unwrap_or_else(|| panic!("{about}: it was answered"));
        reasons.insert(documented(&status, &about));
    }
    assert_eq!(digest(&exchange).await, before, "{what}");
    reasons
}

#[tokio::test]
async fn an_empty_request_is_refused_by_every_rpc() {
    let reasons = everywhere("an empty request", |_| Bytes::new()).await;
    assert_eq!(reasons, BTreeSet::from(["INVALID_REQUEST".to_owned()]));
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused_by_every_rpc() {
    for bytes in [&b"\xff\xff\xff\xff"[..], b"\x0a\xff", b"\x00", b"\x0a\x02\x08"] {
        let message = Bytes::copy_from_slice(bytes);
        let reasons = everywhere("noise", |_| message.clone()).await;
        assert_eq!(reasons, BTreeSet::from(["INVALID_REQUEST".to_owned()]), "{bytes:?}");
    }
}

#[tokio::test]
async fn a_message_of_more_than_a_mebibyte_is_refused_by_every_rpc() {
    // Field 1 of every request is its context; an unknown field inside carries the weight.
    let reasons = everywhere("too much", |_| {
        let weight = vec![b'x'; MESSAGE_BYTES_MAX];
        let mut message = Vec::new();
        prost::encoding::bytes::encode(999, &weight, &mut message);
        message.into()
    })
    .await;
    assert_eq!(reasons, BTreeSet::from(["INVALID_REQUEST".to_owned()]));
}

#[tokio::test]
async fn a_deeply_nested_message_is_refused_by_every_rpc() {
    let reasons = everywhere("nesting", |_| {
        // Groups inside groups, in a field that nobody knows: deeper than any parser follows.
        let mut message = [0xbb, 0x3e_u8].repeat(100_000);
        message.extend([0xbc, 0x3e].repeat(100_000));
        message.into()
    })
    .await;
    assert_eq!(reasons, BTreeSet::from(["INVALID_REQUEST".to_owned()]));
}

/// A message in which every field of every depth holds something, and every enumeration a code that nobody published.
fn full(descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let value = match field.kind() {
            FieldKind::Enum(_) => Value::EnumNumber(9_999),
            FieldKind::String => Value::String("x".to_owned()),
            FieldKind::Bytes => Value::Bytes(Bytes::from_static(b"x")),
            FieldKind::Bool => Value::Bool(true),
            FieldKind::Int32 => Value::I32(-1),
            FieldKind::Uint32 => Value::U32(u32::MAX),
            FieldKind::Uint64 => Value::U64(u64::MAX),
            FieldKind::Int64 => Value::I64(i64::MIN),
            FieldKind::Message(inner) if depth < 8 => Value::Message(full(&inner, depth + 1)),
            FieldKind::Double
            | FieldKind::Float
            | FieldKind::Sint32
            | FieldKind::Sint64
            | FieldKind::Fixed32
            | FieldKind::Fixed64
            | FieldKind::Sfixed32
            | FieldKind::Sfixed64
            | FieldKind::Message(_) => continue,
        };
        let value = if field.is_list() { Value::List(vec![value]) } else { value };
        message.set_field(&field, value);
    }
    message
}

#[tokio::test]
async fn codes_that_nobody_published_are_refused_by_every_rpc() {
    let reasons =
        everywhere("unknown codes", |descriptor| full(descriptor, 0).encode_to_vec().into()).await;
    // New keys must list the certificate that brings them, which is looked at first.
    let expected = ["CERTIFICATE_NOT_LISTED", "INVALID_REQUEST"].map(ToOwned::to_owned);
    assert_eq!(reasons, BTreeSet::from(expected));
}

#[tokio::test]
async fn every_rpc_survives_whatever_a_seed_sends() {
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    let before = digest(&exchange).await;
    let mut dice = Dice(11);
    for (path, method) in raw::methods() {
        let channel = admitted(&exchange, &council, &path).await;
        let sound = full(&method.input(), 0).encode_to_vec();
        for _ in 0..6 {
            let mut bytes = sound.clone();
            for _ in 0..=dice.below(6) {
                let at = usize::try_from(dice.roll()).unwrap() % bytes.len();
                bytes[at] = dice.roll().to_le_bytes()[0];
            }
            let about = format!("{bytes:?} to {path}");
            if let Err(status) = raw::call(&channel, &path, vec![bytes.into()]).await {
                documented(&status, &about);
            }
        }
    }
    assert_eq!(digest(&exchange).await, before);
}

#[tokio::test]
async fn without_a_certificate_or_with_a_strangers_every_rpc_says_so() {
    let exchange = Exchange::start().await;
    let (_council, _sds) = exchange.partners().await;
    let stranger = "stranger".parse().unwrap();
    let stranger = exchange.authority.issue_agency(&stranger, crate::harness::NOW).unwrap();
    let stranger = exchange.channel(&stranger.directory).await;
    let before = digest(&exchange).await;
    for (path, _) in raw::methods() {
        let open = matches!(callers::of(&path), Some(Callers::AnyCertificate | Callers::Invited));
        let status = raw::call(&stranger, &path, vec![Bytes::new()]).await.unwrap_err();
        let expected = if open { "INVALID_REQUEST" } else { "CERTIFICATE_UNKNOWN" };
        assert_eq!(documented(&status, &path), expected, "{path}");
    }
    for path in ["/concordat.v1.AgencyService/DropTables", "/nonsense", "/concordat.v1.NoService/X"]
    {
        let status = raw::call(&stranger, path, vec![Bytes::new()]).await.unwrap_err();
        assert_eq!(documented(&status, path), "CERTIFICATE_UNKNOWN");
    }
    assert_eq!(digest(&exchange).await, before);
}

#[tokio::test]
async fn a_request_id_with_other_content_changes_nothing() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let id = council.request();
    let publish = |record| pb::PublishRecordRequest {
        context: context(),
        request_id: id.clone(),
        record: Some(record),
        validate_only: false,
    };
    let first = council.exchange().publish_record(publish(draft(&form(1)))).await.unwrap();
    let first = first.into_inner().receipt.unwrap();
    let before = digest(&exchange).await;
    for number in [2, 3] {
        let status = council.exchange().publish_record(publish(draft(&form(number)))).await;
        assert_eq!(documented(&status.unwrap_err(), "other content"), "REQUEST_REUSED");
    }
    assert_eq!(digest(&exchange).await, before);
    let again = council.exchange().publish_record(publish(draft(&form(1)))).await.unwrap();
    assert_eq!(again.into_inner().receipt.unwrap(), first);
    assert_eq!(digest(&exchange).await, before);
    // Another kind of command, and the same id from another agency, which is a request of its own.
    let create = |agency: &Agency, id: &str| {
        let create = ledger::CreateSubscription {
            subscription: "second".to_owned(),
            record_types: vec!["leaver-form".to_owned()],
        };
        let request = pb::CreateSubscriptionRequest {
            context: context(),
            request_id: id.to_owned(),
            create: Some(create),
            validate_only: false,
        };
        let channel = agency.channel.clone();
        async move {
            let path = "/concordat.v1.SubscriptionService/CreateSubscription";
            raw::unary(&channel, path, request.encode_to_vec().into()).await
        }
    };
    create(&sds, &id).await.unwrap();
    let before = digest(&exchange).await;
    let remove = ledger::RemoveSubscription { subscription: "second".to_owned() };
    let request = pb::RemoveSubscriptionRequest {
        context: context(),
        request_id: id.clone(),
        remove: Some(remove),
        validate_only: false,
    };
    let path = "/concordat.v1.SubscriptionService/RemoveSubscription";
    let status = raw::unary(&sds.channel, path, request.encode_to_vec().into()).await.unwrap_err();
    assert_eq!(documented(&status, "another command"), "REQUEST_REUSED");
    assert_eq!(digest(&exchange).await, before);
}

/// What one agency holds that means nothing to another.
struct Holdings {
    record: String,
    client: String,
    consent: String,
    policy: String,
    subscription: String,
    cursor: String,
    agreement: String,
}

/// Four agencies in two pairs; in each pair the first publishes to the second.
async fn cast(exchange: &Exchange) -> Vec<(Agency, Holdings)> {
    use crate::harness::{alias, by_consent, by_duty};
    let mut all = Vec::new();
    for (one, two) in [("alder", "birch"), ("cedar", "pine")] {
        let publisher = exchange.agency(one, AgencyKind::Council).await;
        let reader = exchange.agency(two, AgencyKind::NationalBody).await;
        let college = exchange.agency(&format!("{one}-college"), AgencyKind::College).await;
        let agreement = format!("{one}-{two}");
        let flows = vec![
            by_duty("duty", &publisher, &[&reader]),
            by_consent("asked", &publisher, &[&college]),
        ];
        exchange.agree(&agreement, &[&publisher, &reader, &college], flows).await;
        for agency in [&publisher, &reader] {
            agency.subscribe_to("leavers").await;
            let put = ledger::PutPolicy {
                policy: "narrow".to_owned(),
                text:
                    r#"forbid(principal, action, resource) when { resource.group == "outcome" };"#
                        .to_owned(),
                schema_version: 1,
            };
            agency.submit(Kind::PutPolicy(put)).await.unwrap();
        }
        let request = pb::PublishRecordRequest {
            context: context(),
            request_id: publisher.request(),
            record: Some(draft(&form(1))),
            validate_only: false,
        };
        let answer = publisher.exchange().publish_record(request).await.unwrap().into_inner();
        let receipt = answer.receipt.unwrap();
        let consent =
            publisher.record_consent(alias(&receipt.client), &["core"], &[&college]).await.unwrap();
        let pull = pb::PullRecordsRequest {
            context: context(),
            request_id: reader.request(),
            subscription: reader.subscription("leavers"),
            max_records: 0,
        };
        let pulled = reader.exchange().pull_records(pull).await.unwrap().into_inner();
        let [came] = <[pb::Delivery; 1]>::try_from(pulled.deliveries).unwrap();
        let held = |agency: &Agency, record: &str, client: &str, cursor: &str| Holdings {
            record: record.to_owned(),
            client: client.to_owned(),
            consent: format!("consents/{consent}"),
            policy: format!("agencies/{}/policies/narrow", agency.id),
            subscription: agency.subscription("leavers"),
            cursor: cursor.to_owned(),
            agreement: format!("agreements/{agreement}"),
        };
        let record = came.record.unwrap();
        let given = held(&publisher, &receipt.record, &receipt.client, &came.cursor);
        let taken = held(&reader, &record.name, &record.client, &came.cursor);
        all.push((publisher, given));
        all.push((reader, taken));
    }
    all
}

/// What `agency` may ask with what `theirs` names, and the reason that it gets.
#[expect(clippy::too_many_lines, reason = "one request after the other")]
fn foreign(agency: &Agency, theirs: &Holdings) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let (context, gone) = (context(), "NOT_AVAILABLE");
    let bytes = |name: &str| -> Bytes {
        let id = u128::from_str_radix(name.rsplit('/').next().unwrap(), 16).unwrap();
        id.to_be_bytes().to_vec().into()
    };
    let own = agency.subscription("leavers");
    let acknowledge = |subscription: &str| pb::AcknowledgeRecordsRequest {
        context: context.clone(),
        request_id: agency.request(),
        subscription: subscription.to_owned(),
        through_cursor: theirs.cursor.clone(),
        nacks: Vec::new(),
    };
    let pull = pb::PullRecordsRequest {
        context: context.clone(),
        request_id: agency.request(),
        subscription: theirs.subscription.clone(),
        max_records: 1,
    };
    let get = pb::GetRecordRequest {
        context: context.clone(),
        request_id: agency.request(),
        name: theirs.record.clone(),
        reason: 1,
    };
    let seek = pb::SeekSubscriptionRequest {
        context: context.clone(),
        request_id: agency.request(),
        name: own.clone(),
        place: Some(pb::seek_subscription_request::Place::AfterCursor(theirs.cursor.clone())),
        validate_only: false,
    };
    let withdraw = pb::WithdrawConsentRequest {
        context: context.clone(),
        request_id: agency.request(),
        withdraw: Some(ledger::WithdrawConsent {
            consent: bytes(&theirs.consent),
            recipients: Vec::new(),
            recall: true,
            ..ledger::WithdrawConsent::default()
        }),
        evidence: None,
        validate_only: false,
    };
    let open = pb::OpenCaseloadRequest {
        context: context.clone(),
        request_id: agency.request(),
        open: Some(ledger::OpenCaseload { client: bytes(&theirs.client) }),
        validate_only: false,
    };
    let name = |name: &str| pb::GetConsentRequest {
        context: context.clone(),
        name: name.to_owned(),
        reason: 1,
    };
    let policy = pb::GetPolicyRequest { context: context.clone(), name: theirs.policy.clone() };
    let subscription =
        pb::GetSubscriptionRequest { context: context.clone(), name: theirs.subscription.clone() };
    let agreement = pb::GetAgreementRequest {
        context: context.clone(),
        name: theirs.agreement.clone(),
        version: 0,
    };
    let words = pb::ReadWordsRequest {
        context: context.clone(),
        request_id: agency.request(),
        about: theirs.consent.clone(),
        reason: 1,
        page_token: String::new(),
    };
    vec![
        ("ExchangeService/AcknowledgeRecords", acknowledge(&own).encode_to_vec(), "CURSOR_INVALID"),
        (
            "ExchangeService/AcknowledgeRecords",
            acknowledge(&theirs.subscription).encode_to_vec(),
            gone,
        ),
        ("ExchangeService/PullRecords", pull.encode_to_vec(), gone),
        ("ExchangeService/GetRecord", get.encode_to_vec(), gone),
        ("SubscriptionService/SeekSubscription", seek.encode_to_vec(), "CURSOR_INVALID"),
        ("SubscriptionService/GetSubscription", subscription.encode_to_vec(), gone),
        ("ConsentService/WithdrawConsent", withdraw.encode_to_vec(), gone),
        ("ConsentService/GetConsent", name(&theirs.consent).encode_to_vec(), gone),
        ("CaseloadService/OpenCaseload", open.encode_to_vec(), gone),
        ("PolicyService/GetPolicy", policy.encode_to_vec(), gone),
        ("WordsService/ReadWords", words.encode_to_vec(), gone),
        ("AgreementService/GetAgreement", agreement.encode_to_vec(), gone),
    ]
}

/// Recalls, disputes and disclosures of what is another agency's.
fn taken_back(agency: &Agency, theirs: &Holdings) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let (context, gone) = (context(), "NOT_AVAILABLE");
    let bytes = |name: &str| -> Bytes {
        let id = u128::from_str_radix(name.rsplit('/').next().unwrap(), 16).unwrap();
        id.to_be_bytes().to_vec().into()
    };
    let record = theirs.record.clone();
    let retract = pb::RetractRecordRequest {
        context: context.clone(),
        request_id: agency.request(),
        retract: Some(ledger::RetractRecord { record: bytes(&record), reason: 1 }),
        validate_only: false,
    };
    let certificate =
        pb::GetDisposalCertificateRequest { context: context.clone(), record: record.clone() };
    let status =
        pb::GetRecordStatusRequest { context: context.clone(), record: record.clone(), reason: 1 };
    let disclosures = pb::ListDisclosuresRequest {
        context: context.clone(),
        client: theirs.client.clone(),
        reason: 1,
        page_size: 0,
        page_token: String::new(),
    };
    let open = pb::OpenDisputeRequest {
        context: context.clone(),
        request_id: agency.request(),
        open: Some(ledger::OpenDispute {
            record: bytes(&record),
            group: "core".to_owned(),
            field: "core.status".to_owned(),
            reason: 1,
        }),
        evidence: None,
        validate_only: false,
    };
    let case = pb::OpenCaseRequest {
        context,
        request_id: agency.request(),
        open: Some(ledger::OpenCase {
            kind: i32::from(ledger::CaseKind::Restriction),
            client: bytes(&theirs.client),
            requester: Some(ledger::Requester { relation: 1, identity: 1, ..Default::default() }),
            ..ledger::OpenCase::default()
        }),
        evidence: None,
        validate_only: false,
    };
    let incident = pb::OpenCaseRequest {
        request_id: agency.request(),
        open: Some(ledger::OpenCase {
            kind: i32::from(ledger::CaseKind::Incident),
            agreement: "nowhere".to_owned(),
            incident: Some(ledger::Incident { kind: 1, severity: 1, ..Default::default() }),
            ..ledger::OpenCase::default()
        }),
        ..case.clone()
    };
    vec![
        ("CaseService/OpenCase", case.encode_to_vec(), gone),
        ("CaseService/OpenCase", incident.encode_to_vec(), gone),
        ("RecallService/RetractRecord", retract.encode_to_vec(), gone),
        ("RecallService/GetDisposalCertificate", certificate.encode_to_vec(), gone),
        ("DisclosureService/GetRecordStatus", status.encode_to_vec(), gone),
        ("DisclosureService/ListDisclosures", disclosures.encode_to_vec(), gone),
        ("DisputeService/OpenDispute", open.encode_to_vec(), gone),
    ]
}

/// Erasures and holds of what is another agency's.
fn erased(agency: &Agency, theirs: &Holdings) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let (context, gone) = (context(), "NOT_AVAILABLE");
    let id = u128::from_str_radix(theirs.record.rsplit('/').next().unwrap(), 16).unwrap();
    let record: Bytes = id.to_be_bytes().to_vec().into();
    let request = agency.request_id();
    let request_id = uuid::Uuid::from_bytes(*request.as_bytes()).to_string();
    let erase = ledger::EraseRecords { record: record.clone(), ground: 1, client: Bytes::new() };
    let signature = Some(agency.signature(request, &Kind::EraseRecords(erase.clone())));
    let erase = pb::EraseRecordsRequest {
        context: context.clone(),
        request_id,
        erase: Some(erase),
        signature,
        validate_only: false,
    };
    let place = pb::PlaceHoldRequest {
        context: context.clone(),
        request_id: agency.request(),
        place: Some(ledger::PlaceHold { record, ground: 5, client: Bytes::new() }),
        validate_only: false,
    };
    let get = pb::GetErasureRequest { context, name: format!("erasures/{id:032x}") };
    vec![
        ("DisposalService/EraseRecords", erase.encode_to_vec(), gone),
        ("DisposalService/PlaceHold", place.encode_to_vec(), gone),
        ("DisposalService/GetErasure", get.encode_to_vec(), gone),
    ]
}

/// A succession about what is another agency's agreement.
fn succeeded(agency: &Agency, theirs: &Holdings) -> (&'static str, Vec<u8>, &'static str) {
    let agreement = theirs.agreement.rsplit('/').next().unwrap().to_owned();
    let content = ledger::SuccessionContent {
        old: agency.id.to_string(),
        kind: i32::from(ledger::SuccessionKind::FunctionMoved),
        instrument: i32::from(ledger::SuccessionInstrument::Act),
        shares: vec![ledger::SuccessionShare {
            agreement,
            version: 1,
            content_hash: vec![1; 32].into(),
            successor: agency.id.to_string(),
        }],
        ..ledger::SuccessionContent::default()
    };
    let propose = pb::ProposeSuccessionRequest {
        context: context(),
        request_id: agency.request(),
        propose: Some(ledger::ProposeSuccession { content: Some(content) }),
        evidence: None,
        validate_only: false,
    };
    ("SuccessionService/ProposeSuccession", propose.encode_to_vec(), "NOT_AVAILABLE")
}

#[tokio::test]
async fn what_belongs_to_one_agency_is_nothing_to_any_other() {
    let exchange = Exchange::start().await;
    let cast = cast(&exchange).await;
    let before = digest(&exchange).await;
    let mut tried = 0;
    for (place, (agency, _)) in cast.iter().enumerate() {
        // Of the other pair: inside a pair some of it is shared.
        let others = cast.iter().enumerate().filter(|(other, _)| other / 2 != place / 2);
        for (_, (_, theirs)) in others {
            let asked = foreign(agency, theirs).into_iter().chain(taken_back(agency, theirs));
            let asked = asked.chain(erased(agency, theirs)).chain([succeeded(agency, theirs)]);
            for (path, message, expected) in asked {
                let about = format!("{} asks {path}", agency.id);
                let path = format!("/concordat.v1.{path}");
                let answer = raw::unary(&agency.channel, &path, message.into()).await;
                let status = answer.err().unwrap_or_else(|| panic!("{about}: it was answered"));
                assert_eq!(documented(&status, &about), expected, "{about}");
                tried += 1;
            }
        }
    }
    assert_eq!((digest(&exchange).await, tried), (before, 8 * 23));
    // Inside a pair, too, a cursor is its subscription's alone.
    let [(publisher, _), (_, received), ..] = cast.as_slice() else { unreachable!("four") };
    let (path, message, expected) = foreign(publisher, received).remove(0);
    let path = format!("/concordat.v1.{path}");
    let status = raw::unary(&publisher.channel, &path, message.into()).await.unwrap_err();
    assert_eq!(documented(&status, "a partner's cursor"), expected);
    assert_eq!((digest(&exchange).await, status.code()), (before, Code::InvalidArgument));
}

/// A member of staff who asks for a child's protection.
#[expect(clippy::unnecessary_wraps, reason = "a request takes it so")]
fn on_duty() -> Option<pb::RequestContext> {
    let staff =
        ledger::ActorDetail { staff_id: "s-1".to_owned(), role: "desk".to_owned(), office: 0 };
    Some(pb::RequestContext {
        purpose: i32::from(ledger::Purpose::ChildProtection),
        actor: Some(pb::request_context::Actor::Staff(staff)),
        held_checkpoint: String::new(),
    })
}

#[expect(clippy::unnecessary_wraps, reason = "a request takes it so")]
fn by_person(change: impl Fn(&mut ledger::Person)) -> Option<Subject> {
    let mut person = ledger::Person {
        forename: "Mòrag".to_owned(),
        surname: "O'Example".to_owned(),
        date_of_birth: "2011-06-15".to_owned(),
        postcode: "PA15 1LY".to_owned(),
    };
    change(&mut person);
    Some(Subject::Person(person))
}

#[expect(clippy::unnecessary_wraps, reason = "a request takes it so")]
fn by_identifiers(local_id: &str, scn: &str) -> Option<Subject> {
    let (local_id, scn) = (local_id.to_owned(), scn.to_owned());
    Some(Subject::Identifiers(ledger::Identifiers { local_id, scn, person: None }))
}

fn emergency_request(agency: &Agency) -> pb::OpenEmergencyAccessRequest {
    pb::OpenEmergencyAccessRequest {
        context: on_duty(),
        request_id: agency.request(),
        category: 1,
        reason: 1,
        office: 1,
        subject: by_person(|_| {}),
        words: String::new(),
    }
}

/// A change that makes a request for emergency access malformed.
type Spoil = fn(&mut pb::OpenEmergencyAccessRequest);

/// Each with the field that is wrong then.
const SPOILT: [(&str, Spoil); 11] = [
    ("subject", |request| request.subject = None),
    ("category", |request| request.category = 0),
    ("reason", |request| request.reason = 99),
    ("office", |request| request.office = -1),
    ("words", |request| request.words = "x".repeat(1_025)),
    ("identifiers", |request| request.subject = by_identifiers("", "")),
    ("identifiers", |request| request.subject = by_identifiers("a", "051234561")),
    ("identifiers.scn", |request| request.subject = by_identifiers("", "051234562")),
    ("person.postcode", |request| request.subject = by_person(|p| p.postcode.clear())),
    ("person.surname", |request| request.subject = by_person(|p| p.surname.clear())),
    ("person.date_of_birth", |request| {
        request.subject = by_person(|p| "15 June".clone_into(&mut p.date_of_birth));
    }),
];

#[tokio::test]
async fn emergency_access_that_is_asked_for_badly_is_refused_and_changes_nothing() {
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    let mut stub = EmergencyServiceClient::new(council.channel.clone());
    let before = digest(&exchange).await;
    for (field, spoil) in SPOILT {
        let mut request = emergency_request(&council);
        spoil(&mut request);
        let status = stub.open_emergency_access(request).await.unwrap_err();
        assert_eq!(documented(&status, field), "INVALID_REQUEST");
        let details = raw::details(&status);
        let fields = &details.bad_request().unwrap().field_violations;
        assert_eq!(fields.first().unwrap().field, field);
    }
    let emergency = format!("emergencies/{:032x}", 7);
    let read = pb::ReadEmergencyRecordsRequest {
        context: on_duty(),
        request_id: council.request(),
        emergency: emergency.clone(),
        page_token: String::new(),
    };
    let status = stub.read_emergency_records(read).await.unwrap_err();
    assert_eq!(documented(&status, "an unknown emergency"), "NOT_AVAILABLE");
    let review = pb::ReviewEmergencyAccessRequest {
        context: on_duty(),
        request_id: council.request(),
        emergency,
        finding: 1,
        reviewer: 1,
        evidence: None,
    };
    let status = stub.review_emergency_access(review).await.unwrap_err();
    assert_eq!(documented(&status, "an unknown emergency"), "NOT_AVAILABLE");
    assert_eq!(digest(&exchange).await, before);
}

#[tokio::test]
async fn an_emergency_request_without_authorisation_has_its_own_reason_and_is_told() {
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    let before = digest(&exchange).await;
    let mut stub = EmergencyServiceClient::new(council.channel.clone());
    let status = stub.open_emergency_access(emergency_request(&council)).await.unwrap_err();
    assert_eq!(documented(&status, "no authorisation"), "EMERGENCY_NOT_AUTHORISED");
    assert!(status.message().contains("authorise the office beforehand"), "{status:?}");
    // Those who answer for the agency hear of it.
    assert_ne!(digest(&exchange).await, before);
}
