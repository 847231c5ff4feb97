//! A cache in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::lock;
use crate::caller::Tenant;
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::cache::Cache;

/// [`Cache`] in memory: at most [`MemoryCache::CAPACITY`] values of [`MemoryCache::BYTES`] together, and as many tags. When the
/// values or the tags are full, they are emptied.
pub struct MemoryCache {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    values: HashMap<Key, (Duration, Bytes)>,
    bytes: usize,
    versions: HashMap<Key, u64>,
    last_version: u64,
}

type Key = (Tenant, String);

impl State {
    fn put(&mut self, key: Key, until: Duration, value: Bytes) {
        if let Some((_, old)) = self.values.remove(&key) {
            self.bytes -= old.len();
        }
        if self.values.len() >= MemoryCache::CAPACITY || self.bytes + value.len() > MemoryCache::BYTES {
            self.values.clear();
            self.bytes = 0;
        }
        if value.len() <= MemoryCache::BYTES {
            self.bytes += value.len();
            self.values.insert(key, (until, value));
        }
    }

    fn new_version(&mut self, key: Key) -> u64 {
        self.last_version += 1;
        if self.versions.len() >= MemoryCache::CAPACITY {
            self.versions.clear();
        }
        self.versions.insert(key, self.last_version);
        self.last_version
    }
}

impl MemoryCache {
    /// How many values, and how many tags, it holds at the most.
    pub const CAPACITY: usize = 1_000;

    /// How many bytes its values have together at the most.
    pub const BYTES: usize = 16 * 1024 * 1024;

    /// An empty cache.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn load(&self, tenant: &Tenant, key: &str) -> Result<Option<Bytes>, StoreError> {
        let now = self.clock.monotonic();
        let state = lock(&self.state);
        let value = state.values.get(&(tenant.clone(), key.to_owned()));
        Ok(value.filter(|(until, _)| now < *until).map(|(_, value)| value.clone()))
    }

    async fn store(&self, tenant: &Tenant, key: &str, value: Bytes, lifetime: Duration) -> Result<(), StoreError> {
        let until = self.clock.monotonic().saturating_add(lifetime);
        lock(&self.state).put((tenant.clone(), key.to_owned()), until, value);
        Ok(())
    }

    async fn version(&self, tenant: &Tenant, tag: &str) -> Result<u64, StoreError> {
        let key = (tenant.clone(), tag.to_owned());
        let mut state = lock(&self.state);
        let known = state.versions.get(&key).copied();
        Ok(known.unwrap_or_else(|| state.new_version(key)))
    }

    async fn invalidate(&self, tenant: &Tenant, tag: &str) -> Result<(), StoreError> {
        lock(&self.state).new_version((tenant.clone(), tag.to_owned()));
        Ok(())
    }
}
