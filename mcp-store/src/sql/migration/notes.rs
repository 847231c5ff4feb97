//! The table of notes, and that of their words.

use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::sql::entity::note::{Column, Entity};

pub(super) struct Notes;

impl MigrationName for Notes {
    fn name(&self) -> &str {
        "0002_notes"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Notes {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table
            .table(Entity)
            .col(ColumnDef::new(Column::Id).big_integer().not_null().auto_increment().primary_key())
            .col(ColumnDef::new(Column::Tenant).text().not_null())
            .col(ColumnDef::new(Column::Owner).text().not_null())
            .col(ColumnDef::new(Column::Name).text().not_null())
            .col(ColumnDef::new(Column::Text).text().not_null())
            .col(ColumnDef::new(Column::Written).big_integer().not_null());
        manager.create_table(table).await?;
        let mut index = Index::create();
        index.name("mcp_notes_name").table(Entity).unique();
        index.col(Column::Tenant).col(Column::Owner).col(Column::Name);
        manager.create_index(index).await?;
        // The words come cut and folded by `mcp_core::store::notes::words`. The tokenizer `ascii` cuts at characters of ASCII
        // that are neither letter nor digit, and folds letters of ASCII: no word holds any of them. Only which row has which
        // word is kept, and no text.
        let words = "CREATE VIRTUAL TABLE mcp_note_words \
                     USING fts5(words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii')";
        manager.get_connection().execute_unprepared(words).await?;
        Ok(())
    }
}
