//! Alder's calls about consents, and about those who speak for a client.

use concordat::pb::{
    ledger::v1::{self as ledger, command::Kind},
    v1 as pb,
};

use super::{
    calls::{Call, Pool, of},
    worlds::{World, act},
};
use crate::{
    harness::{LEAVER_FORM, context},
    ledger_samples::Dice,
};

/// Alder's next call of them.
pub(super) fn next(dice: &mut Dice, pool: &mut Pool, world: &World) -> Call {
    match dice.below(10) {
        0..=2 => record(dice, pool, world),
        3 => refuse(dice, pool),
        4 => withdraw(dice, pool),
        5 => holder(dice, pool, world),
        6 => resolve(dice, pool, world),
        _ => read(dice, pool),
    }
}

fn scope(dice: &mut Dice, pool: &Pool) -> ledger::ConsentScope {
    let publisher =
        if dice.below(8) == 0 { "pine-council".to_owned() } else { pool.agency().to_owned() };
    let recipient = ["birch-college", "cedar-trust", "skills"];
    let recipient = match dice.below(4) {
        0 | 1 => recipient[0],
        2 => recipient[1],
        _ => recipient[2],
    };
    ledger::ConsentScope {
        client: pool.bytes(dice, "clients"),
        publisher,
        record_type: LEAVER_FORM.to_owned(),
        groups: vec!["core".to_owned()],
        recipients: vec![recipient.to_owned()],
        gate: i32::from(ledger::Gate::DataProtectionConsent),
        ..ledger::ConsentScope::default()
    }
}

/// Who speaks: mostly the client, sometimes a parent whom alder recorded, or did not.
fn spoken(dice: &mut Dice, pool: &Pool) -> ledger::ConsentAct {
    if 0 < dice.below(3) {
        return act();
    }
    let milestone = i32::from(ledger::Milestone::TwelfthBirthday);
    let holder = if dice.below(2) == 0 { pool.bytes(dice, "holders") } else { bytes::Bytes::new() };
    ledger::ConsentAct {
        grantor: i32::from(ledger::Grantor::Parent),
        authority: i32::from(ledger::Authority::Stated),
        age_years: 9,
        holder,
        reviews: vec![ledger::ConsentReview { milestone, month: 202_903, day: 0 }],
        ..act()
    }
}

fn record(dice: &mut Dice, pool: &mut Pool, world: &World) -> Call {
    let request_id = pool.request(dice);
    let record = ledger::RecordConsent {
        scope: Some(scope(dice, pool)),
        act: Some(spoken(dice, pool)),
        expires_at_ms: 0,
        renews: if dice.below(6) == 0 { pool.bytes(dice, "consents") } else { bytes::Bytes::new() },
    };
    let signature = world.signature(&request_id, &Kind::RecordConsent(record.clone()));
    let request = pb::RecordConsentRequest {
        context: context(),
        request_id,
        record: Some(record),
        signature,
        evidence: None,
        validate_only: dice.below(6) == 0,
    };
    of("ConsentService/RecordConsent", &request)
}

fn refuse(dice: &mut Dice, pool: &mut Pool) -> Call {
    let request = pb::RefuseConsentRequest {
        context: context(),
        request_id: pool.request(dice),
        refuse: Some(ledger::RefuseConsent {
            scope: Some(scope(dice, pool)),
            act: Some(spoken(dice, pool)),
        }),
        evidence: None,
        validate_only: dice.below(6) == 0,
    };
    of("ConsentService/RefuseConsent", &request)
}

fn withdraw(dice: &mut Dice, pool: &mut Pool) -> Call {
    let groups = if dice.below(3) == 0 { vec!["core".to_owned()] } else { Vec::new() };
    let request = pb::WithdrawConsentRequest {
        context: context(),
        request_id: pool.request(dice),
        withdraw: Some(ledger::WithdrawConsent {
            consent: pool.bytes(dice, "consents"),
            recipients: Vec::new(),
            groups,
            recall: false,
        }),
        evidence: None,
        validate_only: dice.below(6) == 0,
    };
    of("ConsentService/WithdrawConsent", &request)
}

fn holder(dice: &mut Dice, pool: &mut Pool, world: &World) -> Call {
    let request_id = pool.request(dice);
    let known = dice.below(2) == 0;
    let record = ledger::RecordHolder {
        client: pool.bytes(dice, "clients"),
        holder: if known { pool.bytes(dice, "holders") } else { bytes::Bytes::new() },
        standing: i32::try_from(1 + dice.below(2)).unwrap_or_default(),
    };
    let signature = world.signature(&request_id, &Kind::RecordHolder(record.clone()));
    let request = pb::RecordHolderRequest {
        context: context(),
        request_id,
        record: Some(record),
        signature,
        evidence: None,
        validate_only: dice.below(6) == 0,
    };
    of("ConsentService/RecordHolder", &request)
}

fn resolve(dice: &mut Dice, pool: &mut Pool, world: &World) -> Call {
    let request_id = pool.request(dice);
    let resolve = ledger::ResolveConsent {
        refusal: pool.bytes(dice, "consents"),
        resolution: i32::try_from(1 + dice.below(2)).unwrap_or_default(),
        ground: i32::from(ledger::ResolutionGround::Agreed),
        view: i32::from(ledger::ClientView::Agrees),
    };
    let signature = world.signature(&request_id, &Kind::ResolveConsent(resolve.clone()));
    let request = pb::ResolveConsentRequest {
        context: context(),
        request_id,
        resolve: Some(resolve),
        signature,
        evidence: None,
        validate_only: dice.below(6) == 0,
    };
    of("ConsentService/ResolveConsent", &request)
}

fn read(dice: &mut Dice, pool: &Pool) -> Call {
    match dice.below(4) {
        0 => {
            let name = pool.name(dice, "consents");
            let request = pb::GetConsentRequest { context: context(), name, reason: 1 };
            of("ConsentService/GetConsent", &request)
        }
        1 => {
            let name = pool.name(dice, "consents");
            let request = pb::GetConsentReceiptRequest { context: context(), name, reason: 1 };
            of("ConsentService/GetConsentReceipt", &request)
        }
        2 => {
            let client = pool.name(dice, "clients");
            let request = pb::ListHoldersRequest { context: context(), reason: 1, client };
            of("ConsentService/ListHolders", &request)
        }
        _ => {
            let client =
                if dice.below(2) == 0 { String::new() } else { pool.name(dice, "clients") };
            let request = pb::ListConsentsRequest {
                context: context(),
                reason: 1,
                client,
                page_size: 3,
                page_token: String::new(),
            };
            of("ConsentService/ListConsents", &request)
        }
    }
}
