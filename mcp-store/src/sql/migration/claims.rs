//! The table of keys under which calls are sent twice.

use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::{id, text};
use crate::sql::entity::claim::{Column, Entity};

pub(super) struct Claims;

impl MigrationName for Claims {
    fn name(&self) -> &str {
        "0010_claims"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Claims {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table
            .table(Entity)
            .col(text(Column::Tenant, backend))
            .col(text(Column::Principal, backend))
            .col(text(Column::Tool, backend))
            .col(text(Column::Key, backend))
            .col(ColumnDef::new(Column::Digest).blob().not_null())
            .col(id(Column::Owner, backend).not_null())
            .col(ColumnDef::new(Column::Replica).big_integer().not_null())
            .col(ColumnDef::new(Column::Owners).integer().not_null())
            .col(ColumnDef::new(Column::Answered).boolean().not_null())
            .col(ColumnDef::new(Column::At).big_integer().not_null())
            .primary_key(Index::create().col(Column::Tenant).col(Column::Principal).col(Column::Tool).col(Column::Key));
        manager.create_table(table).await?;
        let mut of_a_caller = Index::create();
        of_a_caller.name("mcp_claims_caller").table(Entity).col(Column::Tenant).col(Column::Principal).col(Column::At);
        manager.create_index(of_a_caller).await?;
        let mut oldest = Index::create();
        oldest.name("mcp_claims_at").table(Entity).col(Column::At);
        manager.create_index(oldest).await
    }
}
