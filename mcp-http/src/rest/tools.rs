//! `/tools`: what is offered.

use actix_web::{HttpResponse, web};
use mcp_core::Endpoint;
use mcp_core::catalog::Offered;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::{Admitted, Sent, encoded, json};

/// Which page of a list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many at the most: 1000 unless told otherwise.
    limit: Option<usize>,
    /// `false`: those that are switched off, all of them at once.
    #[serde(default = "enabled")]
    enabled: bool,
}

fn enabled() -> bool {
    true
}

/// Whether a tool is offered.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    /// `false` switches it off: it is neither listed nor found, on any replica, until it is switched on again.
    enabled: bool,
}

const MAX_PAGE: usize = 1000;

/// The tools on offer.
pub(super) async fn list(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    page: web::Query<Page>,
) -> Result<HttpResponse, Problem> {
    let limit = page.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let catalog = endpoint.server().tools().seen_by(&caller);
    let page =
        if page.enabled { catalog.page(page.after.as_deref(), limit) } else { Some((catalog.list_off(), false)) };
    let (tools, more) = page.ok_or_else(|| Problem::new(400, "`after` names no tool; leave it out to begin again"))?;
    let mut body = b"{\"tools\":[".to_vec();
    for (n, tool) in tools.iter().enumerate() {
        if n > 0 {
            body.push(b',');
        }
        body.extend_from_slice(tool.json());
    }
    body.push(b']');
    if let Some(last) = tools.last().filter(|_| more) {
        // A tool's name needs no escaping.
        body.extend_from_slice(format!(",\"next\":\"{}\"", last.spec().name()).as_bytes());
    }
    body.push(b'}');
    Ok(json(body))
}

/// One tool.
pub(super) async fn show(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    Ok(json(endpoint.server().see_tool(&caller, &name)?.json().clone()))
}

/// Switches a tool off, or on again.
pub(super) async fn switch(
    Sent(caller, body): Sent,
    endpoint: web::Data<Endpoint>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let unreadable = |error| Problem::new(422, format!("the body is not {{\"enabled\": true}} or false: {error}"));
    let switch: Switch = serde_json::from_slice(&body).map_err(unreadable)?;
    endpoint.server().switch_tool(&caller, &name, switch.enabled).await?;
    encoded(&switch)
}
