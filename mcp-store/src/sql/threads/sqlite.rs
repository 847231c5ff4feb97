//! The words of messages in an FTS5 table.

use futures_util::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement, Value};

use super::super::Database;
use super::super::entity::message::Model;
use super::super::words::{all_of, line};

const APPEND: &str = "INSERT INTO mcp_messages (tenant, owner, thread, id, format, role, text, at) \
     SELECT tenant, owner, id, $4, $5, $6, $7, $8 FROM mcp_threads WHERE tenant = $1 AND owner = $2 AND id = $3 \
     ON CONFLICT DO NOTHING RETURNING number";

const IS_THERE: &str = "SELECT 1 FROM mcp_threads WHERE tenant = $1 AND owner = $2 AND id = $3";

/// The words come first (`CROSS JOIN` keeps SQLite from turning that round): they give the rows in order, and as few as are
/// asked for.
pub(in crate::sql) const SEARCH: &str = "SELECT mcp_messages.* FROM mcp_message_words \
                      CROSS JOIN mcp_messages ON mcp_messages.number = mcp_message_words.rowid \
                      WHERE mcp_message_words MATCH ? AND mcp_message_words.rowid < ? AND tenant = ? AND owner = ? \
                      ORDER BY mcp_message_words.rowid DESC LIMIT ?";

/// Tells whether there is such a thread.
pub(super) async fn append(database: &Database, row: Model, tokens: &[String]) -> Result<bool, DbErr> {
    let Model { number: _, tenant, owner, thread, id, format, role, text, at } = row;
    let thread: [Value; 3] = [tenant.into(), owner.into(), thread.into()];
    let message: [Value; 5] = [id.into(), format.into(), role.into(), text.into(), at.into()];
    let words = line(tokens);
    database.transaction(|transaction| put(transaction, thread, message, words).boxed()).await
}

async fn put(
    transaction: &DatabaseTransaction,
    thread: [Value; 3],
    message: [Value; 5],
    words: String,
) -> Result<bool, DbErr> {
    let statement = |sql: &str, values: Vec<Value>| Statement::from_sql_and_values(DbBackend::Sqlite, sql, values);
    let append = thread.iter().cloned().chain(message).collect();
    if let Some(row) = transaction.query_one_raw(statement(APPEND, append)).await? {
        let number: i64 = row.try_get_by_index(0)?;
        let words = vec![number.into(), words.into()];
        transaction.execute_raw(statement("INSERT INTO mcp_message_words (rowid, words) VALUES (?, ?)", words)).await?;
        return Ok(true);
    }
    Ok(transaction.query_one_raw(statement(IS_THERE, thread.to_vec())).await?.is_some())
}

/// The rows that have all of `tokens`.
pub(super) fn search(tenant: &str, owner: &str, tokens: &[String], before: i64, limit: u16) -> Statement {
    let values = [all_of(tokens).into(), before.into(), tenant.into(), owner.into(), limit.into()];
    Statement::from_sql_and_values(DbBackend::Sqlite, SEARCH, values)
}
