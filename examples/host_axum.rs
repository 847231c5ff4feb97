//! hello.rs with another HTTP server: axum, and no mcp-http. A host shows the head of a request to the endpoint, brings it the
//! body, and sends what comes back.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use mcp_core::endpoint::answer::{self, Answer, Refusal};
use mcp_core::endpoint::head::{Head, Header};
use mcp_core::{Endpoint, Server, ToolError, tool_fn};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// axum drops the handler, and the body that it gave, when the client leaves: the call is cancelled then.
async fn mcp(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let head = AxumHead(&parts);
    let answer = match endpoint.admit(&head).await {
        Ok(caller) => match timeout(endpoint.body_timeout(), read(body, endpoint.max_body())).await {
            Ok(Ok(body)) => endpoint.answer(&head, caller, body).await,
            Ok(Err(refusal)) => refusal.into_answer(),
            Err(_) => Refusal::too_slow(endpoint.body_timeout()).into_answer(),
        },
        Err(refusal) => refusal.into_answer(),
    };
    respond(answer)
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::too_large(limit));
    }
    let (mut pieces, mut whole) = (body.into_data_stream(), BytesMut::new());
    while let Some(piece) = pieces.next().await {
        let broken =
            |error| Refusal { status: 400, message: format!("the body cannot be read: {error}"), challenge: None };
        whole.extend_from_slice(&piece.map_err(broken)?);
        if whole.len() > limit {
            return Err(Refusal::too_large(limit));
        }
    }
    Ok(whole.freeze())
}

fn respond(answer: Answer) -> Response {
    let mut response = Response::new(match answer.body {
        answer::Body::Empty => Body::empty(),
        answer::Body::Full(bytes) => Body::from(bytes),
        answer::Body::Stream(pieces) => Body::from_stream(pieces.map(Ok::<_, Infallible>)),
    });
    *response.status_mut() = answer.status.try_into().expect("core's statuses are statuses");
    let content_type = answer.content_type.map(|value| ("content-type", value.to_owned()));
    for (name, value) in answer.headers.into_iter().chain(content_type) {
        response.headers_mut().insert(name, value.try_into().expect("core's headers are visible ASCII"));
    }
    response
}

struct AxumHead<'a>(&'a Parts);

impl Head for AxumHead<'_> {
    fn verb(&self) -> &str {
        self.0.method.as_str()
    }

    fn header(&self, name: &str) -> Header<'_> {
        Header::from_values(self.0.headers.get_all(name).iter().map(|value| value.as_bytes()))
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        self.0.headers.get_all(name).iter().map(|value| value.as_bytes()).collect()
    }

    fn any_name(&self, test: &dyn Fn(&str) -> bool) -> bool {
        self.0.headers.keys().any(|name| test(name.as_str()))
    }

    fn peer(&self) -> Option<IpAddr> {
        self.0.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
    }
}

/// Serves the endpoint at `/mcp`, until there is an error.
pub(crate) async fn serve(listener: TcpListener, endpoint: Endpoint) -> std::io::Result<()> {
    let app = Router::new().route("/mcp", any(mcp)).with_state(endpoint);
    // Without TCP_NODELAY the first event of a stream may come 40 ms late. Where it cannot be set, it comes late.
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
}

#[derive(Deserialize, JsonSchema)]
struct Echo {
    /// What to say.
    message: String,
}

async fn echo(echo: Echo) -> Result<String, ToolError> {
    Ok(echo.message)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server =
        Server::builder("hello", "1.0.0").tool(tool_fn("echo", "Says what it is told.", echo).read_only()).build()?;
    let port = std::env::var("PORT").map_or(Ok(8000), |port| port.parse())?;
    serve(TcpListener::bind(("127.0.0.1", port)).await?, Endpoint::new(server)).await?;
    Ok(())
}
