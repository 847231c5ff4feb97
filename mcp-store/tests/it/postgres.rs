//! The stores on PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcp_core::Stores;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::contract::Fresh;
use mcp_core::store::StoreError;
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::{CallId, CallRecord, Entry, Outcome};
use mcp_store::test_servers::PostgresServer;
use mcp_store::{OpenError, StoreConfig};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tempfile::TempDir;

async fn fresh() -> Fresh {
    let (folder, clock) = (TempDir::new().unwrap(), SimulatedClock::new());
    let url = PostgresServer::shared().database();
    let mut config = StoreConfig::new(&url, Arc::new(clock.clone())).unwrap();
    config.cache_bytes = 1024 * 1024;
    config.secret_keys = vec![[1; 32]];
    config.files_url = Some(format!("file:{}/files", folder.path().display()));
    config.file_caps = mcp_core::contract::files::CAPS;
    config.protocol_sessions = mcp_core::contract::sessions::ROOM;
    let database = url.rsplit('/').next().unwrap().to_owned();
    let age = move |time: Duration| {
        let moments = [("mcp_leases", "until"), ("mcp_replicas", "until"), ("mcp_claims", "at"), ("mcp_runs", "due")];
        let earlier =
            moments.map(|(table, column)| format!("UPDATE {table} SET {column} = {column} - {};", time.as_micros()));
        PostgresServer::shared().query(&database, &earlier.concat());
    };
    Fresh::new(mcp_store::open(&config).await.unwrap(), clock).aging(age).keeping(folder)
}

mcp_core::ledger_contract!(fresh);
mcp_core::history_contract!(fresh);
mcp_core::stats_contract!(fresh);
mcp_core::audit_contract!(fresh);
mcp_core::idempotency_contract!(fresh);
mcp_core::notes_contract!(fresh);
mcp_core::threads_contract!(fresh);
mcp_core::principals_contract!(fresh);
mcp_core::api_keys_contract!(fresh);
mcp_core::records_contract!(fresh);
mcp_core::leases_contract!(fresh);
mcp_core::replicas_contract!(fresh);
mcp_core::settings_contract!(fresh);
mcp_core::sessions_contract!(fresh);
mcp_core::runs_contract!(fresh);
mcp_core::files_contract!(fresh);

async fn open(url: &str) -> Result<Stores, OpenError> {
    mcp_store::open(&StoreConfig::new(url, Arc::new(SimulatedClock::new()))?).await
}

/// The error's text, which a person reads.
async fn refusal(url: &str) -> String {
    let text = open(url).await.err().expect("it is refused").to_string();
    assert!(!text.contains('\n'), "{text}");
    assert!(!text.contains("S3CRET"), "{text}");
    text
}

#[tokio::test]
async fn a_server_that_forgets_what_it_acknowledged_is_refused() {
    let server = PostgresServer::shared();
    let url = server.database();
    let name = url.rsplit('/').next().unwrap();
    server.query("postgres", &format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    let text = refusal(&url).await;
    assert!(text.contains(&format!("`ALTER DATABASE \"{name}\" SET synchronous_commit = on`")), "{text}");
    let mend = text.split('`').nth(1).unwrap();
    server.query("postgres", mend);
    open(&url).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_reached_is_refused_in_one_line_without_the_password() {
    let url = PostgresServer::shared().database();
    let with = |user: &str, database: &str| {
        let address = url.split(['@', '/']).nth(3).unwrap();
        format!("postgres://{user}:S3CRET@{address}/{database}")
    };
    let text = refusal(&with("nobody", "mcp")).await;
    assert!(text.contains("DATABASE_URL") && text.contains("nobody"), "{text}");
    let text = refusal(&with("mcp", "elsewhere")).await;
    assert!(text.contains("database elsewhere on 127.0.0.1:"), "{text}");
    let text = refusal("postgres://mcp:S3CRET@127.0.0.1:99999/mcp").await;
    assert!(text.contains("postgres://USER:PASSWORD@HOST:PORT/DATABASE"), "{text}");
}

/// A host's pool, tables, migrations and search path stay as they are.
#[tokio::test]
async fn beside_a_host_the_tables_have_names_of_their_own_and_the_pool_is_not_the_hosts() {
    let url = PostgresServer::shared().database();
    let mut options = sea_orm::ConnectOptions::new(&url);
    options.max_connections(1);
    let host: DatabaseConnection = sea_orm::Database::connect(options).await.unwrap();
    host.execute_unprepared("CREATE TABLE seaql_migrations (version text); CREATE TABLE notes (n int)").await.unwrap();
    let pending = mcp_store::pending_migrations(&StoreConfig::beside(&host).unwrap()).await.unwrap();
    assert_eq!(pending[0], "0001_calls", "the host's list of steps is not ours");

    // The host's only connection is in the middle of something.
    let held = host.get_postgres_connection_pool().acquire().await.unwrap();
    let stores = mcp_store::beside(&host).await.unwrap();
    stores.notes.write(&Tenant::from("a"), &Principal::from("p"), "n", "text").await.unwrap();
    drop(held);
    let (tables, database) = (
        "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'",
        url.rsplit('/').next().unwrap(),
    );
    let found = PostgresServer::shared().query(database, tables);
    let (ours, others): (Vec<_>, Vec<_>) = found.split(' ').partition(|table| table.starts_with("mcp_"));
    assert_eq!(others, ["notes", "seaql_migrations"]);
    assert!(ours.contains(&"mcp_notes") && ours.contains(&"mcp_migrations"), "{ours:?}");
}

/// Also where the host writes into a file.
#[tokio::test]
async fn beside_a_host_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/host.db?mode=rwc", folder.path().display());
    let host = sea_orm::Database::connect(&url).await.unwrap();
    host.execute_unprepared("CREATE TABLE notes (n int)").await.unwrap();
    let stores = mcp_store::beside(&host).await.unwrap();
    let (tenant, owner) = (Tenant::from("a"), Principal::from("p"));
    stores.notes.write(&tenant, &owner, "n", "text").await.unwrap();
    assert!(stores.notes.read(&tenant, &owner, "n").await.unwrap().is_some());
}

/// A name so long and so odd that no index takes it.
fn too_long_for_an_index() -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from(state >> 33 & 0x3f).unwrap())
    };
    (0..20_000).map(|_| next()).collect()
}

#[tokio::test]
async fn what_is_bad_fails_alone() {
    let stores = open(&PostgresServer::shared().database()).await.unwrap();
    let long = too_long_for_an_index();
    let bad = [13, 60, 61];
    let commits: Vec<_> = (1..=100)
        .map(|id| stores.ledger.commit(vec![Entry::Call(call(id, if bad.contains(&id) { &long } else { "t" }))]))
        .collect();
    for (id, commit) in (1..).zip(commits) {
        let result = commit.await;
        let is_refused = matches!(result, Err(StoreError::Refused { store: "ledger", .. }));
        assert_eq!((is_refused, result.is_ok()), (bad.contains(&id), !bad.contains(&id)), "{id}: {result:?}");
    }
    let query = CallQuery { limit: 200, ..CallQuery::default() };
    let kept = stores.history.calls(&Tenant::from("a"), &query).await.unwrap();
    assert_eq!(kept.len(), 97);
}

fn call(id: u128, tool: &str) -> CallRecord {
    CallRecord {
        id: CallId::from_u128(id),
        parent: None,
        address: None,
        tenant: Tenant::from("a"),
        principal: Principal::from("p"),
        tool: tool.to_owned(),
        arguments: Bytes::from_static(b"{}"),
        outcome: Outcome::Ok,
        result: Bytes::from_static(b"{}"),
        at: Timestamp::default(),
        duration: Duration::ZERO,
        waited: Duration::ZERO,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_full_queue_no_call_begins_and_all_that_began_are_kept() {
    let server = PostgresServer::shared();
    let url = server.database();
    let stores = open(&url).await.unwrap();
    let locked = server.hold(url.rsplit('/').next().unwrap(), "LOCK TABLE mcp_calls");
    let mut commits = Vec::new();
    while stores.ledger.admit().is_ok() {
        assert!(commits.len() < 10_000, "the queue has no end");
        commits.push(stores.ledger.commit(vec![Entry::Call(call(commits.len() as u128, "t"))]));
    }
    let waiting = commits.len();
    assert!(waiting > 1_000, "only {waiting} wait");
    // Begun before the queue was full.
    commits.push(stores.ledger.commit(vec![Entry::Call(call(waiting as u128, "t"))]));
    drop(locked);
    for commit in commits {
        commit.await.unwrap();
    }
    stores.ledger.admit().expect("there is room again");
    let query = CallQuery { limit: u16::MAX, ..CallQuery::default() };
    assert_eq!(stores.history.calls(&Tenant::from("a"), &query).await.unwrap().len(), waiting + 1);
}

/// Reads notes again and again, many at once, until it is dropped. With the table locked, all of them wait.
struct Readers(Vec<tokio::task::JoinHandle<()>>);

impl Readers {
    fn start(stores: &Stores) -> Self {
        let read = |_| {
            let notes = stores.notes.clone();
            tokio::spawn(async move {
                loop {
                    match notes.read(&Tenant::from("a"), &Principal::from("p"), "n").await {
                        Ok(None) | Err(StoreError::Unavailable { .. }) => {}
                        other => panic!("{other:?}"),
                    }
                }
            })
        };
        Self((0..30).map(read).collect())
    }

    /// Waits until so many of them have a connection.
    async fn have(&self, server: &PostgresServer, database: &str, connections: u32) {
        let waiting =
            format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'");
        while server.query("postgres", &waiting) != connections.to_string() {
            assert!(!self.0.iter().any(|reader| reader.is_finished()), "one has panicked");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.0.iter().for_each(|reader| reader.abort());
    }
}

/// The check has a connection of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_database_is_not_taken_for_one_that_is_down_and_loses_no_connection() {
    let server = PostgresServer::shared();
    let url = server.database();
    let name = url.rsplit('/').next().unwrap();
    let stores = open(&url).await.unwrap();
    for id in [1, 2] {
        let locked = server.hold(name, "LOCK TABLE mcp_notes");
        let readers = Readers::start(&stores);
        readers.have(server, name, 10).await;
        let check = stores.checks.iter().find(|check| check.name() == "database").unwrap();
        check.check().await.expect("it takes writes");
        stores.ledger.commit(vec![Entry::Call(call(id, "t"))]).await.expect("it takes records");
        // Callers who leave in the middle leave no connection behind that the next ones would miss.
        drop((readers, locked));
    }
}

/// For a pooler between here and there, which gives each transaction another connection.
#[tokio::test]
async fn the_url_may_switch_prepared_statements_off() {
    let server = PostgresServer::shared();
    let url = format!("{}?statement-cache-capacity=0", server.database());
    let stores = open(&url).await.unwrap();
    let (tenant, owner) = (Tenant::from("a"), Principal::from("p"));
    stores.notes.write(&tenant, &owner, "n", "text").await.unwrap();
    assert_eq!(stores.notes.search(&tenant, &owner, "text", 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lease_is_held_against_every_replica_whatever_its_clock_says() {
    let (url, hour) = (PostgresServer::shared().database(), Duration::from_secs(60 * 60));
    let one = open(&url).await.unwrap().leases;
    let fast = SimulatedClock::new();
    let other = mcp_store::open(&StoreConfig::new(&url, Arc::new(fast.clone())).unwrap()).await.unwrap().leases;
    let lease = one.acquire("work", hour).await.unwrap().unwrap();
    fast.advance(hour * 24 * 365 * 100);
    assert_eq!(other.acquire("work", hour).await.unwrap(), None);
    assert!(other.renew(&lease, hour).await.unwrap(), "a lease is its own proof");
    one.release(lease.clone()).await.unwrap();
    let next = other.acquire("work", hour).await.unwrap().unwrap();
    assert!(next.epoch > lease.epoch);
    assert!(!one.renew(&lease, hour).await.unwrap());
}
