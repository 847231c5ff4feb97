//! Runs, as they go again.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Keep, Records};
use crate::caller::{Principal, Tenant};
use crate::store::StoreError;
use crate::store::audit::{Removal, RemovalCause};
use crate::store::ledger::{Entry, Ledger};
use crate::store::runs::{RunId, RunQuery, Runs};

/// [`Records`] of any [`Runs`]: those go that ended long ago, or that have ended and are too many, with their steps and inputs. They go
/// through the ledger, which tells the audit chain.
pub struct RunRecords {
    /// Where the runs are.
    pub runs: Arc<dyn Runs>,
    /// Through which they are written.
    pub ledger: Arc<dyn Ledger>,
}

impl RunRecords {
    async fn remove(&self, cause: RemovalCause, runs: Vec<(Tenant, RunId)>) -> Result<u64, StoreError> {
        let (count, mut of_tenants) = (runs.len() as u64, BTreeMap::<_, Vec<_>>::new());
        for (tenant, run) in runs {
            of_tenants.entry(tenant).or_default().push(run);
        }
        for (tenant, runs) in of_tenants {
            let removal = Removal { tenant, cause, calls: Vec::new(), runs };
            self.ledger.commit(vec![Entry::Removal(removal)]).await?;
        }
        Ok(count)
    }
}

#[async_trait]
impl Records for RunRecords {
    fn kind(&self) -> &'static str {
        "runs"
    }

    async fn expire(&self, keep: Keep, batch: u16) -> Result<u64, StoreError> {
        let overdue = self.runs.overdue(keep, batch).await?;
        self.remove(RemovalCause::Expired, overdue).await
    }

    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError> {
        let query = RunQuery { principal: Some(principal.clone()), limit: batch, ..RunQuery::default() };
        let theirs = self.runs.ids(tenant, &query).await?;
        let theirs = theirs.into_iter().map(|run| (tenant.clone(), run)).collect();
        self.remove(RemovalCause::Erased, theirs).await
    }
}
