//! A running exchange, put together: files, ledger, keyring, store, node, certificates, service.
//!
//! The one place that composes. `serve` runs it in earnest; whoever wants an exchange in its own process uses it too.
//! INVARIANT (copy): rows of the store are used only if their digest is the one that was written with them and the ledger
//! reaches as far; on any doubt they are moved aside and the state is replayed from the ledger.

use std::{
    env, fmt, fs,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use futures::StreamExt;
use tokio::{net::TcpListener, sync::watch, task};

use crate::{
    cli::{
        error::{CliError, Exit},
        hex,
    },
    clock::{Clock, Entropy},
    identity::{
        acceptor::{self, Incoming},
        development::DevelopmentAuthority,
        file::{self, Secrecy, ServerFiles},
        signing::SigningKey,
        time::TimeSource,
        trust::Trust,
        upkeep::Upkeep,
    },
    keyring::{EpochId, Keyring, NewEpoch},
    ledger::{
        AnyLedger, Ledger, checkpoint,
        disk::OsDisk,
        segment::{self, Segment},
    },
    machine::{
        State,
        command::{Kind, Parsed, exchange::ExchangeCommand},
        state::SCHEMA,
    },
    model::{
        digest::Digest,
        id::LedgerId,
        order::{Position, TreeSize},
    },
    node::{self, Beginning, Founding, Node, Parts},
    record::registry::Registry,
    seal::Secret,
    service::server,
    store::{Store, StoreWriter, VERIFY_DEADLINE, Verifier},
};

/// Where an exchange keeps what, in its data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFiles {
    /// The segments of the ledger.
    pub ledger: PathBuf,
    /// The key-encryption epochs.
    pub keyring: PathBuf,
    /// The seed of the key that signs checkpoints, 64 hexadecimal digits.
    pub checkpoint_key: PathBuf,
    /// The copy of the state.
    pub store: PathBuf,
}

impl DataFiles {
    /// The files under their usual names in `directory`.
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            ledger: directory.join("ledger"),
            keyring: directory.join("keyring"),
            checkpoint_key: directory.join("checkpoint.key"),
            store: directory.join("store"),
        }
    }
}

/// What was founded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founded {
    /// The ledger's name.
    pub ledger: LedgerId,
    /// The key that signs its checkpoints, as witnesses and other tools take it.
    pub verifier_key: String,
}

/// Founds an exchange in the directory `data`, which is made if need be, for the operator of that certificate.
///
/// # Errors
/// There is one already, or the directory cannot be written.
pub async fn found(
    data: &Path,
    operator_certificate: Digest,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<Founded, CliError> {
    make_private_directory(data)?;
    let files = DataFiles::in_directory(data);
    for path in [&files.ledger, &files.keyring, &files.checkpoint_key] {
        if path.exists() {
            let what = format!("`{}` exists already", path.display());
            return Err(CliError::new(Exit::Conflict, what)
                .because("a ledger is founded once, on an empty directory")
                .fixed_by(
                    "name another directory; to begin anew, remove this one and all it holds",
                ));
        }
    }
    let ledger = LedgerId::from_bytes(entropy.bytes());
    let seed: [u8; 32] = entropy.bytes();
    let checkpoint_key = SigningKey::from_seed(&seed)?.public();
    let text = zeroize::Zeroizing::new(format!("{}\n", hex::of(&seed)));
    file::replace(&files.checkpoint_key, text.as_bytes(), Secrecy::Private)?;
    let first = NewEpoch {
        id: EpochId::from_bytes(entropy.bytes()),
        secret: Secret::from_bytes(entropy.bytes()),
        opened_at: clock.now(),
    };
    let keyring = Keyring::create(&files.keyring, ledger, first)?;
    let founding = Founding {
        ledger,
        operator_certificate,
        checkpoint_key,
        record_types: node::registrations(&registry()?),
    };
    let disk =
        OsDisk::create(&files.ledger).map_err(|cause| CliError::file(&files.ledger, &cause))?;
    let segments = AnyLedger::Segment(Segment::open(disk, segment::Options::default())?);
    node::found(&segments, &keyring, clock, entropy, &founding).await?;
    let origin = format!("concordat/{ledger}");
    Ok(Founded { ledger, verifier_key: checkpoint::verifier_key(&origin, &checkpoint_key) })
}

/// How an exchange is to run.
#[derive(Debug)]
pub struct Options {
    /// Where it keeps its data.
    pub data: PathBuf,
    /// Where its certificates lie.
    pub tls: PathBuf,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What verifies the store.
    pub verifier: Verifier,
    /// The clock.
    pub clock: Clock,
    /// The source of random bytes.
    pub entropy: Entropy,
    /// The bounds of the server.
    pub limits: server::Limits,
}

impl Options {
    /// With the system's clock and entropy, the usual bounds, and this program as the verifier of the store.
    ///
    /// # Errors
    /// The operating system does not say where this program lies.
    pub fn system(data: PathBuf, tls: PathBuf, listen: SocketAddr) -> Result<Self, CliError> {
        let program = env::current_exe().map_err(|cause| {
            CliError::new(Exit::Other, "this program does not know where it lies")
                .because(cause.to_string())
        })?;
        let verifier = Verifier::ChildProcess { program, deadline: VERIFY_DEADLINE };
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let limits = server::Limits::default();
        Ok(Self { data, tls, listen, verifier, clock, entropy, limits })
    }
}

/// How long calls under way may go on when the exchange stops, and once more after the node has stopped.
const GRACE: Duration = Duration::from_secs(5);

/// An exchange that runs.
pub struct Running {
    node: Node,
    address: SocketAddr,
    beginning: Beginning,
    stopping: watch::Sender<bool>,
    server: task::JoinHandle<Result<(), CliError>>,
    upkeep: task::JoinHandle<()>,
    appender: Option<JoinHandle<()>>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Running {
    /// Starts an exchange on the present runtime. When this returns it answers.
    ///
    /// # Errors
    /// The ledger was never founded or does not verify, a file is missing, or the address is taken.
    pub async fn start(options: Options) -> Result<Self, CliError> {
        let Options { data, tls, listen, verifier, clock, entropy, limits } = options;
        let trust = trust(&tls, &clock)?;
        let listener = TcpListener::bind(listen).await.map_err(|cause| {
            CliError::new(Exit::Unavailable, format!("{listen} cannot be listened on"))
                .because(cause.to_string())
                .fixed_by("stop what uses the port, or choose another one by --listen")
        })?;
        let parts = parts(&DataFiles::in_directory(&data), &verifier, clock, entropy).await?;
        let (node, tasks, beginning) = Node::start(parts).await?;
        let appender = tasks.spawn().map_err(|cause| {
            CliError::new(Exit::Unavailable, "the operating system gives no thread")
                .because(cause.to_string())
        })?;
        let address = listener.local_addr().map_err(|cause| {
            CliError::new(Exit::Other, "the listener has no address").because(cause.to_string())
        })?;
        let authority = development_authority(&tls)?;
        let upkeep = tokio::spawn(Upkeep::new(Arc::clone(&trust), authority).run());
        let (stopping, stop) = watch::channel(false);
        let server = tokio::spawn(serve(node.clone(), trust, (listener, limits), stop));
        tracing::info!(%address, replayed = beginning.replayed, "the exchange is ready");
        Ok(Self { node, address, beginning, stopping, server, upkeep, appender: Some(appender) })
    }

    /// The node.
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as callers give it.
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    /// What the start found.
    pub const fn beginning(&self) -> Beginning {
        self.beginning
    }

    /// Resolves when the exchange can serve no longer, with the reason: then the process must end.
    pub async fn ended(&mut self) -> CliError {
        tokio::select! {
            fault = self.node.broken() => {
                let what = "the exchange can take nothing more and ends";
                let mut error = CliError::from(fault.clone());
                error.why.insert(0, fault.to_string());
                what.clone_into(&mut error.what);
                let fix = "look at the disk and the log, then start it again; what was acknowledged is kept";
                fix.clone_into(&mut error.fix);
                error
            }
            ended = &mut self.server => match ended {
                Ok(Err(error)) => error,
                Ok(Ok(())) | Err(_) => CliError::new(Exit::Other, "the server ended by itself"),
            },
        }
    }

    /// Stops: no new calls are taken, those under way end, what is acknowledged is durable, the store is written.
    ///
    /// Calls that last, such as subscriptions, are ended after [`GRACE`].
    pub async fn stop(mut self) {
        let _before = self.stopping.send_replace(true);
        let mut served = self.server.is_finished() || self.served_within(GRACE).await;
        self.upkeep.abort();
        self.node.stop();
        served = served || self.served_within(GRACE).await;
        if !served {
            tracing::warn!("calls that did not end were cut off");
            self.server.abort();
        }
        if let Some(appender) = self.appender.take() {
            drop(task::spawn_blocking(move || drop(appender.join())).await);
        }
    }

    async fn served_within(&mut self, grace: Duration) -> bool {
        tokio::time::timeout(grace, &mut self.server).await.is_ok()
    }
}

/// Serves until `stop` says so.
async fn serve(
    node: Node,
    trust: Arc<Trust>,
    (listener, limits): (TcpListener, server::Limits),
    mut stop: watch::Receiver<bool>,
) -> Result<(), CliError> {
    let incoming = Incoming::new(listener, Arc::clone(&trust), acceptor::Limits::default());
    let shutdown = async move { drop(stop.wait_for(|stop| *stop).await) };
    server::serve(node, trust, incoming, limits, shutdown)
        .await
        .map_err(|cause| CliError::new(Exit::Other, "the server failed").because(cause.to_string()))
}

/// What a node is made of, from the files of the exchange.
async fn parts(
    files: &DataFiles,
    verifier: &Verifier,
    clock: Clock,
    entropy: Entropy,
) -> Result<Parts, CliError> {
    let disk = OsDisk::existing(&files.ledger).map_err(|cause| {
        CliError::file(&files.ledger, &cause).fixed_by("found an exchange first: concordat init")
    })?;
    let ledger = AnyLedger::Segment(Segment::open(disk, segment::Options::default())?);
    let id = genesis(&ledger).await?;
    let keyring = Keyring::open(&files.keyring, id)?;
    let (state, store) = state(&files.store, id, ledger.head().0, verifier)?;
    let store = Some(StoreWriter::spawn(store)?);
    let checkpoint_seed = checkpoint_seed(&files.checkpoint_key)?;
    let registry = Arc::new(registry()?);
    Ok(Parts { ledger, state, store, keyring, clock, entropy, checkpoint_seed, registry })
}

/// The ledger's name, from its first entry.
async fn genesis(ledger: &AnyLedger) -> Result<LedgerId, CliError> {
    let unfounded = || {
        CliError::new(Exit::NotFound, "the ledger was never founded")
            .fixed_by("found it first: concordat init")
    };
    if ledger.head().0 == TreeSize::EMPTY {
        return Err(unfounded());
    }
    let first = ledger.entries(Position::FIRST).next().await.ok_or_else(unfounded)??;
    match Parsed::from_bytes(&first.command) {
        Parsed::Command(command) => match command.kind {
            Kind::Exchange(ExchangeCommand::Genesis { ledger, .. }) => Ok(ledger),
            Kind::Exchange(_)
            | Kind::Agency(_)
            | Kind::Agreement(_)
            | Kind::Consent(_)
            | Kind::Policy(_)
            | Kind::Client(_)
            | Kind::Record(_)
            | Kind::Subscription(_)
            | Kind::Recall(_)
            | Kind::Dispute(_)
            | Kind::Case(_)
            | Kind::Erasure(_)
            | Kind::Emergency(_)
            | Kind::Words(_)
            | Kind::Succession(_) => Err(unfounded()),
        },
        Parsed::Later(_) | Parsed::Malformed(_) => Err(unfounded()),
    }
}

/// The state as far as the store holds it, and the store.
fn state(
    directory: &Path,
    ledger: LedgerId,
    size: TreeSize,
    verifier: &Verifier,
) -> Result<(State, Store), CliError> {
    let opened = Store::open(directory, ledger, SCHEMA, verifier)?;
    if let crate::store::Beginning::Anew { doubt, aside } = &opened.beginning {
        tracing::warn!(%doubt, aside = %aside.display(), "the state is rebuilt from the ledger");
    }
    match load(&opened.store, size) {
        Ok(state) => Ok((state, opened.store)),
        Err(doubt) => {
            drop(opened);
            let aside = directory.with_extension("aside");
            tracing::warn!(doubt, aside = %aside.display(), "the state is rebuilt from the ledger");
            let unusable = |cause: std::io::Error| CliError::file(directory, &cause);
            if aside.exists() {
                fs::remove_dir_all(&aside).map_err(unusable)?;
            }
            fs::rename(directory, &aside).map_err(unusable)?;
            let opened = Store::open(directory, ledger, SCHEMA, verifier)?;
            Ok((State::empty(), opened.store))
        }
    }
}

/// The state that the store's rows amount to, held against what was written with them.
fn load(store: &Store, size: TreeSize) -> Result<State, &'static str> {
    let Some(applied) = store.applied() else { return Ok(State::empty()) };
    if size.end() <= applied.position {
        return Err("the store is ahead of the ledger");
    }
    let rows: Result<Vec<_>, _> = store.rows().collect();
    let rows = rows.map_err(|_| "a row of the store is damaged")?;
    let state = State::from_rows(rows.into_iter()).ok_or("a row of the store does not read")?;
    let same =
        state.digest() == applied.state_digest && state.chain().next == applied.position.next();
    if same { Ok(state) } else { Err("the store's rows are not those that were written") }
}

fn checkpoint_seed(path: &Path) -> Result<[u8; 32], CliError> {
    let text = file::read(path)?;
    let text = std::str::from_utf8(&text).ok();
    text.and_then(|text| hex::parse(text.trim()))
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
        .ok_or_else(|| {
            CliError::new(Exit::Invalid, format!("`{}` holds no checkpoint key", path.display()))
        })
}

/// What the exchange trusts. A development authority's revocation list is renewed first if it is due.
fn trust(tls: &Path, clock: &Clock) -> Result<Arc<Trust>, CliError> {
    if let Some(authority) = development_authority(tls)? {
        authority.keep_revocation_list_current(clock.now())?;
    }
    let clock = clock.clone();
    Trust::open(ServerFiles::in_directory(tls), TimeSource::new(move || clock.now())).map_err(|fault| {
        CliError::from(fault).fixed_by(
            "the directory needs ca.crt, crl.pem, server.crt and server.key; `concordat certs create` makes them to try",
        )
    })
}

fn development_authority(tls: &Path) -> Result<Option<DevelopmentAuthority>, CliError> {
    if tls.join("ca.key").exists() { Ok(Some(DevelopmentAuthority::open(tls)?)) } else { Ok(None) }
}

fn make_private_directory(path: &Path) -> Result<(), CliError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|cause| CliError::file(path, &cause))
}

/// The record types of this program.
///
/// # Errors
/// One of them is declared wrongly, which is a fault of the program.
pub fn registry() -> Result<Registry, CliError> {
    Registry::built_in().map_err(|cause| CliError::new(Exit::Other, cause.to_string()))
}
