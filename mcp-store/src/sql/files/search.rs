//! The words of files, which are kept as those of notes.

use sea_orm::{DbBackend, Statement};

use crate::sql::words::{all_of, array};

const POSTGRES: &str = "SELECT id, tenant, owner, name, content_type, hash, size, written FROM mcp_files \
                        WHERE words @> $1 AND tenant = $2 AND owner = $3 ORDER BY id DESC LIMIT $4";

/// The words come first (`CROSS JOIN` keeps SQLite from turning that round): they give the rows in order, and as few as are
/// asked for.
pub(in crate::sql) const SQLITE: &str = "SELECT mcp_files.* FROM mcp_file_words \
                                         CROSS JOIN mcp_files ON mcp_files.id = mcp_file_words.rowid \
                                         WHERE mcp_file_words MATCH $1 AND tenant = $2 AND owner = $3 \
                                         ORDER BY mcp_file_words.rowid DESC LIMIT $4";

/// The rows that have all of `tokens`.
pub(super) fn statement(backend: DbBackend, tenant: &str, owner: &str, tokens: Vec<String>, limit: u16) -> Statement {
    let (sql, wanted) = match backend {
        DbBackend::Postgres => (POSTGRES, array(tokens)),
        _ => (SQLITE, all_of(&tokens).into()),
    };
    let values = [wanted, tenant.into(), owner.into(), i64::from(limit).into()];
    Statement::from_sql_and_values(backend, sql, values)
}
