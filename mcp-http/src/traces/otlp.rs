//! The JSON of OTLP (opentelemetry-proto, `ExportTraceServiceRequest`).

use serde_json::{Value, json};

use super::layer::Ended;

/// Who makes the spans.
pub(super) fn resource(service: &str, more: &[(String, String)]) -> Value {
    let own =
        [("service.name", service), ("service.version", env!("CARGO_PKG_VERSION")), ("telemetry.sdk.language", "rust")];
    let more = more.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let attributes: Vec<_> = own.into_iter().chain(more).map(|(name, text)| attribute(name, &text.into())).collect();
    json!({"attributes": attributes})
}

/// What is sent.
pub(super) fn request(resource: &Value, spans: &[Ended]) -> Value {
    let spans: Vec<_> = spans.iter().map(span).collect();
    let scope = json!({"name": "mcp-http", "version": env!("CARGO_PKG_VERSION")});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]})
}

/// What says best of what a span is, beside its word.
const TARGETS: [&str; 3] = ["gen_ai.tool.name", "gen_ai.request.model", "gen_ai.agent.name"];

fn span(span: &Ended) -> Value {
    let fields = &span.fields;
    let target = || TARGETS.iter().find_map(|name| fields.text(name));
    let name = fields.name.clone().unwrap_or_else(|| match target() {
        Some(target) => format!("{} {target}", span.word),
        None => span.word.to_owned(),
    });
    let kind = match fields.kind.as_deref() {
        Some("server") => 2,
        Some("client") => 3,
        None if fields.text("gen_ai.operation.name") == Some("chat") => 3,
        _ => 1,
    };
    let began = i128::from(span.began.as_micros()) * 1_000;
    let ended = began + i128::try_from(span.took.as_nanos()).unwrap_or_default();
    let attributes: Vec<_> = fields.attributes.iter().map(|(name, value)| attribute(name, value)).collect();
    let mut json = json!({
        "traceId": format!("{:032x}", span.place.trace),
        "spanId": format!("{:016x}", span.place.span),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": began.to_string(),
        "endTimeUnixNano": ended.to_string(),
        "attributes": attributes,
    });
    if let Some(parent) = span.parent {
        json["parentSpanId"] = format!("{parent:016x}").into();
    }
    if let Some(state) = &fields.tracestate {
        json["traceState"] = state.as_str().into();
    }
    if let Some(link) = span.link {
        json["links"] = json!([{"traceId": format!("{:032x}", link.trace), "spanId": format!("{:016x}", link.span)}]);
    }
    if fields.text("error.type").is_some() {
        json["status"] = json!({"code": 2});
    }
    json
}

fn attribute(name: &str, value: &Value) -> Value {
    let value = match value {
        Value::Bool(yes) => json!({"boolValue": yes}),
        Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::String(text) => json!({"stringValue": text}),
        other => json!({"stringValue": other.to_string()}),
    };
    json!({"key": name, "value": value})
}
