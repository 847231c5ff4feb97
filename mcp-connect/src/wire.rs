//! One request to an address that was configured, and its whole answer.
//!
//! Over TLS those are believed for whom authorities vouch that browsers trust: they come with the binary, since an image without a
//! distribution has none of its own, as for Redis and buckets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::header::ACCEPT;
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, Error as TlsError, RootCertStore};

/// The cause of an error.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Asks others. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Wire {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    /// How long an answer may take, from the connection to its last byte.
    patience: Duration,
}

/// How many bytes an answer has at the most.
const LARGEST: usize = 256 * 1024;

impl Wire {
    pub(crate) fn new(patience: Duration) -> Result<Self, TlsError> {
        // What is asked every few minutes needs no connection in between.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector()?);
        Ok(Self { client, patience })
    }

    /// The JSON at an address.
    pub(crate) async fn get(&self, address: &Uri) -> Result<Bytes, WireError> {
        timeout(self.patience, self.ask(address)).await.unwrap_or(Err(WireError::Late(self.patience)))
    }

    async fn ask(&self, address: &Uri) -> Result<Bytes, WireError> {
        let request = Request::get(address).header(ACCEPT, "application/json").body(Empty::new());
        let answer = self.client.request(request.map_err(broken)?).await.map_err(broken)?;
        if answer.status() != StatusCode::OK {
            return Err(WireError::Status(answer.status().as_u16()));
        }
        match Limited::new(answer.into_body(), LARGEST).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(WireError::TooLarge),
            Err(error) => Err(WireError::Broken(error)),
        }
    }
}

/// Makes connections for a client of [`hyper_util`].
pub type Connector = HttpsConnector<HttpConnector>;

/// Makes connections, over TLS where the address says so, with the authorities that browsers trust.
///
/// # Errors
/// The cryptography lacks what TLS needs.
pub fn connector() -> Result<Connector, TlsError> {
    trusting(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
}

/// The same, with these authorities.
pub(crate) fn trusting(trusted: RootCertStore) -> Result<Connector, TlsError> {
    // Named here, since a library takes and sets none for the whole process.
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    // It is TLS that has a say in which addresses there are.
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    Ok(HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp))
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("it answered {0}, and not 200")]
    Status(u16),
    #[error("its answer has more than {LARGEST} bytes")]
    TooLarge,
    #[error("it did not answer within {0:?}")]
    Late(Duration),
    #[error("it cannot be asked")]
    Broken(#[source] Cause),
}

fn broken(error: impl Into<Cause>) -> WireError {
    WireError::Broken(error.into())
}

/// Reads an address that may be asked: `https`, or `http` on this machine.
pub(crate) fn address(text: &str) -> Result<Uri, &'static str> {
    let address = any_address(text)?;
    let host = address.host().unwrap_or_default();
    let is_here =
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback());
    if is_here || address.scheme_str() == Some("https") {
        return Ok(address);
    }
    Err("it must begin with https://, but on this machine, since who changes what is on its way lets anyone in")
}

/// Reads an address, of which anybody on the way may read and change what is sent.
pub(crate) fn any_address(text: &str) -> Result<Uri, &'static str> {
    let address: Uri = text.parse().map_err(|_| "it is no URL")?;
    let host = address.host().unwrap_or_default();
    if host.is_empty() || address.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("it must name a host, and no user");
    }
    match address.scheme_str() {
        Some("https" | "http") => Ok(address),
        _ => Err("it must begin with https://"),
    }
}
