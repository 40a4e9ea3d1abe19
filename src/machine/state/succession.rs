//! Rows of successions, and who stands in whose place because of them.
//!
//! Rows of other nouns go on naming the body that did what they tell of. Who answers for it by now is resolved where it is
//! asked: [`State::heir`] for everything that was a merged body's own, [`State::before`] for the place in an agreement. So
//! a succession changes few rows at once, and what was true at its time stays readable.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{
        State,
        state::{agency::AgencyNumber, record::Groups},
    },
    model::{
        digest::Digest,
        id::{AgreementId, FlowId, SuccessionId},
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::SuccessionKind,
};

/// A succession. Codes are those of the protobuf enums.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Succession {
    /// The body whose place is taken.
    pub old: AgencyNumber,
    /// `SuccessionKind`.
    pub kind: i32,
    /// `SuccessionInstrument`.
    pub instrument: i32,
    /// Who takes its place where.
    pub shares: Vec<Share>,
    /// From when on; from the last approval on if none was stated.
    pub effective_at: Option<UnixMillis>,
    /// Whether the confirmed caseload goes over.
    pub carries_caseload: bool,
    /// The encoded `SuccessionContent`, exactly as it is hashed.
    pub content: Vec<u8>,
    /// What is signed.
    pub content_hash: Digest,
    /// Who has to approve, and by which key.
    pub parties: BTreeMap<AgencyNumber, Digest>,
    /// Who approved.
    pub approvals: BTreeMap<AgencyNumber, Approval>,
    /// Who declined it, and why (`SuccessionDeclineReason`).
    pub declined: Option<(AgencyNumber, i32)>,
    /// Where it stands.
    pub status: Status,
    /// Who proposed it.
    pub proposer: AgencyNumber,
    /// Where it was proposed.
    pub proposed: Position,
    /// When it was proposed.
    pub proposed_at: UnixMillis,
    /// When it lapses unless all have approved.
    pub lapses_at: UnixMillis,
    /// Where and when it came into force, or to nothing.
    pub closed: Option<(Position, UnixMillis)>,
}

/// One agreement of a succession.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Share {
    /// The agreement.
    pub agreement: AgreementId,
    /// The version in which the old body's place is taken.
    pub version: u32,
    /// Its content hash.
    pub content_hash: Digest,
    /// Who takes the place.
    pub successor: AgencyNumber,
    /// The version that comes of it; none where nothing is left to share, and the agreement ends.
    pub becomes: Option<Becomes>,
    /// Whether the place was taken.
    pub taken: bool,
    /// Of a merger: since when records of the old body flow, by flow, recipient and groups.
    pub since: Vec<(FlowId, AgencyNumber, Groups, Position)>,
}

/// A version that a succession brings about.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Becomes {
    /// Its number.
    pub version: u32,
    /// Its content hash.
    pub content_hash: Digest,
    /// Its encoded `AgreementContent`.
    pub content: Vec<u8>,
}

/// Who approved in an agency's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Approval {
    /// `ApproverRole`.
    pub role: i32,
    /// `ApproverAuthority`.
    pub authority: i32,
    /// When.
    pub at: UnixMillis,
}

/// Where a succession stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Status {
    /// Before all who have to approve it.
    Proposed,
    /// All approved; its date has not come.
    Approved,
    /// The places are taken; for ever.
    InForce,
    /// Declined; for ever.
    Declined,
    /// It came to nothing: not approved in time, or there was nothing left to take; for ever.
    Lapsed,
}

impl Succession {
    /// Whether it may still come into force.
    pub fn open(&self) -> bool {
        matches!(self.status, Status::Proposed | Status::Approved)
    }

    /// Whether the old body goes over as a whole.
    pub fn merges(&self) -> bool {
        self.kind == i32::from(SuccessionKind::Merger)
    }

    /// What falls due next.
    pub fn deadline(&self) -> Option<UnixMillis> {
        match self.status {
            Status::Proposed => Some(self.lapses_at),
            Status::Approved => self.effective_at,
            Status::InForce | Status::Declined | Status::Lapsed => None,
        }
    }

    /// Everybody whom it concerns: who has to approve, and the old body.
    pub fn concerned(&self) -> BTreeSet<AgencyNumber> {
        self.parties.keys().copied().chain([self.old]).collect()
    }
}

/// Since when a merged body's records flow: whose, to whom, which groups.
type Since = Vec<(AgencyNumber, AgencyNumber, Groups, Position)>;

/// What is derived from the rows of successions.
#[derive(Clone, Debug, Default)]
pub struct Successions {
    /// By whom they concern.
    pub by_agency: BTreeSet<(AgencyNumber, Position, SuccessionId)>,
    /// Agreements that an open one is about.
    pub open: BTreeMap<AgreementId, SuccessionId>,
    /// What falls due next of each.
    pub deadlines: BTreeSet<(UnixMillis, SuccessionId)>,
    /// Into whom a body went over as a whole, and whether its caseload did.
    merged: BTreeMap<AgencyNumber, (AgencyNumber, bool)>,
    /// Who went over into a body as a whole.
    merged_into: BTreeMap<AgencyNumber, BTreeSet<AgencyNumber>>,
    /// Whose place an agency took in an agreement.
    places: BTreeMap<(AgreementId, AgencyNumber), BTreeSet<AgencyNumber>>,
    /// Since when records of merged bodies flow by a flow of the version that came of the merger.
    since: BTreeMap<(AgreementId, u32, FlowId), Since>,
}

/// The items of several lists, each in order, in one order.
pub(in crate::machine) fn in_order<T: Copy + Ord>(
    lists: Vec<impl Iterator<Item = T>>,
) -> impl Iterator<Item = T> {
    let mut lists: Vec<_> = lists.into_iter().map(Iterator::peekable).collect();
    std::iter::from_fn(move || {
        let least = lists.iter_mut().filter_map(|list| list.peek().copied()).min()?;
        lists.iter_mut().find_map(|list| list.next_if_eq(&least))
    })
}

impl State {
    /// A succession.
    pub fn succession(&self, id: SuccessionId) -> Option<&Succession> {
        self.tables.successions.get(&id)
    }

    /// The successions that concern an agency, in the order in which they were proposed, after a place.
    pub fn successions_of(
        &self,
        agency: AgencyNumber,
        after: Option<(Position, SuccessionId)>,
    ) -> impl Iterator<Item = (Position, SuccessionId, &Succession)> {
        let from = match after {
            Some((position, id)) => std::ops::Bound::Excluded((agency, position, id)),
            None => std::ops::Bound::Included((
                agency,
                Position::FIRST,
                SuccessionId::from_bytes([0; 16]),
            )),
        };
        let last = (agency, Position::new(u64::MAX), SuccessionId::from_bytes([u8::MAX; 16]));
        let rows =
            self.indexes.successions.by_agency.range((from, std::ops::Bound::Included(last)));
        rows.filter_map(|(_, position, id)| Some((*position, *id, self.succession(*id)?)))
    }

    /// Who answers for what was a body's own: itself, unless it went over into another one.
    pub fn heir(&self, body: AgencyNumber) -> AgencyNumber {
        let merged = &self.indexes.successions.merged;
        let mut heir = body;
        // Nobody goes over into a body that went over before, so the way has an end.
        while let Some((next, _)) = merged.get(&heir) {
            heir = *next;
        }
        heir
    }

    /// Whether what was a body's own is an agency's by now.
    pub fn answers_for(&self, agency: AgencyNumber, body: AgencyNumber) -> bool {
        agency == body || self.heir(body) == agency
    }

    /// An agency, and every body that went over into it as a whole, in the order of their numbers.
    pub fn bodies(&self, agency: AgencyNumber) -> impl Iterator<Item = AgencyNumber> + use<> {
        let merged = self.has_merged(agency).then(|| {
            let mut bodies = BTreeSet::from([agency]);
            let mut left = vec![agency];
            while let Some(next) = left.pop() {
                for body in self.indexes.successions.merged_into.get(&next).into_iter().flatten() {
                    if bodies.insert(*body) {
                        left.push(*body);
                    }
                }
            }
            bodies
        });
        // Asked for every decision, and most agencies are alone.
        let alone = merged.is_none().then_some(agency);
        alone.into_iter().chain(merged.into_iter().flatten())
    }

    /// Whether any body went over into an agency as a whole.
    pub(in crate::machine) fn has_merged(&self, agency: AgencyNumber) -> bool {
        self.indexes.successions.merged_into.contains_key(&agency)
    }

    /// Whose place an agency took in an agreement, one after another: none for most.
    pub(in crate::machine) fn before(
        &self,
        agreement: &AgreementId,
        agency: AgencyNumber,
    ) -> BTreeSet<AgencyNumber> {
        self.reached(agency, |next| {
            self.indexes.successions.places.get(&(agreement.clone(), next)).into_iter().flatten()
        })
    }

    /// The same, and whoever went over as a whole into the agency or into one of these.
    pub(in crate::machine) fn before_or_merged(
        &self,
        agreement: &AgreementId,
        agency: AgencyNumber,
    ) -> BTreeSet<AgencyNumber> {
        let successions = &self.indexes.successions;
        self.reached(agency, |next| {
            let places = successions.places.get(&(agreement.clone(), next));
            places.into_iter().chain(successions.merged_into.get(&next)).flatten()
        })
    }

    /// Everybody that steps from one to others lead to.
    fn reached<'a, I: Iterator<Item = &'a AgencyNumber>>(
        &self,
        agency: AgencyNumber,
        step: impl Fn(AgencyNumber) -> I,
    ) -> BTreeSet<AgencyNumber> {
        let mut found = BTreeSet::new();
        if self.indexes.successions.places.is_empty() {
            return found;
        }
        let mut left = vec![agency];
        while let Some(next) = left.pop() {
            for body in step(next) {
                if *body != agency && found.insert(*body) {
                    left.push(*body);
                }
            }
        }
        found
    }

    /// Whether an agency took a body's place anywhere, or that of one that had.
    pub(in crate::machine) fn took_place(&self, agency: AgencyNumber, body: AgencyNumber) -> bool {
        let places = self.indexes.successions.places.keys();
        self.answers_for(agency, body)
            || places
                .filter(|(_, at)| *at == agency)
                .any(|(agreement, _)| self.before(agreement, agency).contains(&body))
    }

    /// The agreements in which a body's place was taken, and by whom.
    pub(in crate::machine) fn places_left(
        &self,
        body: AgencyNumber,
    ) -> impl Iterator<Item = (&AgreementId, AgencyNumber)> {
        let places = self.indexes.successions.places.iter();
        places.filter(move |(_, left)| left.contains(&body)).map(|((id, at), _)| (id, *at))
    }

    /// Whether the confirmed caseload of a body counts for the agency into which it went over.
    pub(in crate::machine) fn carried(&self, body: AgencyNumber, agency: AgencyNumber) -> bool {
        let mut at = body;
        while at != agency {
            match self.indexes.successions.merged.get(&at) {
                Some((next, true)) => at = *next,
                Some((_, false)) | None => return false,
            }
        }
        true
    }

    /// Since when a group of a merged body's records flows to a recipient by a flow of the version that came of it.
    pub(in crate::machine) fn since_before(
        &self,
        (agreement, version, flow): (&AgreementId, u32, &FlowId),
        (body, recipient, group): (AgencyNumber, AgencyNumber, Groups),
    ) -> Option<Position> {
        let known = &self.indexes.successions.since;
        if known.is_empty() {
            return None;
        }
        let since = known.get(&(agreement.clone(), version, flow.clone()))?.iter();
        let of = since.filter(|(from, to, groups, _)| {
            *from == body && *to == recipient && groups.covers(group)
        });
        of.map(|(.., position)| *position).min()
    }

    /// Puts a succession and keeps the indexes with it.
    pub(in crate::machine) fn put_succession(&mut self, id: SuccessionId, row: Succession) {
        if let Some(due) = self.succession(id).and_then(Succession::deadline) {
            let _before = self.indexes.successions.deadlines.remove(&(due, id));
        }
        self.index_succession(id, &row);
        self.tables.successions.put(&mut self.journal, id, row);
    }

    fn index_succession(&mut self, id: SuccessionId, row: &Succession) {
        let index = &mut self.indexes.successions;
        for agency in row.concerned() {
            index.by_agency.insert((agency, row.proposed, id));
        }
        if let Some(due) = row.deadline() {
            index.deadlines.insert((due, id));
        }
        for share in &row.shares {
            if row.open() {
                index.open.insert(share.agreement.clone(), id);
            } else if index.open.get(&share.agreement) == Some(&id) {
                let _closed = index.open.remove(&share.agreement);
            }
        }
        if row.status != Status::InForce {
            return;
        }
        for share in row.shares.iter().filter(|share| share.taken) {
            let place = (share.agreement.clone(), share.successor);
            index.places.entry(place).or_default().insert(row.old);
            let Some(becomes) = &share.becomes else { continue };
            for (flow, recipient, groups, position) in &share.since {
                let key = (share.agreement.clone(), becomes.version, flow.clone());
                let since = index.since.entry(key).or_default();
                since.push((row.old, *recipient, *groups, *position));
            }
        }
        if let Some(share) = row.shares.first().filter(|_| row.merges()) {
            index.merged.insert(row.old, (share.successor, row.carries_caseload));
            index.merged_into.entry(share.successor).or_default().insert(row.old);
        }
    }

    pub(super) fn index_successions(&mut self) {
        let rows = self.tables.successions.iter();
        let rows: Vec<_> = rows.map(|(id, row)| (*id, row.clone())).collect();
        for (id, row) in rows {
            self.index_succession(id, &row);
        }
    }
}
