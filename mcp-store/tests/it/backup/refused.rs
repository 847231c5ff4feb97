//! What is not whole, or does not fit, is not restored; and where something is, nothing is.

use super::*;

/// Tries to restore a backup that must not be taken, into a place where nothing may come of it.
async fn refusal(filled: &Filled, name: &str) -> String {
    let empty = filled.empty("untouched");
    let line = line(restore(&empty, &filled.place(name)).await);
    assert!(!filled.place("untouched").exists());
    // As good a test as any that there is no table.
    assert!(backup(&empty, &filled.place("nothing")).await.is_err());
    assert!(!filled.place("nothing").exists() && !filled.place("nothing.partial").exists());
    line
}

#[tokio::test]
async fn a_byte_that_is_not_as_it_was_is_found_in_each_file() {
    let filled = Filled::sqlite().await;
    filled.backup("one").await;
    let all = files(&filled.place("one"));
    assert_eq!(all.len(), 4, "{all:?}");
    for file in all {
        let whole = std::fs::read(&file).unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        std::fs::write(&file, &changed).unwrap();
        let said = refusal(&filled, "one").await;
        assert!(said.contains("is not as it was written") && said.contains("take another backup"), "{said}");
        std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        refusal(&filled, "one").await;
        std::fs::remove_file(&file).unwrap();
        let said = refusal(&filled, "one").await;
        assert!(said.contains("is missing") || said.contains("is no backup, for there is no"), "{said}");
        std::fs::write(&file, &whole).unwrap();
    }
    restore(&filled.empty("restored"), &filled.place("one")).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_is_no_backup_is_refused() {
    let filled = Filled::sqlite().await;
    std::fs::create_dir(filled.place("empty")).unwrap();
    for name in ["empty", "none", "data"] {
        assert!(refusal(&filled, name).await.contains("is no backup"), "{name}");
    }
    // It is a backup of another kind of database.
    filled.backup("one").await;
    let postgres = config(&PostgresServer::shared().database());
    let said = line(restore(&postgres, &filled.place("one")).await);
    assert!(said.contains("of SQLite") && said.contains("DATABASE_URL"), "{said}");
}

/// Changes the manifest, as somebody could who also makes its sum.
fn forge(folder: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    use std::process::Command;
    let file = folder.join("manifest.json");
    let mut manifest = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    change(&mut manifest);
    std::fs::write(&file, manifest.to_string()).unwrap();
    let sum = Command::new("sha256sum").arg("manifest.json").current_dir(folder).output().unwrap();
    std::fs::write(folder.join("manifest.json.sha256"), sum.stdout).unwrap();
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_left_to_it() {
    let filled = Filled::sqlite().await;
    filled.backup("format").await;
    forge(&filled.place("format"), |manifest| {
        *manifest = serde_json::json!({"format": 2, "version": "9.0.0", "else": "unknown"});
    });
    let said = refusal(&filled, "format").await;
    assert!(said.contains("version 9.0.0") && said.contains("format 2"), "{said}");
    filled.backup("migration").await;
    forge(&filled.place("migration"), |manifest| {
        manifest["migrations"].as_array_mut().unwrap().push("9999_later".into());
    });
    let said = refusal(&filled, "migration").await;
    assert!(said.contains("9999_later") && said.contains("a newer one"), "{said}");
    filled.backup("outside").await;
    forge(&filled.place("outside"), |manifest| manifest["files"][0]["path"] = "../data/mcp.db".into());
    assert!(refusal(&filled, "outside").await.contains("outside of the folder"));
}

#[tokio::test]
async fn keys_that_nobody_can_open_are_told_before_anything_is_written() {
    let filled = Filled::sqlite().await;
    let made = filled.backup("one").await;
    let mut empty = filled.empty("untouched");
    for keys in [Vec::new(), vec![[8; 32]]] {
        empty.secret_keys = keys;
        let said = line(restore(&empty, &filled.place("one")).await);
        assert!(said.contains(&made.contents.keys[0].sealer) && said.contains("set SECRET_KEYS"), "{said}");
        assert!(!filled.place("untouched").exists());
        empty.secret_keys.clone_from(&filled.config.secret_keys);
    }
    // An older key is as good as the newest.
    empty.secret_keys = vec![[8; 32], SECRET];
    restore(&empty, &filled.place("one")).await.unwrap();
}

#[tokio::test]
async fn what_is_there_is_not_written_over() {
    for filled in Filled::both().await {
        filled.backup("one").await;
        let said = line(restore(&filled.config, &filled.place("one")).await);
        assert!(said.contains("is not empty") && said.contains("in DATABASE_URL"), "{said}");
        let said = line(backup(&filled.config, &filled.place("one")).await);
        assert!(said.contains("is there already"), "{said}");
        assert!(!filled.place("one.partial").exists());
        verify(&filled.config, &filled.place("one")).await.unwrap();
    }
    // What is left of a file would become a part of the next one.
    let filled = Filled::sqlite().await;
    filled.backup("one").await;
    std::fs::create_dir(filled.place("left")).unwrap();
    std::fs::write(filled.place("left/mcp.db-wal"), "").unwrap();
    let said = line(restore(&filled.empty("left"), &filled.place("one")).await);
    assert!(said.contains("mcp.db-wal"), "{said}");
}

#[tokio::test]
async fn a_restore_that_fails_in_the_middle_leaves_nothing() {
    let (filled, server) = (Filled::postgres().await, PostgresServer::shared());
    filled.backup("one").await;
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    // A name that our last index wants.
    server.query(database, "CREATE TABLE hosts (n int); CREATE INDEX mcp_sessions_ends ON hosts (n)");
    let said = line(restore(&filled.with_files(&url), &filled.place("one")).await);
    assert!(said.contains("pg_restore failed") && said.contains("mcp_sessions_ends"), "{said}");
    assert_eq!(server.query(database, "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'mcp%'"), "0");
    server.query(database, "DROP TABLE hosts");
    restore(&filled.with_files(&url), &filled.place("one")).await.unwrap();
}

#[tokio::test]
async fn a_trial_finds_what_sums_do_not_and_clears_up_after_itself() {
    for filled in Filled::both().await {
        filled.backup("one").await;
        forge(&filled.place("one"), |manifest| manifest["tables"]["mcp_calls"] = 3.into());
        let said = line(verify(&filled.config, &filled.place("one")).await);
        assert!(said.contains("gives 2 rows for mcp_calls, where there were 3 rows"), "{said}");
        assert!(!filled.place("one.verify").exists());
        let database = filled.url.rsplit('/').next().unwrap();
        let left = format!("SELECT count(*) FROM pg_database WHERE datname = 'mcp_verify_{database}'");
        assert_eq!(PostgresServer::shared().query("postgres", &left), "0");
    }
}

#[tokio::test]
async fn what_an_interrupted_backup_left_is_replaced_and_two_at_once_are_not() {
    let filled = Filled::sqlite().await;
    let partial = filled.place("one.partial");
    std::fs::create_dir_all(partial.join("blobs")).unwrap();
    for left in [".lock", "database.sqlite", "blobs/left", "manifest.json"] {
        std::fs::write(partial.join(left), "left").unwrap();
    }
    let held = std::fs::File::open(partial.join(".lock")).unwrap();
    held.lock().unwrap();
    let said = line(backup(&filled.config, &filled.place("one")).await);
    assert!(said.contains("another backup is being written"), "{said}");
    assert!(partial.join("blobs/left").exists());
    drop(held);
    filled.backup("one").await;
    assert!(!partial.exists());
    let names: Vec<_> = files(&filled.place("one")).iter().map(|file| file.file_name().unwrap().to_owned()).collect();
    assert_eq!(names[1..], ["database.sqlite", "manifest.json", "manifest.json.sha256"]);
    assert_ne!(names[0], "left", "that of the file alone is there");
}

#[tokio::test]
async fn there_is_no_backup_of_nothing() {
    let folder = TempDir::new().unwrap();
    let said = line(backup(&config(&super::super::url(&folder)), &folder.path().join("one")).await);
    assert!(said.contains("mcp.db"), "{said}");
    let said = line(backup(&config(&PostgresServer::shared().database()), &folder.path().join("one")).await);
    assert!(said.contains("there is nothing in the database"), "{said}");
    assert!(!folder.path().join("one").exists());
}
