//! Flows that only a named member of staff may read, agreements whose review was missed, and whom a withdrawal is told.

use concordat::{
    machine::{
        Outcome, Receipt, Refusal, Released,
        read::offers,
        state::{agreement::Status, notice::About},
    },
    model::{
        id::{AliasId, RecordId},
        order::UnixMillis,
    },
    pb::ledger::v1::{self as pb, Purpose, ReadReason, StaffOffice, VersionChange, command::Kind},
};
use prost::Message;

use super::{
    recall::Sharing,
    world::{By, LEAVER_FORM, Signing, World, client, digest, flow, owned},
};

/// The council sends `core` to the health board, for named staff only, and to SDS.
struct Desk {
    world: World,
    alias: AliasId,
    record: RecordId,
}

impl Desk {
    fn new() -> Self {
        Self::with(Vec::new())
    }

    /// With further flows, after the one for named staff.
    fn with(further: Vec<pb::Flow>) -> Self {
        let mut world = World::of_partners();
        let named = pb::Flow { named_actor: true, ..flow("named", "council", &["health"]) };
        let flows = [vec![flow("duty", "council", &["sds"]), named], further].concat();
        let content = world.content(&["council", "sds", "health"], flows);
        world.activate("desk", content);
        let alias = world.add_client("council", client(1));
        let open = pb::OpenKey {
            key: vec![3; 16].into(),
            client: client(1).as_bytes().to_vec().into(),
            agency: "council".to_owned(),
            disposal_class: i32::from(pb::DisposalClass::Record),
            ..pb::OpenKey::default()
        };
        world.apply(By::Node, Kind::OpenKey(open)).unwrap();
        let mut desk = Self { world, alias, record: RecordId::from_bytes([0; 16]) };
        for name in ["sds", "health"] {
            let (subscription, record_types) = ("first".to_owned(), owned(&[LEAVER_FORM]));
            let create = pb::CreateSubscription { subscription, record_types };
            desk.act((name, true), Kind::CreateSubscription(create)).unwrap();
        }
        desk.record = desk.publish();
        desk
    }

    /// The council publishes one more record about the client.
    fn publish(&mut self) -> RecordId {
        let publish = pb::PublishRecord {
            record_type: LEAVER_FORM.to_owned(),
            type_version: 1,
            code_lists: "2026-11-01".to_owned(),
            client: self.alias.as_bytes().to_vec().into(),
            groups: owned(&["core"]),
            content_mac: digest("content"),
            key: vec![3; 16].into(),
            ..pb::PublishRecord::default()
        };
        match self.act(("council", true), Kind::PublishRecord(publish)) {
            Ok(Receipt::Published { record, .. }) => record,
            other => unreachable!("{other:?}"),
        }
    }

    fn act(&mut self, (by, unattended): (&str, bool), kind: Kind) -> Outcome {
        let request = self.world.request_id();
        let mut command = self.world.command(By::Agency(by), request, Signing::Own, kind);
        command.purpose = i32::from(Purpose::SchoolLeaverTransition);
        if let Some(actor) = &mut command.actor {
            actor.unattended = unattended;
        }
        self.world.append(command.encode_to_vec())
    }

    /// A reader begins, and releases what the node would; how many records.
    fn pull(&mut self, by: (&str, bool)) -> usize {
        self.release(by).len()
    }

    /// A reader begins, and releases what the node would.
    fn release(&mut self, by: (&str, bool)) -> Vec<Released> {
        let subscription = "first".to_owned();
        let seek = pb::SeekSubscription { subscription: subscription.clone(), after_delivery: 0 };
        self.act(by, Kind::SeekSubscription(seek)).unwrap();
        while !self.world.state.tables().sweeps.is_empty() {
            let step = Kind::ContinueSweep(pb::ContinueSweep {});
            self.world.apply(By::Node, step).unwrap();
        }
        let state = &self.world.state;
        let agency = state.agency_number(&by.0.parse().unwrap()).unwrap();
        let number = state.subscription_number(agency, &"first".parse().unwrap()).unwrap();
        let now = UnixMillis::new(self.world.now_ms());
        let found = offers::candidates(state, number, now, 8);
        if found.lines.is_empty() {
            return Vec::new();
        }
        let (first_delivery, lines) = (found.first_delivery, found.lines);
        let agency = by.0.to_owned();
        let release = pb::ReleaseRecords { agency, subscription, first_delivery, lines };
        match self.world.apply(By::Node, Kind::ReleaseRecords(release)) {
            Ok(Receipt::Released(lines)) => lines,
            other => unreachable!("not released: {other:?}"),
        }
    }

    fn open(&mut self, by: (&str, bool)) -> Outcome {
        let grants = self.grants(by);
        let record = self.record.as_bytes().to_vec().into();
        let reason = i32::from(ReadReason::Service);
        self.act(by, Kind::OpenRecord(pb::OpenRecord { record, reason, grants, office: 0 }))
    }

    /// On what the node would propose to open the record.
    fn grants(&self, (by, unattended): (&str, bool)) -> Vec<pb::Grant> {
        let state = &self.world.state;
        let reader = state.agency_number(&by.parse().unwrap()).unwrap();
        let why = (Purpose::SchoolLeaverTransition, unattended);
        let now = UnixMillis::new(self.world.now_ms());
        offers::grants_to_open(state, self.record, reader, why, now)
    }
}

#[test]
fn what_another_flow_shares_reaches_a_system_although_one_is_for_named_staff() {
    let mut desk = Desk::with(vec![flow("plain", "council", &["health"])]);
    let flows = |grants: Vec<pb::Grant>| grants.into_iter().map(|grant| grant.flow).collect();
    let unattended: Vec<String> = flows(desk.grants(("health", true)));
    let attended: Vec<String> = flows(desk.grants(("health", false)));
    assert_eq!((unattended, attended), (owned(&["plain"]), owned(&["named"])));
    assert_eq!(desk.pull(("health", true)), 1);
}

#[test]
fn what_leaves_to_a_system_stops_with_its_flow_although_named_staff_could_have_it() {
    for unattended in [true, false] {
        let mut desk = Desk::new();
        let content =
            desk.world.content(&["council", "health"], vec![flow("plain", "council", &["health"])]);
        desk.world.activate("another", content);
        // What was published before that agreement does not flow by it.
        let again = desk.publish();
        let lines = desk.release(("health", unattended));
        let line = lines.iter().find(|line| line.record() == again).unwrap();
        let now = UnixMillis::new(desk.world.now_ms());
        assert!(line.may_leave(&desk.world.state, now));
        let reason = i32::from(pb::SuspendReason::Incident);
        let suspend = pb::SuspendFlows { agreement: "another".to_owned(), reason };
        desk.act(("council", true), Kind::SuspendFlows(suspend)).unwrap();
        assert_eq!(line.may_leave(&desk.world.state, now), !unattended);
        desk.world.hold();
    }
}

#[test]
fn what_is_for_named_staff_waits_for_a_person_and_is_not_lost() {
    let mut desk = Desk::new();
    assert_eq!(desk.pull(("sds", true)), 1);
    assert_eq!(desk.pull(("health", true)), 0);
    assert_eq!(desk.pull(("health", true)), 0);
    assert_eq!(desk.pull(("health", false)), 1);
    desk.world.hold();
}

#[test]
fn a_system_is_told_that_a_person_must_stand_by_and_only_about_what_it_was_sent() {
    let mut desk = Desk::new();
    // Nothing was sent yet: nothing is known to it.
    assert_eq!(desk.open(("health", true)), Err(Refusal::NotAvailable));
    assert_eq!(desk.pull(("health", false)), 1);
    assert_eq!(desk.open(("health", true)), Err(Refusal::NamedActorMissing));
    assert!(matches!(desk.open(("health", false)), Ok(Receipt::Opened(_))));
    desk.world.hold();
}

#[test]
fn a_line_that_was_proposed_for_a_person_is_struck_when_a_system_has_taken_over() {
    let mut desk = Desk::new();
    let seek = || {
        let subscription = "first".to_owned();
        Kind::SeekSubscription(pb::SeekSubscription { subscription, after_delivery: 0 })
    };
    desk.act(("health", false), seek()).unwrap();
    while !desk.world.state.tables().sweeps.is_empty() {
        desk.world.apply(By::Node, Kind::ContinueSweep(pb::ContinueSweep {})).unwrap();
    }
    let health = desk.world.state.agency_number(&"health".parse().unwrap()).unwrap();
    let number = desk.world.state.subscription_number(health, &"first".parse().unwrap()).unwrap();
    let now = UnixMillis::new(desk.world.now_ms());
    let found = offers::candidates(&desk.world.state, number, now, 8);
    assert_eq!(found.lines.len(), 1);
    desk.act(("health", true), seek()).unwrap();
    let release = pb::ReleaseRecords {
        agency: "health".to_owned(),
        subscription: "first".to_owned(),
        first_delivery: found.first_delivery,
        lines: found.lines,
    };
    let released = desk.world.apply(By::Node, Kind::ReleaseRecords(release));
    assert_eq!(released, Ok(Receipt::Released(Vec::new())));
    desk.world.hold();
}

#[test]
fn a_missed_review_stops_flows_or_only_tells_as_the_agreement_says() {
    for (at_review, stops) in [(pb::AtReview::GoesOn, false), (pb::AtReview::FlowsStop, true)] {
        let mut world = World::of_partners();
        let mut content = world.content(&["council", "sds"], vec![flow("f", "council", &["sds"])]);
        let terms = content.terms.get_or_insert_default();
        terms.at_review = i32::from(at_review);
        let review_at = terms.review_at_ms;
        world.activate("reviewed", content.clone());
        world.wait(review_at - world.now_ms());
        let before = world.state.chain().narrowings;
        world.apply(By::Node, Kind::Tick(pb::Tick {})).unwrap();
        let id = "reviewed".parse().unwrap();
        let row = world.state.tables().agreements.get(&id).unwrap();
        let now = UnixMillis::new(world.now_ms());
        assert_eq!(row.flow_until(&row.flows[0]) <= now, stops);
        assert_eq!(before < world.state.chain().narrowings, stops);
        // It is not over: another version may still replace it.
        assert_eq!(world.status("reviewed"), Some(Status::Active));
        let flows = std::mem::take(&mut content.flows);
        let content = world.content(&["council", "sds"], flows);
        let stands = world.draft("council", "reviewed", content).unwrap();
        world.propose("council", "reviewed", stands).unwrap();
        world.approve("council", "reviewed", stands).unwrap();
        world.approve("sds", "reviewed", stands).unwrap();
        let row = world.state.tables().agreements.get(&id).unwrap();
        assert!(UnixMillis::new(world.now_ms()) < row.flow_until(&row.flows[0]));
        world.hold();
    }
}

#[test]
fn the_recorder_of_a_consent_hears_of_a_withdrawal_that_another_agency_lodged() {
    let mut sharing = Sharing::new();
    let consent = sharing.consent(&["college", "charity"]);
    let told = |sharing: &Sharing| {
        let council = sharing.number("council");
        let notices =
            sharing.world.state.tables().notices.range((council, 0)..=(council, u64::MAX));
        let by = notices.filter_map(|(_, notice)| {
            let About::ConsentWithdrawn { consent, by } = notice.about else { return None };
            Some((consent, by))
        });
        by.collect::<Vec<_>>()
    };
    sharing.withdraw(consent, &["charity"]).unwrap();
    assert_eq!(told(&sharing), []);
    let withdraw = pb::WithdrawConsent {
        consent: consent.as_bytes().to_vec().into(),
        ..pb::WithdrawConsent::default()
    };
    sharing.act("college", Kind::WithdrawConsent(withdraw)).unwrap();
    assert_eq!(told(&sharing), [(consent, sharing.number("college"))]);
    sharing.world.hold();
}

#[test]
fn the_owner_hears_when_a_recipient_opens_its_record_again() {
    let mut sharing = Sharing::new();
    let record = sharing.publish(None, VersionChange::Unspecified).unwrap();
    assert_eq!(sharing.release("sds"), [record]);
    let state = &sharing.world.state;
    let (sds, now) = (sharing.number("sds"), UnixMillis::new(sharing.world.now_ms()));
    let why = (Purpose::SchoolLeaverTransition, true);
    let grants = offers::grants_to_open(state, record, sds, why, now);
    let reason = i32::from(ReadReason::Quality);
    let open = pb::OpenRecord {
        record: record.as_bytes().to_vec().into(),
        reason,
        grants,
        office: i32::from(StaffOffice::Careers),
    };
    for _ in 0..2 {
        sharing.act("sds", Kind::OpenRecord(open.clone())).unwrap();
    }
    let readings: Vec<_> = sharing.world.state.tables().readings.iter().collect();
    let [((first, reader, _, why), row)] = readings.as_slice() else {
        unreachable!("{readings:?}")
    };
    assert_eq!((*first, *reader, *why), (record, sds, reason));
    assert_eq!((row.count, row.unattended, row.emergency), (2, 2, None));
    assert_eq!(row.office, i32::from(StaffOffice::Careers));
}

#[test]
fn whoever_looks_after_the_sharing_opens_nobodys_record() {
    let mut desk = Desk::new();
    let record = desk.record.as_bytes().to_vec().into();
    let reason = i32::from(ReadReason::Quality);
    let open = Kind::OpenRecord(pb::OpenRecord { record, reason, ..pb::OpenRecord::default() });
    for (purpose, opens) in [
        (Purpose::Operation, false),
        (Purpose::Administration, false),
        (Purpose::SchoolLeaverTransition, true),
    ] {
        let request = desk.world.request_id();
        let council = By::Agency("council");
        let mut command = desk.world.command(council, request, Signing::Own, open.clone());
        command.purpose = i32::from(purpose);
        let outcome = desk.world.append(command.encode_to_vec());
        let refused = Err(Refusal::PurposeNotPermitted);
        assert!(if opens { outcome.is_ok() } else { outcome == refused }, "{purpose:?}");
    }
    desk.world.hold();
}

#[test]
fn an_explanation_says_what_only_named_staff_may_read() {
    use concordat::machine::read::{
        Viewer,
        explain::{Asked, Subject, explain},
    };
    let desk = Desk::with(vec![pb::Flow {
        groups: owned(&["destination"]),
        ..flow("plain", "council", &["health"])
    }]);
    let state = &desk.world.state;
    let number = |id: &str| state.agency_number(&id.parse().unwrap()).unwrap();
    let now = UnixMillis::new(desk.world.now_ms());
    let purpose = i32::from(Purpose::SchoolLeaverTransition);
    let asked = Asked::about(Subject::Record(desk.record), "health".parse().unwrap(), purpose, now);
    let told = |unattended| {
        let asked = Asked { unattended, ..asked.clone() };
        let explanation = explain(state, Viewer::Agency(number("council")), &asked).unwrap();
        let decision = explanation.groups.into_iter().next().unwrap();
        let flow = decision.flow.map(|flow| flow.flow.to_string());
        (decision.withheld.map(|withheld| withheld.code()), flow)
    };
    assert_eq!(told(false), (None, Some("named".to_owned())));
    assert_eq!(told(true), (Some("NAMED_STAFF"), Some("named".to_owned())));
}
