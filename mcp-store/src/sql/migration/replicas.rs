//! The table of replicas.

use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::text;
use crate::sql::entity::replica::{Column, Entity};

pub(super) struct Replicas;

impl MigrationName for Replicas {
    fn name(&self) -> &str {
        "0011_replicas"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Replicas {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table
            .table(Entity)
            .col(ColumnDef::new(Column::Id).big_integer().not_null())
            .col(text(Column::Host, backend))
            .col(text(Column::Version, backend))
            .col(ColumnDef::new(Column::Started).big_integer().not_null())
            .col(ColumnDef::new(Column::Alone).boolean().not_null())
            .col(ColumnDef::new(Column::Until).big_integer().not_null())
            .primary_key(Index::create().col(Column::Id));
        manager.create_table(table).await
    }
}
