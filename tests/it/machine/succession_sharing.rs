//! Successions and what flows: what stops at once, what goes on, what waits for a new consent, and who answers for what the
//! old body owed.

use concordat::{
    machine::{
        Receipt, Refusal, access,
        outcome::Remembered,
        read::{Viewer, caseload, consent as shown, recall as recalls},
        rules::erasure::retention,
        state::succession::Status,
    },
    model::{
        id::{AliasId, ConsentId, RecordId},
        order::UnixMillis,
    },
    pb::ledger::v1::{
        self as pb, AgencyKind, DisputeAnswer, KeepReason, RecallAct, RecallReason,
        RetentionGround, SuccessionKind, VersionChange, command::Kind,
    },
};

use super::{
    consent::{self, open_to},
    recall::Sharing,
    succession::{row, settles, succeed},
    world::{By, DAY_MS, LEAVER_FORM, client, consent_of, digest, flow, owned},
};

/// The world of recalls, and successors of the council's and the college's.
fn sharing() -> Sharing {
    let mut sharing = Sharing::new();
    for (name, kind) in [("new-council", AgencyKind::Council), ("new-college", AgencyKind::College)]
    {
        sharing.world.enrol(name, kind);
        let create = pb::CreateSubscription {
            subscription: "first".to_owned(),
            record_types: owned(&[LEAVER_FORM]),
        };
        sharing.act(name, Kind::CreateSubscription(create)).unwrap();
    }
    sharing
}

fn merge(sharing: &mut Sharing, old: &str, new: &str) {
    let content = settles(&sharing.world, (old, SuccessionKind::Merger), &[("leavers", new)]);
    let succession = succeed(&mut sharing.world, content);
    assert_eq!(row(&sharing.world, succession).status, Status::InForce);
}

fn move_function(sharing: &mut Sharing, old: &str, new: &str) {
    let content =
        settles(&sharing.world, (old, SuccessionKind::FunctionMoved), &[("leavers", new)]);
    let _succession = succeed(&mut sharing.world, content);
}

/// The groups of a record that a recipient may have, and why the others are withheld.
fn asked(sharing: &Sharing, record: RecordId, to: &str) -> (Vec<String>, Vec<&'static str>) {
    let state = &sharing.world.state;
    let row = state.record(record).unwrap();
    let purpose = i32::from(pb::Purpose::SchoolLeaverTransition);
    let now = UnixMillis::new(sharing.world.now_ms());
    let question = access::Question::about(row, sharing.number(to), purpose, now);
    let decision = access::decide(state, &question);
    let known = state.record_type(row.record_type).unwrap();
    let open = known.names_of(decision.groups()).iter().map(ToString::to_string).collect();
    (open, decision.withheld.iter().map(|withheld| withheld.reason.code()).collect())
}

/// A consent for these recipients, recorded by `by` about records of `publisher`.
fn consent_by(
    sharing: &mut Sharing,
    (by, publisher, alias): (&str, &str, AliasId),
    recipients: &[&str],
    renews: Option<ConsentId>,
) -> Result<ConsentId, Refusal> {
    let scope = pb::ConsentScope {
        publisher: publisher.to_owned(),
        groups: owned(&["core", "support-needs"]),
        recipients: owned(recipients),
        ..consent::scope(alias)
    };
    let act = consent::act(&sharing.world);
    let Kind::RecordConsent(record) = consent::given(scope, act) else { unreachable!() };
    let renews = renews.map_or_else(Vec::new, |id| id.as_bytes().to_vec()).into();
    let outcome = sharing.act(by, Kind::RecordConsent(pb::RecordConsent { renews, ..record }));
    outcome.map(|receipt| consent_of(Ok(receipt)))
}

fn refuse(sharing: &mut Sharing, recipients: &[&str]) {
    let scope = pb::ConsentScope {
        groups: owned(&["core", "support-needs"]),
        recipients: owned(recipients),
        ..consent::scope(sharing.alias)
    };
    let act = consent::act(&sharing.world);
    sharing.act("council", consent::refused(scope, act)).unwrap();
}

/// How the council sees a consent.
fn stands(sharing: &Sharing, viewer: &str, id: ConsentId) -> shown::Stands {
    let viewer = Viewer::Agency(sharing.number(viewer));
    let now = UnixMillis::new(sharing.world.now_ms());
    shown::one(&sharing.world.state, viewer, id, now).unwrap().stands
}

fn publish_as(
    sharing: &mut Sharing,
    (by, alias, key): (&str, AliasId, u8),
    before: Option<(RecordId, VersionChange)>,
) -> Result<RecordId, Refusal> {
    let publish = pb::PublishRecord {
        record_type: LEAVER_FORM.to_owned(),
        type_version: 1,
        code_lists: "2026-11-01".to_owned(),
        client: alias.as_bytes().to_vec().into(),
        supersedes: before.map_or_else(Vec::new, |(id, _)| id.as_bytes().to_vec()).into(),
        groups: owned(&["core", "support-needs"]),
        content_mac: digest("content"),
        key: vec![key; 16].into(),
        change: before.map_or(0, |(_, change)| i32::from(change)),
    };
    let receipt = sharing.act(by, Kind::PublishRecord(publish))?;
    let Receipt::Published { record, .. } = receipt else {
        unreachable!("not published: {receipt:?}");
    };
    Ok(record)
}

/// Opens a key for what `agency` publishes about the client.
fn open_key(sharing: &mut Sharing, agency: &str, key: u8) {
    let open = pb::OpenKey {
        key: vec![key; 16].into(),
        client: client(1).as_bytes().to_vec().into(),
        agency: agency.to_owned(),
        disposal_class: i32::from(pb::DisposalClass::Record),
        ..pb::OpenKey::default()
    };
    sharing.world.apply(By::Node, Kind::OpenKey(open)).unwrap();
}

#[test]
fn a_consent_that_names_the_old_recipient_is_in_review_until_it_is_renewed() {
    for merged in [true, false] {
        let mut sharing = sharing();
        let given = sharing.consent(&["college", "charity"]);
        let first = sharing.new_record();
        assert_eq!(sharing.release("college"), [first]);
        if merged {
            merge(&mut sharing, "college", "new-college");
        } else {
            move_function(&mut sharing, "college", "new-college");
        }
        let record = sharing.publish(Some(first), VersionChange::Update).unwrap();
        let review = ["CONSENT_IN_REVIEW", "CONSENT_IN_REVIEW"];
        assert_eq!(asked(&sharing, record, "new-college").1, review);
        assert!(sharing.release("new-college").is_empty());
        assert_eq!(sharing.release("charity"), [record], "it names the charity as before");
        assert_eq!(stands(&sharing, "council", given), shown::Stands::InReview);
        let whose = ("council", "council", sharing.alias);
        let renewed = consent_by(&mut sharing, whose, &["new-college"], Some(given)).unwrap();
        assert_eq!(sharing.release("new-college"), [record]);
        assert_eq!(stands(&sharing, "council", renewed), shown::Stands::InForce);
        assert_eq!(stands(&sharing, "council", given), shown::Stands::Superseded);
        sharing.world.hold();
    }
}

#[test]
fn nothing_leaves_to_the_old_body_from_the_entry_on() {
    let mut sharing = sharing();
    let given = sharing.consent(&["college"]);
    let record = sharing.new_record();
    let before = sharing.world.state.chain().narrowings;
    move_function(&mut sharing, "college", "new-college");
    assert!(before < sharing.world.state.chain().narrowings, "the send gate asks anew");
    assert_eq!(asked(&sharing, record, "college"), (vec![], vec!["NO_FLOW", "NO_FLOW"]));
    assert!(sharing.release("college").is_empty());
    assert_eq!(stands(&sharing, "council", given), shown::Stands::InReview);
    sharing.world.hold();
}

#[test]
fn a_no_to_the_old_body_binds_the_successor_and_a_yes_does_not() {
    let review = vec!["CONSENT_IN_REVIEW"; 2];
    let words = |say: &dyn Fn(&mut Sharing)| {
        let mut sharing = sharing();
        say(&mut sharing);
        merge(&mut sharing, "college", "charity");
        open_to(&sharing.world, "charity")
    };
    let both = vec!["core".to_owned(), "support-needs".to_owned()];
    let yes = |to: &'static str| {
        move |sharing: &mut Sharing| {
            let _given = sharing.consent(&[to]);
        }
    };
    assert_eq!(words(&yes("college")), (vec![], review));
    assert_eq!(words(&yes("charity")), (both.clone(), vec![]));
    // A yes to the old body takes nothing from what was given to the successor.
    let both_asked = |sharing: &mut Sharing| {
        sharing.consent(&["charity"]);
        sharing.consent(&["college"]);
    };
    assert_eq!(words(&both_asked), (both, vec![]));
    let refused = |sharing: &mut Sharing| {
        sharing.consent(&["charity"]);
        refuse(sharing, &["college"]);
    };
    assert_eq!(words(&refused), (vec![], vec!["CONSENT_REFUSED"; 2]));
    let withdrawn = |sharing: &mut Sharing| {
        sharing.consent(&["charity"]);
        let given = sharing.consent(&["college"]);
        sharing.withdraw(given, &[]).unwrap();
    };
    assert_eq!(words(&withdrawn), (vec![], vec!["CONSENT_WITHDRAWN"; 2]));
}

#[test]
fn the_successor_of_a_recipient_gets_nothing_from_before_and_everything_after() {
    let mut sharing = sharing();
    sharing.world.enrol("new-sds", AgencyKind::NationalBody);
    let create = pb::CreateSubscription {
        subscription: "first".to_owned(),
        record_types: owned(&[LEAVER_FORM]),
    };
    sharing.act("new-sds", Kind::CreateSubscription(create)).unwrap();
    let before = sharing.new_record();
    merge(&mut sharing, "sds", "new-sds");
    let since = ["BEFORE_ACTIVATION", "NO_FLOW"];
    assert_eq!(asked(&sharing, before, "new-sds").1, since);
    let after = sharing.publish(Some(before), VersionChange::Update).unwrap();
    assert_eq!(sharing.release("new-sds"), [after]);
    assert_eq!(sharing.release("health"), [after], "the others go on");
    sharing.world.hold();
}

#[test]
fn a_merged_publishers_duties_go_on_and_its_consents_wait() {
    let mut sharing = sharing();
    let given = sharing.consent(&["college"]);
    let record = sharing.new_record();
    assert_eq!(sharing.release("sds"), [record]);
    merge(&mut sharing, "council", "new-council");
    assert_eq!(sharing.release("health"), [record], "a duty goes on without a gap");
    assert_eq!(asked(&sharing, record, "college").1, vec!["CONSENT_IN_REVIEW"; 2]);
    assert!(sharing.release("college").is_empty());
    assert_eq!(stands(&sharing, "new-council", given), shown::Stands::InReview);
    let whose = ("new-council", "new-council", sharing.alias);
    consent_by(&mut sharing, whose, &["college"], Some(given)).unwrap();
    assert_eq!(sharing.release("college"), [record]);
    sharing.world.hold();
}

#[test]
fn a_moved_function_leaves_the_old_bodys_records_where_they_are() {
    let mut sharing = sharing();
    let record = sharing.new_record();
    assert_eq!(sharing.release("sds"), [record]);
    move_function(&mut sharing, "council", "new-council");
    assert_eq!(asked(&sharing, record, "health").1, ["NO_FLOW", "NO_FLOW"]);
    assert!(sharing.release("health").is_empty());
    let taken = sharing.retract("new-council", record, RecallReason::WrongPerson);
    assert_eq!(taken, Err(Refusal::NotAvailable));
    let alias = sharing.world.add_client("new-council", client(1));
    open_key(&mut sharing, "new-council", 5);
    let own = publish_as(&mut sharing, ("new-council", alias, 5), None).unwrap();
    assert_eq!(sharing.release("health"), [own]);
    assert!(sharing.retract("council", record, RecallReason::WrongPerson).is_ok());
    assert_eq!(sharing.reasons("sds"), [RecallReason::WrongPerson]);
    sharing.world.hold();
}

#[test]
fn a_merged_bodys_records_are_corrected_and_taken_back_by_the_successor() {
    let mut sharing = sharing();
    let record = sharing.new_record();
    sharing.release("sds");
    merge(&mut sharing, "council", "new-council");
    // The old body's name of the client is the successor's too.
    let alias = sharing.world.add_client("new-council", client(1));
    assert_eq!(alias, sharing.alias);
    open_key(&mut sharing, "new-council", 5);
    let stranger = sharing.world.add_client("stranger", client(1));
    let correction = Some((record, VersionChange::Correction));
    let foreign = publish_as(&mut sharing, ("stranger", stranger, 5), correction);
    assert!(foreign.is_err());
    let corrected = publish_as(&mut sharing, ("new-council", alias, 5), correction).unwrap();
    assert_eq!(sharing.reasons("sds"), [RecallReason::Corrected]);
    sharing.hand_over("sds").unwrap();
    assert_eq!(sharing.release("sds"), [corrected]);
    sharing.retract("new-council", corrected, RecallReason::Unlawful).unwrap();
    let owed = recalls::issued(
        &sharing.world.state,
        Viewer::Agency(sharing.number("new-council")),
        (Some(record), false),
        (None, 10),
    );
    assert_eq!(owed.rows.len(), 2);
    assert!(sharing.release("health").is_empty());
    sharing.world.hold();
}

#[test]
fn recalls_that_a_merged_body_owes_are_owed_by_the_successor() {
    let mut sharing = sharing();
    sharing.consent(&["college"]);
    let record = sharing.new_record();
    sharing.release("college");
    sharing.retract("council", record, RecallReason::WrongPerson).unwrap();
    merge(&mut sharing, "college", "new-college");
    assert_eq!(sharing.reasons("new-college"), [RecallReason::WrongPerson]);
    // What was sent to the old body before is asked back from the successor too.
    let later = sharing.new_record();
    let whose = ("council", "council", sharing.alias);
    consent_by(&mut sharing, whose, &["new-college"], None).unwrap();
    assert!(sharing.release("new-college").is_empty(), "the recall comes first");
    sharing.hand_over("new-college").unwrap();
    assert_eq!(sharing.release("new-college"), [later]);
    let (recall, _) = sharing.inbox("new-college")[0];
    let deleted = (RecallAct::Deleted, RetentionGround::Unspecified);
    assert_eq!(sharing.acknowledge("sds", recall, deleted), Err(Refusal::NotAvailable));
    assert_eq!(sharing.acknowledge("new-college", recall, deleted), Ok(Receipt::DONE));
    assert!(sharing.inbox("new-college").is_empty());
    sharing.world.hold();
}

#[test]
fn disputes_about_a_merged_bodys_records_are_answered_by_the_successor() {
    let mut sharing = sharing();
    let record = sharing.new_record();
    sharing.release("sds");
    let open = Kind::OpenDispute(pb::OpenDispute {
        record: record.as_bytes().to_vec().into(),
        group: "core".to_owned(),
        field: String::new(),
        reason: i32::from(pb::DisputeReason::Inaccurate),
    });
    let opened = sharing.act("sds", open);
    let Ok(Receipt::Answer(Remembered::Dispute(dispute))) = opened else { unreachable!() };
    merge(&mut sharing, "council", "new-council");
    let answer = Kind::AnswerDispute(pb::AnswerDispute {
        dispute: dispute.as_bytes().to_vec().into(),
        answer: i32::from(DisputeAnswer::Kept),
        keep_reason: i32::from(KeepReason::Verified),
    });
    assert_eq!(sharing.act("stranger", answer.clone()), Err(Refusal::NotAvailable));
    assert_eq!(sharing.act("new-council", answer), Ok(Receipt::DONE));
    sharing.world.hold();
}

#[test]
fn a_merged_bodys_policies_narrow_what_was_its_own_until_the_successor_removes_them() {
    let mut sharing = sharing();
    let record = sharing.new_record();
    let forbid = r#"forbid(principal == Agency::"sds", action, resource == FieldGroup::"council/leaver-form/core");"#;
    let put =
        pb::PutPolicy { policy: "no-sds".to_owned(), text: forbid.to_owned(), schema_version: 1 };
    sharing.act("council", Kind::PutPolicy(put)).unwrap();
    // The successor shares as much by an agreement of its own, which is none of the old body's business.
    let own =
        sharing.world.content(&["new-council", "sds"], vec![flow("own", "new-council", &["sds"])]);
    sharing.world.activate("own", own);
    merge(&mut sharing, "council", "new-council");
    let alias = sharing.world.add_client("new-council", client(1));
    open_key(&mut sharing, "new-council", 5);
    let new = publish_as(&mut sharing, ("new-council", alias, 5), None).unwrap();
    assert_eq!(asked(&sharing, record, "health").0, ["core"]);
    assert!(asked(&sharing, record, "sds").0.is_empty(), "its records stay narrowed");
    assert_eq!(asked(&sharing, new, "sds").0, ["core"], "by the successor's own agreement");
    let remove = || Kind::RemovePolicy(pb::RemovePolicy { policy: "no-sds".to_owned() });
    assert_eq!(sharing.act("stranger", remove()), Err(Refusal::PolicyUnknown));
    assert_eq!(sharing.act("new-council", remove()), Ok(Receipt::DONE));
    assert_eq!(asked(&sharing, record, "sds").0, ["core"]);
    assert_eq!(sharing.release("sds").len(), 2);
    sharing.world.hold();
}

#[test]
fn a_confirmed_caseload_goes_over_only_where_all_signed_that_it_does() {
    for carried in [true, false] {
        let mut sharing = sharing();
        let served = pb::Flow {
            caseload: i32::from(pb::CaseloadRule::Confirmed),
            ..flow("served", "council", &["college"])
        };
        let content = sharing.world.content(&["council", "college"], vec![served]);
        sharing.world.activate("served", content);
        let alias = sharing.world.add_client("college", client(1));
        let open = pb::OpenCaseload { client: alias.as_bytes().to_vec().into() };
        sharing.act("college", Kind::OpenCaseload(open)).unwrap();
        let confirm = pb::ConfirmCaseload {
            client: sharing.alias.as_bytes().to_vec().into(),
            agency: "college".to_owned(),
        };
        sharing.act("council", Kind::ConfirmCaseload(confirm)).unwrap();
        let shares = [("leavers", "new-college"), ("served", "new-college")];
        let content = pb::SuccessionContent {
            carries_caseload: carried,
            ..settles(&sharing.world, ("college", SuccessionKind::Merger), &shares)
        };
        let _succession = succeed(&mut sharing.world, content);
        let record = sharing.new_record();
        let open = asked(&sharing, record, "new-college").0;
        let listed = caseload::own(
            &sharing.world.state,
            Viewer::Agency(sharing.number("new-college")),
            None,
            10,
        )
        .rows
        .len();
        if carried {
            assert_eq!(open, ["core"]);
            assert_eq!(sharing.release("new-college"), [record]);
            assert_eq!(listed, 1);
            let end = pb::EndCaseload {
                client: alias.as_bytes().to_vec().into(),
                agency: "college".to_owned(),
            };
            assert_eq!(sharing.act("new-college", Kind::EndCaseload(end)), Ok(Receipt::DONE));
            assert!(asked(&sharing, record, "new-college").0.is_empty());
        } else {
            assert!(open.is_empty());
            assert_eq!(listed, 0);
        }
        sharing.world.hold();
    }
}

#[test]
fn a_merged_body_is_erased_by_its_successor_and_held_by_its_own_holds() {
    let mut sharing = sharing();
    let record = sharing.new_record();
    let hold = pb::PlaceHold {
        client: sharing.alias.as_bytes().to_vec().into(),
        ground: i32::from(pb::HoldGround::StatutoryInquiry),
        ..pb::PlaceHold::default()
    };
    let placed = sharing.act("council", Kind::PlaceHold(hold));
    let Ok(Receipt::Answer(Remembered::Hold(hold))) = placed else { unreachable!("{placed:?}") };
    merge(&mut sharing, "council", "new-council");
    let erase = || {
        Kind::EraseRecords(pb::EraseRecords {
            record: record.as_bytes().to_vec().into(),
            ground: i32::from(pb::ErasureGround::NoLongerNeeded),
            ..pb::EraseRecords::default()
        })
    };
    assert_eq!(sharing.act("new-council", erase()), Err(Refusal::LegalHold));
    let lifting = pb::LiftHold { hold: hold.as_bytes().to_vec().into() };
    assert!(sharing.act("new-council", Kind::LiftHold(lifting)).is_ok());
    let erased = sharing.act("new-council", erase());
    assert!(matches!(erased, Ok(Receipt::Answer(Remembered::Erasure(_)))), "{erased:?}");
    let key = vec![3; 16];
    let left = |sharing: &Sharing| {
        let keys = sharing.world.state.tables().keys.iter();
        keys.filter(|(id, _)| id.as_bytes().as_slice() == key).count()
    };
    assert_eq!(left(&sharing), 0, "its key is gone");
    assert!(sharing.release("sds").is_empty());
    sharing.world.hold();
}

#[test]
fn a_restriction_of_a_merged_bodys_stays_and_is_the_successors_to_lift() {
    let mut sharing = super::case::sharing();
    sharing.world.enrol("new-council", AgencyKind::Council);
    let record = sharing.new_record();
    let alias = sharing.alias;
    let opened = super::case::about(&sharing, pb::CaseKind::Objection, alias);
    let opened = pb::OpenCase { flows: vec![super::case::named("task")], ..opened };
    let case = super::case::case_of(sharing.act("council", Kind::OpenCase(opened)));
    assert_eq!(asked(&sharing, record, "sds").1, vec!["RESTRICTED"; 2]);
    merge(&mut sharing, "council", "new-council");
    assert_eq!(asked(&sharing, record, "sds").1, vec!["RESTRICTED"; 2]);
    let lift = pb::DecideCase {
        case: super::case::bytes(case),
        measures: vec![pb::Measure {
            agreement: "leavers".to_owned(),
            flow: "task".to_owned(),
            kind: i32::from(pb::MeasureKind::Lift),
            ..pb::Measure::default()
        }],
        person_told: true,
        ..pb::DecideCase::default()
    };
    assert_eq!(sharing.act("stranger", Kind::DecideCase(lift.clone())), Err(Refusal::NotAvailable));
    assert!(sharing.act("new-council", Kind::DecideCase(lift)).is_ok());
    assert_eq!(asked(&sharing, record, "sds").0, ["core", "support-needs"]);
    sharing.world.hold();
}

#[test]
fn what_the_old_body_published_is_kept_as_long_as_the_agreement_says_that_was_taken_over() {
    let mut sharing = sharing();
    let mut short =
        sharing.world.content(&["council", "sds"], vec![flow("short", "council", &["sds"])]);
    let terms = short.terms.as_mut().unwrap();
    terms.retention.iter_mut().for_each(|kept| kept.keep_months = 1);
    sharing.world.activate("short", short);
    let _record = sharing.new_record();
    move_function(&mut sharing, "council", "new-council");
    sharing.world.wait(90 * DAY_MS);
    let now = UnixMillis::new(sharing.world.now_ms());
    assert_eq!(retention::look(&sharing.world.state, None, now, 16), (None, None));
    sharing.world.wait(730 * DAY_MS);
    let now = UnixMillis::new(sharing.world.now_ms());
    assert!(retention::look(&sharing.world.state, None, now, 16).0.is_some());
}
