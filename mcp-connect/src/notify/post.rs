//! One request that tells, and what its answer means.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mcp_core::alert::DeliveryError;
use mcp_core::clock::Clock;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;
use tokio_rustls::rustls::Error as TlsError;

use crate::refused::{retry_after, short};
use crate::wire::{address, connector};

/// How long telling may take in all.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How many bytes are read of an answer.
const LARGEST: usize = 16 * 1024;

/// Sends requests.
pub(super) struct Post {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    clock: Arc<dyn Clock>,
    patience: Duration,
}

/// What is sent.
pub(super) struct Message<'a> {
    pub(super) to: &'a Uri,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    /// What is never told, also where the other side repeats it.
    pub(super) secret: &'a str,
}

impl Post {
    pub(super) fn new(clock: Arc<dyn Clock>, patience: Duration) -> Result<Self, TlsError> {
        // What is asked once in a while needs no connection in between.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector()?);
        Ok(Self { client, clock, patience })
    }

    /// Sends it, and gives what was answered with a status of success.
    pub(super) async fn send(&self, message: Message<'_>) -> Result<String, DeliveryError> {
        let late = || Err(DeliveryError::later(format!("it did not answer within {:?}", self.patience)));
        timeout(self.patience, self.ask(message)).await.unwrap_or_else(|_| late())
    }

    async fn ask(&self, message: Message<'_>) -> Result<String, DeliveryError> {
        let Message { to, content_type, headers, body, secret } = message;
        let mut request = Request::post(to).body(Full::new(Bytes::from(body))).map_err(unsendable)?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        for (name, value) in headers {
            let mut value = HeaderValue::from_str(&value).map_err(unsendable)?;
            value.set_sensitive(true);
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        let answer = self.client.request(request).await.map_err(|error| {
            let causes = std::iter::successors(std::error::Error::source(&error), |cause| (*cause).source());
            let causes: String = causes.map(|cause| format!(": {cause}")).collect();
            DeliveryError::later(format!("it cannot be reached{}", short(&causes, Some(secret))))
        })?;
        let (head, body) = answer.into_parts();
        let header = |name: &str| head.headers.get(name)?.to_str().ok().map(str::to_owned);
        let after = retry_after(header, self.clock.now());
        // What it says may be cut: its status counts all the same.
        let said = match Limited::new(body, LARGEST).collect().await {
            Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            Err(_) => String::new(),
        };
        let status = head.status.as_u16();
        let said = short(&said, Some(secret));
        let message =
            if said.is_empty() { format!("it answered {status}") } else { format!("it answered {status}: {said}") };
        match status {
            200..=299 => Ok(said),
            408 | 425 | 429 | 500.. => Err(DeliveryError::Later { message, after }),
            300..=399 => Err(DeliveryError::refused(format!("it answered {status}, and a redirect is not followed"))),
            _ => Err(DeliveryError::refused(message)),
        }
    }
}

fn unsendable<E>(_: E) -> DeliveryError {
    DeliveryError::refused("it cannot be put into a request: look at what is configured")
}

/// An address that is a secret: what is wrong with it is told without it.
pub(super) fn secret_address(text: &SecretString) -> Result<Uri, &'static str> {
    address(text.expose_secret().trim())
}

/// What the address of an API begins with.
pub(super) fn base(text: &str) -> Result<String, &'static str> {
    address(text).map(|_| text.to_owned())
}
