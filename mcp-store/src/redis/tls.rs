//! TLS to a Redis.
//!
//! The client's own would take the cryptography that is set for the whole process, and set one where there is none. A library may do
//! neither, so the stream is made here, with the cryptography that the connections to PostgreSQL have.

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;

use redis::RedisError;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Late;
use crate::distrust::Distrust;
use crate::error::OpenError;
use crate::tls;

/// A server, and who vouches for it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    host: String,
    port: u16,
    name: ServerName<'static>,
}

impl Tls {
    /// The server at `host`, for which the authority in the file `authority` vouches, or else one of those that browsers trust.
    pub(super) fn new(host: &str, port: u16, authority: Option<&Path>) -> Result<Self, OpenError> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| OpenError::redis("its host is no name that a certificate could have"))?;
        let trusted = tls::trusted(authority).map_err(|source| {
            let path = authority.map_or_else(String::new, |file| file.display().to_string());
            OpenError::RedisAuthority { path, source }
        })?;
        let config = tls::client(trusted).map_err(|error| OpenError::redis(format!("TLS cannot be used: {error}")))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), host: host.to_owned(), port, name })
    }

    /// Connects until the moment `until`.
    pub(super) async fn connect(&self, until: Instant) -> Result<TlsStream<TcpStream>, RedisError> {
        let stream = timeout_at(until, TcpStream::connect((self.host.as_str(), self.port))).await;
        let stream = stream.unwrap_or_else(|_| Err(io::Error::other(Late)))?;
        stream.set_nodelay(true)?;
        let secured = timeout_at(until, self.connector.connect(self.name.clone(), stream)).await;
        let why = match secured {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Distrust::Plain,
            Ok(Err(error)) => Distrust::of(&error).ok_or(error)?,
            Err(_) => Distrust::Silent,
        };
        Err(io::Error::other(Distrusted { place: format!("{}:{}", self.host, self.port), why }).into())
    }
}

/// A server that is not asked for anything.
#[derive(Debug, thiserror::Error)]
#[error("no TLS with {place}: {why}; {}", self.mend())]
struct Distrusted {
    place: String,
    why: Distrust,
}

impl Distrusted {
    fn mend(&self) -> &'static str {
        match self.why {
            Distrust::Authority => "set REDIS_CA to the file of the authority",
            Distrust::Name => "write one of these in REDIS_URL",
            Distrust::Certificate(_) => "give the server behind REDIS_URL another",
            Distrust::Plain | Distrust::Silent => "name its TLS port in REDIS_URL, or write redis://",
        }
    }
}
