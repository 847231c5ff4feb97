//! The function is not async.

use mcp_core::{ToolError, tool_fn};

fn greet() -> Result<String, ToolError> {
    Ok("Hello!".to_owned())
}

fn main() {
    let _ = tool_fn("greet", "Greets.", greet);
}
