//! The table of the house's keys.

use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::text;
use crate::sql::entity::key::{Column, Entity};

pub(super) struct Keys;

impl MigrationName for Keys {
    fn name(&self) -> &str {
        "0006_keys"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Keys {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table
            .table(Entity)
            .col(text(Column::Purpose, backend))
            .col(text(Column::Id, backend))
            .col(ColumnDef::new(Column::Format).small_integer().not_null())
            .col(text(Column::Sealer, backend))
            .col(ColumnDef::new(Column::Sealed).blob().not_null())
            .primary_key(Index::create().col(Column::Purpose));
        manager.create_table(table).await
    }
}
