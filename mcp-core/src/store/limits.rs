//! How often somebody may do something.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::caller::Tenant;

/// Counts what is done under a key against a [`Rate`]. It is there to spread load, and never fails a call: what it cannot share
/// with other replicas it counts in this process.
///
/// Where replicas share their limits, each of them may take some tokens in advance. Together they allow no more than the rate and,
/// for each replica, what it has in advance; one alone allows no more than the rate. While they cannot be shared, each replica
/// counts what it does itself, so that together they allow as many times the rate.
///
/// # Promises
/// - **a burst is allowed and no more**: of several who ask at once as well; a cost of nothing is always allowed.
/// - **tokens come back evenly**: one after each [`Rate::interval`], until there are as many as in a burst; who asks again after
///   `retry_after` is allowed, unless others were first.
/// - **a refusal takes nothing**: neither tokens nor time.
/// - **callers are apart**: equal keys of two tenants have nothing to do with each other.
/// - **the limits are bounded**: however many keys there are; one that was forgotten has all its tokens.
#[async_trait]
pub trait Limits: Send + Sync + 'static {
    /// Takes `cost` tokens of `key`, or none of them. A key goes with one rate: when that changes, what was taken before may count
    /// for more or for less.
    ///
    /// Not cancel safe: a dropped future may or may not have taken them.
    ///
    /// # Errors
    /// [`StoreError::Refused`]: the cost is more than a burst, so that it would never be allowed.
    async fn take(&self, tenant: &Tenant, key: &str, rate: Rate, cost: u32) -> Result<Decision, StoreError>;
}

/// As many at once as `burst`, and as many in each `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many tokens there are at the most.
    pub burst: u32,
    /// How long it takes until all of them have come back.
    pub per: Duration,
}

impl Rate {
    /// How long it takes until one token has come back, rounded up to a nanosecond.
    pub fn interval(&self) -> Duration {
        let burst = self.burst.max(1);
        let floor = self.per / burst;
        if floor.saturating_mul(burst) < self.per { floor.saturating_add(Duration::from_nanos(1)) } else { floor }
    }
}

/// Whether it may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the tokens were taken.
    pub allowed: bool,
    /// How many are left. Where replicas share a limit there may be more by now, or fewer.
    pub remaining: u32,
    /// When to ask again; nothing, where it was allowed.
    pub retry_after: Duration,
    /// How long it takes until there are as many as in a burst.
    pub reset: Duration,
}
