//! The words of messages in an array beside them, under a GIN index.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use super::super::Database;
use super::super::entity::message::Model;
use super::super::words::array;

/// The thread is locked before the message gets its number: so the numbers of a thread tell the order in which its messages can
/// be read. Run twice, the message is there.
const APPEND: &str = "WITH thread AS (SELECT id FROM mcp_threads WHERE tenant = $1 AND owner = $2 AND id = $3 FOR NO KEY UPDATE), \
     message AS (INSERT INTO mcp_messages (tenant, owner, thread, id, format, role, text, at, words) \
     SELECT $1, $2, thread.id, $4, $5, $6, $7, $8, $9 FROM thread ON CONFLICT DO NOTHING) \
     SELECT id FROM thread";

const SEARCH: &str = "SELECT number, tenant, owner, thread, id, format, role, text, at FROM mcp_messages \
                      WHERE words @> $1 AND tenant = $2 AND owner = $3 AND number < $4 ORDER BY number DESC LIMIT $5";

/// Tells whether there is such a thread.
pub(super) async fn append(database: &Database, row: Model, tokens: Vec<String>) -> Result<bool, DbErr> {
    let Model { number: _, tenant, owner, thread, id, format, role, text, at } = row;
    let values = [
        tenant.into(),
        owner.into(),
        thread.into(),
        id.into(),
        format.into(),
        role.into(),
        text.into(),
        at.into(),
        array(tokens),
    ];
    let append = Statement::from_sql_and_values(DbBackend::Postgres, APPEND, values);
    Ok(database.writer().query_one_raw(append).await?.is_some())
}

/// The rows that have all of `tokens`.
pub(super) fn search(tenant: &str, owner: &str, tokens: Vec<String>, before: i64, limit: u16) -> Statement {
    let values = [array(tokens), tenant.into(), owner.into(), before.into(), i64::from(limit).into()];
    Statement::from_sql_and_values(DbBackend::Postgres, SEARCH, values)
}
