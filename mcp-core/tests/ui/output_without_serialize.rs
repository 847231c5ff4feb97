//! The output does not derive `Serialize`.

use mcp_core::{ToolError, tool_fn};
use schemars::JsonSchema;

#[derive(JsonSchema)]
struct Point {
    x: i32,
}

async fn origin() -> Result<Point, ToolError> {
    Ok(Point { x: 0 })
}

fn main() {
    let _ = tool_fn("origin", "Where it all begins.", origin);
}
