//! What a power cut leaves: of files, of SQLite as it may be set, and of what a store has acknowledged.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcp_core::Stores;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Timestamp;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::{CallId, CallRecord, Entry, Outcome};
use mcp_store::StoreConfig;
use mcp_store::test_servers::PowerCut;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, ConnectOptions};
use tempfile::TempDir;

/// Set for the process that [`a_process_that_loses_its_power`] is: what it does.
const CHILD: &str = "MCP_TEST_WRITES";

/// How many rows are acknowledged.
const ROWS: u32 = 100;

/// Not a test: what meets the power cut in the tests below. It does its work, says so line by line, and waits for its end.
#[test]
fn a_process_that_loses_its_power() {
    let Ok(work) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // What is closed in order is synced, so nothing is closed.
    let _open: (Option<Stores>, Option<SqliteConnection>) = match &*work {
        "files" => {
            write_files();
            (None, None)
        }
        "store" => (Some(runtime.block_on(fill_a_store())), None),
        synchronous => (None, Some(runtime.block_on(fill_a_table(synchronous.parse().unwrap())))),
    };
    say("done");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// Does the work in a new folder that loses its power at the end; gives what is left of it, and what the process said.
fn cut(work: &str) -> (TempDir, PathBuf, Vec<String>) {
    let folder = TempDir::new().unwrap();
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    fs::create_dir(&before).unwrap();
    fs::write(before.join("old"), "from before").unwrap();
    let power_cut = PowerCut::of(&before);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "power_cut::a_process_that_loses_its_power", "--nocapture"]).current_dir(&before);
    command.env(CHILD, work).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = power_cut.befalls(&mut command).spawn().unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        match line.unwrap() {
            line if line == "done" => break,
            line => said.push(line),
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    power_cut.leave(&after);
    (folder, after, said)
}

fn write_files() {
    let write = |name: &str, text: &str| {
        let mut file = File::options().create(true).append(true).open(name).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    };
    let sync = |folder: &str| File::open(folder).unwrap().sync_all().unwrap();
    fs::create_dir("folder").unwrap();
    write("kept", "synced").sync_all().unwrap();
    write("data", "synced").sync_data().unwrap();
    write("named", "not synced");
    write("renamed-from", "renamed").sync_all().unwrap();
    write("old", ", and not synced");
    sync(".");
    write("kept", ", and not synced");
    write("data", " again").sync_data().unwrap();
    write("folder/lost", "its name is not synced").sync_all().unwrap();
    write("lost", "neither is this one's").sync_all().unwrap();
    fs::rename("renamed-from", "renamed-to").unwrap();
    // Its number may be given to the next.
    fs::remove_file("kept").unwrap();
    write("next", "new").sync_all().unwrap();
}

#[test]
fn of_files_what_was_synced_is_left_under_the_names_that_were() {
    let (_folder, left, _) = cut("files");
    let mut names: Vec<_> = fs::read_dir(&left).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["data", "folder", "kept", "named", "old", "renamed-from"]);
    for (name, text) in [
        ("kept", "synced"),
        ("data", "synced again"),
        ("named", ""),
        ("renamed-from", "renamed"),
        ("old", "from before"),
    ] {
        assert_eq!(fs::read_to_string(left.join(name)).unwrap(), text, "{name}");
    }
    assert_eq!(fs::read_dir(left.join("folder")).unwrap().count(), 0);
}

async fn connect(file: &Path, synchronous: SqliteSynchronous) -> sqlx::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    options.journal_mode(SqliteJournalMode::Wal).synchronous(synchronous).connect().await
}

async fn fill_a_table(synchronous: SqliteSynchronous) -> SqliteConnection {
    let mut connection = connect(Path::new("rows.db"), synchronous).await.unwrap();
    sqlx::query("CREATE TABLE numbers (n INTEGER PRIMARY KEY)").execute(&mut connection).await.unwrap();
    for n in 1..=ROWS {
        sqlx::query("INSERT INTO numbers VALUES (?)").bind(n).execute(&mut connection).await.unwrap();
    }
    connection
}

/// Here the power cut itself is tried: it takes what SQLite acknowledges without a sync, and nothing else.
#[tokio::test]
async fn of_sqlite_the_rows_are_left_where_each_commit_is_synced_and_not_where_it_is_not() {
    for (synchronous, all) in [("OFF", false), ("NORMAL", false), ("FULL", true)] {
        let (_folder, left, _) = cut(synchronous);
        let mut connection = connect(&left.join("rows.db"), SqliteSynchronous::Full).await.unwrap();
        // Where the table is lost, so are the rows.
        let rows = sqlx::query_scalar("SELECT count(*) FROM numbers").fetch_one(&mut connection).await;
        let rows: u32 = rows.unwrap_or(0);
        assert_eq!(rows == ROWS, all, "{synchronous}: {rows}");
    }
}

/// In folders that are not there yet.
const URL: &str = "sqlite:./new/data/mcp.db";

async fn fill_a_store() -> Stores {
    let stores = mcp_store::open(&StoreConfig::new(URL, Arc::new(SimulatedClock::new())).unwrap()).await.unwrap();
    let mut id = 0;
    for size in [1, 2, 50] {
        let commits: Vec<_> = (0..size)
            .map(|_| {
                id += 1;
                (id, stores.ledger.commit(vec![Entry::Call(call(id))]))
            })
            .collect();
        for (id, commit) in commits {
            commit.await.unwrap();
            say(&format!("acknowledged {id}"));
        }
        stores.notes.write(&Tenant::from("a"), &Principal::from("p"), "n", &format!("after {id}")).await.unwrap();
    }
    stores
}

fn call(id: u128) -> CallRecord {
    CallRecord {
        id: CallId::from_u128(id),
        parent: None,
        address: None,
        tenant: Tenant::from("a"),
        principal: Principal::from("p"),
        tool: "t".to_owned(),
        arguments: Bytes::from_static(b"{}"),
        outcome: Outcome::Ok,
        result: Bytes::from_static(b"{}"),
        at: Timestamp::default(),
        duration: Duration::ZERO,
        waited: Duration::ZERO,
    }
}

#[tokio::test]
async fn what_a_new_store_has_acknowledged_is_left() {
    let (_folder, left, said) = cut("store");
    let acknowledged = said.iter().filter_map(|line| line.strip_prefix("acknowledged "));
    let mut acknowledged: Vec<u128> = acknowledged.map(|id| id.parse().unwrap()).collect();
    acknowledged.reverse();
    assert_eq!(acknowledged.len(), 53);
    let url = URL.replace("./", &format!("{}/", left.display())) + "?mode=rw";
    let stores = mcp_store::open(&StoreConfig::new(&url, Arc::new(SimulatedClock::new())).unwrap()).await.unwrap();
    let tenant = Tenant::from("a");
    let calls = stores.history.calls(&tenant, &CallQuery { limit: 100, ..CallQuery::default() }).await.unwrap();
    assert_eq!(calls.iter().map(|call| call.id.as_u128()).collect::<Vec<_>>(), acknowledged);
    let note = stores.notes.read(&tenant, &Principal::from("p"), "n").await.unwrap().unwrap();
    assert_eq!(note.text, "after 53");
}
