//! `DisclosureService`: to whom a publisher's records were released, which groups, when and why.

use tonic::{Request, Response, Status};

use crate::{
    machine::{
        State,
        read::{
            self,
            disclosure::{Key, View},
        },
        state::record::{DisclosedOn, RecordType},
    },
    model::id::{AgencyId, AliasId, RecordId, RequestId},
    node::Node,
    pb::v1::{self as pb, disclosure_service_server::DisclosureService},
    service::{
        caller::open,
        context,
        decision::{self, Decided},
        name,
        page::{self, Page},
        status,
        time::timestamp,
    },
};

/// The service over one node.
#[derive(Clone, Debug)]
pub struct Disclosures {
    node: Node,
}

impl Disclosures {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }
}

#[tonic::async_trait]
impl DisclosureService for Disclosures {
    async fn get_record_status(
        &self,
        request: Request<pb::GetRecordStatusRequest>,
    ) -> Result<Response<pb::GetRecordStatusResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::GetRecordStatusRequest { context, record, reason } = message;
        let _context = context::parse(&self.node, context)?;
        let _reason = context::read_reason(reason)?;
        let record: RecordId = name::parse(&record, "record").map_err(status::violation)?;
        let status = self.node.read(|state| {
            let (first, latest, _) = read::recall::own_record(state, caller.viewer(), record)?;
            let retraction = state.retraction(first);
            Some(pb::RecordStatus {
                record: name::of(&latest),
                retracted: retraction.map_or(0, |row| row.reason),
                retracted_time: retraction.map(|row| timestamp(row.at)),
                disclosures: read::disclosure::of_record(state, first)
                    .iter()
                    .map(|view| shown(state, view))
                    .map(|shown| with_id(&self.node, shown))
                    .collect(),
            })
        });
        let status = Some(status.ok_or_else(|| status::not_available(""))?);
        Ok(Response::new(pb::GetRecordStatusResponse { status }))
    }

    async fn list_disclosures(
        &self,
        request: Request<pb::ListDisclosuresRequest>,
    ) -> Result<Response<pb::ListDisclosuresResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListDisclosuresRequest { context, client, reason, page_size, page_token } = message;
        let _context = context::parse(&self.node, context)?;
        let _reason = context::read_reason(reason)?;
        let alias: AliasId = name::parse(&client, "client").map_err(status::violation)?;
        let filter =
            pb::ListDisclosuresRequest { client, reason, ..pb::ListDisclosuresRequest::default() };
        let list = ("ListDisclosures", &filter);
        let page = Page::parse(&self.node, &caller, list, (page_size, &page_token))?;
        let after = page.after.as_deref().map(key_of).transpose()?;
        let found = self.node.read(|state| {
            let rows = (after.as_ref(), page.rows_max);
            let found = read::disclosure::of_client(state, caller.viewer(), alias, rows)?;
            let shown: Vec<_> = found.rows.iter().map(|view| shown(state, view)).collect();
            Some((shown, found.next))
        });
        let (shown, next) = found.ok_or_else(|| status::not_available(""))?;
        let disclosures = shown.into_iter().map(|shown| with_id(&self.node, shown)).collect();
        let next_page_token = page.next(&self.node, &caller, next.as_ref().map(bytes_of));
        Ok(Response::new(pb::ListDisclosuresResponse { disclosures, next_page_token }))
    }
}

fn bytes_of((first, recipient): &Key) -> Vec<u8> {
    [first.as_bytes().as_slice(), recipient.as_str().as_bytes()].concat()
}

fn key_of(bytes: &[u8]) -> Result<Key, Status> {
    let (first, recipient) = bytes.split_first_chunk::<16>().ok_or_else(page::invalid)?;
    let recipient =
        std::str::from_utf8(recipient).ok().and_then(|text| text.parse::<AgencyId>().ok());
    Ok((RecordId::from_bytes(*first), recipient.ok_or_else(page::invalid)?))
}

fn shown(state: &State, view: &View<'_>) -> Shown {
    (message(state, view), decided(state, view))
}

fn message(state: &State, view: &View<'_>) -> pb::Disclosure {
    let View { row, record_type, recipient, acknowledged, parked, recall } = view;
    let answer = recall.and_then(|recall| recall.answer.as_ref());
    pb::Disclosure {
        record: name::of(&row.record),
        record_type: record_type.name.to_string(),
        recipient: name::of(*recipient),
        field_groups: record_type.names_of(row.groups).iter().map(ToString::to_string).collect(),
        purpose: row.purpose,
        first_time: Some(timestamp(row.first_at)),
        last_time: Some(timestamp(row.at)),
        versions_count: row.versions,
        acknowledged: *acknowledged,
        parked: parked.unwrap_or_default(),
        recalled: recall.map_or(0, |recall| recall.reason),
        recall_act: answer.map_or(0, |answer| answer.act),
        grounds: row.grounds.iter().map(|on| ground(state, record_type, on)).collect(),
        decision_id: String::new(),
    }
}

/// The decision by which it was last released.
fn decided(state: &State, view: &View<'_>) -> Option<Decided> {
    Some(Decided {
        record: view.row.record,
        recipient: state.agency_number(view.recipient)?,
        purpose: view.row.purpose,
        position: view.row.position,
        at: view.row.at,
        by_name: false,
        released: true,
    })
}

/// What is shown of a disclosure, and the decision behind it.
type Shown = (pb::Disclosure, Option<Decided>);

fn with_id(node: &Node, (disclosure, decided): Shown) -> pb::Disclosure {
    let decision_id =
        decided.map(|decided| decision::of_record(node, RequestId::from_bytes([0; 16]), &decided));
    pb::Disclosure { decision_id: decision_id.unwrap_or_default(), ..disclosure }
}

/// The flow on which groups left, with what it said in the version on which they did.
pub(super) fn ground(state: &State, known: &RecordType, on: &DisclosedOn) -> pb::Ground {
    let DisclosedOn { agreement, version, flow, groups, purpose: _, at: _ } = on;
    let row = read::agreement::flow(state, (agreement, *version), flow.as_str());
    pb::Ground {
        agreement: name::of(agreement),
        version: *version,
        flow: flow.to_string(),
        basis: row.map_or(0, |row| row.basis),
        gate: row.map_or(0, |row| row.gate),
        field_groups: known.names_of(*groups).iter().map(ToString::to_string).collect(),
        consents: Vec::new(),
    }
}
