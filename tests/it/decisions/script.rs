//! A case, played: every step is a command through its bytes, and what leaves in the end is what the machine releases.

#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a case that says nothing sensible ends the test"
)]

use std::collections::{BTreeMap, BTreeSet};

use concordat::{
    machine::{
        Outcome, Receipt, Refusal, State,
        access::verdict::canonical,
        law::LeftOut,
        outcome::Remembered,
        read::offers::{self, Candidates},
    },
    model::{
        id::{AliasId, RecordId},
        order::UnixMillis,
    },
    pb::ledger::v1::{self as pb, AgencyKind, command::Kind},
};
use prost::Message;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use super::case::{Agree, Case, Flow, Step, Withdraw, Word};
use crate::machine::world::{
    By, DAY_MS, LEAVER_FORM, Signing, World, alias_of, client, consented_flow, digest, flow, owned,
    statutory_flow,
};

/// A case that was played.
pub(crate) struct Played {
    pub(crate) world: World,
    /// The latest version of the record.
    pub(crate) record: Option<RecordId>,
    /// What left to the recipient.
    pub(crate) released: BTreeSet<String>,
    /// Why steps were refused.
    pub(crate) refusals: Vec<Refusal>,
    /// Whether the question is about a version that another one replaced.
    older: bool,
    purpose: pb::Purpose,
    aliases: BTreeMap<String, AliasId>,
    names: BTreeMap<String, Vec<u8>>,
    publisher: String,
}

/// The code of an enum by its short name.
macro_rules! code {
    ($type:ty, $prefix:literal, $name:expr) => {{
        let name = format!("{}{}", $prefix, $name.to_uppercase().replace('-', "_"));
        <$type>::from_str_name(&name).unwrap_or_else(|| panic!("there is no {name}"))
    }};
}

pub(crate) fn purpose(name: &str) -> pb::Purpose {
    code!(pb::Purpose, "PURPOSE_", name)
}

/// Plays a case, in a world that leaves one rule out if it is told so.
pub(crate) fn play(case: &Case, left_out: Option<LeftOut>) -> Played {
    let empty = || left_out.map_or_else(State::empty, State::empty_without);
    let mut world = World::of_partners_under(empty());
    world.enrol("police", AgencyKind::Police);
    let mut played = Played {
        world,
        record: None,
        released: BTreeSet::new(),
        refusals: Vec::new(),
        older: false,
        purpose: purpose(&case.purpose),
        aliases: BTreeMap::new(),
        names: BTreeMap::new(),
        publisher: case.from.clone(),
    };
    // So that the publisher publishes, whatever becomes of the agreement that the case is about.
    let flows = vec![pb::Flow {
        groups: owned(&["core"]),
        ..by_kind(&case.from, flow("other", &case.from, &["stranger"]))
    }];
    let content = played.world.content(&[&case.from, "stranger"], flows);
    played.world.activate("other", content);
    played.known(&case.from);
    played.subscribe(&case.to, "before");
    let published = case.steps.iter().any(|step| matches!(step, Step::Publish(_)));
    for step in &case.steps {
        let outcome = played.step(step);
        played.refusals.extend(outcome.err());
    }
    if !published {
        played.publish(&owned(&["core", "support-needs"])).unwrap();
    }
    played.subscribe(&case.to, "after");
    played.sweep();
    for subscription in ["before", "after"] {
        played.read(&case.to, subscription);
    }
    played
}

/// A flow that a body of this kind may have.
fn by_kind(publisher: &str, flow: pb::Flow) -> pb::Flow {
    if publisher == "charity" {
        let basis = i32::from(pb::LawfulBasis::LegitimateInterests);
        pb::Flow { basis, legal_power: 0, ..flow }
    } else {
        flow
    }
}

impl Played {
    fn act(&mut self, by: &str, kind: Kind) -> Outcome {
        let request = self.world.request_id();
        let mut command = self.world.command(By::Agency(by), request, Signing::Own, kind);
        command.purpose = i32::from(self.purpose);
        self.world.append(command.encode_to_vec())
    }

    fn known(&mut self, agency: &str) -> AliasId {
        if let Some(alias) = self.aliases.get(agency) {
            return *alias;
        }
        let client = client(1).as_bytes().to_vec().into();
        let add = pb::AddClient { client, ..pb::AddClient::default() };
        let alias = alias_of(self.world.apply(agency, Kind::AddClient(add)));
        self.aliases.insert(agency.to_owned(), alias);
        alias
    }

    fn subscribe(&mut self, agency: &str, subscription: &str) {
        let record_types = owned(&[LEAVER_FORM]);
        let subscription = subscription.to_owned();
        let create = pb::CreateSubscription { subscription, record_types };
        let _unless_suspended = self.act(agency, Kind::CreateSubscription(create));
    }

    fn sweep(&mut self) {
        for _step in 0..100 {
            if self.world.state.tables().sweeps.is_empty() {
                return;
            }
            self.world.apply(By::Node, Kind::ContinueSweep(pb::ContinueSweep {})).unwrap();
        }
        panic!("the sweeps do not end");
    }

    #[expect(clippy::too_many_lines, reason = "one kind of step after the other")]
    fn step(&mut self, step: &Step) -> Result<(), Refusal> {
        let publisher = self.publisher.clone();
        let agreement = || "leavers".to_owned();
        let kind = match step {
            Step::Agree(agree) => return self.agree(agree),
            Step::Publish(groups) => return self.publish(groups),
            Step::Replace(groups) => return self.replace(groups),
            Step::Send(agency) => {
                let before = self.released.clone();
                self.read(agency, "before");
                self.released = before;
                return Ok(());
            }
            Step::Consent(word) => return self.say(word, true),
            Step::Refuse(word) => return self.say(word, false),
            Step::Serve(agency) => return self.serve(agency),
            Step::Wait(days) => {
                self.world.wait(days * DAY_MS);
                return self.world.apply(By::Node, Kind::Tick(pb::Tick {})).map(drop).or(Ok(()));
            }
            Step::SuspendAgency(agency) => {
                let suspend = Kind::SuspendAgency(pb::SuspendAgency { agency: agency.clone() });
                return self.world.apply(By::Operator, suspend).map(drop);
            }
            Step::SuspendFlows(agency) => {
                return self.act(agency, crate::machine::world::suspension("leavers")).map(drop);
            }
            Step::ResumeFlows(agency) => {
                let resume = Kind::ResumeFlows(pb::ResumeFlows { agreement: agreement() });
                return self.act(agency, resume).map(drop);
            }
            Step::End(agency) => {
                let end = Kind::EndAgreement(pb::EndAgreement { agreement: agreement() });
                return self.act(agency, end).map(drop);
            }
            Step::Decline(agency) => {
                let reason = i32::from(pb::DeclineReason::TooMuchShared);
                let decline = pb::DeclineAgreement { agreement: agreement(), version: 1, reason };
                return self.act(agency, Kind::DeclineAgreement(decline)).map(drop);
            }
            Step::Policy(policy) => {
                let forbids = &policy.forbids;
                let text = format!("forbid(principal, action, resource) when {{ {forbids} }};");
                let text = canonical(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
                let put = pb::PutPolicy { policy: "own".to_owned(), text, schema_version: 1 };
                return self.act(&policy.of, Kind::PutPolicy(put)).map(drop);
            }
            Step::RemovePolicy(agency) => {
                let remove = pb::RemovePolicy { policy: "own".to_owned() };
                return self.act(agency, Kind::RemovePolicy(remove)).map(drop);
            }
            Step::Leave(agency) => {
                let client = self.known(&publisher).as_bytes().to_vec().into();
                Kind::EndCaseload(pb::EndCaseload { client, agency: agency.clone() })
            }
            Step::Withdraw(Withdraw { called, to, groups }) => {
                Kind::WithdrawConsent(pb::WithdrawConsent {
                    consent: self.named(called),
                    recipients: to.clone(),
                    groups: groups.clone(),
                    recall: false,
                })
            }
            Step::Holder(holder) => {
                let record = pb::RecordHolder {
                    client: self.known(&publisher).as_bytes().to_vec().into(),
                    holder: self.names.get(&holder.called).cloned().unwrap_or_default().into(),
                    standing: code!(pb::Standing, "STANDING_", holder.standing).into(),
                };
                let receipt = self.act(&publisher, Kind::RecordHolder(record))?;
                if let Receipt::Answer(Remembered::Holder(id)) = receipt {
                    self.names.insert(holder.called.clone(), id.as_bytes().to_vec());
                }
                return Ok(());
            }
            Step::Resolve(resolve) => Kind::ResolveConsent(pb::ResolveConsent {
                refusal: self.named(&resolve.called),
                resolution: code!(pb::Resolution, "RESOLUTION_", resolve.resolution).into(),
                ground: i32::from(pb::ResolutionGround::BestInterests),
                view: i32::from(pb::ClientView::Agrees),
            }),
            Step::Retract(reason) => {
                let record = self.record.unwrap().as_bytes().to_vec().into();
                let reason = code!(pb::RecallReason, "RECALL_REASON_", reason).into();
                Kind::RetractRecord(pb::RetractRecord { record, reason })
            }
        };
        self.act(&publisher, kind).map(drop)
    }

    fn named(&self, called: &str) -> bytes::Bytes {
        // One that was refused has no name; nobody knows it then.
        self.names.get(called).cloned().unwrap_or_else(|| vec![0xee; 16]).into()
    }

    fn agree(&mut self, agree: &Agree) -> Result<(), Refusal> {
        let flows = (1..).zip(&agree.flows);
        let flows: Vec<pb::Flow> =
            flows.map(|(place, flow)| flow_of(&format!("flow-{place}"), flow)).collect();
        let mut parties: Vec<&str> = Vec::new();
        let named = flows.iter().flat_map(|flow| {
            std::iter::once(flow.publisher.as_str())
                .chain(flow.recipients.iter().map(String::as_str))
        });
        for party in named.chain(agree.beside.iter().map(String::as_str)) {
            if !parties.contains(&party) {
                parties.push(party);
            }
        }
        let mut content = self.world.content(&parties, flows.clone());
        content.purpose = purpose(&agree.purpose).into();
        content.expires_at_ms = self.world.now_ms() + agree.days * DAY_MS;
        if let Some(terms) = &mut content.terms {
            terms.review_at_ms = terms.review_at_ms.min(content.expires_at_ms);
            if agree.safeguarding_goes_on {
                terms.at_expiry = i32::from(pb::AtExpiry::SafeguardingGoesOn);
            }
        }
        for field in &agree.without {
            content = without(&content, field);
        }
        let drafter = parties[0].to_owned();
        let stands = self.world.draft(&drafter, &agree.id, content)?;
        self.world.propose(&drafter, &agree.id, stands)?;
        let everybody: Vec<String> = owned(&parties);
        for party in agree.approved_by.as_ref().unwrap_or(&everybody) {
            self.world.approve(party, &agree.id, stands)?;
        }
        self.sweep();
        Ok(())
    }

    fn replace(&mut self, groups: &[String]) -> Result<(), Refusal> {
        let before = self.record;
        self.older = true;
        self.publish(groups)?;
        self.record = before;
        Ok(())
    }

    fn publish(&mut self, groups: &[String]) -> Result<(), Refusal> {
        let publisher = self.publisher.clone();
        let alias = self.known(&publisher);
        let key: bytes::Bytes = vec![3; 16].into();
        if self.record.is_none() {
            let open = pb::OpenKey {
                key: key.clone(),
                client: client(1).as_bytes().to_vec().into(),
                agency: publisher.clone(),
                disposal_class: i32::from(pb::DisposalClass::Record),
                ..pb::OpenKey::default()
            };
            self.world.apply(By::Node, Kind::OpenKey(open))?;
        }
        let publish = pb::PublishRecord {
            record_type: LEAVER_FORM.to_owned(),
            type_version: 1,
            code_lists: "2026-11-01".to_owned(),
            client: alias.as_bytes().to_vec().into(),
            supersedes: self
                .record
                .filter(|_| self.older)
                .map_or_else(bytes::Bytes::new, |id| id.as_bytes().to_vec().into()),
            groups: groups.to_vec(),
            content_mac: digest("content"),
            key,
            change: 0,
        };
        let before = std::mem::replace(&mut self.purpose, pb::Purpose::SchoolLeaverTransition);
        let outcome = self.act(&publisher, Kind::PublishRecord(publish));
        self.purpose = before;
        if let Receipt::Published { record, .. } = outcome? {
            self.record = Some(record);
        }
        Ok(())
    }

    fn serve(&mut self, agency: &str) -> Result<(), Refusal> {
        let publisher = self.publisher.clone();
        let (own, theirs) = (self.known(&publisher), self.known(agency));
        let open = pb::OpenCaseload { client: theirs.as_bytes().to_vec().into() };
        self.act(agency, Kind::OpenCaseload(open))?;
        let (client, agency) = (own.as_bytes().to_vec().into(), agency.to_owned());
        let confirm = pb::ConfirmCaseload { client, agency };
        self.act(&publisher, Kind::ConfirmCaseload(confirm)).map(drop)
    }

    fn say(&mut self, word: &Word, given: bool) -> Result<(), Refusal> {
        let recorder = word.about.clone();
        let scope = pb::ConsentScope {
            client: self.known(&recorder).as_bytes().to_vec().into(),
            publisher: recorder.clone(),
            record_type: LEAVER_FORM.to_owned(),
            groups: word.groups.clone(),
            recipients: word.to.clone(),
            gate: code!(pb::Gate, "GATE_", word.gate).into(),
            purposes: word.purposes.iter().map(|name| purpose(name).into()).collect(),
        };
        let now_ms = self.world.now_ms();
        let in_days = |days: Option<u64>| days.map_or(0, |days| now_ms + days * DAY_MS);
        let holder = word.holder.as_ref().map(|called| self.named(called)).unwrap_or_default();
        let (scope, act) = (Some(scope), Some(act_of(word, now_ms, holder, in_days)));
        let kind = if given {
            let expires_at_ms = in_days(word.days);
            let renews = bytes::Bytes::new();
            Kind::RecordConsent(pb::RecordConsent { scope, act, expires_at_ms, renews })
        } else {
            Kind::RefuseConsent(pb::RefuseConsent { scope, act })
        };
        let receipt = self.act(&recorder, kind)?;
        if let Receipt::Answer(Remembered::Consent(id)) = receipt {
            self.names.insert(word.called.clone(), id.as_bytes().to_vec());
        }
        Ok(())
    }

    /// Releases whatever the node would release.
    fn read(&mut self, agency: &str, subscription: &str) {
        let state = &self.world.state;
        let agency_number = state.agency_number(&agency.parse().unwrap()).unwrap();
        let id = subscription.parse().unwrap();
        let Some(number) = state.subscription_number(agency_number, &id) else { return };
        let now = UnixMillis::new(self.world.now_ms());
        let Candidates { first_delivery, mut lines, stale } =
            offers::candidates(state, number, now, 8);
        lines.extend(stale);
        if lines.is_empty() {
            return;
        }
        if self.older {
            // As if the node named the version before.
            for line in &mut lines {
                line.record = self.record.unwrap().as_bytes().to_vec().into();
            }
        }
        let (agency, subscription) = (agency.to_owned(), subscription.to_owned());
        let release = pb::ReleaseRecords { agency, subscription, first_delivery, lines };
        let outcome = self.world.apply(By::Node, Kind::ReleaseRecords(release));
        let Ok(Receipt::Released(lines)) = outcome else { panic!("not released: {outcome:?}") };
        let of_record = lines.iter().filter(|line| Some(line.record()) == self.record);
        let groups = of_record.flat_map(|line| line.group_names().iter().map(ToString::to_string));
        self.released.extend(groups);
    }
}

fn flow_of(id: &str, described: &Flow) -> pb::Flow {
    let Flow { like, to, from, groups, basis, power, condition, gate, regime, gateway, .. } =
        described;
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let mut flow = match like.as_str() {
        "duty" => flow(id, from, &to),
        "consented" => consented_flow(id, from, &to),
        "statutory" => statutory_flow(id, from, &to),
        other => panic!("no flow is like {other}"),
    };
    if let Some(groups) = groups {
        flow.groups.clone_from(groups);
    }
    let power_of = |name: &String| code!(pb::LegalPower, "LEGAL_POWER_", name).into();
    if let Some(name) = basis {
        flow.basis = code!(pb::LawfulBasis, "LAWFUL_BASIS_", name).into();
    }
    flow.legal_power = power.as_ref().map_or(flow.legal_power, power_of);
    flow.gateway = gateway.as_ref().map_or(flow.gateway, power_of);
    if let Some(name) = condition {
        flow.special_condition = code!(pb::SpecialCondition, "SPECIAL_CONDITION_", name).into();
    }
    if let Some(name) = gate {
        flow.gate = code!(pb::Gate, "GATE_", name).into();
    }
    if let Some(name) = regime {
        flow.regime = code!(pb::Regime, "REGIME_", name).into();
    }
    if described.served {
        flow.caseload = i32::from(pb::CaseloadRule::Confirmed);
    }
    flow.backfill = described.backfill;
    flow.statistics_only = described.statistics_only;
    flow.safeguarding = described.safeguarding;
    flow
}

fn act_of(
    word: &Word,
    now_ms: u64,
    holder: bytes::Bytes,
    in_days: impl Fn(Option<u64>) -> u64,
) -> pb::ConsentAct {
    let or_none = |name: &Option<String>| name.clone().unwrap_or_else(|| "unspecified".to_owned());
    let review = |(name, at): (&String, &u32)| {
        let milestone = code!(pb::Milestone, "MILESTONE_", name);
        let dated = milestone == pb::Milestone::LeavingDate;
        let (month, day) = if dated { (at / 100, at % 100) } else { (*at, 0) };
        pb::ConsentReview { milestone: milestone.into(), month, day }
    };
    pb::ConsentAct {
        grantor: code!(pb::Grantor, "GRANTOR_", word.by).into(),
        authority: code!(pb::Authority, "AUTHORITY_", or_none(&word.authority)).into(),
        age_years: word.age,
        method: i32::from(pb::ConsentMethod::Form),
        given_at_ms: now_ms,
        notice_digest: digest("notice"),
        competence: code!(pb::Competence, "COMPETENCE_", or_none(&word.competence)).into(),
        mandate: code!(pb::Mandate, "MANDATE_", or_none(&word.mandate)).into(),
        authority_ends_at_ms: in_days(word.authority_days),
        holder,
        view: code!(pb::ClientView, "CLIENT_VIEW_", or_none(&word.view)).into(),
        school_age: code!(pb::SchoolAge, "SCHOOL_AGE_", or_none(&word.school_age)).into(),
        reviews: word.reviews.iter().map(review).collect(),
    }
}

/// A content with one field left open: a field of it, of its terms, or of each party, flow or indicator.
fn without(content: &pb::AgreementContent, path: &str) -> pb::AgreementContent {
    let pool = prost_reflect::DescriptorPool::decode(concordat::pb::DESCRIPTORS).unwrap();
    let of = pool.get_message_by_name("concordat.ledger.v1.AgreementContent").unwrap();
    let mut message = DynamicMessage::decode(of, content.encode_to_vec().as_slice()).unwrap();
    clear(&mut message, path);
    pb::AgreementContent::decode(message.encode_to_vec().as_slice()).unwrap()
}

fn clear(message: &mut DynamicMessage, path: &str) {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let known = message.descriptor().get_field_by_name(name);
    assert!(known.is_some(), "there is no field {name}");
    let Some(rest) = rest else { return message.clear_field_by_name(name) };
    match message.get_field_by_name_mut(name).unwrap() {
        Value::Message(inner) => clear(inner, rest),
        Value::List(items) => {
            for item in items {
                if let Value::Message(inner) = item {
                    clear(inner, rest);
                }
            }
        }
        other => panic!("{name} is {other:?}"),
    }
}
