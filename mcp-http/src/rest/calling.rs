//! `/tools/{name}/call` and `/answer`: calling a tool.

use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use mcp_core::endpoint::answer::{Answer, Body};
use mcp_core::endpoint::head::Head;
use mcp_core::server::open_call::{Next, OpenCall, Said, ToolCall};
use mcp_core::tool::error::KeyError;
use mcp_core::{Arguments, CallError, Caller, Endpoint, IdempotencyKey, ToolError, ToolOutput};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::problem::Problem;
use super::representation::wants_events;
use super::route::{Forms, Route, Table};
use super::{Sent, json, schema};
use crate::exchange::{self, ActixHead};

/// The operation that calls a tool, of which the OpenAPI document has one for each tool.
pub(crate) const CALL_TOOL: &str = "callTool";

/// The operation that goes on with such a call.
pub(crate) const ANSWER_TOOL: &str = "answerTool";

/// The routes.
pub(crate) static TABLE: Table = Table {
    name: "mcp_http::rest::calling",
    about: "REST",
    open: false,
    forms: Forms::TwoAndEvents(EVENTS),
    routes: &[
        Route {
            method: Method::POST,
            path: "/tools/{name}/call",
            to: |route| route.to(call),
            id: CALL_TOOL,
            about: "Calls a tool",
            segments: &[("name", "The tool's name.")],
            query: None,
            body: Some(SchemaGenerator::subschema_for::<schema::Arguments>),
            answers: &[(200, SchemaGenerator::subschema_for::<schema::CallResult>)],
            problems: PROBLEMS,
        },
        Route {
            method: Method::POST,
            path: "/tools/{name}/answer",
            to: |route| route.to(answer),
            id: ANSWER_TOOL,
            about: "Goes on with a call that was answered with `inputRequests`",
            segments: &[("name", "The tool's name.")],
            query: None,
            body: Some(SchemaGenerator::subschema_for::<Answered>),
            answers: &[(200, SchemaGenerator::subschema_for::<schema::CallResult>)],
            problems: PROBLEMS,
        },
    ],
};

/// What comes in a stream of events.
const EVENTS: &str = "Events `progress` and `log`, as the tool says them; then `result` or `problem`, and the end.";

const PROBLEMS: &[u16] = &[400, 403, 404, 408, 413, 422, 429, 503, 504];

/// How often a stream says that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A call that has asked, and the answers.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Answered {
    /// The arguments of the call, as before.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    arguments: Option<Box<RawValue>>,
    /// An answer for each key of `inputRequests` (basic/patterns/mrtr).
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    input_responses: Box<RawValue>,
    /// The `requestState` that came with them.
    request_state: Option<String>,
}

/// Calls a tool; under a key, once, however often it is sent. What the tool itself says, also that it failed, is a result; what keeps it from being called is a problem.
async fn call(
    Sent(caller, body): Sent,
    request: HttpRequest,
    endpoint: web::Data<Endpoint>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    perform(caller, &request, &endpoint, ToolCall::new(name.into_inner(), arguments(body)?)).await
}

/// Goes on with a call that has asked.
async fn answer(
    Sent(caller, body): Sent,
    request: HttpRequest,
    endpoint: web::Data<Endpoint>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let unreadable = |error| Problem::new(422, format!("the body holds no answers: {error}"));
    let answered: Answered = serde_json::from_slice(&body).map_err(unreadable)?;
    let text = |raw: Box<RawValue>| Bytes::from(String::from(Box::<str>::from(raw)));
    let call = ToolCall::new(name.into_inner(), arguments(answered.arguments.map(text).unwrap_or_default())?);
    perform(caller, &request, &endpoint, call.answering(text(answered.input_responses), answered.request_state)).await
}

fn arguments(body: Bytes) -> Result<Arguments, Problem> {
    if body.is_empty() {
        return Ok(Arguments::none());
    }
    Arguments::from_json(body).map_err(|error| Problem::new(400, error.to_string()))
}

async fn perform(
    caller: Caller,
    request: &HttpRequest,
    endpoint: &Endpoint,
    call: ToolCall,
) -> Result<HttpResponse, Problem> {
    let key = IdempotencyKey::from_header(ActixHead::of(request).header(IdempotencyKey::HEADER))
        .map_err(|bad| Problem::new(400, format!("`Idempotency-Key`: {bad}")))?;
    let call = call.under(key);
    let open = |call: &ToolCall| {
        endpoint.server().open_call(caller, call).map_err(|error| match error {
            CallError::Forbidden(lacking) => endpoint.insufficient_scope(&lacking).into(),
            error => Problem::from(error),
        })
    };
    if wants_events(request) {
        let open = open(&call.listening())?;
        return Ok(exchange::respond(Answer::events(Body::Stream(events(open)))));
    }
    let mut open = open(&call)?;
    let called = open.end().await;
    let quotas = open.quotas().headers();
    let (body, replayed) = match ended(called) {
        Ok(ended) => ended,
        Err(problem) => return Err(problem.with(quotas)),
    };
    let mut response = json(body);
    for (name, value) in quotas {
        // Core's headers are names in lower case and visible ASCII.
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    if replayed {
        let name = HeaderName::from_static(IdempotencyKey::REPLAYED_HEADER);
        response.headers_mut().insert(name, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// What a call comes to, as JSON; and whether it is the answer of an earlier one.
fn ended(called: Result<ToolOutput, CallError>) -> Result<(Bytes, bool), Problem> {
    match called {
        Ok(output) => Ok((output.to_json(), output.is_replayed())),
        Err(CallError::Tool { error: ToolError::NeedsInput(required), .. }) => {
            let state = serde_json::Value::from(required.state());
            let requests = required.requests_json();
            let body =
                format!("{{\"resultType\":\"input_required\",\"inputRequests\":{requests},\"requestState\":{state}}}");
            Ok((body.into(), false))
        }
        Err(CallError::Tool { error, replayed, .. }) if is_said_by_the_tool(&error) => {
            Ok((ToolOutput::text(error.to_string()).as_error().to_json(), replayed))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the client, and its model, are to see an error as a result.
fn is_said_by_the_tool(error: &ToolError) -> bool {
    matches!(
        error,
        ToolError::Failed(_)
            | ToolError::TooLarge { .. }
            | ToolError::Incapable(_)
            | ToolError::Key(KeyError::OutcomeUnknown)
    )
}

/// What the call says, and at the end its result or the problem. Dropped, it is a client that leaves.
fn events(open: OpenCall) -> stream::BoxStream<'static, Bytes> {
    let next = async |state: Option<OpenCall>| {
        let mut open = state?;
        let next = tokio::time::timeout(KEEP_ALIVE, open.next()).await.ok();
        Some(match next {
            Some(Next::Said(Said::Progress(progress))) => {
                (Answer::event("progress", progress.to_string().as_bytes()), Some(open))
            }
            Some(Next::Said(Said::Log(line))) => (Answer::event("log", line.to_string().as_bytes()), Some(open)),
            // That it is alive.
            Some(Next::Said(_)) | None => (Bytes::from_static(b":\n\n"), Some(open)),
            Some(Next::Ended(called)) => match ended(called) {
                Ok((result, _)) => (Answer::event("result", &result), None),
                Err(problem) => (Answer::event("problem", &problem.to_json()), None),
            },
        })
    };
    stream::unfold(Some(open), next).boxed()
}
