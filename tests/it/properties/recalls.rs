//! Recalls over random orders of what publishers, people and recipients do, held against a ledger of its own.

use std::collections::{BTreeMap, BTreeSet};

use concordat::{
    model::id::{ConsentId, RecordId},
    pb::ledger::v1::{RecallAct, RecallReason, RetentionGround, VersionChange},
};

use crate::{
    ledger_samples::Dice,
    machine::recall::{RECIPIENTS, Sharing},
};

/// What happened, told without the machine.
#[derive(Default)]
struct Told {
    /// The records by their first version: the latest version.
    latest: BTreeMap<RecordId, RecordId>,
    retracted: BTreeSet<RecordId>,
    /// Whether anything of a record left to a recipient, by deliveries that left.
    deliveries: BTreeMap<(RecordId, &'static str), BTreeSet<u64>>,
    /// How many deliveries each had.
    numbers: BTreeMap<&'static str, Vec<RecordId>>,
    consents: Vec<ConsentId>,
}

impl Told {
    fn first_of(&self, record: RecordId) -> RecordId {
        let found = self.latest.iter().find(|(_, latest)| **latest == record);
        *found.unwrap().0
    }

    fn got(&self, first: RecordId, name: &'static str) -> bool {
        self.deliveries.get(&(first, name)).is_some_and(|left| !left.is_empty())
    }
}

fn step(sharing: &mut Sharing, told: &mut Told, dice: &mut Dice) {
    let name = RECIPIENTS[usize::try_from(dice.below(4)).unwrap()];
    let records: Vec<_> = told.latest.iter().map(|(first, latest)| (*first, *latest)).collect();
    let some = |dice: &mut Dice| {
        let count = u64::try_from(records.len()).unwrap();
        records[usize::try_from(dice.below(count)).unwrap()]
    };
    match dice.below(14) {
        0..=1 => {
            let record = sharing.new_record();
            told.latest.insert(record, record);
        }
        2..=3 => {
            let (first, latest) = some(dice);
            let change = [VersionChange::Update, VersionChange::Correction];
            let change = change[usize::try_from(dice.below(2)).unwrap()];
            let published = sharing.publish(Some(latest), change);
            assert_eq!(published.is_err(), told.retracted.contains(&first));
            let Ok(version) = published else { return };
            told.latest.insert(first, version);
            if change == VersionChange::Correction {
                for name in RECIPIENTS.into_iter().filter(|name| told.got(first, name)) {
                    let told_so = sharing.reasons(name).contains(&RecallReason::Corrected);
                    assert!(told_so, "{name} is not told of a correction");
                }
            }
        }
        4..=7 => {
            for record in sharing.release(name) {
                let first = told.first_of(record);
                assert!(!told.retracted.contains(&first), "released after its retraction");
                let numbers = told.numbers.entry(name).or_default();
                numbers.push(first);
                let number = u64::try_from(numbers.len()).unwrap();
                told.deliveries.entry((first, name)).or_default().insert(number);
            }
        }
        8 => {
            // The last delivery did not leave.
            let Some(first) = told.numbers.get(name).and_then(|all| all.last()).copied() else {
                return;
            };
            let number = u64::try_from(told.numbers[name].len()).unwrap();
            sharing.not_sent(name, number);
            told.deliveries.entry((first, name)).or_default().remove(&number);
        }
        9 => {
            let _handed_over = sharing.hand_over(name);
        }
        10 => {
            if let Some((recall, _)) = sharing.inbox(name).first().copied() {
                let act = (RecallAct::Deleted, RetentionGround::Unspecified);
                sharing.acknowledge(name, recall, act).unwrap();
            }
        }
        11 => told.consents.push(sharing.consent(&["college", "charity"])),
        12 => {
            if let Some(consent) = told.consents.last().copied() {
                let _withdrawn = sharing.withdraw(consent, &[]);
            }
        }
        _ => {
            let (first, latest) = some(dice);
            let done = sharing.retract("council", latest, RecallReason::Unlawful);
            assert_eq!(done.is_err(), told.retracted.contains(&first));
            told.retracted.insert(first);
        }
    }
}

/// Every recipient of a retracted record has, or had, a recall of it; nobody has one of what it never got.
fn hold(sharing: &Sharing, told: &Told, about: &str) {
    let state = &sharing.world.state;
    for first in told.latest.keys() {
        for name in RECIPIENTS {
            let recalls: Vec<_> = state.recalls_from(*first, sharing.number(name)).collect();
            if told.retracted.contains(first) && told.got(*first, name) {
                let asked = recalls.iter().any(|(_, recall)| !recall.corrects());
                assert!(asked, "{about}: {name} got {first} and has no recall of it");
            }
            let seen = recalls.iter().any(|(_, recall)| recall.handed_over.is_some());
            if !told.got(*first, name) && !seen {
                assert!(recalls.is_empty(), "{about}: {name} never got {first}: {recalls:?}");
            }
        }
    }
}

#[test]
fn no_order_leaves_a_recipient_without_a_recall_or_gives_one_to_anybody_else() {
    for seed in 0..super::seeds() {
        let (mut sharing, mut told, mut dice) = (Sharing::new(), Told::default(), Dice(seed));
        let record = sharing.new_record();
        told.latest.insert(record, record);
        for number in 0..40 {
            step(&mut sharing, &mut told, &mut dice);
            hold(&sharing, &told, &format!("seed {seed}, step {number}"));
        }
        sharing.world.hold();
    }
}
