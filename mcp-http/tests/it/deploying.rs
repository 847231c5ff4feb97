//! What is in `deploy/`, done as it says.

use std::path::Path;
use std::process::{Command, Output};

use mcp_store::test_servers::PostgresServer;

use crate::outages::{SECRET_KEYS, call};
use crate::served::{Served, binary, text};

/// Runs a file of SQL as the superuser.
fn psql(postgres: &PostgresServer, passwords: &[&str]) -> Output {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/sql/bootstrap.sql");
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--quiet", "--file"]).arg(file).arg(postgres.url("postgres"));
    for password in passwords {
        psql.args(["--set", password]);
    }
    psql.output().unwrap()
}

/// The role that serves reads and writes rows, and nothing else.
#[test]
fn the_database_is_made_with_a_role_that_migrates_and_one_that_may_do_no_more_than_it_needs() {
    let postgres = PostgresServer::start();
    let passwords = ["migrator_password=it's one", "server_password=an\"other"];
    for _ in 0..2 {
        let made = psql(&postgres, &passwords);
        assert!(made.status.success() && made.stderr.is_empty(), "{}", text(&made.stderr));
    }
    assert!(!psql(&postgres, &[]).status.success(), "there is no default password");

    let url = |role: &str| postgres.url("mcp").replace("mcp@", &format!("{role}@"));
    let folder = tempfile::tempdir().unwrap();
    let run = |role: &str, words: &[&str]| {
        let settings = [("DATABASE_URL", &*url(role)), ("SECRET_KEYS", SECRET_KEYS)];
        binary(folder.path(), &settings).args(words).output().unwrap()
    };
    assert!(!run("mcp_server", &["migrate"]).status.success(), "who serves makes no tables");
    let migrated = run("mcp_migrator", &["migrate"]);
    assert!(migrated.status.success(), "{}", text(&migrated.stderr));

    let server = Served::start(&[("DATABASE_URL", &url("mcp_server")), ("SECRET_KEYS", SECRET_KEYS)]);
    assert_eq!(call(&server).status, 200);
    let wrote = server.post("/api/v1/tools/notes.write/call", r#"{"name": "n", "text": "kept"}"#);
    assert_eq!(wrote.status, 200, "{wrote:?}");
    let found = server.post("/api/v1/tools/notes.search/call", r#"{"query": "kept"}"#);
    assert!(found.body.to_string().contains("kept"), "{found:?}");
    let saved = run("mcp_server", &["backup", "saved"]);
    assert_eq!(saved.status.code(), Some(0), "{}", text(&saved.stderr));
    let looked = run("mcp_server", &["doctor", "--json"]);
    assert_eq!(crate::encryption::found(&looked, "database user").0, "ok", "{}", text(&looked.stdout));
    let as_server = |sql: &str| {
        let asked = Command::new("psql").args(["--no-psqlrc", "--command", sql]).arg(url("mcp_server")).output();
        asked.unwrap().status.success()
    };
    assert!(as_server("SELECT count(*) FROM mcp_notes"));
    for forbidden in ["DROP TABLE mcp_notes", "CREATE TABLE own (n int)", "TRUNCATE mcp_notes", "CREATE DATABASE own"] {
        assert!(!as_server(forbidden), "{forbidden}");
    }
}
