//! docs/data-model.md shows the tables that there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use mcp_core::clock::simulated::SimulatedClock;
use mcp_store::StoreConfig;
use mcp_store::test_servers::PostgresServer;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tempfile::TempDir;

use super::url;

const PAGE: &str = include_str!("../../../docs/data-model.md");

/// Table and column, or parent and child.
type Pairs = BTreeSet<(String, String)>;

/// The columns and the foreign keys that the page shows for a database; `other` is the one that it is not.
fn shown(other: &str) -> (Pairs, Pairs) {
    let (mut columns, mut keys, mut table) = (Pairs::new(), Pairs::new(), "");
    let diagram = PAGE.split("```").nth(1).expect("the page has a diagram");
    for line in diagram.lines().map(str::trim) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["mermaid" | "erDiagram" | "}"] | [] => {}
            [name, "{"] => table = name,
            [parent, "||--o{", child, ":", ..] => drop(keys.insert((parent.to_owned(), child.to_owned()))),
            [_, "||..||" | "||..o{", _, ":", ..] => {}
            [_, _, ..] if line.contains(other) => {}
            [_, column, ..] => drop(columns.insert((table.to_owned(), column.to_owned()))),
            _ => panic!("the diagram says {line:?}"),
        }
    }
    (columns, keys)
}

async fn pairs(database: &DatabaseConnection, sql: &str) -> Pairs {
    let rows = database.query_all_raw(Statement::from_string(database.get_database_backend(), sql)).await.unwrap();
    let text = |row: &sea_orm::QueryResult, place| row.try_get_by_index::<String>(place).unwrap();
    rows.iter().map(|row| (text(row, 0), text(row, 1))).collect()
}

async fn holds(url: &str, other: &str, columns: &str, keys: &str) {
    mcp_store::migrate(&StoreConfig::new(url, Arc::new(SimulatedClock::new())).unwrap()).await.unwrap();
    let database = sea_orm::Database::connect(url).await.unwrap();
    let (shown_columns, shown_keys) = shown(other);
    assert_eq!(pairs(&database, columns).await, shown_columns, "docs/data-model.md shows what is on the right");
    assert_eq!(pairs(&database, keys).await, shown_keys, "docs/data-model.md shows what is on the right");
}

#[tokio::test]
async fn the_page_shows_the_tables_of_sqlite() {
    let folder = TempDir::new().unwrap();
    let tables = "pragma_table_list AS tables WHERE tables.schema = 'main' AND tables.type IN ('table', 'virtual') \
                  AND tables.name NOT LIKE 'sqlite_%'";
    let columns = format!(
        "SELECT tables.name, columns.name FROM {}",
        tables.replace("WHERE", "JOIN pragma_table_info(tables.name) AS columns WHERE")
    );
    let keys = format!(
        "SELECT keys.\"table\", tables.name FROM {}",
        tables.replace("WHERE", "JOIN pragma_foreign_key_list(tables.name) AS keys WHERE")
    );
    holds(&url(&folder), "PostgreSQL alone", &columns, &keys).await;
}

#[tokio::test]
async fn the_page_shows_the_tables_of_postgres() {
    let columns = "SELECT table_name::text, column_name::text FROM information_schema.columns \
                   WHERE table_schema = 'public'";
    let keys = "SELECT confrelid::regclass::text, conrelid::regclass::text FROM pg_constraint WHERE contype = 'f'";
    holds(&PostgresServer::shared().database(), "SQLite alone", columns, keys).await;
}
