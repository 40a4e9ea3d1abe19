//! The state: what the ledger so far amounts to. Tables that the store keeps, and indexes derived from them.
//!
//! Rows are the structs of `state/`, one file per noun. Hot rows hold numbers instead of names: an agency, a record type
//! and a subscription each have one, given in ledger order and never shown to a caller. Indexes are rebuilt from the
//! tables at start; they are no part of the digest.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{
        access::Verdicts,
        law::LeftOut,
        sweep::Sweep,
        table::{Journal, Table},
    },
    model::{
        digest::Digest,
        id::{
            AgencyId, AgreementId, AliasId, CaseId, ClientId, ConsentId, DisputeId, EmergencyId,
            EpochName, ErasureId, HoldId, HolderId, KeyId, LedgerId, PolicyId, RecallId, RecordId,
            RecordTypeName, RequestId, SubscriptionId, SuccessionId,
        },
        order::{Position, UnixMillis},
        row::Row,
    },
};

pub mod agency;
pub mod agreement;
pub mod case;
pub mod client;
pub mod consent;
pub mod dispute;
pub mod emergency;
pub mod erasure;
pub mod link;
pub mod notice;
pub mod policy;
pub mod reading;
pub mod recall;
pub mod record;
pub mod request;
pub mod subscription;
pub mod succession;
pub mod words;

use agency::{Agency, AgencyNumber};
use agreement::Agreement;
use case::CaseRow;
use client::{Alias, AliasKind, Case};
use consent::{Consent, Holder};
use dispute::Dispute;
use emergency::{Authority, Emergency};
use erasure::{Erasure, Hold};
use notice::Notice;
use policy::Policy;
use reading::Reading;
use recall::{Recall, Retraction};
use record::{DisclosureRow, KeyRow, RecordRow, RecordType, TypeNumber};
use request::{RequestRow, Requester};
use subscription::{Delivery, Parked, Received, Subscription, SubscriptionNumber};
use succession::{Succession, Successions};
use words::{Matter, Words};

/// The number of the layout of the rows. Another number means: drop the rows and replay.
pub const SCHEMA: u32 = 4;

/// What there is exactly one of.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Chain {
    /// The ledger's name, once its Genesis was applied.
    pub ledger: Option<LedgerId>,
    /// The fingerprint of the operator's certificate.
    pub operator_certificate: Digest,
    /// The public key that signs checkpoints.
    pub checkpoint_key: [u8; 32],
    /// The version of the rules in force.
    pub rules_version: u32,
    /// The position the next entry takes.
    pub next: Position,
    /// When the last entry was admitted.
    pub admitted_at: UnixMillis,
    /// The chained digest of all outcomes.
    pub outcomes: Digest,
    /// What an attestation may state: the last multiple of the attestation interval.
    pub attestable: Option<Attestable>,
    /// Lines struck from releases since the last attestable position.
    pub lines_struck: u64,
    /// Grows with every entry that can narrow what may leave.
    pub narrowings: u64,
    /// The number the next sweep takes.
    pub next_sweep: u64,
}

/// What the state was at a position that attestations name.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Attestable {
    /// The position of the last entry covered.
    pub position: Position,
    /// Lines struck from releases since the attestable position before.
    pub lines_struck: u64,
    /// The chained digest of all outcomes up to the position.
    pub outcomes: Digest,
    /// The digest of all rows right after the position, this row left out.
    pub rows: Digest,
}

macro_rules! tables {
    ($($(#[$doc:meta])* $number:literal $name:ident: $key:ty => $value:ty;)*) => {
        /// The stored tables.
        #[derive(Clone, Debug)]
        pub struct Tables {$(
            $(#[$doc])*
            pub $name: Table<$key, $value>,
        )*}

        impl Tables {
            const fn new() -> Self {
                Self { $($name: Table::new($number),)* }
            }

            fn load(&mut self, journal: &mut Journal, row: &Row) -> Option<()> {
                let value = row.value.as_deref()?;
                match row.table {
                    $($number => self.$name.load(journal, &row.key, value),)*
                    _ => None,
                }
            }

            fn dump(&self) -> Vec<Row> {
                let mut rows = Vec::new();
                $(self.$name.dump(&mut rows);)*
                rows
            }
        }
    };
}

tables! {
    /// The one row of [`Chain`].
    1 chain: () => Chain;
    /// Agencies by number.
    2 agencies: AgencyNumber => Agency;
    /// Record types by number.
    3 types: TypeNumber => RecordType;
    /// Agreements: the version in force; where none is, the latest.
    4 agreements: AgreementId => Agreement;
    /// Consents, refusals and what was withdrawn of them.
    5 consents: ConsentId => Consent;
    /// Agencies' policies.
    6 policies: (AgencyNumber, PolicyId) => Policy;
    /// Clients under the names by which agencies know them.
    7 aliases: (AgencyNumber, AliasId) => Alias;
    /// Caseloads.
    8 caseload: (AgencyNumber, ClientId) => Case;
    /// Records, every version.
    9 records: RecordId => RecordRow;
    /// Who was sent what: by record (its first version) and recipient.
    10 disclosures: (RecordId, AgencyNumber) => DisclosureRow;
    /// Data keys.
    11 keys: KeyId => KeyRow;
    /// Subscriptions by number.
    12 subscriptions: SubscriptionNumber => Subscription;
    /// What waits for a subscription, in its order.
    13 queue: (SubscriptionNumber, u64) => RecordId;
    /// What was released to a subscription, by delivery number.
    14 deliveries: (SubscriptionNumber, u64) => Delivery;
    /// What a subscription holds of each record (its first version).
    15 received: (SubscriptionNumber, RecordId) => Received;
    /// What a recipient refused too often.
    16 parked: (SubscriptionNumber, RecordId) => Parked;
    /// Requests remembered so that repeating one takes effect once.
    17 requests: (Requester, RequestId) => RequestRow;
    /// Work that is too large for one entry.
    18 sweeps: u64 => Sweep;
    /// Which entries hold identifiers of a client, and whose.
    19 identities: (ClientId, Position) => AgencyNumber;
    /// Persons who may speak for a client, or must not.
    24 holders: HolderId => Holder;
    /// Versions of agreements that are not in table 4: earlier ones, and the one that may replace it.
    30 versions: (AgreementId, u32) => Agreement;
    /// What agencies are told, by whom it is for and a number that grows.
    31 notices: (AgencyNumber, u64) => Notice;
    /// Records (first versions) that were taken back.
    40 retractions: RecordId => Retraction;
    /// Recalls.
    41 recalls: RecallId => Recall;
    /// Disputes.
    42 disputes: DisputeId => Dispute;
    /// Cases.
    50 cases: CaseId => CaseRow;
    /// Erasures.
    70 erasures: ErasureId => Erasure;
    /// Records (first versions) that were erased.
    71 erased: RecordId => ErasureId;
    /// Entries whose attachments an erasure removes.
    72 removed: Position => ErasureId;
    /// Legal holds.
    73 holds: HoldId => Hold;
    /// Data keys that were destroyed, and by which erasure.
    74 destroyed_keys: KeyId => ErasureId;
    /// Emergency access.
    80 emergencies: EmergencyId => Emergency;
    /// Which offices of an agency may use it.
    81 emergency_authorities: AgencyNumber => Authority;
    /// When an agency was last refused it, by cause.
    82 emergency_refusals: (AgencyNumber, i32) => UnixMillis;
    /// Who read which record (first version) for which reason, by day of ledger time.
    83 readings: (RecordId, AgencyNumber, u32, i32) => Reading;
    /// Successions.
    90 successions: SuccessionId => Succession;
    /// Which entries may have words sealed beside them, by what they are about.
    84 words: (Matter, Position) => Words;
}

/// By publisher and type, then by recipient: agreements and the places of the flows in them.
pub type FlowsByPublisher =
    BTreeMap<(AgencyNumber, TypeNumber), BTreeMap<AgencyNumber, BTreeSet<(AgreementId, u16)>>>;

/// What is derived from the tables.
#[derive(Clone, Debug, Default)]
pub struct Indexes {
    /// Agency numbers by id.
    pub agency_numbers: BTreeMap<AgencyId, AgencyNumber>,
    /// Agency numbers by certificate fingerprint.
    pub certificates: BTreeMap<Digest, AgencyNumber>,
    /// Type numbers by name.
    pub type_numbers: BTreeMap<RecordTypeName, TypeNumber>,
    /// Flows of active agreements.
    pub flows: FlowsByPublisher,
    /// Consents of a client in ledger order.
    pub consents_by_client: BTreeSet<(ClientId, Position, ConsentId)>,
    /// Ends and reviews of consents that have not come.
    pub consent_ends: BTreeSet<(UnixMillis, ConsentId)>,
    /// Persons who speak for a client.
    pub holders_by_client: BTreeSet<(ClientId, HolderId)>,
    /// Aliases by whom and what they name.
    pub alias_of: BTreeMap<(AgencyNumber, ClientId, AliasKind), AliasId>,
    /// Records (first versions) by client.
    pub records_by_client: BTreeMap<ClientId, Vec<RecordId>>,
    /// Records (first versions) by publisher and type.
    pub records_by_publisher: BTreeSet<(AgencyNumber, TypeNumber, RecordId)>,
    /// Versions of a record after its first one.
    pub later_versions: BTreeSet<(RecordId, RecordId)>,
    /// Data keys by the epochs that wrap them.
    pub keys_by_epoch: BTreeSet<(EpochName, KeyId)>,
    /// Erasures by agency.
    pub erasures_by: BTreeSet<(AgencyNumber, Position, ErasureId)>,
    /// Erasures that are in progress.
    pub erasures_open: BTreeSet<ErasureId>,
    /// Legal holds by agency.
    pub holds_by: BTreeSet<(AgencyNumber, Position, HoldId)>,
    /// Legal holds that were not lifted.
    pub holds_in_force: BTreeSet<(AgencyNumber, ClientId, HoldId)>,
    /// Data keys by what they seal.
    pub key_of: BTreeMap<(Option<ClientId>, Option<AgencyNumber>, i32), KeyId>,
    /// Subscription numbers by agency and id.
    pub subscription_numbers: BTreeMap<AgencyNumber, BTreeMap<SubscriptionId, SubscriptionNumber>>,
    /// Policies by agency.
    pub policies_by_agency: BTreeMap<AgencyNumber, BTreeSet<PolicyId>>,
    /// Where a record (first version) waits in a subscription's queue.
    pub queued: BTreeMap<(RecordId, SubscriptionNumber), u64>,
    /// Remembered requests by age.
    pub requests_by_age: BTreeSet<(UnixMillis, Requester, RequestId)>,
    /// What falls due next of each agreement in force.
    pub agreement_deadlines: BTreeSet<(UnixMillis, AgreementId)>,
    /// Recalls by record (first version) and recipient, in the order of their issue.
    pub recalls_of: BTreeSet<(RecordId, AgencyNumber, Position, RecallId)>,
    /// Recalls by publisher.
    pub recalls_issued: BTreeSet<(AgencyNumber, Position, RecallId)>,
    /// Recalls by recipient: its inbox.
    pub recalls_to: BTreeSet<(AgencyNumber, Position, RecallId)>,
    /// Recalls that are not answered, by recipient.
    pub recalls_open: BTreeSet<(AgencyNumber, Position, RecallId)>,
    /// Recalls that were not put before their recipient yet.
    pub recalls_waiting: BTreeSet<(AgencyNumber, Position, RecallId)>,
    /// Of which clients such recalls are.
    pub clients_waiting: BTreeSet<(AgencyNumber, ClientId, RecallId)>,
    /// Disputes by who opened them.
    pub disputes_by: BTreeSet<(AgencyNumber, Position, DisputeId)>,
    /// Disputes by whose record they are about.
    pub disputes_about: BTreeSet<(AgencyNumber, Position, DisputeId)>,
    /// Disputes that are not answered, by the record (first version) that they are about.
    pub disputes_open: BTreeSet<(RecordId, DisputeId)>,
    /// Cases by who answers for them.
    pub cases_of: BTreeSet<(AgencyNumber, Position, CaseId)>,
    /// Cases that may restrict something, by client and controller.
    pub cases_restricting: BTreeSet<(ClientId, AgencyNumber, CaseId)>,
    /// What falls due next of each case.
    pub case_deadlines: BTreeSet<(UnixMillis, CaseId)>,
    /// Flows for emergencies by recipient.
    pub emergency_flows: BTreeMap<AgencyNumber, BTreeSet<(AgreementId, u16)>>,
    /// Emergency access by who used it.
    pub emergencies_by: BTreeSet<(AgencyNumber, Position, EmergencyId)>,
    /// Emergency access by whose records it was about.
    pub emergencies_about: BTreeSet<(AgencyNumber, Position, EmergencyId)>,
    /// When something falls due about emergency access that is not reviewed.
    pub emergency_deadlines: BTreeSet<(UnixMillis, EmergencyId)>,
    /// Emergency access that is not reviewed, by who used it.
    pub emergencies_open: BTreeSet<(AgencyNumber, UnixMillis, EmergencyId)>,
    /// Who stands in whose place.
    pub successions: Successions,
}

/// The whole state.
#[derive(Clone, Debug)]
pub struct State {
    pub(super) tables: Tables,
    pub(super) indexes: Indexes,
    pub(super) journal: Journal,
    pub(super) verdicts: Verdicts,
    pub(super) chain: Chain,
    /// What a test leaves out, to see what it decides; nothing in an exchange.
    pub(super) left_out: Option<LeftOut>,
}

impl Default for State {
    fn default() -> Self {
        Self::empty()
    }
}

impl State {
    /// The state before the Genesis.
    pub fn empty() -> Self {
        Self {
            tables: Tables::new(),
            indexes: Indexes::default(),
            journal: Journal::default(),
            verdicts: Verdicts::default(),
            chain: Chain::default(),
            left_out: None,
        }
    }

    /// The state that stored rows amount to, or `None` if a row is not of this schema.
    pub fn from_rows(rows: impl Iterator<Item = Row>) -> Option<Self> {
        let mut state = Self::empty();
        for row in rows {
            state.tables.load(&mut state.journal, &row)?;
        }
        state.chain = state.tables.chain.get(&()).cloned().unwrap_or_default();
        state.rebuild_indexes();
        Some(state)
    }

    /// Every row in stored form.
    pub fn to_rows(&self) -> Vec<Row> {
        self.tables.dump()
    }

    /// The tables, to read.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The indexes, to read.
    pub fn indexes(&self) -> &Indexes {
        &self.indexes
    }

    /// What there is exactly one of.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The ledger's name; all zero before the Genesis.
    pub fn ledger(&self) -> LedgerId {
        self.chain.ledger.unwrap_or(LedgerId::from_bytes([0; 16]))
    }

    /// The digest of all rows.
    pub fn digest(&self) -> Digest {
        self.journal.digest()
    }

    fn rebuild_indexes(&mut self) {
        self.index_agencies();
        self.index_agreements();
        self.index_consents();
        self.index_aliases();
        self.index_policies();
        self.index_records();
        self.index_subscriptions();
        self.index_requests();
        self.index_recalls();
        self.index_disputes();
        self.index_cases();
        self.index_erasures();
        self.index_emergencies();
        self.index_successions();
    }
}
