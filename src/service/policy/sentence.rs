//! Sentences: an explanation as somebody reads it who has to answer for it. The one place that words decisions.
//!
//! Field groups with the same outcome for the same cause share a sentence. Names are the ids that everybody knows, written
//! as words; nothing about a person is said, whatever is asked.

use std::fmt::Write;

use crate::{
    machine::read::explain::Level,
    model::id::{AgencyId, RecordTypeName},
    pb::{
        ledger::v1::{Gate, LawfulBasis, LegalPower},
        v1::{self as pb, WithheldReason},
    },
};

/// What is to be said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) publisher: &'a AgencyId,
    pub(crate) recipient: &'a AgencyId,
    pub(crate) record_type: &'a RecordTypeName,
    pub(crate) level: Level,
    pub(crate) word_refused: pb::Reason,
    pub(crate) decisions: &'a [pb::GroupDecision],
}

/// The sentences: what is received first, then what is not.
pub(crate) fn all(told: &Told<'_>) -> Vec<String> {
    let mut sentences = Vec::new();
    for outcome in [pb::DecisionOutcome::Released, pb::DecisionOutcome::Withheld] {
        let mut rest: Vec<_> =
            told.decisions.iter().filter(|decision| decision.outcome() == outcome).collect();
        while let Some(first) = rest.first().copied() {
            let (alike, others) = rest.into_iter().partition(|other| same(first, other));
            rest = others;
            sentences.push(sentence(told, first, &alike));
        }
    }
    if told.word_refused != pb::Reason::Unspecified {
        let code = told.word_refused.as_str_name().trim_start_matches("REASON_");
        sentences.push(format!(
            "What was said could not be recorded as it is described ({code}), so it opens nothing."
        ));
    }
    if told.level == Level::Party {
        sentences.push(format!(
            "{} may withhold more by policies of its own, which are its own affair.",
            agency(told.publisher.as_str())
        ));
    }
    sentences
}

/// What became of a past decision.
pub(crate) fn replayed(replayed: &pb::ReplayedDecision) -> String {
    let how = if replayed.by_name { "when it was asked for by name" } else { "then" };
    if replayed.identical {
        format!("Decided anew from the ledger as it stood {how}, it comes out the same.")
    } else {
        format!(
            "Decided anew from the ledger as it stood {how}, it comes out otherwise: tell the operator."
        )
    }
}

/// Whether two groups share outcome and cause.
fn same(one: &pb::GroupDecision, other: &pb::GroupDecision) -> bool {
    let ground = |decision: &pb::GroupDecision| {
        let ground = decision.ground.clone()?;
        Some(pb::Ground { field_groups: Vec::new(), ..ground })
    };
    one.outcome == other.outcome
        && one.withheld_reason == other.withheld_reason
        && one.policies == other.policies
        && ground(one) == ground(other)
}

fn sentence(told: &Told<'_>, first: &pb::GroupDecision, alike: &[&pb::GroupDecision]) -> String {
    let recipient = agency(told.recipient.as_str());
    let groups: Vec<String> = alike.iter().map(|group| words(&group.field_group)).collect();
    let what = format!("{} of the {}", list(&groups), words(told.record_type.as_str()));
    match first.outcome() {
        pb::DecisionOutcome::Released => {
            format!("{recipient} receives {what} because {}.", released(told, first))
        }
        pb::DecisionOutcome::Withheld | pb::DecisionOutcome::Unspecified => {
            format!("{recipient} does not receive {what} because {}.", withheld(told, first))
        }
    }
}

fn released(told: &Told<'_>, decision: &pb::GroupDecision) -> String {
    let Some(ground) = &decision.ground else {
        return "a flow of an agreement in force shares it".to_owned();
    };
    let mut why = format!("{} shares it {}", flow(ground), basis(decision, ground.basis()));
    let gate = gate(ground.gate());
    let _written = match (ground.gate(), ground.consents.len()) {
        (Gate::None | Gate::Unspecified, _) => write!(why, " and waits for no consent"),
        (_, 0) => {
            write!(why, ", and {gate} was given that names {}", agency(told.recipient.as_str()))
        }
        (_, count) => {
            let many = if count == 1 { "" } else { "s" };
            let ids: Vec<String> = ground.consents.clone();
            write!(
                why,
                ", and {gate} was given that names {}: consent{many} {}",
                agency(told.recipient.as_str()),
                list(&ids)
            )
        }
    };
    why
}

fn withheld(told: &Told<'_>, decision: &pb::GroupDecision) -> String {
    let (from, to) = (agency(told.publisher.as_str()), agency(told.recipient.as_str()));
    let ground = decision.ground.as_ref();
    let named = ground.map_or_else(|| "the flow that would carry it".to_owned(), flow);
    let gate = gate(ground.map_or(Gate::Unspecified, pb::Ground::gate));
    match decision.withheld_reason() {
        WithheldReason::AgencySuspended => "one of the two agencies is suspended".to_owned(),
        WithheldReason::RecordReplaced => {
            "a newer version has come, or it was taken back".to_owned()
        }
        WithheldReason::RecallWaits => {
            format!("{to} was not told yet of a recall about the same client, and that comes first")
        }
        WithheldReason::NamedStaff => {
            format!("{named} is for named members of staff, and a system of {to} would read")
        }
        WithheldReason::NeverSent => {
            format!("{to} reads again only what it was sent, and it was not sent this")
        }
        WithheldReason::NoFlow => {
            format!("no flow of an agreement in force goes from {from} to {to}")
        }
        WithheldReason::FieldGroupNotPermitted => format!("no agreement shares it with {to}"),
        WithheldReason::StatisticsOnly => format!("{named} only counts records"),
        WithheldReason::PurposeDiffers => {
            format!("{named} serves another purpose than the one stated")
        }
        WithheldReason::FlowsSuspended => format!("a party has suspended {named}"),
        WithheldReason::NotBackfilled => format!(
            "it was published before {named} began, and no party approved that it reaches back"
        ),
        WithheldReason::CaseloadNotConfirmed => {
            format!("{named} asks that {to} serves the client, and no such claim is confirmed")
        }
        WithheldReason::ConsentMissing => {
            format!("{named} waits for {gate}, and none was given that names it and {to}")
        }
        WithheldReason::ConsentRefused => format!("{named} waits for {gate}, and it was refused"),
        WithheldReason::ConsentWithdrawn => {
            format!("{named} waits for {gate}, and it was withdrawn")
        }
        WithheldReason::ConsentInvalid => {
            format!("{named} waits for {gate}, and whoever gave it has no rights")
        }
        WithheldReason::ConsentExpired => format!("{named} waits for {gate}, and it has ended"),
        WithheldReason::ConsentInReview => {
            format!("{named} waits for {gate}, and somebody else is to be asked by now")
        }
        WithheldReason::ConsentContested => {
            format!("{named} waits for {gate}, and those who speak for the client disagree")
        }
        WithheldReason::Restricted => {
            format!("{from} restricts the client's records, because of a person's right")
        }
        WithheldReason::PublisherPolicy if decision.policies.is_empty() => {
            "a policy could not be read, and then nothing leaves".to_owned()
        }
        WithheldReason::PublisherPolicy => {
            format!("{from} forbids it by its own {}", policies(decision))
        }
        WithheldReason::RecipientPolicy if decision.policies.is_empty() => {
            format!("{to} does not want it, by a policy of its own")
        }
        WithheldReason::RecipientPolicy => {
            format!("{to} forbids it by its own {}", policies(decision))
        }
        WithheldReason::Unspecified => "nothing lets it leave".to_owned(),
    }
}

fn policies(decision: &pb::GroupDecision) -> String {
    let ids: Vec<String> = decision
        .policies
        .iter()
        .map(|name| format!("`{}`", name.rsplit('/').next().unwrap_or_default()))
        .collect();
    format!("{} {}", if ids.len() == 1 { "policy" } else { "policies" }, list(&ids))
}

fn flow(ground: &pb::Ground) -> String {
    let agreement = ground.agreement.trim_start_matches("agreements/");
    format!("flow `{}` of agreement `{agreement}`, version {},", ground.flow, ground.version)
}

fn basis(decision: &pb::GroupDecision, basis: LawfulBasis) -> String {
    let basis = match basis {
        LawfulBasis::Consent => "on consent",
        LawfulBasis::LegalObligation => "as a legal obligation",
        LawfulBasis::VitalInterests => "for vital interests",
        LawfulBasis::PublicTask => "as a public task",
        LawfulBasis::LegitimateInterests => "for legitimate interests",
        LawfulBasis::RecognisedLegitimateInterests => "for recognised legitimate interests",
        LawfulBasis::Unspecified => "on a basis that later rules know",
    };
    match power(decision.legal_power()) {
        Some(power) => format!("{basis} under {power}"),
        None => basis.to_owned(),
    }
}

fn power(power: LegalPower) -> Option<&'static str> {
    Some(match power {
        LegalPower::Post16Education2013S20 => {
            "the Post-16 Education (Scotland) Act 2013, section 20"
        }
        LegalPower::AdditionalSupport2004S13 => {
            "the Education (Additional Support for Learning) (Scotland) Act 2004, section 13"
        }
        LegalPower::Children1995S22 => "the Children (Scotland) Act 1995, section 22",
        LegalPower::LocalGovernment2003S20 => {
            "the Local Government in Scotland Act 2003, section 20"
        }
        LegalPower::ChildrensHearings2011S60 => {
            "the Children's Hearings (Scotland) Act 2011, section 60"
        }
        LegalPower::ChildrensHearings2011S61 => {
            "the Children's Hearings (Scotland) Act 2011, section 61"
        }
        LegalPower::DataProtection2018S36 => "the Data Protection Act 2018, section 36",
        LegalPower::Unspecified => return None,
    })
}

fn gate(gate: Gate) -> &'static str {
    match gate {
        Gate::DataProtectionConsent => "a consent under data protection law",
        Gate::StatutoryConsent => "the consent that the statute asks for",
        Gate::Confidentiality => "a consent to break confidentiality",
        Gate::None | Gate::Unspecified => "a consent",
    }
}

/// `glen-college` as `Glen College`.
pub(crate) fn agency(id: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>())
    };
    id.split('-').filter_map(capital).collect::<Vec<_>>().join(" ")
}

/// `leaver-form` as `leaver form`.
fn words(id: &str) -> String {
    id.replace(['-', '_'], " ")
}

/// `a, b and c`.
fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [some @ .., last] => format!("{} and {last}", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(group: &str, reason: WithheldReason) -> pb::GroupDecision {
        let outcome = if reason == WithheldReason::Unspecified {
            pb::DecisionOutcome::Released
        } else {
            pb::DecisionOutcome::Withheld
        };
        pb::GroupDecision {
            field_group: group.to_owned(),
            outcome: i32::from(outcome),
            withheld_reason: i32::from(reason),
            ground: Some(pb::Ground {
                agreement: "agreements/leavers".to_owned(),
                version: 2,
                flow: "asked".to_owned(),
                basis: i32::from(LawfulBasis::Consent),
                gate: i32::from(Gate::StatutoryConsent),
                field_groups: vec![group.to_owned()],
                consents: Vec::new(),
            }),
            legal_power: i32::from(LegalPower::AdditionalSupport2004S13),
            policies: Vec::new(),
        }
    }

    fn told(decisions: &[pb::GroupDecision], level: Level) -> Vec<String> {
        let publisher = "abertay-council".parse().unwrap();
        let recipient = "glen-college".parse().unwrap();
        let record_type = "leaver-form".parse().unwrap();
        let (publisher, recipient, record_type) = (&publisher, &recipient, &record_type);
        let word_refused = pb::Reason::Unspecified;
        all(&Told { publisher, recipient, record_type, level, word_refused, decisions })
    }

    #[test]
    fn groups_with_one_cause_share_a_sentence() {
        let decisions = [
            decision("identity", WithheldReason::Unspecified),
            decision("support-needs", WithheldReason::ConsentRefused),
            decision("education", WithheldReason::Unspecified),
        ];
        assert_eq!(
            told(&decisions, Level::Owner),
            [
                "Glen College receives identity and education of the leaver form because flow `asked` of agreement \
                 `leavers`, version 2, shares it on consent under the Education (Additional Support for Learning) \
                 (Scotland) Act 2004, section 13, and the consent that the statute asks for was given that names Glen College.",
                "Glen College does not receive support needs of the leaver form because flow `asked` of agreement \
                 `leavers`, version 2, waits for the consent that the statute asks for, and it was refused.",
            ]
        );
    }

    #[test]
    fn a_party_is_told_that_the_publisher_may_withhold_more() {
        let told = told(&[decision("core", WithheldReason::Unspecified)], Level::Party);
        assert!(told.last().unwrap().starts_with("Abertay Council may withhold more"), "{told:?}");
    }

    #[test]
    fn every_reason_has_words_of_its_own() {
        let codes = (1..64).filter_map(|code| WithheldReason::try_from(code).ok());
        let said: Vec<Vec<String>> =
            codes.map(|reason| told(&[decision("core", reason)], Level::Owner)).collect();
        let distinct: std::collections::BTreeSet<_> = said.iter().collect();
        assert_eq!(distinct.len(), said.len());
    }
}
