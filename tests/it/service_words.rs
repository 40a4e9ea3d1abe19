//! Sealed words over the network: for those who wrote them and those whom they are for, and for nobody else.

use concordat::pb::{
    ledger::v1::{
        self as ledger, AgencyKind, CaseKind, DisputeAnswer, DisputeReason, IdentityCheck,
        KeepReason, ReadReason, Relation, command::Kind,
    },
    v1::{
        self as pb, case_service_client::CaseServiceClient,
        disposal_service_client::DisposalServiceClient,
        dispute_service_client::DisputeServiceClient, ledger_service_client::LedgerServiceClient,
        words::Text, words_service_client::WordsServiceClient,
    },
};
use tonic::{Status, transport::Channel};

use crate::{
    harness::{Agency, Exchange, NOW, alias, context, draft, form, reason},
    service_disposal::bytes,
};

/// Reads the words about something.
pub(crate) async fn read_in(
    channel: &Channel,
    (context, request_id): (Option<pb::RequestContext>, String),
    about: &str,
) -> Result<Vec<pb::Words>, Status> {
    let request = pb::ReadWordsRequest {
        context,
        request_id,
        about: about.to_owned(),
        reason: i32::from(ReadReason::Quality),
        page_token: String::new(),
    };
    let answer = WordsServiceClient::new(channel.clone()).read_words(request).await?.into_inner();
    assert_eq!(answer.next_page_token, "");
    Ok(answer.words)
}

async fn read(agency: &Agency, about: &str) -> Result<Vec<pb::Words>, Status> {
    read_in(&agency.channel, (context(), agency.request()), about).await
}

/// Who wrote what.
fn references(words: &[pb::Words]) -> Vec<(&str, &str)> {
    let of = words.iter().map(|words| match &words.text {
        Some(Text::Evidence(evidence)) => (words.author.as_str(), evidence.reference.as_str()),
        other => unreachable!("no reference: {other:?}"),
    });
    of.collect()
}

#[expect(clippy::unnecessary_wraps, reason = "a request takes it so")]
fn evidence(reference: &str) -> Option<ledger::Evidence> {
    Some(ledger::Evidence { reference: reference.to_owned(), consent: None })
}

async fn publish(agency: &Agency) -> pb::PublishReceipt {
    let request = pb::PublishRecordRequest {
        context: context(),
        request_id: agency.request(),
        record: Some(draft(&form(1))),
        validate_only: false,
    };
    agency.exchange().publish_record(request).await.unwrap().into_inner().receipt.unwrap()
}

async fn open_case(agency: &Agency, client: &str) -> String {
    let open = ledger::OpenCase {
        kind: i32::from(CaseKind::Access),
        client: alias(client).as_bytes().to_vec().into(),
        requester: Some(ledger::Requester {
            relation: i32::from(Relation::Self_),
            identity: i32::from(IdentityCheck::Confirmed),
            ..ledger::Requester::default()
        }),
        received_at_ms: NOW.millis(),
        ..ledger::OpenCase::default()
    };
    let request = pb::OpenCaseRequest {
        context: context(),
        request_id: agency.request(),
        open: Some(open),
        evidence: evidence("file 7"),
        validate_only: false,
    };
    let mut stub = CaseServiceClient::new(agency.channel.clone());
    stub.open_case(request).await.unwrap().into_inner().case.unwrap().name
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_a_dispute_are_for_both_sides_and_to_others_it_is_not_there() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let other = exchange.agency("other", AgencyKind::Council).await;
    let receipt = publish(&council).await;
    let pull = pb::PullRecordsRequest {
        context: context(),
        request_id: sds.request(),
        subscription: sds.subscription("leavers"),
        max_records: 0,
    };
    assert_eq!(sds.exchange().pull_records(pull).await.unwrap().into_inner().deliveries.len(), 1);
    let open = pb::OpenDisputeRequest {
        context: context(),
        request_id: sds.request(),
        open: Some(ledger::OpenDispute {
            record: bytes(&receipt.record),
            group: "core".to_owned(),
            field: String::new(),
            reason: i32::from(DisputeReason::OutOfDate),
        }),
        evidence: evidence("file 17"),
        validate_only: false,
    };
    let mut stub = DisputeServiceClient::new(sds.channel.clone());
    let dispute = stub.open_dispute(open).await.unwrap().into_inner().dispute.unwrap().name;
    let answer = pb::AnswerDisputeRequest {
        context: context(),
        request_id: council.request(),
        answer: Some(ledger::AnswerDispute {
            dispute: bytes(&dispute),
            answer: i32::from(DisputeAnswer::Kept),
            keep_reason: i32::from(KeepReason::Verified),
        }),
        evidence: evidence("letter 4"),
        validate_only: false,
    };
    let mut stub = DisputeServiceClient::new(council.channel.clone());
    let _answered = stub.answer_dispute(answer).await.unwrap();
    for side in [&sds, &council] {
        let words = read(side, &dispute).await.unwrap();
        let (doubter, owner) = ("agencies/skills", "agencies/inverclyde-council");
        assert_eq!(references(&words), [(doubter, "file 17"), (owner, "letter 4")]);
    }
    let foreign = read(&other, &dispute).await.unwrap_err();
    let unknown = read(&other, &format!("disputes/{:032x}", 7)).await.unwrap_err();
    assert_eq!((reason(&foreign), foreign.message()), (reason(&unknown), unknown.message()));
    assert_eq!(reason(&foreign), "NOT_AVAILABLE");
    // Who read is in the ledger, before a byte was unsealed.
    let request = pb::ListEntriesRequest {
        context: context(),
        kinds: vec!["open_words".to_owned()],
        ..pb::ListEntriesRequest::default()
    };
    let mut entries = LedgerServiceClient::new(council.channel.clone());
    let entries = entries.list_entries(request).await.unwrap().into_inner().entries;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].resources, [dispute]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_a_case_are_its_controllers_and_go_when_the_client_is_erased() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let receipt = publish(&council).await;
    let case = open_case(&council, &receipt.client).await;
    let words = read(&council, &case).await.unwrap();
    assert_eq!(references(&words), [("agencies/inverclyde-council", "file 7")]);
    assert_eq!(reason(&read(&sds, &case).await.unwrap_err()), "NOT_AVAILABLE");
    let erase = ledger::EraseRecords {
        client: alias(&receipt.client).as_bytes().to_vec().into(),
        record: bytes::Bytes::new(),
        ground: i32::from(ledger::ErasureGround::Objection),
    };
    let request = council.request_id();
    let signature = Some(council.signature(request, &Kind::EraseRecords(erase.clone())));
    let request = pb::EraseRecordsRequest {
        context: context(),
        request_id: uuid::Uuid::from_bytes(*request.as_bytes()).to_string(),
        erase: Some(erase),
        signature,
        validate_only: false,
    };
    let mut stub = DisposalServiceClient::new(council.channel.clone());
    let begun = stub.erase_records(request).await.unwrap().into_inner().erasure.unwrap();
    assert_eq!(begun.keys_count, 3, "of the record, the identifiers and the words");
    exchange.at_rest().await;
    assert_eq!(read(&council, &case).await.unwrap(), [], "nobody reads them any more");
}

#[tokio::test]
async fn words_are_asked_for_by_the_name_of_something_that_has_some() {
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    for about in ["", "cases", "cases/", "records/7", "cases/x"] {
        let refused = read(&council, about).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_REQUEST", "{about}");
    }
}
