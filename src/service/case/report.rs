//! A page of a report about a person. Its bodies pass the send gate like any other.

use std::collections::BTreeMap;

use prost::Message;
use tonic::{Response, Status};

use super::Cases;
use crate::{
    machine::{
        Released, State,
        read::{self, case::Reported},
        state::record::DisclosedOn,
    },
    model::{
        id::{CaseId, RecordId},
        limit,
    },
    node::{Node, Outgoing},
    pb::v1 as pb,
    record::registry::FieldGroup,
    service::{
        caller::Caller, context, decision, disclosure, gate::GateTicket, name, page::Page, status,
        time::timestamp,
    },
};

/// How many bytes the records of one page take at most, so that the answer with its frame stays below 1 MiB.
const PAGE_BYTES_MAX: usize = limit::MESSAGE_BYTES_MAX - 4_096;

impl Cases {
    pub(super) async fn report(
        &self,
        caller: &Caller,
        request: pb::MakeReportRequest,
    ) -> Result<Response<pb::MakeReportResponse>, Status> {
        let pb::MakeReportRequest { context, request_id, case, page_token } = request;
        let node = &self.node;
        let asked = context::asked(node, caller, (context, &request_id), None)?;
        let id: CaseId = name::parse(&case, "case").map_err(status::violation)?;
        let filter = pb::MakeReportRequest { case, ..pb::MakeReportRequest::default() };
        let page = Page::parse(node, caller, ("MakeReport", &filter), (0, &page_token))?;
        let after = page.after_bytes()?.map(RecordId::from_bytes);
        let decision_id = decision::id(node, caller, asked.request_id);
        let made = node.make_report(&asked, (id, after)).await.map_err(status::failed)?;
        let lines = made.map_err(|refusal| status::refused(refusal, "case", &decision_id))?;
        let found = node.read(|state| listed(state, node, caller, (id, after, lines)));
        let Listed { records, released, next } =
            found.ok_or_else(|| status::not_available(&decision_id))?;
        let next = next.map(|id| id.as_bytes().to_vec());
        let next_page_token = page.next(node, caller, next);
        let answer = pb::MakeReportResponse { records, next_page_token, decision_id };
        let mut response = Response::new(answer);
        response.extensions_mut().insert(GateTicket(released));
        Ok(response)
    }
}

/// One page, as far as an answer holds it.
struct Listed {
    records: Vec<pb::ReportedRecord>,
    released: Vec<Released>,
    next: Option<RecordId>,
}

fn listed(
    state: &State,
    node: &Node,
    caller: &Caller,
    (id, after, lines): (CaseId, Option<RecordId>, Vec<Outgoing>),
) -> Option<Listed> {
    let page = read::case::report(state, caller.viewer(), (id, after))?;
    let mut bodies: BTreeMap<RecordId, Outgoing> =
        lines.into_iter().map(|line| (line.released.record(), line)).collect();
    let mut listed = Listed { records: Vec::new(), released: Vec::new(), next: page.next };
    let (mut bytes, mut last) = (0_usize, None);
    for reported in &page.rows {
        let line = bodies.remove(&reported.record);
        let (released, body) = line
            .map(|line| (line.released, line.body))
            .map_or((None, bytes::Bytes::new()), |l| (Some(l.0), l.1));
        let record = pb::ReportedRecord { body, ..record(state, node, reported) };
        bytes = bytes.saturating_add(record.encoded_len()).saturating_add(8);
        if PAGE_BYTES_MAX < bytes && last.is_some() {
            listed.next = last;
            break;
        }
        last = Some(reported.row.first);
        listed.released.extend(released);
        listed.records.push(record);
    }
    Some(listed)
}

fn record(state: &State, node: &Node, reported: &Reported<'_>) -> pb::ReportedRecord {
    let Reported { record, row, record_type, publisher, groups, deliveries } = reported;
    let known = node.registry().record_type(&record_type.name);
    let about_others =
        |name| known.and_then(|known| known.group(name)).is_some_and(FieldGroup::third_party);
    let names = record_type.names_of(*groups);
    pb::ReportedRecord {
        record: name::of(record),
        record_type: record_type.name.to_string(),
        publisher: name::of(*publisher),
        published_time: Some(timestamp(row.published_at)),
        field_groups: names
            .iter()
            .filter(|name| !about_others(name))
            .map(ToString::to_string)
            .collect(),
        body: bytes::Bytes::new(),
        deliveries: deliveries
            .iter()
            .map(|(recipient, on, groups)| {
                let told = DisclosedOn { groups: *groups, ..(*on).clone() };
                pb::ReportedDelivery {
                    recipient: name::of(*recipient),
                    purpose: told.purpose,
                    time: Some(timestamp(told.at)),
                    ground: Some(disclosure::ground(state, record_type, &told)),
                }
            })
            .collect(),
    }
}
