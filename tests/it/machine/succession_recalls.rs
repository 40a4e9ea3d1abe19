//! Successions and what is asked back: from whom a place was taken and who goes on, and from nobody whose successor stands
//! where it stood.

use concordat::{
    machine::Receipt,
    model::id::RecordId,
    pb::ledger::v1::{
        self as pb, AgencyKind, RecallAct, RecallReason, RetentionGround, SuccessionKind,
        command::Kind,
    },
};

use super::{
    recall::Sharing,
    succession::{settles, succeed},
    world::By,
};

const ENDED: [RecallReason; 1] = [RecallReason::AgreementEnded];

/// SDS has the record of the one client by duty, the college by consent; there is a college that may succeed it.
fn shared() -> (Sharing, RecordId) {
    let mut sharing = Sharing::new();
    sharing.world.enrol("new-college", AgencyKind::College);
    sharing.consent(&["college"]);
    let record = sharing.new_record();
    for name in ["sds", "college"] {
        assert_eq!(sharing.release(name), [record], "{name}");
    }
    (sharing, record)
}

/// The college's place goes to the other one, and everything that follows from it is done.
fn take_place(sharing: &mut Sharing, kind: SuccessionKind) {
    let content = settles(&sharing.world, ("college", kind), &[("leavers", "new-college")]);
    let _succession = succeed(&mut sharing.world, content);
    sweep(sharing);
}

fn end(sharing: &mut Sharing) {
    let end = pb::EndAgreement { agreement: "leavers".to_owned() };
    sharing.world.apply("sds", Kind::EndAgreement(end)).unwrap();
    sweep(sharing);
}

fn sweep(sharing: &mut Sharing) {
    while !sharing.world.state.tables().sweeps.is_empty() {
        sharing.world.apply(By::Node, Kind::ContinueSweep(pb::ContinueSweep {})).unwrap();
    }
}

#[test]
fn a_merger_asks_nothing_back_and_at_the_end_the_successor_answers_for_what_was_received() {
    let (mut sharing, _) = shared();
    take_place(&mut sharing, SuccessionKind::Merger);
    for name in ["sds", "college", "new-college"] {
        assert!(sharing.inbox(name).is_empty(), "{name}");
    }
    end(&mut sharing);
    assert_eq!(sharing.reasons("sds"), ENDED);
    assert_eq!(sharing.reasons("new-college"), ENDED);
    let id = sharing.inbox("new-college")[0].0;
    let deleted = (RecallAct::Deleted, RetentionGround::Unspecified);
    assert_eq!(sharing.acknowledge("new-college", id, deleted), Ok(Receipt::DONE));
    sharing.world.hold();
}

#[test]
fn whoever_loses_its_place_and_goes_on_is_asked_back_what_it_had_by_it() {
    let (mut sharing, record) = shared();
    take_place(&mut sharing, SuccessionKind::FunctionMoved);
    assert_eq!(sharing.reasons("college"), ENDED);
    for name in ["sds", "new-college"] {
        assert!(sharing.inbox(name).is_empty(), "{name}");
    }
    let recall = sharing.world.state.recall(sharing.inbox("college")[0].0).unwrap();
    assert_eq!(recall.first, record);
    end(&mut sharing);
    assert_eq!(sharing.reasons("college"), ENDED, "nothing is asked twice");
    assert_eq!(sharing.reasons("sds"), ENDED);
    sharing.world.hold();
}
