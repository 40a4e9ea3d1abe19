//! The follower: the one writer of the state. It takes synced entries in order, applies them, hands rows to the store
//! and outcomes to whoever waits.
//!
//! INVARIANT (synced): the ledger yields nothing unsynced, so nothing is ever applied before its group is durable (G1).
//! INVARIANT (stop): where an entry narrowed what may leave, its caller is answered only after every write that passed the
//! send gate before has ended (G3).

use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::mpsc;

use crate::{
    ledger::{Entry, Fault, Ledger},
    machine::{self, Applied, Effect, Outcome, State, command::Parsed},
    model::{order::Position, row::Row},
    node::{Shared, Waiter},
    store::{self, StoreWriter},
};

/// How many entries are taken together: their callers are answered, and their rows stored, at once.
const ENTRIES_PER_CHUNK: usize = 64;
/// How many entries are applied under one hold of the state, for which readers wait.
const ENTRIES_PER_HOLD: usize = 8;

/// Follows from the state's next position until the node ends.
pub(super) async fn run(shared: Arc<Shared>, store: Option<StoreWriter>) {
    let _ends = EndsNode(&shared);
    let from = shared.state().chain().next;
    let fault = follow(&shared, store.as_ref(), from).await;
    shared.break_down(&fault);
    if let Some(Err(fault)) = store.map(StoreWriter::flush_and_stop) {
        tracing::warn!(%fault, "the store was not written to its end; the next start replays the rest");
    }
}

/// Ends the node when it goes, whatever the reason: without a follower nobody is ever answered.
struct EndsNode<'a>(&'a Shared);

impl Drop for EndsNode<'_> {
    fn drop(&mut self) {
        if self.0.fault.borrow().is_none() {
            self.0.break_down(&Fault::Broken("the follower ended".to_owned()));
        }
    }
}

async fn follow(shared: &Shared, store: Option<&StoreWriter>, from: Position) -> Fault {
    let ledger = Arc::clone(&shared.ledger);
    let mut entries = ledger.entries(from).ready_chunks(ENTRIES_PER_CHUNK);
    let mut fault = shared.fault.subscribe();
    loop {
        let chunk = tokio::select! {
            biased;
            _ = fault.wait_for(Option::is_some) => return Fault::Closed,
            chunk = entries.next() => chunk,
        };
        let Some(chunk) = chunk else { return Fault::Closed };
        let mut taken = Taken::default();
        let result = take(shared, chunk, &mut taken);
        settle(shared, store, taken);
        if let Err(fault) = result {
            return fault;
        }
    }
}

/// Callers, and what became of their commands.
pub(super) type Answers = Vec<(Waiter, Outcome)>;

/// What a chunk of entries came to.
#[derive(Default)]
struct Taken {
    answers: Answers,
    rows: Vec<Row>,
    effects: Vec<Effect>,
    applied: Option<store::Applied>,
}

fn take(shared: &Shared, chunk: Vec<Result<Entry, Fault>>, taken: &mut Taken) -> Result<(), Fault> {
    let mut entries = chunk.into_iter().peekable();
    while entries.peek().is_some() {
        let mut state = shared.state_mut();
        for entry in entries.by_ref().take(ENTRIES_PER_HOLD) {
            take_one(shared, &mut state, &entry?, taken)?;
        }
    }
    Ok(())
}

fn take_one(
    shared: &Shared,
    state: &mut State,
    entry: &Entry,
    taken: &mut Taken,
) -> Result<(), Fault> {
    let waiter = shared.waiters().remove(&entry.salt);
    let parsed = match &waiter {
        Some(_) => None,
        None => Some(Parsed::from_bytes(&entry.command)),
    };
    let command = match (&waiter, &parsed) {
        (Some(waiter), _) => Some(&*waiter.command),
        (None, Some(Parsed::Command(command))) => Some(&**command),
        (None, Some(Parsed::Later(version))) => {
            let text = format!("entry {} needs rules {version}; upgrade", entry.position);
            return Err(Fault::Unusable(text));
        }
        (None, Some(Parsed::Malformed(_)) | None) => None,
    };
    let Applied { outcome, rows, effects } =
        machine::apply(state, entry.position, entry.admitted_at, command);
    taken.rows.extend(rows);
    for effect in effects {
        if !taken.effects.contains(&effect) {
            taken.effects.push(effect);
        }
    }
    if let Some(waiter) = waiter {
        taken.answers.push((waiter, outcome));
    }
    let state_digest = state.digest();
    taken.applied = Some(store::Applied { position: entry.position, state_digest });
    if taken.effects.contains(&Effect::Diverged) {
        let text = format!("the state differs from what entry {} attests", entry.position);
        return Err(Fault::Corrupt(text));
    }
    Ok(())
}

fn settle(shared: &Shared, store: Option<&StoreWriter>, taken: Taken) {
    let Taken { answers, rows, effects, applied } = taken;
    if effects.contains(&Effect::Narrowed) {
        shared.gate.wait_for_writes();
    }
    if let (Some(store), Some(applied)) = (store, applied)
        && let Err(fault) = store.submit(rows, applied)
    {
        tracing::warn!(%fault, "the store takes nothing more; the next start replays the rest");
    }
    if let Some(applied) = applied {
        shared.applied.send_replace(applied.position.next());
        shared.clockwork.notify_one();
    }
    for effect in effects {
        match effect {
            Effect::Wake(number) => shared.subscriptions.wake(number),
            Effect::Narrowed | Effect::SweepDue | Effect::Diverged => {}
        }
    }
    if !answers.is_empty() {
        let _ended = shared.answers.send(answers);
    }
}

/// Answers callers, where they run: one wake crosses to their thread for all of a chunk, not one for each.
pub(super) async fn answer(shared: Arc<Shared>, mut answers: mpsc::UnboundedReceiver<Answers>) {
    let mut fault = shared.fault.subscribe();
    loop {
        let answered = tokio::select! {
            biased;
            answered = answers.recv() => answered,
            _ = fault.wait_for(Option::is_some) => return,
        };
        for (waiter, outcome) in answered.into_iter().flatten() {
            let _gone = waiter.answer.send(Ok(outcome));
        }
    }
}
