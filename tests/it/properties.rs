//! Properties of the machine over random histories: replay equals replay, a prefix and the rest equal the whole, and rows
//! reload to a state that goes on alike.
//!
//! `CONCORDAT_SEEDS` says how many histories are tried; 150 unless said.

#![expect(clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may end a test")]

use std::collections::BTreeSet;

use concordat::{
    machine::{Outcome, State, apply, command::Parsed},
    model::order::{Position, UnixMillis},
};

use crate::{ledger_samples::Dice, simulation::checks::same_indexes};

mod history;
mod recalls;
mod sharing;
mod twins;

use history::history;

fn seeds() -> u64 {
    std::env::var("CONCORDAT_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(150)
}

/// Applies entries to a state, from its next position on.
fn go_on(state: &mut State, entries: &[(UnixMillis, Vec<u8>)]) -> Vec<Outcome> {
    let from = state.chain().next.number();
    let step = |(position, (at, bytes)): (u64, &(UnixMillis, Vec<u8>))| {
        let command = match Parsed::from_bytes(bytes) {
            Parsed::Command(command) => Some(command),
            Parsed::Malformed(_) | Parsed::Later(_) => None,
        };
        apply(state, Position::new(position), *at, command.as_deref()).outcome
    };
    (from..).zip(entries).map(step).collect()
}

fn same(one: &State, other: &State, what: &str) {
    assert_eq!(one.chain(), other.chain(), "{what}");
    assert_eq!(one.digest(), other.digest(), "{what}");
    same_indexes(one, other);
}

#[test]
fn a_history_cut_anywhere_comes_to_the_same_end() {
    let mut seen = BTreeSet::new();
    for seed in 0..seeds() {
        let played = history(seed, 60);
        let (whole, entries) = (&played.world.state, played.world.entries());
        let mut replayed = State::empty();
        let outcomes = go_on(&mut replayed, entries);
        same(&replayed, whole, &format!("seed {seed}: replay"));
        seen.extend(outcomes.iter().map(|outcome| outcome.as_ref().err().copied()));
        let mut dice = Dice(seed);
        for _ in 0..3 {
            let cut = usize::try_from(dice.below(u64::try_from(entries.len()).unwrap())).unwrap();
            let (before, after) = entries.split_at(cut);
            let mut prefix = State::empty();
            let mut first = go_on(&mut prefix, before);
            let mut loaded = State::from_rows(prefix.to_rows().into_iter()).unwrap();
            same(&loaded, &prefix, &format!("seed {seed}: rows at {cut}"));
            let rest = go_on(&mut loaded, after);
            assert_eq!(rest, go_on(&mut prefix, after), "seed {seed}: from {cut} on");
            same(&loaded, whole, &format!("seed {seed}: rest from rows at {cut}"));
            same(&prefix, whole, &format!("seed {seed}: rest from {cut}"));
            first.extend(rest);
            assert_eq!(first, outcomes, "seed {seed}: outcomes, cut at {cut}");
        }
    }
    if 1_000 <= seeds() {
        assert!(20 < seen.len(), "the histories meet only {seen:?}");
    }
}
