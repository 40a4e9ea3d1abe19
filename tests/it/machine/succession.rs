//! Successions: who proposes and approves one, on which hash, and from when on a place is taken.

use concordat::{
    machine::{
        Outcome, Receipt, Refusal,
        outcome::Remembered,
        state::{
            agreement::Status as Stands,
            notice::{About, SuccessionEvent},
            succession::{Status, Succession},
        },
    },
    model::{digest::Digest, id::SuccessionId, limit},
    pb::ledger::v1::{
        self as pb, AgencyKind, SuccessionDeclineReason, SuccessionInstrument, SuccessionKind,
        command::Kind,
    },
};
use prost::Message;

use SuccessionEvent::{Approved, InForce, Lapsed, Proposed, Settled};

use super::world::{By, DAY_MS, Signing, World, flow, owned, suspension};

/// A succession and what is signed of it.
pub(crate) type Named = (SuccessionId, Digest);

/// One agreement of a succession, as it stands in the world.
pub(crate) fn share(world: &World, agreement: &str, successor: &str) -> pb::SuccessionShare {
    let id = agreement.parse().unwrap();
    let row = world.state.tables().agreements.get(&id).unwrap();
    pb::SuccessionShare {
        agreement: agreement.to_owned(),
        version: row.version,
        content_hash: row.content_hash.as_bytes().to_vec().into(),
        successor: successor.to_owned(),
    }
}

/// What a succession by an order settles, with the last approval.
pub(crate) fn settles(
    world: &World,
    (old, kind): (&str, SuccessionKind),
    shares: &[(&str, &str)],
) -> pb::SuccessionContent {
    let shares = shares.iter().map(|(agreement, successor)| share(world, agreement, successor));
    pb::SuccessionContent {
        old: old.to_owned(),
        kind: i32::from(kind),
        instrument: i32::from(SuccessionInstrument::Order),
        shares: shares.collect(),
        ..pb::SuccessionContent::default()
    }
}

pub(crate) fn proposal(content: pb::SuccessionContent) -> Kind {
    Kind::ProposeSuccession(pb::ProposeSuccession { content: Some(content) })
}

pub(crate) fn approval((succession, content_hash): Named) -> Kind {
    Kind::ApproveSuccession(pb::ApproveSuccession {
        succession: succession.as_bytes().to_vec().into(),
        content_hash: content_hash.as_bytes().to_vec().into(),
        approver_role: i32::from(pb::ApproverRole::ChiefExecutive),
        approver_authority: i32::from(pb::ApproverAuthority::Office),
    })
}

fn decline((succession, _): Named) -> Kind {
    Kind::DeclineSuccession(pb::DeclineSuccession {
        succession: succession.as_bytes().to_vec().into(),
        reason: i32::from(SuccessionDeclineReason::SuccessorDisputed),
    })
}

fn named(outcome: Outcome) -> Result<Named, Refusal> {
    let receipt = outcome?;
    let Receipt::Answer(Remembered::Succession { succession, content_hash }) = receipt else {
        unreachable!("not about a succession: {receipt:?}");
    };
    Ok((succession, content_hash))
}

pub(crate) fn propose(
    world: &mut World,
    by: &str,
    content: pb::SuccessionContent,
) -> Result<Named, Refusal> {
    named(world.apply(by, proposal(content)))
}

pub(crate) fn approve(world: &mut World, by: &str, succession: Named) -> Result<Named, Refusal> {
    named(world.apply(by, approval(succession)))
}

pub(crate) fn row(world: &World, (id, _): Named) -> Succession {
    world.state.succession(id).unwrap().clone()
}

/// Proposes by the old body and approves by everybody who has to.
pub(crate) fn succeed(world: &mut World, content: pb::SuccessionContent) -> Named {
    let old = content.old.clone();
    let succession = propose(world, &old, content).unwrap();
    approve_all(world, succession);
    succession
}

pub(crate) fn approve_all(world: &mut World, succession: Named) {
    let parties: Vec<_> = row(world, succession).parties.keys().copied().collect();
    for party in parties {
        let id = world.state.agency(party).unwrap().id.to_string();
        approve(world, &id, succession).unwrap();
    }
}

fn suspend_agency(world: &mut World, agency: &str) {
    let kind = Kind::SuspendAgency(pb::SuspendAgency { agency: agency.to_owned() });
    world.apply(By::Operator, kind).unwrap();
}

fn resume_agency(world: &mut World, agency: &str) -> Outcome {
    let kind = Kind::ResumeAgency(pb::ResumeAgency { agency: agency.to_owned() });
    world.apply(By::Operator, kind)
}

fn tick(world: &mut World) {
    world.apply(By::Node, Kind::Tick(pb::Tick {})).unwrap();
}

/// What an agency was told of successions.
fn told(world: &World, agency: &str) -> Vec<SuccessionEvent> {
    let number = world.state.agency_number(&agency.parse().unwrap()).unwrap();
    let notices = world.state.tables().notices.range((number, 0)..=(number, u64::MAX));
    notices
        .filter_map(|(_, notice)| {
            let About::Succession { event, .. } = &notice.about else { return None };
            Some(*event)
        })
        .collect()
}

fn version(world: &World, agreement: &str) -> u32 {
    let id = agreement.parse().unwrap();
    world.state.tables().agreements.get(&id).unwrap().version
}

fn parties(world: &World, agreement: &str) -> Vec<String> {
    let id = agreement.parse().unwrap();
    let row = world.state.tables().agreements.get(&id).unwrap();
    row.parties.keys().map(|party| world.state.agency(*party).unwrap().id.to_string()).collect()
}

/// Two agreements of the college's, with SDS and with the council, and a successor.
fn world() -> World {
    let mut world = World::of_partners();
    world.enrol("new-college", AgencyKind::College);
    world.enrol("other-college", AgencyKind::College);
    let flows = vec![flow("to-college", "council", &["college", "sds"])];
    let content = world.content(&["council", "college", "sds"], flows);
    world.activate("leavers", content);
    let flows = vec![flow("to-health", "council", &["college", "health"])];
    let content = world.content(&["council", "college", "health"], flows);
    world.activate("wellbeing", content);
    world
}

fn merger(world: &World) -> pb::SuccessionContent {
    let shares = [("leavers", "new-college"), ("wellbeing", "new-college")];
    settles(world, ("college", SuccessionKind::Merger), &shares)
}

fn moved(world: &World) -> pb::SuccessionContent {
    let shares = [("leavers", "new-college")];
    settles(world, ("college", SuccessionKind::FunctionMoved), &shares)
}

/// Applies approvals in every order, and holds that the last one of each order takes the places and no earlier one does.
fn approve_in_every_order(world: &World, succession: Named, approvals: &[pb::Command]) {
    let taken = approvals.is_empty();
    let status = if taken { Status::InForce } else { Status::Proposed };
    assert_eq!(row(world, succession).status, status, "{} are missing", approvals.len());
    assert_eq!(version(world, "leavers"), if taken { 2 } else { 1 });
    if taken {
        world.hold();
    }
    for next in 0..approvals.len() {
        let mut world = world.fork();
        let mut rest = approvals.to_vec();
        let approval = rest.remove(next);
        assert!(world.append(approval.encode_to_vec()).is_ok());
        approve_in_every_order(&world, succession, &rest);
    }
}

#[test]
fn a_place_is_taken_exactly_when_all_who_have_to_have_approved_in_whatever_order() {
    let mut world = world();
    let content = merger(&world);
    let succession = propose(&mut world, "college", content).unwrap();
    let everybody = ["college", "new-college", "council", "sds", "health"];
    let approvals: Vec<_> = everybody
        .iter()
        .map(|party| {
            let request = world.request_id();
            world.command(By::Agency(party), request, Signing::Own, approval(succession))
        })
        .collect();
    approve_in_every_order(&world, succession, &approvals);
}

#[test]
fn the_successor_stands_where_the_old_body_stood_and_nothing_else_differs() {
    let mut world = world();
    let before = world.content(&["council", "college", "sds"], Vec::new());
    let content = merger(&world);
    let succession = succeed(&mut world, content);
    let row = row(&world, succession);
    for share in &row.shares {
        let now = world.state.tables().agreements.get(&share.agreement).unwrap();
        let becomes = share.becomes.as_ref().unwrap();
        assert!(share.taken);
        assert_eq!(
            (now.status, now.version, now.content_hash),
            (Stands::Active, 2, becomes.content_hash)
        );
        assert_eq!(now.content, becomes.content);
        let old = world.state.tables().versions.get(&(share.agreement.clone(), 1)).unwrap();
        assert_eq!(old.status, Stands::Replaced);
        let swapped = |bytes: &[u8]| {
            let text = format!("{:?}", pb::AgreementContent::decode(bytes).unwrap());
            text.replace("\"new-college\"", "\"college\"")
        };
        let key = |agency: &str| {
            format!("{:?}", bytes::Bytes::copy_from_slice(world.fingerprint(agency).as_bytes()))
        };
        let after = swapped(&now.content).replace(&key("new-college"), &key("college"));
        assert_eq!(after, swapped(&old.content));
    }
    assert_eq!(parties(&world, "leavers"), ["council", "sds", "new-college"]);
    assert_eq!(before.parties.len(), 3);
    world.hold();
}

#[test]
fn no_edited_byte_of_a_hash_or_signature_approves() {
    let mut world = world();
    let content = merger(&world);
    let succession = propose(&mut world, "college", content).unwrap();
    for place in 0..32 {
        let mut bytes = *succession.1.as_bytes();
        bytes[place] ^= 1;
        let other = (succession.0, Digest::from_bytes(bytes));
        assert_eq!(approve(&mut world, "sds", other), Err(Refusal::ContentHashDiffers));
    }
    let request = world.request_id();
    let command = world.command(By::Agency("sds"), request, Signing::Own, approval(succession));
    for place in 0..64 {
        let mut command = command.clone();
        let signature = command.signature.as_mut().unwrap();
        let mut value = signature.value.to_vec();
        value[place] ^= 1;
        signature.value = value.into();
        assert_eq!(world.append(command.encode_to_vec()), Err(Refusal::SignatureInvalid));
    }
    for signing in [Signing::As("council"), Signing::Not] {
        let request = world.request_id();
        let outcome = world.apply_as("sds", request, signing, approval(succession));
        assert!(matches!(outcome, Err(Refusal::SignatureInvalid | Refusal::SignatureMissing)));
    }
    let declined = world.apply_as("sds", request, Signing::Not, decline(succession));
    assert_eq!(declined, Err(Refusal::SignatureMissing));
    assert_eq!(row(&world, succession).approvals.len(), 0);
}

#[test]
fn each_wrong_approval_has_a_reason_of_its_own() {
    let mut world = world();
    let content = merger(&world);
    let succession = propose(&mut world, "college", content).unwrap();
    assert_eq!(approve(&mut world, "stranger", succession), Err(Refusal::NotAvailable));
    let unknown = (SuccessionId::from_bytes([9; 16]), succession.1);
    assert_eq!(approve(&mut world, "sds", unknown), Err(Refusal::NotAvailable));
    assert_eq!(approve(&mut world, "sds", succession), Ok(succession));
    assert_eq!(approve(&mut world, "sds", succession), Err(Refusal::AlreadyApproved));
    world.rotate("council");
    assert_eq!(approve(&mut world, "council", succession), Err(Refusal::PartyInvalid));
    let operator = world.apply(By::Operator, approval(succession));
    assert_eq!(operator, Err(Refusal::ActorNotPermitted));
    assert_eq!(named(world.apply("health", decline(succession))), Ok(succession));
    assert_eq!(approve(&mut world, "college", succession), Err(Refusal::SuccessionState));
    assert_eq!(world.apply("health", decline(succession)), Err(Refusal::SuccessionState));
    assert_eq!(row(&world, succession).status, Status::Declined);
    assert_eq!(version(&world, "leavers"), 1);
    world.hold();
}

#[test]
fn each_wrong_proposal_has_a_reason_of_its_own() {
    let world = world();
    let refused = |by: &str, change: &dyn Fn(&mut pb::SuccessionContent)| {
        let mut world = world.fork();
        let mut content = merger(&world);
        change(&mut content);
        propose(&mut world, by, content).err()
    };
    let as_is = |_: &mut pb::SuccessionContent| {};
    assert_eq!(refused("college", &as_is), None);
    assert_eq!(refused("sds", &as_is), Some(Refusal::AgreementUnknown));
    assert_eq!(refused("new-college", &as_is), Some(Refusal::AgreementUnknown));
    let invalid = Some(Refusal::SuccessionInvalid);
    assert_eq!(refused("college", &|c| c.old = "nobody".to_owned()), invalid);
    assert_eq!(refused("college", &|c| c.old = "sds".to_owned()), invalid);
    assert_eq!(refused("college", &|c| c.shares[0].successor = "nobody".to_owned()), invalid);
    assert_eq!(refused("college", &|c| c.shares[0].successor = "college".to_owned()), invalid);
    assert_eq!(
        refused("college", &|c| c.shares[0].successor = "other-college".to_owned()),
        invalid
    );
    let split = i32::from(SuccessionKind::Split);
    assert_eq!(refused("college", &|c| c.kind = split), invalid);
    let one = |c: &mut pb::SuccessionContent| c.shares.truncate(1);
    assert_eq!(refused("college", &one), Some(Refusal::SuccessionIncomplete));
    assert_eq!(refused("college", &|c| c.shares[0].version = 7), Some(Refusal::VersionDiffers));
    let hash = Some(Refusal::ContentHashDiffers);
    assert_eq!(refused("college", &|c| c.shares[0].content_hash = vec![1; 32].into()), hash);
    let date = Some(Refusal::SuccessionDateInvalid);
    assert_eq!(refused("college", &|c| c.effective_at_ms = 1), date);
    let far = world.now_ms() + limit::SUCCESSION_AHEAD_MS + DAY_MS;
    assert_eq!(refused("college", &|c| c.effective_at_ms = far), date);
    let malformed = Some(Refusal::Malformed);
    assert_eq!(refused("college", &|c| c.shares.clear()), malformed);
    assert_eq!(refused("college", &|c| c.shares[1].agreement = "leavers".to_owned()), malformed);
    assert_eq!(refused("college", &|c| c.kind = 0), malformed);
    assert_eq!(refused("college", &|c| c.instrument = 99), malformed);
    let carried = |c: &mut pb::SuccessionContent| {
        c.kind = i32::from(SuccessionKind::FunctionMoved);
        c.carries_caseload = true;
    };
    assert_eq!(refused("college", &carried), malformed);
}

#[test]
fn a_successor_of_a_kind_that_may_not_rely_on_a_basis_takes_no_place() {
    let mut world = world();
    let shares = [("leavers", "charity")];
    let content = settles(&world, ("council", SuccessionKind::FunctionMoved), &shares);
    let refused = propose(&mut world, "council", content);
    assert_eq!(refused, Err(Refusal::BasisNotForKind));
}

#[test]
fn a_body_that_was_dissolved_needs_no_voice_where_a_statute_speaks() {
    let mut world = world();
    suspend_agency(&mut world, "college");
    let own_decision = pb::SuccessionContent {
        instrument: i32::from(SuccessionInstrument::OwnDecision),
        ..merger(&world)
    };
    let refused = propose(&mut world, "council", own_decision);
    assert_eq!(refused, Err(Refusal::SuccessionUnproven));
    let content = merger(&world);
    let succession = propose(&mut world, "council", content).unwrap();
    let mut resumed = world.fork();
    assert_eq!(row(&world, succession).parties.len(), 4);
    assert_eq!(approve(&mut world, "college", succession), Err(Refusal::AgencySuspended));
    assert_eq!(world.apply("college", decline(succession)), Err(Refusal::NotAvailable));
    approve_all(&mut world, succession);
    assert_eq!(row(&world, succession).status, Status::InForce);
    // The operator's suspension gives the voice to nobody: who is resumed is heard, or there is no succession.
    resume_agency(&mut resumed, "college").unwrap();
    approve_all(&mut resumed, succession);
    assert_eq!(row(&resumed, succession).status, Status::Lapsed);
    assert_eq!(version(&resumed, "leavers"), 1);
    world.hold();
    resumed.hold();
}

#[test]
fn a_merged_body_acts_no_more_and_is_not_resumed() {
    let mut world = world();
    let content = merger(&world);
    let _succession = succeed(&mut world, content);
    assert_eq!(resume_agency(&mut world, "college"), Err(Refusal::AgencySucceeded));
    let content = world.content(&["college", "sds"], vec![flow("again", "college", &["sds"])]);
    assert_eq!(world.draft("college", "again", content), Err(Refusal::AgencySuspended));
    world.hold();
}

#[test]
fn a_date_takes_the_places_on_an_idle_exchange_and_at_replay() {
    let mut world = world();
    let at = world.now_ms() + 30 * DAY_MS;
    let content = pb::SuccessionContent { effective_at_ms: at, ..merger(&world) };
    let succession = succeed(&mut world, content);
    assert_eq!(row(&world, succession).status, Status::Approved);
    assert_eq!(version(&world, "leavers"), 1);
    world.wait(30 * DAY_MS);
    tick(&mut world);
    assert_eq!(row(&world, succession).status, Status::InForce);
    assert_eq!(parties(&world, "leavers"), ["council", "sds", "new-college"]);
    world.hold();
}

#[test]
fn who_approved_may_still_decline_before_the_date() {
    let mut world = world();
    let at = world.now_ms() + 30 * DAY_MS;
    let content = pb::SuccessionContent { effective_at_ms: at, ..merger(&world) };
    let succession = succeed(&mut world, content);
    world.apply("council", decline(succession)).unwrap();
    world.wait(31 * DAY_MS);
    tick(&mut world);
    assert_eq!(row(&world, succession).status, Status::Declined);
    assert_eq!(version(&world, "leavers"), 1);
    world.hold();
}

#[test]
fn what_is_not_approved_in_time_lapses() {
    let mut world = world();
    let content = merger(&world);
    let succession = propose(&mut world, "college", content).unwrap();
    world.wait(limit::SUCCESSION_LAPSES_MS);
    tick(&mut world);
    assert_eq!(row(&world, succession).status, Status::Lapsed);
    assert_eq!(told(&world, "new-college"), [Proposed, Lapsed]);
    let content = merger(&world);
    assert!(propose(&mut world, "college", content).is_ok());
    world.hold();
}

#[test]
fn there_is_one_change_of_an_agreement_at_a_time() {
    let mut world = world();
    let next = || vec![flow("to-college", "council", &["college", "sds"])];
    let content = world.content(&["council", "college", "sds"], next());
    let mut drafted = world.fork();
    drafted.draft("council", "leavers", content.clone()).unwrap();
    let wanted = merger(&drafted);
    assert_eq!(propose(&mut drafted, "college", wanted), Err(Refusal::AgreementState));

    let wanted = merger(&world);
    let succession = propose(&mut world, "college", wanted.clone()).unwrap();
    let pending = Err(Refusal::SuccessionPending);
    assert_eq!(world.draft("council", "leavers", content.clone()), pending);
    assert_eq!(propose(&mut world, "college", wanted).err(), Some(Refusal::SuccessionPending));
    world.apply("sds", decline(succession)).unwrap();
    assert!(world.draft("council", "leavers", content).is_ok());
    world.hold();
}

#[test]
fn what_a_party_ends_meanwhile_is_not_taken() {
    let mut world = world();
    let content = merger(&world);
    let succession = propose(&mut world, "college", content).unwrap();
    let end = Kind::EndAgreement(pb::EndAgreement { agreement: "leavers".to_owned() });
    world.apply("sds", end).unwrap();
    approve_all(&mut world, succession);
    let taken: Vec<_> = row(&world, succession).shares.iter().map(|share| share.taken).collect();
    assert_eq!(taken, [false, true]);
    assert_eq!(world.status("leavers"), Some(Stands::Ended));
    assert_eq!(parties(&world, "wellbeing"), ["council", "health", "new-college"]);
    world.hold();
}

#[test]
fn a_successor_that_is_a_party_already_stands_there_once() {
    let mut world = world();
    let shares = [("leavers", "sds"), ("wellbeing", "sds")];
    let content = settles(&world, ("college", SuccessionKind::Merger), &shares);
    let _succession = succeed(&mut world, content);
    assert_eq!(parties(&world, "leavers"), ["council", "sds"]);
    let row = world.state.tables().agreements.get(&"leavers".parse().unwrap()).unwrap();
    assert_eq!(row.flows.iter().map(|flow| flow.recipients.len()).collect::<Vec<_>>(), [1]);
    assert_eq!(parties(&world, "wellbeing"), ["council", "sds", "health"]);
    world.hold();
}

#[test]
fn an_agreement_in_which_nobody_is_left_to_share_with_ends() {
    let mut world = World::of_partners();
    let content = world.content(&["council", "sds"], vec![flow("all", "council", &["sds"])]);
    world.activate("leavers", content);
    let shares = [("leavers", "council")];
    let content = settles(&world, ("sds", SuccessionKind::Merger), &shares);
    let succession = succeed(&mut world, content);
    assert_eq!(row(&world, succession).shares.iter().filter(|s| s.becomes.is_some()).count(), 0);
    assert_eq!(world.status("leavers"), Some(Stands::Ended));
    world.hold();
}

#[test]
fn a_split_gives_each_successor_its_agreements_and_a_moved_function_leaves_the_rest() {
    let mut world = world();
    let shares = [("leavers", "new-college"), ("wellbeing", "other-college")];
    let content = settles(&world, ("college", SuccessionKind::Split), &shares);
    let mut moves = world.fork();
    let _succession = succeed(&mut world, content);
    assert_eq!(parties(&world, "leavers"), ["council", "sds", "new-college"]);
    assert_eq!(parties(&world, "wellbeing"), ["council", "health", "other-college"]);
    world.hold();

    let content = moved(&moves);
    let succession = succeed(&mut moves, content);
    assert!(!row(&moves, succession).merges());
    assert_eq!(parties(&moves, "leavers"), ["council", "sds", "new-college"]);
    assert_eq!(parties(&moves, "wellbeing"), ["council", "college", "health"]);
    let college = moves.state.agency_number(&"college".parse().unwrap()).unwrap();
    assert!(!moves.state.agency(college).unwrap().suspended);
    moves.hold();
}

#[test]
fn a_function_comes_back_to_where_it_was() {
    let mut world = world();
    let content = moved(&world);
    let _there = succeed(&mut world, content);
    let shares = [("leavers", "college")];
    let content = settles(&world, ("new-college", SuccessionKind::FunctionMoved), &shares);
    let _back = succeed(&mut world, content);
    assert_eq!(parties(&world, "leavers"), ["council", "sds", "college"]);
    assert_eq!(version(&world, "leavers"), 3);
    world.hold();
}

#[test]
fn what_the_old_body_suspended_stays_suspended_until_the_successor_resumes_it() {
    let mut world = world();
    world.apply("college", suspension("leavers")).unwrap();
    let content = merger(&world);
    let _succession = succeed(&mut world, content);
    let suspended = |world: &World| {
        let row = world.state.tables().agreements.get(&"leavers".parse().unwrap()).unwrap();
        row.suspended_by.len()
    };
    assert_eq!(suspended(&world), 1);
    let resume = Kind::ResumeFlows(pb::ResumeFlows { agreement: "leavers".to_owned() });
    world.apply("new-college", resume).unwrap();
    assert_eq!(suspended(&world), 0);
    world.hold();
}

#[test]
fn everybody_concerned_is_told_of_every_step_and_nobody_else() {
    let mut world = world();
    let at = world.now_ms() + 30 * DAY_MS;
    let content = pb::SuccessionContent { effective_at_ms: at, ..merger(&world) };
    let succession = propose(&mut world, "college", content).unwrap();
    for party in ["college", "council", "sds", "health"] {
        approve(&mut world, party, succession).unwrap();
    }
    approve(&mut world, "new-college", succession).unwrap();
    world.wait(30 * DAY_MS);
    tick(&mut world);
    let health = [Proposed, Approved, Approved, Approved, Settled, InForce];
    assert_eq!(told(&world, "health"), health);
    assert_eq!(told(&world, "college"), [Approved, Approved, Approved, Settled, InForce]);
    assert_eq!(told(&world, "stranger"), []);
    world.hold();
}

#[test]
fn no_more_agencies_have_to_approve_than_one_entry_can_tell() {
    let mut world = World::new();
    world.enrol("old", AgencyKind::Council);
    world.enrol("new", AgencyKind::Council);
    let mut shares = Vec::new();
    for agreement in 0..3_usize {
        let names: Vec<String> = (0..31).map(|n| format!("council-{agreement}-{n}")).collect();
        for name in &names {
            world.enrol(name, AgencyKind::Council);
        }
        let others: Vec<&str> = names.iter().map(String::as_str).collect();
        let parties: Vec<&str> = ["old"].into_iter().chain(others.iter().copied()).collect();
        let content = world.content(&parties, vec![flow("all", "old", &others)]);
        let id = format!("agreement-{agreement}");
        world.activate(&id, content);
        shares.push(id);
    }
    let named = |count: usize| shares.iter().take(count).map(|id| (id.as_str(), "new"));
    let moved = ("old", SuccessionKind::FunctionMoved);
    let all = settles(&world, moved, &named(3).collect::<Vec<_>>());
    assert_eq!(propose(&mut world, "old", all), Err(Refusal::LimitReached));
    let two = settles(&world, moved, &named(2).collect::<Vec<_>>());
    let succession = succeed(&mut world, two);
    assert_eq!(row(&world, succession).parties.len(), 64);
    assert_eq!(row(&world, succession).status, Status::InForce);
    world.hold();
}

#[test]
fn names_of_parties_in_the_terms_are_the_successors() {
    let mut world = World::of_partners();
    world.enrol("new-council", AgencyKind::Council);
    let flows = vec![flow("all", "council", &["sds", "college"])];
    let content = world.content(&["council", "sds", "college"], flows);
    world.activate("leavers", content);
    let shares = [("leavers", "new-council")];
    let content = settles(&world, ("council", SuccessionKind::Merger), &shares);
    let _succession = succeed(&mut world, content);
    let row = world.state.tables().agreements.get(&"leavers".parse().unwrap()).unwrap();
    let content = pb::AgreementContent::decode(row.content.as_slice()).unwrap();
    let text = format!("{content:?}");
    assert!(!text.contains("\"council\""), "{text}");
    assert!(text.contains("\"new-council\""));
    assert_eq!(owned(&["new-council"]), vec![content.flows[0].publisher.clone()]);
    world.hold();
}
