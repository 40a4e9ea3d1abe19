//! The clockwork: what the node proposes by itself. Ticks when a deadline falls due, the next step of a sweep, an
//! attestation when one is possible, and what did not leave.
//!
//! If it lags, nothing leaks: decisions compare dates with the entry's time and the send gate with the local clock.

use std::{sync::Arc, time::Duration};

use crate::{
    ledger::Fault,
    machine::{
        State,
        state::{Attestable, SCHEMA, subscription::SubscriptionNumber},
    },
    model::{limit, order::Position},
    node::{Node, Shared},
    pb::ledger::v1 as pb,
};

/// How often it looks when nothing calls it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs until the node ends.
pub(super) async fn run(shared: Arc<Shared>) {
    let node = Node { shared };
    let mut attested = None;
    while node.shared.fault.borrow().is_none() {
        // A fault here is told by the next proposal of a caller; the clockwork only tries again.
        let more = match turn(&node, &mut attested).await {
            Ok(more) => more,
            Err(fault) => {
                tracing::debug!(%fault, "the clockwork waits");
                false
            }
        };
        if !more {
            tokio::select! {
                biased;
                () = node.shared.clockwork.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

/// What is to be done now.
struct Due {
    tick: bool,
    sweep: bool,
    attest: Option<Attestable>,
}

/// Does what is due; tells whether there is more.
async fn turn(node: &Node, attested: &mut Option<Position>) -> Result<bool, Fault> {
    report_not_sent(node, None).await?;
    let now = node.now()?;
    let due = node.read(|state| Due {
        tick: state.indexes().successions.deadlines.first().is_some_and(|(at, _)| *at <= now)
            || state.indexes().agreement_deadlines.first().is_some_and(|(at, _)| *at <= now)
            || state.indexes().case_deadlines.first().is_some_and(|(at, _)| *at <= now)
            || state.indexes().emergency_deadlines.first().is_some_and(|(at, _)| *at <= now)
            || state.indexes().consent_ends.first().is_some_and(|(end, _)| *end <= now),
        sweep: !state.tables().sweeps.is_empty(),
        attest: attestable(state, *attested),
    });
    if due.tick {
        let _outcome = node.submit_own(pb::command::Kind::Tick(pb::Tick {}), Vec::new()).await?;
    }
    if due.sweep {
        let kind = pb::command::Kind::ContinueSweep(pb::ContinueSweep {});
        let _outcome = node.submit_own(kind, Vec::new()).await?;
    }
    if let Some(attestable) = due.attest {
        *attested = Some(attestable.position);
        let kind = pb::command::Kind::Attest(pb::Attest {
            position: attestable.position.number(),
            schema: SCHEMA,
            lines_struck: attestable.lines_struck,
            outcome_digest: attestable.outcomes.as_bytes().to_vec().into(),
            state_digest: attestable.rows.as_bytes().to_vec().into(),
        });
        let _outcome = node.submit_own(kind, Vec::new()).await?;
    }
    Ok(due.tick || due.sweep)
}

fn attestable(state: &State, attested: Option<Position>) -> Option<Attestable> {
    state.chain().attestable.clone().filter(|known| attested.is_none_or(|at| at < known.position))
}

/// Says on the ledger what did not leave: of one subscription, or of all. Each line is remembered until it is said.
pub(super) async fn report_not_sent(
    node: &Node,
    only: Option<SubscriptionNumber>,
) -> Result<(), Fault> {
    let all = node.shared.subscriptions.all_not_sent();
    for (number, deliveries) in all {
        if only.is_some_and(|only| only != number) {
            continue;
        }
        let Some((agency, subscription)) = node.read(|state| {
            let row = state.subscription(number)?;
            Some((state.agency(row.agency)?.id.to_string(), row.id.to_string()))
        }) else {
            node.shared.subscriptions.told_not_sent(number, &deliveries);
            continue;
        };
        for chunk in deliveries.chunks(limit::RELEASE_LINES_MAX) {
            let kind = pb::command::Kind::ReleaseNotSent(pb::ReleaseNotSent {
                agency: agency.clone(),
                subscription: subscription.clone(),
                deliveries: chunk.to_vec(),
            });
            let _outcome = node.submit_own(kind, Vec::new()).await?;
            node.shared.subscriptions.told_not_sent(number, chunk);
        }
    }
    Ok(())
}
