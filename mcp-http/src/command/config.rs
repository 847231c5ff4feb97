//! `config`: what is in force, and why.

use serde_json::{Value, json};

use super::failure::Failure;
use super::output::{Output, table};
use crate::config::Config;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http config
  mcp-http config --config production.json --json";

pub(super) fn run(config: &Config, output: &mut Output) -> Result<(), Failure> {
    let rows: Vec<_> = config.effective().collect();
    let members = rows.iter().map(|(setting, value, origin)| {
        (setting.key.to_owned(), json!({"value": value, "origin": origin.to_string(), "about": setting.about}))
    });
    output.write(&Value::Object(members.collect()), || {
        let row = |(setting, value, origin): &(&crate::config::Setting, String, crate::config::Origin)| {
            let value = if value.is_empty() { "(not set)".to_owned() } else { value.clone() };
            vec![setting.key.to_owned(), value, origin.to_string()]
        };
        table(&rows.iter().map(row).collect::<Vec<_>>())
    })
}
