//! `backup` and `restore`, as an operator runs them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use mcp_store::test_servers::PostgresServer;
use serde_json::Value;

use crate::served::{Served, binary, text, until};

const SECRET_KEYS: &str = "aG91c2UhIGhvdXNlISBob3VzZSEgaG91c2UhIDEyMzQ=";

/// A command with these settings, which finds the programs of PostgreSQL where this process does.
fn command(folder: &Path, settings: &[(&str, &str)], words: &[&str]) -> Command {
    let mut command = binary(folder, settings);
    command.args(words).env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    command
}

fn run(folder: &Path, settings: &[(&str, &str)], words: &[&str]) -> Output {
    command(folder, settings, words).output().unwrap()
}

/// What a command said that ended well.
fn well(output: Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The line of a command that failed so. Before it there is one each ten seconds, where it took that long.
fn failed(output: Output, code: i32) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let [.., last] = said.lines().collect::<Vec<_>>()[..] else { panic!("it said nothing") };
    let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
    assert!(errors == 1 && last.starts_with("error: "), "{said}");
    last.to_owned()
}

fn write(server: &Served, name: &str) {
    let body = format!(r#"{{"name": "{name}", "text": "kept"}}"#);
    assert_eq!(server.post("/api/v1/tools/notes.write/call", &body).status, 200);
}

fn reads(server: &Served, name: &str) -> bool {
    let answer = server.post("/api/v1/tools/notes.read/call", &format!(r#"{{"name": "{name}"}}"#));
    answer.status == 200 && answer.body.to_string().contains("kept")
}

#[test]
fn a_server_goes_on_while_it_is_backed_up_and_another_one_goes_on_from_there() {
    let server = Served::start(&[]);
    write(&server, "before");
    let said = well(run(server.folder(), &[], &["backup", "backups/monday", "--verify"]));
    assert!(said.contains("backups/monday is whole") && said.contains("A trial gave all of it back."), "{said}");
    write(&server, "after");
    let json = well(run(server.folder(), &[], &["backup", "backups/tuesday", "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["verified"], &json["manifest"]["tables"]["mcp_notes"]), (&false.into(), &2.into()));
    let said = failed(run(server.folder(), &[], &["backup", "backups/monday"]), 7);
    assert!(said.contains("is there already"), "{said}");
    let monday = server.folder().join("backups/monday");
    let monday = monday.to_str().unwrap();
    let said = failed(run(server.folder(), &[], &["restore", monday]), 7);
    assert!(said.contains("is not empty") && reads(&server, "after"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let said = failed(run(folder.path(), &[], &["restore", monday]), 3);
    assert!(said.contains("SECRET_KEYS") && said.contains("secret.key"), "{said}");
    assert!(!folder.path().join("data").exists());
    let key = std::fs::read_to_string(server.folder().join("data/secret.key")).unwrap();
    let settings = [("SECRET_KEYS", key.trim())];
    let said = well(run(folder.path(), &settings, &["restore", monday]));
    assert!(said.starts_with("Restored: "), "{said}");
    let restored = Served::start_in(folder, &settings);
    assert!(reads(&restored, "before") && !reads(&restored, "after"));
}

#[test]
fn what_cannot_be_taken_or_used_is_told_by_one_line_and_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let (url, server) = (PostgresServer::shared().database(), PostgresServer::shared());
    let there = [("DATABASE_URL", url.as_str()), ("SECRET_KEYS", SECRET_KEYS)];
    let said = failed(run(folder.path(), &there, &["backup", "one"]), 3);
    assert!(said.contains("there is nothing in the database"), "{said}");
    well(run(folder.path(), &there, &["migrate"]));
    well(run(folder.path(), &there, &["backup", "one", "--verify"]));
    assert!(failed(run(folder.path(), &there, &["restore", "one"]), 7).contains("is not empty"));
    assert!(failed(run(folder.path(), &[], &["restore", "one"]), 3).contains("of PostgreSQL"));
    assert!(failed(run(folder.path(), &there, &["restore", "two"]), 7).contains("is no backup"));
    std::fs::write(folder.path().join("file"), "").unwrap();
    assert!(failed(run(folder.path(), &there, &["backup", "file/one"]), 1).contains("cannot make file"));

    let away = [("DATABASE_URL", "postgres://mcp@127.0.0.1:1/mcp"), ("SECRET_KEYS", SECRET_KEYS)];
    assert!(failed(run(folder.path(), &away, &["restore", "one"]), 3).contains("DATABASE_URL"));
    let other = server.database();
    let keys = [("DATABASE_URL", other.as_str()), ("SECRET_KEYS", SECRET_KEYS)];
    well(run(folder.path(), &keys, &["restore", "one"]));
    assert_eq!(server.query(other.rsplit('/').next().unwrap(), "SELECT count(*) > 5 FROM mcp_migrations"), "t");
}

#[test]
fn a_backup_that_is_killed_is_no_backup_and_in_no_ones_way() {
    let (server, folder) = (PostgresServer::shared(), tempfile::tempdir().unwrap());
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let settings = [("DATABASE_URL", url.as_str()), ("SECRET_KEYS", SECRET_KEYS)];
    well(run(folder.path(), &settings, &["migrate"]));
    let held = server.hold(database, "LOCK TABLE mcp_calls");
    let mut child = command(folder.path(), &settings, &["backup", "one"]).spawn().unwrap();
    let waits = format!(
        "SELECT count(*) > 0 FROM pg_locks JOIN pg_database ON pg_database.oid = database
         WHERE NOT granted AND datname = '{database}'"
    );
    until("it waits", || server.query("postgres", &waits) == "t");
    assert!(failed(run(folder.path(), &settings, &["backup", "one"]), 7).contains("another backup"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(folder.path().join("one.partial").exists() && !folder.path().join("one").exists());
    drop(held);
    well(run(folder.path(), &settings, &["backup", "one", "--verify"]));
    assert!(!folder.path().join("one.partial").exists());
}
