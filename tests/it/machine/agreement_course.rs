//! The course of an agreement: versions that replace each other, what they take over, and who is told what.

use concordat::{
    machine::{
        Refusal,
        access::{self, Question, Reason},
        read::{self, Viewer, agreement::Stands},
        state::{
            agreement::Status,
            notice::{About, AgreementEvent},
        },
    },
    model::{
        digest::Digest,
        id::AgreementId,
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::{self as pb, AgencyKind, command::Kind},
};
use prost::Message;

use super::world::{
    By, DAY_MS, LEAVER_FORM, Signing, World, approval, client, consent_of, consented_flow, digest,
    flow, owned, standing, suspension,
};

pub(super) const LEAVERS: &str = "leavers";

pub(super) fn id() -> AgreementId {
    LEAVERS.parse().unwrap()
}

pub(super) fn viewer(world: &World, agency: &str) -> Viewer {
    Viewer::Agency(world.state.agency_number(&agency.parse().unwrap()).unwrap())
}

pub(super) fn now(world: &World) -> UnixMillis {
    UnixMillis::new(world.now_ms())
}

/// What an agency was told, oldest first: the version, what happened, and by whom.
pub(super) fn told(world: &World, agency: &str) -> Vec<(u32, AgreementEvent, Option<String>)> {
    let page = read::notice::list(&world.state, viewer(world, agency), 0, usize::MAX);
    page.rows
        .iter()
        .filter_map(|view| {
            let About::Agreement { version, by, event, .. } = &view.notice.about else {
                return None;
            };
            let by = by.and_then(|by| world.state.agency(by)).map(|row| row.id.to_string());
            Some((*version, *event, by))
        })
        .collect()
}

pub(super) fn tick(world: &mut World) {
    let _outcome = world.apply(By::Node, Kind::Tick(pb::Tick {}));
}

pub(super) fn stands(world: &World, agency: &str, version: u32) -> Option<Stands> {
    let named = (&id(), version);
    let view = read::agreement::one(&world.state, viewer(world, agency), named, now(world));
    view.map(|view| view.stands)
}

/// Drafts, proposes and approves a next version by all of its parties.
fn replace(world: &mut World, content: pb::AgreementContent) {
    world.activate(LEAVERS, content);
}

/// What of a record of the council's, published at `published`, may reach an agency now.
pub(super) fn open(world: &World, recipient: &str, published: Position) -> Vec<String> {
    let state = &world.state;
    let number = |id: &str| state.agency_number(&id.parse().unwrap()).unwrap();
    let record_type = state.type_number(&LEAVER_FORM.parse().unwrap()).unwrap();
    let known = state.record_type(record_type).unwrap();
    let all = ["core", "destination", "support-needs"].map(|group| group.parse().unwrap());
    let question = Question {
        publisher: number("council"),
        recipient: number(recipient),
        record_type,
        client: client(1),
        groups: known.set_of(&all).unwrap(),
        published,
        purpose: i32::from(pb::Purpose::SchoolLeaverTransition),
        now: now(world),
    };
    let groups = access::decide(state, &question).groups();
    known.names_of(groups).iter().map(ToString::to_string).collect()
}

pub(super) fn leavers(world: &World) -> pb::AgreementContent {
    world.content(&["council", "sds"], vec![flow("to-sds", "council", &["sds"])])
}

#[test]
fn a_next_version_replaces_the_one_in_force_when_all_its_parties_approved_in_whatever_order() {
    for count in 2..=4_usize {
        let mut world = World::new();
        let names: Vec<String> = (0..count).map(|n| format!("council-{n}")).collect();
        for name in &names {
            world.enrol(name, AgencyKind::Council);
        }
        let parties: Vec<&str> = names.iter().map(String::as_str).collect();
        let flows = vec![flow("all", parties[0], &parties[1..])];
        let content = world.content(&parties, flows);
        world.activate(LEAVERS, content.clone());
        let content = pb::AgreementContent { text_digest: digest("second"), ..content };
        let next = world.draft(parties[count - 1], LEAVERS, content).unwrap();
        assert_eq!(next.0, 2);
        world.propose(parties[0], LEAVERS, next).unwrap();
        let approvals: Vec<_> = parties
            .iter()
            .map(|party| {
                let request = world.request_id();
                world.command(By::Agency(party), request, Signing::Own, approval(LEAVERS, next))
            })
            .collect();
        in_every_order(&world, &approvals);
    }
}

fn in_every_order(world: &World, approvals: &[pb::Command]) {
    let row = world.state.tables().agreements.iter().next().unwrap().1;
    let expected = if approvals.is_empty() { 2 } else { 1 };
    assert_eq!((row.version, row.status), (expected, Status::Active));
    if approvals.is_empty() {
        let first = world.state.tables().versions.iter().next().unwrap().1;
        assert_eq!((first.version, first.status), (1, Status::Replaced));
        assert_eq!(world.state.tables().versions.len(), 1);
        world.hold();
    }
    for next in 0..approvals.len() {
        let mut world = world.fork();
        let mut rest = approvals.to_vec();
        let approval = rest.remove(next);
        assert!(world.append(approval.encode_to_vec()).is_ok());
        in_every_order(&world, &rest);
    }
}

#[test]
fn while_a_next_version_is_proposed_the_one_in_force_stays_and_no_other_is_drafted() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    world.activate(LEAVERS, content.clone());
    let next = world.draft("sds", LEAVERS, content.clone()).unwrap();
    assert_eq!(stands(&world, "council", 0), Some(Stands::Draft));
    assert_eq!(stands(&world, "council", 1), Some(Stands::Active));
    world.propose("sds", LEAVERS, next).unwrap();
    let refused = world.draft("sds", LEAVERS, content.clone());
    assert_eq!(refused, Err(Refusal::AgreementState));
    let decline = pb::DeclineAgreement {
        agreement: LEAVERS.to_owned(),
        version: 2,
        reason: i32::from(pb::DeclineReason::BasisDisputed),
    };
    world.apply("council", Kind::DeclineAgreement(decline)).unwrap();
    assert_eq!(world.status(LEAVERS), Some(Status::Active));
    assert_eq!(world.draft("sds", LEAVERS, content).map(|(version, _)| version), Ok(3));
    let reason = i32::from(pb::DeclineReason::BasisDisputed);
    let declined = (2, AgreementEvent::Declined(reason), Some("council".to_owned()));
    assert!(told(&world, "sds").contains(&declined));
    world.hold();
}

#[test]
fn an_end_ends_the_version_in_force_and_the_one_that_might_have_followed() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    world.activate(LEAVERS, content.clone());
    let joined = vec![flow("to-all", "council", &["sds", "college"])];
    let wider = world.content(&["council", "sds", "college"], joined);
    let next = world.draft("council", LEAVERS, wider).unwrap();
    world.propose("council", LEAVERS, next).unwrap();
    let end = Kind::EndAgreement(pb::EndAgreement { agreement: LEAVERS.to_owned() });
    world.apply("sds", end).unwrap();
    let last = (2, AgreementEvent::Ended, Some("sds".to_owned()));
    assert_eq!(told(&world, "college").last(), Some(&last));
    assert_eq!(stands(&world, "council", 1), Some(Stands::Ended));
    assert_eq!(stands(&world, "council", 2), Some(Stands::Ended));
    assert_eq!(world.approve("council", LEAVERS, next), Err(Refusal::AgreementState));
    assert_eq!(world.draft("council", LEAVERS, content).map(|(version, _)| version), Ok(3));
    assert!(told(&world, "council").contains(&(1, AgreementEvent::Ended, Some("sds".to_owned()))));
    world.hold();
}

#[test]
fn a_next_version_that_was_proposed_in_time_is_approved_after_the_end_of_the_last_one() {
    let mut world = World::of_partners();
    let mut content = leavers(&world);
    world.activate(LEAVERS, content.clone());
    content.expires_at_ms += 700 * DAY_MS;
    content.terms.as_mut().unwrap().review_at_ms += 500 * DAY_MS;
    content.terms.as_mut().unwrap().indicators[0].review_at_ms += 500 * DAY_MS;
    let next = world.draft("council", LEAVERS, content).unwrap();
    world.propose("council", LEAVERS, next).unwrap();
    world.approve("sds", LEAVERS, next).unwrap();
    world.wait(400 * DAY_MS);
    assert_eq!(open(&world, "sds", Position::new(9_999)), Vec::<String>::new());
    world.approve("council", LEAVERS, next).unwrap();
    assert_eq!(world.status(LEAVERS), Some(Status::Active));
    assert_eq!(stands(&world, "sds", 1), Some(Stands::Expired));
    assert_eq!(open(&world, "sds", Position::new(9_999)), ["core"]);
    world.hold();
}

#[test]
fn a_next_version_that_was_drafted_in_time_is_redrafted_after_the_end_of_the_last_one() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    world.activate(LEAVERS, content.clone());
    world.draft("council", LEAVERS, content).unwrap();
    world.wait(400 * DAY_MS);
    let content = leavers(&world);
    let again = world.draft("sds", LEAVERS, content).unwrap();
    assert_eq!(again.0, 2);
    assert_eq!(world.state.tables().versions.len(), 1);
    assert_eq!(stands(&world, "sds", 1), Some(Stands::Expired));
    world.propose("sds", LEAVERS, again).unwrap();
    for party in ["council", "sds"] {
        world.approve(party, LEAVERS, again).unwrap();
    }
    assert_eq!(stands(&world, "sds", 0), Some(Stands::Active));
    world.hold();
}

#[test]
fn a_party_that_joins_later_gets_nothing_from_before_unless_all_approved_a_backfill() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    world.activate(LEAVERS, content);
    let before = world.state.chain().next;
    world.wait(DAY_MS);
    tick(&mut world);
    assert_eq!(open(&world, "sds", before), ["core"]);
    for (backfill, expected) in [(false, Vec::new()), (true, vec!["core".to_owned()])] {
        let mut world = world.fork();
        let joined = flow("to-all", "council", &["sds", "college"]);
        let joined = pb::Flow { backfill, ..joined };
        let content = world.content(&["council", "sds", "college"], vec![joined]);
        replace(&mut world, content);
        let after = world.state.chain().next;
        assert_eq!(open(&world, "college", before), expected);
        assert_eq!(open(&world, "college", after), ["core"]);
        // Who was there before goes on with what flowed to it.
        assert_eq!(open(&world, "sds", before), ["core"]);
        world.hold();
    }
}

#[test]
fn a_group_that_is_added_later_flows_from_then_on_and_one_that_is_taken_out_stops() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    world.activate(LEAVERS, content);
    let before = world.state.chain().next;
    let wider =
        pb::Flow { groups: owned(&["core", "destination"]), ..flow("to-sds", "council", &["sds"]) };
    let content = world.content(&["council", "sds"], vec![wider]);
    replace(&mut world, content);
    let after = world.state.chain().next;
    assert_eq!(open(&world, "sds", before), ["core"]);
    assert_eq!(open(&world, "sds", after), ["core", "destination"]);
    let narrowings = world.state.chain().narrowings;
    let other = pb::Flow { groups: owned(&["destination"]), ..flow("to-sds", "council", &["sds"]) };
    let content = world.content(&["council", "sds"], vec![other]);
    replace(&mut world, content);
    assert!(narrowings < world.state.chain().narrowings);
    assert_eq!(open(&world, "sds", before), Vec::<String>::new());
    // Twice replaced, and still no further back than the version that first let it flow.
    assert_eq!(open(&world, "sds", after), ["destination"]);
    world.hold();
}

#[test]
fn another_purpose_takes_nothing_over() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    world.activate(LEAVERS, content.clone());
    let before = world.state.chain().next;
    let purpose = i32::from(pb::Purpose::ChildWellbeing);
    replace(&mut world, pb::AgreementContent { purpose, ..content.clone() });
    replace(&mut world, content);
    assert_eq!(open(&world, "sds", before), Vec::<String>::new());
}

#[test]
fn a_consent_given_before_does_not_extend_to_a_party_that_joins() {
    let mut world = World::of_partners();
    let content = world
        .content(&["council", "college"], vec![consented_flow("asked", "council", &["college"])]);
    world.activate(LEAVERS, content);
    let alias = world.add_client("council", client(1));
    let scope = Some(pb::ConsentScope {
        client: alias.as_bytes().to_vec().into(),
        publisher: "council".to_owned(),
        record_type: LEAVER_FORM.to_owned(),
        groups: owned(&["core"]),
        recipients: owned(&["college"]),
        gate: i32::from(pb::Gate::DataProtectionConsent),
        purposes: Vec::new(),
    });
    let act = Some(pb::ConsentAct {
        grantor: i32::from(pb::Grantor::Self_),
        age_years: 16,
        method: i32::from(pb::ConsentMethod::Form),
        given_at_ms: world.now_ms(),
        notice_digest: digest("notice"),
        ..pb::ConsentAct::default()
    });
    let record = pb::RecordConsent { scope, act, ..pb::RecordConsent::default() };
    let _consent = consent_of(world.apply("council", Kind::RecordConsent(record)));
    let joined = consented_flow("asked", "council", &["college", "health"]);
    let joined = pb::Flow { backfill: true, ..joined };
    let content = world.content(&["council", "college", "health"], vec![joined]);
    replace(&mut world, content);
    let after = world.state.chain().next;
    assert_eq!(open(&world, "college", after), ["core"]);
    assert_eq!(open(&world, "health", after), Vec::<String>::new());
}

#[test]
fn a_suspension_outlives_the_version_under_which_it_began() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    world.activate(LEAVERS, content.clone());
    world.apply("sds", suspension(LEAVERS)).unwrap();
    replace(&mut world, content);
    assert_eq!(open(&world, "sds", world.state.chain().next), Vec::<String>::new());
    let resume = Kind::ResumeFlows(pb::ResumeFlows { agreement: LEAVERS.to_owned() });
    world.apply("sds", resume).unwrap();
    assert_eq!(open(&world, "sds", world.state.chain().next), ["core"]);
}

#[test]
fn a_graver_flow_is_not_suspended_without_a_reason_and_every_party_is_told() {
    let bare = |reason: i32| {
        Kind::SuspendFlows(pb::SuspendFlows { agreement: LEAVERS.to_owned(), reason })
    };
    let task = pb::Flow {
        basis: i32::from(pb::LawfulBasis::PublicTask),
        ..flow("task", "council", &["sds"])
    };
    let cases = [
        (flow("duty", "council", &["sds"]), true),
        (task.clone(), false),
        (pb::Flow { safeguarding: true, ..task }, true),
    ];
    for (line, graver) in cases {
        let mut world = World::of_partners();
        let other = pb::Flow {
            basis: i32::from(pb::LawfulBasis::PublicTask),
            ..flow("other", "college", &["council"])
        };
        let content = world.content(&["council", "sds", "college"], vec![line, other]);
        world.activate(LEAVERS, content);
        let refused = world.apply("sds", bare(0)).err();
        assert_eq!(refused, graver.then_some(Refusal::SuspensionReasonMissing));
        if graver {
            let reason = i32::from(pb::SuspendReason::Ordered);
            world.apply("sds", bare(reason)).unwrap();
            let event = (1, AgreementEvent::Suspended(reason), Some("sds".to_owned()));
            assert_eq!(told(&world, "council").last(), Some(&event));
            assert_eq!(told(&world, "college").last(), Some(&event));
            assert_ne!(told(&world, "sds").last(), Some(&event));
        }
    }
}

#[test]
fn who_is_left_out_by_a_next_version_is_told_and_sees_its_own_last_version_only() {
    let mut world = World::of_partners();
    let flows =
        vec![flow("to-sds", "council", &["sds"]), flow("to-college", "council", &["college"])];
    let content = world.content(&["council", "sds", "college"], flows);
    world.activate(LEAVERS, content);
    let content = leavers(&world);
    let next = world.draft("council", LEAVERS, content).unwrap();
    assert_eq!(stands(&world, "college", 2), None);
    world.propose("council", LEAVERS, next).unwrap();
    // Not a party of the next version, it has no say in it.
    assert_eq!(world.approve("college", LEAVERS, next), Err(Refusal::AgreementState));
    for party in ["council", "sds"] {
        world.approve(party, LEAVERS, next).unwrap();
    }
    assert_eq!(
        told(&world, "college").last(),
        Some(&(2, AgreementEvent::LeftOut, Some("sds".to_owned())))
    );
    assert_eq!(stands(&world, "college", 0), Some(Stands::Replaced));
    assert_eq!(stands(&world, "college", 2), None);
    assert_eq!(stands(&world, "stranger", 0), None);
    assert!(told(&world, "stranger").is_empty());
}

#[test]
fn who_is_to_join_approves_and_has_no_part_in_the_version_before() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    world.activate(LEAVERS, content);
    let joined = flow("to-all", "council", &["sds", "college"]);
    let content = world.content(&["council", "sds", "college"], vec![joined]);
    let stranger = world.draft("college", LEAVERS, content.clone());
    assert_eq!(stranger, Err(Refusal::AgreementExists));
    let next = world.draft("sds", LEAVERS, content).unwrap();
    assert_eq!(world.apply("college", suspension(LEAVERS)), Err(Refusal::AgreementState));
    let end = Kind::EndAgreement(pb::EndAgreement { agreement: LEAVERS.to_owned() });
    assert_eq!(world.apply("college", end), Err(Refusal::AgreementState));
    world.propose("college", LEAVERS, next).unwrap();
    assert_eq!(world.approve("college", LEAVERS, next), Ok(next));
    assert_eq!(stands(&world, "college", 1), None);
}

#[test]
fn an_approval_says_who_bound_the_party_and_by_what_authority() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    let drafted = world.draft("council", LEAVERS, content).unwrap();
    world.propose("council", LEAVERS, drafted).unwrap();
    let Kind::ApproveAgreement(whole) = approval(LEAVERS, drafted) else { unreachable!() };
    for bare in [
        pb::ApproveAgreement { approver_role: 0, ..whole.clone() },
        pb::ApproveAgreement { approver_authority: 0, ..whole.clone() },
        pb::ApproveAgreement { approver_role: 99, ..whole.clone() },
    ] {
        let refused = world.apply("sds", Kind::ApproveAgreement(bare));
        assert_eq!(refused, Err(Refusal::Malformed));
    }
    let approved = world.apply("sds", Kind::ApproveAgreement(whole));
    assert_eq!(approved.map(|receipt| standing(&receipt)), Ok(drafted));
    let sds = world.state.agency_number(&"sds".parse().unwrap()).unwrap();
    let row = world.state.tables().agreements.iter().next().unwrap().1;
    let director = i32::from(pb::ApproverRole::Director);
    let delegation = i32::from(pb::ApproverAuthority::Delegation);
    assert_eq!(row.approvers.get(&sds), Some(&(director, delegation)));
}

#[test]
fn each_wrong_approval_has_a_reason_of_its_own() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    let drafted = world.draft("council", LEAVERS, content).unwrap();
    world.propose("council", LEAVERS, drafted).unwrap();
    world.approve("sds", LEAVERS, drafted).unwrap();
    let twice = world.approve("sds", LEAVERS, drafted).unwrap_err();
    let changed = (drafted.0, Digest::from_bytes([9; 32]));
    let changed = world.approve("council", LEAVERS, changed).unwrap_err();
    let request = world.request_id();
    let signing = Signing::As("sds");
    let foreign = world.apply_as("council", request, signing, approval(LEAVERS, drafted));
    let reasons = [twice.reason(), changed.reason(), foreign.unwrap_err().reason()];
    assert_eq!(reasons, ["ALREADY_APPROVED", "CONTENT_DIFFERS", "SIGNATURE_INVALID"]);
    assert_eq!(world.status(LEAVERS), Some(Status::Proposed));
}

#[test]
fn no_edited_byte_of_the_content_is_activated_by_approvals_of_the_content() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    let drafted = world.draft("council", LEAVERS, content.clone()).unwrap();
    let bytes = content.encode_to_vec();
    for place in 0..bytes.len() {
        let mut edited = bytes.clone();
        edited[place] ^= 1;
        let Ok(edited) = pb::AgreementContent::decode(edited.as_slice()) else { continue };
        let mut world = world.fork();
        // What reads as another content has another hash, and approvals of the first one do not fit it.
        let Ok(other) = world.draft("council", LEAVERS, edited) else { continue };
        assert_ne!(other.1, drafted.1, "byte {place}");
        if world.propose("council", LEAVERS, other).is_ok() {
            let refused = world.approve("sds", LEAVERS, drafted);
            assert_eq!(refused, Err(Refusal::ContentHashDiffers), "byte {place}");
        }
    }
}

#[test]
fn a_withheld_group_names_the_same_reason_as_before() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    world.activate(LEAVERS, content);
    let state = &world.state;
    let number = |id: &str| state.agency_number(&id.parse().unwrap()).unwrap();
    let record_type = state.type_number(&LEAVER_FORM.parse().unwrap()).unwrap();
    let known = state.record_type(record_type).unwrap();
    let question = Question {
        publisher: number("council"),
        recipient: number("sds"),
        record_type,
        client: client(1),
        groups: known.set_of(&["core".parse().unwrap()]).unwrap(),
        published: Position::FIRST,
        purpose: i32::from(pb::Purpose::SchoolLeaverTransition),
        now: now(&world),
    };
    let decision = access::decide(state, &question);
    assert_eq!(decision.withheld[0].reason, Reason::BeforeActivation);
}
