//! What a node may propose to release: the candidates of a subscription, and the grounds on which a record may be opened.
//!
//! These are proposals only: the machine decides every line anew when it is ordered.

use crate::{
    machine::{
        access::{Decision, Question},
        command::subscription::Source,
        rules::{named, recall, record::record_id, release::offered},
        state::{
            State,
            agency::AgencyNumber,
            client::AliasKind,
            record::{Groups, RecordRow},
            subscription::SubscriptionNumber,
        },
    },
    model::{
        id::{AgencyId, AliasId, ClientId, KeyId, RecordId, RecordTypeName, RequestId},
        order::UnixMillis,
    },
    pb::ledger::v1 as pb,
};

/// How many places of a queue one look passes over.
const PLACES_PER_LOOK: usize = 256;

/// What could be proposed for a subscription.
#[derive(Debug, Default)]
pub struct Candidates {
    /// The number that the first line would take.
    pub first_delivery: u64,
    /// Lines that could be released, in their order.
    pub lines: Vec<pb::ReleaseLine>,
    /// Lines that only ask to be forgotten, because nothing of them may flow any more.
    pub stale: Vec<pb::ReleaseLine>,
}

/// The next lines of a subscription: repeats first, then the queue, at most `count` of them.
pub fn candidates(
    state: &State,
    number: SubscriptionNumber,
    now: UnixMillis,
    count: usize,
) -> Candidates {
    let Some(subscription) = state.subscription(number).filter(|row| !row.removed) else {
        return Candidates::default();
    };
    let mut found =
        Candidates { first_delivery: subscription.next_delivery, ..Candidates::default() };
    let repeats = subscription.replays.iter().flat_map(|(a, b)| *a..=*b).map(Source::Replay);
    let queued = state
        .tables()
        .queue
        .range((number, 0)..=(number, u64::MAX))
        .map(|((_, place), _)| Source::Queue(*place));
    for source in repeats.chain(queued).take(PLACES_PER_LOOK) {
        if count <= found.lines.len() {
            break;
        }
        match line(state, number, source, now) {
            Some((line, true)) => found.lines.push(line),
            Some((line, false)) => found.stale.push(line),
            None => {}
        }
    }
    found
}

/// One line, and whether anything of it may flow; `None` while a recall about its client is to be handed over first.
fn line(
    state: &State,
    number: SubscriptionNumber,
    source: Source,
    now: UnixMillis,
) -> Option<(pb::ReleaseLine, bool)> {
    let pb_source = match source {
        Source::Queue(place) => pb::release_line::Source::Queue(place),
        Source::Replay(delivery) => pb::release_line::Source::Replay(delivery),
    };
    let found = offered(state, number, source);
    let record = found.as_ref().map_or(RecordId::from_bytes([0; 16]), |offered| offered.record);
    let mut line = pb::ReleaseLine {
        record: record.as_bytes().to_vec().into(),
        grants: Vec::new(),
        source: Some(pb_source),
    };
    let (Some(offered), Some(subscription)) = (found, state.subscription(number)) else {
        return Some((line, false));
    };
    let Some((latest, row)) = state.latest(offered.first) else { return Some((line, false)) };
    if latest != offered.record || state.retraction(offered.first).is_some() {
        return Some((line, false));
    }
    if recall::waits(state, subscription.agency, row.client) {
        return None;
    }
    let question = Question::about(row, subscription.agency, subscription.purpose, now);
    let question = Question { groups: offered.groups, ..question };
    let decision = named::decide(state, &question, subscription.unattended);
    line.grants = grants(state, row, &decision, offered.groups);
    let lives = !line.grants.is_empty();
    Some((line, lives))
}

/// The grounds on which a recipient that was sent a record may open it again; none where it may not, or must not know.
pub fn grants_to_open(
    state: &State,
    record: RecordId,
    reader: AgencyNumber,
    (purpose, unattended): (pb::Purpose, bool),
    now: UnixMillis,
) -> Vec<pb::Grant> {
    let Some(row) = state.record(record).filter(|row| !state.answers_for(reader, row.publisher))
    else {
        return Vec::new();
    };
    let question = Question::about(row, reader, i32::from(purpose), now);
    grants(state, row, &named::decide(state, &question, unattended), row.groups)
}

fn grants(state: &State, row: &RecordRow, decision: &Decision, wanted: Groups) -> Vec<pb::Grant> {
    let Some(record_type) = state.record_type(row.record_type) else { return Vec::new() };
    let names = |groups| record_type.names_of(groups).iter().map(ToString::to_string).collect();
    decision
        .grounds
        .iter()
        .filter(|ground| !ground.groups.and(wanted).is_empty())
        .map(|ground| pb::Grant {
            agreement: ground.agreement.to_string(),
            version: ground.version,
            flow: ground.flow.to_string(),
            groups: names(ground.groups.and(wanted)),
            consents: ground.consents.iter().map(|id| id.as_bytes().to_vec().into()).collect(),
        })
        .collect()
}

/// What a publish request would find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The id of the record that the request publishes.
    pub record: RecordId,
    /// The key and client of the record that the same request published before.
    pub before: Option<(KeyId, ClientId)>,
    /// Whether that record was erased since.
    pub erased: bool,
    /// Whether an active agreement has the agency publish this type.
    pub flows: bool,
}

/// What a publish request of an agency would find.
pub fn found(
    state: &State,
    agency: &AgencyId,
    request: RequestId,
    record_type: &RecordTypeName,
) -> Found {
    let record = record_id(state, agency.as_str(), request);
    let row = state.record(record);
    let before = row.map(|row| (row.key, row.client));
    let erased = row.is_some_and(|row| state.erased(row.first).is_some());
    let flows = state
        .agency_number(agency)
        .zip(state.type_number(record_type))
        .is_some_and(|(number, of)| state.recipients_of(number, of).next().is_some());
    Found { record, before, erased, flows }
}

/// A client of an agency whose records are sealed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownClient {
    /// The client.
    pub client: ClientId,
    /// The agency's own name for it.
    pub alias: AliasId,
    /// The key that seals the agency's records about it.
    pub key: KeyId,
}

/// The agency's own name for a client, and the key of its records about it; `None` unless both are there.
pub fn known_client(state: &State, agency: &AgencyId, client: ClientId) -> Option<KnownClient> {
    let number = state.agency_number(agency)?;
    let alias = state.alias(number, client, AliasKind::Own)?;
    let key = state.key_for(Some(client), Some(number), i32::from(pb::DisposalClass::Record))?;
    Some(KnownClient { client, alias, key })
}
