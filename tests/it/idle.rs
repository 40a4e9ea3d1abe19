//! An exchange on which nobody does anything: what time does takes effect by itself, within one tick, and on replay too.

use std::time::Duration;

use concordat::{
    ledger::Ledger,
    machine::{
        Receipt, State, apply,
        command::{Kind as Said, Parsed, exchange::ExchangeCommand},
        outcome::Remembered,
        state::notice::{About, AgreementEvent},
    },
    model::{
        digest::Digest,
        id::{AgreementId, AliasId, ConsentId},
        order::Position,
    },
    pb::ledger::v1::{self as pb, AgencyKind, command::Kind},
};
use futures::StreamExt;
use tokio::time::timeout;

use crate::harness::{Agency, DAY_MS, Exchange, LEAVER_FORM, NOW, alias, by_consent};

/// A deadline that a test reaches only if it fails.
const SOON: Duration = Duration::from_mins(1);

/// A consent of a parent until the child's 12th birthday in February 2027, or of a young person until a date.
async fn consented(
    (council, college): (&Agency, &Agency),
    client: AliasId,
    expires_at_ms: u64,
) -> ConsentId {
    let scope = pb::ConsentScope {
        client: client.as_bytes().to_vec().into(),
        publisher: council.id.to_string(),
        record_type: LEAVER_FORM.to_owned(),
        groups: vec!["core".to_owned()],
        recipients: vec![college.id.to_string()],
        gate: i32::from(pb::Gate::DataProtectionConsent),
        ..pb::ConsentScope::default()
    };
    let birthday = |milestone: pb::Milestone, month| pb::ConsentReview {
        milestone: i32::from(milestone),
        month,
        day: 0,
    };
    let mut act = pb::ConsentAct {
        grantor: i32::from(pb::Grantor::Self_),
        age_years: 16,
        method: i32::from(pb::ConsentMethod::Form),
        given_at_ms: NOW.millis(),
        notice_digest: Digest::of_concatenation(&[b"the notice"]).as_bytes().to_vec().into(),
        ..pb::ConsentAct::default()
    };
    if expires_at_ms == 0 {
        act.grantor = i32::from(pb::Grantor::Parent);
        act.authority = i32::from(pb::Authority::Seen);
        act.age_years = 11;
        act.reviews = vec![
            birthday(pb::Milestone::TwelfthBirthday, 202_702),
            birthday(pb::Milestone::SixteenthBirthday, 203_102),
            pb::ConsentReview {
                milestone: i32::from(pb::Milestone::LeavingDate),
                month: 203_105,
                day: 31,
            },
        ];
    }
    let (scope, act) = (Some(scope), Some(act));
    let record = pb::RecordConsent { scope, act, expires_at_ms, ..pb::RecordConsent::default() };
    match council.submit(Kind::RecordConsent(record)).await {
        Ok(Receipt::Answer(Remembered::Consent(consent))) => consent,
        other => unreachable!("not a consent: {other:?}"),
    }
}

/// The state that the entries so far amount to, and how many ticks stand from `from` on.
async fn replayed(exchange: &Exchange, from: Position) -> (State, usize) {
    let end = exchange.node.read(|state| state.chain().next);
    let mut entries = exchange.node.ledger().entries(Position::FIRST);
    let (mut state, mut ticks) = (State::empty(), 0);
    while state.chain().next < end {
        let entry = entries.next().await.unwrap().unwrap();
        let command = match Parsed::from_bytes(&entry.command) {
            Parsed::Command(command) => Some(command),
            Parsed::Malformed(_) | Parsed::Later(_) => None,
        };
        let tick = command
            .as_ref()
            .is_some_and(|command| matches!(command.kind, Said::Exchange(ExchangeCommand::Tick)));
        ticks += usize::from(tick && from <= entry.position);
        let _applied = apply(&mut state, entry.position, entry.admitted_at, command.as_deref());
    }
    (state, ticks)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twelfth_birthday_an_expiry_and_a_review_on_an_idle_exchange_take_effect_within_one_tick()
{
    let exchange = Exchange::start().await;
    let council = exchange.agency("alder-council", AgencyKind::Council).await;
    let college = exchange.agency("birch-college", AgencyKind::College).await;
    let flows = vec![by_consent("consented", &council, &[&college])];
    exchange.agree("leavers", &[&council, &college], flows).await;
    let between = (&council, &college);
    let (child, leaver) = (known(&council, "P1").await, known(&council, "P2").await);
    let birthday = consented(between, child, 0).await;
    let expiry = consented(between, leaver, NOW.plus(80 * DAY_MS).millis()).await;
    exchange.at_rest().await;
    let agreement: AgreementId = "leavers".parse().unwrap();
    let (from, narrowings, review_at) = exchange.node.read(|state| {
        let review_at = state.tables().agreements.get(&agreement).unwrap().review_at.unwrap();
        (state.chain().next, state.chain().narrowings, review_at)
    });
    let later = review_at.max(NOW.plus(100 * DAY_MS));
    exchange.clock.advance(later.millis() - NOW.millis());
    let reviewed = |state: &State| {
        let due = |about: &About| {
            matches!(about, About::Agreement { event: AgreementEvent::ReviewDue, .. })
        };
        let notices = state.tables().notices.iter();
        notices.filter(|(_, notice)| due(&notice.about)).count() == 2
    };
    let ended = |state: &State, consent: &ConsentId| {
        state.tables().consents.get(consent).is_some_and(|row| row.ended)
    };
    let all = |state: &State| {
        reviewed(state)
            && ended(state, &birthday)
            && ended(state, &expiry)
            && narrowings < state.chain().narrowings
    };
    let took_effect = async {
        while !exchange.node.read(all) {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, took_effect).await.unwrap();
    let (state, ticks) = replayed(&exchange, from).await;
    assert_eq!(ticks, 1);
    assert!(all(&state));
    assert_eq!(state.digest(), exchange.node.read(State::digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_agreement_on_an_idle_exchange_asks_back_within_one_tick() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let publish = concordat::pb::v1::PublishRecordRequest {
        context: crate::harness::context(),
        request_id: council.request(),
        record: Some(crate::harness::draft(&crate::harness::form(1))),
        validate_only: false,
    };
    council.exchange().publish_record(publish).await.unwrap();
    let pull = concordat::pb::v1::PullRecordsRequest {
        context: crate::harness::context(),
        request_id: sds.request(),
        subscription: sds.subscription("leavers"),
        max_records: 0,
    };
    let pulled = sds.exchange().pull_records(pull).await.unwrap().into_inner();
    assert_eq!(pulled.deliveries.len(), 1);
    exchange.at_rest().await;
    let from = exchange.node.read(|state| state.chain().next);
    exchange.clock.advance(400 * DAY_MS);
    let ended = i32::from(pb::RecallReason::AgreementEnded);
    let all = |state: &State| {
        let mut recalls = state.tables().recalls.iter();
        recalls.any(|(_, row)| row.reason == ended) && state.tables().sweeps.is_empty()
    };
    let took_effect = async {
        while !exchange.node.read(all) {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, took_effect).await.unwrap();
    let (state, ticks) = replayed(&exchange, from).await;
    assert_eq!(ticks, 1);
    assert!(all(&state));
    assert_eq!(state.digest(), exchange.node.read(State::digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_date_of_a_succession_takes_the_place_on_an_idle_exchange_within_one_tick() {
    let exchange = Exchange::start().await;
    let council = exchange.agency("alder-council", AgencyKind::Council).await;
    let college = exchange.agency("birch-college", AgencyKind::College).await;
    let successor = exchange.agency("cedar-college", AgencyKind::College).await;
    let flows = vec![by_consent("consented", &council, &[&college])];
    exchange.agree("leavers", &[&council, &college], flows).await;
    let agreement: AgreementId = "leavers".parse().unwrap();
    let version = |state: &State| state.tables().agreements.get(&agreement).unwrap().version;
    let content_hash = exchange.node.read(|state| {
        let row = state.tables().agreements.get(&agreement).unwrap();
        row.content_hash.as_bytes().to_vec()
    });
    let content = pb::SuccessionContent {
        old: college.id.to_string(),
        kind: i32::from(pb::SuccessionKind::Merger),
        instrument: i32::from(pb::SuccessionInstrument::Order),
        shares: vec![pb::SuccessionShare {
            agreement: agreement.to_string(),
            version: 1,
            content_hash: content_hash.into(),
            successor: successor.id.to_string(),
        }],
        effective_at_ms: NOW.plus(10 * DAY_MS).millis(),
        carries_caseload: false,
    };
    let propose = pb::ProposeSuccession { content: Some(content) };
    let proposed = college.submit(Kind::ProposeSuccession(propose)).await;
    let Ok(Receipt::Answer(Remembered::Succession { succession, content_hash })) = proposed else {
        unreachable!("not proposed: {proposed:?}");
    };
    for party in [&council, &college, &successor] {
        let approve = pb::ApproveSuccession {
            succession: succession.as_bytes().to_vec().into(),
            content_hash: content_hash.as_bytes().to_vec().into(),
            approver_role: i32::from(pb::ApproverRole::Director),
            approver_authority: i32::from(pb::ApproverAuthority::Resolution),
        };
        party.submit(Kind::ApproveSuccession(approve)).await.unwrap();
    }
    exchange.at_rest().await;
    let (from, before) = exchange.node.read(|state| (state.chain().next, version(state)));
    assert_eq!(before, 1);
    exchange.clock.advance(10 * DAY_MS);
    let took_effect = async {
        while exchange.node.read(version) < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, took_effect).await.unwrap();
    exchange.at_rest().await;
    let (state, ticks) = replayed(&exchange, from).await;
    assert_eq!((ticks, version(&state)), (1, 2));
    assert_eq!(state.digest(), exchange.node.read(State::digest));
}

/// A client of an agency's own.
async fn known(agency: &Agency, local_id: &str) -> AliasId {
    let identifiers = pb::Identifiers { local_id: local_id.to_owned(), ..Default::default() };
    let request = concordat::pb::v1::AddClientRequest {
        context: crate::harness::context(),
        request_id: agency.request(),
        identifiers: Some(identifiers),
        validate_only: false,
    };
    let channel = agency.channel.clone();
    let mut caseload =
        concordat::pb::v1::caseload_service_client::CaseloadServiceClient::new(channel);
    alias(&caseload.add_client(request).await.unwrap().into_inner().client)
}
