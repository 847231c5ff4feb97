//! The table of what language models took.

use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::text;
use crate::sql::entity::model_count::{Column, Entity};
use crate::sql::stats::FINE_ONES;

pub(super) struct ModelCounts;

impl MigrationName for ModelCounts {
    fn name(&self) -> &str {
        "0020_model_counts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for ModelCounts {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table
            .table(Entity)
            .col(text(Column::Tenant, backend))
            .col(ColumnDef::new(Column::Minute).big_integer().not_null())
            .col(text(Column::Agent, backend))
            .col(text(Column::Model, backend))
            .col(ColumnDef::new(Column::Writer).big_integer().not_null())
            .col(ColumnDef::new(Column::Tokens).big_integer().not_null())
            .col(ColumnDef::new(Column::Micros).big_integer().not_null());
        let mut primary = Index::create();
        for column in [Column::Tenant, Column::Minute, Column::Agent, Column::Model, Column::Writer] {
            primary.col(column);
        }
        manager.create_table(table.primary_key(&mut primary).to_owned()).await?;
        // As those of the counts of calls.
        let minutes = "CREATE INDEX mcp_model_counts_minute ON mcp_model_counts (minute)";
        let fine = format!("CREATE INDEX mcp_model_counts_fine ON mcp_model_counts (minute) WHERE {FINE_ONES}");
        for index in [minutes, &fine] {
            manager.get_connection().execute_unprepared(index).await?;
        }
        Ok(())
    }
}
