//! Caches that break their promises.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::caller::Tenant;
use crate::clock::Clock;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::memory::lock;
use crate::store::cache::Cache;
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    NeverExpires,
    ExpiresAtOnce,
    LivesTooLong,
    KeepsTheFirst,
    NeverInvalidates,
    TwoVersions,
    CountsFromTheBeginning,
    ANewVersionEachTime,
    OneTagForAll,
    SharedValues,
    SharedTags,
    JoinsTheNames,
    EndlessValues,
    EndlessTags,
}

/// A small cache; sound, but for its flaw.
struct Broken {
    flaw: Flaw,
    clock: SimulatedClock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    values: HashMap<String, (Duration, Bytes)>,
    versions: HashMap<String, u64>,
    last_version: u64,
}

const CAPACITY: usize = 100;

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    stores.cache = Arc::new(Broken { flaw, clock: clock.clone(), state: Mutex::default() });
    Fresh::new(stores, clock)
}

impl Broken {
    fn key(&self, tenant: &Tenant, key: &str, shared: Flaw) -> String {
        match self.flaw {
            flaw if flaw == shared => key.to_owned(),
            Flaw::JoinsTheNames => format!("{tenant}{key}"),
            _ => format!("{tenant:?} {key}"),
        }
    }

    fn tag(&self, tenant: &Tenant, tag: &str) -> String {
        let tag = if self.flaw == Flaw::OneTagForAll { "" } else { tag };
        self.key(tenant, tag, Flaw::SharedTags)
    }

    fn new_version(&self, tag: String) -> u64 {
        let state = &mut *lock(&self.state);
        if state.versions.len() >= CAPACITY && self.flaw != Flaw::EndlessTags {
            state.versions.clear();
        }
        state.last_version += 1;
        let version = match self.flaw {
            Flaw::CountsFromTheBeginning => state.versions.get(&tag).map_or(0, |version| version + 1),
            Flaw::TwoVersions => state.versions.get(&tag).map_or(0, |version| 1 - version),
            _ => state.last_version,
        };
        state.versions.insert(tag, version);
        version
    }
}

#[async_trait]
impl Cache for Broken {
    async fn load(&self, tenant: &Tenant, key: &str) -> Result<Option<Bytes>, StoreError> {
        let mut now = self.clock.monotonic();
        match self.flaw {
            Flaw::NeverExpires => now = Duration::ZERO,
            Flaw::ExpiresAtOnce => return Ok(None),
            Flaw::LivesTooLong => now = now.saturating_sub(Duration::from_nanos(1)),
            _ => {}
        }
        let state = lock(&self.state);
        let value = state.values.get(&self.key(tenant, key, Flaw::SharedValues));
        Ok(value.filter(|(until, _)| now < *until).map(|(_, value)| value.clone()))
    }

    async fn store(&self, tenant: &Tenant, key: &str, value: Bytes, lifetime: Duration) -> Result<(), StoreError> {
        let until = self.clock.monotonic() + lifetime;
        let key = self.key(tenant, key, Flaw::SharedValues);
        let mut state = lock(&self.state);
        if state.values.len() >= CAPACITY && self.flaw != Flaw::EndlessValues {
            state.values.clear();
        }
        if self.flaw == Flaw::KeepsTheFirst {
            state.values.entry(key).or_insert((until, value));
        } else {
            state.values.insert(key, (until, value));
        }
        Ok(())
    }

    async fn version(&self, tenant: &Tenant, tag: &str) -> Result<u64, StoreError> {
        let tag = self.tag(tenant, tag);
        let known = lock(&self.state).versions.get(&tag).copied().filter(|_| self.flaw != Flaw::ANewVersionEachTime);
        Ok(known.unwrap_or_else(|| self.new_version(tag)))
    }

    async fn invalidate(&self, tenant: &Tenant, tag: &str) -> Result<(), StoreError> {
        if self.flaw != Flaw::NeverInvalidates {
            self.new_version(self.tag(tenant, tag));
        }
        Ok(())
    }
}

super::each_case_fails! {
    cache, broken,
    a_stored_value_is_loaded: [
        Flaw::NeverExpires,
        Flaw::ExpiresAtOnce,
        Flaw::LivesTooLong,
        Flaw::KeepsTheFirst,
    ],
    an_invalidated_tag_has_a_version_that_it_never_had: [
        Flaw::NeverInvalidates,
        Flaw::TwoVersions,
        Flaw::CountsFromTheBeginning,
    ],
    a_version_stays_until_it_is_invalidated: [Flaw::ANewVersionEachTime, Flaw::OneTagForAll],
    tenants_are_apart: [Flaw::SharedValues, Flaw::SharedTags, Flaw::JoinsTheNames],
    the_cache_is_bounded: [Flaw::EndlessValues, Flaw::EndlessTags],
}
