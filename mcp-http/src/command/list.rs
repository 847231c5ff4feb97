//! `list`: the tools, as signatures.

use serde_json::Value;

use super::client::Client;
use super::failure::{Failure, Kind};
use super::output::{Output, table};
use super::signature::signature;
use crate::config::Config;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http list
  mcp-http list http://127.0.0.1:8000/mcp
  mcp-http list --json";

pub(super) fn run(config: &Config, target: Option<&str>, output: &mut Output) -> Result<(), Failure> {
    let reply = Client::new(config, target).get("/api/v1/tools")?;
    let Some(tools) = reply.body["tools"].as_array() else {
        return Err(Failure::new(Kind::Failed, format!("the server answers {} and lists no tools", reply.status)));
    };
    let row = |tool: &Value| {
        let about = tool["description"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
        vec![signature(tool), about.to_owned()]
    };
    output.write(&reply.body, || match tools.as_slice() {
        [] => "The server offers no tools.".to_owned(),
        tools => table(&tools.iter().map(row).collect::<Vec<_>>()),
    })
}
