//! hello.rs inside an app that exists: its routes, its state and its authentication stay as they are, and a tool uses them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorUnauthorized;
use actix_web::http::header::HeaderValue;
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpMessage, HttpServer, Responder, web};
use mcp_core::{Caller, Context, Endpoint, Server, ToolError, tool_with};
use schemars::JsonSchema;
use serde::Deserialize;

/// The app's own state: what is on the shelf.
struct Shop {
    stock: Mutex<BTreeMap<String, u32>>,
}

impl Shop {
    fn take(&self, item: &str) -> Option<u32> {
        let mut stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        let left = stock.get_mut(item).filter(|left| **left > 0)?;
        *left -= 1;
        Some(*left)
    }
}

/// A route that the app had before.
async fn shelf(shop: web::Data<Shop>) -> impl Responder {
    web::Json(shop.stock.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

/// The authentication that the app had before, with one new line: it tells MCP who calls.
async fn signed_in(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let session = request.headers().get("x-session").map(HeaderValue::as_bytes);
    let Some((_, user)) = SESSIONS.iter().find(|(id, _)| session == Some(id.as_bytes())) else {
        return Err(ErrorUnauthorized("sign in first, and send your session in `X-Session`"));
    };
    request.extensions_mut().insert(Caller::new("shop", *user));
    next.call(request).await
}

/// Who is signed in, by session.
const SESSIONS: [(&str, &str); 2] = [("4f1d", "ada"), ("9c3e", "ben")];

#[derive(Deserialize, JsonSchema)]
struct Order {
    /// What to take from the shelf.
    item: String,
}

async fn order(shop: web::Data<Shop>, order: Order, cx: Context) -> Result<String, ToolError> {
    let left = shop.take(&order.item).ok_or_else(|| ToolError::failed(format!("there is no {} left", order.item)))?;
    Ok(format!("{} has the {}; {left} left", cx.caller().principal(), order.item))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shop = web::Data::new(Shop { stock: Mutex::new(BTreeMap::from([("lamp".to_owned(), 2)])) });
    let server =
        Server::builder("shop", "1.0.0").tool(tool_with("order", "Orders an item.", shop.clone(), order)).build()?;
    let endpoint = Endpoint::new(server);
    let port = std::env::var("PORT").map_or(Ok(8000), |port| port.parse())?;
    HttpServer::new(move || {
        App::new()
            .app_data(shop.clone())
            .route("/shelf", web::get().to(shelf))
            .service(web::scope("/mcp").configure(mcp_http::mount(endpoint.clone())))
            .wrap(from_fn(signed_in))
    })
    .tcp_nodelay(true)
    .h1_allow_half_closed(false)
    .bind(("127.0.0.1", port))?
    .run()
    .await?;
    Ok(())
}
