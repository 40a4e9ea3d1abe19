//! What cutting a record to field groups costs, for every record type: microseconds for each kilobyte of the record.
//!
//! A type's invented example is cut to each of its groups alone, to all of them, and to every other one; the figure is the
//! median over these sets of the median of the rounds.

use std::{collections::BTreeSet, hint::black_box};

use clap::Args;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    cli::{
        bench::problem,
        error::CliError,
        output::{Column, Output},
    },
    model::id::GroupName,
    record::registry::{RecordType, Registry},
};

/// Measure the cutting of records to field groups.
#[derive(Debug, Args)]
pub(crate) struct Redaction {
    /// How many rounds each figure is the median of.
    #[arg(long, value_name = "COUNT", default_value_t = 9)]
    rounds: usize,
}

/// How often a record is cut in one round.
const TIMES: u32 = 1_000;
/// What it may cost, in microseconds for each kilobyte, at the median of the types.
const WANTED: f64 = 2.0;

const COLUMNS: [Column; 5] = [
    ("TYPE", "record_type"),
    ("BYTES", "bytes"),
    ("SETS", "sets"),
    ("US", "us"),
    ("US PER KB", "us_per_kb"),
];

impl Redaction {
    pub(super) fn run(self, output: Output) -> Result<(), CliError> {
        let registry = Registry::built_in().map_err(|fault| problem(fault.to_string()))?;
        let mut rows: Vec<Value> = Vec::new();
        let mut of_types = Vec::new();
        for known in registry.record_types() {
            let body = known.example();
            let kilobytes = f64::from(u32::try_from(body.len()).unwrap_or(u32::MAX)) / 1_024.0;
            let sets = sets(known);
            let mut costs = Vec::new();
            for groups in &sets {
                costs.push(self.cost(known, groups, &body)?);
            }
            let us = median(&mut costs);
            of_types.push(us / kilobytes);
            rows.push(json!({
                "record_type": known.name().as_str(),
                "bytes": body.len(),
                "sets": sets.len(),
                "us": rounded(us),
                "us_per_kb": rounded(us / kilobytes),
            }));
        }
        let all = median(&mut of_types);
        rows.push(json!({
            "record_type": "median of the types",
            "bytes": Value::Null,
            "sets": Value::Null,
            "us": Value::Null,
            "us_per_kb": rounded(all),
            "wanted": WANTED,
        }));
        output.rows(&COLUMNS, &rows)
    }

    /// Microseconds for one cut, at the median of the rounds.
    fn cost(
        &self,
        known: &RecordType,
        groups: &BTreeSet<GroupName>,
        body: &[u8],
    ) -> Result<f64, CliError> {
        let plan = known.redaction_plan(groups);
        let mut rounds = Vec::with_capacity(self.rounds);
        for _ in 0..self.rounds.max(1) {
            let began = Instant::now();
            for _ in 0..TIMES {
                let cut = plan.redact(black_box(body));
                drop(black_box(cut.map_err(|fault| problem(fault.to_string()))?));
            }
            rounds.push(began.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES));
        }
        Ok(median(&mut rounds))
    }
}

/// Each group alone, all of them, and every other one.
fn sets(known: &RecordType) -> Vec<BTreeSet<GroupName>> {
    let names: Vec<_> = known.groups().iter().map(|group| group.name().clone()).collect();
    let mut sets: Vec<_> = names.iter().map(|name| BTreeSet::from([name.clone()])).collect();
    sets.push(names.iter().step_by(2).cloned().collect());
    sets.push(names.into_iter().collect());
    sets
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// To three decimals: the figures are not better than that.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
