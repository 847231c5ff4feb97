//! Settings in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;

use super::lock;
use crate::store::StoreError;
use crate::store::settings::{Key, LARGEST, Setting, Settings};

/// [`Settings`] in memory: at most [`MemorySettings::CAPACITY`], of [`MemorySettings::BYTES`] together. What somebody set is not
/// forgotten to make room: when it is full it takes no more.
#[derive(Default)]
pub struct MemorySettings {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_key: BTreeMap<Key, Setting>,
    bytes: usize,
    last_version: u64,
}

impl MemorySettings {
    /// How many settings it holds at the most.
    pub const CAPACITY: usize = 10_000;

    /// How many bytes their names and values have together at the most.
    pub const BYTES: usize = 16 * 1024 * 1024;
}

const STORE: &str = "settings";

impl State {
    fn remove(&mut self, key: &Key) {
        if let Some(old) = self.by_key.remove(key) {
            self.bytes -= size(key, &old.value);
        }
    }
}

fn size(key: &Key, value: &Bytes) -> usize {
    key.name().len() + value.len()
}

#[async_trait]
impl Settings for MemorySettings {
    async fn load(&self, key: &Key) -> Result<Option<Setting>, StoreError> {
        Ok(lock(&self.state).by_key.get(key).cloned())
    }

    async fn store(&self, key: &Key, value: Bytes, seen: Option<u64>) -> Result<u64, StoreError> {
        if value.len() > LARGEST {
            return Err(StoreError::Refused { store: STORE, source: None });
        }
        let mut state = lock(&self.state);
        let old = state.by_key.get(key);
        if old.map(|old| old.version) != seen {
            return Err(StoreError::Conflict { store: STORE });
        }
        let bytes = state.bytes - old.map_or(0, |old| size(key, &old.value)) + size(key, &value);
        if bytes > Self::BYTES || old.is_none() && state.by_key.len() >= Self::CAPACITY {
            return Err(StoreError::Unavailable { store: STORE, source: None });
        }
        state.bytes = bytes;
        state.last_version += 1;
        let version = state.last_version;
        state.by_key.insert(key.clone(), Setting { value, version });
        Ok(version)
    }

    async fn remove(&self, key: &Key, seen: u64) -> Result<(), StoreError> {
        let mut state = lock(&self.state);
        if state.by_key.get(key).is_some_and(|old| old.version != seen) {
            return Err(StoreError::Conflict { store: STORE });
        }
        state.remove(key);
        Ok(())
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: u16) -> Result<Vec<(String, Setting)>, StoreError> {
        let state = lock(&self.state);
        let found = state.by_key.range((Bound::Included(prefix), Bound::Unbounded));
        let found =
            found.take_while(|(key, _)| key.tenant() == prefix.tenant() && key.name().starts_with(prefix.name()));
        let found = found.filter(|(key, _)| after.is_none_or(|after| key.name() > after));
        Ok(found.take(limit.into()).map(|(key, setting)| (key.name().to_owned(), setting.clone())).collect())
    }
}
