//! Sessions, as they go again.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Keep, Records};
use crate::caller::{Principal, Tenant};
use crate::store::StoreError;
use crate::store::sessions::{SessionRoom, Sessions};

/// [`Records`] of any [`Sessions`]: an owner has few, and each ends by itself, which its store sees to.
pub struct SessionRecords {
    /// The sessions of one room.
    pub sessions: Arc<dyn Sessions>,
    /// The room.
    pub room: SessionRoom,
}

#[async_trait]
impl Records for SessionRecords {
    fn kind(&self) -> &'static str {
        self.room.name
    }

    async fn expire(&self, _: Keep, _: u16) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError> {
        let mut removed = 0;
        for session in self.sessions.list(tenant, principal).await?.into_iter().take(batch.into()) {
            removed += u64::from(self.sessions.remove(tenant, principal, &session.handle).await?);
        }
        Ok(removed)
    }
}
