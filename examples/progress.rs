//! hello.rs with a tool that takes its time: it calls another tool, and tells how far it has come.

use std::time::Duration;

use actix_web::{App, HttpServer, web};
use mcp_core::{Arguments, Context, Endpoint, Progress, Server, ToolError, tool_fn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize, JsonSchema)]
struct Echo {
    /// What to say.
    message: String,
}

async fn echo(echo: Echo) -> Result<String, ToolError> {
    Ok(echo.message)
}

#[derive(Deserialize, JsonSchema)]
struct Recite {
    /// What to say, one after the other.
    lines: Vec<String>,
}

/// A client that gives a progress token is told of each line; for any other, `progress` does nothing.
async fn recite(recite: Recite, cx: Context) -> Result<String, ToolError> {
    let mut said = Vec::new();
    let all = recite.lines.len() as f64;
    for (n, message) in (1..).zip(recite.lines) {
        cx.clock().sleep(Duration::from_millis(200)).await;
        let output = cx.call("echo", Arguments::from_value(&Echo { message })?).await?;
        said.extend(output.first_text().map(str::to_owned));
        cx.progress(Progress::new(f64::from(n)).of(all));
    }
    Ok(said.join("\n"))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder("progress", "1.0.0")
        .tool(tool_fn("echo", "Says what it is told.", echo).read_only())
        .tool(tool_fn("recite", "Says several lines, slowly.", recite).read_only())
        .build()?;
    let endpoint = Endpoint::new(server);
    let port = std::env::var("PORT").map_or(Ok(8000), |port| port.parse())?;
    HttpServer::new(move || App::new().service(web::scope("/mcp").configure(mcp_http::mount(endpoint.clone()))))
        .tcp_nodelay(true)
        .h1_allow_half_closed(false)
        .bind(("127.0.0.1", port))?
        .run()
        .await?;
    Ok(())
}
