//! What an agency does with records: publishes a new version, receives and acknowledges, asks why something is withheld.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::Desk;
use crate::{
    cli::{demo::cast::RECORD_TYPE, error::CliError, session::incomplete},
    pb::{
        ledger::v1::{self as ledger, Purpose},
        v1::{
            self as pb, exchange_service_client::ExchangeServiceClient,
            policy_service_client::PolicyServiceClient, recall_service_client::RecallServiceClient,
        },
    },
};

/// How many questions are asked at once.
const QUESTIONS: usize = 16;

/// A record that a recipient got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Received {
    /// The version's name.
    pub(in super::super) record: String,
    /// The client, by the recipient's own name.
    pub(in super::super) client: String,
    /// Which version it is, counted in what the recipient got.
    pub(in super::super) version: u32,
    /// The field groups that came.
    pub(in super::super) groups: Vec<String>,
    /// The flows and their bases on which they came.
    pub(in super::super) grounds: Vec<pb::Ground>,
    /// What came.
    pub(in super::super) body: Bytes,
}

/// A new version of a record, under the name of the request that publishes it.
#[derive(Clone, Debug)]
pub(in super::super) struct Again {
    request_id: String,
    draft: pb::RecordDraft,
}

impl Desk {
    /// A new version of a record. Published twice it takes effect once.
    pub(in super::super) fn again(&self, supersedes: &str, body: Bytes) -> Again {
        let draft = pb::RecordDraft {
            record_type: RECORD_TYPE.to_owned(),
            type_version: 0,
            body,
            supersedes: supersedes.to_owned(),
            change: 0,
        };
        Again { request_id: self.session.new_request(), draft }
    }

    /// Publishes a new version of a record; gives its name.
    pub(in super::super) async fn publish_again(&self, again: &Again) -> Result<String, CliError> {
        let request = pb::PublishRecordRequest {
            context: self.context(Purpose::SchoolLeaverTransition),
            request_id: again.request_id.clone(),
            record: Some(again.draft.clone()),
            validate_only: false,
        };
        let mut exchange = ExchangeServiceClient::new(self.session.channel());
        let answer = exchange.publish_record(request).await?.into_inner();
        answer.receipt.map(|receipt| receipt.record).ok_or_else(incomplete)
    }

    /// Receives whatever there is now, and acknowledges it.
    pub(in super::super) async fn receive(&self) -> Result<Vec<Received>, CliError> {
        let mut exchange = ExchangeServiceClient::new(self.session.channel());
        let mut received = Vec::new();
        loop {
            let request = pb::PullRecordsRequest {
                context: self.context(Purpose::SchoolLeaverTransition),
                request_id: self.session.new_request(),
                subscription: self.subscription(),
                max_records: 0,
            };
            let deliveries = exchange.pull_records(request).await?.into_inner().deliveries;
            let Some(last) = deliveries.last() else { return Ok(received) };
            let request = pb::AcknowledgeRecordsRequest {
                context: self.context(Purpose::SchoolLeaverTransition),
                request_id: self.session.new_request(),
                subscription: self.subscription(),
                through_cursor: last.cursor.clone(),
                nacks: Vec::new(),
            };
            for delivery in deliveries {
                let record = delivery.record.ok_or_else(incomplete)?;
                received.push(Received {
                    record: record.name,
                    client: record.client,
                    version: record.version,
                    groups: record.field_groups,
                    grounds: record.grounds,
                    body: record.body,
                });
            }
            exchange.acknowledge_records(request).await?;
        }
    }

    /// Why each of the records would be withheld from a recipient: the reason for each field group, by record. What
    /// would be released has none.
    pub(in super::super) async fn explain(
        &self,
        records: &[String],
        recipient: &str,
    ) -> Result<BTreeMap<String, BTreeMap<String, pb::WithheldReason>>, CliError> {
        stream::iter(records)
            .map(|record| async move {
                let explained = self.explain_one(record, recipient).await?;
                let withheld = explained
                    .decisions
                    .into_iter()
                    .filter(|decision| decision.outcome() == pb::DecisionOutcome::Withheld)
                    .map(|decision| (decision.field_group.clone(), decision.withheld_reason()));
                Ok((record.clone(), withheld.collect()))
            })
            .buffer_unordered(QUESTIONS)
            .try_collect()
            .await
    }

    /// What a recipient gets of a record of the agency's own, and why.
    pub(in super::super) async fn explain_one(
        &self,
        record: &str,
        recipient: &str,
    ) -> Result<pb::ExplainDecisionResponse, CliError> {
        let request = pb::ExplainDecisionRequest {
            context: self.context(Purpose::SchoolLeaverTransition),
            reason: ledger::ReadReason::Quality.into(),
            subject: Some(pb::explain_decision_request::Subject::Record(record.to_owned())),
            recipient: format!("agencies/{recipient}"),
            recipient_purpose: Purpose::SchoolLeaverTransition.into(),
            ..pb::ExplainDecisionRequest::default()
        };
        let mut policies = PolicyServiceClient::new(self.session.channel());
        Ok(policies.explain_decision(request).await?.into_inner())
    }

    /// The recalls of the agency's inbox that it has not answered.
    pub(in super::super) async fn recalls(&self) -> Result<Vec<pb::Recall>, CliError> {
        let request = pb::ListRecallsRequest {
            context: self.context(Purpose::Administration),
            acknowledged_too: false,
            page_size: 0,
            page_token: String::new(),
        };
        let mut recalls = RecallServiceClient::new(self.session.channel());
        Ok(recalls.list_recalls(request).await?.into_inner().recalls)
    }

    /// Says that what was recalled is deleted.
    pub(in super::super) async fn deleted(&self, recall: &pb::Recall) -> Result<(), CliError> {
        let id: crate::model::id::RecallId = crate::cli::name::id("recalls", &recall.name)?;
        let request = pb::AcknowledgeRecallRequest {
            context: self.context(Purpose::Administration),
            request_id: self.session.new_request(),
            acknowledge: Some(ledger::AcknowledgeRecall {
                recall: Bytes::copy_from_slice(id.as_bytes()),
                act: ledger::RecallAct::Deleted.into(),
                ground: 0,
            }),
            validate_only: false,
        };
        RecallServiceClient::new(self.session.channel()).acknowledge_recall(request).await?;
        Ok(())
    }

    /// The recalls of the agency's own records that nobody has answered.
    pub(in super::super) async fn owed(&self) -> Result<Vec<pb::Recall>, CliError> {
        let request = pb::ListIssuedRecallsRequest {
            context: self.context(Purpose::Administration),
            record: String::new(),
            acknowledged_too: false,
            page_size: 0,
            page_token: String::new(),
        };
        let mut recalls = RecallServiceClient::new(self.session.channel());
        Ok(recalls.list_issued_recalls(request).await?.into_inner().recalls)
    }

    /// Whether the agency may open a record now. What it may not is told as if there were no such record.
    pub(in super::super) async fn may_open(&self, record: &str) -> Result<bool, CliError> {
        let request = pb::GetRecordRequest {
            context: self.context(Purpose::SchoolLeaverTransition),
            request_id: self.session.new_request(),
            name: record.to_owned(),
            reason: ledger::ReadReason::Service.into(),
        };
        let mut exchange = ExchangeServiceClient::new(self.session.channel());
        match exchange.get_record(request).await {
            Ok(_opened) => Ok(true),
            Err(status) if status.code() == tonic::Code::NotFound => Ok(false),
            Err(status) => Err(status.into()),
        }
    }
}
