//! The way in of those who have an API key.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, select};
use futures_util::{FutureExt, StreamExt};

use super::secret::{KeyHasher, KeySecret, NoRandomness};
use super::seen::{Holder, LIFETIME, Seen};
use super::{Authenticate, Caller, Challenge, Principal, Tenant, presented_key};
use crate::clock::Clock;
use crate::endpoint::head::Head;
use crate::spawn::Spawner;
use crate::store::api_keys::{ApiKeys, KeyHash};
use crate::store::events::{Event, Events, Topic};
use crate::store::{StoreError, Stores};

/// Lets in whoever brings an API key that is kept in the stores: as its user, with those of their roles that the key carries, and the
/// scopes that it was granted. See [`Server::stored_keys`](crate::Server::stored_keys). Cheap to clone.
///
/// What the store said of a key counts for five seconds at the most. What is done with keys and users by a server counts there at once, and
/// on others as soon as they hear of it, where they [follow](StoredKeys::follow). While the store cannot be asked, keys that it
/// was asked about a moment ago go on for that time, and others are answered 503.
#[derive(Clone)]
pub struct StoredKeys(Arc<Inner>);

struct Inner {
    hasher: KeyHasher,
    keys: Arc<dyn ApiKeys>,
    seen: Seen,
    events: Arc<dyn Events>,
    clock: Arc<dyn Clock>,
    spawner: Arc<dyn Spawner>,
}

/// How often a follower looks whether its server is still there.
const LOOK_UP: Duration = Duration::from_secs(60);

impl StoredKeys {
    /// By hashes under subkeys of these keys, the newest first; without any, under one that ends with this process, as its keys do.
    pub(crate) fn new(
        secret_keys: &[[u8; 32]],
        stores: &Stores,
        clock: Arc<dyn Clock>,
        spawner: Arc<dyn Spawner>,
    ) -> Self {
        let (keys, events) = (stores.api_keys.clone(), stores.events.clone());
        Self(Arc::new(Inner {
            hasher: KeyHasher::new(secret_keys),
            keys,
            seen: Seen::default(),
            events,
            clock,
            spawner,
        }))
    }

    /// Follows what is done with keys and users on other replicas, for as long as the server lives. To be called once, where it serves.
    pub fn follow(&self) {
        // It ends with the server, which it does not keep alive.
        let (this, events, clock) = (Arc::downgrade(&self.0), self.0.events.clone(), self.0.clock.clone());
        let follow = async move {
            let mut heard = None;
            loop {
                let told = match &mut heard {
                    None => {
                        heard = events.subscribe(&topic()).await.ok();
                        if heard.is_none() {
                            clock.sleep(LIFETIME).await;
                        }
                        Some(Event::Missed)
                    }
                    Some(listener) => match select(listener.next(), clock.sleep(LOOK_UP)).await {
                        Either::Left((told, _)) => told,
                        Either::Right(_) => Some(Event::Told(bytes::Bytes::new())),
                    },
                };
                let Some(this) = this.upgrade() else { return };
                match told {
                    Some(Event::Told(who)) if who.is_empty() => {}
                    Some(Event::Told(who)) => match serde_json::from_slice::<(String, String)>(&who) {
                        Ok((tenant, principal)) => this.seen.forget(|caller| {
                            caller.tenant().as_str() == tenant && caller.principal().as_str() == principal
                        }),
                        Err(_) => this.seen.forget_all(),
                    },
                    Some(Event::Missed) => this.seen.forget_all(),
                    None => heard = None,
                }
            }
        };
        self.0.spawner.spawn(follow.boxed());
    }

    /// Forgets what is known of a user and their keys, here and on all replicas. To be called once something was done with them straight
    /// in the stores.
    pub async fn forget(&self, tenant: &Tenant, principal: &Principal) {
        self.0.seen.forget(|caller| caller.tenant() == tenant && caller.principal() == principal);
        let who = serde_json::to_vec(&(tenant.as_str(), principal.as_str())).unwrap_or_default();
        if let Err(error) = self.0.events.publish(&topic(), who.into()).await {
            tracing::warn!(%error, "other replicas find out a few seconds later what was done with a user or a key");
        }
    }

    /// Whether a tenant has a key that has not ended.
    ///
    /// # Errors
    /// [`StoreError`]: it is not known.
    pub async fn are_there(&self, tenant: &Tenant) -> Result<bool, StoreError> {
        const PAGE: u16 = 500;
        let (mut after, now) = (None, self.0.clock.now());
        loop {
            let page = self.0.keys.keys(tenant, None, after, PAGE).await?;
            if page.iter().any(|key| !key.has_ended(now)) {
                return Ok(true);
            }
            after = page.last().map(|key| key.id);
            if page.len() < usize::from(PAGE) {
                return Ok(false);
            }
        }
    }

    /// A new secret, and the hash of it that is kept, for whoever adds a key straight to the stores.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn draw(&self) -> Result<(KeySecret, KeyHash), NoRandomness> {
        let secret = KeySecret::draw()?;
        // There is one key at the least, and a hash under each.
        let hash = self.0.hasher.hashes(secret.expose()).next().ok_or(NoRandomness)?;
        Ok((secret, hash))
    }

    async fn holder(&self, secret: &str) -> Result<Option<Arc<Holder>>, Challenge> {
        let Inner { hasher, keys, seen, clock, .. } = &*self.0;
        let mut hashes = hasher.hashes(secret).peekable();
        let Some(newest) = hashes.peek().copied() else { return Ok(None) };
        if let Some(known) = seen.find(&newest, clock.monotonic()) {
            return Ok(known);
        }
        let forgotten = seen.forgotten();
        let mut holder = None;
        for hash in hashes {
            match keys.find(&hash).await {
                Ok(Some(found)) => {
                    holder = Some(Arc::new(Holder::new(&found)));
                    break;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "it cannot be found out whose a key is");
                    return Err(Challenge::Unavailable("the store of keys"));
                }
            }
        }
        seen.keep(newest, holder.clone(), forgotten, clock.monotonic());
        Ok(holder)
    }
}

fn topic() -> Topic {
    Topic::of_the_house("callers")
}

#[async_trait]
impl Authenticate for StoredKeys {
    async fn authenticate(&self, head: &dyn Head) -> Result<Caller, Challenge> {
        let Some(presented) = presented_key(head)? else {
            return Err(Challenge::Missing("; an administrator makes them: `mcp-http keys create NAME`"));
        };
        if !KeySecret::is_like(presented) {
            return Err(Challenge::Invalid);
        }
        let now = self.0.clock.now();
        let holder = self.holder(presented).await?.filter(|holder| holder.is_let_in(now)).ok_or(Challenge::Invalid)?;
        if let Some(key) = holder.caller.key()
            && holder.is_worth_noting(now)
        {
            let (keys, tenant) = (self.0.keys.clone(), holder.caller.tenant().clone());
            let note = async move {
                if let Err(error) = keys.note_use(&tenant, key, now).await {
                    tracing::debug!(%error, "it is not noted that a key was used");
                }
            };
            self.0.spawner.spawn(note.boxed());
        }
        Ok(holder.caller.clone())
    }
}

#[cfg(test)]
mod tests;
