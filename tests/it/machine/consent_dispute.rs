//! Those who speak for a client: with rights and without, and in dispute with each other.

use concordat::{
    machine::{Outcome, Receipt, Refusal, outcome::Remembered},
    model::{
        id::{AliasId, ConsentId, HolderId},
        limit,
    },
    pb::ledger::v1::{
        self as pb, Authority, ClientView, Competence, Grantor, Milestone, Resolution,
        ResolutionGround, Standing, command::Kind,
    },
};

use super::{
    consent::{act, given, open_to, refused, row, scope, withdrawn, world},
    world::{By, Signing, World, client, consent_of, owned},
};

fn holder(alias: AliasId, known: Option<HolderId>, standing: Standing) -> Kind {
    Kind::RecordHolder(pb::RecordHolder {
        client: alias.as_bytes().to_vec().into(),
        holder: known.map_or_else(Vec::new, |id| id.as_bytes().to_vec()).into(),
        standing: i32::from(standing),
    })
}

fn holder_of(outcome: Outcome) -> HolderId {
    match outcome {
        Ok(Receipt::Answer(Remembered::Holder(holder))) => holder,
        other => unreachable!("not about a person: {other:?}"),
    }
}

/// A person with rights, of the council's client 1.
fn person(world: &mut World, alias: AliasId) -> HolderId {
    holder_of(world.apply("council", holder(alias, None, Standing::HasRights)))
}

/// The act of a parent of a child of nine.
fn parent(world: &World, who: Option<HolderId>) -> pb::ConsentAct {
    let milestone = i32::from(Milestone::TwelfthBirthday);
    pb::ConsentAct {
        grantor: i32::from(Grantor::Parent),
        authority: i32::from(Authority::Seen),
        age_years: 9,
        holder: who.map_or_else(Vec::new, |id| id.as_bytes().to_vec()).into(),
        reviews: vec![pb::ConsentReview { milestone, month: 202_811, day: 0 }],
        ..act(world)
    }
}

fn college(alias: AliasId) -> pb::ConsentScope {
    pb::ConsentScope { recipients: owned(&["college"]), ..scope(alias) }
}

fn consents(world: &mut World, alias: AliasId, who: Option<HolderId>) -> ConsentId {
    let act = parent(world, who);
    consent_of(world.apply("council", given(college(alias), act)))
}

fn refuses(world: &mut World, alias: AliasId, who: Option<HolderId>) -> ConsentId {
    let act = parent(world, who);
    consent_of(world.apply("council", refused(college(alias), act)))
}

fn resolved(refusal: ConsentId, resolution: Resolution) -> Kind {
    Kind::ResolveConsent(pb::ResolveConsent {
        refusal: refusal.as_bytes().to_vec().into(),
        resolution: i32::from(resolution),
        ground: i32::from(ResolutionGround::BestInterests),
        view: i32::from(ClientView::Agrees),
    })
}

/// Why `core` does not go to the college; nothing if it does.
fn closed(world: &World) -> Option<&'static str> {
    let (open, withheld) = open_to(world, "college");
    if open == ["core"] { None } else { withheld.first().copied() }
}

#[test]
fn where_one_holder_grants_and_another_objects_nothing_leaves_until_the_owner_decides() {
    let (mut world, alias) = world();
    let (mother, father) = (person(&mut world, alias), person(&mut world, alias));
    consents(&mut world, alias, Some(mother));
    assert_eq!(closed(&world), None);
    let refusal = refuses(&mut world, alias, Some(father));
    assert_eq!(closed(&world), Some("CONSENT_CONTESTED"));
    // Saying it again does not outrank the other.
    consents(&mut world, alias, Some(mother));
    assert_eq!(closed(&world), Some("CONSENT_CONTESTED"));
    let upheld = world.apply("council", resolved(refusal, Resolution::Upheld));
    assert_eq!(consent_of(upheld), refusal);
    assert_eq!(closed(&world), Some("CONSENT_REFUSED"));
    consents(&mut world, alias, Some(mother));
    assert_eq!(closed(&world), Some("CONSENT_REFUSED"));
    let again = world.apply("council", resolved(refusal, Resolution::Upheld));
    assert_eq!(again, Err(Refusal::ResolutionState));
    let _aside = consent_of(world.apply("council", resolved(refusal, Resolution::SetAside)));
    assert_eq!(closed(&world), None);
    world.hold();
}

#[test]
fn an_objection_before_the_consent_counts_alike_and_ends_by_the_objectors_own_word() {
    let (mut world, alias) = world();
    let (mother, father) = (person(&mut world, alias), person(&mut world, alias));
    refuses(&mut world, alias, Some(father));
    assert_eq!(closed(&world), Some("CONSENT_REFUSED"));
    consents(&mut world, alias, Some(mother));
    assert_eq!(closed(&world), Some("CONSENT_CONTESTED"));
    consents(&mut world, alias, Some(father));
    assert_eq!(closed(&world), None);
    world.hold();
}

#[test]
fn the_clients_own_word_ends_a_dispute_of_others() {
    let (mut world, alias) = world();
    let (mother, father) = (person(&mut world, alias), person(&mut world, alias));
    consents(&mut world, alias, Some(mother));
    refuses(&mut world, alias, Some(father));
    let own = pb::ConsentAct {
        age_years: 9,
        competence: i32::from(Competence::Competent),
        ..act(&world)
    };
    let _own = consent_of(world.apply("council", given(college(alias), own.clone())));
    assert_eq!(closed(&world), None);
    let _own = consent_of(world.apply("council", refused(college(alias), own)));
    assert_eq!(closed(&world), Some("CONSENT_REFUSED"));
    world.hold();
}

#[test]
fn one_person_who_changes_their_mind_is_in_no_dispute() {
    for told_apart in [true, false] {
        let (mut world, alias) = world();
        let mother = person(&mut world, alias);
        let who = told_apart.then_some(mother);
        consents(&mut world, alias, who);
        refuses(&mut world, alias, who);
        assert_eq!(closed(&world), Some("CONSENT_REFUSED"));
        consents(&mut world, alias, who);
        assert_eq!(closed(&world), None);
    }
}

#[test]
fn two_agencies_that_tell_no_persons_apart_heard_two_persons() {
    let (mut world, alias) = world();
    let theirs = world.add_client("college", client(1));
    consents(&mut world, alias, None);
    let act = parent(&world, None);
    let refusal = consent_of(world.apply("college", refused(college(theirs), act)));
    assert_eq!(closed(&world), Some("CONSENT_CONTESTED"));
    // The owner of the records decides, whoever recorded it.
    let other = world.apply("college", resolved(refusal, Resolution::SetAside));
    assert_eq!(other, Err(Refusal::ConsentUnknown));
    let _aside = consent_of(world.apply("council", resolved(refusal, Resolution::SetAside)));
    assert_eq!(closed(&world), None);
    world.hold();
}

#[test]
fn a_person_without_rights_neither_grants_nor_refuses_and_what_they_granted_is_invalid() {
    let (mut world, alias) = world();
    let (mother, father) = (person(&mut world, alias), person(&mut world, alias));
    let granted = consents(&mut world, alias, Some(father));
    let narrowings = world.state.chain().narrowings;
    let without = holder(alias, Some(father), Standing::WithoutRights);
    assert_eq!(holder_of(world.apply("council", without)), father);
    assert!(narrowings < world.state.chain().narrowings);
    assert_eq!(closed(&world), Some("CONSENT_INVALID"));
    let act = parent(&world, Some(father));
    for kind in [given(college(alias), act.clone()), refused(college(alias), act)] {
        assert_eq!(world.apply("council", kind).err(), Some(Refusal::HolderWithoutRights));
    }
    // Rights that are found after all do not bring back what was invalid.
    let with = holder(alias, Some(father), Standing::HasRights);
    assert_eq!(holder_of(world.apply("council", with)), father);
    assert_eq!(closed(&world), Some("CONSENT_INVALID"));
    consents(&mut world, alias, Some(mother));
    assert_eq!(closed(&world), None);
    assert!(row(&world, granted).invalid.is_some());
    world.hold();
}

#[test]
fn a_person_is_the_recorders_own_and_of_one_client() {
    let (mut world, alias) = world();
    let mother = person(&mut world, alias);
    let second = world.add_client("council", client(2));
    let theirs = world.add_client("college", client(1));
    let act = parent(&world, Some(mother));
    let elsewhere = world.apply("council", given(college(second), act.clone()));
    assert_eq!(elsewhere.err(), Some(Refusal::NotAvailable));
    let foreign = world.apply("college", given(college(theirs), act));
    assert_eq!(foreign.err(), Some(Refusal::NotAvailable));
    let without = |alias| holder(alias, Some(mother), Standing::WithoutRights);
    assert_eq!(world.apply("college", without(theirs)), Err(Refusal::NotAvailable));
    assert_eq!(world.apply("council", without(second)), Err(Refusal::NotAvailable));
    assert_eq!(world.apply("stranger", without(alias)), Err(Refusal::NotAvailable));
    assert_eq!(world.apply(By::Operator, without(alias)), Err(Refusal::ActorNotPermitted));
    let request = world.request_id();
    let bare = world.apply_as("council", request, Signing::Not, without(alias));
    assert_eq!(bare, Err(Refusal::SignatureMissing));
}

#[test]
fn persons_of_one_recorder_are_limited() {
    let (mut world, alias) = world();
    for _ in 0..limit::HOLDERS_PER_CLIENT_MAX {
        person(&mut world, alias);
    }
    let more = world.apply("council", holder(alias, None, Standing::HasRights));
    assert_eq!(more, Err(Refusal::LimitReached));
    let theirs = world.add_client("college", client(1));
    let more = holder(theirs, None, Standing::HasRights);
    assert!(world.apply("college", more).is_ok());
}

#[test]
fn the_owner_decides_about_refusals_in_a_clients_name_alone_and_signs() {
    let (mut world, alias) = world();
    let mother = person(&mut world, alias);
    let granted = consents(&mut world, alias, Some(mother));
    let own = act(&world);
    let refusal = consent_of(world.apply("council", refused(college(alias), own)));
    for word in [granted, refusal] {
        let outcome = world.apply("council", resolved(word, Resolution::SetAside));
        assert_eq!(outcome, Err(Refusal::ResolutionState));
    }
    let nobodys = resolved(ConsentId::from_bytes([9; 16]), Resolution::SetAside);
    assert_eq!(world.apply("council", nobodys.clone()), Err(Refusal::ConsentUnknown));
    let request = world.request_id();
    let bare = world.apply_as("council", request, Signing::Not, nobodys);
    assert_eq!(bare, Err(Refusal::SignatureMissing));
    let refusal = refuses(&mut world, alias, None);
    let Kind::ResolveConsent(whole) = resolved(refusal, Resolution::SetAside) else {
        unreachable!("a decision about a refusal")
    };
    let unheard = pb::ResolveConsent { view: 0, ..whole };
    let outcome = world.apply("council", Kind::ResolveConsent(unheard));
    assert_eq!(outcome, Err(Refusal::Malformed));
}

#[test]
fn a_withdrawn_consent_is_in_no_dispute() {
    let (mut world, alias) = world();
    let (mother, father) = (person(&mut world, alias), person(&mut world, alias));
    let granted = consents(&mut world, alias, Some(mother));
    refuses(&mut world, alias, Some(father));
    assert_eq!(world.apply("college", withdrawn(granted, &[])), Ok(Receipt::DONE));
    assert_eq!(closed(&world), Some("CONSENT_WITHDRAWN"));
    world.hold();
}
