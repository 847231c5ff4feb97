//! The spans that tell a trace what happened, with the names of OpenTelemetry's conventions for MCP and generative AI. They hold no
//! argument and no result, and cost nothing where nobody follows [`TARGET`].

use tracing::field::Empty;
use tracing::{Instrument, Level, Span};

use crate::jsonrpc::reader::Raw;
use crate::jsonrpc::{self, Request};
use crate::protocol::encoding::Outcome;
use crate::protocol::errors::{self, RpcError};

/// The target of spans that are for traces alone, and not for the log. Their fields `otel.name` and `otel.kind` (`server`, `client`,
/// else internal) say what a trace calls them, `error.type` that they have failed, and `traceparent` and `tracestate` (W3C Trace
/// Context) to what they belong, if to something elsewhere; the others are their attributes.
pub const TARGET: &str = "otel";

/// The span that `make` makes, where somebody follows [`TARGET`]; else none, and nothing is done for it.
pub fn followed(make: impl FnOnce() -> Span) -> Span {
    // By itself, `tracing` asks for what would be in a span as long as a line of `log` might be made of it.
    if tracing::span_enabled!(target: TARGET, Level::INFO) { make() } else { Span::none() }
}

/// In which a request of the protocol is done. Where it says in `_meta` to which trace it belongs, it belongs there.
pub(crate) fn operation(request: &Request<'_>) -> Span {
    followed(|| {
        let meta = request.params.meta.as_ref();
        tracing::info_span!(
            target: TARGET,
            "operation",
            "otel.kind" = "server",
            "otel.name" = method(request),
            "mcp.method.name" = method(request),
            "gen_ai.operation.name" = (request.method == "tools/call").then_some("execute_tool"),
            "gen_ai.tool.name" = Empty,
            "gen_ai.prompt.name" = Empty,
            "error.type" = Empty,
            "traceparent" = meta.and_then(|meta| short(meta.traceparent)),
            "tracestate" = meta.and_then(|meta| short(meta.tracestate)),
        )
    })
}

/// In which a tool is called that nobody has asked for by the protocol.
pub(crate) fn execute_tool(tool: &str) -> Span {
    followed(|| {
        tracing::info_span!(
            target: TARGET,
            "execute_tool",
            "gen_ai.operation.name" = "execute_tool",
            "gen_ai.tool.name" = tool,
            "error.type" = Empty,
        )
    })
}

/// Says in the span of a request that what it names is there.
pub(crate) fn found(operation: &Span, request: &Request<'_>) {
    let field = match &*request.method {
        "tools/call" => "gen_ai.tool.name",
        "prompts/get" => "gen_ai.prompt.name",
        _ => return,
    };
    if let Some(name) = request.params.name.and_then(Raw::string) {
        operation.record("otel.name", format!("{} {name}", request.method));
        operation.record(field, &*name);
    }
}

/// Does something in a span, which is told by what it fails if it does.
pub(crate) async fn within<T: Outcome>(span: Span, run: impl Future<Output = T>) -> T {
    if span.is_disabled() {
        return run.await;
    }
    let ended = run.instrument(span.clone()).await;
    if let Some(fault) = ended.fault() {
        failed(&span, fault);
    }
    ended
}

/// Says that what is done in a span has failed, and by what.
pub(crate) fn failed(span: &Span, fault: &str) {
    span.record("error.type", fault);
}

/// The word for an error of the protocol.
pub(crate) fn fault_of(error: &RpcError) -> &'static str {
    match error.code {
        jsonrpc::PARSE_ERROR => "-32700",
        jsonrpc::INVALID_REQUEST => "-32600",
        jsonrpc::METHOD_NOT_FOUND => "-32601",
        jsonrpc::INVALID_PARAMS => "-32602",
        jsonrpc::INTERNAL_ERROR => "-32603",
        errors::HEADER_MISMATCH => "-32020",
        errors::MISSING_CAPABILITY => "-32021",
        errors::UNSUPPORTED_VERSION => "-32022",
        errors::RESOURCE_NOT_FOUND => "-32002",
        _ => "_OTHER",
    }
}

/// A method that a client may name as it likes, as far as it may be one.
fn method<'a>(request: &'a Request<'_>) -> &'a str {
    let is_one = |name: &str| name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'/');
    if is_one(&request.method) { &request.method } else { "other" }
}

/// What is written there, if it is no longer than what is known of traces may be (W3C Trace Context, section 3.3.1.5).
fn short(text: Option<Raw<'_>>) -> Option<String> {
    text.and_then(Raw::string).filter(|text| text.len() <= 512).map(|text| text.into_owned())
}
