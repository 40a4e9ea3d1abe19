//! Explanations: what a recipient would get of a record, and why, were it released at a time.
//!
//! Decided by the very function that decides releases. What is assumed (a version of an agreement, policies, a client who
//! is described and not named) is put in force in a small state of its own (`explain/assumed.rs`).
//!
//! There are two levels of reason. The publisher of a record is told everything about it. The recipient, as a party, is
//! told what agreements and its own policies would do for a client who is described: the publisher's policies look to it as
//! if there were none, and no client, consent or record can be named. Everybody else is told that nothing is there (G8).

use std::collections::BTreeSet;

use crate::{
    machine::{
        access::{Decision, Ground, Question, Reason},
        law::Rule,
        outcome::Refusal,
        read::Viewer,
        rules::{named as named_staff, recall},
        state::{
            State,
            agency::{Agency, AgencyNumber},
            agreement::Flow,
            record::{Groups, RecordType, TypeNumber},
        },
    },
    model::{
        id::{
            AgencyId, AgreementId, AliasId, ClientId, ConsentId, FlowId, GroupName, PolicyId,
            RecordId, RecordTypeName,
        },
        order::{Position, UnixMillis},
    },
};

mod assumed;
mod past;

pub use assumed::{Assumed, AssumedAgreement, DescribedClient, DescribedWord, Spoken};
pub use past::{Recorded, recorded};

/// What would be released.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A version of a record of the viewer's.
    Record(RecordId),
    /// A record that might be published.
    Described {
        /// The type of record.
        record_type: RecordTypeName,
        /// Whom it would be about.
        client: Whom,
        /// The groups that it would hold; empty for all.
        groups: BTreeSet<GroupName>,
    },
}

/// Whom a described record would be about.
#[derive(Clone, Debug)]
pub enum Whom {
    /// Somebody about whom nothing is known.
    Nobody,
    /// A client, by the viewer's name.
    Own(AliasId),
    /// Somebody who is described.
    Described(Box<DescribedClient>),
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What would be released.
    pub subject: Subject,
    /// Who would publish it; `None` for the viewer.
    pub publisher: Option<AgencyId>,
    /// Who would receive it.
    pub recipient: AgencyId,
    /// For what purpose (`Purpose`).
    pub purpose: i32,
    /// Whether it is asked for by name, which only who was sent it before may do.
    pub by_name: bool,
    /// What is taken to be in force.
    pub assumed: Assumed,
    /// Whether a system of the recipient's would read, and no named member of staff.
    pub unattended: bool,
    /// The time.
    pub now: UnixMillis,
}

impl Asked {
    /// Asks the viewer's question about a release to come, with nothing assumed.
    pub fn about(subject: Subject, recipient: AgencyId, purpose: i32, now: UnixMillis) -> Self {
        let assumed = Assumed::default();
        let (by_name, unattended) = (false, false);
        Self { subject, publisher: None, recipient, purpose, by_name, assumed, unattended, now }
    }
}

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The publisher: everything but which policies of the recipient's forbid.
    Owner,
    /// The recipient: what agreements, gates and its own policies do.
    Party,
}

/// What would happen, and why.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Who is told.
    pub level: Level,
    /// Who publishes.
    pub publisher: AgencyId,
    /// The type of record.
    pub record_type: RecordTypeName,
    /// Group by group, in the order of the record type.
    pub groups: Vec<GroupDecision>,
    /// Why what the described client is said to have said could not even be recorded.
    pub unfit: Option<Refusal>,
}

/// What would happen to one field group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDecision {
    /// The group.
    pub group: GroupName,
    /// Why it would be withheld; `None` if it would be released.
    pub withheld: Option<Withheld>,
    /// The flow that would carry it, or that came nearest.
    pub flow: Option<NamedFlow>,
}

/// A flow by its names, and what it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFlow {
    /// The agreement.
    pub agreement: AgreementId,
    /// Its version.
    pub version: u32,
    /// The flow.
    pub flow: FlowId,
    /// `LawfulBasis`.
    pub basis: i32,
    /// `LegalPower`.
    pub legal_power: i32,
    /// `Gate`.
    pub gate: i32,
    /// The consents relied on.
    pub consents: BTreeSet<ConsentId>,
}

macro_rules! withheld {
    ($($(#[$doc:meta])* $name:ident $(($held:ty))? $code:literal;)*) => {
        /// Why a group would be withheld, in order of precedence.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Withheld {$(
            $(#[$doc])*
            $name $(($held))?,
        )*}

        impl Withheld {
            /// Every code, in order of precedence.
            pub const CODES: &'static [&'static str] = &[$($code),*];

            /// The stable code: a value's name of `concordat.v1.WithheldReason` without its prefix.
            pub const fn code(&self) -> &'static str {
                match self {$( Self::$name { .. } => $code, )*}
            }
        }
    };
}

withheld! {
    /// The publisher or the recipient is suspended.
    AgencySuspended "AGENCY_SUSPENDED";
    /// The version has been replaced, or the record was taken back.
    RecordReplaced "RECORD_REPLACED";
    /// A recall of a record of the same publisher's about the client was not put before the recipient yet.
    RecallWaits "RECALL_WAITS";
    /// It was asked for by name, and the recipient was never sent it.
    NeverSent "NEVER_SENT";
    /// No flow carries the type to the recipient.
    NoFlow "NO_FLOW";
    /// Flows do, but do not share the group.
    GroupNotPermitted "FIELD_GROUP_NOT_PERMITTED";
    /// The flow only counts.
    StatisticsOnly "STATISTICS_ONLY";
    /// The flow is for named members of staff, and a system would read.
    NamedStaff "NAMED_STAFF";
    /// The agreement has another purpose.
    PurposeDiffers "PURPOSE_DIFFERS";
    /// A party has suspended its flows.
    FlowsSuspended "FLOWS_SUSPENDED";
    /// A case of the publisher's restricts the client's records.
    Restricted "RESTRICTED";
    /// Published before the activation, without backfill.
    NotBackfilled "NOT_BACKFILLED";
    /// The recipient's claim to the client is not confirmed.
    CaseloadNotConfirmed "CASELOAD_NOT_CONFIRMED";
    /// No consent was ever given.
    ConsentMissing "CONSENT_MISSING";
    /// Consent was refused.
    ConsentRefused "CONSENT_REFUSED";
    /// Consent was withdrawn.
    ConsentWithdrawn "CONSENT_WITHDRAWN";
    /// The person who consented has no rights.
    ConsentInvalid "CONSENT_INVALID";
    /// Consent has ended.
    ConsentExpired "CONSENT_EXPIRED";
    /// Somebody else speaks for the client by now.
    ConsentInReview "CONSENT_IN_REVIEW";
    /// Those who speak for the client disagree.
    ConsentContested "CONSENT_CONTESTED";
    /// Policies of the publisher's forbid it, or one could not be evaluated.
    PublisherPolicy(Vec<PolicyId>) "PUBLISHER_POLICY";
    /// Policies of the recipient's forbid it: which, if it is the recipient who is told.
    RecipientPolicy(Vec<PolicyId>) "RECIPIENT_POLICY";
}

/// The subject in the machine's own numbers.
struct Resolved {
    record_type: TypeNumber,
    client: ClientId,
    groups: Groups,
    published: Position,
    first: Option<RecordId>,
    replaced: bool,
}

/// Explains, group by group in the order of the record type.
///
/// # Errors
/// `NotAvailable` for a record, client, agency or agreement that is not the viewer's to ask about; `TypeUnknown`,
/// `GroupUnknown`; what would refuse an assumed agreement or policy.
pub fn explain(state: &State, viewer: Viewer, asked: &Asked) -> Result<Explanation, Refusal> {
    let viewer = viewer.agency().ok_or(Refusal::NotAvailable)?;
    let enrolled = |id: &AgencyId| {
        let known = |number: &AgencyNumber| {
            state.agency(*number).is_some_and(|agency| agency.keys.is_some())
        };
        state.agency_number(id).filter(known).ok_or(Refusal::NotAvailable)
    };
    let recipient = enrolled(&asked.recipient)?;
    let publisher = match &asked.publisher {
        Some(id) => enrolled(id)?,
        None => viewer,
    };
    let level = match (publisher == viewer, recipient == viewer) {
        (true, _) => Level::Owner,
        (false, true) => Level::Party,
        (false, false) => return Err(Refusal::NotAvailable),
    };
    let resolved = resolve(state, (viewer, level), &asked.subject)?;
    let question = Question {
        publisher,
        recipient,
        record_type: resolved.record_type,
        client: resolved.client,
        groups: resolved.groups,
        published: resolved.published,
        purpose: asked.purpose,
        now: asked.now,
    };
    let record_type = state.record_type(resolved.record_type).ok_or(Refusal::TypeUnknown)?;
    let publisher = &state.agency(publisher).ok_or(Refusal::NotAvailable)?.id;
    let whole = |groups, unfit| Explanation {
        level,
        publisher: publisher.clone(),
        record_type: record_type.name.clone(),
        groups,
        unfit,
    };
    if let Some(reason) = stands_before(state, &question, &resolved, asked.by_name) {
        return Ok(whole(all_withheld(record_type, resolved.groups, &reason), None));
    }
    let small = assumed::state(state, (viewer, level), asked, &question)?;
    let (state, unfit) = small.as_ref().map_or((state, None), |(small, unfit)| (small, *unfit));
    Ok(whole(told(state, (level, asked.unattended), &question, record_type), unfit))
}

/// What stands against a release before any flow is looked at.
fn stands_before(
    state: &State,
    question: &Question,
    resolved: &Resolved,
    by_name: bool,
) -> Option<Withheld> {
    let in_force = |number| state.agency(number).is_some_and(Agency::in_force);
    let both = in_force(question.publisher) && in_force(question.recipient);
    if !both && state.applies(Rule::InForce) {
        return Some(Withheld::AgencySuspended);
    }
    if resolved.replaced {
        return Some(Withheld::RecordReplaced);
    }
    // Whether a recall of somebody else's record waits is nothing to this publisher, although nothing leaves until then.
    let about = (question.recipient, question.client);
    if recall::waits_of(state, Some(question.publisher), about) {
        return Some(Withheld::RecallWaits);
    }
    let sent = |first| state.tables().disclosures.contains(&(first, question.recipient));
    (by_name && !resolved.first.is_some_and(sent)).then_some(Withheld::NeverSent)
}

fn resolve(
    state: &State,
    (viewer, level): (AgencyNumber, Level),
    subject: &Subject,
) -> Result<Resolved, Refusal> {
    match subject {
        Subject::Record(id) => {
            let row = state
                .record(*id)
                .filter(|row| level == Level::Owner && row.publisher == viewer)
                .ok_or(Refusal::NotAvailable)?;
            let latest = state.latest(row.first).map(|(latest, _)| latest);
            Ok(Resolved {
                record_type: row.record_type,
                client: row.client,
                groups: row.groups,
                published: row.position,
                first: Some(row.first),
                replaced: (latest != Some(*id) && state.applies(Rule::LatestVersion))
                    || state.retraction(row.first).is_some(),
            })
        }
        Subject::Described { record_type, client, groups } => {
            let number = state.type_number(record_type).ok_or(Refusal::TypeUnknown)?;
            let known = state.record_type(number).ok_or(Refusal::TypeUnknown)?;
            let named = known.set_of(groups).ok_or(Refusal::GroupUnknown)?;
            let every = known.set_of(known.groups.iter().map(|(name, _)| name));
            let client = match client {
                Whom::Own(alias) if level == Level::Owner => {
                    state.own_client(viewer, *alias).ok_or(Refusal::NotAvailable)?
                }
                Whom::Own(_) => return Err(Refusal::NotAvailable),
                Whom::Nobody | Whom::Described(_) => assumed::NOBODY,
            };
            Ok(Resolved {
                record_type: number,
                client,
                groups: if groups.is_empty() { every.unwrap_or_default() } else { named },
                published: state.chain().next,
                first: None,
                replaced: false,
            })
        }
    }
}

fn all_withheld(record_type: &RecordType, groups: Groups, reason: &Withheld) -> Vec<GroupDecision> {
    let names = record_type.names_of(groups).into_iter();
    names.map(|group| GroupDecision { group, withheld: Some(reason.clone()), flow: None }).collect()
}

fn told(
    state: &State,
    (level, unattended): (Level, bool),
    question: &Question,
    record_type: &RecordType,
) -> Vec<GroupDecision> {
    let decision = named_staff::decide_for_publisher(state, question, unattended);
    let attended = if unattended {
        named_staff::decide_for_publisher(state, question, false)
    } else {
        Decision::default()
    };
    let ground = |decision: &Decision, group| {
        decision.grounds.iter().find(|ground| ground.groups.covers(group)).cloned()
    };
    let groups = question.groups.each().zip(record_type.names_of(question.groups));
    groups
        .map(|((_, group), name)| {
            if let Some(ground) = ground(&decision, group) {
                let flow = of_ground(state, (level, group), (question, unattended), &ground);
                return GroupDecision { group: name, withheld: None, flow };
            }
            if let Some(ground) = ground(&attended, group) {
                let flow = of_ground(state, (level, group), (question, false), &ground);
                return GroupDecision { group: name, withheld: Some(Withheld::NamedStaff), flow };
            }
            let withheld = decision.withheld.iter().find(|withheld| withheld.group == group);
            let flow = withheld.and_then(|withheld| withheld.flow.as_ref());
            let reason = withheld.map_or(&Reason::NoFlow, |withheld| &withheld.reason);
            let carried = || {
                let key = (question.publisher, question.record_type, question.recipient);
                state.flows_between(key).next().is_some()
            };
            GroupDecision {
                group: name,
                withheld: Some(why(level, reason, carried)),
                flow: flow.and_then(|(id, flow)| named(state, id, flow)),
            }
        })
        .collect()
}

fn why(level: Level, reason: &Reason, carried: impl Fn() -> bool) -> Withheld {
    match reason {
        Reason::NoFlow if carried() => Withheld::GroupNotPermitted,
        Reason::NoFlow | Reason::AgreementEnded => Withheld::NoFlow,
        Reason::StatisticsOnly => Withheld::StatisticsOnly,
        Reason::AgencyNotInForce => Withheld::AgencySuspended,
        Reason::FlowSuspended => Withheld::FlowsSuspended,
        Reason::PurposeDiffers => Withheld::PurposeDiffers,
        Reason::Restricted => Withheld::Restricted,
        Reason::BeforeActivation => Withheld::NotBackfilled,
        Reason::NotInCaseload => Withheld::CaseloadNotConfirmed,
        Reason::ConsentMissing => Withheld::ConsentMissing,
        Reason::ConsentRefused => Withheld::ConsentRefused,
        Reason::ConsentWithdrawn => Withheld::ConsentWithdrawn,
        Reason::ConsentInvalid => Withheld::ConsentInvalid,
        Reason::ConsentExpired => Withheld::ConsentExpired,
        Reason::ConsentInReview => Withheld::ConsentInReview,
        Reason::ConsentContested => Withheld::ConsentContested,
        Reason::PublisherPolicy(policies) => Withheld::PublisherPolicy(policies.clone()),
        // Which of the recipient's policies it is, is the recipient's affair.
        Reason::RecipientPolicy(policies) => Withheld::RecipientPolicy(match level {
            Level::Owner => Vec::new(),
            Level::Party => policies.clone(),
        }),
        // Not asked about here: it would tell the publisher that the recipient knows the client from elsewhere.
        Reason::RecipientRestricts => Withheld::RecipientPolicy(Vec::new()),
        Reason::PolicyUnreadable => match level {
            Level::Owner => Withheld::PublisherPolicy(Vec::new()),
            Level::Party => Withheld::RecipientPolicy(Vec::new()),
        },
    }
}

/// The flow that carries a group, with the consent that opens it for that group.
fn of_ground(
    state: &State,
    (level, group): (Level, Groups),
    (question, unattended): (&Question, bool),
    ground: &Ground,
) -> Option<NamedFlow> {
    let flow = named(state, &ground.agreement, &ground.flow)?;
    let alone = Question { groups: group, ..question.clone() };
    let decided = named_staff::decide_for_publisher(state, &alone, unattended);
    let consents = decided.grounds.first().map(|ground| ground.consents.clone());
    // A consent that was only described has no name.
    let named = level == Level::Owner && question.client != assumed::NOBODY;
    Some(NamedFlow { consents: consents.filter(|_| named).unwrap_or_default(), ..flow })
}

fn named(state: &State, id: &AgreementId, flow: &FlowId) -> Option<NamedFlow> {
    let agreement = state.tables().agreements.get(id)?;
    let row: &Flow = agreement.flows.iter().find(|row| row.id == *flow)?;
    Some(NamedFlow {
        agreement: id.clone(),
        version: agreement.version,
        flow: row.id.clone(),
        basis: row.basis,
        legal_power: row.legal_power,
        gate: row.gate,
        consents: BTreeSet::new(),
    })
}
