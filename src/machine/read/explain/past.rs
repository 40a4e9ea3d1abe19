//! What the ledger itself holds of a past decision: the groups that an entry named, and those that left by it.
//!
//! A release names its lines as data; what a replay makes of the same entry must be the same. Nothing is decided here.

use std::collections::BTreeSet;

use crate::{
    machine::{
        Command, Outcome, Receipt, Released,
        command::{Kind, record::RecordCommand, subscription::SubscriptionCommand},
    },
    model::id::{AgencyId, GroupName, RecordId},
};

/// One line of an entry, as it was named and as it came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The groups that the entry names.
    pub named: BTreeSet<GroupName>,
    /// The groups that left by it.
    pub left: BTreeSet<GroupName>,
}

/// What an entry and its outcome say of a record going to a recipient; `None` if it releases no such record.
pub fn recorded(
    command: &Command,
    outcome: &Outcome,
    (record, recipient): (RecordId, &AgencyId),
) -> Option<Recorded> {
    let grants = match &command.kind {
        Kind::Subscription(SubscriptionCommand::Release(release)) => {
            let line = release.lines.iter().find(|line| line.record == record);
            &line.filter(|_| release.agency == *recipient)?.grants
        }
        Kind::Record(RecordCommand::Open(open)) if open.record == record => &open.grants,
        Kind::Exchange(_)
        | Kind::Agency(_)
        | Kind::Agreement(_)
        | Kind::Consent(_)
        | Kind::Policy(_)
        | Kind::Client(_)
        | Kind::Record(_)
        | Kind::Subscription(_)
        | Kind::Recall(_)
        | Kind::Dispute(_)
        | Kind::Case(_)
        | Kind::Erasure(_)
        | Kind::Emergency(_)
        | Kind::Words(_)
        | Kind::Succession(_) => return None,
    };
    let named = grants.iter().flat_map(|grant| grant.groups.iter().cloned()).collect();
    let of_record = |released: &&Released| released.record() == record;
    let left = match outcome {
        Ok(Receipt::Released(lines)) => lines.iter().find(of_record),
        Ok(Receipt::Opened(released)) => Some(&**released).filter(of_record),
        Ok(Receipt::Published { .. } | Receipt::Answer(_)) | Err(_) => None,
    };
    let left = left.into_iter().flat_map(|line| line.group_names().iter().cloned()).collect();
    Some(Recorded { named, left })
}
