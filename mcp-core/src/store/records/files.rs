//! Files as records.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Keep, Records};
use crate::caller::{Principal, Tenant};
use crate::store::StoreError;
use crate::store::files::Files;

/// The files of callers: they stay until their owner removes them, or is forgotten.
pub struct FileRecords(pub Arc<dyn Files>);

#[async_trait]
impl Records for FileRecords {
    fn kind(&self) -> &'static str {
        "files"
    }

    async fn expire(&self, _: Keep, _: u16) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError> {
        let mut removed = 0;
        for file in self.0.list(tenant, principal, "", None, batch).await? {
            removed += u64::from(self.0.remove(tenant, principal, &file.name).await?);
        }
        Ok(removed)
    }
}
