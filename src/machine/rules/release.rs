//! Releases: every disclosure of a record is decided here, in ledger order, before a byte of it leaves.
//!
//! The node names each line that it would disclose and on which grounds; the machine decides every line anew at its
//! position and only strikes. INVARIANT (release): a [`Released`] exists only for a line that was allowed at its
//! position (G5) and whose entry is durable (G4); nothing else builds one, and a sealed body opens only against one.
//! Versions that were replaced are never released; withheld records leave no trace that the recipient can see (G8).

use borsh::BorshSerialize;

use crate::{
    machine::{
        access::{self, Decision, Ground, Question},
        apply::{Context, Effect},
        command::{
            record::{Grant, Open},
            subscription::{Line, Release, Source},
        },
        outcome::{Receipt, Refusal},
        rules::{
            emergency::{self, Reached},
            named, reading, recall,
        },
        state::{
            State,
            agency::{Agency, AgencyNumber},
            client::{Alias, AliasKind},
            record::{DisclosureRow, Groups, RecordRow, TypeNumber},
            subscription::{Delivery, Fate, Received, Subscription, SubscriptionNumber},
        },
        sweep,
    },
    model::{
        digest::Digest,
        id::{AgreementId, AliasId, ClientId, EmergencyId, FlowId, GroupName, KeyId, RecordId},
        limit,
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

    /// Whether it may still leave: the send gate's question, asked right before the bytes go.
    ///
    /// Costs nothing while no entry narrowed anything since the decision and no date that it rests on has come; `now` is
    /// the later of ledger time and the local clock.
    pub fn may_leave(&self, state: &State, now: UnixMillis) -> bool {
        let own = self.row.publisher == self.recipient;
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
        latest == self.record && access::decide(state, &question).groups().covers(self.groups)
    }
}

/// What is decided about a release.
#[derive(Debug)]
pub(in crate::machine) enum Change {
    Release { number: SubscriptionNumber, lines: Vec<Verdict> },
    Open { planned: Planned, via: Option<AgencyNumber>, reason: i32 },
}

/// What becomes of one line.
#[derive(Debug)]
pub(in crate::machine) enum Verdict {
    Release(Source, Planned),
    /// It is not released now. `forget` takes it out of the queue: something later will bring it back if it may flow.
    Strike {
        source: Source,
        forget: bool,
        counted: bool,
    },
}

/// A line that will be released.
#[derive(Debug)]
pub(in crate::machine) struct Planned {
    record: RecordId,
    row: RecordRow,
    groups: Groups,
    purpose: i32,
    until: UnixMillis,
    flows: Vec<(AgreementId, u32, FlowId)>,
}

/// On which flows these groups leave.
fn flows(decision: &Decision, groups: Groups) -> Vec<(AgreementId, u32, FlowId)> {
    let concerned = decision.grounds.iter().filter(|ground| !ground.groups.and(groups).is_empty());
    concerned
        .map(|ground| (ground.agreement.clone(), ground.version, ground.flow.clone()))
        .collect()
}

/// The first date on which a ground of these groups ends by itself.
fn until(decision: &Decision, groups: Groups) -> UnixMillis {
    let concerned = decision.grounds.iter().filter(|ground| !ground.groups.and(groups).is_empty());
    concerned.map(|ground| ground.until).min().unwrap_or(UnixMillis::new(0))
}

pub(in crate::machine) fn decide_release(
    state: &State,
    context: &Context,
    release: &Release,
) -> Result<Change, Refusal> {
    context.node()?;
    let agency = state.agency_number(&release.agency).ok_or(Refusal::SubscriptionUnknown)?;
    let number = state
        .subscription_number(agency, &release.subscription)
        .ok_or(Refusal::SubscriptionUnknown)?;
    let subscription = state.subscription(number).ok_or(Refusal::SubscriptionUnknown)?;
    if release.first_delivery != subscription.next_delivery {
        return Err(Refusal::ReleaseStale);
    }
    let lines = u64::try_from(release.lines.len()).unwrap_or(u64::MAX);
    let window = u64::from(limit::WINDOW_RECORDS_MAX);
    if window < subscription.outstanding().saturating_add(lines) {
        return Err(Refusal::WindowFull);
    }
    let lines = release
        .lines
        .iter()
        .map(|line| decide_line(state, (number, subscription), line, context.now))
        .collect();
    Ok(Change::Release { number, lines })
}

fn decide_line(
    state: &State,
    (number, subscription): (SubscriptionNumber, &Subscription),
    line: &Line,
    now: UnixMillis,
) -> Verdict {
    let strike =
        |forget| Verdict::Strike { source: line.source, forget, counted: !line.grants.is_empty() };
    let Some(offered) = offered(state, number, line.source) else {
        return strike(matches!(line.source, Source::Replay(_)));
    };
    let Some((latest, row)) = state.latest(offered.first) else { return strike(true) };
    let replaces_replay = matches!(line.source, Source::Replay(_)) && offered.record != latest;
    if replaces_replay {
        return strike(true); // the newer version comes, or came, by itself
    }
    if state.retraction(row.first).is_some() {
        return strike(true);
    }
    // INVARIANT (recall first): nothing about a client is released before what was recalled of it was handed over.
    if line.record != latest || recall::waits(state, subscription.agency, row.client) {
        return strike(false);
    }
    let question = Question::about(row, subscription.agency, subscription.purpose, now);
    let decision = named::decide(state, &question, subscription.unattended);
    let open = decision.groups().and(offered.groups);
    if open.is_empty() {
        return strike(true);
    }
    let Some(groups) = granted(state, row, &decision, &line.grants) else { return strike(false) };
    if groups.is_empty() || !open.covers(groups) {
        return strike(false);
    }
    let (purpose, until) = (subscription.purpose, until(&decision, groups));
    let (record, row, flows) = (latest, row.clone(), flows(&decision, groups));
    Verdict::Release(line.source, Planned { record, row, groups, purpose, until, flows })
}

/// What a source offers: a record, the version it means, and the groups that the subscription does not hold yet.
pub(in crate::machine) struct Offered {
    pub(in crate::machine) first: RecordId,
    pub(in crate::machine) record: RecordId,
    pub(in crate::machine) groups: Groups,
}

/// What stands at a source now. A delivery that was taken back is not repeated as such: it waits in the queue, or came
/// again from there; unless it is the one at which its record was parked.
pub(in crate::machine) fn offered(
    state: &State,
    number: SubscriptionNumber,
    source: Source,
) -> Option<Offered> {
    match source {
        Source::Queue(place) => {
            let first = *state.tables.queue.get(&(number, place))?;
            let (record, row) = state.latest(first)?;
            Some(Offered { first, record, groups: row.groups.without(held(state, number, first)) })
        }
        Source::Replay(delivery) => {
            let subscription = state.subscription(number)?;
            let due = subscription.replays.iter().any(|(a, b)| (*a..=*b).contains(&delivery));
            let row = state.tables.deliveries.get(&(number, delivery)).filter(|_| due)?;
            let first = state.record(row.record)?.first;
            let parked = state.tables.parked.get(&(number, first));
            let parked = parked.is_some_and(|parked| parked.delivery == delivery);
            (row.fate == Fate::Sent || parked).then_some(Offered {
                first,
                record: row.record,
                groups: row.groups,
            })
        }
    }
}

/// The groups of the record's latest version that the subscription holds.
pub(in crate::machine) fn held(
    state: &State,
    number: SubscriptionNumber,
    first: RecordId,
) -> Groups {
    let latest = state.record(first).map(|row| row.latest);
    state
        .tables
        .received
        .get(&(number, first))
        .filter(|received| Some(received.record) == latest)
        .map_or(Groups::NONE, |received| received.groups)
}

/// The groups that the named grounds give, or `None` unless every one of them is a ground of the decision.
fn granted(
    state: &State,
    row: &RecordRow,
    decision: &Decision,
    grants: &[Grant],
) -> Option<Groups> {
    let record_type = state.record_type(row.record_type)?;
    grants.iter().try_fold(Groups::NONE, |set, grant| {
        let groups = record_type.set_of(&grant.groups)?;
        let holds = |ground: &Ground| {
            ground.agreement == grant.agreement
                && ground.version == grant.version
                && ground.flow == grant.flow
                && ground.groups.covers(groups)
                && grant.consents.is_subset(&ground.consents)
        };
        decision.grounds.iter().any(holds).then(|| set.with(groups))
    })
}

pub(in crate::machine) fn decide_open(
    state: &State,
    context: &Context,
    open: &Open,
) -> Result<Change, Refusal> {
    let reader = context.agency()?;
    let row = state.record(open.record).ok_or(Refusal::NotAvailable)?;
    let (purpose, reason) = (i32::from(context.purpose), i32::from(open.reason));
    if row.publisher == reader {
        let groups = row.groups;
        let until = UnixMillis::new(u64::MAX);
        let (record, row, flows) = (open.record, row.clone(), Vec::new());
        let planned = Planned { record, row, groups, purpose, until, flows };
        return Ok(Change::Open { planned, via: None, reason });
    }
    // No browsing: a recipient reads again what it was sent, under today's rules.
    let sent = state.tables.disclosures.contains(&(row.first, reader));
    let (latest, _) = state.latest(row.first).ok_or(Refusal::NotAvailable)?;
    let retracted = state.retraction(row.first).is_some();
    if !sent || latest != open.record || retracted || recall::waits(state, reader, row.client) {
        return Err(Refusal::NotAvailable);
    }
    let question = Question::about(row, reader, purpose, context.now);
    let decision = named::decide(state, &question, context.unattended);
    if decision.grounds.is_empty() && !access::decide(state, &question).grounds.is_empty() {
        return Err(Refusal::NamedActorMissing);
    }
    let groups = granted(state, row, &decision, &open.grants).ok_or(Refusal::NotAvailable)?;
    if groups.is_empty() {
        return Err(Refusal::NotAvailable);
    }
    let until = until(&decision, groups);
    let (record, row, flows) = (open.record, row.clone(), flows(&decision, groups));
    let planned = Planned { record, row, groups, purpose, until, flows };
    Ok(Change::Open { planned, via: Some(reader), reason })
}

pub(in crate::machine) fn perform(
    state: &mut State,
    context: &Context,
    change: Change,
    effects: &mut Vec<Effect>,
) -> Receipt {
    match change {
        Change::Open { planned, via, reason } => {
            let reader = via.unwrap_or(planned.row.publisher);
            let whose = (planned.row.first, planned.row.publisher, reader);
            reading::note(state, context, whose, (reason, None));
            let released = release(state, context, planned, (reader, None));
            Receipt::Opened(Box::new(released))
        }
        Change::Release { number, lines } => {
            let mut released = Vec::new();
            for line in lines {
                match line {
                    Verdict::Release(source, planned) => {
                        let Some(row) = state.subscription(number) else { continue };
                        let reader = (row.agency, Some((number, row.next_delivery)));
                        let first = planned.row.first;
                        settle_source(state, number, source, true);
                        if let Source::Replay(delivery) = source {
                            repeat(state, (number, delivery), planned.row.first);
                        }
                        released.push(release(state, context, planned, reader));
                        // The line may name less than what is open by now.
                        sweep::offer_again(state, number, first, context.now);
                    }
                    Verdict::Strike { source, forget, counted } => {
                        settle_source(state, number, source, forget);
                        let struck = &mut state.chain.lines_struck;
                        *struck = struck.saturating_add(u64::from(counted));
                    }
                }
            }
            effects.push(Effect::Wake(number));
            Receipt::Released(released)
        }
    }
}

/// Releases one record under emergency access, which `rules/emergency.rs` has decided.
pub(in crate::machine) fn in_emergency(
    state: &mut State,
    context: &Context,
    reached: Reached,
    (reader, id): (AgencyNumber, EmergencyId),
) -> Released {
    let ends = state.emergency(id).map_or(UnixMillis::new(0), |row| row.until);
    let until = reached.grounds.iter().map(|ground| ground.until).min().unwrap_or(ends);
    let on = reached.grounds.iter();
    let flows = on.map(|on| (on.agreement.clone(), on.version, on.flow.clone())).collect();
    let groups = reached.groups();
    let Reached { record, row, grounds: _ } = reached;
    let (purpose, until) = (i32::from(context.purpose), until.min(ends));
    let planned = Planned { record, row, groups, purpose, until, flows };
    Released { emergency: Some(id), ..release(state, context, planned, (reader, None)) }
}

/// From now on only the new delivery of the record is acknowledged and refused.
fn repeat(state: &mut State, delivery: (SubscriptionNumber, u64), first: RecordId) {
    let journal = &mut state.journal;
    state.tables.deliveries.change(journal, &delivery, |row| row.fate = Fate::Repeated);
    let _no_longer_parked = state.tables.parked.remove(journal, &(delivery.0, first));
}

/// Takes what was released or given up out of the queue or the replay. What a repeated delivery gave counts as not held
/// from then on: the recipient may never have got it, so whatever of it is not released now must be found again later.
fn settle_source(state: &mut State, number: SubscriptionNumber, source: Source, forget: bool) {
    if !forget {
        return;
    }
    match source {
        Source::Queue(place) => state.dequeue(number, place),
        Source::Replay(delivery) => {
            state.forget_delivery(number, delivery);
            state.tables.subscriptions.change(&mut state.journal, &number, |row| {
                row.replays = row
                    .replays
                    .iter()
                    .flat_map(|(a, b)| {
                        [
                            (*a, (*b).min(delivery.saturating_sub(1))),
                            ((*a).max(delivery.saturating_add(1)), *b),
                        ]
                    })
                    .filter(|(a, b)| a <= b)
                    .collect();
                row.replays.dedup();
            });
        }
    }
}

/// Writes one release into the state and builds the proof of it.
fn release(
    state: &mut State,
    context: &Context,
    planned: Planned,
    (recipient, delivery): (AgencyNumber, Option<(SubscriptionNumber, u64)>),
) -> Released {
    let Planned { record, row, groups, purpose, until, flows } = planned;
    if let Some((number, delivery)) = delivery {
        deliver(state, number, delivery, (record, row.first, groups));
    }
    let own = recipient == row.publisher;
    let (version, supersedes) = if own {
        (row.version, None)
    } else {
        disclose(state, context, (row.first, recipient), (record, groups, purpose, flows))
    };
    let alias = shown_alias(state, context, (recipient, row.client, own), delivery);
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

fn deliver(
    state: &mut State,
    number: SubscriptionNumber,
    delivery: u64,
    (record, first, groups): (RecordId, RecordId, Groups),
) {
    let before = state.tables.received.get(&(number, first));
    let (held, nacks) = match before {
        Some(before) if before.record == record => (before.groups, before.nacks),
        Some(_) | None => (Groups::NONE, 0),
    };
    let received = Received { record, groups: held.with(groups), delivery, nacks };
    let journal = &mut state.journal;
    if before.is_some_and(|before| before.record != record) {
        // What was parked was the version before.
        let _parked = state.tables.parked.remove(journal, &(number, first));
    }
    state.tables.received.put(journal, (number, first), received);
    let row = Delivery { record, groups, fate: Fate::Sent };
    state.tables.deliveries.put(journal, (number, delivery), row);
    state.tables.subscriptions.change(journal, &number, |row| {
        row.next_delivery = delivery.saturating_add(1);
    });
}

/// Notes a disclosure; gives the version as the recipient counts, and the version that it got before.
fn disclose(
    state: &mut State,
    context: &Context,
    key: (RecordId, AgencyNumber),
    (record, groups, purpose, flows): (RecordId, Groups, i32, Vec<(AgreementId, u32, FlowId)>),
) -> (u32, Option<RecordId>) {
    let before = state.tables.disclosures.get(&key).cloned();
    let (position, at) = (context.position, context.now);
    let fresh = DisclosureRow {
        record,
        groups,
        versions: 1,
        before: None,
        position,
        releases: 1,
        unsent: 0,
        recalls: 0,
        first_at: at,
        at,
        purpose,
        flows,
    };
    let row = match before {
        None => fresh,
        Some(row) => {
            let newer = row.record != record;
            DisclosureRow {
                groups: row.groups.with(groups),
                versions: row.versions.saturating_add(u32::from(newer)),
                before: if newer { Some(row.record) } else { row.before },
                releases: row.releases.saturating_add(1),
                unsent: row.unsent,
                recalls: row.recalls,
                first_at: row.first_at,
                ..fresh
            }
        }
    };
    let supersedes = row.before;
    let version = row.versions;
    state.tables.disclosures.put(&mut state.journal, key, row);
    (version, supersedes)
}

/// The recipient's name for the client: its own where the caseload is confirmed or the record is its own, otherwise a
/// name of its own for received records, which derives from what the recipient sees anyway.
fn shown_alias(
    state: &mut State,
    context: &Context,
    (recipient, client, published): (AgencyNumber, ClientId, bool),
    delivery: Option<(SubscriptionNumber, u64)>,
) -> AliasId {
    let own = state.alias(recipient, client, AliasKind::Own);
    let confirmed = state.in_confirmed_caseload(recipient, client);
    if let Some(own) = own.filter(|_| confirmed || published) {
        return own;
    }
    if let Some(alias) = state.alias(recipient, client, AliasKind::Received) {
        return alias;
    }
    let id = state.agency(recipient).map(|agency| agency.id.clone());
    let agency = id.as_ref().map_or("", |id| id.as_str());
    let subscription = delivery
        .and_then(|(number, _)| state.subscription(number))
        .map_or_else(String::new, |row| row.id.to_string());
    let place = delivery.map_or(0, |(_, delivery)| delivery).to_be_bytes();
    let digest = Digest::of_parts(
        "concordat.received-alias.v1",
        &[
            state.ledger().as_bytes(),
            agency.as_bytes(),
            subscription.as_bytes(),
            &place,
            context.request_id.as_bytes(),
        ],
    );
    let alias = AliasId::derived(&digest);
    state.put_alias(recipient, alias, Alias { client, kind: AliasKind::Received });
    alias
}
