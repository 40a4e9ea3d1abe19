//! Alder's calls about cases, and those of whoever answers for the same people out of its sight.

use concordat::{
    machine::{Outcome, Receipt, outcome::Remembered},
    pb::{
        ledger::v1::{self as ledger, CaseKind, command::Kind},
        v1 as pb,
    },
};

use super::calls::{Call, Pool, of};
use crate::{
    harness::{Agency, NOW, context},
    ledger_samples::Dice,
};

/// A case about a client.
pub(super) fn about(kind: CaseKind, client: &[u8]) -> ledger::OpenCase {
    ledger::OpenCase {
        kind: i32::from(kind),
        client: client.to_vec().into(),
        requester: Some(ledger::Requester {
            relation: i32::from(ledger::Relation::Self_),
            identity: i32::from(ledger::IdentityCheck::Confirmed),
            ..ledger::Requester::default()
        }),
        received_at_ms: NOW.millis(),
        ..ledger::OpenCase::default()
    }
}

/// The name of a case that was opened.
pub(super) fn name_of(opened: &Outcome) -> Option<String> {
    match opened {
        Ok(Receipt::Answer(Remembered::Case(case))) => Some(format!("cases/{case}")),
        _ => None,
    }
}

/// Holds a record back and makes a report, if the case is one of access.
pub(super) async fn report(agency: &Agency, opened: &Outcome, record: &[u8]) {
    let Ok(Receipt::Answer(Remembered::Case(case))) = opened else { return };
    let case: bytes::Bytes = case.as_bytes().to_vec().into();
    let hold = ledger::HoldBack {
        case: case.clone(),
        record: record.to_vec().into(),
        groups: Vec::new(),
        exemption: i32::from(ledger::Exemption::SeriousHarm),
    };
    drop(agency.submit(Kind::HoldBack(hold)).await);
    let make = ledger::MakeReport { case, after: bytes::Bytes::new() };
    drop(agency.submit(Kind::MakeReport(make)).await);
}

/// Alder's next call about a case. It restricts now and then, and lifts it again.
pub(super) fn next(dice: &mut Dice, pool: &mut Pool) -> Call {
    let (context, evidence) = (context(), None);
    let request_id = pool.request(dice);
    let validate_only = dice.below(4) == 0;
    match dice.below(8) {
        0..=2 => {
            let kinds = [CaseKind::Restriction, CaseKind::Access, CaseKind::Objection];
            let kind = usize::try_from(dice.below(3)).ok().and_then(|place| kinds.get(place));
            let kind = kind.copied().unwrap_or(CaseKind::Access);
            let open = Some(about(kind, &pool.bytes(dice, "clients")));
            let request =
                pb::OpenCaseRequest { context, request_id, open, evidence, validate_only };
            of("CaseService/OpenCase", &request)
        }
        3 => {
            let step = i32::try_from(1 + dice.below(4)).unwrap_or(1);
            let advance =
                ledger::AdvanceCase { case: pool.bytes(dice, "cases"), step, extension_reason: 0 };
            let advance = Some(advance);
            let request =
                pb::AdvanceCaseRequest { context, request_id, advance, evidence, validate_only };
            of("CaseService/AdvanceCase", &request)
        }
        4 => {
            let restrict = ledger::Measure {
                kind: i32::from(ledger::MeasureKind::Restrict),
                ..ledger::Measure::default()
            };
            let decide = ledger::DecideCase {
                case: pool.bytes(dice, "cases"),
                measures: vec![restrict],
                ..ledger::DecideCase::default()
            };
            let (decide, signature) = (Some(decide), None);
            let request = pb::DecideCaseRequest {
                context,
                request_id,
                decide,
                signature,
                evidence,
                validate_only,
            };
            of("CaseService/DecideCase", &request)
        }
        5 => {
            let hold = ledger::HoldBack {
                case: pool.bytes(dice, "cases"),
                record: pool.bytes(dice, "records"),
                groups: Vec::new(),
                exemption: i32::from(ledger::Exemption::SeriousHarm),
            };
            let hold = Some(hold);
            let request =
                pb::HoldBackRequest { context, request_id, hold, evidence, validate_only };
            of("CaseService/HoldBack", &request)
        }
        _ => read(dice, pool, request_id),
    }
}

/// A report, a case or all of them.
fn read(dice: &mut Dice, pool: &Pool, request_id: String) -> Call {
    let (context, name) = (context(), pool.name(dice, "cases"));
    match dice.below(4) {
        0 | 1 => {
            let (case, page_token) = (name, String::new());
            let request = pb::MakeReportRequest { context, request_id, case, page_token };
            of("CaseService/MakeReport", &request)
        }
        2 => of("CaseService/GetCase", &pb::GetCaseRequest { context, name, reason: 1 }),
        _ => {
            let request = pb::ListCasesRequest {
                context,
                closed_too: true,
                reason: 1,
                page_size: 3,
                ..pb::ListCasesRequest::default()
            };
            of("CaseService/ListCases", &request)
        }
    }
}
