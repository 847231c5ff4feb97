//! The keys of issuers, fetched from them.

mod discovery;
mod kept;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::Uri;
use mcp_core::clock::Clock;
use mcp_core::oauth::{BadKeySet, KeySet, KeySource, KeysUnavailable, PublicKey};
use mcp_core::spawn::Spawner;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use crate::wire::{Cause, Wire, WireError, address};
use discovery::{Metadata, candidates};
use kept::Kept;

/// Knows the keys with which issuers sign, and asks for them again when they change.
///
/// An issuer is asked at the first token that it has signed, every five minutes as long as tokens come, and at a token that names a
/// key which it did not have, but never twice in ten seconds, whatever tokens name: one request, or two where it says itself where its
/// keys are, and a third where it says so as OpenID Connect does. All that wait for an answer wait for the same one. While an issuer
/// does not answer, the keys that it had are used for a day.
pub struct Jwks {
    issuers: HashMap<String, Arc<Issuer>>,
    wire: Wire,
    clock: Arc<dyn Clock>,
    spawner: Arc<dyn Spawner>,
}

struct Issuer {
    url: String,
    /// Where it says where its keys are, in the order in which it is asked; or nothing, where `keys` is known.
    metadata: Vec<Uri>,
    keys: Option<Uri>,
    kept: Kept,
    /// Held by whoever asks it.
    turn: Arc<Mutex<()>>,
}

/// How long an issuer may take to answer one request.
const PATIENCE: Duration = Duration::from_secs(5);

impl Jwks {
    /// Asks nobody yet. To be used on a tokio runtime with I/O and time, on which `spawner` spawns.
    ///
    /// # Errors
    /// [`JwksError::Tls`], where TLS cannot be spoken.
    pub fn new(clock: Arc<dyn Clock>, spawner: Arc<dyn Spawner>) -> Result<Self, JwksError> {
        let wire = Wire::new(PATIENCE).map_err(|error| JwksError::Tls(error.into()))?;
        Ok(Self { issuers: HashMap::new(), wire, clock, spawner })
    }

    /// Asks this issuer where its keys are (RFC 8414, section 3; OpenID Connect Discovery 1.0, section 4), and believes it where it says
    /// that it is that very issuer.
    ///
    /// # Errors
    /// [`JwksError::Address`], where it is no `https` URL, nor one of this machine.
    pub fn issuer(self, url: &str) -> Result<Self, JwksError> {
        let metadata = candidates(&checked(url)?);
        Ok(self.with(url, metadata, None))
    }

    /// Asks for the keys of this issuer at this address.
    ///
    /// # Errors
    /// [`JwksError::Address`], where that is no `https` URL, nor one of this machine.
    pub fn issuer_with_keys_at(self, url: &str, keys: &str) -> Result<Self, JwksError> {
        let keys = checked(keys)?;
        Ok(self.with(url, Vec::new(), Some(keys)))
    }

    fn with(mut self, url: &str, metadata: Vec<Uri>, keys: Option<Uri>) -> Self {
        let (url, kept, turn) = (url.to_owned(), Kept::default(), Arc::default());
        self.issuers.insert(url.clone(), Arc::new(Issuer { url, metadata, keys, kept, turn }));
        self
    }

    /// Asks an issuer for its keys. It goes on where what it gives is dropped.
    fn ask(&self, issuer: &Arc<Issuer>, turn: OwnedMutexGuard<()>) -> oneshot::Receiver<()> {
        issuer.kept.asked(self.clock.monotonic());
        let (told, done) = oneshot::channel();
        let (issuer, wire, clock) = (issuer.clone(), self.wire.clone(), self.clock.clone());
        self.spawner.spawn(Box::pin(async move {
            let fetched = issuer.fetch(&wire).await;
            if let Err(error) = &fetched {
                let error: &dyn std::error::Error = error;
                tracing::warn!(issuer = issuer.url, error, "the keys of an issuer cannot be fetched");
            }
            issuer.kept.answered(fetched.ok(), clock.monotonic());
            drop(turn);
            // Nobody may be waiting any more.
            let _ = told.send(());
        }));
        done
    }
}

#[async_trait]
impl KeySource for Jwks {
    async fn key(&self, issuer: &str, id: Option<&str>) -> Result<Option<PublicKey>, KeysUnavailable> {
        let Some(issuer) = self.issuers.get(issuer) else { return Ok(None) };
        let now = self.clock.monotonic();
        if let Some(key) = issuer.kept.find(id, now) {
            // Nobody waits for keys that are only to be renewed.
            if issuer.kept.is_old(now)
                && let Ok(turn) = issuer.turn.clone().try_lock_owned()
                && issuer.kept.may_ask(now)
            {
                drop(self.ask(issuer, turn));
            }
            return Ok(Some(key));
        }
        let turn = issuer.turn.clone().lock_owned().await;
        // Another one may have asked while this one waited.
        if issuer.kept.find(id, self.clock.monotonic()).is_none() && issuer.kept.may_ask(self.clock.monotonic()) {
            let _ = self.ask(issuer, turn).await;
        }
        match issuer.kept.find(id, self.clock.monotonic()) {
            Some(key) => Ok(Some(key)),
            None if issuer.kept.is_complete() => Ok(None),
            None => Err(KeysUnavailable),
        }
    }
}

impl Issuer {
    async fn fetch(&self, wire: &Wire) -> Result<KeySet, FetchError> {
        let keys = match &self.keys {
            Some(keys) => keys.clone(),
            None => self.discover(wire).await?,
        };
        let body = wire.get(&keys).await.map_err(|source| FetchError::Wire { address: keys.clone(), source })?;
        KeySet::decode(&body).map_err(|source| FetchError::Keys { address: keys, source })
    }

    /// Where its keys are, as it says: the first of its metadata that can be believed.
    async fn discover(&self, wire: &Wire) -> Result<Uri, FetchError> {
        let mut first = None;
        for address in &self.metadata {
            let found = match wire.get(address).await {
                Ok(body) => Metadata::decode(&body).and_then(|metadata| metadata.keys_of(&self.url)),
                Err(source) => {
                    first.get_or_insert(FetchError::Wire { address: address.clone(), source });
                    continue;
                }
            };
            match found {
                Ok(keys) => return Ok(keys),
                Err(why) => drop(first.insert(FetchError::Metadata { address: address.clone(), why })),
            }
        }
        Err(first.unwrap_or(FetchError::Nowhere))
    }
}

fn checked(url: &str) -> Result<Uri, JwksError> {
    address(url).map_err(|why| JwksError::Address { url: url.to_owned(), why })
}

/// Why keys could not be fetched, for the log.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{address} gave nothing")]
    Wire { address: Uri, source: WireError },
    #[error("{address} is of no use: {why}")]
    Metadata { address: Uri, why: &'static str },
    #[error("{address} is of no use")]
    Keys { address: Uri, source: BadKeySet },
    #[error("it has no metadata")]
    Nowhere,
}

/// Why keys can never be fetched so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// An address that is not to be asked.
    #[error("{url:?} cannot be asked for keys: {why}")]
    Address {
        /// Which.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// TLS cannot be spoken.
    #[error("TLS cannot be spoken")]
    Tls(#[source] Cause),
}
