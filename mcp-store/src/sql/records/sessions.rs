//! Sessions, as they go again: each ends by itself.

use async_trait::async_trait;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::store::StoreError;
use mcp_core::store::records::{Keep, Records};

use crate::sql::sessions::SqlSessions;

#[async_trait]
impl Records for SqlSessions {
    fn kind(&self) -> &'static str {
        self.name()
    }

    async fn expire(&self, _: Keep, batch: u16) -> Result<u64, StoreError> {
        self.remove_ended(batch).await
    }

    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError> {
        self.remove_all_of(tenant, principal, batch).await
    }
}
