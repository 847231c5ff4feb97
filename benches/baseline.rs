//! The least that an echo over actix-web costs: JSON in and JSON out, and no protocol. `hello` is measured against it.

use actix_web::{App, HttpResponse, HttpServer, web};
use serde::Deserialize;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Deserialize)]
struct Request<'a> {
    id: u64,
    method: &'a str,
    params: Params<'a>,
}

#[derive(Deserialize)]
struct Params<'a> {
    name: &'a str,
    arguments: Echo,
}

#[derive(Deserialize)]
struct Echo {
    message: String,
}

async fn echo(body: web::Bytes) -> Result<HttpResponse, serde_json::Error> {
    let Request { id, method, params } = serde_json::from_slice(&body)?;
    if method != "tools/call" || params.name != "echo" {
        return Ok(HttpResponse::NotFound().finish());
    }
    let text = serde_json::to_string(&params.arguments.message)?;
    let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":{text}}}]}}}}"#);
    Ok(HttpResponse::Ok().content_type("application/json").body(answer))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::var("PORT")?.parse()?;
    let server = HttpServer::new(|| App::new().route("/mcp", web::post().to(echo)));
    server.workers(1).tcp_nodelay(true).h1_allow_half_closed(false).bind(("127.0.0.1", port))?.run().await?;
    Ok(())
}
