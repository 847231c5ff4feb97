//! `/calls`: what was called, by whom, and how it ended.

use actix_web::{HttpResponse, web};
use mcp_core::Endpoint;
use mcp_core::clock::Timestamp;
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::{CallId, CallRecord, Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::page::PageSize;
use super::problem::Problem;
use super::query::parse;
use super::stats::millis;
use super::{Admitted, encoded};

/// Which calls to show.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// The tool's name.
    tool: Option<String>,
    /// The principal who called; only an administrator sees others than the own.
    caller: Option<String>,
    /// How the call ended.
    #[schemars(with = "Option<Outcome>")]
    outcome: Option<String>,
    /// Not before this time (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    from: Option<String>,
    /// Before this time (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    to: Option<String>,
    /// The `next` of the page before.
    #[schemars(extend("format" = "uuid"))]
    before: Option<String>,
    /// How many at the most: 50 unless told otherwise, and never more than 500.
    limit: Option<u16>,
}

/// A page of recorded calls, the newest first.
#[derive(Serialize, JsonSchema)]
pub(super) struct Calls {
    calls: Vec<Call>,
    /// The `before` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A recorded call.
#[derive(Serialize, JsonSchema)]
pub(super) struct Call {
    tool: String,
    /// The principal who called.
    caller: String,
    #[schemars(with = "Outcome")]
    outcome: &'static str,
    /// When it began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Timestamp,
    duration_ms: f64,
    /// How much of that it waited: to be let in, to be tried again, or for answers of its client.
    waited_ms: f64,
    /// As they came.
    #[schemars(with = "Value")]
    arguments: Option<Box<RawValue>>,
    /// The result or the error.
    #[schemars(with = "Value")]
    result: Option<Box<RawValue>>,
    /// The address that it came from, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    id: String,
    /// The call that made this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
}

/// Recorded calls, the newest first: an administrator sees all of the tenant's, others their own.
pub(super) async fn list(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    filter: web::Query<Filter>,
) -> Result<HttpResponse, Problem> {
    let filter = filter.into_inner();
    let size = PageSize::of(filter.limit);
    let query = CallQuery {
        principal: filter.caller.map(Into::into),
        tool: filter.tool,
        outcome: parse::<Outcome>("outcome", filter.outcome)?,
        from: parse::<Timestamp>("from", filter.from)?,
        to: parse::<Timestamp>("to", filter.to)?,
        before: parse::<CallId>("before", filter.before)?,
        limit: size.and_one(),
    };
    let found = endpoint.server().calls(&caller, query).await?;
    let (calls, next) = size.cut(found, |call| call.id.to_string());
    encoded(&Calls { calls: calls.into_iter().map(Call::from).collect(), next })
}

/// One recorded call.
pub(super) async fn show(
    Admitted(caller): Admitted,
    endpoint: web::Data<Endpoint>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let nothing = || Problem::new(404, "you have no such call");
    let id = id.parse::<CallId>().map_err(|_| nothing())?;
    let call = endpoint.server().recorded_call(&caller, id).await?.ok_or_else(nothing)?;
    encoded(&Call::from(call))
}

impl From<CallRecord> for Call {
    fn from(call: CallRecord) -> Self {
        Self {
            id: call.id.to_string(),
            parent: call.parent.map(|parent| parent.to_string()),
            caller: call.principal.to_string(),
            address: call.address.map(|address| address.to_string()),
            tool: call.tool,
            arguments: raw(&call.arguments),
            outcome: call.outcome.as_str(),
            result: raw(&call.result),
            at: call.at,
            duration_ms: millis(call.duration),
            waited_ms: millis(call.waited),
        }
    }
}

/// Stored JSON as it was stored.
fn raw(json: &[u8]) -> Option<Box<RawValue>> {
    serde_json::from_slice(json).ok()
}
