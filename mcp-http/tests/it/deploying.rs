//! What is in `deploy/`, done as it says.

use std::path::Path;
use std::process::{Command, Output};

use mcp_store::test_servers::PostgresServer;

use crate::outages::{SECRET_KEYS, call};
use crate::served::{Served, binary, text};

/// Runs the file of SQL as a role.
fn bootstrap(postgres: &PostgresServer, role: &str, variables: &[&str]) -> Output {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/sql/bootstrap.sql");
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--quiet", "--file"]).arg(file).arg(url(postgres, role, "postgres"));
    for variable in variables {
        psql.args(["--set", variable]);
    }
    psql.output().unwrap()
}

fn url(postgres: &PostgresServer, role: &str, database: &str) -> String {
    postgres.url(database).replace("mcp@", &format!("{role}@"))
}

/// Whether a role may do something.
fn may(url: &str, sql: &str) -> bool {
    let asked = Command::new("psql").args(["--no-psqlrc", "--command", sql]).arg(url).output();
    asked.unwrap().status.success()
}

/// The role that serves reads and writes rows, and nothing else.
#[test]
fn the_database_is_made_with_a_role_that_migrates_and_one_that_may_do_no_more_than_it_needs() {
    let postgres = PostgresServer::start();
    let passwords = ["migrator_password=it's one", "server_password=an\"other"];
    // The administrator of a managed database is no superuser.
    assert!(may(&postgres.url("postgres"), "CREATE ROLE administrator LOGIN CREATEDB CREATEROLE"));
    let others = [&passwords[..], &["database=other"]].concat();
    for (role, variables) in [("administrator", &passwords[..]), ("administrator", &passwords), ("mcp", &others)] {
        let made = bootstrap(&postgres, role, variables);
        assert!(made.status.success() && made.stderr.is_empty(), "{role}: {}", text(&made.stderr));
    }
    assert!(!bootstrap(&postgres, "mcp", &[]).status.success(), "there is no default password");

    let url = |role: &str| url(&postgres, role, "mcp");
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
    let as_server = |sql: &str| may(&url("mcp_server"), sql);
    assert!(as_server("SELECT count(*) FROM mcp_notes"));
    for forbidden in ["DROP TABLE mcp_notes", "CREATE TABLE own (n int)", "TRUNCATE mcp_notes", "CREATE DATABASE own"] {
        assert!(!as_server(forbidden), "{forbidden}");
    }
}
