//! Disposal: does what an erasure asks for outside the machine, and finds what is overdue.
//!
//! The rows of open erasures say all that is to be done, and every step can be done again, so that a crash at any point
//! loses nothing: begin another epoch; wrap every surviving key of the doomed epochs under it, by entries; destroy the
//! doomed epochs in the keyring; overwrite the attachments; forget what is in memory; and only then state the end by an
//! entry, from which on there is a certificate. The store needs nothing: no sealed byte, key or identifier is ever in it.
//!
//! INVARIANT (erased): an erasure is stated complete only after each of these steps has returned for all that it names.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    keyring::KeyOwner,
    ledger::{AnyLedger, Fault, Ledger},
    machine::{
        State,
        rules::erasure::retention::{self, Place},
        state::erasure::Erasure,
    },
    model::{
        id::{EpochName, ErasureId, KeyId},
        limit,
        order::{Position, UnixMillis},
    },
    node::{Node, Shared, keys},
    pb::ledger::v1 as pb,
};

/// How long it waits after a fault, and how often it looks at the time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the records are gone through for what is overdue, in milliseconds of the clock: one hour.
const ROUND_EVERY_MS: u64 = 3_600_000;
/// How many attachments are overwritten at once, so that appending does not wait long.
const REMOVALS_AT_ONCE: usize = 256;

/// Runs until the node ends.
pub(super) async fn run(shared: Arc<Shared>) {
    let node = Node { shared };
    let mut applied = node.shared.applied.subscribe();
    let mut fault = node.shared.fault.subscribe();
    let mut round = Round::default();
    while fault.borrow().is_none() {
        // A fault that lasts is told by the next proposal of a caller; what is left is done then, or at the next start.
        match turn(&node, &mut round).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(fault @ Fault::Broken(_)) => node.shared.break_down(&fault),
            Err(fault) => tracing::debug!(%fault, "disposal waits"),
        }
        tokio::select! {
            biased;
            _ = fault.wait_for(Option::is_some) => {}
            _ = applied.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Where a round through the records for what is overdue has come to.
#[derive(Default)]
struct Round {
    after: Option<Place>,
    /// When the next one begins.
    due_at: UnixMillis,
    /// The erasures of which nothing is in memory any more.
    forgotten: BTreeSet<ErasureId>,
}

/// Does what is due; tells whether there is more.
async fn turn(node: &Node, round: &mut Round) -> Result<bool, Fault> {
    forget(node, round);
    let open = node.read(|state| {
        let mut open = state.indexes().erasures_open.iter();
        open.any(|id| state.erasure(*id).is_some_and(|row| row.listed))
    });
    if open {
        remove(node).await?;
    }
    let now = node.now()?;
    if now < round.due_at {
        return Ok(false);
    }
    let (found, after) =
        node.read(|state| retention::look(state, round.after, now, limit::DISPOSALS_MAX));
    if let Some(overdue) = found {
        let named = node.read(|state| {
            let publisher = state.agency(overdue.publisher)?.id.to_string();
            Some((publisher, state.record_type(overdue.record_type)?.name.to_string()))
        });
        let (publisher, record_type) = named.unwrap_or_default();
        let ids = overdue.records.iter().map(|id| Bytes::copy_from_slice(id.as_bytes()));
        let records = ids.collect();
        let kind = pb::command::Kind::DisposeOverdue(pb::DisposeOverdue {
            publisher,
            record_type,
            records,
        });
        let _outcome = node.submit_own(kind, Vec::new()).await?;
    }
    round.after = after;
    if after.is_none() {
        round.due_at = now.plus(ROUND_EVERY_MS);
    }
    Ok(after.is_some())
}

/// Removes everything of the erasures that are open and listed.
async fn remove(node: &Node) -> Result<(), Fault> {
    let open: Vec<(ErasureId, Erasure)> = node.read(|state| {
        let ids = state.indexes().erasures_open.iter();
        let rows = ids.filter_map(|id| Some((*id, state.erasure(*id)?.clone())));
        rows.filter(|(_, row)| row.listed).collect()
    });
    // Of all that are open: no key is wrapped under the epoch of another one that was not listed yet.
    let doomed: BTreeSet<EpochName> =
        open.iter().flat_map(|(_, row)| row.epochs.iter().copied()).collect();
    rewrap(node, &doomed).await?;
    for epoch in &doomed {
        node.shared.keys.destroy_epoch(*epoch)?;
    }
    let ids: BTreeSet<_> = open.iter().map(|(id, _)| *id).collect();
    let positions = node.read(|state| removed_by(state, &ids));
    for positions in positions.chunks(REMOVALS_AT_ONCE) {
        node.shared.ledger.erase(positions).await?;
    }
    for (id, row) in open {
        let epochs = row.epochs.iter().map(|epoch| Bytes::copy_from_slice(epoch.as_bytes()));
        let erasure = Bytes::copy_from_slice(id.as_bytes());
        let complete = pb::CompleteErasure { erasure, epochs: epochs.collect() };
        // Refused if an epoch came to it in between: then it is still open, and all of this is done again.
        let kind = pb::command::Kind::CompleteErasure(complete);
        let _outcome = node.submit_own(kind, Vec::new()).await?;
    }
    Ok(())
}

/// Wraps every key that the doomed epochs still wrap under the current one, which is none of them.
async fn rewrap(node: &Node, doomed: &BTreeSet<EpochName>) -> Result<(), Fault> {
    loop {
        node.begin_epoch_when_due()?;
        let keys: BTreeSet<KeyId> = node.read(|state| {
            let under = doomed.iter().flat_map(|epoch| state.keys_under(*epoch));
            under.take(limit::REWRAPS_MAX).collect()
        });
        if keys.is_empty() {
            return Ok(());
        }
        let mut named = Vec::new();
        let mut parts: Vec<pb::SealedPart> = Vec::new();
        for id in keys {
            let Some(key) = node.key_if_there(id).await? else { continue };
            let Some((row, agency)) = node.read(|state| keys::key_row(state, id)) else { continue };
            let disposal_class = pb::DisposalClass::try_from(row.class).unwrap_or_default();
            let owner =
                KeyOwner { client: row.client.as_ref(), agency: agency.as_ref(), disposal_class };
            parts.push(node.shared.keys.wrap(&node.shared.entropy, &key, &owner)?);
            named.push(Bytes::copy_from_slice(id.as_bytes()));
        }
        let Some(epoch) = parts.first().map(|part| part.key.clone()) else { continue };
        // An epoch may begin between two of them: each entry is about one alone.
        if parts.iter().any(|part| part.key != epoch) {
            continue;
        }
        let kind = pb::command::Kind::RewrapKeys(pb::RewrapKeys { epoch, keys: named });
        let _outcome = node.submit_own(kind, parts).await?;
    }
}

fn removed_by(state: &State, erasures: &BTreeSet<ErasureId>) -> Vec<Position> {
    let removed = state.tables().removed.iter();
    removed.filter(|(_, by)| erasures.contains(by)).map(|(position, _)| *position).collect()
}

/// Forgets what memory holds of the open erasures, once of each: what is told later is told anew.
fn forget(node: &Node, round: &mut Round) {
    let open: Vec<_> = node.read(|state| {
        let ids = state.indexes().erasures_open.iter().filter(|id| !round.forgotten.contains(id));
        let rows = ids.filter_map(|id| {
            let row = state.erasure(*id)?;
            Some((*id, row.clone(), state.agency(row.agency)?.id.clone()))
        });
        rows.collect()
    });
    for (id, row, agency) in open {
        node.shared.keys.forget(&row.keys);
        for client in &row.clients {
            node.shared.index().forget(&agency, *client);
        }
        round.forgotten.insert(id);
    }
}

/// Removes what an older copy of the ledger's files brought back: attachments that an applied erasure names.
pub(super) async fn erase_again(ledger: &AnyLedger, state: &State) -> Result<(), Fault> {
    let removed: Vec<_> = state.tables().removed.iter().map(|(position, _)| *position).collect();
    for positions in removed.chunks(REMOVALS_AT_ONCE) {
        let sealed = ledger.sealed(positions).await?;
        let there: Vec<_> = positions
            .iter()
            .zip(sealed)
            .filter(|(_, sealed)| sealed.is_some())
            .map(|(position, _)| *position)
            .collect();
        if !there.is_empty() {
            tracing::warn!(
                count = there.len(),
                "attachments that were erased are there: removing them"
            );
            ledger.erase(&there).await?;
        }
    }
    Ok(())
}
