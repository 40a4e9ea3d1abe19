//! Who acts in a simulation: publishers, an agency with a caseload, the operator and readers. Everything they choose is
//! drawn from the seed, also how often they let others go first.

use std::collections::{BTreeMap, BTreeSet};

use concordat::{
    model::id::SubscriptionId,
    node::{Deliveries, Node, Outgoing},
    pb::ledger::v1::{self as pb, command::Kind},
};
use futures::future::{Either, select};

use super::{
    cast::{self, DAY_MS, GROUPS, POLICIES, POLICY_TEXTS},
    exchange::yields,
    story::{Story, What},
};
use crate::ledger_samples::Dice;

/// How many clients there are.
pub(crate) const CLIENTS: u64 = 5;

/// A group always, each other one by chance.
fn some_groups(dice: &mut Dice) -> Vec<&'static str> {
    let chosen: Vec<_> = GROUPS.into_iter().filter(|_| dice.below(2) == 0).collect();
    if chosen.is_empty() { vec!["core"] } else { chosen }
}

/// Publishes, replaces and takes back, asks for consents and withdraws them, restricts and lifts it, confirms caseloads,
/// puts policies, stops and resumes flows, and ends agreements.
pub(crate) async fn publisher(story: &Story, name: &'static str, mut dice: Dice, steps: u64) {
    for _ in 0..steps {
        if story.exchange.node().is_none() {
            return;
        }
        let client = dice.below(CLIENTS);
        match dice.below(24) {
            0..=4 => publish(story, &mut dice, name, client, false).await,
            5..=8 => publish(story, &mut dice, name, client, true).await,
            9..=11 => consent(story, &mut dice, name, client).await,
            12 => refuse(story, &mut dice, name, client).await,
            13..=14 => withdraw(story, &mut dice, name).await,
            15 => stop_or_resume(story, &mut dice, name).await,
            16 => policy(story, &mut dice, name).await,
            17..=18 if name == "council" => confirm(story, &mut dice, client).await,
            19 if dice.below(8) == 0 => renew(story, &mut dice, name).await,
            20 => retract(story, &mut dice, name, client).await,
            21..=22 => restrict(story, &mut dice, name, client).await,
            _ => story.repeat(&mut dice).await,
        }
    }
}

async fn publish(story: &Story, dice: &mut Dice, name: &'static str, client: u64, replace: bool) {
    let supersedes = {
        let known = story.known.borrow();
        let versions = known.records.get(&(name, client));
        versions.and_then(|versions| versions.last()).copied().filter(|_| replace)
    };
    if replace && supersedes.is_none() {
        return;
    }
    let groups = some_groups(dice);
    let identifiers = cast::identifiers(name, client);
    let publication = cast::publication(identifiers, &groups, dice.roll(), supersedes);
    let _outcome = story.ask(dice, name, What::Publish(Box::new(publication))).await;
}

fn alias(story: &Story, name: &'static str, client: u64) -> Option<Vec<u8>> {
    let known = story.known.borrow();
    known.aliases.get(&(name, client)).map(|alias| alias.as_bytes().to_vec())
}

async fn consent(story: &Story, dice: &mut Dice, name: &'static str, client: u64) {
    let Some(alias) = alias(story, name, client) else { return };
    let now = story.exchange.clock.clock().now().millis();
    let expires_at_ms = if dice.below(3) == 0 { now + 1 + dice.below(2 * DAY_MS) } else { 0 };
    let scope = Some(cast::scope(&alias, name, &some_groups(dice)));
    let kind = Kind::RecordConsent(pb::RecordConsent {
        scope,
        act: Some(cast::act()),
        expires_at_ms,
        ..pb::RecordConsent::default()
    });
    let _outcome = story.ask(dice, name, What::Submit(kind)).await;
}

async fn refuse(story: &Story, dice: &mut Dice, name: &'static str, client: u64) {
    let Some(alias) = alias(story, name, client) else { return };
    let scope = Some(cast::scope(&alias, name, &some_groups(dice)));
    let kind = Kind::RefuseConsent(pb::RefuseConsent { scope, act: Some(cast::act()) });
    let _outcome = story.ask(dice, name, What::Submit(kind)).await;
}

async fn withdraw(story: &Story, dice: &mut Dice, name: &'static str) {
    let consent = {
        let known = story.known.borrow();
        let own: Vec<_> = known.consents.iter().filter(|(by, _)| *by == name).collect();
        let count = u64::try_from(own.len()).unwrap();
        if count == 0 {
            return;
        }
        own[usize::try_from(dice.below(count)).unwrap()].1
    };
    let consent = consent.as_bytes().to_vec().into();
    let kind = Kind::WithdrawConsent(pb::WithdrawConsent {
        consent,
        recipients: Vec::new(),
        recall: dice.below(2) == 0,
        ..pb::WithdrawConsent::default()
    });
    let _outcome = story.ask(dice, name, What::Submit(kind)).await;
}

/// Takes back the last version of a client's record, once in a while.
async fn retract(story: &Story, dice: &mut Dice, name: &'static str, client: u64) {
    if dice.below(3) != 0 {
        return;
    }
    let record = {
        let mut known = story.known.borrow_mut();
        // Nothing replaces what was taken back.
        known.records.get_mut(&(name, client)).and_then(Vec::pop)
    };
    let Some(record) = record else { return };
    let (record, reason) = (record.as_bytes().to_vec().into(), pb::RecallReason::Unlawful);
    let retract = pb::RetractRecord { record, reason: i32::from(reason) };
    let _outcome = story.ask(dice, name, What::Submit(Kind::RetractRecord(retract))).await;
}

/// Opens a case of restriction about a client, or restricts upon one, or lifts that.
async fn restrict(story: &Story, dice: &mut Dice, name: &'static str, client: u64) {
    let own: Vec<_> = {
        let known = story.known.borrow();
        known.cases.iter().filter(|(by, _)| *by == name).map(|(_, id)| *id).collect()
    };
    let count = u64::try_from(own.len()).unwrap();
    if count == 0 || dice.below(4) == 0 {
        let Some(alias) = alias(story, name, client) else { return };
        let open = pb::OpenCase {
            kind: i32::from(pb::CaseKind::Restriction),
            client: alias.into(),
            requester: Some(pb::Requester {
                relation: i32::from(pb::Relation::Self_),
                identity: i32::from(pb::IdentityCheck::Confirmed),
                ..pb::Requester::default()
            }),
            ..pb::OpenCase::default()
        };
        let _outcome = story.ask(dice, name, What::Submit(Kind::OpenCase(open))).await;
        return;
    }
    let case = own[usize::try_from(dice.below(count)).unwrap()];
    let lift = dice.below(3) != 0;
    let kind = if lift { pb::MeasureKind::Lift } else { pb::MeasureKind::Restrict };
    let measure = pb::Measure { kind: i32::from(kind), ..pb::Measure::default() };
    let decide = pb::DecideCase {
        case: case.as_bytes().to_vec().into(),
        measures: vec![measure],
        person_told: lift,
        ..pb::DecideCase::default()
    };
    let _outcome = story.ask(dice, name, What::Submit(Kind::DecideCase(decide))).await;
}

fn agreement_of(name: &str) -> String {
    if name == "shire" { "shire-leavers" } else { "leavers" }.to_owned()
}

async fn stop_or_resume(story: &Story, dice: &mut Dice, name: &'static str) {
    let agreement = agreement_of(name);
    let kind = if dice.below(3) == 0 {
        let reason = i32::from(pb::SuspendReason::Technical);
        Kind::SuspendFlows(pb::SuspendFlows { agreement, reason })
    } else {
        Kind::ResumeFlows(pb::ResumeFlows { agreement })
    };
    let _outcome = story.ask(dice, name, What::Submit(kind)).await;
}

/// Puts or removes one of the policies of the cast.
pub(crate) async fn policy(story: &Story, dice: &mut Dice, name: &'static str) {
    let place = usize::try_from(dice.below(3)).unwrap();
    let policy = POLICIES[place].0.to_owned();
    let kind = if dice.below(3) == 0 {
        let text = POLICY_TEXTS[place].clone();
        Kind::PutPolicy(pb::PutPolicy { policy, text, schema_version: 1 })
    } else {
        Kind::RemovePolicy(pb::RemovePolicy { policy })
    };
    let _outcome = story.ask(dice, name, What::Submit(kind)).await;
}

async fn confirm(story: &Story, dice: &mut Dice, client: u64) {
    let Some(alias) = alias(story, "council", client) else { return };
    let (client, agency) = (alias.into(), "charity".to_owned());
    let kind = if dice.below(5) == 0 {
        Kind::EndCaseload(pb::EndCaseload { client, agency })
    } else {
        Kind::ConfirmCaseload(pb::ConfirmCaseload { client, agency })
    };
    let _outcome = story.ask(dice, "council", What::Submit(kind)).await;
}

/// Makes a new version of the agreement, for a day or for a year; the one in force is ended first, or replaced by it.
async fn renew(story: &Story, dice: &mut Dice, name: &'static str) {
    let agreement = agreement_of(name);
    if dice.below(2) == 0 {
        let kind = Kind::EndAgreement(pb::EndAgreement { agreement: agreement.clone() });
        let _outcome = story.ask(dice, name, What::Submit(kind)).await;
    }
    let days = if dice.below(2) == 0 { 1 } else { 300 };
    story.exchange.agree(&agreement, days).await;
}

/// Claims clients for its caseload, and gives them up.
pub(crate) async fn claimant(story: &Story, mut dice: Dice, steps: u64) {
    for _ in 0..steps {
        if story.exchange.node().is_none() {
            return;
        }
        let client = dice.below(CLIENTS);
        let Some(alias) = alias(story, "charity", client) else {
            let identifiers = cast::identifiers("charity", client);
            let _outcome = story.ask(&mut dice, "charity", What::AddClient(identifiers)).await;
            continue;
        };
        let client = alias.into();
        let kind = if dice.below(6) == 0 {
            Kind::EndCaseload(pb::EndCaseload { client, agency: "charity".to_owned() })
        } else {
            Kind::OpenCaseload(pb::OpenCaseload { client })
        };
        let _outcome = story.ask(&mut dice, "charity", What::Submit(kind)).await;
    }
}

/// Suspends agencies and lets them in again.
pub(crate) async fn operator(story: &Story, mut dice: Dice, steps: u64) {
    for _ in 0..steps {
        if story.exchange.node().is_none() {
            return;
        }
        yields(dice.below(60)).await;
        let names = ["council", "college", "national"];
        let agency = names[usize::try_from(dice.below(3)).unwrap()].to_owned();
        let kind = if dice.below(3) == 0 {
            Kind::SuspendAgency(pb::SuspendAgency { agency })
        } else {
            Kind::ResumeAgency(pb::ResumeAgency { agency })
        };
        let _outcome = story.ask(&mut dice, "operator", What::Operate(kind)).await;
    }
}

/// Lets time pass, mostly little.
pub(crate) async fn time(story: &Story, mut dice: Dice, steps: u64) {
    for _ in 0..steps {
        yields(dice.below(20)).await;
        let millis = if dice.below(12) == 0 { dice.below(DAY_MS / 2) } else { dice.below(2_000) };
        story.exchange.clock.advance(millis);
    }
}

/// Reads one subscription, badly: stops, hangs up, takes over from itself, refuses and goes back.
pub(crate) async fn reader(
    story: &Story,
    (name, subscription): (&'static str, &str),
    mut dice: Dice,
    steps: u64,
) {
    let mut stream: Option<Deliveries> = None;
    for _ in 0..steps {
        let Some(node) = story.exchange.node() else { return };
        yields(dice.below(8)).await;
        if dice.below(3) == 0 {
            take_recalls(story, &node, name, Some(&mut dice)).await;
        }
        let Some(mut reading) = stream.take() else {
            stream = subscribe(story, &node, (name, subscription), &mut dice).await;
            continue;
        };
        let credit = usize::try_from(1 + dice.below(5)).unwrap();
        match dice.below(9) {
            0 => {} // hangs up
            8 => {
                open(story, &node, (name, subscription), &mut dice).await;
                stream = Some(reading);
            }
            1 => {
                // Another stream takes over while this one is releasing.
                let (old, new) = futures::join!(
                    reading.take(credit),
                    subscribe(story, &node, (name, subscription), &mut dice)
                );
                drop(old); // nobody reads what the old one got
                stream = new;
            }
            2..=3 => {
                // Something else is ready first, so the wait for records is given up and begun anew.
                let patience = dice.below(10);
                let taken = match select(Box::pin(reading.take(credit)), Box::pin(yields(patience)))
                    .await
                {
                    Either::Left((taken, _)) => taken,
                    Either::Right(_) => Ok(Vec::new()),
                };
                let Ok(lines) = taken else { continue };
                let done = handle(story, &node, (name, subscription), (&lines, &mut dice)).await;
                stream = done.then_some(reading);
            }
            _ => {
                if let Ok(lines) = reading.take(credit).await {
                    let done =
                        handle(story, &node, (name, subscription), (&lines, &mut dice)).await;
                    stream = done.then_some(reading);
                }
            }
        }
    }
}

async fn subscribe(
    story: &Story,
    node: &Node,
    (name, subscription): (&'static str, &str),
    dice: &mut Dice,
) -> Option<Deliveries> {
    let id: SubscriptionId = subscription.parse().unwrap();
    let purpose = pb::Purpose::SchoolLeaverTransition;
    let asked = cast::asked(name, purpose, story.exchange.request_id(), None);
    let settled = node.read(|state| {
        let number = state.subscription_number(state.agency_number(&cast::agency(name))?, &id)?;
        Some(state.subscription(number)?.settled)
    })?;
    let resume = (dice.below(6) == 0).then(|| dice.below(settled + 1));
    node.subscribe(&asked, &id, resume).await.ok()?.ok()
}

/// Opens a record by name that came before, or that never did.
async fn open(
    story: &Story,
    node: &Node,
    (name, subscription): (&'static str, &str),
    dice: &mut Dice,
) {
    let record = {
        let known = story.known.borrow();
        let kept = known.kept.get(&(name, subscription.to_owned()));
        let mut records: Vec<_> = kept.into_iter().flat_map(BTreeMap::keys).copied().collect();
        if dice.below(3) == 0 || records.is_empty() {
            records = known.bodies.keys().copied().collect();
        }
        let count = u64::try_from(records.len()).unwrap();
        if count == 0 {
            return;
        }
        records[usize::try_from(dice.below(count)).unwrap()]
    };
    let purpose = pb::Purpose::SchoolLeaverTransition;
    let asked = cast::asked(name, purpose, story.exchange.request_id(), None);
    if let Ok(Ok(opened)) = node.open_record(&asked, record, pb::ReadReason::Service).await {
        yields(dice.below(6)).await;
        let _left = story.pass(node, (name, ""), &opened);
    }
}

/// Passes lines through the gate and acknowledges or refuses them; tells whether the stream goes on.
async fn handle(
    story: &Story,
    node: &Node,
    (name, subscription): (&'static str, &str),
    (lines, dice): (&[Outgoing], &mut Dice),
) -> bool {
    let mut nacks = Vec::new();
    let mut through = 0;
    for line in lines {
        yields(dice.below(6)).await;
        if dice.below(40) == 0 {
            return false; // the connection breaks between two records
        }
        let left = story.pass(node, (name, subscription), line);
        through = line.released.delivery();
        if left && dice.below(12) == 0 {
            let key = (name, subscription.to_owned());
            let mut known = story.known.borrow_mut();
            if let Some(kept) = known.kept.get_mut(&key) {
                let groups: BTreeSet<String> =
                    line.released.group_names().iter().map(ToString::to_string).collect();
                if let Some(held) = kept.get_mut(&line.released.record()) {
                    held.retain(|group| !groups.contains(group));
                }
            }
            let reason = i32::from(pb::NackReason::Temporary);
            nacks.push(pb::Nack { delivery: line.released.delivery(), reason });
        }
    }
    if lines.is_empty() || (nacks.is_empty() && dice.below(4) == 0) {
        return true; // acknowledges later
    }
    acknowledge(story, node, (name, subscription), (through, nacks)).await
}

async fn acknowledge(
    story: &Story,
    node: &Node,
    (name, subscription): (&'static str, &str),
    (through, nacks): (u64, Vec<pb::Nack>),
) -> bool {
    let acknowledge = pb::Acknowledge { subscription: subscription.to_owned(), through, nacks };
    let kind = Kind::Acknowledge(acknowledge);
    let purpose = pb::Purpose::SchoolLeaverTransition;
    let asked = cast::asked(name, purpose, story.exchange.request_id(), None);
    matches!(node.submit(&asked, kind, None).await, Ok(Ok(_)))
}

/// Reads the inbox, deletes what is recalled, and mostly says so; tells how many recalls came.
async fn take_recalls(
    story: &Story,
    node: &Node,
    name: &'static str,
    dice: Option<&mut Dice>,
) -> usize {
    let number = node.read(|state| state.agency_number(&cast::agency(name)).unwrap());
    if node.waiting_recalls(number).is_empty() || node.settle_not_sent().await.is_err() {
        return 0;
    }
    let recalls = node.waiting_recalls(number);
    let forgotten: Vec<_> = node.read(|state| {
        let rows = recalls.iter().filter_map(|id| state.recall(*id));
        rows.map(|row| {
            let known = state.record_type(state.record(row.first).unwrap().record_type).unwrap();
            let names = known.names_of(row.groups);
            (row.first, names.iter().map(ToString::to_string).collect::<BTreeSet<_>>())
        })
        .collect()
    });
    if node.hand_over(&cast::agency(name), &recalls).await.is_err() {
        return 0;
    }
    let first_of = |record| node.read(|state| state.record(record).map(|row| row.first));
    {
        let mut known = story.known.borrow_mut();
        let own = known.kept.iter_mut().filter(|((agency, _), _)| *agency == name);
        for (record, held) in own.flat_map(|(_, kept)| kept) {
            let of = |(first, _): &&(_, _)| Some(*first) == first_of(*record);
            for (_, groups) in forgotten.iter().filter(of) {
                held.retain(|group| !groups.contains(group));
            }
        }
    }
    let Some(dice) = dice else { return recalls.len() };
    for recall in &recalls {
        let (act, recall) = (pb::RecallAct::Deleted, recall.as_bytes().to_vec().into());
        let answer = pb::AcknowledgeRecall { recall, act: i32::from(act), ground: 0 };
        if dice.below(4) != 0 {
            let kind = What::Submit(Kind::AcknowledgeRecall(answer));
            let _outcome = story.ask(dice, name, kind).await;
        }
    }
    recalls.len()
}

/// Reads a subscription until nothing more comes, properly; tells how many records came.
pub(crate) async fn drain(story: &Story, name: &'static str, subscription: &str) -> usize {
    let node = story.exchange.node().unwrap();
    let mut dice = Dice(1);
    let id: SubscriptionId = subscription.parse().unwrap();
    let purpose = pb::Purpose::SchoolLeaverTransition;
    let asked = cast::asked(name, purpose, story.exchange.request_id(), None);
    let Ok(Ok(mut stream)) = node.subscribe(&asked, &id, None).await else { return 0 };
    let mut count = take_recalls(story, &node, name, None).await;
    while let Ok(lines) = stream.take(1 + usize::try_from(dice.below(9)).unwrap()).await {
        if lines.is_empty() {
            break;
        }
        let mut through = 0;
        for line in &lines {
            story.pass(&node, (name, subscription), line);
            through = line.released.delivery();
        }
        count += lines.len();
        acknowledge(story, &node, (name, subscription), (through, Vec::new())).await;
    }
    count
}
