//! Explanations: what a recipient would get of a record, and why, were it released now.
//!
//! Told to the record's publisher alone, and decided by the very function that decides releases. An assumed version of an
//! agreement is put in force in a small state of its own that holds nothing but what the one question depends on.

use std::collections::BTreeSet;

use crate::{
    machine::{
        access::{self, Decision, Ground, Question, Reason},
        outcome::Refusal,
        read::Viewer,
        rules::agreement::in_force_now,
        state::{
            State,
            agency::{Agency, AgencyNumber},
            agreement::{Flow, Status},
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

/// What would be released.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A version of a record of the viewer's.
    Record(RecordId),
    /// A record that the viewer might publish.
    Described {
        /// The type of record.
        record_type: RecordTypeName,
        /// The client, by the viewer's name; `None` for one about whom nothing is known.
        client: Option<AliasId>,
        /// The groups that it would hold; empty for all.
        groups: BTreeSet<GroupName>,
    },
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What would be released.
    pub subject: Subject,
    /// Who would receive it.
    pub recipient: AgencyId,
    /// For what purpose (`Purpose`).
    pub purpose: i32,
    /// A version of an agreement that is taken to be active.
    pub assumed: Option<(AgreementId, u32)>,
    /// The time.
    pub now: UnixMillis,
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
    /// `Gate`.
    pub gate: i32,
    /// The consents relied on.
    pub consents: BTreeSet<ConsentId>,
}

/// Why a group would be withheld, in order of precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// The publisher or the recipient is suspended.
    AgencySuspended,
    /// The version has been replaced.
    RecordReplaced,
    /// No flow carries the type to the recipient.
    NoFlow,
    /// Flows do, but do not share the group.
    GroupNotPermitted,
    /// The agreement has another purpose.
    PurposeDiffers,
    /// A party has suspended its flows.
    FlowsSuspended,
    /// A case of the publisher's restricts the client's records.
    Restricted,
    /// Published before the activation, without backfill.
    NotBackfilled,
    /// The recipient's claim to the client is not confirmed.
    CaseloadNotConfirmed,
    /// No consent was ever given.
    ConsentMissing,
    /// Consent was refused.
    ConsentRefused,
    /// Consent was withdrawn.
    ConsentWithdrawn,
    /// The person who consented has no rights.
    ConsentInvalid,
    /// Consent has ended.
    ConsentExpired,
    /// Somebody else speaks for the client by now.
    ConsentInReview,
    /// Those who speak for the client disagree.
    ConsentContested,
    /// Policies of the publisher's forbid it, or one could not be evaluated.
    PublisherPolicy(Vec<PolicyId>),
    /// A policy of the recipient's forbids it, or a case of the recipient's restricts it.
    RecipientPolicy,
}

/// The subject in the machine's own numbers.
struct Resolved {
    publisher: AgencyNumber,
    record_type: TypeNumber,
    client: ClientId,
    groups: Groups,
    published: Position,
    replaced: bool,
}

/// Explains, group by group in the order of the record type.
///
/// # Errors
/// `NotAvailable` for a record, client, agency or agreement that is not the viewer's to ask about; `TypeUnknown`,
/// `GroupUnknown`.
pub fn explain(
    state: &State,
    viewer: Viewer,
    asked: &Asked,
) -> Result<Vec<GroupDecision>, Refusal> {
    let viewer = viewer.agency().ok_or(Refusal::NotAvailable)?;
    let resolved = resolve(state, viewer, &asked.subject)?;
    let recipient = state
        .agency_number(&asked.recipient)
        .filter(|number| state.agency(*number).is_some_and(|agency| agency.keys.is_some()))
        .ok_or(Refusal::NotAvailable)?;
    let record_type = state.record_type(resolved.record_type).ok_or(Refusal::TypeUnknown)?;
    let question = Question {
        publisher: resolved.publisher,
        recipient,
        record_type: resolved.record_type,
        client: resolved.client,
        groups: resolved.groups,
        published: resolved.published,
        purpose: asked.purpose,
        now: asked.now,
    };
    let in_force = |number| state.agency(number).is_some_and(Agency::in_force);
    if !in_force(viewer) || !in_force(recipient) {
        return Ok(all_withheld(record_type, resolved.groups, &Withheld::AgencySuspended));
    }
    if resolved.replaced {
        return Ok(all_withheld(record_type, resolved.groups, &Withheld::RecordReplaced));
    }
    let assumed = match &asked.assumed {
        Some(named) => Some(assuming(state, viewer, named, &question)?),
        None => None,
    };
    let state = assumed.as_ref().unwrap_or(state);
    let decision = access::decide(state, &question);
    Ok(told(state, &question, record_type, &decision))
}

fn resolve(state: &State, viewer: AgencyNumber, subject: &Subject) -> Result<Resolved, Refusal> {
    match subject {
        Subject::Record(id) => {
            let row = state
                .record(*id)
                .filter(|row| row.publisher == viewer)
                .ok_or(Refusal::NotAvailable)?;
            let latest = state.latest(row.first).map(|(latest, _)| latest);
            Ok(Resolved {
                publisher: viewer,
                record_type: row.record_type,
                client: row.client,
                groups: row.groups,
                published: row.position,
                replaced: latest != Some(*id) || state.retraction(row.first).is_some(),
            })
        }
        Subject::Described { record_type, client, groups } => {
            let number = state.type_number(record_type).ok_or(Refusal::TypeUnknown)?;
            let known = state.record_type(number).ok_or(Refusal::TypeUnknown)?;
            let named = known.set_of(groups).ok_or(Refusal::GroupUnknown)?;
            let every = known.set_of(known.groups.iter().map(|(name, _)| name));
            let client = match client {
                Some(alias) => state.own_client(viewer, *alias).ok_or(Refusal::NotAvailable)?,
                None => ClientId::from_bytes([0; 16]),
            };
            Ok(Resolved {
                publisher: viewer,
                record_type: number,
                client,
                groups: if groups.is_empty() { every.unwrap_or_default() } else { named },
                published: state.chain().next,
                replaced: false,
            })
        }
    }
}

/// A state in which a version of an agreement is active, with all that the question depends on.
fn assuming(
    state: &State,
    viewer: AgencyNumber,
    (id, version): &(AgreementId, u32),
    question: &Question,
) -> Result<State, Refusal> {
    let assumed = state
        .agreement_version(id, *version)
        .filter(|row| row.parties.contains_key(&viewer))
        .ok_or(Refusal::NotAvailable)?;
    let mut small = State::empty();
    for (number, agency) in state.tables().agencies.iter() {
        if [question.publisher, question.recipient].contains(number) {
            small.put_agency(*number, agency.clone());
        }
    }
    for (number, row) in state.tables().types.iter() {
        small.put_record_type(*number, row.clone());
    }
    for owner in [question.publisher, question.recipient] {
        for (policy, row) in state.policies_of(owner) {
            small.put_policy(owner, policy.clone(), row.clone());
        }
    }
    let between = (question.publisher, question.record_type, question.recipient);
    let others: BTreeSet<&AgreementId> =
        state.flows_between(between).map(|(other, _)| other).collect();
    for other in others {
        if let Some(row) = state.tables().agreements.get(other) {
            small.put_agreement(other, row.clone());
        }
    }
    let assumed = if assumed.status == Status::Active {
        assumed.clone()
    } else {
        in_force_now(state, id, assumed.clone(), (state.chain().next, question.now))
    };
    small.put_agreement(id, assumed);
    for (consent, row) in state.consents_of(question.client) {
        small.put_consent(consent, row.clone());
    }
    for controller in [question.publisher, question.recipient] {
        for (case, row) in state.restricting(question.client, controller) {
            small.put_case(case, row.clone());
        }
    }
    let claim = (question.recipient, question.client);
    if let Some(case) = state.tables().caseload.get(&claim) {
        small.tables.caseload.put(&mut small.journal, claim, case.clone());
    }
    Ok(small)
}

fn all_withheld(record_type: &RecordType, groups: Groups, reason: &Withheld) -> Vec<GroupDecision> {
    let names = record_type.names_of(groups).into_iter();
    names.map(|group| GroupDecision { group, withheld: Some(reason.clone()), flow: None }).collect()
}

fn told(
    state: &State,
    question: &Question,
    record_type: &RecordType,
    decision: &Decision,
) -> Vec<GroupDecision> {
    let groups = question.groups.each().zip(record_type.names_of(question.groups));
    groups
        .map(|((_, group), name)| {
            if let Some(ground) = decision.grounds.iter().find(|g| g.groups.covers(group)) {
                let flow = of_ground(state, ground);
                return GroupDecision { group: name, withheld: None, flow };
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
                withheld: Some(why(reason, carried)),
                flow: flow.and_then(|(id, flow)| named(state, id, flow)),
            }
        })
        .collect()
}

fn why(reason: &Reason, carried: impl Fn() -> bool) -> Withheld {
    match reason {
        Reason::NoFlow if carried() => Withheld::GroupNotPermitted,
        Reason::NoFlow | Reason::AgreementEnded | Reason::StatisticsOnly => Withheld::NoFlow,
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
        // Which of the recipient's policies it is, or that a person asked the recipient, is the recipient's affair.
        Reason::RecipientPolicy(_) | Reason::RecipientRestricts => Withheld::RecipientPolicy,
        Reason::PolicyUnreadable => Withheld::PublisherPolicy(Vec::new()),
    }
}

fn of_ground(state: &State, ground: &Ground) -> Option<NamedFlow> {
    let flow = named(state, &ground.agreement, &ground.flow)?;
    Some(NamedFlow { consents: ground.consents.clone(), ..flow })
}

fn named(state: &State, id: &AgreementId, flow: &FlowId) -> Option<NamedFlow> {
    let agreement = state.tables().agreements.get(id)?;
    let row: &Flow = agreement.flows.iter().find(|row| row.id == *flow)?;
    Some(NamedFlow {
        agreement: id.clone(),
        version: agreement.version,
        flow: row.id.clone(),
        basis: row.basis,
        gate: row.gate,
        consents: BTreeSet::new(),
    })
}
