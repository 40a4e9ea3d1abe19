//! Alder's calls about successions: of agreements of its own, of others and of none.

use concordat::{
    machine::State,
    pb::{
        ledger::v1::{self as ledger, command::Kind},
        v1 as pb,
    },
};

use super::{
    calls::{Call, Pool, of},
    worlds::World,
};
use crate::{harness::context, ledger_samples::Dice};

/// Alder's next call about a succession. What it proposes it declines again now and then.
pub(super) fn next(dice: &mut Dice, pool: &mut Pool, world: &World) -> Call {
    let (context, evidence) = (context(), None);
    let request_id = pool.request(dice);
    let validate_only = dice.below(4) == 0;
    let succession = pool.bytes(dice, "successions");
    match dice.below(6) {
        0 | 1 => {
            let wanted = content(dice, pool, world);
            let propose = Some(ledger::ProposeSuccession { content: Some(wanted) });
            let request = pb::ProposeSuccessionRequest {
                context,
                request_id,
                propose,
                evidence,
                validate_only,
            };
            of("SuccessionService/ProposeSuccession", &request)
        }
        2 => {
            let approve = ledger::ApproveSuccession {
                succession,
                content_hash: dice.bytes(32),
                approver_role: 1,
                approver_authority: 1,
            };
            let signature = world.signature(&request_id, &Kind::ApproveSuccession(approve.clone()));
            let approve = Some(approve);
            let request = pb::ApproveSuccessionRequest {
                context,
                request_id,
                approve,
                signature,
                evidence,
                validate_only,
            };
            of("SuccessionService/ApproveSuccession", &request)
        }
        3 => {
            let decline = ledger::DeclineSuccession { succession, reason: 2 };
            let signature = world.signature(&request_id, &Kind::DeclineSuccession(decline.clone()));
            let decline = Some(decline);
            let request = pb::DeclineSuccessionRequest {
                context,
                request_id,
                decline,
                signature,
                validate_only,
            };
            of("SuccessionService/DeclineSuccession", &request)
        }
        4 => {
            let name = pool.name(dice, "successions");
            of("SuccessionService/GetSuccession", &pb::GetSuccessionRequest { context, name })
        }
        _ => {
            let (page_size, page_token) = (2, String::new());
            let request = pb::ListSuccessionsRequest { context, page_size, page_token };
            of("SuccessionService/ListSuccessions", &request)
        }
    }
}

/// A succession of alder's own, or of somebody's in an agreement that alder may not know.
fn content(dice: &mut Dice, pool: &Pool, world: &World) -> ledger::SuccessionContent {
    let alder = pool.agency().to_owned();
    let names = ["leavers", "inbound", "elsewhere", "nowhere"];
    let place = usize::try_from(dice.below(4)).unwrap_or_default();
    let agreement = names.get(place).map_or("nowhere", |name| *name);
    // The same of the agreements that alder knows in both worlds.
    let known = place < 2;
    let stands = world.exchange.node.read(|state: &State| {
        let row = state.tables().agreements.get(&agreement.parse().ok()?)?;
        Some((row.version, row.content_hash.as_bytes().to_vec()))
    });
    let (version, hash) = stands.filter(|_| known).unwrap_or_else(|| (1, vec![7; 32]));
    let old = if dice.below(2) == 0 { alder } else { "skills".to_owned() };
    ledger::SuccessionContent {
        old,
        kind: i32::from(ledger::SuccessionKind::FunctionMoved),
        instrument: i32::from(ledger::SuccessionInstrument::Act),
        shares: vec![ledger::SuccessionShare {
            agreement: agreement.to_owned(),
            version,
            content_hash: hash.into(),
            successor: "birch-college".to_owned(),
        }],
        ..ledger::SuccessionContent::default()
    }
}
