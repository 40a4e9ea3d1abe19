//! Emergency access: authorised by two hands beforehand, the fewest groups, everybody told, and answered for afterwards.

use concordat::{
    machine::{
        Outcome, Receipt, Refusal, Released,
        outcome::Remembered,
        read::{Viewer, emergency},
        state::{
            agency::AgencyNumber,
            notice::{About, EmergencyEvent},
        },
    },
    model::{
        id::{AliasId, EmergencyId, RecordId},
        limit,
        order::UnixMillis,
    },
    pb::ledger::v1::{
        self as pb, EmergencyCategory, EmergencyFinding, EmergencyOffice, EmergencyReason,
        EmergencyReviewer, EmergencySearch, Purpose, ReadReason, RecallReason, command::Kind,
    },
};
use prost::Message;

use super::world::{
    By, DAY_MS, LEAVER_FORM, Signing, World, client, consented_flow, digest, flow, owned,
};

const CATEGORY: EmergencyCategory = EmergencyCategory::ChildAtRisk;
const OFFICE: EmergencyOffice = EmergencyOffice::EmergencyClinician;
const HOUR_MS: u64 = 3_600_000;

/// A flow for emergencies of `core` and `support-needs`, for the life of somebody.
pub(crate) fn emergency_flow(publisher: &str, recipients: &[&str]) -> pb::Flow {
    pb::Flow {
        groups: owned(&["core", "support-needs"]),
        basis: i32::from(pb::LawfulBasis::VitalInterests),
        special_condition: i32::from(pb::SpecialCondition::VitalInterests),
        legal_power: i32::from(pb::LegalPower::Unspecified),
        emergency: Some(pb::EmergencyTerms {
            categories: vec![i32::from(CATEGORY)],
            offices: vec![i32::from(OFFICE)],
        }),
        ..flow("emergencies", publisher, recipients)
    }
}

/// The council shares by consent with the health board, and in an emergency without; SDS is the reporting body.
pub(super) struct Ward {
    pub(super) world: World,
    pub(super) alias: AliasId,
    pub(super) record: RecordId,
}

impl Ward {
    fn new() -> Self {
        Self::with(emergency_flow("council", &["health"]))
    }

    fn with(emergencies: pb::Flow) -> Self {
        let mut world = World::of_partners();
        let flows = vec![
            flow("duty", "council", &["sds"]),
            consented_flow("consented", "council", &["health"]),
            emergencies,
        ];
        let mut content = world.content(&["council", "sds", "health"], flows);
        if let Some(terms) = &mut content.terms {
            "sds".clone_into(&mut terms.reporting_body);
        }
        world.activate("ward", content);
        let alias = world.add_client("council", client(1));
        let open = pb::OpenKey {
            key: vec![3; 16].into(),
            client: client(1).as_bytes().to_vec().into(),
            agency: "council".to_owned(),
            disposal_class: i32::from(pb::DisposalClass::Record),
            ..pb::OpenKey::default()
        };
        world.apply(By::Node, Kind::OpenKey(open)).unwrap();
        let record = RecordId::from_bytes([0; 16]);
        let mut ward = Self { world, alias, record };
        ward.record = ward.publish();
        ward
    }

    pub(super) fn authorised() -> Self {
        let mut ward = Self::new();
        ward.authorised_again();
        ward
    }

    /// The health board names the office that may use emergency access.
    pub(super) fn authorised_again(&mut self) {
        self.authorise(&[OFFICE], DAY_MS * 100).unwrap();
    }

    /// Applies a command in the name of a member of staff.
    pub(super) fn act(&mut self, by: &str, kind: Kind) -> Outcome {
        let request = self.world.request_id();
        self.act_as(by, (request, false), kind)
    }

    fn act_as(
        &mut self,
        by: &str,
        (request, unattended): (concordat::model::id::RequestId, bool),
        kind: Kind,
    ) -> Outcome {
        let mut command = self.world.command(By::Agency(by), request, Signing::Own, kind);
        command.purpose = i32::from(Purpose::ChildProtection);
        if let Some(actor) = &mut command.actor {
            actor.unattended = unattended;
        }
        self.world.append(command.encode_to_vec())
    }

    pub(super) fn publish(&mut self) -> RecordId {
        let publish = pb::PublishRecord {
            record_type: LEAVER_FORM.to_owned(),
            type_version: 1,
            code_lists: "2026-11-01".to_owned(),
            client: self.alias.as_bytes().to_vec().into(),
            supersedes: bytes::Bytes::new(),
            groups: owned(&["core", "destination", "support-needs"]),
            content_mac: digest("content"),
            key: vec![3; 16].into(),
            change: 0,
        };
        match self.act("council", Kind::PublishRecord(publish)) {
            Ok(Receipt::Published { record, .. }) => record,
            other => unreachable!("not published: {other:?}"),
        }
    }

    fn authorise(&mut self, offices: &[EmergencyOffice], for_ms: u64) -> Outcome {
        let offices = offices.iter().map(|office| i32::from(*office)).collect();
        let until_ms = self.world.now_ms() + for_ms;
        self.act("health", Kind::AuthoriseEmergency(pb::AuthoriseEmergency { offices, until_ms }))
    }

    pub(super) fn open(&mut self, staff: &str, whom: &[u8]) -> Result<EmergencyId, Refusal> {
        self.act("health", opening(staff, whom)).map(|receipt| opened(&receipt))
    }

    pub(super) fn read(&mut self, id: EmergencyId, staff: &str) -> Result<Vec<Released>, Refusal> {
        let lines = self.lines(id);
        self.read_lines(id, staff, lines)
    }

    /// What the node would propose to read.
    fn lines(&self, id: EmergencyId) -> Vec<pb::EmergencyLine> {
        let (health, now) = ("health".parse().unwrap(), UnixMillis::new(self.world.now_ms()));
        emergency::lines(&self.world.state, &health, (id, None), now).0
    }

    fn read_lines(
        &mut self,
        id: EmergencyId,
        staff: &str,
        lines: Vec<pb::EmergencyLine>,
    ) -> Result<Vec<Released>, Refusal> {
        let emergency = id.as_bytes().to_vec().into();
        let read = pb::ReadEmergency { emergency, staff: digest(staff), lines };
        self.act("health", Kind::ReadEmergency(read)).map(|receipt| match receipt {
            Receipt::Released(released) => released,
            Receipt::Answer(_) | Receipt::Published { .. } | Receipt::Opened(_) => {
                unreachable!("not released")
            }
        })
    }

    fn review(&mut self, id: EmergencyId, staff: &str, finding: EmergencyFinding) -> Outcome {
        let review = pb::ReviewEmergency {
            emergency: id.as_bytes().to_vec().into(),
            finding: i32::from(finding),
            reviewer: i32::from(EmergencyReviewer::CaldicottGuardian),
            staff: digest(staff),
        };
        self.act("health", Kind::ReviewEmergency(review))
    }

    pub(super) fn number(&self, name: &str) -> AgencyNumber {
        self.world.state.agency_number(&name.parse().unwrap()).unwrap()
    }

    /// What an agency was told of emergency access: what happened, and whether the client was named.
    fn told(&self, name: &str) -> Vec<(EmergencyEvent, bool)> {
        let number = self.number(name);
        let notices = self.world.state.tables().notices.range((number, 0)..=(number, u64::MAX));
        let emergencies = notices.filter_map(|(_, notice)| {
            let About::Emergency { event, client, .. } = &notice.about else { return None };
            Some((*event, client.is_some()))
        });
        emergencies.collect()
    }

    fn tick(&mut self) {
        self.world.apply(By::Node, Kind::Tick(pb::Tick {})).unwrap();
    }
}

pub(crate) fn opening(staff: &str, whom: &[u8]) -> Kind {
    Kind::OpenEmergency(pb::OpenEmergency {
        category: i32::from(CATEGORY),
        reason: i32::from(EmergencyReason::ImmediateHarm),
        office: i32::from(OFFICE),
        staff: digest(staff),
        search: i32::from(EmergencySearch::Identifier),
        search_mac: digest("sought"),
        candidates: whom.iter().map(|n| client(*n).as_bytes().to_vec().into()).collect(),
    })
}

fn opened(receipt: &Receipt) -> EmergencyId {
    let Receipt::Answer(Remembered::Emergency(id)) = receipt else {
        unreachable!("not opened: {receipt:?}")
    };
    *id
}

#[test]
fn without_authorisation_by_both_hands_there_is_no_emergency_access() {
    let mut ward = Ward::new();
    assert_eq!(ward.open("ann", &[1]), Err(Refusal::EmergencyNotAuthorised));
    // Another office than the one that acts.
    ward.authorise(&[EmergencyOffice::DutyManager], DAY_MS).unwrap();
    assert_eq!(ward.open("ann", &[1]), Err(Refusal::EmergencyNotAuthorised));
    ward.authorise(&[OFFICE], DAY_MS).unwrap();
    let id = ward.open("ann", &[1]).unwrap();
    // It ends by its date, and when it is taken back; what is open goes no further.
    ward.authorise(&[], 0).unwrap();
    assert_eq!(ward.read(id, "ann"), Err(Refusal::EmergencyNotAuthorised));
    ward.authorise(&[OFFICE], DAY_MS).unwrap();
    ward.world.wait(DAY_MS);
    assert_eq!(ward.open("ann", &[1]), Err(Refusal::EmergencyNotAuthorised));
    assert_eq!(ward.authorise(&[OFFICE], 367 * DAY_MS), Err(Refusal::ExpiryInvalid));
    // The college has authorised itself, and no agreement lets it.
    let until_ms = ward.world.now_ms() + DAY_MS;
    let offices = vec![i32::from(OFFICE)];
    let authorise = pb::AuthoriseEmergency { offices, until_ms };
    ward.act("college", Kind::AuthoriseEmergency(authorise)).unwrap();
    let outcome = ward.act("college", opening("bob", &[1]));
    assert_eq!(outcome, Err(Refusal::EmergencyNotAuthorised));
    ward.world.hold();
}

#[test]
fn a_pre_authorised_office_reads_the_fewest_groups_though_no_consent_was_given() {
    let mut ward = Ward::authorised();
    let id = ward.open("ann", &[1]).unwrap();
    let released = ward.read(id, "ann").unwrap();
    let groups: Vec<_> = released[0].group_names().iter().map(ToString::to_string).collect();
    assert_eq!(
        (released.len(), groups.as_slice()),
        (1, owned(&["core", "support-needs"]).as_slice())
    );
    assert_eq!(released[0].record(), ward.record);
    // The reader is a recipient like any other from then on: it is told of a recall.
    let health = ward.number("health");
    assert!(ward.world.state.tables().disclosures.contains(&(ward.record, health)));
    ward.world.hold();
}

#[test]
fn nothing_leaves_by_a_flow_for_emergencies_otherwise() {
    let mut ward = Ward::authorised();
    let record = ward.record.as_bytes().to_vec().into();
    let grant = pb::Grant {
        agreement: "ward".to_owned(),
        version: 1,
        flow: "emergencies".to_owned(),
        groups: owned(&["core"]),
        consents: Vec::new(),
    };
    let reason = i32::from(ReadReason::Safeguarding);
    let id = ward.open("ann", &[1]).unwrap();
    let _read = ward.read(id, "ann").unwrap();
    let open = pb::OpenRecord { record, reason, grants: vec![grant], office: 0 };
    assert_eq!(ward.act("health", Kind::OpenRecord(open.clone())), Err(Refusal::NotAvailable));
    let posing = pb::OpenRecord { reason: i32::from(ReadReason::Emergency), ..open };
    assert_eq!(ward.act("health", Kind::OpenRecord(posing)), Err(Refusal::Malformed));
}

#[test]
fn it_is_for_a_person_and_for_the_one_who_opened_it_while_it_lasts() {
    let mut ward = Ward::authorised();
    let request = ward.world.request_id();
    let system = ward.act_as("health", (request, true), opening("ann", &[1]));
    assert_eq!(system, Err(Refusal::NamedActorMissing));
    let id = ward.open("ann", &[1]).unwrap();
    assert_eq!(ward.read(id, "bob"), Err(Refusal::EmergencyActorUnfit));
    assert_eq!(ward.read(id, "ann").unwrap().len(), 1);
    ward.world.wait(limit::EMERGENCY_MS);
    assert_eq!(ward.read(id, "ann"), Err(Refusal::EmergencyState));
    let unknown = EmergencyId::from_bytes([9; 16]);
    assert_eq!(ward.read(unknown, "ann"), Err(Refusal::NotAvailable));
    let emergency = id.as_bytes().to_vec().into();
    let read = pb::ReadEmergency { emergency, staff: digest("ann"), lines: Vec::new() };
    assert_eq!(ward.act("college", Kind::ReadEmergency(read)), Err(Refusal::NotAvailable));
}

#[test]
fn nobody_somebody_hidden_and_more_than_one_are_the_same() {
    let mut ward = Ward::authorised();
    // A client of whom nothing may be read, and none at all.
    ward.world.add_client("stranger", client(2));
    let mut heard = Vec::new();
    for whom in [&[][..], &[2], &[9]] {
        let mut ward = Ward { world: ward.world.fork(), alias: ward.alias, record: ward.record };
        let id = ward.open("ann", whom).unwrap();
        let released = ward.read(id, "ann").unwrap();
        let told = ["health", "sds", "council", "stranger"].map(|name| ward.told(name));
        let row = ward.world.state.emergency(id).cloned();
        heard.push((id, released, told, row));
    }
    assert!(heard[0].1.is_empty());
    assert_eq!(heard[0], heard[1]);
    assert_eq!(heard[0], heard[2]);
    assert_eq!(heard[0].2[3], []);
    // Two of whom something may be read are nobody too; one beside a hidden one is found.
    let second = ward.world.add_client("council", client(3));
    let open = pb::OpenKey {
        key: vec![4; 16].into(),
        client: client(3).as_bytes().to_vec().into(),
        agency: "council".to_owned(),
        disposal_class: i32::from(pb::DisposalClass::Record),
        ..pb::OpenKey::default()
    };
    ward.world.apply(By::Node, Kind::OpenKey(open)).unwrap();
    let found = ward.open("ann", &[1, 2]).unwrap();
    assert_eq!(ward.read(found, "ann").unwrap().len(), 1);
    let publish = pb::PublishRecord {
        record_type: LEAVER_FORM.to_owned(),
        type_version: 1,
        code_lists: "2026-11-01".to_owned(),
        client: second.as_bytes().to_vec().into(),
        supersedes: bytes::Bytes::new(),
        groups: owned(&["core"]),
        content_mac: digest("content"),
        key: vec![4; 16].into(),
        change: 0,
    };
    ward.act("council", Kind::PublishRecord(publish)).unwrap();
    let both = ward.open("ann", &[1, 3]).unwrap();
    assert_eq!(ward.read(both, "ann").unwrap(), []);
    ward.world.hold();
}

#[test]
fn owner_own_officer_and_reporting_body_hear_of_it_at_once_and_of_a_miss_too() {
    let mut ward = Ward::authorised();
    let _found = ward.open("ann", &[1]).unwrap();
    assert_eq!(ward.told("council"), [(EmergencyEvent::Opened, true)]);
    assert_eq!(ward.told("sds"), [(EmergencyEvent::Opened, false)]);
    assert_eq!(ward.told("health"), [(EmergencyEvent::Opened, false)]);
    let _missed = ward.open("ann", &[]).unwrap();
    assert_eq!(ward.told("council").len(), 1);
    assert_eq!(ward.told("sds").last(), Some(&(EmergencyEvent::Missed, false)));
    assert_eq!(ward.told("health").last(), Some(&(EmergencyEvent::Missed, false)));
    assert_eq!(ward.told("college"), []);
}

#[test]
fn a_refused_attempt_is_told_once_an_hour_for_each_cause() {
    let mut ward = Ward::new();
    let note = |cause: pb::EmergencyRefusal| {
        let (agency, cause) = ("health".to_owned(), i32::from(cause));
        Kind::NoteEmergencyRefused(pb::NoteEmergencyRefused { agency, cause })
    };
    let cause = pb::EmergencyRefusal::NotAuthorised;
    assert_eq!(ward.world.apply("council", note(cause)), Err(Refusal::ActorNotPermitted));
    ward.world.apply(By::Node, note(cause)).unwrap();
    assert_eq!(ward.world.apply(By::Node, note(cause)), Err(Refusal::NothingToDo));
    ward.world.apply(By::Node, note(pb::EmergencyRefusal::TooMany)).unwrap();
    ward.world.wait(HOUR_MS);
    ward.world.apply(By::Node, note(cause)).unwrap();
    let refused = |cause: pb::EmergencyRefusal| (EmergencyEvent::Refused(i32::from(cause)), false);
    let told = [refused(cause), refused(pb::EmergencyRefusal::TooMany), refused(cause)];
    assert_eq!(ward.told("health"), told);
    assert_eq!(ward.told("sds"), told);
    assert_eq!(ward.told("council"), []);
    ward.world.hold();
}

#[test]
fn one_person_and_one_agency_open_only_so_many_in_a_day_and_misses_count() {
    let mut ward = Ward::authorised();
    for _ in 0..limit::EMERGENCIES_PER_STAFF_MAX {
        ward.open("ann", &[]).unwrap();
    }
    assert_eq!(ward.open("ann", &[1]), Err(Refusal::EmergencyTooMany));
    for person in ["bob", "cat", "dan"] {
        for _ in 0..limit::EMERGENCIES_PER_STAFF_MAX {
            ward.open(person, &[]).unwrap();
        }
    }
    assert_eq!(ward.open("eve", &[1]), Err(Refusal::EmergencyTooMany));
    ward.world.wait(limit::EMERGENCY_WINDOW_MS);
    ward.open("ann", &[1]).unwrap();
    ward.world.hold();
}

#[test]
fn a_repeated_request_gives_the_same_emergency_and_another_search_is_refused() {
    let mut ward = Ward::authorised();
    let request = ward.world.request_id();
    let first = ward.act_as("health", (request, false), opening("ann", &[1])).unwrap();
    // What the search means may have changed since.
    assert_eq!(ward.act_as("health", (request, false), opening("ann", &[])), Ok(first));
    let mut other = opening("ann", &[1]);
    if let Kind::OpenEmergency(open) = &mut other {
        open.search_mac = digest("somebody else");
    }
    let reused = ward.act_as("health", (request, false), other);
    assert_eq!(reused, Err(Refusal::RequestIdReused));
    assert_eq!(ward.told("council").len(), 1);
}

#[test]
fn somebody_else_reviews_it_once() {
    let mut ward = Ward::authorised();
    let id = ward.open("ann", &[1]).unwrap();
    let justified = EmergencyFinding::Justified;
    assert_eq!(ward.review(id, "ann", justified), Err(Refusal::EmergencyActorUnfit));
    ward.review(id, "officer", EmergencyFinding::NotJustified).unwrap();
    assert_eq!(ward.review(id, "officer", justified), Err(Refusal::EmergencyState));
    let finding = i32::from(EmergencyFinding::NotJustified);
    let told = ward.told("council");
    assert_eq!(told.last(), Some(&(EmergencyEvent::Reviewed(finding), true)));
    let viewer = Viewer::Agency(ward.number("council"));
    let view = emergency::one(&ward.world.state, viewer, id).unwrap();
    assert_eq!(view.client, Some(ward.alias));
    assert!(emergency::one(&ward.world.state, Viewer::Agency(ward.number("sds")), id).is_none());
    ward.world.hold();
}

#[test]
fn what_is_not_reviewed_is_told_to_every_party_and_then_bars_the_agency_until_it_is() {
    let mut ward = Ward::authorised();
    let id = ward.open("ann", &[]).unwrap();
    ward.world.wait(limit::EMERGENCY_REVIEW_MS);
    ward.tick();
    for name in ["health", "sds", "council"] {
        assert_eq!(ward.told(name).last(), Some(&(EmergencyEvent::ReviewOverdue, false)), "{name}");
    }
    ward.open("bob", &[1]).unwrap();
    ward.world.wait(limit::EMERGENCY_GRACE_MS);
    // Whether or not an entry has said so.
    assert_eq!(ward.open("bob", &[1]), Err(Refusal::EmergencyReviewOverdue));
    ward.tick();
    assert!(ward.told("health").contains(&(EmergencyEvent::Barred, false)));
    ward.review(id, "officer", EmergencyFinding::Justified).unwrap();
    ward.open("bob", &[1]).unwrap();
    ward.world.hold();
}

#[test]
fn every_line_is_decided_anew_and_only_struck() {
    let mut ward = Ward::authorised();
    let id = ward.open("ann", &[1]).unwrap();
    let (health, now) = ("health".parse().unwrap(), UnixMillis::new(ward.world.now_ms()));
    let (lines, more) = emergency::lines(&ward.world.state, &health, (id, None), now);
    assert!(lines.len() == 1 && !more);
    let asking = |change: &dyn Fn(&mut pb::Grant)| {
        let mut lines = lines.clone();
        change(&mut lines[0].grants[0]);
        lines
    };
    let wider = asking(&|grant| grant.groups = owned(&["core", "destination"]));
    assert_eq!(ward.read_lines(id, "ann", wider).unwrap(), []);
    let other = asking(&|grant| grant.flow = "consented".to_owned());
    assert_eq!(ward.read_lines(id, "ann", other).unwrap(), []);
    let fewer = asking(&|grant| grant.groups = owned(&["core"]));
    let released = ward.read_lines(id, "ann", fewer).unwrap();
    assert_eq!(released[0].group_names().len(), 1);
    // Taken back: the recall comes first, and then there is nothing.
    let record = ward.record.as_bytes().to_vec().into();
    let reason = i32::from(RecallReason::WrongPerson);
    ward.act("council", Kind::RetractRecord(pb::RetractRecord { record, reason })).unwrap();
    assert_eq!(ward.read_lines(id, "ann", lines).unwrap(), []);
    ward.world.hold();
}

#[test]
fn the_send_gate_closes_when_the_emergency_ends_or_a_party_suspends() {
    let mut ward = Ward::authorised();
    let id = ward.open("ann", &[1]).unwrap();
    let released = ward.read(id, "ann").unwrap();
    let now = UnixMillis::new(ward.world.now_ms());
    let may = |ward: &Ward, at| released[0].may_leave(&ward.world.state, at);
    assert!(may(&ward, now));
    assert!(!may(&ward, now.plus(limit::EMERGENCY_MS)));
    ward.authorise(&[], 0).unwrap();
    assert!(!may(&ward, now));
    ward.authorise(&[OFFICE], DAY_MS).unwrap();
    assert!(may(&ward, now));
    let reason = i32::from(pb::SuspendReason::Incident);
    let agreement = "ward".to_owned();
    ward.act("council", Kind::SuspendFlows(pb::SuspendFlows { agreement, reason })).unwrap();
    assert!(!may(&ward, now));
    assert_eq!(ward.open("ann", &[1]), Err(Refusal::EmergencyNotAuthorised));
}

#[test]
fn an_agencys_own_policy_narrows_unless_all_signed_that_the_flow_safeguards() {
    for safeguarding in [false, true] {
        let flow = emergency_flow("council", &["health"]);
        let mut ward = Ward::with(pb::Flow { safeguarding, ..flow });
        ward.authorise(&[OFFICE], DAY_MS).unwrap();
        let policy = "no-needs".to_owned();
        let cedar =
            "forbid(principal, action, resource) when { resource.group == \"support-needs\" };";
        let put = pb::PutPolicy { policy, text: cedar.to_owned(), schema_version: 1 };
        ward.act("council", Kind::PutPolicy(put)).unwrap();
        let id = ward.open("ann", &[1]).unwrap();
        let released = ward.read(id, "ann").unwrap();
        assert_eq!(released[0].group_names().len(), if safeguarding { 2 } else { 1 });
    }
}

#[test]
fn a_flow_for_emergencies_waits_for_no_consent_and_no_caseload_and_does_not_only_count() {
    let unfit = [
        pb::Flow {
            caseload: i32::from(pb::CaseloadRule::Confirmed),
            ..emergency_flow("council", &["health"])
        },
        pb::Flow { statistics_only: true, ..emergency_flow("council", &["health"]) },
    ];
    for flow in unfit {
        let mut world = World::of_partners();
        let content = world.content(&["council", "health"], vec![flow]);
        let stands = world.draft("council", "ward", content).unwrap();
        assert_eq!(world.propose("council", "ward", stands), Err(Refusal::AgreementIncomplete));
    }
}

#[test]
fn the_owner_hears_of_each_reading_once_a_day_and_its_count_grows() {
    let mut ward = Ward::authorised();
    let id = ward.open("ann", &[1]).unwrap();
    for _ in 0..3 {
        assert_eq!(ward.read(id, "ann").unwrap().len(), 1);
    }
    let council = ward.number("council");
    let notices = ward.world.state.tables().notices.range((council, 0)..=(council, u64::MAX));
    let readings: Vec<_> = notices
        .filter_map(|(_, notice)| {
            let About::Reading { record, reader, day, reason } = notice.about else { return None };
            Some((record, reader, day, reason))
        })
        .collect();
    let [key] = readings.as_slice() else { unreachable!("{readings:?}") };
    let row = ward.world.state.tables().readings.get(key).unwrap();
    assert_eq!((row.count, row.unattended, row.emergency), (3, 0, Some(id)));
    assert_eq!(key.3, i32::from(ReadReason::Emergency));
    ward.world.hold();
}
