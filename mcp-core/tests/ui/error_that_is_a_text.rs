//! A text is no error type.

use mcp_core::tool_fn;

async fn fail() -> Result<(), String> {
    Err("no".to_owned())
}

fn main() {
    let _ = tool_fn("fail", "Fails.", fail);
}
