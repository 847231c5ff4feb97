//! Two replicas, and what befalls their Redis. No old version is used anywhere once its lease is over, and all heals by itself.

use std::time::Instant;

use bytes::Bytes;
use mcp_core::caller::Tenant;
use mcp_store::test_servers::{Fault, FaultProxy};

use super::*;

const DEADLINE: Duration = Duration::from_millis(150);

/// Waits for what comes by itself.
pub(super) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Replica {
    /// One with the deadline that is set where nothing is said.
    pub(super) async fn hasty(redis: &RedisServer) -> Self {
        Self::hasty_at(&redis.url()).await
    }

    async fn hasty_at(redis: &str) -> Self {
        let replica = Self::with_deadline(redis, DEADLINE).await;
        replica.trusts().await;
        replica
    }

    /// Lets time pass until there are versions, and gives that of the tag.
    async fn trusts(&self) -> u64 {
        let mut found = None;
        until("there are versions", async || {
            self.clock.advance(LONG);
            found = self.version().await.ok();
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    pub(super) async fn notices(&self) {
        until("it is noticed", async || self.count("mcp_redis_breaker_open") == 1.0).await;
    }

    pub(super) async fn heals(&self) {
        until("it answers", async || self.check().check().await.is_ok()).await;
        until("all is delivered", async || self.count("mcp_cache_owed_invalidations") == 0.0).await;
    }

    /// Whether what one replica stores is what another loads.
    async fn shares_with(&self, other: &Self) {
        let (tenant, value) = (Tenant::from("a"), Bytes::from_static(b"new"));
        until("a value is shared", async || {
            self.stores.cache.store(&tenant, "after", value.clone(), LONG).await.unwrap();
            other.stores.cache.load(&tenant, "after").await.is_ok_and(|loaded| loaded.as_ref() == Some(&value))
        })
        .await;
    }
}

/// Two replicas through an outage in which one of them changes what the other has cached. Gives the version that the tag had
/// before, and the one that both agree on after it.
async fn through(redis: &RedisServer, begins: impl Fn(), ends: impl Fn()) -> (u64, u64) {
    through_at(&redis.url(), begins, ends).await
}

async fn through_at(redis: &str, begins: impl Fn(), ends: impl Fn()) -> (u64, u64) {
    let (writer, reader) = (Replica::hasty_at(redis).await, Replica::hasty_at(redis).await);
    let old = writer.trusts().await;
    assert_eq!(reader.trusts().await, old);

    begins();
    assert!(writer.invalidate().await.is_err(), "others may not know of it");
    assert!(writer.version().await.is_err(), "it never uses the old one again");
    reader.clock.advance(LEASE - Duration::from_nanos(1));
    let leased = reader.version().await.ok();
    assert!(leased.is_none_or(|version| version == old), "its lease is not over, but it may have heard of the change");
    reader.clock.advance(Duration::from_nanos(1));
    assert!(reader.version().await.is_err(), "its lease is over");
    assert!(reader.check().check().await.is_err());
    writer.notices().await;
    reader.notices().await;
    assert!(writer.version().await.is_err() && reader.version().await.is_err());
    assert!(writer.invalidate().await.is_err());

    ends();
    assert_ne!(reader.version().await.ok(), Some(old));
    reader.heals().await;
    assert!(reader.version().await.is_err(), "it does not trust Redis yet: others may owe it something");
    writer.heals().await;
    let new = reader.trusts().await;
    assert_ne!(new, old);
    until("they agree", async || reader.trusts().await == writer.trusts().await).await;
    writer.shares_with(&reader).await;
    reader.shares_with(&writer).await;
    (old, reader.trusts().await)
}

#[tokio::test]
async fn redis_is_stopped_and_starts_again_with_its_data() {
    let redis = RedisServer::start();
    let (old, new) = through(&redis, || redis.stop(), || redis.restart()).await;
    assert_ne!(old, new);
}

#[tokio::test]
async fn redis_is_killed_and_starts_again_with_its_data() {
    let redis = RedisServer::start();
    let (old, new) = through(&redis, || redis.kill(), || redis.restart()).await;
    assert_ne!(old, new);
}

#[tokio::test]
async fn redis_is_killed_and_starts_again_empty() {
    let redis = RedisServer::start();
    let (old, new) = through(&redis, || redis.kill(), || redis.restart_empty()).await;
    assert_ne!(old, new);
}

#[tokio::test]
async fn redis_is_frozen_and_goes_on() {
    let redis = RedisServer::start();
    let (old, new) = through(&redis, || redis.freeze(), || redis.thaw()).await;
    assert_ne!(old, new);
}

/// What befalls the wire, and not the server.
async fn over_a_wire(fault: Fault) {
    let redis = RedisServer::start();
    let wire = FaultProxy::to(redis.port());
    let (old, new) = through_at(&wire.url(&redis.url()), || wire.set(fault), || wire.set(Fault::Nothing)).await;
    assert_ne!(old, new);
}

#[tokio::test]
async fn connections_to_redis_are_cut() {
    over_a_wire(Fault::Reset).await;
}

#[tokio::test]
async fn nothing_passes_to_redis() {
    over_a_wire(Fault::Silence).await;
}

#[tokio::test]
async fn connections_to_redis_lead_nowhere() {
    over_a_wire(Fault::HalfOpen).await;
}

#[tokio::test]
async fn redis_is_slower_than_anybody_waits() {
    over_a_wire(Fault::Delay(Duration::from_secs(1))).await;
}

/// Gives the tag the number in Redis that it had.
struct Snapshot(Vec<(&'static str, u64)>);

impl Snapshot {
    const KEYS: [&str; 2] = ["mcp:cache:epoch", "mcp:cache:tag:1:a:tag"];

    fn take(redis: &RedisServer) -> Self {
        let mut past = commands(&redis.url());
        Self(Self::KEYS.map(|key| (key, redis::cmd("GET").arg(key).query(&mut past).unwrap())).to_vec())
    }

    fn restore(&self, redis: &RedisServer) {
        let mut past = commands(&redis.url());
        for (key, number) in &self.0 {
            redis::cmd("SET").arg(key).arg(number).arg("PX").arg(600_000).exec(&mut past).unwrap();
        }
    }
}

#[tokio::test]
async fn redis_comes_back_with_data_from_before_a_change_that_it_had_acknowledged() {
    let redis = RedisServer::start();
    let (writer, reader) = (Replica::hasty(&redis).await, Replica::hasty(&redis).await);
    let old = writer.trusts().await;
    assert_eq!(reader.trusts().await, old);
    let snapshot = Snapshot::take(&redis);
    writer.invalidate().await.unwrap();
    // So quickly that it may be missed.
    redis.kill();
    redis.restart();
    snapshot.restore(&redis);
    for replica in [&writer, &reader] {
        replica.clock.advance(LEASE);
        assert_ne!(replica.version().await.ok(), Some(old));
        assert_ne!(replica.trusts().await, old);
    }
    // The test is one: what is in Redis is what was there.
    assert_eq!(Snapshot::take(&redis).0, snapshot.0);
}

#[tokio::test]
async fn redis_is_away_when_a_replica_starts() {
    let redis = RedisServer::start();
    redis.stop();
    let replica = Replica::with_deadline(&redis.url(), DEADLINE).await;
    assert!(replica.version().await.is_err() && replica.invalidate().await.is_err());
    let (tenant, value) = (Tenant::from("a"), Bytes::from_static(b"here"));
    replica.stores.cache.store(&tenant, "key", value.clone(), LONG).await.unwrap();
    assert_eq!(replica.stores.cache.load(&tenant, "key").await.unwrap(), Some(value));
    redis.restart();
    replica.heals().await;
    replica.trusts().await;
}

#[tokio::test]
async fn an_invalidation_whose_caller_left_is_delivered() {
    let redis = RedisServer::start();
    let (writer, reader) = (Replica::hasty(&redis).await, Replica::hasty(&redis).await);
    let old = writer.trusts().await;
    assert_eq!(reader.trusts().await, old);
    redis.freeze();
    let left = tokio::time::timeout(Duration::from_millis(1), writer.invalidate()).await;
    assert!(left.is_err(), "a Redis that is frozen acknowledges nothing");
    assert!(writer.version().await.is_err());
    redis.thaw();
    writer.heals().await;
    assert_ne!(writer.trusts().await, old);
    assert_ne!(reader.trusts().await, old);
}

#[tokio::test]
async fn more_invalidations_are_owed_than_can_be_remembered() {
    let redis = RedisServer::start();
    let (writer, reader) = (Replica::hasty(&redis).await, Replica::hasty(&redis).await);
    let tenant = Tenant::from("a");
    for (many, forgets) in [(10_000, false), (10_001, true)] {
        let old = reader.trusts().await;
        assert_eq!(writer.trusts().await, old);
        redis.freeze();
        writer.notices().await;
        for n in 0..many {
            let others = format!("another tag {n}");
            assert!(writer.stores.cache.invalidate(&tenant, &others).await.is_err());
        }
        assert_eq!(writer.count("mcp_cache_owed_invalidations"), if forgets { 1.0 } else { 10_000.0 });
        redis.thaw();
        writer.heals().await;
        assert_eq!(reader.trusts().await != old, forgets, "{many} invalidations of other tags");
    }
}

#[tokio::test]
async fn redis_is_full_and_puts_nothing_out() {
    let redis = RedisServer::start();
    let (writer, reader) = (Replica::hasty(&redis).await, Replica::hasty(&redis).await);
    let old = writer.trusts().await;
    assert_eq!(reader.trusts().await, old);
    let mut past = commands(&redis.url());
    let mut limit = |bytes: &str| redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes).exec(&mut past).unwrap();
    limit("1");
    assert!(writer.invalidate().await.is_err());
    assert!(writer.version().await.is_err());
    reader.clock.advance(LEASE);
    assert!(reader.version().await.is_err(), "what takes no writes learns of no changes");
    assert!(reader.check().check().await.is_err());
    limit("0");
    writer.heals().await;
    reader.heals().await;
    assert_ne!(writer.trusts().await, old);
    assert_ne!(reader.trusts().await, old);
}

#[tokio::test]
async fn redis_becomes_the_replica_of_another() {
    let redis = RedisServer::start();
    let becomes = |host: &str, port: &str| {
        redis::cmd("REPLICAOF").arg(host).arg(port).exec(&mut commands(&redis.url())).unwrap();
    };
    let (old, new) = through(&redis, || becomes("127.0.0.1", "1"), || becomes("NO", "ONE")).await;
    assert_ne!(old, new);
}
