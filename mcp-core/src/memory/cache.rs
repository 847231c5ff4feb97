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

/// [`Cache`] in memory: at most [`MemoryCache::CAPACITY`] values and as many tags. When one of the two is full, it is emptied.
pub struct MemoryCache {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    values: HashMap<(Tenant, String), (Duration, Bytes)>,
    versions: HashMap<(Tenant, String), u64>,
    last_version: u64,
}

impl State {
    fn new_version(&mut self, tenant: &Tenant, tag: &str) -> u64 {
        self.last_version += 1;
        if self.versions.len() >= MemoryCache::CAPACITY {
            self.versions.clear();
        }
        self.versions.insert((tenant.clone(), tag.to_owned()), self.last_version);
        self.last_version
    }
}

impl MemoryCache {
    /// How many values, and how many tags, it holds at the most.
    pub const CAPACITY: usize = 1_000;

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
        let mut state = lock(&self.state);
        if state.values.len() >= Self::CAPACITY {
            state.values.clear();
        }
        state.values.insert((tenant.clone(), key.to_owned()), (until, value));
        Ok(())
    }

    async fn version(&self, tenant: &Tenant, tag: &str) -> Result<u64, StoreError> {
        let mut state = lock(&self.state);
        let known = state.versions.get(&(tenant.clone(), tag.to_owned())).copied();
        Ok(known.unwrap_or_else(|| state.new_version(tenant, tag)))
    }

    async fn invalidate(&self, tenant: &Tenant, tag: &str) -> Result<(), StoreError> {
        lock(&self.state).new_version(tenant, tag);
        Ok(())
    }
}
