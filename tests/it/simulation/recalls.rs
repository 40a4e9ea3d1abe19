//! What the auditor makes of recalls: who is owed one, by acts of publishers and the end of agreements, and that nothing
//! overtakes one. It takes from the machine only which recalls stand in the end, as a list of what was said to whom.

use std::collections::{BTreeMap, BTreeSet};

use concordat::{
    machine::State,
    model::id::{RecallId, RecordId},
    pb::ledger::v1::{self as pb, RecallReason, command::Kind},
};

use super::auditor::{Auditor, Groups};

/// From how many an entry recalls; the rest waits for sweeps, which another version of the agreement may outrun.
const AT_ONCE: usize = 32;

/// What was sent of a record to one recipient.
#[derive(Default)]
struct Sent {
    groups: Groups,
    /// The entry of the last release.
    at: u64,
    releases: u32,
    unsent: u32,
}

/// Why something is asked back.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    Retracted,
    Withdrawn,
    Ended(String),
}

/// A recall that somebody has to get.
#[derive(Clone, Debug)]
struct Owed {
    first: RecordId,
    recipient: String,
    groups: Groups,
    sent_at: u64,
    why: Why,
    /// Whether the entry that asks it back takes no sweep.
    at_once: bool,
}

/// What the auditor knows about recalls.
#[derive(Default)]
pub(crate) struct Ledgered {
    sent: BTreeMap<(RecordId, String), Sent>,
    deliveries: BTreeMap<(String, String, u64), RecordId>,
    owed: Vec<Owed>,
    pub(crate) retracted: BTreeSet<RecordId>,
    /// Clients whose consents were withdrawn with what was sent on them.
    withdrawn: BTreeSet<Vec<u8>>,
    /// Agreements that have ended, and where the auditor noticed.
    ended: Vec<(String, u64)>,
    handed: BTreeMap<Vec<u8>, u64>,
    /// Where which agency was released anything about whom.
    released: Vec<(u64, String, Vec<u8>)>,
}

/// A recall as the exchange shows it in the end.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) id: RecallId,
    pub(crate) first: RecordId,
    pub(crate) recipient: String,
    pub(crate) groups: Groups,
    pub(crate) reason: RecallReason,
    pub(crate) position: u64,
}

/// The recalls that stand.
pub(crate) fn seen(state: &State) -> Vec<Seen> {
    let rows = state.tables().recalls.iter();
    rows.map(|(id, row)| {
        let known = state.record_type(state.record(row.first).unwrap().record_type).unwrap();
        Seen {
            id: *id,
            first: row.first,
            recipient: state.agency(row.recipient).unwrap().id.to_string(),
            groups: known.names_of(row.groups).iter().map(ToString::to_string).collect(),
            reason: RecallReason::try_from(row.reason).unwrap(),
            position: row.position.number(),
        }
    })
    .collect()
}

impl Auditor {
    /// Notes a line that was released.
    pub(super) fn sent(
        &mut self,
        (position, first): (u64, RecordId),
        recipient: &str,
        (groups, place): (&Groups, Option<(String, u64)>),
    ) {
        let client = self.records[&first].client.clone();
        let recalls = &mut self.recalls;
        let row = recalls.sent.entry((first, recipient.to_owned())).or_default();
        row.groups.extend(groups.iter().cloned());
        row.at = position;
        row.releases += 1;
        if let Some((subscription, delivery)) = place {
            let key = (recipient.to_owned(), subscription, delivery);
            recalls.deliveries.insert(key, first);
        }
        recalls.released.push((position, recipient.to_owned(), client));
    }

    /// Takes one entry that was not turned down, after everything else of it was taken.
    pub(super) fn take_recalls(&mut self, (position, now_ms): (u64, u64), kind: &Kind) {
        match kind {
            Kind::RetractRecord(kind) => {
                let record = RecordId::from_slice(&kind.record).unwrap();
                let first = self.records[&record].first;
                self.recalls.retracted.insert(first);
                self.owe(|of, _| of == first, (&Why::Retracted, None), now_ms);
            }
            Kind::WithdrawConsent(kind) if kind.recall => {
                let consent = self.consents.iter().find(|row| row.id == kind.consent).unwrap();
                let (client, scope) = (consent.client.clone(), consent.scope.clone());
                self.recalls.withdrawn.insert(client.clone());
                let records = self.records.clone();
                let about = |of, to: &str| {
                    let row = &records[&of];
                    row.client == client
                        && row.publisher == scope.publisher
                        && scope.recipients.iter().any(|name| name == to)
                };
                let named: Groups = scope.groups.iter().cloned().collect();
                self.owe(about, (&Why::Withdrawn, Some(&named)), now_ms);
            }
            Kind::ReleaseNotSent(kind) => {
                for delivery in &kind.deliveries {
                    let key = (kind.agency.clone(), kind.subscription.clone(), *delivery);
                    self.not_sent(&key);
                }
            }
            Kind::HandOverRecalls(kind) => {
                for id in &kind.recalls {
                    self.recalls.handed.entry(id.to_vec()).or_insert(position);
                }
            }
            Kind::AcknowledgeRecall(kind) => {
                self.recalls.handed.entry(kind.recall.to_vec()).or_insert(position);
            }
            Kind::EndAgreement(kind) => {
                let before = self.recalls.owed.len();
                self.ends((position, now_ms), &kind.agreement);
                let owed = self.recalls.owed.get_mut(before..).unwrap_or_default();
                let at_once = owed.len() <= AT_ONCE;
                for owed in owed {
                    owed.at_once = at_once;
                }
            }
            _ => {}
        }
    }

    /// Asks back what was received on agreements whose date has come.
    pub(super) fn take_time(&mut self, (position, now_ms): (u64, u64)) {
        let over = |agreement: &&String| {
            let row = &self.agreements[*agreement];
            !row.asked_back && row.content.expires_at_ms <= now_ms
        };
        let over: Vec<String> = self.agreements.keys().filter(over).cloned().collect();
        for agreement in over {
            self.ends((position, now_ms), &agreement);
        }
    }

    /// Another version comes into force: what a sweep had not asked back yet is not asked back any more.
    pub(super) fn renewed(&mut self, agreement: &str) {
        let why = Why::Ended(agreement.to_owned());
        self.recalls.owed.retain(|owed| owed.why != why || owed.at_once);
    }

    fn ends(&mut self, (position, now_ms): (u64, u64), id: &str) {
        let Some(agreement) = self.agreements.get_mut(id) else { return };
        if std::mem::replace(&mut agreement.asked_back, true) {
            return;
        }
        let flows = agreement.content.flows.clone();
        self.recalls.ended.push((id.to_owned(), position));
        let records = self.records.clone();
        let about = |of, to: &str| {
            let publisher = &records[&of].publisher;
            flows.iter().any(|flow| {
                flow.publisher == *publisher && flow.recipients.iter().any(|name| name == to)
            })
        };
        self.owe(about, (&Why::Ended(id.to_owned()), None), now_ms);
    }

    fn not_sent(&mut self, key: &(String, String, u64)) {
        let Some(first) = self.recalls.deliveries.get(key).copied() else { return };
        let to = (first, key.0.clone());
        let row = self.recalls.sent.get_mut(&to).unwrap();
        row.unsent += 1;
        if row.unsent == row.releases {
            self.recalls.owed.retain(|owed| (owed.first, owed.recipient.clone()) != to);
        }
    }

    /// Notes that recipients of records are owed a recall of what they may not have on another ground.
    fn owe(
        &mut self,
        about: impl Fn(RecordId, &str) -> bool,
        (why, only): (&Why, Option<&Groups>),
        now_ms: u64,
    ) {
        let purpose = i32::from(pb::Purpose::SchoolLeaverTransition);
        let mut owed = Vec::new();
        for ((first, recipient), sent) in &self.recalls.sent {
            if sent.releases <= sent.unsent || !about(*first, recipient) {
                continue;
            }
            let row = &self.records[&self.latest(*first)];
            let asked = |group: &&String| {
                only.is_none_or(|only| only.contains(*group))
                    && (*why == Why::Retracted
                        || !self.allows(row, (recipient, purpose, now_ms), group))
            };
            let groups: Groups = sent.groups.iter().filter(asked).cloned().collect();
            if !groups.is_empty() {
                let (first, recipient, why) = (*first, recipient.clone(), why.clone());
                owed.push(Owed { first, recipient, groups, sent_at: sent.at, why, at_once: false });
            }
        }
        self.recalls.owed.extend(owed);
    }

    /// How many recalls somebody has to get, each for every reason.
    pub(crate) fn owed_count(&self) -> usize {
        self.recalls.owed.len()
    }

    /// Whether everybody who is owed a recall has one, nobody else has, and nothing came before one (G15).
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn judge(&self, recalls: &[Seen]) -> Result<(), String> {
        for owed in &self.recalls.owed {
            let about = recalls.iter().filter(|seen| {
                seen.first == owed.first
                    && seen.recipient == owed.recipient
                    && owed.sent_at < seen.position
            });
            let told: Groups = about.flat_map(|seen| seen.groups.iter().cloned()).collect();
            if !owed.groups.is_subset(&told) {
                return Err(format!("{owed:?} was told of {told:?}"));
            }
        }
        for seen in recalls {
            let sent = self.recalls.sent.get(&(seen.first, seen.recipient.clone()));
            if !sent.is_some_and(|sent| seen.groups.is_subset(&sent.groups)) {
                return Err(format!("{seen:?} is of what was never sent"));
            }
            if !self.has_reason(seen) {
                return Err(format!("{seen:?} has no reason"));
            }
            let client = &self.records[&seen.first].client;
            let handed = self.recalls.handed.get(seen.id.as_bytes().as_slice());
            let before = self.recalls.released.iter().find(|(position, to, about)| {
                *to == seen.recipient
                    && about == client
                    && seen.position < *position
                    && handed.is_none_or(|handed| position < handed)
            });
            if let Some((position, ..)) = before {
                return Err(format!("entry {position} overtakes {seen:?}, handed over {handed:?}"));
            }
        }
        Ok(())
    }

    fn has_reason(&self, seen: &Seen) -> bool {
        let row = &self.records[&seen.first];
        match seen.reason {
            RecallReason::ConsentWithdrawn => self.recalls.withdrawn.contains(&row.client),
            RecallReason::AgreementEnded => self.recalls.ended.iter().any(|(id, position)| {
                let flows = &self.agreements[id].content.flows;
                *position <= seen.position
                    && flows.iter().any(|flow| {
                        flow.publisher == row.publisher && flow.recipients.contains(&seen.recipient)
                    })
            }),
            _ => self.recalls.retracted.contains(&seen.first),
        }
    }
}
