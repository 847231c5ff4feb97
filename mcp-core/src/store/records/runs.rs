//! Runs, as they go again.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Keep, Records};
use crate::caller::{Principal, Tenant};
use crate::store::StoreError;
use crate::store::runs::Runs;

/// [`Records`] of any [`Runs`]: those go that ended long ago, with their steps and inputs. They are not counted.
pub struct RunRecords(pub Arc<dyn Runs>);

#[async_trait]
impl Records for RunRecords {
    fn kind(&self) -> &'static str {
        "runs"
    }

    async fn expire(&self, keep: Keep, batch: u16) -> Result<u64, StoreError> {
        match keep.since {
            Some(since) => self.0.remove_ended(since, batch).await,
            None => Ok(0),
        }
    }

    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError> {
        self.0.erase(tenant, principal, batch).await
    }
}
