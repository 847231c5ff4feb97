//! `inspect`: what a server says that it is, and all that it offers.

use serde_json::{Value, json};

use super::failure::Failure;
use super::output::{Output, table};
use super::signature::signature;
use super::target::Mcp;
use crate::config::Config;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http inspect
  mcp-http inspect http://127.0.0.1:8000/mcp --json
  mcp-http inspect 'stdio:npx -y @modelcontextprotocol/server-everything'";

pub(super) fn run(config: &Config, target: Option<&str>, output: &mut Output) -> Result<(), Failure> {
    let found = Mcp::of(config, target)?.ask(async |client| {
        let mut found = client.about();
        let offers = |what: &str| found["capabilities"][what].is_object();
        let (tools, resources, prompts) = (offers("tools"), offers("resources"), offers("prompts"));
        found["tools"] = json!(if tools { client.tools().await? } else { Vec::new() });
        found["resources"] = json!(if resources { client.resources().await? } else { Vec::new() });
        found["resourceTemplates"] = json!(if resources { client.resource_templates().await? } else { Vec::new() });
        found["prompts"] = json!(if prompts { client.prompts().await? } else { Vec::new() });
        Ok(found)
    })?;
    output.write(&found, || text(&found))
}

fn text(found: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("–").to_owned();
    let offers: Vec<_> =
        found["capabilities"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let mut rows = vec![
        ("server", format!("{} {}", word(&found["server"]["name"]), word(&found["server"]["version"]))),
        ("speaks", word(&found["protocolVersion"])),
        ("capabilities", if offers.is_empty() { "–".to_owned() } else { offers.join(", ") }),
    ];
    rows.extend(found["instructions"].as_str().map(|text| ("instructions", first_line(text))));
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    let mut text = table(&rows);
    let about = |entry: &Value| first_line(entry["description"].as_str().unwrap_or_default());
    let list = |member: &str, head: fn(&Value) -> String| {
        let entries = found[member].as_array().map(Vec::as_slice).unwrap_or_default();
        entries.iter().map(|entry| vec![format!("  {}", head(entry)), about(entry)]).collect::<Vec<_>>()
    };
    for (title, rows) in [
        ("tools", list("tools", signature)),
        ("resources", list("resources", |entry| entry["uri"].as_str().unwrap_or("?").to_owned())),
        ("templates", list("resourceTemplates", |entry| entry["uriTemplate"].as_str().unwrap_or("?").to_owned())),
        ("prompts", list("prompts", prompt)),
    ] {
        if !rows.is_empty() {
            text.push_str(&format!("\n{title}\n{}", table(&rows)));
        }
    }
    text
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// `greet(name, language?)`.
fn prompt(prompt: &Value) -> String {
    let argument = |argument: &Value| {
        let mark = if argument["required"] == true { "" } else { "?" };
        format!("{}{mark}", argument["name"].as_str().unwrap_or("?"))
    };
    let arguments: Vec<_> = prompt["arguments"].as_array().into_iter().flatten().map(argument).collect();
    format!("{}({})", prompt["name"].as_str().unwrap_or("?"), arguments.join(", "))
}
