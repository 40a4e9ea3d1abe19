//! What time does to an agreement: warnings, the end, flows for safeguarding that outlast it, and notices that go.

use concordat::{
    machine::{
        read::{self, agreement::Stands},
        state::{agreement::Status, notice::AgreementEvent},
    },
    model::limit,
    pb::ledger::v1::{self as pb, command::Kind},
};

use super::{
    agreement_course::{LEAVERS, leavers, open, stands, tick, told, viewer},
    world::{DAY_MS, World, flow, suspension},
};

#[test]
fn parties_are_warned_before_review_and_end_and_told_of_both() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    let review_days = 180;
    world.activate(LEAVERS, content);
    let begun = told(&world, "council").len();
    let mut seen = Vec::new();
    for day in 1..=366 {
        world.wait(DAY_MS - 1_000);
        tick(&mut world);
        for (version, event, by) in told(&world, "council").into_iter().skip(begun + seen.len()) {
            assert_eq!((version, by), (1, None));
            seen.push((day, event));
        }
    }
    let expected = [
        (review_days - 90, AgreementEvent::ReviewNear(90)),
        (review_days - 30, AgreementEvent::ReviewNear(30)),
        (review_days - 7, AgreementEvent::ReviewNear(7)),
        (review_days, AgreementEvent::ReviewDue),
        (365 - 90, AgreementEvent::ExpiryNear(90)),
        (365 - 30, AgreementEvent::ExpiryNear(30)),
        (365 - 7, AgreementEvent::ExpiryNear(7)),
        (365, AgreementEvent::Expired),
    ];
    assert_eq!(seen, expected);
    assert_eq!(world.status(LEAVERS), Some(Status::Ended));
    assert!(world.state.indexes().agreement_deadlines.is_empty());
    world.hold();
}

#[test]
fn deadlines_that_are_past_when_a_version_becomes_active_are_not_told() {
    let mut world = World::of_partners();
    let mut content = leavers(&world);
    content.expires_at_ms = world.now_ms() + 20 * DAY_MS;
    content.terms.as_mut().unwrap().review_at_ms = content.expires_at_ms;
    world.activate(LEAVERS, content);
    world.wait(30 * DAY_MS);
    tick(&mut world);
    let events: Vec<_> = told(&world, "sds").into_iter().map(|(_, event, _)| event).collect();
    let near = |event: &&AgreementEvent| {
        matches!(event, AgreementEvent::ReviewNear(_) | AgreementEvent::ExpiryNear(_))
    };
    let near: Vec<_> = events.iter().filter(near).collect();
    assert_eq!(near, [&AgreementEvent::ReviewNear(7), &AgreementEvent::ExpiryNear(7)]);
}

#[test]
fn flows_for_safeguarding_go_on_for_ninety_days_where_the_agreement_says_so() {
    let mut world = World::of_partners();
    let kept = pb::Flow { safeguarding: true, ..flow("kept", "council", &["sds"]) };
    let flows = vec![kept, flow("other", "council", &["college"])];
    let mut content = world.content(&["council", "sds", "college"], flows);
    let terms = content.terms.as_mut().unwrap();
    terms.at_expiry = i32::from(pb::AtExpiry::SafeguardingGoesOn);
    world.activate(LEAVERS, content);
    let published = world.state.chain().next;
    world.wait(366 * DAY_MS);
    assert_eq!(open(&world, "sds", published), ["core"]);
    assert_eq!(open(&world, "college", published), Vec::<String>::new());
    tick(&mut world);
    assert_eq!(stands(&world, "sds", 1), Some(Stands::Expired));
    assert_eq!(world.status(LEAVERS), Some(Status::Active));
    assert_eq!(open(&world, "sds", published), ["core"]);
    world.wait(90 * DAY_MS);
    assert_eq!(open(&world, "sds", published), Vec::<String>::new());
    tick(&mut world);
    assert_eq!(world.status(LEAVERS), Some(Status::Ended));
    let events: Vec<_> = told(&world, "sds").into_iter().map(|(_, event, _)| event).collect();
    let last = [AgreementEvent::Expired, AgreementEvent::SafeguardingEnded];
    assert!(events.ends_with(&last), "{events:?}");
    world.hold();
}

#[test]
fn the_oldest_notices_go_first_and_numbers_only_grow() {
    let mut world = World::of_partners();
    let content = leavers(&world);
    world.activate(LEAVERS, content);
    let resume = || Kind::ResumeFlows(pb::ResumeFlows { agreement: LEAVERS.to_owned() });
    for _ in 0..=limit::NOTICES_MAX / 2 {
        world.apply("sds", suspension(LEAVERS)).unwrap();
        world.apply("sds", resume()).unwrap();
    }
    let page = read::notice::list(&world.state, viewer(&world, "council"), 0, usize::MAX);
    assert_eq!(page.rows.len(), limit::NOTICES_MAX);
    let numbers: Vec<u64> = page.rows.iter().map(|view| view.number).collect();
    assert!(numbers.is_sorted() && 1 < numbers[0]);
    let last = *numbers.last().unwrap();
    let rest = read::notice::list(&world.state, viewer(&world, "council"), last - 1, 10);
    assert_eq!(rest.rows.len(), 1);
    world.hold();
}
