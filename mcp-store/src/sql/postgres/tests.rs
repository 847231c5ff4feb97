//! What only PostgreSQL does.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::CallId;
use mcp_core::store::runs::{RunId, RunQuery, Runs};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryTrait, Statement, Value};
use tokio::time::timeout;

use super::{PostgresDatabase, writer};
use crate::sql::Database;
use crate::sql::audit::MOVED;
use crate::sql::calls::select;
use crate::sql::large::LargeBytes;
use crate::sql::runs::{SqlRuns, select as select_runs};
use crate::test_servers::{Fault, FaultProxy, PostgresServer};

/// A new database with so many connections.
pub(in crate::sql) async fn database(connections: u32) -> Database {
    at(&PostgresServer::shared().database(), connections).await.1
}

/// Likewise, and where it is.
pub(in crate::sql) async fn server_and_database(connections: u32) -> (PostgresDatabase, Database) {
    at(&PostgresServer::shared().database(), connections).await
}

/// The database at `url`, with its tables.
pub(in crate::sql) async fn at(url: &str, connections: u32) -> (PostgresDatabase, Database) {
    let postgres = PostgresDatabase::parse(url).unwrap();
    postgres.migrate(&crate::Progress::default()).await.unwrap();
    let pool = PostgresDatabase::pool(connections, postgres.bounded());
    (postgres, Database::new(pool.clone(), pool))
}

/// A database with one connection, over a wire that can be made to fail.
async fn over_a_wire() -> (FaultProxy, Database) {
    let server = PostgresServer::shared();
    let wire = FaultProxy::to(server.port());
    let (_, database) = at(&wire.url(&server.database()), 1).await;
    (wire, database)
}

async fn note(database: &Database, n: u32) -> Result<(), DbErr> {
    let sql = format!("INSERT INTO mcp_settings VALUES ('a', 'n{n}', '', 1) ON CONFLICT DO NOTHING");
    database
        .transaction(|transaction| async move { transaction.execute_unprepared(&sql).await.map(drop) }.boxed())
        .await
}

async fn notes(database: &Database) -> i64 {
    let count = Statement::from_string(DbBackend::Postgres, "SELECT count(*) FROM mcp_settings");
    database.readers().query_one_raw(count).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// There is one connection: were it lost, nobody would have another.
#[tokio::test]
async fn a_transaction_and_a_read_on_a_connection_that_leads_nowhere_end_and_another_one_takes_its_place() {
    let (wire, database) = over_a_wire().await;
    let hasty = Database { deadline: Duration::from_millis(300), ..database.clone() };
    for (n, fault) in (1..).zip([Fault::HalfOpen, Fault::Silence]) {
        note(&database, 2 * n).await.unwrap();
        wire.set(fault);
        let error = note(&hasty, 0).await.unwrap_err();
        assert!(error.to_string().contains("no answer in time"), "{error}");
        // A read that somebody waited for and left.
        let read = timeout(Duration::from_millis(300), notes(&database)).await;
        assert!(read.is_err(), "what leads nowhere answers nothing");
        wire.set(Fault::Nothing);
        let mut tries = 0;
        while note(&database, 2 * n + 1).await.is_err() {
            tries += 1;
            assert!(tries < 20, "the connection is lost");
        }
    }
    let kept = notes(&database).await;
    assert!((4..=5).contains(&kept), "{kept}: what was acknowledged, and at the most what was not");
}

/// Where a transaction is dropped while it begins, the driver leaves its connection inside of it.
#[tokio::test]
async fn what_is_written_after_a_transaction_whose_time_was_over_while_it_began_is_kept() {
    let (wire, database) = over_a_wire().await;
    let hasty = Database { deadline: Duration::from_millis(50), ..database.clone() };
    assert_eq!(notes(&database).await, 0);
    while database.writer.pool.current().get_postgres_connection_pool().num_idle() == 0 {
        tokio::task::yield_now().await;
    }
    // Its answer comes later than anybody waits for it.
    wire.set(Fault::Delay(Duration::from_millis(100)));
    assert!(note(&hasty, 1).await.is_err());
    wire.set(Fault::Nothing);
    database.writer().execute_unprepared("INSERT INTO mcp_settings VALUES ('a', 'n2', '', 1)").await.unwrap();
    let (_, others) = at(&PostgresServer::shared().url(&name(&database).await), 1).await;
    assert_eq!(notes(&others).await, 1, "what was acknowledged is seen by others");
}

async fn name(database: &Database) -> String {
    let name = Statement::from_string(DbBackend::Postgres, "SELECT current_database()::text");
    database.readers().query_one_raw(name).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

pub(in crate::sql) async fn plan(database: &Database, mut statement: Statement) -> String {
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
async fn whether_a_chain_has_moved_is_not_looked_for_among_all_links() {
    let database = database(1).await;
    let many = "INSERT INTO mcp_links (chain, sequence, format, kind, tenant, subject, number, at, digest, mac) \
                SELECT md5((n % 3)::text)::uuid, n, 1, 'call', 't', gen_random_uuid(), 0, 0, '', '' \
                FROM generate_series(1, 20000) n; ANALYZE mcp_links";
    database.writer().execute_unprepared(many).await.unwrap();
    let chain: Value = Uuid::from_u128(0xcfcd_2084_95d5_65ef_66e7_dff9_f987_64da).into();
    let moved = Statement::from_sql_and_values(DbBackend::Postgres, MOVED, [chain, 9_000.into()]);
    let plan = plan(&database, moved).await;
    assert!(plan.contains("mcp_links_pkey") && !plan.contains("Seq Scan") && !plan.contains("Sort"), "{plan}");
}

/// Runs that are due, of which there are many.
async fn many_runs(database: &Database) -> SqlRuns {
    let many = "INSERT INTO mcp_runs SELECT 't' || n % 10, gen_random_uuid(), 1, 'p' || n % 7, 'kind' || n % 5, NULL, '', n, 'waiting', \
                0, 0, 0, 0, n, NULL, '' FROM generate_series(1, 20000) n; \
                UPDATE mcp_runs SET due = 1e18::bigint - at WHERE at > 10000; ANALYZE mcp_runs";
    database.writer().execute_unprepared(many).await.unwrap();
    SqlRuns::new(database.clone(), Arc::new(SimulatedClock::new()), LargeBytes::default())
}

/// A plan that looks for what is due again and again was seen to claim forty times as many.
#[tokio::test]
async fn no_more_than_the_limit_are_claimed_by_a_plan_of_nested_loops() {
    // There is one connection, so that what is set for it holds.
    let database = database(1).await;
    let runs = many_runs(&database).await;
    for other in ["hashjoin", "mergejoin", "hashagg", "memoize", "material", "bitmapscan"] {
        database.writer().execute_unprepared(&format!("SET enable_{other} = off")).await.unwrap();
    }
    let hour = Duration::from_secs(60 * 60);
    let planned = plan(&database, runs.claiming("kind1", 5, hour)).await;
    assert!(planned.contains("Nested Loop"), "{planned}");
    for _ in 0..3 {
        assert_eq!(runs.claim("kind1", 5, hour).await.unwrap().runs.len(), 5);
    }
    let held = "SELECT count(*) FROM mcp_runs WHERE state = 'running' AND epoch = 1";
    let row = database.readers().query_one_raw(Statement::from_string(DbBackend::Postgres, held)).await.unwrap();
    assert_eq!(row.unwrap().try_get_by_index::<i64>(0).unwrap(), 15);
}

#[tokio::test]
async fn neither_a_claim_nor_a_list_of_runs_walks_over_others_or_sorts() {
    let database = database(1).await;
    let runs = many_runs(&database).await;
    let own = RunQuery {
        principal: Some(Principal::from("p1")),
        before: Some(RunId::from_u128(u128::MAX)),
        ..RunQuery::default()
    };
    for (statement, index) in [
        (runs.claiming("kind1", 5, Duration::from_secs(1)), "Index Scan using mcp_runs_due"),
        (runs.looking_ahead("kind1"), "using mcp_runs_due"),
        (
            select_runs(&Tenant::from("t1"), &own).build(DbBackend::Postgres),
            "Index Scan Backward using mcp_runs_principal",
        ),
    ] {
        let plan = plan(&database, statement).await;
        assert!(plan.replace('"', "").contains(index), "{plan}");
        assert!(!plan.contains("Sort") && !plan.contains("Seq Scan"), "{plan}");
        assert!(!plan.contains("mcp_runs_due") || plan.contains("due"), "{plan}");
    }
}

/// As they are planned for all values, and kept.
#[tokio::test]
async fn what_the_writer_has_planned_while_tables_were_empty_finds_rows_by_their_keys() {
    let (postgres, _) = server_and_database(1).await;
    let pool = PostgresDatabase::pool(1, postgres.by_keys());
    let writer = Database::new(pool.clone(), pool);
    let mode = Statement::from_string(DbBackend::Postgres, "SHOW plan_cache_mode");
    let mode = writer.writer().query_one_raw(mode).await.unwrap().unwrap();
    assert_eq!(mode.try_get_by_index::<String>(0).unwrap(), "force_generic_plan");
    for (sql, parameters, keys) in writer::planned() {
        writer.writer().execute_unprepared(&format!("PREPARE planned AS {sql}")).await.unwrap();
        let values = vec!["NULL"; parameters].join(", ");
        let execute = Statement::from_string(DbBackend::Postgres, format!("EXECUTE planned ({values})"));
        let plan = plan(&writer, execute).await;
        assert!(!plan.contains("Seq Scan") && !plan.contains("mcp_runs_principal"), "{plan}");
        for key in keys {
            assert!(plan.contains(key), "{key}: {plan}");
        }
        writer.writer().execute_unprepared("DEALLOCATE planned").await.unwrap();
    }
}

#[tokio::test]
async fn statements_and_forgotten_transactions_have_an_end() {
    let database = database(1).await;
    for (setting, value) in [
        ("statement_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("jit", "off"),
        ("application_name", "mcp"),
    ] {
        let shown = Statement::from_string(DbBackend::Postgres, format!("SHOW {setting}"));
        let row = database.readers().query_one_raw(shown).await.unwrap().unwrap();
        assert_eq!(row.try_get_by_index::<String>(0).unwrap(), value, "{setting}");
    }
}
