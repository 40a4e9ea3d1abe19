//! What is proven about one release: whose record leaves to whom, with which groups, under which entry.
//!
//! INVARIANT (release): a [`Released`] exists only for a line that was allowed at its position (G5) and whose entry is
//! durable (G4). Its fields are private to this file and only [`release`] builds it; a sealed body opens only against one.

use borsh::BorshSerialize;

use crate::{
    machine::{
        access::Question,
        apply::Context,
        rules::{
            emergency, named,
            release::{
                disclosure::{deliver, disclose, shown_alias},
                line::Planned,
            },
        },
        state::{
            State,
            agency::{Agency, AgencyNumber},
            record::{Groups, TypeNumber},
            subscription::SubscriptionNumber,
        },
    },
    model::{
        id::{AliasId, ClientId, EmergencyId, GroupName, KeyId, RecordId},
        order::{Position, UnixMillis},
    },
};

/// One record that may leave to one recipient: the only thing a sealed body opens against.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Released {
    position: Position,
    recipient: AgencyNumber,
    subscription: Option<SubscriptionNumber>,
    delivery: u64,
    record: RecordId,
    row: ReleasedRow,
    alias: AliasId,
    version: u32,
    supersedes: Option<RecordId>,
    groups: Groups,
    group_names: Vec<GroupName>,
    purpose: i32,
    // The send gate's short cut: no part of the outcome, so that it may change without another digest.
    #[borsh(skip)]
    narrowings: u64,
    /// Whether no person reads it, so that flows for named staff do not carry it.
    #[borsh(skip)]
    unattended: bool,
    /// Before this date nothing it rests on ends by itself.
    #[borsh(skip)]
    until: UnixMillis,
    /// The emergency access under which it leaves.
    #[borsh(skip)]
    emergency: Option<EmergencyId>,
}

/// What a release takes over from the record's row.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
struct ReleasedRow {
    first: RecordId,
    publisher: AgencyNumber,
    record_type: TypeNumber,
    type_version: u32,
    code_lists: u32,
    client: ClientId,
    key: KeyId,
    position: Position,
    published_at: UnixMillis,
}

impl Released {
    /// The entry that made it durable.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Who receives.
    pub fn recipient(&self) -> AgencyNumber {
        self.recipient
    }

    /// The subscription through which it leaves; none for a record that was asked for by name.
    pub fn subscription(&self) -> Option<SubscriptionNumber> {
        self.subscription
    }

    /// The delivery's number in its subscription, from 1; 0 for a record that was asked for by name.
    pub fn delivery(&self) -> u64 {
        self.delivery
    }

    /// The version released.
    pub fn record(&self) -> RecordId {
        self.record
    }

    /// The client, by the recipient's name for it.
    pub fn alias(&self) -> AliasId {
        self.alias
    }

    /// The number of the version as the recipient counts, from 1.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The version that the recipient got before.
    pub fn supersedes(&self) -> Option<RecordId> {
        self.supersedes
    }

    /// The field groups that leave.
    pub fn group_names(&self) -> &[GroupName] {
        &self.group_names
    }

    /// Who published it.
    pub fn publisher(&self) -> AgencyNumber {
        self.row.publisher
    }

    /// The type of record.
    pub fn record_type(&self) -> TypeNumber {
        self.row.record_type
    }

    /// The version of the type that the body was validated against.
    pub fn type_version(&self) -> u32 {
        self.row.type_version
    }

    /// The version of the code lists that the body was validated against: an ISO 8601 date.
    pub fn code_lists(&self) -> String {
        let number = self.row.code_lists;
        format!("{:04}-{:02}-{:02}", number / 10_000, number / 100 % 100, number % 100)
    }

    /// Whom it is about; for the associated data of the sealed body only.
    pub fn client(&self) -> ClientId {
        self.row.client
    }

    /// The data key that seals the body.
    pub fn key(&self) -> KeyId {
        self.row.key
    }

    /// The entry whose attachment holds the body.
    pub fn published_position(&self) -> Position {
        self.row.position
    }

    /// When it was published.
    pub fn published_at(&self) -> UnixMillis {
        self.row.published_at
    }

    /// The same release, under emergency access: it leaves no longer than that lasts.
    pub(super) fn under(self, emergency: EmergencyId) -> Self {
        Self { emergency: Some(emergency), ..self }
    }

    /// Whether it may still leave: the send gate's question, asked right before the bytes go.
    ///
    /// Costs nothing while no entry narrowed anything since the decision and no date that it rests on has come; `now` is
    /// the later of ledger time and the local clock.
    pub fn may_leave(&self, state: &State, now: UnixMillis) -> bool {
        let own = state.answers_for(self.recipient, self.row.publisher);
        if state.erased(self.row.first).is_some() {
            return false;
        }
        if own {
            return state.agency(self.recipient).is_some_and(Agency::in_force);
        }
        if self.narrowings == state.chain.narrowings && now < self.until {
            return true;
        }
        if let Some(id) = self.emergency {
            return emergency::may_still(state, id, self, (self.groups, now));
        }
        let Some((latest, row)) = state.latest(self.row.first) else { return false };
        if state.retraction(self.row.first).is_some() {
            return false;
        }
        let question = Question::about(row, self.recipient, self.purpose, now);
        let decision = named::decide(state, &question, self.unattended);
        latest == self.record && decision.groups().covers(self.groups)
    }
}

/// Writes one release into the state and builds the proof of it.
pub(super) fn release(
    state: &mut State,
    context: &Context,
    planned: Planned,
    (recipient, delivery): (AgencyNumber, Option<(SubscriptionNumber, u64)>),
) -> Released {
    let Planned { record, row, groups, purpose, unattended, until, flows } = planned;
    if let Some((number, delivery)) = delivery {
        deliver(state, number, delivery, (record, row.first, groups));
    }
    let own = state.answers_for(recipient, row.publisher);
    let alias = shown_alias(state, context, (recipient, row.client, own), delivery);
    let (version, supersedes) = if own {
        (row.version, None)
    } else {
        let key = (row.first, recipient);
        disclose(state, context, key, (alias, record, groups), (purpose, flows))
    };
    let names = state.record_type(row.record_type).map(|known| known.names_of(groups));
    Released {
        position: context.position,
        recipient,
        subscription: delivery.map(|(number, _)| number),
        delivery: delivery.map_or(0, |(_, delivery)| delivery),
        record,
        alias,
        version,
        supersedes,
        groups,
        group_names: names.unwrap_or_default(),
        purpose,
        narrowings: state.chain.narrowings,
        unattended,
        until,
        emergency: None,
        row: ReleasedRow {
            first: row.first,
            publisher: row.publisher,
            record_type: row.record_type,
            type_version: row.type_version,
            code_lists: row.code_lists,
            client: row.client,
            key: row.key,
            position: row.position,
            published_at: row.published_at,
        },
    }
}
