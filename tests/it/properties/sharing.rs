//! Properties of sharing, over whole exchanges: the order of record and consent, wider consents, and withdrawals that race
//! with releases.

use std::collections::{BTreeMap, BTreeSet};

use concordat::{
    machine::{Outcome, Receipt, outcome::Remembered},
    model::id::{AliasId, ConsentId, RecordId},
    node::{Deliveries, Node, Outgoing, Publication},
    pb::ledger::v1::{self as pb, command::Kind},
};

use crate::{
    ledger_samples::Dice,
    simulation::{
        cast::{self, GROUPS},
        checks::replay,
        exchange::{Exchange, run, yields},
    },
};

const SHARING: pb::Purpose = pb::Purpose::SchoolLeaverTransition;

/// The council and the college over one exchange.
struct Pair {
    exchange: Exchange,
    node: Node,
}

impl Pair {
    async fn meet(seed: u64) -> Self {
        let exchange = Exchange::found(seed).await;
        exchange.gather().await;
        let node = exchange.node().unwrap();
        Self { exchange, node }
    }

    async fn submit(&self, kind: Kind) -> Outcome {
        let asked = cast::asked("council", SHARING, self.exchange.request_id(), Some(&kind));
        self.node.submit(&asked, kind, None).await.unwrap()
    }

    async fn known(&self, client: u64) -> AliasId {
        let asked = cast::asked("council", SHARING, self.exchange.request_id(), None);
        let identifiers = cast::identifiers("council", client);
        match self.node.add_client(&asked, &identifiers).await.unwrap() {
            Ok(Receipt::Answer(Remembered::Client(alias))) => alias,
            other => panic!("{other:?}"),
        }
    }

    async fn publish(&self, publication: &Publication) -> RecordId {
        let asked = cast::asked("council", SHARING, self.exchange.request_id(), None);
        match self.node.publish(&asked, publication).await.unwrap() {
            Ok(Receipt::Published { record, .. }) => record,
            other => panic!("{other:?}"),
        }
    }

    async fn consent(&self, alias: AliasId, groups: &[&str]) -> ConsentId {
        let scope = Some(cast::scope(alias.as_bytes(), "council", groups));
        let act = Some(cast::act());
        let kind = Kind::RecordConsent(pb::RecordConsent {
            scope,
            act,
            expires_at_ms: 0,
            ..pb::RecordConsent::default()
        });
        match self.submit(kind).await {
            Ok(Receipt::Answer(Remembered::Consent(consent))) => consent,
            other => panic!("{other:?}"),
        }
    }

    async fn withdraw(&self, consent: ConsentId) {
        let consent = consent.as_bytes().to_vec().into();
        let kind = Kind::WithdrawConsent(pb::WithdrawConsent {
            consent,
            recipients: Vec::new(),
            recall: false,
            ..pb::WithdrawConsent::default()
        });
        assert_eq!(self.submit(kind).await, Ok(Receipt::DONE));
    }

    async fn college(&self) -> Deliveries {
        let asked = cast::asked("college", SHARING, self.exchange.request_id(), None);
        let id = "first".parse().unwrap();
        self.node.subscribe(&asked, &id, None).await.unwrap().unwrap()
    }

    async fn acknowledge(&self, lines: &[Outgoing]) {
        let Some(last) = lines.last() else { return };
        let (subscription, through) = ("first".to_owned(), last.released.delivery());
        let kind = Kind::Acknowledge(pb::Acknowledge { subscription, through, nacks: Vec::new() });
        let asked = cast::asked("college", SHARING, self.exchange.request_id(), Some(&kind));
        self.node.submit(&asked, kind, None).await.unwrap().unwrap();
    }

    /// Everything that comes, acknowledged.
    async fn everything(&self, college: &mut Deliveries) -> Vec<Outgoing> {
        let mut all = Vec::new();
        loop {
            let lines = college.take(8).await.unwrap();
            if lines.is_empty() {
                return all;
            }
            self.acknowledge(&lines).await;
            all.extend(lines);
        }
    }
}

fn names(line: &Outgoing) -> BTreeSet<String> {
    line.released.group_names().iter().map(ToString::to_string).collect()
}

/// What a recipient holds: of each body, what its deliveries amount to.
fn holdings(lines: &[Outgoing]) -> BTreeMap<BTreeSet<String>, Vec<u8>> {
    lines.iter().map(|line| (names(line), line.body.to_vec())).collect()
}

fn chosen(dice: &mut Dice) -> Vec<&'static str> {
    let groups: Vec<_> = GROUPS.into_iter().filter(|_| dice.below(2) == 0).collect();
    if groups.is_empty() { vec!["support"] } else { groups }
}

async fn in_order(seed: u64, consent_first: bool) -> BTreeMap<BTreeSet<String>, Vec<u8>> {
    let mut dice = Dice(seed);
    let pair = Pair::meet(seed).await;
    let mut college = pair.college().await;
    let alias = pair.known(1).await;
    let (held, consented) = (chosen(&mut dice), chosen(&mut dice));
    let publication = cast::publication(cast::identifiers("council", 1), &held, dice.roll(), None);
    if consent_first {
        pair.consent(alias, &consented).await;
        pair.publish(&publication).await;
    } else {
        pair.publish(&publication).await;
        assert!(college.take(8).await.unwrap().is_empty());
        pair.consent(alias, &consented).await;
    }
    let lines = pair.everything(&mut college).await;
    let expected: BTreeSet<String> =
        held.iter().filter(|group| consented.contains(group)).map(ToString::to_string).collect();
    assert_eq!(lines.len(), usize::from(!expected.is_empty()), "seed {seed}");
    assert!(lines.iter().all(|line| names(line) == expected), "seed {seed}");
    holdings(&lines)
}

#[test]
fn record_then_consent_and_consent_then_record_bring_the_same() {
    for seed in 0..40 {
        let orders = [true, false].map(|consent_first| run(in_order(seed, consent_first)));
        assert_eq!(orders[0], orders[1], "seed {seed}");
    }
}

#[test]
fn a_wider_consent_brings_the_added_groups_only() {
    run(async {
        let pair = Pair::meet(7).await;
        let mut college = pair.college().await;
        let alias = pair.known(1).await;
        let publication = cast::publication(cast::identifiers("council", 1), &GROUPS, 5, None);
        let record = pair.publish(&publication).await;
        let mut brought = Vec::new();
        for consented in [&GROUPS[..1], &GROUPS[..1], &GROUPS[..2], &GROUPS, &GROUPS] {
            pair.consent(alias, consented).await;
            for line in pair.everything(&mut college).await {
                assert_eq!(line.released.record(), record);
                let groups = names(&line);
                let group: Vec<&str> = groups.iter().map(String::as_str).collect();
                let form: concordat::pb::record::v1::LeaverForm =
                    prost::Message::decode(line.body.clone()).unwrap();
                assert_eq!(form, cast::cut_down(&publication.body, &group));
                brought.push(groups);
            }
        }
        let expected: Vec<_> = GROUPS.map(|group| BTreeSet::from([group.to_owned()])).into();
        assert_eq!(brought, expected);
    });
}

/// How many withdrawals race: ten for each seed of `CONCORDAT_SEEDS`; 600 unless said.
fn races() -> u64 {
    let seeds = std::env::var("CONCORDAT_SEEDS").ok().and_then(|text| text.parse::<u64>().ok());
    seeds.map_or(600, |seeds| seeds.saturating_mul(10))
}

/// A withdrawal against a release, begun at moments that the dice choose; tells whether the record left.
async fn race(
    pair: &Pair,
    college: &mut Deliveries,
    (dice, client, alias): (&mut Dice, u64, AliasId),
    last: &mut Option<RecordId>,
) -> bool {
    let consent = pair.consent(alias, &["core"]).await;
    let identifiers = cast::identifiers("council", client);
    // A new version each time, so that nothing older comes with the next consent.
    let publication = cast::publication(identifiers, &["core"], dice.roll(), *last);
    let record = pair.publish(&publication).await;
    *last = Some(record);
    let (before, after) = (dice.below(14), dice.below(14));
    let withdrawal = async {
        yields(before).await;
        pair.withdraw(consent).await;
        pair.node.read(|state| state.chain().next.number())
    };
    let release = async {
        yields(after).await;
        let lines = college.take(4).await.unwrap();
        yields(dice.below(14)).await;
        let _guard = pair.node.gate_guard();
        let left = lines.iter().any(|line| pair.node.may_leave(&line.released));
        (lines, left, pair.node.read(|state| state.chain().next.number()))
    };
    let (withdrawn, (lines, left, passed)) = futures::join!(withdrawal, release);
    for line in &lines {
        assert_eq!(line.released.record(), record);
        assert!(line.released.position().number() < withdrawn, "released after the withdrawal");
        assert!(!pair.node.may_leave(&line.released), "it may leave after the withdrawal");
    }
    assert!(!left || passed < withdrawn, "it left after the withdrawal was applied");
    if !left {
        let stopped: Vec<_> = lines.iter().map(|line| line.released.clone()).collect();
        pair.node.not_sent(&stopped);
    }
    pair.acknowledge(&lines).await;
    assert!(college.take(4).await.unwrap().is_empty(), "it came after the withdrawal");
    left
}

async fn races_of(seed: u64, count: u64) -> u64 {
    let mut dice = Dice(seed);
    let pair = Pair::meet(seed).await;
    let mut college = pair.college().await;
    let mut left = 0;
    let mut alias = None;
    let mut last = None;
    for number in 0..count {
        let client = number / 100;
        if number % 100 == 0 {
            alias = Some(pair.known(client).await);
            last = None;
        }
        let known = alias.unwrap();
        left += u64::from(race(&pair, &mut college, (&mut dice, client, known), &mut last).await);
    }
    // The ledger by itself: a record is released only while its consent stands.
    let replayed = replay(pair.exchange.entries());
    let mut withdrawn: BTreeSet<Vec<u8>> = BTreeSet::new();
    for (entry, command, outcome) in &replayed.entries {
        match (&command.kind, outcome) {
            (Some(Kind::WithdrawConsent(kind)), Ok(_)) => {
                withdrawn.insert(kind.consent.to_vec());
            }
            (Some(Kind::ReleaseRecords(kind)), Ok(Receipt::Released(released))) => {
                for line in released {
                    let of =
                        |named: &&pb::ReleaseLine| named.record == line.record().as_bytes()[..];
                    let named = kind.lines.iter().find(of).unwrap();
                    let consents = named.grants.iter().flat_map(|grant| &grant.consents);
                    let stands = consents.clone().all(|id| !withdrawn.contains(&id[..]));
                    assert!(stands && consents.count() == 1, "entry {}", entry.position);
                }
            }
            _ => {}
        }
    }
    left
}

#[test]
fn a_withdrawal_that_races_with_a_release_stops_it_or_comes_after() {
    let (races, batch) = (races(), 600);
    let mut left = 0;
    for first in (0..races).step_by(batch) {
        let count = (races - first).min(600);
        left += run(races_of(first, count));
    }
    assert!(races / 20 < left && left < races - races / 20, "{left} of {races} left");
}
