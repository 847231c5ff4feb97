//! The official SDK on actix-web, by the crate rmcp-actix-web: no sessions, answers as JSON.

use std::sync::Arc;

use actix_web::{App, HttpServer, web};
use peers::Echo;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp_actix_web::transport::StreamableHttpService;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::var("PORT")?.parse()?;
    let echo = Echo::new();
    let service = StreamableHttpService::builder()
        .service_factory(Arc::new(move || Ok(echo.clone())))
        .session_manager(Arc::new(LocalSessionManager::default()))
        .stateful_mode(false)
        .json_response(true)
        .build();
    HttpServer::new(move || App::new().service(web::scope("/mcp").service(service.clone().scope())))
        .workers(1)
        .tcp_nodelay(true)
        .h1_allow_half_closed(false)
        .bind(("127.0.0.1", port))?
        .run()
        .await?;
    Ok(())
}
