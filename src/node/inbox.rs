//! Inboxes: recalls on their way to the agency that they are addressed to.
//!
//! A recall is put before its recipient, and then the ledger is told so; only after that is anything else about the
//! client released to it. What is lost on the way stays in the inbox: a recall is listed until it is answered.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::{
    ledger::Fault,
    machine::{Refusal, state::agency::AgencyNumber},
    model::{
        id::{AgencyId, RecallId},
        limit,
        order::Position,
    },
    node::{
        Node, clockwork,
        delivery::{Deliveries, Slot},
    },
    pb::ledger::v1 as pb,
};

/// A reader of one agency's inbox.
pub struct Inbox {
    node: Node,
    agency: AgencyId,
    slot: Arc<Slot>,
    /// The last recall that this reader was given.
    after: Option<(Position, RecallId)>,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("agency", &self.agency).finish_non_exhaustive()
    }
}

impl Deliveries {
    /// A reader of the inbox of the agency that reads here. It begins with everything that is not answered.
    pub fn inbox(&self) -> Inbox {
        let (node, agency, slot) = self.parts();
        Inbox { node, agency, slot, after: None }
    }
}

impl Inbox {
    /// The next recalls, 1 to 64 of them, the oldest first; waits until there are any.
    ///
    /// # Errors
    /// Why there will be none.
    pub async fn next(&mut self) -> Result<Vec<RecallId>, Fault> {
        loop {
            if let Some(fault) = self.node.fault() {
                return Err(fault);
            }
            let found: Vec<_> = self.node.read(|state| {
                let Some(number) = state.agency_number(&self.agency) else { return Vec::new() };
                state.recalls_open(number, self.after).take(limit::RECALLS_MAX).collect()
            });
            if let Some(last) = found.last() {
                self.after = Some(*last);
                return Ok(found.into_iter().map(|(_, id)| id).collect());
            }
            self.slot.recalled().await;
        }
    }
}

impl Node {
    /// The recalls that were not put before an agency yet: at most 64, the oldest first.
    pub fn waiting_recalls(&self, agency: AgencyNumber) -> Vec<RecallId> {
        self.read(|state| state.recalls_waiting(agency).take(limit::RECALLS_MAX).collect())
    }

    /// Says on the ledger what did not leave, so that nobody is told of the recall of what never reached it.
    ///
    /// # Errors
    /// A fault.
    pub async fn settle_not_sent(&self) -> Result<(), Fault> {
        clockwork::report_not_sent(self, None).await
    }

    /// Says on the ledger that recalls were put before their recipient. Those that were before are left out.
    ///
    /// # Errors
    /// A fault.
    pub async fn hand_over(&self, agency: &AgencyId, recalls: &[RecallId]) -> Result<(), Fault> {
        let waiting: Vec<_> = self.read(|state| {
            let waits = |id: &&RecallId| {
                state.recall(**id).is_some_and(|recall| recall.handed_over.is_none())
            };
            recalls.iter().filter(waits).copied().collect()
        });
        for chunk in waiting.chunks(limit::RECALLS_MAX) {
            let kind = pb::command::Kind::HandOverRecalls(pb::HandOverRecalls {
                agency: agency.to_string(),
                recalls: chunk.iter().map(|id| Bytes::copy_from_slice(id.as_bytes())).collect(),
            });
            match self.submit_own(kind, Vec::new()).await? {
                Ok(_) | Err(Refusal::NothingToDo) => {}
                Err(refusal) => return Err(Fault::Corrupt(format!("no hand-over: {refusal}"))),
            }
        }
        Ok(())
    }
}
