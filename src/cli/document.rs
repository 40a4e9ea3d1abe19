//! Documents that people write: TOML or JSON, told apart by what they begin with.

use std::{fs, io::Read, path::Path};

use serde_json::Value;

use crate::cli::error::{CliError, Exit};

/// The text of a file; `-` is standard input.
pub(crate) fn text(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    read.map_err(|cause| CliError::file(path, &cause))
}

/// The document in a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<Value, CliError> {
    parse(&text(path)?).map_err(|why| {
        CliError::new(Exit::Invalid, format!("`{}` does not read", path.display())).because(why)
    })
}

fn parse(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('{') {
        serde_json::from_str(text)
            .map_err(|cause| format!("line {}, column {}: no JSON", cause.line(), cause.column()))
    } else {
        let document: toml::Table =
            toml::from_str(text).map_err(|cause| cause.to_string().trim_end().to_owned())?;
        Ok(of_toml(toml::Value::Table(document)))
    }
}

fn of_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(of_toml).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| (key, of_toml(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_says_the_same_in_toml_and_in_json() {
        let toml = "purpose = \"x\"\nends = 2027-07-31\n[[flows]]\nbackfill = true\n";
        let value = json!({"purpose": "x", "ends": "2027-07-31", "flows": [{"backfill": true}]});
        assert_eq!(parse(toml).unwrap(), value);
        assert_eq!(parse(&value.to_string()).unwrap(), value);
        assert!(parse("{").is_err() && parse("= 1").is_err());
    }
}
