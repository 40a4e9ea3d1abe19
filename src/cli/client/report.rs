//! `concordat client report`: the report of a case of access, as JSON or as a page that a person can read.
//!
//! The page is one file that loads nothing; every value passes through the template's escaping.

use std::{fs, path::PathBuf};

use clap::Args;
use minijinja::Environment;
use serde_json::{Value, json};

use crate::{
    cli::{
        compose::registry,
        error::{CliError, Exit},
        json, name,
        output::{Column, Format, flatten, words},
        session::{Session, every_row},
        time,
    },
    model::id::CaseId,
    pb::v1::{self as pb, case_service_client::CaseServiceClient},
    record::{json as record_json, registry::Registry},
};

const MESSAGE: &str = "concordat.v1.ReportedRecord";
const TEMPLATE: &str = include_str!("report.html");
const COLUMNS: [Column; 5] = [
    ("RECORD", "record"),
    ("TYPE", "record_type"),
    ("PUBLISHER", "publisher"),
    ("GROUPS", "field_groups"),
    ("PUBLISHED", "published_time"),
];

/// A report.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The case of access.
    case: String,
    /// Write a page that a person can read to this file, instead of printing data.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Report {
    pub(crate) async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { case, html } = self;
        let case = name::full::<CaseId>("cases", &case)?;
        let mut stub = CaseServiceClient::new(session.channel());
        let records = every_row(async |page_token| {
            let request = pb::MakeReportRequest {
                context: session.context(),
                request_id: session.new_request(),
                case: case.clone(),
                page_token,
            };
            let page = stub.make_report(request).await?.into_inner();
            Ok((page.records, page.next_page_token))
        })
        .await?;
        let registry = registry()?;
        let rows: Vec<_> = records.iter().map(|record| value(&registry, record)).collect();
        let Some(file) = html else {
            let whole = json!({ "records": rows });
            return match session.output.0 {
                Format::Json => session.output.one(&whole),
                Format::Table | Format::Csv | Format::Ndjson => {
                    session.output.rows(&COLUMNS, &rows)
                }
            };
        };
        let about = json!({
            "controller": session.agency()?.to_string(),
            "made": time::show(session.now()),
        });
        let page = page(&about, &rows)?;
        fs::write(&file, page).map_err(|cause| {
            CliError::new(Exit::Other, format!("`{}` cannot be written", file.display()))
                .because(cause.to_string())
        })?;
        words(format!("written to {}", file.display()));
        Ok(())
    }
}

/// A record with its body as JSON; a body of a type that this program does not know stays hexadecimal.
fn value(registry: &Registry, record: &pb::ReportedRecord) -> Value {
    let mut value = json::of(MESSAGE, record);
    let known = record.record_type.parse().ok().and_then(|name| registry.record_type(&name));
    let known = known.filter(|_| !record.body.is_empty());
    let body = known.and_then(|known| record_json::to_json(known, &record.body).ok());
    if let (Some(body), Value::Object(fields)) = (body, &mut value) {
        let _encoded = fields.insert("body".to_owned(), body);
    }
    value
}

/// The page.
fn page(about: &Value, rows: &[Value]) -> Result<String, CliError> {
    let unwritable = |cause: minijinja::Error| {
        CliError::new(Exit::Other, "the report cannot be written as a page")
            .because(cause.to_string())
    };
    let mut environment = Environment::new();
    // The name ends in `.html`: everything is escaped.
    environment.add_template("report.html", TEMPLATE).map_err(unwritable)?;
    let template = environment.get_template("report.html").map_err(unwritable)?;
    let records: Vec<_> = rows.iter().map(shown).collect();
    let whole =
        json!({ "controller": about["controller"], "made": about["made"], "records": records });
    template.render(minijinja::value::Serde(&whole)).map_err(unwritable)
}

/// A record in the words of the page.
fn shown(row: &Value) -> Value {
    let mut lines = Vec::new();
    if row["body"].is_object() {
        flatten("", &row["body"], &mut lines);
    }
    let fields: Vec<_> = lines
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| json!({ "name": name.replace(['_', '.'], " "), "value": value }))
        .collect();
    let deliveries = row["deliveries"].as_array().map(Vec::as_slice).unwrap_or_default();
    let deliveries: Vec<_> = deliveries
        .iter()
        .map(|delivery| {
            let ground = &delivery["ground"];
            json!({
                "recipient": bare(&delivery["recipient"]),
                "groups": ground["field_groups"],
                "time": delivery["time"],
                "purpose": spoken(&delivery["purpose"]),
                "agreement": bare(&ground["agreement"]),
                "basis": spoken(&ground["basis"]),
            })
        })
        .collect();
    json!({
        "type": spoken(&row["record_type"]),
        "publisher": bare(&row["publisher"]),
        "published": row["published_time"],
        "groups": row["field_groups"],
        "fields": fields,
        "deliveries": deliveries,
    })
}

/// The last part of a resource's name.
fn bare(name: &Value) -> &str {
    name.as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default()
}

/// A code as it is said.
fn spoken(code: &Value) -> String {
    code.as_str().unwrap_or_default().replace('-', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_escapes_what_it_holds_and_loads_nothing() {
        let row = json!({
            "record_type": "leaver-form",
            "publisher": "agencies/council",
            "published_time": "2026-12-01T09:00:00Z",
            "field_groups": ["core"],
            "body": {"identity": {"known_as": "<script>alert('x')</script> & \"Bo\""}},
            "deliveries": [{
                "recipient": "agencies/skills",
                "time": "2026-12-01T09:00:00Z",
                "purpose": "school-leaver-transition",
                "ground": {"agreement": "agreements/leavers", "basis": "legal-obligation", "field_groups": ["core"]},
            }],
        });
        let about = json!({ "controller": "council", "made": "2026-12-01" });
        let page = page(&about, &[row]).unwrap();
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;") && page.contains("identity known as"), "{page}");
        assert!(page.contains("Delivered to") && !page.contains("ead by"), "{page}");
        assert!(page.contains("school leaver transition: agreement leavers"), "{page}");
        for loading in ["http://", "https://", "src=", "href=", "url("] {
            assert!(!page.contains(loading), "{loading}");
        }
    }
}
