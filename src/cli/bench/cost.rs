//! What the process has used: processor time by thread, and syncs of files.
//!
//! Source: proc(5). On a system without it there is nothing to tell, and nothing is told.

use std::{collections::BTreeMap, fs};

/// Processor time used so far, in hundredths of a second, by the name of the thread.
#[derive(Debug, Default)]
pub(super) struct Cost(BTreeMap<String, u64>);

impl Cost {
    /// What was used up to now. A thread that has ended no longer counts.
    pub(super) fn now() -> Self {
        let mut used = BTreeMap::<String, u64>::new();
        for entry in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let Ok(text) = fs::read_to_string(entry.path().join("stat")) else { continue };
            let Some((name, ticks)) = parse(&text) else { continue };
            let sum = used.entry(name.to_owned()).or_default();
            *sum = sum.saturating_add(ticks);
        }
        Self(used)
    }

    /// What was used since `earlier`, thread by thread, in microseconds for each of `pieces`.
    pub(super) fn since(&self, earlier: &Self, pieces: usize) -> Vec<(String, f64)> {
        let pieces = u32::try_from(pieces.max(1)).unwrap_or(u32::MAX);
        let mut each = Vec::new();
        for (name, ticks) in &self.0 {
            let before = earlier.0.get(name).copied().unwrap_or_default();
            let ticks = u32::try_from(ticks.saturating_sub(before)).unwrap_or(u32::MAX);
            if 0 < ticks {
                each.push((name.clone(), f64::from(ticks) * 10_000.0 / f64::from(pieces)));
            }
        }
        each
    }
}

/// The name of a thread and the ticks that it used in user and kernel mode.
fn parse(stat: &str) -> Option<(&str, u64)> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some((name, user.saturating_add(kernel)))
}
