//! The TLS acceptor: a stream of connections that finished their handshake.
//!
//! It decides nothing about callers: a caller without a certificate comes through with no peer and is answered by the
//! service; any other bad certificate ends here, in a TLS alert (`docs/operating.md`, "Certificate errors"). Each
//! handshake is a task of its own under a deadline, so a slow one delays nobody. When too many are under way the oldest
//! is dropped: an honest handshake takes milliseconds, the oldest one stalls. Each caller may hold only so many
//! connections, and all callers without a certificate together only so many.

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::Stream;
use rustls::ProtocolVersion;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::identity::{
    certificate::PeerCertificate,
    place::{Place, Places},
    trust::Trust,
};

/// How long accepting pauses when the system is out of file descriptors or memory.
const PAUSE: Duration = Duration::from_millis(50);
/// How much a refused caller may still send while it reads its alert, in bytes.
const REFUSED_BYTES_MAX: u64 = 64 << 10;

/// The bounds of the acceptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long one handshake may take.
    pub handshake_timeout: Duration,
    /// How many handshakes may be under way at once, at least 1.
    pub handshakes_max: usize,
    /// How many connections one certificate key may hold.
    pub connections_per_caller_max: usize,
    /// How many connections callers without a certificate may hold, all together.
    pub connections_without_certificate_max: usize,
}

impl Default for Limits {
    /// 5 s, 1,024 handshakes, 256 connections per caller, 64 for those without a certificate.
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(5),
            handshakes_max: 1_024,
            connections_per_caller_max: 256,
            connections_without_certificate_max: 64,
        }
    }
}

/// The connections of one listener, in the order in which their handshakes end. It never ends by itself.
///
/// Dropping it closes the listener and every handshake under way; connections already yielded live on.
#[derive(Debug)]
pub struct Incoming {
    listener: TcpListener,
    door: Door,
    handshakes: JoinSet<Finished>,
    // By number, which grows: the first one is the oldest.
    under_way: BTreeMap<u64, AbortHandle>,
    next_number: u64,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    /// Accepts from `listener` what `trust` trusts at the moment of each handshake.
    pub fn new(listener: TcpListener, trust: Arc<Trust>, limits: Limits) -> Self {
        Self {
            listener,
            door: Door { trust, limits, places: Places::default() },
            handshakes: JoinSet::new(),
            under_way: BTreeMap::new(),
            next_number: 0,
            pause: None,
        }
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn accept_waiting(&mut self, context: &mut Context<'_>) {
        loop {
            if let Some(pause) = &mut self.pause {
                if pause.as_mut().poll(context).is_pending() {
                    return;
                }
                self.pause = None;
            }
            match self.listener.poll_accept(context) {
                Poll::Pending => return,
                Poll::Ready(Ok((stream, remote))) => self.begin(stream, remote),
                Poll::Ready(Err(cause)) if concerns_one_connection(&cause) => {}
                Poll::Ready(Err(cause)) => {
                    tracing::warn!(%cause, "accepting connections pauses");
                    self.pause = Some(Box::pin(sleep(PAUSE)));
                }
            }
        }
    }

    fn begin(&mut self, stream: TcpStream, remote: SocketAddr) {
        while self.door.limits.handshakes_max.max(1) <= self.under_way.len() {
            if let Some((_, oldest)) = self.under_way.pop_first() {
                oldest.abort();
                tracing::warn!("too many handshakes are under way; the oldest is dropped");
            }
        }
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        let door = self.door.clone();
        let task = self.handshakes.spawn(async move {
            let deadline = door.limits.handshake_timeout;
            let connection =
                timeout(deadline, door.admit(stream, remote)).await.unwrap_or_else(|_| {
                    tracing::debug!("a handshake took too long");
                    None
                });
            Finished { number, connection }
        });
        self.under_way.insert(number, task);
    }
}

impl Stream for Incoming {
    type Item = Connection;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Connection>> {
        let this = self.get_mut();
        this.accept_waiting(context);
        loop {
            match ready!(this.handshakes.poll_join_next(context)) {
                // No handshake is under way; the listener will wake this task.
                None => return Poll::Pending,
                Some(Ok(Finished { number, connection })) => {
                    this.under_way.remove(&number);
                    if connection.is_some() {
                        return Poll::Ready(connection);
                    }
                }
                // Dropped to make room; it is no longer in `under_way`.
                Some(Err(_)) => {}
            }
        }
    }
}

#[derive(Debug)]
struct Finished {
    number: u64,
    connection: Option<Connection>,
}

// One connection died before it was accepted; the listener is as good as before (accept(2)).
fn concerns_one_connection(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// What every handshake needs.
#[derive(Clone, Debug)]
struct Door {
    trust: Arc<Trust>,
    limits: Limits,
    places: Places,
}

impl Door {
    /// Shakes hands with a caller and finds it a place; `None` if it is turned away.
    async fn admit(self, stream: TcpStream, remote: SocketAddr) -> Option<Connection> {
        // A socket that refuses the option serves all the same, only slower.
        stream.set_nodelay(true).ok();
        let (config, generation) = self.trust.handshake();
        let mut stream = match TlsAcceptor::from(config).accept(stream).into_fallible().await {
            Ok(stream) => stream,
            Err((cause, socket)) => {
                tracing::debug!(%cause, "a handshake was refused");
                see_off(socket).await;
                return None;
            }
        };
        let peer = match stream.get_ref().1.peer_certificates() {
            None => None,
            // `?`: a certificate that rustls verified and this crate cannot parse; nobody knows who that is.
            Some(chain) => Some(Arc::new(PeerCertificate::verified(chain, generation)?)),
        };
        let Some(place) = self.place_of(peer.as_deref()) else {
            tracing::warn!("a caller holds too many connections; the newest is closed");
            stream.shutdown().await.ok();
            return None;
        };
        Some(Connection { stream, remote, peer, _place: place })
    }

    fn place_of(&self, peer: Option<&PeerCertificate>) -> Option<Place> {
        let Limits { connections_per_caller_max, connections_without_certificate_max, .. } =
            self.limits;
        let places_max = match peer {
            Some(_) => connections_per_caller_max,
            None => connections_without_certificate_max,
        };
        self.places.take(peer.map(PeerCertificate::fingerprint), places_max)
    }
}

// The alert is written. Closing while the caller still sends would reset the connection and could destroy the alert
// before it is read: so say that nothing more comes, and read on until the caller closes. The handshake's deadline bounds
// this as well.
async fn see_off(mut socket: TcpStream) {
    if socket.shutdown().await.is_ok() {
        let mut rest = socket.take(REFUSED_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.ok();
    }
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    remote: SocketAddr,
    peer: Option<Arc<PeerCertificate>>,
    // Given back when the connection is dropped.
    _place: Place,
}

impl Connection {
    /// The caller's verified certificate, or `None` if it presented none.
    pub const fn peer(&self) -> Option<&Arc<PeerCertificate>> {
        self.peer.as_ref()
    }

    /// Where the connection comes from. No identity: for limits and the log.
    pub const fn remote_address(&self) -> SocketAddr {
        self.remote
    }

    /// The negotiated version of TLS: 1.2 or 1.3.
    pub fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.stream.get_ref().1.protocol_version()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
