//! The exchange in simulations: one thread, and disk, clock, entropy and scheduling from a seed, so that every history can
//! be had again. What must hold is in `simulation/checks.rs`, what happens in `simulation/actors.rs`.
//!
//! `CONCORDAT_SEEDS` says how many histories are tried; 50 unless said. `CONCORDAT_SEED` tries one alone.

#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests may end a test, and look at what they are about alone"
)]

use concordat::{ledger::disk::Trouble, model::digest::Digest};
use futures::future::{LocalBoxFuture, join_all};

use crate::ledger_samples::Dice;

mod actors;
mod auditor;
pub(crate) mod cast;
pub(crate) mod checks;
mod evaluator;
pub(crate) mod exchange;
mod recalls;
mod story;

use exchange::Exchange;
use story::{Event, Story};

/// The subscriptions of every simulation.
const READERS: [&str; 4] = ["national", "college", "charity", "health"];

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("CONCORDAT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CONCORDAT_SEEDS").unwrap_or(50),
    }
}

/// Some rounds of work, each ended by a fault, a power cut or the end of the process, then a quiet end.
async fn history(seed: u64) -> Story {
    let mut dice = Dice(seed);
    let exchange = Exchange::found(seed).await;
    exchange.gather().await;
    let story = Story::new(exchange);
    let rounds = 1 + dice.below(3);
    for _ in 0..rounds {
        trouble(&story, &mut dice);
        work(&story, &mut dice).await;
        restart(&story, &mut dice).await;
        checks::acknowledged_is_kept(&story);
    }
    story
}

/// Something that will go wrong at some disk call, or nothing.
fn trouble(story: &Story, dice: &mut Dice) {
    let trouble = match dice.below(6) {
        0 | 1 => Trouble::PowerCut,
        2 => Trouble::SyncFails,
        3 => Trouble::WriteFails,
        4 => Trouble::NoSpace,
        _ => return,
    };
    story.exchange.disk().inject(trouble, 1 + dice.below(120));
}

/// Everybody at once.
async fn work(story: &Story, dice: &mut Dice) {
    let steps = 6 + dice.below(30);
    let mut all: Vec<LocalBoxFuture<'_, ()>> = vec![
        Box::pin(actors::publisher(story, "council", Dice(dice.roll()), steps * 2)),
        Box::pin(actors::publisher(story, "shire", Dice(dice.roll()), steps)),
        Box::pin(actors::claimant(story, Dice(dice.roll()), steps / 2)),
        Box::pin(actors::operator(story, Dice(dice.roll()), dice.below(4))),
        Box::pin(actors::time(story, Dice(dice.roll()), steps)),
        Box::pin(keeper(story, Dice(dice.roll()))),
    ];
    for name in READERS {
        let dice = Dice(dice.roll());
        all.push(Box::pin(actors::reader(story, (name, "first"), dice, steps)));
    }
    join_all(all).await;
}

/// The store keeps up with the state, up to some moment.
async fn keeper(story: &Story, mut dice: Dice) {
    exchange::yields(dice.below(300)).await;
    story.exchange.keep_rows();
}

async fn restart(story: &Story, dice: &mut Dice) {
    let power_cut = (dice.below(3) != 0).then(|| dice.roll());
    story.exchange.end(power_cut);
    story.saw(Event::Ended);
    let from_rows = dice.below(2) == 0;
    story.exchange.start(from_rows).await.unwrap();
}

/// Lets in whoever was suspended, and reads until nothing more comes.
async fn quiet_end(story: &Story) {
    let node = story.exchange.node().unwrap();
    let mut quiet = 0;
    for _ in 0..200 {
        let mut came = 0;
        for name in READERS {
            came += actors::drain(story, name, "first").await;
        }
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let swept = node.read(|state| state.tables().sweeps.is_empty());
        quiet = if came == 0 && swept { quiet + 1 } else { 0 };
        if quiet == 2 {
            return;
        }
    }
    panic!("the exchange does not come to rest");
}

/// What came of a history: a digest of its entries, what happened, and how many decisions were taken twice.
#[derive(Debug, PartialEq, Eq)]
struct Checked {
    bytes: Digest,
    transcript: String,
    /// Field groups of released lines that the auditor decided anew.
    released: u64,
    /// How many recalls somebody had to get, and how many there were.
    recalls: (usize, usize),
    /// Field groups of drawn questions on which machine and auditor agree.
    questions: u64,
}

/// A whole history and everything that must hold of it.
async fn checked(seed: u64) -> Checked {
    let story = history(seed).await;
    quiet_end(&story).await;
    checks::acknowledged_is_kept(&story);
    let entries = story.exchange.entries();
    let bytes = Digest::of_concatenation(&[format!("{entries:?}").as_bytes()]);
    let replayed = checks::replay(entries);
    if std::env::var_os("CONCORDAT_SEED").is_some() {
        tell(&story, &replayed);
    }
    checks::replay_is_the_state(&story, &replayed);
    checks::requests_take_effect_once(&replayed);
    let auditor = checks::releases_were_allowed(&story, &replayed);
    checks::bodies_are_cut_down(&story);
    checks::order_was_kept(&story, &auditor);
    checks::everything_arrived(&story, &auditor);
    let recalls = recalls::seen(&replayed.state);
    assert_eq!(auditor.judge(&recalls), Ok(()), "G15");
    let compared = evaluator::compare(&replayed.entries, None, seed);
    assert_eq!(compared.differ, None, "G5: machine and auditor decide otherwise");
    let transcript = format!("{:?}", story.events.borrow());
    let recalls = (auditor.owed_count(), recalls.len());
    let (released, questions) = (auditor.decided, compared.decisions);
    Checked { bytes, transcript, released, recalls, questions }
}

/// Writes a history out, for whoever looks into one seed.
#[expect(clippy::print_stderr, reason = "this is what the one seed is run for")]
fn tell(story: &Story, replayed: &checks::Replayed) {
    for (entry, command, outcome) in &replayed.entries {
        let (at, by) = (entry.admitted_at.millis(), auditor::actor(command));
        eprintln!("{} {at} {by} {:?} -> {outcome:?}", entry.position, command.kind);
    }
    for event in story.events.borrow().iter() {
        eprintln!("{event:?}");
    }
}

#[test]
fn every_history_keeps_every_promise() {
    let (mut left, mut held, mut ended) = (0, 0, 0);
    let (mut released, mut questions, mut recalled) = (0, 0, 0);
    for seed in seeds() {
        let run = std::panic::catch_unwind(|| exchange::run(checked(seed)));
        let Checked { transcript, released: lines, recalls, questions: asked, .. } =
            run.unwrap_or_else(|_| panic!("seed {seed} (see above)"));
        released += lines;
        recalled += recalls.0.min(recalls.1);
        questions += asked;
        left += transcript.matches("Left(").count();
        held += transcript.matches("Held(").count();
        ended += transcript.matches("Ended").count();
    }
    let count = usize::try_from(seeds().end - seeds().start).unwrap();
    if 50 <= count {
        assert!(count * 20 < left && count / 10 < held && count < ended, "{left} {held} {ended}");
        // With the thousand seeds of `.ci/run`: more than half a million.
        let count = u64::try_from(count).unwrap();
        assert!(count <= u64::try_from(recalled).unwrap(), "{recalled} recalls");
        assert!(50 * count <= released && 500 * count <= questions, "{released} {questions}");
    }
}

#[test]
fn an_evaluator_that_does_not_know_a_rule_is_caught() {
    let ledgers: Vec<_> = (0..12)
        .map(|seed| {
            exchange::run(async move {
                let story = history(seed).await;
                quiet_end(&story).await;
                checks::replay(story.exchange.entries())
            })
        })
        .collect();
    for part in auditor::Part::ALL {
        let caught = (0..).zip(&ledgers).any(|(seed, replayed)| {
            evaluator::compare(&replayed.entries, Some(part), seed).differ.is_some()
        });
        assert!(caught, "nobody notices that {part:?} is not known");
    }
}

#[test]
fn an_auditor_notices_every_recall_that_is_not_made_and_every_one_that_is_made_up() {
    let (mut missed, mut kept_back) = (0, 0);
    for seed in 0..8 {
        let replayed = exchange::run(async move {
            let story = history(seed).await;
            quiet_end(&story).await;
            checks::replay(story.exchange.entries())
        });
        let mut auditor = auditor::Auditor::default();
        for (place, (entry, command, outcome)) in (0_u64..).zip(&replayed.entries) {
            let at = (place, entry.admitted_at.millis());
            auditor.decide(at, command, outcome);
            auditor.take(at, command, outcome);
        }
        let seen = recalls::seen(&replayed.state);
        assert_eq!(auditor.judge(&seen), Ok(()), "seed {seed}");
        for place in 0..seen.len() {
            let mut fewer = seen.clone();
            let gone = fewer.remove(place);
            missed += usize::from(auditor.judge(&fewer).is_err());
            // As if it had been issued the moment after the record was sent.
            let mut earlier = seen.clone();
            earlier[place].position = 0;
            kept_back += usize::from(auditor.judge(&earlier).is_err());
            let recipient = if gone.recipient == "shire" { "health" } else { "shire" }.to_owned();
            let mut made_up = seen.clone();
            made_up.push(recalls::Seen { recipient, ..gone });
            assert!(auditor.judge(&made_up).is_err(), "seed {seed}: nobody sent that");
        }
    }
    assert!(8 < missed && 0 < kept_back, "{missed} {kept_back}");
}

#[test]
fn the_same_seed_twice_leaves_the_same_ledger_and_the_same_story() {
    for seed in 0..5 {
        assert_eq!(exchange::run(checked(seed)), exchange::run(checked(seed)), "seed {seed}");
    }
}
