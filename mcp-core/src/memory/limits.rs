//! Limits in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::lock;
use crate::caller::Tenant;
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::limits::{Decision, Limits, Rate};

/// [`Limits`] of those who share it, by the generic cell rate algorithm: of a key it knows only when all its tokens are back. Of
/// more than [`MemoryLimits::CAPACITY`] keys those are forgotten that have all their tokens, and then those that will have them
/// soonest.
pub struct MemoryLimits {
    clock: Arc<dyn Clock>,
    /// When each key has all its tokens.
    replete: Mutex<HashMap<Key, Duration>>,
}

type Key = (Tenant, String);

impl MemoryLimits {
    /// How many keys are counted at the most.
    pub const CAPACITY: usize = 10_000;

    /// Nobody has taken anything.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, replete: Mutex::default() }
    }

    /// Takes `cost` tokens, or none of them.
    ///
    /// # Errors
    /// [`StoreError::Refused`]: the cost is more than a burst.
    pub fn decide(&self, tenant: &Tenant, key: &str, rate: Rate, cost: u32) -> Result<Decision, StoreError> {
        let (now, key) = (self.clock.monotonic(), (tenant.clone(), key.to_owned()));
        let mut replete = lock(&self.replete);
        let decision = judge(debt(&replete, &key, now), rate, cost)?;
        if decision.allowed && cost > 0 && !decision.reset.is_zero() {
            if replete.len() >= Self::CAPACITY && !replete.contains_key(&key) {
                make_room(&mut replete, now);
            }
            replete.insert(key, now.saturating_add(decision.reset));
        }
        Ok(decision)
    }

    /// What [`MemoryLimits::decide`] would say, without taking anything: where others have to agree.
    ///
    /// # Errors
    /// As [`MemoryLimits::decide`].
    pub fn look(&self, tenant: &Tenant, key: &str, rate: Rate, cost: u32) -> Result<Decision, StoreError> {
        let (now, key) = (self.clock.monotonic(), (tenant.clone(), key.to_owned()));
        judge(debt(&lock(&self.replete), &key, now), rate, cost)
    }
}

/// How long it takes until a key has all its tokens.
fn debt(replete: &HashMap<Key, Duration>, key: &Key, now: Duration) -> Duration {
    replete.get(key).map_or(Duration::ZERO, |at| at.saturating_sub(now))
}

fn judge(debt: Duration, rate: Rate, cost: u32) -> Result<Decision, StoreError> {
    if cost > rate.burst {
        return Err(StoreError::Refused { store: "limits", source: None });
    }
    let interval = rate.interval();
    let full = interval.saturating_mul(rate.burst);
    // Under another rate it may have been longer.
    let before = debt.min(full);
    let after = before.saturating_add(interval.saturating_mul(cost));
    let allowed = after <= full;
    let reset = if allowed { after } else { before };
    let fitting = |tokens| u32::try_from(tokens).unwrap_or(u32::MAX);
    let remaining = (full - reset).as_nanos().checked_div(interval.as_nanos()).map_or(rate.burst, fitting);
    Ok(Decision { allowed, remaining, retry_after: after.saturating_sub(full), reset })
}

/// Forgets a quarter at the least, so that room is not made with each new key.
fn make_room(replete: &mut HashMap<Key, Duration>, now: Duration) {
    replete.retain(|_, at| now < *at);
    let mut surplus = replete.len().saturating_sub(MemoryLimits::CAPACITY / 4 * 3);
    if surplus > 0 {
        let mut ends: Vec<_> = replete.values().copied().collect();
        let (_, last, _) = ends.select_nth_unstable(surplus - 1);
        replete.retain(|_, at| {
            let goes = *at <= *last && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
    }
}

#[async_trait]
impl Limits for MemoryLimits {
    async fn take(&self, tenant: &Tenant, key: &str, rate: Rate, cost: u32) -> Result<Decision, StoreError> {
        self.decide(tenant, key, rate, cost)
    }
}
