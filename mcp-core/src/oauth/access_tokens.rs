//! The way in of callers who bring a token.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::issuer::Issuer;
use super::key_source::KeySource;
use super::resource::{BadResource, ProtectedResource};
use super::token::{self, Token};
use super::url::CanonicalUrl;
use super::verified::Verified;
use crate::caller::{Authenticate, Caller, Challenge};
use crate::clock::{Clock, Timestamp};
use crate::endpoint::head::{Head, Header};

/// Lets in whoever brings a JWT that one of the issuers has signed for this server (RFC 9068), in `Authorization: Bearer TOKEN` and
/// nowhere else. What is asked of a token: an algorithm whose key is public, a signature by a key of its issuer, this server among its
/// audiences, an expiry, and that it is valid at this moment.
///
/// A token is believed for a minute after its signature was checked, and never beyond its expiry: so long a key may be used that its
/// issuer has withdrawn.
pub struct AccessTokens {
    resource: ProtectedResource,
    /// What else a token may have in `aud`, beside the resource.
    audiences: Vec<String>,
    issuers: Vec<Issuer>,
    keys: Arc<dyn KeySource>,
    clock: Arc<dyn Clock>,
    leeway: Duration,
    verified: Verified,
}

/// How long a token is believed after its signature was checked.
const BELIEVED: Duration = Duration::from_secs(60);
/// How many tokens are believed at once.
const MOST: usize = 20_000;

impl AccessTokens {
    /// Tokens for the server that clients reach at `resource`, which is their audience (RFC 8707). Add issuers: without one, no token is
    /// valid.
    ///
    /// # Errors
    /// [`BadResource`] where that is no absolute URL.
    pub fn new(resource: &str, keys: impl KeySource, clock: Arc<dyn Clock>) -> Result<Self, BadResource> {
        Ok(Self {
            resource: ProtectedResource::new(resource)?,
            audiences: Vec::new(),
            issuers: Vec::new(),
            keys: Arc::new(keys),
            clock,
            leeway: Duration::from_secs(30),
            verified: Verified::of(MOST),
        })
    }

    /// Believes one more issuer.
    #[must_use]
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.resource = self.resource.authorization_server(issuer.url());
        self.issuers.push(issuer);
        self
    }

    /// Also takes tokens for this audience: for issuers that cannot put a URL there.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// How far the clocks of issuers may be from this one's (30 s).
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// What is to be told of this server, for [`Endpoint::protected_resource`](crate::Endpoint::protected_resource).
    pub fn resource(&self) -> ProtectedResource {
        self.resource.clone()
    }

    async fn check(&self, text: &str) -> Result<Caller, Challenge> {
        let invalid = |why| Err(Challenge::InvalidToken(why));
        if text.len() > token::LONGEST {
            return invalid("it is too long");
        }
        let now = self.clock.now();
        let digest = Verified::digest(text);
        if let Some(caller) = self.verified.find(&digest, now) {
            return Ok(caller);
        }
        // It may be a key, of which others know.
        if text.split('.').count() != 3 {
            return Err(Challenge::Invalid);
        }
        let token = Token::read(text).map_err(Challenge::InvalidToken)?;
        let claims = &token.claims;
        // All that costs nothing comes before what may cost a request.
        let issuer = claims.get("iss").and_then(Value::as_str);
        let Some(issuer) = self.issuers.iter().find(|known| Some(known.url()) == issuer) else {
            return invalid("its issuer is not trusted here");
        };
        if !self.is_audience(claims.get("aud")) {
            return invalid("it is for another server");
        }
        let until = match self.valid_until(claims, now) {
            Ok(until) => until,
            Err(why) => return invalid(why),
        };
        let key = self.keys.key(issuer.url(), token.key.as_deref()).await;
        let Some(key) = key.map_err(|_| Challenge::Unavailable("the token's issuer"))? else {
            return invalid("its issuer has no such key");
        };
        if !key.verifies(token.algorithm, token.message, &token.signature) {
            return invalid("its signature is wrong");
        }
        let caller = issuer.caller(claims).map_err(Challenge::InvalidToken)?;
        self.verified.keep(digest, caller.clone(), until.min(now.after(BELIEVED)));
        Ok(caller)
    }

    fn is_audience(&self, claim: Option<&Value>) -> bool {
        let is_ours = |audience: &str| {
            CanonicalUrl::read(audience).is_some_and(|url| url.as_str() == self.resource.url())
                || self.audiences.iter().any(|ours| ours == audience)
        };
        match claim {
            Some(Value::String(audience)) => is_ours(audience),
            Some(Value::Array(audiences)) => audiences.iter().filter_map(Value::as_str).any(is_ours),
            _ => false,
        }
    }

    /// When a token with these claims ends, which is valid now; or why it is not.
    fn valid_until(&self, claims: &Value, now: Timestamp) -> Result<Timestamp, &'static str> {
        let time = |name: &str| claims.get(name).map(|claim| moment(claim).ok_or("a time in it is no number"));
        let until = time("exp").ok_or("it does not say when it expires (`exp`)")??.after(self.leeway);
        if until <= now {
            return Err("it has expired");
        }
        for begin in ["nbf", "iat"] {
            if time(begin).transpose()?.is_some_and(|begin| now.after(self.leeway) < begin) {
                return Err("it is not valid yet");
            }
        }
        Ok(until)
    }
}

/// A NumericDate (RFC 7519, section 2): seconds since the epoch, perhaps with a fraction.
fn moment(claim: &Value) -> Option<Timestamp> {
    let micros = claim.as_f64()? * 1e6;
    // Where it is too large, it becomes the last moment there is.
    (micros >= 0.0).then_some(Timestamp::from_micros(micros as i64))
}

#[async_trait]
impl Authenticate for AccessTokens {
    async fn authenticate(&self, head: &dyn Head) -> Result<Caller, Challenge> {
        let value = match head.header("authorization") {
            Header::Absent => return Err(Challenge::Missing("")),
            Header::One(value) => value,
            Header::Refused(why) => return Err(Challenge::Malformed(why)),
        };
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        match token.trim() {
            _ if !scheme.eq_ignore_ascii_case("bearer") => Err(Challenge::Invalid),
            "" => Err(Challenge::Malformed("there is no token behind `Bearer`")),
            token => {
                let checked = self.check(token).await;
                if let Err(Challenge::InvalidToken(why)) = &checked {
                    tracing::debug!(why, "an access token was refused");
                }
                checked
            }
        }
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, audiences, issuers, leeway, .. } = self;
        let mut shown = f.debug_struct("AccessTokens");
        shown.field("resource", resource).field("audiences", audiences).field("issuers", issuers);
        shown.field("leeway", leeway).finish_non_exhaustive()
    }
}
