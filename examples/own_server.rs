//! hello.rs on the bundled server: its storage, its configuration, its REST and its tools come with it.

use mcp_core::{ToolError, tool_fn};
use mcp_http::Config;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct Echo {
    /// What to say.
    message: String,
}

async fn echo(echo: Echo) -> Result<String, ToolError> {
    Ok(echo.message)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let echo = tool_fn("echo", "Says what it is told.", echo).read_only();
    mcp_http::bundled(Config::load()?).await?.tool(echo).run().await?;
    Ok(())
}
