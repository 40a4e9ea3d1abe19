//! A recall comes before anything else about the client: what the publisher of the record is told of that, and others not.

use std::collections::BTreeMap;

use concordat::{
    machine::read::{
        Viewer,
        explain::{Asked, Subject, explain},
    },
    model::{id::RecordId, order::UnixMillis},
    pb::ledger::v1::{self as pb, RecallReason, command::Kind},
};

use super::{
    recall::Sharing,
    world::{By, LEAVER_FORM, client, digest, flow, owned},
};

/// What a publisher is told about its record going to SDS, by group.
fn told(sharing: &Sharing, publisher: &str, record: RecordId) -> BTreeMap<String, String> {
    let viewer = Viewer::Agency(sharing.number(publisher));
    let purpose = i32::from(pb::Purpose::SchoolLeaverTransition);
    let now = UnixMillis::new(sharing.world.now_ms());
    let asked = Asked::about(Subject::Record(record), "sds".parse().unwrap(), purpose, now);
    let explanation = explain(&sharing.world.state, viewer, &asked).unwrap();
    let groups = explanation.groups.iter().map(|decision| {
        let why = decision.withheld.as_ref().map_or("released", |withheld| withheld.code());
        (decision.group.to_string(), why.to_owned())
    });
    groups.collect()
}

/// A record of the health board's about the same client.
fn of_the_health_board(sharing: &mut Sharing) -> RecordId {
    let flows = vec![flow("back", "health", &["sds"])];
    let content = sharing.world.content(&["health", "sds"], flows);
    sharing.world.activate("back", content);
    let alias = sharing.world.add_client("health", client(1));
    let key: bytes::Bytes = vec![4; 16].into();
    let open = pb::OpenKey {
        key: key.clone(),
        client: client(1).as_bytes().to_vec().into(),
        agency: "health".to_owned(),
        disposal_class: i32::from(pb::DisposalClass::Record),
        ..pb::OpenKey::default()
    };
    sharing.world.apply(By::Node, Kind::OpenKey(open)).unwrap();
    let publish = pb::PublishRecord {
        record_type: LEAVER_FORM.to_owned(),
        type_version: 1,
        code_lists: "2026-11-01".to_owned(),
        client: alias.as_bytes().to_vec().into(),
        groups: owned(&["core"]),
        content_mac: digest("content"),
        key,
        ..pb::PublishRecord::default()
    };
    match sharing.act("health", Kind::PublishRecord(publish)) {
        Ok(concordat::machine::Receipt::Published { record, .. }) => record,
        other => unreachable!("not published: {other:?}"),
    }
}

#[test]
fn a_recall_that_waits_is_told_to_the_publisher_of_its_record_and_to_no_other() {
    let mut sharing = Sharing::new();
    let theirs = of_the_health_board(&mut sharing);
    let first = sharing.new_record();
    assert_eq!(sharing.release("sds").len(), 2);
    let before = told(&sharing, "health", theirs);
    sharing.retract("council", first, RecallReason::Unlawful).unwrap();
    let second = sharing.new_record();
    assert!(sharing.release("sds").is_empty());
    assert!(told(&sharing, "council", second).values().all(|why| why == "RECALL_WAITS"));
    assert_eq!(told(&sharing, "health", theirs), before, "whose recall waits is not its affair");
    assert_eq!(before["core"], "released");
    sharing.hand_over("sds").unwrap();
    assert_eq!(told(&sharing, "council", second)["core"], "released");
    assert_eq!(sharing.release("sds"), [second]);
    sharing.world.hold();
}

#[test]
fn what_is_still_to_be_asked_back_waits_too_and_is_told_to_its_publisher_alone() {
    let mut sharing = Sharing::new();
    let theirs = of_the_health_board(&mut sharing);
    let _first = sharing.new_record();
    assert_eq!(sharing.release("sds").len(), 2);
    sharing.world.wait(366 * super::world::DAY_MS);
    super::agreement_course::tick(&mut sharing.world);
    assert!(!sharing.world.state.tables().sweeps.is_empty(), "two agreements have ended");
    let content =
        sharing.world.content(&["council", "sds"], vec![flow("anew", "council", &["sds"])]);
    sharing.world.activate("anew", content);
    let second = sharing.new_record();
    assert!(told(&sharing, "council", second).values().all(|why| why == "RECALL_WAITS"));
    assert!(told(&sharing, "health", theirs).values().all(|why| why == "RECALL_WAITS"));
    sharing.world.hold();
}
