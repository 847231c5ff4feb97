//! The words of notes in an FTS5 table.

use futures_util::FutureExt;
use sea_orm::ActiveValue::NotSet;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, Select, Statement};

use super::super::Database;
use super::super::entity::note::{ActiveModel, Entity, Model};
use super::super::words::{all_of, line};

/// The words come first (`CROSS JOIN` keeps SQLite from turning that round): they give the rows in order, and as few as are
/// asked for.
pub(in crate::sql) const SEARCH: &str = "SELECT mcp_notes.* FROM mcp_note_words \
                      CROSS JOIN mcp_notes ON mcp_notes.id = mcp_note_words.rowid \
                      WHERE mcp_note_words MATCH ? AND tenant = ? AND owner = ? \
                      ORDER BY mcp_note_words.rowid DESC LIMIT ?";

/// Takes the old row away and writes a new one, whose number is greater than all others: so the numbers tell the order of
/// writing.
pub(super) async fn write(
    database: &Database,
    old: Select<Entity>,
    row: Model,
    tokens: Vec<String>,
) -> Result<(), DbErr> {
    let row = ActiveModel { id: NotSet, ..row.into() };
    let words = line(&tokens);
    database.transaction(|transaction| replace(transaction, old, row, words).boxed()).await
}

async fn replace(
    transaction: &DatabaseTransaction,
    old: Select<Entity>,
    row: ActiveModel,
    words: String,
) -> Result<(), DbErr> {
    let on_words = |sql: &str, values: Vec<sea_orm::Value>| {
        transaction.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, sql, values))
    };
    if let Some(Model { id, .. }) = old.one(transaction).await? {
        on_words("DELETE FROM mcp_note_words WHERE rowid = ?", vec![id.into()]).await?;
        Entity::delete_by_id(id).exec(transaction).await?;
    }
    let id = Entity::insert(row).exec(transaction).await?.last_insert_id;
    on_words("INSERT INTO mcp_note_words (rowid, words) VALUES (?, ?)", vec![id.into(), words.into()]).await?;
    Ok(())
}

/// The rows that have all of `tokens`.
pub(super) fn search(tenant: &str, owner: &str, tokens: &[String], limit: u16) -> Statement {
    let values = [all_of(tokens).into(), tenant.into(), owner.into(), limit.into()];
    Statement::from_sql_and_values(DbBackend::Sqlite, SEARCH, values)
}
