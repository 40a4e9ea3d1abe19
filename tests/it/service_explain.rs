//! Explanations over the network: they say what delivery does, to whom they may, of any time, and of past decisions.

#![expect(clippy::indexing_slicing, reason = "what is looked at is there")]

use std::collections::BTreeSet;

use concordat::pb::{
    ledger::v1::{self as ledger, AgencyKind, Purpose, command::Kind},
    v1::{
        self as pb, DecisionOutcome, ExplainDecisionRequest, ExplainDecisionResponse,
        explain_decision_request::Subject, policy_service_client::PolicyServiceClient,
        subscription_service_client::SubscriptionServiceClient,
    },
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::{
    Agency, DAY_MS, Exchange, LEAVER_FORM, NOW, alias, by_consent, by_duty, context, draft, form,
    reason,
};

/// One hour, in milliseconds.
const HOUR_MS: u64 = 3_600_000;
/// A year from now less three hours: the birthday has come, and the agreement has not ended.
const BIRTHDAY: i64 = 365 * 24 - 3;

/// A council that publishes to `skills` by duty, to the college by consent and to a trust for those whom it serves.
struct Scene {
    exchange: Exchange,
    council: Agency,
    skills: Agency,
    college: Agency,
    trust: Agency,
}

impl Scene {
    async fn new() -> Self {
        let exchange = Exchange::start().await;
        let council = exchange.agency("inverclyde-council", AgencyKind::Council).await;
        let skills = exchange.agency("skills", AgencyKind::NationalBody).await;
        let college = exchange.agency("glen-college", AgencyKind::College).await;
        let trust = exchange.agency("moving-on", AgencyKind::Voluntary).await;
        let served = ledger::Flow {
            caseload: i32::from(ledger::CaseloadRule::Confirmed),
            ..by_consent("served", &council, &[&trust])
        };
        let flows = vec![
            by_duty("duty", &council, &[&skills]),
            by_consent("asked", &council, &[&college]),
            served,
        ];
        exchange.agree("leavers", &[&council, &skills, &college, &trust], flows).await;
        for agency in [&skills, &college, &trust] {
            agency.subscribe_to("leavers").await;
        }
        Self { exchange, council, skills, college, trust }
    }

    async fn publish(&self) -> pb::PublishReceipt {
        let request = pb::PublishRecordRequest {
            context: context(),
            request_id: self.council.request(),
            record: Some(draft(&form(1))),
            validate_only: false,
        };
        let answer = self.council.exchange().publish_record(request).await.unwrap();
        answer.into_inner().receipt.unwrap()
    }

    /// What the explanation says that a recipient gets of a record.
    async fn explained(&self, record: &str, recipient: &Agency) -> BTreeSet<String> {
        released(&explain(&self.council, about(record, recipient)).await.unwrap())
    }

    /// What a recipient is sent of a record now.
    async fn pulled(&self, recipient: &Agency, record: &str) -> BTreeSet<String> {
        let request = pb::PullRecordsRequest {
            context: context(),
            request_id: recipient.request(),
            subscription: recipient.subscription("leavers"),
            max_records: 0,
        };
        let pulled = recipient.exchange().pull_records(request).await.unwrap().into_inner();
        let records = pulled.deliveries.into_iter().filter_map(|delivery| delivery.record);
        let of_record = records.filter(|one| one.name == record);
        of_record.flat_map(|one| one.field_groups).collect()
    }
}

async fn explain(
    agency: &Agency,
    request: ExplainDecisionRequest,
) -> Result<ExplainDecisionResponse, Status> {
    let mut policies = PolicyServiceClient::new(agency.channel.clone());
    policies.explain_decision(request).await.map(tonic::Response::into_inner)
}

fn ask(subject: Subject, recipient: &Agency) -> ExplainDecisionRequest {
    ExplainDecisionRequest {
        context: context(),
        reason: i32::from(ledger::ReadReason::Service),
        subject: Some(subject),
        recipient: format!("agencies/{}", recipient.id),
        recipient_purpose: i32::from(Purpose::SchoolLeaverTransition),
        ..ExplainDecisionRequest::default()
    }
}

fn about(record: &str, recipient: &Agency) -> ExplainDecisionRequest {
    ask(Subject::Record(record.to_owned()), recipient)
}

fn decision(id: &str) -> ExplainDecisionRequest {
    ExplainDecisionRequest {
        context: context(),
        reason: i32::from(ledger::ReadReason::Service),
        subject: Some(Subject::Decision(id.to_owned())),
        ..ExplainDecisionRequest::default()
    }
}

fn described(client: Option<pb::DescribedClient>) -> Subject {
    Subject::Described(pb::DescribedRecord {
        record_type: LEAVER_FORM.to_owned(),
        field_groups: vec!["core".to_owned(), "support".to_owned()],
        described_client: client,
        ..pb::DescribedRecord::default()
    })
}

fn somebody(age_years: u32, word: Option<pb::DescribedWord>) -> pb::DescribedClient {
    pb::DescribedClient { age_years, word, ..pb::DescribedClient::default() }
}

fn word(spoken: pb::SpokenWord, grantor: ledger::Grantor) -> pb::DescribedWord {
    pb::DescribedWord {
        spoken: i32::from(spoken),
        grantor: i32::from(grantor),
        authority: match grantor {
            ledger::Grantor::Self_ | ledger::Grantor::Unspecified => 0,
            ledger::Grantor::Parent | ledger::Grantor::Representative => {
                i32::from(ledger::Authority::Seen)
            }
        },
        ..pb::DescribedWord::default()
    }
}

fn released(answer: &ExplainDecisionResponse) -> BTreeSet<String> {
    let open = answer.decisions.iter().filter(|d| d.outcome() == DecisionOutcome::Released);
    open.map(|decision| decision.field_group.clone()).collect()
}

fn why(answer: &ExplainDecisionResponse, group: &str) -> pb::WithheldReason {
    let decision = answer.decisions.iter().find(|decision| decision.field_group == group);
    decision.unwrap().withheld_reason()
}

fn at(hours: i64) -> prost_types::Timestamp {
    let seconds = i64::try_from(NOW.millis() / 1_000).unwrap() + hours * 3_600;
    prost_types::Timestamp { seconds, nanos: 0 }
}

fn groups(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn what_is_explained_is_what_is_delivered() {
    let scene = Scene::new().await;
    let receipt = scene.publish().await;
    let (record, client) = (receipt.record.as_str(), alias(&receipt.client));
    for recipient in [&scene.skills, &scene.college, &scene.trust] {
        let explained = scene.explained(record, recipient).await;
        assert_eq!(explained.is_empty(), recipient.id != scene.skills.id);
        assert_eq!(explained, scene.pulled(recipient, record).await, "{}", recipient.id);
    }
    let both = [&scene.college, &scene.trust];
    let consent = scene.council.record_consent(client, &["core"], &both).await.unwrap();
    let explained = scene.explained(record, &scene.college).await;
    assert_eq!(explained, groups(&["core"]));
    assert_eq!(explained, scene.pulled(&scene.college, record).await);
    let answer = explain(&scene.council, about(record, &scene.trust)).await.unwrap();
    assert_eq!(why(&answer, "core"), pb::WithheldReason::CaseloadNotConfirmed);
    assert!(scene.pulled(&scene.trust, record).await.is_empty());
    scene.council.withdraw(consent).await;
    let answer = explain(&scene.council, about(record, &scene.college)).await.unwrap();
    assert_eq!(why(&answer, "core"), pb::WithheldReason::ConsentWithdrawn);
    assert!(scene.pulled(&scene.college, record).await.is_empty());
    assert_eq!(answer.level(), pb::ExplanationLevel::Owner);
    let said = answer.sentences.concat();
    assert!(
        said.contains("Glen College does not receive core") && said.contains("withdrawn"),
        "{said}"
    );
}

#[tokio::test]
async fn a_decision_opens_for_the_publisher_and_comes_out_the_same() {
    let scene = Scene::new().await;
    let receipt = scene.publish().await;
    let record = receipt.record.as_str();
    let sent = scene.pulled(&scene.skills, record).await;
    let status = pb::GetRecordStatusRequest {
        context: context(),
        record: record.to_owned(),
        reason: i32::from(ledger::ReadReason::Service),
    };
    let mut disclosures =
        pb::disclosure_service_client::DisclosureServiceClient::new(scene.council.channel.clone());
    let status = disclosures.get_record_status(status).await.unwrap().into_inner().status.unwrap();
    let id = status.disclosures[0].decision_id.clone();
    // What happens since changes nothing of what was decided.
    scene.exchange.clock.advance(DAY_MS);
    let suspend = ledger::SuspendFlows {
        agreement: "leavers".to_owned(),
        reason: i32::from(ledger::SuspendReason::Incident),
    };
    scene.council.submit(Kind::SuspendFlows(suspend)).await.unwrap();
    assert!(scene.explained(record, &scene.skills).await.is_empty());
    let answer = explain(&scene.council, decision(&id)).await.unwrap();
    let replayed = answer.replayed.clone().unwrap();
    assert!(replayed.identical && !replayed.by_name, "{replayed:?}");
    assert_eq!(replayed.recorded_field_groups, replayed.replayed_field_groups);
    assert_eq!(replayed.replayed_field_groups.into_iter().collect::<BTreeSet<_>>(), sent);
    assert_eq!(released(&answer), sent);
    assert_eq!(answer.recipient, "agencies/skills");
    assert!(answer.sentences.last().unwrap().contains("comes out the same"));
}

/// The id of the answer to somebody who asks for a record by name.
async fn asked_by_name(agency: &Agency, record: &str) -> String {
    let request = pb::GetRecordRequest {
        context: context(),
        request_id: agency.request(),
        name: record.to_owned(),
        reason: i32::from(ledger::ReadReason::Service),
    };
    match agency.exchange().get_record(request).await {
        Ok(answer) => answer.into_inner().decision_id,
        Err(status) => {
            let info = status.get_error_details().error_info().cloned().unwrap();
            assert_eq!(info.reason, "NOT_AVAILABLE");
            info.metadata["decision_id"].clone()
        }
    }
}

#[tokio::test]
async fn what_a_recipient_was_told_nothing_about_its_publisher_can_open_and_nobody_else() {
    let scene = Scene::new().await;
    let record = scene.publish().await.record;
    let nowhere = format!("records/{}", "7".repeat(32));
    let refused = asked_by_name(&scene.college, &record).await;
    let of_nothing = asked_by_name(&scene.college, &nowhere).await;
    assert_eq!(refused.len(), of_nothing.len(), "their form tells nothing");
    let answer = explain(&scene.council, decision(&refused)).await.unwrap();
    assert_eq!(why(&answer, "core"), pb::WithheldReason::NeverSent);
    assert!(answer.replayed.clone().unwrap().identical && answer.replayed.unwrap().by_name);
    scene.pulled(&scene.skills, &record).await;
    let opened = asked_by_name(&scene.skills, &record).await;
    let answer = explain(&scene.council, decision(&opened)).await.unwrap();
    assert!(answer.replayed.unwrap().identical);
    let tries = [
        (&scene.college, refused.as_str()),
        (&scene.skills, &refused),
        (&scene.skills, &opened),
        (&scene.council, &of_nothing),
        (&scene.council, "AAAA"),
        (&scene.college, &of_nothing),
        (&scene.college, ""),
    ];
    for (agency, id) in tries {
        let status = explain(agency, decision(id)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status)), (Code::NotFound, "NOT_AVAILABLE".to_owned()));
        assert_eq!(status.message(), explain(agency, decision("?")).await.unwrap_err().message());
    }
}

#[tokio::test]
async fn a_future_date_and_a_past_one_are_decided_as_they_will_be_and_were() {
    let scene = Scene::new().await;
    let receipt = scene.publish().await;
    scene.exchange.clock.advance(2 * HOUR_MS);
    let client = alias(&receipt.client);
    scene.council.record_consent(client, &["core"], &[&scene.college]).await.unwrap();
    let ask = |hours| ExplainDecisionRequest {
        at_time: Some(at(hours)),
        ..about(&receipt.record, &scene.college)
    };
    let now = explain(&scene.council, ask(2)).await.unwrap();
    assert_eq!(released(&now), groups(&["core"]));
    let before = explain(&scene.council, ask(1)).await.unwrap();
    assert_eq!(why(&before, "core"), pb::WithheldReason::ConsentMissing);
    let gone = explain(&scene.council, ask(-1)).await.unwrap_err();
    assert_eq!(reason(&gone), "NOT_AVAILABLE", "there was nothing yet");
    let over = explain(&scene.council, ask(24 * 4_000)).await.unwrap();
    assert_eq!(why(&over, "core"), pb::WithheldReason::NoFlow, "the agreement will have ended");
}

#[tokio::test]
async fn a_described_client_is_decided_by_age_and_word() {
    let scene = Scene::new().await;
    let (given, refused) = (pb::SpokenWord::Given, pb::SpokenWord::Refused);
    let (own, parent) = (ledger::Grantor::Self_, ledger::Grantor::Parent);
    let ask = |client, hours| ExplainDecisionRequest {
        at_time: Some(at(hours)),
        ..ask(described(Some(client)), &scene.college)
    };
    for (client, hours, expected) in [
        (somebody(15, None), 0, pb::WithheldReason::ConsentMissing),
        (somebody(15, Some(word(given, own))), 0, pb::WithheldReason::Unspecified),
        (somebody(15, Some(word(refused, own))), 0, pb::WithheldReason::ConsentRefused),
        (
            somebody(15, Some(word(pb::SpokenWord::Withdrawn, own))),
            0,
            pb::WithheldReason::ConsentWithdrawn,
        ),
        (somebody(11, Some(word(given, own))), 0, pb::WithheldReason::ConsentMissing),
        (somebody(11, Some(word(given, parent))), 0, pb::WithheldReason::Unspecified),
        // By then the child is twelve.
        (somebody(11, Some(word(given, parent))), BIRTHDAY, pb::WithheldReason::ConsentInReview),
    ] {
        let answer = explain(&scene.council, ask(client, hours)).await.unwrap();
        assert_eq!(why(&answer, "core"), expected, "{client:?} after {hours} hours");
        let unfit = client.word.is_some_and(|word| word.grantor() == own) && client.age_years < 12;
        assert_eq!(answer.word_refused() == pb::Reason::ConsentNotValid, unfit);
    }
}

#[tokio::test]
async fn a_recipient_is_told_what_agreements_do_and_nothing_of_the_publishers_policies() {
    let scene = Scene::new().await;
    let text = r#"forbid(principal, action, resource) when { resource.group == "core" };"#;
    let text = concordat::machine::access::verdict::canonical(text).unwrap();
    let put = |policy: &str| ledger::PutPolicy {
        policy: policy.to_owned(),
        text: text.clone(),
        schema_version: 1,
    };
    scene.council.submit(Kind::PutPolicy(put("quiet"))).await.unwrap();
    let given = somebody(16, Some(word(pb::SpokenWord::Given, ledger::Grantor::Self_)));
    let of_council = |subject| ExplainDecisionRequest {
        publisher: "agencies/inverclyde-council".to_owned(),
        ..ask(subject, &scene.college)
    };
    let answer = explain(&scene.college, of_council(described(Some(given)))).await.unwrap();
    assert_eq!(answer.level(), pb::ExplanationLevel::Party);
    assert_eq!(released(&answer), groups(&["core"]), "the council's policy is its own affair");
    let owner = explain(&scene.council, of_council(described(Some(given)))).await.unwrap();
    assert_eq!(why(&owner, "core"), pb::WithheldReason::PublisherPolicy);
    assert_eq!(owner.decisions[0].policies, ["agencies/inverclyde-council/policies/quiet"]);
    let removed = ExplainDecisionRequest {
        assumed_policies: vec![pb::AssumedPolicy {
            policy: "quiet".to_owned(),
            text: String::new(),
        }],
        ..of_council(described(Some(given)))
    };
    let answer = explain(&scene.council, removed.clone()).await.unwrap();
    assert_eq!(released(&answer), groups(&["core"]));
    let others = explain(&scene.college, removed).await.unwrap_err();
    assert_eq!(reason(&others), "NOT_AVAILABLE", "it has no such policy");
    let assumed = pb::AssumedPolicy { policy: "own".to_owned(), text: text.clone() };
    let kept_away = ExplainDecisionRequest {
        assumed_policies: vec![assumed],
        ..of_council(described(Some(given)))
    };
    let answer = explain(&scene.college, kept_away).await.unwrap();
    assert_eq!(why(&answer, "core"), pb::WithheldReason::RecipientPolicy);
    assert_eq!(answer.decisions[0].policies, ["agencies/glen-college/policies/own"]);
    // Nobody is named, and nobody else is answered.
    let record = scene.publish().await;
    let client = Subject::Described(pb::DescribedRecord {
        record_type: LEAVER_FORM.to_owned(),
        client: record.client.clone(),
        ..pb::DescribedRecord::default()
    });
    let bystander = of_council(described(Some(given)));
    let gone = [
        explain(&scene.college, of_council(Subject::Record(record.record.clone()))).await,
        explain(&scene.college, of_council(client)).await,
        explain(&scene.trust, bystander).await,
    ];
    for answer in gone {
        assert_eq!(reason(&answer.unwrap_err()), "NOT_AVAILABLE");
    }
}

#[tokio::test]
async fn a_content_that_nobody_has_drafted_is_explained_to_a_party_of_it() {
    let scene = Scene::new().await;
    let number = "leavers".parse().unwrap();
    let content = scene.exchange.node.read(|state| {
        state.tables().agreements.get(&number).map(|row| row.content.clone()).unwrap()
    });
    let mut content: ledger::AgreementContent = prost::Message::decode(content.as_slice()).unwrap();
    content.flows.retain(|flow| flow.flow != "asked");
    content.flows.push(ledger::Flow {
        owner: "inverclyde-council".to_owned(),
        necessity_digest: content.text_digest.clone(),
        regime: i32::from(ledger::Regime::UkGdpr),
        ..by_duty("told", &scene.council, &[&scene.college])
    });
    let assumed = |agreement: &str| {
        Some(pb::AssumedContent {
            agreement: format!("agreements/{agreement}"),
            content: Some(content.clone()),
        })
    };
    let asked = |agreement: &str| ExplainDecisionRequest {
        assumed_content: assumed(agreement),
        ..ask(described(None), &scene.college)
    };
    let before = explain(&scene.council, ask(described(None), &scene.college)).await.unwrap();
    assert_eq!(why(&before, "core"), pb::WithheldReason::ConsentMissing);
    let answer = explain(&scene.council, asked("leavers")).await.unwrap();
    assert!(released(&answer).contains("core"), "{answer:?}");
    let stranger = scene.exchange.agency("stranger", AgencyKind::Council).await;
    let refused = explain(&stranger, asked("others")).await.unwrap_err();
    assert_eq!(reason(&refused), "NOT_A_PARTY");
}

#[tokio::test]
async fn a_question_that_contradicts_itself_is_refused() {
    let scene = Scene::new().await;
    let named = Subject::Described(pb::DescribedRecord {
        record_type: LEAVER_FORM.to_owned(),
        client: format!("clients/{}", "1".repeat(32)),
        described_client: Some(somebody(15, None)),
        ..pb::DescribedRecord::default()
    });
    let version = pb::AgreementVersion { agreement: "agreements/leavers".to_owned(), version: 1 };
    let content = pb::AssumedContent { agreement: "agreements/leavers".to_owned(), content: None };
    let silent = somebody(15, Some(pb::DescribedWord::default()));
    let policy = pb::AssumedPolicy { policy: "p".to_owned(), text: "permit".to_owned() };
    let plain = || ask(described(None), &scene.college);
    let requests = [
        (ExplainDecisionRequest { at_time: Some(at(1)), ..decision("x") }, "INVALID_REQUEST"),
        (ask(named, &scene.college), "INVALID_REQUEST"),
        (ask(described(Some(somebody(131, None))), &scene.college), "INVALID_REQUEST"),
        (ask(described(Some(silent)), &scene.college), "INVALID_REQUEST"),
        (
            ExplainDecisionRequest {
                assumed_agreement: Some(version),
                assumed_content: Some(content.clone()),
                ..plain()
            },
            "INVALID_REQUEST",
        ),
        (ExplainDecisionRequest { assumed_content: Some(content), ..plain() }, "INVALID_REQUEST"),
        (ExplainDecisionRequest { assumed_policies: vec![policy], ..plain() }, "POLICY_INVALID"),
        (ExplainDecisionRequest { publisher: "x".to_owned(), ..plain() }, "INVALID_REQUEST"),
    ];
    for (request, expected) in requests {
        let status = explain(&scene.council, request.clone()).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, expected),
            "{request:?}"
        );
    }
}

#[tokio::test]
async fn a_recall_that_waits_and_flows_for_named_staff_are_told() {
    let scene = Scene::new().await;
    let first = scene.publish().await;
    assert!(!scene.pulled(&scene.skills, &first.record).await.is_empty());
    let retract = ledger::RetractRecord {
        record: u128::from_str_radix(first.record.trim_start_matches("records/"), 16)
            .unwrap()
            .to_be_bytes()
            .to_vec()
            .into(),
        reason: i32::from(ledger::RecallReason::Unlawful),
    };
    scene.council.submit(Kind::RetractRecord(retract)).await.unwrap();
    let second = scene.publish().await;
    let waits = explain(&scene.council, about(&second.record, &scene.skills)).await.unwrap();
    assert_eq!(why(&waits, "core"), pb::WithheldReason::RecallWaits);
    assert!(waits.sentences.iter().any(|line| line.contains("recall")), "{:?}", waits.sentences);
    let foreign = explain(&scene.skills, about(&second.record, &scene.skills)).await;
    assert_eq!(reason(&foreign.unwrap_err()), "NOT_AVAILABLE");
    // A pull puts the recall before it; then the record comes.
    assert!(!scene.pulled(&scene.skills, &second.record).await.is_empty());
    let told = explain(&scene.council, about(&second.record, &scene.skills)).await.unwrap();
    assert!(released(&told).contains("core"));
    let named =
        ledger::Flow { named_actor: true, ..by_duty("named", &scene.council, &[&scene.trust]) };
    scene.exchange.agree("named", &[&scene.council, &scene.trust], vec![named]).await;
    let mut question = ask(described(None), &scene.trust);
    question.publisher = format!("agencies/{}", scene.council.id);
    let attended = explain(&scene.trust, question.clone()).await.unwrap();
    assert!(released(&attended).contains("core"), "a person may read it");
    question.unattended_reader = true;
    let unattended = explain(&scene.trust, question).await.unwrap();
    assert_eq!(why(&unattended, "core"), pb::WithheldReason::NamedStaff);
    let mut past = decision("anything");
    past.unattended_reader = true;
    let refused = explain(&scene.council, past).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_system_gets_nothing_of_a_flow_for_named_staff_even_where_a_person_read_before() {
    let scene = Scene::new().await;
    let named =
        ledger::Flow { named_actor: true, ..by_duty("named", &scene.council, &[&scene.trust]) };
    scene.exchange.agree("named", &[&scene.council, &scene.trust], vec![named]).await;
    let person = || {
        let (staff_id, role) = ("s-17".to_owned(), "team leader".to_owned());
        let staff = ledger::ActorDetail { staff_id, role, office: 0 };
        let mut context = context()?;
        context.actor = Some(pb::request_context::Actor::Staff(staff));
        Some(context)
    };
    let create = ledger::CreateSubscription {
        subscription: "desk".to_owned(),
        record_types: vec![LEAVER_FORM.to_owned()],
    };
    let request = pb::CreateSubscriptionRequest {
        context: person(),
        request_id: scene.trust.request(),
        create: Some(create),
        validate_only: false,
    };
    let mut stub = SubscriptionServiceClient::new(scene.trust.channel.clone());
    stub.create_subscription(request).await.unwrap();
    let pulled = async |context: Option<pb::RequestContext>| {
        let request = pb::PullRecordsRequest {
            context,
            request_id: scene.trust.request(),
            subscription: scene.trust.subscription("desk"),
            max_records: 0,
        };
        let pulled = scene.trust.exchange().pull_records(request).await.unwrap().into_inner();
        if let Some(last) = pulled.deliveries.last() {
            let request = pb::AcknowledgeRecordsRequest {
                context: self::context(),
                request_id: scene.trust.request(),
                subscription: scene.trust.subscription("desk"),
                through_cursor: last.cursor.clone(),
                nacks: Vec::new(),
            };
            scene.trust.exchange().acknowledge_records(request).await.unwrap();
        }
        let records = pulled.deliveries.into_iter().filter_map(|delivery| delivery.record);
        records.map(|record| record.name).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        let published = scene.publish().await;
        assert_eq!(pulled(context()).await, [""; 0], "a system");
        // A person takes over: what waited for one is offered anew.
        let mut found = pulled(person()).await;
        scene.exchange.at_rest().await;
        found.extend(pulled(person()).await);
        assert_eq!(found, [published.record], "a person");
    }
}
