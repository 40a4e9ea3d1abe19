//! The node: the only place where the machine meets the asynchronous world.
//!
//! A proposal is checked, sealed, ordered by the ledger and applied by the follower; only then its caller is answered.
//! The parts: `node/appender.rs` (the one writer of the ledger), `node/follower.rs` (the one writer of the state),
//! `node/keys.rs` (data keys), `node/edge.rs` (publish, add a client, open), `node/delivery.rs` (subscriptions),
//! `node/inbox.rs` (recalls), `node/emergency.rs` (emergency access), `node/report.rs` (reports about a person),
//! `node/replay.rs` (the past), `node/texts.rs` (texts of agreements), `node/gate.rs` (the last check before bytes leave),
//! `node/clockwork.rs` (time, sweeps, attestations), `node/disposal.rs` (what is erased is removed) and
//! `node/start.rs` (how all this begins).
//!
//! No lock is held across an await. The state has one writer; waiters are found by the random salt of their draft.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use aws_lc_rs::signature::Ed25519KeyPair;
use bytes::Bytes;
use prost::Message;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};

use crate::{
    clock::{ClockWatch, Entropy},
    index::Index,
    ledger::{AnyLedger, Draft, Fault, Sealed, Space, checkpoint::Checkpoint},
    machine::{
        self, Command, Outcome, Refusal, State,
        command::{Kind, RULES_VERSION, SignedKind, subscription::SubscriptionCommand},
    },
    model::{
        id::{AgencyId, RequestId, SubscriptionId},
        order::{Position, UnixMillis},
        violation::Violation,
    },
    pb::ledger::v1 as pb,
    record::registry::Registry,
    seal::token::TokenKey,
};

mod appender;
mod clockwork;
mod delivery;
mod disposal;
mod edge;
mod emergency;
mod follower;
mod gate;
mod inbox;
mod keys;
mod record_types;
mod replay;
mod report;
mod start;
mod texts;
mod words;

pub use delivery::{Deliveries, Ended, OpenStream, Outgoing};
pub use edge::Publication;
pub use emergency::{EmergencyRequest, Sought};
pub use gate::Gate;
pub use inbox::Inbox;
pub use record_types::registrations;
pub use replay::{Moment, Past};
pub use start::{Beginning, Founding, Parts, Tasks, found};
pub use words::{Opened, Written};

/// How many proposals may wait for the appender.
const PROPOSALS_MAX: usize = 4_096;

/// A running node. Clones are the same node.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").finish_non_exhaustive()
    }
}

struct Shared {
    ledger: Arc<AnyLedger>,
    state: RwLock<State>,
    gate: Gate,
    clock: ClockWatch,
    entropy: Entropy,
    keys: keys::Keys,
    index: Mutex<Index>,
    tokens: TokenKey,
    checkpoint_seed: [u8; 32],
    registry: Arc<Registry>,
    ordinary: mpsc::Sender<Draft>,
    urgent: mpsc::Sender<Draft>,
    calls: appender::Calls,
    /// Callers that wait for their entry, by the draft's salt.
    waiters: Mutex<BTreeMap<[u8; 16], Waiter>>,
    /// Answers for them, on their way to the thread where they wait.
    answers: mpsc::UnboundedSender<follower::Answers>,
    subscriptions: delivery::Wakes,
    clockwork: Notify,
    /// Whose turn it is to have a past state made.
    replays: Semaphore,
    applied: watch::Sender<Position>,
    fault: watch::Sender<Option<Fault>>,
}

/// A caller that waits for its entry.
struct Waiter {
    /// Where its answer goes.
    answer: oneshot::Sender<Result<Outcome, Fault>>,
    /// The command as the node parsed it from the very bytes it proposed.
    command: Box<Command>,
}

/// Who asks, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Whose authority it is.
    pub actor: Who,
    /// Why.
    pub purpose: pb::Purpose,
    /// The person who acts; `None` if a system of the agency acts by itself.
    pub staff: Option<pb::ActorDetail>,
    /// The caller's name for the request.
    pub request_id: RequestId,
    /// The agency's signature.
    pub signature: Option<pb::Signature>,
}

/// Whose authority a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// An agency's.
    Agency(AgencyId),
    /// The operator's.
    Operator,
}

/// Why a request came to no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A field is malformed; nothing was ordered.
    Violation(Violation),
    /// The infrastructure failed; whether it took effect is told by repeating it.
    Fault(Fault),
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Asked {
    fn agency(&self) -> Option<&AgencyId> {
        match &self.actor {
            Who::Agency(id) => Some(id),
            Who::Operator => None,
        }
    }

    fn command(&self, kind: pb::command::Kind) -> pb::Command {
        let who = match &self.actor {
            Who::Agency(id) => pb::actor::Who::Agency(id.to_string()),
            Who::Operator => pb::actor::Who::Operator(pb::Operator {}),
        };
        pb::Command {
            rules_version: RULES_VERSION,
            actor: Some(pb::Actor { who: Some(who), unattended: self.staff.is_none() }),
            purpose: i32::from(self.purpose),
            request_id: Bytes::copy_from_slice(self.request_id.as_bytes()),
            signature: self.signature.clone(),
            kind: Some(kind),
        }
    }
}

/// A command of the node's own.
fn own_command(kind: pb::command::Kind) -> pb::Command {
    let who = Some(pb::actor::Who::Node(pb::Node {}));
    pb::Command {
        rules_version: RULES_VERSION,
        actor: Some(pb::Actor { who, unattended: true }),
        purpose: i32::from(pb::Purpose::Operation),
        request_id: Bytes::new(),
        signature: None,
        kind: Some(kind),
    }
}

impl Node {
    /// Reads the state. The closure must be short: the follower waits for it.
    pub fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.shared.state())
    }

    /// The time, if the clock is to be trusted.
    ///
    /// # Errors
    /// [`Fault::ClockDoubtful`].
    pub fn now(&self) -> Result<UnixMillis, Fault> {
        self.shared.clock.now().map_err(|_| Fault::ClockDoubtful)
    }

    /// Takes the clock's present time for right, because the operator said so.
    pub fn confirm_clock(&self) {
        self.shared.clock.confirm();
    }

    /// What makes and opens cursors, page tokens and decision ids.
    pub fn tokens(&self) -> &TokenKey {
        &self.shared.tokens
    }

    /// The ledger, for proofs.
    pub fn ledger(&self) -> &AnyLedger {
        &self.shared.ledger
    }

    /// The source of random bytes.
    pub fn entropy(&self) -> &Entropy {
        &self.shared.entropy
    }

    /// The record types that this program knows.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// The signed head of the ledger's tree.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if the checkpoint key cannot sign.
    pub fn checkpoint(&self) -> Result<pb::Checkpoint, Fault> {
        let (size, root) = self.shared.ledger.head();
        let origin = format!("concordat/{}", self.read(State::ledger));
        let key = self.checkpoint_key()?;
        let note = Checkpoint { origin: origin.clone(), size, root }.sign(&key);
        let root = Bytes::copy_from_slice(root.as_bytes());
        Ok(pb::Checkpoint { origin, size: size.count(), root, note })
    }

    /// The key that signs checkpoints and certificates.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if it cannot sign.
    pub fn checkpoint_key(&self) -> Result<Ed25519KeyPair, Fault> {
        Ed25519KeyPair::from_seed_unchecked(&self.shared.checkpoint_seed)
            .map_err(|_| Fault::Corrupt("the checkpoint key cannot be used".to_owned()))
    }

    /// The exchange's signature, by its checkpoint key, over a statement that begins with a domain of its own.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if the checkpoint key cannot sign.
    pub fn sign(&self, statement: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(self.checkpoint_key()?.sign(statement).as_ref().to_vec())
    }

    /// Why the node can take nothing more; `None` while it can.
    pub fn fault(&self) -> Option<Fault> {
        self.shared.fault.borrow().clone()
    }

    /// Ends the node because somebody outside holds proof against its ledger (G7, G14).
    pub fn halt(&self, fault: &Fault) {
        self.shared.break_down(fault);
    }

    /// Resolves when the node can take nothing more, with the reason: the process must end.
    pub async fn broken(&self) -> Fault {
        let mut fault = self.shared.fault.subscribe();
        match fault.wait_for(Option::is_some).await {
            Ok(fault) => fault.clone().unwrap_or(Fault::Closed),
            Err(_) => Fault::Closed,
        }
    }

    /// Whether a command would be refused now, without proposing it.
    ///
    /// # Errors
    /// A malformed field, or a fault. The inner error is the refusal.
    pub fn check(
        &self,
        asked: &Asked,
        kind: pb::command::Kind,
    ) -> Result<Result<(), Refusal>, Failure> {
        let command = Command::try_from(asked.command(kind))?;
        let now = self.now()?;
        Ok(self.read(|state| machine::check(state, now, &command)).map(drop))
    }

    /// Proposes a command and waits for its outcome.
    ///
    /// # Errors
    /// A malformed field, or a fault; then it may or may not have taken effect.
    pub async fn submit(
        &self,
        asked: &Asked,
        kind: pb::command::Kind,
        evidence: Option<&pb::Evidence>,
    ) -> Result<Outcome, Failure> {
        self.submit_beside(asked, kind, (evidence, None)).await
    }

    /// Proposes a command with what rides sealed beside it, and waits for its outcome.
    ///
    /// # Errors
    /// A malformed field, or a fault; then it may or may not have taken effect.
    pub async fn submit_beside(
        &self,
        asked: &Asked,
        kind: pb::command::Kind,
        (evidence, texts): (Option<&pb::Evidence>, Option<&pb::AgreementTexts>),
    ) -> Result<Outcome, Failure> {
        let (command, parsed) = encoded(asked.command(kind))?;
        if let Some(outcome) = self.settled(&parsed)? {
            return Ok(outcome);
        }
        if let Kind::Subscription(SubscriptionCommand::Acknowledge { subscription, .. }) =
            &parsed.kind
        {
            self.tell_not_sent_first(asked, subscription).await?;
        }
        let mut parts = self.actor_parts(asked).await?;
        if let Some(evidence) = evidence.filter(|evidence| **evidence != pb::Evidence::default()) {
            parts.push(self.evidence_part(asked, (&parsed.kind, evidence)).await?);
        }
        if let Some(texts) = texts.filter(|texts| !texts.texts.is_empty()) {
            parts.extend(self.texts_part(asked, &parsed.kind, texts).await?);
        }
        self.propose(command, parsed, parts).await.map_err(Failure::Fault)
    }

    /// The outcome of a command that need not be appended: refused now, or answered before.
    fn settled(&self, command: &Command) -> Result<Option<Outcome>, Fault> {
        let now = self.now()?;
        Ok(match self.read(|state| machine::check(state, now, command)) {
            Ok(None) => None,
            Ok(Some(receipt)) => Some(Ok(receipt)),
            Err(refusal) => Some(Err(refusal)),
        })
    }

    /// Acknowledging a delivery also settles those before it, so those that did not leave are told first: otherwise a
    /// crash in between would lose them.
    async fn tell_not_sent_first(
        &self,
        asked: &Asked,
        subscription: &SubscriptionId,
    ) -> Result<(), Fault> {
        let number = self.read(|state| {
            state.subscription_number(state.agency_number(asked.agency()?)?, subscription)
        });
        match number {
            Some(number) => clockwork::report_not_sent(self, Some(number)).await,
            None => Ok(()),
        }
    }

    /// Proposes a release in the name of one reader; stale if a newer one has taken over.
    async fn submit_in_turn(
        &self,
        kind: pb::command::Kind,
        turn: (&delivery::Slot, u64),
    ) -> Result<Outcome, Fault> {
        self.submit_own_in_turn(kind, Vec::new(), Some(turn)).await
    }

    /// Proposes one of the node's own commands.
    async fn submit_own(
        &self,
        kind: pb::command::Kind,
        parts: Vec<pb::SealedPart>,
    ) -> Result<Outcome, Fault> {
        self.submit_own_in_turn(kind, parts, None).await
    }

    async fn submit_own_in_turn(
        &self,
        kind: pb::command::Kind,
        parts: Vec<pb::SealedPart>,
        turn: Option<(&delivery::Slot, u64)>,
    ) -> Result<Outcome, Fault> {
        let (command, parsed) =
            encoded(own_command(kind)).map_err(|v| Fault::Corrupt(v.to_string()))?;
        if let Some(outcome) = self.settled(&parsed)? {
            return Ok(outcome);
        }
        self.propose_in_turn(command, parsed, parts, turn).await
    }

    async fn propose(
        &self,
        command: Bytes,
        parsed: Command,
        parts: Vec<pb::SealedPart>,
    ) -> Result<Outcome, Fault> {
        self.propose_in_turn(command, parsed, parts, None).await
    }

    async fn propose_in_turn(
        &self,
        command: Bytes,
        parsed: Command,
        parts: Vec<pb::SealedPart>,
        turn: Option<(&delivery::Slot, u64)>,
    ) -> Result<Outcome, Fault> {
        let shared = &self.shared;
        let space = space(&parsed);
        let queue = match space {
            Space::Ordinary => &shared.ordinary,
            Space::Reserved => &shared.urgent,
        };
        // A caller that goes away while it waits for a place leaves nothing behind.
        let Ok(place) = queue.reserve().await else { return Err(Fault::Closed) };
        let sealed = (!parts.is_empty()).then(|| Sealed {
            salt: shared.entropy.bytes(),
            bytes: pb::Attachment { parts }.encode_to_vec().into(),
        });
        let draft = Draft {
            proposed_at: self.now()?,
            salt: shared.entropy.bytes(),
            command,
            sealed,
            space,
        };
        let (answer, answered) = oneshot::channel();
        let salt = draft.salt;
        let waiter = Waiter { answer, command: Box::new(parsed) };
        let send = || {
            shared.waiters().insert(salt, waiter);
            place.send(draft);
            shared.calls.sent();
        };
        match turn {
            None => send(),
            Some((slot, reader)) => {
                if !slot.queue_for(reader, send) {
                    return Ok(Err(Refusal::ReleaseStale));
                }
            }
        }
        // INVARIANT (told): the fault is set before the waiters are told, so one of the two sees the other.
        if let Some(fault) = shared.fault.borrow().clone() {
            let _gone = shared.waiters().remove(&salt);
            return Err(fault);
        }
        answered.await.unwrap_or(Err(Fault::Closed))
    }

    /// Who acted, sealed beside the command.
    async fn actor_parts(&self, asked: &Asked) -> Result<Vec<pb::SealedPart>, Fault> {
        let (Some(staff), Some(agency)) = (&asked.staff, asked.agency()) else {
            return Ok(Vec::new());
        };
        let enrolled = self.read(|state| {
            state.agency_number(agency).and_then(|number| state.agency(number)).is_some()
        });
        if !enrolled {
            return Ok(Vec::new());
        }
        let bytes = staff.encode_to_vec();
        Ok(vec![self.evidence_sealed(asked, pb::PartKind::Actor, &bytes).await?])
    }
}

/// The bytes of a command that will be hashed and stored, and what they say.
fn encoded(command: pb::Command) -> Result<(Bytes, Command), Violation> {
    let bytes = command.encode_to_vec().into();
    Ok((bytes, Command::try_from(command)?))
}

/// Stops may use the space that is kept back; everything else may not.
fn space(command: &Command) -> Space {
    if command.kind.stops() { Space::Reserved } else { Space::Ordinary }
}

/// The statement that an agency signs to ask for `kind`.
///
/// # Errors
/// A violation if the kind cannot be encoded.
pub fn statement(
    ledger: crate::model::id::LedgerId,
    agency: &AgencyId,
    request: RequestId,
    kind: &pb::command::Kind,
) -> Result<Vec<u8>, Violation> {
    Ok(SignedKind::of(kind)?.statement(ledger, agency, request))
}

impl Shared {
    // A poisoned lock means that a thread panicked while it held it; the state is written by the follower alone, whose
    // panic ends the node, so what can be read is whole.
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiters(&self) -> MutexGuard<'_, BTreeMap<[u8; 16], Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the node: everybody who waits is told, and nothing more is taken or released.
    fn break_down(&self, fault: &Fault) {
        match fault {
            Fault::Closed => tracing::info!("the node takes nothing more"),
            Fault::Full
            | Fault::Broken(_)
            | Fault::Corrupt(_)
            | Fault::Unusable(_)
            | Fault::ClockDoubtful
            | Fault::Busy => tracing::error!(%fault, "the node can take nothing more"),
        }
        // The first fault is the cause; what follows from it is not.
        let _first = self.fault.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert_with(|| fault.clone());
            first
        });
        // INVARIANT (told): see `propose_in_turn`.
        for (_, waiter) in std::mem::take(&mut *self.waiters()) {
            let _gone = waiter.answer.send(Err(fault.clone()));
        }
        self.subscriptions.wake_all();
    }
}
