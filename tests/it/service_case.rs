//! Cases over the network: restrictions at the gate, reports in which nothing shows what was held back, and who is told.

use concordat::{
    model::id::RequestId,
    pb::{
        ledger::v1::{
            self as ledger, AgencyKind, CaseKind, CaseOutcome, CaseStep, ContinueGround, Exemption,
            IdentityCheck, IncidentKind, MeasureKind, Relation, Severity, command::Kind,
        },
        record::v1::LeaverForm,
        v1::{
            self as pb, case_service_client::CaseServiceClient,
            disclosure_service_client::DisclosureServiceClient, notice::About,
            notice_service_client::NoticeServiceClient,
        },
    },
};
use prost::Message;
use serde_json::Value;
use tonic::{Code, Status, transport::Channel};

use crate::{
    harness::{Agency, DAY_MS, Exchange, NOW, Setup, alias, by_duty, context, draft, form, reason},
    raw,
};

fn cases(agency: &Agency) -> CaseServiceClient<Channel> {
    CaseServiceClient::new(agency.channel.clone())
}

fn bytes(name: &str) -> bytes::Bytes {
    let digits = name.rsplit('/').next().unwrap();
    u128::from_str_radix(digits, 16).unwrap().to_be_bytes().to_vec().into()
}

async fn publish(agency: &Agency, form: &LeaverForm, supersedes: &str) -> pb::PublishReceipt {
    let record = pb::RecordDraft { supersedes: supersedes.to_owned(), ..draft(form) };
    let request = pb::PublishRecordRequest {
        context: context(),
        request_id: agency.request(),
        record: Some(record),
        validate_only: false,
    };
    agency.exchange().publish_record(request).await.unwrap().into_inner().receipt.unwrap()
}

/// What comes of a subscription, all of it acknowledged.
async fn pull(agency: &Agency) -> Vec<pb::Record> {
    let request = pb::PullRecordsRequest {
        context: context(),
        request_id: agency.request(),
        subscription: agency.subscription("leavers"),
        max_records: 0,
    };
    let pulled = agency.exchange().pull_records(request).await.unwrap().into_inner();
    if let Some(last) = pulled.deliveries.last() {
        let request = pb::AcknowledgeRecordsRequest {
            context: context(),
            request_id: agency.request(),
            subscription: agency.subscription("leavers"),
            through_cursor: last.cursor.clone(),
            nacks: Vec::new(),
        };
        agency.exchange().acknowledge_records(request).await.unwrap();
    }
    pulled.deliveries.into_iter().map(|delivery| delivery.record.unwrap()).collect()
}

fn themselves() -> ledger::Requester {
    ledger::Requester {
        relation: i32::from(Relation::Self_),
        identity: i32::from(IdentityCheck::Confirmed),
        ..ledger::Requester::default()
    }
}

async fn open(agency: &Agency, open: ledger::OpenCase) -> Result<pb::Case, Status> {
    let request = pb::OpenCaseRequest {
        context: context(),
        request_id: agency.request(),
        open: Some(open),
        evidence: Some(ledger::Evidence { reference: "file 7".to_owned(), consent: None }),
        validate_only: false,
    };
    Ok(cases(agency).open_case(request).await?.into_inner().case.unwrap())
}

fn about(kind: CaseKind, client: &str) -> ledger::OpenCase {
    ledger::OpenCase {
        kind: i32::from(kind),
        client: bytes(client),
        requester: Some(themselves()),
        received_at_ms: NOW.millis(),
        ..ledger::OpenCase::default()
    }
}

async fn decide(agency: &Agency, decide: ledger::DecideCase) -> Result<pb::Case, Status> {
    let request_id = agency.request();
    let uuid = uuid::Uuid::parse_str(&request_id).unwrap();
    let id = RequestId::from_bytes(*uuid.as_bytes());
    let request = pb::DecideCaseRequest {
        context: context(),
        request_id,
        signature: Some(agency.signature(id, &Kind::DecideCase(decide.clone()))),
        decide: Some(decide),
        evidence: None,
        validate_only: false,
    };
    Ok(cases(agency).decide_case(request).await?.into_inner().case.unwrap())
}

fn deciding(case: &pb::Case, kind: MeasureKind, ground: ContinueGround) -> ledger::DecideCase {
    let measure = ledger::Measure {
        kind: i32::from(kind),
        ground: i32::from(ground),
        ..ledger::Measure::default()
    };
    ledger::DecideCase {
        case: bytes(&case.name),
        measures: vec![measure],
        ..ledger::DecideCase::default()
    }
}

async fn hold(
    agency: &Agency,
    case: &pb::Case,
    (record, groups): (&str, &[&str]),
) -> Result<pb::Case, Status> {
    let request = pb::HoldBackRequest {
        context: context(),
        request_id: agency.request(),
        hold: Some(ledger::HoldBack {
            case: bytes(&case.name),
            record: bytes(record),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            exemption: i32::from(Exemption::SeriousHarm),
        }),
        evidence: None,
        validate_only: false,
    };
    Ok(cases(agency).hold_back(request).await?.into_inner().case.unwrap())
}

async fn page(
    agency: &Agency,
    case: &str,
    page_token: &str,
) -> Result<pb::MakeReportResponse, Status> {
    let request = pb::MakeReportRequest {
        context: context(),
        request_id: agency.request(),
        case: case.to_owned(),
        page_token: page_token.to_owned(),
    };
    Ok(cases(agency).make_report(request).await?.into_inner())
}

async fn notices(agency: &Agency) -> Vec<About> {
    let request = pb::ListNoticesRequest { context: context(), ..Default::default() };
    let mut stub = NoticeServiceClient::new(agency.channel.clone());
    let notices = stub.list_notices(request).await.unwrap().into_inner().notices;
    let about = notices.into_iter().filter_map(|notice| notice.about);
    about.filter(|about| !matches!(about, About::Agreement(_))).collect()
}

#[tokio::test]
async fn a_restriction_stops_deliveries_and_lifted_brings_the_latest() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let first = publish(&council, &form(1), "").await;
    assert_eq!(pull(&sds).await.len(), 1);
    let case = open(&council, about(CaseKind::Restriction, &first.client)).await.unwrap();
    assert_eq!(case.kind(), CaseKind::Restriction);
    let ground = ContinueGround::Unspecified;
    let decision = deciding(&case, MeasureKind::Restrict, ground);
    let decided = decide(&council, decision).await.unwrap();
    assert_eq!(decided.measures[0].kind(), MeasureKind::Restrict);
    let second = publish(&council, &form(1), &first.record).await;
    assert!(pull(&sds).await.is_empty());
    let read = pb::GetRecordRequest {
        context: context(),
        request_id: sds.request(),
        name: first.record.clone(),
        reason: 1,
    };
    let status = sds.exchange().get_record(read).await.unwrap_err();
    assert_eq!(reason(&status), "NOT_AVAILABLE", "not to be read again either");
    let told = notices(&sds).await;
    let [About::Restriction(told)] = told.as_slice() else { unreachable!("{told:?}") };
    assert_eq!(
        (told.event(), told.by.as_str()),
        (pb::RestrictionEvent::Restricted, "agencies/inverclyde-council")
    );
    let lift = deciding(&case, MeasureKind::Lift, ground);
    let status = decide(&council, lift.clone()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::FailedPrecondition, "CASE_PERSON_NOT_TOLD".to_owned())
    );
    let lift = ledger::DecideCase { person_told: true, ..lift };
    let unsigned = pb::DecideCaseRequest {
        context: context(),
        request_id: council.request(),
        decide: Some(lift.clone()),
        ..pb::DecideCaseRequest::default()
    };
    let status = cases(&council).decide_case(unsigned).await.unwrap_err();
    assert_eq!(reason(&status), "SIGNATURE_INVALID", "what may flow again is signed");
    decide(&council, lift).await.unwrap();
    exchange.at_rest().await;
    let back = pull(&sds).await;
    assert_eq!(back.iter().map(|record| &record.name).collect::<Vec<_>>(), [&second.record]);
}

#[tokio::test]
async fn the_owner_hears_which_office_opened_its_record_and_never_who() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let receipt = publish(&council, &form(1), "").await;
    assert_eq!(pull(&sds).await.len(), 1);
    let read = |office: i32| {
        let (staff_id, role) = ("s-17".to_owned(), "adviser".to_owned());
        let staff = ledger::ActorDetail { staff_id, role, office };
        let actor = Some(pb::request_context::Actor::Staff(staff));
        let purpose = i32::from(ledger::Purpose::SchoolLeaverTransition);
        let request = pb::GetRecordRequest {
            context: Some(pb::RequestContext { purpose, actor, held_checkpoint: String::new() }),
            request_id: sds.request(),
            name: receipt.record.clone(),
            reason: i32::from(ledger::ReadReason::Service),
        };
        let mut stub = sds.exchange();
        async move { stub.get_record(request).await }
    };
    assert_eq!(reason(&read(99).await.unwrap_err()), "INVALID_REQUEST");
    let _read = read(i32::from(ledger::StaffOffice::Careers)).await.unwrap();
    let told = notices(&council).await;
    let Some(About::Access(access)) = told.last() else { unreachable!("{told:?}") };
    assert_eq!(access.reader_office(), ledger::StaffOffice::Careers);
    assert_eq!((access.count, access.unattended_count), (1, 0));
}

#[tokio::test]
async fn an_explanation_tells_a_publisher_of_its_own_restriction_and_of_nobody_elses() {
    use concordat::pb::v1::{
        explain_decision_request::Subject, policy_service_client::PolicyServiceClient,
    };
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let receipt = publish(&council, &form(1), "").await;
    let delivered = pull(&sds).await;
    let explain = async || {
        let request = pb::ExplainDecisionRequest {
            context: context(),
            subject: Some(Subject::Record(receipt.record.clone())),
            reason: 1,
            recipient: "agencies/skills".to_owned(),
            recipient_purpose: i32::from(ledger::Purpose::SchoolLeaverTransition),
            ..pb::ExplainDecisionRequest::default()
        };
        let mut stub = PolicyServiceClient::new(council.channel.clone());
        let answer = stub.explain_decision(request).await.unwrap().into_inner();
        answer.decisions.iter().map(pb::GroupDecision::withheld_reason).collect::<Vec<_>>()
    };
    let none = pb::WithheldReason::Unspecified;
    assert!(explain().await.contains(&none));
    for (agency, client, stops) in [
        (&council, receipt.client.clone(), true),
        // That somebody asked the recipient would say that it knows the client from elsewhere.
        (&sds, delivered[0].client.clone(), false),
    ] {
        let case = open(agency, about(CaseKind::Restriction, &client)).await.unwrap();
        let restrict = deciding(&case, MeasureKind::Restrict, ContinueGround::Unspecified);
        decide(agency, restrict).await.unwrap();
        let reasons = explain().await;
        assert_eq!(reasons.contains(&pb::WithheldReason::Restricted), stops, "{reasons:?}");
        assert_eq!(reasons.contains(&none), !stops, "{reasons:?}");
        let next = publish(&council, &form(1), "").await;
        assert!(pull(&sds).await.iter().all(|record| record.name != next.record), "it is withheld");
        let lift = deciding(&case, MeasureKind::Lift, ContinueGround::Unspecified);
        let lift = ledger::DecideCase { person_told: true, ..lift };
        decide(agency, lift).await.unwrap();
    }
    assert!(explain().await.contains(&none));
}

/// The report of a case, every id and time by the place at which it first stands.
fn scrubbed(page: &pb::MakeReportResponse, exchange: &Exchange) -> Vec<Value> {
    let registry = exchange.node.registry();
    let known = registry.record_type(&"leaver-form".parse().unwrap()).unwrap();
    let methods = raw::methods();
    let method = methods.get("/concordat.v1.CaseService/MakeReport").unwrap();
    let answer: bytes::Bytes = page.encode_to_vec().into();
    let mut whole = serde_json::to_value(raw::settled(&method.output(), &answer)).unwrap();
    let rows = whole.get_mut("records").and_then(Value::as_array_mut).unwrap();
    let mut rows = std::mem::take(rows);
    for (row, record) in rows.iter_mut().zip(&page.records) {
        for field in ["record", "publishedTime"] {
            assert!(row[field].is_string(), "{row}");
            row[field] = Value::Null;
        }
        row["body"] = concordat::record::json::to_json(known, &record.body).unwrap();
        for delivery in row["deliveries"].as_array_mut().into_iter().flatten() {
            delivery["time"] = Value::Null;
        }
    }
    rows.sort_by_key(Value::to_string);
    rows
}

/// An exchange where the council published two records about one person; without `everything` what the other exchange holds
/// back never was: the first record, and a group of the second.
async fn world(everything: bool) -> (Exchange, Agency, Vec<pb::PublishReceipt>) {
    let exchange = Exchange::start_with(Setup { seed: Some([5; 32]), ..Setup::default() }).await;
    let (council, sds) = exchange.partners().await;
    let mut receipts = Vec::new();
    if everything {
        receipts.push(publish(&council, &form(1), "").await);
        assert_eq!(pull(&sds).await.len(), 1);
    }
    let mut second = form(1);
    if !everything {
        // The group that is held back in the other exchange, and the row that says on which basis it is shared.
        second.support = None;
        second.lawful_basis.retain(|row| row.group != "support");
    }
    receipts.push(publish(&council, &second, "").await);
    exchange.clock.advance(60_000);
    let _delivered = pull(&sds).await;
    (exchange, council, receipts)
}

#[tokio::test]
async fn nothing_in_a_report_shows_that_something_was_held_back() {
    let (full, council, receipts) = world(true).await;
    let [first, second] = receipts.as_slice() else { unreachable!("two") };
    let case = open(&council, about(CaseKind::Access, &first.client)).await.unwrap();
    let all = page(&council, &case.name, "").await.unwrap();
    assert_eq!(all.records.len(), 2);
    assert!(all.records.iter().any(|record| record.field_groups.contains(&"support".to_owned())));
    hold(&council, &case, (&first.record, &[])).await.unwrap();
    let held = hold(&council, &case, (&second.record, &["support"])).await.unwrap();
    assert_eq!(held.held.len(), 2, "its controller sees what it held back");
    let told = page(&council, &case.name, "").await.unwrap();

    let (bare, other, receipts) = world(false).await;
    let case = open(&other, about(CaseKind::Access, &receipts[0].client)).await.unwrap();
    let never = page(&other, &case.name, "").await.unwrap();
    assert_eq!(scrubbed(&told, &full), scrubbed(&never, &bare));
    assert_eq!(told.encoded_len(), never.encoded_len(), "to the byte");
    assert_eq!(told.records.len(), 1);
}

#[tokio::test]
async fn a_report_leaves_out_what_is_about_somebody_else_and_tells_where_it_went() {
    let exchange = Exchange::start().await;
    let (council, _) = exchange.partners().await;
    let sds = exchange.known("skills", AgencyKind::NationalBody).await;
    let mut whole = form(1);
    let support = whole.support.get_or_insert_default();
    support.lead_worker_role =
        i32::from(concordat::pb::record::v1::leaver_form::StaffRole::KeyWorker);
    support.lead_worker_agency = "inverclyde-council".to_owned();
    support.lead_worker_email = "worker@inverclyde.example".to_owned();
    let receipt = publish(&council, &whole, "").await;
    let delivered = pull(&sds).await;
    let case = open(&council, about(CaseKind::Access, &receipt.client)).await.unwrap();
    let before = exchange.node.ledger().head().0.count();
    let report = page(&council, &case.name, "").await.unwrap();
    assert!(before < exchange.node.ledger().head().0.count(), "the report is in the ledger");
    let [record] = report.records.as_slice() else { unreachable!("{report:?}") };
    let body = LeaverForm::decode(record.body.clone()).unwrap();
    let told = body.support.unwrap();
    assert_eq!(
        (told.lead_worker_agency.as_str(), told.lead_worker_email.as_str()),
        ("inverclyde-council", "")
    );
    let [delivery] = record.deliveries.as_slice() else { unreachable!("{record:?}") };
    let ground = delivery.ground.as_ref().unwrap();
    assert_eq!(delivery.recipient, "agencies/skills");
    assert_eq!(
        (ground.flow.as_str(), ground.basis()),
        ("duty", ledger::LawfulBasis::LegalObligation)
    );
    assert_eq!(ground.field_groups, delivered[0].field_groups);
    // SDS reports what it was sent, by the name under which it was.
    let own = open(&sds, about(CaseKind::Access, &delivered[0].client)).await.unwrap();
    let report = page(&sds, &own.name, "").await.unwrap();
    let [record] = report.records.as_slice() else { unreachable!("{report:?}") };
    assert_eq!(record.field_groups, delivered[0].field_groups);
    assert_eq!(record.publisher, "agencies/inverclyde-council");
    // And whoever published it sees where it went and why.
    let request = pb::ListDisclosuresRequest {
        context: context(),
        client: receipt.client.clone(),
        reason: 3,
        ..pb::ListDisclosuresRequest::default()
    };
    let mut stub = DisclosureServiceClient::new(council.channel.clone());
    let seen = stub.list_disclosures(request).await.unwrap().into_inner().disclosures;
    let [seen] = seen.as_slice() else { unreachable!("{seen:?}") };
    assert_eq!(seen.grounds[0].basis(), ledger::LawfulBasis::LegalObligation);
    assert_eq!(seen.grounds[0].field_groups, seen.field_groups);
}

#[tokio::test]
async fn a_long_report_comes_in_pages_and_a_token_is_its_cases_alone() {
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    let mut client = String::new();
    for _ in 0..18 {
        client = publish(&council, &form(1), "").await.client;
    }
    let case = open(&council, about(CaseKind::Access, &client)).await.unwrap();
    let first = page(&council, &case.name, "").await.unwrap();
    let rest = page(&council, &case.name, &first.next_page_token).await.unwrap();
    assert_eq!((first.records.len(), rest.records.len()), (16, 2));
    assert!(rest.next_page_token.is_empty());
    let other = open(&council, about(CaseKind::Access, &client)).await.unwrap();
    let status = page(&council, &other.name, &first.next_page_token).await.unwrap_err();
    assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn a_case_of_another_agency_is_as_one_that_does_not_exist() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let receipt = publish(&council, &form(1), "").await;
    let case = open(&council, about(CaseKind::Access, &receipt.client)).await.unwrap();
    for name in [case.name.clone(), format!("cases/{}", "09".repeat(16))] {
        let context = context();
        let get = pb::GetCaseRequest { context: context.clone(), name: name.clone(), reason: 1 };
        let step = i32::from(CaseStep::ClarificationAsked);
        let advance = pb::AdvanceCaseRequest {
            context: context.clone(),
            request_id: sds.request(),
            advance: Some(ledger::AdvanceCase { case: bytes(&name), step, extension_reason: 0 }),
            ..pb::AdvanceCaseRequest::default()
        };
        let elsewhere = pb::Case { name: name.clone(), ..pb::Case::default() };
        let restrict = deciding(&elsewhere, MeasureKind::Restrict, ContinueGround::Unspecified);
        for (what, status) in [
            ("get", cases(&sds).get_case(get).await.unwrap_err()),
            ("advance", cases(&sds).advance_case(advance).await.unwrap_err()),
            ("decide", decide(&sds, restrict).await.unwrap_err()),
            ("hold", hold(&sds, &elsewhere, (&receipt.record, &[])).await.unwrap_err()),
            ("report", page(&sds, &name, "").await.unwrap_err()),
        ] {
            assert_eq!(
                (status.code(), reason(&status)),
                (Code::NotFound, "NOT_AVAILABLE".to_owned()),
                "{what} {name}"
            );
        }
    }
    let list = |agency: &Agency| {
        let request = pb::ListCasesRequest { context: context(), reason: 1, ..Default::default() };
        let mut stub = cases(agency);
        async move { stub.list_cases(request).await.unwrap().into_inner().cases }
    };
    assert!(list(&sds).await.is_empty());
    let own = list(&council).await;
    assert_eq!(own.iter().map(|case| &case.name).collect::<Vec<_>>(), [&case.name]);
    assert_eq!(alias(&own[0].client), alias(&receipt.client));
}

#[tokio::test]
async fn an_incident_is_told_to_the_parties_and_its_clock_runs_on_an_idle_exchange() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let stranger = exchange.agency("far-council", AgencyKind::Council).await;
    let flows = vec![by_duty("far", &stranger, &[&sds])];
    exchange.agree("far", &[&stranger, &sds], flows).await;
    let incident = ledger::OpenCase {
        kind: i32::from(CaseKind::Incident),
        // The controller has known of it for nearly three days.
        received_at_ms: NOW.millis() - 3 * DAY_MS + 60_000,
        agreement: "leavers".to_owned(),
        incident: Some(ledger::Incident {
            kind: i32::from(IncidentKind::Disclosure),
            severity: i32::from(Severity::HighRisk),
            affected_count: 2,
            records: Vec::new(),
        }),
        ..ledger::OpenCase::default()
    };
    let case = open(&council, incident).await.unwrap();
    let told = notices(&sds).await;
    let [About::Incident(told)] = told.as_slice() else { unreachable!("{told:?}") };
    assert_eq!((told.severity(), told.affected_count), (Severity::HighRisk, 2));
    assert!(notices(&stranger).await.is_empty() && notices(&council).await.is_empty());
    exchange.clock.advance(120_000);
    let told = async {
        while !exchange.node.read(|state| state.indexes().case_deadlines.is_empty()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), told).await.unwrap();
    let told = notices(&council).await;
    let [About::Case(late)] = told.as_slice() else { unreachable!("{told:?}") };
    assert_eq!(
        (late.case.as_str(), late.overdue()),
        (case.name.as_str(), pb::CaseTask::TellRegulator)
    );
    let closing = ledger::DecideCase {
        case: bytes(&case.name),
        outcome: i32::from(CaseOutcome::Resolved),
        ..ledger::DecideCase::default()
    };
    let status = decide(&council, closing).await.unwrap_err();
    assert_eq!(reason(&status), "CASE_WRONG_STATE", "the Commissioner comes first");
}
