//! Tools for clients that cancel, and for those who want to know whether the server has noticed.

use std::collections::BTreeMap;
use std::time::Duration;

use mcp_core::{Context, Progress, ServerBuilder, ToolError, tool_with};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::watch;

/// How long anything is waited for. The calls have time for more: one whose time is over is cancelled as well.
const PATIENCE: Duration = Duration::from_secs(50);

/// The calls that have waited, by the names that they were given, and how each stands.
type Calls = watch::Sender<BTreeMap<String, &'static str>>;

#[derive(Deserialize, JsonSchema)]
struct Wait {
    /// What this call is called.
    call: String,
}

#[derive(Deserialize, JsonSchema)]
struct Look {
    /// What the call is called that is looked at.
    call: String,
    /// How it should stand: `begun`, `cancelled` or `ended`.
    stands: String,
}

/// Its progress tells that it has begun.
async fn wait(calls: Calls, wait: Wait, cx: Context) -> Result<&'static str, ToolError> {
    let stands = |how| {
        calls.send_modify(|calls| {
            calls.insert(wait.call.clone(), how);
        });
        how
    };
    stands("begun");
    cx.progress(Progress::new(1.0));
    Ok(tokio::select! {
        () = cx.cancelled() => stands("cancelled"),
        () = cx.clock().sleep(PATIENCE) => stands("ended"),
    })
}

async fn look(calls: Calls, look: Look, cx: Context) -> Result<&'static str, ToolError> {
    let mut seen = calls.subscribe();
    tokio::select! {
        _ = seen.wait_for(|calls| calls.get(&look.call) == Some(&&*look.stands)) => {}
        () = cx.clock().sleep(PATIENCE) => {}
    }
    let stands = seen.borrow().get(&look.call).copied();
    Ok(stands.unwrap_or("unknown"))
}

pub fn add(builder: ServerBuilder) -> ServerBuilder {
    let calls = Calls::default();
    let time = PATIENCE * 2;
    let wait = tool_with("wait", "Waits until it is cancelled.", calls.clone(), wait).timeout(time);
    let look = tool_with("look", "Tells how a call stands, once it stands so.", calls, look).timeout(time);
    builder.tool(wait).tool(look.read_only())
}
