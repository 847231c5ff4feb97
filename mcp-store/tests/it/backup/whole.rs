//! What comes back is what there was.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mcp_core::store::history::CallQuery;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_there_is_there_again() {
    for filled in Filled::both().await {
        let made = filled.backup("one").await;
        assert!(made.contents.tables.values().filter(|rows| **rows > 0).count() >= 7, "{made:?}");
        assert_eq!(made.contents.keys, mcp_store::key_ids(&filled.config).await.unwrap());
        let empty = filled.empty("restored");
        assert_eq!(restore(&empty, &filled.place("one")).await.unwrap(), made);
        let again = backup(&empty, &filled.place("two")).await.unwrap();
        assert_eq!(again.contents, made.contents);
        assert_eq!(mcp_store::pending_migrations(&empty).await.unwrap(), [""; 0]);

        let (tenant, owner) = (Tenant::from("a"), Principal::from("ada"));
        let stores = mcp_store::open(&empty).await.unwrap();
        let calls = stores.history.calls(&tenant, &CallQuery::default()).await.unwrap();
        assert_eq!(calls, filled.stores.history.calls(&tenant, &CallQuery::default()).await.unwrap());
        assert_eq!(calls.len(), 2);
        assert_eq!(stores.notes.search(&tenant, &owner, "APPLES", 10).await.unwrap().len(), 1, "words are found again");
        for (restored, before) in
            [(&stores.sessions, &filled.stores.sessions), (&stores.protocol_sessions, &filled.stores.protocol_sessions)]
        {
            let sessions = restored.list(&tenant, &owner).await.unwrap();
            assert_eq!(sessions, before.list(&tenant, &owner).await.unwrap());
            assert_eq!(sessions.len(), 1);
        }
        let setting = stores.settings.load(&Key::of(&tenant, "colour")).await.unwrap().unwrap();
        assert_eq!(&*setting.value, b"red");
        let file = stores.files.as_ref().unwrap().read(&tenant, &owner, "greeting", None).await.unwrap().unwrap();
        let bytes: Vec<Bytes> = file.bytes.try_collect().await.unwrap();
        assert_eq!(bytes.concat(), b"hello");
        verify(&filled.config, &filled.place("one")).await.unwrap();
        // And it goes on: numbers are given where they were left.
        stores.notes.write(&tenant, &owner, "new", "pears").await.unwrap();
        stores.ledger.commit(super::calls(2)).await.unwrap();
        assert_eq!(stores.notes.search(&tenant, &owner, "pears", 10).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_in_the_place_already_or_have_none_are_refused() {
    for filled in Filled::both().await {
        filled.backup("one").await;
        let mut empty = filled.empty("elsewhere");
        empty.files_url = filled.config.files_url.clone();
        write(&filled.stores, "another", b"bytes that came later").await;
        let refused = line(restore(&empty, &filled.place("one")).await);
        assert!(refused.contains("FILES_URL") && refused.contains("not empty"), "{refused}");
        empty.files_url = filled.empty("elsewhere").files_url;
        restore(&empty, &filled.place("one")).await.unwrap();
    }
}

/// What is written together is in the copy together, or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_meanwhile_goes_on_and_the_copy_is_of_one_moment() {
    for filled in Filled::both().await {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writing = tokio::spawn({
            let (stores, stop, written) = (filled.stores.clone(), stop.clone(), written.clone());
            async move {
                for n in 2.. {
                    stores.ledger.commit(calls(n)).await.unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        });
        let more_than = async |count: u64| {
            while written.load(Ordering::Relaxed) <= count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        more_than(10).await;
        for name in ["one", "two", "three"] {
            let made = filled.backup(name).await;
            let rows = made.contents.tables["mcp_calls"];
            assert!(rows > 2 && rows % 2 == 0, "{rows} calls");
            verify(&filled.config, &filled.place(name)).await.unwrap();
            more_than(written.load(Ordering::Relaxed)).await;
        }
        stop.store(true, Ordering::Relaxed);
        writing.await.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let (filled, server) = (Filled::postgres().await, PostgresServer::shared());
    let made = filled.backup("one").await;
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    server.query(database, "CREATE TABLE hosts AS SELECT 1 AS n");
    let config = filled.with_files(&url);
    restore(&config, &filled.place("one")).await.unwrap();
    let again = backup(&config, &filled.place("two")).await.unwrap();
    assert_eq!(again.contents, made.contents);
    assert_eq!(server.query(database, "SELECT n FROM hosts"), "1");
}

#[cfg(unix)]
#[tokio::test]
async fn what_it_makes_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let filled = Filled::sqlite().await;
    filled.backup("backups/one").await;
    restore(&filled.empty("restored"), &filled.place("backups/one")).await.unwrap();
    for (path, mode) in [("backups/one", 0o700), ("restored", 0o700), ("restored/mcp.db", 0o600)] {
        let found = filled.place(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}: {found:o}");
    }
}
