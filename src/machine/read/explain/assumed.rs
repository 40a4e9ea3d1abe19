//! What a question takes to be in force: a small state that holds nothing but what the one question depends on.
//!
//! A version of an agreement stands there as if every party had approved it now; policies as if they had been put; and a
//! described client as if the described words had been recorded, by the very rules that say who may speak.

use std::collections::BTreeSet;

use super::{Asked, Level, Subject, Whom};
use crate::{
    machine::{
        access::{
            Question,
            verdict::{self, SCHEMA_VERSION, Unfit},
        },
        command::{
            agreement::Content,
            consent::{Act, Review},
        },
        outcome::Refusal,
        rules::{
            agreement::{as_drafted, in_force_now},
            consent::{act_row, grantor},
        },
        state::{
            State,
            agency::AgencyNumber,
            agreement::{Agreement, Status},
            client::Case,
            consent::{Consent, Withdrawal},
            policy::Policy,
        },
    },
    model::{
        id::{AgreementId, ClientId, ConsentId, PolicyId},
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::{Gate, Grantor, Milestone},
};

/// The client of a described record: nobody has this id.
pub(super) const NOBODY: ClientId = ClientId::from_bytes([0; 16]);

/// What is taken to be in force.
#[derive(Clone, Debug, Default)]
pub struct Assumed {
    /// A version of an agreement, in place of that agreement's active version.
    pub agreement: Option<AssumedAgreement>,
    /// Policies of the viewer's: a text as it would be put, or none as if it were removed.
    pub policies: Vec<(PolicyId, Option<String>)>,
}

/// A version of an agreement that is taken to be active.
#[derive(Clone, Debug)]
pub enum AssumedAgreement {
    /// One that the exchange holds.
    Version(AgreementId, u32),
    /// One that nobody has drafted yet.
    Content(AgreementId, Box<Content>),
}

/// A client who is described and not named.
#[derive(Clone, Debug)]
pub struct DescribedClient {
    /// What is said; `None` if nobody was asked.
    pub word: Option<DescribedWord>,
    /// Whether the client is in the recipient's confirmed caseload.
    pub served: bool,
}

/// What is said about sharing a described client's record.
#[derive(Clone, Debug)]
pub struct DescribedWord {
    /// By whom and how. Without milestones, each that is called for lies as late as the age allows.
    pub act: Act,
    /// What.
    pub spoken: Spoken,
    /// When a consent ends.
    pub expires_at: Option<UnixMillis>,
}

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// Yes.
    Given,
    /// No.
    Refused,
    /// Yes, and later no more.
    Withdrawn,
}

/// The small state, and why a described word could not be recorded; `None` if nothing is assumed and the viewer is told
/// everything.
pub(super) fn state(
    state: &State,
    (viewer, level): (AgencyNumber, Level),
    asked: &Asked,
    question: &Question,
) -> Result<Option<(State, Option<Refusal>)>, Refusal> {
    let described = match &asked.subject {
        Subject::Described { client: Whom::Described(described), .. } => Some(described),
        Subject::Described { client: Whom::Nobody | Whom::Own(_), .. } | Subject::Record(_) => None,
    };
    let Assumed { agreement, policies } = &asked.assumed;
    let nothing = agreement.is_none() && policies.is_empty() && described.is_none();
    if nothing && level == Level::Owner {
        return Ok(None);
    }
    let mut small = of_question(state, question);
    if let Some(assumed) = agreement {
        let (id, row) = version(state, viewer, assumed, question)?;
        let active = row.status == Status::Active;
        let at = (state.chain().next, question.now.min(row.expires_at));
        let row = if active { row } else { in_force_now(state, id, row, at) };
        small.put_agreement(id, row);
    }
    put_policies(state, &mut small, (viewer, policies), question)?;
    if level == Level::Party {
        // What the publisher's policies do is the publisher's affair.
        for body in small.bodies(question.publisher) {
            let own: Vec<PolicyId> = small.policies_of(body).map(|(id, _)| id.clone()).collect();
            for policy in own {
                small.remove_policy(body, &policy);
            }
        }
    }
    let unfit = described.and_then(|described| describe(&mut small, question, described));
    Ok(Some((small, unfit)))
}

/// A state with what the question depends on, as it stands.
fn of_question(state: &State, question: &Question) -> State {
    let mut small = State::empty();
    small.left_out = state.left_out;
    for (id, row) in state.tables().successions.iter() {
        small.put_succession(*id, row.clone());
    }
    let ends = [question.publisher, question.recipient];
    let bodies: BTreeSet<_> = ends.into_iter().flat_map(|end| state.bodies(end)).collect();
    for (number, agency) in state.tables().agencies.iter() {
        if bodies.contains(number) {
            small.put_agency(*number, agency.clone());
        }
    }
    for (number, row) in state.tables().types.iter() {
        small.put_record_type(*number, row.clone());
    }
    for owner in &bodies {
        for (policy, row) in state.policies_of(*owner) {
            small.put_policy(*owner, policy.clone(), row.clone());
        }
    }
    let between = (question.publisher, question.record_type, question.recipient);
    let agreements: BTreeSet<&AgreementId> =
        state.flows_between(between).map(|(id, _)| id).collect();
    for id in agreements {
        if let Some(row) = state.tables().agreements.get(id) {
            small.put_agreement(id, row.clone());
        }
    }
    for (consent, row) in state.consents_of(question.client) {
        small.put_consent(consent, row.clone());
    }
    for controller in [question.publisher, question.recipient] {
        for (case, row) in state.restricting(question.client, controller) {
            small.put_case(case, row.clone());
        }
    }
    if let Some((claimant, case)) = state.claim_of(question.recipient, question.client) {
        let claim = (claimant, question.client);
        small.tables.caseload.put(&mut small.journal, claim, case.clone());
    }
    small
}

/// The version that is taken to be active.
fn version<'a>(
    state: &State,
    viewer: AgencyNumber,
    assumed: &'a AssumedAgreement,
    question: &Question,
) -> Result<(&'a AgreementId, Agreement), Refusal> {
    match assumed {
        AssumedAgreement::Version(id, version) => {
            let row = state.agreement_version(id, *version);
            let row = row.filter(|row| row.parties.contains_key(&viewer));
            Ok((id, row.ok_or(Refusal::NotAvailable)?.clone()))
        }
        AssumedAgreement::Content(id, content) => {
            Ok((id, as_drafted(state, (viewer, question.now), (id, content))?))
        }
    }
}

fn put_policies(
    state: &State,
    small: &mut State,
    (viewer, policies): (AgencyNumber, &[(PolicyId, Option<String>)]),
    question: &Question,
) -> Result<(), Refusal> {
    for (id, text) in policies {
        let Some(text) = text else {
            let known = state.policies_of(viewer).any(|(known, _)| known == id);
            if !known {
                return Err(Refusal::PolicyUnknown);
            }
            small.remove_policy(viewer, id);
            continue;
        };
        let text = verdict::examine(text).map_err(|unfit| match unfit {
            Unfit::Permits => Refusal::PolicyPermits,
            Unfit::Invalid(_) => Refusal::PolicyInvalid,
        })?;
        let row = Policy { text, schema_version: SCHEMA_VERSION, put_at: question.now };
        small.put_policy(viewer, id.clone(), row);
    }
    Ok(())
}

/// Puts what is described about the client; gives why a word could not be recorded, if it could not.
fn describe(small: &mut State, question: &Question, client: &DescribedClient) -> Option<Refusal> {
    if client.served {
        let claim = (question.recipient, NOBODY);
        let (opened_at, confirmed_at) = (question.now, Some(question.now));
        let confirmed_by = Some(question.publisher);
        let case = Case { confirmed_by, opened: Position::FIRST, opened_at, confirmed_at };
        small.tables.caseload.put(&mut small.journal, claim, case);
    }
    let word = client.word.as_ref()?;
    let between = (question.publisher, question.record_type, question.recipient);
    let mut waiting: BTreeSet<(i32, i32)> = BTreeSet::new();
    for (id, place) in small.flows_between(between) {
        let Some(row) = small.tables().agreements.get(id) else { continue };
        let flow = row.flows.get(usize::from(place));
        waiting.extend(flow.map(|flow| (flow.gate, row.purpose)));
    }
    let mut unfit = None;
    for (place, (gate, purpose)) in (1_u8..).zip(waiting) {
        let gate = Gate::try_from(gate).unwrap_or_default();
        if matches!(gate, Gate::None | Gate::Unspecified) {
            continue;
        }
        match said(small, word, gate) {
            Ok((act, review)) => {
                let row = Consent {
                    gate: i32::from(gate),
                    purposes: BTreeSet::from([purpose]),
                    review,
                    act: act_row(&act),
                    ..blank(question, word, &act)
                };
                small.put_consent(ConsentId::from_bytes([place; 16]), row);
            }
            Err(refusal) => unfit = unfit.or(Some(refusal)),
        }
    }
    unfit
}

/// The act as it could be recorded, and when it would be reviewed.
fn said(
    small: &State,
    word: &DescribedWord,
    gate: Gate,
) -> Result<(Act, Option<(UnixMillis, i32)>), Refusal> {
    let mut act = word.act.clone();
    if word.spoken == Spoken::Refused {
        grantor::may_refuse(small, gate, &act)?;
        return Ok((act, None));
    }
    if act.reviews.is_empty() && act.grantor != Grantor::Self_ {
        let aged = (act.given_at, act.age_years);
        let milestones =
            [Milestone::TwelfthBirthday, Milestone::LeavingDate, Milestone::SixteenthBirthday];
        let called_for = milestones.into_iter().filter(|milestone| match milestone {
            Milestone::TwelfthBirthday => gate != Gate::StatutoryConsent && act.age_years < 12,
            Milestone::LeavingDate => gate == Gate::StatutoryConsent,
            Milestone::SixteenthBirthday => act.age_years < 16,
            Milestone::AuthorityEnd | Milestone::Unspecified => false,
        });
        act.reviews = called_for.filter_map(|named| Review::latest(named, aged)).collect();
    }
    let review = grantor::may_give(small, gate, &act, act.given_at)?;
    Ok((act, review))
}

fn blank(question: &Question, word: &DescribedWord, act: &Act) -> Consent {
    let (position, every) = (Position::FIRST, question.groups);
    let recipients = BTreeSet::from([question.recipient]);
    let withdrawal = Withdrawal {
        position: position.next(),
        at: act.given_at,
        by: question.publisher,
        recipients: recipients.clone(),
        groups: every,
    };
    Consent {
        given: word.spoken != Spoken::Refused,
        position,
        client: NOBODY,
        recorder: question.publisher,
        publisher: question.publisher,
        record_type: question.record_type,
        groups: every,
        recipients,
        gate: 0,
        purposes: BTreeSet::new(),
        act: act_row(act),
        expires_at: word.expires_at,
        review: None,
        renews: None,
        withdrawals: if word.spoken == Spoken::Withdrawn { vec![withdrawal] } else { Vec::new() },
        invalid: None,
        resolved: None,
        ended: false,
        recorded_at: act.given_at,
    }
}
