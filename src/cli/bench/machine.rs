//! What the parts of the path cost one by one: validation, sealing, redaction, the machine's decisions and changes, and
//! whether they stay as cheap when the exchange grows.
//!
//! Everything happens in memory; nothing is written. Each figure is the median of several rounds.

use std::hint::black_box;

use clap::Args;
use jiff::civil::date;
use tokio::time::Instant;

use crate::{
    cli::{
        bench::{people, problem, said, script::Script},
        error::CliError,
        output::Output,
    },
    machine::{
        access::{self, Question},
        command::Command,
        read::offers,
    },
    model::id::{ClientId, GroupName, KeyId, RecordId},
    pb::ledger::v1::{self as pb, command::Kind},
    record::registry::{EdgeContext, Registry},
    seal::{AssociatedData, DataKey, Nonce, Secret},
};

/// Measure the parts one by one.
#[derive(Debug, Args)]
pub(crate) struct Machine {
    /// How many agencies, and agreements between other agencies, there are.
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_value = "10,10000")]
    agencies: Vec<usize>,
    /// How many rounds each figure is the median of.
    #[arg(long, value_name = "COUNT", default_value_t = 9)]
    rounds: usize,
}

/// How many times a part is done in one round.
const TIMES: u32 = 200;
/// How many lines a release has.
const LINES: usize = 64;

impl Machine {
    pub(super) fn run(self, output: Output) -> Result<(), CliError> {
        let mut table = Table(Vec::new());
        self.edge(&mut table)?;
        for agencies in &self.agencies {
            table.0.extend(self.publishing(*agencies)?.0);
            table.0.extend(self.deciding(*agencies)?.0);
        }
        output.rows(&[("PART", "part"), ("AGENCIES", "agencies"), ("US", "us")], &table.0)
    }

    /// The median time of `TIMES` repetitions, divided by them, in microseconds.
    fn median(&self, mut work: impl FnMut() -> Result<(), CliError>) -> Result<f64, CliError> {
        let mut rounds = Vec::with_capacity(self.rounds);
        for _ in 0..self.rounds.max(1) {
            let began = Instant::now();
            for _ in 0..TIMES {
                work()?;
            }
            rounds.push(began.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES));
        }
        rounds.sort_by(f64::total_cmp);
        Ok(rounds.get(rounds.len() / 2).copied().unwrap_or_default())
    }

    fn edge(&self, table: &mut Table) -> Result<(), CliError> {
        let registry = Registry::built_in().map_err(said("no record types"))?;
        let name = "leaver-form".parse().map_err(said("no record type"))?;
        let of = registry.record_type(&name).ok_or_else(|| problem("no such type".to_owned()))?;
        let forms = people::forms(1);
        let form = forms.first().map(Vec::as_slice).unwrap_or_default();
        let context = EdgeContext { today: date(2026, 11, 23) };
        let validate = self.median(|| match of.validate(black_box(form), &context) {
            Ok(valid) => {
                drop(black_box(valid));
                Ok(())
            }
            Err(_) => Err(problem("the form is not valid".to_owned())),
        })?;
        let groups = ["core", "identity", "education", "intention"];
        let groups = groups.into_iter().map(str::parse::<GroupName>).collect::<Result<_, _>>();
        let plan = of.redaction_plan(&groups.map_err(said("no group"))?);
        let redact = self.median(|| {
            plan.redact(black_box(form)).map(|cut| drop(black_box(cut))).map_err(said("no record"))
        })?;
        let key = DataKey::new(KeyId::from_bytes([1; 16]), Secret::from_bytes([2; 32]));
        let key = key.map_err(said("no key"))?;
        let ledger = crate::model::id::LedgerId::from_bytes([3; 16]);
        let client = ClientId::from_bytes([4; 16]);
        let context = AssociatedData {
            ledger: &ledger,
            subject: &[5; 16],
            client: Some(&client),
            agency: None,
            data_type: "leaver-form",
        };
        let mut number = 0_u128;
        let seal = self.median(|| {
            number = number.wrapping_add(1);
            let [_, _, _, _, nonce @ ..] = number.to_be_bytes();
            let nonce = Nonce::from_bytes(nonce);
            let sealed = key.seal(nonce, pb::PartKind::Record, &context, black_box(form));
            sealed.map(|sealed| drop(black_box(sealed))).map_err(said("not sealed"))
        })?;
        table.add("validate a leaver's form", 0, validate);
        table.add("redact it to four groups", 0, redact);
        table.add("seal it", 0, seal);
        Ok(())
    }

    fn publishing(&self, agencies: usize) -> Result<Table, CliError> {
        let mut table = Table(Vec::new());
        let mut script = Script::new(agencies)?;
        let parse = {
            let command = script.publication();
            self.median(|| {
                let parsed = Command::try_from(black_box(command.clone()));
                parsed.map(|parsed| drop(black_box(parsed))).map_err(said("malformed"))
            })?
        };
        table.add("copy and parse a publish command", agencies, parse);
        let check = {
            let command = Command::try_from(script.publication()).map_err(said("malformed"))?;
            self.median(|| script.check(black_box(&command)))?
        };
        table.add("check a publish command", agencies, check);
        let apply = self.median(|| {
            let command = script.publication();
            script.apply(command).map(drop)
        })?;
        table.add("make, parse, apply a publish command: 10 recipients", agencies, apply);
        let mut lines = Vec::new();
        for _ in 0..self.rounds {
            let number = script.subscription()?;
            let began = Instant::now();
            let found = offers::candidates(script.state(), number, script.now(), LINES);
            let looked = began.elapsed().as_secs_f64() * 1e6;
            let release = Kind::ReleaseRecords(pb::ReleaseRecords {
                agency: script.recipient(),
                subscription: "leavers".to_owned(),
                first_delivery: found.first_delivery,
                lines: found.lines,
            });
            let command = script.own(release);
            let began = Instant::now();
            let _receipt = script.apply(command)?;
            lines.push((looked, began.elapsed().as_secs_f64() * 1e6));
            script.acknowledge()?;
        }
        lines.sort_by(|one, other| one.1.total_cmp(&other.1));
        let (looked, applied) = lines.get(lines.len() / 2).copied().unwrap_or_default();
        table.add("find 64 lines to release", agencies, looked);
        table.add("parse, decide, apply their release", agencies, applied);
        Ok(table)
    }

    fn deciding(&self, agencies: usize) -> Result<Table, CliError> {
        let mut table = Table(Vec::new());
        for (flows, policies) in [(1, 0), (10, 0), (1, 2), (10, 2)] {
            let mut script = Script::new(agencies)?;
            script.flows(flows)?;
            script.policies(policies)?;
            let command = script.publication();
            let record = script.apply(command)?;
            let record = script.state().record(record.unwrap_or(RecordId::from_bytes([0; 16])));
            let record = record.ok_or_else(|| problem("no record".to_owned()))?;
            let (recipient, purpose) = (script.recipient_number()?, script.purpose());
            let question = Question::about(record, recipient, purpose, script.now());
            let cold = {
                let fresh = script.state().clone();
                let began = Instant::now();
                let decision = access::decide(&fresh, &question);
                drop(black_box(decision));
                began.elapsed().as_secs_f64() * 1e6
            };
            let warm = self.median(|| {
                drop(black_box(access::decide(script.state(), black_box(&question))));
                Ok(())
            })?;
            let what = format!("decide: {flows} flows, {policies} policies");
            table.add(&format!("{what}, nothing remembered"), agencies, cold);
            table.add(&what, agencies, warm);
        }
        Ok(table)
    }
}

/// What was measured.
struct Table(Vec<serde_json::Value>);

impl Table {
    /// `agencies` is 0 where it does not matter.
    fn add(&mut self, part: &str, agencies: usize, micros: f64) {
        let micros = (micros * 100.0).round() / 100.0;
        self.0.push(serde_json::json!({ "part": part, "agencies": agencies, "us": micros }));
    }
}
