//! One simulated exchange: a real node over a disk that forgets, a clock that moves when told and entropy from a seed.
//! It can be cut off at any disk call and started again from what the disk kept.

use std::{
    cell::{Cell, RefCell},
    path::Path,
};

use concordat::{
    clock::{Entropy, SimulatedClock},
    keyring::{EpochId, Keyring, NewEpoch},
    ledger::{
        AnyLedger, Entry, Fault,
        disk::ForgetfulDisk,
        segment::{Options, Segment},
    },
    machine::{State, command::agreement::example},
    model::{
        digest::Digest,
        id::RequestId,
        order::{TreeSize, UnixMillis},
        row::Row,
    },
    node::{Founding, Node, Parts, found},
    pb::ledger::v1::{self as pb, command::Kind},
    seal::Secret,
};
use tempfile::TempDir;

use super::cast::{self, AGENCIES, BEGINNING_MS};
use crate::ledger_samples::entries;

/// A simulated exchange.
pub(crate) struct Exchange {
    pub(crate) clock: SimulatedClock,
    entropy: Entropy,
    callers: Entropy,
    disk: RefCell<ForgetfulDisk>,
    node: RefCell<Option<Node>>,
    /// What a store would hold: the rows of some moment that was durable.
    rows: RefCell<Vec<Row>>,
    starts: Cell<u64>,
    keyring: TempDir,
}

impl Exchange {
    /// Founds an exchange, in which nobody takes part yet, and starts its node.
    pub(crate) async fn found(seed: u64) -> Self {
        let seed = Digest::of_parts("simulation.seed", &[&seed.to_be_bytes()]);
        let entropy = Entropy::seeded(*seed.as_bytes());
        let memory = Path::new("/dev/shm");
        let keyring = if memory.is_dir() {
            tempfile::tempdir_in(memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        let exchange = Self {
            clock: SimulatedClock::new(UnixMillis::new(BEGINNING_MS)),
            callers: entropy.fork("callers"),
            disk: RefCell::new(ForgetfulDisk::new()),
            node: RefCell::new(None),
            rows: RefCell::new(Vec::new()),
            starts: Cell::new(0),
            keyring,
            entropy,
        };
        exchange.write_genesis().await;
        exchange.start(false).await.unwrap();
        exchange
    }

    async fn write_genesis(&self) {
        let entropy = self.entropy.fork("founding");
        let epoch = NewEpoch {
            id: EpochId::from_bytes(entropy.bytes()),
            secret: Secret::from_bytes(entropy.bytes()),
            opened_at: UnixMillis::new(BEGINNING_MS),
        };
        let keyring = Keyring::create(&self.keyring_path(), cast::ledger_id(), epoch).unwrap();
        let founding = Founding {
            ledger: cast::ledger_id(),
            operator_certificate: Digest::of_concatenation(&[b"operator"]),
            checkpoint_key: [7; 32],
            record_types: cast::registrations(),
        };
        let ledger = AnyLedger::Simulated(open(&self.disk()).unwrap());
        found(&ledger, &keyring, &self.clock.clock(), &entropy, &founding).await.unwrap();
    }

    fn keyring_path(&self) -> std::path::PathBuf {
        self.keyring.path().join("keyring")
    }

    /// The bytes of the keyring's file.
    pub(crate) fn keyring_file(&self) -> Vec<u8> {
        std::fs::read(self.keyring_path()).unwrap()
    }

    /// The disk as it is.
    pub(crate) fn disk(&self) -> ForgetfulDisk {
        self.disk.borrow().clone()
    }

    /// The running node.
    pub(crate) fn node(&self) -> Option<Node> {
        self.node.borrow().clone()
    }

    /// A request id of the present.
    pub(crate) fn request_id(&self) -> RequestId {
        self.callers.request_id(self.clock.clock().now())
    }

    /// Starts a node over what the disk holds, from the rows that were kept last or from nothing.
    pub(crate) async fn start(&self, from_rows: bool) -> Result<(), Fault> {
        self.starts.set(self.starts.get() + 1);
        let rows = if from_rows { self.rows.borrow().clone() } else { Vec::new() };
        let (node, tasks, _) = Node::start(Parts {
            ledger: AnyLedger::Simulated(open(&self.disk())?),
            state: State::from_rows(rows.into_iter()).unwrap(),
            store: None,
            keyring: Keyring::open(&self.keyring_path(), cast::ledger_id()).unwrap(),
            clock: self.clock.clock(),
            entropy: self.entropy.fork(&format!("node {}", self.starts.get())),
            checkpoint_seed: [5; 32],
            registry: cast::REGISTRY.clone(),
        })
        .await?;
        tasks.spawn_together();
        *self.node.borrow_mut() = Some(node);
        Ok(())
    }

    /// Takes the rows that a store would hold at this moment.
    pub(crate) fn keep_rows(&self) {
        if let Some(node) = self.node() {
            *self.rows.borrow_mut() = node.read(State::to_rows);
        }
    }

    /// Ends the node. The disk becomes what a power cut left of it, or stays whole if only the process ended.
    pub(crate) fn end(&self, power_cut: Option<u64>) {
        let disk = self.disk();
        let left = power_cut.map_or_else(|| disk.kill(), |seed| disk.crash(seed));
        *self.disk.borrow_mut() = left;
        if let Some(node) = self.node.borrow_mut().take() {
            node.stop();
        }
    }

    /// Every entry on the disk, read by nobody else.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let ledger = open(&self.disk().kill()).unwrap();
        let (size, _) = ledger.head();
        entries(&ledger, size)
    }

    /// The root that the tree on the disk has at a size.
    pub(crate) fn root_at(&self, size: TreeSize) -> Option<Digest> {
        open(&self.disk().kill()).unwrap().root_at(size).unwrap()
    }

    /// Lets everybody in and activates the agreements of the cast.
    pub(crate) async fn gather(&self) {
        for (name, kind) in AGENCIES {
            let (invite, enrol) = cast::joining(name, kind);
            self.operate(invite).await;
            self.act(name, pb::Purpose::Administration, enrol).await;
        }
        for agreement in ["leavers", "shire-leavers"] {
            self.agree(agreement, 365).await;
        }
        for recipient in ["national", "college", "charity", "health"] {
            self.subscribe(recipient, "first").await;
        }
    }

    /// Creates a subscription.
    pub(crate) async fn subscribe(&self, name: &str, subscription: &str) {
        let create = Kind::CreateSubscription(pb::CreateSubscription {
            subscription: subscription.to_owned(),
            record_types: vec![cast::LEAVER_FORM.to_owned()],
        });
        self.act(name, pb::Purpose::SchoolLeaverTransition, create).await;
    }

    /// Drafts, proposes and approves an agreement for some days; nothing happens where one stands.
    pub(crate) async fn agree(&self, agreement: &str, days: u64) {
        let now = self.clock.clock().now().millis();
        let content = cast::content(agreement, now, now + days * cast::DAY_MS);
        let parties: Vec<_> = content.parties.iter().map(|party| party.agency.clone()).collect();
        let first = parties.first().unwrap().clone();
        let draft = pb::DraftAgreement { agreement: agreement.to_owned(), content: Some(content) };
        let draft = self.try_act(&first, Kind::DraftAgreement(draft)).await;
        let Some(Ok(receipt)) = draft else { return };
        let (version, content_hash) = cast::standing(&receipt);
        let agreement = agreement.to_owned();
        let propose = pb::ProposeAgreement {
            agreement: agreement.clone(),
            version,
            content_hash: content_hash.clone(),
        };
        let _proposed = self.try_act(&first, Kind::ProposeAgreement(propose)).await;
        for party in parties {
            let approve = example::approval(&agreement, version, content_hash.clone());
            let _approved = self.try_act(&party, Kind::ApproveAgreement(approve)).await;
        }
    }

    async fn try_act(&self, name: &str, kind: Kind) -> Option<concordat::machine::Outcome> {
        let purpose = pb::Purpose::Administration;
        let asked = cast::asked(name, purpose, self.request_id(), Some(&kind));
        self.node()?.submit(&asked, kind, None).await.ok()
    }

    /// Submits a signed command that must succeed.
    pub(crate) async fn act(&self, name: &str, purpose: pb::Purpose, kind: Kind) {
        let asked = cast::asked(name, purpose, self.request_id(), Some(&kind));
        self.node().unwrap().submit(&asked, kind, None).await.unwrap().unwrap();
    }

    async fn operate(&self, kind: Kind) {
        let asked = cast::operator(self.request_id());
        self.node().unwrap().submit(&asked, kind, None).await.unwrap().unwrap();
    }
}

fn open(disk: &ForgetfulDisk) -> Result<Segment<ForgetfulDisk>, Fault> {
    let options = Options { segment_bytes: 64 << 10, tail_bytes_max: 32 << 10 };
    Segment::open(disk.clone(), options)
}

/// Runs a simulation on one thread, with time that passes only when everybody waits.
pub(crate) fn run<T>(simulation: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(simulation)
}

/// Lets others go first, so many times.
pub(crate) async fn yields(times: u64) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}
