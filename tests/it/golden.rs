//! Golden ledgers: entries that were written once and must replay to the same outcomes for ever.
//!
//! `golden/v1/every-kind.hex` holds one entry a line: when it was admitted, in milliseconds, and its bytes. Beside it
//! stand the outcomes, one a line, and their chained digest. State digests are not compared: they change with the schema.
//! `CONCORDAT_GOLDEN=write` writes the files anew, which is right only while no ledger of the format exists.

#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests may end a test"
)]

use std::{collections::BTreeSet, fmt::Write, fs, path::PathBuf};

use concordat::{
    machine::{
        Outcome, Receipt, State, apply,
        command::{Command, Parsed},
        outcome::Remembered,
        read::offers,
    },
    model::order::{Position, UnixMillis},
    pb::ledger::v1::{self as pb, command::Kind},
};

use crate::{
    machine::emergency::{emergency_flow, opening},
    machine::succession,
    machine::world::{
        By, DAY_MS, LEAVER_FORM, World, alias_of, client, consent_of, consented_flow, digest, flow,
        owned, suspension,
    },
    simulation::cast::POLICY_TEXTS,
};

/// The numbers of every kind of command (`concordat.ledger.v1.Command`).
const KINDS: [std::ops::RangeInclusive<u32>; 14] = [
    16..=22,
    32..=36,
    48..=54,
    64..=68,
    80..=81,
    96..=99,
    112..=113,
    128..=133,
    144..=146,
    152..=153,
    160..=164,
    176..=181,
    192..=196,
    224..=224,
];

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/v1").join(name)
}

/// A short history with every kind of command in it.
fn written() -> World {
    let mut world = World::of_partners();
    agreements(&mut world);
    let alias = world.add_client("council", client(1));
    let charity = world.add_client("charity", client(1));
    for name in ["college", "charity"] {
        let (subscription, record_types) = ("first".to_owned(), owned(&[LEAVER_FORM]));
        let create = pb::CreateSubscription { subscription, record_types };
        let _created = sharing(&mut world, name, Kind::CreateSubscription(create));
    }
    let open = pb::OpenKey {
        key: vec![3; 16].into(),
        client: client(1).as_bytes().to_vec().into(),
        agency: "council".to_owned(),
        disposal_class: i32::from(pb::DisposalClass::Record),
        ..pb::OpenKey::default()
    };
    let _opened = world.apply(By::Node, Kind::OpenKey(open));
    let consent = consent(&mut world, alias.as_bytes());
    let record = publish(&mut world, alias.as_bytes(), &[]);
    let replaced = publish(&mut world, alias.as_bytes(), &record);
    release(&mut world, "college");
    deliveries(&mut world, &replaced);
    cases(&mut world, (alias.as_bytes(), charity.as_bytes()));
    release(&mut world, "charity");
    stops(&mut world, consent);
    world.wait(400 * DAY_MS);
    for kind in [Kind::Tick(pb::Tick {}), Kind::ContinueSweep(pb::ContinueSweep {})] {
        let _outcome = world.apply(By::Node, kind);
    }
    recalls(&mut world, &replaced);
    rights(&mut world, alias.as_bytes());
    emergencies(&mut world);
    erasures(&mut world, (alias.as_bytes(), &replaced));
    words_of_a_case(&mut world);
    successions(&mut world);
    world
}

/// The council reads what it noted about a case of its own.
fn words_of_a_case(world: &mut World) {
    let council = world.state.agency_number(&"council".parse().unwrap()).unwrap();
    let case = world.state.cases_of(council).next().map(|(id, _)| id.as_bytes().to_vec());
    let open = pb::OpenWords {
        kind: i32::from(pb::MatterKind::Case),
        matter: case.unwrap_or_default().into(),
        reason: i32::from(pb::ReadReason::SubjectRequest),
    };
    assert_eq!(world.apply("council", Kind::OpenWords(open)), Ok(Receipt::DONE));
}

/// The health board goes over into SDS on a date; a moved function is declined.
fn successions(world: &mut World) {
    let content = world
        .content(&["council", "sds", "health"], vec![flow("duty", "council", &["sds", "health"])]);
    world.activate("boards", content);
    let shares = [("boards", "sds"), ("ward", "sds")];
    let body = ("health", pb::SuccessionKind::Merger);
    let content = pb::SuccessionContent {
        effective_at_ms: world.now_ms() + DAY_MS,
        ..succession::settles(world, body, &shares)
    };
    let merged = succession::propose(world, "health", content).unwrap();
    let unknown = (merged.0, concordat::model::digest::Digest::from_bytes([9; 32]));
    let _differs = succession::approve(world, "sds", unknown);
    succession::approve_all(world, merged);
    world.wait(2 * DAY_MS);
    for kind in [Kind::Tick(pb::Tick {}), Kind::ContinueSweep(pb::ContinueSweep {})] {
        let _outcome = world.apply(By::Node, kind);
    }
    let content = world.content(&["council", "college"], vec![flow("on", "council", &["college"])]);
    world.activate("moving", content);
    let moved = ("college", pb::SuccessionKind::FunctionMoved);
    let content = succession::settles(world, moved, &[("moving", "charity")]);
    let moved = succession::propose(world, "college", content).unwrap();
    let decline = pb::DeclineSuccession {
        succession: moved.0.as_bytes().to_vec().into(),
        reason: i32::from(pb::SuccessionDeclineReason::NewAgreementWanted),
    };
    let _declined = world.apply("council", Kind::DeclineSuccession(decline));
}

/// A person objects and asks what is held, and an incident runs its course.
fn rights(world: &mut World, alias: &[u8]) {
    let received_at_ms = world.now_ms();
    let requester = Some(pb::Requester {
        relation: i32::from(pb::Relation::Self_),
        identity: i32::from(pb::IdentityCheck::Confirmed),
        ..pb::Requester::default()
    });
    let asked = |kind: pb::CaseKind| pb::OpenCase {
        kind: i32::from(kind),
        client: alias.to_vec().into(),
        requester: requester.clone(),
        received_at_ms,
        ..pb::OpenCase::default()
    };
    let open = |world: &mut World, open: pb::OpenCase| -> bytes::Bytes {
        let opened = world.apply("council", Kind::OpenCase(open));
        let Ok(Receipt::Answer(Remembered::Case(case))) = opened else { panic!("{opened:?}") };
        case.as_bytes().to_vec().into()
    };
    let objection = open(world, asked(pb::CaseKind::Objection));
    let restrict = pb::Measure {
        kind: i32::from(pb::MeasureKind::Restrict),
        ground: i32::from(pb::ContinueGround::AnotherPerson),
        ..pb::Measure::default()
    };
    let outcome = i32::from(pb::CaseOutcome::Upheld);
    let decide =
        pb::DecideCase { case: objection, measures: vec![restrict], outcome, person_told: false };
    let _decided = world.apply("council", Kind::DecideCase(decide));
    let access = open(world, asked(pb::CaseKind::Access));
    let extended = pb::AdvanceCase {
        case: access.clone(),
        step: i32::from(pb::CaseStep::Extended),
        extension_reason: i32::from(pb::ExtensionReason::Complex),
    };
    let _extended = world.apply("council", Kind::AdvanceCase(extended));
    let after = bytes::Bytes::new();
    let make = Kind::MakeReport(pb::MakeReport { case: access.clone(), after });
    let _made = world.apply("council", make.clone());
    let council = world.state.agency_number(&"council".parse().unwrap()).unwrap();
    let record = world.state.tables().records.iter().find(|(_, row)| row.publisher == council);
    let record = record.map(|(id, _)| id.as_bytes().to_vec()).unwrap_or_default().into();
    let exemption = i32::from(pb::Exemption::SeriousHarm);
    let hold = pb::HoldBack { case: access, record, groups: Vec::new(), exemption };
    let _held = world.apply("council", Kind::HoldBack(hold));
    let _made = world.apply("council", make);
    world.wait(120 * DAY_MS);
    let _late = world.apply(By::Node, Kind::Tick(pb::Tick {}));
}

/// A clinician of the health board reads in an emergency; somebody else reviews it.
fn emergencies(world: &mut World) {
    let flows = vec![flow("duty", "council", &["sds"]), emergency_flow("council", &["health"])];
    let content = world.content(&["council", "sds", "health"], flows);
    world.activate("ward", content);
    let alias = world.add_client("council", client(1));
    let record = publish(world, alias.as_bytes(), &[]);
    let until_ms = world.now_ms() + DAY_MS;
    let authorise = pb::AuthoriseEmergency { offices: vec![2], until_ms };
    let _authorised = world.apply("health", Kind::AuthoriseEmergency(authorise));
    let opened = in_person(world, opening("ann", &[1]));
    let Ok(Receipt::Answer(Remembered::Emergency(id))) = opened else { panic!("{opened:?}") };
    let emergency: bytes::Bytes = id.as_bytes().to_vec().into();
    let grants = vec![pb::Grant {
        agreement: "ward".to_owned(),
        version: 1,
        flow: "emergencies".to_owned(),
        groups: owned(&["core"]),
        consents: Vec::new(),
    }];
    let lines = vec![pb::EmergencyLine { record: record.into(), grants }];
    let staff = digest("ann");
    let read = pb::ReadEmergency { emergency: emergency.clone(), staff, lines };
    let read = in_person(world, Kind::ReadEmergency(read));
    assert!(matches!(read, Ok(Receipt::Released(lines)) if lines.len() == 1));
    let (finding, reviewer, staff) = (1, 2, digest("officer"));
    let review = pb::ReviewEmergency { emergency, finding, reviewer, staff };
    let _reviewed = in_person(world, Kind::ReviewEmergency(review));
    let (agency, cause) = ("college".to_owned(), 1);
    let note = pb::NoteEmergencyRefused { agency, cause };
    let _noted = world.apply(By::Node, Kind::NoteEmergencyRefused(note));
}

/// Submits in the name of a member of the health board's staff.
fn in_person(world: &mut World, kind: Kind) -> Outcome {
    let request = world.request_id();
    let signing = crate::machine::world::Signing::Own;
    let mut command = world.command(By::Agency("health"), request, signing, kind);
    command.purpose = i32::from(pb::Purpose::ChildProtection);
    if let Some(actor) = &mut command.actor {
        actor.unattended = false;
    }
    world.append(prost::Message::encode_to_vec(&command))
}

/// A record is taken back after all; the college answers, and doubts what it was sent.
fn recalls(world: &mut World, record: &[u8]) {
    let record: bytes::Bytes = record.to_vec().into();
    let reason = i32::from(pb::RecallReason::AgreementEnded);
    let retract = pb::RetractRecord { record: record.clone(), reason };
    let _retracted = world.apply("council", Kind::RetractRecord(retract));
    let college = world.state.agency_number(&"college".parse().unwrap()).unwrap();
    let recalls: Vec<bytes::Bytes> =
        world.state.recalls_waiting(college).map(|id| id.as_bytes().to_vec().into()).collect();
    let recall = recalls[0].clone();
    let hand_over = pb::HandOverRecalls { agency: "college".to_owned(), recalls };
    let _handed_over = world.apply(By::Node, Kind::HandOverRecalls(hand_over));
    let act = i32::from(pb::RecallAct::Deleted);
    let acknowledge = pb::AcknowledgeRecall { recall, act, ground: 0 };
    let _acknowledged = world.apply("college", Kind::AcknowledgeRecall(acknowledge));
    let open = pb::OpenDispute {
        record,
        group: "core".to_owned(),
        field: String::new(),
        reason: i32::from(pb::DisputeReason::OutOfDate),
    };
    let opened = world.apply("college", Kind::OpenDispute(open));
    let Ok(Receipt::Answer(Remembered::Dispute(dispute))) = opened else { panic!("{opened:?}") };
    let answer = pb::AnswerDispute {
        dispute: dispute.as_bytes().to_vec().into(),
        answer: i32::from(pb::DisputeAnswer::Kept),
        keep_reason: i32::from(pb::KeepReason::AsRecorded),
    };
    let _answered = world.apply("council", Kind::AnswerDispute(answer));
}

/// Submits in the purpose of the agreement.
fn sharing(world: &mut World, name: &str, kind: Kind) -> Outcome {
    let request = world.request_id();
    let signing = crate::machine::world::Signing::Own;
    let mut command = world.command(By::Agency(name), request, signing, kind);
    command.purpose = i32::from(pb::Purpose::SchoolLeaverTransition);
    world.append(prost::Message::encode_to_vec(&command))
}

fn agreements(world: &mut World) {
    let flows = vec![
        consented_flow("consented", "council", &["college"]),
        pb::Flow {
            caseload: i32::from(pb::CaseloadRule::Confirmed),
            ..flow("caseload", "council", &["charity"])
        },
    ];
    let content = world.content(&["council", "college", "charity"], flows);
    world.activate("leavers", content.clone());
    let stands = world.draft("council", "declined", content).unwrap();
    world.propose("council", "declined", stands).unwrap();
    let decline = pb::DeclineAgreement {
        agreement: "declined".to_owned(),
        version: stands.0,
        reason: i32::from(pb::DeclineReason::BasisDisputed),
    };
    let _declined = world.apply("college", Kind::DeclineAgreement(decline));
}

fn consent(world: &mut World, alias: &[u8]) -> Vec<u8> {
    let scope = Some(pb::ConsentScope {
        client: alias.to_vec().into(),
        publisher: "council".to_owned(),
        record_type: LEAVER_FORM.to_owned(),
        groups: owned(&["core", "support-needs"]),
        recipients: owned(&["college"]),
        gate: i32::from(pb::Gate::DataProtectionConsent),
        ..pb::ConsentScope::default()
    });
    let act = Some(pb::ConsentAct {
        grantor: i32::from(pb::Grantor::Self_),
        authority: 0,
        age_years: 16,
        method: i32::from(pb::ConsentMethod::Form),
        given_at_ms: world.now_ms(),
        notice_digest: digest("notice"),
        ..pb::ConsentAct::default()
    });
    let refuse = pb::RefuseConsent { scope: scope.clone(), act: act.clone() };
    let _refused = sharing(world, "council", Kind::RefuseConsent(refuse));
    disputed(world, alias, (scope.clone(), act.clone()));
    let kind = Kind::RecordConsent(pb::RecordConsent {
        scope,
        act,
        expires_at_ms: 0,
        ..pb::RecordConsent::default()
    });
    consent_of(sharing(world, "council", kind)).as_bytes().to_vec()
}

/// A person without rights, and a refusal in the client's name that the council sets aside.
fn disputed(
    world: &mut World,
    alias: &[u8],
    (scope, act): (Option<pb::ConsentScope>, Option<pb::ConsentAct>),
) {
    let standing = i32::from(pb::Standing::WithoutRights);
    let holder = pb::RecordHolder { client: alias.to_vec().into(), standing, ..Default::default() };
    let _recorded = sharing(world, "council", Kind::RecordHolder(holder));
    let act = act.map(|act| pb::ConsentAct {
        grantor: i32::from(pb::Grantor::Representative),
        authority: i32::from(pb::Authority::Seen),
        mandate: i32::from(pb::Mandate::GuardianshipOrder),
        competence: i32::from(pb::Competence::Incapable),
        ..act
    });
    let refuse = Kind::RefuseConsent(pb::RefuseConsent { scope, act });
    let refusal = consent_of(sharing(world, "council", refuse));
    let resolve = pb::ResolveConsent {
        refusal: refusal.as_bytes().to_vec().into(),
        resolution: i32::from(pb::Resolution::SetAside),
        ground: i32::from(pb::ResolutionGround::BestInterests),
        view: i32::from(pb::ClientView::Agrees),
    };
    let _resolved = sharing(world, "council", Kind::ResolveConsent(resolve));
}

fn publish(world: &mut World, alias: &[u8], supersedes: &[u8]) -> Vec<u8> {
    let publish = pb::PublishRecord {
        record_type: LEAVER_FORM.to_owned(),
        type_version: 1,
        code_lists: "2026-11-01".to_owned(),
        client: alias.to_vec().into(),
        supersedes: supersedes.to_vec().into(),
        groups: owned(&["core", "destination", "support-needs"]),
        content_mac: digest("content"),
        key: vec![3; 16].into(),
        change: 0,
    };
    match sharing(world, "council", Kind::PublishRecord(publish)) {
        Ok(Receipt::Published { record, .. }) => record.as_bytes().to_vec(),
        other => panic!("{other:?}"),
    }
}

/// Releases what the node would release.
fn release(world: &mut World, name: &str) {
    let state = &world.state;
    let agency = state.agency_number(&name.parse().unwrap()).unwrap();
    let number = state.subscription_number(agency, &"first".parse().unwrap()).unwrap();
    let now = UnixMillis::new(world.now_ms());
    let offers::Candidates { first_delivery, lines, .. } =
        offers::candidates(state, number, now, 8);
    assert!(!lines.is_empty(), "there is nothing to release to {name}");
    let (agency, subscription) = (name.to_owned(), "first".to_owned());
    let release = pb::ReleaseRecords { agency, subscription, first_delivery, lines };
    let released = world.apply(By::Node, Kind::ReleaseRecords(release));
    assert!(matches!(released, Ok(Receipt::Released(lines)) if !lines.is_empty()));
}

fn deliveries(world: &mut World, record: &[u8]) {
    let subscription = "first".to_owned();
    let open = pb::OpenRecord {
        record: record.to_vec().into(),
        reason: i32::from(pb::ReadReason::Service),
        grants: Vec::new(),
        office: 0,
    };
    let _opened = sharing(world, "council", Kind::OpenRecord(open));
    let lost = pb::ReleaseNotSent {
        agency: "college".to_owned(),
        subscription: subscription.clone(),
        deliveries: vec![1],
    };
    let _lost = world.apply(By::Node, Kind::ReleaseNotSent(lost));
    release(world, "college");
    let nacks = vec![pb::Nack { delivery: 2, reason: i32::from(pb::NackReason::Temporary) }];
    let refused = pb::Acknowledge { subscription: subscription.clone(), through: 2, nacks };
    let _refused = sharing(world, "college", Kind::Acknowledge(refused));
    let seek = pb::SeekSubscription { subscription: subscription.clone(), after_delivery: 0 };
    let _sought = sharing(world, "college", Kind::SeekSubscription(seek));
    let unknown = pb::Acknowledge { subscription, through: 99, nacks: Vec::new() };
    let _unknown = sharing(world, "college", Kind::Acknowledge(unknown));
}

/// A hold keeps the client's records, is lifted, and everything about the client is erased.
fn erasures(world: &mut World, (client, record): (&[u8], &[u8])) {
    let erase = Kind::EraseRecords(pb::EraseRecords {
        client: client.to_vec().into(),
        record: bytes::Bytes::new(),
        ground: i32::from(pb::ErasureGround::Objection),
    });
    let place = pb::PlaceHold {
        client: bytes::Bytes::new(),
        record: record.to_vec().into(),
        ground: i32::from(pb::HoldGround::LegalClaim),
    };
    let placed = world.apply("council", Kind::PlaceHold(place));
    let Ok(Receipt::Answer(Remembered::Hold(hold))) = placed else { panic!("{placed:?}") };
    let _held = world.apply("council", erase.clone());
    let dispose = pb::DisposeOverdue {
        publisher: "council".to_owned(),
        record_type: LEAVER_FORM.to_owned(),
        records: vec![record.to_vec().into()],
    };
    let _held = world.apply(By::Node, Kind::DisposeOverdue(dispose));
    let lift = pb::LiftHold { hold: hold.as_bytes().to_vec().into() };
    let _lifted = world.apply("council", Kind::LiftHold(lift));
    let begun = world.apply("council", erase);
    let Ok(Receipt::Answer(Remembered::Erasure(erasure))) = begun else { panic!("{begun:?}") };
    while !world.state.tables().sweeps.is_empty() {
        let _step = world.apply(By::Node, Kind::ContinueSweep(pb::ContinueSweep {}));
    }
    let keys: Vec<_> = world.state.tables().keys.iter().map(|(key, _)| *key).collect();
    let mut keys: Vec<bytes::Bytes> =
        keys.iter().map(|key| key.as_bytes().to_vec().into()).collect();
    keys.push(vec![3; 16].into());
    let rewrap = pb::RewrapKeys { epoch: vec![41; 16].into(), keys };
    let _wrapped = world.apply(By::Node, Kind::RewrapKeys(rewrap));
    let epochs = world.state.erasure(erasure).map(|row| row.epochs.clone()).unwrap_or_default();
    let complete = pb::CompleteErasure {
        erasure: erasure.as_bytes().to_vec().into(),
        epochs: epochs.iter().map(|epoch| epoch.as_bytes().to_vec().into()).collect(),
    };
    let _completed = world.apply(By::Node, Kind::CompleteErasure(complete));
}

fn cases(world: &mut World, (council, charity): (&[u8], &[u8])) {
    let open = pb::OpenCaseload { client: charity.to_vec().into() };
    let _opened = world.apply("charity", Kind::OpenCaseload(open));
    let (client, agency) = (council.to_vec().into(), "charity".to_owned());
    let confirm = pb::ConfirmCaseload { client, agency };
    let _confirmed = world.apply("council", Kind::ConfirmCaseload(confirm));
}

fn stops(world: &mut World, consent: Vec<u8>) {
    let (agreement, agency) = ("leavers".to_owned(), "college".to_owned());
    let (policy, text) = ("mine".to_owned(), POLICY_TEXTS[0].clone());
    let (consent, recipients) = (consent.into(), Vec::new());
    let alias = alias_of(world.apply("charity", {
        Kind::AddClient(pb::AddClient {
            client: client(1).as_bytes().to_vec().into(),
            ..pb::AddClient::default()
        })
    }));
    let attest = pb::Attest {
        position: 1,
        schema: 1,
        lines_struck: 0,
        outcome_digest: digest("outcomes"),
        state_digest: digest("rows"),
    };
    let end =
        pb::EndCaseload { client: alias.as_bytes().to_vec().into(), agency: "charity".to_owned() };
    for (by, kind) in [
        (By::Agency("council"), suspension(&agreement)),
        (
            By::Agency("council"),
            Kind::ResumeFlows(pb::ResumeFlows { agreement: agreement.clone() }),
        ),
        (By::Agency("council"), {
            Kind::PutPolicy(pb::PutPolicy { policy: policy.clone(), text, schema_version: 1 })
        }),
        (By::Agency("council"), Kind::RemovePolicy(pb::RemovePolicy { policy })),
        (By::Operator, Kind::SuspendAgency(pb::SuspendAgency { agency: agency.clone() })),
        (By::Operator, Kind::ResumeAgency(pb::ResumeAgency { agency })),
        (By::Operator, Kind::ActivateRules(pb::ActivateRules { version: 1 })),
        (By::Node, Kind::Attest(attest)),
        (By::Agency("council"), {
            Kind::WithdrawConsent(pb::WithdrawConsent {
                consent,
                recipients,
                ..pb::WithdrawConsent::default()
            })
        }),
        (By::Agency("charity"), Kind::EndCaseload(end)),
        (By::Agency("charity"), {
            Kind::RemoveSubscription(pb::RemoveSubscription { subscription: "first".to_owned() })
        }),
        (By::Agency("council"), Kind::EndAgreement(pb::EndAgreement { agreement })),
    ] {
        let _outcome = world.apply(by, kind);
    }
    world.rotate("health");
    let _malformed = world.append(vec![0xff; 9]);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// One outcome in words that no change of a schema touches.
fn words(outcome: &Outcome) -> String {
    match outcome {
        Err(refusal) => refusal.reason().to_owned(),
        Ok(Receipt::Answer(Remembered::Done)) => "done".to_owned(),
        Ok(Receipt::Answer(Remembered::Agreement { version, content_hash })) => {
            format!("agreement {version} {}", hex(content_hash.as_bytes()))
        }
        Ok(Receipt::Answer(Remembered::Client(alias))) => format!("client {alias}"),
        Ok(Receipt::Answer(Remembered::Consent(consent))) => format!("consent {consent}"),
        Ok(Receipt::Answer(Remembered::Dispute(dispute))) => format!("dispute {dispute}"),
        Ok(Receipt::Answer(Remembered::Case(case))) => format!("case {case}"),
        Ok(Receipt::Answer(Remembered::Holder(holder))) => format!("holder {holder}"),
        Ok(Receipt::Answer(Remembered::Erasure(erasure))) => format!("erasure {erasure}"),
        Ok(Receipt::Answer(Remembered::Hold(hold))) => format!("hold {hold}"),
        Ok(Receipt::Answer(Remembered::Emergency(id))) => format!("emergency {id}"),
        Ok(Receipt::Answer(Remembered::Succession { succession, content_hash })) => {
            format!("succession {succession} {}", hex(content_hash.as_bytes()))
        }
        Ok(Receipt::Published { record, client, version }) => {
            format!("published {record} {client} {version}")
        }
        Ok(Receipt::Released(lines)) => {
            lines.iter().fold("released".to_owned(), |text, line| text + &line_words(line))
        }
        Ok(Receipt::Opened(line)) => "opened".to_owned() + &line_words(line),
    }
}

fn line_words(line: &concordat::machine::Released) -> String {
    let groups: Vec<_> = line.group_names().iter().map(ToString::to_string).collect();
    let (record, alias, version) = (line.record(), line.alias(), line.version());
    format!(" [{} {record} {alias} {version} {}]", line.delivery(), groups.join("+"))
}

/// Replays a golden ledger: its outcomes, their digest, and the kinds of command in it.
fn replayed(ledger: &str) -> (String, BTreeSet<u32>) {
    let (mut state, mut text, mut kinds) = (State::empty(), String::new(), BTreeSet::new());
    for (position, line) in (0_u64..).zip(ledger.lines()) {
        let (at, bytes) = line.split_once(' ').unwrap();
        let at = UnixMillis::new(at.parse().unwrap());
        let parsed = Parsed::from_bytes(&unhex(bytes));
        let command: Option<&Command> = match &parsed {
            Parsed::Command(command) => Some(command),
            Parsed::Malformed(_) => None,
            Parsed::Later(version) => panic!("entry {position} is of rules {version}"),
        };
        let number = command.map_or(0, |command| command.signed.number);
        kinds.insert(number);
        let outcome = apply(&mut state, Position::new(position), at, command).outcome;
        writeln!(text, "{position} {number} {}", words(&outcome)).unwrap();
    }
    writeln!(text, "digest {}", hex(state.chain().outcomes.as_bytes())).unwrap();
    (text, kinds)
}

#[test]
fn golden_ledgers_replay_to_their_outcomes() {
    if std::env::var("CONCORDAT_GOLDEN").as_deref() == Ok("write") {
        let world = written();
        let ledger = world.entries().iter().fold(String::new(), |mut text, (at, bytes)| {
            writeln!(text, "{} {}", at.millis(), hex(bytes)).unwrap();
            text
        });
        fs::write(file("every-kind.outcomes"), replayed(&ledger).0).unwrap();
        fs::write(file("every-kind.hex"), ledger).unwrap();
    }
    let ledger = fs::read_to_string(file("every-kind.hex")).unwrap();
    let (outcomes, kinds) = replayed(&ledger);
    assert_eq!(outcomes, fs::read_to_string(file("every-kind.outcomes")).unwrap());
    for kind in KINDS.into_iter().flatten() {
        assert!(kinds.contains(&kind), "no entry is of kind {kind}");
    }
}
