//! Who anchors the chains, and when.

use std::time::Duration;

use crate::clock::Clock;
use crate::store::Stores;
use crate::store::leases::{Lease, Leases};

/// Under this name one of several replicas anchors for all of them.
const NAME: &str = "audit.anchors";

/// How often. What is cut off is found, unless it is as new as that.
const EACH: Duration = Duration::from_secs(60);

/// Anchors the chains of all replicas each minute, as long as none of the others does. It never ends; it may be dropped at any
/// moment, and then another one goes on when the lease has ended.
pub async fn keep_anchored(stores: &Stores, clock: &dyn Clock) {
    let mut held = None;
    loop {
        clock.sleep(EACH).await;
        held = hold(&*stores.leases, held).await;
        if held.is_some()
            && let Err(error) = stores.audit.anchor().await
        {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, "the audit chains are not anchored; it is tried again in a minute");
        }
    }
}

/// The lease, if it is still ours or nobody else's. Without an answer it is not: the others can do the same.
async fn hold(leases: &dyn Leases, held: Option<Lease>) -> Option<Lease> {
    const TIME: Duration = EACH.saturating_mul(2);
    if let Some(lease) = held
        && leases.renew(&lease, TIME).await.unwrap_or(false)
    {
        return Some(lease);
    }
    leases.acquire(NAME, TIME).await.ok().flatten()
}

#[cfg(all(test, feature = "test"))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use futures_util::future::{AbortHandle, Abortable};

    use super::*;
    use crate::caller::Tenant;
    use crate::clock::Timestamp;
    use crate::clock::simulated::SimulatedClock;
    use crate::store::StoreError;
    use crate::store::audit::{Audit, ChainId, Link, LinkQuery, Verification};

    /// Counts the anchors.
    #[derive(Default)]
    struct Counted(AtomicUsize);

    #[async_trait]
    impl Audit for Counted {
        async fn links(&self, _: &Tenant, _: &LinkQuery) -> Result<Vec<Link>, StoreError> {
            Ok(Vec::new())
        }

        async fn walk(&self, _: Option<(ChainId, u64)>, _: u16) -> Result<Vec<Link>, StoreError> {
            Ok(Vec::new())
        }

        async fn verify(&self) -> Result<Verification, StoreError> {
            Ok(Verification::default())
        }

        async fn anchor(&self) -> Result<(), StoreError> {
            // That one fails is no reason to stop.
            match self.0.fetch_add(1, Ordering::Relaxed) % 2 {
                0 => Err(StoreError::Unavailable { store: "audit", source: None }),
                _ => Ok(()),
            }
        }

        async fn trim(&self, _: Timestamp) -> Result<bool, StoreError> {
            Ok(false)
        }
    }

    #[tokio::test]
    async fn one_replica_anchors_each_minute_and_another_one_after_it() {
        let clock = SimulatedClock::new();
        let mut stores = Stores::in_memory(Arc::new(clock.clone()));
        let counts = [Arc::new(Counted::default()), Arc::new(Counted::default())];
        let replicas = counts.clone().map(|count| {
            stores.audit = count;
            let (stores, clock, (handle, registration)) = (stores.clone(), clock.clone(), AbortHandle::new_pair());
            let keep = async move { keep_anchored(&stores, &clock).await };
            (handle, Box::pin(Abortable::new(keep, registration)))
        });
        let (handles, mut tasks): (Vec<_>, Vec<_>) = replicas.into_iter().unzip();
        let anchored = || counts.iter().map(|count| count.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
        for minute in 0..6 {
            for task in &mut tasks {
                let _ = futures_util::poll!(task);
            }
            assert_eq!(anchored(), [minute, 0]);
            clock.advance(EACH);
        }
        handles[0].abort();
        for _ in 0..6 {
            for task in &mut tasks[1..] {
                let _ = futures_util::poll!(task);
            }
            clock.advance(EACH);
        }
        assert_eq!(anchored()[0], 5);
        assert!(anchored()[1] >= 3, "{:?}", anchored());
    }
}
