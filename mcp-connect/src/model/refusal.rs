//! What a provider says in place of a reply, in the words of mcp-core.

use std::time::Duration;

use mcp_core::ModelError;
use serde_json::Value;

use crate::refused::short;

/// An answer whose status is not 200.
pub(super) struct Refusal<'a> {
    pub(super) status: u16,
    /// The header `Retry-After`, or `retry-after-ms` with its unit behind it.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: &'a [u8],
    /// What must not be told.
    pub(super) key: Option<&'a str>,
}

impl Refusal<'_> {
    pub(super) fn error(&self) -> ModelError {
        let parsed: Value = serde_json::from_slice(self.body).unwrap_or_default();
        let text = text_of(&parsed).unwrap_or_else(|| String::from_utf8_lossy(self.body).into_owned());
        let said = match short(&text, self.key) {
            text if text.is_empty() => format!("it answered {}", self.status),
            text => format!("it answered {}: {text}", self.status),
        };
        of(self.status, &code_of(&parsed), &text, said, self.retry_after)
    }
}

/// An error that a provider tells of in the middle of a stream.
pub(super) fn in_stream(error: &Value) -> ModelError {
    let (code, text) = (code_of(error), text_of(error).unwrap_or_default());
    let status = match code.as_str() {
        code if code.contains("overloaded") || code.contains("unavailable") => 503,
        code if code.contains("rate_limit") || code.contains("throttling") || code == "resource_exhausted" => 429,
        code if code.contains("auth") || code.contains("permission") || code.contains("accessdenied") => 401,
        code if code.contains("invalid") || code.contains("validation") || code.contains("not_found") => 400,
        _ => error
            .pointer("/error/code")
            .and_then(Value::as_u64)
            .and_then(|code| u16::try_from(code).ok())
            .unwrap_or(500),
    };
    let said = short(&text, None);
    of(status, &code, &text, if said.is_empty() { code.clone() } else { said }, None)
}

fn of(status: u16, code: &str, text: &str, message: String, retry_after: Option<Duration>) -> ModelError {
    let said = format!("{code} {text}").to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match status {
        // What is said with these may quote the key.
        401 | 403 => ModelError::Unauthorized {
            message: format!("it answered {status}; look at the key, and at what it may do"),
        },
        300..=399 => ModelError::BadRequest {
            message: format!(
                "it answered {status}, and a redirect is not followed with a key; configure where it leads"
            ),
        },
        402 => ModelError::OverBudget { message, retry_after: None },
        429 if says(&["insufficient_quota", "billing"]) => ModelError::OverBudget { message, retry_after: None },
        429 => ModelError::RateLimited { message, retry_after },
        413 => ModelError::ContextLengthExceeded { message },
        408 | 500.. => ModelError::Unavailable { message, retry_after },
        _ if says(&TOO_LONG) => ModelError::ContextLengthExceeded { message },
        _ if says(&["content_filter", "content_policy", "content management policy"]) => {
            ModelError::Refused { message }
        }
        _ => ModelError::BadRequest { message },
    }
}

/// How providers say that a conversation is too long.
const TOO_LONG: [&str; 9] = [
    "context_length",
    "context length",
    "context window",
    "context size",
    "maximum context",
    "prompt is too long",
    "input is too long",
    "input token count",
    "too many tokens",
];

/// The words, wherever a provider puts them.
fn text_of(body: &Value) -> Option<String> {
    let places = ["/error/message", "/message", "/Message", "/error", "/detail", "/0/error/message"];
    places.iter().find_map(|place| body.pointer(place)?.as_str().map(str::to_owned))
}

/// The word by which programs know it.
fn code_of(body: &Value) -> String {
    let places = ["/error/code", "/error/type", "/error/status", "/code", "/type", "/__type"];
    let words = places.iter().filter_map(|place| body.pointer(place)?.as_str()).filter(|word| *word != "error");
    words.collect::<Vec<_>>().join(" ").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(status: u16, body: &Value) -> ModelError {
        let body = body.to_string();
        Refusal { status, retry_after: Some(Duration::from_secs(7)), body: body.as_bytes(), key: Some("sk-secret") }
            .error()
    }

    fn code(error: &ModelError) -> String {
        serde_json::to_value(error).unwrap()["code"].as_str().unwrap().to_owned()
    }

    #[test]
    fn each_refusal_is_the_error_that_it_means() {
        for (status, body, expected) in [
            (400, json!({"error": {"message": "no such thing", "type": "invalid_request_error"}}), "bad_request"),
            (400, json!({"error": {"code": "context_length_exceeded", "message": "..."}}), "context_length_exceeded"),
            (
                400,
                json!({"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens"}}),
                "context_length_exceeded",
            ),
            (
                400,
                json!({"error": {"status": "INVALID_ARGUMENT", "message": "The input token count (9) exceeds"}}),
                "context_length_exceeded",
            ),
            (400, json!({"message": "Input is too long for requested model."}), "context_length_exceeded"),
            (413, json!({}), "context_length_exceeded"),
            (400, json!({"error": {"code": "content_filter", "message": "no"}}), "refused"),
            (401, json!({"error": {"message": "Incorrect API key provided: sk-secret"}}), "unauthorized"),
            (403, json!({}), "unauthorized"),
            (402, json!({}), "over_budget"),
            (404, json!({"error": "model 'x' not found"}), "bad_request"),
            (307, json!({}), "bad_request"),
            (429, json!({"error": {"message": "slowly"}}), "rate_limited"),
            (429, json!({"error": {"code": "insufficient_quota"}}), "over_budget"),
            (500, json!({}), "unavailable"),
            (503, json!({}), "unavailable"),
            (
                529,
                json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
                "unavailable",
            ),
        ] {
            let error = refused(status, &body);
            assert_eq!(code(&error), expected, "{status} {body}");
            let waits = matches!(expected, "rate_limited" | "unavailable");
            assert_eq!(error.retry_after(), waits.then_some(Duration::from_secs(7)), "{status} {body}");
        }
    }

    #[test]
    fn an_error_on_a_stream_is_the_error_that_it_means() {
        for (error, expected) in [
            (json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}), "unavailable"),
            (json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "..."}}), "rate_limited"),
            (json!({"type": "error", "code": "rate_limit_exceeded", "message": "..."}), "rate_limited"),
            (
                json!({"error": {"type": "invalid_request_error", "message": "prompt is too long"}}),
                "context_length_exceeded",
            ),
            (json!({"__type": "validationException", "message": "bad"}), "bad_request"),
            (json!({"error": "something broke"}), "unavailable"),
            (json!(null), "unavailable"),
        ] {
            assert_eq!(code(&in_stream(&error)), expected, "{error}");
        }
    }

    #[test]
    fn no_key_is_told_and_nothing_of_any_length() {
        let error = refused(400, &json!({"error": {"message": format!("sk-secret is {}", "ü".repeat(9_000))}}));
        let told = error.to_string();
        assert!(!told.contains("sk-secret") && told.len() < 1_200, "{told}");
        let unauthorized = refused(401, &json!({"error": {"message": "Incorrect API key provided: sk-s***et"}}));
        assert!(!unauthorized.to_string().contains("sk-s"), "{unauthorized}");
    }
}
