//! The node without a network: validation, sealing, decision, ledger and store, called from inside the process.
//!
//! What it costs here and not in `publish` is the node; the difference is the transport.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use clap::Args;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    cli::{
        bench::{
            Place, Setting,
            cost::Cost,
            figures::Window,
            people, problem, said,
            world::{self, Member},
        },
        error::CliError,
        output::{Column, Output, words},
    },
    node::{Node, Publication},
    pb::ledger::v1::VersionChange,
    record::registry::EdgeContext,
};

/// Publish inside one process.
#[derive(Debug, Args)]
pub(crate) struct Inside {
    #[command(flatten)]
    setting: Setting,
    /// How many records are under way at once.
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_value = "1,16,64,256")]
    in_flight: Vec<usize>,
}

impl Inside {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let Setting { data, clients, recipients, window } = self.setting;
        let place = Place::of(data.as_deref())?;
        let (running, members) = world::start(place.path(), recipients).await?;
        let Some(publisher) = members.into_iter().next() else { return Ok(()) };
        let source = Rc::new(Source {
            node: running.node().clone(),
            publisher,
            forms: people::forms(clients),
            next: Cell::new(0),
        });
        let enter = closed_loop(&source, 256, Until::Pieces(clients)).await?;
        words(format!("{clients} clients entered: {:.0}/s", enter.throughput));
        let mut rows = Vec::new();
        for in_flight in self.in_flight {
            let (before, entries, from) = (Cost::now(), head(running.node()), source.next.get());
            let until = Until::Time(Duration::from_secs_f64(window));
            let window = closed_loop(&source, in_flight, until).await?;
            let count = source.next.get().saturating_sub(from);
            rows.push(json!({
                "in_flight": in_flight,
                "throughput": window.throughput.round(),
                "p50": window.p50,
                "p99": window.p99,
                "entries": head(running.node()).saturating_sub(entries),
            }));
            for (thread, micros) in Cost::now().since(&before, count) {
                words(format!("{in_flight:5} in flight: {thread:16} {micros:7.1} us each"));
            }
        }
        running.stop().await;
        output.rows(&COLUMNS, &rows)
    }
}

const COLUMNS: [Column; 5] = [
    ("IN FLIGHT", "in_flight"),
    ("RECORDS/S", "throughput"),
    ("P50 MS", "p50"),
    ("P99 MS", "p99"),
    ("ENTRIES", "entries"),
];

fn head(node: &Node) -> u64 {
    node.ledger().head().0.count()
}

/// Where records come from.
struct Source {
    node: Node,
    publisher: Member,
    forms: Vec<Vec<u8>>,
    next: Cell<usize>,
}

/// How long it goes on.
#[derive(Clone, Copy)]
enum Until {
    Pieces(usize),
    Time(Duration),
}

impl Source {
    async fn publish(&self) -> Result<(), CliError> {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let form = number.checked_rem(self.forms.len()).and_then(|place| self.forms.get(place));
        let Some(form) = form else { return Err(problem("there are no clients".to_owned())) };
        let asked = self.publisher.asked(&self.node)?;
        let name = "leaver-form".parse().map_err(said("no record type"))?;
        let Some(of) = self.node.registry().record_type(&name) else {
            return Err(problem("there is no leaver's form".to_owned()));
        };
        let context =
            EdgeContext { today: Timestamp::now().to_zoned_datetime(TimeZone::UTC).date() };
        let valid = of
            .validate(form, &context)
            .map_err(|violations| problem(format!("a form is not valid: {violations:?}")))?;
        let publication = Publication {
            record_type: name,
            type_version: valid.type_version,
            code_lists: valid.code_lists.into(),
            groups: valid.groups_present,
            body: valid.body,
            identifiers: valid.identifiers,
            supersedes: None,
            change: VersionChange::Unspecified,
        };
        let outcome = self.node.publish(&asked, &publication).await;
        let outcome =
            outcome.map_err(|failure| problem(format!("publishing failed: {failure:?}")))?;
        outcome.map(drop).map_err(said("a record was refused"))
    }
}

async fn closed_loop(
    source: &Rc<Source>,
    in_flight: usize,
    until: Until,
) -> Result<Window, CliError> {
    let began = Instant::now();
    let micros = Rc::new(RefCell::new(Vec::new()));
    let started = Rc::new(Cell::new(0_usize));
    let mut loops = Vec::new();
    for _ in 0..in_flight {
        let (source, micros, started) =
            (Rc::clone(source), Rc::clone(&micros), Rc::clone(&started));
        loops.push(tokio::task::spawn_local(async move {
            loop {
                let over = match until {
                    Until::Pieces(pieces) => pieces <= started.get(),
                    Until::Time(length) => length <= began.elapsed(),
                };
                if over {
                    return Ok::<_, CliError>(());
                }
                started.set(started.get().saturating_add(1));
                let asked = Instant::now();
                source.publish().await?;
                let took = u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX);
                micros.borrow_mut().push(took);
            }
        }));
    }
    for one in loops {
        one.await.map_err(said("a task ended"))??;
    }
    Ok(Window::of(micros.take(), began.elapsed()))
}
