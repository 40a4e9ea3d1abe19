//! Who may give a consent, and when it goes to review: the grantor follows the gate, and birthdays act on an idle exchange.

use concordat::{
    machine::{Outcome, Receipt, Refusal},
    model::id::AliasId,
    pb::ledger::v1::{
        self as pb, Authority, ClientView, Competence, Gate, Grantor, Mandate, Milestone,
        SchoolAge, command::Kind,
    },
};

use super::{
    consent::{act, given, open_to, refused, row, scope, world},
    world::{By, DAY_MS, World, consent_of, owned},
};

/// A month's milestone.
fn in_month(milestone: Milestone, month: u32) -> pb::ConsentReview {
    pb::ConsentReview { milestone: i32::from(milestone), month, day: 0 }
}

/// The leaving date of May 2027.
fn leaving() -> pb::ConsentReview {
    pb::ConsentReview { milestone: i32::from(Milestone::LeavingDate), month: 202_705, day: 31 }
}

/// The act of a parent whose authority was seen. Scripts begin on 3 August 2026.
fn parent(world: &World, age_years: u32, reviews: &[pb::ConsentReview]) -> pb::ConsentAct {
    pb::ConsentAct {
        grantor: i32::from(Grantor::Parent),
        authority: i32::from(Authority::Seen),
        age_years,
        reviews: reviews.to_vec(),
        ..act(world)
    }
}

/// The scope of a consent through a gate, to the recipient that waits for it.
fn through(alias: AliasId, gate: Gate) -> pb::ConsentScope {
    let statutory = gate == Gate::StatutoryConsent;
    let recipients = owned(&[if statutory { "charity" } else { "college" }]);
    pb::ConsentScope { gate: i32::from(gate), recipients, ..scope(alias) }
}

/// What becomes of a consent through a gate whose act was changed.
fn granted(
    gate: Gate,
    age_years: u32,
    change: impl FnOnce(&mut pb::ConsentAct),
) -> Option<Refusal> {
    let (mut world, alias) = world();
    let mut act = pb::ConsentAct { age_years, ..act(&world) };
    change(&mut act);
    world.apply("council", given(through(alias, gate), act)).err()
}

/// By somebody else, for whom every milestone that could be called for is stated.
fn by(grantor: Grantor, age_years: u32) -> impl Fn(&mut pb::ConsentAct) {
    move |act| {
        act.grantor = i32::from(grantor);
        act.authority = i32::from(Authority::Stated);
        act.view = i32::from(ClientView::Agrees);
        let month = |years: u32| (2026 + years - age_years) * 100 + 10;
        if age_years < 12 {
            act.reviews.push(in_month(Milestone::TwelfthBirthday, month(11)));
        }
        if age_years < 16 {
            act.reviews.push(in_month(Milestone::SixteenthBirthday, month(15)));
        }
        act.reviews.push(leaving());
    }
}

#[test]
fn the_client_speaks_from_12_and_the_presumption_is_rebutted_both_ways() {
    let data = Gate::DataProtectionConsent;
    let wrong = Some(Refusal::GrantorNotCompetent);
    let assessed =
        |found: Competence| move |act: &mut pb::ConsentAct| act.competence = found.into();
    assert_eq!(granted(data, 12, |_| {}), None);
    assert_eq!(granted(data, 11, |_| {}), wrong);
    assert_eq!(granted(data, 11, assessed(Competence::Competent)), None);
    assert_eq!(granted(data, 12, assessed(Competence::Incapable)), wrong);
    for grantor in [Grantor::Parent, Grantor::Representative] {
        assert_eq!(granted(data, 11, by(grantor, 11)), None);
        assert_eq!(granted(data, 12, by(grantor, 12)), wrong);
        let competent = |act: &mut pb::ConsentAct| {
            by(grantor, 11)(act);
            act.competence = Competence::Competent.into();
        };
        assert_eq!(granted(data, 11, competent), wrong);
        let incapable = |act: &mut pb::ConsentAct| {
            by(grantor, 12)(act);
            act.competence = Competence::Incapable.into();
        };
        assert_eq!(granted(data, 12, incapable), None);
    }
}

#[test]
fn under_the_2004_act_a_parent_consents_until_the_young_person_is_over_school_age() {
    let statute = Gate::StatutoryConsent;
    let wrong = Some(Refusal::GrantorNotCompetent);
    let over = |act: &mut pb::ConsentAct| act.school_age = SchoolAge::Over.into();
    assert_eq!(granted(statute, 15, |_| {}), wrong);
    assert_eq!(granted(statute, 15, over), None);
    assert_eq!(granted(statute, 16, |_| {}), None);
    assert_eq!(granted(statute, 15, by(Grantor::Parent, 15)), None);
    assert_eq!(granted(statute, 16, by(Grantor::Parent, 16)), wrong);
    let over_age = |act: &mut pb::ConsentAct| {
        by(Grantor::Parent, 15)(act);
        over(act);
    };
    assert_eq!(granted(statute, 15, over_age), wrong);
    let unheard = |act: &mut pb::ConsentAct| {
        by(Grantor::Parent, 15)(act);
        act.view = ClientView::Unspecified.into();
    };
    assert_eq!(granted(statute, 15, unheard), Some(Refusal::ViewMissing));
    let competent = |act: &mut pb::ConsentAct| act.competence = Competence::Competent.into();
    assert_eq!(granted(statute, 15, competent), wrong);
}

#[test]
fn from_16_somebody_else_speaks_under_an_order_or_power_alone() {
    let data = Gate::DataProtectionConsent;
    let incapable = |mandate: Mandate| {
        move |act: &mut pb::ConsentAct| {
            act.grantor = Grantor::Representative.into();
            act.authority = Authority::Seen.into();
            act.competence = Competence::Incapable.into();
            act.mandate = mandate.into();
        }
    };
    let missing = Some(Refusal::MandateMissing);
    assert_eq!(granted(data, 16, incapable(Mandate::Unspecified)), missing);
    assert_eq!(granted(data, 16, incapable(Mandate::ParentalRights)), missing);
    assert_eq!(granted(data, 16, incapable(Mandate::GuardianshipOrder)), None);
    assert_eq!(granted(data, 40, incapable(Mandate::PowerOfAttorney)), None);
    assert_eq!(granted(data, 13, incapable(Mandate::CourtOrder)), None);
    // Before that rights will do, until the sixteenth birthday.
    let rights = incapable(Mandate::ParentalRights);
    assert_eq!(granted(data, 13, rights), Some(Refusal::ReviewMissing));
}

#[test]
fn authority_is_seen_or_stated_and_never_unknown() {
    let data = Gate::DataProtectionConsent;
    for (authority, refusal) in [
        (Authority::Seen, None),
        (Authority::Stated, None),
        (Authority::Unspecified, Some(Refusal::AuthorityMissing)),
        (Authority::NotKnown, Some(Refusal::AuthorityNotKnown)),
    ] {
        let change = |act: &mut pb::ConsentAct| {
            by(Grantor::Parent, 9)(act);
            act.authority = authority.into();
        };
        assert_eq!(granted(data, 9, change), refusal, "{authority:?}");
    }
    let (mut world, alias) = world();
    let unknown =
        pb::ConsentAct { authority: Authority::NotKnown.into(), ..parent(&world, 9, &[]) };
    let refusal = world.apply("council", refused(scope(alias), unknown));
    assert_eq!(refusal.err(), Some(Refusal::AuthorityNotKnown));
}

#[test]
fn a_milestone_is_stated_and_lies_where_the_age_allows() {
    let (data, statute) = (Gate::DataProtectionConsent, Gate::StatutoryConsent);
    let twelve = |month| in_month(Milestone::TwelfthBirthday, month);
    let sixteen = |month| in_month(Milestone::SixteenthBirthday, month);
    let missing = Some(Refusal::ReviewMissing);
    for (gate, age, reviews, refusal) in [
        (data, 11, vec![], missing),
        (data, 11, vec![sixteen(203_011)], missing),
        (data, 11, vec![twelve(202_608)], None),
        (data, 11, vec![twelve(202_708)], None),
        (data, 11, vec![twelve(202_709)], missing),
        (data, 11, vec![twelve(202_607)], missing),
        (statute, 15, vec![leaving()], missing),
        (statute, 15, vec![sixteen(202_701)], missing),
        (statute, 15, vec![leaving(), sixteen(202_701)], None),
        (statute, 15, vec![leaving(), sixteen(202_901)], missing),
        (data, 11, vec![twelve(202_701), twelve(202_702)], Some(Refusal::Malformed)),
    ] {
        let told = format!("{gate:?} {age} {reviews:?}");
        let change = |act: &mut pb::ConsentAct| {
            by(Grantor::Parent, age)(act);
            act.reviews = reviews;
        };
        assert_eq!(granted(gate, age, change), refusal, "{told}");
    }
}

#[test]
fn a_birthday_is_never_stated_by_its_day() {
    let birthday = pb::ConsentReview { day: 14, ..in_month(Milestone::TwelfthBirthday, 202_701) };
    let change = |act: &mut pb::ConsentAct| {
        by(Grantor::Parent, 11)(act);
        act.reviews = vec![birthday];
    };
    assert_eq!(granted(Gate::DataProtectionConsent, 11, change), Some(Refusal::Malformed));
}

#[test]
fn a_consent_recorded_after_the_milestone_is_for_whoever_speaks_now() {
    let (mut world, alias) = world();
    let past = parent(&world, 11, &[in_month(Milestone::TwelfthBirthday, 202_609)]);
    world.wait(40 * DAY_MS);
    let late = world.apply("council", given(through(alias, Gate::DataProtectionConsent), past));
    assert_eq!(late.err(), Some(Refusal::ReviewPast));
}

fn tick(world: &mut World) -> Outcome {
    world.apply(By::Node, Kind::Tick(pb::Tick {}))
}

#[test]
fn at_the_month_of_the_12th_birthday_a_parents_consent_goes_to_review_and_is_renewed() {
    let (mut world, alias) = world();
    let scope = through(alias, Gate::DataProtectionConsent);
    let by_parent = parent(&world, 11, &[in_month(Milestone::TwelfthBirthday, 202_609)]);
    let consent = consent_of(world.apply("council", given(scope.clone(), by_parent)));
    // 3 August and 28 days: the last of August.
    world.wait(28 * DAY_MS);
    assert_eq!(tick(&mut world), Ok(Receipt::DONE));
    assert_eq!(open_to(&world, "college").0, ["core"]);
    assert!(!row(&world, consent).ended);
    let narrowings = world.state.chain().narrowings;
    world.wait(DAY_MS);
    assert_eq!(tick(&mut world), Ok(Receipt::DONE));
    // It takes effect in the machine, at that very entry, and not only when somebody asks.
    assert!(narrowings < world.state.chain().narrowings && row(&world, consent).ended);
    assert!(world.state.indexes().consent_ends.is_empty());
    assert_eq!(open_to(&world, "college").1, ["CONSENT_IN_REVIEW", "CONSENT_MISSING"]);
    // It did not lapse: the client says the same, and it goes on.
    let own = pb::ConsentAct { age_years: 12, ..act(&world) };
    let renewal = pb::RecordConsent {
        scope: Some(scope),
        act: Some(own),
        renews: consent.as_bytes().to_vec().into(),
        ..pb::RecordConsent::default()
    };
    let renewed = consent_of(world.apply("council", Kind::RecordConsent(renewal)));
    assert_eq!(row(&world, renewed).renews, Some(consent));
    assert_eq!(open_to(&world, "college").0, ["core"]);
    world.hold();
}

#[test]
fn a_consent_of_the_very_month_holds_to_its_end() {
    let (mut world, alias) = world();
    let by_parent = parent(&world, 11, &[in_month(Milestone::TwelfthBirthday, 202_608)]);
    let scope = through(alias, Gate::DataProtectionConsent);
    let _consent = consent_of(world.apply("council", given(scope, by_parent)));
    assert_eq!(open_to(&world, "college").0, ["core"]);
    world.wait(29 * DAY_MS);
    assert_eq!(open_to(&world, "college").1, ["CONSENT_IN_REVIEW", "CONSENT_MISSING"]);
}

#[test]
fn the_earliest_of_leaving_date_16th_birthday_and_end_of_authority_comes_first() {
    let (mut world, alias) = world();
    let sixteen = in_month(Milestone::SixteenthBirthday, 202_706);
    let spoken = pb::ConsentAct {
        view: ClientView::Disagrees.into(),
        ..parent(&world, 15, &[leaving(), sixteen])
    };
    let scope = through(alias, Gate::StatutoryConsent);
    let consent = consent_of(world.apply("council", given(scope.clone(), spoken.clone())));
    // 2027-05-31T00:00:00Z.
    let review = row(&world, consent).review.map(|(at, milestone)| (at.millis(), milestone));
    assert_eq!(review, Some((1_811_721_600_000, i32::from(Milestone::LeavingDate))));
    let ends = world.now_ms() + 10 * DAY_MS;
    let ending = pb::ConsentAct { authority_ends_at_ms: ends, ..spoken.clone() };
    let consent = consent_of(world.apply("council", given(scope.clone(), ending)));
    let review = row(&world, consent).review.map(|(at, milestone)| (at.millis(), milestone));
    assert_eq!(review, Some((ends, i32::from(Milestone::AuthorityEnd))));
    let over = pb::ConsentAct { authority_ends_at_ms: world.now_ms(), ..spoken };
    let late = world.apply("council", given(scope, over));
    assert_eq!(late.err(), Some(Refusal::ReviewPast));
    world.wait(11 * DAY_MS);
    assert_eq!(open_to(&world, "charity").1, ["CONSENT_IN_REVIEW", "CONSENT_MISSING"]);
    world.hold();
}

#[test]
fn an_expiry_takes_effect_with_the_next_entry_whatever_it_is() {
    let (mut world, alias) = world();
    let record = pb::RecordConsent {
        scope: Some(scope(alias)),
        act: Some(act(&world)),
        expires_at_ms: world.now_ms() + DAY_MS,
        ..pb::RecordConsent::default()
    };
    let consent = consent_of(world.apply("council", Kind::RecordConsent(record)));
    world.wait(2 * DAY_MS);
    let narrowings = world.state.chain().narrowings;
    let _any = world.append(vec![0xff]);
    assert!(narrowings < world.state.chain().narrowings && row(&world, consent).ended);
    assert_eq!(open_to(&world, "college").1, ["CONSENT_EXPIRED", "CONSENT_MISSING"]);
    world.hold();
}

#[test]
fn a_renewal_is_of_the_same_recorder_client_and_records() {
    let (mut world, alias) = world();
    let college = world.add_client("college", super::world::client(1));
    let theirs = {
        let act = act(&world);
        consent_of(world.apply("college", given(scope(college), act)))
    };
    let renewing = |world: &World, renews: &[u8]| {
        Kind::RecordConsent(pb::RecordConsent {
            scope: Some(scope(alias)),
            act: Some(act(world)),
            renews: renews.to_vec().into(),
            ..pb::RecordConsent::default()
        })
    };
    for renews in [&theirs.as_bytes()[..], &[9; 16]] {
        let kind = renewing(&world, renews);
        assert_eq!(world.apply("council", kind).err(), Some(Refusal::ConsentUnknown));
    }
    let kind = renewing(&world, &[9; 15]);
    assert_eq!(world.apply("council", kind).err(), Some(Refusal::Malformed));
}
