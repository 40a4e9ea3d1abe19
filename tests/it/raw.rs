//! Calls as bytes: what a caller sends that no generated client would, and what exactly it gets back.
//!
//! Every RPC is known from the published descriptors, so a new one is covered on the day it is added.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes};
use concordat::pb;
use futures::StreamExt;
use http::uri::PathAndQuery;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};
use tonic_types::{ErrorDetails, StatusExt};

/// Takes and gives the bytes of messages as they are.
#[derive(Clone, Copy, Debug, Default)]
struct Verbatim;

impl Codec for Verbatim {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Verbatim {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Verbatim {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// Sends messages to the RPC at `path` and collects every answer; nothing more is sent after them.
pub(crate) async fn call(
    channel: &Channel,
    path: &str,
    messages: Vec<Bytes>,
) -> Result<Vec<Bytes>, Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|fault| Status::from_error(fault.into()))?;
    let path = PathAndQuery::try_from(path).unwrap();
    let request = Request::new(futures::stream::iter(messages));
    let mut answers = grpc.streaming(request, path, Verbatim).await?.into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.next().await {
        all.push(answer?);
    }
    Ok(all)
}

/// Calls a unary RPC.
pub(crate) async fn unary(channel: &Channel, path: &str, message: Bytes) -> Result<Bytes, Status> {
    let answers = call(channel, path, vec![message]).await?;
    let [answer] = <[Bytes; 1]>::try_from(answers).unwrap();
    Ok(answer)
}

/// Every RPC of the API with its path.
pub(crate) fn methods() -> BTreeMap<String, MethodDescriptor> {
    let pool = DescriptorPool::decode(pb::DESCRIPTORS).unwrap();
    let mut all = BTreeMap::new();
    for service in pool.services() {
        for method in service.methods() {
            all.insert(format!("/{}/{}", service.full_name(), method.name()), method);
        }
    }
    all
}

/// An answer without what the API declares random: decision ids and page tokens, each replaced by its length.
pub(crate) fn settled(descriptor: &MessageDescriptor, answer: &Bytes) -> DynamicMessage {
    let mut message = DynamicMessage::decode(descriptor.clone(), answer.clone()).unwrap();
    assert_eq!(message.encode_to_vec(), answer.as_ref(), "an answer holds what is not published");
    settle(&mut message);
    message
}

fn settle(message: &mut DynamicMessage) {
    for field in ["decision_id", "next_page_token"] {
        let length = message.get_field_by_name(field).map(|value| value.as_str().unwrap().len());
        if let Some(length) = length.filter(|length| *length != 0) {
            message.set_field_by_name(field, prost_reflect::Value::String(length.to_string()));
        }
    }
    for (_, value) in message.fields_mut() {
        if let prost_reflect::Value::Message(inner) = value {
            settle(inner);
        } else if let prost_reflect::Value::List(items) = value {
            for item in items {
                if let prost_reflect::Value::Message(inner) = item {
                    settle(inner);
                }
            }
        }
    }
}

/// What an error tells, without its random decision id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) code: tonic::Code,
    pub(crate) message: String,
    pub(crate) reason: String,
    decision_length: Option<usize>,
    details_bytes: usize,
    details: String,
    headers: Vec<String>,
}

impl From<&Status> for Told {
    fn from(status: &Status) -> Self {
        let mut details = status.get_error_details();
        let info = details.error_info().cloned();
        let (reason, domain, metadata) =
            info.map(|info| (info.reason, info.domain, info.metadata)).unwrap_or_default();
        let mut metadata: BTreeMap<String, String> = metadata.into_iter().collect();
        let decision_length = metadata.remove("decision_id").map(|id| id.len());
        details.set_error_info(reason.clone(), domain, <[(String, String); 0]>::default());
        let mut headers: Vec<_> =
            status.metadata().clone().into_headers().keys().map(ToString::to_string).collect();
        headers.sort();
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            reason,
            decision_length,
            details_bytes: status.details().len(),
            details: format!("{details:?} {metadata:?}"),
            headers,
        }
    }
}

/// The details of an error.
pub(crate) fn details(status: &Status) -> ErrorDetails {
    status.get_error_details()
}
