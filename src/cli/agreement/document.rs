//! An agreement's content as people write it.

use std::{collections::BTreeSet, path::Path};

use bytes::Bytes;
use serde_json::Value;

use crate::{
    cli::{
        agency::agency,
        document,
        error::{CliError, Exit},
        hex, json as message_json,
        output::Format,
        session::Session,
    },
    machine::command::agreement::text_digest,
    model::id::AgencyId,
    pb::ledger::v1 as ledger,
};

const CONTENT: &str = "concordat.ledger.v1.AgreementContent";
/// The texts that a document may give in words; a content states the digest of each as `NAME_digest`.
const TEXTS: [&str; 8] = [
    "contact",
    "necessity",
    "consent_reason",
    "operator_terms",
    "joint_arrangement",
    "rights_procedure",
    "quality_rules",
    "dpia",
];

/// The template, in TOML with comments unless JSON is asked for.
pub(super) fn template(format: Option<Format>) -> Result<String, CliError> {
    match format {
        None | Some(Format::Table) => Ok(TEMPLATE.to_owned()),
        Some(Format::Json) => Ok(format!("{:#}\n", template_value()?)),
        Some(Format::Ndjson) => Ok(format!("{}\n", template_value()?)),
        Some(Format::Csv) => Err(CliError::new(Exit::Usage, "an agreement is no table")
            .fixed_by("ask for TOML (the default) or -o json")),
    }
}

fn template_value() -> Result<Value, CliError> {
    let table: toml::Table =
        toml::from_str(TEMPLATE).map_err(|cause| CliError::new(Exit::Other, cause.to_string()))?;
    serde_json::to_value(table).map_err(|cause| CliError::new(Exit::Other, cause.to_string()))
}

/// The content in a file, with what the exchange shows of the parties filled in, and the texts that it gives.
pub(in crate::cli) async fn content(
    session: &Session,
    path: &Path,
) -> Result<(ledger::AgreementContent, ledger::AgreementTexts), CliError> {
    let salt: [u8; 32] = session.entropy().bytes();
    let (mut content, texts) = read(&document::read(path)?, path, &salt)?;
    for party in &mut content.parties {
        let open = party.kind == 0 || party.key_fingerprint.is_empty();
        if open && !party.agency.is_empty() {
            let id: AgencyId = party.agency.parse()?;
            let shown = agency(session, &id).await?;
            if party.kind == 0 {
                party.kind = shown.kind;
            }
            if party.key_fingerprint.is_empty() {
                party.key_fingerprint = Bytes::clone(&shown.key_fingerprint);
            }
        }
    }
    Ok((content, texts))
}

/// The content and texts of a document; a new salt is taken unless the document has one.
fn read(
    value: &Value,
    path: &Path,
    salt: &[u8; 32],
) -> Result<(ledger::AgreementContent, ledger::AgreementTexts), CliError> {
    // What `agreement show -o json` prints has the content inside, and the texts beside it.
    let shown = |field: &str| value.get("content").and_then(|_| value.get(field));
    let shown_salt = shown("texts_salt").and_then(Value::as_str).and_then(hex::parse);
    let salt = shown_salt.filter(|salt| salt.len() == 32).unwrap_or_else(|| salt.to_vec());
    let shown_texts = shown("texts").and_then(Value::as_array).into_iter().flatten();
    let mut texts: BTreeSet<String> =
        shown_texts.filter_map(Value::as_str).map(str::to_owned).collect();
    let mut content = value.get("content").unwrap_or(value).clone();
    let mut stated = BTreeSet::new();
    digest_texts(&mut content, &salt, (&mut texts, &mut stated));
    // A text that is stated no more is not sealed again.
    texts.retain(|text| stated.contains(&hex::of(text_digest(&salt, text).as_bytes())));
    let content = message_json::read(CONTENT, &content).map_err(|violations| {
        CliError::invalid(format!("`{}` is no agreement", path.display()), &violations)
            .fixed_by("compare it with `concordat agreement new`")
    })?;
    let texts = texts.into_iter().collect();
    Ok((content, ledger::AgreementTexts { salt: salt.into(), texts }))
}

/// Puts the digest of each text that a document gives in place of the text, and notes text and digest.
fn digest_texts(
    value: &mut Value,
    salt: &[u8],
    (texts, stated): (&mut BTreeSet<String>, &mut BTreeSet<String>),
) {
    match value {
        Value::Array(values) => {
            for value in values {
                digest_texts(value, salt, (texts, stated));
            }
        }
        Value::Object(fields) => {
            for name in TEXTS {
                let Some(Value::String(text)) = fields.remove(name) else { continue };
                let digest = hex::of(text_digest(salt, &text).as_bytes());
                if !text.is_empty() {
                    texts.insert(text);
                    fields.insert(format!("{name}_digest"), Value::String(digest));
                }
            }
            for (name, value) in fields.iter_mut() {
                if let Some(digest) = value.as_str().filter(|_| name.ends_with("_digest")) {
                    stated.insert(digest.to_owned());
                }
                digest_texts(value, salt, (texts, stated));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

const TEMPLATE: &str = r#"# What the parties agree on. Fill in, then: concordat agreement draft ID -f FILE
# Every party approves exactly this content; once proposed it cannot change.

# The one purpose: school-leaver-transition, child-wellbeing or child-protection.
purpose = "school-leaver-transition"

# When the agreement ends by itself: a date or an RFC 3339 time.
expires_at = "2027-07-31"

# SHA-256 of the agreement's text as the parties keep it; may be left out.
# text_digest = "..."

# Texts, here and below, are sealed in the ledger and shown to the parties; what everybody signs is their digest.
# Name offices and not people, or references to documents that the parties keep.

# Who takes part. kind and key_fingerprint may be left out: they are filled in with what the exchange shows.
# role: publisher, recipient, publisher-and-recipient or processor.
[[parties]]
agency = "inverclyde-council"
role = "publisher"
contact = "information governance team, by the council's switchboard"

[[parties]]
agency = "skills-development-scotland"
role = "recipient"
contact = "data hub team, by its service desk"

[[parties]]
agency = "glen-college"
role = "recipient"
contact = "admissions office, by the college's switchboard"

# What flows. One block a flow.
[[flows]]
flow = "leavers-to-sds"
record_type = "leaver-form"
publisher = "inverclyde-council"
recipients = ["skills-development-scotland"]
groups = ["core", "identity", "contact", "education", "intention", "outcome", "support", "support-special", "statistics", "governance"]
# consent, legal-obligation, vital-interests, public-task or legitimate-interests.
basis = "legal-obligation"
# Needed where a group holds special category data.
special_condition = "statutory-purposes"
# Needed for a legal obligation and a public task.
legal_power = "post-16-education-2013-s20"
# none, data-protection-consent, statutory-consent or confidentiality.
gate = "none"
# none, or confirmed: only clients in the recipient's confirmed caseload.
caseload = "none"
# named_actor = true: nothing leaves to a system that acts by itself, only to a named member of staff.
# emergency = { categories = ["child-at-risk"], offices = ["duty-social-worker"] }: nothing leaves but under emergency
# access; such a flow waits for no consent and no caseload, and names the fewest groups that such an emergency needs.
# Whether records published before the activation flow too.
backfill = true
# uk-gdpr, or law-enforcement for the police under DPA 2018 Part 3; what crosses between them names a gateway.
regime = "uk-gdpr"
# The party that answers for the flow.
owner = "inverclyde-council"
# Why it is necessary and proportionate; needed where the basis is not consent.
necessity = "the duty asks for it; help is offered in time only to leavers of whom the agency knows"

[[flows]]
flow = "leavers-to-college"
record_type = "leaver-form"
publisher = "inverclyde-council"
recipients = ["glen-college"]
groups = ["core", "identity", "contact", "education", "intention", "governance"]
basis = "consent"
gate = "data-protection-consent"
caseload = "none"
backfill = true
regime = "uk-gdpr"
owner = "inverclyde-council"
# Why a public authority may rely on consent here.
consent_reason = "a place at college does not depend on the answer, and a refusal has no consequence"

# What else the parties settle. concordat agreement check -f FILE lists what is missing, and by which rule.
[terms]
# The terms under which the operator of the exchange processes for the parties.
operator_terms = "processing terms of the exchange, version 1"
# independent, or joint with joint_controllers = [...] and joint_arrangement = "...".
controllers = "independent"
# The one party that people turn to about their rights, and how they do.
rights_contact = "inverclyde-council"
rights_procedure = "one letter or call to the contact; answered within a month"
# Within how many days an error is corrected and told.
correction_days = 10
# Within how many days a complaint is acknowledged and answered; without them 30 days and three months.
# complaint_acknowledge_days = 5
# complaint_answer_days = 20
quality_rules = "facts apart from opinions; the publisher corrects, recipients report"
# The standard of security: scottish-public-sector, cyber-essentials-plus or iso-27001.
security = "scottish-public-sector"
# The data protection impact assessment, and when it was made.
dpia = "impact assessment IC-2025-14"
dpia_at = "2025-05-12"
# When the agreement is reviewed next, and after how many months again.
review_at = "2027-05-31"
review_months = 12
# goes-on, or flows-stop until another version is active, when that date has come.
at_review = "goes-on"
# flows-stop, or safeguarding-goes-on for 90 days.
at_expiry = "flows-stop"
# The party to which the partnership reports, and after how many months again.
reporting_body = "inverclyde-council"
reporting_months = 3
# The party that hears of an incident first.
incident_contact = "inverclyde-council"
joining = "from-then-on"
leaving_notice_days = 90
# delete, return-and-delete or keep-by-own-duty.
termination = "delete"

# How long recipients keep what they get: one block a type of record.
[[terms.retention]]
record_type = "leaver-form"
keep_months = 24
disposal = "delete"

# By what the parties will see whether the agreement works: at least one. Figures are in thousandths: 91.3 per cent.
[[terms.indicators]]
indicator = "leavers-in-work"
measure = "positive-destination"
baseline_milli = 91300
target_milli = 94000
owner = "inverclyde-council"
review_at = "2027-05-31"
"#;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_template_reads_in_both_of_its_forms() {
        let toml: toml::Table = toml::from_str(TEMPLATE).unwrap();
        let value = serde_json::to_value(toml).unwrap();
        let (content, texts) = read(&value, Path::new("template"), &[1; 32]).unwrap();
        assert_eq!((content.parties.len(), content.flows.len()), (3, 2));
        assert!(!texts.texts.is_empty() && texts.texts.iter().all(|text| !text.contains("...")));
        let text = template(Some(Format::Json)).unwrap();
        let wrapped = json!({"name": "agreements/x", "content": serde_json::from_str::<Value>(&text).unwrap()});
        assert_eq!(read(&wrapped, Path::new("shown"), &[1; 32]).unwrap().0, content);
    }

    #[test]
    fn what_is_shown_can_be_drafted_again_with_its_texts() {
        let content = json!({"terms": {"dpia": "assessment 7", "rights_procedure": "a letter"}});
        let (first, texts) = read(&content, Path::new("new"), &[1; 32]).unwrap();
        let mut shown = json!({
            "content": message_json::of(CONTENT, &first),
            "texts_salt": hex::of(&texts.salt),
            "texts": texts.texts,
        });
        assert_eq!(read(&shown, Path::new("shown"), &[2; 32]).unwrap(), (first, texts));
        shown["content"]["terms"]["dpia"] = json!("assessment 8");
        let (_, texts) = read(&shown, Path::new("edited"), &[2; 32]).unwrap();
        assert_eq!(texts.texts, ["a letter", "assessment 8"]);
        assert_eq!(texts.salt, vec![1; 32]);
    }

    #[test]
    fn a_group_that_no_record_type_has_does_not_stand_in_the_template() {
        let registry = crate::cli::compose::registry().unwrap();
        let toml: toml::Table = toml::from_str(TEMPLATE).unwrap();
        let value = serde_json::to_value(toml).unwrap();
        let (content, _) = read(&value, Path::new("template"), &[1; 32]).unwrap();
        for flow in content.flows {
            let known = registry.record_type(&flow.record_type.parse().unwrap()).unwrap();
            for group in flow.groups {
                assert!(known.group(&group.parse().unwrap()).is_some(), "{group}");
            }
        }
    }
}
