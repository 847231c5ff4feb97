//! The chains in SQL: to read, to verify, to anchor and to trim.

mod keep;
mod records;
mod table;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::caller::Tenant;
use mcp_core::clock::Timestamp;
use mcp_core::store::StoreError;
use mcp_core::store::audit::{Audit, ChainId, ChainKey, Link, LinkQuery, Verification};
use mcp_core::store::ledger::Ledger;
use sea_orm::DbErr;

use super::Database;
use super::error::store_error;
use super::large::LargeBytes;
use table::LinkTable;
#[cfg(test)]
pub(super) use table::MOVED;

/// [`Audit`] in SQL.
pub(crate) struct SqlAudit {
    database: Database,
    /// Nothing, where nobody gave one: then there is no chain.
    key: Option<ChainKey>,
    large: LargeBytes,
    /// Where anchors and checkpoints are written; nothing, where the chains are only read.
    ledger: Option<Arc<dyn Ledger>>,
}

const STORE: &str = "audit";

impl SqlAudit {
    pub(crate) fn new(
        database: Database,
        key: Option<ChainKey>,
        large: LargeBytes,
        ledger: Option<Arc<dyn Ledger>>,
    ) -> Self {
        Self { database, key, large, ledger }
    }

    fn table(&self) -> LinkTable<'_> {
        LinkTable(&self.database)
    }

    fn key(&self) -> Result<&ChainKey, StoreError> {
        let missing = || {
            let cause = DbErr::Custom("there is no chain, since nobody gave its key".to_owned());
            StoreError::Refused { store: STORE, source: Some(Arc::new(cause)) }
        };
        self.key.as_ref().ok_or_else(missing)
    }

    /// Where to write; nothing, where there is no chain.
    fn ledger(&self) -> Option<&Arc<dyn Ledger>> {
        self.ledger.as_ref().filter(|_| self.key.is_some())
    }
}

#[async_trait]
impl Audit for SqlAudit {
    async fn links(&self, tenant: &Tenant, query: &LinkQuery) -> Result<Vec<Link>, StoreError> {
        self.table().of(tenant, query).await.map_err(store_error(STORE))
    }

    async fn walk(&self, after: Option<(ChainId, u64)>, limit: u16) -> Result<Vec<Link>, StoreError> {
        // The pin is the one link of its chain, which is the first of all.
        self.table().walk(after.unwrap_or((ChainId::PIN, 0)), limit).await.map_err(store_error(STORE))
    }

    fn is_linked(&self, link: &Link, record: [u8; 32]) -> bool {
        self.large.content().is_linked(link.digest, record)
    }

    async fn verify(&self) -> Result<Verification, StoreError> {
        verify::verify(&self.database, &self.large, self.key()?).await.map_err(store_error(STORE))
    }

    async fn anchor(&self) -> Result<(), StoreError> {
        let Some(ledger) = self.ledger() else { return Ok(()) };
        keep::anchor(self.table(), &**ledger).await
    }

    async fn trim(&self, before: Timestamp) -> Result<bool, StoreError> {
        let Some(ledger) = self.ledger() else { return Ok(false) };
        keep::trim(self.table(), &**ledger, before).await
    }
}
