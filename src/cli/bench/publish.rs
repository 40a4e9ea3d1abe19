//! The whole publish path beside a bare echo of the same message, in one process, one after the other, several times.
//!
//! The exchange and the echo each have a thread with a runtime of its own, as `serve` has; the callers have a third. The
//! ledger's appender and the store's writer have theirs. What is measured is told by [`Publish::tell_what`].

use std::{
    cell::Cell,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use clap::Args;
use prost::Message;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};
use tonic::transport::Channel;

use crate::{
    cli::{
        bench::{
            Place, Setting,
            cost::Cost,
            echo,
            figures::{Runs, Side},
            load::{self, Work},
            people, problem, said,
            world::{self, PURPOSE},
        },
        error::CliError,
        output::{Column, Output, words},
    },
    clock::{Clock, Entropy},
    identity::{
        acceptor::{self, Incoming},
        file::ServerFiles,
        time::TimeSource,
        trust::Trust,
    },
    node::Node,
    pb::v1 as pb,
    service::server::Limits,
};

/// The RPCs that are measured.
const PUBLISH_ONE: &str = "/concordat.v1.ExchangeService/PublishRecord";
const PUBLISH_MANY: &str = "/concordat.v1.ExchangeService/PublishRecords";
/// What each scenario is called in the result.
const UNARY: &str = "publish_unary";
const STREAM: &str = "publish_stream";

/// Measure publishing beside a bare echo of the same message.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    #[command(flatten)]
    setting: Setting,
    /// How many requests are in flight at once.
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_value = "1,16,64,256")]
    in_flight: Vec<usize>,
    /// How often everything is measured, interleaved.
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    runs: usize,
    /// Also say what each publication costs, thread by thread.
    #[arg(long)]
    cost: bool,
}

/// What people are shown.
const COLUMNS: [Column; 9] = [
    ("SCENARIO", "scenario"),
    ("IN FLIGHT", "in_flight"),
    ("METRIC", "metric"),
    ("UNIT", "unit"),
    ("MEDIAN", "value"),
    ("MIN", "min"),
    ("MAX", "max"),
    ("ECHO", "peer_value"),
    ("RATIO", "ratio"),
];

/// The two servers, as the callers see them.
struct Peers {
    node: Node,
    exchange: String,
    echo: String,
    profile: PathBuf,
}

impl Publish {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let place = Place::of(self.setting.data.as_deref())?;
        let peers = Peers::start(place.path().to_owned(), self.setting.recipients).await?;
        let drafts = Rc::new(Drafts::new(people::forms(self.setting.clients)));
        self.tell_what(place.path(), drafts.request().1.encoded_len());
        self.enter(&peers, &drafts).await?;
        let mut runs = Runs::default();
        for run in 1..=self.runs {
            words(format!("run {run} of {}", self.runs));
            for in_flight in &self.in_flight {
                self.round(&peers, &drafts, *in_flight, &mut runs).await?;
            }
        }
        peers.hold(&drafts)?;
        let rows: Vec<Value> = runs.rows().iter().map(|row| json!(row)).collect();
        output.rows(&COLUMNS, &rows)
    }

    /// Says what is measured and how, so that no figure stands without its circumstances.
    fn tell_what(&self, place: &Path, bytes: usize) {
        let Setting { clients, recipients, window, .. } = &self.setting;
        words(format!(
            "The exchange: mutual TLS on loopback, one unary call or one stream message per record of {bytes} bytes; each is \
             validated, sealed, decided, written to the ledger in {} and synced (fdatasync) before it is answered; \
             every receipt is checked. One publisher, {clients} invented clients round robin, a new record each time; an \
             active agreement with {recipients} recipients, each with one subscription whose queue takes every record and \
             that nobody reads meanwhile. The limit of calls in a second is lifted.",
            place.display(),
        ));
        words(format!(
            "The echo: the same bytes sent back unread, behind the same TLS acceptor and HTTP/2 bounds. At most {} unary \
             calls on one connection, one stream on one connection; callers and servers share this machine. Windows of \
             {window} s after a warm-up of {:.1} s, interleaved, {} runs: medians, least and greatest.",
            STREAMS,
            window * 0.2,
            self.runs,
        ));
    }

    /// Publishes one record about each client, so that every client and its keys are known.
    async fn enter(&self, peers: &Peers, drafts: &Rc<Drafts>) -> Result<(), CliError> {
        let channels = peers.connect(&peers.exchange, 256).await?;
        let work = Rc::new(Publishing { drafts: Rc::clone(drafts), streamed: false });
        while drafts.published.get() < drafts.forms.len() {
            let length = Duration::from_millis(200);
            let _window = load::unary(&channels, PUBLISH_ONE, &work, (256, length)).await?;
        }
        Ok(())
    }

    /// One window of each of the four.
    async fn round(
        &self,
        peers: &Peers,
        drafts: &Rc<Drafts>,
        in_flight: usize,
        runs: &mut Runs,
    ) -> Result<(), CliError> {
        let pace = (in_flight, Duration::from_secs_f64(self.setting.window));
        let own = peers.connect(&peers.exchange, in_flight).await?;
        let others = peers.connect(&peers.echo, in_flight).await?;
        let publishing = |streamed| Rc::new(Publishing { drafts: Rc::clone(drafts), streamed });
        let echoing = Rc::new(Echoing::new(drafts));
        let unary = load::unary(&others, echo::ONE, &echoing, pace).await?;
        runs.add(UNARY, in_flight, Side::Echo, unary);
        let (before, from) = (Cost::now(), drafts.published.get());
        let unary = load::unary(&own, PUBLISH_ONE, &publishing(false), pace).await?;
        runs.add(UNARY, in_flight, Side::Exchange, unary);
        self.tell_cost(UNARY, in_flight, &before, drafts.published.get().saturating_sub(from));
        let (Some(own), Some(other)) = (own.first(), others.first()) else { return Ok(()) };
        let stream = load::stream(other, echo::MANY, &echoing, pace).await?;
        runs.add(STREAM, in_flight, Side::Echo, stream);
        let (before, from) = (Cost::now(), drafts.published.get());
        let stream = load::stream(own, PUBLISH_MANY, &publishing(true), pace).await?;
        runs.add(STREAM, in_flight, Side::Exchange, stream);
        self.tell_cost(STREAM, in_flight, &before, drafts.published.get().saturating_sub(from));
        Ok(())
    }

    fn tell_cost(&self, scenario: &str, in_flight: usize, before: &Cost, published: usize) {
        if !self.cost {
            return;
        }
        words(format!("{scenario}, {in_flight} in flight: {published} records"));
        for (thread, micros) in Cost::now().since(before, published) {
            words(format!("    {thread:16} {micros:7.1} us each"));
        }
    }
}

/// How many unary calls go over one connection: what the exchange allows.
const STREAMS: usize = 64;

impl Peers {
    /// Founds the exchange and starts both servers, each on a thread of its own.
    async fn start(data: PathBuf, recipients: usize) -> Result<Self, CliError> {
        let tls = data.join("tls");
        let (node, exchange, profile) =
            beside("exchange", move |ready| serve_exchange(data, recipients, ready)).await?;
        let echo = beside("echo", move |ready| serve_echo(tls, ready)).await?;
        Ok(Self { node, exchange, echo, profile })
    }

    async fn connect(&self, address: &str, in_flight: usize) -> Result<Vec<Channel>, CliError> {
        let connections = in_flight.div_ceil(STREAMS);
        load::connect(address, &self.profile, time(), connections).await
    }

    /// Holds that there is a record for every receipt.
    fn hold(&self, drafts: &Drafts) -> Result<(), CliError> {
        let records = self.node.read(|state| state.tables().records.len());
        let receipts = drafts.published.get();
        words(format!("{receipts} receipts, {records} records in the state"));
        if records == receipts { Ok(()) } else { Err(problem("receipts and records differ")) }
    }
}

fn time() -> TimeSource {
    let clock = Clock::system();
    TimeSource::new(move || clock.now())
}

/// Where a server says that it serves, or why not.
type Ready<T> = oneshot::Sender<Result<T, CliError>>;

/// Runs a server on a thread with a runtime of its own, until the process ends.
async fn beside<T, F>(
    name: &str,
    serve: impl FnOnce(Ready<T>) -> F + Send + 'static,
) -> Result<T, CliError>
where
    T: Send + 'static,
    F: Future<Output = ()>,
{
    let (ready, started) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(said("there is no runtime"))?;
    let thread = thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || runtime.block_on(serve(ready)))
        .map_err(said("there is no thread"))?;
    drop(thread);
    started.await.map_err(said("a server ended"))?
}

async fn serve_exchange(data: PathBuf, recipients: usize, ready: Ready<(Node, String, PathBuf)>) {
    match world::start(&data, recipients).await {
        Ok((mut running, members)) => {
            let profile = members.first().map(|member| member.profile.directory.clone());
            let seen = (running.node().clone(), running.endpoint(), profile.unwrap_or_default());
            if ready.send(Ok(seen)).is_ok() {
                words(running.ended().await);
            }
        }
        Err(error) => drop(ready.send(Err(error))),
    }
}

async fn serve_echo(tls: PathBuf, ready: Ready<String>) {
    match listen(&tls).await {
        Ok((incoming, address)) => {
            if ready.send(Ok(address)).is_ok()
                && let Err(error) = echo::serve(incoming, &Limits::default()).await
            {
                words(error);
            }
        }
        Err(error) => drop(ready.send(Err(error))),
    }
}

async fn listen(tls: &Path) -> Result<(Incoming, String), CliError> {
    let trust = Trust::open(ServerFiles::in_directory(tls), time())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.map_err(said("nothing can be listened on"))?;
    let incoming = Incoming::new(listener, Arc::clone(&trust), acceptor::Limits::default());
    let address = incoming.local_address().map_err(said("the listener has no address"))?;
    Ok((incoming, format!("https://{address}")))
}

/// The requests that are published: each about the next client, under a new request id.
struct Drafts {
    forms: Vec<Bytes>,
    /// Random, the same for all request ids of this process.
    random: [u8; 4],
    clock: Clock,
    next: Cell<u64>,
    published: Cell<usize>,
}

impl Drafts {
    fn new(forms: Vec<Vec<u8>>) -> Self {
        Self {
            forms: forms.into_iter().map(Bytes::from).collect(),
            random: Entropy::system().bytes(),
            clock: Clock::system(),
            next: Cell::new(1),
            published: Cell::new(0),
        }
    }

    /// A request id whose last 48 bits are `number`.
    fn request_id(&self, number: u64) -> String {
        let mut random = [0; 10];
        let [_, _, low @ ..] = number.to_be_bytes();
        for (to, byte) in random.iter_mut().zip(self.random.into_iter().chain(low)) {
            *to = byte;
        }
        uuid::Builder::from_unix_timestamp_millis(self.clock.now().millis(), &random)
            .into_uuid()
            .to_string()
    }

    fn request(&self) -> (u64, pb::PublishRecordRequest) {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let clients = u64::try_from(self.forms.len().max(1)).unwrap_or(1);
        let place = usize::try_from(number % clients).unwrap_or_default();
        let context = pb::RequestContext {
            purpose: i32::from(PURPOSE),
            actor: Some(pb::request_context::Actor::Unattended(true)),
            held_checkpoint: String::new(),
        };
        let record = pb::RecordDraft {
            record_type: "leaver-form".to_owned(),
            type_version: 0,
            body: self.forms.get(place).cloned().unwrap_or_default(),
            supersedes: String::new(),
            change: 0,
        };
        let request = pb::PublishRecordRequest {
            context: Some(context),
            request_id: self.request_id(number),
            record: Some(record),
            validate_only: false,
        };
        (number, request)
    }
}

/// Publishing, one by one or in a stream: the two requests are alike on the wire.
struct Publishing {
    drafts: Rc<Drafts>,
    streamed: bool,
}

impl Work for Publishing {
    fn next(&self) -> (u64, Bytes) {
        let (number, request) = self.drafts.request();
        (number, request.encode_to_vec().into())
    }

    fn check(&self, answer: &Bytes) -> Result<Option<u64>, CliError> {
        let malformed = said("an answer does not decode");
        let (number, receipt) = if self.streamed {
            let answer = pb::PublishRecordsResponse::decode(answer.clone()).map_err(malformed)?;
            let number = answer.request_id.get(24..).map(|low| u64::from_str_radix(low, 16));
            let Some(Ok(number)) = number else {
                return Err(problem("an answer names no request".to_owned()));
            };
            match answer.outcome {
                Some(pb::publish_records_response::Outcome::Receipt(receipt)) => {
                    (Some(number), Some(receipt))
                }
                Some(pb::publish_records_response::Outcome::Error(error)) => {
                    return Err(problem(format!("a record was refused: {error:?}")));
                }
                None => (Some(number), None),
            }
        } else {
            (None, pb::PublishRecordResponse::decode(answer.clone()).map_err(malformed)?.receipt)
        };
        match receipt {
            Some(receipt) if receipt.record.starts_with("records/") => {
                self.drafts.published.set(self.drafts.published.get().saturating_add(1));
                Ok(number)
            }
            Some(_) | None => Err(problem("a receipt names no record".to_owned())),
        }
    }
}

/// The same message, sent back.
struct Echoing {
    message: Bytes,
    sent: Cell<u64>,
}

impl Echoing {
    fn new(drafts: &Drafts) -> Self {
        let message = drafts.request().1.encode_to_vec().into();
        Self { message, sent: Cell::new(0) }
    }
}

impl Work for Echoing {
    fn next(&self) -> (u64, Bytes) {
        let number = self.sent.get();
        self.sent.set(number.wrapping_add(1));
        (number, self.message.clone())
    }

    fn check(&self, answer: &Bytes) -> Result<Option<u64>, CliError> {
        if *answer == self.message { Ok(None) } else { Err(problem("an echo differs".to_owned())) }
    }
}
