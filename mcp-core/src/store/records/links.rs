//! The links of the audit chains, as they go again.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Keep, Records};
use crate::caller::{Principal, Tenant};
use crate::store::StoreError;
use crate::store::audit::Audit;

/// [`Records`] of any [`Audit`]: the links of what was removed go by their age. Whoever is forgotten leaves their links, which hold
/// digests and nothing else of what they did.
pub struct LinkRecords(pub Arc<dyn Audit>);

#[async_trait]
impl Records for LinkRecords {
    fn kind(&self) -> &'static str {
        "audit"
    }

    async fn expire(&self, keep: Keep, _: u16) -> Result<u64, StoreError> {
        match keep.since {
            Some(since) => self.0.trim(since).await.map(u64::from),
            None => Ok(0),
        }
    }

    async fn forget(&self, _: &Tenant, _: &Principal, _: u16) -> Result<u64, StoreError> {
        Ok(0)
    }
}
