//! HTTP to a bucket, over TLS where its address says so.
//!
//! The client that comes with the library for buckets would take the cryptography that is set for the whole process, and end it where
//! there is none. A library may set none, so the connections are made here, as those to PostgreSQL and Redis are.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientOptions, Error};
use tokio::time::timeout;

use crate::error::Cause;
use crate::tls;

/// Connections to a bucket, each used again for the next request. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    client: Client<HttpsConnector<TcpConnector>, HttpRequestBody>,
    /// How long nothing may come, of an answer that is awaited or has begun.
    silence: Duration,
}

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// A part of a blob must have gone out in this time, and its answer have come.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a connection may wait for the next request.
const IDLE: Duration = Duration::from_secs(30);

impl Wire {
    /// Connections to a bucket for which the authority in the file `authority` vouches, or else one of those that browsers trust.
    pub(super) fn new(authority: Option<&Path>) -> Result<Self, Cause> {
        Self::with(authority, SILENCE)
    }

    fn with(authority: Option<&Path>, silence: Duration) -> Result<Self, Cause> {
        let trusted = tls::trusted(authority).map_err(|error| format!("AWS_CA_BUNDLE cannot be read: {error}"))?;
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client(trusted)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Self { client, silence })
    }
}

impl HttpConnector for Wire {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient, Error> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Wire {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = timeout(self.silence, self.client.request(request)).await.map_err(late)?.map_err(failed)?;
        Ok(answer.map(|body| watched(body, self.silence)))
    }
}

/// A body that ends by an error where nothing of it comes for so long, while it is waited for.
fn watched<B>(body: B, silence: Duration) -> HttpResponseBody
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Sync + Unpin + 'static,
{
    let frames = stream::unfold(body, move |mut body| async move {
        let frame = match timeout(silence, body.frame()).await {
            Ok(frame) => frame?.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error)),
            Err(elapsed) => Err(late(elapsed)),
        };
        Some((frame, body))
    });
    HttpResponseBody::new(StreamBody::new(frames))
}

fn late(elapsed: tokio::time::error::Elapsed) -> HttpError {
    HttpError::new(HttpErrorKind::Timeout, elapsed)
}

fn failed(error: ClientError) -> HttpError {
    let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
    HttpError::new(kind, error)
}
