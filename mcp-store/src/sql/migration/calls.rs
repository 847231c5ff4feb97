//! The table of calls.

use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::{id, text};
use crate::sql::entity::call::{Column, Entity};

pub(super) struct Calls;

impl MigrationName for Calls {
    fn name(&self) -> &str {
        "0001_calls"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Calls {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table
            .table(Entity)
            .col(text(Column::Tenant, backend))
            .col(id(Column::Id, backend).not_null())
            .col(ColumnDef::new(Column::Format).small_integer().not_null())
            .col(id(Column::Parent, backend))
            .col(text(Column::Principal, backend))
            .col(text(Column::Tool, backend))
            .col(text(Column::Outcome, backend))
            .col(ColumnDef::new(Column::At).big_integer().not_null())
            .col(ColumnDef::new(Column::Duration).big_integer().not_null())
            .col(ColumnDef::new(Column::Arguments).blob().not_null())
            .col(ColumnDef::new(Column::Result).blob().not_null())
            .primary_key(Index::create().col(Column::Tenant).col(Column::Id));
        manager.create_table(table).await?;
        for (name, column) in [("mcp_calls_principal", Column::Principal), ("mcp_calls_tool", Column::Tool)] {
            let mut index = Index::create();
            index.name(name).table(Entity).col(Column::Tenant).col(column).col(Column::Id);
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
