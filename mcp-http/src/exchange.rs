//! The only file that sees both worlds: actix-web's requests and responses, and core's heads and answers.

use std::net::IpAddr;
use std::task::Poll;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
};
use actix_web::http::{ConnectionType, StatusCode, Version};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use mcp_core::endpoint::answer::{Answer, Body, Refusal};
use mcp_core::endpoint::head::{Head, Header};
use mcp_core::server::load::Held;
use mcp_core::{Caller, Endpoint, IdempotencyKey};
use tracing::level_filters::LevelFilter;

/// One request at the MCP endpoint.
pub(crate) async fn mcp(request: HttpRequest, payload: web::Payload, endpoint: web::Data<Endpoint>) -> HttpResponse {
    let admitted = match endpoint.check_load() {
        Ok(()) => find_out(&request, &endpoint, None).await,
        Err(refusal) => Err(refusal),
    };
    let answer = match admitted {
        Ok(caller) => match read(&request, payload, &endpoint).await {
            Ok(body) => endpoint.answer(&ActixHead::of(&request), caller, body).await,
            Err(refusal) => refusal.into_answer(),
        },
        Err(refusal) => refusal.into_answer(),
    };
    let mut response = respond(answer);
    if request.version() < Version::HTTP_11 && response.body().size() == BodySize::Stream {
        // Chunks are unknown there: a stream ends with its connection (RFC 9112, section 6.1).
        response.head_mut().no_chunking(true);
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

/// Who calls what pages are made of, if there is room for what they want.
pub(crate) async fn admit(request: &HttpRequest, endpoint: &Endpoint) -> Result<Caller, Refusal> {
    endpoint.check_load()?;
    identify(request, endpoint).await
}

/// Who calls what pages are made of: also by the cookie of the web console.
pub(crate) async fn identify(request: &HttpRequest, endpoint: &Endpoint) -> Result<Caller, Refusal> {
    let key = endpoint.server().browsers().key(&ActixHead::of(request));
    find_out(request, endpoint, key.as_deref()).await
}

/// Who calls, by the app's own middleware, by this key, or by what the request brings.
async fn find_out(request: &HttpRequest, endpoint: &Endpoint, key: Option<&str>) -> Result<Caller, Refusal> {
    let head = ActixHead::of(request);
    let known = request.extensions().get::<Caller>().cloned();
    let caller = match known {
        Some(caller) => {
            endpoint.check_origin(&head)?;
            let address = caller.address().or_else(|| endpoint.client_address(&head));
            caller.from_address(address)
        }
        None if let Some(key) = key => Box::pin(endpoint.identify_by(&head, key)).await?,
        None => endpoint.identify(&head).await?,
    };
    endpoint.admit_to(&caller, request.path(), || {
        format!("{} {}", request.method(), request.match_pattern().unwrap_or_default())
    })?;
    // Nobody logs where no level is on.
    if LevelFilter::current() != LevelFilter::OFF {
        tracing::Span::current().record("caller", caller.principal().as_str());
    }
    Ok(caller)
}

/// Reads a body, as large as the endpoint takes and for as long as it waits.
pub(crate) async fn read(request: &HttpRequest, payload: web::Payload, endpoint: &Endpoint) -> Result<Bytes, Refusal> {
    let (limit, timeout) = (endpoint.max_body(), endpoint.body_timeout());
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(Refusal::too_large(limit));
    }
    let held = match announced {
        Some(length) if length > SMALL => Some(endpoint.server().load().hold(length)?),
        _ => None,
    };
    // Actix polls a handler with the head alone, then decodes what came with it, then polls again. A body that is not waited for
    // until then needs no timer, which would be set and taken back with every request.
    let mut polled = false;
    std::future::poll_fn(|task| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    let body = collect(payload, announced, (endpoint, held));
    let body = tokio::time::timeout(timeout, body).await.map_err(|_| Refusal::too_slow(timeout))??;
    // While it was waited for, others may have come.
    endpoint.check_load()?;
    Ok(body)
}

/// Bodies up to here are counted with their requests, which take about as much.
const SMALL: usize = 16 * 1024;

/// A body, and the room that it takes as long as somebody has a part of it.
struct HeldBody(Bytes, #[expect(dead_code, reason = "it counts")] Held);

impl AsRef<[u8]> for HeldBody {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

async fn collect(
    mut payload: web::Payload,
    announced: Option<usize>,
    (endpoint, mut held): (&Endpoint, Option<Held>),
) -> Result<Bytes, Refusal> {
    let limit = endpoint.max_body();
    let broken = |error| Refusal { status: 400, message: format!("the body cannot be read: {error}"), challenge: None };
    let Some(first) = payload.next().await.transpose().map_err(broken)? else { return Ok(Bytes::new()) };
    if first.len() > limit {
        return Err(Refusal::too_large(limit));
    }
    if announced == Some(first.len()) {
        return Ok(match held {
            Some(held) => Bytes::from_owner(HeldBody(first, held)),
            None => first,
        });
    }
    let mut whole = BytesMut::from(first);
    while let Some(piece) = payload.next().await.transpose().map_err(broken)? {
        if whole.len() + piece.len() > limit {
            return Err(Refusal::too_large(limit));
        }
        whole.extend_from_slice(&piece);
        match &mut held {
            Some(held) => held.grow(whole.len().saturating_sub(held.bytes()))?,
            None if whole.len() > SMALL => held = Some(endpoint.server().load().hold(whole.len())?),
            None => {}
        }
    }
    let whole = whole.freeze();
    Ok(match held {
        Some(held) => Bytes::from_owner(HeldBody(whole, held)),
        None => whole,
    })
}

/// Sends an answer.
pub(crate) fn respond(answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::new(status);
    let headers = response.headers_mut();
    if let Some(content_type) = answer.content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    for (name, value) in answer.headers {
        // Core's headers are names in lower case and visible ASCII.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    match answer.body {
        Body::Empty => response,
        Body::Full(bytes) => response.set_body(bytes).map_into_boxed_body(),
        Body::Stream(pieces) => response.set_body(Pieces(pieces)).map_into_boxed_body(),
    }
}

/// A stream as actix sends it: each piece as soon as it comes.
struct Pieces(futures_util::stream::BoxStream<'static, Bytes>);

impl MessageBody for Pieces {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Bytes, Self::Error>>> {
        self.0.poll_next_unpin(cx).map(|piece| piece.map(Ok))
    }
}

/// The head of an actix request.
pub(crate) struct ActixHead<'a> {
    verb: &'a str,
    headers: &'a HeaderMap,
    peer: Option<IpAddr>,
}

impl<'a> ActixHead<'a> {
    pub(crate) fn of(request: &'a HttpRequest) -> Self {
        Self {
            verb: request.method().as_str(),
            headers: request.headers(),
            peer: request.peer_addr().map(|peer| peer.ip()),
        }
    }
}

impl Head for ActixHead<'_> {
    fn verb(&self) -> &str {
        self.verb
    }

    fn header(&self, name: &str) -> Header<'_> {
        let values = match asked_for(name) {
            Some(known) => self.headers.get_all(known),
            None => self.headers.get_all(name),
        };
        Header::from_values(values.map(HeaderValue::as_bytes))
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        self.headers.get_all(name).map(HeaderValue::as_bytes).collect()
    }

    fn any_name(&self, test: &dyn Fn(&str) -> bool) -> bool {
        self.headers.keys().any(|name| test(name.as_str()))
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer
    }
}

/// A name that core asks for with each request, as actix keeps it: to read one from its text takes longer than to find it.
fn asked_for(name: &str) -> Option<&'static HeaderName> {
    static KEPT: [HeaderName; 9] = [
        HOST,
        ORIGIN,
        AUTHORIZATION,
        HeaderName::from_static("x-api-key"),
        HeaderName::from_static("mcp-protocol-version"),
        HeaderName::from_static("mcp-method"),
        HeaderName::from_static("mcp-name"),
        HeaderName::from_static("mcp-session-id"),
        HeaderName::from_static(IdempotencyKey::HEADER),
    ];
    Some(
        &KEPT[match name {
            "host" => 0,
            "origin" => 1,
            "authorization" => 2,
            "x-api-key" => 3,
            "mcp-protocol-version" => 4,
            "mcp-method" => 5,
            "mcp-name" => 6,
            "mcp-session-id" => 7,
            IdempotencyKey::HEADER => 8,
            _ => return None,
        }],
    )
}
