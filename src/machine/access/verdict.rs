//! Verdicts: what an agency's own Cedar policies say to one field group going to one recipient. The only file that names
//! Cedar.
//!
//! A policy never permits: the base policy permits everything and every agency's policy is a `forbid`, so that what flows
//! is decided by flows alone and a policy only takes away. An evaluation that fails denies. The attributes are closed,
//! versioned by [`SCHEMA_VERSION`], held in `schema.cedarschema`, and never about a person; what they depend on is named by
//! a [`QuestionKey`], so that an answer is remembered until its owner's policies change.
//!
//! INVARIANT (narrowing): no text that permits, errs on the schema or says anything beside its rule is ever stored
//! (`examine`), and no answer but [`Verdict::Silent`] lets a group pass.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound::{Excluded, Unbounded},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use cedar_policy::{
    Authorizer, Context, Decision, Effect, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    Policy, PolicySet, Request, RestrictedExpression, Schema, ValidationMode, Validator,
};

use crate::{
    machine::state::{
        State,
        agency::{Agency, AgencyNumber},
        record::TypeNumber,
    },
    model::id::{AgencyId, AgreementId, FlowId, GroupName, PolicyId, RecordTypeName},
    pb::ledger::v1 as pb,
};

pub(super) mod wording;

/// The version of the Cedar schema that policies are written for.
pub const SCHEMA_VERSION: u32 = 1;
/// The schema as policies' authors read it.
pub const SCHEMA: &str = include_str!("schema.cedarschema");
/// The greatest number of answers remembered for one agency.
pub const ANSWERS_MAX: usize = 4_096;
/// The greatest number of answers remembered of all agencies together; one takes some 200 bytes.
pub const ANSWERS_TOTAL_MAX: usize = 262_144;
/// The greatest number of agencies whose policies are kept compiled.
pub const OWNERS_MAX: usize = 256;

/// The id of the base policy. No policy of an agency can have it: theirs are slugs.
const BASE: &str = "Base";

/// What a question tells Cedar. Codes are those of the protobuf enums.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// Whose record it is.
    pub publisher: Party<'a>,
    /// Who would receive.
    pub recipient: Party<'a>,
    /// The type of record.
    pub record_type: &'a RecordTypeName,
    /// The field group.
    pub group: &'a GroupName,
    /// Whether the group holds special category data.
    pub special_category: bool,
    /// `Purpose` of the agreement.
    pub purpose: i32,
    /// The agreement.
    pub agreement: &'a AgreementId,
    /// The flow in it.
    pub flow: &'a FlowId,
    /// `LawfulBasis` of the flow.
    pub basis: i32,
    /// `Gate` of the flow.
    pub gate: i32,
}

/// What a question tells of an agency.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// Its id.
    pub id: &'a AgencyId,
    /// What kind of body it is.
    pub kind: pb::AgencyKind,
}

impl<'a> From<&'a Agency> for Party<'a> {
    fn from(agency: &'a Agency) -> Self {
        Self { id: &agency.id, kind: agency.kind() }
    }
}

/// What a question's attributes depend on: while its owner's policies stand, one key has one answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuestionKey {
    /// Whose policies are asked: the publisher or the recipient.
    pub owner: AgencyNumber,
    /// Whose record it is.
    pub publisher: AgencyNumber,
    /// Who would receive.
    pub recipient: AgencyNumber,
    /// The type of record.
    pub record_type: TypeNumber,
    /// The place of the field group in its type.
    pub group: u32,
    /// The agreement.
    pub agreement: AgreementId,
    /// Its version.
    pub version: u32,
    /// The place of the flow in it.
    pub flow: u16,
}

/// What an agency's policies say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the flow decides.
    Silent,
    /// These policies forbid, in the order of their ids.
    Forbidden(Vec<PolicyId>),
    /// A policy could not be evaluated, which denies.
    Unreadable,
}

/// Why a text cannot be a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It permits.
    Permits,
    /// It is not one `forbid` over the schema; what is wrong, one problem a line, for its author.
    Invalid(Vec<String>),
}

/// A bounded memory of compiled policies and of answers. It is no part of the state: a clone begins empty, and losing it
/// changes no answer.
///
/// An answer is small and is kept long after the policies behind it were let go, so that a decision costs the same among ten
/// agencies and among ten thousand: compiling is paid once for an agency, and again only for a question that is new.
#[derive(Default)]
pub struct Verdicts {
    // A lock, because decisions are taken behind `&State`, by readers side by side. Never held across anything that waits.
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// The base policy and an agency's own; `None` if one of them does not parse.
    compiled: BTreeMap<AgencyNumber, Option<PolicySet>>,
    answers: BTreeMap<AgencyNumber, BTreeMap<QuestionKey, Verdict>>,
    /// How many answers there are.
    count: usize,
    /// Who was let go last: the next one after it goes next.
    hand: Option<AgencyNumber>,
}

impl Memory {
    fn forget(&mut self, owner: AgencyNumber) {
        let _compiled = self.compiled.remove(&owner);
        let answers = self.answers.remove(&owner).map_or(0, |answers| answers.len());
        self.count = self.count.saturating_sub(answers);
    }

    fn remember(&mut self, key: &QuestionKey, verdict: &Verdict) {
        while ANSWERS_TOTAL_MAX <= self.count {
            let Some(owner) = next_to_go(&self.answers, self.hand) else { break };
            self.hand = Some(owner);
            self.forget(owner);
        }
        let answers = self.answers.entry(key.owner).or_default();
        if ANSWERS_MAX <= answers.len() {
            self.count = self.count.saturating_sub(answers.len());
            answers.clear();
        }
        let fresh = answers.insert(key.clone(), verdict.clone()).is_none();
        self.count = self.count.saturating_add(usize::from(fresh));
    }

    /// Makes room for one more agency's compiled policies.
    fn make_room(&mut self) {
        while OWNERS_MAX <= self.compiled.len() {
            let Some(owner) = next_to_go(&self.compiled, self.hand) else { break };
            self.hand = Some(owner);
            let _compiled = self.compiled.remove(&owner);
        }
    }
}

/// The agency after the one that was let go last, round and round.
fn next_to_go<T>(
    owners: &BTreeMap<AgencyNumber, T>,
    hand: Option<AgencyNumber>,
) -> Option<AgencyNumber> {
    let after = hand.and_then(|hand| owners.range((Excluded(hand), Unbounded)).next());
    after.or_else(|| owners.iter().next()).map(|(owner, _)| *owner)
}

impl Clone for Verdicts {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verdicts").finish_non_exhaustive()
    }
}

impl Verdicts {
    /// Forgets what was remembered of an agency's policies.
    pub fn forget(&self, owner: AgencyNumber) {
        self.memory().forget(owner);
    }

    /// What the policies of `key.owner` say. `attributes` is called only if the answer is not remembered; it must depend
    /// on nothing but the key.
    pub fn ask<'a>(
        &self,
        state: &State,
        key: &QuestionKey,
        attributes: impl FnOnce() -> Attributes<'a>,
    ) -> Verdict {
        if state.policies_of(key.owner).next().is_none() {
            return Verdict::Silent;
        }
        let mut memory = self.memory();
        let known = memory.answers.get(&key.owner).and_then(|answers| answers.get(key));
        if let Some(verdict) = known {
            return verdict.clone();
        }
        if !memory.compiled.contains_key(&key.owner) {
            memory.make_room();
            memory.compiled.insert(key.owner, compiled(state, key.owner));
        }
        let policies = memory.compiled.get(&key.owner).and_then(Option::as_ref);
        let verdict = policies
            .and_then(|policies| evaluated(policies, &attributes()))
            .unwrap_or(Verdict::Unreadable);
        memory.remember(key, &verdict);
        verdict
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Whoever panicked while holding the lock may have left half an answer behind: begin anew.
        self.memory.lock().unwrap_or_else(|poisoned: PoisonError<_>| {
            let mut memory = poisoned.into_inner();
            *memory = Memory::default();
            memory
        })
    }
}

/// The canonical text of a policy, as the exchange stores it: parsed, checked against the schema and printed, without
/// comments. It is what `PutPolicy` takes.
///
/// # Errors
/// What is wrong with the text, one problem a line, for its author.
pub fn canonical(text: &str) -> Result<String, Vec<String>> {
    examine(text).map_err(|unfit| match unfit {
        Unfit::Permits => {
            vec!["a policy only narrows: write `forbid`, and share more by an agreement".to_owned()]
        }
        Unfit::Invalid(problems) => problems,
    })
}

/// The canonical text of a policy.
///
/// # Errors
/// Why the text cannot be a policy.
pub fn examine(text: &str) -> Result<String, Unfit> {
    // INVARIANT (depth): nothing is parsed whose depth is not bounded: the parser and validator recurse.
    wording::shallow(text).map_err(|problem| Unfit::Invalid(vec![problem]))?;
    let policy = Policy::parse(None, text).map_err(|errors| {
        Unfit::Invalid(errors.iter().map(|error| format!("not one policy: {error}")).collect())
    })?;
    match policy.effect() {
        Effect::Permit => return Err(Unfit::Permits),
        Effect::Forbid => {}
    }
    let mut problems = Vec::new();
    for (key, value) in policy.annotations() {
        if key != "id" || value.parse::<PolicyId>().is_err() {
            problems.push(format!("the annotation `@{key}` is not an `@id` with a policy id"));
        }
    }
    let Some(validator) = VALIDATOR.as_ref() else {
        return Err(Unfit::Invalid(vec!["the published schema does not parse".to_owned()]));
    };
    match PolicySet::from_policies([policy.clone()]) {
        Ok(set) => {
            let result = validator.validate(&set, ValidationMode::Strict);
            problems.extend(result.validation_errors().map(ToString::to_string));
        }
        Err(error) => problems.push(error.to_string()),
    }
    let canonical = printed(&policy).ok_or_else(|| {
        Unfit::Invalid(vec!["the policy has no canonical form; write it more plainly".to_owned()])
    })?;
    problems.extend(wording::foreign(&canonical));
    if problems.is_empty() { Ok(canonical) } else { Err(Unfit::Invalid(problems)) }
}

static VALIDATOR: LazyLock<Option<Validator>> = LazyLock::new(|| {
    let (schema, _warnings) = Schema::from_cedarschema_str(SCHEMA).ok()?;
    Some(Validator::new(schema))
});

/// The policy as Cedar prints it, if printing that again gives the same. By way of its JSON form, because a policy that
/// was parsed prints as it was written, comments included.
fn printed(policy: &Policy) -> Option<String> {
    let print = |policy: &Policy| {
        let json = policy.to_json().ok()?;
        Some(Policy::from_json(None, json).ok()?.to_string())
    };
    let once = print(policy)?;
    let twice = print(&Policy::parse(None, &once).ok()?)?;
    (once == twice).then_some(once)
}

/// Policies that are in force nowhere, to be asked what they would say.
#[derive(Debug)]
pub struct Trial(PolicySet);

impl Trial {
    /// These policies as those of one agency; `None` if one does not parse or two have one id.
    pub fn of<'a>(policies: impl Iterator<Item = (&'a PolicyId, &'a str)>) -> Option<Self> {
        set(policies).map(Self)
    }

    /// What they say.
    pub fn ask(&self, attributes: &Attributes<'_>) -> Verdict {
        evaluated(&self.0, attributes).unwrap_or(Verdict::Unreadable)
    }
}

/// The base policy and those of one agency.
fn compiled(state: &State, owner: AgencyNumber) -> Option<PolicySet> {
    set(state.policies_of(owner).map(|(policy, row)| (policy, row.text.as_str())))
}

fn set<'a>(policies: impl Iterator<Item = (&'a PolicyId, &'a str)>) -> Option<PolicySet> {
    let id = |text: &str| Some(cedar_policy::PolicyId::new(text));
    let base = Policy::parse(id(BASE), "permit(principal, action, resource);").ok()?;
    let mut set = PolicySet::from_policies([base]).ok()?;
    for (policy, text) in policies {
        set.add(Policy::parse(id(policy.as_str()), text).ok()?).ok()?;
    }
    Some(set)
}

/// The answer of compiled policies; `None` if anything at all goes wrong.
fn evaluated(policies: &PolicySet, attributes: &Attributes<'_>) -> Option<Verdict> {
    let schema = VALIDATOR.as_ref()?.schema();
    let (request, entities) = question(schema, attributes)?;
    let response = Authorizer::new().is_authorized(&request, policies, &entities);
    if response.diagnostics().errors().next().is_some() {
        return None; // Cedar skips a `forbid` that errs; here it denies
    }
    match response.decision() {
        Decision::Allow => Some(Verdict::Silent),
        Decision::Deny => {
            let reasons = response.diagnostics().reason();
            let mut ids: Vec<PolicyId> =
                reasons.map(|id| AsRef::<str>::as_ref(id).parse().ok()).collect::<Option<_>>()?;
            ids.sort();
            Some(Verdict::Forbidden(ids))
        }
    }
}

/// The question in Cedar's terms, held to the schema.
fn question(schema: &Schema, attributes: &Attributes<'_>) -> Option<(Request, Entities)> {
    let Attributes {
        publisher,
        recipient,
        record_type,
        group,
        special_category,
        purpose,
        agreement,
        flow,
        basis,
        gate,
    } = *attributes;
    let group_id = format!("{}/{record_type}/{group}", publisher.id);
    let resource = Entity::new_with_tags(
        uid("FieldGroup", &group_id)?,
        [
            ("record_type".to_owned(), string(record_type.as_str())),
            ("group".to_owned(), string(group.as_str())),
            (
                "publisher".to_owned(),
                RestrictedExpression::new_entity_uid(uid("Agency", publisher.id.as_str())?),
            ),
            ("special_category".to_owned(), RestrictedExpression::new_bool(special_category)),
        ],
        [],
        [],
    )
    .ok()?;
    let context = Context::from_pairs([
        ("purpose".to_owned(), string(&purpose_name(purpose)?)),
        ("agreement".to_owned(), string(agreement.as_str())),
        ("flow".to_owned(), string(flow.as_str())),
        ("basis".to_owned(), string(&basis_name(basis)?)),
        ("gate".to_owned(), string(&gate_name(gate)?)),
    ])
    .ok()?;
    let request = Request::new(
        uid("Agency", recipient.id.as_str())?,
        uid("Action", "receive")?,
        resource.uid(),
        context,
        Some(schema),
    )
    .ok()?;
    let agencies = [agency(publisher)?, agency(recipient)?];
    let entities = Entities::from_entities(agencies.into_iter().chain([resource]), Some(schema));
    Some((request, entities.ok()?))
}

fn uid(kind: &str, id: &str) -> Option<EntityUid> {
    let kind: EntityTypeName = kind.parse().ok()?;
    Some(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

fn string(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn agency(agency: Party<'_>) -> Option<Entity> {
    let kind = short(agency.kind.as_str_name(), "AGENCY_KIND_")?;
    let attributes = [("kind".to_owned(), string(&kind))];
    Entity::new_with_tags(uid("Agency", agency.id.as_str())?, attributes, [], []).ok()
}

fn purpose_name(code: i32) -> Option<String> {
    short(pb::Purpose::try_from(code).ok()?.as_str_name(), "PURPOSE_")
}

fn basis_name(code: i32) -> Option<String> {
    short(pb::LawfulBasis::try_from(code).ok()?.as_str_name(), "LAWFUL_BASIS_")
}

fn gate_name(code: i32) -> Option<String> {
    short(pb::Gate::try_from(code).ok()?.as_str_name(), "GATE_")
}

/// The lower-case short name of a published code.
fn short(name: &str, prefix: &str) -> Option<String> {
    name.strip_prefix(prefix).map(str::to_ascii_lowercase)
}
