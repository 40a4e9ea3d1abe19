//! Contributions to the picture of a child over the network: published by whoever knows the child, received cut to the
//! groups of a flow, with a national number or without; and a ledger that is older than the types it is to hold.

use concordat::{
    machine::State,
    node::{Asked, Who},
    pb::{
        ledger::v1::{self as ledger, AgencyKind, Purpose, command::Kind},
        record::v1::{ChronologyEvent, ConcernReport},
        v1::{
            Delivery, PublishReceipt, PublishRecordRequest, PullRecordsRequest, RecordDraft,
            RequestContext, request_context::Actor,
        },
    },
    record::{registry::Registry, types},
};
use prost::Message;
use tonic::{Code, Status};

use crate::harness::{Agency, Exchange, agree_for, founded_knowing, reason};

const PURPOSE: Purpose = Purpose::ChildProtection;

#[expect(clippy::unnecessary_wraps, reason = "a request takes it so")]
fn context() -> Option<RequestContext> {
    Some(RequestContext {
        purpose: PURPOSE.into(),
        actor: Some(Actor::Unattended(true)),
        held_checkpoint: String::new(),
    })
}

/// A flow of some groups of a type, as a public task.
fn flow(
    id: &str,
    record_type: &str,
    (from, to): (&Agency, &Agency),
    groups: &[&str],
) -> ledger::Flow {
    ledger::Flow {
        flow: id.to_owned(),
        record_type: record_type.to_owned(),
        publisher: from.id.to_string(),
        recipients: vec![to.id.to_string()],
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        basis: ledger::LawfulBasis::PublicTask.into(),
        special_condition: ledger::SpecialCondition::Safeguarding.into(),
        legal_power: ledger::LegalPower::Children1995S22.into(),
        gate: ledger::Gate::None.into(),
        caseload: ledger::CaseloadRule::None.into(),
        ..ledger::Flow::default()
    }
}

async fn subscribe(agency: &Agency, id: &str, types: &[&str]) {
    let create = ledger::CreateSubscription {
        subscription: id.to_owned(),
        record_types: types.iter().map(|name| (*name).to_owned()).collect(),
    };
    let asked = Asked {
        actor: Who::Agency(agency.id.clone()),
        purpose: PURPOSE,
        staff: None,
        request_id: agency.request_id(),
        signature: None,
    };
    let done = agency.node.submit(&asked, Kind::CreateSubscription(create), None).await.unwrap();
    done.unwrap();
}

async fn publish(agency: &Agency, name: &str, body: Vec<u8>) -> Result<PublishReceipt, Status> {
    let request = PublishRecordRequest {
        context: context(),
        request_id: agency.request(),
        record: Some(RecordDraft {
            record_type: name.to_owned(),
            body: body.into(),
            ..RecordDraft::default()
        }),
        validate_only: false,
    };
    let answer = agency.exchange().publish_record(request).await?.into_inner();
    Ok(answer.receipt.unwrap())
}

async fn pull(agency: &Agency, id: &str) -> Vec<Delivery> {
    let request = PullRecordsRequest {
        context: context(),
        request_id: agency.request(),
        subscription: agency.subscription(id),
        max_records: 8,
    };
    agency.exchange().pull_records(request).await.unwrap().into_inner().deliveries
}

#[tokio::test]
async fn an_event_of_the_council_reaches_the_health_board_cut_to_the_groups_of_its_flow() {
    let exchange = Exchange::start().await;
    let council = exchange.agency("west-lothian-council", AgencyKind::Council).await;
    let health = exchange.agency("nhs-lothian", AgencyKind::HealthBoard).await;
    let groups = ["identity", "event", "governance"];
    let flows = vec![flow("events", "chronology-event", (&council, &health), &groups)];
    agree_for(PURPOSE, exchange.clock.clock().now(), ("c-me", &[&council, &health]), flows).await;
    subscribe(&health, "children", &["chronology-event"]).await;

    let whole = types::chronology_event::example();
    let receipt = publish(&council, "chronology-event", whole.encode_to_vec()).await.unwrap();
    let held = ["identity", "locator", "event", "others", "governance"];
    assert_eq!(receipt.field_groups, held);

    let deliveries = pull(&health, "children").await;
    let [delivery] = deliveries.as_slice() else { unreachable!("{} deliveries", deliveries.len()) };
    let record = delivery.record.as_ref().unwrap();
    assert_eq!(
        (record.record_type.as_str(), record.field_groups.as_slice()),
        ("chronology-event", groups.map(str::to_owned).as_slice())
    );
    assert_ne!(record.client, receipt.client, "each agency has its own name for the child");
    let received = ChronologyEvent::decode(record.body.clone()).unwrap();
    let expected = ChronologyEvent {
        locator: None,
        others: Vec::new(),
        lawful_basis: whole
            .lawful_basis
            .iter()
            .filter(|row| groups.contains(&row.group.as_str()))
            .cloned()
            .collect(),
        ..whole.clone()
    };
    assert_eq!(received, expected);
    let registry = Registry::built_in().unwrap();
    let known = registry.record_type(&"chronology-event".parse().unwrap()).unwrap();
    let released = groups.iter().map(|group| group.parse().unwrap()).collect();
    let cut = known.redaction_plan(&released).redact(&whole.encode_to_vec()).unwrap();
    assert_eq!(record.body, cut, "the bytes are those that were published, less what is withheld");

    // What is wrong is told by its field, and appends nothing.
    let mut wrong = whole;
    wrong.event.get_or_insert_default().statement = 0;
    let refused = publish(&council, "chronology-event", wrong.encode_to_vec()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(pull(&health, "children").await.len(), 1, "it comes again, and nothing else does");
}

#[tokio::test]
async fn the_police_name_a_child_without_a_number_and_meet_nobody_elses_client() {
    let exchange = Exchange::start().await;
    let council = exchange.agency("west-lothian-council", AgencyKind::Council).await;
    let police = exchange.agency("police-scotland", AgencyKind::Police).await;
    let flows = vec![
        flow(
            "concerns",
            "concern-report",
            (&police, &council),
            &["identity", "summary", "governance"],
        ),
        flow("events", "chronology-event", (&council, &police), &["identity", "governance"]),
    ];
    let flows = flows
        .into_iter()
        .map(|flow| ledger::Flow {
            gateway: ledger::LegalPower::DataProtection2018S36.into(),
            ..flow
        })
        .collect();
    agree_for(PURPOSE, exchange.clock.clock().now(), ("c-me", &[&council, &police]), flows).await;
    subscribe(&council, "concerns", &["concern-report"]).await;

    let event = types::chronology_event::example().encode_to_vec();
    publish(&council, "chronology-event", event).await.unwrap();
    let clients = |state: &State| state.tables().aliases.len();
    let before = exchange.node.read(clients);
    let report = types::concern_report::example();
    let first = publish(&police, "concern-report", report.encode_to_vec()).await.unwrap();
    // Name, date of birth and postcode are those of the council's child, and link nobody.
    assert_eq!(exchange.node.read(clients), before + 1);
    let again = publish(&police, "concern-report", report.encode_to_vec()).await.unwrap();
    assert_eq!(again.client, first.client, "the agency's own id means one client");

    let deliveries = pull(&council, "concerns").await;
    let record = deliveries[0].record.as_ref().unwrap();
    let received = ConcernReport::decode(record.body.clone()).unwrap();
    assert_eq!(received.summary, report.summary);
    assert_eq!((received.narrative, received.views, received.others.len()), (None, None, 0));
}

#[tokio::test]
async fn a_ledger_that_is_older_than_the_types_gets_them_by_entries_once() {
    let older = ["leaver-form"];
    let directory = founded_knowing(&older).await;
    let certificates = directory.path().join("certs");
    let known = |exchange: &Exchange| {
        exchange.node.read(|state| {
            let types = state.tables().types.iter().map(|(_, known)| known.name.to_string());
            (types.collect::<Vec<_>>(), state.chain().next)
        })
    };
    let exchange =
        Exchange::start_in(directory, &certificates, crate::harness::Setup::default()).await;
    let (types, size) = known(&exchange);
    let built_in = Registry::built_in().unwrap();
    assert_eq!(types.len(), built_in.record_types().count());
    assert_eq!(types[0], "leaver-form", "what was there keeps its number");
    // What it had, three entries, and one for each type that it lacked.
    assert_eq!(size.number(), 3 + u64::try_from(types.len() - older.len()).unwrap());
    let council = exchange.agency("west-lothian-council", AgencyKind::Council).await;
    let event = types::chronology_event::example().encode_to_vec();
    let refused = publish(&council, "chronology-event", event).await.unwrap_err();
    assert_eq!(reason(&refused), "NOT_A_PUBLISHER", "the type is known; only a flow is missing");

    drop(council);
    let (_, size) = known(&exchange);
    let directory = exchange.end().await;
    let exchange =
        Exchange::start_in(directory, &certificates, crate::harness::Setup::default()).await;
    assert_eq!(known(&exchange), (types, size), "nothing is registered twice");
}
