//! The server of `examples/hello.rs`, with one worker.

use actix_web::{App, HttpServer, web};
use mcp_core::{Endpoint, Server, ToolError, tool_fn};
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

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server =
        Server::builder("hello", "1.0.0").tool(tool_fn("echo", "Says what it is told.", echo).read_only()).build()?;
    let endpoint = Endpoint::new(server);
    let port = std::env::var("PORT")?.parse()?;
    HttpServer::new(move || App::new().service(web::scope("/mcp").configure(mcp_http::mount(endpoint.clone()))))
        .workers(1)
        .tcp_nodelay(true)
        .h1_allow_half_closed(false)
        .bind(("127.0.0.1", port))?
        .run()
        .await?;
    Ok(())
}
