//! Delivery: a subscription's records, released in bounded groups to whoever reads it last.
//!
//! A reader is woken when something may have become releasable, looks for candidates, proposes a release that names each
//! line, and gets the surviving ones unsealed. Nothing is queued in memory: what is not taken waits in the state (G13).
//! One reader per subscription: a newer one takes over.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{
    ledger::Fault,
    machine::{
        Receipt, Refusal, Released,
        read::offers::{self, Candidates},
        state::{agency::Agency, subscription::SubscriptionNumber},
    },
    model::{
        id::{AgencyId, SubscriptionId},
        limit,
        violation::Violation,
    },
    node::{Asked, Failure, Node},
    pb::ledger::v1 as pb,
    seal::token::TokenScope,
};

/// One record on its way to a recipient.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The proof that it may leave; the send gate asks it again.
    pub released: Released,
    /// On which grounds it was released.
    pub grants: Vec<pb::Grant>,
    /// The body, cut down to the released groups.
    pub body: Bytes,
}

/// Why a reader gets nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A newer reader of the same subscription.
    TakenOver,
    /// The subscription was removed.
    Removed,
    /// The subscription's place was moved.
    Sought,
    /// The agency is suspended.
    Suspended,
    /// The infrastructure failed.
    Fault(Fault),
}

/// A delivery that did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NotSent {
    pub(super) subscription: SubscriptionNumber,
    pub(super) delivery: u64,
}

/// Who is to be woken, and what did not leave.
#[derive(Default)]
pub(super) struct Wakes {
    slots: Mutex<BTreeMap<SubscriptionNumber, Arc<Slot>>>,
    not_sent: Mutex<BTreeSet<NotSent>>,
}

/// One subscription's reader.
#[derive(Default)]
pub(super) struct Slot {
    notify: Notify,
    /// There may be a recall.
    recalled: Notify,
    reader: AtomicU64,
    /// Held while a release is queued, so that whatever a newer reader queues stands behind it.
    turn: Mutex<()>,
    /// How many streams are open on it: one, or a few while one takes over from another.
    streams: AtomicU64,
}

impl Slot {
    fn take_turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.notify.notify_one();
        self.recalled.notify_one();
    }

    /// Waits until there may be a recall.
    pub(super) async fn recalled(&self) {
        self.recalled.notified().await;
    }

    /// Queues something in the name of a reader, unless a newer one has taken over.
    pub(super) fn queue_for(&self, reader: u64, queue: impl FnOnce()) -> bool {
        let _turn = self.take_turn();
        let present = self.reader.load(Ordering::Acquire) == reader;
        if present {
            queue();
        }
        present
    }

    /// Takes over; tells how many readers there were before.
    fn take_over(&self) -> u64 {
        let _turn = self.take_turn();
        self.reader.fetch_add(1, Ordering::AcqRel)
    }
}

impl Wakes {
    fn slots(&self) -> MutexGuard<'_, BTreeMap<SubscriptionNumber, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, number: SubscriptionNumber) -> Arc<Slot> {
        Arc::clone(self.slots().entry(number).or_default())
    }

    pub(super) fn wake(&self, number: SubscriptionNumber) {
        if let Some(slot) = self.slots().get(&number) {
            slot.wake();
        }
    }

    pub(super) fn wake_all(&self) {
        for slot in self.slots().values() {
            slot.wake();
        }
    }

    fn not_sent(&self) -> MutexGuard<'_, BTreeSet<NotSent>> {
        self.not_sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_not_sent(&self, line: NotSent) {
        let _new = self.not_sent().insert(line);
    }

    /// What did not leave and is not on the ledger yet, by subscription.
    pub(super) fn all_not_sent(&self) -> BTreeMap<SubscriptionNumber, Vec<u64>> {
        let mut all: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for line in self.not_sent().iter() {
            all.entry(line.subscription).or_default().push(line.delivery);
        }
        all
    }

    /// Notes that the ledger says so.
    pub(super) fn told_not_sent(&self, subscription: SubscriptionNumber, deliveries: &[u64]) {
        let mut not_sent = self.not_sent();
        for delivery in deliveries {
            let _told = not_sent.remove(&NotSent { subscription, delivery: *delivery });
        }
    }
}

/// A reader of one subscription.
pub struct Deliveries {
    node: Node,
    agency: AgencyId,
    subscription: SubscriptionId,
    number: SubscriptionNumber,
    slot: Arc<Slot>,
    reader: u64,
    /// How often the place had been moved when this reader began.
    seeks: u64,
    /// The release that is under way. It is kept when whoever waits for it gives up, and finished by the next one.
    releasing: Option<Releasing>,
}

type Releasing = Pin<Box<dyn Future<Output = Result<Step, Ended>> + Send>>;

/// What one release came to.
enum Step {
    Outgoing(Vec<Outgoing>),
    Again,
    WindowFull,
}

/// A stream that is open on a subscription, until it is dropped.
pub struct OpenStream(Arc<Slot>);

impl fmt::Debug for OpenStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenStream")
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let _before = self.0.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries")
            .field("subscription", &self.subscription)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// The opaque cursor of a delivery. It holds no ledger position and means nothing to another agency.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] if the cryptographic library refuses.
    pub fn cursor(
        &self,
        agency: &AgencyId,
        subscription: &SubscriptionId,
        delivery: u64,
    ) -> Result<String, Fault> {
        let purpose = ["cursor", subscription.as_str()];
        let scope = TokenScope { agency, purpose: &purpose };
        self.tokens()
            .seal(&scope, &delivery.to_be_bytes())
            .map_err(|fault| Fault::Corrupt(fault.to_string()))
    }

    /// The delivery that a cursor names.
    ///
    /// # Errors
    /// One and the same violation for every cursor that was not made for this agency and subscription.
    pub fn delivery_of(
        &self,
        agency: &AgencyId,
        subscription: &SubscriptionId,
        cursor: &str,
    ) -> Result<u64, Violation> {
        let purpose = ["cursor", subscription.as_str()];
        let scope = TokenScope { agency, purpose: &purpose };
        let bytes = self.tokens().open(&scope, cursor)?;
        let bytes = <[u8; 8]>::try_from(bytes.as_slice()).map_err(|_| {
            Violation::new("", "CURSOR_INVALID", "the cursor is malformed; use one as it was given")
        })?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// Whether a stream is open on a subscription.
    pub fn is_streaming(&self, subscription: SubscriptionNumber) -> bool {
        let slots = self.shared.subscriptions.slots();
        slots.get(&subscription).is_some_and(|slot| 0 < slot.streams.load(Ordering::Acquire))
    }

    /// Begins to read a subscription, after `resume` or after what is settled. What was released after that place and not
    /// acknowledged comes again, under new numbers and a new decision.
    ///
    /// # Errors
    /// A malformed field, or a fault. The inner error is the refusal.
    pub async fn subscribe(
        &self,
        asked: &Asked,
        subscription: &SubscriptionId,
        resume: Option<u64>,
    ) -> Result<Result<Deliveries, Refusal>, Failure> {
        let Some(agency) = asked.agency().cloned() else {
            return Ok(Err(Refusal::ActorNotPermitted));
        };
        let found = self.read(|state| {
            let number = state.subscription_number(state.agency_number(&agency)?, subscription)?;
            Some((number, state.subscription(number)?.purpose))
        });
        let Some((number, purpose)) = found else { return Ok(Err(Refusal::SubscriptionUnknown)) };
        if purpose != i32::from(asked.purpose) {
            return Ok(Err(Refusal::PurposeNotPermitted));
        }
        let slot = self.shared.subscriptions.slot(number);
        let before = slot.take_over();
        slot.wake();
        let standing = self.read(|state| {
            let row = state.subscription(number)?;
            Some((row.settled, row.outstanding(), row.unattended))
        });
        let (settled, outstanding, unattended) = standing.unwrap_or_default();
        let after = resume.unwrap_or(settled);
        // Whether a person reads is said by the entry that moves the place, and decides what a flow for named staff gives.
        let another = unattended != asked.staff.is_none();
        // A release of the reader before may still be on its way: the move is ordered behind it and repeats it.
        if before != 0 || outstanding != 0 || after != settled || another {
            let kind = pb::command::Kind::SeekSubscription(pb::SeekSubscription {
                subscription: subscription.to_string(),
                after_delivery: after,
            });
            if let Err(refusal) = self.submit(asked, kind, None).await? {
                return Ok(Err(refusal));
            }
        }
        let seeks = self.read(|state| state.subscription(number).map_or(0, |row| row.seeks));
        let (node, subscription) = (self.clone(), subscription.clone());
        let reader = before.saturating_add(1);
        let releasing = None;
        Ok(Ok(Deliveries { node, agency, subscription, number, slot, reader, seeks, releasing }))
    }
}

/// What one look at the state found.
enum Look {
    Lines(Candidates),
    Nothing,
}

impl Deliveries {
    /// The subscription that is read.
    pub fn number(&self) -> SubscriptionNumber {
        self.number
    }

    /// What a reader of the agency's inbox is made of.
    pub(super) fn parts(&self) -> (Node, AgencyId, Arc<Slot>) {
        (self.node.clone(), self.agency.clone(), Arc::clone(&self.slot))
    }

    /// Notes that a stream is open on the subscription, as its agency is shown.
    pub fn stream(&self) -> OpenStream {
        let _before = self.slot.streams.fetch_add(1, Ordering::AcqRel);
        OpenStream(Arc::clone(&self.slot))
    }

    /// The next records, 1 to `credit` of them; waits until there are any.
    ///
    /// Dropping the future loses nothing: what was released and not handed out comes again on resumption.
    ///
    /// # Errors
    /// Why there will be none.
    pub async fn next(&mut self, credit: usize) -> Result<Vec<Outgoing>, Ended> {
        loop {
            let outgoing = self.take(credit).await?;
            if !outgoing.is_empty() {
                return Ok(outgoing);
            }
            self.slot.notify.notified().await;
        }
    }

    /// The records that can be released now, at most `credit` of them; none if there are none.
    ///
    /// Dropping the future loses nothing: the next call goes on with what it was doing, whatever credit it was given.
    ///
    /// # Errors
    /// Why there will be none.
    pub async fn take(&mut self, credit: usize) -> Result<Vec<Outgoing>, Ended> {
        loop {
            if self.releasing.is_none() {
                let Look::Lines(candidates) = self.look(credit)? else { return Ok(Vec::new()) };
                self.releasing = Some(self.release(candidates));
            }
            let step = match &mut self.releasing {
                Some(releasing) => releasing.as_mut().await,
                None => Ok(Step::Again),
            };
            self.releasing = None;
            match step? {
                Step::Outgoing(outgoing) => return Ok(outgoing),
                Step::WindowFull => return Ok(Vec::new()),
                Step::Again => {}
            }
        }
    }

    /// Proposes a release and unseals what survives.
    fn release(&self, candidates: Candidates) -> Releasing {
        let Candidates { first_delivery, lines, stale } = candidates;
        let grants: BTreeMap<_, _> =
            lines.iter().map(|line| (line.record.clone(), line.grants.clone())).collect();
        let lines: Vec<_> = lines.into_iter().chain(stale).take(limit::RELEASE_LINES_MAX).collect();
        let kind = pb::command::Kind::ReleaseRecords(pb::ReleaseRecords {
            agency: self.agency.to_string(),
            subscription: self.subscription.to_string(),
            first_delivery,
            lines,
        });
        let (node, slot, reader) = (self.node.clone(), Arc::clone(&self.slot), self.reader);
        Box::pin(async move {
            let outcome = node.submit_in_turn(kind, (&slot, reader)).await;
            match outcome.map_err(Ended::Fault)? {
                Ok(Receipt::Released(released)) if !released.is_empty() => {
                    let lines = released
                        .into_iter()
                        .map(|line| {
                            let record = Bytes::copy_from_slice(line.record().as_bytes());
                            (line, grants.get(&record).cloned().unwrap_or_default())
                        })
                        .collect();
                    node.unseal(lines).await.map(Step::Outgoing).map_err(Ended::Fault)
                }
                Ok(_) | Err(Refusal::ReleaseStale) => Ok(Step::Again),
                Err(Refusal::WindowFull) => Ok(Step::WindowFull),
                Err(_) => Err(Ended::Removed),
            }
        })
    }

    fn look(&self, credit: usize) -> Result<Look, Ended> {
        if let Some(fault) = self.node.shared.fault.borrow().clone() {
            return Err(Ended::Fault(fault));
        }
        if self.slot.reader.load(Ordering::Acquire) != self.reader {
            return Err(Ended::TakenOver);
        }
        let now = self.node.now().map_err(Ended::Fault)?;
        self.node.read(|state| {
            let row = state.subscription(self.number).filter(|row| !row.removed);
            let row = row.ok_or(Ended::Removed)?;
            if row.seeks != self.seeks {
                return Err(Ended::Sought);
            }
            if !state.agency(row.agency).is_some_and(Agency::in_force) {
                return Err(Ended::Suspended);
            }
            let outstanding = usize::try_from(row.outstanding()).unwrap_or(usize::MAX);
            let window = usize::try_from(limit::WINDOW_RECORDS_MAX).unwrap_or(usize::MAX);
            let count =
                credit.min(window.saturating_sub(outstanding)).min(limit::RELEASE_LINES_MAX);
            if count == 0 {
                return Ok(Look::Nothing);
            }
            let found = offers::candidates(state, self.number, now, count);
            let nothing = found.lines.is_empty() && found.stale.is_empty();
            Ok(if nothing { Look::Nothing } else { Look::Lines(found) })
        })
    }
}
