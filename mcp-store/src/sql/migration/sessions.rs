//! The table of sessions.

use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::text;
use crate::sql::entity::session::{Column, Entity};

pub(super) struct Sessions;

impl MigrationName for Sessions {
    fn name(&self) -> &str {
        "0005_sessions"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Sessions {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table
            .table(Entity)
            .col(text(Column::Tenant, backend))
            .col(text(Column::Owner, backend))
            .col(text(Column::Handle, backend))
            .col(ColumnDef::new(Column::Version).big_integer().not_null())
            .col(ColumnDef::new(Column::Value).blob().not_null())
            .col(ColumnDef::new(Column::Created).big_integer().not_null())
            .col(ColumnDef::new(Column::Used).big_integer().not_null())
            .col(ColumnDef::new(Column::Idle).big_integer().not_null())
            .col(ColumnDef::new(Column::Ends).big_integer().not_null())
            .primary_key(Index::create().col(Column::Tenant).col(Column::Owner).col(Column::Handle));
        manager.create_table(table).await?;
        let mut index = Index::create();
        index.name("mcp_sessions_ends").table(Entity).col(Column::Ends);
        manager.create_index(index).await
    }
}
