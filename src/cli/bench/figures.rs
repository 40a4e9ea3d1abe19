//! Figures: what one window measured, and what several runs come to.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

/// What one window measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Answers in a second.
    pub(super) throughput: f64,
    /// The median of the times from request to answer, in milliseconds.
    pub(super) p50: f64,
    /// The time within which 99 of 100 answers came, in milliseconds.
    pub(super) p99: f64,
}

impl Window {
    /// What answers that took `micros` microseconds each came to within `length`.
    pub(super) fn of(mut micros: Vec<u32>, length: Duration) -> Self {
        micros.sort_unstable();
        let at = |per_cent: usize| {
            let place = micros.len().saturating_mul(per_cent) / 100;
            let place = place.min(micros.len().saturating_sub(1));
            f64::from(micros.get(place).copied().unwrap_or_default()) / 1_000.0
        };
        let answers = u32::try_from(micros.len()).unwrap_or(u32::MAX);
        Self { throughput: f64::from(answers) / length.as_secs_f64(), p50: at(50), p99: at(99) }
    }
}

/// What is measured: the exchange's part of a scenario, or the echo's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Exchange,
    Echo,
}

/// The windows of all runs.
#[derive(Debug, Default)]
pub(super) struct Runs(BTreeMap<(&'static str, usize, Side), Vec<Window>>);

/// One line of the result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    scenario: &'static str,
    in_flight: usize,
    metric: &'static str,
    unit: &'static str,
    /// The median of the runs.
    value: f64,
    min: f64,
    max: f64,
    runs: usize,
    peer: &'static str,
    /// The median of the peer's runs.
    peer_value: f64,
    /// `value / peer_value`.
    ratio: f64,
}

/// A metric: its name, its unit, and where a window keeps it.
type Metric = (&'static str, &'static str, fn(&Window) -> f64);

const METRICS: [Metric; 3] = [
    ("throughput", "1/s", |window| window.throughput),
    ("p50", "ms", |window| window.p50),
    ("p99", "ms", |window| window.p99),
];

impl Runs {
    pub(super) fn add(
        &mut self,
        scenario: &'static str,
        in_flight: usize,
        side: Side,
        window: Window,
    ) {
        self.0.entry((scenario, in_flight, side)).or_default().push(window);
    }

    /// One row for each scenario, number in flight and metric.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for ((scenario, in_flight, side), own) in &self.0 {
            let Some(echo) = self.0.get(&(*scenario, *in_flight, Side::Echo)) else { continue };
            if *side == Side::Echo {
                continue;
            }
            for (metric, unit, of) in METRICS {
                let [value, min, max] = spread(own, of);
                let [peer_value, ..] = spread(echo, of);
                rows.push(Row {
                    scenario,
                    in_flight: *in_flight,
                    metric,
                    unit,
                    value: rounded(value),
                    min: rounded(min),
                    max: rounded(max),
                    runs: own.len(),
                    peer: "echo",
                    peer_value: rounded(peer_value),
                    ratio: rounded(value / peer_value),
                });
            }
        }
        rows
    }
}

/// Median, least and greatest.
fn spread(windows: &[Window], of: fn(&Window) -> f64) -> [f64; 3] {
    let mut values: Vec<f64> = windows.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    let (least, greatest) = (values.first().copied(), values.last().copied());
    let middle = values.len() / 2;
    let upper = values.get(middle).copied().unwrap_or_default();
    let lower = values.get(middle.saturating_sub(1)).copied().unwrap_or(upper);
    let median = if values.len().is_multiple_of(2) { f64::midpoint(lower, upper) } else { upper };
    [median, least.unwrap_or_default(), greatest.unwrap_or_default()]
}

/// To three decimals: the figures are not better than that.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
