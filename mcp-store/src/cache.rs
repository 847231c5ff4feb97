//! A cache in this process, on moka.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use mcp_core::caller::Tenant;
use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::cache::Cache;
use moka::Expiry;
use moka::policy::EvictionPolicy;

/// [`Cache`] in this process. Of values it holds a number of bytes, and lets go of those that are seldom asked for; of tags, the
/// [`TAGS`] that were used last.
pub(crate) struct LocalCache {
    clock: Arc<dyn Clock>,
    values: moka::future::Cache<Key, Value>,
    versions: moka::future::Cache<Key, u64>,
    next_version: AtomicU64,
}

type Key = (Tenant, String);

#[derive(Clone)]
struct Value {
    bytes: Bytes,
    lifetime: Duration,
    /// By the clock of the server, which decides; moka's own only frees the memory.
    until: Duration,
}

const TAGS: u64 = 10_000;
/// What an entry costs beside its key and its value.
const OVERHEAD: usize = 256;

impl LocalCache {
    /// A cache that holds `bytes` of keys and values.
    pub(crate) fn new(clock: Arc<dyn Clock>, bytes: u64) -> Self {
        let values = moka::future::Cache::builder()
            .max_capacity(bytes)
            .weigher(|key: &Key, value: &Value| {
                let weight = key.0.as_str().len() + key.1.len() + value.bytes.len() + OVERHEAD;
                u32::try_from(weight).unwrap_or(u32::MAX)
            })
            .expire_after(Lifetime)
            .build();
        let versions = moka::future::Cache::builder().max_capacity(TAGS).eviction_policy(EvictionPolicy::lru()).build();
        Self { clock, values, versions, next_version: AtomicU64::new(0) }
    }

    /// Each is given once, so that a tag that was forgotten has none that it had.
    fn new_version(&self) -> u64 {
        self.next_version.fetch_add(1, Ordering::Relaxed)
    }
}

struct Lifetime;

impl Expiry<Key, Value> for Lifetime {
    fn expire_after_create(&self, _: &Key, value: &Value, _: Instant) -> Option<Duration> {
        Some(value.lifetime)
    }

    fn expire_after_update(&self, _: &Key, value: &Value, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(value.lifetime)
    }
}

fn key(tenant: &Tenant, name: &str) -> Key {
    (tenant.clone(), name.to_owned())
}

#[async_trait]
impl Cache for LocalCache {
    async fn load(&self, tenant: &Tenant, name: &str) -> Result<Option<Bytes>, StoreError> {
        let value = self.values.get(&key(tenant, name)).await;
        let now = self.clock.monotonic();
        Ok(value.filter(|value| now < value.until).map(|value| value.bytes))
    }

    async fn store(&self, tenant: &Tenant, name: &str, bytes: Bytes, lifetime: Duration) -> Result<(), StoreError> {
        let until = self.clock.monotonic().saturating_add(lifetime);
        self.values.insert(key(tenant, name), Value { bytes, lifetime, until }).await;
        Ok(())
    }

    async fn version(&self, tenant: &Tenant, tag: &str) -> Result<u64, StoreError> {
        Ok(self.versions.get_with(key(tenant, tag), async { self.new_version() }).await)
    }

    async fn invalidate(&self, tenant: &Tenant, tag: &str) -> Result<(), StoreError> {
        self.versions.insert(key(tenant, tag), self.new_version()).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::clock::simulated::SimulatedClock;

    use super::*;

    #[tokio::test]
    async fn values_are_bounded_by_their_bytes_and_tags_by_their_number() {
        const BYTES: u64 = 100_000;
        let cache = LocalCache::new(Arc::new(SimulatedClock::new()), BYTES);
        let tenant = Tenant::from("a");
        for n in 0..1_000 {
            let value = Bytes::from(vec![0; 1_000]);
            cache.store(&tenant, &n.to_string(), value, Duration::from_secs(60)).await.unwrap();
        }
        for n in 0..TAGS * 2 {
            cache.version(&tenant, &n.to_string()).await.unwrap();
        }
        cache.values.run_pending_tasks().await;
        cache.versions.run_pending_tasks().await;
        let held = cache.values.weighted_size();
        assert!((1..=BYTES).contains(&held), "{held} bytes");
        assert_eq!(cache.versions.entry_count(), TAGS);
    }

    #[tokio::test]
    async fn a_value_that_is_larger_than_the_cache_is_not_kept() {
        let cache = LocalCache::new(Arc::new(SimulatedClock::new()), 1_000);
        let tenant = Tenant::from("a");
        cache.store(&tenant, "key", Bytes::from(vec![0; 1_000]), Duration::from_secs(60)).await.unwrap();
        cache.values.run_pending_tasks().await;
        assert_eq!(cache.load(&tenant, "key").await.unwrap(), None);
    }
}
