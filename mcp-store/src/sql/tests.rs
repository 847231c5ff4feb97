//! The connections, and the transaction that can be left.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::store::StoreError;
use mcp_core::store::history::{CallQuery, History};
use mcp_core::store::ledger::{CallId, CallRecord, Entry, Outcome};
use mcp_core::store::settings::Key;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DbBackend, DbErr, IntoActiveModel, QueryTrait, Statement, Value};
use tempfile::TempDir;

use super::calls::{SqlCalls, select};
use super::chain::Linker;
use super::entity::call::Model;
use super::files::search;
use super::large::LargeBytes;
use super::notes::sqlite::SEARCH;
use super::sqlite::SqliteFile;
use super::sqlite::rows::Rows;
use super::sqlite::writer::{SqliteWriter, statement, steps};
use super::writer::answers;
use super::{Database, files, postgres, settings, threads};
use crate::ledger::Sink;

/// A new database, which lives as long as the folder.
pub(crate) async fn database() -> (TempDir, Database) {
    let folder = TempDir::new().unwrap();
    let file = SqliteFile::parse(&format!("sqlite:{}/mcp.db", folder.path().display())).unwrap();
    file.migrate(&crate::Progress::default()).await.unwrap();
    let database = file.connect().await.unwrap();
    (folder, database)
}

pub(crate) fn call(id: u128) -> Entry {
    Entry::Call(CallRecord {
        id: CallId::from_u128(id),
        parent: None,
        tenant: Tenant::from("a"),
        principal: Principal::from("p"),
        address: None,
        tool: "t".to_owned(),
        arguments: Bytes::from_static(b"{}"),
        outcome: Outcome::Ok,
        result: Bytes::from_static(b"{}"),
        at: Timestamp::default(),
        duration: Duration::ZERO,
        waited: Duration::ZERO,
    })
}

/// What links nothing.
pub(crate) fn unlinked() -> Linker {
    Linker::new(None, Arc::new(SimulatedClock::new()))
}

/// The ids of all calls, newest first.
pub(crate) async fn ids(database: &Database) -> Vec<u128> {
    let query = CallQuery { limit: u16::MAX, ..CallQuery::default() };
    let calls = SqlCalls::new(database.clone(), LargeBytes::default()).calls(&Tenant::from("a"), &query).await.unwrap();
    calls.into_iter().map(|call| call.id.as_u128()).collect()
}

impl Database {
    /// Runs a statement on the writer, outside of a transaction of ours.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), DbErr> {
        self.writer().execute_unprepared(sql).await.map(drop)
    }

    async fn pragma(&self, connection: &impl ConnectionTrait, name: &str) -> String {
        let pragma = Statement::from_string(DbBackend::Sqlite, format!("PRAGMA {name}"));
        let row = connection.query_one_raw(pragma).await.unwrap().unwrap();
        row.try_get_by_index::<String>(0).or_else(|_| row.try_get_by_index::<i64>(0).map(|n| n.to_string())).unwrap()
    }
}

#[tokio::test]
async fn the_writer_is_durable_and_the_readers_only_read() {
    let (_folder, database) = database().await;
    for (pragma, value) in
        [("journal_mode", "wal"), ("synchronous", "2"), ("foreign_keys", "1"), ("busy_timeout", "5000")]
    {
        assert_eq!(database.pragma(&database.writer, pragma).await, value, "{pragma}");
    }
    let refused = database.readers().execute_unprepared("DELETE FROM mcp_calls").await.unwrap_err();
    assert!(refused.to_string().contains("readonly"), "{refused}");
}

#[tokio::test]
async fn every_table_has_our_prefix_and_every_key_begins_with_the_tenant() {
    let (_folder, database) = database().await;
    let schema = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
    let rows = database.readers().query_all_raw(Statement::from_string(DbBackend::Sqlite, schema)).await.unwrap();
    let text = |row: &sea_orm::QueryResult, column| row.try_get::<String>("", column).unwrap();
    let made: Vec<_> = rows.iter().map(|row| (text(row, "name"), text(row, "sql"))).collect();
    for (name, _) in &made {
        assert!(name.starts_with("mcp_"), "{name}");
    }
    // By these the house finds what has ended, what is idle longest, what is due, what is referred to, the tenant of a key,
    // and what was counted of all tenants.
    let of_the_house = [
        "mcp_sessions_ends",
        "mcp_sessions_used",
        "mcp_protocol_sessions_ends",
        "mcp_protocol_sessions_used",
        "mcp_claims_at",
        "mcp_contents_blob",
        "mcp_api_keys_hash",
        "mcp_runs_due",
        "mcp_runs_ended",
        "mcp_call_counts_minute",
        "mcp_call_counts_fine",
        "mcp_model_counts_minute",
        "mcp_model_counts_fine",
    ];
    let of_callers = |name: &str| !of_the_house.contains(&name);
    for (name, sql) in made.iter().filter(|(name, sql)| sql.contains("INDEX") && of_callers(name)) {
        // The one stands with the principal in front, so that PostgreSQL takes it for nothing else.
        let first = if name == "mcp_runs_principal" { r#"("principal", "tenant", "# } else { r#"("tenant", "# };
        assert!(sql.contains(first), "{name}: {sql}");
    }
    for (name, key) in [
        ("mcp_api_keys", r#"("tenant", "id")"#),
        ("mcp_call_counts", r#"("tenant", "minute", "tool", "outcome", "bucket", "writer")"#),
        ("mcp_calls", r#"("tenant", "id")"#),
        ("mcp_claims", r#"("tenant", "principal", "tool", "key")"#),
        ("mcp_contents", r#"("tenant", "hash")"#),
        ("mcp_file_rooms", r#"("tenant", "owner")"#),
        ("mcp_inputs", r#"("tenant", "run", "number")"#),
        ("mcp_model_counts", r#"("tenant", "minute", "agent", "model", "writer")"#),
        ("mcp_protocol_sessions", r#"("tenant", "owner", "handle")"#),
        ("mcp_runs", r#"("tenant", "id")"#),
        ("mcp_sessions", r#"("tenant", "owner", "handle")"#),
        ("mcp_settings", r#"("tenant", "name")"#),
        ("mcp_steps", r#"("tenant", "run", "number")"#),
        ("mcp_threads", r#"("tenant", "owner", "id")"#),
        ("mcp_user_roles", r#"("tenant", "principal", "role")"#),
        ("mcp_users", r#"("tenant", "principal")"#),
    ] {
        let table = &made.iter().find(|(table, _)| table == name).unwrap().1;
        assert!(table.contains(&format!("PRIMARY KEY {key}")), "{table}");
    }
}

/// There is one connection, so the next transaction has the one that was left.
#[tokio::test]
async fn a_transaction_that_is_left_is_done_and_so_is_the_next() {
    let (_folder, sqlite) = database().await;
    let postgres = postgres::tests::database(1).await;
    for database in [sqlite, postgres] {
        for polls in 1..=100 {
            let (left, next) = (record(polls * 2), record(polls * 2 + 1));
            {
                let mut left = pin!(insert(&database, left));
                for _ in 0..polls {
                    if futures_util::poll!(&mut left).is_ready() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
            insert(&database, next).await.unwrap();
            let expected: Vec<_> = (2..=polls * 2 + 1).rev().collect();
            assert_eq!(ids(&database).await, expected, "left after {polls} polls");
        }
    }
}

async fn insert(database: &Database, call: CallRecord) -> Result<(), DbErr> {
    let row = Model::from(&call).into_active_model();
    database.transaction(|transaction| async move { row.insert(transaction).await.map(drop) }.boxed()).await
}

#[tokio::test]
async fn no_page_of_the_history_walks_over_others_or_sorts() {
    let (_folder, database) = database().await;
    let tool = || Some("t".to_owned());
    let principal = || Some(Principal::from("p"));
    let before = Some(CallId::from_u128(1));
    for (query, index) in [
        (CallQuery { before, ..CallQuery::default() }, "sqlite_autoindex_mcp_calls_1 (tenant=? AND id<?)"),
        (CallQuery { before, tool: tool(), ..CallQuery::default() }, "mcp_calls_tool (tenant=? AND tool=? AND id<?)"),
        (
            CallQuery { before, principal: principal(), ..CallQuery::default() },
            "mcp_calls_principal (tenant=? AND principal=? AND id<?)",
        ),
        (
            CallQuery {
                principal: principal(),
                from: Some(Timestamp::from_micros(1)),
                to: Some(Timestamp::from_micros(2)),
                ..CallQuery::default()
            },
            "mcp_calls_principal (tenant=? AND principal=? AND id>? AND id<?)",
        ),
    ] {
        let plan = plan(&database, select(DbBackend::Sqlite, &Tenant::from("a"), &query)).await;
        assert_eq!(plan, [format!("SEARCH mcp_calls USING INDEX {index}")]);
    }
}

#[tokio::test]
async fn a_list_of_settings_walks_over_its_prefix_alone() {
    let (_folder, database) = database().await;
    let index = "SEARCH mcp_settings USING INDEX sqlite_autoindex_mcp_settings_1";
    for after in [None, Some("prefix and more")] {
        let list = settings::select(&Key::of(&Tenant::from("a"), "prefix"), after, 1);
        let plan = plan(&database, list.build(DbBackend::Sqlite)).await;
        assert_eq!(plan, [format!("{index} (tenant=? AND name>? AND name<?)")]);
    }
}

#[tokio::test]
async fn a_list_of_files_walks_over_its_prefix_alone() {
    let (_folder, database) = database().await;
    for after in [None, Some("prefix and more")] {
        let (tenant, owner) = (Tenant::from("a"), Principal::from("p"));
        let list = files::select_names(&tenant, &owner, "prefix", after, 1);
        let plan = plan(&database, list.build(DbBackend::Sqlite)).await;
        let index = "SEARCH mcp_files USING INDEX mcp_files_name (tenant=? AND owner=? AND name>? AND name<?)";
        assert_eq!(plan, [index]);
    }
}

#[tokio::test]
async fn a_search_walks_over_what_has_the_words_alone() {
    let (_folder, database) = database().await;
    for (search, words, rows) in
        [(SEARCH, "mcp_note_words", "mcp_notes"), (search::SQLITE, "mcp_file_words", "mcp_files")]
    {
        let values = ["\"word\"".into(), "a".into(), "p".into(), 1.into()];
        let plan = plan(&database, Statement::from_sql_and_values(DbBackend::Sqlite, search, values)).await;
        let [first, second] = &plan[..] else { panic!("{plan:?}") };
        assert!(first.starts_with(&format!("SCAN {words} VIRTUAL TABLE INDEX")), "{plan:?}");
        assert!(second.starts_with(&format!("SEARCH {rows} USING INTEGER PRIMARY KEY")), "{plan:?}");
    }
}

#[tokio::test]
async fn no_page_of_threads_walks_over_others_or_sorts() {
    let (_folder, database) = database().await;
    let (word, before, a, p): (_, _, Value, Value) = ("\"word\"".into(), 1.into(), "a".into(), "p".into());
    let found = [word, before, a.clone(), p.clone(), 1.into()];
    let of = |sql: &str, values: Vec<Value>| Statement::from_sql_and_values(DbBackend::Sqlite, sql, values);
    let plan_of_search = plan(&database, of(threads::sqlite::SEARCH, found.to_vec())).await;
    let [words, messages] = &plan_of_search[..] else { panic!("{plan_of_search:?}") };
    assert!(words.starts_with("SCAN mcp_message_words VIRTUAL TABLE INDEX"), "{plan_of_search:?}");
    assert!(messages.starts_with("SEARCH mcp_messages USING INTEGER PRIMARY KEY"), "{plan_of_search:?}");
    let mine = "WHERE tenant = ? AND owner = ?";
    for (sql, index) in [
        (
            format!("SELECT * FROM mcp_threads {mine} AND id < 'x' ORDER BY id DESC"),
            "mcp_threads USING INDEX sqlite_autoindex_mcp_threads_1 (tenant=? AND owner=? AND id<?)",
        ),
        (
            format!("SELECT * FROM mcp_messages {mine} AND thread = 'x' AND number > 1 ORDER BY number"),
            "mcp_messages USING INDEX mcp_messages_thread (tenant=? AND owner=? AND thread=? AND number>?)",
        ),
        (
            format!("SELECT * FROM mcp_messages {mine} AND thread = 'x' AND number < 1 ORDER BY number DESC"),
            "mcp_messages USING INDEX mcp_messages_thread (tenant=? AND owner=? AND thread=? AND number<?)",
        ),
    ] {
        assert_eq!(plan(&database, of(&sql, vec![a.clone(), p.clone()])).await, [format!("SEARCH {index}")]);
    }
}

#[tokio::test]
async fn what_a_batch_is_about_is_found_by_its_key() {
    let (_folder, database) = database().await;
    fn of<const N: usize>(rows: &Rows<N>) -> Vec<Statement> {
        // One row, and two.
        rows.statements(&[(); 3], |()| std::array::from_fn(|_| Value::Bool(None)))
    }
    for (statements, key) in [
        (of(&steps::STAND), "tenant=? AND id=?"),
        (of(&steps::THERE), "tenant=? AND run=? AND number=?"),
        (of(&steps::TURN), "tenant=? AND id=?"),
        (of(&statement::REMOVED_CALLS), "tenant=? AND id=?"),
        (of(&statement::REMOVED_RUNS), "tenant=? AND id=?"),
        (of(&answers::ON_SQLITE), "tenant=? AND principal=? AND tool=? AND key=?"),
    ] {
        for statement in statements {
            let plan = plan(&database, statement).await;
            let tables: Vec<_> = plan.iter().filter(|step| step.contains(" mcp_")).collect();
            // With a run go its steps and inputs.
            assert!(tables[0].ends_with(&format!("({key})")), "{plan:?}");
            assert!(tables.iter().all(|table| table.starts_with("SEARCH mcp_")), "{plan:?}");
        }
    }
}

pub(crate) async fn plan(database: &Database, mut statement: Statement) -> Vec<String> {
    statement.sql.insert_str(0, "EXPLAIN QUERY PLAN ");
    let rows = database.readers().query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect()
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_nothing() {
    let (_folder, database) = database().await;
    let failed = database.transaction(|transaction| {
        async move {
            for statement in statement::calls(&[&record(1)]) {
                transaction.execute_raw(statement).await?;
            }
            Err::<(), _>(DbErr::Custom("no".to_owned()))
        }
        .boxed()
    });
    assert!(failed.await.is_err());
    SqliteWriter::new(database.clone(), unlinked()).write(&[&[call(2)]]).await.unwrap();
    assert_eq!(ids(&database).await, [2]);
}

fn record(id: u128) -> CallRecord {
    let Entry::Call(call) = call(id) else { unreachable!("it is a call") };
    call
}

#[tokio::test]
async fn a_batch_has_as_many_rows_as_it_likes() {
    let (_folder, database) = database().await;
    // More than one statement takes, and no power of two.
    let entries: Vec<_> = (1..=5_001).map(call).collect();
    SqliteWriter::new(database.clone(), unlinked()).write(&[&entries]).await.unwrap();
    assert_eq!(ids(&database).await, (1..=5_001).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_row_of_another_format_is_refused_and_not_guessed_at() {
    let (_folder, database) = database().await;
    let calls = SqlCalls::new(database.clone(), LargeBytes::default());
    SqliteWriter::new(database.clone(), unlinked()).write(&[&[call(1)]]).await.unwrap();
    for change in ["format = 2", "outcome = 'new'", "id = x'00'"] {
        database.run(&format!("UPDATE mcp_calls SET {change}")).await.unwrap();
        let read = calls.calls(&Tenant::from("a"), &CallQuery::default()).await;
        assert!(matches!(read, Err(StoreError::Refused { store: "history", .. })), "{change}: {read:?}");
        database.run("UPDATE mcp_calls SET format = 1, outcome = 'ok'").await.unwrap();
    }
}
