//! The table of links.

use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::{id, text};
use crate::sql::entity::link::{Column, Entity};

pub(super) struct Links;

impl MigrationName for Links {
    fn name(&self) -> &str {
        "0012_links"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Links {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table
            .table(Entity)
            .col(id(Column::Chain, backend).not_null())
            .col(ColumnDef::new(Column::Sequence).big_integer().not_null())
            .col(ColumnDef::new(Column::Format).small_integer().not_null())
            .col(text(Column::Kind, backend))
            .col(text(Column::Tenant, backend))
            .col(id(Column::Subject, backend).not_null())
            .col(ColumnDef::new(Column::Number).big_integer().not_null())
            .col(ColumnDef::new(Column::At).big_integer().not_null())
            .col(ColumnDef::new(Column::Digest).blob().not_null())
            .col(ColumnDef::new(Column::Mac).blob().not_null())
            .primary_key(Index::create().col(Column::Chain).col(Column::Sequence));
        manager.create_table(table).await?;
        let mut index = Index::create();
        index.name("mcp_links_subject").table(Entity).col(Column::Tenant).col(Column::Subject).col(Column::Number);
        manager.create_index(index).await
    }
}
