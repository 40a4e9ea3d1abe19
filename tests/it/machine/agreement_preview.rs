//! What would change if a version became active: said to its parties before they approve, and in no small numbers.

use concordat::{
    machine::read::agreement::{Change, preview},
    model::order::Position,
    pb::ledger::v1::{self as pb, command::Kind},
};
use prost::Message;

use super::{
    agreement_course::{LEAVERS, id, leavers, now, open, viewer},
    world::{By, LEAVER_FORM, Signing, World, client, consented_flow, digest, flow, owned},
};

/// Publishes a record of the council's about each of so many clients.
fn publish(world: &mut World, clients: std::ops::Range<u8>) {
    for number in clients {
        let alias = world.add_client("council", client(number));
        let key = vec![number; 16];
        let open = pb::OpenKey {
            key: key.clone().into(),
            client: client(number).as_bytes().to_vec().into(),
            agency: "council".to_owned(),
            disposal_class: i32::from(pb::DisposalClass::Record),
            ..pb::OpenKey::default()
        };
        world.apply(By::Node, Kind::OpenKey(open)).unwrap();
        let record = pb::PublishRecord {
            record_type: LEAVER_FORM.to_owned(),
            type_version: 1,
            code_lists: "2026-11-01".to_owned(),
            client: alias.as_bytes().to_vec().into(),
            supersedes: bytes::Bytes::new(),
            groups: owned(&["core", "destination"]),
            content_mac: digest("content"),
            key: key.into(),
            change: 0,
        };
        let request = world.request_id();
        let kind = Kind::PublishRecord(record);
        let mut command = world.command(By::Agency("council"), request, Signing::Own, kind);
        command.purpose = i32::from(pb::Purpose::SchoolLeaverTransition);
        world.append(command.encode_to_vec()).unwrap();
    }
}

#[test]
fn a_preview_says_who_gains_and_loses_what_and_counts_no_fewer_than_five() {
    for (clients, counted) in [(4_u8, None), (5, Some(5)), (9, Some(5)), (10, Some(10))] {
        let mut world = World::of_partners();
        let content = leavers(&world);
        world.activate(LEAVERS, content);
        publish(&mut world, 1..clients + 1);
        let line = pb::Flow {
            backfill: true,
            groups: owned(&["core", "destination"]),
            ..flow("to-college", "council", &["college"])
        };
        let content = world.content(&["council", "sds", "college"], vec![line]);
        let mut content = content;
        content.parties[1].role = i32::from(pb::PartyRole::Processor);
        let next = world.draft("council", LEAVERS, content).unwrap();
        let look = |agency: &str, version| {
            preview(&world.state, viewer(&world, agency), (&id(), version), now(&world))
        };
        let (version, changes) = look("sds", 0).unwrap();
        assert_eq!((version, changes.len()), (2, 2));
        let names = |change: &Change, groups| {
            let known = world.state.record_type(change.record_type).unwrap();
            known.names_of(groups).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let of = |agency: &str| {
            let number = world.state.agency_number(&agency.parse().unwrap()).unwrap();
            changes.iter().find(|change| change.recipient == number).unwrap()
        };
        let (college, sds) = (of("college"), of("sds"));
        assert_eq!(names(college, college.gained), ["core", "destination"]);
        assert_eq!((college.clients_gaining, college.clients_losing), (counted, None));
        assert_eq!(names(sds, sds.lost), ["core"]);
        assert_eq!((sds.clients_gaining, sds.clients_losing), (None, counted));
        assert_eq!(look("stranger", 0), None);
        assert_eq!(look("college", 1), None);
        assert_eq!(look("council", 1), Some((1, Vec::new())));
        // What it said comes true.
        world.propose("council", LEAVERS, next).unwrap();
        for party in ["council", "sds", "college"] {
            world.approve(party, LEAVERS, next).unwrap();
        }
        assert_eq!(open(&world, "college", Position::new(30)), ["core", "destination"]);
        assert_eq!(open(&world, "sds", Position::new(30)), Vec::<String>::new());
    }
}

#[test]
fn a_preview_counts_only_clients_whose_consent_names_the_recipient() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    world.activate(LEAVERS, content);
    publish(&mut world, 1..8);
    let asked = consented_flow("asked", "council", &["college"]);
    let asked = pb::Flow { backfill: true, ..asked };
    let flows = vec![flow("to-sds", "council", &["sds"]), asked];
    let content = world.content(&["council", "sds", "college"], flows);
    world.draft("council", LEAVERS, content).unwrap();
    let looked = preview(&world.state, viewer(&world, "college"), (&id(), 0), now(&world));
    let (_, changes) = looked.unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].clients_gaining, None);
}
