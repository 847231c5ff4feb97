//! The first tool of the README.

use actix_web::{App, HttpServer, web};
use mcp_core::{Endpoint, Server, ToolError, tool_fn};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct Add {
    /// The first number.
    a: i64,
    /// The second number.
    b: i64,
}

async fn add(input: Add) -> Result<i64, ToolError> {
    input.a.checked_add(input.b).ok_or_else(|| ToolError::failed("the sum is too large"))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server =
        Server::builder("adder", "1.0.0").tool(tool_fn("add", "Adds two numbers.", add).read_only()).build()?;
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
