//! MCP in an actix app.

use actix_web::web;
use mcp_core::Endpoint;

use crate::exchange;

/// By this name an app knows where it is.
pub(crate) const NAME: &str = "mcp_http::mcp";

/// Serves `endpoint` at the root of a scope: `web::scope("/mcp").configure(mount(endpoint))`.
///
/// Where a middleware has put a [`Caller`](mcp_core::Caller) into the request's extensions, it is the one who calls; otherwise
/// the endpoint finds out.
///
/// Set two things on the `HttpServer`: `.tcp_nodelay(true)`, or the first event of a stream may come 40 ms late, and
/// `.h1_allow_half_closed(false)`, or a client that leaves is not noticed until its call has ended.
pub fn mount(endpoint: Endpoint) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        let resource = |path: &str| web::resource(path).app_data(web::Data::new(endpoint.clone())).to(exchange::mcp);
        config.service(resource("").name(NAME)).service(resource("/"));
    }
}
