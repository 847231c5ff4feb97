//! The bundled server as it runs, with the tool of `hello`: metrics, the log, and a record of each call before its answer.

use mcp_core::{ToolError, tool_fn};
use mcp_http::Config;
use schemars::JsonSchema;
use serde::Deserialize;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    let config = Config::load()?;
    let _log = mcp_http::log::init(&config)?;
    let echo = tool_fn("echo", "Says what it is told.", echo).read_only();
    mcp_http::bundled(config).await?.tool(echo).run().await?;
    Ok(())
}
