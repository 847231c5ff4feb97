//! Removing what has been kept for long enough, and what is of somebody who is to be forgotten.

#[cfg(all(test, feature = "test"))]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::caller::{Principal, Tenant};
use crate::clock::{Clock, Timestamp};
use crate::store::leases::{Lease, Leases};
use crate::store::records::{Keep, Records};
use crate::store::{StoreError, Stores};

/// How long each kind of record is kept, and how many of it; what is not named is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    by_kind: BTreeMap<String, Limit>,
}

/// How long, and how many of each tenant; what is `None` bounds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Nothing older is kept.
    pub age: Option<Duration>,
    /// No more of one tenant are kept.
    pub most: Option<u64>,
}

impl Policy {
    /// The same, and of the records of this [kind](Records::kind) no more than `limit`.
    #[must_use]
    pub fn limit(mut self, kind: impl Into<String>, limit: Limit) -> Self {
        self.by_kind.insert(kind.into(), limit);
        self
    }

    /// What is to be kept of a kind at this moment.
    fn keep(&self, kind: &str, now: Timestamp) -> Keep {
        let limit = self.by_kind.get(kind).copied().unwrap_or_default();
        Keep { since: limit.age.map(|age| now.before(age)), most: limit.most }
    }
}

/// Under this name one of several replicas does it for all of them.
const NAME: &str = "retention";

/// How long after one round the next begins.
const EACH: Duration = Duration::from_secs(60);

/// How long a replica may be silent in its work before another one does it.
const LEASE: Duration = EACH.saturating_mul(2);

/// How many records go at once: so few that nobody waits for it.
const BATCH: u16 = 1_000;

/// How long others have the database for themselves between two batches: as long as one has taken, but no less and no more than this.
const PAUSE: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(50)];

/// How long a lease is believed in without being renewed.
const RENEWED: Duration = Duration::from_secs(15);

/// Removes each minute what `policy` does not keep, as long as none of the other replicas does; where that takes longer, again at once. It
/// never ends; it may be dropped at any moment, and then another one goes on when the lease has ended.
pub async fn keep_tidy(stores: &Stores, clock: &dyn Clock, policy: &Policy) {
    let (mut held, mut is_done) = (None, true);
    loop {
        if is_done {
            clock.sleep(EACH).await;
        }
        is_done = true;
        for records in &stores.records {
            held = hold(&*stores.leases, held).await;
            if held.is_none() {
                break;
            }
            match expire(stores, clock, policy, &**records, &mut held).await {
                Ok((0, _)) => {}
                Ok((removed, all)) => {
                    is_done &= all;
                    tracing::info!(kind = records.kind(), removed, "what was kept for long enough is removed")
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, kind = records.kind(), "old records are not removed; it is tried again in a minute");
                }
            }
        }
    }
}

/// Removes all of one kind that is not to be kept, as long as the lease is held; or for so long that it is another kind's turn. How many were
/// removed, and whether these were all.
async fn expire(
    stores: &Stores,
    clock: &dyn Clock,
    policy: &Policy,
    records: &dyn Records,
    held: &mut Option<Lease>,
) -> Result<(u64, bool), StoreError> {
    let keep = policy.keep(records.kind(), clock.now());
    let begun = clock.monotonic();
    let (mut renewed, mut all) = (begun, 0);
    while held.is_some() && clock.monotonic() - begun < EACH {
        let asked = clock.monotonic();
        match records.expire(keep, BATCH).await? {
            0 => return Ok((all, true)),
            removed => all += removed,
        }
        let [least, most] = PAUSE;
        clock.sleep((clock.monotonic() - asked).clamp(least, most)).await;
        if clock.monotonic() - renewed > RENEWED {
            *held = hold(&*stores.leases, held.take()).await;
            renewed = clock.monotonic();
        }
    }
    Ok((all, false))
}

/// The lease, if it is still ours or nobody else's. Without an answer it is not: the others can do the same.
async fn hold(leases: &dyn Leases, held: Option<Lease>) -> Option<Lease> {
    if let Some(lease) = held
        && leases.renew(&lease, LEASE).await.unwrap_or(false)
    {
        return Some(lease);
    }
    leases.acquire(NAME, LEASE).await.ok().flatten()
}

/// Removes all that somebody has, and tells how many records of each kind. What they do meanwhile may stay: keep them out first.
///
/// Cancel safe: whole records are removed, and whoever asks again goes on.
///
/// # Errors
/// [`StoreError::Unavailable`]: some were removed.
pub async fn forget(
    stores: &Stores,
    tenant: &Tenant,
    principal: &Principal,
) -> Result<Vec<(&'static str, u64)>, StoreError> {
    forget_records(&stores.records, tenant, principal).await
}

/// The same, of these kinds.
pub(crate) async fn forget_records(
    kinds: &[Arc<dyn Records>],
    tenant: &Tenant,
    principal: &Principal,
) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let mut forgotten = Vec::new();
    for records in kinds {
        let mut all = 0;
        loop {
            match records.forget(tenant, principal, BATCH).await? {
                0 => break,
                removed => all += removed,
            }
        }
        forgotten.push((records.kind(), all));
    }
    Ok(forgotten)
}
