//! The auditor: reads a ledger's commands and decides every release anew, by rules written down here a second time.
//!
//! It names nothing of `machine::access`. From the machine it takes only whether a command was turned down, and the names
//! that receipts give.

use std::collections::{BTreeMap, BTreeSet};

use concordat::{
    machine::{Outcome, Receipt, outcome::Remembered},
    model::id::RecordId,
    pb::ledger::v1::{self as pb, command::Kind},
};

use super::{
    cast::{Forbids, POLICIES, POLICY_TEXTS},
    recalls::Ledgered,
};

pub(super) type Groups = BTreeSet<String>;

/// What the ledger so far means to the auditor.
#[derive(Default)]
pub(crate) struct Auditor {
    suspended: BTreeSet<String>,
    clients: BTreeMap<(String, Vec<u8>), Vec<u8>>,
    pub(super) agreements: BTreeMap<String, Agreement>,
    /// The versions that are drafted or proposed.
    next: BTreeMap<String, Agreement>,
    pub(super) consents: Vec<Consent>,
    /// Cases of restriction: by whom and about whom, and whether it restricts now.
    cases: BTreeMap<Vec<u8>, (String, Vec<u8>, bool)>,
    /// What was sent, and has to be asked back.
    pub(super) recalls: Ledgered,
    confirmed: BTreeSet<(String, Vec<u8>)>,
    policies: BTreeMap<(String, String), Forbids>,
    pub(crate) records: BTreeMap<RecordId, Record>,
    latest: BTreeMap<RecordId, RecordId>,
    pub(crate) subscriptions: BTreeMap<(String, String), i32>,
    released_to: BTreeSet<(RecordId, String)>,
    done: BTreeSet<(String, Vec<u8>)>,
    /// A part of the rules that this auditor does not know, to show that the others would notice.
    pub(crate) ignorant_of: Option<Part>,
    /// How many field groups of released lines it decided anew.
    pub(crate) decided: u64,
}

/// A part of the auditor's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Suspension,
    Policies,
    Beginning,
    End,
    Purpose,
    FlowsSuspended,
    Caseload,
    Consent,
    Restriction,
}

impl Part {
    pub(crate) const ALL: [Self; 9] = [
        Self::Suspension,
        Self::Policies,
        Self::Beginning,
        Self::End,
        Self::Purpose,
        Self::FlowsSuspended,
        Self::Caseload,
        Self::Consent,
        Self::Restriction,
    ];
}

pub(super) struct Agreement {
    pub(super) content: pb::AgreementContent,
    approvals: BTreeSet<String>,
    /// Since which position a group flows from a publisher to a recipient; empty before the activation.
    since: BTreeMap<(String, String, String), u64>,
    ended: bool,
    suspended_by: BTreeSet<String>,
    /// Whether what was received on it was asked back.
    pub(super) asked_back: bool,
}

impl Agreement {
    fn stands(&self, now_ms: u64) -> bool {
        !self.ended && now_ms < self.content.expires_at_ms
    }

    /// Comes into force in the place of `old`: what that one let flow goes on, everything else begins here.
    fn begin(&mut self, (position, now_ms): (u64, u64), old: Option<&Self>) {
        let old = old.filter(|old| old.stands(now_ms));
        if let Some(old) = old {
            let party =
                |name: &&String| self.content.parties.iter().any(|row| row.agency == **name);
            self.suspended_by = old.suspended_by.iter().filter(party).cloned().collect();
        }
        let before = old.filter(|old| old.content.purpose == self.content.purpose);
        for flow in &self.content.flows {
            for (recipient, group) in flow
                .recipients
                .iter()
                .flat_map(|to| flow.groups.iter().map(move |group| (to, group)))
            {
                let key = (flow.publisher.clone(), recipient.clone(), group.clone());
                let since = before.and_then(|old| old.since.get(&key)).copied();
                self.since.insert(key, since.unwrap_or(position));
            }
        }
    }
}

pub(super) struct Consent {
    pub(super) id: Vec<u8>,
    pub(super) client: Vec<u8>,
    pub(super) scope: pb::ConsentScope,
    said_at: u64,
    given: bool,
    expires_at_ms: u64,
    withdrawn_at: BTreeMap<String, u64>,
}

/// A record, one version of it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) first: RecordId,
    pub(crate) version: u32,
    pub(crate) publisher: String,
    pub(super) client: Vec<u8>,
    groups: Groups,
    position: u64,
}

impl Auditor {
    /// Takes one entry that was not turned down.
    pub(crate) fn take(
        &mut self,
        (position, now_ms): (u64, u64),
        command: &pb::Command,
        outcome: &Outcome,
    ) {
        self.take_time((position, now_ms));
        let Ok(receipt) = outcome else { return };
        let by = actor(command);
        // A request has its effect once; what repeats it changes nothing.
        let request = (by.clone(), command.request_id.to_vec());
        let Some(kind) = &command.kind else { return };
        let remembered = !command.request_id.is_empty()
            && !matches!(kind, Kind::AddClient(_) | Kind::PublishRecord(_));
        if remembered && !self.done.insert(request) {
            return;
        }
        self.take_said((position, now_ms), &by, (kind, command.purpose), receipt);
        self.take_recalls((position, now_ms), kind);
    }

    fn take_said(
        &mut self,
        (position, now_ms): (u64, u64),
        by: &str,
        (kind, purpose): (&Kind, i32),
        receipt: &Receipt,
    ) {
        let by = by.to_owned();
        match kind {
            Kind::SuspendAgency(kind) => {
                self.suspended.insert(kind.agency.clone());
            }
            Kind::ResumeAgency(kind) => {
                self.suspended.remove(&kind.agency);
            }
            Kind::PutPolicy(kind) => {
                let place = POLICY_TEXTS.iter().position(|text| *text == kind.text).unwrap();
                self.policies.insert((by, kind.policy.clone()), POLICIES[place].2);
            }
            Kind::RemovePolicy(kind) => {
                self.policies.remove(&(by, kind.policy.clone()));
            }
            Kind::CreateSubscription(kind) => {
                self.subscriptions.insert((by, kind.subscription.clone()), purpose);
            }
            Kind::AddClient(kind) => {
                let Receipt::Answer(Remembered::Client(alias)) = receipt else { return };
                self.clients.insert((by, alias.as_bytes().to_vec()), kind.client.to_vec());
            }
            Kind::PublishRecord(kind) => self.publish(position, by, kind, receipt),
            Kind::ConfirmCaseload(kind) => {
                let client = self.client(&by, &kind.client);
                self.confirmed.insert((kind.agency.clone(), client));
            }
            Kind::EndCaseload(kind) => {
                let client = self.client(&by, &kind.client);
                self.confirmed.remove(&(kind.agency.clone(), client));
            }
            Kind::OpenCase(kind) => {
                let Receipt::Answer(Remembered::Case(id)) = receipt else { return };
                let client = self.client(&by, &kind.client);
                self.cases.insert(id.as_bytes().to_vec(), (by, client, false));
            }
            Kind::DecideCase(kind) => {
                let case = self.cases.get_mut(kind.case.as_ref()).unwrap();
                for measure in &kind.measures {
                    case.2 = measure.kind == i32::from(pb::MeasureKind::Restrict);
                }
            }
            _ => self.take_agreed((position, now_ms), &by, kind, receipt),
        }
    }

    fn take_agreed(
        &mut self,
        (position, now_ms): (u64, u64),
        by: &str,
        kind: &Kind,
        receipt: &Receipt,
    ) {
        match kind {
            Kind::DraftAgreement(kind) => {
                let agreement = Agreement {
                    content: kind.content.clone().unwrap(),
                    approvals: BTreeSet::new(),
                    since: BTreeMap::new(),
                    ended: false,
                    suspended_by: BTreeSet::new(),
                    asked_back: false,
                };
                self.next.insert(kind.agreement.clone(), agreement);
            }
            Kind::ApproveAgreement(kind) => {
                let mut next = self.next.remove(&kind.agreement).unwrap();
                next.approvals.insert(by.to_owned());
                let parties = &next.content.parties;
                if parties.iter().all(|party| next.approvals.contains(&party.agency)) {
                    next.begin((position, now_ms), self.agreements.get(&kind.agreement));
                    self.renewed(&kind.agreement);
                    self.agreements.insert(kind.agreement.clone(), next);
                } else {
                    self.next.insert(kind.agreement.clone(), next);
                }
            }
            Kind::SuspendFlows(kind) => {
                let agreement = self.agreements.get_mut(&kind.agreement).unwrap();
                agreement.suspended_by.insert(by.to_owned());
            }
            Kind::ResumeFlows(kind) => {
                self.agreements.get_mut(&kind.agreement).unwrap().suspended_by.remove(by);
            }
            Kind::EndAgreement(kind) => {
                self.next.remove(&kind.agreement);
                if let Some(agreement) = self.agreements.get_mut(&kind.agreement) {
                    agreement.ended = true;
                }
            }
            Kind::RecordConsent(kind) => {
                let scope = kind.scope.clone().unwrap();
                self.consent((position, by), scope, true, (kind.expires_at_ms, receipt));
            }
            Kind::RefuseConsent(kind) => {
                let scope = kind.scope.clone().unwrap();
                self.consent((position, by), scope, false, (0, receipt));
            }
            Kind::WithdrawConsent(kind) => {
                let consent = self.consents.iter_mut().find(|row| row.id == kind.consent).unwrap();
                for recipient in &consent.scope.recipients {
                    consent.withdrawn_at.entry(recipient.clone()).or_insert(position);
                }
            }
            _ => {}
        }
    }

    fn client(&self, agency: &str, alias: &[u8]) -> Vec<u8> {
        self.clients[&(agency.to_owned(), alias.to_vec())].clone()
    }

    fn publish(&mut self, position: u64, by: String, kind: &pb::PublishRecord, receipt: &Receipt) {
        let Receipt::Published { record, .. } = receipt else { return };
        if self.records.contains_key(record) {
            return;
        }
        let before = RecordId::from_slice(&kind.supersedes).ok().map(|id| &self.records[&id]);
        let (first, version) = before.map_or((*record, 1), |row| (row.first, row.version + 1));
        let client = self.client(&by, &kind.client);
        let groups = kind.groups.iter().cloned().collect();
        let row = Record { first, version, publisher: by, client, groups, position };
        self.latest.insert(first, *record);
        self.records.insert(*record, row);
    }

    fn consent(
        &mut self,
        (said_at, by): (u64, &str),
        scope: pb::ConsentScope,
        given: bool,
        (expires_at_ms, receipt): (u64, &Receipt),
    ) {
        let Receipt::Answer(Remembered::Consent(id)) = receipt else { return };
        let client = self.client(by, &scope.client);
        let (id, withdrawn_at) = (id.as_bytes().to_vec(), BTreeMap::new());
        self.consents.push(Consent {
            id,
            client,
            scope,
            said_at,
            given,
            expires_at_ms,
            withdrawn_at,
        });
    }

    /// The latest version of a record that `first` names.
    pub(crate) fn latest(&self, first: RecordId) -> RecordId {
        self.latest[&first]
    }

    /// The latest version of every record.
    pub(crate) fn all_latest(&self) -> impl Iterator<Item = RecordId> {
        self.latest.values().copied()
    }

    /// What `recipient` may have of a record, for a purpose, at a time.
    pub(crate) fn allowed(
        &self,
        record: RecordId,
        recipient: &str,
        purpose: i32,
        now_ms: u64,
    ) -> Groups {
        let row = &self.records[&record];
        row.groups
            .iter()
            .filter(|group| self.allows(row, (recipient, purpose, now_ms), group))
            .cloned()
            .collect()
    }

    /// What may leave of a record: what the recipient may have, unless the record was taken back.
    pub(crate) fn may_leave(
        &self,
        record: RecordId,
        recipient: &str,
        purpose: i32,
        now_ms: u64,
    ) -> Groups {
        if self.recalls.retracted.contains(&self.records[&record].first) {
            return Groups::new();
        }
        self.allowed(record, recipient, purpose, now_ms)
    }

    pub(super) fn allows(
        &self,
        record: &Record,
        (recipient, purpose, now_ms): (&str, i32, u64),
        group: &str,
    ) -> bool {
        let knows = |part| self.ignorant_of != Some(part);
        let parties = [record.publisher.as_str(), recipient];
        let suspended = parties.iter().any(|party| self.suspended.contains(*party));
        if suspended && knows(Part::Suspension) {
            return false;
        }
        let forbidden = self.policies.iter().any(|((owner, _), forbids)| {
            parties.contains(&owner.as_str())
                && match forbids {
                    Forbids::Group(name) => *name == group,
                    Forbids::Recipient(name) => *name == recipient,
                }
        });
        if forbidden && knows(Part::Policies) {
            return false;
        }
        let restricted = self.cases.values().any(|(by, client, restricts)| {
            *restricts && *by == record.publisher && *client == record.client
        });
        if restricted && knows(Part::Restriction) {
            return false;
        }
        self.agreements.values().any(|agreement| {
            let key = (record.publisher.clone(), recipient.to_owned(), group.to_owned());
            let Some(since) = agreement.since.get(&key) else { return false };
            let held = parties.iter().any(|party| agreement.suspended_by.contains(*party));
            let stands = (agreement.stands(now_ms) || !knows(Part::End))
                && (agreement.content.purpose == purpose || !knows(Part::Purpose))
                && (!held || !knows(Part::FlowsSuspended));
            stands
                && agreement.content.flows.iter().any(|flow| {
                    flow.publisher == record.publisher
                        && flow.recipients.iter().any(|name| name == recipient)
                        && flow.groups.iter().any(|name| name == group)
                        && (flow.backfill || *since < record.position || !knows(Part::Beginning))
                        && (self.caseload(flow, recipient, record) || !knows(Part::Caseload))
                        && (self.consented(flow, (recipient, now_ms), record, group)
                            || !knows(Part::Consent))
                })
        })
    }

    fn caseload(&self, flow: &pb::Flow, recipient: &str, record: &Record) -> bool {
        flow.caseload != i32::from(pb::CaseloadRule::Confirmed)
            || self.confirmed.contains(&(recipient.to_owned(), record.client.clone()))
    }

    /// Of everything that was said about this client, group and recipient, the last counts.
    fn consented(
        &self,
        flow: &pb::Flow,
        (recipient, now_ms): (&str, u64),
        record: &Record,
        group: &str,
    ) -> bool {
        if flow.gate == i32::from(pb::Gate::None) {
            return true;
        }
        let said = self.consents.iter().filter(|row| {
            row.client == record.client
                && row.scope.publisher == record.publisher
                && row.scope.groups.iter().any(|name| name == group)
                && row.scope.recipients.iter().any(|name| name == recipient)
        });
        let last = said.max_by_key(|row| row.withdrawn_at.get(recipient).unwrap_or(&row.said_at));
        last.is_some_and(|row| {
            let over = row.expires_at_ms != 0 && row.expires_at_ms <= now_ms;
            row.given && !over && !row.withdrawn_at.contains_key(recipient)
        })
    }

    /// Holds every line of a release against the rules (G5); what the lines are.
    pub(crate) fn decide(
        &mut self,
        (position, now_ms): (u64, u64),
        command: &pb::Command,
        outcome: &Outcome,
    ) -> Vec<(RecordId, u64)> {
        let (subscription, recipient, purpose, released) = match (&command.kind, outcome) {
            (Some(Kind::ReleaseRecords(kind)), Ok(Receipt::Released(released))) => {
                let key = (kind.agency.clone(), kind.subscription.clone());
                let purpose = self.subscriptions[&key];
                (Some(key.1), kind.agency.clone(), purpose, released.clone())
            }
            (Some(Kind::OpenRecord(_)), Ok(Receipt::Opened(released))) => {
                (None, actor(command), command.purpose, vec![(**released).clone()])
            }
            _ => return Vec::new(),
        };
        let mut lines = Vec::new();
        for line in released {
            let record = line.record();
            let groups: Groups = line.group_names().iter().map(ToString::to_string).collect();
            let row = self.records[&record].clone();
            if row.publisher != recipient {
                let allowed = self.may_leave(record, &recipient, purpose, now_ms);
                self.decided += u64::try_from(row.groups.len()).unwrap();
                assert!(
                    !groups.is_empty() && groups.is_subset(&allowed),
                    "G5: entry {position} releases {groups:?} of {record} to {recipient}, allowed {allowed:?}"
                );
                assert_eq!(self.latest(row.first), record, "G5: entry {position}, an old version");
                if line.subscription().is_none() {
                    let sent = self.released_to.contains(&(row.first, recipient.clone()));
                    assert!(sent, "G5: entry {position} opens what was never sent");
                }
            }
            if row.publisher != recipient {
                let place = line.subscription().map(|_| line.delivery());
                let place = subscription.clone().zip(place);
                self.sent((position, row.first), &recipient, (&groups, place));
            }
            self.released_to.insert((row.first, recipient.clone()));
            lines.push((record, line.delivery()));
        }
        lines
    }
}

/// Whose command it is.
pub(crate) fn actor(command: &pb::Command) -> String {
    match command.actor.as_ref().and_then(|actor| actor.who.as_ref()) {
        Some(pb::actor::Who::Agency(id)) => id.clone(),
        Some(pb::actor::Who::Operator(_)) => "operator".to_owned(),
        Some(pb::actor::Who::Node(_)) | None => "node".to_owned(),
    }
}
