//! Publishing over the network: receipts, refusals, repeated requests, and many records on one stream.

use concordat::pb::{
    record::v1::leaver_form::Status as FormStatus,
    v1::{
        GetRecordRequest, PublishReceipt, PublishRecordRequest, PublishRecordResponse,
        PublishRecordsRequest, RecordDraft, publish_records_response::Outcome,
    },
};
use futures::StreamExt;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::{Agency, DAY_MS, Exchange, context, draft, form};

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

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

#[tokio::test]
async fn a_published_record_gets_a_receipt_and_its_publisher_opens_it() {
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    let receipt = publish(&council, draft(&form(1))).await.unwrap();
    assert_eq!(receipt.record_type, "leaver-form");
    assert!(receipt.record.starts_with("records/") && receipt.client.starts_with("clients/"));
    let groups = ["core", "identity", "contact", "education", "intention", "support"];
    assert_eq!(receipt.field_groups[..6], groups);

    let request = GetRecordRequest {
        context: context(),
        request_id: council.request(),
        name: receipt.record.clone(),
        reason: 1,
    };
    let opened = council.exchange().get_record(request).await.unwrap().into_inner();
    let record = opened.record.unwrap();
    assert_eq!((&record.name, &record.client), (&receipt.record, &receipt.client));
    assert_eq!(record.publisher, "agencies/inverclyde-council");
    assert_eq!(record.body.as_ref(), form(1).encode_to_vec());
    assert!(record.grounds.is_empty());
}
