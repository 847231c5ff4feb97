//! A server that has one of everything: what the official conformance suite calls, and by what names, written against the public
//! API alone. `scripts/conformance` runs it, and so does `scripts/clients`.
//!
//! `SERVED_BY` chooses what it is served by: `actix` (if nothing is said), `axum`, or `bundled`, the bundled server with its
//! configuration and storage; with `stdio` that one serves the client at the standard streams.

mod everything {
    pub mod asking;
    pub mod contents;
    pub mod prompts;
    pub mod resources;
    pub mod schemas;
    pub mod speaking;
    pub mod tasks;
    pub mod waiting;
}
#[path = "host_axum.rs"]
#[expect(dead_code, reason = "its own main")]
mod host_axum;

use actix_web::{App, HttpServer, web};
use everything::{asking, contents, prompts, resources, schemas, speaking, tasks, waiting};
use mcp_core::run::WorkersConfig;
use mcp_core::{Endpoint, Server, ServerBuilder};
use mcp_http::Config;
use tokio::net::TcpListener;

/// A picture of one pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";

fn add(builder: ServerBuilder) -> ServerBuilder {
    let builder = builder.instructions("Has one of everything.");
    let parts: [fn(ServerBuilder) -> ServerBuilder; 8] = [
        contents::add,
        speaking::add,
        waiting::add,
        schemas::add,
        asking::add,
        tasks::add,
        resources::add,
        prompts::add,
    ];
    parts.into_iter().fold(builder, |builder, add| add(builder))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let served_by = std::env::var("SERVED_BY").unwrap_or_default();
    if ["bundled", "stdio"].contains(&&*served_by) {
        let bundled = mcp_http::bundled(Config::load()?).await?.server(add);
        if served_by == "stdio" {
            bundled.run_stdio().await?
        } else {
            bundled.run().await?
        }
        return Ok(());
    }
    let server = add(Server::builder("everything", "1.0.0")).build()?;
    // They do what becomes a task.
    server.start_workers(WorkersConfig::default());
    let endpoint = Endpoint::new(server);
    let port = std::env::var("PORT").map_or(Ok(8000), |port| port.parse())?;
    if served_by == "axum" {
        host_axum::serve(TcpListener::bind(("127.0.0.1", port)).await?, endpoint).await?;
        return Ok(());
    }
    HttpServer::new(move || App::new().service(web::scope("/mcp").configure(mcp_http::mount(endpoint.clone()))))
        .tcp_nodelay(true)
        .h1_allow_half_closed(false)
        .workers(2)
        .bind(("127.0.0.1", port))?
        .run()
        .await?;
    Ok(())
}
