//! What is counted of Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mcp_core::measure::{Collector, Sample};

use super::versions::Versions;
use super::{Fault, Redis, Reply};

/// How round trips ended.
#[derive(Default)]
pub(super) struct Counts {
    served: AtomicU64,
    refused: AtomicU64,
    missed: AtomicU64,
    skipped: AtomicU64,
}

impl Counts {
    pub(super) fn ended<T>(&self, result: &Result<Reply<T>, Fault>) {
        let count = match result {
            Ok(_) => &self.served,
            Err(Fault::Refused(_)) => &self.refused,
            Err(Fault::Missed(_)) => &self.missed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }
}

/// [`Collector`] of a Redis and of the cache on it.
pub(super) struct RedisMeasures {
    pub(super) redis: Redis,
    pub(super) versions: Arc<Versions>,
}

impl Collector for RedisMeasures {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn collect(&self) -> Vec<Sample> {
        let counts = &self.redis.0.counts;
        let trips = |outcome: &str, count: &AtomicU64| {
            let help = "Round trips to Redis by how they ended: `served`, `refused` by an error, `missed` where no answer came in time, `skipped` while Redis was known not to answer.";
            let count = count.load(Ordering::Relaxed) as f64;
            Sample::counter("mcp_redis_round_trips_total", help, count).with("outcome", outcome)
        };
        vec![
            trips("served", &counts.served),
            trips("refused", &counts.refused),
            trips("missed", &counts.missed),
            trips("skipped", &counts.skipped),
            Sample::gauge(
                "mcp_redis_breaker_open",
                "Whether Redis is known not to answer: 1 or 0.",
                f64::from(u8::from(self.redis.0.breaker.is_open())),
            ),
            Sample::gauge(
                "mcp_redis_connections",
                "Connections to Redis that are there, each of which several commands use at once.",
                f64::from(self.redis.0.pool.state().connections),
            ),
            Sample::gauge(
                "mcp_cache_owed_invalidations",
                "Invalidations that other replicas have not been told of, since Redis did not take them.",
                self.versions.owed() as f64,
            ),
        ]
    }
}
