//! The callers: closed loops that keep a number of requests in flight over mutual TLS, and check every answer.

use std::{cell::RefCell, collections::BTreeMap, path::Path, rc::Rc, time::Duration};

use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request,
    client::Grpc,
    transport::{Channel, Endpoint},
};

use crate::{
    cli::{
        bench::{figures::Window, problem, raw::Raw, said},
        error::CliError,
    },
    identity::{channel::Connector, time::TimeSource},
};

/// How much a connection and a stream may carry unread, in bytes.
const WINDOW_BYTES: u32 = 4 << 20;
/// The part of a window that passes before anything counts.
const WARM: f64 = 0.2;

/// What is asked, again and again, and how an answer is told to be right.
pub(super) trait Work: 'static {
    /// The next request and the number by which its answer is known.
    fn next(&self) -> (u64, Bytes);
    /// Holds that `answer` is right. The number of its request, if answers say so; if not they come in order.
    fn check(&self, answer: &Bytes) -> Result<Option<u64>, CliError>;
}

/// Connections to one address as one caller.
pub(super) async fn connect(
    address: &str,
    profile: &Path,
    time: TimeSource,
    connections: usize,
) -> Result<Vec<Channel>, CliError> {
    let connector = Connector::open(profile, time).map_err(said("no profile"))?;
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(said("no address"))?
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    let mut channels = Vec::new();
    for _ in 0..connections {
        let channel = endpoint.connect_with_connector(connector.clone()).await;
        channels.push(channel.map_err(said("no connection"))?);
    }
    Ok(channels)
}

/// When a window began to count and when it ends.
#[derive(Clone, Copy)]
struct Clockface {
    counts: Instant,
    ends: Instant,
}

impl Clockface {
    fn starting(length: Duration) -> Self {
        let now = Instant::now();
        let counts = now + length.mul_f64(WARM);
        Self { counts, ends: counts + length }
    }

    /// The time that an answer took, if it counts.
    fn took(&self, asked: Instant, answered: Instant) -> Option<u32> {
        let counts = self.counts <= answered && answered < self.ends;
        counts.then(|| u32::try_from((answered - asked).as_micros()).unwrap_or(u32::MAX))
    }

    fn window(&self, micros: Vec<u32>) -> Window {
        Window::of(micros, self.ends - self.counts)
    }
}

/// Keeps `in_flight` unary calls under way.
pub(super) async fn unary<W: Work>(
    channels: &[Channel],
    path: &'static str,
    work: &Rc<W>,
    (in_flight, length): (usize, Duration),
) -> Result<Window, CliError> {
    let clock = Clockface::starting(length);
    let micros = Rc::new(RefCell::new(Vec::new()));
    let mut loops = Vec::new();
    for channel in channels.iter().cycle().take(in_flight) {
        let (work, micros) = (Rc::clone(work), Rc::clone(&micros));
        let mut grpc = Grpc::new(channel.clone());
        loops.push(tokio::task::spawn_local(async move {
            while Instant::now() < clock.ends {
                grpc.ready().await.map_err(said("no connection"))?;
                let (_, request) = work.next();
                let asked = Instant::now();
                let path = PathAndQuery::from_static(path);
                let answer = grpc.unary(Request::new(request), path, Raw).await;
                let answer = answer.map_err(said("a call failed"))?.into_inner();
                let _number = work.check(&answer)?;
                micros.borrow_mut().extend(clock.took(asked, Instant::now()));
            }
            Ok::<_, CliError>(())
        }));
    }
    for one in loops {
        one.await.map_err(said("a caller ended"))??;
    }
    Ok(clock.window(micros.take()))
}

/// Keeps `in_flight` messages of one stream under way.
pub(super) async fn stream<W: Work>(
    channel: &Channel,
    path: &'static str,
    work: &Rc<W>,
    (in_flight, length): (usize, Duration),
) -> Result<Window, CliError> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(said("no connection"))?;
    let (requests, stream) = mpsc::channel(in_flight);
    let path = PathAndQuery::from_static(path);
    let outgoing = Request::new(ReceiverStream::new(stream));
    let mut asked = BTreeMap::new();
    let clock = Clockface::starting(length);
    let mut micros = Vec::new();
    let send = |asked: &mut BTreeMap<u64, Instant>| {
        let (number, request) = work.next();
        let _before = asked.insert(number, Instant::now());
        requests.try_send(request).map_err(said("the stream takes nothing more"))
    };
    for _ in 0..in_flight {
        send(&mut asked)?;
    }
    let answers = grpc.streaming(outgoing, path, Raw).await;
    let mut answers = answers.map_err(said("the stream failed"))?.into_inner();
    while !asked.is_empty() {
        let answer = answers.message().await.map_err(said("the stream failed"))?;
        let answer = answer.ok_or_else(|| problem("the stream ended early".to_owned()))?;
        let found = match work.check(&answer)? {
            Some(number) => asked.remove(&number),
            None => asked.pop_first().map(|(_, at)| at),
        };
        let Some(at) = found else {
            return Err(problem("an answer is for no request".to_owned()));
        };
        let now = Instant::now();
        micros.extend(clock.took(at, now));
        if now < clock.ends {
            send(&mut asked)?;
        }
    }
    Ok(clock.window(micros))
}
