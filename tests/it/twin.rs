//! Twins: two exchanges of one seed that differ only in what one agency may not see answer it byte for byte alike (G8).
//!
//! `alder-council` calls both with the same bytes; in the second one, and only there, others publish, consent, claim and
//! set policies about the very clients that alder asks about. Answers, their sizes, errors and receipts are compared; of
//! an answer only decision ids and page tokens are set aside, which the API declares random and opaque, and they have the
//! same length. `CONCORDAT_CALLS` says how many calls are made; 1,000 unless said.

use prost_reflect::{DynamicMessage, MessageDescriptor, Value};
use tonic::{Code, Status};

use crate::{
    harness::Setup,
    ledger_samples::Dice,
    raw::{self, Told},
};

mod calls;
mod cases;
mod consents;
mod emergencies;
mod successions;
mod worlds;

use calls::{Call, Pool};
use worlds::World;

fn calls_wanted() -> usize {
    std::env::var("CONCORDAT_CALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000)
}

/// What alder hears, without what the API declares random.
#[derive(Debug, PartialEq)]
enum Heard {
    Answers(Vec<Answer>),
    Error(Told),
}

/// One answer: its true size, and the rest of it as JSON, which a person can compare.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Answer {
    json: String,
    bytes: usize,
}

/// How often each RPC answered and refused, so that the comparison is known to be about something.
#[derive(Debug, Default)]
struct Tally {
    answers: usize,
    errors: std::collections::BTreeMap<String, usize>,
}

fn heard(call: &Call, result: &Result<Vec<bytes::Bytes>, Status>) -> Heard {
    let output = call.method.output();
    match result {
        Ok(answers) => Heard::Answers(answers.iter().map(|answer| told(&output, answer)).collect()),
        Err(status) => Heard::Error(Told::from(status)),
    }
}

fn told(output: &MessageDescriptor, answer: &bytes::Bytes) -> Answer {
    let mut json = serde_json::to_value(raw::settled(output, answer)).unwrap();
    // Reading a subscription moves its place under a request id that the exchange draws.
    let entries = json.get_mut("entries").and_then(serde_json::Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        let moved = ["seek_subscription", "acknowledge", "open_record"];
        let drawn = moved.iter().any(|kind| entry["kind"] == **kind)
            && !entry["requestId"].as_str().unwrap_or_default().ends_with(calls::OWN);
        if drawn {
            entry["requestId"] = "drawn".into();
        }
    }
    Answer { json: json.to_string(), bytes: answer.len() }
}

/// Every string in a message.
fn strings(message: &DynamicMessage, found: &mut Vec<String>) {
    for (_, content) in message.fields() {
        strings_of(content, found);
    }
}

fn strings_of(value: &Value, found: &mut Vec<String>) {
    if let Value::String(text) = value {
        found.push(text.clone());
    } else if let Value::Message(message) = value {
        strings(message, found);
    } else if let Value::List(values) = value {
        for item in values {
            strings_of(item, found);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agency_may_not_see_changes_no_byte_of_what_it_hears() {
    let certificates = tempfile::tempdir().unwrap();
    let certificates = certificates.path().join("certs");
    let setup = Setup { seed: Some([42; 32]), ..Setup::default() };
    let mut bare = World::new(&certificates, setup).await;
    let mut full = World::new(&certificates, setup).await;
    let mut dice = Dice(7);
    let mut pool = Pool::new(&bare.alder.id, World::scns());
    let mut tally = Tally::default();
    for number in 0..calls_wanted() {
        // What happens to both, and what only the full one holds.
        if dice.below(12) == 0 {
            let step = dice.roll();
            bare.common(step, &mut Pool::default()).await;
            full.common(step, &mut pool).await;
        }
        if dice.below(3) == 0 {
            full.hidden(dice.roll(), &mut pool).await;
        }
        let call = calls::next(&mut dice, &mut pool, &bare);
        if dice.below(40) == 0 {
            let (a, b) = (bare.stream(&mut pool).await, full.stream(&mut Pool::default()).await);
            assert_eq!(a, b, "subscription before call {number}");
        }
        let (a, b) = (bare.call(&call).await, full.call(&call).await);
        if let Ok(answers) = &a {
            let output = call.method.output();
            for answer in answers {
                let mut found = Vec::new();
                strings(&raw::settled(&output, answer), &mut found);
                pool.learn(&found);
            }
        }
        let (a, b) = (heard(&call, &a), heard(&call, &b));
        assert_eq!(a, b, "call {number}: {}", call.path);
        match a {
            Heard::Answers(_) => tally.answers += 1,
            Heard::Error(told) => {
                assert_ne!(told.code, Code::Internal, "call {number}: {}: {told:?}", call.path);
                *tally.errors.entry(told.reason).or_default() += 1;
            }
        }
    }
    full.holds_more_than(&bare);
    if 1_000 <= calls_wanted() {
        assert!(300 < tally.answers && 10 < tally.errors.len(), "{tally:?}");
    }
}
