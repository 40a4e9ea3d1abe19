//! Surveys: what policies that are in force nowhere would do, found by asking them everything that they can tell apart.
//!
//! A policy reads codes of the published enums, the field groups of the record types that this program knows, and names of
//! agencies, agreements and flows. Its words outside quotes say which of these it reads; of names it can only tell apart
//! those that it spells out, and any other one. So there are finitely many questions, and a policy that none of them makes
//! forbid never will: most often a code or a group in it is misspelt. Where a policy compares what it reads with what it reads,
//! such as an agreement's name with a flow's, names are also asked about that two kinds have in common. It decides nothing:
//! what is put is examined by `verdict.rs` and by the rules.

use std::{collections::BTreeSet, str::FromStr};

use crate::{
    machine::access::verdict::{Attributes, Party, Trial, Verdict, wording},
    model::id::{AgencyId, AgreementId, FlowId, GroupName, PolicyId, RecordTypeName},
    pb::ledger::v1::{AgencyKind, Gate, LawfulBasis, Purpose},
    record::registry::Registry,
};

/// The greatest number of questions of one survey; one takes some 30 microseconds.
const QUESTIONS_MAX: usize = 50_000;

/// What a survey found about one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing that the exchange can ask makes it forbid.
    NeverForbids,
    /// It forbids everything: nothing would leave its owner or reach it.
    ForbidsAll,
    /// Whatever it forbids, that other one forbids as well.
    AddsNothing {
        /// The other policy.
        beside: PolicyId,
    },
    /// It cannot be evaluated for some questions; the exchange then withholds.
    Unreadable,
}

impl Finding {
    /// The stable code, in upper snake case.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NeverForbids => "NEVER_FORBIDS",
            Self::ForbidsAll => "FORBIDS_ALL",
            Self::AddsNothing { .. } => "ADDS_NOTHING",
            Self::Unreadable => "UNREADABLE",
        }
    }

    /// What it means and what to do, for the policy's author.
    pub fn description(&self) -> String {
        match self {
            Self::NeverForbids => {
                "no question of the exchange makes it forbid: check the spelling of codes, groups and names".to_owned()
            }
            Self::ForbidsAll => {
                "it forbids everything: nothing would leave your agency or reach it".to_owned()
            }
            Self::AddsNothing { beside } => {
                format!("whatever it forbids, `{beside}` forbids as well: remove one of them")
            }
            Self::Unreadable => {
                "it fails for some questions, and then everything is withheld: write it more plainly"
                    .to_owned()
            }
        }
    }
}

/// What the policies of one agency, in canonical form, would do: findings in the order of the policies. `None` if there are
/// more questions than a survey asks, or if the policies do not go together.
pub fn survey(
    policies: &[(PolicyId, String)],
    registry: &Registry,
) -> Option<Vec<(PolicyId, Finding)>> {
    let trial = Trial::of(policies.iter().map(|(id, text)| (id, text.as_str())))?;
    let questions = Questions::of(policies, registry)?;
    let mut forbidden = vec![BTreeSet::new(); policies.len()];
    let mut unreadable = false;
    let mut asked = 0_usize;
    questions.each(|attributes| {
        match trial.ask(attributes) {
            Verdict::Silent => {}
            Verdict::Unreadable => unreadable = true,
            Verdict::Forbidden(ids) => {
                let by =
                    policies.iter().zip(&mut forbidden).filter(|((id, _), _)| ids.contains(id));
                by.for_each(|(_, places)| {
                    places.insert(asked);
                });
            }
        }
        asked = asked.saturating_add(1);
    });
    if unreadable {
        return Some(policies.iter().map(|(id, _)| (id.clone(), Finding::Unreadable)).collect());
    }
    let of_policy = |(at, (id, _)): (usize, &(PolicyId, String))| {
        found(policies, &forbidden, (at, asked)).map(|finding| (id.clone(), finding))
    };
    Some(policies.iter().enumerate().filter_map(of_policy).collect())
}

/// What is found about the policy at a place, of so many questions.
fn found(
    policies: &[(PolicyId, String)],
    forbidden: &[BTreeSet<usize>],
    (at, asked): (usize, usize),
) -> Option<Finding> {
    let own = forbidden.get(at)?;
    if own.is_empty() {
        return Some(Finding::NeverForbids);
    }
    let wider = |(other, places): &(usize, &BTreeSet<usize>)| {
        // Of two that forbid the same, the later one adds nothing.
        *other != at && own.is_subset(places) && (own.len() < places.len() || *other < at)
    };
    if let Some((other, _)) = forbidden.iter().enumerate().find(wider) {
        let beside = policies.get(other).map(|(id, _)| id.clone())?;
        return Some(Finding::AddsNothing { beside });
    }
    (own.len() == asked).then_some(Finding::ForbidsAll)
}

/// Everything that some policies can tell apart.
struct Questions {
    publishers: Vec<AgencyId>,
    publisher_kinds: Vec<AgencyKind>,
    recipients: Vec<AgencyId>,
    recipient_kinds: Vec<AgencyKind>,
    resources: Vec<(RecordTypeName, GroupName, bool)>,
    purposes: Vec<Purpose>,
    agreements: Vec<AgreementId>,
    flows: Vec<FlowId>,
    bases: Vec<LawfulBasis>,
    gates: Vec<Gate>,
}

impl Questions {
    /// `None` if there are too many, or nothing is shared at all.
    fn of(policies: &[(PolicyId, String)], registry: &Registry) -> Option<Self> {
        let mut read = Read::default();
        for (_, text) in policies {
            read.add(text);
        }
        let resources = registry.record_types().flat_map(|known| {
            known
                .groups()
                .iter()
                .map(|group| (known.name().clone(), group.name().clone(), group.special_category()))
        });
        read.share(registry);
        let of_resource = ["resource", "record_type", "group", "special_category", "FieldGroup"];
        let kinds = || read.codes(&["kind"], AgencyKind::try_from);
        let questions = Self {
            publishers: read.names(&["publisher", "FieldGroup"], "another-publisher")?,
            publisher_kinds: kinds(),
            recipients: read.names(&["principal", "Agency"], "another-recipient")?,
            recipient_kinds: kinds(),
            resources: read.any_of(&of_resource, read.told_apart(resources.collect())),
            purposes: read.codes(&["purpose"], Purpose::try_from),
            agreements: read.shared_names(&["agreement"], "another-agreement")?,
            flows: read.shared_names(&["flow"], "another-flow")?,
            bases: read.codes(&["basis"], LawfulBasis::try_from),
            gates: read.codes(&["gate"], Gate::try_from),
        };
        (1..=QUESTIONS_MAX).contains(&questions.count()).then_some(questions)
    }

    fn count(&self) -> usize {
        let counts = [
            self.publishers.len(),
            self.publisher_kinds.len(),
            self.recipients.len(),
            self.recipient_kinds.len(),
            self.resources.len(),
            self.purposes.len(),
            self.agreements.len(),
            self.flows.len(),
            self.bases.len(),
            self.gates.len(),
        ];
        counts.into_iter().fold(1, usize::saturating_mul)
    }

    /// Asks each, always in the same order.
    fn each(&self, mut ask: impl FnMut(&Attributes<'_>)) {
        for (publisher, kind) in pairs(&self.publishers, &self.publisher_kinds) {
            let publisher = Party { id: publisher, kind: *kind };
            // Nobody sends to themselves.
            let others = pairs(&self.recipients, &self.recipient_kinds);
            for (recipient, kind) in others.filter(|(id, _)| **id != *publisher.id) {
                let recipient = Party { id: recipient, kind: *kind };
                self.each_between((publisher, recipient), &mut ask);
            }
        }
    }

    fn each_between(
        &self,
        (publisher, recipient): (Party<'_>, Party<'_>),
        ask: &mut impl FnMut(&Attributes<'_>),
    ) {
        for ((agreement, flow), (purpose, (basis, gate))) in pairs(&self.agreements, &self.flows)
            .flat_map(|named| {
                let codes = self.purposes.iter().flat_map(|purpose| {
                    pairs(&self.bases, &self.gates).map(move |codes| (*purpose, codes))
                });
                codes.map(move |codes| (named, codes))
            })
        {
            for (record_type, group, special_category) in &self.resources {
                ask(&Attributes {
                    publisher,
                    recipient,
                    record_type,
                    group,
                    special_category: *special_category,
                    purpose: purpose.into(),
                    agreement,
                    flow,
                    basis: (*basis).into(),
                    gate: (*gate).into(),
                });
            }
        }
    }
}

/// Every pair of one of these and one of those.
fn pairs<'a, A, B>(ones: &'a [A], others: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    ones.iter().flat_map(move |one| others.iter().map(move |other| (one, other)))
}

/// No published enum has a code beyond this.
const CODES_MAX: i32 = 1_024;

/// What some policies read.
#[derive(Default)]
struct Read {
    words: BTreeSet<String>,
    /// The names that they spell out; patterns with something in the place of each `*`, and with nothing.
    names: BTreeSet<String>,
    /// The names and patterns themselves.
    spelt: BTreeSet<String>,
    /// Whether one of them compares what it reads with what it reads.
    compares: bool,
    /// Names that things of two kinds may have in common.
    shared: BTreeSet<String>,
}

impl Read {
    fn add(&mut self, text: &str) {
        self.compares |= compares(text);
        self.words.extend(wording::words(&wording::code(text)).map(str::to_owned));
        for quoted in wording::quoted(text) {
            for name in quoted.split('/').chain([quoted]) {
                self.spelt.insert(name.to_owned());
                self.names.extend(["", "x"].map(|filling| name.replace('*', filling)));
            }
        }
    }

    /// Finds the names that an agreement or a flow could have in common with something else that is read.
    fn share(&mut self, registry: &Registry) {
        if !self.compares {
            return;
        }
        let mut shared = BTreeSet::from(["one-name".to_owned()]);
        for known in registry.record_types() {
            if self.reads(&["record_type"]) {
                shared.insert(known.name().to_string());
            }
            if self.reads(&["group"]) {
                shared.extend(known.groups().iter().map(|group| group.name().to_string()));
            }
        }
        let codes = [
            ("gate", ["none", "confidentiality"]),
            ("basis", ["consent", "consent"]),
            ("kind", ["council", "college"]),
        ];
        for (word, names) in codes {
            if self.reads(&[word]) {
                shared.extend(names.map(str::to_owned));
            }
        }
        self.shared = shared;
    }

    fn reads(&self, any_of: &[&str]) -> bool {
        any_of.iter().any(|word| self.words.contains(*word))
    }

    /// One of the resources of each kind that the policies can tell apart: who compares with spelt names and patterns alone
    /// sees no other difference.
    fn told_apart(
        &self,
        resources: Vec<(RecordTypeName, GroupName, bool)>,
    ) -> Vec<(RecordTypeName, GroupName, bool)> {
        if self.compares {
            return resources;
        }
        let mut met = BTreeSet::new();
        let whole =
            |record_type: &RecordTypeName, group: &GroupName| format!("{record_type}/{group}");
        let kind = |(record_type, group, special): &(RecordTypeName, GroupName, bool)| {
            let names = [record_type.to_string(), group.to_string(), whole(record_type, group)];
            let fitting = names.map(|name| -> Vec<bool> {
                self.spelt.iter().map(|spelt| fits(spelt, &name)).collect()
            });
            (fitting, *special)
        };
        resources.into_iter().filter(|resource| met.insert(kind(resource))).collect()
    }

    /// All of these, or any one if the policies do not read them.
    fn any_of<T>(&self, words: &[&str], mut all: Vec<T>) -> Vec<T> {
        if !self.reads(words) {
            all.truncate(1);
        }
        all
    }

    /// The codes of an enum, the unspecified one left out.
    fn codes<T, E>(&self, words: &[&str], code: impl Fn(i32) -> Result<T, E>) -> Vec<T> {
        self.any_of(words, (1..CODES_MAX).filter_map(|number| code(number).ok()).collect())
    }

    /// The same, with the names that things of two kinds may have in common.
    fn shared_names<T: FromStr + Ord>(&self, words: &[&str], another: &str) -> Option<Vec<T>> {
        let mut names = self.names(words, another)?;
        let shared = self.shared.iter().filter(|_| self.reads(words));
        names.extend(shared.filter_map(|name| name.parse().ok()));
        names.sort();
        names.dedup();
        Some(names)
    }

    /// The names that are spelt out, and one that stands for any other.
    fn names<T: FromStr + Ord>(&self, words: &[&str], another: &str) -> Option<Vec<T>> {
        let another = another.parse().ok()?;
        let spelt = self.names.iter().filter(|_| self.reads(words));
        let names: BTreeSet<T> =
            spelt.filter_map(|name| name.parse().ok()).chain([another]).collect();
        Some(names.into_iter().collect())
    }
}

/// Whether a name fits a pattern, in which each `*` stands for any text, as in Cedar's `like`.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(last)
}

/// Whether a policy compares two things that it reads, neither of which it spells out.
fn compares(text: &str) -> bool {
    let code = wording::code(text);
    ["==", "!="].iter().any(|operator| {
        code.split(operator).zip(code.split(operator).skip(1)).any(|(before, after)| {
            let spelt = before.trim_end().ends_with('"') || after.trim_start().starts_with('"');
            let read = |side: &str| {
                let attributes = ["context", "resource", "principal"];
                attributes.iter().any(|attribute| side.contains(attribute))
            };
            let last = before.rsplit(['(', '{', '&', '|']).next().unwrap_or_default();
            let next = after.split([')', '}', '&', '|']).next().unwrap_or_default();
            !spelt && read(last) && read(next)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("support", "support", true),
            ("support", "support-special", false),
            ("support*", "support", true),
            ("sup*-special", "support-special", true),
            ("*special", "support-special", true),
            ("*port*cial", "support-special", true),
            ("*", "", true),
            ("sup*support", "support", false),
            ("core*", "score", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
