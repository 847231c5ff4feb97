//! The spans in which a database or Redis is asked, with the names of OpenTelemetry's conventions. No value and no text of a statement
//! is in them.

use mcp_core::spans::{TARGET, followed};
use sea_orm::DbBackend;
use tracing::Span;

/// In which a statement runs.
pub(crate) fn statement(backend: DbBackend, sql: &str) -> Span {
    followed(|| {
        tracing::info_span!(
            target: TARGET,
            "sql",
            "otel.kind" = "client",
            "otel.name" = summary(sql),
            "db.system.name" = system(backend),
            "db.operation.name" = word(sql),
            "db.collection.name" = table(sql),
        )
    })
}

/// In which a transaction runs, with all of its statements.
pub(crate) fn transaction(backend: DbBackend) -> Span {
    followed(|| {
        tracing::info_span!(
            target: TARGET,
            "TRANSACTION",
            "otel.kind" = "client",
            "db.system.name" = system(backend),
            "db.operation.name" = "TRANSACTION",
        )
    })
}

/// In which a commit waits for the transaction that it shares with others.
pub(crate) fn commit(system: &'static str) -> Span {
    followed(|| {
        tracing::info_span!(
            target: TARGET,
            "COMMIT",
            "otel.kind" = "client",
            "db.system.name" = system,
            "db.operation.name" = "COMMIT",
        )
    })
}

/// In which Redis does commands.
pub(crate) fn redis(store: &'static str, commands: impl Fn() -> redis::Pipeline) -> Span {
    followed(|| {
        tracing::info_span!(
            target: TARGET,
            "redis",
            "otel.kind" = "client",
            "otel.name" = command(&commands()),
            "db.system.name" = "redis",
            "db.operation.name" = command(&commands()),
            "mcp.store" = store,
        )
    })
}

/// The name of a kind of database.
pub(crate) fn system(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "postgresql",
        DbBackend::Sqlite => "sqlite",
        _ => "other_sql",
    }
}

/// The first command, which says what the others are for.
fn command(commands: &redis::Pipeline) -> String {
    let name = commands.cmd_iter().next().and_then(|command| command.args_iter().next());
    match name {
        Some(redis::Arg::Simple(name)) => String::from_utf8_lossy(name).into_owned(),
        _ => "none".to_owned(),
    }
}

fn summary(sql: &str) -> String {
    table(sql).map_or_else(|| word(sql).to_owned(), |table| format!("{} {table}", word(sql)))
}

fn word(sql: &str) -> &str {
    sql.split_whitespace().next().unwrap_or_default()
}

/// The first table that a statement names.
fn table(sql: &str) -> Option<&str> {
    let mut words = sql.split_whitespace();
    words.find(|word| ["FROM", "INTO", "UPDATE"].contains(word))?;
    let table = words.next()?.trim_matches(|mark: char| !mark.is_ascii_alphanumeric() && mark != '_');
    let table = table.split(|mark: char| !mark.is_ascii_alphanumeric() && mark != '_').next()?;
    table.starts_with("mcp_").then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_called_by_its_word_and_table_and_no_value_is_told() {
        assert_eq!(summary(r#"SELECT "id" FROM "mcp_notes" WHERE "text" = 'secret'"#), "SELECT mcp_notes");
        assert_eq!(summary("INSERT INTO mcp_calls(id) VALUES ($1)"), "INSERT mcp_calls");
        assert_eq!(summary("SELECT 'secret'"), "SELECT");
    }
}
