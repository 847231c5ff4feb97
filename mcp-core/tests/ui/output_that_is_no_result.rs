//! The function returns no `Result`.

use mcp_core::tool_fn;

async fn greet() -> String {
    "Hello!".to_owned()
}

fn main() {
    let _ = tool_fn("greet", "Greets.", greet);
}
