//! What stands against a record that is read in an emergency is told by codes, and nothing of what the reader does not get.

use bytes::Bytes;
use concordat::{
    machine::{Receipt, outcome::Remembered, read::emergency},
    model::id::AliasId,
    pb::{
        ledger::v1::{
            self as pb, CaseKind, HoldGround, IdentityCheck, MeasureKind, Relation, command::Kind,
        },
        v1::RecordMark,
    },
};

use super::emergency::Ward;

fn marks(ward: &mut Ward) -> Vec<RecordMark> {
    let id = ward.open("ann", &[1]).unwrap();
    let released = ward.read(id, "ann").unwrap();
    assert_eq!(released.len(), 1);
    released.iter().flat_map(|line| emergency::marks(&ward.world.state, line)).collect()
}

fn objection(client: AliasId) -> Kind {
    let requester = pb::Requester {
        relation: i32::from(Relation::Self_),
        identity: i32::from(IdentityCheck::Confirmed),
        ..pb::Requester::default()
    };
    Kind::OpenCase(pb::OpenCase {
        kind: i32::from(CaseKind::Objection),
        client: client.as_bytes().to_vec().into(),
        requester: Some(requester),
        ..pb::OpenCase::default()
    })
}

#[test]
fn whoever_reads_in_an_emergency_is_told_what_stands_against_a_record() {
    let mut ward = Ward::authorised();
    assert_eq!(marks(&mut ward), []);
    // An objection, which its publisher has not decided.
    let opened = ward.act("council", objection(ward.alias));
    let Ok(Receipt::Answer(Remembered::Case(id))) = opened else {
        unreachable!("not opened: {opened:?}")
    };
    assert_eq!(marks(&mut ward), [RecordMark::ObjectedTo]);
    let measure = pb::Measure {
        agreement: "ward".to_owned(),
        flow: "duty".to_owned(),
        kind: i32::from(MeasureKind::Restrict),
        ground: 0,
    };
    let decide = pb::DecideCase {
        case: id.as_bytes().to_vec().into(),
        measures: vec![measure],
        ..pb::DecideCase::default()
    };
    ward.act("council", Kind::DecideCase(decide)).unwrap();
    assert_eq!(marks(&mut ward), [RecordMark::Restricted, RecordMark::ObjectedTo]);
    let place = pb::PlaceHold {
        client: Bytes::new(),
        record: ward.record.as_bytes().to_vec().into(),
        ground: i32::from(HoldGround::LegalClaim),
    };
    ward.act("council", Kind::PlaceHold(place)).unwrap();
    let all = [RecordMark::Restricted, RecordMark::ObjectedTo, RecordMark::LegalHold];
    assert_eq!(marks(&mut ward), all);
    ward.world.hold();
}

#[test]
fn a_dispute_marks_a_record_for_those_who_get_what_is_disputed_until_it_is_answered() {
    let mut ward = Ward::authorised();
    let id = ward.open("ann", &[1]).unwrap();
    assert_eq!(ward.read(id, "ann").unwrap().len(), 1);
    let dispute = |group: &str| {
        Kind::OpenDispute(pb::OpenDispute {
            record: ward.record.as_bytes().to_vec().into(),
            group: group.to_owned(),
            field: String::new(),
            reason: i32::from(pb::DisputeReason::Inaccurate),
        })
    };
    let (unseen, seen) = (dispute("destination"), dispute("core"));
    assert!(ward.act("health", unseen).is_err(), "it was not sent that group");
    let Ok(Receipt::Answer(Remembered::Dispute(id))) = ward.act("health", seen) else {
        unreachable!("not opened")
    };
    assert_eq!(marks(&mut ward), [RecordMark::Disputed]);
    let answer = pb::AnswerDispute {
        dispute: id.as_bytes().to_vec().into(),
        answer: i32::from(pb::DisputeAnswer::Kept),
        keep_reason: i32::from(pb::KeepReason::Verified),
    };
    ward.act("council", Kind::AnswerDispute(answer)).unwrap();
    assert_eq!(marks(&mut ward), []);
    ward.world.hold();
}
