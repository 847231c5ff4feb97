//! What replicas share, on a real Redis.

mod counted;
mod kept;
mod outages;
mod shared;
mod told;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_core::Stores;
use mcp_core::caller::Tenant;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::contract::Fresh;
use mcp_core::store::StoreError;
use mcp_core::store::check::Check;
use mcp_store::StoreConfig;
use mcp_store::test_servers::RedisServer;
use tempfile::TempDir;

use super::url;

/// A replica, with a clock of its own.
struct Replica {
    stores: Stores,
    clock: SimulatedClock,
    folder: TempDir,
}

/// Longer than any lease, and any time for which a replica does not trust what Redis says.
const LONG: Duration = Duration::from_secs(60);

/// How long a version may be used without asking.
const LEASE: Duration = Duration::from_millis(300);

impl Replica {
    /// One that has had the time to trust Redis.
    async fn on(redis: &RedisServer) -> Self {
        let replica = Self::new(&redis.url()).await;
        replica.clock.advance(LONG);
        replica
    }

    async fn new(redis: &str) -> Self {
        // Machines that run tests are slow at times.
        Self::with_deadline(redis, Duration::from_secs(5)).await
    }

    async fn with_deadline(redis: &str, deadline: Duration) -> Self {
        let (folder, clock) = (TempDir::new().unwrap(), SimulatedClock::new());
        let mut config = StoreConfig::new(&url(&folder), Arc::new(clock.clone())).unwrap();
        config.cache_bytes = 256 * 1024;
        config.redis_url = Some(redis.to_owned());
        config.redis_deadline = deadline;
        config.protocol_sessions = mcp_core::contract::sessions::ROOM;
        let stores = mcp_store::open(&config).await.unwrap();
        Self { stores, clock, folder }
    }

    /// The version of a tag.
    async fn version(&self) -> Result<u64, StoreError> {
        self.stores.cache.version(&Tenant::from("a"), "tag").await
    }

    async fn invalidate(&self) -> Result<(), StoreError> {
        self.stores.cache.invalidate(&Tenant::from("a"), "tag").await
    }

    fn check(&self) -> &dyn Check {
        &**self.stores.checks.iter().find(|check| check.name() == "redis").expect("Redis is checked")
    }

    /// What is counted under a name, all labels together.
    fn count(&self, name: &str) -> f64 {
        let samples = self.stores.collectors.iter().flat_map(|collector| collector.collect());
        samples.filter(|sample| sample.name == name).map(|sample| sample.value).sum()
    }
}

/// Commands to a Redis, past the cache.
fn commands(redis: &str) -> redis::Connection {
    redis::Client::open(redis).unwrap().get_connection().unwrap()
}

/// Makes each key so much older, in milliseconds; a limit also in microseconds, where they are told.
const AGE: &str = "
    for _, key in ipairs(redis.call('KEYS', '*')) do
        local left = redis.call('PTTL', key)
        if left < 0 then error('it has no end: ' .. key) end
        if left > tonumber(ARGV[1]) then redis.call('PEXPIRE', key, left - ARGV[1]) else redis.call('DEL', key) end
        if left > tonumber(ARGV[1]) and string.find(key, '^mcp:limit:') then
            local replete = redis.call('GET', key) - (ARGV[2] or ARGV[1] * 1000)
            redis.call('SET', key, string.format('%.0f', replete), 'KEEPTTL')
        end
    end";

fn age(past: &mut redis::Connection, time: Duration) {
    let (millis, micros) = (u64::try_from(time.as_millis()).unwrap(), u64::try_from(time.as_micros()).unwrap());
    redis::Script::new(AGE).arg(millis).arg(micros).invoke::<()>(past).unwrap();
}

async fn fresh() -> Fresh {
    let redis = RedisServer::start();
    let mut past = commands(&redis.url());
    for (setting, value) in [("appendonly", "no"), ("maxmemory-policy", "volatile-lru"), ("maxmemory", "4mb")] {
        redis::cmd("CONFIG").arg("SET").arg(setting).arg(value).exec(&mut past).unwrap();
    }
    let Replica { stores, clock, folder } = Replica::on(&redis).await;
    let past = Mutex::new(past);
    let age = move |time| age(&mut past.lock().unwrap(), time);
    Fresh::new(stores, clock).aging(age).keeping((folder, redis))
}

mcp_core::cache_contract!(fresh);
mcp_core::events_contract!(fresh);
mcp_core::limits_contract!(fresh);
mcp_core::sessions_contract!(fresh);
