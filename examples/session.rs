//! hello.rs with a tool that comes back to something: a cart, whose handle goes through the hands of the model.

use actix_web::{App, HttpServer, web};
use mcp_core::{Context, Endpoint, Server, Session, ToolError, tool_fn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is kept between two calls.
#[derive(Default, Serialize, Deserialize)]
struct Cart {
    items: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Put {
    /// What to put into the cart.
    item: String,
    /// The cart that an earlier call gave; without it a new one is begun.
    cart: Option<String>,
}

/// Nobody but the caller finds anything under the handle. Two calls that change a cart at once do not lose what either did: one of
/// them is told to try again.
async fn put(put: Put, cx: Context) -> Result<String, ToolError> {
    let mut cart: Session<Cart> = cx.session(put.cart.as_deref()).await?;
    cart.items.push(put.item);
    let handle = cart.save().await?;
    Ok(format!("In cart {handle}: {}", cart.items.join(", ")))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder("session", "1.0.0")
        .tool(tool_fn("cart.put", "Puts something into a cart.", put).destructive(false))
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
