//! Agreements: who may draft what, and that nothing flows before every party has signed one content hash.

use concordat::{
    machine::{Refusal, state::agreement::Status},
    model::{digest::Digest, limit},
    pb::ledger::v1::{self as pb, AgencyKind, command::Kind},
};
use prost::Message;

use super::world::{
    By, DAY_MS, Signing, World, approval, consented_flow, flow, owned, standing, suspension,
};

const LEAVERS: &str = "leavers";

fn leavers(world: &World) -> pb::AgreementContent {
    world.content(&["council", "sds"], vec![flow("to-sds", "council", &["sds"])])
}

/// What drafting the content of [`leavers`] gives after a change.
fn drafted(change: impl FnOnce(&mut pb::AgreementContent)) -> Result<(u32, Digest), Refusal> {
    let mut world = World::of_partners();
    let mut content = leavers(&world);
    change(&mut content);
    world.draft("council", LEAVERS, content)
}

/// What drafting gives after a change of its one flow.
fn drafted_flow(change: impl FnMut(&mut pb::Flow)) -> Result<(u32, Digest), Refusal> {
    drafted(|content| content.flows.iter_mut().take(1).for_each(change))
}

fn act(world: &mut World, by: &str, kind: Kind) -> Result<(u32, Digest), Refusal> {
    world.apply(by, kind).map(|receipt| standing(&receipt))
}

fn end() -> Kind {
    Kind::EndAgreement(pb::EndAgreement { agreement: LEAVERS.to_owned() })
}

fn suspend() -> Kind {
    suspension(LEAVERS)
}

fn resume() -> Kind {
    Kind::ResumeFlows(pb::ResumeFlows { agreement: LEAVERS.to_owned() })
}

fn decline(version: u32) -> Kind {
    let reason = i32::from(pb::DeclineReason::TooMuchShared);
    Kind::DeclineAgreement(pb::DeclineAgreement { agreement: LEAVERS.to_owned(), version, reason })
}

/// Applies approvals in every order, and holds that the last one of each order activates and no earlier one does.
fn approve_in_every_order(world: &World, approvals: &[pb::Command]) {
    let status = if approvals.is_empty() { Status::Active } else { Status::Proposed };
    assert_eq!(world.status(LEAVERS), Some(status), "{} approvals are missing", approvals.len());
    for next in 0..approvals.len() {
        let mut world = world.fork();
        let mut rest = approvals.to_vec();
        let approval = rest.remove(next);
        assert!(world.append(approval.encode_to_vec()).is_ok());
        approve_in_every_order(&world, &rest);
    }
}

#[test]
fn an_agreement_is_active_exactly_when_all_parties_approved_in_whatever_order() {
    for count in 2..=7_usize {
        let mut world = World::new();
        let names: Vec<String> = (0..count).map(|n| format!("council-{n}")).collect();
        for name in &names {
            world.enrol(name, AgencyKind::Council);
        }
        let parties: Vec<&str> = names.iter().map(String::as_str).collect();
        let flows = vec![flow("all", parties[0], &parties[1..])];
        let content = world.content(&parties, flows);
        let stands = world.draft(parties[0], LEAVERS, content).unwrap();
        assert_eq!(world.propose(parties[0], LEAVERS, stands), Ok(stands));
        let approvals: Vec<_> = parties
            .iter()
            .map(|party| {
                let request = world.request_id();
                let kind = approval(LEAVERS, stands);
                world.command(By::Agency(party), request, Signing::Own, kind)
            })
            .collect();
        approve_in_every_order(&world, &approvals);
        world.hold();
    }
}

#[test]
fn a_replaced_draft_is_approved_anew() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    let old = world.draft("council", LEAVERS, content.clone()).unwrap();
    let changed = pb::AgreementContent { expires_at_ms: content.expires_at_ms + 1, ..content };
    let new = world.draft("sds", LEAVERS, changed).unwrap();
    assert_eq!((old.0, new.0), (1, 1));
    assert_ne!(old.1, new.1);
    assert_eq!(world.propose("council", LEAVERS, old), Err(Refusal::ContentHashDiffers));
    assert_eq!(world.propose("council", LEAVERS, new), Ok(new));
    assert_eq!(world.approve("council", LEAVERS, old), Err(Refusal::ContentHashDiffers));
    assert_eq!(world.approve("council", LEAVERS, new), Ok(new));
    assert_eq!(world.approve("council", LEAVERS, new), Err(Refusal::AlreadyApproved));
    assert_eq!(world.status(LEAVERS), Some(Status::Proposed));
    assert_eq!(world.approve("sds", LEAVERS, new), Ok(new));
    assert_eq!(world.status(LEAVERS), Some(Status::Active));
    world.hold();
}

#[test]
fn no_other_hash_of_one_byte_is_proposed_or_approved() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    let stands = world.draft("council", LEAVERS, content).unwrap();
    for place in 0..32 {
        let mut bytes = *stands.1.as_bytes();
        bytes[place] ^= 1;
        let other = (stands.0, Digest::from_bytes(bytes));
        assert_eq!(world.propose("council", LEAVERS, other), Err(Refusal::ContentHashDiffers));
    }
    world.propose("council", LEAVERS, stands).unwrap();
    for place in 0..32 {
        let mut bytes = *stands.1.as_bytes();
        bytes[place] ^= 1;
        let other = (stands.0, Digest::from_bytes(bytes));
        assert_eq!(world.approve("sds", LEAVERS, other), Err(Refusal::ContentHashDiffers));
    }
    assert_eq!(world.approve("sds", LEAVERS, (2, stands.1)), Err(Refusal::VersionDiffers));
    assert_eq!(world.status(LEAVERS), Some(Status::Proposed));
}

#[test]
fn no_edited_byte_of_an_approval_or_its_signature_approves() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    let stands = world.draft("council", LEAVERS, content).unwrap();
    world.propose("council", LEAVERS, stands).unwrap();
    let request = world.request_id();
    let kind = approval(LEAVERS, stands);
    let command = world.command(By::Agency("council"), request, Signing::Own, kind);
    let bytes = command.encode_to_vec();
    for place in 0..bytes.len() {
        let mut edited = bytes.clone();
        edited[place] ^= 1;
        let mut world = world.fork();
        let outcome = world.append(edited.clone());
        let row = world.state.tables().agreements.iter().next().unwrap().1;
        if !row.approvals.is_empty() {
            // What the signature need not cover: whether a person acted, and the stated purpose.
            let parsed: pb::Command = pb::Command::decode(edited.as_slice()).unwrap();
            assert_eq!(parsed.kind, command.kind, "byte {place}: {outcome:?}");
            assert_eq!(parsed.signature, command.signature, "byte {place}");
            assert_eq!(parsed.request_id, command.request_id, "byte {place}");
        }
    }
}

#[test]
fn every_edit_of_the_content_has_another_hash() {
    let content = leavers(&World::of_partners());
    let mut hashes = vec![drafted(|_| {}).unwrap().1];
    let edits: [fn(&mut pb::AgreementContent); 6] = [
        |content| content.expires_at_ms += 1,
        |content| content.purpose = i32::from(pb::Purpose::ChildWellbeing),
        |content| content.text_digest = vec![0; 32].into(),
        |content| content.flows[0].backfill = true,
        |content| content.flows[0].flow = "to-sdt".to_owned(),
        |content| content.parties.reverse(),
    ];
    for edit in edits {
        hashes.push(drafted(edit).unwrap().1);
    }
    let mut world = World::of_partners();
    hashes.push(world.draft("council", "leavert", content).unwrap().1);
    let count = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

#[test]
fn the_operator_and_strangers_cannot_act_for_a_party() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    let stands = world.draft("council", LEAVERS, content.clone()).unwrap();
    world.propose("council", LEAVERS, stands).unwrap();
    for by in [By::Operator, By::Node] {
        let draft =
            pb::DraftAgreement { agreement: "other".to_owned(), content: Some(content.clone()) };
        let kinds = [
            Kind::DraftAgreement(draft),
            approval(LEAVERS, stands),
            decline(1),
            suspend(),
            resume(),
            end(),
        ];
        for kind in kinds {
            assert_eq!(world.apply(by, kind), Err(Refusal::ActorNotPermitted));
        }
    }
    let request = world.request_id();
    let forged = world.apply_as("sds", request, Signing::As("council"), approval(LEAVERS, stands));
    assert_eq!(forged, Err(Refusal::SignatureInvalid));
    let bare = world.apply_as("sds", request, Signing::Not, approval(LEAVERS, stands));
    assert_eq!(bare, Err(Refusal::SignatureMissing));
    for kind in [approval(LEAVERS, stands), decline(1), suspend(), resume(), end()] {
        assert_eq!(world.apply("stranger", kind), Err(Refusal::AgreementUnknown));
    }
    assert_eq!(world.propose("stranger", LEAVERS, stands), Err(Refusal::AgreementUnknown));
    let theirs = world.content(&["stranger", "sds"], vec![flow("to-sds", "stranger", &["sds"])]);
    assert_eq!(world.draft("stranger", LEAVERS, theirs), Err(Refusal::AgreementExists));
    assert_eq!(world.approve("sds", "nowhere", stands), Err(Refusal::AgreementUnknown));
}

#[test]
fn what_is_proposed_or_active_is_not_redrafted() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    let stands = world.draft("council", LEAVERS, content.clone()).unwrap();
    assert_eq!(world.approve("council", LEAVERS, stands), Err(Refusal::AgreementState));
    assert_eq!(act(&mut world, "sds", decline(1)), Err(Refusal::AgreementState));
    assert_eq!(act(&mut world, "sds", suspend()), Err(Refusal::AgreementState));
    world.propose("council", LEAVERS, stands).unwrap();
    assert_eq!(world.draft("council", LEAVERS, content.clone()), Err(Refusal::AgreementState));
    assert_eq!(act(&mut world, "sds", decline(2)), Err(Refusal::VersionDiffers));
    assert_eq!(act(&mut world, "sds", decline(1)), Ok(stands));
    assert_eq!(world.status(LEAVERS), Some(Status::Declined));
    assert_eq!(world.approve("council", LEAVERS, stands), Err(Refusal::AgreementState));
    assert_eq!(act(&mut world, "council", end()), Err(Refusal::AgreementState));
    world.activate(LEAVERS, content.clone());
    assert_eq!(world.draft("council", LEAVERS, content.clone()).map(|(version, _)| version), Ok(3));
    assert_eq!(world.status(LEAVERS), Some(Status::Active));
    assert_eq!(act(&mut world, "sds", end()).map(|(version, _)| version), Ok(2));
    assert_eq!(world.status(LEAVERS), Some(Status::Ended));
    assert!(world.state.indexes().agreement_deadlines.is_empty());
    let next = world.draft("council", LEAVERS, content).unwrap();
    assert_eq!(next.0, 4);
    world.hold();
}

#[test]
fn a_party_suspends_and_resumes_its_own_flows_alone() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    world.activate(LEAVERS, content);
    let before = world.state.chain().narrowings;
    assert_eq!(act(&mut world, "sds", resume()), Err(Refusal::NotSuspended));
    assert!(act(&mut world, "sds", suspend()).is_ok());
    assert!(before < world.state.chain().narrowings);
    assert_eq!(act(&mut world, "council", resume()), Err(Refusal::NotSuspended));
    assert!(act(&mut world, "sds", resume()).is_ok());
    assert_eq!(world.status(LEAVERS), Some(Status::Active));
    world.hold();
}

#[test]
fn a_party_that_changed_its_key_approves_only_a_new_draft() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    let stands = world.draft("council", LEAVERS, content.clone()).unwrap();
    world.propose("council", LEAVERS, stands).unwrap();
    world.rotate("sds");
    assert_eq!(world.approve("sds", LEAVERS, stands), Err(Refusal::PartyInvalid));
    assert!(act(&mut world, "council", decline(1)).is_ok());
    assert_eq!(world.draft("council", LEAVERS, content), Err(Refusal::PartyInvalid));
    let content = leavers(&world);
    world.activate(LEAVERS, content);
    assert_eq!(world.status(LEAVERS), Some(Status::Active));
}

#[test]
fn parties_are_enrolled_named_once_and_as_they_show_themselves() {
    let refused = Err(Refusal::PartyInvalid);
    assert_eq!(drafted(|content| content.parties[1].agency = "nobody".to_owned()), refused);
    assert_eq!(drafted(|content| content.parties.push(content.parties[1].clone())), refused);
    assert_eq!(drafted(|content| content.parties.truncate(1)), refused);
    let kind = i32::from(AgencyKind::Voluntary);
    assert_eq!(drafted(|content| content.parties[1].kind = kind), refused);
    let other = vec![9; 32];
    assert_eq!(drafted(|content| content.parties[1].key_fingerprint = other.into()), refused);
    assert_eq!(
        drafted(|content| {
            content.parties.remove(0);
        }),
        Err(Refusal::NotAParty)
    );
}

#[test]
fn more_parties_than_the_limit_are_refused() {
    let mut world = World::new();
    let names: Vec<String> = (0..=limit::PARTIES_MAX).map(|n| format!("council-{n}")).collect();
    for name in &names {
        world.enrol(name, AgencyKind::Council);
    }
    let parties: Vec<&str> = names.iter().map(String::as_str).collect();
    let flows = vec![flow("one", parties[0], &[parties[1]])];
    let content = world.content(&parties, flows);
    assert_eq!(world.draft(parties[0], LEAVERS, content), Err(Refusal::PartyInvalid));
    let content = world.content(&parties[1..], vec![flow("one", parties[1], &[parties[2]])]);
    assert!(world.draft(parties[1], LEAVERS, content).is_ok());
}

#[test]
fn the_purpose_is_one_for_which_client_data_are_shared() {
    for purpose in [pb::Purpose::Operation, pb::Purpose::Administration] {
        let refused = drafted(|content| content.purpose = i32::from(purpose));
        assert_eq!(refused, Err(Refusal::PurposeNotPermitted));
    }
    assert_eq!(drafted(|content| content.purpose = 99), Err(Refusal::Malformed));
    assert!(drafted(|content| content.purpose = 0).is_ok(), "a draft may leave it open");
}

#[test]
fn a_flow_names_known_groups_and_parties() {
    let unknown = Err(Refusal::TypeUnknown);
    assert_eq!(drafted_flow(|flow| flow.record_type = "nothing".to_owned()), unknown);
    let unknown = Err(Refusal::GroupUnknown);
    assert_eq!(drafted_flow(|flow| flow.groups = owned(&["core", "nothing"])), unknown);
    let invalid = Err(Refusal::FlowInvalid);
    assert_eq!(drafted_flow(|flow| flow.publisher = "college".to_owned()), invalid);
    assert_eq!(drafted_flow(|flow| flow.recipients = owned(&["sds", "college"])), invalid);
    assert_eq!(drafted_flow(|flow| flow.recipients = owned(&["sds", "council"])), invalid);
    assert_eq!(drafted(|content| content.flows.push(content.flows[0].clone())), invalid);
    assert_eq!(drafted(|content| content.flows.clear()), invalid);
    let many = |content: &mut pb::AgreementContent| {
        content.flows = (0..=limit::FLOWS_MAX)
            .map(|n| flow(&format!("flow-{n}"), "council", &["sds"]))
            .collect();
    };
    assert_eq!(drafted(many), invalid);
    let malformed = Err(Refusal::Malformed);
    assert_eq!(drafted_flow(|flow| flow.groups = owned(&["core", "core"])), malformed);
    assert_eq!(drafted_flow(|flow| flow.basis = 99), malformed);
    assert_eq!(drafted_flow(|flow| flow.gate = 99), malformed);
    assert_eq!(drafted_flow(|flow| flow.caseload = 99), malformed);
}

#[test]
fn the_basis_fits_the_kind_of_publisher() {
    let interests = i32::from(pb::LawfulBasis::LegitimateInterests);
    assert_eq!(drafted_flow(|flow| flow.basis = interests), Err(Refusal::BasisNotForKind));
    let mut world = World::of_partners();
    for (basis, fits) in [
        (pb::LawfulBasis::LegitimateInterests, true),
        (pb::LawfulBasis::VitalInterests, true),
        (pb::LawfulBasis::LegalObligation, false),
        (pb::LawfulBasis::PublicTask, false),
    ] {
        let line =
            pb::Flow { basis: i32::from(basis), ..flow("from-charity", "charity", &["council"]) };
        let content = world.content(&["charity", "council"], vec![line]);
        let outcome = world.draft("charity", LEAVERS, content);
        assert_eq!(outcome.err(), (!fits).then_some(Refusal::BasisNotForKind), "{basis:?}");
    }
}

#[test]
fn a_duty_or_task_or_statutory_gate_names_its_power() {
    let missing = Err(Refusal::LegalPowerMissing);
    assert_eq!(drafted_flow(|flow| flow.legal_power = 0), missing);
    assert_eq!(
        drafted_flow(|flow| {
            flow.basis = i32::from(pb::LawfulBasis::PublicTask);
            flow.legal_power = 0;
        }),
        missing
    );
    assert_eq!(
        drafted_flow(|flow| {
            flow.basis = i32::from(pb::LawfulBasis::Consent);
            flow.gate = i32::from(pb::Gate::StatutoryConsent);
            flow.legal_power = 0;
        }),
        missing
    );
}

#[test]
fn special_category_data_need_a_condition() {
    let special = |flow: &mut pb::Flow| flow.groups = owned(&["support-needs"]);
    assert_eq!(drafted_flow(special), Err(Refusal::SpecialConditionMissing));
    let conditioned = drafted_flow(|flow| {
        special(flow);
        flow.special_condition = i32::from(pb::SpecialCondition::StatutoryPurposes);
    });
    assert!(conditioned.is_ok());
}

#[test]
fn basis_condition_and_gate_stand_together_as_the_table_says() {
    use pb::{Gate, LawfulBasis as Basis};
    let allowed = |basis, explicit: bool, gate| match gate {
        Gate::None => basis != Basis::Consent && !explicit,
        Gate::DataProtectionConsent => {
            basis == Basis::Consent || (explicit && basis == Basis::PublicTask)
        }
        Gate::StatutoryConsent => basis != Basis::VitalInterests,
        Gate::Confidentiality => basis == Basis::PublicTask && !explicit,
        Gate::Unspecified => false,
    };
    let bases = [Basis::Consent, Basis::LegalObligation, Basis::VitalInterests, Basis::PublicTask];
    let gates =
        [Gate::None, Gate::DataProtectionConsent, Gate::StatutoryConsent, Gate::Confidentiality];
    for basis in bases {
        for explicit in [false, true] {
            for gate in gates {
                let outcome = drafted_flow(|flow| {
                    flow.basis = i32::from(basis);
                    flow.gate = i32::from(gate);
                    flow.legal_power = i32::from(pb::LegalPower::AdditionalSupport2004S13);
                    flow.special_condition = i32::from(explicit);
                });
                let refused = (!allowed(basis, explicit, gate)).then_some(Refusal::GateMismatch);
                assert_eq!(outcome.err(), refused, "{basis:?} {explicit} {gate:?}");
            }
        }
    }
    let other_statute = drafted_flow(|flow| flow.gate = i32::from(Gate::StatutoryConsent));
    assert_eq!(other_statute, Err(Refusal::GateMismatch));
    assert!(drafted_flow(|flow| *flow = consented_flow("to-sds", "council", &["sds"])).is_ok());
}

#[test]
fn an_agreement_ends_in_the_future_and_within_ten_years() {
    let invalid = Err(Refusal::ExpiryInvalid);
    assert_eq!(drafted(|content| content.expires_at_ms = 1), invalid);
    assert_eq!(drafted(|content| content.expires_at_ms += 3_653 * DAY_MS), invalid);
    let mut world = World::of_partners();
    let content = leavers(&world);
    let stands = world.draft("council", LEAVERS, content).unwrap();
    world.propose("council", LEAVERS, stands).unwrap();
    world.approve("council", LEAVERS, stands).unwrap();
    world.wait(400 * DAY_MS);
    assert_eq!(world.approve("sds", LEAVERS, stands), invalid);
    let stands = world.draft("council", "late", leavers(&world)).unwrap();
    world.wait(400 * DAY_MS);
    assert_eq!(world.propose("council", "late", stands), invalid);
}

#[test]
fn an_agreement_ends_by_its_date() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    world.activate(LEAVERS, content);
    world.wait(366 * DAY_MS);
    assert_eq!(act(&mut world, "sds", suspend()), Err(Refusal::AgreementState));
    assert_eq!(world.status(LEAVERS), Some(Status::Ended));
    world.hold();
}

#[test]
fn a_repeated_approval_gets_the_first_answer() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    let stands = world.draft("council", LEAVERS, content).unwrap();
    world.propose("council", LEAVERS, stands).unwrap();
    let request = world.request_id();
    for _ in 0..2 {
        let again = world.apply_as("sds", request, Signing::Own, approval(LEAVERS, stands));
        assert_eq!(again.map(|receipt| standing(&receipt)), Ok(stands));
    }
    let reused = world.apply_as("sds", request, Signing::Own, decline(1));
    assert_eq!(reused, Err(Refusal::RequestIdReused));
}
