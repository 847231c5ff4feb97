//! The table of notes, and that of their words.

use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::text;
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
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table
            .table(Entity)
            .col(ColumnDef::new(Column::Id).big_integer().not_null().auto_increment().primary_key())
            .col(text(Column::Tenant, backend))
            .col(text(Column::Owner, backend))
            .col(text(Column::Name, backend))
            .col(text(Column::Text, backend))
            .col(ColumnDef::new(Column::Written).big_integer().not_null());
        manager.create_table(table).await?;
        let mut index = Index::create();
        index.name("mcp_notes_name").table(Entity).unique();
        index.col(Column::Tenant).col(Column::Owner).col(Column::Name);
        manager.create_index(index).await?;
        // The words come cut and folded by `mcp_core::store::words::words`, and behind a mark of their owner.
        if backend == DbBackend::Postgres {
            let words = "ALTER TABLE mcp_notes ADD COLUMN words text[] COLLATE \"C\" NOT NULL; \
                         CREATE INDEX mcp_notes_words ON mcp_notes USING gin (words)";
            manager.get_connection().execute_unprepared(words).await?;
            return Ok(());
        }
        // The tokenizer `ascii` cuts at characters of ASCII that are neither letter nor digit, and folds letters of ASCII: no
        // word holds any of them. Only which row has which word is kept, and no text.
        let words = "CREATE VIRTUAL TABLE mcp_note_words \
                     USING fts5(words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii')";
        manager.get_connection().execute_unprepared(words).await?;
        Ok(())
    }
}
