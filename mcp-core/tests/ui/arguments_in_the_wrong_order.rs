//! The context comes after the input.

use mcp_core::{Context, ToolError, tool_fn};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct Greeting {
    name: String,
}

async fn greet(_: Context, greeting: Greeting) -> Result<String, ToolError> {
    Ok(greeting.name)
}

fn main() {
    let _ = tool_fn("greet", "Greets someone.", greet);
}
