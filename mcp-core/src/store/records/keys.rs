//! Keys of calls that may be sent twice, as they go again.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Keep, Records};
use crate::caller::{Principal, Tenant};
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::idempotency::Idempotency;

/// [`Records`] of any [`Idempotency`]: keys go by their age, those of whoever is forgotten as well, since their answers are in the
/// records of calls and go with these. They are not counted.
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
        match keep.since {
            Some(since) => self.keys.prune(since.until(self.clock.now()), batch).await,
            None => Ok(0),
        }
    }

    async fn forget(&self, _: &Tenant, _: &Principal, _: u16) -> Result<u64, StoreError> {
        Ok(0)
    }
}
