//! The state comes before the input.

use std::sync::Arc;

use mcp_core::{ToolError, tool_with};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct Hour {
    hour: u8,
}

async fn is_open(at: Hour, until: Arc<u8>) -> Result<bool, ToolError> {
    Ok(at.hour < *until)
}

fn main() {
    let _ = tool_with("is_open", "Whether the shop is open.", Arc::new(20), is_open);
}
