//! The table of settings.

use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::text;
use crate::sql::entity::setting::{Column, Entity};

pub(super) struct Settings;

impl MigrationName for Settings {
    fn name(&self) -> &str {
        "0004_settings"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Settings {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table
            .table(Entity)
            .col(text(Column::Tenant, backend))
            .col(text(Column::Name, backend))
            .col(ColumnDef::new(Column::Value).blob().not_null())
            .col(ColumnDef::new(Column::Version).big_integer().not_null())
            .primary_key(Index::create().col(Column::Tenant).col(Column::Name));
        manager.create_table(table).await
    }
}
