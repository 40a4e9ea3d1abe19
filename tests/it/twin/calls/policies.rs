//! Alder's policies, and its questions about what somebody would get.

#![expect(clippy::indexing_slicing, reason = "places are drawn below the length")]

use concordat::pb::{
    ledger::v1::{self as ledger, Purpose, command::Kind},
    v1::{self as pb, explain_decision_request::Subject},
};

use super::{Call, Pool, of};
use crate::{
    harness::{LEAVER_FORM, NOW, context},
    ledger_samples::Dice,
    twin::worlds::World,
};

pub(super) fn next(dice: &mut Dice, pool: &mut Pool, world: &World) -> Call {
    let request_id = pool.request(dice);
    let policy = format!("own-{}", dice.below(4));
    match dice.below(8) {
        0 => {
            let texts = [
                r#"forbid(principal, action, resource) when { resource.group == "contact" };"#,
                "permit(principal, action, resource);",
                "forbid",
            ];
            let text = texts[usize::try_from(dice.below(3)).unwrap_or_default()].to_owned();
            let put = ledger::PutPolicy { policy, text, schema_version: 1 };
            let signature = world.signature(&request_id, &Kind::PutPolicy(put.clone()));
            let request = pb::PutPolicyRequest {
                context: context(),
                request_id,
                put: Some(put),
                signature,
                validate_only: false,
            };
            of("PolicyService/PutPolicy", &request)
        }
        1 => {
            let remove = ledger::RemovePolicy { policy };
            let signature = world.signature(&request_id, &Kind::RemovePolicy(remove.clone()));
            let request = pb::RemovePolicyRequest {
                context: context(),
                request_id,
                remove: Some(remove),
                signature,
                validate_only: false,
            };
            of("PolicyService/RemovePolicy", &request)
        }
        2 => {
            let owner = if dice.below(2) == 0 { pool.agency() } else { "pine-council" };
            let policy = if dice.below(2) == 0 { policy } else { "hidden-3".to_owned() };
            let name = format!("agencies/{owner}/policies/{policy}");
            of("PolicyService/GetPolicy", &pb::GetPolicyRequest { context: context(), name })
        }
        _ => of("PolicyService/ExplainDecision", &explanation(dice, pool)),
    }
}

/// A question about what somebody would get: of alder's records and of others', by alder as publisher, recipient or
/// bystander, about clients who are named, described or nobody's, now and at other times.
fn explanation(dice: &mut Dice, pool: &Pool) -> pb::ExplainDecisionRequest {
    let recipients = ["skills", "birch-college", "cedar-trust", "nobody", pool.agency()];
    let publishers = ["", "", "", "pine-council", pool.agency()];
    let mut one_of = |names: [&str; 5]| {
        let place = usize::try_from(dice.below(5)).unwrap_or_default();
        let name = names[place];
        if name.is_empty() { String::new() } else { format!("agencies/{name}") }
    };
    let (recipient, publisher) = (one_of(recipients), one_of(publishers));
    let subject = match dice.below(6) {
        0 => Subject::Decision(pool.cursor(dice)),
        1 | 2 => Subject::Described(pb::DescribedRecord {
            record_type: LEAVER_FORM.to_owned(),
            client: if dice.below(3) == 0 { String::new() } else { pool.name(dice, "clients") },
            field_groups: vec!["core".to_owned(), "support".to_owned()],
            described_client: (dice.below(3) == 0).then(|| described(dice)),
        }),
        _ => Subject::Record(pool.name(dice, "records")),
    };
    if matches!(subject, Subject::Decision(_)) && dice.below(4) != 0 {
        return pb::ExplainDecisionRequest {
            context: context(),
            reason: 1,
            subject: Some(subject),
            ..pb::ExplainDecisionRequest::default()
        };
    }
    let day = |days: i64| prost_types::Timestamp {
        seconds: i64::try_from(NOW.millis() / 1_000).unwrap_or_default() + days * 86_400,
        nanos: 0,
    };
    let text = r#"forbid(principal, action, resource) when { resource.group == "core" };"#;
    let policy = pb::AssumedPolicy { policy: "mine".to_owned(), text: text.to_owned() };
    pb::ExplainDecisionRequest {
        context: context(),
        reason: 1,
        subject: Some(subject),
        recipient,
        recipient_purpose: i32::from(Purpose::SchoolLeaverTransition),
        publisher,
        at_time: match dice.below(6) {
            0 => Some(day(-1)),
            1 => Some(day(800)),
            _ => None,
        },
        assumed_agreement: (dice.below(6) == 0).then(|| pb::AgreementVersion {
            agreement: format!(
                "agreements/{}",
                if dice.below(2) == 0 { "inbound" } else { "elsewhere" }
            ),
            version: 1,
        }),
        unattended_reader: dice.below(4) == 0,
        assumed_policies: if dice.below(4) == 0 { vec![policy] } else { Vec::new() },
        assumed_content: None,
    }
}

fn described(dice: &mut Dice) -> pb::DescribedClient {
    let code = |dice: &mut Dice| i32::try_from(dice.below(4)).unwrap_or_default();
    pb::DescribedClient {
        age_years: u32::try_from(10 + dice.below(8)).unwrap_or_default(),
        word: Some(pb::DescribedWord {
            spoken: code(dice),
            grantor: code(dice),
            authority: code(dice),
            ..pb::DescribedWord::default()
        }),
        caseload_confirmed: dice.below(2) == 0,
        ..pb::DescribedClient::default()
    }
}
