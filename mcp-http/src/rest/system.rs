//! `/system`: what this server is, and what of it there is for whoever asks.

use actix_web::{HttpRequest, HttpResponse, web};
use mcp_core::endpoint::head::{Head, Header};
use mcp_core::{Caller, Endpoint};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;

use super::problem::Problem;
use super::route::{Forms, Route, Table};
use super::{Admitted, encoded};
use crate::exchange::ActixHead;
use crate::mount;

/// The route.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::rest::system",
    about: "System",
    open: false,
    forms: Forms::Two,
    routes: &[Route::get(
        "/system",
        "showSystem",
        "What this server is, where MCP is spoken, and which parts of it there are for the caller",
        |route| route.to(show),
        &[(200, SchemaGenerator::subschema_for::<System>)],
        &[],
    )],
};

/// What this server is.
#[derive(Serialize, JsonSchema)]
struct System {
    name: String,
    version: String,
    /// Who asks.
    caller: String,
    /// Where MCP is spoken: a URL, or a path of this host; absent where it is not, or is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    mcp: Option<String>,
    /// Which parts of it there are for the caller.
    parts: Vec<Part>,
    /// Whether the caller has come without a key.
    is_open: bool,
    /// Whether this replica has been spoken to by MCP since it began.
    is_connected: bool,
}

/// A part of a server.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "SystemPart")]
enum Part {
    /// Agents are on offer.
    Agents,
    /// Whether it is well, and what fires.
    Monitoring,
    /// What operators do: tools are switched, and all under `/system` is shown.
    Operating,
}

async fn show(
    Admitted(caller): Admitted,
    request: HttpRequest,
    endpoint: web::Data<Endpoint>,
) -> Result<HttpResponse, Problem> {
    let server = endpoint.server();
    let head = ActixHead::of(&request);
    let brings = |name| head.header(name) != Header::Absent;
    let here = || request.url_for_static(mount::NAME).ok().map(|url| url.path().to_owned());
    encoded(&System {
        name: server.name().to_owned(),
        version: server.version().to_owned(),
        caller: caller.principal().to_string(),
        mcp: endpoint.resource().map(|resource| resource.url().to_owned()).or_else(here),
        parts: parts(&caller, &request, &endpoint),
        is_open: !brings("authorization") && !brings("x-api-key") && server.browsers().key(&head).is_none(),
        is_connected: !server.operations().is_empty(),
    })
}

fn parts(caller: &Caller, request: &HttpRequest, endpoint: &Endpoint) -> Vec<Part> {
    let is_mounted = |name| request.url_for_static(name).is_ok();
    let mut parts = Vec::new();
    if !endpoint.server().agents().list().is_empty() {
        parts.push(Part::Agents);
    }
    if caller.may_monitor() && is_mounted("mcp_http::alert") {
        parts.push(Part::Monitoring);
    }
    if caller.has_role(Caller::OPERATOR) && is_mounted("mcp_http::system") {
        parts.push(Part::Operating);
    }
    parts
}
