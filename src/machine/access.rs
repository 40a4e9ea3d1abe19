//! Access: may these field groups of this client's record go from this publisher to this recipient, now, and why?
//!
//! Only a flow of an active agreement permits. Each flow is asked in turn: parties, agreement, purpose, backfill,
//! caseload, gate; then the publisher's and the recipient's own policies, which only narrow (`access/verdict.rs`). The
//! answer gives a ground for every group that may leave and a reason for every group that may not, and is the same
//! function for a release, for an explanation and for the send gate (G3, G5, G8).

use std::collections::BTreeSet;

use crate::{
    machine::{
        law::{self, Rule},
        rules::{
            case,
            consent::word::{self, About, Closed},
        },
        state::{
            State,
            agency::{Agency, AgencyNumber},
            agreement::{Agreement, Flow, Status},
            record::{Groups, RecordRow, TypeNumber},
        },
    },
    model::{
        id::{AgreementId, ClientId, ConsentId, FlowId, PolicyId},
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::Gate,
};

pub mod survey;
pub mod verdict;

pub use verdict::{Attributes, QuestionKey, Verdict, Verdicts};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Who publishes.
    pub publisher: AgencyNumber,
    /// Who would receive.
    pub recipient: AgencyNumber,
    /// The type of record.
    pub record_type: TypeNumber,
    /// Whom the record is about.
    pub client: ClientId,
    /// The groups that the record holds.
    pub groups: Groups,
    /// Where the record was published.
    pub published: Position,
    /// For what the recipient would receive (`Purpose`).
    pub purpose: i32,
    /// The time.
    pub now: UnixMillis,
}

impl Question {
    /// Asks about a record.
    pub fn about(
        record: &RecordRow,
        recipient: AgencyNumber,
        purpose: i32,
        now: UnixMillis,
    ) -> Self {
        Self {
            publisher: record.publisher,
            recipient,
            record_type: record.record_type,
            client: record.client,
            groups: record.groups,
            published: record.position,
            purpose,
            now,
        }
    }
}

/// The ground on which groups may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// The agreement.
    pub agreement: AgreementId,
    /// Its version.
    pub version: u32,
    /// The flow.
    pub flow: FlowId,
    /// The groups.
    pub groups: Groups,
    /// The consents relied on.
    pub consents: BTreeSet<ConsentId>,
    /// The first date on which the agreement or one of the consents ends by itself.
    pub until: UnixMillis,
}

/// Why a group may not leave on one flow, in order of precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No flow of an active agreement shares the group with the recipient.
    NoFlow,
    /// The flow only counts records.
    StatisticsOnly,
    /// The publisher or the recipient is suspended or not enrolled.
    AgencyNotInForce,
    /// The agreement has ended.
    AgreementEnded,
    /// The publisher or the recipient has suspended its flows.
    FlowSuspended,
    /// The agreement has another purpose.
    PurposeDiffers,
    /// A case of the publisher's restricts the client's records.
    Restricted,
    /// A case of the recipient's does.
    RecipientRestricts,
    /// The record was published before the agreement became active, and the flow has no backfill.
    BeforeActivation,
    /// The client is not in the recipient's confirmed caseload.
    NotInCaseload,
    /// The gate asks for a consent that was never given.
    ConsentMissing,
    /// Consent was refused.
    ConsentRefused,
    /// The consent was withdrawn.
    ConsentWithdrawn,
    /// The person who consented has no rights.
    ConsentInvalid,
    /// The consent has ended.
    ConsentExpired,
    /// Somebody else speaks for the client by now, and has not been asked.
    ConsentInReview,
    /// Those who speak for the client disagree, and the publisher has not decided.
    ConsentContested,
    /// Policies of the publisher forbid it.
    PublisherPolicy(Vec<PolicyId>),
    /// Policies of the recipient forbid it.
    RecipientPolicy(Vec<PolicyId>),
    /// A policy could not be evaluated, which denies.
    PolicyUnreadable,
}

impl Reason {
    /// The stable code, in upper snake case.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoFlow => "NO_FLOW",
            Self::StatisticsOnly => "STATISTICS_ONLY",
            Self::AgencyNotInForce => "AGENCY_NOT_IN_FORCE",
            Self::AgreementEnded => "AGREEMENT_ENDED",
            Self::FlowSuspended => "FLOW_SUSPENDED",
            Self::PurposeDiffers => "PURPOSE_DIFFERS",
            Self::Restricted => "RESTRICTED",
            Self::RecipientRestricts => "RECIPIENT_RESTRICTS",
            Self::BeforeActivation => "BEFORE_ACTIVATION",
            Self::NotInCaseload => "NOT_IN_CASELOAD",
            Self::ConsentMissing => "CONSENT_MISSING",
            Self::ConsentRefused => "CONSENT_REFUSED",
            Self::ConsentWithdrawn => "CONSENT_WITHDRAWN",
            Self::ConsentInvalid => "CONSENT_INVALID",
            Self::ConsentExpired => "CONSENT_EXPIRED",
            Self::ConsentInReview => "CONSENT_IN_REVIEW",
            Self::ConsentContested => "CONSENT_CONTESTED",
            Self::PublisherPolicy(_) => "PUBLISHER_POLICY",
            Self::RecipientPolicy(_) => "RECIPIENT_POLICY",
            Self::PolicyUnreadable => "POLICY_UNREADABLE",
        }
    }
}

/// Why a group is withheld.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// The group, as a set of one.
    pub group: Groups,
    /// The flow that came nearest, if any shares the group.
    pub flow: Option<(AgreementId, FlowId)>,
    /// What stands against it there.
    pub reason: Reason,
}

/// What may leave, and what may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Grounds; no group stands in two of them.
    pub grounds: Vec<Ground>,
    /// Every other group of the record.
    pub withheld: Vec<Withheld>,
}

impl Decision {
    /// The groups that may leave.
    pub fn groups(&self) -> Groups {
        self.grounds.iter().fold(Groups::NONE, |set, ground| set.with(ground.groups))
    }
}

/// Decides.
pub fn decide(state: &State, question: &Question) -> Decision {
    decide_on(state, question, |_| true)
}

/// Decides as if there were no flows but those that `counts` says count: a group that one flow may not carry here is then
/// carried by the next one that may.
pub(in crate::machine) fn decide_on(
    state: &State,
    question: &Question,
    counts: impl Fn(&Flow) -> bool,
) -> Decision {
    decide_by(state, question, counts, case::restriction)
}

/// As [`decide_on`], as far as the publisher is told of it: that a person asked the recipient for something, and so that
/// the recipient knows the client from elsewhere, is nothing to the publisher (G8).
pub(in crate::machine) fn decide_for_publisher(
    state: &State,
    question: &Question,
    counts: impl Fn(&Flow) -> bool,
) -> Decision {
    decide_by(state, question, counts, case::restriction_of_publisher)
}

fn decide_by(
    state: &State,
    question: &Question,
    counts: impl Fn(&Flow) -> bool,
    restriction: impl Fn(&State, &Question, (&AgreementId, &Flow)) -> Option<Reason>,
) -> Decision {
    let mut decision = Decision::default();
    let mut nearest: Vec<Withheld> = Vec::new();
    let mut open = question.groups;
    for (id, agreement, place, flow) in flows(state, question).filter(|(.., flow)| counts(flow)) {
        let named = if state.applies(Rule::GroupsNamed) { flow.groups } else { open };
        let asked = open.and(named);
        if asked.is_empty() {
            continue;
        }
        let mut ground = Ground {
            agreement: id.clone(),
            version: agreement.version,
            flow: flow.id.clone(),
            groups: Groups::NONE,
            consents: BTreeSet::new(),
            until: until(state, agreement, flow),
        };
        let flow_reason = stands_against(state, question, agreement, flow)
            .or_else(|| restriction(state, question, (id, flow)));
        let served = served(state, question, flow);
        for (group_place, group) in asked.each() {
            let verdict = match &flow_reason {
                Some(reason) => Err(reason.clone()),
                None => published(state, question, (id, agreement, flow), group)
                    .and_then(|()| served.clone())
                    .and_then(|()| gate(state, question, (id, flow), group))
                    .and_then(|consent| {
                        policies(state, question, (id, agreement, place, flow), group_place)?;
                        Ok(consent)
                    }),
            };
            match verdict {
                Ok(consent) => {
                    ground.groups = ground.groups.with(group);
                    ground.until = ground.until.min(ends(state, consent));
                    ground.consents.extend(consent);
                }
                Err(reason) => {
                    let flow = Some((id.clone(), flow.id.clone()));
                    nearest.push(Withheld { group, flow, reason });
                }
            }
        }
        if !ground.groups.is_empty() {
            open = open.without(ground.groups);
            decision.grounds.push(ground);
        }
    }
    decision.withheld = withheld(open, &nearest);
    decision
}

/// The groups that agreements and gates let leave, whatever policies say; with `assumed`, as if that version were in force
/// in place of the one that is. For whatever purpose an agreement has.
pub(in crate::machine) fn agreed(
    state: &State,
    question: &Question,
    assumed: Option<(&AgreementId, &Agreement)>,
) -> Groups {
    let key = (state.heir(question.publisher), question.record_type, question.recipient);
    let others = flows(state, question)
        .filter(|(id, ..)| assumed.is_none_or(|(assumed, _)| assumed != *id))
        .map(|(id, agreement, _, flow)| (id, agreement, flow));
    let assumed = assumed.into_iter().flat_map(|(id, agreement)| {
        let flows = agreement.flows.iter().filter(|flow| {
            (flow.publisher, flow.record_type) == (key.0, key.1)
                && flow.recipients.contains(&key.2)
                && flow.emergency.is_none()
        });
        flows.map(move |flow| (id, agreement, flow))
    });
    let mut groups = Groups::NONE;
    for (id, agreement, flow) in others.chain(assumed) {
        let question = Question { purpose: agreement.purpose, ..question.clone() };
        let against = stands_against(state, &question, agreement, flow)
            .or_else(|| case::restriction(state, &question, (id, flow)));
        if against.is_some() {
            continue;
        }
        for (_, group) in question.groups.and(flow.groups).without(groups).each() {
            let open = published(state, &question, (id, agreement, flow), group)
                .and_then(|()| served(state, &question, flow))
                .and_then(|()| gate(state, &question, (id, flow), group));
            if open.is_ok() {
                groups = groups.with(group);
            }
        }
    }
    groups
}

/// For every group still open, the reason of the flow that came nearest to sharing it.
fn withheld(open: Groups, nearest: &[Withheld]) -> Vec<Withheld> {
    open.each()
        .map(|(_, group)| {
            nearest
                .iter()
                .filter(|withheld| withheld.group == group)
                .max_by(|a, b| a.reason.cmp(&b.reason))
                .cloned()
                .unwrap_or(Withheld { group, flow: None, reason: Reason::NoFlow })
        })
        .collect()
}

/// A flow where it stands.
pub(in crate::machine) type Place<'a> = (&'a AgreementId, &'a Agreement, u16, &'a Flow);

/// The flows of active agreements from the publisher, or from the body into which it went over, to the recipient, in the
/// order of their names.
fn flows<'a>(state: &'a State, question: &Question) -> impl Iterator<Item = Place<'a>> {
    let key = (state.heir(question.publisher), question.record_type, question.recipient);
    let active = state.flows_between(key).filter_map(|(id, place)| {
        let agreement = state.tables.agreements.get(id)?;
        Some((id, agreement, place, agreement.flows.get(usize::from(place))?))
    });
    active.filter(|_| state.applies(Rule::FlowPermits))
}

/// What stands against a whole flow.
fn stands_against(
    state: &State,
    question: &Question,
    agreement: &Agreement,
    flow: &Flow,
) -> Option<Reason> {
    let in_force = |number| state.agency(number).is_some_and(Agency::in_force);
    let publisher = state.heir(question.publisher);
    let both = in_force(publisher) && in_force(question.recipient);
    if !both && state.applies(Rule::InForce) {
        return Some(Reason::AgencyNotInForce);
    }
    if flow.statistics_only && state.applies(Rule::StatisticsOnly) {
        return Some(Reason::StatisticsOnly);
    }
    let stands = agreement.status == Status::Active || law::counts_anyway(state, agreement);
    let over = until(state, agreement, flow) <= question.now;
    if !stands || (over && state.applies(Rule::AgreementEnds)) {
        return Some(Reason::AgreementEnded);
    }
    let suspended = &agreement.suspended_by;
    let held = suspended.contains(&publisher) || suspended.contains(&question.recipient);
    if held && state.applies(Rule::FlowsSuspended) {
        return Some(Reason::FlowSuspended);
    }
    if agreement.purpose != question.purpose && state.applies(Rule::OnePurpose) {
        return Some(Reason::PurposeDiffers);
    }
    None
}

/// Whether the recipient serves the client, where the flow asks for it.
fn served(state: &State, question: &Question, flow: &Flow) -> Result<(), Reason> {
    let asked = flow.caseload_confirmed && state.applies(Rule::KnownClient);
    if asked && !state.in_confirmed_caseload(question.recipient, question.client) {
        return Err(Reason::NotInCaseload);
    }
    Ok(())
}

/// Whether the record was published since the group flows to the recipient, or the flow reaches back: a party that joined
/// later gets nothing from before, unless all approved a backfill.
fn published(
    state: &State,
    question: &Question,
    (id, agreement, flow): (&AgreementId, &Agreement, &Flow),
    group: Groups,
) -> Result<(), Reason> {
    let since = agreement.since(flow, question.recipient, group);
    // What a body published that went over into the publisher flows on from where it flowed before.
    let before = (question.publisher, question.recipient, group);
    let before = state.since_before((id, agreement.version, &flow.id), before);
    let since = before.map_or(since, |before| before.min(since));
    let reaches_back = flow.backfill && state.applies(Rule::ApprovedBackfill);
    if reaches_back || since <= question.published || !state.applies(Rule::FromActivationOn) {
        Ok(())
    } else {
        Err(Reason::BeforeActivation)
    }
}

/// Whether the flow's gate is open for one group, and by which consent.
fn gate(
    state: &State,
    question: &Question,
    (id, flow): (&AgreementId, &Flow),
    group: Groups,
) -> Result<Option<ConsentId>, Reason> {
    if flow.gate == i32::from(Gate::None) && state.applies(Rule::DutyNeedsNoConsent) {
        return Ok(None);
    }
    let about = About {
        agreement: id,
        publisher: state.heir(question.publisher),
        recipient: question.recipient,
        record_type: question.record_type,
        group,
        gate: flow.gate,
        purpose: question.purpose,
        now: question.now,
    };
    match word::last(state, question.client, &about) {
        Ok(consent) => Ok(Some(consent)),
        Err(Closed::Missing) if !state.applies(Rule::ConsentNeeded) => Ok(None),
        Err(closed) => Err(match closed {
            Closed::Missing => Reason::ConsentMissing,
            Closed::Refused => Reason::ConsentRefused,
            Closed::Withdrawn => Reason::ConsentWithdrawn,
            Closed::Invalid => Reason::ConsentInvalid,
            Closed::Expired => Reason::ConsentExpired,
            Closed::InReview => Reason::ConsentInReview,
            Closed::Contested => Reason::ConsentContested,
        }),
    }
}

/// When a flow ends by itself.
fn until(state: &State, agreement: &Agreement, flow: &Flow) -> UnixMillis {
    if state.applies(Rule::SafeguardingGoesOn) {
        agreement.flow_until(flow)
    } else {
        agreement.expires_at
    }
}

/// When a consent ends by itself, or falls due for review.
fn ends(state: &State, consent: Option<ConsentId>) -> UnixMillis {
    consent
        .and_then(|id| state.tables.consents.get(&id)?.ends_at())
        .unwrap_or(UnixMillis::new(u64::MAX))
}

/// Whether the publisher's and the recipient's own policies let one group pass. Those of a body that went over into one of
/// the two are asked as if it still stood there: about its records, and in the agreements in which its place was taken.
pub(in crate::machine) fn policies(
    state: &State,
    question: &Question,
    (id, agreement, place, flow): Place<'_>,
    group_place: u32,
) -> Result<(), Reason> {
    let Some(record_type) = state.record_type(question.record_type) else {
        return Err(Reason::PolicyUnreadable);
    };
    let publisher = state.heir(question.publisher);
    let index = usize::try_from(group_place).unwrap_or(usize::MAX);
    let Some((group, special_category)) = record_type.groups.get(index) else {
        return Err(Reason::PolicyUnreadable);
    };
    for (side, owner) in owners(state, (question, publisher), id) {
        if state.policies_of(owner).next().is_none() {
            continue; // says nothing, and most agencies have none
        }
        let (publisher, recipient) = match side {
            Side::Publisher => (owner, question.recipient),
            Side::Recipient => (publisher, owner),
        };
        let (Some(from), Some(to)) = (state.agency(publisher), state.agency(recipient)) else {
            return Err(Reason::PolicyUnreadable);
        };
        let key = QuestionKey {
            owner,
            publisher,
            recipient,
            record_type: question.record_type,
            group: group_place,
            agreement: id.clone(),
            version: agreement.version,
            flow: place,
        };
        let verdict = state.verdicts.ask(state, &key, || Attributes {
            publisher: from.into(),
            recipient: to.into(),
            record_type: &record_type.name,
            group,
            special_category: *special_category,
            purpose: agreement.purpose,
            agreement: id,
            flow: &flow.id,
            basis: flow.basis,
            gate: flow.gate,
        });
        match verdict {
            Verdict::Silent => {}
            Verdict::Forbidden(ids) if side == Side::Publisher => {
                if state.applies(Rule::PublisherNarrows) {
                    return Err(Reason::PublisherPolicy(ids));
                }
            }
            Verdict::Forbidden(ids) => {
                if state.applies(Rule::RecipientNarrows) {
                    return Err(Reason::RecipientPolicy(ids));
                }
            }
            Verdict::Unreadable => return Err(Reason::PolicyUnreadable),
        }
    }
    Ok(())
}

/// On which side of a flow an agency's policies are asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Publisher,
    Recipient,
}

/// Whose policies are asked.
fn owners(
    state: &State,
    (question, publisher): (&Question, AgencyNumber),
    id: &AgreementId,
) -> impl Iterator<Item = (Side, AgencyNumber)> {
    let ends = [(Side::Publisher, publisher), (Side::Recipient, question.recipient)];
    let before = ends.map(|(side, agency)| {
        let mut before = state.before(id, agency);
        before.retain(|body| state.answers_for(agency, *body));
        if side == Side::Publisher && question.publisher != publisher {
            before.insert(question.publisher);
        }
        before.into_iter().map(move |body| (side, body))
    });
    ends.into_iter().chain(before.into_iter().flatten())
}
