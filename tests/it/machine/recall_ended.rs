//! What the end of an agreement asks back: from whom, by whose terms, and what it leaves alone.

use concordat::{
    machine::{
        Outcome, Receipt, Refusal,
        outcome::Remembered,
        read::{Viewer, recall},
    },
    model::{
        id::{AgreementId, HoldId, RecallId},
        order::UnixMillis,
    },
    pb::ledger::v1::{
        self as pb, Disposal, RecallAct, RecallReason, RetentionGround, VersionChange,
        command::Kind,
    },
};

use super::{
    agreement_course::tick,
    emergency::{Ward, emergency_flow},
    recall::Sharing,
    world::{By, DAY_MS, consented_flow, flow},
};

const LEAVERS: &str = "leavers";
const ENDED: [RecallReason; 1] = [RecallReason::AgreementEnded];

/// Everybody who may have the record of the one client has it: core by duty, more by consent.
fn shared() -> (Sharing, concordat::model::id::RecordId) {
    let mut sharing = Sharing::new();
    sharing.consent(&["college", "charity"]);
    let record = sharing.new_record();
    for name in ["sds", "health", "college"] {
        assert_eq!(sharing.release(name), [record], "{name}");
    }
    (sharing, record)
}

fn end(sharing: &mut Sharing, by: &str, agreement: &str) -> Outcome {
    let agreement = agreement.to_owned();
    sharing.world.apply(by, Kind::EndAgreement(pb::EndAgreement { agreement }))
}

/// The agreement once more, with other terms: another version, which every party approves.
fn with_terms(sharing: &mut Sharing, edit: impl FnOnce(&mut pb::Terms)) {
    let parties = ["council", "sds", "health", "college", "charity"];
    let flows = vec![
        flow("duty", "council", &["sds", "health"]),
        consented_flow("consented", "council", &["college", "charity"]),
    ];
    let mut content = sharing.world.content(&parties, flows);
    edit(content.terms.as_mut().unwrap());
    sharing.world.activate(LEAVERS, content);
}

fn sweep(sharing: &mut Sharing) {
    while !sharing.world.state.tables().sweeps.is_empty() {
        sharing.world.apply(By::Node, Kind::ContinueSweep(pb::ContinueSweep {})).unwrap();
    }
}

/// Which agreement's end asks a recall's record back, and what its terms say.
fn asked(sharing: &Sharing, id: RecallId) -> (AgreementId, Disposal) {
    let ended = sharing.world.state.recall(id).unwrap().ended.clone().unwrap();
    (ended.agreement, Disposal::try_from(ended.disposal).unwrap())
}

fn groups(sharing: &Sharing, id: RecallId) -> Vec<String> {
    let state = &sharing.world.state;
    let row = state.recall(id).unwrap();
    let known = state.record_type(state.record(row.first).unwrap().record_type).unwrap();
    known.names_of(row.groups).iter().map(ToString::to_string).collect()
}

#[test]
fn what_was_sent_on_an_agreement_is_asked_back_when_a_party_ends_it() {
    let (mut sharing, record) = shared();
    let from = sharing.world.state.chain().narrowings;
    end(&mut sharing, "health", LEAVERS).unwrap();
    assert!(from < sharing.world.state.chain().narrowings);
    for name in ["sds", "health", "college"] {
        assert_eq!(sharing.reasons(name), ENDED, "{name}");
        let id = sharing.inbox(name)[0].0;
        assert_eq!(asked(&sharing, id), (LEAVERS.parse().unwrap(), Disposal::Delete));
    }
    assert!(sharing.inbox("charity").is_empty(), "it was sent nothing");
    assert_eq!(groups(&sharing, sharing.inbox("college")[0].0), ["core", "support-needs"]);
    // The publisher sees who has not answered, and the certificate says so.
    let viewer = Viewer::Agency(sharing.number("council"));
    let state = &sharing.world.state;
    let page = recall::issued(state, viewer, (Some(record), false), (None, 10));
    assert_eq!(page.rows.len(), 3);
    let now = UnixMillis::new(sharing.world.now_ms());
    let (text, outstanding) = recall::disposal(state, viewer, record, ("x", now)).unwrap();
    assert_eq!(outstanding, 3);
    assert!(text.contains("recall sds AGREEMENT_ENDED core "), "{text}");
    let id = sharing.inbox("sds")[0].0;
    let deleted = (RecallAct::Deleted, RetentionGround::Unspecified);
    assert_eq!(sharing.acknowledge("sds", id, deleted), Ok(Receipt::DONE));
    let page = recall::issued(&sharing.world.state, viewer, (Some(record), false), (None, 10));
    assert_eq!(page.rows.len(), 2);
    sharing.world.hold();
}

#[test]
fn what_another_flow_in_force_gives_is_left_until_that_one_ends_too() {
    let (mut sharing, _) = shared();
    let duty = vec![flow("more", "council", &["sds", "college"])];
    let mut agreed = sharing.world.content(&["council", "sds", "college"], duty);
    agreed.flows[0].backfill = true;
    sharing.world.activate("duty", agreed);
    end(&mut sharing, "council", LEAVERS).unwrap();
    assert!(sharing.inbox("sds").is_empty(), "the other agreement carries all of it");
    assert_eq!(sharing.reasons("health"), ENDED);
    assert_eq!(groups(&sharing, sharing.inbox("college")[0].0), ["support-needs"]);
    end(&mut sharing, "sds", "duty").unwrap();
    let id = sharing.inbox("sds")[0].0;
    assert_eq!(groups(&sharing, id), ["core"]);
    assert_eq!(asked(&sharing, id).0, LEAVERS.parse().unwrap(), "by which it was sent");
    assert_eq!(sharing.inbox("college").len(), 2);
    assert_eq!(sharing.inbox("health").len(), 1, "nothing is asked twice");
    sharing.world.hold();
}

#[test]
fn what_the_terms_let_recipients_keep_is_not_asked_back() {
    let by_duty = i32::from(Disposal::KeepByOwnDuty);
    let edits: [fn(&mut pb::Terms, i32); 2] = [
        |terms, by_duty| terms.termination = by_duty,
        |terms, by_duty| terms.retention[0].disposal = by_duty,
    ];
    for edit in edits {
        let (mut sharing, _) = shared();
        with_terms(&mut sharing, |terms| edit(terms, by_duty));
        sweep(&mut sharing);
        end(&mut sharing, "sds", LEAVERS).unwrap();
        sweep(&mut sharing);
        for name in ["sds", "health", "college"] {
            assert!(sharing.inbox(name).is_empty(), "{name}");
        }
        sharing.world.hold();
    }
}

#[test]
fn only_where_the_terms_want_it_back_it_is_given_back() {
    let returned = (RecallAct::Returned, RetentionGround::Unspecified);
    let (mut sharing, _) = shared();
    end(&mut sharing, "sds", LEAVERS).unwrap();
    let id = sharing.inbox("sds")[0].0;
    assert_eq!(sharing.acknowledge("sds", id, returned), Err(Refusal::RecallActUnfit));
    let (mut sharing, record) = shared();
    let back = i32::from(Disposal::ReturnAndDelete);
    with_terms(&mut sharing, |terms| terms.termination = back);
    end(&mut sharing, "sds", LEAVERS).unwrap();
    let id = sharing.inbox("sds")[0].0;
    assert_eq!(asked(&sharing, id).1, Disposal::ReturnAndDelete);
    assert_eq!(sharing.acknowledge("sds", id, returned), Ok(Receipt::DONE));
    let viewer = Viewer::Agency(sharing.number("council"));
    let now = UnixMillis::new(sharing.world.now_ms());
    let state = &sharing.world.state;
    let (text, outstanding) = recall::disposal(state, viewer, record, ("x", now)).unwrap();
    assert!(text.contains(" RETURNED\n") && outstanding == 2, "{text}");
    sharing.world.hold();
}

#[test]
fn a_legal_hold_outranks_the_end_until_it_is_lifted() {
    let (mut sharing, _) = shared();
    let hold = Kind::PlaceHold(pb::PlaceHold {
        client: sharing.alias.as_bytes().to_vec().into(),
        record: bytes::Bytes::new(),
        ground: i32::from(pb::HoldGround::StatutoryInquiry),
    });
    let hold: HoldId = match sharing.act("council", hold) {
        Ok(Receipt::Answer(Remembered::Hold(id))) => id,
        other => unreachable!("not a hold: {other:?}"),
    };
    end(&mut sharing, "sds", LEAVERS).unwrap();
    sweep(&mut sharing);
    assert!(sharing.inbox("sds").is_empty() && sharing.inbox("college").is_empty());
    let lift = pb::LiftHold { hold: hold.as_bytes().to_vec().into() };
    sharing.act("council", Kind::LiftHold(lift)).unwrap();
    assert_eq!(sharing.reasons("sds"), ENDED);
    assert_eq!(sharing.reasons("college"), ENDED);
    sharing.world.hold();
}

#[test]
fn a_hold_that_is_lifted_asks_nothing_back_while_the_agreement_stands() {
    let (mut sharing, record) = shared();
    let hold = Kind::PlaceHold(pb::PlaceHold {
        client: bytes::Bytes::new(),
        record: record.as_bytes().to_vec().into(),
        ground: i32::from(pb::HoldGround::LegalClaim),
    });
    let Ok(Receipt::Answer(Remembered::Hold(hold))) = sharing.act("council", hold) else {
        unreachable!("not a hold")
    };
    let lift = pb::LiftHold { hold: hold.as_bytes().to_vec().into() };
    sharing.act("council", Kind::LiftHold(lift)).unwrap();
    assert!(sharing.inbox("sds").is_empty());
    sharing.world.hold();
}

#[test]
fn a_date_that_has_come_asks_back_by_itself_and_nothing_overtakes_it() {
    let (mut sharing, first) = shared();
    let more = vec![flow("more", "council", &["sds"])];
    let mut agreed = sharing.world.content(&["council", "sds"], more);
    agreed.expires_at_ms += 100 * DAY_MS;
    agreed.flows[0].groups = vec!["destination".to_owned()];
    sharing.world.activate("duty", agreed);
    sharing.world.wait(366 * DAY_MS);
    tick(&mut sharing.world);
    assert!(!sharing.world.state.tables().sweeps.is_empty());
    assert!(sharing.inbox("sds").is_empty(), "it comes with the next entry");
    let second = sharing.publish(None, VersionChange::Unspecified);
    assert!(second.is_ok());
    assert!(sharing.release("sds").is_empty(), "first what is asked back");
    sweep(&mut sharing);
    assert_eq!(sharing.reasons("sds"), ENDED);
    assert_eq!(sharing.world.state.recall(sharing.inbox("sds")[0].0).unwrap().first, first);
    tick(&mut sharing.world);
    sweep(&mut sharing);
    assert_eq!(sharing.inbox("sds").len(), 1);
    sharing.world.hold();
}

#[test]
fn what_goes_on_for_safeguarding_is_asked_back_when_that_ends() {
    let mut sharing = Sharing::new();
    let kept = pb::Flow { safeguarding: true, ..flow("duty", "council", &["sds"]) };
    let flows = vec![kept, flow("other", "council", &["health"])];
    let mut content = sharing.world.content(&["council", "sds", "health"], flows);
    content.terms.as_mut().unwrap().at_expiry = i32::from(pb::AtExpiry::SafeguardingGoesOn);
    sharing.world.activate(LEAVERS, content);
    let record = sharing.new_record();
    assert_eq!((sharing.release("sds"), sharing.release("health")), (vec![record], vec![record]));
    sharing.world.wait(366 * DAY_MS);
    tick(&mut sharing.world);
    sweep(&mut sharing);
    assert_eq!(sharing.reasons("health"), ENDED);
    assert!(sharing.inbox("sds").is_empty());
    sharing.world.wait(90 * DAY_MS);
    tick(&mut sharing.world);
    sweep(&mut sharing);
    assert_eq!(sharing.reasons("sds"), ENDED);
    sharing.world.hold();
}

#[test]
fn a_party_that_leaves_is_asked_back_and_the_others_are_not() {
    let (mut sharing, _) = shared();
    let flows = vec![flow("duty", "council", &["sds"])];
    let content = sharing.world.content(&["council", "sds"], flows);
    sharing.world.activate(LEAVERS, content);
    assert_eq!(sharing.reasons("health"), ENDED);
    assert_eq!(sharing.reasons("college"), ENDED);
    assert!(sharing.inbox("sds").is_empty(), "the agreement goes on for it");
    end(&mut sharing, "council", LEAVERS).unwrap();
    assert_eq!(sharing.reasons("sds"), ENDED);
    assert_eq!(sharing.inbox("health").len(), 1);
    sharing.world.hold();
}

#[test]
fn terms_that_a_party_never_approved_do_not_bind_it() {
    let (mut sharing, _) = shared();
    let by_duty = i32::from(Disposal::KeepByOwnDuty);
    with_terms(&mut sharing, |terms| terms.termination = by_duty);
    let flows = vec![flow("duty", "council", &["sds"])];
    let content = sharing.world.content(&["council", "sds"], flows);
    sharing.world.activate(LEAVERS, content);
    end(&mut sharing, "council", LEAVERS).unwrap();
    assert_eq!(sharing.reasons("sds"), ENDED);
    assert!(sharing.inbox("health").is_empty(), "it left under terms that let it keep");
    sharing.world.hold();
}

#[test]
fn many_records_are_asked_back_step_by_step() {
    let mut sharing = Sharing::new();
    let records: Vec<_> = (0..40).map(|_| sharing.new_record()).collect();
    let mut sent = 0;
    for name in ["sds", "health"] {
        loop {
            let came = sharing.release(name).len();
            if came == 0 {
                break;
            }
            sent += came;
        }
    }
    assert_eq!(sent, 2 * records.len());
    end(&mut sharing, "sds", LEAVERS).unwrap();
    let at_once = sharing.world.state.tables().recalls.iter().count();
    assert_eq!(at_once, 32);
    sweep(&mut sharing);
    assert_eq!(sharing.inbox("sds").len() + sharing.inbox("health").len(), sent);
    sharing.world.hold();
}

#[test]
fn a_reading_in_an_emergency_does_not_take_the_place_of_what_is_owed() {
    let (mut sharing, record) = shared();
    let flows = vec![flow("other", "council", &["sds"]), emergency_flow("council", &["health"])];
    let mut content = sharing.world.content(&["council", "sds", "health"], flows);
    for flow in &mut content.flows {
        flow.backfill = true;
    }
    if let Some(terms) = &mut content.terms {
        "sds".clone_into(&mut terms.reporting_body);
    }
    sharing.world.activate("rescue", content);
    let mut ward = Ward { world: sharing.world, alias: sharing.alias, record };
    ward.authorised_again();
    let id = ward.open("ann", &[1]).unwrap();
    assert_eq!(ward.read(id, "ann").unwrap().len(), 1);
    let mut sharing = Sharing { world: ward.world, alias: ward.alias };
    end(&mut sharing, "council", LEAVERS).unwrap();
    let id = sharing.inbox("health")[0].0;
    assert_eq!(groups(&sharing, id), ["core"]);
    assert_eq!(asked(&sharing, id).0, LEAVERS.parse().unwrap());
    sharing.world.hold();
}
