//! Calls in SQL.

use async_trait::async_trait;
use mcp_core::caller::Tenant;
use mcp_core::store::StoreError;
use mcp_core::store::history::{CallQuery, History};
use mcp_core::store::ledger::{CallId, CallRecord};
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Statement};

use super::Database;
use super::entity::call::{Column, Entity, uuid};
use super::error::store_error;
use super::large::LargeBytes;
use super::text::stored;

/// [`History`] in SQL.
pub(crate) struct SqlCalls {
    database: Database,
    large: LargeBytes,
}

impl SqlCalls {
    pub(crate) fn new(database: Database, large: LargeBytes) -> Self {
        Self { database, large }
    }
}

#[async_trait]
impl History for SqlCalls {
    async fn calls(&self, tenant: &Tenant, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
        let select = Entity::find().from_raw_sql(select(self.database.backend(), tenant, query));
        let rows = select.all(self.database.readers()).await.map_err(store_error("history"))?;
        let rows = self.large.fill_all(rows).await?;
        rows.into_iter().map(CallRecord::try_from).collect::<Result<_, _>>().map_err(store_error("history"))
    }

    async fn call(&self, tenant: &Tenant, id: CallId) -> Result<Option<CallRecord>, StoreError> {
        let select = Entity::find_by_id((stored(tenant.as_str()).into_owned(), uuid(id)));
        let row = select.one(self.database.readers()).await.map_err(store_error("history"))?;
        let Some(row) = row else { return Ok(None) };
        CallRecord::try_from(self.large.fill(row).await?).map(Some).map_err(store_error("history"))
    }
}

pub(super) fn select(backend: DbBackend, tenant: &Tenant, query: &CallQuery) -> Statement {
    // A time is a range of ids, which every index of calls ends with.
    let (first, end) = query.ids();
    let select = Entity::find()
        .filter(Column::Tenant.eq(&*stored(tenant.as_str())))
        .apply_if(query.principal.as_ref(), |select, principal| {
            select.filter(Column::Principal.eq(&*stored(principal.as_str())))
        })
        .apply_if(query.tool.as_deref(), |select, tool| select.filter(Column::Tool.eq(&*stored(tool))))
        .apply_if(query.outcome, |select, outcome| select.filter(Column::Outcome.eq(outcome.as_str())))
        .apply_if(query.from, |select, from| select.filter(Column::At.gte(from.as_micros())))
        .apply_if(query.to, |select, to| select.filter(Column::At.lt(to.as_micros())))
        .apply_if(first, |select, first| select.filter(Column::Id.gte(uuid(first))))
        .apply_if(end, |select, end| select.filter(Column::Id.lt(uuid(end))))
        .order_by_desc(Column::Id)
        .limit(u64::from(query.limit));
    let mut statement = select.build(backend);
    // SQLite knows nothing of how many calls each has, and takes the first index that fits.
    let index = query.principal.as_ref().map(|_| "principal").or(query.tool.as_ref().map(|_| "tool"));
    if let Some(index) = index.filter(|_| backend == DbBackend::Sqlite) {
        let from = r#"FROM "mcp_calls""#;
        statement.sql = statement.sql.replacen(from, &format!("{from} INDEXED BY mcp_calls_{index}"), 1);
    }
    statement
}
