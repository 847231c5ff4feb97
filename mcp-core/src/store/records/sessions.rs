//! Sessions, as they go again.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Keep, Records};
use crate::caller::{Principal, Tenant};
use crate::store::StoreError;
use crate::store::sessions::Sessions;

/// [`Records`] of any [`Sessions`]: an owner has few, and each ends by itself, which its store sees to.
pub struct SessionRecords(pub Arc<dyn Sessions>);

#[async_trait]
impl Records for SessionRecords {
    fn kind(&self) -> &'static str {
        "sessions"
    }

    async fn expire(&self, _: Keep, _: u16) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError> {
        let mut removed = 0;
        for session in self.0.list(tenant, principal).await?.into_iter().take(batch.into()) {
            removed += u64::from(self.0.remove(tenant, principal, &session.handle).await?);
        }
        Ok(removed)
    }
}
