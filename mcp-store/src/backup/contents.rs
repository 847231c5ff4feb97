//! What is in a database.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};
use serde::{Deserialize, Serialize};

use crate::sql::keys::KeyId;

/// What is in a database at one moment, as far as it is ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Contents {
    /// The migrations that were run.
    pub migrations: Vec<String>,
    /// How many rows each table has.
    pub tables: BTreeMap<String, u64>,
    /// The schema in which the tables of PostgreSQL are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The keys that the house keeps in the database.
    pub keys: Vec<KeyId>,
}

/// Our tables in SQLite, without those in which an index of words is kept.
const SQLITE: &str = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')
                      AND name LIKE 'mcp\\_%' ESCAPE '\\' ORDER BY name";

/// Our tables in PostgreSQL, wherever they are.
const POSTGRES: &str = "SELECT relname::text, nspname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                        WHERE relkind IN ('r', 'p') AND relname LIKE 'mcp\\_%' AND nspname NOT LIKE 'pg\\_%' ORDER BY relname";

impl Contents {
    /// Reads them; in a transaction that sees one moment, they are those of that moment.
    pub(super) async fn read(connection: &impl ConnectionTrait) -> Result<Self, DbErr> {
        let (mut tables, mut schema) = (BTreeMap::new(), None);
        for (table, of_schema) in names(connection).await? {
            let rows =
                query(connection, &format!("SELECT count(*) FROM {}", quoted(&table, of_schema.as_deref()))).await?;
            let count = rows.first().map(|row| row.try_get_by_index::<i64>(0)).transpose()?;
            tables.insert(table, count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default());
            schema = of_schema;
        }
        let mut migrations = Vec::new();
        if tables.contains_key("mcp_migrations") {
            let all = format!("SELECT version FROM {} ORDER BY version", quoted("mcp_migrations", schema.as_deref()));
            for row in query(connection, &all).await? {
                migrations.push(row.try_get_by_index(0)?);
            }
        }
        let keys = if tables.contains_key("mcp_keys") { KeyId::all(connection).await? } else { Vec::new() };
        Ok(Self { migrations, tables, schema, keys })
    }

    /// In which way others are not these, if they are not.
    pub(super) fn difference(&self, found: &Self) -> Option<String> {
        let tables = self.tables.keys().chain(found.tables.keys()).collect::<std::collections::BTreeSet<_>>();
        let differs = tables.into_iter().find_map(|table| {
            let (expected, found) = (self.tables.get(table), found.tables.get(table));
            let told =
                |count: Option<&u64>| count.map_or_else(|| "no table".to_owned(), |count| format!("{count} rows"));
            (expected != found)
                .then(|| format!("gives {} for {table}, where there were {}", told(found), told(expected)))
        });
        differs.or_else(|| (self != found).then(|| "gives other migrations or keys than there were".to_owned()))
    }
}

/// The names of our tables, each with its schema where there are any.
pub(super) async fn names(connection: &impl ConnectionTrait) -> Result<Vec<(String, Option<String>)>, DbErr> {
    let postgres = connection.get_database_backend() == DbBackend::Postgres;
    let rows = query(connection, if postgres { POSTGRES } else { SQLITE }).await?;
    rows.iter()
        .map(|row| Ok((row.try_get_by_index(0)?, if postgres { Some(row.try_get_by_index(1)?) } else { None })))
        .collect()
}

pub(super) async fn query(connection: &impl ConnectionTrait, sql: &str) -> Result<Vec<QueryResult>, DbErr> {
    connection.query_all_raw(Statement::from_string(connection.get_database_backend(), sql)).await
}

/// A table's name as SQL has it.
fn quoted(table: &str, schema: Option<&str>) -> String {
    match schema {
        Some(schema) => format!("{}.{}", quote(schema), quote(table)),
        None => quote(table),
    }
}

pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
