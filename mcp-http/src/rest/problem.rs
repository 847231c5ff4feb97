//! What goes wrong in REST: problem details (RFC 9457). The one place that maps core's errors to it.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use mcp_core::caller::desk::CallerError;
use mcp_core::endpoint::answer::Refusal;
use mcp_core::server::switches::SwitchError;
use mcp_core::store::StoreError;
use mcp_core::tool::error::KeyError;
use mcp_core::{CallError, IdempotencyKey, ToolError};
use schemars::JsonSchema;
use serde::Serialize;

/// A problem, and the headers that go with it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Problem {
    status: u16,
    /// What is wrong, and the mend.
    detail: String,
    /// Each fault of the arguments, with its place in them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    /// The call's id, under which the log has the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(skip)]
    extra: Vec<(&'static str, Cow<'static, str>)>,
    /// Whether it is that of an earlier call, which was sent under the same key.
    #[serde(skip)]
    replayed: bool,
}

/// A problem as it is sent (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Titled<'a> {
    title: &'static str,
    #[serde(flatten)]
    problem: &'a Problem,
}

/// One thing that is wrong with the arguments.
#[derive(Debug, Serialize, JsonSchema)]
struct Fault {
    /// Where, as a JSON pointer (RFC 6901) into the arguments; empty for the whole.
    pointer: String,
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: u16, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            errors: Vec::new(),
            instance: None,
            extra: Vec::from_iter((status == 503).then_some(("retry-after", "1".into()))),
            replayed: false,
        }
    }

    /// Something has broken inside, under the id of its request.
    pub(crate) fn broken(request: &str) -> Self {
        let detail = "something broke inside; the log has the cause under the id of the request";
        Self { instance: Some(format!("urn:request:{request}")), ..Self::new(500, detail) }
    }

    /// With these headers as well.
    pub(super) fn with(mut self, headers: Vec<(&'static str, String)>) -> Self {
        self.extra.extend(headers.into_iter().map(|(name, value)| (name, value.into())));
        self
    }

    /// As it is sent.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let title = self.status_code().canonical_reason().unwrap_or_default();
        serde_json::to_vec(&Titled { title, problem: self }).unwrap_or_default()
    }

    pub(super) fn not_allowed(allowed: &str) -> Self {
        let problem = Self::new(405, format!("this route takes {allowed}"));
        Self { extra: vec![("allow", allowed.to_owned().into())], ..problem }
    }

    pub(super) fn not_acceptable() -> Self {
        Self::new(406, "answers are `application/json`, `application/xml` or `text/xml`; name one of them in `Accept`")
    }

    pub(super) fn out_of_range(size: u64) -> Self {
        let problem = Self::new(416, format!("the file has {size} bytes, and none of those that `Range` names"));
        Self { extra: vec![("content-range", format!("bytes */{size}").into())], ..problem }
    }

    pub(super) fn bad_path(error: &dyn fmt::Display) -> Self {
        Self::new(400, format!("the path cannot be read: {error}"))
    }

    pub(super) fn bad_query(error: &dyn fmt::Display) -> Self {
        Self::new(400, error.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let challenge = refusal.challenge.map(|challenge| ("www-authenticate", challenge));
        let mut problem = Self::new(refusal.status, refusal.message);
        problem.extra.extend(challenge);
        problem
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "a store did not answer");
        match error {
            StoreError::Unavailable { .. } => Self::new(503, error.to_string()),
            _ => Self::new(500, error.to_string()),
        }
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let detail = error.to_string();
        let (id, error, replayed) = match error {
            CallError::Tool { id, error, replayed } => (id, error, replayed),
            // Where it can be, it is told by `Endpoint::insufficient_scope`, which knows more.
            CallError::Forbidden(_) => return Self::new(403, detail),
            CallError::Refused(_) => return Self::new(422, detail),
            CallError::Busy(_) => return Self::new(503, detail),
            CallError::TooMany(_) => return Self::new(429, detail),
            _ => return Self::new(404, detail),
        };
        let status = match error {
            ToolError::Arguments(faults) => {
                let errors = faults.into_iter().map(|fault| Fault { pointer: fault.pointer, detail: fault.detail });
                return Self { errors: errors.collect(), ..Self::new(422, detail) };
            }
            ToolError::Limited(limited) => {
                let extra = vec![("retry-after", limited.seconds().to_string().into())];
                let instance = Some(format!("urn:uuid:{id}"));
                return Self { extra, instance, ..Self::new(limited.by.status(), detail) };
            }
            ToolError::TimedOut(_) => 504,
            ToolError::Key(KeyError::Reused) => 422,
            ToolError::Cancelled | ToolError::Unavailable(_) | ToolError::Key(KeyError::StillRunning) => 503,
            _ => 500,
        };
        Self { instance: Some(format!("urn:uuid:{id}")), replayed, ..Self::new(status, detail) }
    }
}

impl From<SwitchError> for Problem {
    fn from(error: SwitchError) -> Self {
        match error {
            SwitchError::Unknown(error) => error.into(),
            SwitchError::Store(error) => error.into(),
            _ => Self::new(403, error.to_string()),
        }
    }
}

impl From<CallerError> for Problem {
    fn from(error: CallerError) -> Self {
        let status = match error {
            CallerError::Store(error) => return error.into(),
            CallerError::Forbidden(_) => 403,
            CallerError::UnknownUser | CallerError::UnknownKey => 404,
            CallerError::UserExists | CallerError::KeyEnded | CallerError::TooManyKeys => 409,
            CallerError::Invalid { .. } => 422,
            _ => 500,
        };
        Self::new(status, error.to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        for (name, value) in &self.extra {
            response.insert_header((*name, value.as_ref()));
        }
        if self.replayed {
            response.insert_header((IdempotencyKey::REPLAYED_HEADER, "true"));
        }
        response.content_type("application/problem+json").body(self.to_json())
    }
}

impl Responder for Problem {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}
