//! A lock's guard is held over an await, so that the call could not move to another thread.

use std::sync::Mutex;

use mcp_core::{ToolError, tool_fn};

static COUNT: Mutex<u64> = Mutex::new(0);

async fn count() -> Result<u64, ToolError> {
    let mut count = COUNT.lock().unwrap();
    std::future::ready(()).await;
    *count += 1;
    Ok(*count)
}

fn main() {
    let _ = tool_fn("count", "Counts.", count);
}
