//! Calls in SQL.

use async_trait::async_trait;
use mcp_core::caller::Tenant;
use mcp_core::store::StoreError;
use mcp_core::store::history::{CallQuery, History};
use mcp_core::store::ledger::{CallId, CallRecord};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select};

use super::Database;
use super::entity::call::{Column, Entity, uuid};
use super::error::store_error;
use super::text::stored;

/// [`History`] in SQL.
pub(crate) struct SqlCalls {
    database: Database,
}

impl SqlCalls {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl History for SqlCalls {
    async fn calls(&self, tenant: &Tenant, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
        let rows = select(tenant, query).all(self.database.readers()).await.map_err(store_error("history"))?;
        rows.into_iter().map(CallRecord::try_from).collect::<Result<_, _>>().map_err(store_error("history"))
    }

    async fn call(&self, tenant: &Tenant, id: CallId) -> Result<Option<CallRecord>, StoreError> {
        let select = Entity::find_by_id((stored(tenant.as_str()).into_owned(), uuid(id)));
        let row = select.one(self.database.readers()).await.map_err(store_error("history"))?;
        row.map(CallRecord::try_from).transpose().map_err(store_error("history"))
    }
}

pub(super) fn select(tenant: &Tenant, query: &CallQuery) -> Select<Entity> {
    Entity::find()
        .filter(Column::Tenant.eq(&*stored(tenant.as_str())))
        .apply_if(query.principal.as_ref(), |select, principal| {
            select.filter(Column::Principal.eq(&*stored(principal.as_str())))
        })
        .apply_if(query.tool.as_deref(), |select, tool| select.filter(Column::Tool.eq(&*stored(tool))))
        .apply_if(query.outcome, |select, outcome| select.filter(Column::Outcome.eq(outcome.as_str())))
        .apply_if(query.from, |select, from| select.filter(Column::At.gte(from.as_micros())))
        .apply_if(query.to, |select, to| select.filter(Column::At.lt(to.as_micros())))
        .apply_if(query.before, |select, before| select.filter(Column::Id.lt(uuid(before))))
        .order_by_desc(Column::Id)
        .limit(u64::from(query.limit))
}
