//! Successions over the wire: proposed, approved by all who have to, seen by those whom they concern alone.

use concordat::{
    machine::State,
    pb::{
        ledger::v1::{
            self as ledger, AgencyKind, SuccessionInstrument, SuccessionKind, command::Kind,
        },
        v1::{
            self as pb, SuccessionDecision,
            SuccessionEvent::{Approved, InForce, Proposed},
            SuccessionState,
        },
    },
};
use tonic::{Code, Status};

use crate::{
    service_agreement::{LEAVERS, agree, by_consent},
    service_bench::{DAY, NOW, Party, Served, context, reason, shape},
};

/// Three parties of one agreement, and who takes the college's place in it.
struct Cast {
    served: Served,
    council: Party,
    college: Party,
    successor: Party,
}

impl Cast {
    async fn new() -> Self {
        let served = Served::new().await;
        let council = served.agency("inverclyde-council", AgencyKind::Council).await;
        let college = served.agency("glen-college", AgencyKind::College).await;
        let successor = served.agency("river-college", AgencyKind::College).await;
        agree(&served, &[&council, &college], vec![by_consent(&council, &college)]).await;
        Self { served, council, college, successor }
    }

    fn content(&self) -> ledger::SuccessionContent {
        let id = LEAVERS.parse().unwrap();
        let (version, hash) = self.served.node.read(|state: &State| {
            let row = state.tables().agreements.get(&id).unwrap();
            (row.version, row.content_hash)
        });
        ledger::SuccessionContent {
            old: self.college.id.to_string(),
            kind: i32::from(SuccessionKind::Merger),
            instrument: i32::from(SuccessionInstrument::Order),
            shares: vec![ledger::SuccessionShare {
                agreement: LEAVERS.to_owned(),
                version,
                content_hash: hash.as_bytes().to_vec().into(),
                successor: self.successor.id.to_string(),
            }],
            ..ledger::SuccessionContent::default()
        }
    }

    async fn propose(
        &self,
        party: &Party,
        content: ledger::SuccessionContent,
    ) -> Result<pb::Succession, Status> {
        let request = pb::ProposeSuccessionRequest {
            context: context(),
            request_id: self.served.request_id(),
            propose: Some(ledger::ProposeSuccession { content: Some(content) }),
            evidence: Some(ledger::Evidence {
                reference: "SSI 2026/1".to_owned(),
                ..ledger::Evidence::default()
            }),
            validate_only: false,
        };
        let answer = party.successions().propose_succession(request).await?.into_inner();
        assert!(!answer.decision_id.is_empty());
        Ok(answer.succession.unwrap())
    }

    fn approval(&self, party: &Party, found: &pb::Succession) -> pb::ApproveSuccessionRequest {
        let approve = ledger::ApproveSuccession {
            succession: id_of(&found.name),
            content_hash: found.content_hash.clone(),
            approver_role: i32::from(ledger::ApproverRole::ChiefExecutive),
            approver_authority: i32::from(ledger::ApproverAuthority::Office),
        };
        let request_id = self.served.request_id();
        let kind = Kind::ApproveSuccession(approve.clone());
        pb::ApproveSuccessionRequest {
            context: context(),
            signature: self.served.signature(party, &request_id, &kind),
            request_id,
            approve: Some(approve),
            evidence: None,
            validate_only: false,
        }
    }

    async fn approve(
        &self,
        party: &Party,
        found: &pb::Succession,
    ) -> Result<pb::Succession, Status> {
        let request = self.approval(party, found);
        let answer = party.successions().approve_succession(request).await?;
        Ok(answer.into_inner().succession.unwrap())
    }

    async fn decline(
        &self,
        party: &Party,
        found: &pb::Succession,
    ) -> Result<pb::Succession, Status> {
        let decline = ledger::DeclineSuccession {
            succession: id_of(&found.name),
            reason: i32::from(ledger::SuccessionDeclineReason::DateDisputed),
        };
        let request_id = self.served.request_id();
        let kind = Kind::DeclineSuccession(decline.clone());
        let request = pb::DeclineSuccessionRequest {
            context: context(),
            signature: self.served.signature(party, &request_id, &kind),
            request_id,
            decline: Some(decline),
            validate_only: false,
        };
        let answer = party.successions().decline_succession(request).await?;
        Ok(answer.into_inner().succession.unwrap())
    }
}

fn id_of(name: &str) -> bytes::Bytes {
    let id = u128::from_str_radix(name.strip_prefix("successions/").unwrap(), 16).unwrap();
    id.to_be_bytes().to_vec().into()
}

async fn get(party: &Party, name: &str) -> Result<pb::Succession, Status> {
    let request = pb::GetSuccessionRequest { context: context(), name: name.to_owned() };
    let answer = party.successions().get_succession(request).await?;
    Ok(answer.into_inner().succession.unwrap())
}

async fn list(party: &Party) -> Vec<String> {
    let request =
        pb::ListSuccessionsRequest { context: context(), page_size: 1, page_token: String::new() };
    let answer = party.successions().list_successions(request).await.unwrap().into_inner();
    assert_eq!(answer.next_page_token, "");
    answer.successions.into_iter().map(|row| row.name).collect()
}

/// What an agency was told of successions.
async fn told(party: &Party) -> Vec<pb::SuccessionEvent> {
    let request = pb::ListNoticesRequest { context: context(), ..Default::default() };
    let answer = party.notices().list_notices(request).await.unwrap().into_inner();
    answer
        .notices
        .into_iter()
        .filter_map(|notice| match notice.about? {
            pb::notice::About::Succession(about) => Some(about.event()),
            pb::notice::About::Agreement(_)
            | pb::notice::About::Case(_)
            | pb::notice::About::Incident(_)
            | pb::notice::About::Restriction(_)
            | pb::notice::About::Emergency(_)
            | pb::notice::About::Access(_)
            | pb::notice::About::Consent(_) => None,
        })
        .collect()
}

async fn agreement(party: &Party) -> Result<pb::Agreement, Status> {
    let name = format!("agreements/{LEAVERS}");
    let request = pb::GetAgreementRequest { context: context(), name, version: 0 };
    Ok(party.agreements().get_agreement(request).await?.into_inner().agreement.unwrap())
}

#[tokio::test]
async fn a_successor_takes_a_place_when_all_who_have_to_have_approved() {
    let cast = Cast::new().await;
    let found = cast.propose(&cast.college, cast.content()).await.unwrap();
    assert_eq!(found.state(), SuccessionState::Proposed);
    assert_eq!(found.content, Some(cast.content()));
    assert_eq!(found.parties.len(), 3);
    // Who takes over sees what it takes over before it signs, and the agreement itself only then.
    let seen = get(&cast.successor, &found.name).await.unwrap();
    let becomes = seen.outcomes[0].content.clone().unwrap();
    assert!(becomes.parties.iter().any(|party| party.agency == "river-college"));
    assert_eq!(agreement(&cast.successor).await.unwrap_err().code(), Code::NotFound);
    for party in [&cast.council, &cast.successor] {
        let now = cast.approve(party, &found).await.unwrap();
        assert_eq!(now.state(), SuccessionState::Proposed);
    }
    let done = cast.approve(&cast.college, &found).await.unwrap();
    assert_eq!(done.state(), SuccessionState::InForce);
    assert!(done.outcomes[0].taken);
    assert!(done.parties.iter().all(|party| party.decision() == SuccessionDecision::Approved));
    let now = agreement(&cast.successor).await.unwrap();
    assert_eq!((now.version, now.content), (2, Some(becomes)));
    assert_eq!(told(&cast.council).await, [Proposed, Approved, InForce]);
    let gone = get(&cast.college, &found.name).await.unwrap_err();
    assert_eq!(reason(&gone), "AGENCY_SUSPENDED");
    let resume = pb::ResumeAgencyRequest {
        context: context(),
        request_id: cast.served.request_id(),
        resume: Some(ledger::ResumeAgency { agency: "glen-college".to_owned() }),
        validate_only: false,
    };
    let refused = cast.served.operator.agencies().resume_agency(resume).await.unwrap_err();
    assert_eq!(reason(&refused), "AGENCY_SUCCEEDED");
}

#[tokio::test]
async fn a_succession_of_others_is_as_one_that_does_not_exist() {
    let cast = Cast::new().await;
    let stranger = cast.served.agency("harbour-council", AgencyKind::Council).await;
    let found = cast.propose(&cast.college, cast.content()).await.unwrap();
    let nowhere = pb::Succession { name: format!("successions/{:032x}", 7), ..found.clone() };
    let there = get(&stranger, &found.name).await.unwrap_err();
    let not_there = get(&stranger, &nowhere.name).await.unwrap_err();
    assert_eq!((shape(&there), there.code()), (shape(&not_there), Code::NotFound));
    let there = cast.approve(&stranger, &found).await.unwrap_err();
    let not_there = cast.approve(&stranger, &nowhere).await.unwrap_err();
    assert_eq!((shape(&there), there.code()), (shape(&not_there), Code::NotFound));
    let there = cast.decline(&stranger, &found).await.unwrap_err();
    let not_there = cast.decline(&stranger, &nowhere).await.unwrap_err();
    assert_eq!((shape(&there), there.code()), (shape(&not_there), Code::NotFound));
    let content = cast.content();
    let refused = cast.propose(&stranger, content.clone()).await.unwrap_err();
    let mut elsewhere = content;
    elsewhere.shares[0].agreement = "nowhere".to_owned();
    let unknown = cast.propose(&stranger, elsewhere).await.unwrap_err();
    assert_eq!((shape(&refused), refused.code()), (shape(&unknown), Code::NotFound));
    assert_eq!(list(&stranger).await, Vec::<String>::new());
    assert_eq!(told(&stranger).await, []);
    for party in [&cast.council, &cast.college, &cast.successor] {
        assert_eq!(list(party).await, std::slice::from_ref(&found.name));
    }
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_one_only_checked_changes_nothing() {
    let cast = Cast::new().await;
    let found = cast.propose(&cast.council, cast.content()).await.unwrap();
    let request = cast.approval(&cast.council, &found);
    let checked = pb::ApproveSuccessionRequest { validate_only: true, ..request.clone() };
    let answer = cast.council.successions().approve_succession(checked).await.unwrap();
    assert_eq!(answer.into_inner(), pb::ApproveSuccessionResponse::default());
    let mut stub = cast.council.successions();
    for _ in 0..2 {
        let answer = stub.approve_succession(request.clone()).await.unwrap().into_inner();
        let approved =
            |party: &&pb::SuccessionParty| party.decision() == SuccessionDecision::Approved;
        assert_eq!(answer.succession.unwrap().parties.iter().filter(approved).count(), 1);
    }
    let again = cast.approve(&cast.council, &found).await.unwrap_err();
    assert_eq!(reason(&again), "ALREADY_APPROVED");
}

#[tokio::test]
async fn whoever_has_to_approve_may_decline_and_then_another_change_may_begin() {
    let cast = Cast::new().await;
    let found = cast.propose(&cast.college, cast.content()).await.unwrap();
    let pending = cast.propose(&cast.council, cast.content()).await.unwrap_err();
    assert_eq!(
        (pending.code(), reason(&pending)),
        (Code::FailedPrecondition, "SUCCESSION_PENDING".to_owned())
    );
    let declined = cast.decline(&cast.successor, &found).await.unwrap();
    assert_eq!(declined.state(), SuccessionState::Declined);
    let late = cast.approve(&cast.council, &found).await.unwrap_err();
    assert_eq!(reason(&late), "SUCCESSION_WRONG_STATE");
    assert!(cast.propose(&cast.council, cast.content()).await.is_ok());
}

/// A change that makes a succession one that is refused.
type Spoil = fn(&mut ledger::SuccessionContent);

#[tokio::test]
async fn every_bad_succession_is_refused_with_its_own_reason() {
    let cast = Cast::new().await;
    let expected: [(&str, Spoil); 12] = [
        ("INVALID_REQUEST", |c| c.old = "No Slug".to_owned()),
        ("INVALID_REQUEST", |c| c.kind = 0),
        ("INVALID_REQUEST", |c| c.instrument = 9),
        ("INVALID_REQUEST", |c| c.shares.clear()),
        ("INVALID_REQUEST", |c| c.shares.push(c.shares[0].clone())),
        ("INVALID_REQUEST", |c| c.shares[0].content_hash = vec![1; 31].into()),
        ("INVALID_REQUEST", |c| c.effective_at_ms = NOW.millis() - DAY),
        ("CONTENT_DIFFERS", |c| c.shares[0].content_hash = vec![1; 32].into()),
        ("VERSION_DIFFERS", |c| c.shares[0].version = 3),
        ("SUCCESSION_NOT_VALID", |c| c.kind = i32::from(SuccessionKind::Split)),
        ("SUCCESSION_NOT_VALID", |c| c.shares[0].successor = "glen-college".to_owned()),
        ("NOT_AVAILABLE", |c| c.shares[0].agreement = "elsewhere".to_owned()),
    ];
    for (wanted, spoil) in expected {
        let mut content = cast.content();
        spoil(&mut content);
        let refused = cast.propose(&cast.college, content).await.unwrap_err();
        assert_eq!(reason(&refused), wanted, "{refused:?}");
    }
    let suspend = pb::SuspendAgencyRequest {
        context: context(),
        request_id: cast.served.request_id(),
        suspend: Some(ledger::SuspendAgency { agency: "glen-college".to_owned() }),
        validate_only: false,
    };
    cast.served.operator.agencies().suspend_agency(suspend).await.unwrap();
    let own = ledger::SuccessionContent {
        instrument: i32::from(SuccessionInstrument::OwnDecision),
        ..cast.content()
    };
    let refused = cast.propose(&cast.council, own).await.unwrap_err();
    assert_eq!(reason(&refused), "SUCCESSION_UNPROVEN");
    let found = cast.propose(&cast.council, cast.content()).await.unwrap();
    assert_eq!(found.parties.len(), 2, "a dissolved body has no voice");
    let mut forged = cast.approval(&cast.council, &found);
    forged.signature = cast.approval(&cast.successor, &found).signature;
    let refused = cast.council.successions().approve_succession(forged).await.unwrap_err();
    assert_eq!(reason(&refused), "SIGNATURE_INVALID");
}
