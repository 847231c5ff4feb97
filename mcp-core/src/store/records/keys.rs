//! Keys of calls that may be sent twice, as they go again.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Keep, Records};
use crate::caller::{Principal, Tenant};
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::idempotency::Idempotency;

/// [`Records`] of any [`Idempotency`]: what was answered under a key is in the record of its call, and goes with that.
pub struct KeyRecords {
    /// Where the keys are.
    pub keys: Arc<dyn Idempotency>,
    /// Tells how old they are.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Records for KeyRecords {
    fn kind(&self) -> &'static str {
        "keys"
    }

    async fn expire(&self, keep: Keep, batch: u16) -> Result<u64, StoreError> {
        let old = match keep.since {
            Some(since) => self.keys.prune(since.until(self.clock.now()), batch).await?,
            None => 0,
        };
        match keep.most {
            Some(most) if old == 0 => self.keys.prune_surplus(most, batch).await,
            _ => Ok(old),
        }
    }

    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError> {
        self.keys.erase(tenant, principal, batch).await
    }
}

#[cfg(all(test, feature = "test"))]
mod tests {
    use super::*;
    use crate::clock::simulated::SimulatedClock;
    use crate::store::Stores;
    use crate::store::idempotency::{CallKey, Claim};
    use crate::store::ledger::CallId;
    use crate::store::replicas::ReplicaId;

    #[tokio::test]
    async fn keys_go_by_age_by_number_and_with_whoever_is_forgotten() {
        let clock = Arc::new(SimulatedClock::new());
        let keys = Stores::in_memory(clock.clone()).idempotency;
        let records = KeyRecords { keys: keys.clone(), clock: clock.clone() };
        let (tenant, second) = (Tenant::from("a"), std::time::Duration::from_secs(1));
        for n in 0..9_u8 {
            let (principal, tool) = (Principal::from(if n == 8 { "ada" } else { "bob" }), "t".to_owned());
            let key = CallKey { tenant: tenant.clone(), principal, tool, key: n.to_string() };
            // Of a replica that does not live.
            let claim = Claim { owner: CallId::from_u128(n.into()), replica: ReplicaId::from_u64(1), digest: [0; 32] };
            keys.claim(&key, &claim).await.unwrap();
            clock.advance(second);
        }
        let keep = |age: u32, most| Keep { since: Some(clock.now().before(second * age)), most };
        assert_eq!(records.expire(Keep::default(), 9).await.unwrap(), 0);
        assert_eq!(records.expire(keep(7, Some(5)), 9).await.unwrap(), 2, "they are too old");
        assert_eq!(records.expire(keep(7, Some(5)), 9).await.unwrap(), 2, "they are too many");
        assert_eq!(records.expire(keep(7, Some(5)), 9).await.unwrap(), 0);
        let theirs = records.forget(&tenant, &Principal::from("bob"), 3).await.unwrap();
        let rest = records.forget(&tenant, &Principal::from("bob"), 3).await.unwrap();
        assert_eq!((theirs, rest), (3, 1));
        assert_eq!(records.expire(Keep { since: None, most: Some(0) }, 9).await.unwrap(), 1, "the other's");
    }
}
