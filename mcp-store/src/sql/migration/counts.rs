//! The table of how many calls there were.

use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::text;
use crate::sql::entity::count::{Column, Entity};
use crate::sql::stats::{FINE_ONES, trigger};

pub(super) struct Counts;

impl MigrationName for Counts {
    fn name(&self) -> &str {
        "0019_counts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Counts {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let key = [Column::Tenant, Column::Minute, Column::Tool, Column::Outcome, Column::Bucket, Column::Writer];
        let mut table = Table::create();
        table
            .table(Entity)
            .col(text(Column::Tenant, backend))
            .col(ColumnDef::new(Column::Minute).big_integer().not_null())
            .col(text(Column::Tool, backend))
            .col(text(Column::Outcome, backend))
            .col(ColumnDef::new(Column::Bucket).integer().not_null())
            .col(ColumnDef::new(Column::Writer).big_integer().not_null())
            .col(ColumnDef::new(Column::Calls).big_integer().not_null())
            .col(ColumnDef::new(Column::Micros).big_integer().not_null());
        let mut primary = Index::create();
        for column in key {
            primary.col(column);
        }
        manager.create_table(table.primary_key(&mut primary).to_owned()).await?;
        // By these the house finds what was counted of all tenants, what is old, and what is still to be put together.
        let minutes = "CREATE INDEX mcp_call_counts_minute ON mcp_call_counts (minute)";
        let fine = format!("CREATE INDEX mcp_call_counts_fine ON mcp_call_counts (minute) WHERE {FINE_ONES}");
        for index in [minutes, &fine] {
            manager.get_connection().execute_unprepared(index).await?;
        }
        // PostgreSQL's writer counts in the statement that writes.
        if backend == DbBackend::Sqlite {
            manager.get_connection().execute_unprepared(&trigger()).await?;
        }
        Ok(())
    }
}
