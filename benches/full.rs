//! The bundled server with twenty tools, and its command line, by which keys are made.

use std::process::ExitCode;

use benches::ended;
use mcp_core::{ToolError, tool_fn};
use mcp_http::Config;
use schemars::JsonSchema;
use serde::Deserialize;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOOLS: usize = 20;

#[derive(Deserialize, JsonSchema)]
struct Echo {
    /// What to say.
    message: String,
}

async fn echo(echo: Echo) -> Result<String, ToolError> {
    Ok(echo.message)
}

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        return mcp_http::command::run(std::env::args_os());
    }
    ended(serve().map_err(std::io::Error::other))
}

#[tokio::main]
async fn serve() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let config = Config::load()?;
    let _log = mcp_http::log::init(&config)?;
    let mut bundled = mcp_http::bundled(config).await?;
    for n in 0..TOOLS {
        bundled = bundled.tool(tool_fn(format!("echo-{n:02}"), "Says what it is told.", echo).read_only());
    }
    Ok(bundled.run().await?)
}
