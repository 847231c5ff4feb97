//! The tables of threads, of their messages and of the words in these.

use sea_orm::sea_query::{ColumnDef, ForeignKey, ForeignKeyAction, Index, Table};
use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::{id, text};
use crate::sql::entity::message::{Column, Entity};
use crate::sql::entity::thread;

pub(super) struct Threads;

impl MigrationName for Threads {
    fn name(&self) -> &str {
        "0009_threads"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Threads {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut threads = Table::create();
        threads
            .table(thread::Entity)
            .col(text(thread::Column::Tenant, backend))
            .col(text(thread::Column::Owner, backend))
            .col(id(thread::Column::Id, backend).not_null())
            .col(text(thread::Column::Title, backend))
            .col(ColumnDef::new(thread::Column::Created).big_integer().not_null())
            .primary_key(
                Index::create().col(thread::Column::Tenant).col(thread::Column::Owner).col(thread::Column::Id),
            );
        manager.create_table(threads).await?;

        let mut messages = Table::create();
        messages
            .table(Entity)
            .col(ColumnDef::new(Column::Number).big_integer().not_null().auto_increment().primary_key())
            .col(text(Column::Tenant, backend))
            .col(text(Column::Owner, backend))
            .col(id(Column::Thread, backend).not_null())
            .col(id(Column::Id, backend).not_null())
            .col(ColumnDef::new(Column::Format).small_integer().not_null())
            .col(text(Column::Role, backend))
            .col(text(Column::Text, backend))
            .col(ColumnDef::new(Column::At).big_integer().not_null())
            .foreign_key(
                ForeignKey::create()
                    .name("mcp_messages_of_a_thread")
                    .from(Entity, (Column::Tenant, Column::Owner, Column::Thread))
                    .to(thread::Entity, (thread::Column::Tenant, thread::Column::Owner, thread::Column::Id))
                    .on_delete(ForeignKeyAction::Cascade),
            );
        manager.create_table(messages).await?;
        let of_a_thread = |name: &str, last| {
            let mut index = Index::create();
            index.name(name).table(Entity).col(Column::Tenant).col(Column::Owner).col(Column::Thread).col(last);
            index
        };
        manager.create_index(of_a_thread("mcp_messages_id", Column::Id).unique().take()).await?;
        manager.create_index(of_a_thread("mcp_messages_thread", Column::Number)).await?;

        // As the words of notes are kept. In SQLite they go with their message, whatever removes that.
        let words = if backend == DbBackend::Postgres {
            "ALTER TABLE mcp_messages ADD COLUMN words text[] COLLATE \"C\" NOT NULL; \
             CREATE INDEX mcp_messages_words ON mcp_messages USING gin (words)"
        } else {
            "CREATE VIRTUAL TABLE mcp_message_words \
             USING fts5(words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii'); \
             CREATE TRIGGER mcp_messages_removed AFTER DELETE ON mcp_messages \
             BEGIN DELETE FROM mcp_message_words WHERE rowid = OLD.number; END"
        };
        manager.get_connection().execute_unprepared(words).await.map(drop)
    }
}
