//! What is told of each request: an id in its response, a span around its lines in the log, a line at its end, and its counts.

pub(crate) mod correlation;

use std::any::Any;
use std::future::{Ready, ready};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::error::InternalError;
use actix_web::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use mcp_core::panicked::words;
use mcp_core::spans::{TARGET, followed};
use tracing::{Instrument, Span};

use crate::metrics::Metrics;
use crate::metrics::http::{HttpMeasures, Method, Route};
use crate::occupied::{Occupied, UnderWay};
use crate::rest::problem::Problem;
use correlation::{RequestIds, TraceParent, new_trace, trace_header};

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A middleware that follows each request to the end of its response:
/// `App::new().wrap(telemetry(&metrics)).configure(metrics.routes())`.
///
/// - The response has an `X-Request-Id`: that of the request, if it is a sound one, else a new one.
/// - What is logged on the way, also by a call that goes on when its client has left, is in a span `request` with the fields
///   `request_id`, `trace_id` (of a W3C `traceparent`), `caller`, `tool` and `call`, as far as they are known.
/// - At the end one line says `method`, `route` (the pattern, never the path or the query), `status` and `duration_ms`: at the level
///   debug, of a failure of the server (5xx) at info; but of a 503, of which there may be many at once, and whose cause is told of by
///   whoever found it, at debug.
/// - It is counted in `metrics`.
/// - Where its handling panics, it is answered 500, as a problem that names the id; the log has what the panic said.
///
/// It needs nothing that is global: without a subscriber, nothing is logged.
pub fn telemetry(metrics: &Metrics) -> Telemetry {
    Telemetry(Arc::new(Shared { http: metrics.http().clone(), ids: RequestIds::new() }))
}

/// See [`telemetry`].
#[derive(Clone)]
pub struct Telemetry(Arc<Shared>);

struct Shared {
    http: Arc<HttpMeasures>,
    ids: RequestIds,
}

impl<S, B> Transform<S, ServiceRequest> for Telemetry
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<FollowedBody>;
    type Error = Error;
    type Transform = FollowedService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(FollowedService { service, shared: self.0.clone() }))
    }
}

/// What [`Telemetry`] wraps.
pub struct FollowedService<S> {
    service: S,
    shared: Arc<Shared>,
}

impl<S, B> Service<ServiceRequest> for FollowedService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<FollowedBody>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let id = self.shared.ids.of(request.headers());
        let mut follow = Follow::begin(&self.shared, &request, &id);
        let span = follow.span.clone();
        let answer = span.in_scope(|| self.service.call(request)).instrument(span);
        Box::pin(async move {
            match AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|panic| Err(follow.broken(&*panic, &id)))
            {
                Ok(mut response) => {
                    response.headers_mut().insert(X_REQUEST_ID.clone(), id);
                    follow.answered(response.status().as_u16());
                    Ok(response.map_body(|_, body| FollowedBody { body: body.boxed(), follow }))
                }
                // Of another middleware: its response is made by actix, when this one has no more to say.
                Err(error) => {
                    let mut response = error.error_response();
                    response.headers_mut().insert(X_REQUEST_ID.clone(), id);
                    follow.answered(response.status().as_u16());
                    Err(InternalError::from_response(error, response).into())
                }
            }
        })
    }
}

/// Goes with a request until its response has been sent or its client has left.
struct Follow {
    http: Arc<HttpMeasures>,
    route: Arc<Route>,
    method: Method,
    status: Option<u16>,
    started: Instant,
    span: Span,
    /// The same, where it is followed.
    trace: Span,
    _under_way: Option<UnderWay>,
}

impl Follow {
    fn begin(shared: &Shared, request: &ServiceRequest, id: &HeaderValue) -> Self {
        let empty = tracing::field::Empty;
        let route = shared.http.begin(request.match_pattern());
        let method = Method::of(request.method());
        let header = |name| trace_header(request.headers(), name);
        let parent = header("traceparent").and_then(TraceParent::parse);
        let mut begun = None;
        let trace = followed(|| {
            begun = parent.is_none().then(new_trace);
            tracing::info_span!(
                target: TARGET,
                "http",
                "otel.kind" = "server",
                "otel.name" = format!("{} {}", method.name(), route.pattern()),
                "http.request.method" = method.name(),
                "http.route" = route.pattern(),
                "http.response.status_code" = empty,
                "error.type" = empty,
                "traceparent" = header("traceparent"),
                "tracestate" = parent.and_then(|_| header("tracestate")),
                "trace_id" = begun,
            )
        });
        // A line at any level belongs to its request, so that the span must pass where only errors are logged.
        let span = trace.in_scope(|| {
            tracing::error_span!(
                "request",
                request_id = id.to_str().unwrap_or_default(),
                trace_id = empty,
                caller = empty,
                tool = empty,
                call = empty,
            )
        });
        if let Some(id) = parent.map(|parent| format!("{:032x}", parent.trace)).or(begun) {
            span.record("trace_id", id);
        }
        let _under_way = request.conn_data::<Occupied>().map(Occupied::begin);
        Self {
            http: shared.http.clone(),
            route,
            method,
            status: None,
            started: Instant::now(),
            span,
            trace,
            _under_way,
        }
    }

    /// What is answered to a request in whose handling something has panicked: the log has the rest under the request's id.
    fn broken(&self, panic: &(dyn Any + Send), id: &HeaderValue) -> Error {
        let id = id.to_str().unwrap_or_default();
        let message = words(panic);
        self.span.in_scope(|| tracing::error!(panic = message.unwrap_or("(no message)"), "a request was not answered"));
        Problem::broken(id).into()
    }

    fn answered(&mut self, status: u16) {
        self.status = Some(status);
        self.route.answered(self.method, Some(status));
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.route.answered(self.method, None);
        }
        if !self.trace.is_disabled() {
            if let Some(status) = self.status {
                self.trace.record("http.response.status_code", status);
            }
            match self.status {
                Some(status) if status < 500 => {}
                Some(status) => drop(self.trace.record("error.type", status.to_string())),
                None => drop(self.trace.record("error.type", "client_left")),
            }
        }
        let took = self.started.elapsed();
        self.http.end(&self.route, took);
        let (method, route, duration_ms) = (self.method.name(), self.route.pattern(), millis(took));
        self.span.in_scope(|| match self.status {
            Some(status @ 500..) if status != 503 => tracing::info!(method, route, status, duration_ms, "request"),
            Some(status) => tracing::debug!(method, route, status, duration_ms, "request"),
            None => tracing::debug!(method, route, duration_ms, "request left by its client"),
        });
    }
}

/// In milliseconds, to the microsecond.
pub(crate) fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

/// The body of a response on its way.
pub struct FollowedBody {
    body: BoxBody,
    follow: Follow,
}

impl MessageBody for FollowedBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let Self { body, follow } = self.get_mut();
        let _in_span = follow.span.enter();
        Pin::new(body).poll_next(cx)
    }
}
