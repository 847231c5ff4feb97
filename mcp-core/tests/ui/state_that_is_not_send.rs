//! The state cannot go to another thread.

use std::rc::Rc;

use mcp_core::{ToolError, tool_with};

async fn is_open(shop: Rc<bool>) -> Result<bool, ToolError> {
    Ok(*shop)
}

fn main() {
    let _ = tool_with("is_open", "Whether the shop is open.", Rc::new(true), is_open);
}
