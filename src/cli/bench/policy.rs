//! What a decision costs where every agency has policies of its own: among ten agencies and among ten thousand.
//!
//! A decision asks the publisher's and the recipient's own policies and nobody else's, and remembers what they said until
//! they change, so its cost must not grow with the exchange. The rows have the shape of `bench publish`; the peer is the
//! smallest exchange of the same run.

use std::hint::black_box;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    cli::{
        bench::{problem, script::Script},
        error::CliError,
        output::{Column, Output, words},
    },
    machine::access::{self, Question},
};

/// Measure decisions where every agency has policies.
#[derive(Debug, Args)]
pub(crate) struct Policy {
    /// How many agencies there are; the first is what the others are compared with.
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_value = "10,100,1000,10000")]
    agencies: Vec<usize>,
    /// How many policies each has.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    policies: usize,
    /// How often everything is measured, interleaved.
    #[arg(long, value_name = "COUNT", default_value_t = 9)]
    runs: usize,
}

/// How many decisions one measurement takes, each between two agencies drawn anew.
const DECISIONS: usize = 20_000;
/// How many of these find nothing remembered.
const FIRST: usize = 500;

const COLUMNS: [Column; 8] = [
    ("SCENARIO", "scenario"),
    ("METRIC", "metric"),
    ("UNIT", "unit"),
    ("MEDIAN", "value"),
    ("MIN", "min"),
    ("MAX", "max"),
    ("AMONG FEWEST", "peer_value"),
    ("RATIO", "ratio"),
];

/// One exchange that is measured.
struct Place {
    agencies: usize,
    script: Script,
    questions: Vec<Question>,
    remembered: Vec<f64>,
    first: Vec<f64>,
}

/// Where a place keeps the figures of one scenario.
type Measured = fn(&mut Place) -> &mut Vec<f64>;

impl Policy {
    pub(super) fn run(self, output: Output) -> Result<(), CliError> {
        let mut places = Vec::new();
        for agencies in &self.agencies {
            words(format!(
                "an exchange of {agencies} agencies with {} policies each",
                self.policies
            ));
            places.push(Place::new(*agencies, self.policies)?);
        }
        for run in 1..=self.runs.max(1) {
            words(format!("run {run} of {}", self.runs));
            for place in &mut places {
                place.measure(run)?;
            }
        }
        let scenarios: [(&str, Measured); 2] = [
            ("policy_remembered", |place| &mut place.remembered),
            ("policy_first", |place| &mut place.first),
        ];
        let mut rows: Vec<Value> = Vec::new();
        for (scenario, of) in scenarios {
            let [peer_value, ..] = places.first_mut().map_or([0.0; 3], |place| spread(of(place)));
            for place in &mut places {
                let agencies = place.agencies;
                let [value, min, max] = spread(of(place));
                rows.push(json!({
                    "scenario": format!("{scenario}_{agencies}_agencies"),
                    "in_flight": 1,
                    "metric": "decision",
                    "unit": "us",
                    "value": rounded(value),
                    "min": rounded(min),
                    "max": rounded(max),
                    "runs": self.runs,
                    "peer": format!("{} agencies", self.agencies.first().copied().unwrap_or_default()),
                    "peer_value": rounded(peer_value),
                    "ratio": rounded(value / peer_value),
                }));
            }
        }
        output.rows(&COLUMNS, &rows)
    }
}

impl Place {
    fn new(agencies: usize, policies: usize) -> Result<Self, CliError> {
        let mut script = Script::new(agencies)?;
        script.policies_of_all(agencies, policies)?;
        let questions = script.questions();
        if questions.is_empty() {
            return Err(problem("no flow goes anywhere"));
        }
        Ok(Self { agencies, script, questions, remembered: Vec::new(), first: Vec::new() })
    }

    fn measure(&mut self, run: usize) -> Result<(), CliError> {
        let state = self.script.state();
        for question in &self.questions {
            // Once each, so that what follows is what a busy exchange does.
            hold(state, question)?;
        }
        let drawn = drawn(&self.questions, DECISIONS, run);
        let began = Instant::now();
        for question in &drawn {
            drop(black_box(access::decide(state, black_box(question))));
        }
        self.remembered.push(each(began, drawn.len()));
        // A clone remembers nothing; policies are compiled anew for each agency that is met.
        let fresh = state.clone();
        let drawn: Vec<_> = drawn.into_iter().take(FIRST).collect();
        let began = Instant::now();
        let mut met = std::collections::BTreeSet::new();
        for question in drawn {
            if met.insert((question.publisher, question.recipient)) {
                drop(black_box(access::decide(&fresh, black_box(question))));
            }
        }
        self.first.push(each(began, met.len()));
        Ok(())
    }
}

/// Holds that the decision is the one that is meant: everything may leave.
fn hold(state: &crate::machine::State, question: &Question) -> Result<(), CliError> {
    let decision = access::decide(state, question);
    if decision.groups() == question.groups {
        Ok(())
    } else {
        Err(problem("a decision is not the one that is measured"))
    }
}

/// Questions in an order that has nothing to do with that of the agencies.
fn drawn(questions: &[Question], count: usize, run: usize) -> Vec<&Question> {
    let mut number = u64::try_from(run).unwrap_or_default();
    let places = (0..count).map(|_| {
        number =
            number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(number >> 33).unwrap_or_default()
    });
    places.filter_map(|at| questions.get(at.checked_rem(questions.len())?)).collect()
}

/// Microseconds for each of so many.
fn each(began: Instant, count: usize) -> f64 {
    let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    began.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

/// Median, least and greatest.
fn spread(values: &mut [f64]) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or_default();
    [at(values.len() / 2), at(0), at(values.len().saturating_sub(1))]
}

/// To three decimals: the figures are not better than that.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
