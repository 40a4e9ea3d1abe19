//! The shape of the cases in `tests/policies`: what is agreed, said and done, and what is to leave in the end.

#![expect(clippy::panic, reason = "a file that does not read ends the test")]

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

/// A decision, and the rule that it turns on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What is decided, as a sentence.
    pub(crate) name: String,
    /// The rule of `machine::law`, or the item that agreements are held to, without which the decision is another.
    pub(crate) rule: String,
    /// The law, guidance or line of the study behind it.
    pub(crate) source: String,
    /// What happens, in order. The record is published where it says so, otherwise at the end.
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    /// With what reason the first step is refused that is; none is unless said.
    pub(crate) refused: Option<String>,
    /// Who publishes.
    #[serde(default = "council")]
    pub(crate) from: String,
    /// Who would receive.
    pub(crate) to: String,
    /// For what the recipient would receive.
    #[serde(default = "transition")]
    pub(crate) purpose: String,
    /// Field groups, each `released` or the reason why it is withheld.
    pub(crate) expect: BTreeMap<String, String>,
}

/// Something that happens.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Step {
    /// An agreement is drafted, proposed and approved.
    Agree(Agree),
    /// The record is published, with these groups.
    Publish(Vec<String>),
    /// A new version of the record is published; the question stays about the version before.
    Replace(Vec<String>),
    /// An agency reads what there is.
    Send(String),
    /// A consent is given.
    Consent(Word),
    /// A consent is refused.
    Refuse(Word),
    /// The consent of this name is withdrawn.
    Withdraw(Withdraw),
    /// A person is recorded under this name, with rights or without.
    Holder(Holder),
    /// The owner of the records decides about the refusal of this name.
    Resolve(Resolve),
    /// An agency claims the client, and the publisher confirms.
    Serve(String),
    /// Its claim ends.
    Leave(String),
    /// The operator suspends an agency.
    SuspendAgency(String),
    /// A party suspends its flows.
    SuspendFlows(String),
    /// A party resumes its flows.
    ResumeFlows(String),
    /// A party ends the agreement.
    End(String),
    /// A party declines what is proposed.
    Decline(String),
    /// An agency puts a policy.
    Policy(Policy),
    /// An agency removes its policy.
    RemovePolicy(String),
    /// The publisher takes the record back.
    Retract(String),
    /// Days pass.
    Wait(u64),
}

/// An agreement.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Agree {
    #[serde(default = "leavers")]
    pub(crate) id: String,
    pub(crate) flows: Vec<Flow>,
    /// Parties that the flows do not name.
    #[serde(default)]
    pub(crate) beside: Vec<String>,
    #[serde(default = "transition")]
    pub(crate) purpose: String,
    /// How long it lasts, in days.
    #[serde(default = "a_year")]
    pub(crate) days: u64,
    /// Who approves; everybody unless said.
    pub(crate) approved_by: Option<Vec<String>>,
    /// What is left open: fields of the content, such as `terms.indicators`.
    #[serde(default)]
    pub(crate) without: Vec<String>,
    /// Whether flows for safeguarding go on for a while.
    #[serde(default)]
    pub(crate) safeguarding_goes_on: bool,
}

/// A flow: one of those that tests know, and what is different.
#[expect(clippy::struct_excessive_bools, reason = "each is a statement of its own in the content")]
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Flow {
    /// `duty`, `consented` or `statutory`.
    pub(crate) like: String,
    pub(crate) to: Vec<String>,
    #[serde(default = "council")]
    pub(crate) from: String,
    pub(crate) groups: Option<Vec<String>>,
    pub(crate) basis: Option<String>,
    pub(crate) power: Option<String>,
    pub(crate) condition: Option<String>,
    pub(crate) gate: Option<String>,
    pub(crate) regime: Option<String>,
    pub(crate) gateway: Option<String>,
    #[serde(default)]
    pub(crate) served: bool,
    #[serde(default)]
    pub(crate) backfill: bool,
    #[serde(default)]
    pub(crate) statistics_only: bool,
    #[serde(default)]
    pub(crate) safeguarding: bool,
}

/// What somebody says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Word {
    /// The name by which later steps mean it.
    #[serde(default)]
    pub(crate) called: String,
    pub(crate) to: Vec<String>,
    #[serde(default = "council")]
    pub(crate) about: String,
    #[serde(default = "both")]
    pub(crate) groups: Vec<String>,
    #[serde(default = "data_protection")]
    pub(crate) gate: String,
    #[serde(default)]
    pub(crate) purposes: Vec<String>,
    #[serde(default = "client")]
    pub(crate) by: String,
    #[serde(default = "fifteen")]
    pub(crate) age: u32,
    pub(crate) competence: Option<String>,
    pub(crate) authority: Option<String>,
    pub(crate) mandate: Option<String>,
    pub(crate) view: Option<String>,
    pub(crate) school_age: Option<String>,
    /// The person of this name.
    pub(crate) holder: Option<String>,
    /// Milestones: a name and YYYYMM, or YYYYMMDD for the leaving date.
    #[serde(default)]
    pub(crate) reviews: BTreeMap<String, u32>,
    /// In how many days it ends.
    pub(crate) days: Option<u64>,
    /// In how many days the authority ends.
    pub(crate) authority_days: Option<u64>,
}

/// A withdrawal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Withdraw {
    pub(crate) called: String,
    #[serde(default)]
    pub(crate) to: Vec<String>,
    #[serde(default)]
    pub(crate) groups: Vec<String>,
}

/// A person who may speak, or must not.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Holder {
    pub(crate) called: String,
    pub(crate) standing: String,
}

/// A decision about a refusal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resolve {
    pub(crate) called: String,
    pub(crate) resolution: String,
}

/// A policy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    pub(crate) of: String,
    /// What stands between the braces of its `when`.
    pub(crate) forbids: String,
}

fn council() -> String {
    "council".to_owned()
}

fn leavers() -> String {
    "leavers".to_owned()
}

fn transition() -> String {
    "school-leaver-transition".to_owned()
}

fn data_protection() -> String {
    "data-protection-consent".to_owned()
}

fn client() -> String {
    "self".to_owned()
}

fn both() -> Vec<String> {
    ["core", "support-needs"].map(str::to_owned).into()
}

const fn a_year() -> u64 {
    365
}

const fn fifteen() -> u32 {
    15
}

/// Every case of every file.
pub(crate) fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let cases = files.iter().flat_map(|file| {
        let text = fs::read_to_string(file).unwrap();
        serde_saphyr::from_str::<Vec<Case>>(&text)
            .unwrap_or_else(|problem| panic!("{}: {problem}", file.display()))
    });
    cases.collect()
}
