//! The bundled server: how it starts, stops, and refuses to start.

use std::process::Command;

use mcp_store::test_servers::PostgresServer;
use serde_json::json;

use crate::outages::SECRET_KEYS;
use crate::served::{Served, binary, ended, text};

#[test]
fn it_starts_with_nothing_and_says_six_lines() {
    let server = Served::start(&[]);
    let starts = ["listening", "mcp", "tools", "storage", "docs", "next"];
    for (line, start) in server.said.iter().zip(starts) {
        assert!(line.starts_with(start), "{line:?}");
    }
    assert_eq!(server.said.len(), 6);
    assert!(server.said[4].ends_with("/console"), "{}", server.said[4]);
    assert!(server.folder().join("data/mcp.db").exists());

    // The next command works as it stands.
    let next = server.said[5].strip_prefix("next").unwrap().trim();
    let ran = Command::new("sh").args(["-c", next]).output().unwrap();
    assert!(text(&ran.stdout).contains("Europe/Lisbon"), "{}", text(&ran.stderr));

    for path in ["/health", "/health/live", "/health/ready"] {
        let health = server.get(path);
        assert_eq!((health.status, &health.body["status"]), (200, &json!("ok")), "{path}");
    }
    let (code, more, _) = server.stop();
    assert_eq!(code, Some(0));
    assert!(!more.contains("WARN") && !more.contains("ERROR"), "{more}");
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let server = Served::start(&[]);
    server.post("/api/v1/tools/notes.write/call", r#"{"name": "a", "text": "remember me"}"#);
    let (_, _, folder) = server.stop();
    let server = Served::start_in(folder, &[]);
    let note = server.post("/api/v1/tools/notes.read/call", r#"{"name": "a"}"#).body;
    assert_eq!(note["structuredContent"]["text"], "remember me", "{note}");
    assert_eq!(server.get("/api/v1/calls?tool=notes.write").body["calls"].as_array().unwrap().len(), 1);
}

#[test]
fn on_postgres_it_starts_as_well_and_shows_no_password() {
    let url = PostgresServer::shared().database().replace("mcp@", "mcp:hunter2@");
    let settings = [("DATABASE_URL", &*format!("{url}?password=hunter2")), ("SECRET_KEYS", SECRET_KEYS)];
    let server = Served::start(&settings);
    assert!(server.said[3].contains("postgres://mcp:***@127.0.0.1:"), "{:?}", server.said);
    assert!(!server.said.join("\n").contains("hunter2"), "{:?}", server.said);
    assert_eq!(server.get("/health").body["checks"]["database"]["state"], "up");
    let shown = text(&binary(server.folder(), &settings).arg("config").output().unwrap().stdout);
    assert!(shown.contains("password=***") && !shown.contains("hunter2"), "{shown}");
    assert!(!server.folder().join("data").exists(), "nothing is kept beside it");
}

#[test]
fn the_secret_keys_may_be_changed_as_long_as_the_old_one_is_among_them() {
    let server = Served::start(&[]);
    let (_, _, folder) = server.stop();
    let old = std::fs::read_to_string(folder.path().join("data/secret.key")).unwrap();
    let both = format!("{SECRET_KEYS},{}", old.trim());
    let refused = binary(folder.path(), &[("SECRET_KEYS", SECRET_KEYS)]).output().unwrap();
    let said = text(&refused.stderr);
    assert_eq!((refused.status.code(), said.lines().count()), (Some(3), 1), "{said}");
    assert!(said.contains("SECRET_KEYS (from the environment)"), "{said}");
    assert!(said.contains("behind the newest"), "{said}");
    let (_, _, folder) = Served::start_in(folder, &[("SECRET_KEYS", &both)]).stop();
    // By now the keys of the house are sealed under the new one.
    Served::start_in(folder, &[("SECRET_KEYS", SECRET_KEYS)]).stop();
}

#[test]
fn it_starts_without_the_redis_that_it_is_told_of() {
    let server = Served::start(&[("REDIS_URL", "redis://:hunter2@127.0.0.1:1")]);
    assert!(server.said[3].ends_with("cache shared through Redis"), "{}", server.said[3]);
    let health = server.get("/health");
    assert_eq!((health.status, &health.body["status"]), (200, &json!("degraded")));
    let redis = &health.body["checks"]["redis"];
    assert_eq!(
        (&redis["state"], &redis["last_error"]["message"]),
        (&json!("down"), &json!("the shared cache is unavailable"))
    );
    assert_eq!(server.post("/api/v1/tools/time.now/call", "{}").status, 200);
    let (code, more, _) = server.stop();
    assert_eq!(code, Some(0));
    assert!(!more.contains("hunter2"), "{more}");
}

#[test]
fn a_start_that_cannot_be_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    std::fs::write(folder.path().join("typo.json"), r#"{"PROT": 1}"#).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (&[("HOST", "0.0.0.0")], &[], &["HOST", "API_KEY"]),
        (&[("HOST", "0.0.0.0"), ("API_KEY", "0123456789abcdef"), ("DEBUG_MODE", "True")], &[], &["DEBUG_MODE"]),
        (&[("PORT", "x")], &[], &["PORT", "from the environment"]),
        (&[("PORT", taken.as_str())], &[], &["PORT", "another PORT"]),
        (&[("DATABASE_URL", "sqlite:./file/mcp.db")], &[], &["DATABASE_URL", "from the environment"]),
        (&[("DATABASE_URL", "mysql://user:hunter2@h/d")], &[], &["DATABASE_URL", "sqlite"]),
        (&[("REDIS_URL", "cache://:hunter2@host")], &[], &["REDIS_URL", "redis://127.0.0.1:6379"]),
        (&[("REDIS_URL", "rediss://:hunter2@host"), ("REDIS_CA", "none.pem")], &[], &["REDIS_CA", "none.pem", "PEM"]),
        (&[("SECRET_KEYS", "short")], &[], &["SECRET_KEYS", "openssl rand"]),
        (
            &[("DATABASE_URL", "postgres://user:hunter2@h/d")],
            &[],
            &["`export SECRET_KEYS=\"$(openssl rand -base64 32)\"`"],
        ),
        (&[], &["--config", "typo.json"], &["PROT", "typo.json", "did you mean PORT?"]),
        (&[], &["--config", "none.json"], &["--config", "none.json"]),
    ];
    for (settings, words, expected) in cases {
        let ran = ended(binary(folder.path(), settings).args(*words));
        let said = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(3), "{settings:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{settings:?}: {said}");
        for word in *expected {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
        assert!(!said.contains("hunter2"), "{said}");
        assert!(ran.stdout.is_empty(), "{}", text(&ran.stdout));
    }
}

#[test]
fn a_json_file_beside_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::fs::write(folder.path().join("config.json"), json!({"port": port}).to_string()).unwrap();
    let shown = binary(folder.path(), &[]).args(["config", "--json"]).output().unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["PORT"]["value"], port.to_string());
    assert_eq!(shown["PORT"]["origin"], "from config.json");
    assert_eq!(shown["HOST"]["origin"], "the default");
}

#[test]
fn the_log_is_json_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = binary(folder.path(), &[("PORT", "0"), ("LOG_FORMAT", "json")])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["message"], &event["level"]), (&json!("serving"), &json!("INFO")));
}
