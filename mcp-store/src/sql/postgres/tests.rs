//! What only PostgreSQL does.

use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::CallId;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::PostgresDatabase;
use crate::sql::Database;
use crate::sql::calls::select;
use crate::test_servers::PostgresServer;

/// A new database with so many connections.
pub(in crate::sql) async fn database(connections: u32) -> Database {
    let postgres = PostgresDatabase::parse(&PostgresServer::shared().database()).unwrap();
    postgres.migrate().await.unwrap();
    let pool = PostgresDatabase::pool(connections, postgres.bounded());
    Database::new(pool.clone(), pool)
}

async fn plan(database: &Database, mut statement: Statement) -> String {
    statement.sql.insert_str(0, "EXPLAIN (COSTS OFF) ");
    let rows = database.readers().query_all_raw(statement).await.unwrap();
    let lines = rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn no_page_of_the_history_walks_over_others_or_sorts() {
    let database = database(1).await;
    let many = "INSERT INTO mcp_calls SELECT 't' || n % 10, gen_random_uuid(), 1, NULL, 'p' || n % 7, 'tool' || n % 5, 'ok', n, 1, \
                '{}', '{}' FROM generate_series(1, 20000) n; ANALYZE mcp_calls";
    database.writer().execute_unprepared(many).await.unwrap();
    let (tool, principal) = (Some("tool1".to_owned()), Some(Principal::from("p1")));
    let before = Some(CallId::from_u128(u128::MAX));
    let (from, to) = (Some(Timestamp::from_micros(1)), Some(Timestamp::from_micros((1 << 47) * 1_000)));
    for (query, index) in [
        (CallQuery { before, ..CallQuery::default() }, "mcp_calls_pkey"),
        (CallQuery { before, tool, ..CallQuery::default() }, "mcp_calls_tool"),
        (CallQuery { before, principal: principal.clone(), ..CallQuery::default() }, "mcp_calls_principal"),
        (CallQuery { from, to, principal, limit: 10, ..CallQuery::default() }, "mcp_calls_principal"),
    ] {
        let plan = plan(&database, select(DbBackend::Postgres, &Tenant::from("t1"), &query)).await;
        assert!(
            plan.contains(&format!("Index Scan Backward using \"{index}\""))
                || plan.contains(&format!("Index Scan Backward using {index}")),
            "{plan}"
        );
        assert!(!plan.contains("Sort"), "{plan}");
    }
}

#[tokio::test]
async fn statements_and_forgotten_transactions_have_an_end() {
    let database = database(1).await;
    for (setting, value) in
        [("statement_timeout", "5s"), ("idle_in_transaction_session_timeout", "10s"), ("application_name", "mcp")]
    {
        let shown = Statement::from_string(DbBackend::Postgres, format!("SHOW {setting}"));
        let row = database.readers().query_one_raw(shown).await.unwrap().unwrap();
        assert_eq!(row.try_get_by_index::<String>(0).unwrap(), value, "{setting}");
    }
}
