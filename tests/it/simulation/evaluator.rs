//! The independent evaluator: at places of a history it answers questions of who may have what by the auditor's rules, and
//! holds them against what the machine decides there. Neither knows the other's code.

use std::collections::BTreeSet;

use concordat::{
    ledger::Entry,
    machine::{
        Outcome, State,
        access::{self, Question},
        apply,
        command::Parsed,
    },
    pb::ledger::v1 as pb,
};

use super::{
    auditor::{Auditor, Part},
    cast,
};
use crate::ledger_samples::Dice;

/// How many questions are asked after each entry.
const QUESTIONS: u64 = 4;

/// What came of the questions of one history.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// How many field groups were decided by both.
    pub(crate) decisions: u64,
    /// The first question on which they differ.
    pub(crate) differ: Option<String>,
}

/// Decides questions about a history twice, after every entry of it. They are drawn: a record, a recipient, a purpose, and
/// now or later.
pub(crate) fn compare(
    entries: &[(Entry, pb::Command, Outcome)],
    ignorant_of: Option<Part>,
    seed: u64,
) -> Compared {
    let mut state = State::empty();
    let mut auditor = Auditor::default();
    auditor.ignorant_of = ignorant_of;
    let (mut dice, mut compared) = (Dice(seed), Compared::default());
    for (place, (entry, command, outcome)) in (0_u64..).zip(entries) {
        let Parsed::Command(parsed) = Parsed::from_bytes(&entry.command) else { unreachable!() };
        let applied = apply(&mut state, entry.position, entry.admitted_at, Some(&parsed));
        assert_eq!(&applied.outcome, outcome, "entry {}", entry.position);
        auditor.take((place, entry.admitted_at.millis()), command, outcome);
        let records: Vec<_> = auditor.all_latest().collect();
        if records.is_empty() {
            continue;
        }
        for _ in 0..QUESTIONS {
            let record = records[below(&mut dice, records.len())];
            let recipient = cast::AGENCIES[below(&mut dice, cast::AGENCIES.len())].0;
            let purpose = match dice.below(8) {
                0 => pb::Purpose::ChildWellbeing,
                _ => pb::Purpose::SchoolLeaverTransition,
            };
            let later = if dice.below(4) == 0 { dice.below(400) * cast::DAY_MS } else { 0 };
            let now = entry.admitted_at.plus(later);
            let row = state.record(record).unwrap();
            let number = state.agency_number(&cast::agency(recipient));
            let Some(number) = number.filter(|number| *number != row.publisher) else { continue };
            let question = Question::about(row, number, purpose.into(), now);
            let open = access::decide(&state, &question).groups();
            let known = state.record_type(row.record_type).unwrap();
            let names = known.names_of(open).into_iter().map(|group| group.to_string());
            let decided: BTreeSet<String> = names.collect();
            let allowed = auditor.allowed(record, recipient, purpose.into(), now.millis());
            compared.decisions += u64::try_from(known.names_of(row.groups).len()).unwrap();
            if decided != allowed && compared.differ.is_none() {
                let at = entry.position;
                compared.differ = Some(format!(
                    "entry {at}: {record} to {recipient} for {purpose:?}: {decided:?} or {allowed:?}"
                ));
            }
        }
    }
    compared
}

fn below(dice: &mut Dice, bound: usize) -> usize {
    usize::try_from(dice.below(u64::try_from(bound).unwrap())).unwrap()
}
