//! The output does not derive `JsonSchema`.

use mcp_core::{ToolError, tool_fn};
use serde::Serialize;

#[derive(Serialize)]
struct Point {
    x: i32,
}

async fn origin() -> Result<Point, ToolError> {
    Ok(Point { x: 0 })
}

fn main() {
    let _ = tool_fn("origin", "Where it all begins.", origin);
}
