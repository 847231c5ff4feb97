//! The tables of files: their contents, once for each tenant, the files themselves, their words, and how much room each owner's take.

use sea_orm::sea_query::{ColumnDef, ForeignKey, Index, Table};
use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::text;
use crate::sql::entity::{content, file, file_room};

pub(super) struct Files;

impl MigrationName for Files {
    fn name(&self) -> &str {
        "0007_files"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Files {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use file::Column;
        let backend = manager.get_database_backend();
        let mut contents = Table::create();
        contents
            .table(content::Entity)
            .col(text(content::Column::Tenant, backend))
            .col(ColumnDef::new(content::Column::Hash).blob().not_null())
            .col(text(content::Column::Blob, backend))
            .col(ColumnDef::new(content::Column::Size).big_integer().not_null())
            .primary_key(Index::create().col(content::Column::Tenant).col(content::Column::Hash));
        manager.create_table(contents).await?;
        let mut index = Index::create();
        index.name("mcp_contents_blob").table(content::Entity).col(content::Column::Blob).unique();
        manager.create_index(index).await?;

        let mut of_contents = ForeignKey::create();
        of_contents
            .from(file::Entity, (Column::Tenant, Column::Hash))
            .to(content::Entity, (content::Column::Tenant, content::Column::Hash));
        let mut files = Table::create();
        files
            .table(file::Entity)
            .col(ColumnDef::new(Column::Id).big_integer().not_null().auto_increment().primary_key())
            .col(text(Column::Tenant, backend))
            .col(text(Column::Owner, backend))
            .col(text(Column::Name, backend))
            .col(text(Column::ContentType, backend))
            .col(ColumnDef::new(Column::Hash).blob().not_null())
            .col(ColumnDef::new(Column::Size).big_integer().not_null())
            .col(ColumnDef::new(Column::Written).big_integer().not_null())
            .foreign_key(&mut of_contents);
        manager.create_table(files).await?;
        let mut index = Index::create();
        index.name("mcp_files_name").table(file::Entity).unique();
        index.col(Column::Tenant).col(Column::Owner).col(Column::Name);
        manager.create_index(index).await?;
        let mut index = Index::create();
        index.name("mcp_files_hash").table(file::Entity).col(Column::Tenant).col(Column::Hash);
        manager.create_index(index).await?;

        let mut rooms = Table::create();
        rooms
            .table(file_room::Entity)
            .col(text(file_room::Column::Tenant, backend))
            .col(text(file_room::Column::Owner, backend))
            .col(ColumnDef::new(file_room::Column::Taken).big_integer().not_null())
            .primary_key(Index::create().col(file_room::Column::Tenant).col(file_room::Column::Owner));
        manager.create_table(rooms).await?;

        // As those of notes.
        let words = if backend == DbBackend::Postgres {
            "ALTER TABLE mcp_files ADD COLUMN words text[] COLLATE \"C\" NOT NULL; \
             CREATE INDEX mcp_files_words ON mcp_files USING gin (words)"
        } else {
            "CREATE VIRTUAL TABLE mcp_file_words \
             USING fts5(words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii')"
        };
        manager.get_connection().execute_unprepared(words).await?;
        Ok(())
    }
}
