//! `list`: the tools, as signatures.

use serde_json::{Value, json};

use super::failure::{Failure, Kind};
use super::output::{Output, table};
use super::signature::signature;
use super::target::Target;
use crate::config::Config;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http list
  mcp-http list http://127.0.0.1:8000/mcp
  mcp-http list 'stdio:npx -y @modelcontextprotocol/server-everything'
  mcp-http list --json";

pub(super) fn run(config: &Config, target: Option<&str>, output: &mut Output) -> Result<(), Failure> {
    let listed = match Target::of(config, target)? {
        Target::Rest(client) => {
            let reply = client.get("/api/v1/tools")?;
            if !reply.body["tools"].is_array() {
                let said = format!("the server answers {} and lists no tools", reply.status);
                return Err(Failure::new(Kind::Failed, said));
            }
            reply.body
        }
        Target::Mcp(mcp) => json!({"tools": mcp.ask(async |client| client.tools().await)?}),
    };
    let tools = listed["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |tool: &Value| {
        let about = tool["description"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
        vec![signature(tool), about.to_owned()]
    };
    output.write(&listed, || match tools {
        [] => "The server offers no tools.".to_owned(),
        tools => table(&tools.iter().map(row).collect::<Vec<_>>()),
    })
}
