//! A cache that replicas share.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use mcp_core::caller::Tenant;
use mcp_core::clock::Clock;
use mcp_core::measure::Collector;
use mcp_core::store::StoreError;
use mcp_core::store::cache::Cache;
use tokio::task::JoinSet;

use super::counts::RedisMeasures;
use super::events::RedisEvents;
use super::versions::{self, Versions};
use super::{Redis, key};
use crate::cache::LocalCache;
use crate::sql::content::{Content, Digested, Place};
use mcp_core::store::hex::hex;

/// [`Cache`] on Redis, behind one in this process that answers first.
///
/// Once an invalidation has returned, this process never uses the old version, whether or not Redis took it; others use it for
/// half a second at the most, and for a second where Redis goes away in just that moment. While Redis is away there are no
/// versions, so that nothing is cached.
///
/// A value is first stored in this process, which is enough; one of more than [`LARGEST`] bytes stays there.
pub(crate) struct SharedCache {
    local: Arc<LocalCache>,
    redis: Redis,
    content: Content,
    versions: Arc<Versions>,
    /// Ends when this is dropped.
    _beside: JoinSet<()>,
}

pub(super) const STORE: &str = "shared cache";

/// How many bytes a value has at the most that Redis is given.
const LARGEST: usize = 1024 * 1024;
/// What stands before each value: how it is written. What begins with another is not there, for this version.
const FORMAT: u8 = 1;
/// The same of a value that is sealed. Its key has a digest in place of its name: names have digests of arguments in them, which are
/// found out by trying.
const SEALED: u8 = 2;

impl SharedCache {
    /// A cache in front of which `local` answers. Starts on the current tokio runtime what hears of invalidations and
    /// delivers late ones.
    pub(super) fn start(
        local: Arc<LocalCache>,
        redis: Redis,
        content: Content,
        events: &RedisEvents,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let versions = Arc::new(Versions::new(redis.clone(), clock));
        let mut beside = JoinSet::new();
        beside.spawn(versions.clone().deliver());
        beside.spawn(versions.clone().listen(events.listen(&versions::topic())));
        Self { local, redis, content, versions, _beside: beside }
    }

    /// What is counted of it, and of the Redis that it is on.
    pub(crate) fn measures(&self) -> impl Collector + use<> {
        RedisMeasures { redis: self.redis.clone(), versions: self.versions.clone() }
    }

    /// The key of a value.
    fn key(&self, tenant: &Tenant, name: &str) -> String {
        match self.content.digest(Digested::Name, name.as_bytes()) {
            Some(digest) => key::value(tenant, &hex(&digest)),
            None => key::value(tenant, name),
        }
    }

    /// The value that was written so. What this version cannot read, or was sealed for another place, is not there.
    async fn read(&self, key: &str, written: Bytes) -> Option<Bytes> {
        match (*written.first()?, self.content.seals()) {
            (FORMAT, false) => Some(written.slice(1..)),
            (SEALED, true) => self.content.open(|| place(key), written[1..].to_vec()).await.ok().map(Bytes::from),
            _ => None,
        }
    }

    /// The value that another replica has stored, and for how long it may yet be used.
    async fn load_shared(&self, tenant: &Tenant, name: &str) -> Result<Option<(Bytes, Duration)>, StoreError> {
        let key = self.key(tenant, name);
        let commands = || {
            let mut pipeline = redis::pipe();
            pipeline.cmd("GET").arg(&key).cmd("PTTL").arg(&key);
            pipeline
        };
        let (value, millis): (Option<Bytes>, i64) = self.redis.run(STORE, commands).await?.value;
        // It may have gone between the two; and one without an end is not ours.
        let left = u64::try_from(millis).map(Duration::from_millis);
        let Some((written, left)) = value.zip(left.ok()) else { return Ok(None) };
        Ok(self.read(&key, written).await.map(|value| (value, left)))
    }

    async fn store_shared(
        &self,
        tenant: &Tenant,
        name: &str,
        value: &[u8],
        lifetime: Duration,
    ) -> Result<(), StoreError> {
        let millis = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).min(MILLIS);
        if value.len() > LARGEST || millis == 0 {
            return Ok(());
        }
        let key = self.key(tenant, name);
        let (format, value) = match self.content.seals() {
            true => (SEALED, self.content.seal(|| place(&key), value)?),
            false => (FORMAT, Cow::Borrowed(value)),
        };
        let mut marked = BytesMut::with_capacity(value.len() + 1);
        marked.put_u8(format);
        marked.put_slice(&value);
        let commands = || {
            let mut pipeline = redis::pipe();
            pipeline.cmd("SET").arg(&key).arg(&marked[..]).arg("PX").arg(millis).ignore();
            pipeline
        };
        self.redis.run::<()>(STORE, commands).await?;
        Ok(())
    }
}

/// Where a value is that is sealed: its key begins with the tenant.
fn place(key: &str) -> Place {
    Place::of("redis").text(key)
}

/// The longest lifetime that Redis is told, a year: it refuses one that does not fit its clock.
const MILLIS: u64 = 365 * 24 * 60 * 60 * 1_000;

#[async_trait]
impl Cache for SharedCache {
    async fn load(&self, tenant: &Tenant, name: &str) -> Result<Option<Bytes>, StoreError> {
        if let Some(value) = self.local.load(tenant, name).await? {
            return Ok(Some(value));
        }
        let Some((value, left)) = self.load_shared(tenant, name).await? else { return Ok(None) };
        self.local.store(tenant, name, value.clone(), left).await?;
        Ok(Some(value))
    }

    async fn store(&self, tenant: &Tenant, name: &str, value: Bytes, lifetime: Duration) -> Result<(), StoreError> {
        self.local.store(tenant, name, value.clone(), lifetime).await?;
        // The others are slower without it, no more.
        let _ = self.store_shared(tenant, name, &value, lifetime).await;
        Ok(())
    }

    async fn version(&self, tenant: &Tenant, tag: &str) -> Result<u64, StoreError> {
        self.versions.version(key::tag(tenant, tag)).await
    }

    async fn invalidate(&self, tenant: &Tenant, tag: &str) -> Result<(), StoreError> {
        self.versions.invalidate(key::tag(tenant, tag)).await
    }
}
