//! Calls, as they go again: through the ledger, which tells the audit chain.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::store::StoreError;
use mcp_core::store::audit::{Removal, RemovalCause};
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::{CallId, Entry, Ledger};
use mcp_core::store::records::{Keep, Records};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

use crate::sql::Database;
use crate::sql::entity::call::uuid;
use crate::sql::error::store_error;
use crate::sql::text::{shown, stored};

/// [`Records`] of calls.
pub(crate) struct CallRecords {
    database: Database,
    ledger: Arc<dyn Ledger>,
    /// The tenant, as it is stored, and the last call of the batch that went last. What is before that is gone: to look for more from the first
    /// entry of the index on would be to pass over all that were removed, as long as PostgreSQL must keep those for some other transaction
    /// (an `ANALYZE` is one), with each batch again.
    reached: Mutex<Option<(String, Uuid)>>,
}

const STORE: &str = "history";

/// One tenant after the other, each by one look into the index.
const FIRST_TENANT: &str = "SELECT min(tenant) FROM mcp_calls";
const NEXT_TENANT: &str = "SELECT min(tenant) FROM mcp_calls WHERE tenant > $1";

/// By the ids that calls of that time have.
const OLD: &str = "SELECT id FROM mcp_calls WHERE tenant = $1 AND id > $5 AND id < $2 AND at < $3 ORDER BY id LIMIT $4";

const TOO_MANY: &str = "SELECT tenant, count(*) FROM mcp_calls GROUP BY tenant HAVING count(*) > $1 LIMIT 1";
const OLDEST: &str = "SELECT id FROM mcp_calls WHERE tenant = $1 ORDER BY id LIMIT $2";

/// SQLite knows nothing of how many calls each has, and would take the first index that fits.
const THEIRS: &str = "SELECT id FROM mcp_calls {index} WHERE tenant = $1 AND principal = $2 ORDER BY id LIMIT $3";

impl CallRecords {
    pub(crate) fn new(database: Database, ledger: Arc<dyn Ledger>) -> Self {
        Self { database, ledger, reached: Mutex::default() }
    }

    async fn rows(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<Vec<QueryResult>, StoreError> {
        let statement = Statement::from_sql_and_values(self.database.backend(), sql, values);
        self.database.readers().query_all_raw(statement).await.map_err(store_error(STORE))
    }

    async fn ids(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<Vec<CallId>, StoreError> {
        let rows = self.rows(sql, values).await?;
        let id = |row: &QueryResult| row.try_get_by_index::<Uuid>(0).map(|id| CallId::from_u128(id.as_u128()));
        rows.iter().map(id).collect::<Result<_, DbErr>>().map_err(store_error(STORE))
    }

    /// The tenant after this one, as it is stored.
    async fn tenant_after(&self, tenant: Option<&str>) -> Result<Option<String>, StoreError> {
        let rows = match tenant {
            None => self.rows(FIRST_TENANT, []).await?,
            Some(tenant) => self.rows(NEXT_TENANT, [tenant.into()]).await?,
        };
        let tenant = rows.first().map(|row| row.try_get_by_index::<Option<String>>(0)).transpose();
        Ok(tenant.map_err(store_error(STORE))?.flatten())
    }

    async fn remove(&self, tenant: Tenant, cause: RemovalCause, calls: Vec<CallId>) -> Result<u64, StoreError> {
        let count = calls.len() as u64;
        if count > 0 {
            self.ledger.commit(vec![Entry::Removal(Removal { tenant, cause, calls, runs: Vec::new() })]).await?;
        }
        Ok(count)
    }

    async fn remove_old(&self, since: Timestamp, batch: u16) -> Result<u64, StoreError> {
        let (_, end) = CallQuery { to: Some(since), ..CallQuery::default() }.ids();
        let end = uuid(end.unwrap_or(CallId::from_u128(u128::MAX)));
        let mut next = match self.reached() {
            Some(reached) => Some(reached),
            None => self.tenant_after(None).await?.map(|tenant| (tenant, Uuid::nil())),
        };
        while let Some((name, behind)) = next {
            let values: [Value; 5] =
                [name.clone().into(), end.into(), since.as_micros().into(), i64::from(batch).into(), behind.into()];
            let old = self.ids(OLD, values).await?;
            if let Some(last) = old.last().copied().map(uuid) {
                let removed = self.remove(Tenant::from(shown(name.clone())), RemovalCause::Expired, old).await?;
                self.reach(Some((name, last)));
                return Ok(removed);
            }
            next = self.tenant_after(Some(&name)).await?.map(|tenant| (tenant, Uuid::nil()));
        }
        // The next round finds what was written with an earlier id meanwhile.
        self.reach(None);
        Ok(0)
    }

    fn reached(&self) -> Option<(String, Uuid)> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn reach(&self, place: Option<(String, Uuid)>) {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

    async fn remove_surplus(&self, most: u64, batch: u16) -> Result<u64, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.rows(TOO_MANY, [most.into()]).await?;
        let Some(row) = rows.first() else { return Ok(0) };
        let read = || Ok((row.try_get_by_index::<String>(0)?, row.try_get_by_index::<i64>(1)?));
        let (tenant, count) = read().map_err(store_error(STORE))?;
        let surplus = (count - most).min(batch.into());
        let oldest = self.ids(OLDEST, [tenant.clone().into(), surplus.into()]).await?;
        self.remove(Tenant::from(shown(tenant)), RemovalCause::Expired, oldest).await
    }
}

#[async_trait]
impl Records for CallRecords {
    fn kind(&self) -> &'static str {
        "calls"
    }

    async fn expire(&self, keep: Keep, batch: u16) -> Result<u64, StoreError> {
        let old = match keep.since {
            Some(since) => self.remove_old(since, batch).await?,
            None => 0,
        };
        match keep.most {
            Some(most) if old == 0 => self.remove_surplus(most, batch).await,
            _ => Ok(old),
        }
    }

    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError> {
        // What was done before this is written.
        self.ledger.commit(Vec::new()).await?;
        let index = if self.database.backend() == DbBackend::Sqlite { "INDEXED BY mcp_calls_principal" } else { "" };
        let [of, by] = [tenant.as_str(), principal.as_str()].map(|name| Value::from(&*stored(name)));
        let theirs = self.ids(&THEIRS.replace("{index}", index), [of, by, i64::from(batch).into()]).await?;
        self.remove(tenant.clone(), RemovalCause::Erased, theirs).await
    }
}
