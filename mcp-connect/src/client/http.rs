//! MCP over http and https: rmcp knows the protocol, and the connections are ours, with the trust that is named there.
//!
//! rmcp's own client is reqwest's. With a feature of reqwest for TLS every other client of it in the process would need a cryptography
//! of the whole process, which a library does not set.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ErrorData, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};

use super::chain;
use crate::wire::{Cause, Connector};

/// Cheap to clone. No proxy is used, and no redirect is followed.
#[derive(Clone)]
pub(super) struct Http {
    client: Client<Connector, Full<Bytes>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    // What rmcp puts around it tells no causes.
    #[error("it cannot be asked: {}", chain(.0.as_ref()))]
    Asked(Cause),
    #[error("its answer does not come to its end: {}", chain(.0.as_ref()))]
    Cut(Cause),
}

type Failed = StreamableHttpError<HttpError>;

/// How many bytes an answer has at the most: one object, or all events of a stream together.
const LARGEST: usize = if cfg!(test) { 1024 * 1024 } else { 64 * 1024 * 1024 };
/// How much is told of an answer that is no message.
const TOLD: usize = 300;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// What is in the head of a request.
struct Head<'a> {
    method: Method,
    uri: &'a str,
    session: Option<&'a str>,
    token: Option<String>,
    headers: HashMap<HeaderName, HeaderValue>,
}

impl Http {
    pub(super) fn new(connector: Connector) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector) }
    }

    /// An answer of whatever status, but for those that ask for credentials.
    async fn send(&self, head: Head<'_>, body: Bytes) -> Result<Response<Incoming>, Failed> {
        let asked = |error: Cause| StreamableHttpError::Client(HttpError::Asked(error));
        let mut request = Request::builder().method(head.method).uri(head.uri);
        for (name, value) in head.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Full::new(body)).map_err(|error| asked(error.into()))?;
        let ours = [
            (ACCEPT, Some(format!("{JSON}, {EVENTS}"))),
            (CONTENT_TYPE, (request.method() == Method::POST).then(|| JSON.to_owned())),
            (SESSION, head.session.map(str::to_owned)),
            (AUTHORIZATION, head.token.map(|token| format!("Bearer {token}"))),
        ];
        for (name, value) in ours.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            request
                .headers_mut()
                .insert(name, value.parse().map_err(|error: hyper::header::InvalidHeaderValue| asked(error.into()))?);
        }
        let answer = self.client.request(request).await.map_err(|error| asked(error.into()))?;
        match (answer.status(), text(&answer, &WWW_AUTHENTICATE)) {
            (StatusCode::UNAUTHORIZED, Some(challenge)) => {
                Err(StreamableHttpError::AuthRequired(AuthRequiredError::new(challenge)))
            }
            _ => Ok(answer),
        }
    }
}

impl StreamableHttpClient for Http {
    type Error = HttpError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let body = serde_json::to_vec(&message)?.into();
        let head = Head { method: Method::POST, uri: &uri, session: session.as_deref(), token, headers };
        let answer = self.send(head, body).await?;
        let status = answer.status();
        if status == StatusCode::NOT_FOUND && session.is_some() {
            return Err(StreamableHttpError::SessionExpired);
        }
        let (kind, of) = (kind(&answer), text(&answer, &SESSION));
        let waits = matches!(message, ClientJsonRpcMessage::Request(_));
        if status.is_success() && kind == EVENTS {
            return Ok(StreamableHttpPostResponse::Sse(events(answer), of));
        }
        // Nothing is answered to what is no request, whatever a server says.
        if status.is_success() && !waits {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let body = whole(answer).await?;
        let said = if kind == JSON { serde_json::from_slice(&body).ok() } else { None };
        if let Some(said) = said
            && (status.is_success() || matches!(said, ServerJsonRpcMessage::Error(_)))
        {
            return Ok(StreamableHttpPostResponse::Json(correlated(said, &message, status), of));
        }
        let told = String::from_utf8_lossy(&body[..body.len().min(TOLD)]).into_owned();
        // A server of the older era may refuse the question of the newer one in any way.
        if let ClientJsonRpcMessage::Request(request) = &message
            && matches!(request.request, ClientRequest::DiscoverRequest(_))
            && status.is_client_error()
            && !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        {
            let error = ErrorData::invalid_request(format!("it answered {status}: {told}"), None);
            let error = ServerJsonRpcMessage::error(error, Some(request.id.clone()));
            return Ok(StreamableHttpPostResponse::Json(error, None));
        }
        Err(StreamableHttpError::UnexpectedServerResponse(Cow::Owned(format!("it answered {status}: {told}"))))
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        token: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failed> {
        let head = Head { method: Method::DELETE, uri: &uri, session: Some(&session), token, headers };
        // One that does not end it at our word ends it by itself.
        self.send(head, Bytes::new()).await.map(drop)
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        token: Option<String>,
        mut headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failed> {
        if let Some(id) = last_event.and_then(|id| id.parse().ok()) {
            headers.insert(LAST_EVENT, id);
        }
        let head = Head { method: Method::GET, uri: &uri, session: session.as_deref(), token, headers };
        let answer = self.send(head, Bytes::new()).await?;
        match answer.status() {
            status if status.is_success() && kind(&answer) == EVENTS => Ok(events(answer)),
            StatusCode::METHOD_NOT_ALLOWED => Err(StreamableHttpError::ServerDoesNotSupportSse),
            status => Err(StreamableHttpError::UnexpectedServerResponse(Cow::Owned(format!("it answered {status}")))),
        }
    }
}

/// The refusal of the newer era's question, under the id of that question: what stands in front of a server may not know it.
fn correlated(said: ServerJsonRpcMessage, message: &ClientJsonRpcMessage, status: StatusCode) -> ServerJsonRpcMessage {
    match (said, message) {
        (ServerJsonRpcMessage::Error(error), ClientJsonRpcMessage::Request(request)) if !status.is_success() => {
            ServerJsonRpcMessage::error(error.error, Some(request.id.clone()))
        }
        (said, _) => said,
    }
}

fn events(answer: Response<Incoming>) -> BoxStream<'static, Result<Sse, SseError>> {
    SseStream::new(Limited::new(answer.into_body(), LARGEST).map_err(HttpError::Cut)).boxed()
}

async fn whole(answer: Response<Incoming>) -> Result<Bytes, Failed> {
    match Limited::new(answer.into_body(), LARGEST).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(StreamableHttpError::ResponseBodyTooLarge { max_size: LARGEST })
        }
        Err(error) => Err(StreamableHttpError::Client(HttpError::Cut(error))),
    }
}

fn text(answer: &Response<Incoming>, name: &HeaderName) -> Option<String> {
    answer.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// Of which media type an answer is, without parameters.
fn kind(answer: &Response<Incoming>) -> String {
    let kind = text(answer, &CONTENT_TYPE).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
