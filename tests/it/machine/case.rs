//! Cases of restriction and objection: what they keep from flowing, upon which grounds it goes on, and how it comes back.

use concordat::{
    machine::{
        Outcome, Receipt, Refusal,
        outcome::Remembered,
        read::{Viewer, notice, recall},
        state::{
            case::{CaseRow, Task},
            notice::{About, CaseEvent, IncidentEvent, RestrictionEvent},
        },
    },
    model::{
        id::{AliasId, CaseId},
        limit,
        order::UnixMillis,
    },
    pb::ledger::v1::{
        self as pb, CaseKind, CaseOutcome, CaseStep, ClockSource, ContinueGround, ExtensionReason,
        IdentityCheck, IncidentKind, MeasureKind, RecallReason, Relation, Severity, Standing,
        VersionChange, command::Kind,
    },
};

use super::{
    recall::Sharing,
    world::{By, DAY_MS, LEAVER_FORM, Signing, World, client, digest, flow, owned},
};

/// A world in which the council sends leaver forms to SDS as a public task, to the college by duty, and to the charity for
/// safeguarding; and the health board sends its own to the council.
pub(crate) fn sharing() -> Sharing {
    let mut world = World::of_partners();
    let task = |id: &str, from: &str, to: &str| pb::Flow {
        basis: i32::from(pb::LawfulBasis::PublicTask),
        groups: owned(&["core", "support-needs"]),
        special_condition: i32::from(pb::SpecialCondition::StatutoryPurposes),
        ..flow(id, from, &[to])
    };
    let flows = vec![
        task("task", "council", "sds"),
        flow("duty", "council", &["college"]),
        pb::Flow { safeguarding: true, ..task("guard", "council", "charity") },
        task("back", "health", "council"),
    ];
    let parties = ["council", "sds", "health", "college", "charity"];
    let content = world.content(&parties, flows);
    world.activate("leavers", content);
    let alias = world.add_client("council", client(1));
    let mut sharing = Sharing { world, alias };
    for agency in ["council", "health"] {
        let open = pb::OpenKey {
            key: vec![if agency == "council" { 3 } else { 4 }; 16].into(),
            client: client(1).as_bytes().to_vec().into(),
            agency: agency.to_owned(),
            disposal_class: i32::from(pb::DisposalClass::Record),
            ..pb::OpenKey::default()
        };
        sharing.world.apply(By::Node, Kind::OpenKey(open)).unwrap();
    }
    for name in ["sds", "college", "charity", "council"] {
        let create = pb::CreateSubscription {
            subscription: "first".to_owned(),
            record_types: owned(&[LEAVER_FORM]),
        };
        sharing.act(name, Kind::CreateSubscription(create)).unwrap();
    }
    sharing
}

/// Whoever is the client, and known.
pub(crate) fn themselves() -> pb::Requester {
    pb::Requester {
        relation: i32::from(Relation::Self_),
        identity: i32::from(IdentityCheck::Confirmed),
        ..pb::Requester::default()
    }
}

/// A case about a client, received now.
pub(crate) fn about(sharing: &Sharing, kind: CaseKind, alias: AliasId) -> pb::OpenCase {
    pb::OpenCase {
        kind: i32::from(kind),
        client: alias.as_bytes().to_vec().into(),
        requester: Some(themselves()),
        received_at_ms: sharing.world.now_ms(),
        ..pb::OpenCase::default()
    }
}

pub(crate) fn named(id: &str) -> pb::FlowName {
    pb::FlowName { agreement: "leavers".to_owned(), flow: id.to_owned() }
}

/// The case of an outcome.
pub(crate) fn case_of(outcome: Outcome) -> CaseId {
    match outcome {
        Ok(Receipt::Answer(Remembered::Case(case))) => case,
        other => unreachable!("not about a case: {other:?}"),
    }
}

pub(crate) fn bytes(case: CaseId) -> bytes::Bytes {
    case.as_bytes().to_vec().into()
}

fn row(sharing: &Sharing, case: CaseId) -> CaseRow {
    sharing.world.state.case(case).unwrap().clone()
}

/// A measure of one flow; of all if it names none.
fn measure(flow: &str, kind: MeasureKind, ground: ContinueGround) -> pb::Measure {
    let agreement = if flow.is_empty() { "" } else { "leavers" }.to_owned();
    let (kind, ground) = (i32::from(kind), i32::from(ground));
    pb::Measure { agreement, flow: flow.to_owned(), kind, ground }
}

fn restrict(flow: &str) -> pb::Measure {
    measure(flow, MeasureKind::Restrict, ContinueGround::Unspecified)
}

fn deciding(case: CaseId, measures: Vec<pb::Measure>) -> pb::DecideCase {
    pb::DecideCase { case: bytes(case), measures, ..pb::DecideCase::default() }
}

fn decide(sharing: &mut Sharing, by: &str, decide: pb::DecideCase) -> Outcome {
    sharing.act(by, Kind::DecideCase(decide))
}

fn lift(sharing: &mut Sharing, case: CaseId, flow: &str) -> Outcome {
    let measures = vec![measure(flow, MeasureKind::Lift, ContinueGround::Unspecified)];
    let decision = pb::DecideCase { person_told: true, ..deciding(case, measures) };
    decide(sharing, "council", decision)
}

pub(crate) fn open(sharing: &mut Sharing, by: &str, open: pb::OpenCase) -> Outcome {
    sharing.act(by, Kind::OpenCase(open))
}

/// What an agency was told, the agreement's own course left out.
fn told(sharing: &Sharing, agency: &str) -> Vec<About> {
    let viewer = Viewer::Agency(sharing.number(agency));
    let page = notice::list(&sharing.world.state, viewer, 0, 1_000);
    let about = page.rows.iter().map(|view| view.notice.about.clone());
    about.filter(|about| !matches!(about, About::Agreement { .. })).collect()
}

fn narrowings(sharing: &Sharing) -> u64 {
    sharing.world.state.chain().narrowings
}

#[test]
fn a_restriction_of_one_flow_stops_it_and_no_other_and_lifted_brings_what_waited() {
    let mut sharing = sharing();
    let first = sharing.new_record();
    assert_eq!(sharing.release("sds"), [first]);
    let mut asked = about(&sharing, CaseKind::Restriction, sharing.alias);
    asked.flows = vec![named("task")];
    let case = case_of(open(&mut sharing, "council", asked));
    let second = sharing.publish(Some(first), VersionChange::Update).unwrap();
    assert_eq!(sharing.release("sds"), [second], "asking for a restriction restricts nothing");
    let before = narrowings(&sharing);
    assert_eq!(
        decide(&mut sharing, "council", deciding(case, vec![restrict("task")])),
        Ok(Receipt::Answer(Remembered::Case(case)))
    );
    assert!(before < narrowings(&sharing), "the send gate is asked anew");
    let third = sharing.publish(Some(second), VersionChange::Update).unwrap();
    assert!(sharing.release("sds").is_empty());
    assert_eq!(sharing.release("college"), [third], "another flow goes on");
    let restricted = |event| About::Restriction {
        client: sharing_alias(&sharing, "sds"),
        by: sharing.number("council"),
        event,
    };
    assert_eq!(told(&sharing, "sds"), [restricted(RestrictionEvent::Restricted)]);
    assert_eq!(told(&sharing, "college"), []);
    let untold =
        deciding(case, vec![measure("task", MeasureKind::Lift, ContinueGround::Unspecified)]);
    assert_eq!(decide(&mut sharing, "council", untold), Err(Refusal::PersonNotTold));
    lift(&mut sharing, case, "task").unwrap();
    assert_eq!(sharing.release("sds"), [third], "what waited comes by the ordinary way");
    assert_eq!(told(&sharing, "sds").len(), 2);
    assert_eq!(lift(&mut sharing, case, "task"), Err(Refusal::MeasureState));
    sharing.world.hold();
}

/// The name by which an agency was sent the client's records.
fn sharing_alias(sharing: &Sharing, agency: &str) -> AliasId {
    let number = sharing.number(agency);
    let rows = sharing.world.state.tables().disclosures.iter();
    rows.filter(|((_, to), _)| *to == number).map(|(_, row)| row.alias).next().unwrap()
}

#[test]
fn a_restriction_of_everything_leaves_safeguarding_to_go_on_upon_a_stated_ground() {
    let mut sharing = sharing();
    let asked = about(&sharing, CaseKind::Restriction, sharing.alias);
    let case = case_of(open(&mut sharing, "council", asked));
    let all = vec![restrict("")];
    let refused = decide(&mut sharing, "council", deciding(case, all));
    assert_eq!(refused, Err(Refusal::ContinueGroundMissing));
    let ground = ContinueGround::AnotherPerson;
    let all = vec![measure("", MeasureKind::Restrict, ground)];
    decide(&mut sharing, "council", deciding(case, all.clone())).unwrap();
    let again = decide(&mut sharing, "council", deciding(case, all));
    assert_eq!(again, Err(Refusal::MeasureState));
    let record = sharing.new_record();
    assert!(sharing.release("sds").is_empty() && sharing.release("college").is_empty());
    assert_eq!(sharing.release("charity"), [record]);
    assert_eq!(row(&sharing, case).all.unwrap().ground, i32::from(ground));
    // Named, it is restricted like any other.
    decide(&mut sharing, "council", deciding(case, vec![restrict("guard")])).unwrap();
    let next = sharing.publish(Some(record), VersionChange::Update).unwrap();
    assert!(sharing.release("charity").is_empty());
    lift(&mut sharing, case, "").unwrap();
    for recipient in ["sds", "college", "charity"] {
        assert_eq!(sharing.release(recipient), [next], "{recipient}");
    }
    sharing.world.hold();
}

#[test]
fn an_objection_stops_what_it_reaches_at_once_and_safeguarding_goes_on() {
    let mut sharing = sharing();
    let mut by_duty = about(&sharing, CaseKind::Objection, sharing.alias);
    by_duty.flows = vec![named("duty")];
    let refused = open(&mut sharing, "council", by_duty);
    assert_eq!(refused, Err(Refusal::ObjectionNotForBasis), "a legal obligation");
    let objection = about(&sharing, CaseKind::Objection, sharing.alias);
    let case = case_of(open(&mut sharing, "council", objection));
    let record = sharing.new_record();
    assert!(sharing.release("sds").is_empty(), "a public task waits for the decision");
    assert_eq!(sharing.release("college"), [record], "a duty does not");
    assert_eq!(sharing.release("charity"), [record], "nor does safeguarding");
    let all = row(&sharing, case).all.unwrap();
    assert_eq!(all.ground, i32::from(ContinueGround::SafeguardingUndecided));
    let closing =
        pb::DecideCase { outcome: i32::from(CaseOutcome::NotUpheld), ..deciding(case, Vec::new()) };
    assert_eq!(decide(&mut sharing, "council", closing), Err(Refusal::CaseState), "undecided");
    let compelling = measure("", MeasureKind::Continue, ContinueGround::Compelling);
    let decided = pb::DecideCase {
        outcome: i32::from(CaseOutcome::NotUpheld),
        ..deciding(case, vec![compelling])
    };
    decide(&mut sharing, "council", decided).unwrap();
    assert_eq!(sharing.release("sds"), [record]);
    assert!(row(&sharing, case).clocks.iter().all(|clock| clock.met_at.is_some()));
    let mut named_one = about(&sharing, CaseKind::Objection, sharing.alias);
    named_one.flows = vec![named("task"), named("guard")];
    let second = case_of(open(&mut sharing, "council", named_one));
    let next = sharing.publish(Some(record), VersionChange::Update).unwrap();
    assert!(sharing.release("sds").is_empty());
    assert_eq!(sharing.release("charity"), [next]);
    let upheld = pb::DecideCase {
        outcome: i32::from(CaseOutcome::Upheld),
        ..deciding(second, vec![restrict("task")])
    };
    decide(&mut sharing, "council", upheld).unwrap();
    assert!(sharing.release("sds").is_empty(), "it stays so after the case is closed");
    lift(&mut sharing, second, "task").unwrap();
    assert_eq!(sharing.release("sds"), [next]);
    sharing.world.hold();
}

#[test]
fn a_recipient_restricts_what_it_receives_under_the_name_that_it_knows() {
    let mut sharing = sharing();
    let record = sharing.new_record();
    assert_eq!(sharing.release("sds"), [record]);
    let received = sharing_alias(&sharing, "sds");
    // SDS knows the same person by a name of its own, and does not know that it is the same person.
    let own = sharing.world.add_client("sds", client(1));
    for (alias, stops) in [(own, false), (received, true)] {
        let asked = about(&sharing, CaseKind::Restriction, alias);
        let case = case_of(open(&mut sharing, "sds", asked));
        decide(&mut sharing, "sds", deciding(case, vec![restrict("")])).unwrap();
        let next = sharing.new_record();
        assert_eq!(sharing.release("sds").contains(&next), !stops);
        assert_eq!(sharing.release("college").last(), Some(&next), "nobody else is concerned");
        assert_eq!(told(&sharing, "council"), [], "nor told");
        let lift = measure("", MeasureKind::Lift, ContinueGround::Unspecified);
        let lift = pb::DecideCase { person_told: true, ..deciding(case, vec![lift]) };
        decide(&mut sharing, "sds", lift).unwrap();
        assert_eq!(sharing.release("sds").contains(&next), stops);
    }
    sharing.world.hold();
}

#[test]
fn a_case_reaches_its_controllers_own_flows_and_clients_alone() {
    let mut sharing = sharing();
    let asked = |sharing: &Sharing| about(sharing, CaseKind::Restriction, sharing.alias);
    let other = asked(&sharing);
    assert_eq!(open(&mut sharing, "sds", other), Err(Refusal::NotAvailable), "another's name");
    for unknown in [
        pb::FlowName { agreement: "leavers".to_owned(), flow: "none".to_owned() },
        pb::FlowName { agreement: "others".to_owned(), flow: "task".to_owned() },
    ] {
        let mut wrong = asked(&sharing);
        wrong.flows = vec![unknown];
        assert_eq!(open(&mut sharing, "council", wrong), Err(Refusal::NotAvailable));
    }
    let own = sharing.world.add_client("college", client(1));
    let mut anothers = about(&sharing, CaseKind::Restriction, own);
    anothers.flows = vec![named("task")];
    assert_eq!(open(&mut sharing, "college", anothers), Err(Refusal::NotAvailable));
    let mine = asked(&sharing);
    let case = case_of(open(&mut sharing, "council", mine));
    let steps = deciding(case, vec![restrict("duty")]);
    assert_eq!(decide(&mut sharing, "college", steps), Err(Refusal::NotAvailable));
    let none = deciding(CaseId::from_bytes([9; 16]), vec![restrict("duty")]);
    assert_eq!(decide(&mut sharing, "college", none), Err(Refusal::NotAvailable));
    sharing.world.hold();
}

#[test]
fn what_may_flow_again_is_signed_and_what_stops_is_not() {
    let mut sharing = sharing();
    let asked = about(&sharing, CaseKind::Restriction, sharing.alias);
    let case = case_of(open(&mut sharing, "council", asked));
    let stop = Kind::DecideCase(deciding(case, vec![restrict("task")]));
    let request = sharing.world.request_id();
    let outcome = sharing.world.apply_as("council", request, Signing::Not, stop.clone());
    assert_eq!(case_of(outcome.clone()), case);
    assert_eq!(sharing.world.apply_as("council", request, Signing::Not, stop), outcome, "once");
    let lift = vec![measure("task", MeasureKind::Lift, ContinueGround::Unspecified)];
    let lift = Kind::DecideCase(pb::DecideCase { person_told: true, ..deciding(case, lift) });
    let request = sharing.world.request_id();
    for (signing, refusal) in
        [(Signing::Not, Refusal::SignatureMissing), (Signing::As("sds"), Refusal::SignatureInvalid)]
    {
        let outcome = sharing.world.apply_as("council", request, signing, lift.clone());
        assert_eq!(outcome, Err(refusal));
    }
    let outcome = sharing.world.apply_as("council", request, Signing::Own, lift);
    assert_eq!(case_of(outcome), case);
}

#[test]
fn a_clock_of_a_month_waits_for_identity_and_clarification_and_is_extended_once() {
    let mut sharing = sharing();
    let mut asked = about(&sharing, CaseKind::Access, sharing.alias);
    let identity = i32::from(IdentityCheck::Asked);
    asked.requester = Some(pb::Requester { identity, ..themselves() });
    let case = case_of(open(&mut sharing, "council", asked));
    let step = |sharing: &mut Sharing, step: CaseStep| {
        let extended = step == CaseStep::Extended;
        let reason = if extended { ExtensionReason::Complex } else { ExtensionReason::Unspecified };
        let advance = pb::AdvanceCase {
            case: bytes(case),
            step: i32::from(step),
            extension_reason: i32::from(reason),
        };
        sharing.act("council", Kind::AdvanceCase(advance))
    };
    let due = |sharing: &Sharing| row(sharing, case).clocks.first().unwrap().due_at.millis();
    sharing.world.wait(60 * DAY_MS);
    step(&mut sharing, CaseStep::IdentityConfirmed).unwrap();
    // 2026-10-02 to 2026-11-02: 31 days.
    assert_eq!(due(&sharing), sharing.world.now_ms() + 31 * DAY_MS, "it begins with the identity");
    assert_eq!(step(&mut sharing, CaseStep::IdentityConfirmed), Err(Refusal::CaseState));
    let before = due(&sharing);
    step(&mut sharing, CaseStep::ClarificationAsked).unwrap();
    let since = sharing.world.now_ms();
    assert_eq!(step(&mut sharing, CaseStep::Extended), Err(Refusal::CaseState), "it stands");
    sharing.world.wait(10 * DAY_MS);
    step(&mut sharing, CaseStep::Clarified).unwrap();
    assert_eq!(due(&sharing) - before, sharing.world.now_ms() - since);
    let before = due(&sharing);
    step(&mut sharing, CaseStep::Extended).unwrap();
    assert!((before + 58 * DAY_MS..=before + 62 * DAY_MS).contains(&due(&sharing)));
    assert_eq!(step(&mut sharing, CaseStep::Extended), Err(Refusal::CaseState), "once");
    assert_eq!(step(&mut sharing, CaseStep::Acknowledged), Err(Refusal::CaseState));
    sharing.world.hold();
}

#[test]
fn what_is_late_is_told_by_a_tick_on_an_idle_exchange_and_once() {
    let mut sharing = sharing();
    let kind = CaseKind::Restriction;
    let asked = about(&sharing, kind, sharing.alias);
    let case = case_of(open(&mut sharing, "council", asked));
    let overdue =
        About::Case { case, kind: i32::from(kind), event: CaseEvent::Overdue(Task::Answer) };
    sharing.world.wait(30 * DAY_MS);
    sharing.world.apply(By::Node, Kind::Tick(pb::Tick {})).unwrap();
    assert_eq!(told(&sharing, "council"), []);
    sharing.world.wait(DAY_MS);
    for _ in 0..2 {
        sharing.world.apply(By::Node, Kind::Tick(pb::Tick {})).unwrap();
        assert_eq!(told(&sharing, "council"), std::slice::from_ref(&overdue));
    }
    sharing.world.hold();
}

fn incident(sharing: &Sharing, severity: Severity) -> pb::OpenCase {
    pb::OpenCase {
        kind: i32::from(CaseKind::Incident),
        received_at_ms: sharing.world.now_ms(),
        agreement: "leavers".to_owned(),
        incident: Some(pb::Incident {
            kind: i32::from(IncidentKind::Disclosure),
            severity: i32::from(severity),
            affected_count: 3,
            records: Vec::new(),
        }),
        ..pb::OpenCase::default()
    }
}

#[test]
fn an_incident_has_72_hours_and_every_party_is_told() {
    let mut sharing = sharing();
    let record = sharing.new_record();
    let mut risky = incident(&sharing, Severity::Risk);
    let id = bytes::Bytes::copy_from_slice(record.as_bytes());
    risky.incident.as_mut().unwrap().records = vec![id];
    assert_eq!(open(&mut sharing, "college", risky.clone()), Err(Refusal::NotAvailable));
    assert_eq!(open(&mut sharing, "stranger", risky.clone()), Err(Refusal::AgreementUnknown));
    let case = case_of(open(&mut sharing, "council", risky));
    let event = |event| About::Incident {
        agreement: "leavers".parse().unwrap(),
        by: sharing.number("council"),
        event,
        kind: i32::from(IncidentKind::Disclosure),
        severity: i32::from(Severity::Risk),
        affected_count: 3,
    };
    let (opened, closed) = (event(IncidentEvent::Opened), event(IncidentEvent::Closed));
    for party in ["sds", "college", "health", "charity"] {
        assert_eq!(told(&sharing, party), std::slice::from_ref(&opened), "{party}");
    }
    assert_eq!(told(&sharing, "stranger"), []);
    let resolved =
        pb::DecideCase { outcome: i32::from(CaseOutcome::Resolved), ..deciding(case, Vec::new()) };
    assert_eq!(decide(&mut sharing, "council", resolved.clone()), Err(Refusal::CaseState));
    sharing.world.wait(72 * 3_600_000);
    sharing.world.apply(By::Node, Kind::Tick(pb::Tick {})).unwrap();
    let late = CaseEvent::Overdue(Task::TellRegulator);
    let late = About::Case { case, kind: i32::from(CaseKind::Incident), event: late };
    assert_eq!(told(&sharing, "council"), [late]);
    let step = |step: CaseStep| {
        let step = i32::from(step);
        Kind::AdvanceCase(pb::AdvanceCase { case: bytes(case), step, extension_reason: 0 })
    };
    let silent = sharing.act("council", step(CaseStep::RegulatorNotTold));
    assert_eq!(silent, Err(Refusal::CaseState), "where there is a risk the Commissioner is told");
    sharing.act("council", step(CaseStep::RegulatorTold)).unwrap();
    decide(&mut sharing, "council", resolved).unwrap();
    assert_eq!(told(&sharing, "sds"), [opened, closed]);
    let low = incident(&sharing, Severity::Low);
    let low = case_of(open(&mut sharing, "sds", low));
    let not_told = i32::from(CaseStep::RegulatorNotTold);
    let advance = pb::AdvanceCase { case: bytes(low), step: not_told, extension_reason: 0 };
    assert!(sharing.act("sds", Kind::AdvanceCase(advance)).is_ok());
    sharing.world.hold();
}

#[test]
fn a_complaint_is_acknowledged_in_30_days_and_answered_in_three_months() {
    let mut sharing = sharing();
    let complaint = pb::OpenCase {
        kind: i32::from(CaseKind::Complaint),
        requester: Some(pb::Requester { relation: i32::from(Relation::Other), ..themselves() }),
        received_at_ms: sharing.world.now_ms(),
        ..pb::OpenCase::default()
    };
    let received = UnixMillis::new(complaint.received_at_ms);
    let case = case_of(open(&mut sharing, "council", complaint));
    let clocks: Vec<_> = row(&sharing, case).clocks.iter().map(|c| (c.task, c.due_at)).collect();
    // 2026-08-03 to 2026-11-03: 92 days.
    let expected = [
        (Task::Acknowledge, received.plus(30 * DAY_MS)),
        (Task::Answer, received.plus(92 * DAY_MS)),
    ];
    assert_eq!(clocks, expected);
    let step = i32::from(CaseStep::Acknowledged);
    let advance = pb::AdvanceCase { case: bytes(case), step, extension_reason: 0 };
    sharing.act("council", Kind::AdvanceCase(advance.clone())).unwrap();
    assert_eq!(sharing.act("council", Kind::AdvanceCase(advance)), Err(Refusal::CaseState));
    let restricting = deciding(case, vec![restrict("task")]);
    assert_eq!(decide(&mut sharing, "council", restricting), Err(Refusal::CaseState));
    let upheld = pb::DecideCase {
        outcome: i32::from(CaseOutcome::PartlyUpheld),
        ..deciding(case, Vec::new())
    };
    decide(&mut sharing, "council", upheld.clone()).unwrap();
    assert_eq!(decide(&mut sharing, "council", upheld), Err(Refusal::CaseState), "once");
    sharing.world.hold();
}

#[test]
fn a_complaint_has_the_time_that_the_agreement_states() {
    let mut sharing = sharing();
    let mut content =
        sharing.world.content(&["council", "sds"], vec![flow("x", "council", &["sds"])]);
    let terms = content.terms.get_or_insert_default();
    (terms.complaint_acknowledge_days, terms.complaint_answer_days) = (5, 20);
    sharing.world.activate("quick", content.clone());
    let complaint = |agreement: &str, at: u64| pb::OpenCase {
        kind: i32::from(CaseKind::Complaint),
        requester: Some(pb::Requester { relation: i32::from(Relation::Other), ..themselves() }),
        received_at_ms: at,
        agreement: agreement.to_owned(),
        ..pb::OpenCase::default()
    };
    let received = sharing.world.now_ms();
    let clocks = |sharing: &mut Sharing, agreement: &str| -> Vec<_> {
        let case = case_of(open(sharing, "council", complaint(agreement, received)));
        row(sharing, case).clocks.iter().map(|clock| (clock.due_at, clock.source)).collect()
    };
    let after = |days: u64| UnixMillis::new(received + days * DAY_MS);
    let agreed = i32::from(ClockSource::Agreement);
    let (statute, practice) = (ClockSource::Statute, ClockSource::Practice);
    assert_eq!(clocks(&mut sharing, "quick"), [(after(5), agreed), (after(20), agreed)]);
    let otherwise = clocks(&mut sharing, "leavers");
    assert_eq!(otherwise[0], (after(30), i32::from(statute)));
    assert_eq!(otherwise[1].1, i32::from(practice));
    // Less time than the law lets them take, and never more.
    content.terms.get_or_insert_default().complaint_acknowledge_days = 31;
    assert_eq!(sharing.world.draft("council", "slow", content), Err(Refusal::Malformed));
    sharing.world.hold();
}

#[test]
fn a_suspended_agency_opens_objections_and_restrictions_and_restricts() {
    let mut sharing = sharing();
    let first = sharing.new_record();
    let suspend = pb::SuspendAgency { agency: "council".to_owned() };
    sharing.world.apply(By::Operator, Kind::SuspendAgency(suspend)).unwrap();
    for kind in [CaseKind::Objection, CaseKind::Restriction] {
        let asked = about(&sharing, kind, sharing.alias);
        let case = case_of(open(&mut sharing, "council", asked));
        decide(&mut sharing, "council", deciding(case, vec![restrict("task")])).unwrap();
        assert_eq!(lift(&mut sharing, case, "task"), Err(Refusal::AgencySuspended));
    }
    let asked = about(&sharing, CaseKind::Access, sharing.alias);
    assert_eq!(open(&mut sharing, "council", asked), Err(Refusal::AgencySuspended));
    let resume = pb::ResumeAgency { agency: "council".to_owned() };
    sharing.world.apply(By::Operator, Kind::ResumeAgency(resume)).unwrap();
    assert!(sharing.release("sds").is_empty(), "{first} is restricted");
    sharing.world.hold();
}

#[test]
fn everybody_who_was_sent_what_is_restricted_is_told_however_many_they_are() {
    let mut sharing = sharing();
    let names: Vec<String> = (0..70).map(|n| format!("college-{n}")).collect();
    for (part, names) in names.chunks(14).enumerate() {
        let recipients: Vec<&str> = names.iter().map(String::as_str).collect();
        for name in &recipients {
            sharing.world.enrol(name, pb::AgencyKind::College);
        }
        let parties: Vec<&str> = ["council"].into_iter().chain(recipients.clone()).collect();
        let flows = vec![flow("duty", "council", &recipients)];
        let content = sharing.world.content(&parties, flows);
        sharing.world.activate(&format!("part-{part}"), content);
    }
    for name in &names {
        let create = pb::CreateSubscription {
            subscription: "first".to_owned(),
            record_types: owned(&[LEAVER_FORM]),
        };
        sharing.act(name, Kind::CreateSubscription(create)).unwrap();
    }
    let sweep = |sharing: &mut Sharing| {
        while !sharing.world.state.tables().sweeps.is_empty() {
            let step = Kind::ContinueSweep(pb::ContinueSweep {});
            sharing.world.apply(By::Node, step).unwrap();
        }
    };
    let first = sharing.new_record();
    sweep(&mut sharing);
    for name in &names {
        assert_eq!(sharing.release(name), [first]);
    }
    let asked = about(&sharing, CaseKind::Restriction, sharing.alias);
    let case = case_of(open(&mut sharing, "council", asked));
    let ground = ContinueGround::AnotherPerson;
    let all = vec![measure("", MeasureKind::Restrict, ground)];
    decide(&mut sharing, "council", deciding(case, all)).unwrap();
    let heard =
        |sharing: &Sharing| names.iter().filter(|name| told(sharing, name).len() == 1).count();
    assert_eq!(heard(&sharing), 64, "as many as one entry tells");
    sweep(&mut sharing);
    assert_eq!(heard(&sharing), 70);
    sharing.world.hold();
}

#[test]
fn what_does_not_belong_to_the_kind_of_case_is_malformed() {
    let mut sharing = sharing();
    let good = about(&sharing, CaseKind::Restriction, sharing.alias);
    let agreement = "leavers".to_owned();
    let other = pb::Requester { relation: i32::from(Relation::Other), ..themselves() };
    for (what, bad) in [
        ("no client", pb::OpenCase { client: bytes::Bytes::new(), ..good.clone() }),
        ("no requester", pb::OpenCase { requester: None, ..good.clone() }),
        ("an agreement", pb::OpenCase { agreement, ..good.clone() }),
        ("a flow twice", pb::OpenCase { flows: vec![named("task"); 2], ..good.clone() }),
        ("somebody else", pb::OpenCase { requester: Some(other), ..good.clone() }),
        ("no kind", pb::OpenCase { kind: 0, ..good.clone() }),
        (
            "flows of an access",
            pb::OpenCase {
                kind: i32::from(CaseKind::Access),
                flows: vec![named("task")],
                ..good.clone()
            },
        ),
        (
            "an incident about a client",
            pb::OpenCase { client: good.client.clone(), ..incident(&sharing, Severity::Low) },
        ),
    ] {
        assert_eq!(open(&mut sharing, "council", bad), Err(Refusal::Malformed), "{what}");
    }
    let later = good.received_at_ms + 10 * DAY_MS;
    let future = pb::OpenCase { received_at_ms: later, ..good.clone() };
    assert_eq!(open(&mut sharing, "council", future), Err(Refusal::CaseDatesInvalid));
    let ancient = good.received_at_ms - 367 * DAY_MS;
    let ancient = pb::OpenCase { received_at_ms: ancient, ..good.clone() };
    assert_eq!(open(&mut sharing, "council", ancient), Err(Refusal::CaseDatesInvalid));
    let case = case_of(open(&mut sharing, "council", good));
    for (what, bad) in [
        ("nothing", deciding(case, Vec::new())),
        ("twice", deciding(case, vec![restrict("task"); 2])),
        (
            "a ground",
            deciding(case, vec![measure("task", MeasureKind::Restrict, ContinueGround::Consent)]),
        ),
        (
            "no ground",
            deciding(
                case,
                vec![measure("task", MeasureKind::Continue, ContinueGround::Unspecified)],
            ),
        ),
        (
            "pending",
            deciding(
                case,
                vec![measure("task", MeasureKind::Pending, ContinueGround::Unspecified)],
            ),
        ),
    ] {
        assert_eq!(decide(&mut sharing, "council", bad), Err(Refusal::Malformed), "{what}");
    }
}

#[test]
fn nobody_without_rights_exercises_the_clients() {
    let mut sharing = sharing();
    let record = |standing: Standing| pb::RecordHolder {
        client: sharing.alias.as_bytes().to_vec().into(),
        holder: bytes::Bytes::new(),
        standing: i32::from(standing),
    };
    let record = record(Standing::WithoutRights);
    let receipt = sharing.world.apply("council", Kind::RecordHolder(record)).unwrap();
    let Receipt::Answer(Remembered::Holder(holder)) = receipt else {
        unreachable!("not a holder: {receipt:?}")
    };
    for (kind, refused) in [
        (CaseKind::Restriction, true),
        (CaseKind::Objection, true),
        (CaseKind::Access, true),
        (CaseKind::Complaint, false),
    ] {
        let asked = pb::OpenCase {
            requester: Some(pb::Requester {
                relation: i32::from(Relation::Parent),
                authority: i32::from(pb::Authority::Stated),
                holder: holder.as_bytes().to_vec().into(),
                ..themselves()
            }),
            ..about(&sharing, kind, sharing.alias)
        };
        let outcome = open(&mut sharing, "council", asked);
        assert_eq!(outcome == Err(Refusal::HolderWithoutRights), refused, "{kind:?}: {outcome:?}");
    }
}

#[test]
fn what_restricts_everything_keeps_what_was_restricted_before() {
    let mut sharing = sharing();
    let asked = about(&sharing, CaseKind::Restriction, sharing.alias);
    let case = case_of(open(&mut sharing, "council", asked));
    decide(&mut sharing, "council", deciding(case, vec![restrict("guard")])).unwrap();
    let record = sharing.new_record();
    assert!(sharing.release("charity").is_empty());
    // It is said not to reach safeguarding, is not signed, and must let nothing flow.
    let all = measure("", MeasureKind::Restrict, ContinueGround::AnotherPerson);
    let all = Kind::DecideCase(deciding(case, vec![all]));
    let request = sharing.world.request_id();
    let _decided = case_of(sharing.world.apply_as("council", request, Signing::Not, all));
    for recipient in ["sds", "college", "charity"] {
        assert!(sharing.release(recipient).is_empty(), "{recipient}");
    }
    lift(&mut sharing, case, "guard").unwrap();
    assert_eq!(sharing.release("charity"), [record]);
    assert!(sharing.release("sds").is_empty());
    sharing.world.hold();
}

#[test]
fn two_names_of_one_client_are_two_in_every_case() {
    let mut sharing = sharing();
    let record = sharing.new_record();
    assert_eq!(sharing.release("sds"), [record]);
    let received = sharing_alias(&sharing, "sds");
    let own = sharing.world.add_client("sds", client(1));
    let record = pb::RecordHolder {
        client: own.as_bytes().to_vec().into(),
        holder: bytes::Bytes::new(),
        standing: i32::from(Standing::HasRights),
    };
    let receipt = sharing.world.apply("sds", Kind::RecordHolder(record)).unwrap();
    let Receipt::Answer(Remembered::Holder(holder)) = receipt else {
        unreachable!("not a holder: {receipt:?}")
    };
    let asked = |sharing: &Sharing, alias| pb::OpenCase {
        requester: Some(pb::Requester {
            relation: i32::from(Relation::Parent),
            authority: i32::from(pb::Authority::Stated),
            holder: holder.as_bytes().to_vec().into(),
            ..themselves()
        }),
        ..about(sharing, CaseKind::Complaint, alias)
    };
    // A person who is recorded under the one name is nobody under the other.
    let under_received = asked(&sharing, received);
    assert_eq!(open(&mut sharing, "sds", under_received), Err(Refusal::NotAvailable));
    // Nor do the open cases of the one fill the other.
    for _ in 0..limit::CASES_OPEN_MAX {
        let complaint = about(&sharing, CaseKind::Complaint, received);
        let _case = case_of(open(&mut sharing, "sds", complaint));
    }
    let complaint = about(&sharing, CaseKind::Complaint, received);
    assert_eq!(open(&mut sharing, "sds", complaint), Err(Refusal::LimitReached));
    let under_own = asked(&sharing, own);
    let _case = case_of(open(&mut sharing, "sds", under_own));
    sharing.world.hold();
}

#[test]
fn a_publisher_sees_its_own_records_under_its_own_name_whatever_it_received() {
    let mut sharing = sharing();
    let health = sharing.world.add_client("health", client(1));
    let publish = pb::PublishRecord {
        record_type: LEAVER_FORM.to_owned(),
        type_version: 1,
        code_lists: "2026-11-01".to_owned(),
        client: health.as_bytes().to_vec().into(),
        groups: owned(&["core"]),
        content_mac: digest("content"),
        key: vec![4; 16].into(),
        ..pb::PublishRecord::default()
    };
    sharing.act("health", Kind::PublishRecord(publish)).unwrap();
    assert_eq!(sharing.release("council").len(), 1);
    let received = sharing_alias(&sharing, "council");
    assert_ne!(received, sharing.alias);
    let record = sharing.new_record();
    assert_eq!(sharing.release("sds"), [record]);
    sharing.retract("council", record, RecallReason::Unlawful).unwrap();
    let viewer = Viewer::Agency(sharing.number("council"));
    let issued = recall::issued(&sharing.world.state, viewer, (Some(record), false), (None, 10));
    let names: Vec<_> = issued.rows.iter().map(|view| view.client).collect();
    assert_eq!(names, [sharing.alias], "the other name would say that they are one person's");
    sharing.world.hold();
}
