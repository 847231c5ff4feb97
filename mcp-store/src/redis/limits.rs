//! Limits that replicas share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::caller::Tenant;
use mcp_core::clock::Clock;
use mcp_core::memory::MemoryLimits;
use mcp_core::store::StoreError;
use mcp_core::store::limits::{Decision, Limits, Rate};

use super::{BEAT, Redis, key};

/// [`Limits`] on Redis. A replica takes a batch of tokens at a time, a [`SHARE`]th of a burst, and spends it without asking again:
/// that is what it may have in advance, for as long as it likes. So most calls cost no round trip, and those that were refused
/// cost none until it is worth asking.
///
/// What a replica allows is counted in this process as well, always. So one alone never allows more than the rate, and goes on
/// from there when Redis is away.
///
/// Redis counts in microseconds: a token takes one at the least to come back, and comes back within [`LONGEST`].
pub(super) struct SharedLimits {
    redis: Redis,
    clock: Arc<dyn Clock>,
    here: MemoryLimits,
    buckets: Mutex<HashMap<(Tenant, String), Arc<Bucket>>>,
}

/// One key, as this replica sees it.
#[derive(Default)]
struct Bucket {
    /// Held by the one that asks Redis; the others wait for what it gets.
    asking: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was taken from Redis and not spent yet.
    tokens: u32,
    /// What was left there, when it was last asked.
    left: u32,
    /// When all tokens are back there, if nobody takes more.
    replete: Duration,
    /// So many tokens are not to be had there before this moment.
    shut: Option<(u32, Duration)>,
    /// Redis did not answer: until then it is not asked.
    alone: Duration,
}

/// The part of a burst that is taken at once.
const SHARE: u32 = 16;
/// How many keys a replica has tokens of at the most. What is forgotten comes back as it would have if it had been spent.
const KEYS: usize = 10_000;
/// How long a whole burst may take to come back: ten years, which both clocks can tell.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

const TAKE: &str = include_str!("limits.lua");

impl SharedLimits {
    /// Nothing was taken by this replica yet.
    pub(super) fn new(redis: Redis, clock: Arc<dyn Clock>) -> Self {
        Self { redis, here: MemoryLimits::new(clock.clone()), clock, buckets: Mutex::default() }
    }

    fn bucket(&self, tenant: &Tenant, name: &str) -> Arc<Bucket> {
        let key = (tenant.clone(), name.to_owned());
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(&key) {
            return bucket.clone();
        }
        if buckets.len() >= KEYS {
            buckets.clear();
        }
        buckets.entry(key).or_default().clone()
    }

    /// What can be decided without asking Redis.
    fn decide(&self, bucket: &Bucket, of: &Asked<'_>) -> Result<Option<Decision>, StoreError> {
        let now = self.clock.monotonic();
        let mut state = bucket.state();
        let seen = self.here.look(of.tenant, of.name, of.rate, of.cost)?;
        if !seen.allowed {
            // It would be more than the rate by this replica alone.
            return Ok(Some(seen));
        }
        let is_alone = now < state.alone;
        if state.tokens < of.cost && !is_alone {
            let needed = of.cost - state.tokens;
            let shut = state.shut.filter(|(tokens, until)| *tokens <= needed && now < *until);
            return Ok(shut.map(|(tokens, until)| Decision {
                allowed: false,
                remaining: state.remaining(),
                retry_after: (until - now).saturating_add(of.rate.interval().saturating_mul(needed - tokens)),
                reset: state.reset(of.rate, now),
            }));
        }
        let here = self.here.decide(of.tenant, of.name, of.rate, of.cost)?;
        state.tokens = state.tokens.saturating_sub(of.cost);
        if is_alone {
            return Ok(Some(here));
        }
        let (remaining, reset) = (here.remaining.min(state.remaining()), here.reset.max(state.reset(of.rate, now)));
        Ok(Some(Decision { remaining, reset, ..here }))
    }

    /// Takes a batch, or finds out when to ask again.
    async fn ask(&self, bucket: &Bucket, of: &Asked<'_>) {
        let needed = of.cost.saturating_sub(bucket.state().tokens);
        let wanted = needed.max(of.rate.burst / SHARE);
        let interval = of.rate.interval().min(LONGEST / of.rate.burst.max(1));
        let interval = u64::try_from(interval.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
        let key = key::limit(of.tenant, of.name);
        // Run twice, where an answer was lost, it takes a batch that nobody spends, and that comes back like any other.
        let commands = || {
            let mut pipeline = redis::pipe();
            pipeline.cmd("EVAL").arg(TAKE).arg(1).arg(&key).arg(interval).arg(of.rate.burst).arg(needed).arg(wanted);
            pipeline
        };
        let reply = self.redis.run::<((u32, u32, u64, u64),)>("limits", commands).await;
        let now = self.clock.monotonic();
        let mut state = bucket.state();
        match reply.map(|reply| reply.value.0) {
            Ok((taken, left, debt, retry)) => {
                state.tokens = state.tokens.saturating_add(taken);
                state.left = left;
                state.replete = now.saturating_add(Duration::from_micros(debt));
                state.shut = (taken == 0).then(|| (needed, now.saturating_add(Duration::from_micros(retry))));
            }
            Err(_) => state.alone = now.saturating_add(BEAT),
        }
    }
}

/// What somebody wants.
struct Asked<'a> {
    tenant: &'a Tenant,
    name: &'a str,
    rate: Rate,
    cost: u32,
}

impl Bucket {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many tokens are left, as far as this replica knows.
    fn remaining(&self) -> u32 {
        self.tokens.saturating_add(self.left)
    }

    /// How long it takes until all tokens are back, with those that are not spent.
    fn reset(&self, rate: Rate, now: Duration) -> Duration {
        self.replete.saturating_sub(now).saturating_sub(rate.interval().saturating_mul(self.tokens))
    }
}

#[async_trait]
impl Limits for SharedLimits {
    async fn take(&self, tenant: &Tenant, name: &str, rate: Rate, cost: u32) -> Result<Decision, StoreError> {
        if cost == 0 || cost > rate.burst || rate.per.is_zero() {
            return self.here.decide(tenant, name, rate, cost);
        }
        let (bucket, asked) = (self.bucket(tenant, name), Asked { tenant, name, rate, cost });
        if let Some(decision) = self.decide(&bucket, &asked)? {
            return Ok(decision);
        }
        let _asking = bucket.asking.lock().await;
        loop {
            // Another may have asked meanwhile, or have spent what this one got.
            if let Some(decision) = self.decide(&bucket, &asked)? {
                return Ok(decision);
            }
            self.ask(&bucket, &asked).await;
        }
    }
}
