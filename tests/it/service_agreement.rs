//! Agreements and explanations over the wire: drafted, proposed, approved by all, seen by their parties alone.

use concordat::{
    machine::command::agreement::example,
    pb::{
        ledger::v1::{self as ledger, AgencyKind, Purpose, command::Kind},
        v1::{self as pb, AgreementState, DecisionOutcome, PartyDecision, WithheldReason},
    },
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::service_bench::{DAY, NOW, Party, Served, context, reason, shape};

pub(crate) const LEAVERS: &str = "leavers";

fn flow(publisher: &Party, recipient: &Party) -> ledger::Flow {
    ledger::Flow {
        flow: "duty".to_owned(),
        record_type: "leaver-form".to_owned(),
        publisher: publisher.id.to_string(),
        recipients: vec![recipient.id.to_string()],
        groups: vec!["core".to_owned(), "education".to_owned()],
        basis: i32::from(ledger::LawfulBasis::LegalObligation),
        special_condition: 0,
        legal_power: i32::from(ledger::LegalPower::Post16Education2013S20),
        gate: i32::from(ledger::Gate::None),
        caseload: i32::from(ledger::CaseloadRule::None),
        backfill: false,
        ..ledger::Flow::default()
    }
}

/// A flow that waits for consent and for a confirmed claim.
pub(crate) fn by_consent(publisher: &Party, recipient: &Party) -> ledger::Flow {
    ledger::Flow {
        flow: "consented".to_owned(),
        basis: i32::from(ledger::LawfulBasis::Consent),
        legal_power: 0,
        gate: i32::from(ledger::Gate::DataProtectionConsent),
        caseload: i32::from(ledger::CaseloadRule::Confirmed),
        ..flow(publisher, recipient)
    }
}

fn content(parties: &[&Party], flows: Vec<ledger::Flow>) -> ledger::AgreementContent {
    let content = ledger::AgreementContent {
        parties: parties.iter().map(|party| party.as_party()).collect(),
        purpose: i32::from(Purpose::SchoolLeaverTransition),
        flows,
        expires_at_ms: NOW.plus(365 * DAY).millis(),
        text_digest: vec![3; 32].into(),
        terms: None,
    };
    example::completed(content, NOW)
}

async fn draft(
    served: &Served,
    party: &Party,
    content: ledger::AgreementContent,
) -> Result<pb::Agreement, Status> {
    let request = pb::DraftAgreementRequest {
        context: context(),
        request_id: served.request_id(),
        draft: Some(ledger::DraftAgreement {
            agreement: LEAVERS.to_owned(),
            content: Some(content),
        }),
        evidence: Some(ledger::Evidence {
            reference: "minutes of May".to_owned(),
            ..ledger::Evidence::default()
        }),
        validate_only: false,
        texts: Some(example::texts()),
    };
    let drafted = party.agreements().draft_agreement(request).await?.into_inner();
    Ok(drafted.agreement.unwrap())
}

async fn propose(served: &Served, party: &Party, drafted: &pb::Agreement) -> Result<(), Status> {
    let propose = ledger::ProposeAgreement {
        agreement: LEAVERS.to_owned(),
        version: drafted.version,
        content_hash: drafted.content_hash.clone(),
    };
    let request = pb::ProposeAgreementRequest {
        context: context(),
        request_id: served.request_id(),
        propose: Some(propose),
        validate_only: false,
    };
    party.agreements().propose_agreement(request).await.map(drop)
}

async fn approve(
    served: &Served,
    party: &Party,
    drafted: &pb::Agreement,
) -> Result<pb::Agreement, Status> {
    let approve = example::approval(LEAVERS, drafted.version, drafted.content_hash.clone());
    let request_id = served.request_id();
    let kind = Kind::ApproveAgreement(approve.clone());
    let request = pb::ApproveAgreementRequest {
        context: context(),
        signature: served.signature(party, &request_id, &kind),
        request_id,
        approve: Some(approve),
        evidence: Some(ledger::Evidence {
            reference: "scheme of delegation 4.2".to_owned(),
            consent: None,
        }),
        validate_only: false,
    };
    Ok(party.agreements().approve_agreement(request).await?.into_inner().agreement.unwrap())
}

/// An agreement between two parties with these flows, in force.
pub(crate) async fn agree(served: &Served, parties: &[&Party], flows: Vec<ledger::Flow>) {
    let first = parties.first().unwrap();
    let drafted = draft(served, first, content(parties, flows)).await.unwrap();
    propose(served, first, &drafted).await.unwrap();
    for party in parties {
        approve(served, party, &drafted).await.unwrap();
    }
}

async fn partners(served: &Served) -> (Party, Party) {
    let council = served.agency("inverclyde-council", AgencyKind::Council).await;
    let skills = served.agency("skills", AgencyKind::NationalBody).await;
    (council, skills)
}

fn get(name: &str, version: u32) -> pb::GetAgreementRequest {
    pb::GetAgreementRequest { context: context(), name: name.to_owned(), version }
}

#[tokio::test]
async fn an_agreement_is_active_when_every_party_has_approved() {
    let served = Served::new().await;
    let (council, skills) = partners(&served).await;
    let content = content(&[&council, &skills], vec![flow(&council, &skills)]);
    let drafted = draft(&served, &council, content.clone()).await.unwrap();
    assert_eq!((drafted.state(), drafted.version), (AgreementState::Draft, 1));
    assert_eq!(drafted.content, Some(content));
    assert_eq!(drafted.drafter, "agencies/inverclyde-council");
    let early = approve(&served, &council, &drafted).await.unwrap_err();
    assert_eq!(reason(&early), "AGREEMENT_WRONG_STATE");
    propose(&served, &skills, &drafted).await.unwrap();
    let first = approve(&served, &skills, &drafted).await.unwrap();
    assert_eq!((first.state(), first.active_version), (AgreementState::Proposed, 0));
    let decisions: Vec<_> = first.parties.iter().map(pb::PartyStanding::decision).collect();
    assert_eq!(decisions, [PartyDecision::Unspecified, PartyDecision::Approved]);
    let active = approve(&served, &council, &drafted).await.unwrap();
    assert_eq!((active.state(), active.active_version), (AgreementState::Active, 1));
    assert!(active.drafted_time.is_some() && active.proposed_time.is_some());
    assert!(active.activated_time.is_some() && active.ended_time.is_none());
    assert!(active.parties.iter().all(|party| party.decided_time.is_some()));
}

#[tokio::test]
async fn an_agreement_of_others_is_as_one_that_does_not_exist() {
    let served = Served::new().await;
    let (council, skills) = partners(&served).await;
    let content = content(&[&council, &skills], vec![flow(&council, &skills)]);
    let drafted = draft(&served, &council, content).await.unwrap();
    let stranger = served.agency("stranger", AgencyKind::Council).await;
    let mut by_stranger = stranger.agreements();
    let hidden = by_stranger.get_agreement(get("agreements/leavers", 0)).await.unwrap_err();
    let absent = by_stranger.get_agreement(get("agreements/nothing", 0)).await.unwrap_err();
    assert_eq!((hidden.code(), reason(&hidden)), (Code::NotFound, "NOT_AVAILABLE".to_owned()));
    assert_eq!(shape(&hidden), shape(&absent));
    let refused = approve(&served, &stranger, &drafted).await.unwrap_err();
    let unknown = pb::Agreement { version: 7, ..drafted.clone() };
    let unknown = approve(&served, &stranger, &unknown).await.unwrap_err();
    assert_eq!(shape(&refused), shape(&unknown));
    let list = pb::ListAgreementsRequest { context: context(), ..Default::default() };
    let seen = by_stranger.list_agreements(list.clone()).await.unwrap().into_inner();
    assert_eq!(seen, pb::ListAgreementsResponse::default());
    let own = skills.agreements().list_agreements(list).await.unwrap().into_inner();
    assert_eq!(own.agreements.len(), 1);
    let other_version = council.agreements().get_agreement(get("agreements/leavers", 2)).await;
    assert_eq!(shape(&other_version.unwrap_err()), shape(&absent));
}

#[tokio::test]
async fn what_does_not_fit_is_told_to_a_party_with_its_reason() {
    let served = Served::new().await;
    let (council, skills) = partners(&served).await;
    let parties = [&council, &skills];
    let with = |change: fn(&mut ledger::Flow)| {
        let mut flow = flow(&council, &skills);
        change(&mut flow);
        content(&parties, vec![flow])
    };
    for (expected, content) in [
        ("RECORD_TYPE_UNKNOWN", with(|flow| flow.record_type = "nothing".to_owned())),
        ("FIELD_GROUP_UNKNOWN", with(|flow| flow.groups = vec!["nothing".to_owned()])),
        ("BASIS_NOT_ALLOWED", with(|flow| flow.legal_power = 0)),
        ("GATE_NOT_ALLOWED", with(|flow| flow.gate = 2)),
    ] {
        let status = draft(&served, &council, content).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, expected));
    }
    let sound = content(&parties, vec![flow(&council, &skills)]);
    let drafted = draft(&served, &council, sound).await.unwrap();
    let other = pb::Agreement { version: 2, ..drafted.clone() };
    let status = propose(&served, &council, &other).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::Aborted, "VERSION_DIFFERS".to_owned()));
    let other = pb::Agreement { content_hash: vec![9; 32].into(), ..drafted };
    let status = propose(&served, &council, &other).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::Aborted, "CONTENT_DIFFERS".to_owned()));
}

#[tokio::test]
async fn a_decline_a_suspension_and_an_end_are_shown() {
    let served = Served::new().await;
    let (council, skills) = partners(&served).await;
    agree(&served, &[&council, &skills], vec![flow(&council, &skills)]).await;
    let (request_id, agreement) = (served.request_id(), LEAVERS.to_owned());
    let suspend = ledger::SuspendFlows {
        agreement: agreement.clone(),
        reason: i32::from(ledger::SuspendReason::Incident),
    };
    let request = pb::SuspendFlowsRequest {
        context: context(),
        signature: served.signature(&skills, &request_id, &Kind::SuspendFlows(suspend.clone())),
        request_id,
        suspend: Some(suspend),
        validate_only: false,
    };
    let suspended = skills.agreements().suspend_flows(request).await.unwrap().into_inner();
    let parties = suspended.agreement.unwrap().parties;
    assert_eq!(parties.iter().map(|p| p.suspended).collect::<Vec<_>>(), [false, true]);
    let request_id = served.request_id();
    let end = ledger::EndAgreement { agreement };
    let request = pb::EndAgreementRequest {
        context: context(),
        signature: served.signature(&council, &request_id, &Kind::EndAgreement(end.clone())),
        request_id,
        end: Some(end),
        validate_only: false,
    };
    let ended = council.agreements().end_agreement(request).await.unwrap().into_inner();
    let ended = ended.agreement.unwrap();
    assert_eq!(ended.state(), AgreementState::Ended);
    assert!(ended.ended_time.is_some());
}

fn check(subject: pb::check_agreement_request::Subject) -> pb::CheckAgreementRequest {
    pb::CheckAgreementRequest { context: context(), subject: Some(subject), version: 0 }
}

#[tokio::test]
async fn everything_that_is_missing_is_listed_and_stands_in_the_refusal_of_a_proposal() {
    use pb::check_agreement_request::Subject;
    let served = Served::new().await;
    let (council, skills) = partners(&served).await;
    let whole = content(&[&council, &skills], vec![flow(&council, &skills)]);
    let mut open = whole.clone();
    let terms = open.terms.as_mut().unwrap();
    terms.retention.clear();
    terms.security = 0;
    open.flows[0].owner.clear();
    let expected = ["FLOW_OWNER_MISSING", "RETENTION_MISSING", "SECURITY_MISSING"];
    let codes = |gaps: &[pb::AgreementGap]| -> Vec<String> {
        gaps.iter().map(|gap| gap.code.clone()).collect()
    };
    let before = check(Subject::Content(open.clone()));
    let gaps = skills.agreements().check_agreement(before).await.unwrap().into_inner().gaps;
    assert_eq!(codes(&gaps), expected);
    assert_eq!((gaps[0].field.as_str(), gaps[0].unlawful), ("flows[0].owner", false));
    assert!(gaps[1].rule.contains("art. 5(1)(e)"), "{}", gaps[1].rule);
    let drafted = draft(&served, &council, open).await.unwrap();
    let named = || check(Subject::Name("agreements/leavers".to_owned()));
    let gaps = skills.agreements().check_agreement(named()).await.unwrap().into_inner().gaps;
    assert_eq!(codes(&gaps), expected);
    let refused = propose(&served, &council, &drafted).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refused), "AGREEMENT_INCOMPLETE");
    let details = refused.get_error_details();
    let violations = &details.precondition_failure().unwrap().violations;
    let kinds: Vec<&str> = violations.iter().skip(1).map(|one| one.r#type.as_str()).collect();
    assert_eq!(kinds, expected);
    let stranger = served.agency("stranger", AgencyKind::Council).await;
    let hidden = stranger.agreements().check_agreement(named()).await.unwrap_err();
    assert_eq!(reason(&hidden), "NOT_AVAILABLE");
    let drafted = draft(&served, &council, whole).await.unwrap();
    let gaps = skills.agreements().check_agreement(named()).await.unwrap().into_inner().gaps;
    assert_eq!(codes(&gaps), Vec::<String>::new());
    propose(&served, &council, &drafted).await.unwrap();
}

#[tokio::test]
async fn what_is_not_set_is_listed_for_anybody_and_only_what_is_no_agreement_is_malformed() {
    use pb::check_agreement_request::Subject;
    let served = Served::new().await;
    let (council, skills) = partners(&served).await;
    let mut open = content(&[&council, &skills], vec![flow(&council, &skills)]);
    open.flows[0].basis = 0;
    open.flows[0].gate = 0;
    open.parties[1].role = 0;
    let checked = check(Subject::Content(open.clone()));
    let gaps = skills.agreements().check_agreement(checked).await.unwrap().into_inner().gaps;
    let codes: Vec<&str> = gaps.iter().map(|gap| gap.code.as_str()).collect();
    assert_eq!(codes, ["BASIS_MISSING", "GATE_MISSING", "PARTY_ROLE_MISSING"]);
    assert!(gaps.iter().all(|gap| !gap.unlawful && !gap.rule.is_empty()));
    let drafted = draft(&served, &council, open.clone()).await.unwrap();
    let refused = propose(&served, &council, &drafted).await.unwrap_err();
    assert_eq!(reason(&refused), "AGREEMENT_INCOMPLETE");
    let empty = check(Subject::Content(ledger::AgreementContent::default()));
    let gaps = skills.agreements().check_agreement(empty).await.unwrap().into_inner().gaps;
    assert!(20 < gaps.len(), "{gaps:?}");
    open.flows[0].basis = 99;
    let checked = check(Subject::Content(open));
    let malformed = skills.agreements().check_agreement(checked).await.unwrap_err();
    assert_eq!(malformed.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn texts_are_shown_to_parties_and_only_if_the_content_states_them() {
    let served = Served::new().await;
    let (council, skills) = partners(&served).await;
    let content = content(&[&council, &skills], vec![flow(&council, &skills)]);
    let drafted = draft(&served, &council, content.clone()).await.unwrap();
    assert!(drafted.texts.is_empty());
    let shown = skills.agreements().get_agreement(get("agreements/leavers", 0)).await.unwrap();
    let shown = shown.into_inner().agreement.unwrap();
    assert_eq!((shown.texts, shown.texts_salt), {
        let ledger::AgreementTexts { salt, texts } = example::texts();
        (texts, salt)
    });
    let mut other = example::texts();
    other.texts.push("a word that nobody signs".to_owned());
    let request = pb::DraftAgreementRequest {
        context: context(),
        request_id: served.request_id(),
        draft: Some(ledger::DraftAgreement {
            agreement: LEAVERS.to_owned(),
            content: Some(content),
        }),
        texts: Some(other),
        ..Default::default()
    };
    let refused = council.agreements().draft_agreement(request).await.unwrap_err();
    assert_eq!(reason(&refused), "INVALID_REQUEST");
    let details = refused.get_error_details();
    let violation = &details.bad_request().unwrap().field_violations[0];
    assert_eq!(violation.reason, "TEXT_NOT_STATED");
}

#[tokio::test]
async fn a_next_version_is_previewed_replaces_the_one_in_force_and_is_told_to_every_party() {
    use pb::AgreementEvent::{Activated, Approved, Proposed};
    let served = Served::new().await;
    let (council, skills) = partners(&served).await;
    agree(&served, &[&council, &skills], vec![flow(&council, &skills)]).await;
    let narrower = ledger::Flow { groups: vec!["core".to_owned()], ..flow(&council, &skills) };
    let next = content(&[&council, &skills], vec![narrower]);
    let drafted = draft(&served, &skills, next).await.unwrap();
    assert_eq!((drafted.version, drafted.active_version), (2, 1));
    let preview = pb::PreviewAgreementRequest {
        context: context(),
        name: "agreements/leavers".to_owned(),
        version: 0,
    };
    let seen = council.agreements().preview_agreement(preview.clone()).await.unwrap().into_inner();
    assert_eq!(seen.version, 2);
    let change = &seen.changes[0];
    assert!(change.groups_gained.is_empty(), "{change:?}");
    assert_eq!(change.groups_lost, ["education"]);
    assert_eq!((change.clients_gaining, change.clients_losing), (None, None));
    let stranger = served.agency("stranger", AgencyKind::Council).await;
    let hidden = stranger.agreements().preview_agreement(preview).await.unwrap_err();
    assert_eq!(reason(&hidden), "NOT_AVAILABLE");
    propose(&served, &skills, &drafted).await.unwrap();
    approve(&served, &council, &drafted).await.unwrap();
    let active = approve(&served, &skills, &drafted).await.unwrap();
    assert_eq!((active.state(), active.active_version), (AgreementState::Active, 2));
    assert_eq!(active.parties[0].approver_role(), ledger::ApproverRole::Director);
    let first = council.agreements().get_agreement(get("agreements/leavers", 1)).await.unwrap();
    let first = first.into_inner().agreement.unwrap();
    assert_eq!((first.state(), first.active_version), (AgreementState::Replaced, 2));
    let list = |after_number, page_size, page_token: &str| pb::ListNoticesRequest {
        context: context(),
        after_number,
        page_size,
        page_token: page_token.to_owned(),
    };
    let told = |page: &pb::ListNoticesResponse| -> Vec<(u64, pb::AgreementEvent)> {
        let event = |notice: &pb::Notice| match &notice.about {
            Some(pb::notice::About::Agreement(about)) => (notice.number, about.event()),
            Some(_) | None => (notice.number, pb::AgreementEvent::Unspecified),
        };
        page.notices.iter().map(event).collect()
    };
    let page = council.notices().list_notices(list(0, 0, "")).await.unwrap().into_inner();
    assert_eq!(told(&page), [(1, Activated), (2, Proposed), (3, Activated)]);
    let page = skills.notices().list_notices(list(0, 2, "")).await.unwrap().into_inner();
    assert_eq!(told(&page), [(1, Proposed), (2, Approved)]);
    let rest = skills.notices().list_notices(list(0, 2, &page.next_page_token)).await.unwrap();
    assert_eq!(told(&rest.into_inner()), [(3, Approved)]);
    let late = skills.notices().list_notices(list(2, 0, "")).await.unwrap().into_inner();
    assert_eq!(told(&late), [(3, Approved)]);
    let none = stranger.notices().list_notices(list(0, 0, "")).await.unwrap().into_inner();
    assert!(none.notices.is_empty());
}

fn explain(recipient: &Party, assumed: Option<u32>) -> pb::ExplainDecisionRequest {
    pb::ExplainDecisionRequest {
        context: context(),
        reason: i32::from(ledger::ReadReason::Service),
        subject: Some(pb::explain_decision_request::Subject::Described(pb::DescribedRecord {
            record_type: "leaver-form".to_owned(),
            ..pb::DescribedRecord::default()
        })),
        recipient: format!("agencies/{}", recipient.id),
        recipient_purpose: i32::from(Purpose::SchoolLeaverTransition),
        assumed_agreement: assumed.map(|version| pb::AgreementVersion {
            agreement: "agreements/leavers".to_owned(),
            version,
        }),
        ..pb::ExplainDecisionRequest::default()
    }
}

#[tokio::test]
async fn an_explanation_says_what_would_flow_before_and_after_all_have_approved() {
    let served = Served::new().await;
    let (council, skills) = partners(&served).await;
    let content = content(&[&council, &skills], vec![flow(&council, &skills)]);
    let drafted = draft(&served, &council, content).await.unwrap();
    let told = async |request| {
        let answer = council.policies().explain_decision(request).await.unwrap().into_inner();
        let decisions = answer.decisions.into_iter();
        decisions
            .map(|group| (group.field_group.clone(), group.outcome(), group.withheld_reason()))
            .collect::<Vec<_>>()
    };
    let (released, withheld) = (DecisionOutcome::Released, DecisionOutcome::Withheld);
    let nothing = WithheldReason::Unspecified;
    let named = |name: &str| name.to_owned();
    let before = told(explain(&skills, None)).await;
    assert_eq!(before.len(), 3);
    assert!(before.iter().all(|(_, _, reason)| *reason == WithheldReason::NoFlow));
    let expected = [
        (named("core"), released, nothing),
        (named("education"), released, nothing),
        (named("support"), withheld, WithheldReason::FieldGroupNotPermitted),
    ];
    assert_eq!(told(explain(&skills, Some(1))).await, expected);
    propose(&served, &council, &drafted).await.unwrap();
    for party in [&council, &skills] {
        approve(&served, party, &drafted).await.unwrap();
    }
    assert_eq!(told(explain(&skills, None)).await, expected);
    let other = pb::ExplainDecisionRequest {
        recipient_purpose: i32::from(Purpose::ChildProtection),
        ..explain(&skills, None)
    };
    assert_eq!(told(other).await[0].2, WithheldReason::PurposeDiffers);
}

#[tokio::test]
async fn an_explanation_is_for_the_publisher_and_the_parties() {
    let served = Served::new().await;
    let (council, skills) = partners(&served).await;
    let content = content(&[&council, &skills], vec![flow(&council, &skills)]);
    let _drafted = draft(&served, &council, content).await.unwrap();
    let stranger = served.agency("stranger", AgencyKind::Council).await;
    let mut policies = stranger.policies();
    let assumed = policies.explain_decision(explain(&skills, Some(1))).await.unwrap_err();
    let record = pb::ExplainDecisionRequest {
        subject: Some(pb::explain_decision_request::Subject::Record(format!(
            "records/{}",
            "0".repeat(32)
        ))),
        ..explain(&skills, None)
    };
    let record = policies.explain_decision(record).await.unwrap_err();
    assert_eq!((assumed.code(), reason(&assumed)), (Code::NotFound, "NOT_AVAILABLE".to_owned()));
    assert_eq!(shape(&assumed), shape(&record));
}
