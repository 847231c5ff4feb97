//! Where a Redis is, and how to come to it.

use std::io;
use std::path::Path;

use redis::{ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError};

use super::tls::Tls;
use crate::error::OpenError;

/// What a URL describes.
#[derive(Clone)]
pub(super) struct Address {
    /// Without TLS: the client's own is left out, since it takes its cryptography from the whole process.
    pub(super) info: ConnectionInfo,
    pub(super) tls: Option<Tls>,
}

impl Address {
    /// Reads a URL: `redis://` or, with TLS, `rediss://`. Whoever answers there is believed on the word of the authority in the file
    /// `authority`, or else of those that browsers trust.
    ///
    /// # Errors
    /// In words that do not show the URL.
    pub(super) fn parse(url: &str, authority: Option<&Path>) -> Result<Self, OpenError> {
        let secure = [("rediss:", "redis:"), ("valkeys:", "valkey:")].into_iter().find_map(|(secure, plain)| {
            let rest = url.strip_prefix(secure)?;
            Some(format!("{plain}{rest}"))
        });
        let info = secure.as_deref().unwrap_or(url).into_connection_info();
        let info = info.map_err(|_| OpenError::redis("it cannot be read"))?;
        let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
        let info = info.set_tcp_settings(tcp);
        let tls = match (&secure, info.addr()) {
            (Some(url), _) if url.contains('#') => {
                return Err(OpenError::redis("certificates are always checked, and nothing behind a # changes that"));
            }
            (Some(_), ConnectionAddr::Tcp(host, port)) => Some(Tls::new(host, *port, authority)?),
            (Some(_), _) => return Err(OpenError::redis("it names no host")),
            (None, _) if authority.is_some() => {
                return Err(OpenError::redis("REDIS_CA is set, and redis:// goes without certificates"));
            }
            (None, _) => None,
        };
        Ok(Self { info, tls })
    }

    /// What a connection without TLS failed for. A server that speaks TLS alone hangs up on whoever does not.
    pub(super) fn judge(&self, error: RedisError) -> RedisError {
        let is_foreign = matches!(error.kind(), ErrorKind::Parse)
            || (error.is_connection_dropped() && !error.is_connection_refusal());
        if is_foreign {
            let place = self.info.addr().to_string();
            return RedisError::from(io::Error::other(HangsUp { place, source: error }));
        }
        error
    }
}

/// It may speak TLS, or be on its way down.
#[derive(Debug, thiserror::Error)]
#[error("{place} hangs up at once ({source}): if it speaks TLS, write rediss:// in REDIS_URL")]
struct HangsUp {
    place: String,
    source: RedisError,
}
