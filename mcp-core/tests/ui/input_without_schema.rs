//! The input does not derive `JsonSchema`.

use mcp_core::{ToolError, tool_fn};
use serde::Deserialize;

#[derive(Deserialize)]
struct Greeting {
    name: String,
}

async fn greet(greeting: Greeting) -> Result<String, ToolError> {
    Ok(greeting.name)
}

fn main() {
    let _ = tool_fn("greet", "Greets someone.", greet);
}
