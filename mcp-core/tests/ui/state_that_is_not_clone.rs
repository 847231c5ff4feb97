//! The state is not `Clone`; what is large goes into an `Arc`.

use mcp_core::{ToolError, tool_with};

struct Shop {
    open: bool,
}

async fn is_open(shop: Shop) -> Result<bool, ToolError> {
    Ok(shop.open)
}

fn main() {
    let _ = tool_with("is_open", "Whether the shop is open.", Shop { open: true }, is_open);
}
