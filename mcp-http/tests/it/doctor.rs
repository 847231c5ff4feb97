//! `doctor`: each check that looks at settings and at what they name, where it fails. Those of figures alone are tested beside them.

use std::process::Command;

use mcp_store::test_servers::PostgresServer;

use crate::encryption::found;
use crate::outages::SECRET_KEYS;
use crate::served::{Served, binary, text};

const KEY: (&str, &str) = ("API_KEY", "0123456789abcdef");

#[test]
fn what_a_server_that_others_reach_lacks_is_named_with_its_mend() {
    let folder = tempfile::tempdir().unwrap();
    let channels = r#"{"channels": {"chat": {"kind": "slack", "url_env": "SLACK"}}}"#;
    let open = [("HOST", "0.0.0.0"), ("PORT", "1"), ("SECRET_KEYS", SECRET_KEYS), KEY];
    let doctor = |settings: &[(&str, &str)]| {
        binary(folder.path(), &[&open, settings].concat()).args(["doctor", "--json"]).output().unwrap()
    };
    assert_eq!(binary(folder.path(), &open).arg("migrate").output().unwrap().status.code(), Some(0));
    for (settings, check, mend) in [
        (&[][..], "tls", "TLS_CERT"),
        (&[("PUBLIC_URL", "http://mcp.example.com/mcp")], "tls", "https"),
        (&[("ADMIN_BIND", "0.0.0.0:9000")], "internal ports", "127.0.0.1"),
        (&[("ADMIN_BIND", "203.0.113.5:9000")], "internal ports", "127.0.0.1"),
        (&[("REDIS_URL", "redis://203.0.113.5:6379")], "internal ports", "rediss://"),
        (&[], "limits", "RATE_LIMIT_PER_CALLER"),
        (&[("LOG_LEVEL", "warn,mcp_core=info")], "logging", "info"),
        (&[("LOG_FILE", "nowhere/server.log")], "logging", "a folder that is there"),
        (&[], "alerts", "ALERTS"),
        (&[("ALERTS", channels)], "alerts", "SLACK"),
        (&[], "backup", "mcp-http backup"),
        (&[], "load test", "mcp-http load"),
        (&[("MAX_CONNECTIONS", "100000000")], "open files", "ulimit"),
    ] {
        let ran = doctor(settings);
        let (status, detail) = found(&ran, check);
        assert!(status == "failed" && detail.contains(mend), "{settings:?} {check}: {status} {detail}");
        assert_eq!(ran.status.code(), Some(6), "{settings:?}");
    }
    let well = [
        ("PUBLIC_URL", "https://mcp.example.com/mcp"),
        ("ADMIN_BIND", "127.0.0.1:9000"),
        ("RATE_LIMIT_PER_CALLER", "100/s"),
        ("ALERTS", channels),
        ("SLACK", "https://hooks.example.com/T0/B0/x"),
        ("MAX_CONNECTIONS", "100"),
        ("LOG_FILE", "server.log"),
    ];
    let ran = doctor(&well);
    for check in ["tls", "internal ports", "limits", "logging", "alerts", "open files"] {
        let (status, detail) = found(&ran, check);
        assert_eq!(status, "ok", "{check}: {detail}");
    }
    // This machine alone reaches it: then the same is no more than a word.
    let own = [&[("HOST", "127.0.0.1")], &well[1..2]].concat();
    for check in ["limits", "alerts", "backup", "load test"] {
        assert_eq!(found(&doctor(&own), check).0, "warning", "{check}");
    }
}

#[test]
fn a_backup_and_a_load_test_are_known_once_they_were_made() {
    let server = Served::start(&[]);
    let is = |check: &str| found(&server.command(&["doctor", "--json"]), check);
    assert_eq!((is("backup").0.as_str(), is("load test").0.as_str()), ("warning", "warning"));
    assert_eq!(server.command(&["backup", "saved"]).status.code(), Some(0));
    let (status, detail) = is("backup");
    assert!(status == "ok" && detail.contains(" 0 hours old"), "{status}: {detail}");
    let load = |words: &[&str]| server.command(&[&["load", "--for", "1s", "--rate", "5"], words].concat());
    // One of another server says nothing of this one.
    assert_eq!(load(&[&server.url]).status.code(), Some(0));
    assert_eq!(is("load test").0, "warning");
    assert_eq!(load(&[]).status.code(), Some(0));
    let (_, detail) = is("load test");
    assert!(detail.starts_with("at 5.0 a second p99 was "), "{detail}");
    // All of these calls fail.
    assert_eq!(load(&["zone=Atlantis"]).status.code(), Some(1));
    let (status, detail) = is("load test");
    assert!(status == "warning" && detail.contains("100.00 % failed"), "{status}: {detail}");
    let (status, detail) = is("audit");
    assert!(status == "ok" && detail.contains("records are as they were written"), "{status}: {detail}");
    assert_eq!(is("clock").0, "cannot apply");
    assert_eq!(is("database user").0, "cannot apply");
}

#[test]
fn a_database_is_looked_at_for_its_user_its_time_and_what_was_recorded() {
    let servers = PostgresServer::shared();
    let url = servers.database();
    let settings = [("DATABASE_URL", url.as_str()), ("SECRET_KEYS", SECRET_KEYS)];
    let server = Served::start(&settings);
    assert_eq!(server.post("/api/v1/tools/time.now/call", "{}").status, 200);
    let doctor = || binary(server.folder(), &settings).args(["doctor", "--json"]).output().unwrap();
    let ran = doctor();
    assert_eq!(found(&ran, "clock").0, "ok");
    assert_eq!(found(&ran, "audit").0, "ok", "{}", found(&ran, "audit").1);
    let (status, detail) = found(&ran, "database user");
    assert!(status == "failed" && detail.contains("mcp_server"), "{status}: {detail}");
    let database = url.rsplit('/').next().unwrap();
    servers.query(database, "UPDATE mcp_calls SET tool = 'time.then'");
    let (status, detail) = found(&doctor(), "audit");
    assert!(status == "failed" && detail.contains("audit verify"), "{status}: {detail}");
}

#[test]
fn a_page_of_the_server_is_asked_for_once_whatever_looks_at_it() {
    let server = Served::start(&[]);
    server.command(&["doctor", "--json"]);
    for route in ["/metrics", "/health"] {
        let series = format!("mcp_http_requests_total{{route=\"{route}\",method=\"GET\",status=\"2xx\"}}");
        assert_eq!(server.metric(&series), Some(1), "{route}");
    }
}

/// The same as a user who reads and writes rows is looked at in `deploying.rs`.
#[test]
fn a_limit_of_the_process_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let limited = Command::new("sh")
        .args(["-c", "ulimit -n 300; exec \"$0\" doctor --json", env!("CARGO_BIN_EXE_mcp-http")])
        .env_clear()
        .env("HOST", "0.0.0.0")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (status, detail) = found(&limited, "open files");
    assert!(status == "failed" && detail.contains("300"), "{status}: {detail} {}", text(&limited.stderr));
}
