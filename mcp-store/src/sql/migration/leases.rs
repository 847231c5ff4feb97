//! The table of leases.

use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::text;
use crate::sql::entity::lease::{Column, Entity};

pub(super) struct Leases;

impl MigrationName for Leases {
    fn name(&self) -> &str {
        "0003_leases"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Leases {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table
            .table(Entity)
            .col(text(Column::Name, manager.get_database_backend()))
            .col(ColumnDef::new(Column::Epoch).big_integer().not_null())
            .col(ColumnDef::new(Column::Until).big_integer().not_null())
            .primary_key(Index::create().col(Column::Name));
        manager.create_table(table).await
    }
}
