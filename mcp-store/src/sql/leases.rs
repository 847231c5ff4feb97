//! Leases in SQL.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::leases::{Lease, Leases};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use super::Database;
use super::error::store_error;
use super::now::{Now, micros};
use super::text::stored;

/// [`Leases`] in SQL: by the clock of PostgreSQL, which replicas share, or by that of the one process that has the file.
///
/// A row stays when its lease is over, since it knows the last epoch.
pub(crate) struct SqlLeases {
    database: Database,
    now: Now,
}

/// Run twice, where the answer was lost, it takes what it has taken already from nobody: then nobody has the lease until it ends.
const ACQUIRE: &str = "INSERT INTO mcp_leases (name, epoch, until) VALUES ($1, 1, {now} + $2) \
                       ON CONFLICT (name) DO UPDATE SET epoch = mcp_leases.epoch + 1, until = EXCLUDED.until \
                       WHERE mcp_leases.until <= {now} RETURNING epoch";

/// Run twice, it renews twice.
const RENEW: &str =
    "UPDATE mcp_leases SET until = {now} + $2 WHERE name = $1 AND epoch = $3 AND until > {now} RETURNING epoch";

/// Run twice, it does nothing the second time: whoever has taken the lease in between has another epoch.
const RELEASE: &str = "UPDATE mcp_leases SET until = 0 WHERE name = $1 AND epoch = $2";

impl SqlLeases {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        let now = Now::new(database.backend(), clock);
        Self { database, now }
    }

    /// Runs a statement about the lease of `name`, at the time that it is now.
    async fn run(
        &self,
        sql: &str,
        name: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Option<QueryResult>, StoreError> {
        let statement = self.now.statement(sql, [Value::from(&*stored(name))].into_iter().chain(values));
        self.database.writer().query_one_raw(statement).await.map_err(store_error(STORE))
    }
}

const STORE: &str = "leases";

#[async_trait]
impl Leases for SqlLeases {
    async fn acquire(&self, name: &str, time: Duration) -> Result<Option<Lease>, StoreError> {
        let Some(row) = self.run(ACQUIRE, name, [micros(time)]).await? else { return Ok(None) };
        let epoch = epoch(&row).map_err(store_error(STORE))?;
        Ok(Some(Lease { name: name.to_owned(), epoch }))
    }

    async fn renew(&self, lease: &Lease, time: Duration) -> Result<bool, StoreError> {
        let values = [micros(time), lease.epoch.cast_signed().into()];
        Ok(self.run(RENEW, &lease.name, values).await?.is_some())
    }

    async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        self.run(RELEASE, &lease.name, [lease.epoch.cast_signed().into()]).await.map(drop)
    }
}

fn epoch(row: &QueryResult) -> Result<u64, DbErr> {
    row.try_get_by_index(0).map(i64::cast_unsigned)
}
