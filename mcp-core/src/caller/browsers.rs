//! Browsers: a key becomes a cookie that no script reads, and a link lets in once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::endpoint::head::{Head, Header};
use crate::server::Server;
use crate::store::StoreError;
use crate::store::settings::{self, Key};

/// How browsers keep a key. See [`Server::browsers`].
///
/// Nothing is kept of it: a cookie holds the key itself, sealed under the [secret keys](crate::ServerBuilder::secret_keys), so that every replica
/// knows it, and it lets in no longer than the key does. It counts where the page says who it is by the header `X-Requested-By`, which a page of
/// another site cannot send along with it.
pub struct Browsers<'s>(&'s Server);

/// Why a browser cannot be let in by a cookie or a link.
#[derive(Clone, Debug, thiserror::Error)]
#[error("it cannot be sealed: {0}")]
pub struct NotSealed(String);

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Sealed {
    key: String,
    /// In microseconds since the epoch.
    until: i64,
    /// Of a link, by what it is known once it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

const SESSION: &[u8] = b"session of a browser";
const LINK: &[u8] = b"link for a browser";
/// Under this name it is kept which links were used, and until when they would let in.
const USED: &str = "used-links";
/// How often it is tried to be the one who uses a link, where others use other links.
const TRIES: usize = 8;

impl<'s> Browsers<'s> {
    /// The cookie's name.
    pub const COOKIE: &'static str = "mcp-console";
    /// Without this header a cookie counts for nothing.
    pub const HEADER: &'static str = "x-requested-by";
    /// How long a cookie lets in.
    pub const SESSION: Duration = Duration::from_secs(12 * 60 * 60);
    /// How long a link lets in.
    pub const LINK: Duration = Duration::from_secs(5 * 60);

    pub(crate) fn new(server: &'s Server) -> Self {
        Self(server)
    }

    /// What is in the cookie of a browser that has brought a key, or an access token. Whether it lets in is found out with each request.
    ///
    /// # Errors
    /// [`NotSealed`]: there is no secret key, or no randomness.
    pub fn cookie(&self, key: &str) -> Result<String, NotSealed> {
        self.seal(SESSION, key, Self::SESSION, None)
    }

    /// A token that lets a browser in by a key, once.
    ///
    /// # Errors
    /// [`NotSealed`]: there is no secret key, or no randomness.
    pub fn link(&self, key: &str) -> Result<String, NotSealed> {
        self.seal(LINK, key, Self::LINK, Some(self.0.new_call_id().to_string()))
    }

    /// The key of a link, which lets nobody in from now on; nothing, where it is none, is too old, or was used.
    ///
    /// Not cancel safe: a dropped future may have used it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it may have been used.
    pub async fn redeem(&self, link: &str) -> Result<Option<String>, StoreError> {
        let Some(Sealed { key, until, id: Some(id) }) = self.open(LINK, link) else { return Ok(None) };
        let (name, settings) = (Key::of_the_house(USED), self.0.settings());
        for _ in 0..TRIES {
            let (mut used, version) = match settings.load(&name).await? {
                Some(kept) => (kept.read::<BTreeMap<String, i64>>()?, Some(kept.version)),
                None => (BTreeMap::new(), None),
            };
            // Those that let nobody in any more need not be known.
            let now = self.0.clock().now().as_micros();
            used.retain(|_, until| *until >= now);
            if used.insert(id.clone(), until).is_some() {
                return Ok(None);
            }
            match settings.store(&name, settings::written(&used)?, version).await {
                Ok(_) => return Ok(Some(key)),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Unavailable { store: "settings", source: None })
    }

    /// The key in the cookie of a request that brings none of its own. Only where a browser's pages are served need it be asked for.
    pub fn key(&self, head: &dyn Head) -> Option<String> {
        let brings = |name| head.header(name) != Header::Absent;
        if !brings("cookie") || !brings(Self::HEADER) || brings("authorization") || brings("x-api-key") {
            return None;
        }
        let cookies = head.values("cookie").into_iter().filter_map(|value| std::str::from_utf8(value).ok());
        let mut cookies = cookies.flat_map(|value| value.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        let sealed = cookies.find(|(name, _)| *name == Self::COOKIE)?.1;
        Some(self.open(SESSION, sealed)?.key)
    }

    fn seal(&self, bound: &[u8], key: &str, time: Duration, id: Option<String>) -> Result<String, NotSealed> {
        let until = self.0.clock().now().after(time).as_micros();
        let text = serde_json::to_vec(&Sealed { key: key.to_owned(), until, id });
        let text = text.map_err(|error| NotSealed(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(self.0.seal().seal(bound, text).map_err(NotSealed)?))
    }

    fn open(&self, bound: &[u8], sealed: &str) -> Option<Sealed> {
        let text = self.0.seal().open(bound, &URL_SAFE_NO_PAD.decode(sealed).ok()?)?;
        let sealed: Sealed = serde_json::from_slice(&text).ok()?;
        (Timestamp::from_micros(sealed.until) >= self.0.clock().now()).then_some(sealed)
    }
}

/// A request as it is with another key.
pub(crate) struct ByKey<'h> {
    head: &'h dyn Head,
    authorization: String,
}

impl<'h> ByKey<'h> {
    pub(crate) fn new(head: &'h dyn Head, key: &str) -> Self {
        Self { head, authorization: format!("Bearer {key}") }
    }
}

impl Head for ByKey<'_> {
    fn verb(&self) -> &str {
        self.head.verb()
    }

    fn header(&self, name: &str) -> Header<'_> {
        match name {
            "authorization" => Header::from_values(std::iter::once(self.authorization.as_bytes())),
            "x-api-key" => Header::Absent,
            name => self.head.header(name),
        }
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        match name {
            "authorization" => vec![self.authorization.as_bytes()],
            "x-api-key" => Vec::new(),
            name => self.head.values(name),
        }
    }

    fn any_name(&self, test: &dyn Fn(&str) -> bool) -> bool {
        test("authorization") || self.head.any_name(test)
    }

    fn peer(&self) -> Option<IpAddr> {
        self.head.peer()
    }
}

#[cfg(all(test, feature = "test"))]
mod tests;
