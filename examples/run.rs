//! own_server.rs with a run in the place of the tool: work that outlives the request that begins it, and the process.

use std::time::Duration;

use mcp_core::run::{Repeatable, RunContext, RunError};
use mcp_http::Config;
use serde::Deserialize;

#[derive(Deserialize)]
struct Tea {
    leaves: String,
    seconds: u64,
}

/// Begins anew when the process was gone, and is given what it had recorded: no second cup is poured, and it waits for what is left
/// of the time.
async fn brew(cx: RunContext) -> Result<String, RunError> {
    let tea: Tea = cx.arguments()?;
    let cup = cx.effect("pour", Repeatable::No, |_| pour(&tea.leaves)).await?;
    cx.pause("steep", Duration::from_secs(tea.seconds)).await?;
    Ok(format!("{cup} is ready"))
}

/// Stands for what is done to the world outside.
async fn pour(leaves: &str) -> Result<String, RunError> {
    Ok(format!("a cup of {leaves}"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    mcp_http::bundled(Config::load()?).await?.work("tea", brew).run().await?;
    Ok(())
}
