//! Recalls and disputes: whoever was sent anything is told, nobody else is, and nothing overtakes a recall.

use concordat::{
    machine::{
        Outcome, Receipt, Refusal, Released,
        outcome::Remembered,
        read::{Viewer, offers, recall},
        state::agency::AgencyNumber,
    },
    model::{
        id::{AliasId, ConsentId, DisputeId, RecallId, RecordId},
        order::UnixMillis,
    },
    pb::ledger::v1::{
        self as pb, DisputeAnswer, DisputeReason, KeepReason, RecallAct, RecallReason,
        RetentionGround, VersionChange, command::Kind,
    },
};

use super::world::{
    By, DAY_MS, LEAVER_FORM, Signing, World, client, consent_of, consented_flow, digest, flow,
    owned,
};

/// A world in which the council sends `core` to SDS and the health board by duty, and more to the college and the
/// charity by consent; each has a subscription.
pub(crate) struct Sharing {
    pub(crate) world: World,
    pub(crate) alias: AliasId,
}

pub(crate) const RECIPIENTS: [&str; 4] = ["sds", "health", "college", "charity"];

impl Sharing {
    pub(crate) fn new() -> Self {
        let mut world = World::of_partners();
        let flows = vec![
            flow("duty", "council", &["sds", "health"]),
            consented_flow("consented", "council", &["college", "charity"]),
        ];
        let parties = ["council", "sds", "health", "college", "charity"];
        let content = world.content(&parties, flows);
        world.activate("leavers", content);
        let alias = world.add_client("council", client(1));
        let mut sharing = Self { world, alias };
        let open = pb::OpenKey {
            key: vec![3; 16].into(),
            client: client(1).as_bytes().to_vec().into(),
            agency: "council".to_owned(),
            disposal_class: i32::from(pb::DisposalClass::Record),
            ..pb::OpenKey::default()
        };
        sharing.world.apply(By::Node, Kind::OpenKey(open)).unwrap();
        for name in RECIPIENTS {
            let create = pb::CreateSubscription {
                subscription: "first".to_owned(),
                record_types: owned(&[LEAVER_FORM]),
            };
            sharing.act(name, Kind::CreateSubscription(create)).unwrap();
        }
        sharing
    }

    /// Applies a command in the agreement's purpose.
    pub(crate) fn act(&mut self, by: &str, kind: Kind) -> Outcome {
        let request = self.world.request_id();
        let mut command = self.world.command(By::Agency(by), request, Signing::Own, kind);
        command.purpose = i32::from(pb::Purpose::SchoolLeaverTransition);
        self.world.append(prost::Message::encode_to_vec(&command))
    }

    pub(crate) fn publish(
        &mut self,
        before: Option<RecordId>,
        change: VersionChange,
    ) -> Result<RecordId, Refusal> {
        let publish = pb::PublishRecord {
            record_type: LEAVER_FORM.to_owned(),
            type_version: 1,
            code_lists: "2026-11-01".to_owned(),
            client: self.alias.as_bytes().to_vec().into(),
            supersedes: before.map_or_else(Vec::new, |id| id.as_bytes().to_vec()).into(),
            groups: owned(&["core", "support-needs"]),
            content_mac: digest("content"),
            key: vec![3; 16].into(),
            change: i32::from(change),
        };
        let receipt = self.act("council", Kind::PublishRecord(publish))?;
        let Receipt::Published { record, .. } = receipt else {
            unreachable!("not published: {receipt:?}")
        };
        Ok(record)
    }

    pub(crate) fn new_record(&mut self) -> RecordId {
        self.publish(None, VersionChange::Unspecified).unwrap()
    }

    pub(crate) fn consent(&mut self, recipients: &[&str]) -> ConsentId {
        let scope = Some(pb::ConsentScope {
            client: self.alias.as_bytes().to_vec().into(),
            publisher: "council".to_owned(),
            record_type: LEAVER_FORM.to_owned(),
            groups: owned(&["core", "support-needs"]),
            recipients: owned(recipients),
            gate: i32::from(pb::Gate::DataProtectionConsent),
            purposes: Vec::new(),
        });
        let act = Some(pb::ConsentAct {
            grantor: i32::from(pb::Grantor::Self_),
            authority: 0,
            age_years: 16,
            method: i32::from(pb::ConsentMethod::Form),
            given_at_ms: self.world.now_ms(),
            notice_digest: digest("notice"),
            ..pb::ConsentAct::default()
        });
        let record = pb::RecordConsent { scope, act, ..pb::RecordConsent::default() };
        consent_of(self.act("council", Kind::RecordConsent(record)))
    }

    pub(crate) fn withdraw(&mut self, consent: ConsentId, for_whom: &[&str]) -> Outcome {
        let consent = consent.as_bytes().to_vec().into();
        let recipients = owned(for_whom);
        let withdraw =
            pb::WithdrawConsent { consent, recipients, recall: true, groups: Vec::new() };
        self.act("council", Kind::WithdrawConsent(withdraw))
    }

    pub(crate) fn retract(&mut self, by: &str, record: RecordId, reason: RecallReason) -> Outcome {
        let (record, reason) = (record.as_bytes().to_vec().into(), i32::from(reason));
        self.act(by, Kind::RetractRecord(pb::RetractRecord { record, reason }))
    }

    pub(crate) fn number(&self, name: &str) -> AgencyNumber {
        self.world.state.agency_number(&name.parse().unwrap()).unwrap()
    }

    /// Releases to a subscription whatever the node would release; the records.
    pub(crate) fn release(&mut self, name: &str) -> Vec<RecordId> {
        let (state, agency) = (&self.world.state, self.number(name));
        let number = state.subscription_number(agency, &"first".parse().unwrap()).unwrap();
        let now = UnixMillis::new(self.world.now_ms());
        let offers::Candidates { first_delivery, mut lines, stale } =
            offers::candidates(state, number, now, 8);
        lines.extend(stale);
        if lines.is_empty() {
            return Vec::new();
        }
        let (agency, subscription) = (name.to_owned(), "first".to_owned());
        let release = pb::ReleaseRecords { agency, subscription, first_delivery, lines };
        match self.world.apply(By::Node, Kind::ReleaseRecords(release)) {
            Ok(Receipt::Released(lines)) => lines.iter().map(Released::record).collect(),
            other => unreachable!("not released: {other:?}"),
        }
    }

    /// A delivery that did not leave.
    pub(crate) fn not_sent(&mut self, name: &str, delivery: u64) {
        let lost = pb::ReleaseNotSent {
            agency: name.to_owned(),
            subscription: "first".to_owned(),
            deliveries: vec![delivery],
        };
        self.world.apply(By::Node, Kind::ReleaseNotSent(lost)).unwrap();
    }

    /// What is in an agency's inbox: the recalls, and their reasons.
    pub(crate) fn inbox(&self, name: &str) -> Vec<(RecallId, RecallReason)> {
        let viewer = Viewer::Agency(self.number(name));
        let page = recall::inbox(&self.world.state, viewer, false, (None, 100));
        let reason = |code| RecallReason::try_from(code).unwrap();
        page.rows.iter().map(|view| (view.id, reason(view.recall.reason))).collect()
    }

    pub(crate) fn reasons(&self, name: &str) -> Vec<RecallReason> {
        self.inbox(name).into_iter().map(|(_, reason)| reason).collect()
    }

    pub(crate) fn hand_over(&mut self, name: &str) -> Outcome {
        let recalls =
            self.inbox(name).iter().map(|(id, _)| id.as_bytes().to_vec().into()).collect();
        let hand_over = pb::HandOverRecalls { agency: name.to_owned(), recalls };
        self.world.apply(By::Node, Kind::HandOverRecalls(hand_over))
    }

    pub(crate) fn acknowledge(
        &mut self,
        name: &str,
        recall: RecallId,
        (act, ground): (RecallAct, RetentionGround),
    ) -> Outcome {
        let acknowledge = pb::AcknowledgeRecall {
            recall: recall.as_bytes().to_vec().into(),
            act: i32::from(act),
            ground: i32::from(ground),
        };
        self.act(name, Kind::AcknowledgeRecall(acknowledge))
    }
}

const DELETED: (RecallAct, RetentionGround) = (RecallAct::Deleted, RetentionGround::Unspecified);

#[test]
fn a_retraction_recalls_from_whoever_was_sent_anything_and_from_nobody_else() {
    let mut sharing = Sharing::new();
    let consent = sharing.consent(&["college"]);
    let record = sharing.new_record();
    assert_eq!(sharing.release("sds"), [record]);
    assert_eq!(sharing.release("college"), [record]);
    assert_eq!(
        sharing.retract("college", record, RecallReason::Unlawful),
        Err(Refusal::NotAvailable)
    );
    assert_eq!(sharing.retract("council", record, RecallReason::WrongPerson), Ok(Receipt::DONE));
    assert_eq!(sharing.reasons("sds"), [RecallReason::WrongPerson]);
    assert_eq!(sharing.reasons("college"), [RecallReason::WrongPerson]);
    assert!(sharing.inbox("health").is_empty() && sharing.inbox("charity").is_empty());
    assert!(sharing.release("health").is_empty(), "it waits in no queue any more");
    let again = sharing.retract("council", record, RecallReason::Unlawful);
    assert_eq!(again, Err(Refusal::RecordRetracted));
    let over = sharing.publish(Some(record), VersionChange::Update);
    assert_eq!(over, Err(Refusal::RecordRetracted));
    sharing.withdraw(consent, &[]).unwrap();
    assert_eq!(sharing.inbox("college").len(), 1, "it was told to delete everything before");
    sharing.world.hold();
}

#[test]
fn nothing_about_the_client_overtakes_a_recall() {
    let mut sharing = Sharing::new();
    let first = sharing.new_record();
    assert_eq!(sharing.release("sds"), [first]);
    sharing.retract("council", first, RecallReason::Unlawful).unwrap();
    let second = sharing.new_record();
    assert_eq!(sharing.release("health"), [second], "whoever has no recall is not held up");
    assert!(sharing.release("sds").is_empty());
    let open = Kind::OpenRecord(pb::OpenRecord {
        record: first.as_bytes().to_vec().into(),
        reason: i32::from(pb::ReadReason::Service),
        grants: Vec::new(),
        office: 0,
    });
    assert_eq!(sharing.act("sds", open), Err(Refusal::NotAvailable));
    assert_eq!(sharing.hand_over("sds"), Ok(Receipt::DONE));
    assert_eq!(sharing.release("sds"), [second]);
    assert_eq!(sharing.hand_over("sds"), Err(Refusal::NothingToDo));
    assert_eq!(sharing.reasons("sds"), [RecallReason::Unlawful], "it is open until it is answered");
    sharing.world.hold();
}

#[test]
fn an_update_asks_for_nothing_and_a_correction_tells_everybody_who_was_sent_any_version() {
    let mut sharing = Sharing::new();
    let consent = sharing.consent(&["college"]);
    let first = sharing.new_record();
    assert_eq!(sharing.release("college"), [first]);
    let second = sharing.publish(Some(first), VersionChange::Update).unwrap();
    assert!(sharing.inbox("college").is_empty());
    assert_eq!(sharing.release("sds"), [second]);
    let withdraw = pb::WithdrawConsent {
        consent: consent.as_bytes().to_vec().into(),
        recipients: Vec::new(),
        recall: false,
        groups: Vec::new(),
    };
    sharing.act("council", Kind::WithdrawConsent(withdraw)).unwrap();
    assert!(sharing.inbox("college").is_empty(), "a withdrawal alone recalls nothing");
    let third = sharing.publish(Some(second), VersionChange::Correction).unwrap();
    assert_eq!(
        sharing.reasons("college"),
        [RecallReason::Corrected],
        "it may not have the new one"
    );
    assert_eq!(sharing.reasons("sds"), [RecallReason::Corrected]);
    assert!(sharing.inbox("health").is_empty());
    let fourth = sharing.publish(Some(third), VersionChange::Correction).unwrap();
    assert_eq!(sharing.inbox("sds").len(), 1, "one that nobody has seen says as much");
    assert!(sharing.release("sds").is_empty());
    sharing.hand_over("sds").unwrap();
    assert_eq!(sharing.release("sds"), [fourth]);
    let recall = sharing.inbox("sds")[0].0;
    let corrected = (RecallAct::Corrected, RetentionGround::Unspecified);
    assert_eq!(sharing.acknowledge("sds", recall, corrected), Ok(Receipt::DONE));
    assert!(sharing.inbox("sds").is_empty());
    sharing.world.hold();
}

#[test]
fn a_new_record_is_no_correction() {
    let mut sharing = Sharing::new();
    let refused = sharing.publish(None, VersionChange::Correction);
    assert_eq!(refused, Err(Refusal::Malformed));
}

#[test]
fn a_withdrawal_recalls_what_was_sent_on_it_and_nothing_that_flows_on_another_ground() {
    let mut sharing = Sharing::new();
    let by_duty = vec![flow("more", "council", &["college"])];
    let agreed = sharing.world.content(&["council", "college"], by_duty);
    sharing.world.activate("duty", agreed);
    let consent = sharing.consent(&["college", "charity"]);
    let record = sharing.new_record();
    sharing.release("college");
    sharing.release("charity");
    sharing.withdraw(consent, &["college"]).unwrap();
    assert_eq!(sharing.reasons("college"), [RecallReason::ConsentWithdrawn]);
    assert!(sharing.inbox("charity").is_empty(), "it was withdrawn for the college");
    let state = &sharing.world.state;
    let (id, _) = sharing.inbox("college")[0];
    let known = state.record_type(state.record(record).unwrap().record_type).unwrap();
    let groups = known.names_of(state.recall(id).unwrap().groups);
    let names: Vec<_> = groups.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["support-needs"], "the duty carries `core` all the same");
    sharing.hand_over("college").unwrap();
    sharing.acknowledge("college", id, DELETED).unwrap();
    // Given anew, it comes anew: what was deleted counts as not held.
    sharing.consent(&["college"]);
    assert_eq!(sharing.release("college"), [record]);
    sharing.withdraw(consent, &["charity"]).unwrap();
    assert_eq!(sharing.reasons("charity"), [RecallReason::ConsentWithdrawn]);
    sharing.world.hold();
}

#[test]
fn an_agency_that_never_got_anything_gets_no_recall() {
    let mut sharing = Sharing::new();
    let record = sharing.new_record();
    assert_eq!(sharing.release("sds"), [record]);
    sharing.not_sent("sds", 1);
    assert_eq!(sharing.release("health"), [record]);
    sharing.retract("council", record, RecallReason::Unlawful).unwrap();
    assert!(sharing.inbox("sds").is_empty());
    assert_eq!(sharing.inbox("health").len(), 1);
    // What was on its way is known only afterwards.
    sharing.not_sent("health", 1);
    assert!(sharing.inbox("health").is_empty());
    assert!(!sharing.world.state.indexes().clients_waiting.iter().any(|_| true));
    sharing.world.hold();
}

#[test]
fn many_recipients_are_recalled_step_by_step_and_none_is_overtaken_meanwhile() {
    let mut sharing = Sharing::new();
    let names: Vec<String> = (0..40).map(|number| format!("body-{number}")).collect();
    for (half, names) in names.chunks(20).enumerate() {
        for name in names {
            sharing.world.enrol(name, pb::AgencyKind::NationalBody);
        }
        let recipients: Vec<&str> = names.iter().map(String::as_str).collect();
        let parties: Vec<&str> = std::iter::once("council").chain(recipients.clone()).collect();
        let flows = vec![flow("duty", "council", &recipients)];
        let content = sharing.world.content(&parties, flows);
        sharing.world.activate(&format!("bodies-{half}"), content);
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
    sweep(&mut sharing);
    let record = sharing.new_record();
    sweep(&mut sharing);
    for name in &names {
        assert_eq!(sharing.release(name), [record], "{name}");
    }
    let told =
        |sharing: &Sharing| names.iter().filter(|name| !sharing.inbox(name).is_empty()).count();
    sharing.retract("council", record, RecallReason::Unlawful).unwrap();
    assert_eq!(told(&sharing), 32);
    let last = names.last().unwrap();
    let other = sharing.new_record();
    assert!(sharing.inbox(last).is_empty() && sharing.release(last).is_empty());
    sweep(&mut sharing);
    assert_eq!(told(&sharing), 40);
    assert!(sharing.release(last).is_empty());
    sharing.hand_over(last).unwrap();
    assert_eq!(sharing.release(last), [other]);
    sharing.world.hold();
}

#[test]
fn a_recall_is_answered_once_and_again_only_if_it_was_kept() {
    let mut sharing = Sharing::new();
    let record = sharing.new_record();
    sharing.release("sds");
    sharing.retract("council", record, RecallReason::WrongLink).unwrap();
    let (recall, _) = sharing.inbox("sds")[0];
    assert_eq!(sharing.acknowledge("health", recall, DELETED), Err(Refusal::NotAvailable));
    let corrected = (RecallAct::Corrected, RetentionGround::Unspecified);
    assert_eq!(sharing.acknowledge("sds", recall, corrected), Err(Refusal::RecallActUnfit));
    let groundless = (RecallAct::Kept, RetentionGround::Unspecified);
    assert_eq!(sharing.acknowledge("sds", recall, groundless), Err(Refusal::Malformed));
    let kept = (RecallAct::Kept, RetentionGround::LegalClaim);
    assert_eq!(sharing.acknowledge("sds", recall, kept), Ok(Receipt::DONE));
    assert_eq!(sharing.acknowledge("sds", recall, kept), Err(Refusal::RecallState));
    assert_eq!(sharing.acknowledge("sds", recall, DELETED), Ok(Receipt::DONE));
    assert_eq!(sharing.acknowledge("sds", recall, DELETED), Err(Refusal::RecallState));
    sharing.world.hold();
}

#[test]
fn the_node_alone_hands_over_and_a_suspended_publisher_may_still_retract() {
    let mut sharing = Sharing::new();
    let record = sharing.new_record();
    sharing.release("sds");
    let suspend = pb::SuspendAgency { agency: "council".to_owned() };
    sharing.world.apply(By::Operator, Kind::SuspendAgency(suspend)).unwrap();
    assert_eq!(sharing.retract("council", record, RecallReason::Unlawful), Ok(Receipt::DONE));
    let recalls =
        sharing.inbox("sds").iter().map(|(id, _)| id.as_bytes().to_vec().into()).collect();
    let hand_over = pb::HandOverRecalls { agency: "sds".to_owned(), recalls };
    let refused = sharing.act("sds", Kind::HandOverRecalls(hand_over));
    assert_eq!(refused, Err(Refusal::ActorNotPermitted));
    sharing.world.hold();
}

#[test]
fn a_certificate_states_every_answer_and_who_still_owes_one() {
    let mut sharing = Sharing::new();
    let record = sharing.new_record();
    sharing.release("sds");
    sharing.release("health");
    let council = Viewer::Agency(sharing.number("council"));
    let stated = |sharing: &Sharing, viewer| {
        let at = UnixMillis::new(sharing.world.now_ms());
        recall::disposal(&sharing.world.state, viewer, record, ("the exchange", at))
    };
    assert_eq!(stated(&sharing, council), None);
    sharing.retract("council", record, RecallReason::Erased).unwrap();
    let (recall, _) = sharing.inbox("sds")[0];
    sharing.acknowledge("sds", recall, DELETED).unwrap();
    let (text, outstanding) = stated(&sharing, council).unwrap();
    assert_eq!(outstanding, 1);
    let line = |name: &str| text.lines().find(|line| line.starts_with(&format!("recall {name} ")));
    assert!(line("sds").unwrap().ends_with("DELETED"), "{text}");
    assert!(line("health").unwrap().ends_with("outstanding"), "{text}");
    assert!(line("college").is_none() && text.contains(&format!("record {record}")), "{text}");
    assert_eq!(stated(&sharing, Viewer::Agency(sharing.number("sds"))), None);
}

fn open(record: RecordId, group: &str) -> Kind {
    Kind::OpenDispute(pb::OpenDispute {
        record: record.as_bytes().to_vec().into(),
        group: group.to_owned(),
        field: "core.status".to_owned(),
        reason: i32::from(DisputeReason::Inaccurate),
    })
}

fn answer(dispute: DisputeId, answer: DisputeAnswer, keep_reason: KeepReason) -> Kind {
    Kind::AnswerDispute(pb::AnswerDispute {
        dispute: dispute.as_bytes().to_vec().into(),
        answer: i32::from(answer),
        keep_reason: i32::from(keep_reason),
    })
}

fn dispute_of(outcome: Outcome) -> DisputeId {
    match outcome {
        Ok(Receipt::Answer(Remembered::Dispute(dispute))) => dispute,
        other => unreachable!("not about a dispute: {other:?}"),
    }
}

#[test]
fn a_recipient_disputes_what_it_was_sent_and_the_publisher_answers_by_a_date() {
    let mut sharing = Sharing::new();
    let record = sharing.new_record();
    sharing.release("sds");
    assert_eq!(sharing.act("health", open(record, "core")), Err(Refusal::NotAvailable));
    assert_eq!(sharing.act("sds", open(record, "support-needs")), Err(Refusal::NotAvailable));
    let dispute = dispute_of(sharing.act("sds", open(record, "core")));
    let row = sharing.world.state.dispute(dispute).unwrap();
    assert_eq!(row.due_at.millis() - row.opened_at.millis(), 28 * DAY_MS);
    let corrected = answer(dispute, DisputeAnswer::Corrected, KeepReason::Unspecified);
    assert_eq!(sharing.act("sds", corrected.clone()), Err(Refusal::NotAvailable));
    assert_eq!(sharing.act("council", corrected.clone()), Err(Refusal::DisputeState));
    sharing.publish(Some(record), VersionChange::Correction).unwrap();
    assert_eq!(sharing.act("council", corrected.clone()), Ok(Receipt::DONE));
    assert_eq!(sharing.act("council", corrected), Err(Refusal::DisputeState));
    let other = dispute_of(sharing.act("sds", open(record, "core")));
    let kept = answer(other, DisputeAnswer::Kept, KeepReason::Verified);
    assert_eq!(sharing.act("council", kept), Ok(Receipt::DONE));
    let reasonless = answer(other, DisputeAnswer::Kept, KeepReason::Unspecified);
    assert_eq!(sharing.act("council", reasonless), Err(Refusal::Malformed));
    sharing.world.hold();
}

#[test]
fn a_path_is_no_place_for_words() {
    let mut sharing = Sharing::new();
    let record = sharing.new_record();
    sharing.release("sds");
    for field in ["Their name is wrong", "core/status", "\u{e9}", &"a".repeat(129)] {
        let Kind::OpenDispute(dispute) = open(record, "core") else { unreachable!() };
        let dispute = pb::OpenDispute { field: field.to_owned(), ..dispute };
        let refused = sharing.act("sds", Kind::OpenDispute(dispute));
        assert_eq!(refused, Err(Refusal::Malformed), "{field}");
    }
}

#[test]
fn open_disputes_are_limited_by_ones_own() {
    let mut sharing = Sharing::new();
    let record = sharing.new_record();
    sharing.release("sds");
    sharing.release("health");
    for _ in 0..32 {
        sharing.act("sds", open(record, "core")).unwrap();
    }
    assert_eq!(sharing.act("sds", open(record, "core")), Err(Refusal::LimitReached));
    assert!(sharing.act("health", open(record, "core")).is_ok());
    sharing.world.hold();
}
