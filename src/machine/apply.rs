//! The two doors for commands: [`check`] asks, [`apply`] does. Both decide by the same rules.
//!
//! The order of precedence: the shape of the command, the actor, whether the request was answered before, the signature,
//! then the rule of the noun. Deadlines that fell due by the entry's time take effect before the entry itself.

use crate::{
    machine::{
        command::{
            Actor, Command, Kind, agency::AgencyCommand, agreement::AgreementCommand,
            case::CaseCommand, client::ClientCommand, consent::ConsentCommand,
            emergency::EmergencyCommand, erasure::ErasureCommand, exchange::ExchangeCommand,
            recall::RecallCommand, record::RecordCommand, subscription::SubscriptionCommand,
            succession::SuccessionCommand,
        },
        outcome::{Outcome, Receipt, Refusal, Remembered},
        rules,
        state::{
            Attestable, State,
            agency::AgencyNumber,
            request::{RequestRow, Requester},
            subscription::SubscriptionNumber,
        },
        sweep,
    },
    model::{
        digest::Digest,
        id::RequestId,
        limit,
        order::{Position, UnixMillis},
        row::Row,
    },
    pb::ledger::v1::Purpose,
};

/// What applying one entry gives.
#[derive(Debug)]
pub struct Applied {
    /// What became of the command.
    pub outcome: Outcome,
    /// The rows that changed.
    pub rows: Vec<Row>,
    /// What is to be done outside the machine.
    pub effects: Vec<Effect>,
}

/// Something to be done outside the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A subscription may have something to release.
    Wake(SubscriptionNumber),
    /// Less may leave than before: the send gate must be passed anew.
    Narrowed,
    /// A sweep has further steps.
    SweepDue,
    /// An attestation states another state than this node has: it must stop.
    Diverged,
}

/// Under which circumstances a command is decided.
#[derive(Clone, Debug)]
pub struct Context {
    /// The entry's position; for a check, the position that would come next.
    pub position: Position,
    /// Ledger time.
    pub now: UnixMillis,
    /// Whose authority it is.
    pub who: Who,
    /// Why it is asked.
    pub purpose: Purpose,
    /// The caller's name for the request.
    pub request_id: RequestId,
    /// Whether a system of the agency acts by itself.
    pub unattended: bool,
}

/// Whose authority a command is, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The operator's.
    Operator,
    /// The node's own.
    Node,
    /// An agency's.
    Agency(AgencyNumber),
}

impl Context {
    /// The agency that asks.
    ///
    /// # Errors
    /// `ActorNotPermitted` if it is not an agency that asks.
    pub fn agency(&self) -> Result<AgencyNumber, Refusal> {
        match self.who {
            Who::Agency(number) => Ok(number),
            Who::Operator | Who::Node => Err(Refusal::ActorNotPermitted),
        }
    }

    /// Holds that the operator asks.
    ///
    /// # Errors
    /// `ActorNotPermitted` if somebody else does.
    pub fn operator(&self) -> Result<(), Refusal> {
        if self.who == Who::Operator { Ok(()) } else { Err(Refusal::ActorNotPermitted) }
    }

    /// Holds that the node asks.
    ///
    /// # Errors
    /// `ActorNotPermitted` if somebody else does.
    pub fn node(&self) -> Result<(), Refusal> {
        if self.who == Who::Node { Ok(()) } else { Err(Refusal::ActorNotPermitted) }
    }
}

/// What was decided, before it is performed.
enum Decided {
    Known(Receipt),
    Exchange(rules::exchange::Change),
    Agency(rules::agency::Change),
    Agreement(rules::agreement::Change),
    Consent(rules::consent::Change),
    Policy(rules::policy::Change),
    Client(rules::client::Change),
    Record(rules::record::Change),
    Subscription(rules::subscription::Change),
    Release(rules::release::Change),
    Recall(rules::recall::Change),
    Dispute(rules::dispute::Change),
    Case(rules::case::Change),
    Erasure(rules::erasure::Change),
    Emergency(rules::emergency::Change),
    Words,
    Succession(rules::succession::Change),
}

/// Whether a command would be refused now. `Ok(Some(_))` is the answer that a repeated request got the first time: it
/// need not be appended.
///
/// # Errors
/// The refusal that [`apply`] would give if nothing came in between.
pub fn check(
    state: &State,
    now: UnixMillis,
    command: &Command,
) -> Result<Option<Receipt>, Refusal> {
    let position = state.chain.next;
    match decide(state, position, now.max(state.chain.admitted_at), command)? {
        Decided::Known(receipt) => Ok(Some(receipt)),
        Decided::Record(change) => Ok(change.known().cloned()),
        Decided::Emergency(change) => Ok(change.known()),
        Decided::Exchange(_)
        | Decided::Agency(_)
        | Decided::Agreement(_)
        | Decided::Consent(_)
        | Decided::Policy(_)
        | Decided::Client(_)
        | Decided::Subscription(_)
        | Decided::Release(_)
        | Decided::Recall(_)
        | Decided::Dispute(_)
        | Decided::Case(_)
        | Decided::Erasure(_)
        | Decided::Words
        | Decided::Succession(_) => Ok(None),
    }
}

/// Takes the entry at `position`. `None` stands for bytes that are malformed for a known version of the rules.
pub fn apply(
    state: &mut State,
    position: Position,
    admitted_at: UnixMillis,
    command: Option<&Command>,
) -> Applied {
    let mut effects = Vec::new();
    sweep::deadlines(state, admitted_at, &mut effects);
    let outcome = match command {
        None => Err(Refusal::Malformed),
        Some(command) => decide(state, position, admitted_at, command).map(|decided| {
            let context = context(state, position, admitted_at, command);
            let receipt = match context {
                Ok(context) => {
                    let repeated = matches!(decided, Decided::Known(_));
                    let receipt = perform(state, &context, decided, &mut effects);
                    if !repeated {
                        rules::words::note(state, &context, (command, &receipt));
                    }
                    receipt
                }
                Err(_) => Receipt::DONE, // the Genesis: there is nobody yet
            };
            remember(state, position, admitted_at, command, &receipt);
            receipt
        }),
    };
    close_entry(state, position, admitted_at, &outcome);
    let rows = state.journal.take();
    // INVARIANT (bounded): see `machine/sweep.rs`.
    debug_assert!(rows.len() <= limit::ROWS_PER_ENTRY_MAX, "an entry changes {} rows", rows.len());
    Applied { outcome, rows, effects }
}

fn decide(
    state: &State,
    position: Position,
    now: UnixMillis,
    command: &Command,
) -> Result<Decided, Refusal> {
    if let Kind::Exchange(ExchangeCommand::Genesis { .. }) = &command.kind {
        if state.chain.ledger.is_some() || position != Position::FIRST {
            return Err(Refusal::GenesisMisplaced);
        }
    } else if state.chain.ledger.is_none() {
        return Err(Refusal::GenesisMisplaced);
    }
    let context = context(state, position, now, command)?;
    if let Some(receipt) = known(state, &context, command)? {
        return Ok(Decided::Known(receipt));
    }
    rules::signature::verify(state, &context, command)?;
    Ok(match &command.kind {
        Kind::Exchange(kind) => Decided::Exchange(rules::exchange::decide(state, &context, kind)?),
        Kind::Agency(kind) => Decided::Agency(rules::agency::decide(state, &context, kind)?),
        Kind::Agreement(kind) => {
            Decided::Agreement(rules::agreement::decide(state, &context, kind)?)
        }
        Kind::Consent(kind) => Decided::Consent(rules::consent::decide(state, &context, kind)?),
        Kind::Policy(kind) => Decided::Policy(rules::policy::decide(state, &context, kind)?),
        Kind::Client(kind) => Decided::Client(rules::client::decide(state, &context, kind)?),
        Kind::Record(RecordCommand::Publish(publish)) => {
            Decided::Record(rules::record::decide(state, &context, publish)?)
        }
        Kind::Record(RecordCommand::Open(open)) => {
            Decided::Release(rules::release::decide_open(state, &context, open)?)
        }
        Kind::Subscription(SubscriptionCommand::Release(release)) => {
            Decided::Release(rules::release::decide_release(state, &context, release)?)
        }
        Kind::Subscription(kind) => {
            Decided::Subscription(rules::subscription::decide(state, &context, kind)?)
        }
        Kind::Recall(kind) => Decided::Recall(rules::recall::decide(state, &context, kind)?),
        Kind::Dispute(kind) => Decided::Dispute(rules::dispute::decide(state, &context, kind)?),
        Kind::Case(kind) => Decided::Case(rules::case::decide(state, &context, kind)?),
        Kind::Erasure(kind) => Decided::Erasure(rules::erasure::decide(state, &context, kind)?),
        Kind::Emergency(kind) => {
            Decided::Emergency(rules::emergency::decide(state, &context, kind)?)
        }
        Kind::Words(open) => {
            rules::words::decide(state, &context, open)?;
            Decided::Words
        }
        Kind::Succession(kind) => {
            Decided::Succession(rules::succession::decide(state, &context, kind)?)
        }
    })
}

fn perform(
    state: &mut State,
    context: &Context,
    decided: Decided,
    effects: &mut Vec<Effect>,
) -> Receipt {
    match decided {
        Decided::Known(receipt) => receipt,
        Decided::Exchange(change) => rules::exchange::perform(state, context, change, effects),
        Decided::Agency(change) => rules::agency::perform(state, context, change, effects),
        Decided::Agreement(change) => rules::agreement::perform(state, context, change, effects),
        Decided::Consent(change) => rules::consent::perform(state, context, change, effects),
        Decided::Policy(change) => rules::policy::perform(state, context, change, effects),
        Decided::Client(change) => rules::client::perform(state, context, change, effects),
        Decided::Record(change) => rules::record::perform(state, context, change, effects),
        Decided::Subscription(change) => {
            rules::subscription::perform(state, context, change, effects)
        }
        Decided::Release(change) => rules::release::perform(state, context, change, effects),
        Decided::Recall(change) => rules::recall::perform(state, context, change, effects),
        Decided::Dispute(change) => rules::dispute::perform(state, change),
        Decided::Case(change) => rules::case::perform(state, context, change, effects),
        Decided::Erasure(change) => rules::erasure::perform(state, context, change, effects),
        Decided::Emergency(change) => rules::emergency::perform(state, context, change, effects),
        Decided::Words => Receipt::DONE,
        Decided::Succession(change) => rules::succession::perform(state, context, change, effects),
    }
}

/// Who asks, resolved: the agency exists, has enrolled (unless that is what it asks for) and is not suspended.
fn context(
    state: &State,
    position: Position,
    now: UnixMillis,
    command: &Command,
) -> Result<Context, Refusal> {
    let who = match &command.actor {
        Actor::Operator => Who::Operator,
        Actor::Node => Who::Node,
        Actor::Agency(id) => {
            let number = state.agency_number(id).ok_or(Refusal::AgencyUnknown)?;
            let agency = state.agency(number).ok_or(Refusal::AgencyUnknown)?;
            let enrols = matches!(command.kind, Kind::Agency(AgencyCommand::Enrol { .. }));
            if agency.keys.is_none() && !enrols {
                return Err(Refusal::AgencyNotEnrolled);
            }
            if agency.suspended && !command.kind.stops() {
                return Err(Refusal::AgencySuspended);
            }
            Who::Agency(number)
        }
    };
    let Command { purpose, request_id, unattended, .. } = *command;
    Ok(Context { position, now, who, purpose, request_id, unattended })
}

/// How a kind of command is kept from taking effect twice.
enum Memory {
    /// By the table of requests.
    Requests,
    /// By an id that derives from the request, or because repeating it changes nothing.
    Own,
}

fn memory(kind: &Kind) -> Memory {
    match kind {
        Kind::Agency(_)
        | Kind::Agreement(_)
        | Kind::Consent(_)
        | Kind::Policy(_)
        | Kind::Dispute(_)
        | Kind::Succession(_) => Memory::Requests,
        Kind::Case(case) => match case {
            CaseCommand::Open(_)
            | CaseCommand::Advance { .. }
            | CaseCommand::Decide(_)
            | CaseCommand::HoldBack { .. } => Memory::Requests,
            CaseCommand::Report { .. } => Memory::Own,
        },
        Kind::Recall(recall) => match recall {
            RecallCommand::Retract { .. } | RecallCommand::Acknowledge { .. } => Memory::Requests,
            RecallCommand::HandOver { .. } => Memory::Own,
        },
        Kind::Erasure(erasure) => match erasure {
            ErasureCommand::Erase { .. }
            | ErasureCommand::PlaceHold { .. }
            | ErasureCommand::LiftHold { .. } => Memory::Requests,
            ErasureCommand::Rewrap { .. }
            | ErasureCommand::Complete { .. }
            | ErasureCommand::Dispose { .. } => Memory::Own,
        },
        Kind::Exchange(exchange) => match exchange {
            ExchangeCommand::ActivateRules { .. } | ExchangeCommand::RegisterRecordType { .. } => {
                Memory::Requests
            }
            ExchangeCommand::Genesis { .. }
            | ExchangeCommand::OpenKey { .. }
            | ExchangeCommand::Tick
            | ExchangeCommand::ContinueSweep
            | ExchangeCommand::Attest { .. } => Memory::Own,
        },
        Kind::Client(client) => match client {
            ClientCommand::Add { .. } => Memory::Own,
            ClientCommand::OpenCaseload { .. }
            | ClientCommand::ConfirmCaseload { .. }
            | ClientCommand::EndCaseload { .. } => Memory::Requests,
        },
        Kind::Record(_) | Kind::Words(_) => Memory::Own,
        Kind::Emergency(emergency) => match emergency {
            EmergencyCommand::Authorise { .. } | EmergencyCommand::Review { .. } => {
                Memory::Requests
            }
            EmergencyCommand::Open(_)
            | EmergencyCommand::Read(_)
            | EmergencyCommand::NoteRefused { .. } => Memory::Own,
        },
        Kind::Subscription(subscription) => match subscription {
            SubscriptionCommand::Create { .. } | SubscriptionCommand::Remove { .. } => {
                Memory::Requests
            }
            SubscriptionCommand::Seek { .. }
            | SubscriptionCommand::Release(_)
            | SubscriptionCommand::NotSent { .. }
            | SubscriptionCommand::Acknowledge { .. } => Memory::Own,
        },
    }
}

fn requester(who: Who) -> Option<Requester> {
    match who {
        Who::Operator => Some(Requester::Operator),
        Who::Agency(number) => Some(Requester::Agency(number)),
        Who::Node => None,
    }
}

fn request_digest(command: &Command) -> Digest {
    let signed = &command.signed;
    Digest::of_parts("concordat.request.v1", &[&signed.number.to_be_bytes(), &signed.bytes])
}

/// How far a request id's time may lie ahead of ledger time, in milliseconds: ten minutes.
const REQUEST_AHEAD_MS: u64 = 600_000;

fn known(state: &State, context: &Context, command: &Command) -> Result<Option<Receipt>, Refusal> {
    let (Memory::Requests, Some(requester)) = (memory(&command.kind), requester(context.who))
    else {
        return Ok(None);
    };
    let made_at = command.request_id.unix_millis().ok_or(Refusal::RequestIdInvalid)?;
    if context.now.millis().saturating_add(REQUEST_AHEAD_MS) < made_at {
        return Err(Refusal::RequestIdInvalid);
    }
    // One that is due to be forgotten is forgotten, whether or not an entry has taken its row yet.
    let oldest = context.now.millis().saturating_sub(limit::REQUEST_MEMORY_MS);
    let row = state.tables.requests.get(&(requester, command.request_id));
    if let Some(row) = row.filter(|row| oldest <= row.admitted_at.millis()) {
        return if row.digest == request_digest(command) {
            Ok(Some(Receipt::Answer(row.answer.clone())))
        } else {
            Err(Refusal::RequestIdReused)
        };
    }
    if made_at.saturating_add(limit::REQUEST_MEMORY_MS) < context.now.millis() {
        return Err(Refusal::RequestTooOld);
    }
    Ok(None)
}

fn remember(
    state: &mut State,
    position: Position,
    admitted_at: UnixMillis,
    command: &Command,
    receipt: &Receipt,
) {
    let Ok(context) = context(state, position, admitted_at, command) else { return };
    let (Memory::Requests, Some(requester)) = (memory(&command.kind), requester(context.who))
    else {
        return;
    };
    let answer = match receipt {
        Receipt::Answer(answer) => answer.clone(),
        Receipt::Published { .. } | Receipt::Released(_) | Receipt::Opened(_) => Remembered::Done,
    };
    let key = (requester, command.request_id);
    if !state.tables.requests.contains(&key) {
        let digest = request_digest(command);
        state.remember(key, RequestRow { position, admitted_at, digest, answer });
    }
}

fn close_entry(state: &mut State, position: Position, admitted_at: UnixMillis, outcome: &Outcome) {
    let encoded = borsh::to_vec(outcome).unwrap_or_default();
    let previous = state.chain.outcomes;
    state.chain.outcomes =
        Digest::of_parts("concordat.outcome.v1", &[previous.as_bytes(), &encoded]);
    state.chain.next = position.next();
    state.chain.admitted_at = admitted_at;
    if state.chain.next.number().is_multiple_of(limit::ATTEST_ENTRIES) {
        state.chain.attestable = Some(Attestable {
            position,
            lines_struck: std::mem::take(&mut state.chain.lines_struck),
            outcomes: state.chain.outcomes,
            rows: state.journal.digest(),
        });
    }
    let chain = state.chain.clone();
    state.tables.chain.put(&mut state.journal, (), chain);
}

/// Whether a kind of command needs the signature of the agency that asks.
pub(super) fn needs_signature(kind: &Kind) -> bool {
    match kind {
        Kind::Agency(agency) => match agency {
            AgencyCommand::Enrol { .. } | AgencyCommand::Rotate { .. } => true,
            AgencyCommand::Invite { .. }
            | AgencyCommand::Suspend { .. }
            | AgencyCommand::Resume { .. } => false,
        },
        Kind::Agreement(agreement) => match agreement {
            AgreementCommand::Draft { .. } | AgreementCommand::Propose { .. } => false,
            AgreementCommand::Approve { .. }
            | AgreementCommand::Decline { .. }
            | AgreementCommand::Suspend { .. }
            | AgreementCommand::Resume { .. }
            | AgreementCommand::End { .. } => true,
        },
        Kind::Consent(consent) => match consent {
            ConsentCommand::Record { .. }
            | ConsentCommand::Holder { .. }
            | ConsentCommand::Resolve { .. } => true,
            ConsentCommand::Refuse { .. } | ConsentCommand::Withdraw { .. } => false,
        },
        Kind::Policy(_) => true,
        Kind::Client(client) => match client {
            ClientCommand::ConfirmCaseload { .. } => true,
            ClientCommand::Add { .. }
            | ClientCommand::OpenCaseload { .. }
            | ClientCommand::EndCaseload { .. } => false,
        },
        // What is lifted or goes on widens what a restriction had narrowed.
        Kind::Case(case) => match case {
            CaseCommand::Decide(decide) => decide.widens(),
            CaseCommand::Open(_)
            | CaseCommand::Advance { .. }
            | CaseCommand::HoldBack { .. }
            | CaseCommand::Report { .. } => false,
        },
        Kind::Erasure(erasure) => match erasure {
            ErasureCommand::Erase { .. } | ErasureCommand::LiftHold { .. } => true,
            ErasureCommand::PlaceHold { .. }
            | ErasureCommand::Rewrap { .. }
            | ErasureCommand::Complete { .. }
            | ErasureCommand::Dispose { .. } => false,
        },
        Kind::Emergency(emergency) => matches!(emergency, EmergencyCommand::Authorise { .. }),
        Kind::Succession(succession) => match succession {
            SuccessionCommand::Propose { .. } => false,
            SuccessionCommand::Approve { .. } | SuccessionCommand::Decline { .. } => true,
        },
        Kind::Exchange(_)
        | Kind::Record(_)
        | Kind::Subscription(_)
        | Kind::Recall(_)
        | Kind::Dispute(_)
        | Kind::Words(_) => false,
    }
}
