//! `ENCRYPT_CONTENT`, `migrate --reencrypt` and `doctor`, as an operator meets them.

use std::path::Path;
use std::process::Output;

use mcp_store::test_servers::RedisServer;
use serde_json::{Value, json};

use crate::served::{Served, binary, text};

const OLD: &str = "aG91c2UhIGhvdXNlISBob3VzZSEgaG91c2UhIDEyMzQ=";
const NEW: &str = "c2F1Y2Uhc2F1Y2Uhc2F1Y2Uhc2F1Y2Uhc2F1Y2UhIDU=";
const MARKER: &str = "quicksilver";

fn run(folder: &Path, settings: &[(&str, &str)], words: &[&str]) -> Output {
    binary(folder, settings).args(words).output().unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
}

/// Whether the marker is in any file.
fn holds(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path);
        }
        std::fs::read(path).unwrap().windows(MARKER.len()).any(|window| window == MARKER.as_bytes())
    })
}

/// Uses what keeps something.
fn keep(server: &Served) {
    for (tool, arguments) in [
        ("notes.write", json!({"name": "note", "text": MARKER})),
        ("files.write", json!({"name": "file", "text": MARKER})),
        ("notes.search", json!({"query": MARKER})),
    ] {
        let answer = server.call_by_mcp(tool, &arguments);
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert_eq!(answer.body["result"]["isError"], Value::Null, "{:?}", answer.body);
    }
}

fn is_kept(server: &Served) -> bool {
    [("notes.read", "note"), ("files.read", "file")].into_iter().all(|(tool, name)| {
        let answer = server.call_by_mcp(tool, &json!({"name": name}));
        answer.body["result"]["structuredContent"]["text"] == MARKER
    })
}

#[test]
fn what_is_kept_is_not_in_the_folder_and_keys_are_replaced() {
    let server = Served::start(&[("SECRET_KEYS", OLD)]);
    keep(&server);
    assert!(is_kept(&server));
    let (_, _, folder) = server.stop();
    assert!(holds(&folder.path().join("data")), "it is found where it is not encrypted");

    let encrypted = [("SECRET_KEYS", OLD), ("ENCRYPT_CONTENT", "true")];
    let count = |folder: &Path, settings: &[(&str, &str)], words: &[&str]| -> u64 {
        let ran = run(folder, settings, &[&["migrate", "--reencrypt", "--json"], words].concat());
        assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
        json_of(&ran)["tables"].as_array().unwrap().iter().map(|table| table["rows"].as_u64().unwrap()).sum()
    };
    let server = Served::start_in(folder, &encrypted);
    assert!(is_kept(&server));
    let left = count(server.folder(), &encrypted, &["--dry-run"]);
    assert!(left >= 3, "{left}");
    // Beside the server, which may have recorded more calls meanwhile; these are sealed.
    assert_eq!(count(server.folder(), &encrypted, &[]), left);
    assert_eq!(count(server.folder(), &encrypted, &["--dry-run"]), 0);
    keep(&server);
    let (_, _, folder) = server.stop();
    // Nobody serves any more, and nothing holds on to an older state of the file.
    count(folder.path(), &encrypted, &[]);
    let data = folder.path().join("data");
    for file in ["mcp.db", "mcp.db-wal"] {
        let bytes = std::fs::read(data.join(file)).unwrap_or_default();
        assert!(!bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes()), "{file}");
    }

    let refused = run(folder.path(), &[("SECRET_KEYS", NEW), ("ENCRYPT_CONTENT", "true")], &["serve"]);
    let said = text(&refused.stderr);
    assert!(refused.status.code() == Some(3) && said.contains("SECRET_KEYS") && said.lines().count() == 1, "{said}");

    let keys = format!("{NEW},{OLD}");
    let replaced = [("SECRET_KEYS", keys.as_str()), ("ENCRYPT_CONTENT", "true")];
    let server = Served::start_in(folder, &replaced);
    assert!(is_kept(&server));
    assert!(count(server.folder(), &replaced, &[]) > 0);
    assert_eq!(count(server.folder(), &replaced, &["--dry-run"]), 0);
    let (_, _, folder) = server.stop();
    let server = Served::start_in(folder, &[("SECRET_KEYS", NEW), ("ENCRYPT_CONTENT", "true")]);
    assert!(is_kept(&server));
    let verified = run(server.folder(), &[("SECRET_KEYS", NEW)], &["audit", "verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stdout));
}

#[test]
fn exports_hold_what_is_encrypted_as_it_came() {
    let encrypted = [("ENCRYPT_CONTENT", "true")];
    let server = Served::start(&encrypted);
    keep(&server);
    let lines = |text: &str| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    let own = server.get("/api/v1/users/local/export").body;
    let own = lines(own.as_str().expect("there are several lines"));
    let is_note = |line: &&Value| line["type"] == "note" && line["text"] == MARKER;
    assert_eq!(own.iter().filter(is_note).count(), 1, "{own:?}");
    let (_, _, folder) = server.stop();
    assert!(!holds(&folder.path().join("data")));
    // Whoever has the keys reads it, whatever is set by now.
    for settings in [&encrypted[..], &[]] {
        let exported = run(folder.path(), settings, &["audit", "export", "--arguments"]);
        assert_eq!(exported.status.code(), Some(0), "{}", text(&exported.stderr));
        let all = lines(&text(&exported.stdout));
        for calls in [&own, &all] {
            let call = calls.iter().find(|line| line["tool"] == "notes.write").unwrap();
            assert_eq!(call["arguments"], json!({"name": "note", "text": MARKER}), "{call}");
        }
        assert!(all.iter().filter(|line| line["type"] == "call").all(|line| line["sound"] == true), "{all:?}");
    }
}

#[test]
fn what_was_encrypted_from_the_beginning_is_nowhere_in_the_folder() {
    let server = Served::start(&[("ENCRYPT_CONTENT", "true")]);
    keep(&server);
    assert!(is_kept(&server));
    let (_, _, folder) = server.stop();
    assert!(!holds(&folder.path().join("data")));
}

/// What the doctor says of one thing.
pub fn found(output: &Output, check: &str) -> (String, String) {
    let said = json_of(output);
    let all = said["checks"].as_array().unwrap();
    let found = all.iter().find(|found| found["check"] == check).unwrap_or_else(|| panic!("{said}"));
    (found["status"].as_str().unwrap().to_owned(), found["detail"].as_str().unwrap().to_owned())
}

#[test]
fn the_doctor_says_what_to_mend_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let doctor = |settings: &[(&str, &str)]| {
        // Where nothing listens, whatever runs beside the tests.
        let settings: Vec<_> = [&[("PORT", "1")], settings].concat();
        run(folder.path(), &settings, &["doctor", "--json"])
    };
    let fresh = doctor(&[]);
    assert_eq!(fresh.status.code(), Some(0), "{}", text(&fresh.stdout));
    assert_eq!(found(&fresh, "database").0, "warning");
    assert!(!folder.path().join("data").exists());
    assert_eq!(run(folder.path(), &[], &["migrate"]).status.code(), Some(0));
    let made = doctor(&[("SECRET_KEYS", OLD)]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stdout));
    for check in ["configuration", "database", "redis", "secret keys", "encryption", "access"] {
        assert_eq!(found(&made, check).0, "ok", "{check}");
    }
    for check in ["health", "errors", "times"] {
        assert_eq!(found(&made, check).0, "cannot apply", "no server runs: {check}");
    }
    let people = run(folder.path(), &[("PORT", "1"), ("SECRET_KEYS", OLD)], &["doctor"]);
    assert_eq!(text(&people.stdout).lines().count(), 23, "{}", text(&people.stdout));

    for (settings, check, mend) in [
        (&[("PORT", "x")][..], "configuration", "PORT"),
        (&[("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"), ("SECRET_KEYS", OLD)], "database", "DATABASE_URL"),
        (&[("REDIS_URL", "redis://127.0.0.1:1")], "redis", "REDIS_URL"),
        (&[("SECRET_KEYS", "short")], "configuration", "SECRET_KEYS"),
        (&[("HOST", "0.0.0.0")], "encryption", "ENCRYPT_CONTENT=true"),
        (&[("HOST", "0.0.0.0"), ("ENCRYPT_CONTENT", "true")], "access", "API_KEY"),
        (&[("PUBLIC_URL", "https://mcp.example.com/mcp")], "encryption", "ENCRYPT_CONTENT=true"),
    ] {
        let ran = doctor(settings);
        assert_eq!(ran.status.code(), Some(6), "{settings:?}: {}", text(&ran.stdout));
        let (status, detail) = found(&ran, check);
        assert!(status == "failed" && detail.contains(mend), "{settings:?}: {status} {detail}");
    }
    let redis = RedisServer::start();
    let well = doctor(&[
        ("HOST", "0.0.0.0"),
        ("ENCRYPT_CONTENT", "true"),
        ("API_KEY", "0123456789abcdef"),
        ("REDIS_URL", &redis.url()),
        ("SECRET_KEYS", OLD),
    ]);
    for check in ["database", "redis", "secret keys", "encryption", "access"] {
        assert_eq!(found(&well, check).0, "ok", "{}", text(&well.stdout));
    }
    // A key that is kept lets in as well; and where there are keys of the house, others do not open them.
    let made = run(folder.path(), &[("SECRET_KEYS", OLD)], &["keys", "create", "ci"]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let kept = doctor(&[("HOST", "0.0.0.0"), ("SECRET_KEYS", OLD)]);
    assert_eq!(found(&kept, "access").0, "ok");
    let other = doctor(&[("SECRET_KEYS", NEW)]);
    assert_eq!(other.status.code(), Some(6));
    let (status, detail) = found(&other, "secret keys");
    assert!(status == "failed" && detail.contains("SECRET_KEYS"), "{detail}");
}
