//! Rows of notices: what an agency is told because somebody else, or time, did something that concerns it.
//!
//! A notice is written by the entry that it tells of, and names nothing that its reader may not see. At most
//! `limit::NOTICES_MAX` are kept for each agency; the oldest go first. Another noun that has something to tell adds a
//! variant to [`About`].

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{
        State,
        state::{agency::AgencyNumber, case::Task},
    },
    model::{
        id::{
            AgreementId, AliasId, CaseId, ClientId, ConsentId, EmergencyId, RecordId, SuccessionId,
        },
        limit,
        order::UnixMillis,
    },
};

/// One notice.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Notice {
    /// When it was written, or when what it tells of fell due.
    pub at: UnixMillis,
    /// What it tells of.
    pub about: About,
}

/// What a notice tells of.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum About {
    /// A version of an agreement.
    Agreement {
        /// The agreement.
        agreement: AgreementId,
        /// The version.
        version: u32,
        /// The party that acted; none where time did.
        by: Option<AgencyNumber>,
        /// What happened.
        event: AgreementEvent,
    },
    /// A case of the reader's own.
    Case {
        /// The case.
        case: CaseId,
        /// `CaseKind`.
        kind: i32,
        /// What happened.
        event: CaseEvent,
    },
    /// An incident under an agreement of the reader's, which another party answers for.
    Incident {
        /// The agreement.
        agreement: AgreementId,
        /// The party that answers for it.
        by: AgencyNumber,
        /// What happened.
        event: IncidentEvent,
        /// `IncidentKind`.
        kind: i32,
        /// `Severity`.
        severity: i32,
        /// How many people it may concern; 0 if that is not known.
        affected_count: u32,
    },
    /// Records that the reader was sent are restricted at their publisher, or are no more.
    Restriction {
        /// The client, by the reader's name.
        client: AliasId,
        /// The publisher.
        by: AgencyNumber,
        /// What happened.
        event: RestrictionEvent,
    },
    /// Emergency access.
    Emergency {
        /// Which; none where it was refused.
        emergency: Option<EmergencyId>,
        /// The agency that used it, or asked for it.
        by: AgencyNumber,
        /// What happened.
        event: EmergencyEvent,
        /// Whom it is about, if the reader's own records were reached.
        client: Option<ClientId>,
    },
    /// A record of the reader's was opened by another agency.
    Reading {
        /// Which, by its first version.
        record: RecordId,
        /// Who opened it.
        reader: AgencyNumber,
        /// The day of ledger time, in days since the epoch.
        day: u32,
        /// Why (`ReadReason`).
        reason: i32,
    },
    /// A consent that the reader recorded was withdrawn by another agency.
    ConsentWithdrawn {
        /// Which.
        consent: ConsentId,
        /// The agency that lodged the withdrawal.
        by: AgencyNumber,
    },
    /// A succession that the reader has to approve, or that takes its place.
    Succession {
        /// Which.
        succession: SuccessionId,
        /// The body whose place is taken.
        old: AgencyNumber,
        /// The agency that acted; none where time did.
        by: Option<AgencyNumber>,
        /// What happened.
        event: SuccessionEvent,
    },
}

/// What happened to a succession.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum SuccessionEvent {
    /// It was put before all who have to approve it.
    Proposed,
    /// One of them approved it.
    Approved,
    /// All approved it; its date has not come.
    Settled,
    /// One declined it (`SuccessionDeclineReason`).
    Declined(i32),
    /// The places are taken.
    InForce,
    /// It came to nothing.
    Lapsed,
}

/// What happened to a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum CaseEvent {
    /// Something was not done in time.
    Overdue(Task),
}

/// What happened to another party's incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum IncidentEvent {
    /// It arose.
    Opened,
    /// It was dealt with.
    Closed,
}

/// What a publisher decided about what it had sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum RestrictionEvent {
    /// It is restricted.
    Restricted,
    /// It is restricted no more.
    Lifted,
}

/// What happened to emergency access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum EmergencyEvent {
    /// It was opened, and reaches records.
    Opened,
    /// It was opened, and found nobody.
    Missed,
    /// It was reviewed (`EmergencyFinding`).
    Reviewed(i32),
    /// It was not reviewed by its date.
    ReviewOverdue,
    /// The agency gets no more of it until it is reviewed.
    Barred,
    /// It was asked for and refused (`EmergencyRefusal`).
    Refused(i32),
}

/// What happened to a version of an agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum AgreementEvent {
    /// It was put before its parties.
    Proposed,
    /// A party approved it.
    Approved,
    /// A party declined it (`DeclineReason`).
    Declined(i32),
    /// Every party approved it: it is in force.
    Activated,
    /// It is in force and the reader is a party no more.
    LeftOut,
    /// A party stopped its own flows (`SuspendReason`).
    Suspended(i32),
    /// A party lifted its own suspension.
    Resumed,
    /// A party ended it.
    Ended,
    /// So many days remain until the review.
    ReviewNear(u32),
    /// The review is due.
    ReviewDue,
    /// So many days remain until the end.
    ExpiryNear(u32),
    /// The end has come.
    Expired,
    /// The end has come also for the flows for safeguarding that went on.
    SafeguardingEnded,
}

impl State {
    /// Writes a notice for an agency, and lets its oldest one go where there are too many.
    /// What is for a body that went over into another one is told to that one.
    pub(in crate::machine) fn notify(&mut self, agency: AgencyNumber, notice: Notice) {
        let agency = self.heir(agency);
        let own = (agency, 0)..=(agency, u64::MAX);
        let last =
            self.tables.notices.range(own.clone()).next_back().map(|((_, number), _)| *number);
        let number = last.map_or(1, |last| last.saturating_add(1));
        self.tables.notices.put(&mut self.journal, (agency, number), notice);
        let first = self.tables.notices.range(own).next().map(|(key, _)| *key);
        let kept = u64::try_from(limit::NOTICES_MAX).unwrap_or(u64::MAX);
        if let Some(first) = first.filter(|(_, first)| kept <= number.saturating_sub(*first)) {
            let _oldest = self.tables.notices.remove(&mut self.journal, &first);
        }
    }
}
