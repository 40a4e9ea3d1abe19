//! How a node begins: a ledger is founded once; a node replays what its store does not hold, registers the record types that
//! its ledger lacks, opens the exchange's own key and rebuilds the identity index before it takes its first proposal.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, RwLock},
};

use bytes::Bytes;
use futures::StreamExt;
use prost::Message;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use crate::{
    clock::{Clock, ClockWatch, Entropy},
    index::Index,
    keyring::{KeyOwner, Keyring},
    ledger::{AnyLedger, Draft, Fault, Ledger, Sealed, Space},
    machine::{
        self, Effect, State,
        command::{Parsed, RULES_VERSION, exchange::LEDGER_FORMAT},
    },
    model::{
        digest::Digest,
        id::{ClientId, KeyId, LedgerId},
        order::Position,
    },
    node::{
        Gate, Node, PROPOSALS_MAX, Shared, appender, clockwork,
        delivery::Wakes,
        disposal,
        edge::identifiers_context,
        follower,
        keys::{self, Keys, NewKey, corrupt},
        record_types,
    },
    pb::ledger::v1 as pb,
    record::registry::Registry,
    seal::token::TokenKey,
    store::{self, StoreWriter},
};

/// How many sealed identities are opened at once while the index is rebuilt.
const IDENTITIES_PER_READ: usize = 1_024;

/// How a ledger begins.
#[derive(Clone, Debug)]
pub struct Founding {
    /// Its name: 16 random bytes.
    pub ledger: LedgerId,
    /// The fingerprint of the operator's certificate.
    pub operator_certificate: Digest,
    /// The public key that signs checkpoints.
    pub checkpoint_key: [u8; 32],
    /// The record types that the exchange begins with.
    pub record_types: Vec<pb::RegisterRecordType>,
}

/// What a node is made of.
pub struct Parts {
    /// The ledger.
    pub ledger: AnyLedger,
    /// The state as far as the store held it; the empty state otherwise.
    pub state: State,
    /// Where rows go; `None` keeps no copy.
    pub store: Option<StoreWriter>,
    /// The key-encryption epochs.
    pub keyring: Keyring,
    /// The clock.
    pub clock: Clock,
    /// The source of random bytes.
    pub entropy: Entropy,
    /// The seed of the key that signs checkpoints.
    pub checkpoint_seed: [u8; 32],
    /// The record types that this program knows.
    pub registry: Arc<Registry>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// What a start found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// How many entries were replayed because the store did not hold them.
    pub replayed: u64,
    /// How many sealed identities were opened for the index.
    pub identities: usize,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The node's tasks, not yet running.
pub struct Tasks {
    appender: Task,
    caller: Task,
    follower: Task,
    answerer: Task,
    clockwork: Task,
    disposal: Task,
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").finish_non_exhaustive()
    }
}

impl Tasks {
    /// Runs the tasks: the appender, which writes and syncs, and the follower, which comes after it, on one thread of their
    /// own; the others on the present runtime, where the callers run.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn spawn(self) -> std::io::Result<std::thread::JoinHandle<()>> {
        let Self { appender, caller, follower, answerer, clockwork, disposal } = self;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || {
            let _ended = runtime.block_on(futures::future::join(follower, appender));
        })?;
        for task in [caller, answerer, clockwork, disposal] {
            drop(tokio::spawn(task));
        }
        Ok(thread)
    }

    /// Runs all tasks on the present runtime: for simulations, whose disk is memory.
    pub fn spawn_together(self) {
        let Self { appender, caller, follower, answerer, clockwork, disposal } = self;
        for task in [appender, caller, follower, answerer, clockwork, disposal] {
            drop(tokio::spawn(task));
        }
    }
}

/// Founds a ledger: writes its Genesis, the exchange's own key and the record types it begins with, as one group.
///
/// # Errors
/// [`Fault::Unusable`] if the ledger is not empty; any fault of the ledger.
pub async fn found(
    ledger: &AnyLedger,
    keyring: &Keyring,
    clock: &Clock,
    entropy: &Entropy,
    founding: &Founding,
) -> Result<(), Fault> {
    if ledger.head().0.count() != 0 {
        return Err(Fault::Unusable("the ledger is not empty".to_owned()));
    }
    let genesis = pb::command::Kind::Genesis(pb::Genesis {
        ledger_id: Bytes::copy_from_slice(founding.ledger.as_bytes()),
        format: LEDGER_FORMAT,
        operator_certificate: Bytes::copy_from_slice(founding.operator_certificate.as_bytes()),
        checkpoint_key: Bytes::copy_from_slice(&founding.checkpoint_key),
    });
    let disposal_class = pb::DisposalClass::Exchange;
    let owner = KeyOwner { client: None, agency: None, disposal_class };
    let NewKey { key: _, kind, part } = keys::new_key(keyring, entropy, &owner)?;
    let types = founding.record_types.iter().cloned().map(pb::command::Kind::RegisterRecordType);
    let mut drafts = vec![
        draft(clock, entropy, &operator_command(clock, entropy, genesis), None),
        draft(clock, entropy, &super::own_command(kind), Some(part)),
    ];
    for kind in types {
        drafts.push(draft(clock, entropy, &operator_command(clock, entropy, kind), None));
    }
    ledger.append(drafts).await
}

pub(super) fn operator_command(
    clock: &Clock,
    entropy: &Entropy,
    kind: pb::command::Kind,
) -> pb::Command {
    let who = Some(pb::actor::Who::Operator(pb::Operator {}));
    pb::Command {
        rules_version: RULES_VERSION,
        actor: Some(pb::Actor { who, unattended: true }),
        purpose: i32::from(pb::Purpose::Operation),
        request_id: Bytes::copy_from_slice(entropy.request_id(clock.now()).as_bytes()),
        signature: None,
        kind: Some(kind),
    }
}

pub(super) fn draft(
    clock: &Clock,
    entropy: &Entropy,
    command: &pb::Command,
    part: Option<pb::SealedPart>,
) -> Draft {
    Draft {
        proposed_at: clock.now(),
        salt: entropy.bytes(),
        command: command.encode_to_vec().into(),
        sealed: part.map(|part| Sealed {
            salt: entropy.bytes(),
            bytes: pb::Attachment { parts: vec![part] }.encode_to_vec().into(),
        }),
        space: Space::Ordinary,
    }
}

const NO_GENESIS: &str = "the ledger has no genesis; run `concordat init` first";

impl Node {
    /// Makes a node of its parts and brings it up to the ledger's head. Its tasks are not running yet.
    ///
    /// # Errors
    /// [`Fault::Unusable`] if the ledger was never founded or needs newer rules; [`Fault::Corrupt`] if what is stored does
    /// not fit together.
    pub async fn start(parts: Parts) -> Result<(Self, Tasks, Beginning), Fault> {
        let Parts { ledger, mut state, store, keyring, clock, entropy, .. } = parts;
        let mut replayed = catch_up(&ledger, &mut state, store.as_ref()).await?;
        if state.chain().ledger.is_none() {
            return Err(Fault::Unusable(NO_GENESIS.to_owned()));
        }
        let sources = (&clock, &entropy);
        if record_types::complete(&ledger, &state, &parts.registry, sources).await? {
            replayed += catch_up(&ledger, &mut state, store.as_ref()).await?;
        }
        disposal::erase_again(&ledger, &state).await?;
        let keys = Keys::new(keyring);
        let tokens = exchange_tokens(&ledger, &state, &keys).await?;
        let (index, identities) = rebuild_index(&ledger, &state, &keys).await?;
        let (ordinary, ordinary_drafts) = mpsc::channel(PROPOSALS_MAX);
        let (urgent, urgent_drafts) = mpsc::channel(PROPOSALS_MAX);
        let (answers, answered) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            ledger: Arc::new(ledger),
            applied: watch::Sender::new(state.chain().next),
            state: RwLock::new(state),
            gate: Gate::default(),
            clock: ClockWatch::new(clock),
            entropy,
            keys,
            index: Mutex::new(index),
            tokens,
            checkpoint_seed: parts.checkpoint_seed,
            registry: parts.registry,
            ordinary,
            urgent,
            calls: appender::Calls::default(),
            waiters: Mutex::default(),
            answers,
            subscriptions: Wakes::default(),
            clockwork: Notify::new(),
            replays: Semaphore::new(1),
            fault: watch::Sender::new(None),
        });
        let tasks = Tasks {
            appender: Box::pin(appender::run(Arc::clone(&shared), ordinary_drafts, urgent_drafts)),
            caller: Box::pin(appender::call(Arc::clone(&shared))),
            follower: Box::pin(follower::run(Arc::clone(&shared), store)),
            answerer: Box::pin(follower::answer(Arc::clone(&shared), answered)),
            clockwork: Box::pin(clockwork::run(Arc::clone(&shared))),
            disposal: Box::pin(disposal::run(Arc::clone(&shared))),
        };
        Ok((Self { shared }, tasks, Beginning { replayed, identities }))
    }

    /// Ends the node: its tasks stop, whoever waits is told, the store is brought up to date.
    pub fn stop(&self) {
        let _before = self.shared.fault.send_replace(Some(Fault::Closed));
        self.shared.subscriptions.wake_all();
        self.shared.clockwork.notify_one();
    }
}

/// Replays entries that the store does not hold.
async fn catch_up(
    ledger: &AnyLedger,
    state: &mut State,
    store: Option<&StoreWriter>,
) -> Result<u64, Fault> {
    let end = ledger.head().0.end();
    let from = state.chain().next;
    if end < from {
        return Err(Fault::Corrupt("the store is ahead of the ledger".to_owned()));
    }
    let mut entries = ledger.entries(from);
    while state.chain().next < end {
        let Some(entry) = entries.next().await else { return Err(Fault::Closed) };
        let entry = entry?;
        let parsed = Parsed::from_bytes(&entry.command);
        let command = match &parsed {
            Parsed::Command(command) => Some(&**command),
            Parsed::Malformed(_) => None,
            Parsed::Later(version) => {
                let text = format!("entry {} needs rules {version}; upgrade", entry.position);
                return Err(Fault::Unusable(text));
            }
        };
        let applied = machine::apply(state, entry.position, entry.admitted_at, command);
        if applied.effects.contains(&Effect::Diverged) {
            let text = format!("the state differs from what entry {} attests", entry.position);
            return Err(Fault::Corrupt(text));
        }
        if let Some(store) = store {
            let mark = store::Applied { position: entry.position, state_digest: state.digest() };
            store.submit(applied.rows, mark).map_err(|fault| corrupt(&fault))?;
        }
    }
    Ok(end.number().saturating_sub(from.number()))
}

async fn exchange_tokens(
    ledger: &AnyLedger,
    state: &State,
    keys: &Keys,
) -> Result<TokenKey, Fault> {
    let class = i32::from(pb::DisposalClass::Exchange);
    let (id, (row, _)) = state
        .key_for(None, None, class)
        .and_then(|id| Some((id, keys::key_row(state, id)?)))
        .ok_or_else(|| Fault::Corrupt("the exchange's own key was never opened".to_owned()))?;
    let key = keys.load(ledger, id, (&row, None)).await?;
    TokenKey::derive(&key).map_err(|fault| corrupt(&fault))
}

/// Opens every sealed identity that is still there. One whose key was erased is gone, as it should be.
async fn rebuild_index(
    ledger: &AnyLedger,
    state: &State,
    keys: &Keys,
) -> Result<(Index, usize), Fault> {
    let mut index = Index::default();
    let mut opened = 0_usize;
    let mut rows: Vec<((ClientId, Position), _)> =
        state.tables().identities.iter().map(|(key, agency)| (*key, *agency)).collect();
    // In the order in which they were told: where identifiers disagree, the first counts.
    rows.sort_unstable_by_key(|((_, position), _)| *position);
    for rows in rows.chunks(IDENTITIES_PER_READ) {
        let positions: Vec<_> = rows.iter().map(|((_, position), _)| *position).collect();
        let sealed = ledger.sealed(&positions).await?;
        for (((client, _), number), sealed) in rows.iter().zip(sealed) {
            let (Some(sealed), Some(agency)) = (sealed, state.agency(*number)) else { continue };
            let attachment =
                pb::Attachment::decode(sealed.bytes).map_err(|fault| corrupt(&fault))?;
            let part = attachment.parts.iter().find(|p| p.kind() == pb::PartKind::Identifiers);
            let Some(part) = part else { continue };
            let id = KeyId::from_slice(&part.key).map_err(|violation| corrupt(&violation))?;
            // A key that was destroyed took them with it.
            let Some((row, _)) = keys::key_row(state, id) else { continue };
            let key = keys.load(ledger, id, (&row, Some(&agency.id))).await?;
            let ledger_id = state.ledger();
            let context = identifiers_context(&ledger_id, client, &agency.id);
            let plain = key.open(&context, part).map_err(|fault| corrupt(&fault))?;
            let identifiers =
                pb::Identifiers::decode(plain.as_bytes()).map_err(|fault| corrupt(&fault))?;
            index.told(&agency.id, &identifiers, *client);
            opened = opened.saturating_add(1);
        }
    }
    for (_, erasure) in state.tables().erasures.iter() {
        let Some(agency) = state.agency(erasure.agency) else { continue };
        for client in &erasure.clients {
            index.part(&agency.id, *client);
        }
    }
    Ok((index, opened))
}
