//! An agreement's content as people write it.

use std::path::Path;

use bytes::Bytes;
use serde_json::Value;

use crate::{
    cli::{
        agency::agency,
        document,
        error::{CliError, Exit},
        json as message_json,
        output::Format,
        session::Session,
    },
    model::id::AgencyId,
    pb::ledger::v1 as ledger,
};

const CONTENT: &str = "concordat.ledger.v1.AgreementContent";

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

/// The content in a file, with what the exchange shows of the parties filled in.
pub(super) async fn content(
    session: &Session,
    path: &Path,
) -> Result<ledger::AgreementContent, CliError> {
    let value = document::read(path)?;
    let mut content: ledger::AgreementContent = read(value, path)?;
    for party in &mut content.parties {
        if party.kind == 0 || party.key_fingerprint.is_empty() {
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
    Ok(content)
}

fn read(value: Value, path: &Path) -> Result<ledger::AgreementContent, CliError> {
    // What `agreement show -o json` prints has the content inside.
    let content = match value.get("content") {
        Some(content) => content.clone(),
        None => value,
    };
    message_json::read(CONTENT, &content).map_err(|violations| {
        CliError::invalid(format!("`{}` is no agreement", path.display()), &violations)
            .fixed_by("compare it with `concordat agreement new`")
    })
}

const TEMPLATE: &str = r#"# What the parties agree on. Fill in, then: concordat agreement draft ID -f FILE
# Every party approves exactly this content; once proposed it cannot change.

# The one purpose: school-leaver-transition, child-wellbeing or child-protection.
purpose = "school-leaver-transition"

# When the agreement ends by itself: a date or an RFC 3339 time.
expires_at = "2027-07-31"

# SHA-256 of the agreement's text as the parties keep it; may be left out.
# text_digest = "..."

# Who takes part. kind and key_fingerprint may be left out: they are filled in with what the exchange shows.
[[parties]]
agency = "inverclyde-council"

[[parties]]
agency = "skills-development-scotland"

[[parties]]
agency = "glen-college"

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
# Whether records published before the activation flow too.
backfill = true

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
"#;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_template_reads_in_both_of_its_forms() {
        let toml: toml::Table = toml::from_str(TEMPLATE).unwrap();
        let value = serde_json::to_value(toml).unwrap();
        let content = read(value, Path::new("template")).unwrap();
        assert_eq!((content.parties.len(), content.flows.len()), (3, 2));
        let text = template(Some(Format::Json)).unwrap();
        let wrapped = json!({"name": "agreements/x", "content": serde_json::from_str::<Value>(&text).unwrap()});
        assert_eq!(read(wrapped, Path::new("shown")).unwrap(), content);
    }

    #[test]
    fn a_group_that_no_record_type_has_does_not_stand_in_the_template() {
        let registry = crate::cli::compose::registry().unwrap();
        let toml: toml::Table = toml::from_str(TEMPLATE).unwrap();
        let content = read(serde_json::to_value(toml).unwrap(), Path::new("template")).unwrap();
        for flow in content.flows {
            let known = registry.record_type(&flow.record_type.parse().unwrap()).unwrap();
            for group in flow.groups {
                assert!(known.group(&group.parse().unwrap()).is_some(), "{group}");
            }
        }
    }
}
