//! What belongs together is one input.

use mcp_core::{Context, ToolError, tool_fn};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct Greeting {
    name: String,
}

async fn greet(greeting: Greeting, _times: u8, _: Context) -> Result<String, ToolError> {
    Ok(greeting.name)
}

fn main() {
    let _ = tool_fn("greet", "Greets someone.", greet);
}
