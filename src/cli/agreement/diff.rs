//! What differs between two versions of an agreement, field by field. Blocks are told apart by their ids and not by their
//! places, so that a block that moved is no difference.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use super::agreement;
use crate::{
    cli::{error::CliError, hex, json, output::Column, session::Session},
    machine::command::agreement::text_digest,
    pb::v1 as pb,
};

const CONTENT: &str = "concordat.ledger.v1.AgreementContent";
const COLUMNS: [Column; 3] = [("FIELD", "field"), ("FROM", "from"), ("TO", "to")];
/// The fields by which blocks of a list are told apart.
const IDS: [&str; 4] = ["flow", "agency", "indicator", "record_type"];

/// Two versions.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The agreement.
    agreement: String,
    /// The earlier version. Default: the one in force, or the one before the later version.
    #[arg(long, value_name = "VERSION", default_value_t = 0, hide_default_value = true)]
    from: u32,
    /// The later version. Default: the latest.
    #[arg(long, value_name = "VERSION", default_value_t = 0, hide_default_value = true)]
    to: u32,
}

impl Diff {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { agreement: name, from, to } = self;
        let later = agreement(session, &name, to).await?;
        let before = later.version.saturating_sub(1).max(1);
        let in_force = later.active_version;
        let default = if in_force == 0 || later.version <= in_force { before } else { in_force };
        let from = if from == 0 { default } else { from };
        let earlier = agreement(session, &name, from).await?;
        let content = |version: &pb::Agreement| {
            let mut content = json::of(CONTENT, &version.content.clone().unwrap_or_default());
            let texts = version.texts.iter();
            let texts = texts.map(|text| {
                let digest = text_digest(&version.texts_salt, text);
                (hex::of(digest.as_bytes()), text.as_str())
            });
            say_texts(&mut content, &texts.collect());
            content
        };
        session.output.rows(&COLUMNS, &differences(&content(&earlier), &content(&later)))
    }
}

/// Puts the texts that a version seals in place of their digests: each draft salts anew, so the digests of one text differ.
fn say_texts(content: &mut Value, texts: &BTreeMap<String, &str>) {
    match content {
        Value::Object(fields) => fields.values_mut().for_each(|value| say_texts(value, texts)),
        Value::Array(values) => values.iter_mut().for_each(|value| say_texts(value, texts)),
        Value::String(digest) => {
            if let Some(text) = texts.get(digest) {
                (*text).clone_into(digest);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Each field that differs, with what it is in the one and in the other.
fn differences(from: &Value, to: &Value) -> Vec<Value> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    flatten("", from, &mut before);
    flatten("", to, &mut after);
    let mut fields: Vec<&String> = before.keys().chain(after.keys()).collect();
    fields.sort();
    fields.dedup();
    let differing = fields.into_iter().filter(|field| before.get(*field) != after.get(*field));
    let row = |field: &String| {
        let side = |side: &BTreeMap<String, Value>| side.get(field).cloned().unwrap_or_default();
        json!({"field": field, "from": side(&before), "to": side(&after)})
    };
    differing.map(row).collect()
}

fn flatten(path: &str, value: &Value, fields: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(inner) => {
            for (name, value) in inner {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, fields);
            }
        }
        Value::Array(values) if values.iter().any(Value::is_object) => {
            for (place, value) in values.iter().enumerate() {
                let id = IDS.iter().find_map(|id| value.get(id)).and_then(Value::as_str);
                let id = id.map_or_else(|| place.to_string(), str::to_owned);
                flatten(&format!("{path}[{id}]"), value, fields);
            }
        }
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let empty = value.as_array().is_some_and(Vec::is_empty) || value == "";
            if !empty {
                fields.insert(path.to_owned(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_told_apart_by_their_ids_and_not_by_their_places() {
        let flow = |id: &str, groups: &[&str]| json!({"flow": id, "groups": groups});
        let before = json!({"purpose": "p", "flows": [flow("a", &["core"]), flow("b", &["core"])]});
        let after =
            json!({"purpose": "p", "flows": [flow("b", &["core", "more"]), flow("a", &["core"])]});
        let rows = differences(&before, &after);
        assert_eq!(
            rows,
            [json!({"field": "flows[b].groups", "from": ["core"], "to": ["core", "more"]})]
        );
        assert!(differences(&before, &before).is_empty());
    }

    #[test]
    fn a_text_that_stays_is_no_difference_though_every_draft_salts_anew() {
        let said = |digest: &str, text: &'static str| {
            let mut content = json!({"terms": {"dpia_digest": digest}});
            say_texts(&mut content, &BTreeMap::from([(digest.to_owned(), text)]));
            content
        };
        assert!(differences(&said("aa", "DPIA 7"), &said("bb", "DPIA 7")).is_empty());
        assert_eq!(differences(&said("aa", "DPIA 7"), &said("bb", "DPIA 8")).len(), 1);
        assert_eq!(said("aa", "DPIA 7")["terms"]["dpia_digest"], "DPIA 7");
    }

    #[test]
    fn what_comes_and_goes_has_one_side() {
        let rows = differences(&json!({"a": "x"}), &json!({"b": true}));
        let expected = [
            json!({"field": "a", "from": "x", "to": null}),
            json!({"field": "b", "from": null, "to": true}),
        ];
        assert_eq!(rows, expected);
    }
}
