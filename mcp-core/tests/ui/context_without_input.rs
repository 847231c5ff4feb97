//! A context alone is taken for the input.

use mcp_core::{Context, ToolError, tool_fn};

async fn who(cx: Context) -> Result<String, ToolError> {
    Ok(cx.caller().principal().to_string())
}

fn main() {
    let _ = tool_fn("who", "Who calls.", who);
}
