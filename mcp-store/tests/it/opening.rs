//! From a URL to stores, and back again.

use std::sync::Arc;
use std::time::Duration;

use mcp_core::Stores;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::store::history::CallQuery;
use mcp_core::{Arguments, Caller, Server};
use mcp_store::test_servers::PostgresServer;
use mcp_store::{OpenError, StoreConfig, migrate, pending_migrations};
use serde_json::json;
use tempfile::TempDir;

use super::url;

fn config(url: &str) -> Result<StoreConfig, OpenError> {
    StoreConfig::new(url, Arc::new(SimulatedClock::new()))
}

async fn open(url: &str) -> Result<Stores, OpenError> {
    mcp_store::open(&config(url)?).await
}

/// The error's text, which a person reads.
async fn refusal(url: &str) -> String {
    let text = open(url).await.err().expect("it is refused").to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

#[tokio::test]
async fn what_was_written_is_there_when_it_is_opened_again() {
    let folder = TempDir::new().unwrap();
    let caller = Caller::new("a", "ada");
    let stores = open(&url(&folder)).await.unwrap();
    let server = Server::builder("t", "1").tools(mcp_store::tool::tools(&stores)).stores(stores).build().unwrap();
    let note = Arguments::from_value(&json!({"name": "list", "text": "apples"})).unwrap();
    server.call_tool(caller.clone(), "notes.write", note).await.unwrap();
    drop(server);

    let stores = open(&url(&folder)).await.unwrap();
    let calls = stores.history.calls(caller.tenant(), &CallQuery::default()).await.unwrap();
    assert_eq!(calls.iter().map(|call| call.tool.as_str()).collect::<Vec<_>>(), ["notes.write"]);
    let found = stores.notes.search(caller.tenant(), caller.principal(), "apples", 10).await.unwrap();
    assert_eq!(found.iter().map(|note| note.name.as_str()).collect::<Vec<_>>(), ["list"]);
}

#[tokio::test]
async fn a_url_may_be_written_in_several_ways() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().display().to_string();
    for (url, file) in [
        (format!("sqlite:{path}/a/plain.db"), "a/plain.db"),
        (format!("sqlite://{path}/b/rwc.db?mode=rwc"), "b/rwc.db"),
        (format!("sqlite://{path}/b/rwc.db?mode=rw"), "b/rwc.db"),
        (format!("sqlite:{path}/c/with%20space%3F.db"), "c/with space?.db"),
        (format!("sqlite:{path}/c/with%20space%3F.db?mode=rw"), "c/with space?.db"),
    ] {
        open(&url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        assert!(folder.path().join(file).exists(), "{url}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_it_makes_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let stores = open(&url(&folder)).await.unwrap();
    stores.notes.write(&Tenant::from("a"), &Principal::from("p"), "n", "").await.unwrap();
    for (path, mode) in
        [("data", 0o700), ("data/mcp.db", 0o600), ("data/mcp.db-wal", 0o600), ("data/mcp.db-shm", 0o600)]
    {
        let found = folder.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}: {found:o}");
    }
}

#[tokio::test]
async fn another_database_is_refused_without_its_password() {
    for url in ["mysql://ada:S3CRET@db.example:3306/mcp", "mysql://S3CRET", "SQLITE:S3CRET", "S3CRET:x"] {
        let text = refusal(url).await;
        assert!(text.contains("DATABASE_URL") && text.contains("sqlite:./data/mcp.db"), "{text}");
        assert!(!text.contains("S3CRET") || url.starts_with("S3CRET"), "{text}");
        let debug = format!("{:?}", StoreConfig::new(url, Arc::new(SimulatedClock::new())));
        assert!(!debug.contains("S3CRET") || url.starts_with("S3CRET"), "{debug}");
    }
    assert!(refusal("mysql://ada:S3CRET@db").await.contains("not in \"mysql\""));
}

#[tokio::test]
async fn a_url_that_names_no_file_is_refused() {
    for (url, problem) in [
        ("", "no scheme"),
        ("data/mcp.db", "no scheme"),
        ("sqlite:", "no path"),
        ("sqlite://", "no path"),
        ("sqlite::memory:", "keeps nothing"),
        ("sqlite://:memory:", "keeps nothing"),
        ("sqlite:x.db?mode=memory", "keeps nothing"),
        ("sqlite:x.db?mode=ro", "keeps no records"),
        ("sqlite:x.db?cache=shared", "only ?mode=rw and ?mode=rwc"),
        ("sqlite:%ff.db", "cannot be read"),
    ] {
        let text = refusal(url).await;
        assert!(text.contains(problem) && text.contains("DATABASE_URL"), "{url}: {text}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_had_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().display();
    let missing = refusal(&format!("sqlite:{path}/missing.db?mode=rw")).await;
    assert!(missing.contains("cannot open") && missing.contains("missing.db: there is no such file"), "{missing}");

    std::fs::write(folder.path().join("file"), "plain text that is no database, and longer than its header would be")
        .unwrap();
    let inside = refusal(&format!("sqlite:{path}/file/mcp.db")).await;
    assert!(inside.contains("/file/mcp.db: Not a directory"), "{inside}");
    let below = refusal(&format!("sqlite:{path}/file/folder/mcp.db")).await;
    assert!(below.contains("/file/folder"), "{below}");
    let other = refusal(&format!("sqlite:{path}/file")).await;
    assert!(other.contains("not a database") && other.contains("/file"), "{other}");
    let folder_itself = refusal(&format!("sqlite:{path}")).await;
    assert!(folder_itself.contains("cannot open") && folder_itself.contains("it is no file"), "{folder_itself}");
}

#[tokio::test]
async fn migrations_are_told_before_they_run() {
    let folder = TempDir::new().unwrap();
    let config = config(&url(&folder)).unwrap();
    let all = pending_migrations(&config).await.unwrap();
    assert_eq!((all[0].as_str(), all.is_sorted()), ("0001_calls", true), "{all:?}");
    assert!(!folder.path().join("data").exists(), "to look changes nothing");
    assert_eq!(migrate(&config).await.unwrap(), all);
    assert_eq!(pending_migrations(&config).await.unwrap(), [""; 0]);
    assert_eq!(migrate(&config).await.unwrap(), [""; 0]);
    // A host's file, with tables of its own.
    let host = folder.path().join("data/host.db");
    std::fs::write(&host, "").unwrap();
    assert_eq!(pending_migrations(&self::config(&format!("sqlite:{}", host.display())).unwrap()).await.unwrap(), all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_that_start_at_once_all_start() {
    let folder = TempDir::new().unwrap();
    start_at_once(8, &url(&folder)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_replicas_that_start_at_once_all_start() {
    start_at_once(5, &PostgresServer::shared().database()).await;
}

async fn start_at_once(replicas: usize, url: &str) {
    let all = pending_migrations(&config(url).unwrap()).await.unwrap();
    let starts: Vec<_> = (0..replicas)
        .map(|_| {
            let config = config(url).unwrap();
            tokio::spawn(async move { migrate(&config).await })
        })
        .collect();
    let mut ran = Vec::new();
    for start in starts {
        ran.extend(start.await.unwrap().unwrap());
    }
    assert_eq!(ran, all, "each migration runs once");
    open(url).await.unwrap();
}

/// While a newer version is rolled out, the one before it may start again; a step is missing only where two versions have gone
/// different ways.
#[tokio::test]
async fn the_tables_of_a_newer_version_are_used_and_those_of_a_foreign_one_are_left_alone() {
    use sea_orm::ConnectionTrait;
    let folder = TempDir::new().unwrap();
    for url in [url(&folder), PostgresServer::shared().database()] {
        let config = config(&url).unwrap();
        migrate(&config).await.unwrap();
        let newer = sea_orm::Database::connect(&url).await.unwrap();
        newer.execute_unprepared("INSERT INTO mcp_migrations VALUES ('9999_later', 0)").await.unwrap();
        open(&url).await.unwrap();
        assert_eq!(pending_migrations(&config).await.unwrap(), [""; 0]);

        newer.execute_unprepared("DELETE FROM mcp_migrations WHERE version = '0002_notes'").await.unwrap();
        newer.close().await.unwrap();
        let text = refusal(&url).await;
        assert!(text.contains("another version") && text.contains("9999_later"), "{text}");
        assert!(matches!(pending_migrations(&config).await, Err(OpenError::Foreign { .. })));
    }
}

#[tokio::test]
async fn two_processes_may_share_a_file_for_a_while() {
    let folder = TempDir::new().unwrap();
    let (one, other) = (open(&url(&folder)).await.unwrap(), open(&url(&folder)).await.unwrap());
    let (tenant, owner) = (Tenant::from("a"), Principal::from("ada"));
    let writes = (0..40).map(async |n| {
        let stores = if n % 2 == 0 { &one } else { &other };
        stores.notes.write(&tenant, &owner, &n.to_string(), "shared").await
    });
    let written = futures_util::future::join_all(writes).await;
    assert!(written.iter().all(Result::is_ok), "{written:?}");
    assert_eq!(one.notes.search(&tenant, &owner, "shared", 100).await.unwrap().len(), 40);
}

#[tokio::test]
async fn a_process_that_starts_again_finds_its_leases_and_counts_on() {
    let (folder, clock, hour) = (TempDir::new().unwrap(), SimulatedClock::new(), Duration::from_secs(60 * 60));
    let config = StoreConfig::new(&url(&folder), Arc::new(clock.clone())).unwrap();
    let before = mcp_store::open(&config).await.unwrap().leases.acquire("work", hour).await.unwrap().unwrap();
    let leases = mcp_store::open(&config).await.unwrap().leases;
    assert_eq!(leases.acquire("work", hour).await.unwrap(), None);
    clock.advance(hour);
    let after = leases.acquire("work", hour).await.unwrap().unwrap();
    assert!(after.epoch > before.epoch);
}
