//! The words of notes in an array beside them, under a GIN index.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use super::super::Database;
use super::super::entity::note::Model;
use super::super::words::array;

/// A row that is replaced gets a new number, so that the numbers tell the order of writing.
const WRITE: &str = "INSERT INTO mcp_notes (tenant, owner, name, text, written, words) VALUES ($1, $2, $3, $4, $5, $6) \
                     ON CONFLICT (tenant, owner, name) DO UPDATE SET \
                     id = EXCLUDED.id, text = EXCLUDED.text, written = EXCLUDED.written, words = EXCLUDED.words";

const SEARCH: &str = "SELECT id, tenant, owner, name, text, written FROM mcp_notes \
                      WHERE words @> $1 AND tenant = $2 AND owner = $3 ORDER BY id DESC LIMIT $4";

pub(super) async fn write(database: &Database, row: Model, tokens: Vec<String>) -> Result<(), DbErr> {
    let Model { id: _, tenant, owner, name, text, written } = row;
    let values = [tenant.into(), owner.into(), name.into(), text.into(), written.into(), array(tokens)];
    let write = Statement::from_sql_and_values(DbBackend::Postgres, WRITE, values);
    database.writer().execute_raw(write).await.map(drop)
}

/// The rows that have all of `tokens`.
pub(super) fn search(tenant: &str, owner: &str, tokens: Vec<String>, limit: u16) -> Statement {
    let values = [array(tokens), tenant.into(), owner.into(), i64::from(limit).into()];
    Statement::from_sql_and_values(DbBackend::Postgres, SEARCH, values)
}
