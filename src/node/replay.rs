//! The past: the state as it stood at a position or a time, decided anew from the ledger's first entry.
//!
//! It costs the work of a start without rows, and memory for a second state while it is looked at, so one is made at a time
//! and everybody else is asked to come again. It reads the ledger alone and touches nothing of the running state.

use futures::StreamExt;

use crate::{
    ledger::{Entry, Fault, Ledger},
    machine::{
        self, Command, Outcome, State,
        command::{Kind, Parsed, subscription::SubscriptionCommand},
    },
    model::order::{Position, UnixMillis},
    node::Node,
};

/// How many entries are decided before others have their turn.
const ENTRIES_PER_TURN: u64 = 64;

/// A moment of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Right before the entry at a position.
    Before(Position),
    /// At a time: after the last entry that was admitted no later.
    At(UnixMillis),
}

/// What the ledger amounted to at a moment, and what came next.
#[derive(Debug)]
pub struct Past {
    state: State,
    next: Option<Entry>,
}

impl Past {
    /// The state at the moment.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// When the entry that came next was admitted.
    pub fn next_at(&self) -> Option<UnixMillis> {
        self.next.as_ref().map(|entry| entry.admitted_at)
    }

    /// Whether a system of its agency reads by the entry that came next, and no named member of staff.
    pub fn is_next_unattended(&self) -> bool {
        let parsed = self.next.as_ref().map(|entry| Parsed::from_bytes(&entry.command));
        let Some(Parsed::Command(command)) = parsed else { return false };
        let Kind::Subscription(SubscriptionCommand::Release(release)) = &command.kind else {
            return command.unattended;
        };
        let number = self
            .state
            .agency_number(&release.agency)
            .and_then(|agency| self.state.subscription_number(agency, &release.subscription));
        let reader = number.and_then(|number| self.state.subscription(number));
        reader.is_some_and(|row| row.unattended)
    }

    /// Decides the entry that came next anew; `None` if there is none that says anything.
    pub fn decide_next(mut self) -> Option<(Command, Outcome)> {
        let entry = self.next.take()?;
        let Parsed::Command(command) = Parsed::from_bytes(&entry.command) else { return None };
        let (position, at) = (entry.position, entry.admitted_at);
        let applied = machine::apply(&mut self.state, position, at, Some(&command));
        Some((*command, applied.outcome))
    }
}

impl Node {
    /// The state at a moment of the past.
    ///
    /// # Errors
    /// [`Fault::Busy`] while another one is made; any fault of the ledger.
    pub async fn past(&self, moment: Moment) -> Result<Past, Fault> {
        let Ok(_turn) = self.shared.replays.try_acquire() else { return Err(Fault::Busy) };
        let end = self.read(|state| state.chain().next);
        let mut past = Past { state: State::empty(), next: None };
        let mut entries = self.shared.ledger.entries(Position::FIRST);
        while past.state.chain().next < end {
            let Some(entry) = entries.next().await else { return Err(Fault::Closed) };
            let entry = entry?;
            let reached = match moment {
                Moment::Before(position) => position <= entry.position,
                Moment::At(at) => at < entry.admitted_at,
            };
            if reached {
                past.next = Some(entry);
                return Ok(past);
            }
            let parsed = Parsed::from_bytes(&entry.command);
            let command = match &parsed {
                Parsed::Command(command) => Some(&**command),
                Parsed::Malformed(_) => None,
                Parsed::Later(_) => return Err(Fault::Closed), // the node has stopped at it
            };
            let _applied =
                machine::apply(&mut past.state, entry.position, entry.admitted_at, command);
            if entry.position.number().is_multiple_of(ENTRIES_PER_TURN) {
                tokio::task::yield_now().await;
            }
        }
        Ok(past)
    }
}
