//! Consents: recorded only where a flow waits for one, given by who may give it, withdrawn by one call.

use concordat::{
    machine::{Receipt, Refusal, access, state::consent::Consent},
    model::{
        id::{AliasId, ConsentId},
        limit,
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::{self as pb, Authority, ConsentMethod, Gate, Grantor, command::Kind},
};

use super::world::{
    By, DAY_MS, LEAVER_FORM, Signing, World, client, consent_of, consented_flow, digest, flow,
    owned, statutory_flow, suspension,
};

/// A world in which the council's leaver forms go to the college and the health board on data protection consent, to the
/// charity on statutory consent, and to SDS without any. The council, college and health board know client 1.
pub(super) fn world() -> (World, AliasId) {
    let mut world = World::of_partners();
    let flows = vec![
        consented_flow("asked", "council", &["college", "health"]),
        statutory_flow("statutory", "council", &["charity"]),
        flow("duty", "council", &["sds"]),
    ];
    let content = world.content(&["council", "sds", "college", "health", "charity"], flows);
    world.activate("leavers", content);
    let alias = world.add_client("council", client(1));
    (world, alias)
}

pub(super) fn scope(alias: AliasId) -> pb::ConsentScope {
    pb::ConsentScope {
        client: alias.as_bytes().to_vec().into(),
        publisher: "council".to_owned(),
        record_type: LEAVER_FORM.to_owned(),
        groups: owned(&["core"]),
        recipients: owned(&["college", "health"]),
        gate: i32::from(Gate::DataProtectionConsent),
        ..pb::ConsentScope::default()
    }
}

pub(super) fn act(world: &World) -> pb::ConsentAct {
    pb::ConsentAct {
        grantor: i32::from(Grantor::Self_),
        authority: i32::from(Authority::Unspecified),
        age_years: 15,
        method: i32::from(ConsentMethod::Form),
        given_at_ms: world.now_ms(),
        notice_digest: digest("the privacy notice"),
        ..pb::ConsentAct::default()
    }
}

pub(super) fn given(scope: pb::ConsentScope, act: pb::ConsentAct) -> Kind {
    Kind::RecordConsent(pb::RecordConsent {
        scope: Some(scope),
        act: Some(act),
        expires_at_ms: 0,
        ..pb::RecordConsent::default()
    })
}

pub(super) fn refused(scope: pb::ConsentScope, act: pb::ConsentAct) -> Kind {
    Kind::RefuseConsent(pb::RefuseConsent { scope: Some(scope), act: Some(act) })
}

pub(super) fn withdrawn(consent: ConsentId, recipients: &[&str]) -> Kind {
    Kind::WithdrawConsent(pb::WithdrawConsent {
        consent: consent.as_bytes().to_vec().into(),
        recipients: owned(recipients),
        ..pb::WithdrawConsent::default()
    })
}

/// Withdraws some groups for some recipients.
fn withdrawn_in_part(consent: ConsentId, recipients: &[&str], groups: &[&str]) -> Kind {
    Kind::WithdrawConsent(pb::WithdrawConsent {
        consent: consent.as_bytes().to_vec().into(),
        recipients: owned(recipients),
        groups: owned(groups),
        recall: false,
    })
}

pub(super) fn row(world: &World, consent: ConsentId) -> Consent {
    world.state.tables().consents.get(&consent).unwrap().clone()
}

/// The refusal of recording a consent whose scope was changed.
fn scoped(change: impl FnOnce(&mut pb::ConsentScope)) -> Option<Refusal> {
    let (mut world, alias) = world();
    let mut scope = scope(alias);
    change(&mut scope);
    let act = act(&world);
    world.apply("council", given(scope, act)).err()
}

#[test]
fn a_consent_stands_as_it_was_recorded() {
    let (mut world, alias) = world();
    let act = act(&world);
    let given_at_ms = act.given_at_ms;
    let consent = consent_of(world.apply("council", given(scope(alias), act)));
    let row = row(&world, consent);
    assert!(row.given && row.withdrawals.is_empty() && row.expires_at.is_none());
    assert_eq!((row.client, row.act.age_years), (client(1), 15));
    assert_eq!((row.recipients.len(), row.act.given_at.millis()), (2, given_at_ms));
    assert_eq!(row.position.next(), world.state.chain().next);
    world.hold();
}

#[test]
fn a_repeated_consent_is_recorded_once() {
    let (mut world, alias) = world();
    let request = world.request_id();
    let kind = given(scope(alias), act(&world));
    let first = world.apply_as("council", request, Signing::Own, kind.clone());
    assert_eq!(world.apply_as("council", request, Signing::Own, kind), first);
    assert_eq!(world.state.consents_of(client(1)).count(), 1);
}

#[test]
fn consent_is_not_asked_where_no_flow_waits_for_it() {
    let sham = Some(Refusal::ConsentNotAsked);
    assert_eq!(scoped(|_| {}), None);
    assert_eq!(scoped(|scope| scope.recipients = owned(&["sds"])), sham);
    assert_eq!(scoped(|scope| scope.recipients = owned(&["college", "sds"])), sham);
    assert_eq!(scoped(|scope| scope.recipients = owned(&["stranger"])), sham);
    assert_eq!(scoped(|scope| scope.recipients = owned(&["nobody"])), sham);
    assert_eq!(scoped(|scope| scope.gate = i32::from(Gate::StatutoryConsent)), sham);
    assert_eq!(scoped(|scope| scope.gate = i32::from(Gate::Confidentiality)), sham);
    assert_eq!(scoped(|scope| scope.publisher = "college".to_owned()), sham);
    assert_eq!(scoped(|scope| scope.publisher = "nobody".to_owned()), sham);
    assert_eq!(scoped(|scope| scope.record_type = "nothing".to_owned()), sham);
    assert_eq!(scoped(|scope| scope.groups = owned(&["destination"])), sham);
    assert_eq!(scoped(|scope| scope.groups = owned(&["core", "destination"])), sham);
    assert_eq!(scoped(|scope| scope.groups = owned(&["nothing"])), sham);
    assert_eq!(scoped(|scope| scope.groups = owned(&["core", "support-needs"])), None);
    let malformed = Some(Refusal::Malformed);
    assert_eq!(scoped(|scope| scope.gate = i32::from(Gate::None)), malformed);
    assert_eq!(scoped(|scope| scope.recipients.clear()), malformed);
    assert_eq!(scoped(|scope| scope.groups.clear()), malformed);
}

#[test]
fn consent_is_not_asked_while_the_flows_are_suspended_or_over() {
    let (mut world, alias) = world();
    world.apply("college", suspension("leavers")).unwrap();
    let act = act(&world);
    let kind = given(scope(alias), act.clone());
    assert_eq!(world.apply("council", kind).err(), Some(Refusal::ConsentNotAsked));
    let health = pb::ConsentScope { recipients: owned(&["health"]), ..scope(alias) };
    assert!(world.apply("council", given(health.clone(), act.clone())).is_ok());
    assert!(world.apply("council", refused(scope(alias), act.clone())).is_ok());
    let end = pb::EndAgreement { agreement: "leavers".to_owned() };
    world.apply("college", Kind::EndAgreement(end)).unwrap();
    let over = world.apply("council", given(health, act.clone()));
    assert_eq!(over.err(), Some(Refusal::ConsentNotAsked));
    let over = world.apply("council", refused(scope(alias), act));
    assert_eq!(over.err(), Some(Refusal::ConsentNotAsked));
}

#[test]
fn the_publisher_or_a_recipient_that_knows_the_client_records() {
    let (mut world, alias) = world();
    let act = act(&world);
    let college = world.add_client("college", client(1));
    let charity = world.add_client("charity", client(1));
    assert!(world.apply("college", given(scope(college), act.clone())).is_ok());
    let third = world.apply("charity", given(scope(charity), act.clone()));
    assert_eq!(third.err(), Some(Refusal::ConsentNotAsked));
    let unknown = world.apply("health", given(scope(alias), act.clone()));
    assert_eq!(unknown.err(), Some(Refusal::NotAvailable));
    let operator = world.apply(By::Operator, given(scope(alias), act.clone()));
    assert_eq!(operator.err(), Some(Refusal::ActorNotPermitted));
    let operator = world.apply(By::Operator, refused(scope(alias), act.clone()));
    assert_eq!(operator.err(), Some(Refusal::ActorNotPermitted));
    let request = world.request_id();
    let bare = world.apply_as("council", request, Signing::Not, given(scope(alias), act));
    assert_eq!(bare.err(), Some(Refusal::SignatureMissing));
}

#[test]
fn a_client_refuses_at_any_age() {
    let (mut world, alias) = world();
    let act = pb::ConsentAct { age_years: 7, ..act(&world) };
    let refusal = consent_of(world.apply("council", refused(scope(alias), act)));
    assert!(!row(&world, refusal).given);
}

#[test]
fn a_consent_is_given_in_the_past_and_ends_in_the_future() {
    let (mut world, alias) = world();
    let now = world.now_ms();
    for (given_at_ms, expires_at_ms, fits) in [
        (now, 0, true),
        (now - DAY_MS, now + DAY_MS, true),
        (now + DAY_MS, 0, false),
        (now - DAY_MS, now, false),
        (631_151_999_999, 0, false),
        (631_152_000_000, 0, true),
    ] {
        let record = pb::RecordConsent {
            scope: Some(scope(alias)),
            act: Some(pb::ConsentAct { given_at_ms, ..act(&world) }),
            expires_at_ms,
            ..pb::RecordConsent::default()
        };
        let outcome = world.apply("council", Kind::RecordConsent(record));
        let refusal = (!fits).then_some(Refusal::ConsentDatesInvalid);
        assert_eq!(outcome.err(), refusal, "{given_at_ms} {expires_at_ms}");
    }
}

#[test]
fn a_withdrawal_stops_all_or_some_recipients_and_keeps_its_first_place() {
    let (mut world, alias) = world();
    let act = act(&world);
    let consent = consent_of(world.apply("council", given(scope(alias), act)));
    let before = world.state.chain().narrowings;
    let place = world.state.chain().next;
    assert_eq!(world.apply("council", withdrawn(consent, &["college"])), Ok(Receipt::DONE));
    assert!(before < world.state.chain().narrowings);
    assert_eq!(row(&world, consent).withdrawals.len(), 1);
    assert_eq!(world.apply("council", withdrawn(consent, &[])), Ok(Receipt::DONE));
    let row = row(&world, consent);
    let places: Vec<Position> = row.withdrawals.iter().map(|row| row.position).collect();
    assert_eq!(places, [place, place.next()]);
    let again = world.apply("college", withdrawn(consent, &[]));
    assert_eq!(again, Err(Refusal::ConsentState));
    world.hold();
}

#[test]
fn a_withdrawal_is_for_agencies_that_the_consent_names() {
    let (mut world, alias) = world();
    let college = world.add_client("college", client(1));
    let act = act(&world);
    let consent = consent_of(world.apply("college", given(scope(college), act.clone())));
    let unknown = Err(Refusal::ConsentUnknown);
    for stranger in ["sds", "charity", "stranger"] {
        assert_eq!(world.apply(stranger, withdrawn(consent, &[])), unknown);
    }
    assert_eq!(world.apply("college", withdrawn(consent, &["sds"])), unknown);
    assert_eq!(world.apply("college", withdrawn(consent, &["nobody"])), unknown);
    let other = ConsentId::from_bytes([9; 16]);
    assert_eq!(world.apply("college", withdrawn(other, &[])), unknown);
    let operator = world.apply(By::Operator, withdrawn(consent, &[]));
    assert_eq!(operator, Err(Refusal::ActorNotPermitted));
    for named in ["council", "health", "college"] {
        let act = act.clone();
        let consent = consent_of(world.apply("college", given(scope(college), act)));
        assert_eq!(world.apply(named, withdrawn(consent, &[])), Ok(Receipt::DONE), "{named}");
    }
    let refusal = consent_of(world.apply("council", refused(scope(alias), act)));
    assert_eq!(world.apply("council", withdrawn(refusal, &[])), unknown);
}

#[test]
fn consents_of_one_recorder_are_limited_and_refusals_and_withdrawals_are_not() {
    let (mut world, alias) = world();
    let mut first = None;
    for _ in 0..limit::CONSENTS_PER_CLIENT_MAX {
        let act = act(&world);
        let consent = consent_of(world.apply("council", given(scope(alias), act)));
        first = first.or(Some(consent));
    }
    let act = act(&world);
    let more = world.apply("council", given(scope(alias), act.clone()));
    assert_eq!(more.err(), Some(Refusal::LimitReached));
    let college = world.add_client("college", client(1));
    assert!(world.apply("college", given(scope(college), act.clone())).is_ok());
    assert!(world.apply("council", refused(scope(alias), act)).is_ok());
    assert_eq!(world.apply("council", withdrawn(first.unwrap(), &[])), Ok(Receipt::DONE));
}

/// The groups of leaver forms of client 1 that an agency may have, and why the others are withheld.
pub(super) fn open_to(world: &World, recipient: &str) -> (Vec<String>, Vec<&'static str>) {
    let state = &world.state;
    let number = |id: &str| state.agency_number(&id.parse().unwrap()).unwrap();
    let record_type = state.type_number(&LEAVER_FORM.parse().unwrap()).unwrap();
    let known = state.record_type(record_type).unwrap();
    let names: Vec<_> = ["core", "support-needs"].map(|name| name.parse().unwrap()).into();
    let question = access::Question {
        publisher: number("council"),
        recipient: number(recipient),
        record_type,
        client: client(1),
        groups: known.set_of(&names).unwrap(),
        published: state.chain().next,
        purpose: i32::from(pb::Purpose::SchoolLeaverTransition),
        now: UnixMillis::new(world.now_ms()),
    };
    let decision = access::decide(state, &question);
    let open = known.names_of(decision.groups()).iter().map(ToString::to_string).collect();
    (open, decision.withheld.iter().map(|withheld| withheld.reason.code()).collect())
}

#[test]
fn a_withdrawal_of_one_group_for_one_recipient_leaves_the_others() {
    let (mut world, alias) = world();
    let act = act(&world);
    let scope = pb::ConsentScope { groups: owned(&["core", "support-needs"]), ..scope(alias) };
    let consent = consent_of(world.apply("council", given(scope, act)));
    assert_eq!(open_to(&world, "college").0, ["core", "support-needs"]);
    let part = withdrawn_in_part(consent, &["college"], &["support-needs"]);
    assert_eq!(world.apply("health", part.clone()), Ok(Receipt::DONE));
    assert_eq!(open_to(&world, "college"), (owned(&["core"]), vec!["CONSENT_WITHDRAWN"]));
    assert_eq!(open_to(&world, "health").0, ["core", "support-needs"]);
    assert_eq!(world.apply("council", part), Err(Refusal::ConsentState));
    let foreign = withdrawn_in_part(consent, &[], &["destination"]);
    assert_eq!(world.apply("council", foreign), Err(Refusal::ConsentUnknown));
    let nowhere = withdrawn_in_part(consent, &[], &["nothing"]);
    assert_eq!(world.apply("council", nowhere), Err(Refusal::ConsentUnknown));
    assert_eq!(world.apply("council", withdrawn(consent, &["college"])), Ok(Receipt::DONE));
    assert_eq!(open_to(&world, "college").1, ["CONSENT_WITHDRAWN", "CONSENT_WITHDRAWN"]);
    let by: Vec<_> = row(&world, consent).withdrawals.iter().map(|row| row.by).collect();
    let number = |id: &str| world.state.agency_number(&id.parse().unwrap()).unwrap();
    assert_eq!(by, [number("health"), number("council")]);
    world.hold();
}

#[test]
fn a_consent_opens_flows_of_its_purposes_only() {
    let (mut world, alias) = world();
    let named = |purpose| pb::ConsentScope { purposes: vec![i32::from(purpose)], ..scope(alias) };
    let act = act(&world);
    let other = given(named(pb::Purpose::Administration), act.clone());
    assert_eq!(world.apply("council", other).err(), Some(Refusal::ConsentNotAsked));
    let own = given(named(pb::Purpose::SchoolLeaverTransition), act);
    let consent = consent_of(world.apply("council", own));
    let purposes: Vec<_> = row(&world, consent).purposes.into_iter().collect();
    assert_eq!(purposes, [i32::from(pb::Purpose::SchoolLeaverTransition)]);
    assert_eq!(open_to(&world, "college").0, ["core"]);
    world.hold();
}

#[test]
fn a_later_party_or_agreement_is_not_what_was_consented_to() {
    let (mut world, alias) = world();
    let act = act(&world);
    let _consent = consent_of(world.apply("council", given(scope(alias), act)));
    let flows = vec![consented_flow("later", "council", &["charity"])];
    let content = world.content(&["council", "charity"], flows);
    world.activate("later", content);
    assert_eq!(open_to(&world, "charity").1, ["CONSENT_MISSING", "CONSENT_MISSING"]);
    world.hold();
}
