//! Clients and caseloads: names of one's own, and claims that give nothing until a publisher confirms them.

use concordat::{
    machine::{Outcome, Receipt, Refusal},
    model::id::AliasId,
    pb::ledger::v1::{self as pb, command::Kind},
};

use super::world::{By, Signing, World, alias_of, client, flow, suspension};

/// A world in which the council sends leaver forms to the college for clients of its caseload, and to SDS for all.
fn world() -> World {
    let mut world = World::of_partners();
    let served = pb::Flow {
        caseload: i32::from(pb::CaseloadRule::Confirmed),
        ..flow("served", "council", &["college"])
    };
    let flows = vec![served, flow("all", "council", &["sds"])];
    let content = world.content(&["council", "sds", "college"], flows);
    world.activate("leavers", content);
    world
}

fn open(world: &mut World, by: &str, alias: AliasId) -> Outcome {
    let client = alias.as_bytes().to_vec().into();
    world.apply(by, Kind::OpenCaseload(pb::OpenCaseload { client }))
}

fn confirm(world: &mut World, by: &str, alias: AliasId, agency: &str) -> Outcome {
    let client = alias.as_bytes().to_vec().into();
    let confirm = pb::ConfirmCaseload { client, agency: agency.to_owned() };
    world.apply(by, Kind::ConfirmCaseload(confirm))
}

fn end(world: &mut World, by: &str, alias: AliasId, agency: &str) -> Outcome {
    let client = alias.as_bytes().to_vec().into();
    world.apply(by, Kind::EndCaseload(pb::EndCaseload { client, agency: agency.to_owned() }))
}

fn add(number: u8) -> Kind {
    Kind::AddClient(pb::AddClient {
        client: client(number).as_bytes().to_vec().into(),
        ..pb::AddClient::default()
    })
}

fn confirmed(world: &World, agency: &str) -> bool {
    let number = world.state.agency_number(&agency.parse().unwrap()).unwrap();
    world.state.in_confirmed_caseload(number, client(1))
}

#[test]
fn every_agency_has_a_name_of_its_own_for_a_client() {
    let mut world = world();
    let council = world.add_client("council", client(1));
    let college = world.add_client("college", client(1));
    assert_ne!(council, college);
    assert_ne!(council.as_bytes(), client(1).as_bytes());
    assert_eq!(world.add_client("council", client(1)), council);
    assert_ne!(world.add_client("council", client(2)), council);
    world.hold();
}

#[test]
fn a_request_names_one_client() {
    let mut world = world();
    let request = world.request_id();
    let first = alias_of(world.apply_as("council", request, Signing::Own, add(1)));
    let again = alias_of(world.apply_as("council", request, Signing::Own, add(1)));
    assert_eq!(first, again);
    let other = world.apply_as("council", request, Signing::Own, add(2));
    assert_eq!(other, Err(Refusal::RequestIdReused));
}

#[test]
fn the_operator_knows_no_client() {
    let mut world = world();
    assert_eq!(world.apply(By::Operator, add(1)), Err(Refusal::ActorNotPermitted));
    assert_eq!(world.apply(By::Node, add(1)), Err(Refusal::ActorNotPermitted));
}

#[test]
fn a_claim_gives_nothing_until_a_publisher_confirms_it() {
    let mut world = world();
    let council = world.add_client("council", client(1));
    let college = world.add_client("college", client(1));
    assert_eq!(open(&mut world, "college", college), Ok(Receipt::DONE));
    assert!(!confirmed(&world, "college"));
    assert_eq!(open(&mut world, "college", college), Err(Refusal::AlreadyClaimed));
    assert_eq!(confirm(&mut world, "council", council, "college"), Ok(Receipt::DONE));
    assert!(confirmed(&world, "college"));
    let again = confirm(&mut world, "council", council, "college");
    assert_eq!(again, Err(Refusal::AlreadyConfirmed));
    world.hold();
}

#[test]
fn what_is_unknown_and_what_is_not_ones_own_look_alike() {
    let mut world = world();
    let council = world.add_client("council", client(1));
    let college = world.add_client("college", client(1));
    let sds = world.add_client("sds", client(1));
    let nothing = Err(Refusal::NotAvailable);
    let unknown = AliasId::from_bytes([9; 16]);
    assert_eq!(open(&mut world, "college", unknown), nothing);
    assert_eq!(open(&mut world, "college", council), nothing);
    // No claim yet, no such client, no such agency.
    assert_eq!(confirm(&mut world, "council", council, "college"), nothing);
    assert_eq!(open(&mut world, "college", college), Ok(Receipt::DONE));
    assert_eq!(confirm(&mut world, "council", unknown, "college"), nothing);
    assert_eq!(confirm(&mut world, "council", council, "nobody"), nothing);
    // Not a publisher, not under the rule, not oneself.
    assert_eq!(confirm(&mut world, "sds", sds, "college"), nothing);
    assert_eq!(open(&mut world, "sds", sds), Ok(Receipt::DONE));
    assert_eq!(confirm(&mut world, "council", council, "sds"), nothing);
    assert_eq!(confirm(&mut world, "college", college, "college"), nothing);
    assert!(!confirmed(&world, "college"));
}

#[test]
fn a_publisher_that_suspended_its_flows_confirms_nothing() {
    let mut world = world();
    let council = world.add_client("council", client(1));
    let college = world.add_client("college", client(1));
    open(&mut world, "college", college).unwrap();
    world.apply("council", suspension("leavers")).unwrap();
    let outcome = confirm(&mut world, "council", council, "college");
    assert_eq!(outcome, Err(Refusal::NotAvailable));
}

#[test]
fn a_confirmation_is_signed() {
    let mut world = world();
    let council = world.add_client("council", client(1));
    let client = council.as_bytes().to_vec().into();
    let kind = Kind::ConfirmCaseload(pb::ConfirmCaseload { client, agency: "college".to_owned() });
    let request = world.request_id();
    let bare = world.apply_as("council", request, Signing::Not, kind);
    assert_eq!(bare, Err(Refusal::SignatureMissing));
}

#[test]
fn a_claim_is_ended_by_its_agency_or_by_who_confirmed_it() {
    let mut world = world();
    let council = world.add_client("council", client(1));
    let college = world.add_client("college", client(1));
    let sds = world.add_client("sds", client(1));
    let nothing = Err(Refusal::NotAvailable);
    assert_eq!(end(&mut world, "college", college, "college"), nothing);
    open(&mut world, "college", college).unwrap();
    assert_eq!(end(&mut world, "council", council, "college"), nothing);
    assert_eq!(end(&mut world, "college", college, "college"), Ok(Receipt::DONE));
    open(&mut world, "college", college).unwrap();
    confirm(&mut world, "council", council, "college").unwrap();
    assert_eq!(end(&mut world, "sds", sds, "college"), nothing);
    let before = world.state.chain().narrowings;
    assert_eq!(end(&mut world, "council", council, "college"), Ok(Receipt::DONE));
    assert!(before < world.state.chain().narrowings);
    assert!(!confirmed(&world, "college"));
    world.hold();
}
