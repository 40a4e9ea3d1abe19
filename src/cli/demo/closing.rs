//! The last acts: why what was withheld was withheld, the ledger verified from its files, and the counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::cli::{
    demo::{
        cast::{COLLEGE, RECIPIENTS, SDS},
        leavers::{ROWS, SEED},
        play::{Play, count, hold, surprise},
    },
    error::CliError,
};

/// What is counted at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// Rows of the import file.
    pub(super) rows: usize,
    /// Forms published: one for each row that was right.
    pub(super) published: usize,
    /// Rows refused, by the field that was wrong.
    pub(super) refused: BTreeMap<String, usize>,
    /// Forms that ever reached a recipient, by recipient.
    pub(super) released: BTreeMap<&'static str, usize>,
    /// Deliveries, new versions included, by recipient.
    pub(super) deliveries: BTreeMap<&'static str, usize>,
    /// Forms that never reached a recipient, by recipient and reason.
    pub(super) withheld: BTreeMap<&'static str, BTreeMap<String, usize>>,
    /// Entries of the ledger.
    pub(super) entries: u64,
    /// The root of the tree over them.
    pub(super) root: String,
    /// Attestations that were decided again.
    pub(super) attestations: u64,
}

impl Play {
    /// Why each recipient did not get what it did not get: the publisher asks, since nobody else is told.
    pub(super) async fn explain(
        &self,
    ) -> Result<BTreeMap<&'static str, BTreeMap<String, usize>>, CliError> {
        let teller = self.teller;
        teller.act("11  Why the rest was withheld");
        let mut withheld = BTreeMap::new();
        for recipient in RECIPIENTS {
            let missing = self.never_sent(recipient)?;
            let told = self.council.explain(&missing, recipient).await?;
            let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
            for groups in told.values() {
                let reason = groups.get("core").ok_or_else(|| surprise("nothing was withheld"))?;
                let reason = reason.as_str_name().trim_start_matches("WITHHELD_REASON_");
                *reasons.entry(reason.to_owned()).or_default() += 1;
            }
            let why: Vec<_> = reasons
                .iter()
                .map(|(reason, number)| format!("{number} {}", spoken(reason)))
                .collect();
            if !why.is_empty() {
                teller.item(&format!(
                    "{recipient} got nothing of {}: {}.",
                    count(missing.len(), "form", "forms"),
                    why.join(", "),
                ));
            }
            withheld.insert(recipient, reasons);
        }
        let all: Vec<String> = self.forms.values().cloned().collect();
        let mut never: BTreeMap<String, usize> = BTreeMap::new();
        for groups in self.council.explain(&all, SDS).await?.into_values() {
            for group in groups.into_keys() {
                *never.entry(group).or_default() += 1;
            }
        }
        let never: Vec<_> =
            never.iter().map(|(group, number)| format!("{group} of {number}")).collect();
        teller.say(&format!(
            "Nobody at all got, because no flow names them: {}. Those are experience of care, and the address of \
             somebody whom it endangers.",
            never.join(" and "),
        ));
        if let Some((local_id, record)) =
            self.forms.iter().find(|(local_id, _)| self.consents.contains_key(*local_id))
        {
            teller.say(&format!("In sentences, of the form of {local_id} to {COLLEGE}:"));
            let told = self.council.explain_one(record, COLLEGE).await?;
            hold(!told.sentences.is_empty(), "an explanation says nothing")?;
            for sentence in &told.sentences {
                teller.item(sentence);
            }
        }
        teller.say(
            "Only the publisher is told this. To a recipient a form that it may not have and a form that there \
             never was are the same.",
        );
        Ok(withheld)
    }

    /// The present versions of the forms of which a recipient never got anything.
    fn never_sent(&self, recipient: &str) -> Result<Vec<String>, CliError> {
        let records: BTreeSet<&String> =
            self.received.get(recipient).into_iter().flatten().map(|one| &one.record).collect();
        let reached: BTreeSet<&String> = self
            .versions
            .iter()
            .filter(|(record, _)| records.contains(record))
            .map(|(_, local_id)| local_id)
            .collect();
        let missing = self.forms.iter().filter(|(local_id, _)| !reached.contains(local_id));
        let missing: Vec<String> = missing.map(|(_, record)| record.clone()).collect();
        hold(
            missing.len() + self.forms_at(recipient) == self.forms.len(),
            "what was released and what was withheld are not all",
        )?;
        Ok(missing)
    }

    /// Stops the exchange and verifies the ledger from its files, as an inspector does, with another process.
    pub(super) async fn verify(&mut self) -> Result<Value, CliError> {
        let teller = self.teller;
        teller.act("12  The ledger, from its files");
        self.exchange.kill().await?;
        let mut verify = Command::new(&self.program);
        verify.args(["--output", "json", "ledger", "verify"]).arg(self.place.data());
        verify.arg("--decide").arg("--checkpoint").arg(self.place.checkpoint());
        let output = verify.stdin(Stdio::null()).kill_on_drop(true).output().await;
        let output = output.map_err(|cause| CliError::file(&self.program, &cause))?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        hold(output.status.success(), &format!("the ledger does not verify: {told}"))?;
        let report: Value = serde_json::from_slice(&output.stdout)
            .map_err(|_| surprise("the verifier's answer does not read"))?;
        let attestations = report.get("attestations_checked").and_then(Value::as_u64);
        teller.say(&format!(
            "The exchange is stopped, and another process reads its files alone, trusting nothing but the genesis: \
             every checksum, leaf hash and attachment digest and the tree are computed again, every command is \
             decided again, {} compared with the state that comes out, and the history is that of the checkpoint \
             kept from before the kill.",
            count(attestations.and_then(|n| usize::try_from(n).ok()).unwrap_or(0), "attestation", "attestations"),
        ));
        Ok(report)
    }

    /// What there is to count.
    pub(super) fn counts(
        &self,
        withheld: BTreeMap<&'static str, BTreeMap<String, usize>>,
        report: &Value,
    ) -> Result<Counts, CliError> {
        let number = |name: &str| {
            let number = report.get(name).and_then(Value::as_u64);
            number.ok_or_else(|| surprise("the verifier's answer is incomplete"))
        };
        let mut refused = BTreeMap::new();
        for reason in self.refused.values() {
            *refused.entry(reason.clone()).or_default() += 1;
        }
        let root = report.get("root").and_then(Value::as_str).unwrap_or_default().to_owned();
        let deliveries = |recipient| self.received.get(recipient).map_or(0, Vec::len);
        Ok(Counts {
            rows: ROWS,
            published: self.forms.len(),
            refused,
            released: RECIPIENTS.map(|recipient| (recipient, self.forms_at(recipient))).into(),
            deliveries: RECIPIENTS.map(|recipient| (recipient, deliveries(recipient))).into(),
            withheld,
            entries: number("entries")?,
            attestations: number("attestations_checked")?,
            root,
        })
    }
}

impl Counts {
    /// The closing lines.
    pub(super) fn lines(&self) -> String {
        let refused: usize = self.refused.values().sum();
        let mut lines = vec![
            String::new(),
            format!("published  {:>3} forms, of {} rows of the file", self.published, self.rows),
            format!("refused    {refused:>3} rows: {}", listed(&self.refused)),
        ];
        for (recipient, number) in &self.released {
            let deliveries = self.deliveries.get(recipient).copied().unwrap_or_default();
            lines.push(format!(
                "released   {number:>3} forms to {recipient}, {deliveries} deliveries with new versions"
            ));
        }
        for (recipient, reasons) in &self.withheld {
            let number: usize = reasons.values().sum();
            let why =
                if reasons.is_empty() { String::new() } else { format!(": {}", listed(reasons)) };
            lines.push(format!("withheld   {number:>3} forms from {recipient}{why}"));
        }
        lines.push(format!("ledger verified: {} entries, root {}", self.entries, self.root));
        lines.join("\n")
    }

    /// The same as one JSON object.
    pub(super) fn json(&self, today: jiff::civil::Date) -> Value {
        json!({
            "today": today.to_string(),
            "seed": SEED,
            "rows": self.rows,
            "published": self.published,
            "refused": self.refused.values().sum::<usize>(),
            "refused_for": self.refused,
            "released": self.released,
            "deliveries": self.deliveries,
            "withheld": self.withheld.iter()
                .map(|(recipient, reasons)| (*recipient, reasons.values().sum::<usize>()))
                .collect::<BTreeMap<_, _>>(),
            "withheld_for": self.withheld,
            "ledger": {
                "verified": true,
                "entries": self.entries,
                "root": self.root,
                "attestations_checked": self.attestations,
            },
        })
    }
}

fn listed(reasons: &BTreeMap<String, usize>) -> String {
    let each: Vec<_> =
        reasons.iter().map(|(reason, number)| format!("{number} {reason}")).collect();
    each.join(", ")
}

/// A reason as people say it.
fn spoken(reason: &str) -> String {
    match reason {
        "CONSENT_MISSING" => "never said yes to it".to_owned(),
        "CONSENT_REFUSED" => "said no".to_owned(),
        "CONSENT_WITHDRAWN" => "withdrew".to_owned(),
        "CASELOAD_NOT_CONFIRMED" => "are not in its confirmed caseload".to_owned(),
        other => other.to_lowercase().replace('_', " "),
    }
}
