//! Commands about subscriptions and releases.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    machine::command::{code, malformed, name, names, record::Grant},
    model::{
        id::{AgencyId, RecordId, RecordTypeName, SubscriptionId},
        limit,
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

/// The greatest number of record types of one subscription.
const TYPES_MAX: usize = 32;

/// What is to change about a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionCommand {
    /// Creates one.
    Create {
        /// Its id.
        subscription: SubscriptionId,
        /// The types of record.
        types: BTreeSet<RecordTypeName>,
    },
    /// Removes one.
    Remove {
        /// Which.
        subscription: SubscriptionId,
    },
    /// Moves its place.
    Seek {
        /// Which.
        subscription: SubscriptionId,
        /// The last delivery that is not to come again.
        after_delivery: u64,
    },
    /// Releases records to it.
    Release(Release),
    /// States that deliveries did not leave.
    NotSent {
        /// Whose subscription.
        agency: AgencyId,
        /// Which.
        subscription: SubscriptionId,
        /// The deliveries.
        deliveries: BTreeSet<u64>,
    },
    /// Acknowledges and refuses deliveries.
    Acknowledge {
        /// Which.
        subscription: SubscriptionId,
        /// Everything up to this delivery.
        through: u64,
        /// What is refused, and why.
        nacks: BTreeMap<u64, pb::NackReason>,
    },
}

/// Records to release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Who receives.
    pub agency: AgencyId,
    /// Through which subscription.
    pub subscription: SubscriptionId,
    /// The number of the first surviving line.
    pub first_delivery: u64,
    /// The lines.
    pub lines: Vec<Line>,
}

/// One record that would be disclosed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The version.
    pub record: RecordId,
    /// On which grounds. None: the line only asks whether it may be forgotten.
    pub grants: Vec<Grant>,
    /// Where it comes from.
    pub source: Source,
}

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A place in the queue.
    Queue(u64),
    /// A delivery that is repeated.
    Replay(u64),
}

impl SubscriptionCommand {
    pub(super) fn create(message: pb::CreateSubscription) -> Result<Self, Violation> {
        let pb::CreateSubscription { subscription, record_types } = message;
        Ok(Self::Create {
            subscription: name(&subscription, "subscription")?,
            types: names(&record_types, TYPES_MAX, "record_types")?,
        })
    }

    pub(super) fn remove(message: pb::RemoveSubscription) -> Result<Self, Violation> {
        let pb::RemoveSubscription { subscription } = message;
        Ok(Self::Remove { subscription: name(&subscription, "subscription")? })
    }

    pub(super) fn seek(message: pb::SeekSubscription) -> Result<Self, Violation> {
        let pb::SeekSubscription { subscription, after_delivery } = message;
        Ok(Self::Seek { subscription: name(&subscription, "subscription")?, after_delivery })
    }

    pub(super) fn release(message: pb::ReleaseRecords) -> Result<Self, Violation> {
        let pb::ReleaseRecords { agency, subscription, first_delivery, lines } = message;
        if lines.is_empty() || limit::RELEASE_LINES_MAX < lines.len() {
            return Err(malformed("lines", "a release has 1 to 64 lines"));
        }
        Ok(Self::Release(Release {
            agency: name(&agency, "agency")?,
            subscription: name(&subscription, "subscription")?,
            first_delivery,
            lines: lines.into_iter().map(Line::try_from).collect::<Result<_, _>>()?,
        }))
    }

    pub(super) fn not_sent(message: pb::ReleaseNotSent) -> Result<Self, Violation> {
        let pb::ReleaseNotSent { agency, subscription, deliveries } = message;
        if deliveries.is_empty() || limit::RELEASE_LINES_MAX < deliveries.len() {
            return Err(malformed("deliveries", "1 to 64 deliveries"));
        }
        Ok(Self::NotSent {
            agency: name(&agency, "agency")?,
            subscription: name(&subscription, "subscription")?,
            deliveries: deliveries.into_iter().collect(),
        })
    }

    pub(super) fn acknowledge(message: pb::Acknowledge) -> Result<Self, Violation> {
        let pb::Acknowledge { subscription, through, nacks } = message;
        if limit::RELEASE_LINES_MAX < nacks.len() {
            return Err(malformed("nacks", "at most 64 deliveries are refused at once"));
        }
        Ok(Self::Acknowledge {
            subscription: name(&subscription, "subscription")?,
            through,
            nacks: nacks
                .into_iter()
                .map(|pb::Nack { delivery, reason }| Ok((delivery, code(reason, "nacks.reason")?)))
                .collect::<Result<_, Violation>>()?,
        })
    }
}

impl TryFrom<pb::ReleaseLine> for Line {
    type Error = Violation;

    fn try_from(message: pb::ReleaseLine) -> Result<Self, Violation> {
        let pb::ReleaseLine { record, grants, source } = message;
        Ok(Self {
            record: RecordId::from_slice(&record).map_err(|v| v.inside("lines.record"))?,
            grants: Grant::all(grants)?,
            source: match source {
                Some(pb::release_line::Source::Queue(place)) => Source::Queue(place),
                Some(pb::release_line::Source::Replay(delivery)) => Source::Replay(delivery),
                None => return Err(malformed("lines.source", "a line comes from somewhere")),
            },
        })
    }
}
