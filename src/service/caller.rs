//! Who calls: resolved for every RPC from the certificate of the connection and from nothing else.
//!
//! A tower layer that stands before routing: no certificate, a certificate that is no longer good, a caller who is not in
//! the RPC's row of the table, a suspended agency and a flood end here with a readable error. What passes carries a
//! [`Session`] in its extensions. Headers never count. The table is in `service/callers.rs`.

use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::Either;
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::{Status, body::Body, transport::server::Connected};
use tower::{Layer, Service};

use crate::{
    identity::{acceptor::Connection, certificate::PeerCertificate, trust::Trust},
    machine::{State, read::Viewer, state::agency::AgencyNumber},
    model::{digest::Digest, id::AgencyId},
    node::{Node, Who},
    service::{
        callers::{self, Callers},
        rate::Rates,
        status::{self, Denied},
    },
};

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The connection shows no certificate.
    None,
    /// A trusted certificate that belongs to nobody.
    Unregistered {
        /// The certificate's fingerprint.
        fingerprint: Digest,
    },
    /// An enrolled agency.
    Agency {
        /// Its number.
        number: AgencyNumber,
        /// Its id.
        id: AgencyId,
        /// The fingerprint of the certificate that it used.
        fingerprint: Digest,
    },
    /// The operator.
    Operator {
        /// The certificate's fingerprint.
        fingerprint: Digest,
    },
}

impl Caller {
    /// Whose certificate it is, and whether that agency is suspended.
    pub fn of(state: &State, peer: Option<&PeerCertificate>) -> (Self, bool) {
        let Some(fingerprint) = peer.map(PeerCertificate::fingerprint) else {
            return (Self::None, false);
        };
        if state.chain().ledger.is_some() && state.chain().operator_certificate == fingerprint {
            return (Self::Operator { fingerprint }, false);
        }
        match state.agency_of_certificate(&fingerprint) {
            Some((number, agency)) => {
                let id = agency.id.clone();
                (Self::Agency { number, id, fingerprint }, agency.suspended)
            }
            None => (Self::Unregistered { fingerprint }, false),
        }
    }

    /// The agency that calls.
    ///
    /// # Errors
    /// `CALLER_NOT_ALLOWED` if it is not an agency, which the table of callers has ruled out.
    pub fn agency(&self) -> Result<(AgencyNumber, &AgencyId), Status> {
        match self {
            Self::Agency { number, id, .. } => Ok((*number, id)),
            Self::None | Self::Unregistered { .. } | Self::Operator { .. } => {
                Err(status::denied(Denied::NotForCaller))
            }
        }
    }

    /// Whose authority it acts with.
    ///
    /// # Errors
    /// `CALLER_NOT_ALLOWED` if nobody knows the caller.
    pub fn authority(&self) -> Result<Who, Status> {
        match self {
            Self::Agency { id, .. } => Ok(Who::Agency(id.clone())),
            Self::Operator { .. } => Ok(Who::Operator),
            Self::None | Self::Unregistered { .. } => Err(status::denied(Denied::NotForCaller)),
        }
    }

    /// Whose eyes it reads with.
    pub const fn viewer(&self) -> Viewer {
        match self {
            Self::Agency { number, .. } => Viewer::Agency(*number),
            Self::Operator { .. } => Viewer::Operator,
            Self::None | Self::Unregistered { .. } => Viewer::Unregistered,
        }
    }

    /// The fingerprint of the certificate, if there is one.
    pub const fn fingerprint(&self) -> Option<Digest> {
        match self {
            Self::None => None,
            Self::Unregistered { fingerprint }
            | Self::Agency { fingerprint, .. }
            | Self::Operator { fingerprint } => Some(*fingerprint),
        }
    }

    /// Whether the row lets this kind of caller in.
    const fn stands_in(&self, row: Callers) -> bool {
        match row {
            Callers::AnyCertificate => !matches!(self, Self::None),
            Callers::Invited => matches!(self, Self::Unregistered { .. } | Self::Agency { .. }),
            Callers::Agency | Callers::StoppingAgency => matches!(self, Self::Agency { .. }),
            Callers::Operator => matches!(self, Self::Operator { .. }),
            Callers::AgencyOrOperator => {
                matches!(self, Self::Agency { .. } | Self::Operator { .. })
            }
        }
    }
}

/// What everybody who is admitted is checked against.
#[derive(Debug)]
struct Door {
    node: Node,
    trust: Arc<Trust>,
    rates: Rates,
}

impl Door {
    /// Admits a caller to the RPC at `path`, or says why not.
    fn admit(self: &Arc<Self>, path: &str, peer: Option<&Peer>) -> Result<Session, Denied> {
        let peer = peer.and_then(|peer| peer.0.clone()).ok_or(Denied::NoCertificate)?;
        let row = callers::of(path);
        let caller = self.standing(&peer, row)?;
        self.rates.take(&caller).map_err(Denied::TooMany)?;
        let row = row.ok_or(Denied::NotForCaller)?;
        Ok(Session { door: Arc::clone(self), peer, row, caller })
    }

    /// A node that has ended serves nothing but what everybody sees, health among it.
    fn ended(&self, session: &Session) -> Option<Status> {
        let fault = self.node.fault().filter(|_| session.row != Callers::AnyCertificate)?;
        Some(status::faulty(&fault))
    }

    /// Who the peer is at this moment, if it may call what this row says. A path without a row is for nobody.
    fn standing(&self, peer: &PeerCertificate, row: Option<Callers>) -> Result<Caller, Denied> {
        self.trust.recheck(peer).map_err(Denied::Distrusted)?;
        let (caller, suspended) = self.node.read(|state| Caller::of(state, Some(peer)));
        match row {
            Some(Callers::AnyCertificate) => Ok(caller),
            Some(Callers::StoppingAgency) if suspended => Ok(caller),
            Some(_) | None if suspended => Err(Denied::Suspended),
            Some(row) if caller.stands_in(row) => Ok(caller),
            Some(_) | None if matches!(caller, Caller::Unregistered { .. }) => {
                Err(Denied::UnknownCertificate)
            }
            Some(_) | None => Err(Denied::NotForCaller),
        }
    }
}

/// An RPC under way: who called it, and whether it may go on.
#[derive(Clone, Debug)]
pub struct Session {
    door: Arc<Door>,
    peer: Arc<PeerCertificate>,
    row: Callers,
    caller: Caller,
}

impl Session {
    /// Who called.
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether the RPC would be admitted now, as the same caller. Streams ask this while they live (G11).
    ///
    /// # Errors
    /// Why it must end.
    pub fn recheck(&self) -> Result<(), Denied> {
        let now = self.door.standing(&self.peer, Some(self.row))?;
        if now == self.caller || self.row == Callers::Invited {
            Ok(())
        } else {
            Err(Denied::UnknownCertificate)
        }
    }
}

/// Takes a request apart: who called, and what is asked.
///
/// # Errors
/// `INTERNAL` if the request did not come through the layer.
pub fn open<T>(request: tonic::Request<T>) -> Result<(Caller, T), Status> {
    let caller = session(&request)?.caller.clone();
    Ok((caller, request.into_inner()))
}

/// The session of a request.
///
/// # Errors
/// `INTERNAL` if the request did not come through the layer.
pub fn session<T>(request: &tonic::Request<T>) -> Result<&Session, Status> {
    request
        .extensions()
        .get::<Session>()
        .ok_or_else(|| status::internal(&"a request came past the callers' layer"))
}

/// The certificate of a connection, as every request on it carries it.
#[derive(Clone, Debug)]
pub struct Peer(Option<Arc<PeerCertificate>>);

/// A connection as the gRPC server takes it.
#[derive(Debug)]
pub struct Served(Connection);

impl Served {
    /// Wraps a connection whose handshake is done.
    pub const fn new(connection: Connection) -> Self {
        Self(connection)
    }
}

impl Connected for Served {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        Peer(self.0.peer().cloned())
    }
}

impl AsyncRead for Served {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Served {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Puts the door before a service.
#[derive(Clone, Debug)]
pub struct CallerLayer(Arc<Door>);

impl CallerLayer {
    /// Admits by what `trust` trusts, the node's state knows and `rates` have left.
    pub fn new(node: Node, trust: Arc<Trust>, rates: Rates) -> Self {
        Self(Arc::new(Door { node, trust, rates }))
    }
}

impl<S> Layer<S> for CallerLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, door: Arc::clone(&self.0) }
    }
}

/// A service behind the door.
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: S,
    door: Arc<Door>,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let answer = |status: Status| Either::Right(ready(Ok(status.into_http())));
        match self.door.admit(request.uri().path(), request.extensions().get::<Peer>()) {
            Ok(session) => {
                if let Some(status) = self.door.ended(&session) {
                    return answer(status);
                }
                request.extensions_mut().insert(session);
                Either::Left(self.inner.call(request))
            }
            Err(denied) => {
                tracing::debug!(?denied, "a caller was turned away");
                answer(status::denied(denied))
            }
        }
    }
}
