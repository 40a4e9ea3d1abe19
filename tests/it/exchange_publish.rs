//! Publishing over the network: receipts, refusals, repeated requests, and many records on one stream.

use concordat::{
    machine::State,
    pb::{
        ledger::v1::{AgencyKind, Purpose},
        record::v1::{
            LeaverForm,
            leaver_form::{Status as FormStatus, Transfer},
        },
        v1::{
            GetRecordRequest, GetRecordResponse, PublishReceipt, PublishRecordRequest,
            PublishRecordResponse, PublishRecordsRequest, RecordDraft, RequestContext,
            publish_records_response::Outcome,
        },
    },
};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::{Agency, Exchange, context, draft, form, reason};

async fn publish_as(
    agency: &Agency,
    request_id: &str,
    record: RecordDraft,
) -> Result<PublishRecordResponse, Status> {
    let request = PublishRecordRequest {
        context: context(),
        request_id: request_id.to_owned(),
        record: Some(record),
        validate_only: false,
    };
    agency.exchange().publish_record(request).await.map(tonic::Response::into_inner)
}

async fn publish(agency: &Agency, record: RecordDraft) -> Result<PublishReceipt, Status> {
    publish_as(agency, &agency.request(), record).await.map(|answer| answer.receipt.unwrap())
}

async fn checked(agency: &Agency, record: RecordDraft) -> Result<PublishRecordResponse, Status> {
    let request = PublishRecordRequest {
        context: context(),
        request_id: agency.request(),
        record: Some(record),
        validate_only: true,
    };
    agency.exchange().publish_record(request).await.map(tonic::Response::into_inner)
}

async fn open(agency: &Agency, name: &str) -> Result<GetRecordResponse, Status> {
    let request = GetRecordRequest {
        context: context(),
        request_id: agency.request(),
        name: name.to_owned(),
        reason: 1,
    };
    agency.exchange().get_record(request).await.map(tonic::Response::into_inner)
}

fn over(before: &PublishReceipt, next: &LeaverForm) -> RecordDraft {
    RecordDraft { supersedes: before.record.clone(), ..draft(next) }
}

fn with_status(mut form: LeaverForm, status: FormStatus) -> LeaverForm {
    let core = form.core.get_or_insert_default();
    core.status = status.into();
    if status == FormStatus::Transferred {
        core.transfer = Transfer::OutwithScotland.into();
    }
    form
}

fn fields(status: &Status) -> Vec<(String, String)> {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.clone());
    violations.unwrap_or_default().into_iter().map(|found| (found.field, found.reason)).collect()
}

/// What a publication would add to. The node's own entries, such as a step of a sweep, add to none of it.
fn held(exchange: &Exchange) -> [usize; 4] {
    exchange.node.read(|state: &State| {
        let tables = state.tables();
        [tables.records.len(), tables.aliases.len(), tables.keys.len(), tables.identities.len()]
    })
}

#[tokio::test]
async fn a_published_record_gets_a_receipt_and_its_publisher_opens_it() {
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    let receipt = publish(&council, draft(&form(1))).await.unwrap();
    assert_eq!((receipt.record_type.as_str(), receipt.type_version), ("leaver-form", 1));
    assert!(receipt.record.starts_with("records/") && receipt.client.starts_with("clients/"));
    assert_eq!(receipt.published_time.map(|at| at.seconds), Some(1_796_115_600));
    let groups = ["core", "identity", "contact", "education", "intention", "support"];
    assert_eq!(receipt.field_groups[..6], groups);

    let record = open(&council, &receipt.record).await.unwrap().record.unwrap();
    assert_eq!((&record.name, &record.client), (&receipt.record, &receipt.client));
    assert_eq!(
        (&record.code_lists, &record.field_groups),
        (&receipt.code_lists, &receipt.field_groups)
    );
    assert_eq!(record.publisher, "agencies/inverclyde-council");
    assert_eq!(record.body.as_ref(), form(1).encode_to_vec());
    assert!(record.grounds.is_empty());
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_for_ever_and_other_content_is_refused() {
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    let request = council.request();
    let first = publish_as(&council, &request, draft(&form(1))).await.unwrap();
    exchange.clock.advance(1_000);
    let size = held(&exchange);
    let again = publish_as(&council, &request, draft(&form(1))).await.unwrap();
    assert_eq!(again.receipt, first.receipt);
    assert_ne!(again.decision_id, first.decision_id);
    assert_eq!(held(&exchange), size, "nothing is appended for a repeated request");

    let other = publish_as(&council, &request, draft(&form(2))).await.unwrap_err();
    assert_eq!((other.code(), reason(&other).as_str()), (Code::Aborted, "REQUEST_REUSED"));
    let other =
        publish_as(&council, &request, draft(&with_status(form(1), FormStatus::Transferred)));
    assert_eq!(reason(&other.await.unwrap_err()), "REQUEST_REUSED");

    // A new version repeated after a newer one came is still what it was.
    let second_request = council.request();
    let second = over(&first.receipt.unwrap(), &with_status(form(1), FormStatus::Transferred));
    let receipt = publish_as(&council, &second_request, second.clone()).await.unwrap().receipt;
    let third = over(receipt.as_ref().unwrap(), &form(1));
    publish(&council, third).await.unwrap();
    let again = publish_as(&council, &second_request, second).await.unwrap().receipt;
    assert_eq!(again, receipt);
}

#[tokio::test]
async fn a_request_that_took_effect_is_answered_also_when_its_content_would_not_be_valid_today() {
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    exchange.clock.advance(16 * 3_600_000);
    let mut late = form(1);
    late.core.get_or_insert_default().form_date = "2026-12-02".to_owned();
    let request = council.request();
    let first = publish_as(&council, &request, draft(&late)).await.unwrap();
    // The clock was ahead and is put right: by the date of now the form would speak of a day to come.
    exchange.clock.set_wall(crate::harness::NOW);
    exchange.node.confirm_clock();
    let invalid = publish(&council, draft(&late)).await.unwrap_err();
    let found = ("record.body.core.form_date".to_owned(), "DATE_IN_FUTURE".to_owned());
    assert_eq!(fields(&invalid), [found]);
    let again = publish_as(&council, &request, draft(&late)).await.unwrap();
    assert_eq!(again.receipt, first.receipt);
}

#[tokio::test]
async fn every_violation_is_told_at_its_path_and_nothing_of_the_content() {
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    let mut bad = form(1);
    bad.core.get_or_insert_default().form_date = "yesterday-secret".to_owned();
    bad.identity.get_or_insert_default().surname = String::new();
    bad.contact.get_or_insert_default().postcode = "SECRET".to_owned();
    let size = held(&exchange);
    let status = publish(&council, draft(&bad)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "INVALID_REQUEST")
    );
    let found: Vec<_> = fields(&status).into_iter().map(|(field, _)| field).collect();
    for field in ["core.form_date", "identity.surname", "contact.postcode"] {
        assert!(found.contains(&format!("record.body.{field}")), "{field}: {found:?}");
    }
    let said = format!("{status:?}");
    assert!(!said.contains("SECRET") && !said.contains("secret"), "{said}");

    for (body, field_reason) in [
        (vec![0xff; 16], "MALFORMED_RECORD"),
        (Vec::new(), "MISSING"),
        (vec![0; 262_145], "OUT_OF_RANGE"),
    ] {
        let record = RecordDraft { body: body.into(), ..draft(&form(1)) };
        let status = publish(&council, record).await.unwrap_err();
        assert_eq!(fields(&status), [("record.body".to_owned(), field_reason.to_owned())]);
    }
    let record = RecordDraft {
        record_type: "Leaver".to_owned(),
        supersedes: "records/1".to_owned(),
        ..draft(&form(1))
    };
    let status = publish(&council, record).await.unwrap_err();
    assert_eq!(fields(&status).len(), 2, "{status:?}");
    let bad_id = publish_as(&council, "17", draft(&form(1))).await.unwrap_err();
    assert_eq!(fields(&bad_id), [("request_id".to_owned(), "MALFORMED_ID".to_owned())]);
    assert_eq!(held(&exchange), size, "nothing of this reached the ledger");
}

#[tokio::test]
async fn what_may_not_be_published_is_refused_with_its_reason() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let unknown = RecordDraft { record_type: "child-plan".to_owned(), ..draft(&form(1)) };
    assert_eq!(reason(&publish(&council, unknown).await.unwrap_err()), "RECORD_TYPE_UNKNOWN");
    let later = RecordDraft { type_version: 99, ..draft(&form(1)) };
    assert_eq!(reason(&publish(&council, later).await.unwrap_err()), "RECORD_TYPE_UNKNOWN");
    assert_eq!(reason(&publish(&sds, draft(&form(1))).await.unwrap_err()), "NOT_A_PUBLISHER");

    let first = publish(&council, draft(&form(1))).await.unwrap();
    let nothing =
        RecordDraft { supersedes: format!("records/{}", "0".repeat(32)), ..draft(&form(1)) };
    assert_eq!(reason(&publish(&council, nothing).await.unwrap_err()), "NOT_AVAILABLE");
    publish(&council, over(&first, &with_status(form(1), FormStatus::Transferred))).await.unwrap();
    let stale = publish(&council, over(&first, &form(1))).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "VERSION_DIFFERS"));
    let other = publish(&council, draft(&form(2))).await.unwrap();
    let mixed = publish(&council, over(&other, &form(1))).await.unwrap_err();
    assert_eq!(reason(&mixed), "INVALID_REQUEST");
}

#[tokio::test]
async fn a_new_version_is_held_against_the_one_that_it_replaces() {
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    let begins = publish(&council, draft(&with_status(form(1), FormStatus::StayedOn))).await;
    let found = ("record.body.core.status".to_owned(), "STATUS_MAY_NOT_FOLLOW".to_owned());
    assert_eq!(fields(&begins.unwrap_err()), std::slice::from_ref(&found));
    let moved = draft(&with_status(form(1), FormStatus::Transferred));
    let moved = publish(&council, moved).await.unwrap();
    let stayed = over(&moved, &with_status(form(1), FormStatus::StayedOn));
    assert_eq!(fields(&publish(&council, stayed).await.unwrap_err()), [found]);
    let back = publish(&council, over(&moved, &form(1))).await.unwrap();
    assert_eq!(back.client, moved.client);
}

#[tokio::test]
async fn a_check_changes_nothing_and_says_what_publishing_would() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let first = publish(&council, draft(&form(1))).await.unwrap();
    let moved = with_status(form(1), FormStatus::Transferred);
    let second = publish(&council, over(&first, &moved)).await.unwrap();
    let size = held(&exchange);
    for good in [draft(&form(1)), draft(&form(77)), over(&second, &moved)] {
        assert_eq!(checked(&council, good).await.unwrap(), PublishRecordResponse::default());
    }
    for (bad, expected) in [
        (over(&first, &moved), "VERSION_DIFFERS"),
        (over(&second, &form(78)), "INVALID_REQUEST"),
        (draft(&with_status(form(1), FormStatus::StayedOn)), "INVALID_REQUEST"),
    ] {
        assert_eq!(reason(&checked(&council, bad).await.unwrap_err()), expected);
    }
    assert_eq!(reason(&checked(&sds, draft(&form(1))).await.unwrap_err()), "NOT_A_PUBLISHER");
    assert_eq!(held(&exchange), size);
}

#[tokio::test]
async fn a_receipt_is_alike_for_a_new_a_known_and_a_conflicting_client() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let other = exchange.agency("glen-council", AgencyKind::Council).await;
    let flows = vec![crate::harness::by_duty("duty", &other, &[&sds])];
    exchange.agree("glen", &[&other, &sds], flows).await;
    let with_scn = |local: &str, scn: &str| {
        let mut form = form(1);
        let identity = form.identity.get_or_insert_default();
        (identity.source_local_id, identity.scn) = (local.to_owned(), scn.to_owned());
        draft(&form)
    };
    let new = publish(&council, with_scn("IC-1", "051234561")).await.unwrap();
    let known_to_others = publish(&other, with_scn("GC-1", "051234561")).await.unwrap();
    publish(&other, with_scn("GC-2", "123456785")).await.unwrap();
    let conflicting = publish(&other, with_scn("GC-1", "123456785")).await.unwrap();
    let shape = |receipt: &PublishReceipt| PublishReceipt {
        record: receipt.record.len().to_string(),
        client: receipt.client.len().to_string(),
        ..receipt.clone()
    };
    assert_eq!(shape(&new), shape(&known_to_others));
    assert_eq!(shape(&new), shape(&conflicting));
    assert_ne!(new.client, known_to_others.client, "each agency has a name of its own");
    assert_eq!(known_to_others.client, conflicting.client);
}

#[tokio::test]
async fn a_record_that_is_not_the_callers_to_read_is_not_there() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let receipt = publish(&council, draft(&form(1))).await.unwrap();
    let withheld = open(&sds, &receipt.record).await.unwrap_err();
    let nowhere = open(&sds, &format!("records/{}", "0".repeat(32))).await.unwrap_err();
    assert_eq!((withheld.code(), reason(&withheld).as_str()), (Code::NotFound, "NOT_AVAILABLE"));
    assert_eq!(withheld.message(), nowhere.message());
    assert_eq!(withheld.details().len(), nowhere.details().len());
}

#[tokio::test]
async fn many_records_are_answered_one_by_one_and_a_refused_one_stops_no_other() {
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    let mut requests: Vec<_> = (0..150)
        .map(|number| PublishRecordsRequest {
            context: (number == 0).then(context).flatten(),
            request_id: council.request(),
            record: Some(draft(&form(number))),
            validate_only: false,
        })
        .collect();
    requests[7].record = None;
    requests[9].record.as_mut().unwrap().body = vec![0xff; 9].into();
    requests[11].validate_only = true;
    requests[13].context =
        Some(RequestContext { purpose: i32::from(Purpose::Unspecified), ..context().unwrap() });
    let sent = requests.clone();
    let mut answers = council
        .exchange()
        .publish_records(futures::stream::iter(requests))
        .await
        .unwrap()
        .into_inner();
    let mut outcomes = std::collections::BTreeMap::new();
    while let Some(answer) = answers.message().await.unwrap() {
        assert!(outcomes.insert(answer.request_id, answer.outcome.unwrap()).is_none());
    }
    assert_eq!(outcomes.len(), 150);
    for (number, request) in sent.iter().enumerate() {
        let outcome = &outcomes[&request.request_id];
        match (number, outcome) {
            (7 | 9 | 13, Outcome::Error(error)) => {
                assert_eq!((error.code, error.reason.as_str()), (3, "INVALID_REQUEST"));
                assert!(!error.violations.is_empty());
            }
            (11, Outcome::Receipt(receipt)) => assert_eq!(*receipt, PublishReceipt::default()),
            (_, Outcome::Receipt(receipt)) => assert!(receipt.record.starts_with("records/")),
            other => unreachable!("{other:?}"),
        }
    }
    // Repeating a request of the stream as a request of its own tells what became of it.
    let again = publish_as(&council, &sent[20].request_id, draft(&form(20))).await.unwrap();
    assert_eq!(outcomes[&sent[20].request_id], Outcome::Receipt(again.receipt.unwrap()));
}

#[tokio::test]
async fn a_stream_of_records_ends_where_an_answer_could_not_be_found_again() {
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    let request = PublishRecordsRequest {
        context: context(),
        request_id: "seventeen".to_owned(),
        record: Some(draft(&form(1))),
        validate_only: false,
    };
    let answers = council.exchange().publish_records(futures::stream::iter([request])).await;
    let ended = match answers {
        Ok(answers) => answers.into_inner().message().await.unwrap_err(),
        Err(status) => status,
    };
    assert_eq!(fields(&ended), [("request_id".to_owned(), "MALFORMED_ID".to_owned())]);
}
