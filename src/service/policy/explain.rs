//! `ExplainDecision`: the question as it is asked, the moment that it is about, and the answer in codes and sentences.
//!
//! Decides nothing: `machine/read/explain.rs` does, on the present state or on one of the past (`node/replay.rs`).

use std::collections::BTreeSet;

use tonic::Status;

use super::sentence::{self, Told};
use crate::{
    machine::{
        Refusal,
        command::agreement::Content,
        read::explain::{
            self, Asked, Assumed, AssumedAgreement, Explanation, GroupDecision, Level, NamedFlow,
            Recorded, Subject, Withheld, recorded,
        },
    },
    model::{
        id::{AgencyId, GroupName},
        order::UnixMillis,
        violation::Violation,
    },
    node::{Moment, Node, Past},
    pb::{
        ledger::v1::Purpose,
        v1::{self as pb, explain_decision_request::Subject as Given},
    },
    service::{
        caller::Caller,
        context,
        decision::{self, Decided},
        name, status,
        time::{millis, shown_at, timestamp},
    },
};

mod described;

/// Answers the question.
pub(super) async fn answer(
    node: &Node,
    caller: &Caller,
    message: pb::ExplainDecisionRequest,
) -> Result<pb::ExplainDecisionResponse, Status> {
    let pb::ExplainDecisionRequest {
        context,
        reason,
        subject,
        recipient,
        recipient_purpose,
        assumed_agreement,
        publisher,
        at_time,
        assumed_content,
        assumed_policies,
        unattended_reader,
    } = message;
    let _context = context::parse(node, context)?;
    let _reason = context::read_reason(reason)?;
    let present = shown_at(node);
    let subject = subject.ok_or_else(|| status::missing("subject"))?;
    if let Given::Decision(id) = &subject {
        let more = [&recipient, &publisher].into_iter().any(|name| !name.is_empty())
            || recipient_purpose != 0
            || at_time.is_some()
            || assumed_agreement.is_some()
            || assumed_content.is_some()
            || unattended_reader
            || !assumed_policies.is_empty();
        return if more { Err(alone()) } else { decided(node, caller, id).await };
    }
    let at = at_time.map(|at| millis(&at, "at_time").map_err(status::violation)).transpose()?;
    let now = at.unwrap_or(present);
    let asked = Asked {
        subject: described::subject(subject, now.min(present)).map_err(status::violation)?,
        publisher: match publisher.as_str() {
            "" => None,
            text => Some(name::parse(text, "publisher").map_err(status::violation)?),
        },
        recipient: name::parse(&recipient, "recipient").map_err(status::violation)?,
        purpose: purpose_of(recipient_purpose)?,
        by_name: false,
        assumed: Assumed {
            agreement: agreement_of(assumed_agreement, assumed_content)?,
            policies: described::policies(assumed_policies).map_err(status::violation)?,
        },
        unattended: unattended_reader,
        now,
    };
    let explain = |state: &_| explain::explain(state, caller.viewer(), &asked);
    let explained = if now < present {
        let past = node.past(Moment::At(now)).await.map_err(|fault| status::faulty(&fault))?;
        explain(past.state())
    } else {
        node.read(explain)
    };
    let explained = explained.map_err(refused)?;
    Ok(response(node, caller, (&asked.recipient, now), explained))
}

/// Decides a past decision anew. Whoever did not publish the record is told that there is no such decision.
async fn decided(
    node: &Node,
    caller: &Caller,
    id: &str,
) -> Result<pb::ExplainDecisionResponse, Status> {
    let not_there = || status::not_available("");
    let decided = decision::open(node, id).ok_or_else(not_there)?;
    let (publisher, _) = caller.agency()?;
    let recipient = node
        .read(|state| {
            let row = state.record(decided.record).filter(|row| row.publisher == publisher);
            row.and_then(|_| decided.recipient_id(state))
        })
        .ok_or_else(not_there)?;
    let past = node.past(Moment::Before(decided.position)).await;
    let past = past.map_err(|fault| status::faulty(&fault))?;
    let at = past.next_at().filter(|_| decided.released).unwrap_or(decided.at);
    let asked = Asked {
        by_name: decided.by_name,
        unattended: decided.released && past.is_next_unattended(),
        ..Asked::about(Subject::Record(decided.record), recipient, decided.purpose, at)
    };
    let explained = explain::explain(past.state(), caller.viewer(), &asked).map_err(refused)?;
    let replayed = replayed(past, &decided, (&asked.recipient, &explained));
    let response = response(node, caller, (&asked.recipient, at), explained);
    let sentences = response.sentences.into_iter().chain([sentence::replayed(&replayed)]).collect();
    Ok(pb::ExplainDecisionResponse { sentences, replayed: Some(replayed), ..response })
}

/// What becomes of the entry that was the decision.
fn replayed(
    past: Past,
    decided: &Decided,
    (recipient, explained): (&AgencyId, &Explanation),
) -> pb::ReplayedDecision {
    let entry = if decided.released { past.decide_next() } else { None };
    let recorded = entry
        .and_then(|(command, outcome)| recorded(&command, &outcome, (decided.record, recipient)));
    let open: BTreeSet<&GroupName> = explained
        .groups
        .iter()
        .filter(|decision| decision.withheld.is_none())
        .map(|decision| &decision.group)
        .collect();
    let identical = match &recorded {
        Some(Recorded { named, left }) => {
            decided.released && named == left && named.iter().all(|group| open.contains(group))
        }
        None => !decided.released && open.is_empty(),
    };
    let Recorded { named, left } = recorded.unwrap_or_default();
    let in_order = |groups: &BTreeSet<GroupName>| {
        let known = explained.groups.iter().map(|decision| &decision.group);
        known.filter(|group| groups.contains(group)).map(ToString::to_string).collect()
    };
    pb::ReplayedDecision {
        identical,
        recorded_field_groups: in_order(&named),
        replayed_field_groups: in_order(&left),
        by_name: decided.by_name,
    }
}

fn alone() -> Status {
    let text = "a decision says who received, for what and when; give nothing beside it";
    status::violation(Violation::new("decision", "NOT_TOGETHER", text))
}

fn refused(refusal: Refusal) -> Status {
    status::refused(refusal, "subject", "")
}

fn purpose_of(purpose: i32) -> Result<i32, Status> {
    let known = Purpose::try_from(purpose).ok().filter(|p| *p != Purpose::Unspecified);
    known.map(i32::from).ok_or_else(|| {
        let text = "the recipient reads for a purpose; choose one of the published ones";
        status::violation(Violation::new("recipient_purpose", "UNKNOWN_CODE", text))
    })
}

fn agreement_of(
    version: Option<pb::AgreementVersion>,
    content: Option<pb::AssumedContent>,
) -> Result<Option<AssumedAgreement>, Status> {
    match (version, content) {
        (None, None) => Ok(None),
        (Some(pb::AgreementVersion { agreement, version }), None) => {
            let id = name::parse(&agreement, "assumed_agreement.agreement");
            Ok(Some(AssumedAgreement::Version(id.map_err(status::violation)?, version)))
        }
        (None, Some(pb::AssumedContent { agreement, content })) => {
            let id = name::parse(&agreement, "assumed_content.agreement");
            let content = content.ok_or_else(|| status::missing("assumed_content.content"))?;
            let content = Content::try_from(content)
                .map_err(|violation| status::violation(violation.inside("assumed_content")))?;
            Ok(Some(AssumedAgreement::Content(id.map_err(status::violation)?, Box::new(content))))
        }
        (Some(_), Some(_)) => {
            let text = "assume a version that the exchange holds or a content, not both";
            Err(status::violation(Violation::new("assumed_content", "NOT_TOGETHER", text)))
        }
    }
}

fn response(
    node: &Node,
    caller: &Caller,
    (recipient, at): (&AgencyId, UnixMillis),
    explained: Explanation,
) -> pb::ExplainDecisionResponse {
    let Explanation { level, publisher, record_type, groups, unfit } = explained;
    let own = caller.agency().map_or_else(|_| publisher.clone(), |(_, own)| own.clone());
    let decisions: Vec<_> = groups.into_iter().map(|decision| told(&own, decision)).collect();
    let word_refused = unfit.map(status::reason).unwrap_or_default();
    let told = Told {
        publisher: &publisher,
        recipient,
        record_type: &record_type,
        level,
        word_refused,
        decisions: &decisions,
    };
    pb::ExplainDecisionResponse {
        sentences: sentence::all(&told),
        decisions,
        decided_time: Some(timestamp(at)),
        decision_id: decision::of_read(node, caller),
        level: i32::from(match level {
            Level::Owner => pb::ExplanationLevel::Owner,
            Level::Party => pb::ExplanationLevel::Party,
        }),
        publisher: name::of(&publisher),
        recipient: name::of(recipient),
        record_type: record_type.to_string(),
        word_refused: i32::from(word_refused),
        replayed: None,
    }
}

fn told(own: &AgencyId, decision: GroupDecision) -> pb::GroupDecision {
    let GroupDecision { group, withheld, flow } = decision;
    let policies = match &withheld {
        Some(Withheld::PublisherPolicy(policies) | Withheld::RecipientPolicy(policies)) => {
            policies.iter().map(|policy| name::of_owned(own, policy)).collect()
        }
        Some(_) | None => Vec::new(),
    };
    let outcome = match withheld {
        None => pb::DecisionOutcome::Released,
        Some(_) => pb::DecisionOutcome::Withheld,
    };
    let field_group = group.to_string();
    let reason = withheld.as_ref().map(|withheld| {
        let name = format!("WITHHELD_REASON_{}", withheld.code());
        pb::WithheldReason::from_str_name(&name).unwrap_or_default()
    });
    pb::GroupDecision {
        legal_power: flow.as_ref().map_or(0, |flow| flow.legal_power),
        ground: flow.map(|flow| ground(&field_group, flow)),
        field_group,
        outcome: i32::from(outcome),
        withheld_reason: i32::from(reason.unwrap_or_default()),
        policies,
    }
}

fn ground(group: &str, flow: NamedFlow) -> pb::Ground {
    let NamedFlow { agreement, version, flow, basis, legal_power: _, gate, consents } = flow;
    pb::Ground {
        agreement: name::of(&agreement),
        version,
        flow: flow.to_string(),
        basis,
        gate,
        field_groups: vec![group.to_owned()],
        consents: consents.iter().map(name::of).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_the_machine_has_a_published_code() {
        for code in Withheld::CODES {
            let name = format!("WITHHELD_REASON_{code}");
            assert!(pb::WithheldReason::from_str_name(&name).is_some(), "{name}");
        }
        // The unspecified one is none of the machine's.
        let published = (1..64).filter(|code| pb::WithheldReason::try_from(*code).is_ok());
        assert_eq!(published.count(), Withheld::CODES.len());
    }
}
